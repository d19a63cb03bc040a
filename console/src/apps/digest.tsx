// The app that shows a digest: issues, tasks, decisions and progress. An entry leads to what the documents have about it.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { DocumentText, Entities, Entry, Found } from "./entry";
import { Line, Lines } from "./line";
import { Head, Progress, start, Time, useConnection, useWork } from "./parts";
import { texts } from "./texts";
import { count, isValues, list, text, texts as textsOf, type Values, values } from "./values";

const t = texts.digest;

function Card({ heading, className = "", left = 0, children }: { heading: string; className?: string; left?: number; children: ComponentChildren }) {
  return (
    <section class={`card ${className}`}>
      <h2>{heading}</h2>
      {children}
      {left > 0 && <p class="quiet">{t.leftOut(left)}</p>}
    </section>
  );
}

function List({ heading, items, left, className }: { heading: string; items: string[]; left: unknown; className?: string }) {
  if (items.length === 0) return null;
  return (
    <Card heading={heading} className={className ?? ""} left={count(left)}>
      <ul class="entries">
        {items.map((item, at) => (
          <Entry key={at} entry={item} details={() => <Found entry={item} />}>
            <Line text={item} />
          </Entry>
        ))}
      </ul>
    </Card>
  );
}

/** A line of progress begins with its time and its author. */
const WHEN = /^\s*(?:[-*+]\s+)?\[(\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)? UTC)\]\s*(?:\[([^\]]{1,100})\])?\s*(?:-\s+)?/;

function Latest({ items }: { items: string[] }) {
  if (items.length === 0) return null;
  return (
    <Card heading={t.progress}>
      <ul class="entries">
        {items.map((item, at) => {
          const [head, time, author] = WHEN.exec(item) ?? [""];
          const content = item.slice(head.length);
          return (
            <Entry
              key={at}
              entry={content}
              details={() => <Found entry={content} />}
              facts={
                time !== undefined && (
                  <>
                    <Time at={time} /> {author !== undefined && texts.by(author)}
                  </>
                )
              }
            >
              <Line text={content} />
            </Entry>
          );
        })}
      </ul>
    </Card>
  );
}

function Decisions({ decisions }: { decisions: Values[] }) {
  if (decisions.length === 0) return null;
  return (
    <Card heading={t.decisions}>
      <ul class="entries">
        {decisions.map(({ title, date, summary }, at) => {
          const [name, when, decided] = [text(title) ?? "", text(date), text(summary)];
          return (
            <Entry
              key={at}
              entry={name}
              details={() => <Found entry={name} />}
              facts={
                <>
                  {when !== undefined && <Time at={when} />} {decided !== undefined && <Line text={decided} />}
                </>
              }
            >
              <strong>
                <Line text={name} />
              </strong>
            </Entry>
          );
        })}
      </ul>
    </Card>
  );
}

/** A line of a document: its name, its size and its date. */
function Documents({ lines, left }: { lines: string[]; left: unknown }) {
  if (lines.length === 0) return null;
  return (
    <Card heading={t.documents} left={count(left)}>
      <ul class="entries">
        {lines.map((line, at) => {
          const [, name = line, facts = ""] = /^(.+) (\d+ K?B \d{4}-\d\d-\d\d)$/.exec(line) ?? [];
          return (
            <Entry key={at} entry={name} details={() => <DocumentText name={name} />} facts={facts}>
              {name}
            </Entry>
          );
        })}
      </ul>
    </Card>
  );
}

/** The lines on the graph: a heading, counts, and entities. */
function Graph({ summary }: { summary: string }) {
  const lines = summary.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return (
    <Card heading={t.graph}>
      {lines.map((line, at) => (line.startsWith("- ") ? null : <p key={at}>{line}</p>))}
      <ul class="entries">
        {lines
          .filter((line) => line.startsWith("- "))
          .map((line, at) => {
            // A long name is shortened.
            const name = line.slice(2).replace(/ \[[^\]]*\] \(\d+ obs\)$/, "").replace(/…$/, "");
            return (
              <Entry key={at} entry={name} details={() => <Entities name={name} />}>
                {line.slice(2)}
              </Entry>
            );
          })}
      </ul>
    </Card>
  );
}

/** A section with a text, if there is one. */
function Part({ heading, content }: { heading: string; content: string | undefined }) {
  if (content === undefined) return null;
  return (
    <Card heading={heading}>
      <Lines text={content} />
    </Card>
  );
}

/** What is open, and where it is written. */
function Open({ digest }: { digest: Values }) {
  const { tasks, issues, nextSteps, questions } = values(digest["currentContext"]);
  const left = values(digest["leftOut"]);
  return (
    <div>
      <List heading={t.issues} items={textsOf(issues)} left={left["issues"]} className="alarming" />
      <List heading={t.tasks} items={textsOf(tasks)} left={left["tasks"]} />
      <List heading={t.nextSteps} items={textsOf(nextSteps)} left={left["nextSteps"]} />
      <List heading={t.questions} items={textsOf(questions)} left={left["questions"]} />
      <Part heading={t.since} content={text(digest["sinceLastSession"])?.replace(/^since /, "")} />
      <Documents lines={textsOf(digest["documents"])} left={left["documents"]} />
    </div>
  );
}

/** What was decided and done, and what is known beside it. */
function Done({ digest, warnings }: { digest: Values; warnings: string[] }) {
  const { document, beginning } = values(digest["excerpt"]);
  const graph = text(digest["graphSummary"]);
  return (
    <div>
      <Decisions decisions={list(digest["recentDecisions"]).map(values)} />
      <Latest items={textsOf(digest["recentProgress"])} />
      <Part heading={text(document) ?? t.documents} content={text(beginning)} />
      {graph !== undefined && <Graph summary={graph} />}
      <Part heading={t.patterns} content={text(digest["systemPatterns"])} />
      <Part heading={t.warnings} content={text(warnings.map((warning) => `- ${warning.replaceAll("\n", " ")}`).join("\n"))} />
    </div>
  );
}

/** Whether a digest has nothing to show, such as that of a new bank. */
function isEmpty(part: unknown): boolean {
  if (Array.isArray(part)) return part.length === 0;
  if (isValues(part)) return Object.values(part).every(isEmpty);
  return typeof part !== "string" || part === "";
}

function Overview({ digest, warnings }: { digest: Values; warnings: string[] }) {
  return (
    <>
      {isEmpty(digest) && <p class="quiet">{t.empty}</p>}
      <Part heading={t.focus} content={text(digest["focus"])} />
      <Part heading={t.state} content={text(digest["projectState"])} />
      <div class="columns">
        <Open digest={digest} />
        <Done digest={digest} warnings={warnings} />
      </div>
    </>
  );
}

function View({ data: first }: { data: Values }) {
  const { host, input } = useConnection();
  const [fresh, setFresh] = useState<Values>();
  const [work, run] = useWork();
  const data = fresh ?? first;
  const metadata = values(data["metadata"]);
  const [place, at] = [text(metadata["memoryBankDir"]), text(metadata["timestamp"])];
  return (
    <>
      <Head
        heading={t.heading}
        facts={
          <>
            {place} {at !== undefined && <Time at={at} />}
          </>
        }
      >
        {host.abilities.callsTools && (
          <button type="button" onClick={() => run(() => host.call("get_context_digest", input), setFresh)}>
            {texts.refresh}
          </button>
        )}
      </Head>
      <Progress work={work} />
      <Overview key={at ?? ""} digest={values(data["digest"])} warnings={[...textsOf(metadata["warnings"]), ...textsOf([metadata["notice"]])]} />
    </>
  );
}

start({ name: "memory-bank-digest", heading: t.heading, view: View });
