// What the apps have in common: the connection with the host, what they say while there is nothing to show, and times.

import { type ComponentChildren, createContext, render } from "preact";
import { useCallback, useContext, useEffect, useRef, useState } from "preact/hooks";
import { type Context, dataOf, Host, HostError } from "./host";
import { apply, reportSize } from "./look";
import { texts } from "./texts";
import type { Values } from "./values";
import "./apps.css";
import { showUnseen } from "../unseen";

export interface Connection {
  host: Host;
  context: Context;
  /** The arguments of the call that the app was opened for. */
  input: Values;
}

const Connected = createContext<Connection | undefined>(undefined);

/** The connection; only views within an app use it. */
export function useConnection(): Connection {
  const connection = useContext(Connected);
  if (connection === undefined) throw new Error("there is no host");
  return connection;
}

/** Why something did not work, for a person. */
export const reason = (error: unknown): string => (error instanceof HostError && error.message !== "" ? error.message : texts.silent);

export function Trouble({ message }: { message: string }) {
  return (
    <p class="trouble" role="alert">
      <strong>{texts.failed}</strong> {message}
    </p>
  );
}

export function Busy({ text }: { text: string }) {
  return (
    <p class="quiet" role="status">
      {text}
    </p>
  );
}

export type Work = { state: "idle" } | { state: "busy" } | { state: "failed"; message: string };

/** Runs one request at a time; a later one takes the place of an earlier one. */
export function useWork(): [Work, <T>(request: () => Promise<T>, done: (value: T) => void) => void] {
  const [work, setWork] = useState<Work>({ state: "idle" });
  const latest = useRef(0);
  const run = useCallback(<T,>(request: () => Promise<T>, done: (value: T) => void) => {
    const mine = (latest.current += 1);
    setWork({ state: "busy" });
    request().then(
      (value) => {
        if (mine !== latest.current) return;
        setWork({ state: "idle" });
        done(value);
      },
      (error: unknown) => {
        if (mine === latest.current) setWork({ state: "failed", message: reason(error) });
      },
    );
  }, []);
  return [work, run];
}

/** What the last request does: nothing while it is done. */
export function Progress({ work }: { work: Work }) {
  if (work.state === "busy") return <Busy text={texts.loading} />;
  return work.state === "failed" ? <Trouble message={work.message} /> : null;
}

/** A time as the host's user reads it; any other text as it is. */
export function Time({ at }: { at: string }) {
  const { context } = useConnection();
  const written = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d(?::\d\d)?) UTC$/.exec(at.trim());
  const date = new Date(written === null ? at : `${written[1] ?? ""}T${written[2] ?? ""}Z`);
  if (Number.isNaN(date.getTime())) return <span>{at}</span>;
  return (
    <time dateTime={date.toISOString()} title={texts.utc(date.toISOString().slice(0, 16).replace("T", " "))}>
      {formatted(date, context)}
    </time>
  );
}

function formatted(date: Date, { locale, timeZone }: Context): string {
  const style = { dateStyle: "medium", timeStyle: "short" } as const;
  try {
    return new Intl.DateTimeFormat(locale, timeZone === undefined ? style : { ...style, timeZone }).format(date);
  } catch {
    // A host may name a language or a time zone that the browser does not know.
    return new Intl.DateTimeFormat(undefined, style).format(date);
  }
}

/** The head of an app, with the button that a host offers room for. */
export function Head({ heading, facts, children }: { heading: string; facts?: ComponentChildren; children?: ComponentChildren }) {
  const { host, context } = useConnection();
  const isWide = context.displayMode === "fullscreen";
  const other = isWide ? "inline" : "fullscreen";
  const [work, run] = useWork();
  return (
    <>
      <div class="head">
        <div>
          <h1>{heading}</h1>
          {facts !== undefined && <p class="quiet">{facts}</p>}
        </div>
        <div class="tools">
          {children}
          {context.displayModes.includes(other) && (
            <button type="button" onClick={() => run(() => host.display(other), () => undefined)}>
              {isWide ? texts.inline : texts.fullscreen}
            </button>
          )}
        </div>
      </div>
      <Progress work={work} />
    </>
  );
}

type Stage = { state: "waiting" } | { state: "alone" } | { state: "cancelled" } | { state: "failed"; message: string } | { state: "done"; data: Values; number: number };

const NO_CONTEXT: Context = { theme: undefined, variables: {}, insets: {}, displayMode: "inline", displayModes: [], locale: undefined, timeZone: undefined };

interface AppProps {
  name: string;
  heading: string;
  view: (props: { data: Values }) => ComponentChildren;
}

function App({ name, heading, view: View }: AppProps) {
  const [connection, setConnection] = useState<Connection>();
  const results = useRef(0);
  const [stage, setStage] = useState<Stage>(() => ({ state: window.parent === window ? "alone" : "waiting" }));
  useEffect(() => {
    if (window.parent === window) return;
    const update = (part: Partial<Connection>) => setConnection((before) => ({ host, context: NO_CONTEXT, input: {}, ...before, ...part }));
    const host: Host = new Host({
      context: (context) => {
        apply(context);
        update({ context });
      },
      input: (input) => update({ input }),
      result: (result) => {
        try {
          setStage({ state: "done", data: dataOf(result), number: (results.current += 1) });
        } catch (error) {
          setStage({ state: "failed", message: reason(error) });
        }
      },
      cancelled: () => setStage({ state: "cancelled" }),
    });
    host.connect(name).then(
      () => reportSize(host),
      (error: unknown) => setStage({ state: "failed", message: reason(error) }),
    );
  }, [name]);
  if (stage.state === "done" && connection !== undefined) {
    return (
      <Connected.Provider value={connection}>
        <View key={stage.number} data={stage.data} />
      </Connected.Provider>
    );
  }
  return (
    <>
      <h1>{heading}</h1>
      {stage.state === "failed" ? <Trouble message={stage.message} /> : <Busy text={stage.state === "done" ? texts.waiting : texts[stage.state]} />}
    </>
  );
}

/** Shows an app whose view gets the data of the result that it was opened for. */
export function start(app: AppProps): void {
  const place = document.getElementById("app");
  showUnseen();
  if (place !== null) render(<App {...app} />, place);
}
