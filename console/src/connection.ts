// Whether the server can be reached, and how long it asks to wait. Knows no route and no page.

/** A request could not reach the server, after others had. */
const LOST = "console:lost";
/** A request has reached the server again. */
const BACK = "console:back";
/** The server asks to wait, or not any more. */
const HELD = "console:held";

let isLost = false;

/** Notes that a request has not reached the server. */
export function lost(): void {
  if (isLost) return;
  isLost = true;
  window.dispatchEvent(new Event(LOST));
}

/** Notes that a request has reached the server. */
export function reached(): void {
  if (!isLost) return;
  isLost = false;
  window.dispatchEvent(new Event(BACK));
}

function on(event: string, callback: () => void): () => void {
  window.addEventListener(event, callback);
  return () => window.removeEventListener(event, callback);
}

export const onLost = (callback: () => void): (() => void) => on(LOST, callback);

/** Calls this when the server was reached again. Gives what ends it. */
export const onBack = (callback: () => void): (() => void) => on(BACK, callback);

/** Calls this when the browser has a network again, or the server was reached again. Gives what ends it. */
export function onHope(callback: () => void): () => void {
  const ends = [on("online", callback), onBack(callback)];
  return () => {
    for (const end of ends) end();
  };
}

/** Whether a request with this status has failed on its way, or for what the server stands on: another attempt may succeed. */
export const isPassing = (status: number): boolean => [0, 502, 503, 504].includes(status);

/** The waits between attempts grow like this, in milliseconds, and stay at the last one. */
const WAITS = [2000, 4000, 8000, 16_000, 30_000, 60_000] as const;
/** For how long attempts are made after the first failure, in milliseconds. After that an event brings the next one. */
export const MOST_TIME = 3_600_000;

/** How long to wait before an attempt; the first one is number 0. */
export const waitBefore = (attempt: number): number => WAITS[Math.min(attempt, WAITS.length - 1)] ?? 60_000;

/** Waits, or less if the signal ends it. */
export const pause = (milliseconds: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });

/** Probes the server while it cannot be reached, so that its return is noticed. Gives what ends it. */
export function keepProbing(probe: () => Promise<unknown>): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let attempts = 0;
  let since = 0;
  const next = () => {
    clearTimeout(timer);
    if (!isLost || Date.now() - since > MOST_TIME) return;
    timer = setTimeout(run, waitBefore(attempts));
    attempts += 1;
  };
  const run = () => void probe().then(next, next);
  const begin = () => {
    attempts = 0;
    since = Date.now();
    next();
  };
  const hope = () => {
    if (!isLost) return;
    clearTimeout(timer);
    run();
  };
  const ends = [onLost(begin), on("online", hope)];
  if (isLost) begin();
  return () => {
    clearTimeout(timer);
    for (const end of ends) end();
  };
}

/** When the server takes requests again, in milliseconds since 1970. */
let freeAt = 0;
let waiting = 0;

/** The server takes no requests for so many seconds. */
export function hold(seconds: number): void {
  freeAt = Math.max(freeAt, Date.now() + 1000 * seconds);
  window.dispatchEvent(new Event(HELD));
}

/** In how many milliseconds the server takes requests again. */
export const freeIn = (): number => Math.max(0, freeAt - Date.now());

/** Waits until the server takes requests again. */
export async function untilFree(signal?: AbortSignal): Promise<void> {
  if (freeIn() === 0) return;
  waiting += 1;
  window.dispatchEvent(new Event(HELD));
  try {
    while (freeIn() > 0 && signal?.aborted !== true) await pause(freeIn(), signal);
  } finally {
    waiting -= 1;
    window.dispatchEvent(new Event(HELD));
  }
  signal?.throwIfAborted();
}

/** How many seconds requests wait for the server to take them; nothing if none waits. */
export const heldFor = (): number | undefined => (waiting === 0 ? undefined : Math.max(1, Math.ceil(freeIn() / 1000)));

export const onHeld = (callback: () => void): (() => void) => on(HELD, callback);
