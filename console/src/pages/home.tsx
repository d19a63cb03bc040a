// The overview: what is being worked on, blockers, latest decisions, who was active.

import * as api from "../api";
import { plainLine } from "../markdown";
import { Line, LIVE, Markdown, PageHeading, Shown, useLoaded } from "../parts";
import { links } from "../router";
import { texts } from "../texts";
import { Time, WrittenTime } from "../time";

const t = texts.home;

interface ListProps {
  heading: string;
  items: string[];
  /** In which order they are. */
  order?: string;
  empty?: string;
  className?: string;
}

function List({ heading, items, order, empty, className }: ListProps) {
  if (items.length === 0 && empty === undefined) return null;
  return (
    <section class={`card ${className ?? ""}`}>
      <h2>{heading}</h2>
      {order !== undefined && items.length > 1 && <p class="hint">{order}</p>}
      {items.length === 0 ? (
        <p class="quiet">{empty}</p>
      ) : (
        <ul>
          {items.map((item, at) => (
            <li key={at}>
              <Line text={item} />
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** An entry of progress begins with its time and its author. */
const ENTRY = /^\s*(?:[-*+]\s+)?\[(\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)? UTC)\]\s*(?:\[([^\]]{1,100})\])?\s*(?:-\s+)?/;

function Progress({ items }: { items: string[] }) {
  if (items.length === 0) return null;
  return (
    <section class="card">
      <h2>{t.progress}</h2>
      <ul>
        {items.map((item, at) => {
          const [head, time, author] = ENTRY.exec(item) ?? [""];
          return (
            <li key={at}>
              <Line text={item.slice(head.length)} />
              {time !== undefined && (
                <span class="facts">
                  {" "}
                  <WrittenTime text={time} />
                  {author !== undefined && ` ${texts.documents.by(author)}`}
                </span>
              )}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** An entity as the digest shows it: name, type and number of observations. A long name or type is cut. */
const ENTITY = /^- (.+) \[([^\]]*)\] \((\d+) obs\)$/;
const CUT = "…";

function EntityLine({ line }: { line: string }) {
  const [, name, type, count] = ENTITY.exec(line) ?? [];
  if (name === undefined || type === undefined) return <li>{line.slice(2)}</li>;
  const isCut = name.endsWith(CUT) || type.endsWith(CUT);
  return (
    <li>
      <a href={isCut ? links.graph(name.replace(CUT, "")) : links.entity(`${name} [${type}]`)}>{name}</a> <span class="tag">{type}</span>{" "}
      <span class="facts">{t.observations(Number(count))}</span>
    </li>
  );
}

/** The lines on the graph: a heading, counts, and entities. */
function Graph({ summary }: { summary: string }) {
  const lines = summary.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const entities = lines.filter((line) => line.startsWith("- "));
  return (
    <section class="card">
      <h2>{t.graph}</h2>
      {lines
        .filter((line) => !line.startsWith("- "))
        .map((line) => (
          <p key={line}>{line}</p>
        ))}
      {entities.length > 0 && (
        <ul>
          {entities.map((line) => (
            <EntityLine key={line} line={line} />
          ))}
        </ul>
      )}
    </section>
  );
}

interface Activity {
  by: string;
  changes: number;
  last: api.ProjectChange;
}

/** Who made the latest changes, the latest first. */
function activities(versions: api.ProjectChange[]): Activity[] {
  const found = new Map<string, Activity>();
  for (const version of versions) {
    const by = version.by ?? texts.history.unknownAuthor;
    const known = found.get(by);
    if (known === undefined) found.set(by, { by, changes: 1, last: version });
    else known.changes += 1;
  }
  return [...found.values()];
}

function Active({ versions }: { versions: api.ProjectChange[] }) {
  return (
    <section class="card">
      <h2>{t.active}</h2>
      {versions.length === 0 ? (
        <p class="quiet">{t.noActivity}</p>
      ) : (
        <>
        <p class="hint">{t.activeOf(versions.length)}</p>
        <ul class="people">
          {activities(versions).map(({ by, changes, last }) => (
            <li key={by}>
              <strong>{by}</strong> <span class="quiet">{t.changes(changes)}</span>
              <br />
              <span class="quiet">
                {t.lastIn} {"filename" in last ? <a href={links.history(last.filename, last.version)}>{last.filename}</a> : <a href={links.entity(last.entityId)}>{last.entity}</a>}, <Time at={last.at} near />
              </span>
            </li>
          ))}
        </ul>
        </>
      )}
    </section>
  );
}

function Overview({ digest: { digest, metadata }, versions }: { digest: api.Digest; versions: api.ProjectChange[] }) {
  const { currentContext: open } = digest;
  const isEmpty =
    digest.focus === undefined &&
    digest.projectState === undefined &&
    digest.excerpt === undefined &&
    [open.tasks, open.issues, open.nextSteps, open.questions, digest.recentProgress, digest.recentDecisions, versions].every(
      (list) => list.length === 0,
    );
  if (isEmpty) return <p class="quiet">{t.empty}</p>;
  return (
    <>
      {digest.focus !== undefined && (
        <section class="card">
          <h2>{t.focus}</h2>
          <Markdown text={digest.focus} />
        </section>
      )}
      {digest.projectState !== undefined && (
        <section class="card">
          <h2>{t.state}</h2>
          <Markdown text={digest.projectState} />
        </section>
      )}
      <div class="cards">
      <List heading={t.issues} items={open.issues} empty={t.noIssues} className={open.issues.length === 0 ? "" : "alarming"} />
      <List heading={t.tasks} items={open.tasks} order={t.tasksOrder} />
      <List heading={t.nextSteps} items={open.nextSteps} />
      <List heading={t.questions} items={open.questions} />
      {digest.recentDecisions.length > 0 && (
        <section class="card">
          <h2>{t.decisions}</h2>
          <ul>
            {digest.recentDecisions.map((decision, at) => (
              <li key={at}>
                <a href={links.search(`"${plainLine(decision.title).replaceAll('"', " ")}"`)}>{plainLine(decision.title)}</a>{" "}
                <span class="facts">
                  <WrittenTime text={decision.date} />
                </span>
                <br />
                <Line text={decision.summary} />
              </li>
            ))}
          </ul>
        </section>
      )}
      <Progress items={digest.recentProgress} />
      <Active versions={versions} />
      {digest.sinceLastSession !== undefined && (
        <section class="card">
          <h2>{t.since}</h2>
          <p>{digest.sinceLastSession.replace(/^since /, "")}</p>
        </section>
      )}
      {digest.graphSummary !== undefined && <Graph summary={digest.graphSummary} />}
      {digest.excerpt !== undefined && (
        <section class="card">
          <h2>{t.excerpt}</h2>
          <p>
            <a href={links.document(digest.excerpt.document)}>{digest.excerpt.document}</a>
          </p>
          <Markdown text={digest.excerpt.beginning} name={digest.excerpt.document} />
        </section>
      )}
      <List heading={t.warnings} items={metadata.warnings} />
      </div>
    </>
  );
}

export function Home() {
  const load = async (signal: AbortSignal) => {
    const [digest, changes] = await Promise.all([api.digest(signal), api.projectHistory(undefined, signal)]);
    return { digest, versions: changes.versions };
  };
  const [loaded, retry] = useLoaded(load, [], LIVE);
  return (
    <>
      <PageHeading text={t.heading} />
      <Shown loaded={loaded} retry={retry}>
        {({ digest, versions }) => <Overview digest={digest} versions={versions} />}
      </Shown>
    </>
  );
}
