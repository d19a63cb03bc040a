// The picture itself, with the buttons and keys that move it.

import { useEffect, useRef, useState } from "preact/hooks";
import type { GraphPicture } from "../api";
import { texts } from "../texts";
import { Layout } from "./layout";
import type { Kept, Paper, Picture } from "./model";
import { Scene } from "./scene";

const t = texts.picture;
const STEP = 0.15;

interface Props {
  found: GraphPicture;
  graph: Picture;
  kept: Kept;
  paper: Paper;
  /** The nodes that are looked at, and a name of the choice that shows them. */
  shown: ReadonlySet<string> | undefined;
  choice: string;
  onChoose: (node: string | undefined) => void;
  onOpen: (node: string) => void;
}

export function Canvas({ found, graph, kept, paper, shown, choice, onChoose, onOpen }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const scene = useRef<Scene>(undefined);
  const calls = useRef({ onChoose, onOpen });
  const [state, setState] = useState<"arranging" | "done" | "failed">("arranging");
  calls.current = { onChoose, onOpen };

  useEffect(() => {
    const isStill = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    let made: Scene;
    if (place.current === null) return undefined;
    try {
      made = new Scene(place.current, graph, {
        paper,
        isStill,
        onChoose: (node) => calls.current.onChoose(node),
        onOpen: (node) => calls.current.onOpen(node),
      });
    } catch (error) {
      // Without WebGL the list beside shows everything.
      console.warn(error);
      setState("failed");
      return undefined;
    }
    scene.current = made;
    const { places } = kept;
    const isArranged = graph.everyNode((node) => places.has(node));
    let isDone = isArranged;
    kept.isBusy = !isArranged;
    if (kept.view !== undefined) {
      made.span(places);
      made.view = kept.view;
    }
    setState(isArranged ? "done" : "arranging");
    const layout = isArranged
      ? undefined
      : new Layout(found, places, (reply) => {
          if (!isStill || reply.isDone) made.place(reply.places);
          if (!reply.isDone) return;
          graph.forEachNode((node, { x, y }) => places.set(node, [x, y]));
          isDone = true;
          kept.isBusy = false;
          setState("done");
        });
    return () => {
      layout?.end();
      kept.isBusy = false;
      if (isDone) kept.view = made.view;
      made.end();
    };
  }, [graph]);
  useEffect(() => {
    if (shown === undefined) kept.framed = undefined;
    if (shown === undefined || state !== "done" || kept.framed === choice) return;
    // Another time or a hidden type is no new choice.
    kept.framed = choice;
    scene.current?.frame(shown);
  }, [shown, state, choice]);

  useEffect(() => {
    const hold = () => {
      if (state === "done") kept.isBusy = true;
    };
    const release = () => {
      if (state === "done") kept.isBusy = false;
    };
    const held = place.current;
    held?.addEventListener("pointerdown", hold);
    window.addEventListener("pointerup", release);
    window.addEventListener("pointercancel", release);
    return () => {
      held?.removeEventListener("pointerdown", hold);
      window.removeEventListener("pointerup", release);
      window.removeEventListener("pointercancel", release);
    };
  }, [state]);

  function key(event: KeyboardEvent) {
    const moves: Record<string, () => void> = {
      ArrowLeft: () => scene.current?.move(-STEP, 0),
      ArrowRight: () => scene.current?.move(STEP, 0),
      ArrowUp: () => scene.current?.move(0, -STEP),
      ArrowDown: () => scene.current?.move(0, STEP),
      "+": () => scene.current?.zoom(1 / 1.5),
      "-": () => scene.current?.zoom(1.5),
      "0": () => scene.current?.fit(),
      Escape: () => onChoose(undefined),
    };
    const move = moves[event.key];
    if (move === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move();
  }

  return (
    <div class="picture-frame">
      <div class="canvas" ref={place} tabIndex={0} role="img" aria-label={t.canvas(graph.order, graph.size)} aria-describedby="picture-keys" onKeyDown={key} data-state={state} />
      <p id="picture-keys" class="hidden">
        {t.keys}
      </p>
      {state === "failed" ? (
        <p class="note">{t.failed}</p>
      ) : (
        <div class="picture-tools">
          <button type="button" aria-label={t.closer} onClick={() => scene.current?.zoom(1 / 1.5)}>
            +
          </button>
          <button type="button" aria-label={t.farther} onClick={() => scene.current?.zoom(1.5)}>
            −
          </button>
          <button type="button" onClick={() => scene.current?.fit()}>
            {t.all}
          </button>
        </div>
      )}
      <p class="quiet arranging" role="status">
        {state === "arranging" ? t.arranging : ""}
      </p>
    </div>
  );
}
