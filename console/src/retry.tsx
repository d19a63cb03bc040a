// When what has failed is tried again, and what says so: one rule for all pages.

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "./api";
import { heldFor, isPassing, lost, MOST_TIME, onBack, onHeld, onHope, waitBefore } from "./connection";
import { texts } from "./texts";

/** Makes an attempt again after an error that may pass: when the server can be reached again, after longer and longer waits if it fails
 * again; and after the time that the server asks for. */
export function useRetry(error: ApiError | undefined, attempt: () => void): void {
  const latest = useRef(attempt);
  latest.current = attempt;
  const failed = useRef<{ since: number; attempts: number }>(undefined);
  useEffect(() => {
    const isHeld = error?.status === 429;
    if (error === undefined || !(isHeld || isPassing(error.status))) {
      failed.current = undefined;
      return undefined;
    }
    const state = (failed.current ??= { since: Date.now(), attempts: 0 });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const run = () => {
      state.attempts += 1;
      latest.current();
    };
    const isOver = Date.now() - state.since > MOST_TIME;
    // A request waits for the time that the server asks for; what it refuses all the same is asked for less and less often.
    if (isHeld && !isOver) timer = setTimeout(run, waitBefore(state.attempts));
    // The first attempt is made at once.
    const end = onHope(() => {
      clearTimeout(timer);
      timer = setTimeout(run, state.attempts === 0 || isOver ? 0 : waitBefore(state.attempts - 1));
    });
    return () => {
      end();
      clearTimeout(timer);
    };
  }, [error]);
}

/** Loads a part of the console that is loaded when it is opened first. */
export async function loadPart<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch {
    lost();
    throw new ApiError(0, texts.errors.offline);
  }
}

/** Whether an error is over since the server was reached again, because it was one of the connection. */
export function useIsOver(error: ApiError): boolean {
  const [over, setOver] = useState<ApiError>();
  useEffect(() => (isPassing(error.status) ? onBack(() => setOver(error)) : undefined), [error]);
  return over === error;
}

/** That requests wait until the server takes them. */
export function HeldNote() {
  const [seconds, setSeconds] = useState(heldFor);
  const isHeld = seconds !== undefined;
  useEffect(() => onHeld(() => setSeconds(heldFor())), []);
  useEffect(() => {
    if (!isHeld) return undefined;
    const timer = setInterval(() => setSeconds(heldFor()), 1000);
    return () => clearInterval(timer);
  }, [isHeld]);
  // A reader hears once that it waits, not each second.
  return (
    <div>
      {isHeld && (
        <p class="note held">
          <span role="status">{texts.errors.held}</span> <span aria-hidden="true">{texts.errors.heldFor(seconds)}</span>
        </p>
      )}
    </div>
  );
}
