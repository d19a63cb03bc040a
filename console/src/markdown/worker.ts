// Parses Markdown beside the page.

import { pieces } from "./parse";

/** Pieces of HTML; none of a text that is too deep. */
export type Parsed = string[] | undefined;

const own = self as unknown as { onmessage: (event: MessageEvent<string>) => void; postMessage(reply: Parsed): void };

own.onmessage = ({ data: text }) => {
  try {
    own.postMessage(pieces(text));
  } catch {
    own.postMessage(undefined);
  }
};
