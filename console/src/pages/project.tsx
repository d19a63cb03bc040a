// What owners administer, and the working sessions of everybody.

import { useContext } from "preact/hooks";
import { MayAdminister, MayWrite, PageHeading, Shown, useLoaded } from "../parts";
import { currentSession } from "../requests";
import { loadPart } from "../retry";
import { links, PROJECT_PARTS, type ProjectPart } from "../router";
import { sessions, type WorkingSession } from "../sessions";
import { texts } from "../texts";
import { Time } from "../time";
import { Audit, Grants } from "./project_access";
import { Keys, Members } from "./project_members";
import { Limits } from "./project_health";
import { Paged } from "./project_parts";

const t = texts.project;

/** The charts, which are loaded when they are opened. */
function CallsLater() {
  const [loaded, retry] = useLoaded(async () => (await loadPart(() => import("./project_calls"))).default, []);
  return (
    <Shown loaded={loaded} retry={retry}>
      {(Calls) => <Calls />}
    </Shown>
  );
}

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

function Names({ heading, names, notNamed, address }: { heading: string; names: string[]; notNamed: number | undefined; address: (name: string) => string }) {
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
      {notNamed !== 0 && ` ${texts.sessions.notNamed(notNamed)}`}
    </p>
  );
}

/** A session of one page or of several. Of several nobody knows how many names are not given, unless none is left out. */
type Joined = Omit<WorkingSession, "documentsNotNamed" | "entitiesNotNamed"> & { documentsNotNamed: number | undefined; entitiesNotNamed: number | undefined };

/** What identifies a session; without one, the changes of tools are apart from those that no tool made. */
const keyOf = ({ session, by, tools }: Pick<WorkingSession, "session" | "by" | "tools">) => JSON.stringify([session, by, session === undefined && tools.length > 0]);

/** Sessions of several pages, the latest first: one with changes in more than one of them is one session. */
function joined(all: WorkingSession[]): Joined[] {
  const found = new Map<string, Joined>();
  const names = (newer: string[], older: string[]) => [...new Set([...newer, ...older])];
  const left = (newer: number | undefined, older: number) => (newer === 0 && older === 0 ? 0 : undefined);
  for (const one of all) {
    const key = keyOf(one);
    const known = found.get(key);
    found.set(
      key,
      known === undefined
        ? one
        : {
            ...known,
            from: one.from,
            changes: known.changes + one.changes,
            tools: names(known.tools, one.tools),
            documents: names(known.documents, one.documents),
            documentsNotNamed: left(known.documentsNotNamed, one.documentsNotNamed),
            entities: names(known.entities, one.entities),
            entitiesNotNamed: left(known.entitiesNotNamed, one.entitiesNotNamed),
          },
    );
  }
  return [...found.values()];
}

/** Through what a session worked: its client, no session, or no tool. */
function Means({ session: { session, by, client, tools } }: { session: Joined }) {
  if (client !== undefined) return <span class="tag">{client}</span>;
  if (session !== undefined) return <span class="tag">{texts.sessions.assistant}</span>;
  if (tools.length > 0) return <span class="tag">{texts.sessions.without}</span>;
  return by === undefined ? null : <span class="tag">{texts.history.byHand}</span>;
}

/** Which changes the link to the list shows. */
function listLabel({ session, by, tools }: Joined): string {
  const s = texts.sessions;
  const name = by ?? s.unknown;
  return session !== undefined ? s.listOf(name) : s.listWithout(name, texts.history.means[tools.length > 0 ? "tool" : "hand"]);
}

export function Sessions() {
  const s = texts.sessions;
  const mayWrite = useContext(MayWrite);
  const mayAdminister = useContext(MayAdminister);
  return (
    <>
      <p class="crumbs">
        <a href={links.history()}>{texts.history.heading}</a>
      </p>
      <PageHeading text={s.heading} />
      <p>{s.intro}</p>
      <Paged load={sessions} items={(page) => page.sessions} more={s.more} live>
        {(pages) => {
          const found = joined(pages);
          return (
            <>
              {found.length === 0 && <p class="quiet">{s.none}</p>}
              <ul class="rows">
                {found.map((one) => (
                  <li key={keyOf(one)}>
                    <h2>
                      {one.by ?? s.unknown} <Means session={one} />
                    </h2>
                    <p class="facts">
                      {s.changes(one.changes)}, <Time at={one.from} /> – <Time at={one.to} near />
                    </p>
                    {one.tools.length > 0 && <p class="facts">{texts.history.tool(one.tools.join(", "))}</p>}
                    <Names heading={s.documents} names={one.documents} notNamed={one.documentsNotNamed} address={(name) => links.history(name)} />
                    <Names heading={s.entities} names={one.entities} notNamed={one.entitiesNotNamed} address={links.entity} />
                    <div class="actions">
                      {(one.session ?? one.by) !== undefined && (
                        <a class="button" href={links.changes(one.session === undefined ? { by: one.by, means: one.tools.length > 0 ? "tool" : "hand" } : { by: one.session })} aria-label={listLabel(one)}>
                          {s.list}
                        </a>
                      )}
                      {mayWrite && one.session !== undefined && (mayAdminister || one.by === currentSession()?.user) && (
                        <a class="button" href={links.undo({ by: one.session })} aria-label={s.undoOf(one.by ?? s.unknown)}>
                          {s.undo}
                        </a>
                      )}
                    </div>
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
