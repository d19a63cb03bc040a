// The versions of a document, or of all, and what each of them changed.

import { useContext, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import * as api from "../api";
import { LIVE, MayWrite, PageHeading, Short, Shown, Trouble, useLoaded } from "../parts";
import { type ChangesWanted, go, links, MEANS, type Means } from "../router";
import { DeletedNote } from "./deleted_note";
import { Difference } from "./difference";
import { Paged } from "./project_parts";
import { texts } from "../texts";
import { boundsOf, InUtc, Time } from "../time";
import { graphKind, replacedText, UndoOne } from "./undo_one";
import { isDeletion, kindOf, meansOf, relationText, typeText, Who } from "./words";

const t = texts.history;

/** Ways to undo more than a change. Each first shows what it would do. */
function UndoMore({ name, version }: { name: string; version: api.Version }) {
  const { session, by, at } = version;
  if (session === undefined && by === undefined) return null;
  return (
    <details class="create">
      <summary>{texts.undo.open}</summary>
      <p class="hint">{texts.undo.first}</p>
      <ul>
        {session !== undefined && (
          <>
            <li>
              <a href={links.undo({ by: session, filename: name })}>{texts.undo.sessionHere}</a>
            </li>
            <li>
              <a href={links.undo({ by: session })}>{texts.undo.sessionAll}</a>
            </li>
          </>
        )}
        {by !== undefined && (
          <li>
            <a href={links.undo({ by, since: at, filename: name })}>{texts.undo.userHere(by)}</a>
          </li>
        )}
      </ul>
    </details>
  );
}

function Change({ name, version, former, isLast }: { name: string; version: api.Version; former: number | undefined; isLast: boolean }) {
  const [withPresent, setWithPresent] = useState(false);
  const mayWrite = useContext(MayWrite);
  const load = async (signal: AbortSignal) => {
    const number = version.version;
    if (withPresent) return { diff: (await api.difference(name, number, undefined, signal)).diff };
    if (former !== undefined) return { diff: (await api.difference(name, former, number, signal)).diff };
    return { text: (await api.versionText(name, number, signal)).text };
  };
  const [loaded, retry] = useLoaded(load, [name, version.version, former, withPresent]);
  const heading = useRef<HTMLHeadingElement>(null);
  // On a narrow screen it is below the list: what was chosen is what is shown.
  useLayoutEffect(() => {
    const place = heading.current?.getBoundingClientRect();
    if (place === undefined || (place.top >= 0 && place.bottom < window.innerHeight)) return;
    heading.current?.focus({ preventScroll: true });
    heading.current?.scrollIntoView({ behavior: "instant" });
  }, []);
  return (
    <section class="change" aria-labelledby="change">
      <h2 id="change" ref={heading} tabIndex={-1}>
        {t.diffHeading(version.version)}
      </h2>
      <p class="facts">
        <strong>{version.by ?? t.unknownAuthor}</strong>, <Time at={version.at} />
        {meansOf(version) !== undefined && `, ${meansOf(version) ?? ""}`}
      </p>
      <div class="actions">
        <a class="button" href={links.document(name)}>
          {t.open}
        </a>
        {!isLast && (
          <button type="button" onClick={() => setWithPresent(!withPresent)}>
            {withPresent ? t.withFormer : t.withPresent}
          </button>
        )}
        {mayWrite && !isLast && !isDeletion(version) && (
          <a class="button" href={links.edit(name, version.version)}>
            {texts.edit.restore}
          </a>
        )}
        {mayWrite && <UndoOne change={version} of={{ filename: name }} />}
      </div>
      {mayWrite && <UndoMore name={name} version={version} />}
      <Shown loaded={loaded} retry={retry}>
        {(found) =>
          "diff" in found ? (
            <Difference diff={found.diff ?? ""} />
          ) : (
            <>
              <p class="quiet">{found.text === null ? t.gone : t.first}</p>
              {found.text !== null && (
                <pre class="source" tabIndex={0}>
                  {found.text}
                </pre>
              )}
            </>
          )
        }
      </Shown>
    </section>
  );
}

/** What a change of the graph was about: what is shown before its kind, and after it. */
function aboutOf(change: api.GraphVersion): [string, string] {
  const { entity, observation, relation, type } = change;
  if (relation !== undefined) return [t.relation(entity, relationText(relation)), ""];
  if (observation === undefined) return [t.entity(entity), type === undefined ? "" : typeText(type)];
  const former = replacedText(change);
  return [observation, former === undefined ? t.ofEntity(entity) : `${t.ofEntity(entity)}, ${t.inPlaceOf(former)}`];
}

/** A change of a document or of the graph, in the history of the project. */
function ProjectRow({ change }: { change: api.ProjectChange }) {
  const mayWrite = useContext(MayWrite);
  const isDocument = "filename" in change;
  const kind = isDocument ? (change.undo === true ? "undone" : kindOf(change)) : graphKind(change);
  const [what, more] = isDocument ? [change.filename, change.formerName === undefined ? "" : t.formerName(change.formerName)] : aboutOf(change);
  return (
    <li class="row">
      <a href={isDocument ? links.history(change.filename, change.version) : links.entity(change.entityId)}>
        <span class="what">
          <Short text={what} /> <span class={`tag ${kind}`}>{t.kinds[kind] ?? change.kind}</span>
        </span>
        <span class="facts">
          {more !== "" && (
            <>
              <Short text={more} /> ·{" "}
            </>
          )}
          <Who change={change} /> · <Time at={change.at} near />
        </span>
      </a>
      {mayWrite && <UndoOne change={change} of={isDocument ? { filename: change.filename } : { entity: change.entityId }} about={what} isInUse={!isDocument && change.inUse === true} />}
    </li>
  );
}

/** The form of the id of a session. */
const SESSION = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

/** The users that the histories of this tab have named, of the session that it shows. */
let known: { of: string | undefined; names: string[] } = { of: undefined, names: [] };

/** All of these names, and those of before. */
function withKnown(found: string[]): string[] {
  const of = api.currentSession()?.token;
  const before = known.of === of ? known.names : [];
  if (known.of !== of || !found.every((name) => before.includes(name))) known = { of, names: [...new Set([...before, ...found])].sort() };
  return known.names;
}

/** The changes that are looked through for those of a kind that the server does not select: pages of the history, and changes of each. */
const [PAGES, CHANGES] = [5, 200] as const;

/** Whether a change has no session, and was made so. The working sessions are told apart by the same rule. */
const isMadeBy = (means: Means) => (change: api.ProjectChange) => change.session === undefined && (change.tool === undefined) === (means === "hand");

/** A page of the changes that were made so. It has none only if none of those that were looked through is. */
async function madeBy(means: Means, wanted: api.Wanted, cursor: string | undefined, signal?: AbortSignal): ReturnType<typeof api.projectHistory> {
  let next = cursor;
  for (let page = 1; ; page += 1) {
    const found = await api.projectHistory(next, signal, wanted, CHANGES);
    const versions = found.versions.filter(isMadeBy(means));
    next = found.nextCursor;
    if (versions.length > 0 || next === undefined || page === PAGES) return { ...found, versions };
  }
}

/** Chooses whose changes are shown, how they were made, and of which day. */
function Filter({ by, day, means, names }: ChangesWanted & { names: string[] }) {
  const choose = (next: ChangesWanted) => go(links.changes({ by, day, means, ...next }), { replace: true });
  const all = by === undefined || names.includes(by) ? names : [by, ...names];
  const isSession = by !== undefined && SESSION.test(by);
  return (
    <search class="filters" aria-label={t.filter}>
      <label for="filter-by">{t.filterBy}</label>
      <select id="filter-by" value={by ?? ""} onChange={({ currentTarget: { value } }) => choose({ by: value === "" ? undefined : value, ...(SESSION.test(value) && { means: undefined }) })}>
        <option value="">{t.everybody}</option>
        {all.map((name) => (
          <option key={name} value={name}>
            {SESSION.test(name) ? t.session(undefined) : name}
          </option>
        ))}
      </select>
      {!isSession && (
        <>
          <label for="filter-means">{t.filterMeans}</label>
          <select id="filter-means" value={means ?? ""} onChange={({ currentTarget: { value } }) => choose({ means: MEANS.find((one) => one === value) })}>
            <option value="">{t.anyMeans}</option>
            {MEANS.map((one) => (
              <option key={one} value={one}>
                {t.means[one]}
              </option>
            ))}
          </select>
        </>
      )}
      <label for="filter-day">{t.filterDay}</label>
      <input id="filter-day" type="date" value={day ?? ""} onChange={({ currentTarget: { value } }) => choose({ day: value === "" ? undefined : value })} />
      {(by !== undefined || day !== undefined || means !== undefined) && (
        <a class="button" href={links.history()}>
          {t.filterAll}
        </a>
      )}
    </search>
  );
}

/** The changes of all documents and of the graph, or of a user, a session, a way of working or a day. */
export function ProjectHistory({ by, day, means }: ChangesWanted) {
  const inUtc = useContext(InUtc);
  const [names, setNames] = useState(() => withKnown([]));
  const load = async (cursor: string | undefined, signal?: AbortSignal) => {
    const wanted = { by, ...boundsOf(day, inUtc) };
    const page = await (means === undefined ? api.projectHistory(cursor, signal, wanted) : madeBy(means, wanted, cursor, signal));
    setNames(withKnown(page.versions.flatMap((change) => change.by ?? [])));
    return page;
  };
  return (
    <>
      <PageHeading text={t.heading} />
      <p>
        <a href={links.sessions}>{texts.sessions.heading}</a>
      </p>
      <Filter by={by} day={day} means={means} names={names} />
      <Paged key={`${by ?? ""} ${day ?? ""} ${means ?? ""} ${String(inUtc)}`} load={load} items={(page) => page.versions} more={t.more} live>
        {(changes) =>
          changes.length === 0 ? (
            <p class="quiet">{by === undefined && day === undefined && means === undefined ? t.none : t.noneOfThese}</p>
          ) : (
            <ol class="versions">
              {changes.map((change) => (
                <ProjectRow key={"filename" in change ? `${change.filename} ${change.version}` : change.version} change={change} />
              ))}
            </ol>
          )
        }
      </Paged>
    </>
  );
}

function Versions({ versions, chosen, name }: { versions: api.Version[]; chosen: api.Version | undefined; name: string }) {
  return (
    <ol class="versions">
      {versions.map((version) => {
        const isChosen = version.version === chosen?.version;
        return (
          <li key={version.version}>
            <a href={links.history(name, version.version)} {...(isChosen ? { "aria-current": "true" as const } : {})}>
              <span class="what">
                {t.version(version.version)} <span class={`tag ${kindOf(version)}`}>{t.kinds[kindOf(version)] ?? version.kind}</span>
                {version.undo === true && version.kind !== "restored" && <span class="tag undone">{t.kinds["undone"]}</span>}
              </span>
              <span class="facts">
                <Who change={version} /> · <Time at={version.at} near />
                {version.formerName !== undefined && ` · ${t.formerName(version.formerName)}`}
              </span>
            </a>
          </li>
        );
      })}
    </ol>
  );
}

export function History({ name, version }: { name: string; version: number | undefined }) {
  const [loaded, retry] = useLoaded((signal) => api.history(name, undefined, signal), [name], LIVE);
  const [older, setOlder] = useState<api.Version[]>([]);
  const [cursor, setCursor] = useState<string>();
  const [error, setError] = useState<api.ApiError>();
  useEffect(() => {
    setOlder([]);
    setError(undefined);
    setCursor(loaded.state === "done" ? loaded.value.nextCursor : undefined);
  }, [loaded]);

  async function more() {
    try {
      const page = await api.history(name, cursor);
      setOlder([...older, ...page.versions]);
      setCursor(page.nextCursor);
      setError(undefined);
    } catch (failure) {
      setError(failure instanceof api.ApiError ? failure : new api.ApiError(0, texts.errors.server));
    }
  }

  return (
    <>
      <p class="crumbs">
        <a href={links.documents}>{texts.documents.heading}</a> / <a href={links.document(name)}>{name}</a>
      </p>
      <PageHeading text={`${t.of} ${name.split("/").at(-1) ?? name}`} />
      <Shown loaded={loaded} retry={retry}>
        {(page) => {
          const versions = [...page.versions, ...older];
          const at = versions.findIndex((known) => known.version === version);
          const chosen = versions[at];
          const former = chosen === undefined || chosen.kind === "created" ? undefined : versions[at + 1]?.version;
          if (versions.length === 0) return <p class="quiet">{t.none}</p>;
          return (
            <>
              <DeletedNote name={name} versions={versions} />
              <div class="beside">
                <div>
                  <Versions versions={versions} chosen={chosen} name={name} />
                  {error !== undefined && <Trouble error={error} retry={() => void more()} />}
                  {cursor !== undefined && (
                    <button type="button" onClick={() => void more()}>
                      {t.more}
                    </button>
                  )}
                </div>
                {chosen !== undefined ? (
                  <Change key={chosen.version} name={name} version={chosen} former={former} isLast={at === 0} />
                ) : (
                  <p class="quiet">{t.pick}</p>
                )}
              </div>
            </>
          );
        }}
      </Shown>
    </>
  );
}
