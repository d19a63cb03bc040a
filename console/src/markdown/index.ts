// Markdown as safe nodes. Every document was written by a model: raw HTML stays text, what is rendered goes through DOMPurify,
// and nothing is loaded from elsewhere. This is the only place where HTML becomes nodes.

import DOMPurify from "dompurify";
import { links } from "../router";
import { texts } from "../texts";
import { markUnseen } from "../unseen";
import { startWorker } from "../workers";
import { inline, pieces } from "./parse";
import { otherPlace } from "./where";
import type { Parsed } from "./worker";

export interface Heading {
  id: string;
  text: string;
  level: number;
}

const TAGS = [
  ..."a p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong del table thead tbody tr th td input span".split(" "),
];
const ATTRIBUTES = ["href", "align", "start", "checked", "data-image", "data-alt"];

function sanitised(html: string): DocumentFragment {
  return DOMPurify.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
}

const element = <K extends keyof HTMLElementTagNameMap>(name: K, className: string, text = "") => {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
};

/** A host that does not exist: an address that resolves to it was relative. */
const BANK = "https://bank.invalid/";

/** Where a link leads: to a page of another site, to a document of the bank, or nowhere. */
function target(href: string, name: string): { outside: string } | { inside: string } | undefined {
  if (href.trim() === "") return undefined;
  if (href.startsWith("#")) return { inside: `#h-${href.slice(1)}` };
  const folder = name.split("/").slice(0, -1).map(encodeURIComponent).join("/");
  let url: URL;
  try {
    url = new URL(href, `${BANK}${folder}${folder === "" ? "" : "/"}`);
  } catch {
    return undefined;
  }
  if (url.origin === new URL(BANK).origin) {
    try {
      const file = decodeURIComponent(url.pathname.slice(1));
      // `..%2f` would lead out of the console.
      if (file.split("/").some((part) => part === "." || part === "..")) return undefined;
      return { inside: links.document(file, url.hash === "" ? "" : `h-${decodeURIComponent(url.hash.slice(1))}`) };
    } catch {
      return undefined;
    }
  }
  return ["http:", "https:", "mailto:"].includes(url.protocol) && url.username === "" && url.password === "" ? { outside: url.href } : undefined;
}

function away(link: HTMLAnchorElement, href: string): void {
  link.href = href;
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
  link.title = `${href} (${texts.documents.newTab})`;
}

function link(found: HTMLAnchorElement, name: string): void {
  // An address that was removed is empty; one with a user's name is there to look like another one.
  const to = target(found.getAttribute("href") ?? "", name);
  if (to === undefined) {
    const plain = element("span", "no-link");
    plain.append(...found.childNodes);
    plain.title = texts.documents.leftOutLink;
    found.replaceWith(plain);
  } else if ("outside" in to) {
    found.classList.add("outside");
    away(found, to.outside);
  } else {
    found.href = to.inside;
  }
}

/** Shows where a link to another site leads, if its text looks like another address: a phone shows it nowhere else. */
function showWhere(found: HTMLAnchorElement): void {
  const place = otherPlace(found.textContent, found.href);
  if (place !== undefined) found.append(element("span", "leads", ` (${texts.documents.leadsTo(place)})`));
}

/** An image becomes a link, so that it is loaded only when somebody opens it. */
function image(found: HTMLElement, name: string): void {
  const alt = found.dataset["alt"] ?? "";
  const to = target(found.dataset["image"] ?? "", name);
  if (to !== undefined && "outside" in to && /^https?:/.test(to.outside)) {
    const opener = element("a", "image", texts.documents.remoteImage(alt, new URL(to.outside).host));
    away(opener, to.outside);
    found.replaceWith(opener);
  } else {
    found.replaceWith(element("span", "image", texts.documents.localImage(alt)));
  }
}

/** The id of the first heading of this text. */
export const headingId = (text: string): string => slug(text, new Set());

function slug(text: string, taken: Set<string>): string {
  const words = text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replace(/\s+/g, "-");
  let id = `h-${words}`;
  for (let number = 1; taken.has(id); number += 1) id = `h-${words}-${number}`;
  taken.add(id);
  return id;
}

function scrollable(found: Element, label: string): void {
  const frame = element("div", "scrolls");
  frame.tabIndex = 0;
  frame.role = "region";
  frame.ariaLabel = label;
  found.replaceWith(frame);
  frame.append(found);
}

/** Up to so many characters a text is parsed at once, if it is not made to take long. */
const SHORT = 8000;
const SLOW_MARKS = 2_000_000;
const SLOW_WORDS = 10_000_000;
const SLOW_DEPTH = 30;
/** How long a worker may parse, in milliseconds. */
const LONGEST = 5000;

/** Whether the parser takes a moment only: its time grows with the square of the marks of a paragraph, and of the length of a word. */
function isShort(text: string): boolean {
  if (text.length > SHORT) return false;
  let [marks, words, inBlock] = [0, 0, 0];
  for (const line of text.split("\n")) {
    if (/^\s*(?:$|[-*+]\s|#{1,6}\s)/.test(line)) {
      marks += inBlock ** 2;
      inBlock = 0;
    }
    inBlock += line.match(/[*_~`[\]<!\\]/g)?.length ?? 0;
    for (const word of line.match(/\S{500,}/g) ?? []) words += word.length ** 2;
    if ((/^[\s>]*/.exec(line)?.[0].match(/>/g)?.length ?? 0) > SLOW_DEPTH) return false;
  }
  return marks + inBlock ** 2 <= SLOW_MARKS && words <= SLOW_WORDS;
}

function source(text: string): DocumentFragment {
  const nodes = new DocumentFragment();
  const shown = element("pre", "source", text);
  shown.tabIndex = 0;
  nodes.append(element("p", "note", texts.documents.heavy), shown);
  return markUnseen(nodes);
}

/** What is carried from one piece of a document to the next. */
class Building {
  readonly headings: Heading[] = [];
  readonly #taken = new Set<string>();
  readonly #name: string;
  #tables = 0;

  constructor(name: string) {
    this.#name = name;
  }

  /** A piece as safe nodes. */
  nodes(piece: string): DocumentFragment {
    const nodes = sanitised(piece);
    for (const found of nodes.querySelectorAll("a")) link(found, this.#name);
    for (const found of nodes.querySelectorAll<HTMLElement>("[data-image]")) image(found, this.#name);
    for (const found of nodes.querySelectorAll("input")) {
      const box = element("span", "box", found.hasAttribute("checked") ? "☑" : "☐");
      found.replaceWith(box);
      box.closest("li")?.classList.add("task");
    }
    for (const found of nodes.querySelectorAll("h1, h2, h3, h4, h5, h6")) this.#heading(found);
    for (const found of nodes.querySelectorAll<HTMLAnchorElement>("a.outside")) showWhere(found);
    for (const found of nodes.querySelectorAll("table")) scrollable(found, `Table ${(this.#tables += 1)}`);
    for (const found of nodes.querySelectorAll("pre")) found.tabIndex = 0;
    return markUnseen(nodes);
  }

  #heading(found: Element): void {
    const content = found.textContent.trim();
    found.id = slug(content, this.#taken);
    found.setAttribute("tabindex", "-1");
    this.headings.push({ id: found.id, text: content, level: Number(found.tagName.slice(1)) });
    if (found.tagName !== "H1") return;
    // The page has a title above the document.
    const lower = element("h2", "first");
    lower.id = found.id;
    lower.tabIndex = -1;
    lower.append(...found.childNodes);
    found.replaceWith(lower);
  }
}

/** Parses a text in a worker; gives nothing for a text that a model wrote to keep a parser busy. */
function parsedBeside(text: string, signal: AbortSignal): Promise<Parsed> {
  return new Promise((resolve) => {
    const worker = startWorker("markdown");
    const end = (found: Parsed) => {
      clearTimeout(timer);
      worker.terminate();
      resolve(found);
    };
    const timer = setTimeout(() => end(undefined), LONGEST);
    signal.addEventListener("abort", () => end(undefined));
    worker.onmessage = ({ data }: MessageEvent<Parsed>) => end(data);
    worker.onerror = () => end(undefined);
    worker.postMessage(text);
  });
}

const pause = () => new Promise((resolve) => setTimeout(resolve));

/**
 * Shows a document at a place: a short one at once, a long one piece by piece, so that the page answers meanwhile. Calls `done`
 * with the headings. `name` is the document's, for relative links.
 */
export function show(place: HTMLElement, text: string, name: string, signal: AbortSignal, done: (headings: Heading[]) => void): void {
  const building = new Building(name);
  if (isShort(text)) {
    place.replaceChildren(...pieces(text).map((piece) => building.nodes(piece)));
    done(building.headings);
    return;
  }
  const isLeft = () => signal.aborted;
  void (async () => {
    const found = await parsedBeside(text, signal);
    if (isLeft()) return;
    place.replaceChildren(...(found === undefined ? [source(text)] : []));
    for (const piece of found ?? []) {
      place.append(building.nodes(piece));
      await pause();
      if (isLeft()) return;
    }
    done(building.headings);
  })();
}

/** One line of Markdown as plain text: without the marks of a heading, a quotation, a row of a table or an item. */
export function plainLine(text: string): string {
  const line = text.replace(/^[\s>]*(?:#{1,6}\s+)?/, "");
  const row = /^\|.*\|\s*$/.test(line) ? line.replace(/^\|\s*|\s*\|\s*$/g, "").replace(/\s*(?<!\\)\|\s*/g, " · ") : line;
  return lineNodes(row).textContent.trim();
}

/** One line of Markdown as nodes, without its bullet. */
export function renderedLine(text: string): DocumentFragment {
  const nodes = lineNodes(text);
  for (const found of nodes.querySelectorAll<HTMLAnchorElement>("a.outside")) showWhere(found);
  return markUnseen(nodes);
}

function lineNodes(text: string): DocumentFragment {
  const line = text.replace(/^\s*(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s+)?/, "");
  if (!isShort(line)) {
    const plain = new DocumentFragment();
    plain.append(line);
    return plain;
  }
  const nodes = sanitised(inline(line));
  for (const found of nodes.querySelectorAll("a")) link(found, "");
  for (const found of nodes.querySelectorAll<HTMLElement>("[data-image]")) image(found, "");
  return nodes;
}
