// Draws a picture of a graph with WebGL. Knows nodes and edges, no page and no server.

import Sigma from "sigma";
import { EdgeArrowProgram, EdgeLineProgram } from "sigma/rendering";
import type { Settings } from "sigma/settings";
import { FONT, Names } from "./labels";
import type { EdgeLook, NodeLook, Paper, Picture, Places, View } from "./model";
import { drawForPointer, MANY_NODES, ShapeProgram } from "./shapes";

export interface SceneOptions {
  paper: Paper;
  /** Whether the user has asked for less motion. */
  isStill: boolean;
  onChoose: (node: string | undefined) => void;
  onOpen: (node: string) => void;
}

/** Above this number, edges are left out while the picture moves. */
const MANY_EDGES = 2000;
/** The points of the screen that a view is measured by. */
const HUNDRED = 100;
/** Up to this number of nodes each may have its name, where there is room. */
const FEW_NODES = 200;

function settings(graph: Picture, paper: Paper, names: Names, isStill: boolean): Partial<Settings<NodeLook, EdgeLook>> {
  const color = paper.isDark ? "#e4e7eb" : "#1a1d21";
  return {
    nodeProgramClasses: { shape: ShapeProgram },
    defaultNodeType: "shape",
    edgeProgramClasses: { line: EdgeLineProgram, arrow: EdgeArrowProgram },
    defaultEdgeType: "line",
    defaultDrawNodeLabel: names.draw,
    defaultDrawNodeHover: names.drawHovered,
    labelColor: { color },
    labelFont: FONT,
    labelSize: 13,
    edgeLabelColor: { color },
    edgeLabelFont: FONT,
    edgeLabelSize: 11,
    renderEdgeLabels: true,
    itemSizesReference: "screen",
    zIndex: true,
    hideEdgesOnMove: graph.size > MANY_EDGES,
    hideLabelsOnMove: graph.order > MANY_NODES,
    enableCameraRotation: false,
    labelRenderedSizeThreshold: graph.order > 500 ? 8 : graph.order > FEW_NODES ? 4 : 0,
    labelDensity: graph.order > FEW_NODES ? 0.6 : 4,
    minCameraRatio: 0.01,
    maxCameraRatio: 4,
    ...(isStill ? { zoomDuration: 0, inertiaDuration: 0, doubleClickZoomingDuration: 0 } : {}),
    allowInvalidContainer: true,
  };
}

/** The smallest and the largest of numbers, of which there may be more than a call has arguments. */
const endsOf = (all: number[]): [number, number] => [all.reduce((one, other) => Math.min(one, other), Infinity), all.reduce((one, other) => Math.max(one, other), -Infinity)];

/** Two clicks are a double click within this time, in milliseconds, and this distance, in points of the screen. */
const [DOUBLE_TIME, DOUBLE_DISTANCE] = [300, 8] as const;

interface Click {
  node: string | undefined;
  x: number;
  y: number;
  at: number;
}

export class Scene {
  readonly #sigma: Sigma<NodeLook, EdgeLook>;
  readonly #isStill: boolean;
  readonly #end: AbortController = new AbortController();
  #last: Click | undefined;

  /** Fails where the browser has no WebGL. */
  constructor(place: HTMLElement, graph: Picture, { paper, isStill, onChoose, onOpen }: SceneOptions) {
    this.#isStill = isStill;
    const names = new Names(paper);
    this.#sigma = new Sigma<NodeLook, EdgeLook>(graph, place, settings(graph, paper, names, isStill));
    this.#sigma.on("beforeRender", () => names.begin());
    // Sigma takes two clicks within its time for a double click, wherever they are, and the first one may have moved the picture.
    const click = (node: string | undefined, { event: { x, y } }: { event: { x: number; y: number } }): "chosen" | "opened" | "stage" => {
      const last = this.#last;
      const at = performance.now();
      const isDouble = last !== undefined && at - last.at <= DOUBLE_TIME && Math.hypot(x - last.x, y - last.y) <= DOUBLE_DISTANCE;
      this.#last = isDouble ? undefined : { node, x, y, at };
      if (isDouble && last.node === undefined) return "stage";
      if (isDouble && last.node !== undefined) onOpen(last.node);
      else onChoose(node);
      return isDouble ? "opened" : "chosen";
    };
    this.#sigma.on("clickNode", (event) => void click(event.node, event));
    this.#sigma.on("clickStage", (event) => void click(undefined, event));
    this.#sigma.on("doubleClickNode", (event) => {
      if (click(event.node, event) !== "stage") event.preventSigmaDefault();
    });
    this.#sigma.on("doubleClickStage", (event) => {
      if (click(undefined, event) !== "stage") event.preventSigmaDefault();
    });
    // Before sigma looks for the node under the pointer.
    for (const name of ["click", "touchend"]) place.addEventListener(name, () => drawForPointer(this.#sigma), { capture: true, signal: this.#end.signal });
  }

  /** Moves the nodes, x and y of each in the order of the graph. */
  place(places: Float32Array): void {
    let at = 0;
    this.#sigma.getGraph().updateEachNodeAttributes(
      (_id, look) => {
        look.x = places[at] ?? 0;
        look.y = places[at + 1] ?? 0;
        at += 2;
        return look;
      },
      { attributes: ["x", "y"] },
    );
  }

  /** Moves the camera so that these nodes fill the picture. */
  frame(nodes: Iterable<string>): void {
    const found = Array.from(nodes, (node) => this.#sigma.getNodeDisplayData(node)).filter((node) => node !== undefined);
    if (found.length === 0) return;
    const [xs, ys] = [found.map(({ x }) => x), found.map(({ y }) => y)];
    const [[left, right], [low, high]] = [endsOf(xs), endsOf(ys)];
    const ratio = Math.min(Math.max(1.4 * Math.max(right - left, high - low), 0.08), 1);
    this.#go({ x: (left + right) / 2, y: (low + high) / 2, ratio });
  }

  zoom(factor: number): void {
    const camera = this.#sigma.getCamera();
    this.#go({ ratio: camera.getBoundedRatio(camera.ratio * factor) });
  }

  /** Moves the camera by parts of the screen. */
  move(right: number, down: number): void {
    const { x, y, ratio } = this.#sigma.getCamera();
    this.#go({ x: x + right * ratio, y: y - down * ratio });
  }

  /** Shows everything. */
  fit(): void {
    this.frame(this.#sigma.getGraph().nodes());
  }

  /** Measures the plane by these places, also those of nodes that are not in the picture, so that it stays as it is without them. */
  span(places: Places): void {
    const [xs, ys] = [Array.from(places.values(), ([x]) => x), Array.from(places.values(), ([, y]) => y)];
    if (places.size > 1) this.#sigma.setCustomBBox({ x: endsOf(xs), y: endsOf(ys) });
    this.#sigma.refresh();
  }

  /** What the user looks at. */
  get view(): View {
    const { width, height } = this.#sigma.getDimensions();
    const middle = this.#sigma.viewportToGraph({ x: width / 2, y: height / 2 });
    const beside = this.#sigma.viewportToGraph({ x: width / 2 + HUNDRED, y: height / 2 });
    return { ...middle, length: Math.hypot(beside.x - middle.x, beside.y - middle.y) };
  }

  /** Shows this part of the plane at once. */
  set view({ x, y, length }: View) {
    const override = { cameraState: { x: 0.5, y: 0.5, ratio: 1, angle: 0 } };
    const middle = this.#sigma.graphToViewport({ x, y }, override);
    const beside = this.#sigma.graphToViewport({ x: x + length, y }, override);
    const place = this.#sigma.viewportToFramedGraph(middle, override);
    const camera = this.#sigma.getCamera();
    camera.setState({ ...place, ratio: camera.getBoundedRatio(Math.hypot(beside.x - middle.x, beside.y - middle.y) / HUNDRED) });
  }

  end(): void {
    this.#end.abort();
    this.#sigma.kill();
  }

  #go(state: { x?: number; y?: number; ratio?: number }): void {
    const camera = this.#sigma.getCamera();
    if (this.#isStill) camera.setState(state);
    else void camera.animate(state, { duration: 250 });
  }
}
