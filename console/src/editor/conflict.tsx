// Three texts side by side: as it was, as somebody else has changed it, and as the user has. Where both changes meet, the user chooses.

import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { texts } from "../texts";
import { marked, type MarkedLine, type Place, placesOf } from "./three_way";

const t = texts.edit;

type Choice = "mine" | "theirs" | "both";

/** Lines around a place that are the same in all texts. */
const AROUND = 2;

interface Texts {
  base: string[];
  mine: string[];
  theirs: string[];
}

interface SideProps {
  heading: string;
  before: string[];
  lines: MarkedLine[];
  after: string[];
  /** How a marked line differs: it is new, or it was taken out. */
  mark: "ins" | "del";
}

function Side({ heading, before, lines, after, mark: Mark }: SideProps) {
  const same = (line: string, at: number) => (
    <span key={at} class="same">
      {line}
    </span>
  );
  return (
    <div class="side">
      <h3>{heading}</h3>
      <pre tabIndex={0} aria-label={heading}>
        {before.map(same)}
        {lines.length === 0 ? (
          <em>{t.nothing}</em>
        ) : (
          lines.map(({ text, isOwn }, at) => (isOwn ? <Mark key={at}>{text}</Mark> : <span key={at}>{text}</span>))
        )}
        {after.map(same)}
      </pre>
    </div>
  );
}

/** A place of the three texts, with a few lines around it. */
function Sides({ place, texts: { base, mine, theirs }, by, since, until }: { place: Place; texts: Texts; by: string | undefined; since: Place | undefined; until: Place | undefined }) {
  const [first, end] = place.base;
  const before = base.slice(Math.max(first - AROUND, since?.base[1] ?? 0), first);
  const after = base.slice(end, Math.min(end + AROUND, until?.base[0] ?? base.length));
  const [was, now, own] = [base.slice(first, end), theirs.slice(...place.theirs), mine.slice(...place.mine)];
  // A line is out if one of both has taken it out.
  const out = [marked(was, now), marked(was, own)];
  const lines = was.map((text, at) => ({ text, isOwn: out.some((side) => side[at]?.isOwn === true) }));
  return (
    <div class="sides">
      <Side heading={t.before} before={before} lines={lines} after={after} mark="del" />
      <Side heading={t.theirs(by)} before={before} lines={marked(now, was)} after={after} mark="ins" />
      <Side heading={t.mine} before={before} lines={marked(own, was)} after={after} mark="ins" />
    </div>
  );
}

/** The merged text; a place without a choice has theirs first. */
function mergedOf({ base, mine, theirs }: Texts, places: Place[], choices: Partial<Record<number, Choice>>): string {
  const parts: string[][] = [];
  let done = 0;
  places.forEach((place, at) => {
    parts.push(base.slice(done, place.base[0]));
    const [now, own] = [theirs.slice(...place.theirs), mine.slice(...place.mine)];
    const choice = place.kind === "conflict" ? (choices[at] ?? "both") : place.kind === "theirs" ? "theirs" : "mine";
    if (choice !== "mine") parts.push(now);
    if (choice !== "theirs") parts.push(own);
    done = place.base[1];
  });
  parts.push(base.slice(done));
  return parts.flat().join("\n");
}

interface ConflictProps {
  mine: string;
  base: string;
  theirs: string;
  /** Who wrote it, if that is known, and whether that is the user. */
  by: string | undefined;
  isOwn: boolean;
  onMerged: (text: string) => void;
  onBack: () => void;
}

/** The three texts at each place where they differ, and what becomes of it. */
export function Conflict({ mine, base, theirs, by, isOwn, onMerged, onBack }: ConflictProps) {
  const lines = useMemo<Texts>(() => ({ base: base.split("\n"), mine: mine.split("\n"), theirs: theirs.split("\n") }), [mine, base, theirs]);
  const places = useMemo(() => placesOf(lines.base, lines.mine, lines.theirs), [lines]);
  const [choices, setChoices] = useState<Partial<Record<number, Choice>>>({});
  const heading = useRef<HTMLHeadingElement>(null);
  useLayoutEffect(() => heading.current?.focus(), []);
  const open = places.filter((place, at) => place.kind === "conflict" && choices[at] === undefined).length;
  return (
    <section class="conflict" aria-labelledby="conflict">
      <h2 id="conflict" ref={heading} tabIndex={-1}>
        {t.conflict(by, isOwn)}
      </h2>
      <p>{places.some((place) => place.kind === "conflict") ? (isOwn ? t.meetOwn : t.meet) : isOwn ? t.fitOwn : t.fit}</p>
      {places.map((place, at) => (
        <fieldset key={at} class={place.kind}>
          <legend>{t.place(place.theirs[0] + 1)}</legend>
          <p class="facts">{(isOwn ? t.ownKinds : t.kinds)[place.kind]}</p>
          <Sides place={place} texts={lines} by={isOwn ? undefined : by} since={places[at - 1]} until={places[at + 1]} />
          {place.kind === "conflict" &&
            (["theirs", "mine", "both"] as const).map((choice) => (
              <label key={choice} class="choice">
                <input type="radio" name={`choice-${at}`} checked={choices[at] === choice} onChange={() => setChoices({ ...choices, [at]: choice })} />
                {(isOwn ? t.ownChoices : t.choices)[choice]}
              </label>
            ))}
        </fieldset>
      ))}
      <p class="hint" id="back-hint">
        {t.backHint}
      </p>
      <div class="actions">
        <button class="main" type="button" disabled={open > 0} onClick={() => onMerged(mergedOf(lines, places, choices))}>
          {open > 0 ? t.left(open) : t.merge}
        </button>
        <button type="button" aria-describedby="back-hint" onClick={onBack}>
          {t.backToMine}
        </button>
      </div>
    </section>
  );
}
