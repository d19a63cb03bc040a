// The list of keys, which `?` opens.

import { useLayoutEffect, useRef } from "preact/hooks";
import { texts } from "./texts";

const t = texts.shortcuts;

export function Shortcuts({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog class="asking" ref={dialog} aria-labelledby="shortcuts" onClose={onClose}>
      <h2 id="shortcuts">{t.heading}</h2>
      <dl class="keys">
        {t.keys.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <button type="button" onClick={() => dialog.current?.close()}>
        {texts.palette.close}
      </button>
    </dialog>
  );
}
