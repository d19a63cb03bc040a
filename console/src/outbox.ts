// Saves that could not reach the server: their drafts wait in this browser, and are saved when the connection is back.

import { ApiError, document as readDocument, type Recorded, writeDocument } from "./api";
import { freeIn, onHope } from "./connection";
import { type Draft, draftAt, forgetDraft, isOpenHere, keepDraft, type LeftDraft, waitingDrafts } from "./drafts";
import { askPresent, correct } from "./facts";

export interface Delivery {
  /** Of the draft. */
  key: string;
  /** Of the document, or of the entity whose fact was corrected. */
  name: string;
  /** The id of that entity. */
  entity?: string;
  /** What the correction recorded; nothing if its text held already. */
  recorded?: Recorded;
  /** Whether the editor of the draft is open in this tab, which shows what became of it. */
  isShown: boolean;
  result: "saved" | "refused" | "unreachable";
}

/** Whether a save failed on its way, not at the server. */
export const isUnreachable = ({ status }: ApiError): boolean => [0, 502, 504].includes(status);

/** Between two attempts, in milliseconds: what waits is saved a few seconds after the server is back. */
const PAUSE = 4000;
/** What the server refuses for now only: too many requests, or a database that it cannot reach. */
const isForNow = ({ status }: ApiError): boolean => status === 429 || status === 503;

/** A text that another tab has saved already is refused for its etag, and is saved. */
async function isStored(name: string, { text }: Draft): Promise<boolean> {
  try {
    return (await readDocument(name)).text === text;
  } catch {
    return false;
  }
}

/** Sends a correction if its fact still says what was read. A reply that was lost may have recorded it already. */
async function sendCorrection({ entity, observation }: NonNullable<Draft["fact"]>, text: string): Promise<Recorded | "held" | "refused"> {
  const present = await askPresent(entity, observation);
  if (present.state === "changed" && present.fact.text === text.trim()) return "held";
  return present.state === "holds" ? correct(entity, present, text.trim()) : "refused";
}

/** Sends what a draft has: what it recorded in the graph, or whether it was taken. */
async function sent({ name, draft }: LeftDraft): Promise<Recorded | "held" | "refused"> {
  if (draft.fact !== undefined) return sendCorrection(draft.fact, draft.text);
  await writeDocument(name, draft.text, draft.base.etag);
  return "held";
}

async function deliver(left: LeftDraft): Promise<Delivery> {
  const { key, draft } = left;
  const { fact } = draft;
  const of = { key, name: fact?.name ?? left.name, ...(fact !== undefined && { entity: fact.entity }), isShown: isOpenHere(key) };
  let result: Recorded | "held" | "refused";
  try {
    result = await sent(left);
  } catch (error) {
    if (!(error instanceof ApiError) || isUnreachable(error) || isForNow(error) || error.status === 401) return { ...of, result: "unreachable" };
    result = fact === undefined && error.status === 409 && (await isStored(left.name, draft)) ? "held" : "refused";
  }
  if (result === "refused") {
    keepDraft(key, { ...draft, isWaiting: false });
    return { ...of, result };
  }
  // What was typed meanwhile stays a draft.
  if (draftAt(key)?.text === draft.text) forgetDraft(key);
  return { ...of, result: "saved", ...(result !== "held" && { recorded: result }) };
}

const listeners = new Set<(delivery: Delivery) => void>();
let isBusy = false;

/** Sends what waits, one after the other. */
async function deliverAll(): Promise<void> {
  for (const waiting of await waitingDrafts()) {
    const delivery = await deliver(waiting);
    for (const listener of listeners) listener(delivery);
    // The others would not get through either.
    if (delivery.result === "unreachable") return;
  }
}

let timer: ReturnType<typeof setTimeout> | undefined;
/** Whether attempts go on. */
let isKept = false;
/** When the next attempt is made, in milliseconds since 1970; nothing while one is made. */
let nextAt: number | undefined;

/** Tries to save what waits, now. */
export async function tryNow(): Promise<void> {
  if (isBusy) return;
  isBusy = true;
  clearTimeout(timer);
  nextAt = undefined;
  try {
    await deliverAll();
  } finally {
    isBusy = false;
    if (isKept) {
      const wait = Math.max(PAUSE, freeIn());
      nextAt = Date.now() + wait;
      timer = setTimeout(() => void tryNow(), wait);
    }
  }
}

/** In how many seconds the next attempt is made; nothing while one is made. */
export const nextAttempt = (): number | undefined => (nextAt === undefined ? undefined : Math.max(1, Math.ceil((nextAt - Date.now()) / 1000)));

/** Calls this with what became of a save; returns what ends it. */
export function onDelivery(listener: (delivery: Delivery) => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Tries at once, whenever the connection comes back, and every few seconds. Returns what ends it. */
export function keepDelivering(): () => void {
  isKept = true;
  void tryNow();
  const end = onHope(() => void tryNow());
  return () => {
    end();
    isKept = false;
    clearTimeout(timer);
  };
}
