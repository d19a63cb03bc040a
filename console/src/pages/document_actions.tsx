// Renaming and deleting a document, each asked for in a dialog, and the way back.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import * as api from "../api";
import { useKept } from "../forms";
import { Trouble } from "../parts";
import { go, links } from "../router";
import { texts } from "../texts";

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

function Rename({ found, onClose }: { found: api.DocumentView; onClose: () => void }) {
  const { values, set, forget } = useKept(`rename ${found.name}`, { name: found.name });
  const { name } = values;
  const close = () => {
    forget();
    onClose();
  };
  const act = async () => {
    const to = /\.(md|json)$/i.test(name.trim()) ? name.trim() : `${name.trim()}.md`;
    const renamed = await api.renameDocument(found.name, to, found.etag);
    lastRename = { from: found.name, to: renamed.name };
    close();
    go(links.document(renamed.name));
  };
  return (
    <Dialog heading={t.renameHeading(found.name)} button={t.rename} act={act} onClose={close}>
      <label for="new-document-name">{t.newName}</label>
      <input id="new-document-name" type="text" required autocomplete="off" spellcheck={false} value={name} onInput={(event) => set({ name: event.currentTarget.value })} />
      <p class="hint">{t.renameHint}</p>
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
