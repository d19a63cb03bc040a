// Search as you type, over the lines of documents, the entities and their facts.

import { useContext, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import * as api from "../api";
import { headingId, plainLine } from "../markdown";
import { hasHit, Marked, PageHeading, queryWords, Short, Trouble } from "../parts";
import { FOUND_KINDS, type FoundKind, go, links, type SearchFilters } from "../router";
import { useRetry } from "../retry";
import { texts } from "../texts";
import { boundsOf, InUtc } from "../time";

const t = texts.search;
/** How long a pause of typing is. */
const PAUSE = 250;

/** How many entities are shown beside lines, and on a page of their own. */
const [FEW, MANY] = [5, 50] as const;

interface Results {
  query: string;
  /** What was searched. */
  what: FoundKind | undefined;
  entities: api.FoundEntity[];
  /** Those whose entities are among them. */
  facts: api.FoundFact[];
  lines: api.FoundLine[];
  /** Whether there are more lines, and more entities. */
  hasMoreLines: boolean;
  hasMoreEntities: boolean;
  unknown: string[];
  /** For more of what is listed. */
  cursor: string | undefined;
}

interface Wanted extends SearchFilters {
  includeEnded: boolean;
  inUtc: boolean;
}

const NO_LINES: api.Found = { results: [], truncated: false, wordsNotFound: [] };
const NO_ENTITIES: api.FoundEntities = { entities: [], facts: [] };

/** The first results, or the next ones. */
async function resultsOf(query: string, { what, day, includeEnded, inUtc }: Wanted, cursor?: string, signal?: AbortSignal): Promise<Results> {
  const options = { includeEnded, asOf: boundsOf(day, inUtc).until, ...(cursor !== undefined && { cursor }) };
  const isOfGraph = what === "entities" || what === "facts";
  const [found, graph] = await Promise.all([
    isOfGraph ? NO_LINES : api.search(query, options, signal),
    what === "documents" || (cursor !== undefined && !isOfGraph) ? NO_ENTITIES : api.searchGraph(query, { ...options, limit: isOfGraph ? MANY : FEW }, signal),
  ]);
  const known = new Set(graph.entities.map(({ id }) => id));
  return {
    query,
    what,
    entities: graph.entities,
    facts: what === "entities" ? [] : graph.facts.filter(({ entityId }) => known.has(entityId)),
    lines: found.results,
    hasMoreLines: found.truncated,
    hasMoreEntities: graph.nextCursor !== undefined,
    unknown: found.wordsNotFound,
    cursor: isOfGraph ? graph.nextCursor : found.nextCursor,
  };
}

/** How much is shown of each kind. */
function countOf({ what, entities, facts, lines, hasMoreLines, hasMoreEntities }: Results): string {
  const counts = [
    what === "facts" || entities.length === 0 ? undefined : t.entities(entities.length, hasMoreEntities),
    facts.length === 0 ? undefined : t.factsFound(facts.length),
    lines.length === 0 ? undefined : t.lines(lines.length, hasMoreLines),
  ].filter((count) => count !== undefined);
  return sentenceCase(t.together(counts));
}

const sentenceCase = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/** What a row shows: the line as plain text, and where the words are if it has none of them. */
function Result({ line, words }: { line: api.FoundLine; words: string[] }) {
  const headings = line.headingPath.map(plainLine);
  const content = plainLine(line.content);
  const inLine = words.length === 0 || hasHit(content, words);
  const beside = inLine ? undefined : line.context.split("\n").map(plainLine).find((other) => other !== content && hasHit(other, words));
  const inTitle = !inLine && (hasHit(line.file, words) || headings.some((heading) => hasHit(heading, words)));
  const last = headings.at(-1);
  return (
    <li class="result">
      <a href={links.document(line.file, last === undefined ? "" : headingId(last))}>
        <Marked text={line.file} words={inTitle ? words : []} />
      </a>
      <span class="quiet">
        {headings.map((heading, at) => (
          <span key={at}>
            {" › "}
            <Marked text={heading} words={inTitle ? words : []} />
          </span>
        ))}{" "}
        · {t.line(line.line)}
      </span>
      <p class="found">
        <Marked text={content} words={words} />
      </p>
      {beside !== undefined ? (
        <p class="found facts">
          {t.around} <Marked text={beside} words={words} />
        </p>
      ) : (
        !inLine && <p class="found facts">{inTitle ? t.inTitle : t.related}</p>
      )}
      <Same line={line} />
    </li>
  );
}

/** Where the same text is, so that who corrects it finds all places. */
function Same({ line: { similar, similarIn } }: { line: api.FoundLine }) {
  if (similarIn.length === 0) return null;
  return (
    <p class="facts">
      {t.same}{" "}
      {similarIn.map(({ file, line }, at) => (
        <span key={at}>
          {at > 0 && ", "}
          <a href={links.document(file)}>{file}</a> {t.line(line)}
        </span>
      ))}
      {similar > similarIn.length && ` ${t.moreOfSame(similar - similarIn.length)}`}
    </p>
  );
}

/** The facts of the graph that have the words, each with its entity. */
function Facts({ results: { entities, facts }, words }: { results: Results; words: string[] }) {
  const names = new Map(entities.map(({ id, name }) => [id, name]));
  if (facts.length === 0) return null;
  return (
    <section aria-labelledby="facts">
      <h2 id="facts">{t.facts}</h2>
      <ul class="results">
        {facts.map(({ id, entityId, text }) => (
          <li key={id} class="result">
            <a href={links.entity(entityId)}>
              <Short text={names.get(entityId) ?? ""} />
            </a>
            <p class="found">
              <Marked text={plainLine(text)} words={words} />
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The entities: a few as one line beside other results, or as a list with their types. */
function Entities({ results: { what, entities, hasMoreEntities, query }, filters }: { results: Results; filters: SearchFilters }) {
  if (entities.length === 0 || what === "facts") return null;
  if (what === "entities") {
    return (
      <ul class="tree">
        {entities.map((entity) => (
          <li key={entity.id} class="entry">
            <a href={links.entity(entity.id)}>
              <Short text={entity.name} />
            </a>
            <span class="tag">{entity.entityType}</span>
            <span class="facts">{texts.graph.counts(entity.observationCount, entity.relationCount)}</span>
          </li>
        ))}
      </ul>
    );
  }
  return (
    <p class="entities">
      <strong>{texts.graph.entities}:</strong>{" "}
      {entities.map((entity) => (
        <a key={entity.id} class="tag" href={links.entity(entity.id)}>
          <Short text={entity.name} />
        </a>
      ))}{" "}
      {hasMoreEntities && <a href={links.search(query, { ...filters, what: "entities" })}>{t.allEntities}</a>}
    </p>
  );
}

interface FiltersProps {
  filters: SearchFilters;
  ended: boolean;
  onFilters: (filters: SearchFilters) => void;
  onEnded: (ended: boolean) => void;
}

/** To what the search is limited. */
function Filters({ filters, ended, onFilters, onEnded }: FiltersProps) {
  const { what, day } = filters;
  return (
    <div class="filters">
      <label for="search-what">{t.what}</label>
      <select id="search-what" value={what ?? ""} onChange={({ currentTarget: { value } }) => onFilters({ ...filters, what: FOUND_KINDS.find((kind) => kind === value) })}>
        <option value="">{t.everything}</option>
        {FOUND_KINDS.map((kind) => (
          <option key={kind} value={kind}>
            {t.kinds[kind]}
          </option>
        ))}
      </select>
      <label for="search-day">{t.asOf}</label>
      <input id="search-day" type="date" value={day ?? ""} onChange={({ currentTarget: { value } }) => onFilters({ ...filters, day: value === "" ? undefined : value })} />
      <label class="choice">
        <input type="checkbox" checked={ended} onChange={(event) => onEnded(event.currentTarget.checked)} />
        {t.ended}
      </label>
    </div>
  );
}

export function Search({ query, filters }: { query: string; filters: SearchFilters }) {
  const inUtc = useContext(InUtc);
  const { what, day } = filters;
  const [text, setText] = useState(query);
  const [ended, setEnded] = useState(false);
  const [results, setResults] = useState<Results>();
  const [error, setError] = useState<api.ApiError>();
  const [moreError, setMoreError] = useState<api.ApiError>();
  const [attempt, setAttempt] = useState(0);
  const again = () => setAttempt((before) => before + 1);
  useRetry(error, again);
  const field = useRef<HTMLInputElement>(null);
  const wanted: Wanted = { what, day, includeEnded: ended, inUtc };

  // The address changes by a link or by going back.
  useLayoutEffect(() => {
    setText((before) => (before.trim() === query ? before : query));
    field.current?.focus();
  }, [query]);

  useEffect(() => {
    const asked = text.trim();
    if (asked === "") {
      setResults(undefined);
      setError(undefined);
      return undefined;
    }
    const control = new AbortController();
    const timer = setTimeout(() => {
      if (asked !== query) go(links.search(asked, filters), { replace: true });
      resultsOf(asked, wanted, undefined, control.signal).then(
        (found) => {
          setError(undefined);
          setResults(found);
        },
        (failure: unknown) => {
          if (!control.signal.aborted) setError(failure instanceof api.ApiError ? failure : new api.ApiError(0, texts.errors.server));
        },
      );
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      control.abort();
    };
    // The address follows the text.
  }, [text, ended, what, day, inUtc, attempt]);

  async function more({ query: asked, cursor }: Results) {
    if (cursor === undefined) return;
    setMoreError(undefined);
    try {
      const found = await resultsOf(asked, wanted, cursor);
      setResults((before) =>
        before?.cursor === cursor
          ? {
              ...before,
              entities: [...before.entities, ...found.entities],
              facts: [...before.facts, ...found.facts],
              lines: [...before.lines, ...found.lines],
              hasMoreLines: found.hasMoreLines,
              hasMoreEntities: before.what === undefined ? before.hasMoreEntities : found.hasMoreEntities,
              cursor: found.cursor,
            }
          : before,
      );
    } catch (failure) {
      setMoreError(failure instanceof api.ApiError ? failure : new api.ApiError(0, texts.errors.server));
    }
  }

  const words = queryWords(results?.query ?? "");
  return (
    <>
      <PageHeading text={t.heading} takesFocus={false} />
      <search>
        <label for="query">{t.label}</label>
        <input
          id="query"
          ref={field}
          type="search"
          value={text}
          maxLength={1000}
          autocomplete="off"
          aria-describedby="query-hint"
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <p class="hint" id="query-hint">
          {t.hint}
        </p>
        <Filters filters={filters} ended={ended} onFilters={(next) => go(links.search(text.trim(), next), { replace: true })} onEnded={setEnded} />
      </search>
      {error !== undefined && <Trouble error={error} retry={again} ofPage />}
      <p class={results === undefined && error === undefined && text.trim() !== "" ? "quiet pending" : "quiet"} role="status">
        {results === undefined ? error === undefined && t.start : <Status results={results} isLimited={what !== undefined || day !== undefined} />}
      </p>
      {results !== undefined && <Entities results={results} filters={filters} />}
      {results !== undefined && <Facts results={results} words={words} />}
      {results !== undefined && results.lines.length > 0 && (
        <section aria-labelledby="lines">
          <h2 id="lines">{t.inDocuments}</h2>
          <ol class="results">
            {results.lines.map((line, at) => (
              <Result key={at} line={line} words={words} />
            ))}
          </ol>
        </section>
      )}
      {moreError !== undefined && <Trouble error={moreError} />}
      {results?.cursor !== undefined && (
        <button type="button" onClick={() => void more(results)}>
          {t.more}
        </button>
      )}
    </>
  );
}

/** What is found, and which words no document has. */
function Status({ results, isLimited }: { results: Results; isLimited: boolean }) {
  const { query, what, entities, facts, lines, unknown } = results;
  const isInGraph = (what !== "facts" && entities.length > 0) || facts.length > 0;
  const isFound = lines.length > 0 || isInGraph;
  return (
    <>
      {!isFound ? (isLimited ? t.noneOfThese : t.none)(query) : what === undefined && lines.length === 0 ? t.inGraphOnly(query, countOf(results)) : countOf(results)}
      {unknown.length > 0 && (lines.length > 0 || !isInGraph) && ` · ${t.unknown(unknown.join(", "))}`}
    </>
  );
}
