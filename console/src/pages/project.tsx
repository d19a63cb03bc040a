// What owners administer, and the working sessions of everybody.

import { useContext } from "preact/hooks";
import * as api from "../api";
import { MayAdminister, MayWrite, PageHeading, Shown, useLoaded } from "../parts";
import { links, PROJECT_PARTS, type ProjectPart } from "../router";
import { texts } from "../texts";
import { Time } from "../time";
import { Audit, Grants } from "./project_access";
import { Keys, Members } from "./project_members";
import { Limits } from "./project_health";
import { Paged } from "./project_parts";

const t = texts.project;

/** The charts, which are loaded when they are opened. */
function CallsLater() {
  const [loaded, retry] = useLoaded(async () => (await import("./project_calls")).default, []);
  return (
    <Shown loaded={loaded} retry={retry}>
      {(Calls) => <Calls />}
    </Shown>
  );
}

/** As many names as the server gives of a session. */
const MOST_NAMES = 10;

const PAGES = { members: Members, keys: Keys, grants: Grants, audit: Audit, calls: CallsLater, health: Limits };

export function Project({ part, hasMembers }: { part: ProjectPart; hasMembers: boolean }) {
  const mayAdminister = useContext(MayAdminister);
  const parts = hasMembers ? PROJECT_PARTS : (["health"] as const);
  const Part = PAGES[part];
  return (
    <>
      <PageHeading text={t.parts[part]} />
      {!mayAdminister ? (
        <p class="note">{t.forbidden}</p>
      ) : (
        <>
          {parts.length > 1 && (
            <nav class="actions" aria-label={t.menu}>
              {parts.map((known) => (
                <a key={known} class="button" href={links.project(known)} {...(known === part ? { "aria-current": "page" as const } : {})}>
                  {t.parts[known]}
                </a>
              ))}
            </nav>
          )}
          <Part />
        </>
      )}
    </>
  );
}

function Names({ heading, names, address }: { heading: string; names: string[]; address: (name: string) => string }) {
  if (names.length === 0) return null;
  return (
    <p class="facts">
      {heading}:{" "}
      {names.map((name, at) => (
        <span key={name}>
          {at > 0 && ", "}
          <a href={address(name)}>{name}</a>
        </span>
      ))}
    </p>
  );
}

/** Sessions of several pages, the latest first: one with changes in more than one of them is one session. */
function joined(sessions: api.WorkingSession[]): api.WorkingSession[] {
  const found = new Map<string, api.WorkingSession>();
  for (const one of sessions) {
    const key = JSON.stringify([one.session, one.by]);
    const known = found.get(key);
    const names = (newer: string[], older: string[]) => [...new Set([...newer, ...older])].slice(0, MOST_NAMES);
    found.set(
      key,
      known === undefined
        ? one
        : { ...known, from: one.from, changes: known.changes + one.changes, documents: names(known.documents, one.documents), entities: names(known.entities, one.entities) },
    );
  }
  return [...found.values()];
}

export function Sessions() {
  const s = texts.sessions;
  const mayWrite = useContext(MayWrite);
  return (
    <>
      <p class="crumbs">
        <a href={links.history()}>{texts.history.heading}</a>
      </p>
      <PageHeading text={s.heading} />
      <p>{s.intro}</p>
      <Paged load={api.sessions} items={(page) => page.sessions} more={s.more} live>
        {(pages) => {
          const sessions = joined(pages);
          return (
            <>
              {sessions.length === 0 && <p class="quiet">{s.none}</p>}
              <ul class="rows">
                {sessions.map((one) => (
                  <li key={`${one.session ?? ""} ${one.by ?? ""}`}>
                    <h2>
                      {one.by ?? s.unknown} {one.session === undefined && <span class="tag">{s.without}</span>}
                    </h2>
                    <p class="facts">
                      {s.changes(one.changes)}, <Time at={one.from} /> – <Time at={one.to} near />
                    </p>
                    <Names heading={s.documents} names={one.documents} address={(name) => links.history(name)} />
                    <Names heading={s.entities} names={one.entities} address={links.entity} />
                    {mayWrite && one.session !== undefined && (
                      <a class="button" href={links.undo({ by: one.session })} aria-label={s.undoOf(one.by ?? s.unknown)}>
                        {s.undo}
                      </a>
                    )}
                  </li>
                ))}
              </ul>
            </>
          );
        }}
      </Paged>
    </>
  );
}
