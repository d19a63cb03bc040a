// The graph as pages: the entities that a search finds, and one entity with its facts, relations and changes.

import { useEffect, useState } from "preact/hooks";
import * as api from "../api";
import { Line, PageHeading, Shown, Trouble, useLoaded } from "../parts";
import { go, links } from "../router";
import { texts } from "../texts";
import { Time } from "../time";

const t = texts.graph;
const PAUSE = 250;

function EntityLink({ entity }: { entity: api.FoundEntity }) {
  return (
    <li class="entry">
      <a href={links.entity(entity.id)}>{entity.name}</a>
      <span class="tag">{entity.entityType}</span>
      <span class="facts">{t.counts(entity.observationCount, entity.relationCount)}</span>
    </li>
  );
}

export function Graph({ query }: { query: string }) {
  const [text, setText] = useState(query);
  const [found, setFound] = useState<api.FoundEntities>();
  const [error, setError] = useState<api.ApiError>();
  const [attempt, setAttempt] = useState(0);
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
    try {
      const page = await api.searchGraph(asked, { limit: 50, cursor });
      setFound((before) => (before?.nextCursor === cursor ? { ...page, entities: [...before.entities, ...page.entities] } : before));
    } catch (failure) {
      setError(failure instanceof api.ApiError ? failure : new api.ApiError(0, texts.errors.server));
    }
  }

  const cursor = found?.nextCursor;
  return (
    <>
      <PageHeading text={t.heading} />
      <search class="filter">
        <label for="entities">{t.label}</label>
        <input id="entities" type="search" value={text} maxLength={1000} autocomplete="off" onInput={(event) => setText(event.currentTarget.value)} />
        <span class="quiet" role="status">
          {found === undefined ? texts.loading : t.found(found.entities.length, cursor !== undefined)}
        </span>
      </search>
      {error !== undefined && <Trouble error={error} retry={() => setAttempt(attempt + 1)} />}
      {found !== undefined && found.entities.length > 0 && (
        <ul class="tree">
          {found.entities.map((entity) => (
            <EntityLink key={entity.id} entity={entity} />
          ))}
        </ul>
      )}
      {found?.entities.length === 0 && <p class="quiet">{text.trim() === "" ? t.none : texts.search.none(text.trim())}</p>}
      {cursor !== undefined && (
        <button type="button" onClick={() => void more(cursor)}>
          {texts.search.more}
        </button>
      )}
    </>
  );
}

function Relations({ entity, relations }: { entity: api.EntityView["entity"]; relations: api.Relation[] }) {
  if (relations.length === 0) return null;
  return (
    <section class="card">
      <h2>{t.relations}</h2>
      <ul>
        {relations.map((relation) => (
          <li key={relation.id}>
            {relation.fromId === entity.id ? relation.from : <a href={links.entity(relation.fromId)}>{relation.from}</a>}{" "}
            <span class="tag">{relation.relationType}</span>{" "}
            {relation.toId === entity.id ? relation.to : <a href={links.entity(relation.toId)}>{relation.to}</a>}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Changes({ changes }: { changes: api.GraphVersion[] }) {
  if (changes.length === 0) return null;
  return (
    <section class="card">
      <h2>{texts.history.heading}</h2>
      <ul>
        {changes.map((change, at) => (
          <li key={at}>
            <span class={`tag ${change.kind}`}>{texts.history.kinds[change.kind] ?? change.kind}</span> {change.observation ?? change.relation ?? change.type ?? ""}
            <br />
            <span class="facts">
              {change.by ?? texts.history.unknownAuthor} · <Time at={change.at} near />
              {change.tool !== undefined && ` · ${texts.history.tool(change.tool)}`}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Facts({ view, changes }: { view: api.EntityView; changes: api.GraphVersion[] }) {
  const { entity } = view;
  const attributes = Object.entries(entity.attrs);
  return (
    <>
      <PageHeading text={entity.name}>
        <span class="tag">{entity.entityType}</span>
      </PageHeading>
      {view.truncated && <p class="note">{t.truncated}</p>}
      <div class="cards">
        <section class="card">
          <h2>{t.observations}</h2>
          {view.observations.length === 0 ? (
            <p class="quiet">{t.noObservations}</p>
          ) : (
            <ul>
              {view.observations.map((observation) => (
                <li key={observation.id}>
                  <Line text={observation.text} />
                  <br />
                  <span class="facts">
                    <Time at={observation.timestamp} near />
                    {observation.author !== undefined && ` ${texts.documents.by(observation.author)}`}
                  </span>
                </li>
              ))}
            </ul>
          )}
        </section>
        <Relations entity={entity} relations={view.relations} />
        {attributes.length > 0 && (
          <section class="card">
            <h2>{t.attributes}</h2>
            <dl>
              {attributes.map(([name, value]) => (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd>{typeof value === "string" ? value : JSON.stringify(value)}</dd>
                </div>
              ))}
            </dl>
          </section>
        )}
        <Changes changes={changes} />
      </div>
    </>
  );
}

export function Entity({ name }: { name: string }) {
  const load = async (signal: AbortSignal) => {
    const [view, history] = await Promise.all([api.entity(name, signal), api.entityHistory(name, signal)]);
    return { view, changes: history.versions };
  };
  const [loaded, retry] = useLoaded(load, [name]);
  return (
    <>
      <p class="crumbs">
        <a href={links.graph()}>{t.heading}</a>
      </p>
      {loaded.state === "failed" && <PageHeading text={t.heading} />}
      <Shown loaded={loaded} retry={retry}>
        {({ view, changes }) => <Facts view={view} changes={changes} />}
      </Shown>
    </>
  );
}
