// Addresses of pages. Knows nothing of their contents.

import { useEffect, useState } from "preact/hooks";

const BASE = "/app";

export type Route =
  | { page: "home" }
  | { page: "documents" }
  | { page: "document"; name: string; heading: string }
  | { page: "edit"; name: string; version: number | undefined }
  | { page: "search"; query: string }
  | { page: "graph"; query: string }
  | { page: "entity"; name: string }
  | { page: "history"; name: string | undefined; version: number | undefined }
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
      return { page: "search", query: parameters.get("q") ?? "" };
    case "graph":
      return name === "" ? { page: "graph", query: parameters.get("q") ?? "" } : { page: "entity", name };
    case "edit":
      return name === "" ? { page: "unknown" } : { page: "edit", name, version: versionOf(parameters) };
    case "history":
      return { page: "history", name: name === "" ? undefined : name, version: versionOf(parameters) };
    default:
      return { page: "unknown" };
  }
}

export const links = {
  home: `${BASE}/`,
  documents: `${BASE}/documents`,
  document: (name: string, heading = "") => `${BASE}/documents/${encoded(name)}${heading === "" ? "" : `#${encodeURIComponent(heading)}`}`,
  edit: (name: string, version?: number) => `${BASE}/edit/${encoded(name)}${version === undefined ? "" : `?version=${version}`}`,
  search: (query = "") => `${BASE}/search${query === "" ? "" : `?q=${encodeURIComponent(query)}`}`,
  graph: (query = "") => `${BASE}/graph${query === "" ? "" : `?q=${encodeURIComponent(query)}`}`,
  entity: (id: string) => `${BASE}/graph/${encodeURIComponent(id)}`,
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
