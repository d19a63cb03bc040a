// The difference of two texts, as the server gives it.

import { texts } from "../texts";

const t = texts.history;

/** A difference, line by line. Signs and hidden words name what the colours show. */
export function Difference({ diff }: { diff: string }) {
  if (diff === "") return <p class="quiet">{t.same}</p>;
  const lines = diff.split("\n").filter((line, at, all) => at < all.length - 1 || line !== "");
  return (
    <div class="diff" tabIndex={0} role="region" aria-label={t.heading}>
      {lines.map((line, at) => {
        if (line.startsWith("--- ") || line.startsWith("+++ ")) return null;
        const kind = line.startsWith("@@") ? "place" : line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : "same";
        return (
          <div key={at} class={kind}>
            {kind === "added" && <span class="hidden">{t.added}: </span>}
            {kind === "removed" && <span class="hidden">{t.removed}: </span>}
            {line === "" ? " " : line}
          </div>
        );
      })}
    </div>
  );
}
