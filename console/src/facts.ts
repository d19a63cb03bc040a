// What has become of a fact that is being corrected: it still says what was read, or it was changed or ended meanwhile. Knows no page.

import * as api from "./api";

export interface Present {
  /** `holds`: the text that was read holds. `changed`: another text holds in its place. `ended`: none does. */
  state: "holds" | "changed" | "ended";
  /** The fact that has its place now, or the last one that had it. */
  fact: api.Observation;
}

/** What has become of a fact, by the facts of its entity, of which the ended ones are some. */
export function presentOf(observations: api.Observation[], read: api.Observation): Present {
  const byId = new Map(observations.map((one) => [one.id, one]));
  const seen = new Set<string>();
  let fact = byId.get(read.id) ?? read;
  while (fact.endedAt !== undefined && fact.supersededBy !== undefined && !seen.has(fact.id)) {
    seen.add(fact.id);
    const next = byId.get(fact.supersededBy);
    if (next === undefined) break;
    fact = next;
  }
  return { state: fact.endedAt !== undefined ? "ended" : fact.text === read.text ? "holds" : "changed", fact };
}

/** The same, asked of the server now. */
export const askPresent = async (entity: string, read: api.Observation): Promise<Present> => presentOf((await api.entity(entity, true)).observations, read);

/** Records a text in place of what has the place of a fact now. The bounds of a fact that has ended are over, and are not taken on. */
export function correct(entity: string, { state, fact }: Present, text: string): Promise<api.Recorded> {
  return api.correctObservation(entity, state === "ended" ? { id: fact.id, text: fact.text, timestamp: fact.timestamp } : fact, text);
}
