// Texts that are not saved yet, in this browser: a closed tab or a lost connection loses nothing. Each editor of each tab has a
// draft of its own, and a lock of the browser tells the other tabs that it is open.

import { currentSession, type Observation } from "./api";

const PREFIX = "memory-bank-console-draft ";
/** Before the names of forms whose values are kept. */
export const FORM_PREFIX = "memory-bank-console-form ";
/** Where a tab remembers its draft of a document, for the page that is loaded again. */
const OF_TAB = "memory-bank-console-draft-of-tab ";

export interface Draft {
  base: { text: string; etag: string | undefined };
  text: string;
  /** When it was kept, in milliseconds since 1970. */
  at?: number;
  /** Whether the user has saved it, and the server could not be reached. */
  isWaiting?: boolean;
  /** The fact that it corrects, if it is of no document. */
  fact?: { entity: string; name: string; observation: Observation };
}

/** A draft that no open editor has. */
export interface LeftDraft {
  key: string;
  name: string;
  draft: Draft;
}

function isDraft(value: unknown): value is Draft {
  if (typeof value !== "object" || value === null || !("base" in value) || !("text" in value)) return false;
  const { base, text } = value;
  return typeof text === "string" && typeof base === "object" && base !== null && "text" in base && typeof base.text === "string";
}

/** A draft is of one user in one project: nobody who signs in later in the same browser sees it. */
function keyOf(name: string, id: string): string {
  const session = currentSession();
  return PREFIX + JSON.stringify([session?.user, session?.project, name, id]);
}

function stored(key: string): Draft | undefined {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(key) ?? "null");
    return isDraft(found) ? found : undefined;
  } catch {
    // A damaged draft is none.
    return undefined;
  }
}

/** The user, the project and the name that a key has after its prefix; nothing if it is another key. */
function partsOf(key: string, prefix: string): { user: unknown; project: unknown; name: string } | undefined {
  if (!key.startsWith(prefix)) return undefined;
  try {
    const of: unknown = JSON.parse(key.slice(prefix.length));
    if (!Array.isArray(of)) return undefined;
    const [user, project, name] = of as unknown[];
    return typeof name === "string" ? { user, project, name } : undefined;
  } catch {
    // Not of this console.
    return undefined;
  }
}

/** The drafts of the user and project of this session, the newest first. */
function drafts(): LeftDraft[] {
  const session = currentSession();
  const found = Object.keys(localStorage).flatMap((key) => {
    const of = partsOf(key, PREFIX);
    if (of === undefined || of.user !== session?.user || of.project !== session?.project) return [];
    const draft = stored(key);
    return draft !== undefined ? [{ key, name: of.name, draft }] : [];
  });
  return found.sort((one, other) => (other.draft.at ?? 0) - (one.draft.at ?? 0));
}

/** The documents of this tab whose texts the browser has no room for, by the keys of their drafts. */
const notKept = new Map<string, string>();

/** What ends the locks of this tab, by the keys of their drafts. */
const held = new Map<string, () => void>();
/** The locks of this tab that are about to end. */
const ending = new Map<string, Promise<unknown>>();

/** Takes the lock of a draft, unless another editor has it. It may be ended before the browser grants it. */
async function lock(key: string): Promise<boolean> {
  await ending.get(key);
  return requestLock(key);
}

function requestLock(key: string): Promise<boolean> {
  if (held.has(key)) return Promise.resolve(false);
  const isEnded = new Promise<void>((end) => held.set(key, end));
  return new Promise((resolve, reject) => {
    const ended = navigator.locks.request(key, { ifAvailable: true }, (lock) => {
      if (lock === null) held.delete(key);
      resolve(lock !== null);
      return lock === null ? undefined : isEnded;
    });
    ended.catch(reject);
  });
}

/** Ends the lock of a draft of this tab. */
function unlock(key: string): void {
  const end = held.get(key);
  if (end === undefined) return;
  held.delete(key);
  // The browser ends it a little later, and then grants this one, which waits for it.
  const gone = navigator.locks.request(key, () => undefined).finally(() => ending.delete(key));
  ending.set(key, gone);
  end();
}

/** Whether an editor of this tab has a draft. */
export const isOpenHere = (key: string): boolean => held.has(key);

/** The keys of the drafts that editors have open, in this tab and others. */
async function openKeys(): Promise<Set<string>> {
  await Promise.all(ending.values());
  const { held: all = [] } = await navigator.locks.query();
  return new Set(all.flatMap(({ name }) => (name?.startsWith(PREFIX) === true ? [name] : [])));
}

/** The names that have drafts, of open editors or left ones. */
export const draftNames = (): Set<string> => new Set(drafts().map(({ name }) => name));

/** The drafts of a document that were left, the newest first, and whether an editor other than that of `own` has one. */
export async function draftsOf(name: string, own?: string): Promise<{ left: LeftDraft[]; isOpen: boolean }> {
  const open = await openKeys();
  const all = drafts().filter((draft) => draft.name === name && draft.key !== own);
  return { left: all.filter(({ key }) => !open.has(key)), isOpen: all.some(({ key }) => open.has(key)) };
}

/** How long the browser may take to end the lock of a tab that was closed just now, in milliseconds. */
const CLOSING = 250;
/** The same of a page of this tab that was loaded again. A copy of a tab waits as long, since the first one keeps the lock. */
const RELOADING = 2000;

/** Waits until another page has ended the lock of a draft, for at most a time in milliseconds. */
async function untilEnded(key: string, longest: number): Promise<void> {
  try {
    await navigator.locks.request(key, { signal: AbortSignal.timeout(longest) }, () => undefined);
  } catch (error) {
    // Its editor is still open.
    if (!(error instanceof DOMException && (error.name === "TimeoutError" || error.name === "AbortError"))) throw error;
  }
}

/** The draft of one editor. */
export class Editing {
  private constructor(
    readonly key: string,
    readonly name: string,
    /** What was left of it by an editor that was closed. */
    readonly found: Draft | undefined,
  ) {}

  /** Takes over what an editor that was closed has left: in this tab, or the newest; or the one of this key. Nothing if nothing was. */
  static async continued(name: string, key?: string): Promise<Editing | undefined> {
    const own = key ?? sessionStorage.getItem(OF_TAB + name);
    const { isOpen, ...first } = await draftsOf(name);
    let { left } = first;
    const isOwnHeld = own !== null && stored(own) !== undefined && !held.has(own) && left.every((draft) => draft.key !== own);
    if (isOwnHeld) await untilEnded(own, RELOADING);
    else if (left.length === 0 && isOpen) await new Promise((done) => setTimeout(done, CLOSING));
    if (isOwnHeld || left.length === 0) ({ left } = await draftsOf(name));
    const ordered = [...left.filter((draft) => draft.key === own), ...left.filter((draft) => draft.key !== own && key === undefined)];
    for (const { key: one } of ordered) {
      if (!(await lock(one))) continue;
      const draft = stored(one);
      // Another tab may have saved it just now.
      if (draft !== undefined) return Editing.#opened(new Editing(one, name, draft));
      unlock(one);
    }
    return undefined;
  }

  /** A draft of its own, at once: nobody else knows its key, so that the browser grants its lock. */
  static begun(name: string): Editing {
    const key = keyOf(name, crypto.randomUUID());
    void requestLock(key);
    return Editing.#opened(new Editing(key, name, undefined));
  }

  static #opened(editing: Editing): Editing {
    sessionStorage.setItem(OF_TAB + editing.name, editing.key);
    return editing;
  }

  /** Whether the browser has room for it. */
  keep(draft: Draft): boolean {
    const isKept = keepDraft(this.key, draft);
    if (isKept) notKept.delete(this.key);
    else notKept.set(this.key, draft.fact?.name ?? this.name);
    return isKept;
  }

  forget(): void {
    notKept.delete(this.key);
    localStorage.removeItem(this.key);
  }

  /** The editor is closed; its draft is left. */
  close(): void {
    notKept.delete(this.key);
    unlock(this.key);
  }
}

export function keepDraft(key: string, draft: Draft): boolean {
  try {
    localStorage.setItem(key, JSON.stringify({ ...draft, at: Date.now() }));
    return true;
  } catch {
    localStorage.removeItem(key);
    return false;
  }
}

export const draftAt = stored;

export function forgetDraft(key: string): void {
  localStorage.removeItem(key);
}

/** The drafts that wait to be saved and are this tab's to save: its own, and those that were left. */
export async function waitingDrafts(): Promise<LeftDraft[]> {
  // Long texts are not read every few seconds for nothing.
  const mayWait = Object.keys(localStorage).some((key) => key.startsWith(PREFIX) && localStorage.getItem(key)?.includes('"isWaiting":true') === true);
  if (!mayWait) return [];
  const open = await openKeys();
  return drafts().filter(({ key, draft }) => draft.isWaiting === true && (held.has(key) || !open.has(key)));
}

/** What a user would lose by signing out. */
export interface Unsaved {
  /** Documents and entities that have a text which is not saved, each once; with the project if it is another one. */
  documents: string[];
  entities: string[];
  /** How many forms were begun. */
  forms: number;
}

/** The user's texts in this browser that are not saved, of all tabs and projects. */
export function unsaved(): Unsaved {
  const session = currentSession();
  const documents = new Set(notKept.values());
  const entities = new Set<string>();
  let forms = 0;
  for (const key of Object.keys(localStorage)) {
    const of = partsOf(key, PREFIX);
    if (partsOf(key, FORM_PREFIX)?.user === session?.user) forms += 1;
    const draft = of !== undefined && of.user === session?.user ? stored(key) : undefined;
    if (of === undefined || draft === undefined) continue;
    const name = draft.fact?.name ?? of.name;
    (draft.fact === undefined ? documents : entities).add(of.project === session?.project ? name : `${name} (${String(of.project)})`);
  }
  return { documents: [...documents].sort(), entities: [...entities].sort(), forms };
}

/** A user who signs out leaves nothing in the browser. What other users have not saved there is theirs. */
export function forgetDrafts(user: string | undefined): void {
  for (const key of Object.keys(localStorage)) {
    const of = partsOf(key, PREFIX) ?? partsOf(key, FORM_PREFIX);
    if (of !== undefined && of.user === user) localStorage.removeItem(key);
  }
  forgetOpen();
}

/** Forgets which drafts this tab had open. */
export function forgetOpen(): void {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith(OF_TAB)) sessionStorage.removeItem(key);
}
