// A little Markdown as elements, for the short texts of a reply. Nothing of it is a link, an image or HTML, so nothing is loaded or run.

import type { ComponentChildren } from "preact";

/** Each alternative ends at its own mark, so that the time grows with the length of the text only. */
const MARKS = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|~~([^~\n]+)~~/g;
const BULLET = /^\s*(?:[-*+]|\d{1,9}[.)])\s+(?:\[[ xX]\]\s+)?/;

/** One line, without its bullet. */
export function Line({ text }: { text: string }) {
  const line = text.replace(BULLET, "");
  const parts: ComponentChildren[] = [];
  let at = 0;
  for (const found of line.matchAll(MARKS)) {
    parts.push(line.slice(at, found.index));
    const [whole, code, strong, struck] = found;
    if (code !== undefined) parts.push(<code>{code}</code>);
    else if (strong !== undefined) parts.push(<strong>{strong}</strong>);
    else parts.push(<del>{struck}</del>);
    at = found.index + whole.length;
  }
  parts.push(line.slice(at));
  return <>{parts}</>;
}

/** Several lines: lists stay lists, headings become bold lines. */
export function Lines({ text }: { text: string }) {
  const blocks: { items: string[]; isList: boolean; isHeading: boolean }[] = [];
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const isList = BULLET.test(line);
    const last = blocks.at(-1);
    if (isList && last?.isList === true) last.items.push(line);
    else blocks.push({ items: [line.replace(/^#{1,6}\s+/, "")], isList, isHeading: /^#{1,6}\s/.test(line) });
  }
  return (
    <>
      {blocks.map(({ items, isList, isHeading }, at) =>
        isList ? (
          <ul key={at}>
            {items.map((item, number) => (
              <li key={number}>
                <Line text={item} />
              </li>
            ))}
          </ul>
        ) : (
          <p key={at} class={isHeading ? "subheading" : undefined}>
            <Line text={items[0] ?? ""} />
          </p>
        ),
      )}
    </>
  );
}

/** The words of an entry, for a search. */
export function wordsOf(entry: string): string {
  const words = entry.replace(BULLET, "").match(/[\p{L}\p{N}][\p{L}\p{N}_-]*/gu) ?? [];
  return words.slice(0, 12).join(" ").slice(0, 200);
}
