// What the user may do in the session that is shown. It is remembered, so that a page that is opened shows it at once; it is asked for again
// a little later, and when a request is refused.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, onRefusal, type Session, session as askSession, type StoredSession } from "./api";
import { keepProbing } from "./connection";
import { useRetry } from "./retry";

const REMEMBERED = "memory-bank-console-rights";
/** When what is remembered is asked for again, in milliseconds. Most pages that are opened in a row are left before. */
const LATER = 5000;
/** Between two refusals that make the page ask, in milliseconds. */
const BETWEEN = 2000;

function isSession(value: unknown): value is Session {
  if (typeof value !== "object" || value === null || !("role" in value) || !("rights" in value) || !("hasMembers" in value)) return false;
  return typeof value.role === "string" && Array.isArray(value.rights) && value.rights.every((right) => typeof right === "string") && typeof value.hasMembers === "boolean";
}

function remembered(token: string): Session | undefined {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(REMEMBERED) ?? "null");
    if (typeof found !== "object" || found === null || !("token" in found) || !("session" in found)) return undefined;
    return found.token === token && isSession(found.session) ? found.session : undefined;
  } catch {
    // A damaged entry is none.
    return undefined;
  }
}

function remember(token: string, session: Session): void {
  try {
    localStorage.setItem(REMEMBERED, JSON.stringify({ token, session }));
  } catch {
    // Without room it is asked for again.
  }
}

/** Forgets the rights of a session that has ended. */
export const forgetRights = (): void => localStorage.removeItem(REMEMBERED);

/** The rights and the role of the user, as far as they are known. */
export function useSession({ token }: StoredSession): Session | undefined {
  const [found, setFound] = useState(() => remembered(token));
  const [error, setError] = useState<ApiError>();
  const running = useRef<Promise<unknown>>(undefined);
  const ask = useCallback((): Promise<unknown> => {
    running.current ??= askSession()
      .then(
        (session) => {
          setError(undefined);
          remember(token, session);
          setFound((before) => (JSON.stringify(before) === JSON.stringify(session) ? before : session));
        },
        // What is known stays. The page shows why the server does not answer.
        (failure: unknown) => setError(failure instanceof ApiError ? failure : undefined),
      )
      .finally(() => (running.current = undefined));
    return running.current;
  }, [token]);
  useEffect(() => {
    const timer = setTimeout(() => void ask(), remembered(token) === undefined ? 0 : LATER);
    return () => clearTimeout(timer);
  }, [ask]);
  useEffect(() => {
    let asked = 0;
    onRefusal(() => {
      if (Date.now() - asked < BETWEEN) return;
      asked = Date.now();
      void ask();
    });
    return () => onRefusal(() => undefined);
  }, [ask]);
  useEffect(() => keepProbing(ask), [ask]);
  useRetry(error, () => void ask());
  return found;
}
