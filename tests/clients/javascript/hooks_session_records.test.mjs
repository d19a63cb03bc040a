// The records of sessions that hooks write: once for each session, in the bank in which it began, unless they are turned off.

import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { exists, KEY, RECORDS, withBank, work } from "./lib/hook.mjs";
import { HttpServer } from "./lib/http_server.mjs";
import { read } from "./lib/project.mjs";

test("a session is recorded once, from git and the events, without a model", async (t) => {
  const machine = await withBank(t);
  await machine.hook("SessionStart", { source: "startup" });
  await machine.hook("UserPromptSubmit", { prompt: "do it with password=hunter2\nplease" });
  await Promise.all(["Bash", "Edit", "Edit"].map((tool_name) => machine.hook("PostToolUse", { tool_name })));
  await work(machine, "refunds.rs", `add refunds, key ${KEY}`);
  await machine.hook("Stop", { stop_hook_active: false });
  await machine.hook("Stop", { stop_hook_active: false });
  await Promise.all([machine.hook("SessionEnd", { reason: "other" }), machine.hook("SessionEnd", { reason: "other" })]);
  const text = await read(machine.project, RECORDS);
  assert.equal(text.match(/session `/g).length, 1, text);
  assert.match(text, /of claude-code on `main`/);
  assert.match(text, /commits \(1\): `[0-9a-f]{8}` "add refunds, key \[masked\]"/);
  assert.match(text, /files \(1\): `refunds.rs`/);
  assert.match(text, /`Edit` \d, |`Edit` \d$/m);
  assert.doesNotMatch(text, /hunter2|do it with|IOSFODNN/);
  const digest = await machine.server.ok("get_context_digest", {});
  assert.doesNotMatch(JSON.stringify(digest.json.digest.recentProgress), /add refunds, key/);
  await machine.hook("UserPromptSubmit", { prompt: "more", session_id: "s2" });
  await machine.hook("Stop", { session_id: "s2" });
  assert.equal((await read(machine.project, RECORDS)).match(/session `/g).length, 2);
});

test("records are turned off by a file, a variable, a setting, a flag, and in read-only mode", async (t) => {
  const machine = await withBank(t);
  const session = async (session_id, options) => {
    await machine.hook("SessionStart", { session_id }, options);
    await work(machine, `${session_id}.rs`);
    const got = await machine.hook("Stop", { session_id }, options);
    assert.equal(got.code, 0, got.stderr);
    return exists(join(machine.project, RECORDS));
  };
  await writeFile(join(machine.project, ".memory-bank-ignore"), "");
  assert.equal(await session("a"), false);
  await rm(join(machine.project, ".memory-bank-ignore"));
  assert.equal(await session("b", { env: { MEMORY_BANK_SESSION_RECORDS: "off" } }), false);
  await writeFile(join(machine.state, "hooks.json"), '{"records": false}');
  assert.equal(await session("c"), false);
  await rm(join(machine.state, "hooks.json"));
  assert.equal(await session("d", { args: ["--no-records"] }), false);
  assert.equal(await session("e", { args: ["--read-only"] }), false);
  assert.equal(await session("f"), true);
});

test("sessions at the same time are recorded side by side", async (t) => {
  const machine = await withBank(t);
  const ids = ["a", "b", "c", "d", "e", "f"];
  await Promise.all(ids.map((session_id) => machine.hook("SessionStart", { session_id })));
  await Promise.all(ids.map((session_id) => machine.hook("UserPromptSubmit", { session_id, prompt: "hello there" })));
  await Promise.all(ids.map((session_id) => machine.hook("Stop", { session_id })));
  const text = await read(machine.project, RECORDS);
  assert.equal(text.match(/session `/g).length, ids.length, text);
});

test("the first records of sessions that end at the same time on a server are all kept", async (t) => {
  const machine = await withBank(t);
  const http = await HttpServer.start(machine.project);
  t.after(() => http.stop());
  const options = { args: ["--url", http.url], env: { MEMORY_BANK_API_KEY: http.key, MEMORY_BANK_HOOK_TIMEOUT_MS: "10000" } };
  const ids = Array.from({ length: 3 }, (_, number) => `parallel-${number}`);
  for (const session_id of ids) await machine.hook("UserPromptSubmit", { session_id, prompt: "hello there" }, options);
  const ended = await Promise.all(ids.map((session_id) => machine.hook("Stop", { session_id }, options)));
  assert.deepEqual(ended.map(({ stderr }) => stderr).filter(Boolean), []);
  assert.equal((await read(machine.project, RECORDS)).match(/session `/g).length, ids.length);
});

test("a session is recorded in the bank in which it began, and its prompt by the settings at its end", async (t) => {
  const machine = await withBank(t);
  const options = { env: { MEMORY_BANK_SESSION_PROMPTS: "private" } };
  const other = join(machine.project, "..", "other");
  await mkdir(join(other, "memory-bank"), { recursive: true });
  await machine.hook("SessionStart", { session_id: "moves" }, options);
  await machine.hook("UserPromptSubmit", { session_id: "moves", prompt: "the secret plan of ACME" }, options);
  await work(machine);
  await machine.hook("Stop", { session_id: "moves", cwd: other }, options);
  assert.ok(!(await exists(join(other, RECORDS))), "the folder that the agent went to");
  assert.match(await read(machine.project, RECORDS), /add refunds[^]*the secret plan of ACME/);
  await machine.git("add", "-f", "memory-bank");
  await machine.git("commit", "-q", "-m", "track the bank");
  await machine.hook("SessionEnd", { session_id: "moves", cwd: other }, options);
  const text = await read(machine.project, RECORDS);
  assert.match(text, /track the bank/);
  assert.doesNotMatch(text, /the secret plan/, "git tracks the bank now");
});
