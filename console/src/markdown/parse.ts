// Markdown as HTML that is not sanitised yet. Runs in the page and in a worker, so it knows no document.

import { Marked, type Token, type Tokens } from "marked";

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

/** The characters of HTML in a piece, unless one block has more. */
const PIECE = 30_000;
/** A block of more elements, or deeper ones, is shown as its source. */
const MOST_ELEMENTS = 15_000;
const DEEPEST = 100;

/** Whether a page builds the elements of a block in a moment. */
function isLight(html: string): boolean {
  let [elements, depth] = [0, 0];
  for (const [, slash, name] of html.matchAll(/<(\/?)(\w+)/g)) {
    elements += 1;
    if (slash === "/") depth -= 1;
    else if (name !== "br" && name !== "hr" && name !== "input") depth += 1;
    if (depth > DEEPEST || elements > MOST_ELEMENTS) return false;
  }
  return true;
}

/** The items of a list that are built together. */
const ITEMS = 200;

/** A long list as several, such as a log. */
function parts(token: Token): Token[] {
  if (token.type !== "list") return [token];
  const list = token as Tokens.List;
  if (list.items.length <= ITEMS) return [list];
  const found: Tokens.List[] = [];
  for (let at = 0; at < list.items.length; at += ITEMS) {
    const items = list.items.slice(at, at + ITEMS);
    const start = typeof list.start === "number" ? list.start + at : list.start;
    found.push({ ...list, items, start, raw: items.map((item) => item.raw).join("") });
  }
  return found;
}

/** The HTML of a text, in pieces of whole blocks, each of which a page builds in a moment. Fails if a text is too deep. */
export function pieces(text: string): string[] {
  const found: string[] = [];
  let piece = "";
  for (const token of marked.lexer(text).flatMap(parts)) {
    const block = marked.parser([token]);
    piece += isLight(block) ? block : `<pre>${escape(token.raw)}</pre>`;
    if (piece.length < PIECE) continue;
    found.push(piece);
    piece = "";
  }
  if (piece !== "") found.push(piece);
  return found;
}

/** The HTML of one line. */
export const inline = (line: string): string => marked.parseInline(line, { async: false });
