// Notes about texts that were saved, or refused, after the connection came back.

import { useEffect, useState } from "preact/hooks";
import { type Delivery, keepDelivering, onDelivery } from "./outbox";
import { links, type Route } from "./router";
import { texts } from "./texts";

const t = texts.outbox;

export function OutboxNotes({ route }: { route: Route }) {
  const [notes, setNotes] = useState<Delivery[]>([]);
  useEffect(() => {
    const end = onDelivery((delivery) => {
      if (delivery.result !== "unreachable") setNotes((before) => [...before.filter(({ name }) => name !== delivery.name), delivery]);
    });
    const stop = keepDelivering();
    return () => {
      stop();
      end();
    };
  }, []);
  // The page that edits the document shows it itself.
  const shown = notes.filter(({ name }) => route.page !== "edit" || route.name !== name);
  return (
    <div role="status">
      {shown.map(({ name, result }) => (
        <p key={name} class="note">
          {result === "saved" ? t.saved(name) : <>{t.refused(name)} <a href={links.edit(name)}>{t.open}</a></>}{" "}
          <button type="button" onClick={() => setNotes((before) => before.filter((note) => note.name !== name))}>
            {t.close}
          </button>
        </p>
      ))}
    </div>
  );
}
