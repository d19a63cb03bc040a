// Saves that could not reach the server: their drafts wait in this browser, and are saved when the connection is back.

import { ApiError, document as readDocument, type Recorded, writeDocument } from "./api";
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

/** Between two attempts, in milliseconds. */
const PAUSE = 15_000;

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
    if (!(error instanceof ApiError) || isUnreachable(error) || error.status === 401) return { ...of, result: "unreachable" };
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

/** Tries to save what waits. */
export async function deliverAll(): Promise<void> {
  if (isBusy) return;
  isBusy = true;
  try {
    for (const waiting of await waitingDrafts()) {
      const delivery = await deliver(waiting);
      for (const listener of listeners) listener(delivery);
    }
  } finally {
    isBusy = false;
  }
}

/** Calls this with what became of a save; returns what ends it. */
export function onDelivery(listener: (delivery: Delivery) => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** Tries at once, whenever the connection comes back, and now and then. Returns what ends it. */
export function keepDelivering(): () => void {
  const attempt = () => void deliverAll();
  attempt();
  const timer = setInterval(attempt, PAUSE);
  window.addEventListener("online", attempt);
  return () => {
    clearInterval(timer);
    window.removeEventListener("online", attempt);
  };
}
