// An entry of the digest, and what opens below it: lines of documents about it, and a document's text.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useState } from "preact/hooks";
import { Line, wordsOf } from "./line";
import { Busy, Progress, Trouble, useConnection, useWork } from "./parts";
import { texts } from "./texts";
import { list, text, type Values, values } from "./values";

const t = texts.digest;
/** How much of an entry a question quotes. */
const MOST_QUOTED = 300;
const MOST_FOUND = 8;
const MOST_FILES = 4;
const MOST_LINES = 2;
const MOST_ENTITIES = 3;

interface EntryProps {
  entry: string;
  facts?: ComponentChildren;
  details: () => ComponentChildren;
  children: ComponentChildren;
}

/** An entry that opens, if the host can do something with it. */
export function Entry({ entry, facts, details, children }: EntryProps) {
  const { host } = useConnection();
  const [isOpen, setOpen] = useState(false);
  const id = useId();
  const { callsTools, takesMessages } = host.abilities;
  const opens = callsTools || takesMessages;
  return (
    <li>
      {opens ? (
        <button type="button" class="entry" aria-expanded={isOpen} aria-controls={isOpen ? id : undefined} onClick={() => setOpen(!isOpen)}>
          {children}
        </button>
      ) : (
        children
      )}
      {facts !== undefined && facts !== false && <div class="quiet facts">{facts}</div>}
      {isOpen && (
        <div class="details" id={id}>
          {callsTools && details()}
          {takesMessages && <Ask entry={entry} />}
        </div>
      )}
    </li>
  );
}

/** Asks the assistant about an entry, which is quoted: a model wrote it, and the message is the user's. */
function Ask({ entry }: { entry: string }) {
  const { host } = useConnection();
  const [work, run] = useWork();
  const [isAsked, setAsked] = useState(false);
  const quoted = entry.replace(/[\s\p{Cc}\p{Cf}“”]+/gu, " ").trim().slice(0, MOST_QUOTED);
  if (isAsked) return <Busy text={texts.asked} />;
  return (
    <>
      <button type="button" disabled={work.state === "busy"} onClick={() => run(() => host.say(texts.question(quoted)), () => setAsked(true))}>
        {texts.ask}
      </button>
      <Progress work={work} />
    </>
  );
}

/** The data of a call that is made when the element appears. */
function useCall(name: string, args: Values): { data: Values | undefined; progress: ComponentChildren } {
  const { host } = useConnection();
  const [data, setData] = useState<Values>();
  const [work, run] = useWork();
  useEffect(() => run(() => host.call(name, args), setData), [name, JSON.stringify(args)]);
  return { data, progress: <Progress work={work} /> };
}

/** What the documents have about an entry. */
export function Found({ entry }: { entry: string }) {
  const query = wordsOf(entry);
  return query === "" ? <p class="quiet">{t.nothing}</p> : <Results query={query} />;
}

function Results({ query }: { query: string }) {
  const { data, progress } = useCall("search_memory_bank", { query, maxResults: MOST_FOUND });
  if (data === undefined) return <>{progress}</>;
  const files = new Map<string, string[]>();
  for (const found of list(data["results"]).map(values)) {
    const file = text(found["file"]) ?? "";
    files.set(file, [...(files.get(file) ?? []), text(found["content"]) ?? ""]);
  }
  if (files.size === 0) return <p class="quiet">{t.nothing}</p>;
  return (
    <ul aria-label={t.found} class="found">
      {[...files].slice(0, MOST_FILES).map(([file, lines]) => (
        <Result key={file} file={file} lines={lines.slice(0, MOST_LINES)} />
      ))}
    </ul>
  );
}

function Result({ file, lines }: { file: string; lines: string[] }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <li>
      <button type="button" class="entry" aria-expanded={isOpen} aria-label={t.open(file)} onClick={() => setOpen(!isOpen)}>
        {file}
      </button>
      {lines.map((line, at) => (
        <p key={at}>
          <Line text={line} />
        </p>
      ))}
      {isOpen && <DocumentText name={file} />}
    </li>
  );
}

/** What the graph has about a name. */
export function Entities({ name }: { name: string }) {
  const { data, progress } = useCall("graph_search", { query: wordsOf(name), limit: MOST_ENTITIES });
  if (data === undefined) return <>{progress}</>;
  const found = list(data["entities"]).map(values);
  if (found.length === 0) return <p class="quiet">{t.noEntity}</p>;
  return (
    <ul class="found" aria-label={t.graph}>
      {found.map((entity, at) => (
        <li key={at}>
          <strong>{text(entity["name"])}</strong> <span class="quiet">{text(entity["entityType"])}</span>
          <ul>
            {list(entity["observations"]).map((fact, number) => (
              <li key={number}>
                <Line text={text(values(fact)["text"]) ?? ""} />
              </li>
            ))}
          </ul>
        </li>
      ))}
    </ul>
  );
}

/** A document as it is written. */
export function DocumentText({ name }: { name: string }) {
  const { data, progress } = useCall("read_memory_bank_file", { filename: name });
  if (data === undefined) return <>{progress}</>;
  // A long document comes in parts.
  const part = text(data["part"]);
  const content = part ?? data["content"];
  if (typeof content !== "string") return <Trouble message={texts.unreadable} />;
  return (
    <>
      {part !== undefined && <p class="quiet">{t.part}</p>}
      <pre tabIndex={0} role="region" aria-label={t.text(name)}>
        {content}
      </pre>
    </>
  );
}
