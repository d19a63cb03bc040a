// The places where two changes of one text differ from it and from each other. Knows lines, no page.

import { diffComm, diffIndices } from "node-diff3";

/** Lines of one of the texts, from the first to before the last. */
export type Range = readonly [first: number, end: number];

/** Whose change it is: of one of both, the same of both, or another of each. */
export type Kind = "mine" | "theirs" | "same" | "conflict";

export interface Place {
  kind: Kind;
  base: Range;
  mine: Range;
  theirs: Range;
}

interface Hunk {
  side: "mine" | "theirs";
  first: number;
  end: number;
  /** By how many lines the text grows there. */
  growth: number;
}

function hunksOf(side: Hunk["side"], base: string[], text: string[]): Hunk[] {
  return diffIndices(base, text).map(({ buffer1: [first, length], buffer2: [, grown] }) => ({ side, first, end: first + length, growth: grown - length }));
}

/** The places, in order. Changes that touch each other are one place. */
export function placesOf(base: string[], mine: string[], theirs: string[]): Place[] {
  const hunks = [...hunksOf("mine", base, mine), ...hunksOf("theirs", base, theirs)].sort((one, other) => one.first - other.first);
  const places: Place[] = [];
  const shift = { mine: 0, theirs: 0 };
  let next = hunks.shift();
  while (next !== undefined) {
    const begin = { ...shift };
    const [first, sides] = [next.first, new Set<Hunk["side"]>()];
    let end = next.end;
    while (next !== undefined && next.first <= end) {
      end = Math.max(end, next.end);
      sides.add(next.side);
      shift[next.side] += next.growth;
      next = hunks.shift();
    }
    const range = (side: Hunk["side"]): Range => [first + begin[side], end + shift[side]];
    const [own, other] = [range("mine"), range("theirs")];
    const isSame = mine.slice(...own).join("\n") === theirs.slice(...other).join("\n") && own[1] - own[0] === other[1] - other[0];
    const kind: Kind = sides.size === 1 ? ([...sides][0] ?? "mine") : isSame ? "same" : "conflict";
    places.push({ kind, base: [first, end], mine: own, theirs: other });
  }
  return places;
}

export interface MarkedLine {
  text: string;
  /** Whether the other text lacks it. */
  isOwn: boolean;
}

/** Lines of a text, with those marked that another text lacks. */
export function marked(lines: string[], other: string[]): MarkedLine[] {
  return diffComm(lines, other).flatMap((part): MarkedLine[] =>
    "common" in part ? part.common.map((text) => ({ text, isOwn: false })) : part.buffer1.map((text) => ({ text, isOwn: true })),
  );
}
