// The way to undo one change, and what a change of the graph was.

import { useContext } from "preact/hooks";
import * as api from "../api";
import { MayAdminister } from "../parts";
import { links } from "../router";
import { texts } from "../texts";

/** What happened. A fact is ended by a record of it that holds no longer than until then. */
export function graphKind({ kind, at, validUntil, undo, observation, replaces }: api.GraphVersion): string {
  if (undo === true) return kind === "created" ? "restored" : "undone";
  if (kind !== "created") return kind;
  if (validUntil !== undefined && Date.parse(validUntil) <= Date.parse(at)) return "ended";
  return replaces !== undefined && replaces !== observation ? "corrected" : kind;
}

/** The former text, of a correction. */
export const replacedText = (change: api.GraphVersion): string | undefined => (graphKind(change) === "corrected" ? change.replaces : undefined);

interface Props {
  change: Pick<api.Version, "by" | "at" | "imported">;
  of: { filename: string } | { entity: string };
  /** What the change was about, where a page has several. */
  about?: string;
  /** Whether it created an entity that has something now, so that it cannot be undone alone. */
  isInUse?: boolean;
}

/** The way to undo one change: an own one, or as one who administers. */
export function UndoOne({ change: { by, at, imported }, of, about, isInUse = false }: Props) {
  const mayAdminister = useContext(MayAdminister);
  if (by === undefined || imported === true || !(mayAdminister || by === api.currentSession()?.user)) return null;
  if (isInUse) {
    return (
      <span class="facts not-alone" title={texts.undo.inUseWhy}>
        {texts.undo.inUse}
      </span>
    );
  }
  const address = links.undo({ by, since: at, until: at, ...of });
  return about === undefined ? (
    <a class="button" href={address}>
      {texts.undo.one}
    </a>
  ) : (
    <a class="undo-one" href={address} aria-label={texts.undo.oneOf(about)}>
      {texts.undo.carryOut}
    </a>
  );
}
