// The app that shows a part of the knowledge graph: a picture, a list of entities, and one entity with its facts and relations.

import { useEffect, useRef, useState } from "preact/hooks";
import { lookOf } from "../picture/look";
import { Drawing } from "./drawing";
import { type Entity, type Fact, isNamed, type Known, merged, NOTHING } from "./graph_model";
import { Line } from "./line";
import { Head, Progress, start, Time, useConnection, useWork } from "./parts";
import { texts } from "./texts";
import { shown, text, texts as textsOf, type Values } from "./values";

const t = texts.graph;
const MOST_LISTED = 200;
const SEARCH_LIMIT = 50;

interface Call {
  name: "graph_search" | "graph_open_nodes";
  args: Values;
}

function Facts({ facts, isOpen }: { facts: readonly Fact[]; isOpen: boolean }) {
  return (
    <>
      <h3>{t.facts}</h3>
      {facts.length === 0 && <p class="quiet">{t.noFacts}</p>}
      <ul class="facts">
        {facts.map(({ key, text: content, at, validFrom, validUntil, endedAt }) => (
          <li key={key}>
            {endedAt !== undefined && <span class="tag">{t.endedAt}</span>} {endedAt === undefined ? <Line text={content} /> : <del>{content}</del>}{" "}
            <span class="quiet">
              {endedAt !== undefined ? (
                <Time at={endedAt} />
              ) : (
                <>
                  {at !== undefined && <Time at={at} />}
                  {validFrom !== undefined && ` · ${t.validFrom} ${validFrom.slice(0, 10)}`}
                  {validUntil !== undefined && ` · ${t.validUntil} ${validUntil.slice(0, 10)}`}
                </>
              )}
            </span>
          </li>
        ))}
      </ul>
      {!isOpen && <p class="quiet">{t.notOpened}</p>}
    </>
  );
}

interface DetailsProps {
  known: Known;
  entity: Entity;
  onChoose: (id: string) => void;
  hasMoved: boolean;
}

/** One entity; the focus moves to it when a person has chosen it. */
function Details({ known, entity, onChoose, hasMoved }: DetailsProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (hasMoved) heading.current?.focus();
  }, [entity.id, hasMoved]);
  const related = known.relations.filter(({ from, to }) => from === entity.id || to === entity.id);
  const attributes = Object.entries(entity.attributes);
  const nameOf = (id: string) => known.entities.get(id)?.name ?? id;
  return (
    <section class="card entity" aria-label={entity.name}>
      <h2 ref={heading} tabIndex={-1}>
        {entity.name}
      </h2>
      <p>
        <span class="tag">{entity.type ?? t.untyped}</span>
      </p>
      <Facts facts={entity.facts} isOpen={entity.isOpen} />
      <h3>{t.relations}</h3>
      {related.length === 0 && <p class="quiet">{t.noRelations}</p>}
      <ul class="entries">
        {related.map(({ from, to, type }) => {
          const isOutgoing = from === entity.id;
          const other = isOutgoing ? to : from;
          return (
            <li key={`${from} ${to} ${type}`}>
              <button type="button" class="entry" onClick={() => onChoose(other)}>
                {isOutgoing ? t.outgoing(type, nameOf(other)) : t.incoming(type, nameOf(other))}
              </button>
            </li>
          );
        })}
      </ul>
      {attributes.length > 0 && (
        <>
          <h3>{t.attributes}</h3>
          <dl>
            {attributes.map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{shown(value)}</dd>
              </div>
            ))}
          </dl>
        </>
      )}
    </section>
  );
}

function Entities({ known, chosen, onChoose }: { known: Known; chosen: string | undefined; onChoose: (id: string) => void }) {
  const all = [...known.entities.values()];
  return (
    <section class="card" aria-label={t.entities}>
      <h2>{t.entities}</h2>
      {all.length === 0 && <p class="quiet">{t.nothing}</p>}
      <ul class="entries list">
        {all.slice(0, MOST_LISTED).map(({ id, name, type }) => {
          const { shape, colour } = lookOf(type);
          return (
            <li key={id}>
              <button type="button" class="entry" aria-pressed={id === chosen} onClick={() => onChoose(id)}>
                <span class={type === undefined ? "mark-circle unknown" : `mark-${shape} tone-${colour}`} />
                {name}
              </button>{" "}
              <span class="quiet">{type ?? t.untyped}</span>
            </li>
          );
        })}
      </ul>
      {all.length > MOST_LISTED && <p class="quiet">{t.listed(MOST_LISTED, all.length)}</p>}
    </section>
  );
}

/** The call that the app was opened for: a search repeats its query, an opened node its names. */
function firstCall(data: Values, input: Values): Call {
  const query = text(data["query"]);
  if (query !== undefined || data["query"] === "") return { name: "graph_search", args: { ...input, query: query ?? "*" } };
  return { name: "graph_open_nodes", args: input };
}

/** What holds for all calls: a graph of another bank, or of another time. */
function commonOf({ storeId, asOf }: Values): Values {
  return { ...(storeId === undefined ? {} : { storeId }), ...(asOf === undefined ? {} : { asOf }) };
}

/** The nodes that a call opens. */
const nodesOf = ({ name, args }: Call): string[] => (name === "graph_open_nodes" ? textsOf(args["nodes"]) : []);

/** The entity that the call was about, if it was one. */
function firstChosen(known: Known, call: Call): string | undefined {
  const nodes = nodesOf(call);
  return nodes.length === 1 ? [...known.entities.values()].find((entity) => isNamed(nodes, entity))?.id : undefined;
}

function Search({ onSearch, withEnded, onEnded }: { onSearch: (query: string) => void; withEnded: boolean; onEnded: (with_: boolean) => void }) {
  const [query, setQuery] = useState("");
  return (
    <div class="search">
      <label for="query">{t.search}</label>
      <input
        id="query"
        type="search"
        value={query}
        autocomplete="off"
        onInput={(event) => setQuery(event.currentTarget.value)}
        onKeyDown={(event) => {
          // A form would need the policy's leave.
          if (event.key === "Enter") onSearch(query);
        }}
      />
      <button type="button" onClick={() => onSearch(query)}>
        {t.searchButton}
      </button>
      <label class="choice">
        <input type="checkbox" checked={withEnded} onChange={(event) => onEnded(event.currentTarget.checked)} />
        {t.ended}
      </label>
    </div>
  );
}

/** What is known, what is chosen, and the calls that lead on. */
function useGraph(data: Values) {
  const { host, input } = useConnection();
  const [call, setCall] = useState<Call>(() => firstCall(data, input));
  const [known, setKnown] = useState<Known>(() => merged(NOTHING, data, nodesOf(call)));
  const [chosen, setChosen] = useState(() => firstChosen(known, call));
  const [hasMoved, setMoved] = useState(false);
  const [withEnded, setWithEnded] = useState(input["includeEnded"] === true);
  const [work, run] = useWork();
  const make = ({ name, args }: Call, done: (data: Values) => void, ended = withEnded) =>
    run(() => host.call(name, { ...commonOf(input), ...args, includeEnded: ended }), done);
  const replace = (next: Call, ended: boolean) =>
    make(
      next,
      (found) => {
        const fresh = merged(NOTHING, found, nodesOf(next));
        setCall(next);
        setKnown(fresh);
        setChosen((before) => (before !== undefined && fresh.entities.has(before) ? before : firstChosen(fresh, next)));
      },
      ended,
    );
  const add = (next: Call, nodes: string[], repeated = next) =>
    make(next, (found) => {
      setCall(repeated);
      setKnown((before) => merged(before, found, nodes));
    });
  return {
    known,
    entity: chosen === undefined ? undefined : known.entities.get(chosen),
    hasMoved,
    withEnded,
    work,
    choose: (id: string) => {
      setChosen(id);
      setMoved(true);
      const isKnown = known.entities.get(id)?.isOpen === true;
      if (host.abilities.callsTools && !isKnown) add({ name: "graph_open_nodes", args: { nodes: [id] } }, [id]);
    },
    search: (query: string) => replace({ name: "graph_search", args: { query: query.trim() === "" ? "*" : query, limit: SEARCH_LIMIT } }, withEnded),
    showEnded: (ended: boolean) => {
      setWithEnded(ended);
      replace(call, ended);
    },
    more: (cursor: string) => add({ ...call, args: { ...call.args, cursor } }, nodesOf(call), call),
  };
}

function View({ data }: { data: Values }) {
  const { callsTools } = useConnection().host.abilities;
  const { known, entity, hasMoved, withEnded, work, choose, search, showEnded, more } = useGraph(data);
  const { cursor } = known;
  return (
    <>
      <Head heading={t.heading} facts={t.count(known.entities.size, known.relations.length)} />
      {callsTools && <Search onSearch={search} withEnded={withEnded} onEnded={showEnded} />}
      <Progress work={work} />
      {known.leftOut > 0 && <p class="quiet">{t.leftOut(known.leftOut)}</p>}
      <div class={entity === undefined ? "graph" : "graph two"}>
        <div class="drawn">
          <Drawing known={known} chosen={entity?.id} onChoose={choose} />
        </div>
        {entity !== undefined && <Details known={known} entity={entity} onChoose={choose} hasMoved={hasMoved} />}
        <div class="listed">
          <Entities known={known} chosen={entity?.id} onChoose={choose} />
          {cursor !== undefined && callsTools && (
            <button type="button" onClick={() => more(cursor)}>
              {texts.more}
            </button>
          )}
        </div>
      </div>
    </>
  );
}

start({ name: "memory-bank-graph", heading: t.heading, view: View });
