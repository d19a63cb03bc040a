// The field in which a text is edited: with colours, or a plain one, which screen readers and phones know best.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { texts } from "../texts";
import type { Code } from "./code";

const t = texts.edit;
const STORED = "memory-bank-console-editor";

/** What the user has chosen in this browser; else a plain field on small screens and for fingers. */
function isPlainFirst(): boolean {
  const stored = localStorage.getItem(STORED);
  if (stored !== null) return stored === "plain";
  return !window.matchMedia("(min-width: 48rem) and (pointer: fine)").matches;
}

/** Whether the field is plain, and what changes it. */
export function usePlain(): [boolean, (isPlain: boolean) => void] {
  const [isPlain, setPlain] = useState(isPlainFirst);
  const choose = (next: boolean) => {
    localStorage.setItem(STORED, next ? "plain" : "colours");
    setPlain(next);
  };
  return [isPlain, choose];
}

/** A field has line feeds only. */
const inField = (text: string): string => text.replaceAll("\r\n", "\n");

/** A text of a field, with the line ends of the former text if these are all of Windows. */
function withEndsOf(former: string, text: string): string {
  return former.includes("\r\n") && !/(?:^|[^\r])\n/.test(former) ? text.replaceAll("\n", "\r\n") : text;
}

interface FieldProps {
  name: string;
  text: string;
  isPlain: boolean;
  /** Whether the user may only read it; a plain field then. */
  isReadOnly: boolean;
  /** Counts how often the page has put a text into the field, which then takes the focus. */
  focused: number;
  onChange: (text: string) => void;
  /** The colours could not be loaded. */
  onFailed: () => void;
}

/** Gives the field the focus, and shows the page from its title on: the field would move to the top, below the header. */
function takeFocus(focus: () => void): void {
  focus();
  window.scrollTo({ top: 0, behavior: "instant" });
}

function PlainField({ name, text, isReadOnly, focused, onChange }: FieldProps) {
  const field = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => {
    if (focused > 0) takeFocus(() => field.current?.focus());
  }, [focused]);
  return <textarea ref={field} aria-label={t.label(name)} value={inField(text)} readOnly={isReadOnly} spellcheck onInput={(event) => onChange(withEndsOf(text, event.currentTarget.value))} />;
}

function ColourField({ name, text, focused, onChange, onFailed }: FieldProps) {
  const place = useRef<HTMLDivElement>(null);
  const code = useRef<Code>(undefined);
  const calls = useRef({ text, onChange, onFailed });
  calls.current = { text, onChange, onFailed };
  useEffect(() => {
    let isLeft = false;
    import("./code").then(
      ({ openCode }) => {
        if (isLeft || place.current === null) return;
        code.current = openCode(place.current, {
          text: inField(calls.current.text),
          label: t.label(name),
          isMarkdown: name.endsWith(".md"),
          onChange: (next) => calls.current.onChange(withEndsOf(calls.current.text, next)),
        });
        if (focused > 0) takeFocus(() => code.current?.focus());
      },
      () => calls.current.onFailed(),
    );
    return () => {
      isLeft = true;
      code.current?.end();
      code.current = undefined;
    };
  }, [name]);
  // What the user types is not given back to the field: it could be older than what was typed since.
  useEffect(() => {
    if (focused === 0) return;
    code.current?.set(inField(calls.current.text));
    takeFocus(() => code.current?.focus());
  }, [focused]);
  return <div class="code" ref={place} />;
}

export const Field = (props: FieldProps) => (props.isPlain ? <PlainField {...props} /> : <ColourField {...props} />);
