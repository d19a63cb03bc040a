// Addresses of pages. Knows nothing of their contents.

import { useEffect, useState } from "preact/hooks";

const BASE = "/app";

/** Which part of the graph is shown, as it was at which time, and which node is looked at. */
export interface PictureView {
  focus: string | undefined;
  cluster: string | undefined;
  asOf: string | undefined;
}

/** Whose changes are undone: those of a session, or of a user since a time, and until one; all of them, or those of a document or an entity. */
export interface UndoWanted {
  by: string;
  since?: string;
  until?: string;
  filename?: string;
  /** The id of the entity. */
  entity?: string;
}

/** How changes without a session were made: by a tool, or by no tool, as those in the console. */
export const MEANS = ["tool", "hand"] as const;
export type Means = (typeof MEANS)[number];

/** Whose changes of the project are shown, a user's or those of a session, of which day, such as 2026-11-29, and how they were made. */
export interface ChangesWanted {
  by?: string | undefined;
  day?: string | undefined;
  means?: Means | undefined;
}

/** What a search can be limited to. */
export const FOUND_KINDS = ["documents", "entities", "facts"] as const;
export type FoundKind = (typeof FOUND_KINDS)[number];

/** To what a search is limited: one kind, and what was known at the end of a day. */
export interface SearchFilters {
  what?: FoundKind | undefined;
  day?: string | undefined;
}

/** The parts of what owners administer. */
export const PROJECT_PARTS = ["members", "keys", "grants", "audit", "calls", "health"] as const;
export type ProjectPart = (typeof PROJECT_PARTS)[number];

export type Route =
  | { page: "home" }
  | { page: "documents" }
  | { page: "document"; name: string; heading: string }
  | { page: "edit"; name: string; version: number | undefined }
  | { page: "search"; query: string; filters: SearchFilters }
  | { page: "graph"; query: string }
  | { page: "entity"; name: string }
  | { page: "picture"; view: PictureView }
  | { page: "history"; name: string | undefined; version: number | undefined; wanted: ChangesWanted }
  | { page: "deleted" }
  | { page: "blame"; name: string }
  | { page: "undo"; wanted: UndoWanted }
  | { page: "sessions" }
  | { page: "project"; part: ProjectPart }
  | { page: "unknown" };

function decoded(path: string): string {
  try {
    return path.split("/").map(decodeURIComponent).join("/");
  } catch {
    return path;
  }
}

const encoded = (name: string) => name.split("/").map(encodeURIComponent).join("/");

function versionOf(parameters: URLSearchParams): number | undefined {
  const version = Number(parameters.get("version") ?? "");
  return Number.isInteger(version) && version > 0 ? version : undefined;
}

function pictureOf(parameters: URLSearchParams): PictureView {
  const given = (name: string) => parameters.get(name) ?? undefined;
  const asOf = given("asOf");
  const isTime = asOf !== undefined && !Number.isNaN(new Date(asOf).getTime());
  return { focus: given("focus"), cluster: given("cluster"), asOf: isTime ? asOf : undefined };
}

function dayOf(parameters: URLSearchParams): string | undefined {
  const day = parameters.get("day") ?? "";
  return /^\d{4}-\d\d-\d\d$/.test(day) ? day : undefined;
}

const filtersOf = (parameters: URLSearchParams): SearchFilters => ({ what: FOUND_KINDS.find((kind) => kind === parameters.get("what")), day: dayOf(parameters) });

function changesOf(parameters: URLSearchParams): ChangesWanted {
  const means = MEANS.find((known) => known === parameters.get("means"));
  return { by: parameters.get("by") ?? undefined, day: dayOf(parameters), means };
}

function undoOf(parameters: URLSearchParams): Route {
  const by = parameters.get("by");
  if (by === null) return { page: "unknown" };
  const given = (["since", "until", "filename", "entity"] as const).flatMap((name) => {
    const value = parameters.get(name);
    return value === null ? [] : [[name, value] as const];
  });
  return { page: "undo", wanted: { by, ...Object.fromEntries(given) } };
}

export function parse(address: Location | URL): Route {
  const path = address.pathname.replace(/^\/app\/?/, "");
  const [first, ...rest] = path.split("/");
  const name = decoded(rest.join("/"));
  const parameters = new URLSearchParams(address.search);
  switch (first) {
    case "":
      return { page: "home" };
    case "documents":
      return name === "" ? { page: "documents" } : { page: "document", name, heading: decoded(address.hash.slice(1)) };
    case "search":
      return { page: "search", query: parameters.get("q") ?? "", filters: filtersOf(parameters) };
    case "graph":
      if (name === "" && parameters.get("view") === "picture") return { page: "picture", view: pictureOf(parameters) };
      return name === "" ? { page: "graph", query: parameters.get("q") ?? "" } : { page: "entity", name };
    case "edit":
      return name === "" ? { page: "unknown" } : { page: "edit", name, version: versionOf(parameters) };
    case "blame":
      return name === "" ? { page: "unknown" } : { page: "blame", name };
    case "undo":
      return undoOf(parameters);
    case "sessions":
      return { page: "sessions" };
    case "project": {
      const part = PROJECT_PARTS.find((known) => known === (name === "" ? "members" : name));
      return part === undefined ? { page: "unknown" } : { page: "project", part };
    }
    case "history":
      return { page: "history", name: name === "" ? undefined : name, version: versionOf(parameters), wanted: changesOf(parameters) };
    case "deleted":
      return { page: "deleted" };
    default:
      return { page: "unknown" };
  }
}

export const links = {
  home: `${BASE}/`,
  documents: `${BASE}/documents`,
  document: (name: string, heading = "") => `${BASE}/documents/${encoded(name)}${heading === "" ? "" : `#${encodeURIComponent(heading)}`}`,
  edit: (name: string, version?: number) => `${BASE}/edit/${encoded(name)}${version === undefined ? "" : `?version=${version}`}`,
  search: (query = "", { what, day }: SearchFilters = {}) => {
    const given = [["q", query], ["what", what], ["day", day]] as const;
    const parameters = given.flatMap(([name, value]) => (value === undefined || value === "" ? [] : [`${name}=${encodeURIComponent(value)}`]));
    return `${BASE}/search${parameters.length === 0 ? "" : `?${parameters.join("&")}`}`;
  },
  graph: (query = "") => `${BASE}/graph${query === "" ? "" : `?q=${encodeURIComponent(query)}`}`,
  picture: (view: Partial<PictureView> = {}) => {
    const parameters = new URLSearchParams({ view: "picture" });
    for (const [name, value] of Object.entries(view)) if (value !== undefined) parameters.set(name, value);
    return `${BASE}/graph?${parameters.toString()}`;
  },
  entity: (id: string) => `${BASE}/graph/${encodeURIComponent(id)}`,
  blame: (name: string) => `${BASE}/blame/${encoded(name)}`,
  undo: (wanted: UndoWanted) => `${BASE}/undo?${new URLSearchParams({ ...wanted }).toString()}`,
  sessions: `${BASE}/sessions`,
  project: (part: ProjectPart = "members") => `${BASE}/project/${part}`,
  deleted: `${BASE}/deleted`,
  changes: (wanted: ChangesWanted) => {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(wanted) as [string, string | undefined][]) if (value !== undefined) parameters.set(name, value);
    const text = parameters.toString();
    return `${BASE}/history${text === "" ? "" : `?${text}`}`;
  },
  history: (name?: string, version?: number) =>
    `${BASE}/history${name === undefined ? "" : `/${encoded(name)}`}${version === undefined ? "" : `?version=${version}`}`,
};

const CHANGED = "console:navigated";

let moved = false;

/** Whether the page that is shown was opened from another one of the console, which the focus has to leave. */
export const hasMoved = () => moved;
/** Notes that a page was opened from another one. */
export const move = () => void (moved = true);

/** Opens a page of the console. */
export function go(address: string, options: { replace?: boolean } = {}): void {
  if (options.replace !== true) move();
  if (options.replace === true) window.history.replaceState(null, "", address);
  else window.history.pushState(null, "", address);
  window.dispatchEvent(new Event(CHANGED));
}

/** The page that the address names. Links to pages open without loading the document again. */
export function useRoute(): Route {
  const [route, setRoute] = useState(() => parse(window.location));
  useEffect(() => {
    const update = () => setRoute(parse(window.location));
    const back = () => {
      move();
      update();
    };
    const click = (event: MouseEvent) => {
      if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      const link = event.target instanceof Element ? event.target.closest("a") : null;
      if (link?.target !== "" || link.hasAttribute("download")) return;
      const address = new URL(link.href);
      const isPage = address.origin === window.location.origin && (address.pathname === BASE || address.pathname.startsWith(`${BASE}/`));
      if (!isPage) return;
      // A heading of the same page: the browser goes there.
      if (address.pathname === window.location.pathname && address.hash !== "" && address.search === window.location.search) return;
      event.preventDefault();
      go(address.pathname + address.search + address.hash);
    };
    window.addEventListener("popstate", back);
    window.addEventListener(CHANGED, update);
    document.addEventListener("click", click);
    return () => {
      window.removeEventListener("popstate", back);
      window.removeEventListener(CHANGED, update);
      document.removeEventListener("click", click);
    };
  }, []);
  return route;
}
