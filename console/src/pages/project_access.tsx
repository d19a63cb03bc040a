// What applications may do, and the audit log.

import { useState } from "preact/hooks";
import * as api from "../api";
import { texts } from "../texts";
import { Time } from "../time";
import { Paged, Sure } from "./project_parts";

const t = texts.project;

export function Grants() {
  const [note, setNote] = useState<string>();
  const [changed, setChanged] = useState(0);
  return (
    <>
      <p>{t.grantsHint}</p>
      <p role="status">{note}</p>
      <Paged key={changed} load={api.grants} items={(page) => page.grants}>
        {(grants) => (
          <>
            {grants.length === 0 && <p class="quiet">{t.noGrants}</p>}
            <ul class="rows">
              {grants.map((grant) => (
                <li key={grant.id}>
                  <h2>
                    {grant.client} <span class="quiet">({grant.host})</span> {grant.isOwn && <span class="tag">{t.own}</span>}
                  </h2>
                  <p class="facts">
                    {grant.user} · {grant.scopes.map((scope) => t.scope[scope] ?? scope).join(", ")} · {t.created} <Time at={grant.createdAt} near /> · {t.used}{" "}
                    {grant.lastUsedAt === undefined ? t.never : <Time at={grant.lastUsedAt} near />}
                    {grant.expiresAt !== undefined && (
                      <>
                        {" "}
                        · {t.expires} <Time at={grant.expiresAt} />
                      </>
                    )}
                  </p>
                  <Sure
                    label={t.revoke}
                    of={t.revokeOf(`${grant.client}, ${grant.user}, ${grant.createdAt}`)}
                    question={t.revokeSure}
                    yes={t.revokeYes}
                    run={async () => {
                      await api.revokeGrant(grant.id);
                      setNote(t.revoked);
                      setChanged(changed + 1);
                    }}
                  />
                </li>
              ))}
            </ul>
          </>
        )}
      </Paged>
    </>
  );
}

/** The form of ids, which mean nothing to a person. */
const ID = /^(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|(?:ent|obs|rel)_\w+)$/i;
const TIME = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/;

/** What it was done to, by a name: that of the row, of a member, of an application, or the beginning of a key. */
function subjectOf({ subject, detail, action, user }: api.AuditRow): string | undefined {
  const { name, client, prefix } = detail;
  const owner = typeof name === "string" && name !== user && !action.startsWith("member.") ? t.ofUser(name) : "";
  if (typeof client === "string") return `${client}${owner}`;
  if (typeof prefix === "string") return `${prefix}…${owner}`;
  if (typeof name === "string") return name;
  return subject === undefined || ID.test(subject) ? undefined : subject;
}

/** Whether somebody signed in to this console: the session is a grant of it. */
const isConsole = ({ action, detail }: api.AuditRow): boolean => action === "grant.created" && detail["client"] === "Web console";

const isPlain = (value: unknown): value is string | number | boolean => ["string", "number", "boolean"].includes(typeof value);

/** What else a row has. */
function Details({ row }: { row: api.AuditRow }) {
  const shown = Object.entries(row.detail).filter(([name, value]) => name in t.details && isPlain(value) && !ID.test(String(value)) && value !== "");
  return (
    <>
      {shown.map(([name, value]) => (
        <span key={name}>
          {" · "}
          {t.details[name]} {name === "rateLimit" && value === 0 ? t.noLimit : TIME.test(String(value)) ? <Time at={String(value)} /> : String(value)}
        </span>
      ))}
    </>
  );
}

export function Audit() {
  return (
    <>
      <p>{t.auditHint}</p>
      <Paged load={api.audit} items={(page) => page.rows}>
        {(rows) => (
          <>
            {rows.length === 0 && <p class="quiet">{t.noAudit}</p>}
            <ul class="rows">
              {rows.map((row) => {
                const subject = subjectOf(row);
                return (
                  <li key={row.id}>
                    <p>
                      <strong>{row.user ?? (row.login === undefined ? texts.history.unknownAuthor : t.operator(row.login))}</strong> {isConsole(row) ? t.signedIn : (t.actions[row.action] ?? row.action)}
                      {subject !== undefined && (
                        <>
                          {": "}
                          <code>{subject}</code>
                        </>
                      )}
                    </p>
                    <p class="facts">
                      <Time at={row.at} exact />
                      {row.address !== undefined && ` · ${row.address}`}
                      <Details row={row} />
                    </p>
                  </li>
                );
              })}
            </ul>
          </>
        )}
      </Paged>
    </>
  );
}
