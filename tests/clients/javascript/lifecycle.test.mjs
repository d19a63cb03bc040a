// Start-up, output and shutdown of the process.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { promisify } from "node:util";
import { copyOf, emptyFolder, freshBank, read, serverOn, write } from "./lib/project.mjs";
import { BINARY, ENVIRONMENT, Server } from "./lib/server.mjs";

const run = (...args) =>
  promisify(execFile)(BINARY, args, { env: ENVIRONMENT }).catch((failure) => failure);

const entries = (text) => text.split("\n").filter((line) => line.includes("] - under way: "));

test("the handshake names the server, its version and instructions", async (t) => {
  const server = await serverOn(await emptyFolder(t), t);
  const { stdout } = await run("--version");
  const { serverInfo, instructions, capabilities } = server.handshake;
  assert.match(serverInfo.version, /^\d+\.\d+\.\d+/);
  assert.ok(stdout.includes(serverInfo.version), `--version prints ${stdout}`);
  assert.ok(serverInfo.name.includes("memory-bank-mcp"), serverInfo.name);
  assert.match(instructions, /memory/i);
  for (const part of ["tools", "resources", "prompts", "completions"]) {
    assert.ok(capabilities[part], `the capability ${part} is declared`);
  }
});

test("the end of input ends the process with 0 after the calls in flight", async (t) => {
  const { server, bank } = await freshBank(t);
  const calls = Array.from({ length: 20 }, (_, n) =>
    server.tool("track_progress", { action: "under way", description: `entry ${n}` }),
  );
  server.child.stdin.end();
  for (const reply of await Promise.all(calls)) assert.ok(!reply.isError, reply.text);
  assert.deepEqual(await server.ended(), { code: 0, signal: null });
  assert.equal(entries(await read(bank, "progress.md")).length, 20);
  assert.deepEqual(server.stray, []);
});

test("the end of input before any message ends the process with 0", async (t) => {
  const server = new Server(await emptyFolder(t));
  server.child.stdin.end();
  assert.deepEqual(await server.ended(), { code: 0, signal: null });
  assert.deepEqual(server.received, []);
});

for (const signal of ["SIGTERM", "SIGINT"]) {
  test(`${signal} ends the process with 0, and every write was answered`, async (t) => {
    const { server, bank } = await freshBank(t);
    let acknowledged = 0;
    const calls = Array.from({ length: 30 }, (_, n) =>
      server
        .tool("track_progress", { action: "under way", description: `entry ${n}` })
        .then((reply) => (acknowledged += reply.isError ? 0 : 1)),
    );
    await Promise.race(calls);
    server.child.kill(signal);
    assert.deepEqual(await server.ended(), { code: 0, signal: null }, server.stderr);
    await Promise.allSettled(calls);
    assert.equal(entries(await read(bank, "progress.md")).length, acknowledged);
  });
}

test("--help names every flag and ends with 0", async () => {
  const { stdout, code } = await run("--help");
  assert.equal(code, undefined);
  for (const flag of ["--mode", "--path", "--folder", "--username", "--debug", "--transport", "--version"]) {
    assert.ok(stdout.includes(flag), `${flag} in ${stdout}`);
  }
});

test("an unknown flag is an error on stderr", async () => {
  const { stdout, stderr, code } = await run("--no-such-flag");
  assert.notEqual(code ?? 0, 0);
  assert.equal(stdout, "");
  assert.match(stderr, /--no-such-flag/);
});

test("an unknown mode is an error that lists the valid ones", async () => {
  const { stderr, code } = await run("--mode", "poet");
  assert.notEqual(code ?? 0, 0);
  assert.match(stderr, /architect.*ask.*code.*debug.*test/s);
});

test("the transport is chosen by flag and by environment, and an unknown one is refused", async () => {
  const start = (args, variables) =>
    promisify(execFile)(BINARY, args, { env: { ...ENVIRONMENT, ...variables }, timeout: 20_000 }).catch((failure) => failure);
  // An invalid port stops the start of the HTTP server; over stdio it is not used.
  for (const { stdout, stderr, code } of [
    await start(["--transport", "http"], { MCP_PORT: "none" }),
    await start([], { MCP_TRANSPORT: "http", MCP_PORT: "none" }),
  ]) {
    assert.ok(code > 0, `exit code ${code}`);
    assert.equal(stdout, "");
    assert.match(stderr, /MCP_PORT/);
  }
  for (const { stdout, stderr, code } of [
    await start(["--transport", "pigeon"], {}),
    await start([], { MCP_TRANSPORT: "pigeon" }),
  ]) {
    assert.ok(code > 0, `exit code ${code}`);
    assert.equal(stdout, "");
    assert.match(stderr, /pigeon/);
  }
});

test("--mode is honoured in a folder that has a bank", async (t) => {
  const server = await serverOn(await copyOf("original-project", t), t, ["--mode", "architect"]);
  assert.equal(
    (await server.ok("switch_mode")).text,
    "Current mode: architect\nMemory Bank status: ACTIVE\nUMB mode active: No",
  );
});

test("the very first call after the start is answered", async (t) => {
  const server = new Server(await copyOf("original-project", t));
  t.after(() => server.kill());
  const handshake = server.initialize();
  const reply = server.tool("switch_mode");
  await handshake;
  assert.match((await reply).text, /^Current mode: code\n/);
});

test("--path never falls back to a bank in the working folder", async (t) => {
  const here = await copyOf("original-project", t);
  const elsewhere = await emptyFolder(t);
  const before = await read(here, "memory-bank", "progress.md");
  const server = await serverOn(here, t, ["--path", elsewhere]);
  assert.match(
    await server.fails("track_progress", { action: "x", description: "y" }),
    /Memory Bank not (found|initialized)/,
  );
  assert.equal(await read(here, "memory-bank", "progress.md"), before);
});

test("--path and --folder choose the bank", async (t) => {
  const project = await emptyFolder(t);
  await mkdir(join(project, "memory"));
  await write(join(project, "memory", "notes.md"), "# Notes\n");
  const server = await serverOn(await emptyFolder(t), t, ["-p", project, "-f", "memory"]);
  assert.equal((await server.ok("get_memory_bank_status")).json.path, join(project, "memory"));
});

test("--username signs entries, a GitHub address as a link", async (t) => {
  const { server, bank } = await freshBank(t, ["--username", "https://github.com/alice"]);
  await server.ok("track_progress", { action: "Did", description: "this" });
  assert.ok(
    (await read(bank, "progress.md")).includes("[[@alice](https://github.com/alice)] - Did: this"),
    await read(bank, "progress.md"),
  );
});

test("stdout carries only protocol and stderr only JSON lines, also at the highest log level", async (t) => {
  const project = await copyOf("original-project", t);
  const server = await serverOn(project, t, ["--debug"], { env: { RUST_LOG: "trace" } });
  await server.ok("get_context_digest");
  await server.ok("graph_search", { query: "*" });
  await server.fails("read_memory_bank_file", { filename: "missing.md" });
  await server.close();
  const lines = server.stderr.split("\n").filter(Boolean);
  assert.ok(lines.length > 0, "something is logged at trace level");
  for (const line of lines) assert.doesNotThrow(() => JSON.parse(line), `not JSON: ${line}`);
});

test("logs hold neither arguments nor documents", async (t) => {
  const { server } = await freshBank(t, ["--debug"], { env: { RUST_LOG: "debug" } });
  await server.ok("write_memory_bank_file", { filename: "a.md", content: "the vault's code is 7341" });
  await server.ok("search_memory_bank", { query: "7341" });
  await server.close();
  assert.ok(!server.stderr.includes("7341"), "an argument is in the log");
});

test("the start-up time is measured", async (t) => {
  const project = await copyOf("original-project", t);
  const times = [];
  for (let n = 0; n < 5; n += 1) {
    const began = performance.now();
    const server = await Server.start(project);
    times.push(performance.now() - began);
    await server.close();
  }
  times.sort((a, b) => a - b);
  t.diagnostic(`note: from spawn to the answered handshake: ${times[2].toFixed(0)} ms (median of 5)`);
});
