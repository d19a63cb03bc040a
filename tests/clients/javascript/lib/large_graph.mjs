// A graph of many entities as the log of a folder's bank, made by a generator that always gives the same.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const TYPES = ["service", "person", "decision", "module", "table", "incident", "library", "team", "endpoint", "queue"];
const RELATIONS = ["uses", "owns", "calls", "depends on", "replaces", "mentions"];
const NAMES = ["Checkout", "Payments", "Ledger", "Cart", "Search", "Mail", "Alice", "Ingest", "Billing", "Orders"];
/** Entities of a group, most of whose relations are within it. */
const GROUP = 60;

function numbers(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export function writeLargeGraph(folder, entities, relations) {
  const bank = join(folder, "memory-bank");
  mkdirSync(join(bank, "graph"), { recursive: true });
  writeFileSync(join(bank, "active-context.md"), "# Active Context\n\n## Current Focus\n\nA large graph\n");
  const random = numbers(7);
  const at = "2026-01-02T03:04:05.000Z";
  const id = (kind, number) => `${kind}_${number.toString(16).padStart(16, "0")}`;
  const lines = [{ type: "memory_bank_graph", source: "memory-bank-mcp", version: "1" }];
  for (let number = 0; number < entities; number += 1) {
    const entity = { id: id("ent", number), name: `${NAMES[number % NAMES.length]} ${number}`, entityType: TYPES[Math.floor(random() ** 2 * TYPES.length)], createdAt: at, updatedAt: at };
    lines.push({ type: "entity_upsert", entity, ts: at });
  }
  const known = new Set();
  while (known.size < relations) {
    const from = Math.floor(random() * entities);
    const near = Math.floor(from / GROUP) * GROUP + Math.floor(random() ** 2 * GROUP);
    const to = random() < 0.93 ? near % entities : Math.floor(random() ** 3 * entities);
    const key = from * entities + to;
    if (from === to || known.has(key)) continue;
    known.add(key);
    const relation = { id: id("rel", known.size), fromId: id("ent", from), toId: id("ent", to), relationType: RELATIONS[Math.floor(random() * RELATIONS.length)], createdAt: at };
    lines.push({ type: "relation_add", relation, ts: at });
  }
  writeFileSync(join(bank, "graph/graph.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}
