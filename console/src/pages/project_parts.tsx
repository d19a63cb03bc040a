// Parts of the pages for owners: lists page by page, questions before something is lost, and keys that are shown once.

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ApiError, type Page } from "../api";
import { Shown, Trouble, useLoaded } from "../parts";
import { texts } from "../texts";

const t = texts.project;

export const asApiError = (failure: unknown): ApiError => (failure instanceof ApiError ? failure : new ApiError(0, texts.errors.server));

/** A list that is loaded page by page; `children` get its items, and what loads it again. With `live` it follows changes of the bank until
 * a second page is shown: what is read then stays in its place. */
export function Paged<P extends Page, T>({
  load,
  items,
  more: label = t.more,
  live = false,
  children,
}: {
  load: (cursor: string | undefined, signal?: AbortSignal) => Promise<P>;
  items: (page: P) => T[];
  more?: string;
  live?: boolean;
  children: (items: T[], again: () => void) => ComponentChildren;
}) {
  const [more, setMore] = useState<P[]>([]);
  const [loaded, again] = useLoaded((signal) => load(undefined, signal), [], { live: live && more.length === 0 });
  const [error, setError] = useState<ApiError>();
  useEffect(() => setMore([]), [loaded]);
  return (
    <Shown loaded={loaded} retry={again}>
      {(first) => {
        const pages = [first, ...more];
        const cursor = pages.at(-1)?.nextCursor;
        const next = () => {
          load(cursor).then(
            (page) => {
              setMore([...more, page]);
              setError(undefined);
            },
            (failure: unknown) => setError(asApiError(failure)),
          );
        };
        return (
          <>
            {children(pages.flatMap(items), again)}
            {error !== undefined && <Trouble error={error} retry={next} />}
            {cursor !== undefined && (
              <button type="button" onClick={next}>
                {label}
              </button>
            )}
          </>
        );
      }}
    </Shown>
  );
}

/** A button that asks before it does something that cannot be undone. */
export function Sure({ label, of, question, yes, run }: { label: string; of: string; question: string; yes: string; run: () => Promise<void> }) {
  const [isAsking, setAsking] = useState(false);
  const [error, setError] = useState<ApiError>();
  const [busy, setBusy] = useState(false);
  const cancel = useRef<HTMLButtonElement>(null);
  const first = useRef<HTMLButtonElement>(null);
  const asked = useRef(false);
  // Before the next event: a key that is pressed at once meets the button that changes nothing.
  useLayoutEffect(() => {
    if (isAsking) cancel.current?.focus();
    else if (asked.current) first.current?.focus();
    asked.current = isAsking;
  }, [isAsking]);
  const carryOut = () => {
    setBusy(true);
    setError(undefined);
    run().then(
      () => setBusy(false),
      (failure: unknown) => {
        setBusy(false);
        setError(asApiError(failure));
      },
    );
  };
  if (!isAsking) {
    return (
      <button ref={first} type="button" aria-label={of} onClick={() => setAsking(true)}>
        {label}
      </button>
    );
  }
  return (
    <div class="note" role="group" aria-label={of}>
      <p>{question}</p>
      {error !== undefined && <Trouble error={error} />}
      <div class="actions">
        <button ref={cancel} type="button" onClick={() => setAsking(false)}>
          {t.cancel}
        </button>
        <button type="button" class="main danger" disabled={busy} onClick={carryOut}>
          {yes}
        </button>
      </div>
    </div>
  );
}

/** A key, which is shown until the user has kept it. */
export function ShownOnce({ text, secret, onKept }: { text: string; secret: string; onKept: () => void }) {
  const [note, setNote] = useState<string>();
  const place = useRef<HTMLElement>(null);
  useLayoutEffect(() => place.current?.focus(), []);
  const copy = () => {
    navigator.clipboard.writeText(secret).then(
      () => setNote(t.copied),
      // It is on the screen, and can be selected.
      () => setNote(undefined),
    );
  };
  return (
    <div class="note" role="alert">
      <p>{text}</p>
      <p>
        <code ref={place} tabIndex={-1} class="secret" aria-label={t.key}>
          {secret}
        </code>
      </p>
      <div class="actions">
        <button type="button" onClick={copy}>
          {t.copy}
        </button>
        <button type="button" onClick={onKept}>
          {t.close}
        </button>
        {note !== undefined && <span role="status">{note}</span>}
      </div>
    </div>
  );
}
