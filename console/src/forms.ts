// What is typed into a form and not sent yet, in this browser: a closed tab or a lost connection loses nothing. It is of one user in one
// project, as drafts of documents are, and never has a secret: a new key is shown once, and kept nowhere.

import { useState } from "preact/hooks";
import { currentSession } from "./api";
import { FORM_PREFIX } from "./drafts";

function keyOf(form: string): string {
  const session = currentSession();
  return FORM_PREFIX + JSON.stringify([session?.user, session?.project, form]);
}

/** The kept values that have the types of the first ones; nothing if none has. */
function stored<T extends object>(key: string, first: T): Partial<T> | undefined {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(key) ?? "null");
    if (typeof found !== "object" || found === null) return undefined;
    const known = new Map(Object.entries(found) as [string, unknown][]);
    const fitting = Object.entries(first).flatMap(([name, value]: [string, unknown]) => {
      const kept = known.get(name);
      const fits = Array.isArray(value) ? Array.isArray(kept) && kept.every((one) => typeof one === "string") : typeof kept === typeof value;
      return fits ? [[name, kept] as const] : [];
    });
    return fitting.length === 0 ? undefined : (Object.fromEntries(fitting) as Partial<T>);
  } catch {
    // A damaged entry is none.
    return undefined;
  }
}

interface Kept<T> {
  values: T;
  /** Whether they were typed before the form was shown. */
  isRestored: boolean;
  set: (changed: Partial<T>) => void;
  /** The form was sent, or given up: the first values again. */
  forget: () => void;
}

/** The values of a form, which are texts and lists of texts. */
export function useKept<T extends object>(form: string, first: T): Kept<T> {
  const [key] = useState(() => keyOf(form));
  const [found] = useState(() => stored(key, first));
  const [values, setValues] = useState<T>({ ...first, ...found });
  const set = (changed: Partial<T>) => {
    setValues((before) => {
      const next = { ...before, ...changed };
      try {
        // What is as it was first is not kept.
        if (JSON.stringify(next) === JSON.stringify({ ...next, ...first })) localStorage.removeItem(key);
        else localStorage.setItem(key, JSON.stringify(next));
      } catch {
        // Without room it is not kept; the form works all the same.
        localStorage.removeItem(key);
      }
      return next;
    });
  };
  const forget = () => {
    localStorage.removeItem(key);
    setValues(first);
  };
  return { values, isRestored: found !== undefined, set, forget };
}
