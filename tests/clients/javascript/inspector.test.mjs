// The MCP Inspector's command line: each run is a process that starts the server.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { copyOf, emptyFolder, read } from "./lib/project.mjs";
import { BINARY, ENVIRONMENT } from "./lib/server.mjs";

const INSPECTOR = fileURLToPath(
  new URL("../node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js", import.meta.url),
);

async function inspect(project, home, ...args) {
  const command = [INSPECTOR, "--cli", "--cwd", project, "--format", "json", "-q", ...args, "--", BINARY];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, command, {
    env: { ...ENVIRONMENT, HOME: home, NO_COLOR: "1" },
  }).catch((failure) => failure);
  try {
    return JSON.parse(stdout).result;
  } catch {
    assert.fail(`no JSON: ${stdout}\n${stderr}`);
  }
}

for (const era of ["legacy", "modern"]) {
  test(`the Inspector lists tools and reads their schemas, in the ${era} era`, async (t) => {
    const project = await copyOf("original-project", t);
    const home = await emptyFolder(t);
    const { tools } = await inspect(project, home, "--protocol-era", era, "--method", "tools/list", "--strict");
    assert.equal(tools.length, 42);
  });

  test(`the Inspector calls tools and reads resources, in the ${era} era`, async (t) => {
    const project = await copyOf("original-project", t);
    const home = await emptyFolder(t);
    const on = (...args) => inspect(project, home, "--protocol-era", era, ...args);
    await on("--method", "tools/call", "--tool-name", "track_progress", "--tool-arg", "action=Did", "description=inspected");
    assert.match(await read(project, "memory-bank", "progress.md"), /- Did: inspected\n/);
    const json = JSON.stringify({ query: "webhook", maxResults: 3 });
    const found = await on("--method", "tools/call", "--tool-name", "search_memory_bank", "--tool-args-json", json);
    assert.ok(JSON.parse(found.content[0].text).results.length > 0);
    const { contents } = await on("--method", "resources/read", "--uri", "memory-bank://progress");
    assert.equal(contents[0].text, await read(join(project, "memory-bank"), "progress.md"));
    const { prompts } = await on("--method", "prompts/list");
    assert.equal(prompts.length, 5);
  });
}
