// The documents of the project as a tree of folders.

import { useContext, useMemo, useRef, useState } from "preact/hooks";
import * as api from "../api";
import { useKept } from "../forms";
import { LIVE, MayWrite, PageHeading, Shown, Trouble, useLoaded } from "../parts";
import { go, links } from "../router";
import { texts } from "../texts";
import { size, Time } from "../time";
import { withEnding } from "./names";

const t = texts.documents;

interface Folder {
  name: string;
  folders: Map<string, Folder>;
  documents: api.ListedDocument[];
}

function tree(documents: api.ListedDocument[]): Folder {
  const root: Folder = { name: "", folders: new Map(), documents: [] };
  for (const document of documents) {
    let folder = root;
    for (const name of document.name.split("/").slice(0, -1)) {
      let below = folder.folders.get(name);
      if (below === undefined) {
        below = { name, folders: new Map(), documents: [] };
        folder.folders.set(name, below);
      }
      folder = below;
    }
    folder.documents.push(document);
  }
  return root;
}

function Entry({ document }: { document: api.ListedDocument }) {
  return (
    <li class="entry">
      <a href={links.document(document.name)}>{document.name.split("/").at(-1)}</a>
      {document.isLeftover === true && <span class="tag">{t.leftover}</span>}
      <span class="facts">
        <Time at={document.updatedAt} near />
        {document.updatedBy !== undefined && ` ${t.by(document.updatedBy)}`} · {size(document.bytes)}
      </span>
    </li>
  );
}

function Branch({ folder }: { folder: Folder }) {
  return (
    <ul class="tree">
      {[...folder.folders.values()].map((below) => (
        <li key={below.name}>
          <details open>
            <summary>{below.name}</summary>
            <Branch folder={below} />
          </details>
        </li>
      ))}
      {folder.documents.map((document) => (
        <Entry key={document.name} document={document} />
      ))}
    </ul>
  );
}

function Tree({ documents }: { documents: api.ListedDocument[] }) {
  const [filter, setFilter] = useState("");
  const shown = useMemo(() => {
    const wanted = filter.trim().toLowerCase();
    return documents.filter((document) => document.name.toLowerCase().includes(wanted));
  }, [documents, filter]);
  const root = useMemo(() => tree(shown), [shown]);
  if (documents.length === 0) return <p class="quiet">{t.none}</p>;
  return (
    <>
      <div class="filter">
        <label for="filter">{t.filter}</label>
        <input id="filter" type="search" value={filter} onInput={(event) => setFilter(event.currentTarget.value)} />
        <span class="quiet" role="status">
          {t.count(shown.length)}
        </span>
      </div>
      {shown.length === 0 ? <p class="quiet">{t.noMatch}</p> : <Branch folder={root} />}
    </>
  );
}

/** What the server says about a name that cannot be that of a new document. */
type Objection = { refusal: string } | { existing: string };

/** Starts a document of a name, which the server checks before the text is written. */
function Create() {
  const { values, isRestored, set, forget } = useKept("document", { name: "" });
  const [objection, setObjection] = useState<Objection>();
  const [error, setError] = useState<api.ApiError>();
  const [isBusy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  async function create() {
    const name = withEnding(values.name);
    setBusy(true);
    setError(undefined);
    try {
      const found = await api.checkName(name);
      if (found.refusal !== undefined) setObjection({ refusal: found.refusal });
      else if (found.exists) setObjection({ existing: found.name });
      else {
        forget();
        go(links.edit(found.name));
        return;
      }
      field.current?.focus();
    } catch (failure) {
      setError(failure instanceof api.ApiError ? failure : new api.ApiError(0, texts.errors.server));
    } finally {
      setBusy(false);
    }
  }
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (values.name.trim() !== "") void create();
  };
  return (
    <details class="create" open={isRestored}>
      <summary>{texts.edit.create}</summary>
      <form onSubmit={submit}>
        <label for="new-name">{texts.edit.createLabel}</label>
        <input
          id="new-name"
          ref={field}
          type="text"
          required
          autocomplete="off"
          spellcheck={false}
          value={values.name}
          aria-invalid={objection !== undefined}
          aria-describedby="new-name-objection"
          onInput={(event) => {
            setObjection(undefined);
            set({ name: event.currentTarget.value });
          }}
        />
        <button type="submit" disabled={isBusy}>
          {texts.edit.createButton}
        </button>
      </form>
      <div id="new-name-objection" role="alert">
        {objection !== undefined && (
          <p class="objection">
            {"refusal" in objection ? (
              objection.refusal
            ) : (
              <>
                {texts.edit.exists(objection.existing)}{" "}
                <a class="button" href={links.document(objection.existing)}>
                  {texts.edit.openExisting}
                </a>
              </>
            )}
          </p>
        )}
      </div>
      {error !== undefined && <Trouble error={error} retry={() => void create()} />}
    </details>
  );
}

export function Documents() {
  const mayWrite = useContext(MayWrite);
  const [loaded, retry] = useLoaded(api.documents, [], LIVE);
  return (
    <>
      <PageHeading text={t.heading} />
      {mayWrite && <Create />}
      <Shown loaded={loaded} retry={retry}>
        {(documents) => <Tree documents={documents} />}
      </Shown>
      <p>
        <a href={links.deleted}>{t.deletedLink}</a>
      </p>
    </>
  );
}
