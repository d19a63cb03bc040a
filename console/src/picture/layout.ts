// The layout of a picture, in a worker.

import forceAtlas2 from "graphology-layout-forceatlas2";
import type { GraphPicture } from "../api";
import { startWorker } from "../workers";
import type { LayoutReply, LayoutTask } from "./layout_worker";
import type { Places } from "./model";

/** Up to this number of nodes, none is far from the others, so that one without relations does not leave the rest small. */
const FEW = 500;

function settingsFor(nodes: number) {
  const isSmall = nodes <= FEW;
  return { ...forceAtlas2.inferSettings(nodes), gravity: isSmall ? 0.5 : 0.05, barnesHutOptimize: !isSmall, barnesHutTheta: 0.9, edgeWeightInfluence: 0.5 };
}

/** Finds places for the nodes; ends the work when the picture is left. */
export class Layout {
  readonly #worker = startWorker("layout");

  constructor(found: GraphPicture, known: Places, onPlaces: (reply: LayoutReply) => void) {
    const { ids } = found.nodes;
    const start = new Float32Array(2 * ids.length).fill(NaN);
    ids.forEach((id, at) => {
      const place = known.get(id);
      if (place !== undefined) start.set(place, 2 * at);
    });
    const task: LayoutTask = {
      settings: settingsFor(ids.length),
      nodes: ids.length,
      from: Uint32Array.from(found.edges.from),
      to: Uint32Array.from(found.edges.to),
      weights: Float32Array.from(found.edges.relations, (relations) => 1 + Math.log2(relations)),
      start: known.size > 0 ? start : undefined,
    };
    this.#worker.onmessage = ({ data }: MessageEvent<LayoutReply>) => onPlaces(data);
    this.#worker.postMessage(task, [task.from.buffer, task.to.buffer, task.weights.buffer]);
  }

  end(): void {
    this.#worker.terminate();
  }
}
