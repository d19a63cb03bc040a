// Limits, quotas and the state of the server.

import * as api from "../api";
import { type Following, Shown, useLoaded } from "../parts";
import { texts } from "../texts";
import { size } from "../time";

const t = texts.project;

function uptime(seconds: number): string {
  return seconds < 3600 ? t.minutes(Math.floor(seconds / 60)) : t.hours(Math.floor(seconds / 3600));
}

function Usage({ usage }: { usage: NonNullable<api.Health["usage"]> }) {
  const { documents, backups, others, total, quota } = usage;
  return (
    <section class="card" aria-labelledby="usage">
      <h2 id="usage">{t.usage}</h2>
      <p>
        {quota === undefined ? `${size(total)} (${t.unlimited})` : t.quota(size(total), size(quota))}
        {quota !== undefined && <meter aria-label={t.usage} min={0} max={quota} high={0.9 * quota} value={total} />}
      </p>
      <dl>
        <dt>{t.documents}</dt>
        <dd>{size(documents)}</dd>
        <dt>{t.backups}</dt>
        <dd>{size(backups)}</dd>
        <dt>{t.others}</dt>
        <dd>{size(others)}</dd>
      </dl>
    </section>
  );
}

/** The page follows the health of the server, which no change of the bank announces, and sooner while something needs attention. */
const FOLLOWED: Following<api.Health> = { live: false, again: ({ findings }) => (findings.length === 0 ? 10_000 : 3_000) };

export function Limits() {
  const [loaded, retry] = useLoaded(api.health, [], FOLLOWED);
  return (
    <Shown loaded={loaded} retry={retry}>
      {(health) => {
        const { limits } = health;
        const amount = (number: number) => (number === 0 ? t.unlimited : String(number));
        const rows: [string, string][] = [
          [t.limit.requests, amount(limits.requestsPerMinute)],
          [t.limit.document, size(limits.documentBytes)],
          [t.limit.sessions, `${limits.sessionsPerProject}, ${limits.sessionsPerKey}`],
          [t.limit.streams, String(limits.streamsPerKey)],
          [t.limit.keys, String(limits.keysPerProject)],
          [t.limit.members, String(limits.membersPerProject)],
          [t.limit.audit, String(limits.auditDays)],
          ...(limits.historyDays === undefined ? [] : ([[t.limit.history, String(limits.historyDays)]] as [string, string][])),
        ];
        return (
          <>
            {health.findings.length === 0 ? (
              <p class="note">{t.well}</p>
            ) : (
              <div class="trouble">
                <h2>{t.attention}</h2>
                <ul>
                  {health.findings.map((finding) => (
                    <li key={finding}>{finding}</li>
                  ))}
                </ul>
              </div>
            )}
            <div class="cards">
              {health.usage !== undefined && <Usage usage={health.usage} />}
              <section class="card" aria-labelledby="limits">
                <h2 id="limits">{t.limits}</h2>
                <dl>
                  {rows.map(([name, value]) => (
                    <div key={name}>
                      <dt>{name}</dt>
                      <dd>{value}</dd>
                    </div>
                  ))}
                </dl>
              </section>
              <section class="card" aria-labelledby="server">
                <h2 id="server">{t.server}</h2>
                <p>{t.serverText(health.version, uptime(health.uptime), health.database, health.redis)}</p>
                {health.readOnly && <p>{t.readOnly}</p>}
              </section>
            </div>
          </>
        );
      }}
    </Shown>
  );
}
