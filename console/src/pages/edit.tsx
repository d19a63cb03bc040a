// Editing a document: the text with a preview, a draft that survives a closed tab, and both changes side by side when
// somebody else was faster. Loaded when it is opened.

import { useContext, useEffect, useRef, useState } from "preact/hooks";
import * as api from "../api";
import { Editing } from "../drafts";
import { Conflict } from "../editor/conflict";
import { Field, usePlain } from "../editor/field";
import { onChanges } from "../live";
import { useOtherDrafts } from "../other_drafts";
import { isUnreachable, onDelivery } from "../outbox";
import { Waiting } from "../outbox_notes";
import { IsServedReadOnly, Markdown, MayOnlyRead, PageHeading, Shown, Trouble, useLoaded } from "../parts";
import { go, links } from "../router";
import { texts } from "../texts";
import { Time } from "../time";

const t = texts.edit;
/** How many other drafts are offered, the newest ones. */
const MOST_OTHERS = 5;

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

/** What the document has become since it was read: another text, by whom, or nothing. */
type Elsewhere = { state: "changed"; by: string | undefined } | { state: "deleted" };

interface EditorProps {
  name: string;
  read: Base;
  wanted: string | undefined;
  /** Its draft. */
  editing: Editing;
}

/** What one who may only read is told: why, and what becomes of a text that was written here. */
function readerNote(isServedReadOnly: boolean, isChanged: boolean): string {
  if (isServedReadOnly) return isChanged ? t.servedReadOnlyKept : t.servedReadOnly;
  return isChanged ? t.readOnlyKept : t.readOnly;
}

function Editor({ name, read, wanted, editing }: EditorProps) {
  const draft = editing.found;
  const isReader = useContext(MayOnlyRead);
  const isServedReadOnly = useContext(IsServedReadOnly);
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
  const [elsewhere, setElsewhere] = useState<Elsewhere>();
  const isSaving = useRef(false);
  const latest = useRef({ base, text });
  latest.current = { base, text };

  function change(next: string) {
    setText(next);
    setNote(undefined);
    setWaiting(false);
    if (next === base.text) editing.forget();
    setKept(next === base.text || editing.keep({ base, text: next }));
  }

  /** Whether the document was changed elsewhere, such as in another tab or by an assistant. */
  async function look() {
    try {
      const present = await api.document(name);
      const { base: of, text: written } = latest.current;
      if (isSaving.current) return;
      if (present.etag === of.etag) setElsewhere(undefined);
      else if (present.text === written) take(present.text, present);
      else setElsewhere({ state: "changed", by: await writerOf(name, present.etag) });
    } catch (failure) {
      // What cannot be asked now is asked after the next change, and found when the text is saved.
      if (failure instanceof api.ApiError && failure.status === 404 && latest.current.base.etag !== undefined) setElsewhere({ state: "deleted" });
    }
  }

  async function save(of = base) {
    setBusy(true);
    isSaving.current = true;
    setError(undefined);
    try {
      const written = await api.writeDocument(name, text, of.etag);
      editing.forget();
      go(links.document(written.name));
    } catch (failure) {
      const why = failure instanceof api.ApiError ? failure : new api.ApiError(0, texts.errors.server);
      if (isUnreachable(why) && editing.keep({ base: of, text, isWaiting: true })) {
        setWaiting(true);
        return;
      }
      const isConflict = why.status === 409 || why.status === 404;
      if (!isConflict || !(await compare())) setError(why);
    } finally {
      setBusy(false);
      isSaving.current = false;
    }
  }

  /** Shows whether somebody else was faster, or why that is not known; a text may also be refused for another reason. */
  async function compare(): Promise<boolean> {
    try {
      const present = await api.document(name);
      if (present.etag === base.etag) return false;
      setTheirs({ text: present.text, etag: present.etag, by: await writerOf(name, present.etag) });
      setError(undefined);
    } catch (failure) {
      if (!(failure instanceof api.ApiError)) return false;
      if (failure.status !== 404) setError(failure);
      // A document that never was is refused for its name or text, and the refusal is shown.
      else if (base.etag === undefined) return false;
      else {
        setElsewhere({ state: "deleted" });
        setError(undefined);
      }
    }
    return true;
  }

  /** The document that was deleted begins anew with this text. */
  function saveAnew() {
    const none: Base = { text: "", etag: undefined };
    setBase(none);
    setElsewhere(undefined);
    void save(none);
  }

  function discard() {
    editing.forget();
    setElsewhere(undefined);
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
    setElsewhere(undefined);
    setWaiting(false);
    setRestored(false);
    const isNew = merged !== present.text;
    if (!isNew) editing.forget();
    setKept(!isNew || editing.keep({ base: present, text: merged }));
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
        if (delivery.key !== editing.key || delivery.result === "unreachable") return;
        setWaiting(false);
        if (delivery.result === "saved") go(links.document(name));
        else void save();
      }),
    [text, base],
  );
  // A draft may be of an older text.
  useEffect(() => {
    if (base.etag !== read.etag) void look();
    return onChanges(() => void look());
  }, []);

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
      {isReader && (
        <p class="note" role="status">
          {readerNote(isServedReadOnly, text !== base.text)}
        </p>
      )}
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
      {elsewhere !== undefined && (
        <p class="note" role="status">
          {elsewhere.state === "deleted" ? (
            <>
              {t.deletedElsewhere}{" "}
              {!isReader && (
                <button type="button" disabled={busy} onClick={saveAnew}>
                  {t.saveAnew}
                </button>
              )}
            </>
          ) : (
            <>
              {t.elsewhere(elsewhere.by, elsewhere.by !== undefined && elsewhere.by === api.currentSession()?.user)}{" "}
              <button type="button" onClick={() => void compare()}>
                {t.compare}
              </button>
            </>
          )}
        </p>
      )}
      {!isKept && (
        <p class="note" role="status">
          {t.notKept}
        </p>
      )}
      {isWaiting && <Waiting text={t.waiting} />}
      {error !== undefined && <Trouble error={error} retry={error.status === 409 ? undefined : () => void save()} />}
      <div class="actions">
        {!isReader && (
          <button class="main" id="save" type="button" disabled={busy || (text === base.text && base.etag !== undefined)} onClick={() => void save()}>
            {t.save}
          </button>
        )}
        <button type="button" aria-pressed={isPreview} onClick={() => setPreview(!isPreview)}>
          {t.preview}
        </button>
        {!isReader && (
          <button type="button" aria-pressed={isPlain} onClick={() => setPlain(!isPlain)}>
            {t.plain}
          </button>
        )}
        <a class="button" href={base.etag === undefined ? links.documents : links.document(name)}>
          {t.close}
        </a>
      </div>
      <div class={isPreview ? "editing with-preview" : "editing"}>
        <Field key={name} name={name} text={text} isPlain={isPlain || isReader} isReadOnly={isReader} focused={focused} onChange={change} onFailed={() => setPlain(true)} />
        {isPreview && (
          <article class="paper" aria-label={t.preview}>
            {name.endsWith(".md") ? <Markdown text={text} name={name} /> : <pre class="source">{text}</pre>}
          </article>
        )}
      </div>
    </>
  );
}

/** The drafts of other editors: those that were left can be continued, open ones are only named. */
function OtherDrafts({ editing, onContinue }: { editing: Editing; onContinue: (key: string) => void }) {
  const others = useOtherDrafts(editing.name, editing.key);
  if (others === undefined) return null;
  return (
    <>
      {others.left.slice(0, MOST_OTHERS).map(({ key, draft }) => (
        <p key={key} class="note" role="status">
          {t.otherDraft} {draft.at !== undefined && <Time at={new Date(draft.at).toISOString()} near />}{" "}
          <button type="button" onClick={() => onContinue(key)}>
            {t.otherContinue}
          </button>
        </p>
      ))}
      {others.isOpen && (
        <p class="note" role="status">
          {t.isOpen}
        </p>
      )}
    </>
  );
}

/** The editor with a draft of its own: one that was left, or a new one. */
function Drafted({ name, read, wanted }: Omit<EditorProps, "editing">) {
  const [editing, setEditing] = useState<Editing>();
  const [chosen, setChosen] = useState<string>();
  useEffect(() => {
    let isLeft = false;
    let opened: Editing | undefined;
    const open = async () => {
      const left = wanted === undefined || chosen !== undefined ? await Editing.continued(name, chosen) : undefined;
      opened = left ?? Editing.begun(name);
      if (isLeft) opened.close();
      else setEditing(opened);
    };
    void open();
    return () => {
      isLeft = true;
      opened?.close();
    };
  }, [chosen]);
  if (editing === undefined) {
    return (
      <p class="loading" role="status">
        {texts.loading}
      </p>
    );
  }
  return (
    <>
      <OtherDrafts editing={editing} onContinue={setChosen} />
      <Editor key={editing.key} name={name} read={read} wanted={chosen === undefined ? wanted : undefined} editing={editing} />
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
        {({ read, wanted }) => <Drafted name={name} read={read} wanted={wanted} />}
      </Shown>
    </>
  );
}
