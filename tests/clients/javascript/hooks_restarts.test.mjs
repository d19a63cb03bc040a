// A session that goes on under its id: in another project, after a compaction, on another branch, and where a server refuses its
// record or has nothing.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { withTools } from "./lib/console.mjs";
import { exists, RECORDS, withBank, work } from "./lib/hook.mjs";
import { Database } from "./lib/http_server.mjs";
import { read, write } from "./lib/project.mjs";

for (const source of ["startup", "resume", "clear"]) {
  test(`a session that starts again in another project (${source}) has that project's memory and record`, async (t) => {
    const machine = await withBank(t);
    const other = join(machine.root, "other");
    await mkdir(join(other, "memory-bank"), { recursive: true });
    await write(join(other, "memory-bank/active-context.md"), "# Active Context\n\n## Ongoing Tasks\n\n- paint the bikeshed\n");
    await machine.hook("SessionStart", { source: "startup" });
    const again = await machine.hook("SessionStart", { source, cwd: other });
    assert.match(again.context, /paint the bikeshed/);
    assert.doesNotMatch(again.context, /refunds/);
    await machine.hook("UserPromptSubmit", { prompt: "which colour?", cwd: other });
    await machine.hook("Stop", { cwd: other });
    assert.match(await read(other, RECORDS), /session `/);
    assert.ok(!(await exists(join(machine.project, RECORDS))));
  });
}

test("a session that starts again below the same memory goes on, as it does after a compaction elsewhere", async (t) => {
  const machine = await withBank(t);
  const [inner, other] = [join(machine.project, "inner"), join(machine.root, "other/memory-bank")];
  await mkdir(inner);
  await mkdir(other, { recursive: true });
  await machine.hook("SessionStart", { source: "startup" });
  await work(machine);
  await machine.hook("SessionStart", { source: "resume", cwd: inner });
  const compacted = await machine.hook("SessionStart", { source: "compact", cwd: join(machine.root, "other") });
  assert.match(compacted.context, /add refunds/);
  await machine.hook("Stop", {});
  assert.match(await read(machine.project, RECORDS), /commits \(1\): .*add refunds/);
  assert.ok(!(await exists(join(other, "session-records.md"))));
});

for (const [agent, events] of [
  ["copilot-cli", { start: "sessionStart", tool: "postToolUse", compaction: "preCompact", stop: "agentStop" }],
  ["codex", { start: "SessionStart", tool: "PostToolUse", compaction: "PreCompact", stop: "Stop" }],
  ["cursor", { start: "sessionStart", tool: "afterFileEdit", compaction: "preCompact", stop: "stop" }],
]) {
  test(`a reminder before a compaction that did not reach the model of ${agent} is given at the end of the turn`, async (t) => {
    const machine = await withBank(t);
    const send = (name, input = {}) =>
      machine.hook(events[name], { sessionId: "c", conversation_id: "c", ...input }, { args: ["--agent", agent] });
    await send("start");
    await work(machine);
    await send("compaction", { trigger: "auto" });
    const { answer } = await send("stop", { stop_hook_active: false, status: "completed", loop_count: 0 });
    assert.match(answer?.reason ?? answer?.followup_message ?? "", /record/, JSON.stringify(answer));
    assert.equal((await send("stop", { stop_hook_active: false, status: "completed", loop_count: 0 })).answer, undefined);
  });
}

test("the record keeps the files that were touched on a branch that is left", async (t) => {
  const machine = await withBank(t);
  await machine.git("branch", "other");
  await machine.hook("SessionStart", { source: "startup" });
  await work(machine, "one.rs");
  await work(machine, "two.rs");
  await machine.hook("Stop", {});
  assert.match(await read(machine.project, RECORDS), /files \(2\)/);
  await machine.git("checkout", "-q", "other");
  await machine.hook("UserPromptSubmit", { prompt: "and now?" });
  await machine.hook("Stop", {});
  const record = await read(machine.project, RECORDS);
  assert.match(record, /commits \(2\)/);
  assert.match(record, /files \(2\): .*one\.rs.*two\.rs|files \(2\): .*two\.rs.*one\.rs/, record);
});

test("a server's project with nothing in it is left so, and a refused record is sent once", async (t) => {
  const database = await Database.lent();
  t.after(() => database.giveBack());
  const server = await database.serve();
  const { key } = await database.project();
  const machine = await withBank(t);
  const session = async (session_id, key) => {
    const options = { args: ["--url", server.url], env: { MEMORY_BANK_API_KEY: key } };
    const send = (event, input = {}) => machine.hook(event, { session_id, ...input }, options);
    await send("SessionStart", { source: "startup" });
    await send("UserPromptSubmit", { prompt: "build it" });
    await work(machine, `${session_id}.rs`);
    const before = await send("PreCompact", { trigger: "auto" });
    return { before, first: await send("Stop"), second: await send("Stop") };
  };
  const empty = await session("empty", key);
  assert.deepEqual([empty.before.answer, empty.first.answer], [undefined, undefined]);
  const headers = { "X-API-Key": key, "Content-Type": "application/json" };
  const listed = await (await fetch(new URL("/api/v1/documents", server.url), { headers })).json();
  assert.deepEqual(listed.documents, []);
  await withTools(server, key, (call) => call("log_decision", { title: "Begin", context: "none", decision: "Write it." }));
  const body = JSON.stringify({ name: "vera", role: "viewer" });
  const invited = await fetch(new URL("/api/v1/members", server.url), { method: "POST", headers, body });
  const refused = await session("viewer", (await invited.json()).key.key);
  assert.match(refused.first.stderr, /refuses the session record/);
  assert.equal(refused.second.stderr, "");
});
