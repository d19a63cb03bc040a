// Characters that a reader does not see, or that show a text as another one, are made visible: every text was written by a model.
// One function for all texts: those of pages pass `showUnseen`, those of rendered Markdown `markUnseen`.

import { Fragment, h, options, type VNode } from "preact";
import { unseen } from "./texts";

/** Those that belong where they are: emoji with selectors and joiners, flags of regions, joiners of scripts that need them. */
const ORDERLY = [
  // A region's flag is a black flag with tags. Emoji, also joined ones.
  "\\u{1F3F4}[\\u{E0020}-\\u{E007E}]{1,8}\\u{E007F}",
  "\\p{Extended_Pictographic}(?:[\\uFE0E\\uFE0F]|\\p{Emoji_Modifier})*(?:\\u200D\\p{Extended_Pictographic}(?:\\uFE0F|\\p{Emoji_Modifier})*)*",
  "[0-9#*]\\uFE0F\\u20E3",
  // Arabic and its kin, the scripts of India and its neighbours, and Mongolian.
  "[\\u0600-\\u06FF\\u0700-\\u08FF\\u0900-\\u0DFF\\u0E00-\\u109F\\u1780-\\u18AF\\uA800-\\uABFF\\uFB50-\\uFDFF\\uFE70-\\uFEFC][\\u200C\\u200D](?=[\\p{L}\\p{M}])",
  "[\\u1820-\\u18AA][\\u180B-\\u180D\\u180F]",
  // A variant of an ideograph.
  "\\p{Ideographic}(?:[\\uFE00-\\uFE02]|[\\u{E0100}-\\u{E01EF}])",
  "\\r(?=\\n|$)",
].join("|");
const UNSEEN =
  "[\\0-\\x08\\x0B-\\x1F\\x7F-\\x9F\\xAD\\u034F\\u061C\\u115F\\u1160\\u17B4\\u17B5\\u180B-\\u180F\\u200B-\\u200F\\u2028-\\u202E\\u2060-\\u206F\\u2800\\u3164\\uFE00-\\uFE0F\\uFEFF\\uFFA0\\uFFF9-\\uFFFB\\u{13430}-\\u{1343F}\\u{1BCA0}-\\u{1BCA3}\\u{1D173}-\\u{1D17A}\\u{E0000}-\\u{E0FFF}]";
const FIND = new RegExp(`(${ORDERLY})|${UNSEEN}+`, "gu");
/** Finds out fast that a text has none. */
const ANY = new RegExp(UNSEEN, "u");

/** How many characters of a run a mark names, and how many marks a text has as elements; the others are plain text. */
const [MOST_NAMED, MOST_MARKS] = [3, 500] as const;

const codeOf = (character: string): string => `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;

/** The text of a mark, such as `⟨U+202E⟩`. Of a long run it names the first ones. */
function markOf(run: string): string {
  const codes = Array.from(run, codeOf);
  const [first] = codes;
  if (codes.length > 1 && codes.every((code) => code === first)) return `⟨${first ?? ""} ×${codes.length}⟩`;
  const left = codes.length - MOST_NAMED;
  return `⟨${codes.slice(0, MOST_NAMED).join(" ")}${left > 0 ? ` +${left}` : ""}⟩`;
}

/** What a screen reader says of a mark. */
function nameOf(run: string): string {
  const names = [...new Set(run)].slice(0, MOST_NAMED).map((character) => unseen.names[codeOf(character)] ?? codeOf(character));
  return unseen.mark(names.join(", "));
}

/** The parts of a text: those at the odd places are runs of characters that are not seen. */
function partsOf(text: string): string[] {
  const parts: string[] = [];
  let from = 0;
  for (const found of text.matchAll(FIND)) {
    if (found[1] !== undefined) continue;
    parts.push(text.slice(from, found.index), found[0]);
    from = found.index + found[0].length;
  }
  parts.push(text.slice(from));
  return parts;
}

/** A text as text: with marks in place of what is not seen, for titles, labels and canvases. */
export const visible = (text: string): string => (ANY.test(text) ? partsOf(text).map((part, at) => (at % 2 === 1 ? markOf(part) : part)).join("") : text);

type Piece = string | { mark: string; name: string };

/** A text as pieces of text and marks; nothing if it is seen as it is. */
function piecesOf(text: string): Piece[] | undefined {
  if (!ANY.test(text)) return undefined;
  const parts = partsOf(text);
  if (parts.length === 1) return undefined;
  return parts.map((part, at) => (at % 2 === 0 ? part : at < 2 * MOST_MARKS ? { mark: markOf(part), name: nameOf(part) } : markOf(part)));
}

/** Where a text is not shown, or the bytes count. */
const AS_IT_IS = new Set(["textarea", "script", "style"]);
/** Attributes that are read or heard. */
const SAID = ["title", "aria-label", "alt", "placeholder"];

function shownChild(child: unknown, isTextOnly: boolean): unknown {
  if (Array.isArray(child)) return child.map((one) => shownChild(one, isTextOnly));
  if (typeof child !== "string" || !ANY.test(child)) return child;
  if (isTextOnly) return visible(child);
  return piecesOf(child)?.map((piece) => (typeof piece === "string" ? piece : h("span", { class: "unseen", role: "img", "aria-label": piece.name, title: piece.name }, piece.mark))) ?? child;
}

/** From now on every text of every component is shown with its marks. */
export function showUnseen(): void {
  const before = options.vnode?.bind(options);
  options.vnode = (vnode: VNode) => {
    const { type } = vnode;
    if ((typeof type === "string" && !AS_IT_IS.has(type)) || type === Fragment) {
      const props = vnode.props as Record<string, unknown>;
      if (props["children"] !== undefined) props["children"] = shownChild(props["children"], type === "option" || type === "title");
      if (typeof type === "string") {
        for (const name of SAID) {
          const value = props[name];
          if (typeof value === "string") props[name] = visible(value);
        }
      }
    }
    before?.(vnode);
  };
}

/** The same for nodes that no component has made. */
export function markUnseen(nodes: DocumentFragment): DocumentFragment {
  const walker = document.createTreeWalker(nodes, NodeFilter.SHOW_TEXT);
  const found: Text[] = [];
  while (walker.nextNode() !== null) if (ANY.test(walker.currentNode.nodeValue ?? "")) found.push(walker.currentNode as Text);
  for (const text of found) {
    const pieces = piecesOf(text.data);
    text.replaceWith(
      ...(pieces ?? [text.data]).map((piece) => {
        if (typeof piece === "string") return piece;
        const mark = document.createElement("span");
        mark.className = "unseen";
        mark.role = "img";
        mark.ariaLabel = mark.title = piece.name;
        mark.textContent = piece.mark;
        return mark;
      }),
    );
  }
  return nodes;
}
