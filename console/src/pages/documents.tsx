// The documents of the project as a tree of folders.

import { useContext, useMemo, useState } from "preact/hooks";
import * as api from "../api";
import { useKept } from "../forms";
import { LIVE, MayWrite, PageHeading, Shown, useLoaded } from "../parts";
import { go, links } from "../router";
import { texts } from "../texts";
import { size, Time } from "../time";

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

/** Starts a document of a name; the server checks the name when it is saved. */
function Create() {
  const { values, isRestored, set, forget } = useKept("document", { name: "" });
  const create = (event: SubmitEvent) => {
    event.preventDefault();
    const name = values.name.trim();
    if (name === "") return;
    forget();
    go(links.edit(/\.(md|json)$/i.test(name) ? name : `${name}.md`));
  };
  return (
    <details class="create" open={isRestored}>
      <summary>{texts.edit.create}</summary>
      <form onSubmit={create}>
        <label for="new-name">{texts.edit.createLabel}</label>
        <input id="new-name" type="text" required autocomplete="off" spellcheck={false} value={values.name} onInput={(event) => set({ name: event.currentTarget.value })} />
        <button type="submit">{texts.edit.createButton}</button>
      </form>
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
