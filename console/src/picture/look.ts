// How a type of entities looks: its shape, and which of the colours it has. The name of the type decides, so that a type looks the same in
// every picture, at every time, and for every reader.

export const SHAPES = ["circle", "square", "diamond", "triangle"] as const;
export type Shape = (typeof SHAPES)[number];

/** How many colours there are. */
const COLOURS = 9;
/** How many looks there are: no two of them have both colour and shape in common. */
const LOOKS = SHAPES.length * COLOURS;

export interface Look {
  shape: Shape;
  colour: number;
}

/** Types that most graphs have. Each has a look of its own. */
const USUAL = [
  "service", "person", "component", "project", "decision", "technology", "concept", "file", "library",
  "tool", "team", "feature", "system", "task", "event", "issue", "api", "database",
] as const;

/** The looks of other types in this page: of two whose names lead to the same look, the second gets the next one that is free. */
const given = new Map<string, number>(USUAL.map((type, at) => [type, at]));

/** A number that a text leads to (FNV-1a). */
function hash(text: string): number {
  let found = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) found = Math.imul(found ^ text.charCodeAt(at), 0x01000193) >>> 0;
  return found;
}

function numberOf(type: string): number {
  const name = type.trim().toLowerCase();
  const known = given.get(name);
  if (known !== undefined) return known;
  const others = LOOKS - USUAL.length;
  const wanted = hash(name) % others;
  const taken = new Set(given.values());
  let free = wanted;
  for (let step = 0; step < others; step += 1) {
    const next = (wanted + step) % others;
    if (taken.has(USUAL.length + next)) continue;
    free = next;
    break;
  }
  given.set(name, USUAL.length + free);
  return USUAL.length + free;
}

/** The look of a type; without one, a grey circle. */
export function lookOf(type: string | undefined): Look {
  if (type === undefined) return { shape: "circle", colour: COLOURS - 1 };
  const number = numberOf(type);
  return { shape: SHAPES[number % SHAPES.length] ?? "circle", colour: number % COLOURS };
}
