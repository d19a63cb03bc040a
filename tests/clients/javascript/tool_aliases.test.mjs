// The eleven older names of tools: they are answered in the shape that older clients expect.

import assert from "node:assert/strict";
import test from "node:test";
import { copyOf, emptyFolder, read, serverOn } from "./lib/project.mjs";
import { OLDER_NAMES } from "./lib/tool_aliases.mjs";

async function withBank(t) {
  const project = await copyOf("original-project", t);
  return { project, server: await serverOn(project, t) };
}

test("every alias is known", async (t) => {
  const { server } = await withBank(t);
  for (const name of OLDER_NAMES) {
    const reply = await server.tool(name, {}).catch((error) => ({ text: error.message }));
    assert.ok(!reply.text.startsWith("Unknown tool"), `${name}: ${reply.text}`);
  }
});

test("get_current_mode answers the three lines of switch_mode, without arguments too", async (t) => {
  const { server } = await withBank(t);
  const result = await server.request("tools/call", { name: "get_current_mode" });
  assert.equal(result.content[0].text, "Current mode: code\nMemory Bank status: ACTIVE\nUMB mode active: No");
});

test("process_umb_command and complete_umb start and end the update", async (t) => {
  const { server } = await withBank(t);
  assert.match((await server.ok("process_umb_command", { command: "UMB" })).text, /^\[MEMORY BANK: UPDATING\]/);
  assert.match((await server.ok("switch_mode")).text, /UMB mode active: Yes$/);
  assert.match((await server.ok("complete_umb")).text, /^\[MEMORY BANK: ACTIVE\]/);
  assert.match(await server.fails("complete_umb"), /not active/);
  assert.match(await server.fails("process_umb_command"), /^Command not specified: `command` is required/);
  await server.fails("process_umb_command", { command: "plumber" });
});

test("list_backups lists backups of the TypeScript server, with a valid time", async (t) => {
  const { server } = await withBank(t);
  const { backups, metadata } = (await server.ok("list_backups")).json;
  assert.equal(metadata.count, 1);
  assert.equal(backups[0].id, "memory-bank-backup-2026-11-20T17-45-12-308Z");
  assert.equal(backups[0].timestamp, "2026-11-20T17:45:12.308Z");
});

test("register_store and unregister_store keep the registry", async (t) => {
  const { server, project } = await withBank(t);
  const path = await emptyFolder(t);
  const reply = (await server.ok("register_store", { storeId: "third", path })).json;
  assert.equal(reply.registered, true);
  assert.equal(reply.store.storeId, "third");
  assert.equal(reply.store.projectPath, path);
  assert.ok(JSON.parse(await read(project, "stores.json")).stores.some((store) => store.storeId === "third"));
  assert.equal((await server.ok("unregister_store", { storeId: "third" })).text, 'Store "third" removed from registry');
  assert.match((await server.tool("unregister_store", { storeId: "third" })).text, /^Store "third" not found in registry/);
  assert.match(await server.fails("register_store", { store_id: "x" }), /^`path` is required/);
  assert.match(await server.fails("register_store", { path: "x" }), /^`storeId` is required/);
});

test("reset_sequential_thinking reports whether there was a session to end", async (t) => {
  const { server } = await withBank(t);
  const thought = { thought: "a", nextThoughtNeeded: true, thoughtNumber: 1, totalThoughts: 2 };
  await server.ok("sequential_thinking", { ...thought, sessionId: "s1" });
  const one = (await server.ok("reset_sequential_thinking", { sessionId: "s1" })).json;
  assert.deepEqual([one.reset, one.sessionId, one.existed], [true, "s1", true]);
  assert.equal((await server.ok("reset_sequential_thinking", { sessionId: "s1" })).json.existed, false);
  await server.ok("sequential_thinking", { ...thought, sessionId: "s2" });
  const all = (await server.ok("reset_sequential_thinking")).json;
  assert.deepEqual([all.reset, all.sessionsCleared], [true, 1]);
});

test("graph_unlink_entities, graph_delete_observation, graph_rebuild and graph_compact do their work", async (t) => {
  const { server } = await withBank(t);
  const relation = { from: "Checkout Service", relationType: " writes-TO ", to: "Order Database" };
  assert.match((await server.ok("graph_unlink_entities", relation)).json.message, /Unlinked/);
  assert.equal((await server.ok("graph_delete_observation", { observationId: "obs_B2ttSzKE_blm" })).json.success, true);
  const rebuilt = (await server.ok("graph_rebuild", {})).json;
  assert.deepEqual(
    [rebuilt.stats.entityCount, rebuilt.stats.observationCount, rebuilt.stats.relationCount],
    [6, 6, 1],
  );
  const compacted = (await server.ok("graph_compact", {})).json;
  assert.equal(compacted.success, true);
  assert.ok(compacted.after < compacted.before, JSON.stringify(compacted));
});
