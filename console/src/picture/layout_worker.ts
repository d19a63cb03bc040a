// Finds places for the nodes of a picture by forces (ForceAtlas2), beside the page.

import type { ForceAtlas2Settings } from "graphology-layout-forceatlas2";
import iterate from "graphology-layout-forceatlas2/iterate";

export interface LayoutTask {
  settings: ForceAtlas2Settings;
  nodes: number;
  from: Uint32Array;
  to: Uint32Array;
  weights: Float32Array;
  /** Places of an earlier picture, x and y of each node; NaN where a node has none. */
  start: Float32Array | undefined;
}

export interface LayoutReply {
  places: Float32Array;
  isDone: boolean;
}

// The columns of the matrices that the library works on.
const OF_NODE = 10;
const OF_EDGE = 3;
const [X, Y, MASS, CONVERGENCE, SIZE, FIXED] = [0, 1, 6, 7, 8, 9] as const;
/** Between two replies, in milliseconds: of a picture of many nodes, whose drawing takes long, and of others. */
const [LONG_PAUSE, PAUSE] = [2000, 150];
const MANY = 2000;

const own = self as unknown as { onmessage: (event: MessageEvent<LayoutTask>) => void; postMessage(reply: LayoutReply, moved: Transferable[]): void };

/** Spreads the nodes evenly over a disc, in their order. */
function spread(nodes: Float32Array, at: number): void {
  const [radius, angle] = [10 * Math.sqrt(at / OF_NODE + 1), (at / OF_NODE) * 2.399963];
  nodes[at + X] = radius * Math.cos(angle);
  nodes[at + Y] = radius * Math.sin(angle);
}

function matrices(task: LayoutTask): { nodes: Float32Array; edges: Float32Array; kept: number } {
  const nodes = new Float32Array(task.nodes * OF_NODE);
  const edges = new Float32Array(task.from.length * OF_EDGE);
  let kept = 0;
  for (let node = 0; node < task.nodes; node += 1) {
    const at = node * OF_NODE;
    const [x, y] = [task.start?.[2 * node] ?? NaN, task.start?.[2 * node + 1] ?? NaN];
    if (Number.isNaN(x) || Number.isNaN(y)) {
      spread(nodes, at);
    } else {
      nodes[at + X] = x;
      nodes[at + Y] = y;
      kept += 1;
    }
    nodes[at + MASS] = 1;
    nodes[at + CONVERGENCE] = 1;
    nodes[at + SIZE] = 1;
  }
  task.from.forEach((from, edge) => {
    const [source, target, weight] = [from * OF_NODE, (task.to[edge] ?? 0) * OF_NODE, task.weights[edge] ?? 1];
    edges.set([source, target, weight], edge * OF_EDGE);
    nodes[source + MASS] = (nodes[source + MASS] ?? 1) + weight;
    nodes[target + MASS] = (nodes[target + MASS] ?? 1) + weight;
  });
  return { nodes, edges, kept };
}

/** Lets the nodes that had a place keep it. */
function fix(start: Float32Array | undefined, nodes: Float32Array): void {
  for (let at = 0; at < nodes.length; at += OF_NODE) {
    if (!Number.isNaN(start?.[(2 * at) / OF_NODE] ?? NaN)) nodes[at + FIXED] = 1;
  }
}

function places(nodes: Float32Array): Float32Array {
  const found = new Float32Array((nodes.length / OF_NODE) * 2);
  for (let at = 0; at < nodes.length; at += OF_NODE) found.set([nodes[at + X] ?? 0, nodes[at + Y] ?? 0], (at / OF_NODE) * 2);
  return found;
}

own.onmessage = ({ data: task }) => {
  const { nodes, edges, kept } = matrices(task);
  // What is there already stays where it is.
  const isKnown = kept > task.nodes / 2;
  if (isKnown) fix(task.start, nodes);
  const rounds = isKnown ? 40 : task.nodes > MANY ? 200 : 400;
  const pause = task.nodes > MANY ? LONG_PAUSE : PAUSE;
  let last = performance.now();
  for (let round = 0; round < rounds; round += 1) {
    iterate(task.settings, nodes, edges);
    if (performance.now() - last < pause) continue;
    last = performance.now();
    const found = places(nodes);
    own.postMessage({ places: found, isDone: false }, [found.buffer]);
  }
  const found = places(nodes);
  own.postMessage({ places: found, isDone: true }, [found.buffer]);
};
