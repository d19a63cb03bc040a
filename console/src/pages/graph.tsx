// The graph as a list: the entities that a search finds.

import { useEffect, useState } from "preact/hooks";
import * as api from "../api";
import { plainLine } from "../markdown";
import { Marked, PageHeading, queryWords, Short, Trouble } from "../parts";
import { go, links } from "../router";
import { useRetry } from "../retry";
import { texts } from "../texts";

const t = texts.graph;
const PAUSE = 250;

function EntityLink({ entity, fact, words }: { entity: api.FoundEntity; fact: api.FoundFact | undefined; words: string[] }) {
  return (
    <li class="entry">
      <a href={links.entity(entity.id)}>
        <Short text={entity.name} />
      </a>
      <span class="tag">{entity.entityType}</span>
      <span class="facts">{t.counts(entity.observationCount, entity.relationCount)}</span>
      {fact !== undefined && (
        <p class="found">
          <Marked text={plainLine(fact.text)} words={words} />
        </p>
      )}
    </li>
  );
}

/** The two ways to look at the graph. */
export function ViewTabs({ shown }: { shown: "list" | "picture" }) {
  const current = (view: "list" | "picture") => (view === shown ? { "aria-current": "page" as const } : {});
  return (
    <nav class="views" aria-label={t.views}>
      <a href={links.graph()} {...current("list")}>
        {t.list}
      </a>
      <a href={links.picture()} {...current("picture")}>
        {t.picture}
      </a>
    </nav>
  );
}

export function Graph({ query }: { query: string }) {
  const [text, setText] = useState(query);
  const [found, setFound] = useState<api.FoundEntities>();
  const [error, setError] = useState<api.ApiError>();
  const [moreError, setMoreError] = useState<api.ApiError>();
  const [attempt, setAttempt] = useState(0);
  const again = () => setAttempt((before) => before + 1);
  useRetry(error, again);
  const asked = text.trim() === "" ? "*" : text.trim();

  useEffect(() => setText((before) => (before.trim() === query ? before : query)), [query]);
  useEffect(() => {
    const control = new AbortController();
    const timer = setTimeout(
      () => {
        if (text.trim() !== query) go(links.graph(text.trim()), { replace: true });
        api.searchGraph(asked, { limit: 50 }, control.signal).then(
          (page) => {
            setError(undefined);
            setFound(page);
          },
          (failure: unknown) => {
            if (!control.signal.aborted) setError(failure instanceof api.ApiError ? failure : new api.ApiError(0, texts.errors.server));
          },
        );
      },
      found === undefined ? 0 : PAUSE,
    );
    return () => {
      clearTimeout(timer);
      control.abort();
    };
    // The address follows the text.
  }, [asked, attempt]);

  async function more(cursor: string) {
    setMoreError(undefined);
    try {
      const page = await api.searchGraph(asked, { limit: 50, cursor });
      setFound((before) => (before?.nextCursor === cursor ? { ...page, entities: [...before.entities, ...page.entities], facts: [...before.facts, ...page.facts] } : before));
    } catch (failure) {
      setMoreError(failure instanceof api.ApiError ? failure : new api.ApiError(0, texts.errors.server));
    }
  }

  const cursor = found?.nextCursor;
  const words = queryWords(text.trim());
  return (
    <>
      <PageHeading text={t.heading}>
        <ViewTabs shown="list" />
      </PageHeading>
      <search class="filter">
        <label for="entities">{t.label}</label>
        <input id="entities" type="search" value={text} maxLength={1000} autocomplete="off" onInput={(event) => setText(event.currentTarget.value)} />
        <span class={found === undefined && error === undefined ? "quiet pending" : "quiet"} role="status">
          {found === undefined ? (error === undefined ? texts.loading : "") : t.found(found.entities.length, cursor !== undefined)}
        </span>
      </search>
      {error !== undefined && <Trouble error={error} retry={again} ofPage />}
      {found !== undefined && found.entities.length > 0 && (
        <ul class="tree">
          {found.entities.map((entity) => (
            <EntityLink key={entity.id} entity={entity} fact={found.facts.find(({ entityId }) => entityId === entity.id)} words={words} />
          ))}
        </ul>
      )}
      {found?.entities.length === 0 && <p class="quiet">{text.trim() === "" ? t.none : texts.search.none(text.trim())}</p>}
      {moreError !== undefined && <Trouble error={moreError} />}
      {cursor !== undefined && (
        <button type="button" onClick={() => void more(cursor)}>
          {texts.search.more}
        </button>
      )}
    </>
  );
}
