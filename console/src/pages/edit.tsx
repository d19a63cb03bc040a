// Editing a document: the text with a preview, a draft that survives a closed tab, and both changes side by side when
// somebody else was faster. Loaded when it is opened.

import { diff3Merge } from "node-diff3";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import * as api from "../api";
import { draftOf, forgetDraft, keepDraft } from "../drafts";
import { Markdown, PageHeading, Shown, Trouble, useLoaded } from "../parts";
import { go, links } from "../router";
import { texts } from "../texts";

const t = texts.edit;

/** What is edited: the text that was read, with its etag, or neither for a document that does not exist yet. */
interface Base {
  text: string;
  etag: string | undefined;
}

type Choice = "mine" | "theirs" | "both";

function Lines({ heading, lines }: { heading: string; lines: string[] }) {
  return (
    <div class="side">
      <h3>{heading}</h3>
      <pre tabIndex={0}>{lines.length === 0 ? t.nothing : lines.join("\n")}</pre>
    </div>
  );
}

/** Both changes of one text. Where they meet, the user chooses. */
function Conflict({ mine, base, theirs, onMerged }: { mine: string; base: string; theirs: string; onMerged: (text: string) => void }) {
  const regions = useMemo(() => diff3Merge(mine.split("\n"), base.split("\n"), theirs.split("\n")), [mine, base, theirs]);
  const [choices, setChoices] = useState<Partial<Record<number, Choice>>>({});
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  const open = regions.filter((region, at) => region.conflict !== undefined && choices[at] === undefined).length;

  function merged(): string {
    return regions
      .flatMap((region, at) => {
        if (region.conflict === undefined) return region.ok;
        const { a, b } = region.conflict;
        return choices[at] === "mine" ? a : choices[at] === "theirs" ? b : [...b, ...a];
      })
      .join("\n");
  }

  return (
    <section class="conflict" aria-labelledby="conflict">
      <h2 id="conflict" ref={heading} tabIndex={-1}>
        {t.conflict}
      </h2>
      <p>{regions.some((region) => region.conflict !== undefined) ? t.meet : t.fit}</p>
      {regions.map((region, at) => {
        if (region.conflict === undefined) return null;
        const { a, o, b } = region.conflict;
        return (
          <fieldset key={at}>
            <legend>{t.place(region.conflict.bIndex + 1)}</legend>
            <div class="sides">
              <Lines heading={t.before} lines={o} />
              <Lines heading={t.theirs} lines={b} />
              <Lines heading={t.mine} lines={a} />
            </div>
            {(["theirs", "mine", "both"] as const).map((choice) => (
              <label key={choice} class="choice">
                <input type="radio" name={`choice-${at}`} checked={choices[at] === choice} onChange={() => setChoices({ ...choices, [at]: choice })} />
                {t.choices[choice]}
              </label>
            ))}
          </fieldset>
        );
      })}
      <button class="main" type="button" disabled={open > 0} onClick={() => onMerged(merged())}>
        {open > 0 ? t.left(open) : t.merge}
      </button>
    </section>
  );
}

function Editor({ name, read, wanted }: { name: string; read: Base; wanted: string | undefined }) {
  const [draft] = useState(() => (wanted === undefined ? draftOf(name) : undefined));
  const [base, setBase] = useState<Base>(draft?.base ?? read);
  const [text, setText] = useState(draft?.text ?? wanted ?? read.text);
  const [isRestored, setRestored] = useState(draft !== undefined && draft.text !== read.text);
  const [isPreview, setPreview] = useState(false);
  const [isKept, setKept] = useState(true);
  const [theirs, setTheirs] = useState<Base>();
  const [error, setError] = useState<api.ApiError>();
  const [busy, setBusy] = useState(false);
  const [note, setNote] = useState<string>();
  const field = useRef<HTMLTextAreaElement>(null);

  function change(next: string) {
    setText(next);
    setNote(undefined);
    if (next === base.text) forgetDraft(name);
    setKept(next === base.text || keepDraft(name, { base, text: next }));
  }

  async function save() {
    setBusy(true);
    setError(undefined);
    try {
      const written = await api.writeDocument(name, text, base.etag);
      forgetDraft(name);
      go(links.document(written.name));
    } catch (failure) {
      const why = failure instanceof api.ApiError ? failure : new api.ApiError(0, texts.errors.server);
      setError(why);
      if (why.status === 409) await compare();
    } finally {
      setBusy(false);
    }
  }

  /** Whether somebody else was faster; a text may also be refused for another reason. */
  async function compare() {
    try {
      const present = await api.document(name);
      if (present.etag === base.etag) return;
      setTheirs({ text: present.text, etag: present.etag });
      setError(undefined);
    } catch (failure) {
      // Without a document nobody was faster: the refusal is shown.
      if (failure instanceof api.ApiError && failure.status !== 404) setError(failure);
    }
  }

  function discard() {
    forgetDraft(name);
    setBase(read);
    setText(read.text);
    setRestored(false);
    field.current?.focus();
  }

  function take(merged: string, present: Base) {
    setBase(present);
    setText(merged);
    setTheirs(undefined);
    setKept(keepDraft(name, { base: present, text: merged }));
    setNote(t.merged);
    requestAnimationFrame(() => field.current?.focus());
  }

  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "s") return;
      event.preventDefault();
      document.getElementById("save")?.click();
    };
    window.addEventListener("keydown", key);
    return () => window.removeEventListener("keydown", key);
  }, []);

  if (theirs !== undefined) {
    return <Conflict mine={text} base={base.text} theirs={theirs.text} onMerged={(merged) => take(merged, theirs)} />;
  }
  return (
    <>
      {isRestored && (
        <p class="note" role="status">
          {t.restored}{" "}
          <button type="button" onClick={discard}>
            {t.discard}
          </button>
        </p>
      )}
      {note !== undefined && (
        <p class="note" role="status">
          {note}
        </p>
      )}
      {!isKept && (
        <p class="note" role="status">
          {t.notKept}
        </p>
      )}
      {error !== undefined && <Trouble error={error} retry={error.status === 409 ? undefined : () => void save()} />}
      <div class="actions">
        <button class="main" id="save" type="button" disabled={busy || (text === base.text && base.etag !== undefined)} onClick={() => void save()}>
          {t.save}
        </button>
        <button type="button" aria-pressed={isPreview} onClick={() => setPreview(!isPreview)}>
          {t.preview}
        </button>
        <a class="button" href={base.etag === undefined ? links.documents : links.document(name)}>
          {t.close}
        </a>
      </div>
      <div class={isPreview ? "editing with-preview" : "editing"}>
        <textarea ref={field} aria-label={t.label(name)} value={text} spellcheck onInput={(event) => change(event.currentTarget.value)} />
        {isPreview && (
          <article class="paper" aria-label={t.preview}>
            {name.endsWith(".md") ? <Markdown text={text} name={name} /> : <pre class="source">{text}</pre>}
          </article>
        )}
      </div>
    </>
  );
}

export default function Edit({ name, version }: { name: string; version: number | undefined }) {
  const load = async (signal: AbortSignal): Promise<{ read: Base; wanted: string | undefined }> => {
    const present = api.document(name, signal).catch((failure: unknown) => {
      if (failure instanceof api.ApiError && failure.status === 404) return undefined;
      throw failure;
    });
    const former = version === undefined ? undefined : api.versionText(name, version, signal);
    const found = await present;
    const read = found === undefined ? { text: "", etag: undefined } : { text: found.text, etag: found.etag };
    return { read, wanted: former === undefined ? undefined : ((await former).text ?? "") };
  };
  const [loaded, retry] = useLoaded(load, [name, version]);
  return (
    <>
      <p class="crumbs">
        <a href={links.documents}>{texts.documents.heading}</a> / <a href={links.document(name)}>{name}</a>
      </p>
      <PageHeading text={t.heading(name.split("/").at(-1) ?? name)} />
      {version !== undefined && <p class="note">{t.formerVersion(version)}</p>}
      <Shown loaded={loaded} retry={retry}>
        {({ read, wanted }) => <Editor name={name} read={read} wanted={wanted} />}
      </Shown>
    </>
  );
}
