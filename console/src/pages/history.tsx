// The versions of a document, or of all, and what each of them changed.

import { useContext, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import * as api from "../api";
import { LIVE, MayAdminister, MayWrite, PageHeading, Shown, Trouble, useLoaded } from "../parts";
import { links } from "../router";
import { texts } from "../texts";
import { Time } from "../time";

const t = texts.history;

/** A difference, line by line. Signs and hidden words name what the colours show. */
export function Difference({ diff }: { diff: string }) {
  if (diff === "") return <p class="quiet">{t.same}</p>;
  const lines = diff.split("\n").filter((line, at, all) => at < all.length - 1 || line !== "");
  return (
    <div class="diff" tabIndex={0} role="region" aria-label={t.heading}>
      {lines.map((line, at) => {
        if (line.startsWith("--- ") || line.startsWith("+++ ")) return null;
        const kind = line.startsWith("@@") ? "place" : line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : "same";
        return (
          <div key={at} class={kind}>
            {kind === "added" && <span class="hidden">{t.added}: </span>}
            {kind === "removed" && <span class="hidden">{t.removed}: </span>}
            {line === "" ? " " : line}
          </div>
        );
      })}
    </div>
  );
}

/** The way to take back one change: an own one, or as one who administers. */
function UndoOne({ name, version: { by, at, imported } }: { name: string; version: api.Version }) {
  const mayAdminister = useContext(MayAdminister);
  if (by === undefined || imported === true || !(mayAdminister || by === api.currentSession()?.user)) return null;
  return (
    <a class="button" href={links.undo({ by, since: at, until: at, filename: name })}>
      {texts.undo.one}
    </a>
  );
}

/** Ways to take back more than a change. Each first shows what it would do. */
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

/** The way back for a document that does not exist any more. */
function DeletedNote({ name, versions }: { name: string; versions: api.Version[] }) {
  const mayWrite = useContext(MayWrite);
  const [last, former] = versions;
  if (last?.kind !== "deleted") return null;
  return (
    <p class="note" role="status">
      {t.wasDeleted(last.by)} <Time at={last.at} near />.{" "}
      {mayWrite && former !== undefined && (
        <a class="button" href={links.edit(name, former.version)}>
          {t.bringBack}
        </a>
      )}
    </p>
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
        {version.tool !== undefined && `, ${t.tool(version.tool)}`}
        {version.imported === true && `, ${t.imported}`}
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
        {mayWrite && !isLast && version.kind !== "deleted" && (
          <a class="button" href={links.edit(name, version.version)}>
            {texts.edit.restore}
          </a>
        )}
        {mayWrite && <UndoOne name={name} version={version} />}
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

function Versions({ versions, chosen, name }: { versions: api.Version[]; chosen: api.Version | undefined; name: string | undefined }) {
  return (
    <ol class="versions">
      {versions.map((version) => {
        const isChosen = version.filename === chosen?.filename && version.version === chosen.version;
        return (
          <li key={`${version.filename} ${version.version}`}>
            <a href={links.history(version.filename, version.version)} {...(isChosen ? { "aria-current": "true" as const } : {})}>
              <span class="what">
                {name === undefined ? version.filename : t.version(version.version)} <span class={`tag ${version.kind}`}>{t.kinds[version.kind] ?? version.kind}</span>
              </span>
              <span class="facts">
                {version.by ?? t.unknownAuthor} · <Time at={version.at} near />
                {version.formerName !== undefined && ` · ${t.formerName(version.formerName)}`}
              </span>
            </a>
          </li>
        );
      })}
    </ol>
  );
}

export function History({ name, version }: { name: string | undefined; version: number | undefined }) {
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
        <a href={links.documents}>{texts.documents.heading}</a>
        {name !== undefined && (
          <>
            {" / "}
            <a href={links.document(name)}>{name}</a>
          </>
        )}
      </p>
      <PageHeading text={name === undefined ? t.heading : `${t.of} ${name.split("/").at(-1) ?? name}`} />
      {name === undefined && (
        <p>
          <a href={links.sessions}>{texts.sessions.heading}</a>
        </p>
      )}
      <Shown loaded={loaded} retry={retry}>
        {(page) => {
          const versions = [...page.versions, ...older];
          const at = name === undefined ? -1 : versions.findIndex((known) => known.version === version);
          const chosen = versions[at];
          const former = chosen === undefined || chosen.kind === "created" ? undefined : versions[at + 1]?.version;
          if (versions.length === 0) return <p class="quiet">{t.none}</p>;
          return (
            <>
              {name !== undefined && <DeletedNote name={name} versions={versions} />}
              <div class={name === undefined ? "" : "beside"}>
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
                  <Change key={chosen.version} name={name ?? chosen.filename} version={chosen} former={former} isLast={at === 0} />
                ) : (
                  name !== undefined && <p class="quiet">{t.pick}</p>
                )}
              </div>
            </>
          );
        }}
      </Shown>
    </>
  );
}
