// The overview: what is being worked on, blockers, latest decisions, who was active.

import * as api from "../api";
import { Line, Markdown, PageHeading, Shown, useLoaded } from "../parts";
import { links } from "../router";
import { texts } from "../texts";
import { Time } from "../time";

const t = texts.home;

function List({ heading, items, empty, className }: { heading: string; items: string[]; empty?: string; className?: string }) {
  if (items.length === 0 && empty === undefined) return null;
  return (
    <section class={`card ${className ?? ""}`}>
      <h2>{heading}</h2>
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

interface Activity {
  by: string;
  changes: number;
  last: api.Version;
}

/** Who made the latest changes, the latest first. */
function activities(versions: api.Version[]): Activity[] {
  const found = new Map<string, Activity>();
  for (const version of versions) {
    const by = version.by ?? texts.history.unknownAuthor;
    const known = found.get(by);
    if (known === undefined) found.set(by, { by, changes: 1, last: version });
    else known.changes += 1;
  }
  return [...found.values()];
}

function Active({ versions }: { versions: api.Version[] }) {
  return (
    <section class="card">
      <h2>{t.active}</h2>
      {versions.length === 0 ? (
        <p class="quiet">{t.noActivity}</p>
      ) : (
        <ul class="people">
          {activities(versions).map(({ by, changes, last }) => (
            <li key={by}>
              <strong>{by}</strong> <span class="quiet">{t.changes(changes)}</span>
              <br />
              <span class="quiet">
                {t.lastIn} <a href={links.history(last.filename, last.version)}>{last.filename}</a>, <Time at={last.at} near />
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Overview({ digest: { digest, metadata }, versions }: { digest: api.Digest; versions: api.Version[] }) {
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
    <div class="cards">
      {digest.focus !== undefined && (
        <section class="card wide">
          <h2>{t.focus}</h2>
          <Markdown text={digest.focus} />
        </section>
      )}
      {digest.projectState !== undefined && (
        <section class="card wide">
          <h2>{t.state}</h2>
          <Markdown text={digest.projectState} />
        </section>
      )}
      <List heading={t.issues} items={open.issues} empty={t.noIssues} className={open.issues.length === 0 ? "" : "alarming"} />
      <List heading={t.tasks} items={open.tasks} />
      <List heading={t.nextSteps} items={open.nextSteps} />
      <List heading={t.questions} items={open.questions} />
      {digest.recentDecisions.length > 0 && (
        <section class="card">
          <h2>{t.decisions}</h2>
          <ul>
            {digest.recentDecisions.map((decision, at) => (
              <li key={at}>
                <strong>
                  <Line text={decision.title} />
                </strong>{" "}
                <span class="quiet">{decision.date}</span>
                <br />
                <Line text={decision.summary} />
              </li>
            ))}
          </ul>
        </section>
      )}
      <List heading={t.progress} items={digest.recentProgress} />
      <Active versions={versions} />
      {digest.sinceLastSession !== undefined && (
        <section class="card">
          <h2>{t.since}</h2>
          <p>{digest.sinceLastSession.replace(/^since /, "")}</p>
        </section>
      )}
      {digest.graphSummary !== undefined && (
        <section class="card">
          <h2>{t.graph}</h2>
          <Markdown text={digest.graphSummary.replace(/^## .*\n/, "")} />
        </section>
      )}
      {digest.excerpt !== undefined && (
        <section class="card wide">
          <h2>{t.excerpt}</h2>
          <p>
            <a href={links.document(digest.excerpt.document)}>{digest.excerpt.document}</a>
          </p>
          <Markdown text={digest.excerpt.beginning} name={digest.excerpt.document} />
        </section>
      )}
      <List heading={t.warnings} items={metadata.warnings} />
    </div>
  );
}

export function Home() {
  const load = async (signal: AbortSignal) => {
    const [digest, changes] = await Promise.all([api.digest(signal), api.history(undefined, undefined, signal)]);
    return { digest, versions: changes.versions };
  };
  const [loaded, retry] = useLoaded(load, []);
  return (
    <>
      <PageHeading text={t.heading} />
      <Shown loaded={loaded} retry={retry}>
        {({ digest, versions }) => <Overview digest={digest} versions={versions} />}
      </Shown>
    </>
  );
}
