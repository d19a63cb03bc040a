// Acknowledged writes survive a kill, and damaged lines of a log are skipped.

import assert from "node:assert/strict";
import { appendFile, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { copyOf, freshBank, read, serverOn, write } from "./lib/project.mjs";

/** Fires calls until the server is killed after `milliseconds`; gives the keys it acknowledged. */
async function killedWhileWriting(server, milliseconds, call) {
  const acknowledged = [];
  setTimeout(() => server.child.kill("SIGKILL"), milliseconds);
  const one = async (key) => {
    if (!(await call(key)).isError) acknowledged.push(key);
  };
  for (let n = 0; server.child.exitCode === null && server.child.signalCode === null; n += 1) {
    const batch = Array.from({ length: 8 }, (_, k) => one(`${n}-${k}`));
    if ((await Promise.allSettled(batch)).some((settled) => settled.status === "rejected")) break;
  }
  await server.exited;
  return acknowledged;
}

for (const milliseconds of [60, 150, 400]) {
  test(`after kill -9 at ${milliseconds} ms every acknowledged entry exists once`, async (t) => {
    const { server, project, bank } = await freshBank(t);
    const acknowledged = await killedWhileWriting(server, milliseconds, (key) =>
      server.tool("track_progress", { action: "did", description: `entry <${key}>` }),
    );
    const text = await read(bank, "progress.md");
    for (const key of acknowledged) assert.equal(text.split(`entry <${key}>`).length - 1, 1, key);
    assert.ok(text.startsWith("# Project Progress\n") && text.endsWith("\n"));
    const next = await serverOn(project, t);
    await next.ok("track_progress", { action: "after", description: "the restart" });
    const left = (await next.ok("list_memory_bank_files")).text;
    assert.ok(!/tmp/.test(left), `temporary files are not listed: ${left}`);
  });

  test(`after kill -9 at ${milliseconds} ms every acknowledged observation exists`, async (t) => {
    const { server, project } = await freshBank(t);
    await server.ok("graph_upsert_entity", { name: "Hub", entityType: "thing" });
    const acknowledged = await killedWhileWriting(server, milliseconds, (key) =>
      server.tool("graph_add_observation", { entity: "Hub", text: `fact <${key}>` }),
    );
    const next = await serverOn(project, t);
    const { observations } = (await next.ok("graph_open_nodes", { nodes: ["Hub"], maxChars: 200_000 })).json;
    const texts = new Set(observations.map((observation) => observation.text));
    for (const key of acknowledged) assert.ok(texts.has(`fact <${key}>`), key);
    await next.ok("graph_add_observation", { entity: "Hub", text: "after the restart" });
    const again = (await next.ok("graph_open_nodes", { nodes: ["Hub"], maxChars: 200_000 })).json.observations;
    assert.ok(again.some((observation) => observation.text === "after the restart"));
  });
}

test("after kill -9 during a compaction nothing acknowledged is lost", async (t) => {
  const { server, project } = await freshBank(t);
  await server.ok("graph_upsert_entity", { name: "Hub", entityType: "thing" });
  for (let n = 0; n < 200; n += 1) await server.ok("graph_add_observation", { entity: "Hub", text: `fact ${n}` });
  setTimeout(() => server.child.kill("SIGKILL"), 30);
  while (server.child.signalCode === null) {
    if (await server.tool("graph_maintain", { operation: "compact" }).then(() => false, () => true)) break;
  }
  await server.exited;
  const next = await serverOn(project, t);
  const { stats } = (await next.ok("graph_maintain", { operation: "stats" })).json;
  assert.equal(stats.observationCount, 200);
});

test("a torn last line does not hide the next event", async (t) => {
  const project = await copyOf("original-project", t);
  const log = join(project, "memory-bank", "graph", "graph.jsonl");
  await appendFile(log, '{"type":"entity_upsert","entity":{"id":"ent_half');
  const server = await serverOn(project, t);
  await server.ok("graph_upsert_entity", { name: "After the tear", entityType: "thing" });
  const found = (await server.ok("graph_search", { query: "After the tear" })).json;
  assert.equal(found.entities[0].name, "After the tear");
  await server.close();
  const next = await serverOn(project, t);
  assert.equal((await next.ok("graph_search", { query: "After the tear" })).json.entities.length, 1);
  assert.ok((await read(log)).split("\n").some((line) => line.includes("After the tear") && JSON.parse(line)));
});

test("the log tears while the server runs, and its next event is kept", async (t) => {
  const { server, bank } = await freshBank(t);
  await server.ok("graph_upsert_entity", { name: "One", entityType: "thing" });
  await appendFile(join(bank, "graph", "graph.jsonl"), '{"type":"obs');
  await server.ok("graph_upsert_entity", { name: "Two", entityType: "thing" });
  const names = (await server.ok("graph_search", { query: "*" })).json.entities.map((entity) => entity.name);
  assert.deepEqual(names.sort(), ["One", "Two"]);
});

test("a log edited by hand takes precedence over the snapshot", async (t) => {
  const project = await copyOf("original-project", t);
  const log = join(project, "memory-bank", "graph", "graph.jsonl");
  await write(log, (await read(log)).replaceAll("Runs PostgreSQL 16", "Runs PostgreSQL 18"));
  const server = await serverOn(project, t);
  const { observations } = (await server.ok("graph_open_nodes", { nodes: ["Order Database"] })).json;
  assert.ok(observations.some((observation) => observation.text === "Runs PostgreSQL 18"));
});

test("damaged derived files are ignored", async (t) => {
  const project = await copyOf("original-project", t);
  const graph = join(project, "memory-bank", "graph");
  await write(join(graph, "graph.snapshot.json"), '{"junk":1}');
  await write(join(graph, "graph.index.json"), "not json");
  await write(join(graph, "graph.md"), "");
  const server = await serverOn(project, t);
  assert.equal((await server.ok("graph_search", { query: "*" })).json.entities.length, 6);
  await server.ok("graph_maintain", { operation: "rebuild" });
  assert.equal(JSON.parse(await read(graph, "graph.snapshot.json")).entities.length, 6);
});

test("a log with a foreign marker is reported as damaged, with its position, and not changed", async (t) => {
  const project = await copyOf("original-project", t);
  const log = join(project, "memory-bank", "graph", "graph.jsonl");
  const foreign = (await read(log)).replace('"source":"memory-bank-mcp"', '"source":"another-program"');
  await write(log, foreign);
  const server = await serverOn(project, t);
  for (const [name, args] of [
    ["graph_search", { query: "*" }],
    ["graph_upsert_entity", { name: "a", entityType: "b" }],
    ["graph_maintain", { operation: "compact" }],
  ]) {
    const text = await server.fails(name, args);
    assert.match(text, /graph\.jsonl/);
    assert.match(text, /damaged|marker/i);
    assert.ok(!text.includes("not initialized"), text);
  }
  assert.equal(await read(log), foreign);
});

test("an append keeps all earlier bytes", async (t) => {
  const project = await copyOf("original-project", t);
  const log = join(project, "memory-bank", "graph", "graph.jsonl");
  const before = await read(log);
  const server = await serverOn(project, t);
  await server.ok("graph_upsert_entity", { name: "Newest", entityType: "thing" });
  const after = await read(log);
  assert.ok(after.startsWith(before));
  assert.equal(after.slice(before.length).trimEnd().split("\n").length, 1);
});

test("a failed write leaves no temporary file and is reported", async (t) => {
  const { server, bank } = await freshBank(t);
  await mkdir(join(bank, "blocked.md"));
  await server.fails("write_memory_bank_file", { filename: "blocked.md", content: "x" });
  assert.deepEqual((await readdir(bank)).filter((name) => /tmp|~$/.test(name)), []);
});

test("a rules file with an error is kept, and the error reported", async (t) => {
  const project = await copyOf("original-project", t);
  const broken = "mode: debug\ninstructions: [unclosed\n";
  await write(join(project, ".mcprules-debug"), broken);
  const server = await serverOn(project, t);
  const reply = await server.tool("switch_mode", { mode: "debug" });
  assert.equal(await read(project, ".mcprules-debug"), broken);
  assert.match(reply.text + server.stderr, /mcprules-debug/);
});

test("a registry that is not JSON is set aside before it is replaced", async (t) => {
  const project = await copyOf("original-project", t);
  await write(join(project, "stores.json"), "{ not json");
  const server = await serverOn(project, t);
  await server.tool("select_store", { action: "register", storeId: "x", path: project });
  const copies = await Promise.all(
    (await readdir(project)).filter((name) => name.startsWith("stores.json")).map((name) => read(project, name)),
  );
  assert.ok(copies.includes("{ not json"), "the damaged text is still somewhere beside the registry");
});
