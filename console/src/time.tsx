// Times: local on the screen, with UTC where the pointer rests; or all in UTC, as the user has chosen in this browser.

import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import { texts } from "./texts";

const STORED = "memory-bank-console-time";
const CHANGED = "console:time";

/** Whether times are shown in UTC. */
export const InUtc = createContext(false);

const isUtc = (): boolean => localStorage.getItem(STORED) === "utc";

export function setUtc(wanted: boolean): void {
  if (wanted) localStorage.setItem(STORED, "utc");
  else localStorage.removeItem(STORED);
  window.dispatchEvent(new Event(CHANGED));
}

/** What the user has chosen, also in another tab. */
export function useUtc(): boolean {
  const [chosen, setChosen] = useState(isUtc);
  useEffect(() => {
    const update = () => setChosen(isUtc());
    for (const name of [CHANGED, "storage"]) window.addEventListener(name, update);
    return () => {
      for (const name of [CHANGED, "storage"]) window.removeEventListener(name, update);
    };
  }, []);
  return chosen;
}

const LONG = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
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

/** A time, with `exact` to the second; with `near`, how long ago it was if that is less than a week, unless times are in UTC. */
export function Time({ at, near = false, exact = false }: { at: string; near?: boolean; exact?: boolean }) {
  const inUtc = useContext(InUtc);
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return <span>{at}</span>;
  const utc = texts.time.utc(date.toISOString().slice(0, exact ? 19 : 16).replace("T", " "));
  if (inUtc) {
    return (
      <time dateTime={at} title={LONG.format(date)}>
        {utc}
      </time>
    );
  }
  const text = (near ? relative(date) : undefined) ?? (exact ? EXACT : LONG).format(date);
  return (
    <time dateTime={at} title={near ? `${LONG.format(date)} · ${utc}` : utc}>
      {text}
    </time>
  );
}

/** Date and time of day as text. */
export const exactTime = (at: string, withSeconds: boolean): string => (withSeconds ? EXACT : LONG).format(new Date(at));

/** The same in UTC. */
export const utcTime = (at: string, withSeconds = true): string => texts.time.utc(new Date(at).toISOString().slice(0, withSeconds ? 19 : 16).replace("T", " "));

/** Date and time of day as text, as the user has chosen. */
export const shownTime = (at: string, withSeconds: boolean, inUtc: boolean): string => (inUtc ? utcTime : exactTime)(at, withSeconds);

/** A time as documents write it, such as `2026-08-30 14:05:00 UTC`; any other text as it is. */
export function WrittenTime({ text }: { text: string }) {
  const found = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d(?::\d\d)?) UTC$/.exec(text.trim());
  return found === null ? <span>{text}</span> : <Time at={`${found[1] ?? ""}T${found[2] ?? ""}Z`} near />;
}

/** The first moment of a day, such as 2026-11-29, and of the next one: in UTC, or where the user is. Nothing if it is no day. */
export function boundsOf(day: string | undefined, inUtc: boolean): { since?: string; until?: string } {
  const [year, month, date] = (day ?? "").split("-").map(Number);
  if (year === undefined || month === undefined || date === undefined) return {};
  const at = (days: number) => (inUtc ? new Date(Date.UTC(year, month - 1, date + days)) : new Date(year, month - 1, date + days));
  return Number.isNaN(at(0).getTime()) ? {} : { since: at(0).toISOString(), until: at(1).toISOString() };
}

const BYTES = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

export function size(bytes: number): string {
  return bytes < 1000 ? `${bytes} B` : bytes < 1_000_000 ? `${BYTES.format(bytes / 1000)} kB` : bytes < 1_000_000_000 ? `${BYTES.format(bytes / 1_000_000)} MB` : `${BYTES.format(bytes / 1_000_000_000)} GB`;
}
