// The question before texts are lost by signing out.

import { useLayoutEffect, useRef } from "preact/hooks";
import type { Unsaved } from "./drafts";
import { texts } from "./texts";

const t = texts.signingOut;
/** How many names are listed. */
const MOST_NAMED = 10;

export const hasUnsaved = ({ documents, entities, forms }: Unsaved): boolean => documents.length + entities.length + forms > 0;

/** Whether one has something that the other has not. */
export const hasMore = (one: Unsaved, than: Unsaved): boolean =>
  one.forms > than.forms || one.documents.some((name) => !than.documents.includes(name)) || one.entities.some((name) => !than.entities.includes(name));

export function SignOutQuestion({ unsaved: { documents, entities, forms }, onSignOut, onStay }: { unsaved: Unsaved; onSignOut: () => void; onStay: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const stay = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => {
    dialog.current?.showModal();
    stay.current?.focus();
  }, []);
  const names = [...documents, ...entities.map(t.ofEntity)];
  return (
    <dialog
      ref={dialog}
      class="asking"
      aria-labelledby="signing-out"
      onClose={onStay}
      onCancel={(event) => {
        event.preventDefault();
        onStay();
      }}
    >
      <h2 id="signing-out">{t.heading}</h2>
      <p>{t.question}</p>
      <ul>
        {names.slice(0, MOST_NAMED).map((name) => (
          <li key={name}>
            <bdi>{name}</bdi>
          </li>
        ))}
        {names.length > MOST_NAMED && <li>{t.more(names.length - MOST_NAMED)}</li>}
        {forms > 0 && <li>{t.forms(forms)}</li>}
      </ul>
      <div class="actions">
        <button ref={stay} type="button" onClick={onStay}>
          {t.stay}
        </button>
        <button type="button" class="main" onClick={onSignOut}>
          {t.signOut}
        </button>
      </div>
    </dialog>
  );
}
