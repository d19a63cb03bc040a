// A text field that knows Markdown (CodeMirror). Its styles are in a shadow root, as the policy of the page admits no inline
// ones. Loaded when it is opened.

import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { deleteMarkupBackward, insertNewlineContinueMarkup, markdownLanguage } from "@codemirror/lang-markdown";
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { EditorState } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const colours = HighlightStyle.define([
  { tag: tags.heading, fontWeight: "700", color: "var(--accent)" },
  { tag: tags.strong, fontWeight: "700" },
  { tag: tags.emphasis, fontStyle: "italic" },
  { tag: tags.strikethrough, textDecoration: "line-through" },
  { tag: [tags.link, tags.url], color: "var(--accent)", textDecoration: "underline" },
  { tag: tags.monospace, color: "light-dark(#8a3b00, #f0b27a)" },
  { tag: tags.quote, color: "var(--quiet)" },
  { tag: [tags.processingInstruction, tags.contentSeparator, tags.labelName], color: "var(--quiet)" },
]);

const look = EditorView.theme({
  "&": { color: "var(--text)", backgroundColor: "var(--paper)", border: "1px solid var(--edge)", borderRadius: ".6rem", minHeight: "60vh", maxHeight: "80vh", overflow: "hidden" },
  "&.cm-focused": { outline: "3px solid var(--accent)", outlineOffset: "2px" },
  ".cm-scroller": { fontFamily: "var(--mono)", fontSize: ".95rem", lineHeight: "1.5", overflow: "auto", minHeight: "60vh" },
  ".cm-content": { caretColor: "var(--text)", padding: "1rem 0" },
  ".cm-line": { padding: "0 1rem 0 .6rem" },
  ".cm-gutters": { backgroundColor: "var(--paper)", color: "var(--quiet)", borderRight: "0", paddingLeft: ".3rem" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "light-dark(rgb(11 87 208 / .06), rgb(168 199 250 / .08))" },
  ".cm-cursor": { borderLeftColor: "var(--text)", borderLeftWidth: "2px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "light-dark(#cfe0fc, #2f4a74)" },
  ".cm-selectionMatch, .cm-searchMatch": { backgroundColor: "var(--mark)", color: "var(--on-mark)" },
  ".cm-panels": { backgroundColor: "var(--sunk)", color: "var(--text)", borderColor: "var(--line)" },
  ".cm-panel.cm-search": { padding: ".5rem", fontFamily: "system-ui, sans-serif" },
  ".cm-panel.cm-search input, .cm-panel.cm-search button": { font: "inherit", padding: ".3rem .5rem", margin: ".15rem" },
  ".cm-textfield": { backgroundColor: "var(--paper)", color: "var(--text)", border: "1px solid var(--edge)", borderRadius: ".3rem" },
  ".cm-button": { backgroundImage: "none", backgroundColor: "var(--paper)", color: "var(--text)", border: "1px solid var(--edge)", borderRadius: ".3rem" },
});

export interface CodeOptions {
  text: string;
  label: string;
  isMarkdown: boolean;
  onChange: (text: string) => void;
}

export interface Code {
  focus(): void;
  /** Replaces the text, which is no change of the user. */
  set(text: string): void;
  end(): void;
}

export function openCode(place: HTMLElement, { text, label, isMarkdown, onChange }: CodeOptions): Code {
  const root = place.shadowRoot ?? place.attachShadow({ mode: "open" });
  let isSetting = false;
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(),
        history(),
        drawSelection(),
        highlightActiveLine(),
        highlightSelectionMatches(),
        search({ top: true }),
        EditorView.lineWrapping,
        // Tab leaves the field, as it does everywhere.
        keymap.of([
          ...(isMarkdown
            ? [
                { key: "Enter", run: insertNewlineContinueMarkup },
                { key: "Backspace", run: deleteMarkupBackward },
              ]
            : []),
          ...defaultKeymap,
          ...historyKeymap,
          ...searchKeymap,
        ]),
        isMarkdown ? markdownLanguage : [],
        syntaxHighlighting(colours),
        look,
        EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "true", autocorrect: "on", autocapitalize: "on" }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged && !isSetting) onChange(update.state.doc.toString());
        }),
      ],
    }),
  });
  return {
    focus: () => view.focus(),
    set(next) {
      if (next === view.state.doc.toString()) return;
      isSetting = true;
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } });
      isSetting = false;
    },
    end() {
      view.destroy();
    },
  };
}
