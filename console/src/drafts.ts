// Texts that are not saved yet, in this browser: a closed tab or a lost connection loses nothing.

import { currentSession } from "./api";

const PREFIX = "memory-bank-console-draft ";

export interface Draft {
  base: { text: string; etag: string | undefined };
  text: string;
  /** Whether the user has saved it, and the server could not be reached. */
  isWaiting?: boolean;
}

/** A draft is of one user in one project: nobody who signs in later in the same browser sees it. */
function keyOf(name: string): string {
  const session = currentSession();
  return PREFIX + JSON.stringify([session?.user, session?.project, name]);
}

function isDraft(value: unknown): value is Draft {
  if (typeof value !== "object" || value === null || !("base" in value) || !("text" in value)) return false;
  const { base, text } = value;
  return typeof text === "string" && typeof base === "object" && base !== null && "text" in base && typeof base.text === "string";
}

export function draftOf(name: string): Draft | undefined {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(keyOf(name)) ?? "null");
    return isDraft(stored) ? stored : undefined;
  } catch {
    // A damaged draft is none.
    return undefined;
  }
}

/** Whether the browser has room for it. */
export function keepDraft(name: string, draft: Draft): boolean {
  try {
    localStorage.setItem(keyOf(name), JSON.stringify(draft));
    return true;
  } catch {
    localStorage.removeItem(keyOf(name));
    return false;
  }
}

/** The documents whose drafts wait to be saved, of the user and project of this session. */
export function waitingDrafts(): string[] {
  const session = currentSession();
  return Object.keys(localStorage).flatMap((key) => {
    if (!key.startsWith(PREFIX)) return [];
    try {
      const of: unknown = JSON.parse(key.slice(PREFIX.length));
      if (!Array.isArray(of) || of[0] !== session?.user || of[1] !== session?.project) return [];
      const name: unknown = of[2];
      return typeof name === "string" && draftOf(name)?.isWaiting === true ? [name] : [];
    } catch {
      // Not a draft of this console.
      return [];
    }
  });
}

export function forgetDraft(name: string): void {
  localStorage.removeItem(keyOf(name));
}

/** Who signs out leaves nothing of the bank in the browser. */
export function forgetDrafts(): void {
  for (const key of Object.keys(localStorage)) if (key.startsWith(PREFIX)) localStorage.removeItem(key);
}
