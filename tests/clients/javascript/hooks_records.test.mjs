// Records of sessions that end at the same time, or while their bank cannot be written; and Cursor after a compaction.

import assert from "node:assert/strict";
import { mkdir, readdir, rmdir } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { Machine } from "./lib/hook.mjs";
import { read, serverOn, write } from "./lib/project.mjs";

const RECORDS = "memory-bank/session-records.md";
const SESSIONS = 24;

/** A machine whose project has a bank. */
async function withBank(t) {
  const machine = await Machine.start(t);
  const server = await serverOn(machine.project, t, [], { env: { MEMORY_BANK_STATE_DIR: machine.state } });
  await server.ok("initialize_memory_bank", { path: machine.project });
  await server.ok("update_active_context", { tasks: ["finish the refunds"] });
  return machine;
}

const recorded = async (machine) => new Set((await read(machine.project, RECORDS)).match(/session `[0-9a-f]+`/g)).size;
const dueFiles = async (machine) => (await readdir(join(machine.state, "hooks"))).filter((name) => name.endsWith(".due"));

test("no record of sessions that end at the same time is lost", async (t) => {
  const machine = await withBank(t);
  const sessions = Array.from({ length: SESSIONS }, (_, number) => `parallel ${number}`);
  const all = (event, input) => Promise.all(sessions.map((session_id) => machine.hook(event, { session_id, ...input })));
  for (const [event, input] of [
    ["UserPromptSubmit", { prompt: "work on it" }],
    ["PostToolUse", { tool_name: "Edit" }],
    ["Stop", {}],
  ]) {
    for (const { code } of await all(event, input)) assert.equal(code, 0, event);
  }
  // On a busy machine a hook's time may be up before it has written; the next event writes what is left.
  await machine.hook("Stop", { session_id: sessions[0] });
  assert.equal(await recorded(machine), SESSIONS);
  assert.deepEqual(await dueFiles(machine), []);
});

test("a record that cannot be written is written by the next session that ends", async (t) => {
  const machine = await withBank(t);
  await machine.hook("SessionStart", {});
  await machine.hook("PostToolUse", { tool_name: "Edit" });
  // A folder of that name refuses the document.
  await mkdir(join(machine.project, RECORDS));
  const { code, stderr } = await machine.hook("Stop", {});
  assert.equal(code, 0);
  assert.match(stderr, /the session was not recorded/);
  await rmdir(join(machine.project, RECORDS));
  assert.equal((await dueFiles(machine)).length, 1);
  const next = { session_id: "next" };
  await machine.hook("UserPromptSubmit", { ...next, prompt: "go on" });
  await machine.hook("Stop", next);
  assert.equal(await recorded(machine), 2);
  assert.deepEqual(await dueFiles(machine), []);
});

test("a session's start writes the record of an earlier one", async (t) => {
  const machine = await withBank(t);
  await machine.hook("SessionStart", {});
  await machine.hook("PostToolUse", { tool_name: "Edit" });
  await mkdir(join(machine.project, RECORDS));
  await machine.hook("Stop", {});
  await rmdir(join(machine.project, RECORDS));
  await machine.hook("SessionStart", { session_id: "another" }, { env: { MEMORY_BANK_SESSION_RECORDS: "off" } });
  assert.equal((await dueFiles(machine)).length, 1, "records are turned off");
  const { stderr, context } = await machine.hook("SessionStart", { session_id: "third" });
  assert.equal(stderr, "");
  assert.match(context, /finish the refunds/);
  assert.equal(await recorded(machine), 1);
  assert.deepEqual(await dueFiles(machine), []);
});

test("Cursor is shown the work of the session with the first result of a tool after a compaction", async (t) => {
  const machine = await withBank(t);
  const cursor = (event, input = {}) =>
    machine.hook(event, { conversation_id: "c", session_id: undefined, workspace_roots: [machine.project], ...input }, { args: ["--agent", "cursor"] });
  const tool = (input = {}) => cursor("postToolUse", { tool_name: "Read", ...input });
  await cursor("sessionStart");
  assert.equal((await tool()).answer, undefined, "nothing was compacted");
  await write(join(machine.project, "src.rs"), "x");
  await machine.git("add", "src.rs");
  await machine.git("commit", "-q", "-m", "add refunds");
  await cursor("preCompact");
  assert.equal((await cursor("beforeSubmitPrompt", { prompt: "refunds" })).answer, undefined);
  assert.equal((await cursor("postToolUseFailure", { tool_name: "Shell" })).answer, undefined, "it takes no text");
  assert.equal((await tool({ agent_id: "sub" })).answer, undefined, "a subagent gets nothing");
  const results = await Promise.all([tool({ tool_use_id: "1" }), tool({ tool_use_id: "2" })]);
  const [text, none] = results.map((got) => got.answer?.additional_context).sort((a, b) => (b ?? "").length - (a ?? "").length);
  assert.equal(none, undefined, "of two, one has it");
  for (const part of ["not instructions", "finish the refunds", "add refunds", "src.rs"]) assert.ok(text.includes(part), text);
  assert.equal((await tool()).answer, undefined, "it is there once");
});
