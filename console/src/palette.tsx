// The command palette: every page, document and command, by keyboard.

import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import * as api from "./api";
import { useLoaded } from "./parts";
import { go, links } from "./router";
import { texts } from "./texts";

export interface Command {
  label: string;
  run: () => void;
}

const MOST_SHOWN = 12;

/** How well a label fits: its parts begin with or contain each word; the lower the better, `undefined` if not at all. */
function fit(label: string, words: string[]): number | undefined {
  const lower = label.toLowerCase();
  let sum = 0;
  for (const word of words) {
    const at = lower.indexOf(word);
    if (at === -1) return undefined;
    sum += at === 0 || /[\s/._-]/.test(lower.charAt(at - 1)) ? 0 : 10;
  }
  return sum + label.length / 100;
}

export function Palette({ commands, onClose }: { commands: Command[]; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  // Pages and commands are offered without the documents, whose page shows the error.
  const [documents] = useLoaded(api.documents, []);
  const names = useMemo(() => (documents.state === "done" ? documents.value.map((document) => document.name) : []), [documents]);

  // The element is in the page, and no frame is needed for it to open.
  useLayoutEffect(() => dialog.current?.showModal(), []);

  const shown = useMemo(() => {
    const words = text.toLowerCase().split(/\s+/).filter((word) => word !== "");
    const documents = names.map((name) => ({ label: name, run: () => go(links.document(name)) }));
    const search = text.trim() === "" ? [] : [{ label: `${texts.search.heading}: ${text.trim()}`, run: () => go(links.search(text.trim())) }];
    const fitting = [...commands, ...documents].flatMap((command) => {
      const rank = fit(command.label, words);
      return rank === undefined ? [] : [{ command, rank: words.length === 0 ? 0 : rank }];
    });
    fitting.sort((one, other) => one.rank - other.rank);
    return [...fitting.slice(0, MOST_SHOWN - search.length).map(({ command }) => command), ...search];
  }, [text, names, commands]);
  const chosen = Math.min(at, shown.length - 1);

  function run(command: Command | undefined) {
    if (command === undefined) return;
    onClose();
    command.run();
  }

  function key(event: KeyboardEvent) {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1 };
    const step = steps[event.key];
    if (step !== undefined && shown.length > 0) {
      event.preventDefault();
      setAt((chosen + step + shown.length) % shown.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      run(shown[chosen]);
    }
  }

  return (
    <dialog
      ref={dialog}
      class="palette"
      aria-label={texts.palette.open}
      onClose={onClose}
      // The browser would close it before the page knows, and a key that opens it again at once would do nothing.
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) onClose();
      }}
    >
      <input
        type="text"
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-autocomplete="list"
        aria-label={texts.palette.label}
        placeholder={texts.palette.label}
        {...(chosen >= 0 ? { "aria-activedescendant": `palette-${chosen}` } : {})}
        autocomplete="off"
        spellcheck={false}
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={key}
      />
      <ul id="palette-list" role="listbox" aria-label={texts.palette.open}>
        {shown.map((command, number) => (
          <li
            key={command.label}
            id={`palette-${number}`}
            role="option"
            aria-selected={number === chosen}
            onMouseMove={() => setAt(number)}
            onClick={() => run(command)}
          >
            {command.label}
          </li>
        ))}
      </ul>
      {shown.length === 0 && <p class="quiet">{texts.palette.none}</p>}
    </dialog>
  );
}
