// Draws the names of nodes: beside the node where there is room, within the picture, and none over another one.

import type { Settings } from "sigma/settings";
import type { NodeDisplayData, PartialButFor } from "sigma/types";
import { visible } from "../unseen";
import type { Paper } from "./model";

export const FONT = "system-ui, sans-serif";
/** Between a node and its name, in points. */
const GAP = 3;

type Labelled = PartialButFor<NodeDisplayData, "x" | "y" | "size" | "label" | "color">;
type Font = Pick<Settings, "labelSize" | "labelWeight">;
type Box = readonly [left: number, top: number, right: number, bottom: number];

const meet = (one: Box, other: Box): boolean => one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];

/** Where a name may be: right of its node, left of it, below and above it; first where the picture has room for it. */
function placesOf(context: CanvasRenderingContext2D, { x, y, size }: Labelled, width: number, height: number): { left: number; middle: number }[] {
  const beside = size + GAP;
  const off = size + height / 2;
  const screen = context.canvas.width / context.getTransform().a;
  const within = Math.max(0, Math.min(x - width / 2, screen - width));
  const all = [
    { left: x + beside, middle: y },
    { left: x - beside - width, middle: y },
    { left: within, middle: y + off },
    { left: within, middle: y - off },
  ];
  const fits = ({ left }: { left: number }) => left >= 0 && left + width <= screen;
  return [...all.filter(fits), ...all.filter((one) => !fits(one))];
}

const colour = (paper: Paper): string => (paper.isDark ? "#e4e7eb" : "#1a1d21");
/** A name is read also where it lies over nodes and edges. */
const HALO = { light: "#ffffffd0", dark: "#1a1e24d0", width: 3 } as const;

/** Draws the names of one picture, frame by frame. */
export class Names {
  #taken: Box[] = [];

  constructor(private readonly paper: Paper) {}

  /** A frame begins. */
  begin(): void {
    this.#taken = [];
  }

  readonly draw = (context: CanvasRenderingContext2D, node: Labelled, { labelSize, labelWeight }: Font): void => {
    if (node.label === null || node.label === "") return;
    const label = visible(node.label);
    context.font = `${labelWeight} ${labelSize}px ${FONT}`;
    const width = context.measureText(label).width;
    const boxOf = ({ left, middle }: { left: number; middle: number }): Box => [left, middle - labelSize / 2, left + width, middle + labelSize / 2];
    const place = placesOf(context, node, width, labelSize + GAP).find((one) => !this.#taken.some((other) => meet(other, boxOf(one))));
    if (place === undefined) return;
    this.#taken.push(boxOf(place));
    context.lineJoin = "round";
    context.lineWidth = HALO.width;
    context.strokeStyle = this.paper.isDark ? HALO.dark : HALO.light;
    context.strokeText(label, place.left, place.middle + labelSize / 3);
    context.fillStyle = colour(this.paper);
    context.fillText(label, place.left, place.middle + labelSize / 3);
  };

  /** Draws the name of the node under the pointer on paper, over everything. */
  readonly drawHovered = (context: CanvasRenderingContext2D, node: Labelled, { labelSize, labelWeight }: Font): void => {
    if (node.label === null) return;
    const label = visible(node.label);
    context.font = `${labelWeight} ${labelSize}px ${FONT}`;
    const width = context.measureText(label).width;
    const [place] = placesOf(context, node, width + 2 * GAP, 2 * labelSize);
    if (place === undefined) return;
    const { left, middle } = place;
    context.fillStyle = this.paper.isDark ? "#232931" : "#ffffff";
    context.strokeStyle = this.paper.isDark ? "#7d8793" : "#767e89";
    context.lineWidth = 1;
    context.beginPath();
    context.roundRect(left - 1, middle - labelSize, width + 2 * GAP + 2, 2 * labelSize, 4);
    context.fill();
    context.stroke();
    context.fillStyle = colour(this.paper);
    context.fillText(label, left + GAP, middle + labelSize / 3);
  };
}
