// Deleted documents, and the way to bring one back. Loaded when it is opened.

import { useContext, useState } from "preact/hooks";
import * as api from "../api";
import { LIVE, MayWrite, PageHeading, Shown, Trouble, useLoaded } from "../parts";
import { go, links } from "../router";
import { texts } from "../texts";
import { Time } from "../time";
import { asApiError } from "./project_parts";
import { isDeletion, Who } from "./words";

const t = texts.documents;
/** Pages of the history that are looked through at a time. */
const PAGES = 5;

interface Found {
  deleted: api.Version[];
  /** How many changes were looked through. */
  changes: number;
  isAll: boolean;
}

/** The documents whose latest change is that they were deleted, and whose names no document has now. */
async function deletedOf(most: number, signal: AbortSignal): Promise<Found> {
  const present = new Set((await api.documents(signal)).map(({ name }) => name));
  const seen = new Set<string>();
  const deleted: api.Version[] = [];
  let cursor: string | undefined;
  let changes = 0;
  for (let page = 0; page < most; page += 1) {
    const found = await api.history(undefined, cursor, signal, 200);
    changes += found.versions.length;
    for (const version of found.versions) {
      if (seen.has(version.filename)) continue;
      seen.add(version.filename);
      if (isDeletion(version) && !present.has(version.filename)) deleted.push(version);
    }
    cursor = found.nextCursor;
    if (cursor === undefined) return { deleted, changes, isAll: true };
  }
  return { deleted, changes, isAll: false };
}

function Row({ version, onFailed }: { version: api.Version; onFailed: (error: api.ApiError) => void }) {
  const mayWrite = useContext(MayWrite);
  const name = version.filename;
  // Something outside deleted a document that the server never wrote.
  const isUnknown = version.version === 1 && version.deleted === true;
  const bringBack = async () => {
    try {
      const { versions } = await api.history(name, undefined);
      const former = versions.find((version) => !isDeletion(version));
      go(former === undefined ? links.history(name) : links.edit(name, former.version));
    } catch (failure) {
      onFailed(asApiError(failure));
    }
  };
  return (
    <li class="entry">
      <a href={links.history(name)}>{name}</a>
      <span class="facts">
        <Who change={version} /> · <Time at={version.at} near />
        {isUnknown && ` · ${t.noText}`}
      </span>
      {mayWrite && !isUnknown && (
        <button type="button" aria-label={t.bringBackOf(name)} onClick={() => void bringBack()}>
          {texts.history.bringBack}
        </button>
      )}
    </li>
  );
}

export function Deleted() {
  const [most, setMost] = useState(PAGES);
  const [error, setError] = useState<api.ApiError>();
  const [loaded, retry] = useLoaded((signal) => deletedOf(most, signal), [most], LIVE);
  return (
    <>
      <p class="crumbs">
        <a href={links.documents}>{t.heading}</a>
      </p>
      <PageHeading text={t.deletedHeading} />
      {error !== undefined && <Trouble error={error} />}
      <Shown loaded={loaded} retry={retry}>
        {({ deleted, changes, isAll }) => (
          <>
            <p class="hint">{t.deletedHint}</p>
            {deleted.length === 0 && <p class="quiet">{t.noneDeleted}</p>}
            <ul class="tree">
              {deleted.map((version) => (
                <Row key={version.filename} version={version} onFailed={setError} />
              ))}
            </ul>
            {!isAll && (
              <p>
                {t.lookedThrough(changes)}{" "}
                <button type="button" onClick={() => setMost(most + PAGES)}>
                  {t.lookFurther}
                </button>
              </p>
            )}
          </>
        )}
      </Shown>
    </>
  );
}
