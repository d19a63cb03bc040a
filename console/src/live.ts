// Changes as they happen: reads the stream of the server while the tab is visible, and notifies the pages. Knows no page.

import { ApiError, changes } from "./api";
import { onHope, pause } from "./connection";

const CHANGED = "console:changed";
/** How long changes are collected before pages load again, in milliseconds. */
const COLLECT = 300;
const FIRST_WAIT = 3000;
const LONGEST_WAIT = 60_000;

/** The server sends something every 15 seconds; a stream that is silent for longer than this is dead, in milliseconds. */
const SILENCE = 50_000;

/** Waits, or less if there is hope for another attempt. */
async function pauseOrHope(milliseconds: number, signal: AbortSignal): Promise<void> {
  const control = new AbortController();
  const end = onHope(() => control.abort());
  await pause(milliseconds, AbortSignal.any([signal, control.signal]));
  end();
}

/** What has changed. */
export type Changed = "document" | "list" | "graph" | "all";

/** What an event says; one that is not understood may be about anything. */
function changedBy(data: string): Changed {
  try {
    const event: unknown = JSON.parse(data);
    const change = typeof event === "object" && event !== null && "change" in event ? event.change : undefined;
    return change === "document" || change === "list" || change === "graph" ? change : "all";
  } catch {
    return "all";
  }
}

const notify = (change: Changed) => window.dispatchEvent(new CustomEvent<Changed>(CHANGED, { detail: change }));

/** Calls `take` with the id of each event and with what has changed, until the stream ends. */
async function read(stream: ReadableStream<Uint8Array>, take: (id: string | undefined, change: Changed) => void): Promise<void> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const timer = setTimeout(() => void reader.cancel(), SILENCE);
    const { done, value } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return;
    const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const lines = block.split("\n");
      const data = lines.find((line) => line.startsWith("data:"))?.slice(5);
      if (data !== undefined) take(lines.find((line) => line.startsWith("id: "))?.slice(4), changedBy(data));
    }
  }
}

/** Follows the stream until the signal; a stream that broke off is opened again, after longer and longer waits. */
async function follow(signal: AbortSignal): Promise<void> {
  let last: string | undefined;
  let wait = FIRST_WAIT;
  while (!signal.aborted) {
    // With another network the stream may be dead without a word.
    const network = new AbortController();
    const renew = () => network.abort();
    window.addEventListener("online", renew);
    try {
      const stream = await changes(last, AbortSignal.any([signal, network.signal]));
      // After this, a stream that is opened again may have missed something.
      last ??= "0";
      wait = FIRST_WAIT;
      await read(stream, (id, change) => {
        last = id ?? last;
        notify(change);
      });
    } catch (error) {
      // The session has ended, or this server has no such stream.
      if (error instanceof ApiError && [401, 403, 404].includes(error.status)) return;
      last ??= "0";
    } finally {
      window.removeEventListener("online", renew);
    }
    if (network.signal.aborted) continue;
    await pauseOrHope(wait, signal);
    wait = Math.min(2 * wait, LONGEST_WAIT);
  }
}

/** Follows the changes while the tab is visible. Gives what ends it. */
export function followChanges(): () => void {
  let control: AbortController | undefined;
  let wasHidden = false;
  const update = () => {
    const isVisible = document.visibilityState === "visible";
    if (isVisible && control === undefined) {
      control = new AbortController();
      void follow(control.signal);
      // While it was hidden, anything may have changed.
      if (wasHidden) notify("all");
    } else if (!isVisible) {
      control?.abort();
      control = undefined;
      wasHidden = true;
    }
  };
  update();
  document.addEventListener("visibilitychange", update);
  return () => {
    document.removeEventListener("visibilitychange", update);
    control?.abort();
  };
}

/** Calls this after changes, or only those of this kind. Gives what ends it. */
export function onChanges(callback: () => void, only?: Changed): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const collect = (event: Event) => {
    const change = event instanceof CustomEvent ? (event as CustomEvent<Changed>).detail : "all";
    if (only !== undefined && change !== only && change !== "all") return;
    timer ??= setTimeout(() => {
      timer = undefined;
      callback();
    }, COLLECT);
  };
  window.addEventListener(CHANGED, collect);
  return () => {
    window.removeEventListener(CHANGED, collect);
    clearTimeout(timer);
  };
}
