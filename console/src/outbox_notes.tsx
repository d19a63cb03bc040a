// Notes about texts that were saved, or refused, after the connection came back.

import { useEffect, useState } from "preact/hooks";
import { type Delivery, keepDelivering, onDelivery } from "./outbox";
import { links, type Route } from "./router";
import { texts } from "./texts";

const t = texts.outbox;

/** Of several notes about one document the last one is shown. */
const idOf = ({ key, name, entity }: Delivery): string => (entity === undefined ? name : key);

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
