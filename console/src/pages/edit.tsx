// Editing a document: the text with a preview, a draft that survives a closed tab, and both changes side by side when
// somebody else was faster. Loaded when it is opened.

import { useEffect, useState } from "preact/hooks";
import * as api from "../api";
import { draftOf, forgetDraft, keepDraft } from "../drafts";
import { Conflict } from "../editor/conflict";
import { Field, usePlain } from "../editor/field";
import { isUnreachable, onDelivery } from "../outbox";
import { Markdown, PageHeading, Shown, Trouble, useLoaded } from "../parts";
import { go, links } from "../router";
import { texts } from "../texts";

const t = texts.edit;

/** What is edited: the text that was read, with its etag, or neither for a document that does not exist yet. */
interface Base {
  text: string;
  etag: string | undefined;
}

/** Who wrote the text of this etag, if the history says so. */
async function writerOf(name: string, etag: string): Promise<string | undefined> {
  try {
    const { versions } = await api.history(name, undefined);
    return versions.find((version) => version.etag === etag)?.by;
  } catch {
    // The texts are compared also when nobody knows whose they are.
    return undefined;
  }
}

function Editor({ name, read, wanted }: { name: string; read: Base; wanted: string | undefined }) {
  const [draft] = useState(() => (wanted === undefined ? draftOf(name) : undefined));
  const [base, setBase] = useState<Base>(draft?.base ?? read);
  const [text, setText] = useState(draft?.text ?? wanted ?? read.text);
  const [isRestored, setRestored] = useState(draft !== undefined && draft.text !== read.text);
  const [isPreview, setPreview] = useState(false);
  const [isKept, setKept] = useState(true);
  const [theirs, setTheirs] = useState<Base & { by: string | undefined }>();
  const [error, setError] = useState<api.ApiError>();
  const [busy, setBusy] = useState(false);
  const [note, setNote] = useState<"merged" | "nothing">();
  const [isWaiting, setWaiting] = useState(draft?.isWaiting === true);
  const [isPlain, setPlain] = usePlain();
  const [focused, setFocused] = useState(0);
  const focus = () => setFocused((before) => before + 1);

  function change(next: string) {
    setText(next);
    setNote(undefined);
    setWaiting(false);
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
      if (isUnreachable(why) && keepDraft(name, { base, text, isWaiting: true })) {
        setWaiting(true);
        return;
      }
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
      setTheirs({ text: present.text, etag: present.etag, by: await writerOf(name, present.etag) });
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
    setWaiting(false);
    focus();
  }

  function take(merged: string, present: Base) {
    setBase(present);
    setText(merged);
    setTheirs(undefined);
    setRestored(false);
    const isNew = merged !== present.text;
    if (!isNew) forgetDraft(name);
    setKept(!isNew || keepDraft(name, { base: present, text: merged }));
    setNote(isNew ? "merged" : "nothing");
    focus();
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

  // What waits is saved when the connection is back.
  useEffect(
    () =>
      onDelivery((delivery) => {
        if (delivery.name !== name || delivery.result === "unreachable") return;
        setWaiting(false);
        if (delivery.result === "saved") go(links.document(name));
        else void save();
      }),
    [text, base],
  );

  if (theirs !== undefined) {
    const { by, ...present } = theirs;
    const back = () => {
      setTheirs(undefined);
      focus();
    };
    return (
      <Conflict
        mine={text}
        base={base.text}
        theirs={present.text}
        by={by}
        isOwn={by !== undefined && by === api.currentSession()?.user}
        onMerged={(merged) => take(merged, present)}
        onBack={back}
      />
    );
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
          {note === "merged" ? t.merged : t.nothingToSave}{" "}
          {note === "nothing" && (
            <a class="button" href={links.document(name)}>
              {t.close}
            </a>
          )}
        </p>
      )}
      {!isKept && (
        <p class="note" role="status">
          {t.notKept}
        </p>
      )}
      {isWaiting && (
        <p class="note" role="status">
          {t.waiting}
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
        <button type="button" aria-pressed={isPlain} onClick={() => setPlain(!isPlain)}>
          {t.plain}
        </button>
        <a class="button" href={base.etag === undefined ? links.documents : links.document(name)}>
          {t.close}
        </a>
      </div>
      <div class={isPreview ? "editing with-preview" : "editing"}>
        <Field key={name} name={name} text={text} isPlain={isPlain} focused={focused} onChange={change} onFailed={() => setPlain(true)} />
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
