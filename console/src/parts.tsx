// Parts that several pages use.

import { type ComponentChildren, createContext } from "preact";
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "./api";
import { isPassing } from "./connection";
import { type Changed, onChanges } from "./live";
import { type Heading, renderedLine, show } from "./markdown";
import { useIsOver, useRetry } from "./retry";
import { hasMoved } from "./router";
import { texts } from "./texts";

/** Text that was rendered as Markdown. */
export function Markdown({ text, name = "", onHeadings }: { text: string; name?: string; onHeadings?: (headings: Heading[]) => void }) {
  const place = useRef<HTMLDivElement>(null);
  const [isShown, setShown] = useState(false);
  useLayoutEffect(() => {
    const control = new AbortController();
    if (place.current !== null) {
      show(place.current, text, name, control.signal, (headings) => {
        setShown(true);
        onHeadings?.(headings);
      });
    }
    return () => control.abort();
  }, [text, name, onHeadings]);
  return (
    <>
      {!isShown && (
        <p class="loading" role="status">
          {texts.loading}
        </p>
      )}
      <div class="prose" ref={place} />
    </>
  );
}

/** One line of Markdown. */
export function Line({ text }: { text: string }) {
  const place = useRef<HTMLSpanElement>(null);
  useLayoutEffect(() => place.current?.replaceChildren(renderedLine(text)), [text]);
  return <span class="line" ref={place} />;
}

/** Whether the user may write in this project. */
export const MayWrite = createContext(false);

/** Whether the user is known to have no right to write in this project. */
export const MayOnlyRead = createContext(false);

/** Whether the server was started read-only, so that nobody changes anything. */
export const IsServedReadOnly = createContext(false);

/** Whether the user may delete and administer in this session. */
export const MayAdminister = createContext(false);

export type Loaded<T> = { state: "loading"; last: T | undefined } | { state: "failed"; error: ApiError } | { state: "done"; value: T; isGone?: boolean };

/** How a page follows changes of the bank. */
export interface Following<T = unknown> {
  live: boolean;
  /** After how many milliseconds a reply is asked for again, whether the bank changed or not; never without it. */
  again?: (reply: T) => number;
  /** Which changes matter; all without it. */
  only?: Changed;
  /** How long changes are collected at least, in milliseconds. */
  pause?: () => number;
  /** Whether another reply can be shown now; else it waits. */
  isReady?: () => boolean;
}

/** For pages that load again when something in the bank has changed. */
export const LIVE: Following = { live: true };
/** How long a page that is not ready waits, in milliseconds. */
const NOT_READY = 500;

/** The reply to a request, which is made again when one of `of` changes, by `retry`, and after an error that may pass; with `live` after changes
 * of the bank, too, while the former reply stays on the screen. A reply never replaces one that was requested later. */
export function useLoaded<T>(load: (signal: AbortSignal) => Promise<T>, of: unknown[], following: Following<T> = { live: false }): [Loaded<T>, () => void] {
  const [loaded, setLoaded] = useState<Loaded<T>>({ state: "loading", last: undefined });
  const [failure, setFailure] = useState<ApiError>();
  const [attempt, setAttempt] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  const { live } = following;
  const how = useRef(following);
  how.current = following;
  const running = useRef<AbortController | undefined>(undefined);
  const changedMeanwhile = useRef(false);
  const request = useCallback(() => {
    running.current?.abort();
    const control = (running.current = new AbortController());
    changedMeanwhile.current = false;
    const end = (next: (before: Loaded<T>) => Loaded<T>, error?: ApiError) => {
      if (control.signal.aborted) return;
      running.current = undefined;
      setLoaded(next);
      setFailure(error);
      if (changedMeanwhile.current) request();
    };
    latest.current(control.signal).then(
      (value) => end((before) => (before.state === "done" && before.value === value && before.isGone !== true ? before : { state: "done", value })),
      (error: unknown) => {
        const shown = error instanceof ApiError ? error : new ApiError(0, texts.errors.server);
        // A reply that is there stays; the next change, or a page that is opened, shows why. What it shows may be gone.
        end((before) => (before.state !== "done" ? { state: "failed", error: shown } : shown.status === 404 ? { ...before, isGone: true } : before), shown);
      },
    );
  }, []);
  useRetry(failure, request);
  useEffect(() => {
    setLoaded((before) => (before.state === "loading" ? before : { state: "loading", last: before.state === "done" ? before.value : undefined }));
    request();
    return () => running.current?.abort();
    // `load` is made anew by every rendering; `of` has what it depends on.
  }, [...of, attempt]);
  useEffect(() => {
    if (!live) return;
    // Where changes come faster than replies, each reply is shown all the same.
    let timer: ReturnType<typeof setTimeout> | undefined;
    const attempt = () => {
      timer = how.current.isReady?.() === false ? setTimeout(attempt, NOT_READY) : undefined;
      if (timer !== undefined) return;
      if (running.current === undefined) request();
      else changedMeanwhile.current = true;
    };
    const end = onChanges(() => {
      const pause = how.current.pause?.() ?? 0;
      if (pause === 0 && how.current.isReady === undefined) attempt();
      else timer ??= setTimeout(attempt, pause);
    }, following.only);
    return () => {
      end();
      clearTimeout(timer);
    };
  }, [live]);
  useEffect(() => {
    const wait = loaded.state === "done" ? how.current.again?.(loaded.value) : undefined;
    if (wait === undefined) return;
    // The same reply again changes nothing here, so that the next one is asked for as well.
    const timer = setInterval(() => {
      if (running.current === undefined && document.visibilityState === "visible") request();
    }, wait);
    return () => clearInterval(timer);
  }, [loaded, request]);
  return [loaded, useCallback(() => setAttempt((before) => before + 1), [])];
}

/** Shows what was loaded, that it is being loaded, or why it could not be. */
export function Shown<T>({ loaded, retry, children }: { loaded: Loaded<T>; retry: () => void; children: (value: T) => ComponentChildren }) {
  if (loaded.state === "done") return <>{children(loaded.value)}</>;
  if (loaded.state === "failed") return <Trouble error={loaded.error} retry={retry} ofPage />;
  return (
    <p class="loading" role="status">
      {texts.loading}
    </p>
  );
}

interface TroubleProps {
  error: ApiError;
  retry?: (() => void) | undefined;
  /** Whether the page itself has failed, which loads again when it can. Of an action whose reply was lost nobody knows whether it was done. */
  ofPage?: boolean;
}

export function Trouble({ error, retry, ofPage = false }: TroubleProps) {
  const isOver = useIsOver(error);
  if (isOver && !ofPage) {
    return (
      <p class="note" role="status">
        {texts.errors.maybeDone}
      </p>
    );
  }
  return (
    <div class="trouble" role="alert">
      <p>
        <strong>{texts.errors.heading}</strong> {error.message}
        {ofPage && (isPassing(error.status) || error.status === 429) && ` ${texts.errors.comesBack}`}
      </p>
      {retry !== undefined && error.status !== 403 && (
        <button type="button" onClick={retry}>
          {texts.errors.retry}
        </button>
      )}
    </div>
  );
}

/** To how many letters a text, and the name in a heading, is shortened if it is longer by a quarter. */
const [LETTERS, LETTERS_OF_NAME] = [100, 60] as const;
const firstLetters = (text: string, most: number): string | undefined => {
  if (text.length <= 1.25 * most) return undefined;
  return `${Array.from(text.slice(0, 2 * most)).slice(0, most).join("").trimEnd()}…`;
};

/** A text that is shortened if it is long; a button shows all of it. */
export function Long({ text }: { text: string }) {
  const [isWhole, setWhole] = useState(false);
  const short = isWhole ? undefined : firstLetters(text, LETTERS);
  if (short === undefined) return <bdi class="long">{text}</bdi>;
  return (
    <>
      <bdi class="long" title={text}>
        {short}
      </bdi>{" "}
      <button type="button" class="plain" aria-label={texts.whole(short)} onClick={() => setWhole(true)}>
        {texts.more}
      </button>
    </>
  );
}

/** A text within a link, which is shortened if it is long; what the link leads to has all of it. */
export function Short({ text }: { text: string }) {
  const short = firstLetters(text, LETTERS);
  return <bdi {...(short !== undefined && { title: text })}>{short ?? text}</bdi>;
}

interface HeadingProps {
  text: string;
  takesFocus?: boolean;
  /** Whether the text is a name that may be long, and is shortened then. */
  isLong?: boolean;
  children?: ComponentChildren;
}

/** The heading of a page. It takes the focus when the page was opened, unless the page has a field that does. */
export function PageHeading({ text, takesFocus = true, isLong = false, children }: HeadingProps) {
  const [whole, setWhole] = useState<string>();
  const short = isLong && whole !== text ? firstLetters(text, LETTERS_OF_NAME) : undefined;
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (takesFocus && hasMoved() && window.location.hash === "") heading.current?.focus({ preventScroll: true });
  }, [text]);
  return (
    <div class="heading">
      <h1 ref={heading} tabIndex={-1} {...(short !== undefined && { title: text })}>
        {short ?? text}
      </h1>
      {short !== undefined && (
        <button type="button" class="plain" aria-label={texts.whole(short)} onClick={() => setWhole(text)}>
          {texts.more}
        </button>
      )}
      {children}
    </div>
  );
}

const letters = (text: string) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/** The words of a query that are marked in results. */
export function queryWords(query: string): string[] {
  const words = letters(query).match(/[\p{L}\p{N}]+/gu) ?? [];
  return [...new Set(words.filter((word) => word.length > 1))];
}

/** The words of a text, with what is between them; words are at the odd places. */
const piecesOf = (text: string): string[] => text.split(/([\p{L}\p{N}\p{M}]+)/u);

/** Whether a word begins like one of a query. */
function isHit(piece: string, words: string[]): boolean {
  const plain = letters(piece);
  return plain !== "" && words.some((word) => plain.startsWith(word) || (plain.length > 3 && word.startsWith(plain)));
}

/** Whether a text has a word that is marked. */
export const hasHit = (text: string, words: string[]): boolean => piecesOf(text).some((piece, at) => at % 2 === 1 && isHit(piece, words));

/** A text in which words that begin like those of a query are marked. */
export function Marked({ text, words }: { text: string; words: string[] }) {
  if (words.length === 0) return <>{text}</>;
  return <>{piecesOf(text).map((piece, at) => (at % 2 === 1 && isHit(piece, words) ? <mark key={at}>{piece}</mark> : piece))}</>;
}
