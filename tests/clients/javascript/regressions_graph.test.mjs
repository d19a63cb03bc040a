// Defects of the TypeScript server in the knowledge graph and in search: each test reproduces one and checks the correct
// behaviour.

import assert from "node:assert/strict";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { emptyFolder, freshBank, read, serverOn, write } from "./lib/project.mjs";

async function withEntity(t, name = "Alpha", attrs = undefined) {
  const { server, project, bank } = await freshBank(t);
  const { entity } = (await server.ok("graph_upsert_entity", { name, entityType: "t", ...(attrs && { attrs }) })).json;
  return { server, project, bank, entity };
}
const search = async (server, query, more = {}) => (await server.ok("graph_search", { query, ...more })).json;

test("an unknown store is an error, and a store registered later is found", async (t) => {
  const { server, bank } = await withEntity(t);
  const b = await emptyFolder(t);
  const other = await serverOn(b, t);
  await other.ok("initialize_memory_bank", { path: b });
  await server.fails("graph_search", { query: "*", storeId: "no" });
  await server.ok("select_store", { action: "register", storeId: "B", path: b });
  await server.ok("graph_upsert_entity", { name: "In B", entityType: "t", storeId: "B" });
  assert.ok(!(await read(bank, "graph", "graph.jsonl")).includes("In B"));
  assert.ok((await read(b, "memory-bank", "graph", "graph.jsonl")).includes("In B"));
});

test("graph calls do not write a stale registry back", async (t) => {
  const { server, project } = await withEntity(t);
  const [b, c] = [await emptyFolder(t), await emptyFolder(t)];
  const other = await serverOn(b, t);
  for (const path of [b, c]) await other.ok("initialize_memory_bank", { path });
  const register = (storeId, path) => server.ok("select_store", { action: "register", storeId, path });
  const ids = async () => JSON.parse(await read(project, "stores.json")).stores.map(({ storeId }) => storeId).sort();
  await register("B", b);
  await search(server, "*", { storeId: "B" });
  await register("C", c);
  await search(server, "*", { storeId: "B" });
  assert.deepEqual(await ids(), ["B", "C"]);
  await server.ok("select_store", { action: "unregister", storeId: "B" });
  await server.fails("graph_search", { query: "*", storeId: "B" });
  assert.deepEqual(await ids(), ["C"]);
});

test("a part of a name deletes nothing", async (t) => {
  const { server } = await withEntity(t);
  for (const entity of ["lph", "   ", "a"]) {
    await server.fails("graph_delete_entity", { entity });
  }
  await server.fails("graph_add_observation", { entity: "lph", text: "x" });
  assert.equal((await search(server, "*")).entities.length, 1);
});

test("an upsert without attributes keeps them, and one with attributes merges", async (t) => {
  const { server } = await withEntity(t, "Alpha", { a: 1 });
  const upsert = async (more) =>
    (await server.ok("graph_upsert_entity", { name: "Alpha", entityType: "t", ...more })).json.entity.attrs;
  assert.deepEqual(await upsert({}), { a: 1 });
  assert.deepEqual(await upsert({ attrs: { b: 2 } }), { a: 1, b: 2 });
});

test("an incomplete line in the log hides no event", async (t) => {
  const { server, bank } = await withEntity(t);
  await appendFile(join(bank, "graph", "graph.jsonl"), '{"type":"entity_up');
  await server.ok("graph_upsert_entity", { name: "N", entityType: "t" });
  assert.equal((await search(server, "N", { limit: 1 })).entities[0].name, "N");
});

test("a compaction keeps events it does not know", async (t) => {
  const { server, bank } = await withEntity(t);
  const unknown = '{"type":"future_event","ts":"2020-01-01"}';
  await appendFile(join(bank, "graph", "graph.jsonl"), `${unknown}\n`);
  await server.ok("graph_maintain", { operation: "compact" });
  assert.ok((await read(bank, "graph", "graph.jsonl")).split("\n").includes(unknown));
});

test("unknown ids are reported, and a name may begin like an id", async (t) => {
  const { server } = await withEntity(t, "ent_fake");
  assert.match(await server.fails("graph_open_nodes", { nodes: ["ent_missing"] }), /ent_missing/);
  assert.equal((await server.ok("graph_open_nodes", { nodes: ["ent_fake"] })).json.entities[0].name, "ent_fake");
  await server.fails("graph_open_nodes", { nodes: [""] });
});

test("the wildcard, several words and observations are searched", async (t) => {
  const { server } = await withEntity(t, "Order Service");
  await server.ok("graph_add_observation", { entity: "Order Service", text: "written in a hurry" });
  for (const query of ["*", " * ", "service order", "hurry", "written hurry"]) {
    const { entities } = await search(server, query);
    assert.deepEqual(entities.map(({ name }) => name), ["Order Service"], query);
  }
});

test("results for single words keep their order", async (t) => {
  const { server } = await freshBank(t);
  for (const [name, entityType, attrs] of [
    ["other", "x", { k: "auth" }], ["reauth", "x"], ["my auth", "x"], ["thing", "auth"],
    ["auth service", "x"], ["auth", "x"],
  ]) {
    await server.ok("graph_upsert_entity", { name, entityType, ...(attrs && { attrs }) });
  }
  const names = (await search(server, "auth")).entities.map(({ name }) => name);
  assert.deepEqual([names[0], names.slice(1, 3).sort(), names.slice(3)], ["auth", ["auth service", "thing"], ["my auth", "reauth", "other"]]);
});

test("an unknown operation is refused", async (t) => {
  const { server } = await withEntity(t);
  assert.match(await server.fails("graph_maintain", { operation: "zzz" }), /rebuild.*compact.*stats/);
});

test("an unknown action links nothing, and a type is trimmed on unlinking", async (t) => {
  const { server } = await withEntity(t);
  const relation = { from: "Alpha", relationType: "r", to: "Alpha" };
  await server.fails("graph_link_entities", { ...relation, action: "bogus" });
  await server.ok("graph_link_entities", relation);
  const removed = async () =>
    (await server.ok("graph_link_entities", { ...relation, relationType: " r ", action: "unlink" })).json.removed;
  assert.equal(await removed(), true);
  assert.equal(await removed(), false);
});

test("any source is accepted, and an invalid time is refused", async (t) => {
  const { server } = await withEntity(t);
  const add = (more) => server.tool("graph_add_observation", { entity: "Alpha", text: JSON.stringify(more), ...more });
  const source = async (given) => (await add({ source: given })).json.observation.source;
  assert.deepEqual(await source("docs page"), { kind: "manual", ref: "docs page" });
  assert.deepEqual(await source("tool"), { kind: "tool" });
  assert.deepEqual(await source({ kind: "tool", ref: "x" }), { kind: "tool", ref: "x" });
  assert.equal(await source(""), undefined);
  assert.ok((await add({ timestamp: "1" })).isError);
  assert.ok(!(await add({ timestamp: "2020-01-01" })).isError);
});

test("an observation is deleted by its id, but not under another entity's name", async (t) => {
  const { server } = await withEntity(t);
  await server.ok("graph_upsert_entity", { name: "Beta", entityType: "t" });
  const { observation } = (await server.ok("graph_add_observation", { entity: "Alpha", text: "x" })).json;
  await server.fails("graph_delete_entity", { entity: "Beta", observationId: observation.id });
  await server.ok("graph_delete_entity", { observationId: observation.id });
});

test("a targeted context stays within its budget and answers a question", async (t) => {
  const { server } = await withEntity(t, "Rust", { notes: "x".repeat(9000) });
  await server.ok("graph_add_observation", { entity: "Rust", text: "a systems language" });
  for (const maxChars of [500, 1000, 8000]) {
    const { text } = await server.ok("get_targeted_context", { query: "rust language", maxChars });
    assert.ok(text.length <= maxChars, `${text.length} of ${maxChars}`);
  }
  const { graph } = (await server.ok("get_targeted_context", { query: "rust language", maxChars: 20000 })).json;
  assert.equal(graph.hits[0].name, "Rust");
});

test("pointers are a list, each with its own heading, at the intended node", async (t) => {
  const { server, bank } = await withEntity(t, "Auth");
  const { entity: library } = (await server.ok("graph_upsert_entity", { name: "Auth", entityType: "library" })).json;
  await write(join(bank, "one.md"), "# One\n\n## Keys\n\nfirst document\n");
  await write(join(bank, "two.md"), "# Two\n\nsecond document\n");
  const point = (more) => server.ok("graph_add_doc_pointer", { entityNameOrId: library.id, ...more });
  await point({ docPath: "one.md", heading: "Keys", note: "where keys live" });
  await point({ docPath: "two.md" });
  const { observations } = (await server.ok("graph_open_nodes", { nodes: [library.id] })).json;
  assert.ok(observations.every(({ entityId }) => entityId === library.id));
  assert.deepEqual(observations.map(({ text }) => text).sort(), ["DOC: one.md # Keys — where keys live", "DOC: two.md"]);
  const { pointers } = (await server.ok("get_targeted_context", { query: "auth library" })).json;
  const of = (path) => pointers.find((pointer) => pointer.path === path);
  assert.equal(of("one.md").headingHint, "Keys");
  assert.equal(of("two.md").headingHint, undefined);
  await server.fails("graph_add_doc_pointer", { entityNameOrId: "Auth", docPath: "one.md" });
});

test("an edited log is read, and a damaged snapshot is ignored", async (t) => {
  const { server, project, bank } = await withEntity(t, "Before");
  await server.ok("graph_maintain", { operation: "rebuild" });
  await server.close();
  const log = join(bank, "graph", "graph.jsonl");
  await write(log, (await read(log)).replace('"name":"Before"', '"name":"After!"'));
  await write(join(bank, "graph", "graph.snapshot.json"), '{"junk":1}');
  const next = await serverOn(project, t);
  assert.equal((await search(next, "*")).entities[0].name, "After!");
});

test("a foreign log is reported as damaged", async (t) => {
  const { server, project, bank } = await withEntity(t);
  await server.close();
  const log = join(bank, "graph", "graph.jsonl");
  await write(log, (await read(log)).replace("memory-bank-mcp", "somebody-else"));
  const next = await serverOn(project, t);
  const text = await next.fails("graph_search", { query: "*" });
  assert.ok(!text.includes("not initialized"), text);
});

test("an upsert takes as long with 1,500 entities as with 100", async (t) => {
  const { server } = await freshBank(t);
  // The fastest of many: on a busy machine the others measure other processes.
  const fastest = async (from, count) => {
    const times = [];
    for (let n = from; n < from + count; n += 1) {
      const began = performance.now();
      await server.ok("graph_upsert_entity", { name: `Entity ${n}`, entityType: "t" });
      times.push(performance.now() - began);
    }
    return Math.min(...times);
  };
  await fastest(0, 100);
  const early = await fastest(100, 100);
  // Each write waits for the disk, and they wait for each other: a hundred end in time on any disk.
  for (let from = 0; from < 1300; from += 100) {
    const names = Array.from({ length: 100 }, (_, n) => `More ${from + n}`);
    await Promise.all(names.map((name) => server.ok("graph_upsert_entity", { name, entityType: "t" })));
  }
  const late = await fastest(1500, 100);
  t.diagnostic(`note: an upsert took ${early.toFixed(1)} ms at 100 entities, ${late.toFixed(1)} ms at 1,500`);
  assert.ok(late < early * 4 + 5, `${early} ms, then ${late} ms`);
});
