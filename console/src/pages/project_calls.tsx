// Charts of the calls of tools: how many, how long they took, how many tokens they served.

import { useContext, useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import * as api from "../api";
import { Shown, useLoaded } from "../parts";
import { texts } from "../texts";
import { usePaper } from "../theme";
import { InUtc, shownTime } from "../time";

const t = texts.calls;
const RANGES = [1, 7, 30, 365] as const;
const HEIGHT = 220;
const NUMBER = new Intl.NumberFormat();
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });

/** The colours of a chart, from the style sheet. */
function colour(name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/**
 * The time in milliseconds that a part of the calls took at most, within its step evenly; the last bound if they took longer. None without a call.
 */
export function percentile(times: number[], calls: number, bounds: number[], part: number): number | null {
  if (calls === 0) return null;
  let left = calls * part;
  for (const [at, count] of times.entries()) {
    const [from, to] = [bounds[at - 1] ?? 0, bounds[at] ?? 0];
    if (left <= count && count > 0) return from + ((to - from) * left) / count;
    left -= count;
  }
  return bounds.at(-1) ?? null;
}

/** All steps from the first day on, also those without a call. */
function filled({ stepSeconds, steps, timesMs }: api.Calls, days: number): api.CallStep[] {
  const now = Math.floor(Date.now() / 1000 / stepSeconds) * stepSeconds;
  const found = new Map(steps.map((step) => [Math.round(Date.parse(step.at) / 1000), step]));
  const count = Math.ceil((days * 86_400) / stepSeconds) + 1;
  return Array.from({ length: count }, (_, index) => {
    const at = now - (count - 1 - index) * stepSeconds;
    return found.get(at) ?? { at: new Date(at * 1000).toISOString(), calls: 0, failures: 0, tokens: 0, times: timesMs.map(() => 0) };
  });
}

interface Line {
  label: string;
  colour: string;
  values: (number | null)[];
}

function Chart({ id, heading, at, lines, unit, byDay }: { id: string; heading: string; at: number[]; lines: Line[]; unit: string; byDay: boolean }) {
  const place = useRef<HTMLDivElement>(null);
  const { isDark } = usePaper();
  const inUtc = useContext(InUtc);
  useEffect(() => {
    const parent = place.current;
    if (parent === null) return;
    const [text, line] = [colour("quiet"), colour("line")];
    const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const shown = (value: number | null) => (value === null ? "–" : `${NUMBER.format(Math.round(value))}${unit}`);
    const plot = new uPlot(
      {
        width: parent.clientWidth,
        height: HEIGHT,
        // A day is one of UTC everywhere.
        ...((byDay || inUtc) && { tzDate: (seconds: number) => uPlot.tzDate(new Date(seconds * 1000), "UTC") }),
        scales: { y: { range: (_, __, max) => [0, Math.max(1, max * 1.1)] } },
        axes: [axis, { ...axis, size: 64, values: (_, values) => values.map(shown) }],
        series: [
          { label: t.time, value: (_, seconds) => (!Number.isFinite(seconds) ? "–" : byDay ? DAY.format(seconds * 1000) : shownTime(new Date(seconds * 1000).toISOString(), false, inUtc)) },
          ...lines.map(({ label, colour: name, values }, index) => ({
            label,
            // Lines differ without colours, too.
            ...(index > 0 && { dash: [8, 5] }),
            stroke: colour(name),
            // A line at the bottom all along would hide another one there.
            width: values.some((value) => value !== null && value > 0) ? 2 : 0,
            spanGaps: true,
            points: { show: values.some((value) => value !== null && value > 0), size: 3 },
            value: (_: uPlot, value: number | null) => shown(value),
          })),
        ],
      },
      [at, ...lines.map(({ values }) => values)],
      parent,
    );
    const resized = new ResizeObserver(() => plot.setSize({ width: parent.clientWidth, height: HEIGHT }));
    resized.observe(parent);
    return () => {
      resized.disconnect();
      plot.destroy();
    };
  }, [at, lines, isDark, byDay, unit, inUtc]);
  return (
    <section class="card" aria-labelledby={id}>
      <h2 id={id}>{heading}</h2>
      {/* The numbers are in the table below for everybody who does not see the chart. */}
      <div ref={place} class="chart" aria-hidden="true" />
    </section>
  );
}

function Charts({ calls, days }: { calls: api.Calls; days: number }) {
  const inUtc = useContext(InUtc);
  const steps = filled(calls, days);
  const byDay = calls.stepSeconds >= 86_400;
  const at = steps.map((step) => Date.parse(step.at) / 1000);
  const sum = (of: (step: api.CallStep) => number) => calls.steps.reduce((total, step) => total + of(step), 0);
  const took = (part: number) => steps.map((step) => percentile(step.times, step.calls, calls.timesMs, part));
  const [half, most] = [took(0.5), took(0.95)];
  const ms = (value: number | null | undefined) => (value === null || value === undefined ? "–" : t.ms(NUMBER.format(Math.round(value))));
  return (
    <>
      <p role="status">{t.sum(NUMBER.format(sum((step) => step.calls)), NUMBER.format(sum((step) => step.failures)), NUMBER.format(sum((step) => step.tokens)))}</p>
      {calls.steps.length === 0 && <p class="quiet">{t.none}</p>}
      <Chart
        id="calls"
        heading={t.calls}
        at={at}
        byDay={byDay}
        unit=""
        lines={[
          // The last one is drawn over the others.
          { label: t.failures, colour: "alarm", values: steps.map((step) => step.failures) },
          { label: t.all, colour: "accent", values: steps.map((step) => step.calls) },
        ]}
      />
      <Chart
        id="times"
        heading={t.times}
        at={at}
        byDay={byDay}
        unit=" ms"
        lines={[
          { label: t.most, colour: "alarm", values: most },
          { label: t.half, colour: "accent", values: half },
        ]}
      />
      <Chart id="tokens" heading={t.tokens} at={at} byDay={byDay} unit="" lines={[{ label: t.served, colour: "accent", values: steps.map((step) => step.tokens) }]} />
      <details>
        <summary>{t.table}</summary>
        <div class="wide" tabIndex={0} role="region" aria-label={t.table}>
          <table>
            <thead>
              <tr>
                {[t.time, t.all, t.failures, t.half, t.most, t.served].map((name) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {steps.map((step, index) => ({ step, index })).filter(({ step }) => step.calls > 0).reverse().map(({ step, index }) => (
                <tr key={step.at}>
                  <th scope="row">{byDay ? DAY.format(Date.parse(step.at)) : shownTime(step.at, false, inUtc)}</th>
                  <td>{NUMBER.format(step.calls)}</td>
                  <td>{NUMBER.format(step.failures)}</td>
                  <td>{ms(half[index])}</td>
                  <td>{ms(most[index])}</td>
                  <td>{NUMBER.format(step.tokens)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </>
  );
}

export default function Calls() {
  const [days, setDays] = useState<number>(7);
  const [loaded, retry] = useLoaded((signal) => api.calls(days, signal).then((calls) => ({ calls, days })), [days]);
  return (
    <>
      <p class="hint">{t.hint}</p>
      <div class="actions" role="group" aria-label={t.range}>
        {RANGES.map((range) => (
          <button key={range} type="button" aria-pressed={range === days} onClick={() => setDays(range)}>
            {t.days(range)}
          </button>
        ))}
      </div>
      <Shown loaded={loaded} retry={retry}>
        {(shown) => <Charts calls={shown.calls} days={shown.days} />}
      </Shown>
    </>
  );
}
