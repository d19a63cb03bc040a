// That a document was deleted, by whom and when, and the way to bring it back.

import type { ComponentChildren } from "preact";
import { useContext } from "preact/hooks";
import type * as api from "../api";
import { MayWrite } from "../parts";
import { links } from "../router";
import { texts } from "../texts";
import { Time } from "../time";
import { isDeletion } from "./words";

const t = texts.history;

/** The way back for a document whose latest version is that it was deleted; nothing for another one. */
export function DeletedNote({ name, versions, children }: { name: string; versions: api.Version[]; children?: ComponentChildren }) {
  const mayWrite = useContext(MayWrite);
  const [last, former] = versions;
  if (last === undefined || !isDeletion(last)) return null;
  return (
    <p class="note" role="status">
      {last.deleted === true ? t.wasDeletedOutside : t.wasDeleted(last.by)} <Time at={last.at} near />{" "}
      {mayWrite && former !== undefined && (
        <a class="button" href={links.edit(name, former.version)}>
          {t.bringBack}
        </a>
      )}
      {children}
    </p>
  );
}
