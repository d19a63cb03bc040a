// The part of the graph that results have shown so far: entities with their facts, and relations. Knows no host and no picture.

import { count, isValues, list, text, type Values, values } from "./values";

export interface Fact {
  key: string;
  /** Facts within the results of a search have no id. */
  hasId: boolean;
  text: string;
  at: string | undefined;
  validFrom: string | undefined;
  validUntil: string | undefined;
  endedAt: string | undefined;
}

export interface Entity {
  id: string;
  name: string;
  /** Nothing for an entity that only relations name. */
  type: string | undefined;
  attributes: Values;
  facts: Fact[];
  /** Whether all its facts are known, as far as a reply has room. */
  isOpen: boolean;
}

export interface Relation {
  from: string;
  to: string;
  type: string;
}

export interface Known {
  entities: ReadonlyMap<string, Entity>;
  relations: readonly Relation[];
  types: readonly string[];
  leftOut: number;
  cursor: string | undefined;
}

/** More than these are not kept: a page shows what an answer is about, and no whole bank. */
const MOST_ENTITIES = 1000;
const MOST_RELATIONS = 3000;

export const NOTHING: Known = { entities: new Map(), relations: [], types: [], leftOut: 0, cursor: undefined };

function factOf(given: unknown): Fact[] {
  const fact = values(given);
  const content = text(fact["text"]);
  if (content === undefined) return [];
  const at = text(fact["timestamp"]);
  return [
    {
      key: text(fact["id"]) ?? `${at ?? ""} ${content}`,
      hasId: text(fact["id"]) !== undefined,
      text: content,
      at,
      validFrom: text(fact["validFrom"]),
      validUntil: text(fact["validUntil"]),
      endedAt: text(fact["endedAt"]),
    },
  ];
}

const namedOnly = (id: string, name: string): Entity => ({ id, name, type: undefined, attributes: {}, facts: [], isOpen: false });

/** Facts by their ids, as soon as some have one; before, by their texts. */
function joined(known: readonly Fact[], found: readonly Fact[]): Fact[] {
  const all = [...known, ...found];
  const best = all.some(({ hasId }) => hasId) ? all.filter(({ hasId }) => hasId) : all;
  return [...new Map(best.map((fact) => [fact.key, fact])).values()];
}

/** Whether an entity is one of those that a call named. */
export const isNamed = (nodes: readonly string[], { id, name }: { id: string; name: string }): boolean =>
  nodes.some((node) => node.trim() === id || node.trim().toLowerCase() === name.trim().toLowerCase());

/** Adds a result of `graph_open_nodes`, of these nodes, or of `graph_search`, which has a query. */
export function merged(before: Known, data: Values, nodes: readonly string[]): Known {
  const entities = new Map(before.entities);
  const facts = new Map<string, Fact[]>();
  if (data["query"] === undefined) {
    for (const given of list(data["observations"])) {
      const of = text(values(given)["entityId"]);
      if (of !== undefined) facts.set(of, [...(facts.get(of) ?? []), ...factOf(given)]);
    }
  }
  for (const given of list(data["entities"]).map(values)) {
    const id = text(given["id"]);
    if (id === undefined || (entities.size >= MOST_ENTITIES && !entities.has(id))) continue;
    const known = entities.get(id);
    const name = text(given["name"]) ?? id;
    entities.set(id, {
      id,
      name,
      type: text(given["entityType"]) ?? "",
      attributes: values(given["attrs"]),
      facts: joined(known?.facts ?? [], facts.get(id) ?? list(given["observations"]).flatMap(factOf)),
      isOpen: known?.isOpen === true || isNamed(nodes, { id, name }),
    });
  }
  const relations = new Map(before.relations.map((relation) => [keyOf(relation), relation]));
  for (const given of list(data["relations"]).map(values)) {
    const [from, to] = [text(given["fromId"]), text(given["toId"])];
    if (from === undefined || to === undefined || relations.size >= MOST_RELATIONS) continue;
    for (const [id, name] of [[from, given["from"]] as const, [to, given["to"]] as const]) {
      if (!entities.has(id) && entities.size < MOST_ENTITIES) entities.set(id, namedOnly(id, text(name) ?? id));
    }
    const relation = { from, to, type: text(given["relationType"]) ?? "" };
    if (entities.has(from) && entities.has(to)) relations.set(keyOf(relation), relation);
  }
  return {
    entities,
    relations: [...relations.values()],
    types: [...new Set([...before.types, ...[...entities.values()].flatMap(({ type }) => type ?? [])])],
    leftOut: isValues(data["ended"]) ? count(data["ended"]["leftOut"]) : 0,
    cursor: text(data["nextCursor"]),
  };
}

const keyOf = ({ from, to, type }: Relation) => `${from} ${to} ${type}`;

/** The entities of a picture: the chosen one and those around it first, then the others. */
export function pictured(known: Known, chosen: string | undefined, most: number): Entity[] {
  const neighbours = new Map<string, string[]>();
  for (const { from, to } of known.relations) {
    neighbours.set(from, [...(neighbours.get(from) ?? []), to]);
    neighbours.set(to, [...(neighbours.get(to) ?? []), from]);
  }
  const order = new Set<string>();
  const starts = chosen === undefined ? [...known.entities.keys()] : [chosen, ...known.entities.keys()];
  for (const start of starts) {
    const waiting = [start];
    for (let id = waiting.shift(); id !== undefined && order.size < most; id = waiting.shift()) {
      if (order.has(id)) continue;
      order.add(id);
      waiting.push(...(neighbours.get(id) ?? []));
    }
  }
  return [...order].flatMap((id) => known.entities.get(id) ?? []);
}
