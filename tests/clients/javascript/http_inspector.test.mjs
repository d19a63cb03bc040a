// The MCP Inspector's command line over HTTP: each run is a separate client.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { openStages } from "./lib/http_deployments.mjs";
import { emptyFolder } from "./lib/project.mjs";
import { ENVIRONMENT } from "./lib/server.mjs";

const INSPECTOR = fileURLToPath(
  new URL("../node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js", import.meta.url),
);
const stages = await openStages();
// Without sessions replies come as JSON in both modes.
const TRIED = stages.flatMap((stage) => {
  if (!stage.database) return [];
  return stage.events ? [[stage, "legacy"], [stage, "modern"]] : [[stage, "legacy"]];
});

for (const [stage, era] of TRIED) {
  test(`${stage.name}: the Inspector lists, calls and reads, in the ${era} era`, async (t) => {
    const { url, key } = await stage.project(t);
    const HOME = await emptyFolder(t);
    const on = async (...args) => {
      const named = ["--server-url", url, "--transport", "http", "--header", `X-API-Key: ${key}`];
      const command = [INSPECTOR, "--cli", "--format", "json", "-q", "--protocol-era", era, ...named, ...args];
      const env = { ...ENVIRONMENT, HOME, NO_COLOR: "1" };
      const { stdout, stderr } = await promisify(execFile)(process.execPath, command, { env }).catch((failure) => failure);
      try {
        return JSON.parse(stdout).result;
      } catch {
        assert.fail(`no JSON: ${stdout}\n${stderr}`);
      }
    };
    const { tools } = await on("--method", "tools/list", "--strict");
    assert.equal(tools.length, 42);
    await on("--method", "tools/call", "--tool-name", "initialize_memory_bank", "--tool-arg", "path=.");
    const json = JSON.stringify({ action: "Did", description: "größer" });
    await on("--method", "tools/call", "--tool-name", "track_progress", "--tool-args-json", json);
    const { contents } = await on("--method", "resources/read", "--uri", "memory-bank://progress");
    assert.match(contents[0].text, /- Did: größer\n/);
  });
}
