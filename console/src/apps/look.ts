// The looks of the host: light or dark, its colours and letters, the room around the app, and the size that the app needs.

import type { Context, Host } from "./host";
import { count, text } from "./values";

/** The variables that the extension names, by what they are for. */
const NAMES = /^--(?:color|font|border|shadow)-[a-z0-9-]{1,60}$/;
/** Values that would load something. */
const LOADS = /\b(?:url|src|image|image-set|cross-fade|element)\s*\(/i;

const isSafe = (value: string) => value.length <= 500 && !LOADS.test(value);

/** Takes over the looks of the host. A host's font files are not loaded: an app sends no request. */
export function apply({ theme, variables, insets, displayMode }: Context): void {
  const root = document.documentElement;
  if (theme === undefined) delete root.dataset["theme"];
  else root.dataset["theme"] = theme;
  root.dataset["display"] = displayMode === "fullscreen" ? "fullscreen" : "inline";
  for (const [name, given] of Object.entries(variables)) {
    const value = text(given);
    if (NAMES.test(name) && value !== undefined && isSafe(value)) root.style.setProperty(name, value);
  }
  for (const side of ["top", "right", "bottom", "left"]) {
    root.style.setProperty(`--inset-${side}`, `${Math.min(Math.max(count(insets[side]), 0), 200)}px`);
  }
}

/** Tells the host how high the content is. */
export function reportSize(host: Host): void {
  let last = 0;
  const report = () => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    if (height === last) return;
    last = height;
    host.notify("ui/notifications/size-changed", { width: Math.ceil(window.innerWidth), height });
  };
  new ResizeObserver(report).observe(document.body);
  report();
}
