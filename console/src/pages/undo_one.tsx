// The way to undo one change, and what a change of the graph was.

import { useContext } from "preact/hooks";
import * as api from "../api";
import { MayAdminister } from "../parts";
import { links } from "../router";
import { texts } from "../texts";

/** What happened. A fact is ended by a record of it that holds no longer than until then. */
export function graphKind({ kind, at, validUntil, undo }: api.GraphVersion): string {
  if (undo === true) return kind === "created" ? "restored" : "undone";
  return kind === "created" && validUntil !== undefined && Date.parse(validUntil) <= Date.parse(at) ? "ended" : kind;
}

interface Props {
  change: Pick<api.Version, "by" | "at" | "imported">;
  of: { filename: string } | { entity: string };
  /** What the change was about, where a page has several. */
  about?: string;
}

/** The way to undo one change: an own one, or as one who administers. */
export function UndoOne({ change: { by, at, imported }, of, about }: Props) {
  const mayAdminister = useContext(MayAdminister);
  if (by === undefined || imported === true || !(mayAdminister || by === api.currentSession()?.user)) return null;
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
