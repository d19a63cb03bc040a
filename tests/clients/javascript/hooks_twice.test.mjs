// Hooks that are installed twice, servers that forbid, and words that leave the machine.

import assert from "node:assert/strict";
import { appendFileSync } from "node:fs";
import { readFile, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import test from "node:test";
import { Machine } from "./lib/hook.mjs";
import { read, serverOn, write } from "./lib/project.mjs";

const RECORDS = "memory-bank/session-records.md";

async function withBank(t) {
  const machine = await Machine.start(t);
  const server = await serverOn(machine.project, t, [], { env: { MEMORY_BANK_STATE_DIR: machine.state } });
  await server.ok("initialize_memory_bank", { path: machine.project });
  await server.ok("track_progress", { action: "Webhooks", description: "webhook retries use exponential backoff" });
  const old = new Date(Date.now() - 60_000);
  for (const name of ["active-context.md", "decision-log.md", "product-context.md", "progress.md", "system-patterns.md"]) {
    await utimes(join(machine.project, "memory-bank", name), old, old);
  }
  return machine;
}

const commit = async (machine, name, subject) => {
  await write(join(machine.project, name), "x");
  await machine.git("add", name);
  await machine.git("commit", "-q", "-m", subject);
};

test("of two hooks for the same event one answers, and a call with an id counts once", async (t) => {
  const machine = await withBank(t);
  const twice = async (event, input) => {
    const got = await Promise.all([machine.hook(event, input), machine.hook(event, input)]);
    assert.deepEqual(got.map(({ code }) => code), [0, 0]);
    return got.filter(({ answer }) => answer !== undefined).length;
  };
  assert.equal(await twice("SessionStart", { source: "startup" }), 1);
  assert.equal(await twice("UserPromptSubmit", { prompt: "webhook retries with backoff" }), 0, "the start has shown it");
  const other = { session_id: "other", prompt: "webhook retries with backoff" };
  assert.equal(await twice("UserPromptSubmit", other), 1);
  for (const tool_use_id of ["toolu_1", "toolu_2"]) await twice("PostToolUse", { tool_name: "Edit", tool_use_id });
  await commit(machine, "a.txt", "add a");
  assert.equal(await twice("Stop", { stop_hook_active: false }), 1);
  await twice("SessionEnd", { reason: "other" });
  const text = await read(machine.project, RECORDS);
  assert.equal(text.match(/session `/g).length, 1, text);
  assert.match(text, /`Edit` 2$/m);
});

test("one piece of work is reminded once: the person before the compaction, the model after it, nobody at the end of the turn", async (t) => {
  const machine = await withBank(t);
  await machine.hook("SessionStart", { source: "startup" });
  await commit(machine, "a.txt", "add a");
  assert.ok((await machine.hook("PreCompact", { trigger: "auto" })).answer.systemMessage);
  assert.match((await machine.hook("SessionStart", { source: "compact" })).context, /record/);
  assert.equal((await machine.hook("Stop", { stop_hook_active: false })).answer, undefined);
  await commit(machine, "b.txt", "add b");
  assert.equal((await machine.hook("Stop", { stop_hook_active: false, turn: 2 })).answer.decision, "block");
});

test("nobody is reminded to record with --read-only", async (t) => {
  const machine = await withBank(t);
  await machine.hook("SessionStart", { source: "startup" });
  await commit(machine, "a.txt", "add a");
  const options = { args: ["--read-only"] };
  for (const event of ["PreCompact", "Stop"]) {
    const { answer, code } = await machine.hook(event, {}, options);
    assert.deepEqual([code, answer], [0, undefined], event);
  }
  assert.equal((await machine.hook("Stop", {})).answer.decision, "block");
});

/** A server that remembers what it is asked, and lists these tools. */
async function listening(t, tools) {
  const asked = [];
  const reply = { get_memory_bank_status: { lastUpdated: "2026-01-01T00:00:00Z" }, search_memory_bank: { results: [] } };
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    asked.push(body);
    const { method, params } = JSON.parse(body);
    const text = JSON.stringify(reply[params.name] ?? {});
    const result = method === "tools/list" ? { tools: tools.map((name) => ({ name })) } : { content: [{ type: "text", text }] };
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ jsonrpc: "2.0", id: 1, result }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const args = ["--no-records", "--url", `http://127.0.0.1:${server.address().port}/mcp`];
  return { asked, options: { args, env: { MEMORY_BANK_API_KEY: `mbmcp_test_${"k".repeat(32)}` } } };
}

test("no secret of a prompt is sent to a server", async (t) => {
  const machine = await Machine.start(t);
  const { asked, options } = await listening(t, []);
  const prompt = "connect to postgres://app:swordfish@ledger/shop, the password is hunter2hunter, TOKEN='x9&realtail'";
  await machine.hook("UserPromptSubmit", { prompt }, options);
  const sent = asked.join("\n").toLowerCase();
  assert.match(sent, /ledger|connect/);
  for (const secret of ["swordfish", "hunter2", "realtail", "x9"]) assert.ok(!sent.includes(secret), `${secret}: ${sent}`);
});

test("nobody is reminded to record with a key that may not", async (t) => {
  const machine = await Machine.start(t);
  for (const [session_id, tools, expected] of [
    ["viewer", ["get_context_digest", "search_memory_bank"], undefined],
    ["editor", ["get_context_digest", "track_progress"], "block"],
  ]) {
    const { options } = await listening(t, tools);
    await machine.hook("SessionStart", { source: "startup", session_id }, options);
    await commit(machine, `${session_id}.txt`, "add a");
    const compaction = await machine.hook("PreCompact", { session_id }, options);
    assert.equal(compaction.answer !== undefined, expected !== undefined, compaction.stderr);
    await commit(machine, `${session_id}-2.txt`, "add b");
    const { answer, stderr } = await machine.hook("Stop", { session_id, stop_hook_active: false }, options);
    assert.equal(answer?.decision, expected, stderr);
  }
});

test("a record that another branch's document lacks is written again, and one that a person deletes is not", async (t) => {
  const machine = await withBank(t);
  await machine.git("add", ".");
  await machine.git("commit", "-q", "-m", "bank");
  await machine.hook("SessionStart", { source: "startup" });
  await machine.hook("UserPromptSubmit", { prompt: "x" });
  await machine.hook("Stop", {});
  await machine.git("checkout", "-q", "-b", "feat");
  await machine.git("add", "-A");
  await machine.git("commit", "-q", "-m", "record");
  await machine.git("checkout", "-q", "main");
  await commit(machine, "z.txt", "second work");
  await machine.hook("Stop", {});
  assert.match(await read(machine.project, RECORDS), /second work/);
  const file = join(machine.project, RECORDS);
  // The checkout is in an earlier second than the record.
  await new Promise((resolve) => setTimeout(resolve, 1100));
  await machine.hook("Stop", {});
  await writeFile(file, (await readFile(file, "utf8")).replace(/- \[.*\n(  .*\n)*/, ""));
  await machine.hook("SessionEnd", { reason: "other" });
  assert.doesNotMatch(await read(machine.project, RECORDS), /session `/);
});

test("lines that another program appends while hooks write are kept", async (t) => {
  const machine = await withBank(t);
  const sessions = Array.from({ length: 6 }, (_, number) => `s${number}`);
  for (const session_id of sessions) await machine.hook("SessionStart", { source: "startup", session_id });
  await machine.hook("Stop", { session_id: "s0" });
  const file = join(machine.project, RECORDS);
  let ended = false;
  const ends = Promise.all(sessions.map((session_id) => machine.hook("Stop", { session_id }))).then(() => (ended = true));
  const lines = [];
  while (!ended) {
    lines.push(`mine ${lines.length}.`);
    // At once: a program that opens the file long before it writes may write into a former one.
    appendFileSync(file, `${lines.at(-1)}\n`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await ends;
  const text = await readFile(file, "utf8");
  const lost = lines.filter((line) => !text.includes(line));
  // A program that has opened the file right before it is replaced writes into the former one.
  assert.ok(lost.length <= 1, `${lost.length} of ${lines.length}`);
});
