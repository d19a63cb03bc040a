// Search as you type, over the lines of documents.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import * as api from "../api";
import { headingId, plainLine } from "../markdown";
import { hasHit, Marked, PageHeading, queryWords, Short, Trouble } from "../parts";
import { go, links } from "../router";
import { useRetry } from "../retry";
import { texts } from "../texts";

const t = texts.search;
/** How long a pause of typing is. */
const PAUSE = 250;

interface Results {
  query: string;
  entities: api.FoundEntity[];
  facts: api.FoundFact[];
  lines: api.FoundLine[];
  truncated: boolean;
  unknown: string[];
  cursor: string | undefined;
}

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
    </li>
  );
}

/** The facts of the graph that have the words, each with its entity. */
function Facts({ results: { entities, facts }, words }: { results: Results; words: string[] }) {
  const names = new Map(entities.map(({ id, name }) => [id, name]));
  const shown = facts.filter(({ entityId }) => names.has(entityId));
  if (shown.length === 0) return null;
  return (
    <section aria-labelledby="facts">
      <h2 id="facts">{t.facts}</h2>
      <ul class="results">
        {shown.map(({ id, entityId, text }) => (
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

export function Search({ query }: { query: string }) {
  const [text, setText] = useState(query);
  const [ended, setEnded] = useState(false);
  const [results, setResults] = useState<Results>();
  const [error, setError] = useState<api.ApiError>();
  const [moreError, setMoreError] = useState<api.ApiError>();
  const [attempt, setAttempt] = useState(0);
  const again = () => setAttempt((before) => before + 1);
  useRetry(error, again);
  const field = useRef<HTMLInputElement>(null);

  // The address changes by a link or by going back.
  useLayoutEffect(() => {
    setText((before) => (before.trim() === query ? before : query));
    field.current?.focus();
  }, [query]);

  useEffect(() => {
    const wanted = text.trim();
    if (wanted === "") {
      setResults(undefined);
      setError(undefined);
      return undefined;
    }
    const control = new AbortController();
    const timer = setTimeout(() => {
      if (wanted !== query) go(links.search(wanted), { replace: true });
      Promise.all([api.search(wanted, { includeEnded: ended }, control.signal), api.searchGraph(wanted, { limit: 5 }, control.signal)]).then(
        ([found, { entities, facts }]) => {
          setError(undefined);
          setResults({
            query: wanted,
            entities,
            facts,
            lines: found.results,
            truncated: found.truncated,
            unknown: found.wordsNotFound,
            cursor: found.nextCursor,
          });
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
  }, [text, ended, attempt]);

  async function more({ query: asked, cursor }: Results) {
    if (cursor === undefined) return;
    setMoreError(undefined);
    try {
      const found = await api.search(asked, { includeEnded: ended, cursor });
      setResults((before) =>
        before?.cursor === cursor
          ? { ...before, lines: [...before.lines, ...found.results], truncated: found.truncated, cursor: found.nextCursor }
          : before,
      );
    } catch (failure) {
      setMoreError(failure instanceof api.ApiError ? failure : new api.ApiError(0, texts.errors.server));
    }
  }

  const words = queryWords(results?.query ?? "");
  const isInGraph = results !== undefined && (results.entities.length > 0 || results.facts.length > 0);
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
        <label class="choice">
          <input type="checkbox" checked={ended} onChange={(event) => setEnded(event.currentTarget.checked)} />
          {t.ended}
        </label>
      </search>
      {error !== undefined && <Trouble error={error} retry={again} ofPage />}
      <p class={results === undefined && error === undefined && text.trim() !== "" ? "quiet pending" : "quiet"} role="status">
        {results === undefined
          ? error === undefined && t.start
          : results.lines.length === 0
            ? (isInGraph ? t.inGraphOnly : t.none)(results.query)
            : t.found(results.lines.length, results.truncated)}
        {results !== undefined && results.unknown.length > 0 && (results.lines.length > 0 || !isInGraph) && ` · ${t.unknown(results.unknown.join(", "))}`}
      </p>
      {results !== undefined && results.entities.length > 0 && (
        <p class="entities">
          <strong>{texts.graph.entities}:</strong>{" "}
          {results.entities.map((entity) => (
            <a key={entity.id} class="tag" href={links.entity(entity.id)}>
              <Short text={entity.name} />
            </a>
          ))}
        </p>
      )}
      {results !== undefined && <Facts results={results} words={words} />}
      {results !== undefined && results.lines.length > 0 && (
        <ol class="results">
          {results.lines.map((line, at) => (
            <Result key={at} line={line} words={words} />
          ))}
        </ol>
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
