// The documents that point to an entity, as a part of its page.

import { useState } from "preact/hooks";
import { headingId, plainLine } from "../markdown";
import { type MentionedIn, type Mentions, mentions } from "../mentions";
import { type Following, Shown, useLoaded } from "../parts";
import { links } from "../router";
import { texts } from "../texts";

const t = texts.graph;
/** Changes of the graph bring no other documents. */
const FOLLOWING: Following = { live: true, only: "document", pause: () => 1000 };

/** The documents of a page, and the most that the server lists. */
const [FEW_MENTIONS, MOST_MENTIONS] = [20, 100] as const;

/** A line that has the name, with its headings; the link leads there. */
function Place({ file, place }: { file: string; place: MentionedIn["places"][number] }) {
  const headings = place.headingPath.map(plainLine);
  const last = headings.at(-1);
  return (
    <li>
      <a href={links.document(file, last === undefined ? "" : headingId(last))}>{last ?? texts.search.line(place.line)}</a>
      {last !== undefined && <span class="facts"> · {texts.search.line(place.line)}</span>}
      <br />
      <bdi class="found">{plainLine(place.content)}</bdi>
    </li>
  );
}

/** The documents that point to the entity: those that have its name. */
export function Mentioned({ name }: { name: string }) {
  const [most, setMost] = useState<number>(FEW_MENTIONS);
  const [loaded, retry] = useLoaded((signal) => mentions(name, most, signal), [name, most], FOLLOWING);
  const shown = (found: Mentions) => (
    <>
      {found.documents.length === 0 && <p class="quiet">{t.noMentions}</p>}
      <ul class="mentions">
        {found.documents.map(({ file, lines, places }) => (
          <li key={file}>
            <a href={links.document(file)}>{file}</a> <span class="facts">{t.linesOf(lines)}</span>
            <ul>
              {places.map((place) => (
                <Place key={place.line} file={file} place={place} />
              ))}
            </ul>
          </li>
        ))}
      </ul>
      {found.documentsLeft > 0 && (most < MOST_MENTIONS ? (
        <button type="button" onClick={() => setMost(MOST_MENTIONS)}>
          {t.moreMentions}
        </button>
      ) : (
        <p class="quiet">{t.mentionsLeft(found.documentsLeft)}</p>
      ))}
    </>
  );
  const before = loaded.state === "loading" ? loaded.last : undefined;
  return (
    <section class="card" aria-labelledby="mentions">
      <h2 id="mentions">{t.mentions}</h2>
      {before !== undefined ? (
        shown(before)
      ) : (
        <Shown loaded={loaded} retry={retry}>
          {shown}
        </Shown>
      )}
    </section>
  );
}
