// Times: local on the screen, in UTC when the pointer or the focus is on them.

import { texts } from "./texts";

const LONG = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["minute", 60],
  ["hour", 3600],
  ["day", 86_400],
];

function relative(at: Date): string | undefined {
  const seconds = (at.getTime() - Date.now()) / 1000;
  if (Math.abs(seconds) >= 7 * 86_400) return undefined;
  if (Math.abs(seconds) < 60) return RELATIVE.format(0, "second");
  const [unit, size] = UNITS.findLast(([, size]) => Math.abs(seconds) >= size) ?? ["minute", 60];
  return RELATIVE.format(Math.round(seconds / size), unit);
}

/** A time; with `near`, how long ago it was if that is less than a week. */
export function Time({ at, near = false }: { at: string; near?: boolean }) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return <span>{at}</span>;
  const utc = texts.time.utc(date.toISOString().slice(0, 16).replace("T", " "));
  const text = (near ? relative(date) : undefined) ?? LONG.format(date);
  return (
    <time dateTime={at} title={near ? `${LONG.format(date)} · ${utc}` : utc}>
      {text}
    </time>
  );
}

const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** Date and time of day as text. */
export const exactTime = (at: string, withSeconds: boolean): string => (withSeconds ? EXACT : LONG).format(new Date(at));

/** The same in UTC. */
export const utcTime = (at: string): string => texts.time.utc(new Date(at).toISOString().slice(0, 19).replace("T", " "));

/** A time as documents write it, such as `2026-08-30 14:05:00 UTC`; any other text as it is. */
export function WrittenTime({ text }: { text: string }) {
  const found = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d(?::\d\d)?) UTC$/.exec(text.trim());
  return found === null ? <span>{text}</span> : <Time at={`${found[1] ?? ""}T${found[2] ?? ""}Z`} near />;
}

const BYTES = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

export function size(bytes: number): string {
  return bytes < 1000 ? `${bytes} B` : bytes < 1_000_000 ? `${BYTES.format(bytes / 1000)} kB` : `${BYTES.format(bytes / 1_000_000)} MB`;
}
