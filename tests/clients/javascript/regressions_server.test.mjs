// Defects of the TypeScript server in start-up, configuration, modes, stores and thinking: each test reproduces one and
// checks the correct behaviour.

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { copyOf, emptyFolder, freshBank, read, serverOn, write } from "./lib/project.mjs";

test("a rules file with an error is not overwritten", async (t) => {
  const project = await emptyFolder(t);
  const broken = "mode: debug\n  bad: [yaml\n";
  await write(join(project, ".mcprules-debug"), broken);
  const server = await serverOn(project, t);
  await server.tool("switch_mode", { mode: "debug" });
  assert.equal(await read(project, ".mcprules-debug"), broken);
});

test("a path to the bank folder itself creates no second bank inside", async (t) => {
  const project = await emptyFolder(t);
  const server = await serverOn(project, t);
  await server.ok("initialize_memory_bank", { path: join(project, "memory-bank") });
  assert.ok((await readdir(join(project, "memory-bank"))).includes("progress.md"));
  assert.ok(!(await readdir(join(project, "memory-bank"))).includes("memory-bank"));
});

test("list_stores shows the store in use, also after a restart", async (t) => {
  const project = await copyOf("original-project", t);
  const server = await serverOn(project, t);
  const other = await emptyFolder(t);
  await server.ok("initialize_memory_bank", { path: other });
  await server.ok("select_store", { action: "register", storeId: "one", path: other });
  await server.ok("select_store", { action: "register", storeId: "two", path: other });
  await server.ok("select_store", { path: other });
  const active = async (of) => {
    const { stores, selectedStoreId } = (await of.ok("list_stores")).json;
    return { ids: stores.map(({ id }) => id), paths: stores.filter(({ isActive }) => isActive).map(({ path }) => path), selectedStoreId };
  };
  const now = await active(server);
  assert.deepEqual([...new Set(now.paths)], [other]);
  assert.ok(["one", "two", "shop"].every((id) => now.ids.includes(id)), now.ids);
  await server.close();
  const restarted = await serverOn(project, t);
  const then = await active(restarted);
  assert.deepEqual([...new Set(then.paths)], [project]);
  assert.ok(then.selectedStoreId === null || then.selectedStoreId === "shop", then.selectedStoreId);
});

test("mode and umb in one call are both applied, and only whole words count", async (t) => {
  const { server } = await freshBank(t);
  await server.fails("switch_mode", { umb: true, umbCommand: "plumber" });
  await server.fails("switch_mode", { umb: true, umbCommand: "number" });
  await server.ok("switch_mode", { mode: "ask", umb: true });
  assert.match((await server.ok("switch_mode")).text, /^Current mode: ask\n.*\nUMB mode active: Yes$/);
  await server.ok("switch_mode", { mode: "test", umb: false });
  assert.match((await server.ok("switch_mode")).text, /^Current mode: test\n.*\nUMB mode active: No$/);
});

test("failures are marked as such, and objects are not written as text", async (t) => {
  const { server, project, bank } = await freshBank(t);
  await write(join(project, "file"), "");
  await server.fails("initialize_memory_bank", { path: join(project, "file") });
  await server.fails("track_progress", { action: {}, description: "x" });
  await server.fails("graph_open_nodes", { nodes: [5] });
  assert.ok(!(await read(bank, "progress.md")).includes("[object"));
  assert.notEqual((await server.request("tools/call", { name: "update_tasks" })).isError, true);
});

test("verbose configuration shows no value of the environment", async (t) => {
  const { server } = await freshBank(t, [], { env: { MY_TOKEN: "s3cr3t-value", RUST_LOG: "warn" } });
  const { text } = await server.ok("debug_mcp_config", { verbose: true });
  assert.ok(!text.includes("s3cr3t-value"));
});

test("invalid thoughts are refused before they are counted, and unusual branch names are accepted", async (t) => {
  const { server } = await freshBank(t);
  const think = { thought: "x", nextThoughtNeeded: true, totalThoughts: 5, sessionId: "s" };
  for (const thoughtNumber of [-3, 0, 1.5, "1.5", "two"]) {
    await server.fails("sequential_thinking", { ...think, thoughtNumber });
  }
  const first = (await server.ok("sequential_thinking", { ...think, thoughtNumber: 1 })).json;
  assert.equal(first.thoughtHistoryLength, 1);
  for (const branchId of ["__proto__", "constructor", "toString"]) {
    const { branches } = (await server.ok("sequential_thinking", { ...think, thoughtNumber: 2, branchFromThought: 1, branchId })).json;
    assert.ok(branches.includes(branchId));
  }
  await server.fails("sequential_thinking", { reset: "false" });
  await server.fails("sequential_thinking", { reset: true, sesionId: "other" });
  assert.equal((await server.ok("sequential_thinking", { ...think, thoughtNumber: 3 })).json.thoughtHistoryLength, 5);
  const { hadSession } = (await server.ok("sequential_thinking", { reset: true, sessionId: "s" })).json;
  assert.equal(hadSession, true);
});

test("errors of resources have codes of their own and no path of the host", async (t) => {
  const { server, project } = await freshBank(t);
  const missing = await server.refuses(-32002, "resources/read", { uri: "memory-bank://nothing" });
  const bad = await server.refuses(-32602, "resources/read", { uri: "memory-bank://../x" });
  for (const error of [missing, bad]) assert.ok(!error.message.includes(project), error.message);
});

test("a tilde creates no folder of that name, and the registry follows --path", async (t) => {
  const here = await emptyFolder(t);
  const project = await copyOf("original-project", t);
  const server = await serverOn(here, t, ["--path", project]);
  await server.tool("initialize_memory_bank", { path: "~/mb" });
  await server.ok("select_store", { action: "register", storeId: "third", path: project });
  assert.deepEqual(await readdir(here), []);
  assert.ok((await read(project, "stores.json")).includes("third"));
});

test("a registry of a newer version is not replaced", async (t) => {
  const project = await copyOf("original-project", t);
  const newer = '{"version":7,"stores":{"kept":true}}';
  await write(join(project, "stores.json"), newer);
  const server = await serverOn(project, t);
  await server.tool("select_store", { action: "register", storeId: "x", path: project });
  const copies = await Promise.all(
    (await readdir(project)).filter((name) => name.startsWith("stores.json")).map((name) => read(project, name)),
  );
  assert.ok(copies.includes(newer));
});

test("selecting a store creates no bank in it", async (t) => {
  const { server, bank } = await freshBank(t);
  const empty = await emptyFolder(t);
  const reply = await server.tool("select_store", { path: empty });
  if (!reply.isError) assert.equal(reply.json.created, true, reply.text);
  else {
    assert.deepEqual(await readdir(empty), []);
    assert.equal((await server.ok("get_memory_bank_status")).json.path, bank);
  }
  assert.ok((await server.tool("select_store", { path: join(empty, "no-such-folder") })).isError);
  await server.ok("get_memory_bank_status");
});

test("rules files are written on request, with a working trigger", async (t) => {
  const { server, project } = await freshBank(t);
  const own = () => readdir(project).then((names) => names.filter((name) => name.startsWith(".mcprules-")));
  assert.deepEqual(await own(), [], "nothing is made beside the bank unasked");
  const made = await server.ok("initialize_memory_bank", { path: project, rules: true });
  assert.match(made.text, /^Memory Bank initialized at .*\nMade outside of the memory bank: .*\.mcprules-code/);
  const names = (await readdir(project)).filter((name) => name.startsWith(".mcprules-")).sort();
  assert.deepEqual(names, [".mcprules-architect", ".mcprules-ask", ".mcprules-code", ".mcprules-debug", ".mcprules-test"]);
  assert.ok(!(await read(project, ".mcprules-code")).includes("(?i)"));
  await server.ok("switch_mode", { umb: true });
});
