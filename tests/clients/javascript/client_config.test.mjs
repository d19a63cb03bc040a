// `client-config`: clients can use its files. The Inspector takes its servers from the file.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { HttpServer } from "./lib/http_server.mjs";
import { copyOf, emptyFolder } from "./lib/project.mjs";
import { BINARY, ENVIRONMENT } from "./lib/server.mjs";

const INSPECTOR = fileURLToPath(
  new URL("../node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js", import.meta.url),
);

/** Runs the command in `project`; `input` goes to its standard input. */
async function clientConfig(project, args, { input = "", home = project } = {}) {
  const running = promisify(execFile)(BINARY, ["client-config", ...args], {
    cwd: project,
    env: { ...ENVIRONMENT, HOME: home },
  });
  // A command that ends with an error does not read its input.
  running.child.stdin.on("error", (error) => assert.equal(error.code, "EPIPE"));
  running.child.stdin.end(input);
  return running.catch((failure) => failure);
}

async function toolsByFile(project, home) {
  const command = [INSPECTOR, "--cli", "--config", join(project, "mcp.json"), "--server", "memory-bank"];
  command.push("--format", "json", "-q", "--method", "tools/list");
  const { stdout, stderr } = await promisify(execFile)(process.execPath, command, {
    env: { ...ENVIRONMENT, HOME: home, NO_COLOR: "1" },
  }).catch((failure) => failure);
  assert.ok(stdout, stderr);
  return JSON.parse(stdout).result.tools;
}

test("the Inspector starts the server from the generated file", async (t) => {
  const project = await copyOf("original-project", t);
  await clientConfig(project, ["--client", "inspector", "--write"]);
  assert.equal((await toolsByFile(project, await emptyFolder(t))).length, 42);
});

test("the Inspector reaches a remote server with the key in the generated file", async (t) => {
  const project = await copyOf("original-project", t);
  const server = await HttpServer.start(project);
  t.after(() => server.stop());
  const wanted = ["--client", "inspector", "--http", server.url, "--key-stdin", "--write"];
  await clientConfig(project, wanted, { input: `${server.key}\n` });
  assert.equal((await stat(join(project, "mcp.json"))).mode & 0o777, 0o600);
  assert.ok((await toolsByFile(project, await emptyFolder(t))).length > 0);
});

test("client-config keeps other entries of an existing file", async (t) => {
  const project = await emptyFolder(t);
  const file = join(project, ".mcp.json");
  await writeFile(file, '{\n  // ours\n  "mcpServers": { "other": { "command": "x" } }\n}\n', { mode: 0o640 });
  await clientConfig(project, ["--client", "claude-code", "--write"]);
  const once = await readFile(file, "utf8");
  assert.match(once, /\/\/ ours\n {2}"mcpServers": \{/);
  assert.match(once, /"other": \{ "command": "x" \}/);
  assert.match(once, /"memory-bank": \{/);
  assert.equal((await stat(file)).mode & 0o777, 0o640);
  await clientConfig(project, ["--client", "claude-code", "--write"]);
  assert.equal(await readFile(file, "utf8"), once);
});

test("no key is written into a file that is usually committed", async (t) => {
  const project = await emptyFolder(t);
  const key = `mbmcp_live_${"k".repeat(32)}`;
  for (const client of ["claude-code", "cursor", "vscode"]) {
    const wanted = ["--client", client, "--http", "https://host/mcp", "--key-stdin", "--write"];
    const { code, stderr } = await clientConfig(project, wanted, { input: key });
    assert.equal(code, 1, client);
    assert.match(stderr, /meant to be committed/);
    assert.doesNotMatch(stderr, /kkkk/);
  }
});

test("a file that cannot be parsed is not changed", async (t) => {
  const project = await emptyFolder(t);
  const file = join(project, ".mcp.json");
  await writeFile(file, '{ "mcpServers": ');
  const { code, stderr } = await clientConfig(project, ["--client", "claude-code", "--write"]);
  assert.equal(code, 1);
  assert.match(stderr, /is not changed: it is not valid JSON/);
  assert.equal(await readFile(file, "utf8"), '{ "mcpServers": ');
});
