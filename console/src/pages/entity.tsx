// One entity of the graph with its observations, relations, attributes and changes. An observation is corrected and ended here.

import { useContext, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import * as api from "../api";
import { draftNames, Editing } from "../drafts";
import { type Present, presentOf } from "../facts";
import { Line, LIVE, Long, MayWrite, PageHeading, Shown, Trouble, useLoaded } from "../parts";
import { links } from "../router";
import { Correction } from "./correction";
import { Mentioned } from "./mentioned";
import { graphKind, replacedText, UndoOne } from "./undo_one";
import { relationText, typeText, Who } from "./words";
import { texts } from "../texts";
import { Time } from "../time";

const t = texts.graph;

const asApiError = (failure: unknown): api.ApiError => (failure instanceof api.ApiError ? failure : new api.ApiError(0, texts.errors.server));

function Relations({ entity, relations }: { entity: api.EntityView["entity"]; relations: api.Relation[] }) {
  if (relations.length === 0) return null;
  return (
    <section class="card">
      <h2>{t.relations}</h2>
      <ul>
        {relations.map((relation) => (
          <li key={relation.id}>
            {relation.fromId === entity.id ? relation.from : <a href={links.entity(relation.fromId)}>{relation.from}</a>}{" "}
            <span class="tag">{relation.relationType}</span>{" "}
            {relation.toId === entity.id ? relation.to : <a href={links.entity(relation.toId)}>{relation.to}</a>}
          </li>
        ))}
      </ul>
    </section>
  );
}

/** What a change was about: an observation by its text, a relation with its source, the entity by its name and type. */
function aboutOf({ entity, observation, relation, type }: api.GraphVersion): string {
  return observation ?? (relation === undefined ? texts.undo.entity(entity, type === undefined ? undefined : typeText(type)) : texts.history.relation(entity, relationText(relation)));
}

function Changes({ changes }: { changes: api.GraphVersion[] }) {
  const mayWrite = useContext(MayWrite);
  if (changes.length === 0) return null;
  return (
    <section class="card">
      <h2>{texts.history.heading}</h2>
      <ul>
        {changes.map((change, at) => (
          <li key={at}>
            <span class={`tag ${graphKind(change)}`}>{texts.history.kinds[graphKind(change)] ?? change.kind}</span> <Long text={aboutOf(change)} />
            <br />
            <span class="facts">
              {replacedText(change) !== undefined && (
                <>
                  <bdi>{texts.history.inPlaceOf(replacedText(change) ?? "")}</bdi> ·{" "}
                </>
              )}
              <Who change={change} /> · <Time at={change.at} near />
            </span>
            {mayWrite && <UndoOne change={change} of={{ entity: change.entityId }} about={aboutOf(change)} isInUse={change.inUse === true} />}
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The name of the draft of a correction. No document has such a name, since it has no ending. */
const draftName = (entity: string, observation: api.Observation) => `fact ${entity} ${observation.id}`;

/** The draft of a correction that is open, what opens one, and what closes it. One that was left is opened at once. */
function useCorrection(name: string): [Editing | undefined, () => void, () => void] {
  const [editing, setEditing] = useState<Editing>();
  const opening = useRef<Promise<boolean>>(undefined);
  const opened = useRef<Editing>(undefined);
  const isLeft = useRef(false);
  const isOpen = () => opened.current !== undefined;
  const open = (next: Editing) => setEditing((opened.current = next));
  const lookForLeft = async () => {
    const next = await Editing.continued(name);
    if (isLeft.current) next?.close();
    else if (next !== undefined) open(next);
    return next !== undefined;
  };
  /** Whether there is one that was left; it is opened. A look that has begun is not made twice. */
  const openLeft = () => (opening.current ??= lookForLeft().finally(() => (opening.current = undefined)));
  useEffect(() => {
    isLeft.current = false;
    if (draftNames().has(name)) void openLeft();
    return () => {
      isLeft.current = true;
      opened.current?.close();
      opened.current = undefined;
    };
  }, [name]);
  const close = () => {
    opened.current?.close();
    opened.current = undefined;
    setEditing(undefined);
  };
  // Without a draft that was left it opens at once: a key that is pressed after the button's is the field's.
  const begin = async () => {
    if (isOpen()) return;
    if ((opening.current !== undefined || draftNames().has(name)) && (await openLeft())) return;
    // It may have been left, or opened by another press, meanwhile.
    if (isLeft.current || isOpen()) return;
    open(Editing.begun(name));
  };
  return [editing, () => void begin(), close];
}

interface ObservationProps {
  /** Of the entity. */
  entity: string;
  name: string;
  observation: api.Observation;
  /** The text that has replaced it. */
  by: string | undefined;
  /** The one that it has replaced last, with another text. */
  former: api.Observation | undefined;
  /** What has become of it. */
  present: Present;
  /** Whether it is listed for its draft alone. */
  isForDraft: boolean;
  onStale: () => void;
  onChanged: (recorded: api.Recorded, note: string) => void;
  /** Why a change has failed; nothing when it is tried again. */
  onFailed: (error: api.ApiError | undefined) => void;
}

function Observation({ entity, name, observation, by, former, present, isForDraft, onStale, onChanged, onFailed }: ObservationProps) {
  const mayWrite = useContext(MayWrite);
  const [editing, openCorrection, closeCorrection] = useCorrection(draftName(entity, observation));
  const isOpen = editing !== undefined;
  const [busy, setBusy] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const wasOpen = useRef(false);
  useLayoutEffect(() => {
    if (wasOpen.current && !isOpen) button.current?.focus();
    wasOpen.current = isOpen;
  }, [isOpen]);
  const run = async (change: () => Promise<api.Recorded>, note: string) => {
    setBusy(true);
    onFailed(undefined);
    try {
      onChanged(await change(), note);
    } catch (failure) {
      onFailed(asApiError(failure));
    } finally {
      setBusy(false);
    }
  };
  const closed = () => {
    closeCorrection();
    // It leaves the list.
    if (isForDraft) onStale();
  };
  const corrected = (recorded: api.Recorded) => {
    // The note of the change gets the focus. An undo may bring this observation back before the list was loaded without it.
    wasOpen.current = false;
    closeCorrection();
    onChanged(recorded, t.isCorrected);
  };
  const { text, author, timestamp, endedAt } = observation;
  return (
    <li class={endedAt === undefined ? "" : "ended"}>
      <Line text={text} />
      <br />
      <span class="facts">
        <Time at={timestamp} near />
        {author !== undefined && ` ${texts.documents.by(author)}`}
        {endedAt !== undefined && (
          <>
            {" · "}
            {t.endedAt} <Time at={endedAt} near />
          </>
        )}
        {by !== undefined && ` · ${t.replacedBy(by)}`}
      </span>
      {mayWrite && endedAt === undefined && !isOpen && (
        <span class="own-actions">
          <button ref={button} type="button" class="plain" aria-label={t.correctOf(text)} onClick={openCorrection}>
            {t.correct}
          </button>
          {former !== undefined && (
            <button
              type="button"
              class="plain"
              aria-label={t.formerOf(text, former.text)}
              title={former.text}
              disabled={busy}
              onClick={() => void run(() => api.correctObservation(entity, { ...former, id: observation.id }, former.text), t.isFormer)}
            >
              {t.former}
            </button>
          )}
          <button type="button" class="plain" aria-label={t.endOf(text)} disabled={busy} onClick={() => void run(() => api.endObservation(entity, observation.id), t.isEnded)}>
            {t.end}
          </button>
        </span>
      )}
      {isOpen && (
        <Correction
          key={editing.key}
          entity={entity}
          name={name}
          observation={observation}
          present={present}
          editing={editing}
          onDone={corrected}
          onClose={closed}
          onStale={onStale}
        />
      )}
    </li>
  );
}

interface Changed {
  recorded: api.Recorded;
  note: string;
}

/** What was just changed, with a way back, which has the focus. */
function ChangedNote({ changed, entity, onUndone, onFailed }: { changed: Changed; entity: string; onUndone: () => void; onFailed: (error: api.ApiError) => void }) {
  const undo = useRef<HTMLButtonElement>(null);
  const [busy, setBusy] = useState(false);
  useLayoutEffect(() => undo.current?.focus(), [changed]);
  const undoIt = async () => {
    setBusy(true);
    try {
      const by = api.currentSession()?.user ?? "";
      const { undone } = await api.undo({ by, since: changed.recorded.timestamp, entity, dryRun: false });
      if (undone.length > 0) onUndone();
      else onFailed(new api.ApiError(409, t.notUndone));
    } catch (failure) {
      onFailed(asApiError(failure));
    }
  };
  return (
    <p class="note" role="status">
      {changed.note}{" "}
      {!changed.recorded.existed && (
        <button ref={undo} type="button" disabled={busy} onClick={() => void undoIt()}>
          {t.undo}
        </button>
      )}
    </p>
  );
}

interface FactsProps {
  view: api.EntityView;
  changes: api.GraphVersion[];
  withEnded: boolean;
  onEnded: (withEnded: boolean) => void;
  again: () => void;
}

/** The facts that others have replaced, by the id of the replacing one: the newest with another text of each. */
function formersOf(observations: api.Observation[]): Map<string, api.Observation> {
  const textOf = new Map(observations.map(({ id, text }) => [id, text]));
  const found = new Map<string, api.Observation>();
  for (const one of observations) {
    const by = one.supersededBy;
    if (by === undefined || textOf.get(by) === one.text) continue;
    const known = found.get(by);
    if (known === undefined || Date.parse(known.timestamp) <= Date.parse(one.timestamp)) found.set(by, one);
  }
  return found;
}

/** The ended facts whose text a later one says again, such as with an end of its own, or after a return to it: that one is shown. */
function writtenAgainOf(observations: api.Observation[]): Set<string> {
  const byId = new Map(observations.map((one) => [one.id, one]));
  const isAgain = (fact: api.Observation): boolean => {
    const seen = new Set([fact.id]);
    for (let next = fact.supersededBy; next !== undefined && !seen.has(next); next = byId.get(next)?.supersededBy) {
      if (byId.get(next)?.text === fact.text) return true;
      seen.add(next);
    }
    return false;
  };
  return new Set(observations.filter(isAgain).map(({ id }) => id));
}

function Facts({ view, changes, withEnded, onEnded, again }: FactsProps) {
  const mayWrite = useContext(MayWrite);
  const { entity } = view;
  const formers = formersOf(view.observations);
  const writtenAgain = writtenAgainOf(view.observations);
  const isListed = ({ id, endedAt }: api.Observation) => endedAt === undefined || (withEnded && !writtenAgain.has(id));
  // A text that was written for a fact that has ended since is not lost: its user chooses.
  const drafts = draftNames();
  const observations = view.observations.filter((one) => isListed(one) || drafts.has(draftName(entity.id, one)));
  const attributes = Object.entries(entity.attrs);
  const [changed, setChanged] = useState<Changed>();
  const [isUndone, setUndone] = useState(false);
  const [error, setError] = useState<api.ApiError>();
  const undone = useRef<HTMLParagraphElement>(null);
  useLayoutEffect(() => {
    if (isUndone) undone.current?.focus();
  }, [isUndone]);
  const show = (next: { changed?: Changed; isUndone?: boolean; error?: api.ApiError }) => {
    setChanged(next.changed);
    setUndone(next.isUndone === true);
    setError(next.error);
    if (next.error === undefined) again();
  };
  const textOf = new Map(view.observations.map(({ id, text }) => [id, text]));
  return (
    <>
      {changed !== undefined && <ChangedNote changed={changed} entity={entity.id} onUndone={() => show({ isUndone: true })} onFailed={(failure) => show({ error: failure })} />}
      {isUndone && (
        <p class="note" role="status" tabIndex={-1} ref={undone}>
          {t.isUndone}
        </p>
      )}
      {error !== undefined && <Trouble error={error} />}
      {view.truncated && <p class="note">{t.truncated}</p>}
      <div class="cards two">
        <section class="card" aria-labelledby="observations">
          <h2 id="observations">{t.observations}</h2>
          {mayWrite && observations.length > 0 && <p class="hint">{t.hint}</p>}
          {observations.length === 0 ? (
            <p class="quiet">{t.noObservations}</p>
          ) : (
            <ul class="observations">
              {observations.map((observation) => (
                <Observation
                  key={observation.id}
                  entity={entity.id}
                  name={entity.name}
                  observation={observation}
                  by={observation.supersededBy === undefined ? undefined : textOf.get(observation.supersededBy)}
                  former={formers.get(observation.id)}
                  present={presentOf(view.observations, observation)}
                  isForDraft={!isListed(observation)}
                  onStale={again}
                  onChanged={(recorded, note) => show({ changed: { recorded, note } })}
                  onFailed={(failure) => (failure === undefined ? setError(undefined) : show({ error: failure }))}
                />
              ))}
            </ul>
          )}
          <label class="choice">
            <input type="checkbox" checked={withEnded} onChange={(event) => onEnded(event.currentTarget.checked)} />
            {t.ended}
          </label>
        </section>
        <Relations entity={entity} relations={view.relations} />
        {attributes.length > 0 && (
          <section class="card">
            <h2>{t.attributes}</h2>
            <dl>
              {attributes.map(([name, value]) => (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd>{typeof value === "string" ? value : JSON.stringify(value)}</dd>
                </div>
              ))}
            </dl>
          </section>
        )}
        <Mentioned name={entity.id} />
        <Changes changes={changes} />
      </div>
    </>
  );
}

export function Entity({ name }: { name: string }) {
  const [withEnded, setWithEnded] = useState(false);
  const load = async (signal: AbortSignal) => {
    // Also the ended facts: a fact that replaced another one leads back to it.
    const [all, history] = await Promise.all([api.entity(name, true, signal), api.entityHistory(name, signal)]);
    const view = all.truncated && !withEnded ? await api.entity(name, false, signal) : all;
    return { view, changes: history.versions };
  };
  const [loaded, again] = useLoaded(load, [name, withEnded], LIVE);
  // What is shown stays while it is loaded again.
  const found = loaded.state === "done" ? loaded.value : loaded.state === "loading" ? loaded.last : undefined;
  return (
    <>
      <p class="crumbs">
        <a href={links.graph()}>{t.heading}</a>
      </p>
      {loaded.state === "failed" && <PageHeading text={t.heading} />}
      {found === undefined ? (
        <Shown loaded={loaded} retry={again}>
          {() => null}
        </Shown>
      ) : (
        <>
          <PageHeading text={found.view.entity.name} isLong>
            <span class="tag">{found.view.entity.entityType}</span>
          </PageHeading>
          {loaded.state === "done" && loaded.isGone === true && (
            <p class="note" role="status">
              {t.gone} <a href={links.history()}>{t.history}</a>
            </p>
          )}
          <div class="actions">
            <a class="button" href={links.picture({ focus: found.view.entity.id })}>
              {t.inPicture}
            </a>
          </div>
          <Facts {...found} withEnded={withEnded} onEnded={setWithEnded} again={again} />
        </>
      )}
    </>
  );
}
