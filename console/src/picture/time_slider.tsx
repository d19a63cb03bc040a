// The time whose graph is shown: a slider from its first entity until now, in steps of a length that fits the span.

import { useContext, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { texts } from "../texts";
import { exactTime, InUtc, shownTime, utcTime } from "../time";

const t = texts.picture;
const MOST_STEPS = 400;
const PAUSE = 250;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const UNITS = [SECOND, 10 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY] as const;

/** The times that the slider stops at: the first, round ones in local time, and now. */
function stopsOf(begin: number, now: number): { stops: number[]; unit: number } {
  const unit = UNITS.find((known) => (now - begin) / known <= MOST_STEPS) ?? 30 * DAY;
  const midnight = new Date(begin);
  midnight.setHours(0, 0, 0, 0);
  const stops = [begin];
  if (unit < DAY) {
    for (let at = midnight.getTime() + unit * Math.ceil((begin + 1 - midnight.getTime()) / unit); at < now; at += unit) stops.push(at);
  } else {
    // A day is not always 24 hours long.
    for (const at = new Date(midnight); at.getTime() < now; at.setDate(at.getDate() + unit / DAY)) if (at.getTime() > begin) stops.push(at.getTime());
  }
  stops.push(now);
  return { stops, unit };
}

/** The place of the stop that is nearest to a time. */
function nearest(stops: number[], time: number): number {
  let found = 0;
  stops.forEach((stop, at) => {
    if (Math.abs(stop - time) < Math.abs((stops[found] ?? 0) - time)) found = at;
  });
  return found;
}

export function TimeSlider({ first, asOf, onChange }: { first: string; asOf: string | undefined; onChange: (asOf: string | undefined) => void }) {
  const inUtc = useContext(InUtc);
  const [now] = useState(() => Date.now());
  const begin = new Date(first).getTime();
  const { stops, unit } = useMemo(() => stopsOf(Math.min(begin, now), now), [begin, now]);
  const last = stops.length - 1;
  const slider = useRef<HTMLInputElement>(null);
  const [chosen, setChosen] = useState(asOf);
  useEffect(() => setChosen(asOf), [asOf]);
  useEffect(() => {
    if (chosen === asOf) return undefined;
    const timer = setTimeout(() => onChange(chosen), PAUSE);
    return () => clearTimeout(timer);
  }, [chosen]);
  const step = chosen === undefined ? last : nearest(stops, new Date(chosen).getTime());
  const choose = (next: number) => {
    const time = stops[next];
    setChosen(next >= last || time === undefined ? undefined : new Date(time).toISOString());
  };
  const text = chosen === undefined ? t.now : shownTime(chosen, unit < MINUTE, inUtc);
  return (
    <div class="time-slider">
      <label for="as-of">{t.asOf}</label>
      <input
        id="as-of"
        ref={slider}
        type="range"
        min={0}
        max={last}
        value={step}
        aria-valuetext={text}
        aria-describedby="as-of-steps"
        onInput={(event) => choose(Number(event.currentTarget.value))}
      />
      <output for="as-of" title={chosen === undefined ? undefined : inUtc ? exactTime(chosen, true) : utcTime(chosen)}>
        {text}
      </output>
      {/* It has its place also when it is not shown, so that nothing moves when another time is chosen. */}
      <button
        type="button"
        class={chosen === undefined ? "absent" : ""}
        onClick={() => {
          setChosen(undefined);
          slider.current?.focus();
        }}
      >
        {t.now}
      </button>
      <span class="facts" id="as-of-steps">
        {t.steps(shownTime(first, false, inUtc), unit / SECOND)}
      </span>
    </div>
  );
}
