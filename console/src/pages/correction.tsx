// The field in which an observation gets another text, and what is shown when somebody has changed it meanwhile.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import * as api from "../api";
import type { Editing } from "../drafts";
import { askPresent, correct, type Present } from "../facts";
import { isUnreachable, onDelivery } from "../outbox";
import { Waiting } from "../outbox_notes";
import { Trouble } from "../parts";
import { texts } from "../texts";

const t = texts.graph;

/** Whether the user wrote what the fact says now, such as in another tab. */
const isOwnText = ({ fact: { author } }: Present): boolean => author !== undefined && author === api.currentSession()?.user;

/** The texts as they were read and as they are now, and who changed it. */
function Meanwhile({ read, present, id }: { read: string; present: Present; id: string }) {
  const { author, text } = present.fact;
  const isOwn = isOwnText(present);
  return (
    <div class="meanwhile">
      <p role="status" id={id}>
        <strong>{present.state === "changed" ? t.changedMeanwhile(author, isOwn) : t.endedMeanwhile(author, isOwn)}</strong> {t.yoursIsKept}
      </p>
      <div class="sides">
        <div class="side">
          <h3>{texts.edit.before}</h3>
          <pre>{read}</pre>
        </div>
        <div class="side">
          <h3>{texts.edit.theirs(isOwn ? undefined : author)}</h3>
          <pre>{present.state === "changed" ? text : <em>{t.noLonger}</em>}</pre>
        </div>
      </div>
    </div>
  );
}

interface CorrectionProps {
  /** Of the entity. */
  entity: string;
  name: string;
  observation: api.Observation;
  /** What has become of it, as far as the page knows. */
  present: Present;
  /** Its draft. */
  editing: Editing;
  onDone: (recorded: api.Recorded) => void;
  onClose: () => void;
  /** Loads anew what has become of it. */
  onStale: () => void;
}

/** The text stays a draft until it is saved or cancelled. Escape leaves it, Control and Enter save. */
export function Correction({ entity, name, observation, present, editing, onDone, onClose, onStale }: CorrectionProps) {
  const [text, setText] = useState(editing.found?.text ?? observation.text);
  const [error, setError] = useState<api.ApiError>();
  const [busy, setBusy] = useState(false);
  const [isWaiting, setWaiting] = useState(editing.found?.isWaiting === true);
  const isConflict = present.state !== "holds";
  const keep = (next: string, waits: boolean) =>
    editing.keep({ base: { text: observation.text, etag: undefined }, text: next, isWaiting: waits, fact: { entity, name, observation } });
  const write = (next: string) => {
    setText(next);
    setWaiting(false);
    keep(next, false);
  };
  const close = () => {
    editing.forget();
    onClose();
  };
  const field = useRef<HTMLTextAreaElement>(null);
  const id = `correct-${observation.id}`;
  useLayoutEffect(() => field.current?.focus(), []);
  const save = async () => {
    if (text.trim() === "") return;
    if (text.trim() === present.fact.text.trim() && present.state !== "ended") {
      setError(new api.ApiError(409, t.same));
      return;
    }
    setBusy(true);
    setError(undefined);
    try {
      const now = await askPresent(entity, observation);
      // The user chooses between texts that were seen, and no others.
      if (now.state !== present.state || now.fact.text !== present.fact.text) {
        setBusy(false);
        onStale();
        return;
      }
      const recorded = await correct(entity, now, text.trim());
      editing.forget();
      onDone(recorded);
    } catch (failure) {
      setBusy(false);
      const why = failure instanceof api.ApiError ? failure : new api.ApiError(0, texts.errors.server);
      // What replaces a text of somebody else is sent while its user sees that text.
      if (isUnreachable(why) && !isConflict && keep(text, true)) setWaiting(true);
      else setError(why);
    }
  };
  // What waits is sent when the connection is back.
  useEffect(
    () =>
      onDelivery((delivery) => {
        if (delivery.key !== editing.key || delivery.result === "unreachable") return;
        setWaiting(false);
        if (delivery.result === "refused") void save();
        else if (delivery.recorded === undefined) onClose();
        else onDone(delivery.recorded);
      }),
    [text, present],
  );
  const key = (event: KeyboardEvent) => {
    if (event.key === "Escape") close();
    // With the texts of both on the screen, a button chooses.
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void (isConflict || save());
    else return;
    event.preventDefault();
  };
  return (
    <form
      class="correction"
      onKeyDown={key}
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      {isConflict && <Meanwhile read={observation.text} present={present} id={`${id}-meanwhile`} />}
      <label for={id}>{isConflict ? texts.edit.mine : t.corrected}</label>
      <textarea
        id={id}
        ref={field}
        rows={4}
        value={text}
        aria-describedby={isConflict ? `${id}-meanwhile ${id}-hint` : `${id}-hint`}
        onInput={(event) => write(event.currentTarget.value)}
      />
      <p class="hint" id={`${id}-hint`}>
        {t.correctHint}
      </p>
      {isWaiting && <Waiting text={t.waiting} />}
      {error !== undefined && <Trouble error={error} />}
      <div class="actions">
        <button type="submit" class="main" disabled={busy || text.trim() === ""}>
          {present.state === "holds" ? t.save : present.state !== "changed" ? t.recordMine : isOwnText(present) ? t.replaceOwn : t.replaceTheirs}
        </button>
        <button type="button" onClick={close}>
          {present.state === "holds" ? t.cancel : present.state !== "changed" ? t.leaveEnded : isOwnText(present) ? t.keepOwn : t.keepTheirs}
        </button>
      </div>
    </form>
  );
}
