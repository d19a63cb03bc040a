// Markdown as safe nodes. Every document was written by a model: raw HTML stays text, what is rendered goes through DOMPurify,
// and nothing is loaded from elsewhere. This is the only place where a text becomes HTML.

import DOMPurify from "dompurify";
import { Marked } from "marked";
import { links } from "./router";
import { texts } from "./texts";

export interface Heading {
  id: string;
  text: string;
  level: number;
}

const TAGS = [
  ..."a p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong del table thead tbody tr th td input span".split(" "),
];
const ATTRIBUTES = ["href", "align", "start", "checked", "data-image", "data-alt"];

const escape = (text: string) =>
  text.replace(/[&<>"']/g, (char) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[char] ?? char);

const marked = new Marked({
  gfm: true,
  renderer: {
    html({ text, block }) {
      if (/^<br\s*\/?>$/i.test(text.trim())) return "<br>";
      return block ? `<pre>${escape(text)}</pre>` : escape(text);
    },
    image: ({ href, text }) => `<span data-image="${escape(href)}" data-alt="${escape(text)}"></span>`,
  },
});

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
  return ["http:", "https:", "mailto:"].includes(url.protocol) ? { outside: url.href } : undefined;
}

function away(link: HTMLAnchorElement, href: string): void {
  link.href = href;
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
  link.title = `${href} (${texts.documents.newTab})`;
}

function link(found: HTMLAnchorElement, name: string): void {
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

const HEAVY_MARKS = 40_000_000;
const HEAVY_WORDS = 600_000_000;
const HEAVY_DEPTH = 100;

/** Whether the parser would take seconds: its time grows with the square of the marks of a paragraph, and of the length of a word. */
function isHeavy(text: string): boolean {
  let [marks, words, inBlock] = [0, 0, 0];
  for (const line of text.split("\n")) {
    if (/^\s*(?:$|[-*+]\s|#{1,6}\s)/.test(line)) {
      marks += inBlock ** 2;
      inBlock = 0;
    }
    inBlock += line.match(/[*_~`[\]<!\\]/g)?.length ?? 0;
    for (const word of line.match(/\S{500,}/g) ?? []) words += word.length ** 2;
    if ((/^[\s>]*/.exec(line)?.[0].match(/>/g)?.length ?? 0) > HEAVY_DEPTH) return true;
  }
  return marks + inBlock ** 2 > HEAVY_MARKS || words > HEAVY_WORDS;
}

/** The HTML of a text that the parser takes in a moment; none of another, such as one that a model wrote to stop the page. */
function html(text: string): string | undefined {
  if (isHeavy(text)) return undefined;
  try {
    return marked.parse(text, { async: false });
  } catch {
    // Too deep for the parser.
    return undefined;
  }
}

function source(text: string): DocumentFragment {
  const nodes = new DocumentFragment();
  const shown = element("pre", "source", text);
  shown.tabIndex = 0;
  nodes.append(element("p", "note", texts.documents.heavy), shown);
  return nodes;
}

/** A document as nodes, and its headings. `name` is the document's, for relative links. */
export function rendered(text: string, name: string): { nodes: DocumentFragment; headings: Heading[] } {
  const parsed = html(text);
  if (parsed === undefined) return { nodes: source(text), headings: [] };
  const nodes = sanitised(parsed);
  for (const found of nodes.querySelectorAll("a")) link(found, name);
  for (const found of nodes.querySelectorAll<HTMLElement>("[data-image]")) image(found, name);
  for (const found of nodes.querySelectorAll("input")) {
    const box = element("span", "box", found.hasAttribute("checked") ? "☑" : "☐");
    found.replaceWith(box);
    box.closest("li")?.classList.add("task");
  }
  const headings: Heading[] = [];
  const taken = new Set<string>();
  for (const found of nodes.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    const content = found.textContent.trim();
    found.id = slug(content, taken);
    found.setAttribute("tabindex", "-1");
    headings.push({ id: found.id, text: content, level: Number(found.tagName.slice(1)) });
    // The page has a title above the document.
    if (found.tagName === "H1") {
      const lower = element("h2", "first");
      lower.id = found.id;
      lower.tabIndex = -1;
      lower.append(...found.childNodes);
      found.replaceWith(lower);
    }
  }
  for (const [number, found] of [...nodes.querySelectorAll("table")].entries()) scrollable(found, `Table ${number + 1}`);
  for (const found of nodes.querySelectorAll("pre")) found.tabIndex = 0;
  return { nodes, headings };
}

/** One line of Markdown as nodes, without its bullet. */
export function renderedLine(text: string): DocumentFragment {
  const line = text.replace(/^\s*(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s+)?/, "");
  if (isHeavy(line)) {
    const plain = new DocumentFragment();
    plain.append(line);
    return plain;
  }
  const nodes = sanitised(marked.parseInline(line, { async: false }));
  for (const found of nodes.querySelectorAll("a")) link(found, "");
  for (const found of nodes.querySelectorAll<HTMLElement>("[data-image]")) image(found, "");
  return nodes;
}
