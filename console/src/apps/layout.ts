// Places for the entities of a small picture: those that are related attract each other, all others keep a distance. The same
// graph always gets the same picture, at once and without movement.

import type { Relation } from "./graph_model";

export type Place = readonly [x: number, y: number];
export const WIDTH = 800;
export const HEIGHT = 520;
const MARGIN = 46;
const ROUNDS = 220;
const GOLDEN = 2.399963;

/** Places by ids. The time grows with the square of their number, so a picture has few. */
export function placed(ids: readonly string[], relations: readonly Relation[]): Map<string, Place> {
  const index = new Map(ids.map((id, at) => [id, at]));
  const x = Float64Array.from(ids, (_id, at) => Math.cos(at * GOLDEN) * Math.sqrt(at + 0.5));
  const y = Float64Array.from(ids, (_id, at) => Math.sin(at * GOLDEN) * Math.sqrt(at + 0.5));
  const edges = relations.flatMap(({ from, to }) => {
    const [a, b] = [index.get(from), index.get(to)];
    return a === undefined || b === undefined || a === b ? [] : [[a, b] as const];
  });
  for (let round = 0; round < ROUNDS; round += 1) move(x, y, edges, 1.2 * (1 - round / ROUNDS));
  return scaled(ids, x, y);
}

function move(x: Float64Array, y: Float64Array, edges: (readonly [number, number])[], longest: number): void {
  const [dx, dy] = [new Float64Array(x.length), new Float64Array(x.length)];
  const push = (to: Float64Array, at: number, by: number) => (to[at] = (to[at] ?? 0) + by);
  const between = (a: number, b: number) => [(x[a] ?? 0) - (x[b] ?? 0), (y[a] ?? 0) - (y[b] ?? 0)] as const;
  for (let a = 0; a < x.length; a += 1) {
    for (let b = 0; b < a; b += 1) {
      const [w, h] = between(a, b);
      const force = 1 / Math.max(w * w + h * h, 0.01);
      push(dx, a, w * force);
      push(dy, a, h * force);
      push(dx, b, -w * force);
      push(dy, b, -h * force);
    }
    // Whatever has no relations stays near the others.
    push(dx, a, -0.04 * (x[a] ?? 0));
    push(dy, a, -0.06 * (y[a] ?? 0));
  }
  for (const [a, b] of edges) {
    const [w, h] = between(a, b);
    const force = 0.25 * Math.hypot(w, h);
    push(dx, a, -w * force);
    push(dy, a, -h * force);
    push(dx, b, w * force);
    push(dy, b, h * force);
  }
  for (let at = 0; at < x.length; at += 1) {
    const [w, h] = [dx[at] ?? 0, dy[at] ?? 0];
    const length = Math.hypot(w, h);
    if (length === 0) continue;
    const step = Math.min(length, longest) / length;
    push(x, at, w * step);
    push(y, at, h * step);
  }
}

function scaled(ids: readonly string[], x: Float64Array, y: Float64Array): Map<string, Place> {
  const fit = (values: Float64Array, size: number) => {
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const span = most - least;
    return (value: number) => (span < 0.001 ? size / 2 : MARGIN + ((value - least) / span) * (size - 2 * MARGIN));
  };
  const [across, down] = [fit(x, WIDTH), fit(y, HEIGHT)];
  return new Map(ids.map((id, at) => [id, [across(x[at] ?? 0), down(y[at] ?? 0)] as const]));
}
