// What a picture shows of a graph: nodes and edges with colours and shapes, the neighbourhood of a node, a path. Knows no page.

import Graph from "graphology";
import { bidirectional } from "graphology-shortest-path/unweighted";
import type { GraphPicture } from "../api";
import { lookOf, type Shape } from "./look";

/** Colours that are told apart by people who see some colours alike, on light and on dark paper (by Okabe and Ito, darkened or
 * lightened to a contrast of 3:1). Shapes distinguish types that have the same. */
const COLOURS = {
  light: ["#0b57d0", "#b45309", "#00805c", "#a3357a", "#5b6b00", "#006d8f", "#c2410c", "#5b3fbf", "#5a6270"],
  dark: ["#8ab4f8", "#f0a848", "#45c9a0", "#ec8fc6", "#cdd353", "#56c2e6", "#ff9070", "#b7a3ff", "#b4bcc8"],
};

/** Also what sigma draws: it knows `hidden`, `forceLabel` and `zIndex`, and the `type` of edges as a way to draw. */
export interface NodeLook {
  x: number;
  y: number;
  size: number;
  /** Its size, unless something else is looked at. */
  own: number;
  name: string;
  label: string | null;
  color: string;
  shape: Shape;
  /** The name of its type. */
  kind: string;
  hidden: boolean;
  forceLabel: boolean;
  zIndex: number;
}

export interface EdgeLook {
  color: string;
  size: number;
  kind: number;
  label: string | null;
  forceLabel: boolean;
  type: "line" | "arrow";
  hidden: boolean;
  zIndex: number;
}

export type Picture = Graph<NodeLook, EdgeLook>;

export interface Paper {
  isDark: boolean;
}

export const colourOf = (type: string | undefined, { isDark }: Paper): string => COLOURS[isDark ? "dark" : "light"][lookOf(type).colour] ?? "#767e89";
const faint = ({ isDark }: Paper) => (isDark ? "#363d47" : "#d6dce4");
const line = ({ isDark }: Paper) => (isDark ? "#4a535f" : "#b9c2cd");
const strong = ({ isDark }: Paper) => (isDark ? "#a8c7fa" : "#0b57d0");

/** Places of nodes, by their ids. */
export type Places = Map<string, [number, number]>;

/** A part of the plane: its middle, and the length that a hundred points of the screen show. */
export interface View {
  x: number;
  y: number;
  length: number;
}

/** What stays of a picture when it is drawn anew, such as for another time. */
export interface Kept {
  places: Places;
  /** What the user looked at. */
  view: View | undefined;
  /** The choice that the picture was moved to last. */
  framed: string | undefined;
  /** Whether it is arranged or held by the pointer just now, so that it should not be drawn anew. */
  isBusy: boolean;
}

function sizeOf(entities: number | undefined, degree: number, nodes: number): number {
  if (entities !== undefined) return 3 + 1.5 * Math.log2(entities + 1);
  const scale = nodes > 2000 ? 0.4 : nodes > 300 ? 0.6 : nodes > 60 ? 1 : 1.3;
  return scale * Math.min(4 + 1.7 * Math.sqrt(degree), 20);
}

const SHORT = 30;
/** A name as it fits into the picture; the lists have all of it. */
const short = (name: string) => (name.length > SHORT ? `${name.slice(0, SHORT)}…` : name);

/** The graph of a picture. Nodes without a place get one from the layout. */
export function graphOf(found: GraphPicture, places: Places, paper: Paper): Picture {
  const graph: Picture = new Graph({ type: "directed", multi: false, allowSelfLoops: false });
  const { ids, names, types, entities } = found.nodes;
  const degrees = new Uint32Array(ids.length);
  for (const ends of [found.edges.from, found.edges.to]) for (const end of ends) degrees[end] = (degrees[end] ?? 0) + 1;
  ids.forEach((id, at) => {
    const kind = types[at] ?? 0;
    const [x, y] = places.get(id) ?? [Math.cos(at * 2.399963) * Math.sqrt(at + 1), Math.sin(at * 2.399963) * Math.sqrt(at + 1)];
    graph.addNode(id, {
      x,
      y,
      size: sizeOf(entities?.[at], degrees[at] ?? 0, ids.length),
      own: sizeOf(entities?.[at], degrees[at] ?? 0, ids.length),
      name: names[at] ?? id,
      label: short(names[at] ?? id),
      color: colourOf(found.types[kind], paper),
      shape: lookOf(found.types[kind]).shape,
      kind: found.types[kind] ?? "",
      hidden: false,
      forceLabel: false,
      zIndex: 0,
    });
  });
  found.edges.from.forEach((from, at) => {
    const [source, target] = [ids[from], ids[found.edges.to[at] ?? -1]];
    if (source === undefined || target === undefined) return;
    const kind = found.edges.types[at] ?? 0;
    graph.addEdge(source, target, { color: line(paper), size: 1, kind, label: null, forceLabel: false, type: "line", hidden: false, zIndex: 0 });
  });
  return graph;
}

/** What is looked at: a node with its neighbours so many steps around, or a path; without both, everything. */
export interface Focus {
  node: string | undefined;
  steps: number;
  path: string[] | undefined;
  /** Their names. */
  hiddenTypes: ReadonlySet<string>;
}

/** The nodes at most so many steps away, with it. */
export function around(graph: Picture, node: string, steps: number): Set<string> {
  const found = new Set([node]);
  let edge = [node];
  for (let step = 0; step < steps; step += 1) {
    const next: string[] = [];
    for (const one of edge) {
      for (const other of graph.neighbors(one)) {
        if (found.has(other)) continue;
        found.add(other);
        next.push(other);
      }
    }
    edge = next;
  }
  return found;
}

/** A shortest path between two nodes, whichever way its relations point. */
export function pathBetween(graph: Picture, from: string, to: string): string[] | undefined {
  if (!graph.hasNode(from) || !graph.hasNode(to)) return undefined;
  const both = new Graph({ type: "undirected", multi: false });
  graph.forEachNode((node) => both.addNode(node));
  graph.forEachEdge((_edge, _look, source, target) => both.mergeEdge(source, target));
  return bidirectional(both, from, to) ?? undefined;
}

/** Whether a path leads along edges that are there. */
export const isPath = (graph: Picture, path: string[]): boolean =>
  path.every((node, at) => graph.hasNode(node) && (at === 0 || graph.areNeighbors(node, path[at - 1])));

const MOST_LABELS = 60;
/** Above this number of edges, names of relations would cover each other. */
const MOST_NAMED_EDGES = 12;
/** The size of nodes that are not looked at. */
const SMALL = 2;

/** Whether an edge is one of those that are looked at. */
function edgeTest({ path }: Focus, shown: ReadonlySet<string> | undefined): (source: string, target: string) => boolean {
  if (path !== undefined) {
    const steps = new Set(path.slice(1).map((to, at) => `${path[at] ?? ""} ${to}`));
    return (source, target) => steps.has(`${source} ${target}`) || steps.has(`${target} ${source}`);
  }
  return (source, target) => shown?.has(source) === true && shown.has(target);
}

/** The nodes that the focus shows; nothing if it shows all. */
export function shownBy(graph: Picture, { node, path, steps }: Focus): ReadonlySet<string> | undefined {
  if (path !== undefined) return new Set(path);
  return node !== undefined && graph.hasNode(node) ? around(graph, node, steps) : undefined;
}

/** Gives nodes and edges the look that the focus asks for. */
export function apply(graph: Picture, focus: Focus, relationTypes: string[], paper: Paper): void {
  const { hiddenTypes } = focus;
  const shown = shownBy(graph, focus);
  const areNamed = shown !== undefined && shown.size <= MOST_LABELS;
  const isLookedAt = edgeTest(focus, shown);
  const named = graph.filterEdges((_edge, _look, source, target) => isLookedAt(source, target)).length <= MOST_NAMED_EDGES;
  graph.updateEachNodeAttributes(
    (id, look) => {
      const isIn = shown?.has(id) === true;
      const isOut = shown !== undefined && !isIn;
      look.color = isOut ? faint(paper) : colourOf(look.kind, paper);
      look.size = isOut ? Math.min(SMALL, look.own) : look.own;
      look.zIndex = isIn ? 1 : 0;
      look.hidden = hiddenTypes.has(look.kind) && !isIn;
      look.label = isOut ? null : short(look.name);
      look.forceLabel = isIn && (areNamed || id === focus.node);
      return look;
    },
    { attributes: ["color", "size", "zIndex", "hidden", "label", "forceLabel"] },
  );
  graph.updateEachEdgeAttributes(
    (_edge, look, source, target, from, to) => {
      const isIn = isLookedAt(source, target);
      look.hidden = (shown !== undefined && !isIn) || from.hidden || to.hidden;
      look.color = isIn ? strong(paper) : line(paper);
      look.size = isIn ? 1.5 : 1;
      look.label = isIn && named ? (relationTypes[look.kind] ?? null) : null;
      look.forceLabel = look.label !== null;
      look.type = isIn ? "arrow" : "line";
      look.zIndex = isIn ? 1 : 0;
      return look;
    },
    { attributes: ["hidden", "color", "size", "label", "forceLabel", "type", "zIndex"] },
  );
}
