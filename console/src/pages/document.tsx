// One document, rendered, with a table of contents.

import { useCallback, useContext, useEffect, useState } from "preact/hooks";
import * as api from "../api";
import { forgetDraft } from "../drafts";
import type { Heading } from "../markdown";
import { LIVE, Markdown, MayAdminister, MayOnlyRead, MayWrite, PageHeading, Shown, useLoaded } from "../parts";
import { useOtherDrafts } from "../other_drafts";
import { links } from "../router";
import { texts } from "../texts";
import { Time } from "../time";
import { DeletedNote } from "./deleted_note";
import { DocumentActions, MaybeRenamed, noteFound, RenameNote } from "./document_actions";
import { withEnding } from "./names";

const t = texts.documents;

function Contents({ headings }: { headings: Heading[] }) {
  const top = Math.min(...headings.map((heading) => heading.level));
  return (
    <nav class="contents" aria-label={t.contents}>
      <details open={window.matchMedia("(min-width: 72rem)").matches}>
        <summary>{t.contents}</summary>
        <ul>
          {headings.map((heading) => (
            <li key={heading.id} class={`level-${Math.min(heading.level - top, 4)}`}>
              <a href={`#${heading.id}`}>{heading.text}</a>
            </li>
          ))}
        </ul>
      </details>
    </nav>
  );
}

/** Saves a text as a file. Its type is plain text, so that no browser runs it. */
function download(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name.split("/").at(-1) ?? name;
  link.click();
  URL.revokeObjectURL(address);
}

/** That this browser has texts of the document which are not saved, and the ways on. */
function DraftNote({ found }: { found: api.DocumentView }) {
  const isReader = useContext(MayOnlyRead);
  const drafts = useOtherDrafts(found.name);
  const [discarded, setDiscarded] = useState<string[]>([]);
  if (drafts === undefined) return null;
  const left = drafts.left.filter(({ key, draft }) => draft.text !== found.text && !discarded.includes(key)).map(({ key }) => key);
  const discard = () => {
    for (const key of left) forgetDraft(key);
    setDiscarded(left);
  };
  return (
    <>
      {drafts.isOpen && (
        <p class="note" role="status">
          {texts.edit.isOpen}
        </p>
      )}
      {left.length > 0 && (
        <p class="note" role="status">
          {texts.edit.hasDraft(left.length)}{" "}
          <a class="button" href={links.edit(found.name)}>
            {isReader ? texts.edit.lookAtDraft : texts.edit.toDraft}
          </a>{" "}
          {left.length === 1 && (
            <button type="button" onClick={discard}>
              {texts.edit.discard}
            </button>
          )}
        </p>
      )}
    </>
  );
}

function Text({ found, by, heading }: { found: api.DocumentView; by: string | undefined; heading: string }) {
  const mayWrite = useContext(MayWrite);
  const mayDelete = useContext(MayAdminister);
  const isMarkdown = found.name.endsWith(".md");
  const [isSource, setSource] = useState(!isMarkdown);
  const [headings, setHeadings] = useState<Heading[]>([]);
  const take = useCallback((next: Heading[]) => setHeadings(next), []);
  useEffect(() => {
    if (heading === "") return;
    const place = document.getElementById(heading);
    place?.scrollIntoView();
    place?.focus({ preventScroll: true });
    // A long document has its headings later.
  }, [heading, found.name, headings]);
  return (
    <>
      <RenameNote found={found} />
      <DraftNote found={found} />
      <p class="facts">
        {t.changed} <Time at={found.updatedAt} near />
        {by !== undefined && ` ${t.by(by)}`}
      </p>
      <div class="actions">
        {mayWrite && (
          <a class="button" href={links.edit(found.name)}>
            {texts.edit.open}
          </a>
        )}
        <a class="button" href={links.history(found.name)}>
          {t.history}
        </a>
        {isMarkdown && (
          <button type="button" aria-pressed={isSource} onClick={() => setSource(!isSource)}>
            {t.raw}
          </button>
        )}
        <a class="button" href={links.blame(found.name)}>
          {texts.blame.open}
        </a>
        {mayWrite && <DocumentActions found={found} mayDelete={mayDelete} />}
        <button type="button" onClick={() => download(found.name, found.text)}>
          {t.download}
        </button>
      </div>
      <div class={isSource || headings.length < 3 ? "reading" : "reading with-contents"}>
        {!isSource && headings.length >= 3 && <Contents headings={headings} />}
        <article class="paper" aria-label={found.name}>
          {found.text.trim() === "" ? (
            <p class="quiet">{t.emptyText}</p>
          ) : isSource ? (
            <pre class="source" tabIndex={0}>
              {found.text}
            </pre>
          ) : (
            <Markdown text={found.text} name={found.name} onHeadings={take} />
          )}
        </article>
      </div>
    </>
  );
}

/** The way to make a document of a name that none has. A name that no document may have is not offered. */
function Make({ name }: { name: string }) {
  const [loaded] = useLoaded((signal) => api.checkName(withEnding(name), signal), [name]);
  if (loaded.state !== "done" || loaded.value.exists || loaded.value.refusal !== undefined) return null;
  const made = loaded.value.name;
  return (
    <a class="button" href={links.edit(made)}>
      {made === name ? t.make : t.makeAs(made)}
    </a>
  );
}

/** What became of a document that there is not: it was deleted, its history says something else, or it never was. */
function Missing({ name }: { name: string }) {
  const mayWrite = useContext(MayWrite);
  const [loaded, retry] = useLoaded((signal) => api.history(name, undefined, signal), [name], LIVE);
  const ways = (
    <>
      <MaybeRenamed name={name} /> <a href={links.history(name)}>{t.history}</a> · <a href={links.deleted}>{t.deletedLink}</a>
    </>
  );
  return (
    <Shown loaded={loaded} retry={retry}>
      {({ versions }) =>
        versions.length === 0 ? (
          <p class="note" role="status">
            {t.never} <MaybeRenamed name={name} /> {mayWrite && <Make name={name} />} <a href={links.documents}>{t.all}</a>
          </p>
        ) : versions[0]?.kind === "deleted" ? (
          <DeletedNote name={name} versions={versions}>
            {" "}
            {ways}
          </DeletedNote>
        ) : (
          <p class="note" role="status">
            {versions[0] !== undefined && versions[0].filename !== name ? (
              <>
                {t.isCalled} <a href={links.document(versions[0].filename)}>{versions[0].filename}</a>.
              </>
            ) : (
              t.noLonger
            )}{" "}
            {ways}
          </p>
        )
      }
    </Shown>
  );
}

export function Document({ name, heading }: { name: string; heading: string }) {
  const load = async (signal: AbortSignal) => {
    const [found, changes] = await Promise.all([api.document(name, signal), api.history(name, undefined, signal)]);
    noteFound(found.name);
    return { found, by: changes.versions[0]?.by };
  };
  const [loaded, retry] = useLoaded(load, [name], LIVE);
  const folders = name.split("/").slice(0, -1);
  return (
    <>
      <p class="crumbs">
        <a href={links.documents}>{t.heading}</a>
        {folders.map((folder, at) => (
          <span key={at}> / {folder}</span>
        ))}
      </p>
      <PageHeading text={name.split("/").at(-1) ?? name} />
      {loaded.state === "done" && loaded.isGone === true && (
        <p class="note" role="status">
          {t.gone} <a href={links.history(name)}>{t.history}</a>
          {" "}
          <MaybeRenamed name={name} />
        </p>
      )}
      {loaded.state === "failed" && loaded.error.status === 404 ? (
        <Missing name={name} />
      ) : (
        <Shown loaded={loaded} retry={retry}>
          {({ found, by }) => <Text key={found.name} found={found} by={by} heading={heading} />}
        </Shown>
      )}
    </>
  );
}
