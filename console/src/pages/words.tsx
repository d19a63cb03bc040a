// Changes in words: who made one and with what, and what a relation and a type are.

import type * as api from "../api";
import { texts } from "../texts";

const t = texts.history;

/** A relation as the history has it, `type -> target`, with the arrow of the picture. */
export const relationText = (relation: string): string => relation.replace(/ -> (?!.* -> )/, " → ");

/** The type of an entity, and its attributes as words: the history has them as JSON behind the type. */
export function typeText(type: string): string {
  const at = type.indexOf(" {");
  if (at === -1 || !type.endsWith("}")) return type;
  try {
    const attributes = Object.entries(JSON.parse(type.slice(at + 1)) as Record<string, unknown>);
    const shown = attributes.map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
    return [type.slice(0, at), ...shown].join(", ");
  } catch {
    // It is cut, or no JSON.
    return type;
  }
}

/** Whether a version is a deletion, also by something outside of the server. */
export const isDeletion = ({ kind, deleted }: api.Version): boolean => kind === "deleted" || deleted === true;

/** The kind of a version, as it is shown. */
export const kindOf = ({ kind, deleted }: api.Version): string => (deleted === true ? "deletedOutside" : kind);

/** How a change was made. The origin of a line has no kind. */
type Made = Pick<api.Version, "by" | "tool" | "imported"> & { kind?: string };

/** With what a change was made. A change of a user without a tool comes from the console, or from another program over REST. */
export function meansOf({ by, tool, imported, kind }: Made): string | undefined {
  if (imported === true) return t.imported;
  if (tool !== undefined) return t.tool(tool);
  return by === undefined || kind === "outside" || kind === "foreign" ? undefined : t.byHand;
}

/** Who made a change, and with what. */
export function Who({ change }: { change: Made }) {
  const means = meansOf(change);
  return (
    <>
      <bdi>{change.by ?? t.unknownAuthor}</bdi>
      {means !== undefined && ` · ${means}`}
    </>
  );
}
