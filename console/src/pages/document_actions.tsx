// Renaming and deleting a document, each asked for in a dialog, and the way back.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import * as api from "../api";
import { useKept } from "../forms";
import { isUnreachable } from "../outbox";
import { Trouble } from "../parts";
import { go, links } from "../router";
import { texts } from "../texts";
import { withEnding } from "./names";

const t = texts.documents;

/** The last renaming of this tab, which can be undone. */
let lastRename: { from: string; to: string } | undefined;

interface DialogProps {
  heading: string;
  button: string;
  children: ComponentChildren;
  act: () => Promise<void>;
  onClose: () => void;
}

function Dialog({ heading, button, children, act, onClose }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [error, setError] = useState<api.ApiError>();
  const [isBusy, setBusy] = useState(false);
  useLayoutEffect(() => dialog.current?.showModal(), []);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    act().catch((failure: unknown) => {
      setBusy(false);
      setError(failure instanceof api.ApiError ? failure : new api.ApiError(0, texts.errors.server));
    });
  };
  return (
    <dialog
      ref={dialog}
      class="asking"
      aria-labelledby="asking"
      onClose={onClose}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <form onSubmit={submit}>
        <h2 id="asking">{heading}</h2>
        {children}
        {error !== undefined && <Trouble error={error} />}
        <div class="actions">
          <button type="submit" class="main" disabled={isBusy}>
            {button}
          </button>
          <button type="button" onClick={onClose}>
            {t.cancel}
          </button>
        </div>
      </form>
    </dialog>
  );
}

/** A renaming of this tab whose reply was lost, so that nobody knows whether it was done. */
let lostRename: { from: string; to: string } | undefined;

/** The name of the document after a renaming whose reply was lost: the new one if the former name is free, and the new one has the text. */
async function nameAfter({ name, text }: api.DocumentView, to: string): Promise<string | undefined> {
  const read = (of: string) =>
    api.document(of).catch((failure: unknown) => {
      if (failure instanceof api.ApiError && failure.status === 404) return undefined;
      throw failure;
    });
  const present = await read(to);
  return present?.text === text && present.name !== name && (await read(name)) === undefined ? present.name : undefined;
}

/** Renames a document; gives its new name. If the reply is lost it looks whether the server has done it, and so it does if a former one was. */
async function renamedTo(found: api.DocumentView, to: string): Promise<string> {
  const wasLost = lostRename?.from === found.name && lostRename.to === to;
  try {
    const { name } = await api.renameDocument(found.name, to, found.etag);
    lostRename = undefined;
    return name;
  } catch (failure) {
    const isLost = failure instanceof api.ApiError && isUnreachable(failure);
    if (!isLost && !wasLost) throw failure;
    lostRename = { from: found.name, to };
    // What cannot be asked now is not known; the page says so.
    const done = await nameAfter(found, to).catch(() => undefined);
    if (done === undefined) throw failure;
    lostRename = undefined;
    return done;
  }
}

/** That a document may have another name, as its renaming was sent, and the reply was lost. */
export function MaybeRenamed({ name }: { name: string }) {
  if (lostRename?.from !== name) return null;
  const { to } = lostRename;
  return (
    <>
      {t.maybeRenamed} <a href={links.document(to)}>{to}</a>.
    </>
  );
}

/** Notes that a document is there under this name, so that it was not renamed. */
export function noteFound(name: string): void {
  if (lostRename?.from === name) lostRename = undefined;
}

function Rename({ found, onClose }: { found: api.DocumentView; onClose: () => void }) {
  const { values, set, forget } = useKept(`rename ${found.name}`, { name: found.name });
  const { name } = values;
  const close = () => {
    forget();
    onClose();
  };
  const act = async () => {
    const to = withEnding(name);
    const renamed = await renamedTo(found, to);
    lastRename = { from: found.name, to: renamed };
    close();
    go(links.document(renamed));
  };
  return (
    <Dialog heading={t.renameHeading(found.name)} button={t.rename} act={act} onClose={close}>
      <label for="new-document-name">{t.newName}</label>
      <input id="new-document-name" type="text" required autocomplete="off" spellcheck={false} value={name} onInput={(event) => set({ name: event.currentTarget.value })} />
      <p class="hint">{t.renameHint}</p>
      {lostRename?.from === found.name && (
        <p class="note" role="status">
          <MaybeRenamed name={found.name} />
        </p>
      )}
    </Dialog>
  );
}

function Delete({ found, onClose }: { found: api.DocumentView; onClose: () => void }) {
  const act = async () => {
    await api.deleteDocument(found.name, found.etag);
    onClose();
    go(links.history(found.name));
  };
  return (
    <Dialog heading={t.deleteHeading(found.name)} button={t.delete} act={act} onClose={onClose}>
      <p>{t.deleteHint}</p>
    </Dialog>
  );
}

export function DocumentActions({ found, mayDelete }: { found: api.DocumentView; mayDelete: boolean }) {
  const [asked, setAsked] = useState<"rename" | "delete">();
  const close = () => setAsked(undefined);
  return (
    <>
      <button type="button" onClick={() => setAsked("rename")}>
        {t.rename}
      </button>
      {mayDelete && (
        <button type="button" onClick={() => setAsked("delete")}>
          {t.delete}
        </button>
      )}
      {asked === "rename" && <Rename found={found} onClose={close} />}
      {asked === "delete" && <Delete found={found} onClose={close} />}
    </>
  );
}

/** The way back after a renaming. */
export function RenameNote({ found }: { found: api.DocumentView }) {
  const [error, setError] = useState<api.ApiError>();
  if (lastRename?.to !== found.name) return null;
  const { from } = lastRename;
  const back = () => {
    api.renameDocument(found.name, from, found.etag).then(
      (renamed) => {
        lastRename = undefined;
        go(links.document(renamed.name));
      },
      (failure: unknown) => setError(failure instanceof api.ApiError ? failure : new api.ApiError(0, texts.errors.server)),
    );
  };
  return (
    <>
      <p class="note" role="status">
        {t.renamedFrom(from)}{" "}
        <button type="button" onClick={back}>
          {t.renameBack}
        </button>
      </p>
      {error !== undefined && <Trouble error={error} />}
    </>
  );
}
