// Who wrote each line of a document, and undoing changes. Loaded when it is opened.

import { useContext, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import * as api from "../api";
import { MayWrite, PageHeading, Shown, Trouble, useLoaded } from "../parts";
import { links, type UndoWanted } from "../router";
import { texts } from "../texts";
import { Time, WrittenTime } from "../time";
import { Difference } from "./difference";
import { meansOf, relationText, typeText } from "./words";

const b = texts.blame;
const u = texts.undo;

function Crumbs({ name, entity, isSession = false }: { name: string | undefined; entity?: string | undefined; isSession?: boolean }) {
  if (isSession && name === undefined) {
    return (
      <p class="crumbs">
        <a href={links.history()}>{texts.history.heading}</a> / <a href={links.sessions}>{texts.sessions.heading}</a>
      </p>
    );
  }
  return (
    <p class="crumbs">
      {entity === undefined ? <a href={links.documents}>{texts.documents.heading}</a> : <a href={links.entity(entity)}>{texts.undo.theEntity}</a>}
      {name !== undefined && (
        <>
          {" / "}
          <a href={links.document(name)}>{name}</a>
        </>
      )}
    </p>
  );
}

/** Who wrote lines, when, and in which version. */
function Writer({ origin, name }: { origin: api.OriginVersion; name: string }) {
  return (
    <>
      <strong>{origin.by ?? texts.history.unknownAuthor}</strong>, {origin.at !== undefined && <Time at={origin.at} near />}{" "}
      {origin.version !== undefined && <a href={links.history(name, origin.version)}>{texts.history.version(origin.version)}</a>}
      {meansOf(origin) !== undefined && ` · ${meansOf(origin) ?? ""}`}
    </>
  );
}

function Origin({ range, name }: { range: api.OriginRange; name: string }) {
  const lines = range.text.replace(/\n$/, "").split("\n");
  return (
    <li class="origin">
      <div>
        <p class="facts">{range.version === undefined ? b.older : <Writer origin={range.first ?? range} name={name} />}</p>
        {range.first !== undefined && (
          <p class="facts">
            {b.broughtBack} <Writer origin={range} name={name} />
          </p>
        )}
      </div>
      <pre tabIndex={0} aria-label={b.lines(range.fromLine, range.fromLine + lines.length - 1)}>
        {lines.map((line, at) => (
          <span key={at} class="numbered" data-number={range.fromLine + at}>
            {line}
            {"\n"}
          </span>
        ))}
      </pre>
    </li>
  );
}

export { Deleted } from "./deleted";

/** A document without lines to explain: it has no history yet, or is not there any more. */
function WithoutText({ name }: { name: string }) {
  const [loaded, retry] = useLoaded((signal) => api.history(name, undefined, signal), [name]);
  return (
    <Shown loaded={loaded} retry={retry}>
      {({ versions }) =>
        versions.length === 0 ? (
          <p class="note">{b.none}</p>
        ) : (
          <p class="note">
            {b.notHere} <a href={links.document(name)}>{texts.history.open}</a>
          </p>
        )
      }
    </Shown>
  );
}

export function Blame({ name }: { name: string }) {
  const [loaded, retry] = useLoaded((signal) => api.blame(name, undefined, signal), [name]);
  const [more, setMore] = useState<api.OriginRange[]>([]);
  const [cursor, setCursor] = useState<string>();
  const [error, setError] = useState<api.ApiError>();
  useEffect(() => {
    setMore([]);
    setCursor(loaded.state === "done" ? loaded.value.nextCursor : undefined);
  }, [loaded]);

  async function next() {
    try {
      const page = await api.blame(name, cursor);
      setMore([...more, ...page.ranges]);
      setCursor(page.nextCursor);
      setError(undefined);
    } catch (failure) {
      setError(failure instanceof api.ApiError ? failure : new api.ApiError(0, texts.errors.server));
    }
  }

  return (
    <>
      <Crumbs name={name} />
      <PageHeading text={b.heading(name.split("/").at(-1) ?? name)} />
      <p class="hint">{b.hint}</p>
      {loaded.state === "failed" && loaded.error.status === 404 ? (
        <WithoutText name={name} />
      ) : (
      <Shown loaded={loaded} retry={retry}>
        {(page) => (
          <>
            {page.note !== undefined && <p class="note">{page.note}</p>}
            <ol class="origins">
              {[...page.ranges, ...more].map((range) => (
                <Origin key={range.fromLine} range={range} name={name} />
              ))}
            </ol>
            {error !== undefined && <Trouble error={error} retry={() => void next()} />}
            {cursor !== undefined && (
              <button type="button" onClick={() => void next()}>
                {b.more}
              </button>
            )}
          </>
        )}
      </Shown>
      )}
    </>
  );
}

/** What a change was about, in words. */
function subject(change: api.Undoable): string {
  if (change.filename !== undefined) return change.filename;
  const { entity, observation, relation, type } = change;
  if (observation !== undefined) return u.observation(entity ?? "", observation);
  if (relation !== undefined) return u.relation(entity ?? "", relationText(relation));
  return u.entity(entity ?? "", type === undefined ? undefined : typeText(type));
}

function Changes({ heading, children, isEmpty }: { heading: string; children: preact.ComponentChildren; isEmpty: boolean }) {
  if (isEmpty) return null;
  return (
    <section class="card">
      <h2>{heading}</h2>
      <ul>{children}</ul>
    </section>
  );
}

/** A text of the server, with its times in the form that the page has. */
function WithTimes({ text }: { text: string }) {
  return <>{text.split(/(\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)? UTC)/).map((part, at) => (at % 2 === 1 ? <WrittenTime key={at} text={part} /> : part))}</>;
}

/** Whose session it is, from when to when, and how many changes it has; the newest 200 are looked at. */
function SessionFacts({ session }: { session: string }) {
  const [loaded] = useLoaded((signal) => api.projectHistory(undefined, signal, { by: session }, 200), [session]);
  if (loaded.state !== "done") return null;
  const { versions, nextCursor } = loaded.value;
  const [last, first] = [versions[0], versions.at(-1)];
  if (last === undefined || first === undefined) return null;
  return (
    <p class="facts">
      <strong>{last.by ?? texts.history.unknownAuthor}</strong> · <Time at={first.at} /> – <Time at={last.at} /> ·{" "}
      <a href={links.changes({ by: session })}>{nextCursor === undefined ? texts.sessions.changes(versions.length) : u.moreThan(versions.length)}</a>
    </p>
  );
}

function Outcome({ found }: { found: api.Undone }) {
  const changes = found.undone.reduce((sum, { versions }) => sum + versions, 0);
  return (
    <>
      {found.notShown === 0 && found.undone.length > 1 && <p class="facts">{u.sum(changes, found.undone.length)}</p>}
      <Changes heading={found.dryRun ? u.would : u.done} isEmpty={found.undone.length === 0}>
        {found.undone.map((change, at) => (
          <li key={at}>
            <span class="tag">{(found.dryRun ? u.willChange : u.changes)[change.change] ?? change.change}</span>{" "}
            {change.filename === undefined || change.change === "deleted" ? subject(change) : <a href={links.document(change.filename)}>{change.filename}</a>}{" "}
            <span class="facts">
              {u.versions(change.versions)}
              {change.laterChangesStay && ` · ${u.laterStay}`}
              {change.ended && ` · ${u.hasEnded}`}
            </span>
            {change.diff !== undefined && change.diff !== "" && change.filename !== undefined && (
              <details open={found.undone.length === 1}>
                <summary>{u.differenceOf(change.filename)}</summary>
                <Difference diff={change.diff} />
              </details>
            )}
          </li>
        ))}
      </Changes>
      <Changes heading={u.left} isEmpty={found.left.length === 0}>
        {found.left.map((change, at) => (
          <li key={at}>
            {subject(change)}{" "}
            <span class="facts">
              <WithTimes text={change.reason} />
            </span>
            {change.changedBy.length > 0 && (
              <span class="facts">
                {" · "}
                <WithTimes text={change.changedBy.join(", ")} />
              </span>
            )}
          </li>
        ))}
      </Changes>
      {found.unchanged > 0 && <p class="note">{u.unchanged(found.unchanged)}</p>}
      {found.versionsOfOthers > 0 && <p class="note">{u.ofOthers(found.versionsOfOthers)}</p>}
      {found.notShown > 0 && <p class="note">{u.notShown(found.notShown)}</p>}
    </>
  );
}

/** Shows what would be undone, and undoes it after that. */
export function Undo({ wanted }: { wanted: UndoWanted }) {
  const mayWrite = useContext(MayWrite);
  const [loaded, retry] = useLoaded((signal) => api.undo({ ...wanted, dryRun: true, withDiff: true }, signal), [wanted.by, wanted.since, wanted.until, wanted.filename, wanted.entity]);
  const [done, setDone] = useState<api.Undone>();
  const [error, setError] = useState<api.ApiError>();
  const [isBusy, setBusy] = useState(false);
  const result = useRef<HTMLParagraphElement>(null);
  const back = wanted.entity === undefined ? links.history(wanted.filename) : links.entity(wanted.entity);
  useLayoutEffect(() => result.current?.focus(), [done]);

  async function carryOut() {
    setBusy(true);
    setError(undefined);
    try {
      setDone(await api.undo({ ...wanted, dryRun: false }));
    } catch (failure) {
      setError(failure instanceof api.ApiError ? failure : new api.ApiError(0, texts.errors.server));
      // It may have been done, and the reply lost: what is shown is asked again.
      retry();
    } finally {
      setBusy(false);
    }
  }

  return (
    <>
      <Crumbs name={wanted.filename} entity={wanted.entity} isSession={wanted.since === undefined} />
      <PageHeading text={u.heading} />
      <p>
        {wanted.since === undefined ? u.ofSession : wanted.since === wanted.until ? u.ofOne(wanted.by) : u.ofUser(wanted.by)} {wanted.since !== undefined && <Time at={wanted.since} />}
        {wanted.filename !== undefined && ` ${u.onlyOf(wanted.filename)}`}
      </p>
      {wanted.since === undefined && <SessionFacts session={wanted.by} />}
      {done !== undefined ? (
        <>
          <p class="note" role="status" tabIndex={-1} ref={result}>
            {u.isDone} <a href={back}>{wanted.entity === undefined ? texts.history.heading : u.theEntity}</a>
          </p>
          <Outcome found={done} />
        </>
      ) : (
        <Shown loaded={loaded} retry={retry}>
          {(found) => (
            <>
              {found.undone.length > 0 ? <p class="hint">{u.hint}</p> : found.left.length > 0 && <p class="note">{u.cannot}</p>}
              <Outcome found={found} />
              {found.undone.length === 0 && found.left.length === 0 && <p class="quiet">{u.nothing}</p>}
              {error !== undefined && <Trouble error={error} />}
              <div class="actions">
                {mayWrite && found.undone.length > 0 && (
                  <button type="button" class="main" disabled={isBusy} onClick={() => void carryOut()}>
                    {u.carryOut}
                  </button>
                )}
                <a class="button" href={back}>
                  {u.cancel}
                </a>
              </div>
            </>
          )}
        </Shown>
      )}
    </>
  );
}
