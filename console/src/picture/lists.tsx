// The lists beside a picture: its nodes, the neighbours of one, a path, and what colours and shapes mean.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import * as api from "../api";
import { pause } from "../connection";
import { Trouble, useLoaded } from "../parts";
import { links } from "../router";
import { texts } from "../texts";
import { lookOf } from "./look";
import type { Picture } from "./model";

const t = texts.picture;
const MOST = 40;
const PAUSE = 300;

const typeOf = (graph: Picture, node: string) => graph.getNodeAttribute(node, "kind");
/** How much there is of a node: entities of a cluster, else neighbours. */
function factOf(found: api.GraphPicture, graph: Picture, node: string): string {
  const entities = found.nodes.entities?.[found.nodes.ids.indexOf(node)];
  return entities === undefined ? t.neighbours(graph.neighbors(node).length) : t.inCluster(entities);
}

const nameOf = (graph: Picture, node: string) => graph.getNodeAttribute(node, "name");

function Choice({ graph, node, onChoose }: { graph: Picture; node: string; onChoose: (node: string) => void }) {
  return (
    <button type="button" class="plain" onClick={() => onChoose(node)}>
      {nameOf(graph, node)}
    </button>
  );
}

interface ListProps {
  found: api.GraphPicture;
  graph: Picture;
  onChoose: (node: string) => void;
  onCluster: (entity: string) => void;
  /** The types that are not shown. */
  hidden: ReadonlySet<string>;
}

async function entitiesWith(text: string, signal: AbortSignal): Promise<api.FoundEntity[]> {
  await pause(PAUSE, signal);
  signal.throwIfAborted();
  return (await api.searchGraph(text, { limit: 10 }, signal)).entities;
}

/** The nodes, those with the most relations first, and a search; it also finds entities within clusters. */
export function NodeList({ found, graph, onChoose, onCluster, hidden }: ListProps) {
  const [text, setText] = useState("");
  const wanted = text.trim().toLowerCase();
  const isSearch = found.isClustered && wanted !== "";
  const [searched, retry] = useLoaded((signal) => (isSearch ? entitiesWith(wanted, signal) : Promise.resolve([])), [isSearch, wanted]);
  const within = searched.state === "done" ? searched.value : [];
  const shown = found.nodes.ids.map((id, at) => [id, found.nodes.names[at] ?? ""] as const).filter(([id]) => !hidden.has(typeOf(graph, id)));
  const ofHiddenTypes = found.nodes.ids.length - shown.length;
  const fitting = shown.flatMap(([id, name]) => (name.toLowerCase().includes(wanted) ? [id] : []));
  return (
    <section class="card" aria-label={found.isClustered ? t.clusters : texts.graph.entities}>
      <label for="picture-search">{found.isClustered ? t.findInClusters : t.find}</label>
      <input id="picture-search" type="search" value={text} autocomplete="off" onInput={(event) => setText(event.currentTarget.value)} />
      {isSearch && searched.state === "failed" && <Trouble error={searched.error} retry={retry} ofPage />}
      {within.length > 0 && (
        <ul class="nodes">
          {within.map((entity) => (
            <li key={entity.id}>
              <button type="button" class="plain" onClick={() => onCluster(entity.id)}>
                {entity.name}
              </button>{" "}
              <span class="tag">{t.itsCluster}</span>
            </li>
          ))}
        </ul>
      )}
      <ul class="nodes">
        {fitting.slice(0, MOST).map((id) => (
          <li key={id}>
            <Choice graph={graph} node={id} onChoose={onChoose} /> <span class="tag">{typeOf(graph, id)}</span>{" "}
            <span class="facts">{factOf(found, graph, id)}</span>
          </li>
        ))}
      </ul>
      <p class="facts">{fitting.length === 0 ? t.noMatch : fitting.length > MOST ? t.more(fitting.length - MOST) : ""}</p>
      {ofHiddenTypes > 0 && <p class="facts">{t.ofHiddenTypes(ofHiddenTypes)}</p>}
    </section>
  );
}

interface NeighbourProps {
  found: api.GraphPicture;
  graph: Picture;
  node: string;
  steps: number;
  onSteps: (steps: number) => void;
  isChoosing: boolean;
  onPath: () => void;
  onChoose: (node: string | undefined) => void;
  onOpen: (node: string) => void;
}

/** The node that is looked at, and its neighbours. */
export function Neighbours({ found, graph, node, steps, onSteps, isChoosing, onPath, onChoose, onOpen }: NeighbourProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  const [isAll, setAll] = useState(false);
  useEffect(() => {
    // The list that was used is gone; without a list, such as after a click on the picture, the focus stays.
    if (document.activeElement === document.body) heading.current?.focus({ preventScroll: true });
  }, [node]);
  const relations = graph.mapEdges(node, (_edge, look, source, target) => ({
    other: source === node ? target : source,
    type: found.relationTypes[look.kind] ?? "",
    isOut: source === node,
  }));
  relations.sort((one, other) => one.type.localeCompare(other.type) || nameOf(graph, one.other).localeCompare(nameOf(graph, other.other)));
  return (
    <section class="card" aria-labelledby="chosen">
      <h2 id="chosen" ref={heading} tabIndex={-1}>
        {nameOf(graph, node)}
      </h2>
      <p>
        <span class="tag">{typeOf(graph, node)}</span> <span class="facts">{factOf(found, graph, node)}</span>
      </p>
      <div class="actions">
        {found.isClustered ? (
          <button type="button" class="main" onClick={() => onOpen(node)}>
            {t.openCluster}
          </button>
        ) : (
          <a class="button" href={links.entity(node)}>
            {t.openEntity}
          </a>
        )}
        <button type="button" aria-pressed={isChoosing} onClick={onPath}>
          {t.path}
        </button>
        <button type="button" onClick={() => onChoose(undefined)}>
          {t.everything}
        </button>
      </div>
      {isChoosing ? (
        <PathEnd found={found} graph={graph} node={node} onChoose={onChoose} />
      ) : (
        <>
          <label class="choice">
            <input type="checkbox" checked={steps === 2} onChange={(event) => onSteps(event.currentTarget.checked ? 2 : 1)} />
            {t.twoSteps}
          </label>
          <ul class="nodes">
            {relations.slice(0, isAll ? undefined : MOST).map(({ other, type, isOut }) => (
              <li key={`${isOut ? ">" : "<"} ${other}`}>
                <span class="tag">
                  {isOut ? `${type} →` : `← ${type}`}
                </span>{" "}
                <Choice graph={graph} node={other} onChoose={onChoose} />
              </li>
            ))}
          </ul>
          {relations.length === 0 && <p class="quiet">{t.alone}</p>}
          {relations.length > MOST && !isAll && (
            <button type="button" onClick={() => setAll(true)}>
              {texts.search.more}
            </button>
          )}
        </>
      )}
    </section>
  );
}

/** Chooses where a path ends; a click on the picture does so, too. */
function PathEnd({ found, graph, node, onChoose }: Pick<NeighbourProps, "found" | "graph" | "node" | "onChoose">) {
  const field = useRef<HTMLInputElement>(null);
  const [text, setText] = useState("");
  useLayoutEffect(() => field.current?.focus(), []);
  const wanted = text.trim().toLowerCase();
  const fitting = found.nodes.ids.filter((id, at) => id !== node && (found.nodes.names[at] ?? "").toLowerCase().includes(wanted));
  const exact = fitting.filter((id) => nameOf(graph, id).toLowerCase() === wanted);
  /** The node that Enter chooses: the only one that fits, or that has exactly this name. */
  const only = fitting.length === 1 ? fitting[0] : exact.length === 1 ? exact[0] : undefined;
  return (
    <>
      <label for="path-end">{t.pathTo}</label>
      <input
        id="path-end"
        ref={field}
        type="search"
        value={text}
        autocomplete="off"
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || only === undefined) return;
          event.preventDefault();
          onChoose(only);
        }}
      />
      <ul class="nodes">
        {fitting.slice(0, 10).map((id) => (
          <li key={id}>
            <Choice graph={graph} node={id} onChoose={onChoose} /> <span class="tag">{typeOf(graph, id)}</span>
          </li>
        ))}
      </ul>
      {fitting.length === 0 && <p class="quiet">{t.noMatch}</p>}
    </>
  );
}

/** How the relation between two neighbours reads. */
function relationBetween(found: api.GraphPicture, graph: Picture, from: string, to: string): string {
  const forth = graph.edge(from, to);
  const back = graph.edge(to, from);
  const word = (edge: string) => found.relationTypes[graph.getEdgeAttribute(edge, "kind")] ?? "";
  return forth !== undefined ? `${word(forth)} →` : back !== undefined ? `← ${word(back)}` : "";
}

interface PathProps {
  found: api.GraphPicture;
  graph: Picture;
  path: string[] | "none";
  onChoose: (node: string) => void;
  onClose: () => void;
}

export function PathFound({ found, graph, path, onChoose, onClose }: PathProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), [path]);
  return (
    <section class="card" aria-labelledby="path">
      <h2 id="path" ref={heading} tabIndex={-1}>
        {path === "none" ? t.noPath : t.pathOf(path.length - 1)}
      </h2>
      {path !== "none" && (
        <ol class="nodes">
          {path.map((node, at) => {
            const former = path[at - 1];
            return (
              <li key={node}>
                {former !== undefined && <span class="tag">{relationBetween(found, graph, former, node)}</span>} <Choice graph={graph} node={node} onChoose={onChoose} />
              </li>
            );
          })}
        </ol>
      )}
      <button type="button" onClick={onClose}>
        {t.closePath}
      </button>
    </section>
  );
}

const MOST_TYPES = 12;

/** Colours and shapes of the types; each can be hidden. */
export function Legend({ found, hidden, onToggle }: { found: api.GraphPicture; hidden: ReadonlySet<string>; onToggle: (type: string) => void }) {
  const [isAll, setAll] = useState(false);
  return (
    <section class="card" aria-label={t.legend}>
      <h2>{t.legend}</h2>
      <ul class="legend">
        {found.types.slice(0, isAll ? undefined : MOST_TYPES).map((type) => {
          const { shape, colour } = lookOf(type);
          return (
            <li key={type}>
              <label class="choice">
                <input type="checkbox" checked={!hidden.has(type)} onChange={() => onToggle(type)} />
                <span class={`mark-${shape} tone-${colour}`} aria-hidden="true" />
                {type}
              </label>
            </li>
          );
        })}
      </ul>
      {found.types.length > MOST_TYPES && !isAll && (
        <button type="button" onClick={() => setAll(true)}>
          {texts.search.more}
        </button>
      )}
    </section>
  );
}
