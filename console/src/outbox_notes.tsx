// Notes about texts that were saved, or refused, after the connection came back.

import { useEffect, useState } from "preact/hooks";
import { type Delivery, keepDelivering, nextAttempt, onDelivery, tryNow } from "./outbox";
import { links, type Route } from "./router";
import { texts } from "./texts";

const t = texts.outbox;

/** Of several notes about one document the last one is shown. */
const idOf = ({ key, name, entity }: Delivery): string => (entity === undefined ? name : key);

/** That a text waits to be saved, when the next attempt is made, and a way to make it now. */
export function Waiting({ text }: { text: string }) {
  const [seconds, setSeconds] = useState(nextAttempt);
  useEffect(() => {
    const timer = setInterval(() => setSeconds(nextAttempt()), 500);
    return () => clearInterval(timer);
  }, []);
  // A reader hears once that it waits, not each second.
  return (
    <p class="note">
      <span role="status">{text}</span> <span>{seconds === undefined ? t.trying : t.next(seconds)}</span>{" "}
      <button type="button" onClick={() => void tryNow()}>
        {t.now}
      </button>
    </p>
  );
}

export function OutboxNotes({ route }: { route: Route }) {
  const [notes, setNotes] = useState<Delivery[]>([]);
  useEffect(() => {
    const end = onDelivery((delivery) => {
      if (delivery.result !== "unreachable") setNotes((before) => [...before.filter((note) => idOf(note) !== idOf(delivery)), delivery]);
    });
    const stop = keepDelivering();
    return () => {
      stop();
      end();
    };
  }, []);
  // The page that edits the document shows it itself.
  const shown = notes.filter(({ name, entity, isShown }) => (entity === undefined ? route.page !== "edit" || route.name !== name : !isShown));
  return (
    <div role="status">
      {shown.map((delivery) => {
        const { name, entity, result } = delivery;
        const what = entity === undefined ? name : t.correction(name);
        return (
          <p key={idOf(delivery)} class="note">
            {result === "saved" ? t.saved(what) : <>{t.refused(what)} <a href={entity === undefined ? links.edit(name) : links.entity(entity)}>{t.open}</a></>}{" "}
            <button type="button" onClick={() => setNotes((before) => before.filter((note) => note !== delivery))}>
              {t.close}
            </button>
          </p>
        );
      })}
    </div>
  );
}
