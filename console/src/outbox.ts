// Saves that could not reach the server: their drafts wait in this browser, and are saved when the connection is back.

import { ApiError, document as readDocument, writeDocument } from "./api";
import { type Draft, draftAt, forgetDraft, keepDraft, type LeftDraft, waitingDrafts } from "./drafts";

export interface Delivery {
  /** Of the draft. */
  key: string;
  name: string;
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

async function deliver({ key, name, draft }: LeftDraft): Promise<Delivery> {
  try {
    await writeDocument(name, draft.text, draft.base.etag);
  } catch (error) {
    if (!(error instanceof ApiError) || isUnreachable(error) || error.status === 401) return { key, name, result: "unreachable" };
    if (error.status !== 409 || !(await isStored(name, draft))) {
      keepDraft(key, { base: draft.base, text: draft.text });
      return { key, name, result: "refused" };
    }
  }
  // What was typed meanwhile stays a draft.
  if (draftAt(key)?.text === draft.text) forgetDraft(key);
  return { key, name, result: "saved" };
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
