// The server scenarios of the protocol's own conformance suite that apply to any server, through a
// bridge, as the suite speaks HTTP only. Every scenario also checks each message against the
// schema of its protocol version.
//
// Left out, because they call fixture tools, prompts or resources that only a test server has:
// tools-call-*, json-schema-2020-12, elicitation-*, input-required-result-*, tasks-*, sep-2640-*,
// resources-read-*, resources-templates-read, resources-subscribe and -unsubscribe
// (test://watched-resource), prompts-get-*, completion-complete (test_prompt_with_arguments).
// Left out, because they examine HTTP itself, which here is the bridge: server-session-lifecycle,
// server-stateless, server-sse-*, dns-rebinding-protection, http-*.
// Left out, because the server declares no logging: logging-set-level.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { glob } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { httpBridge } from "./lib/http_bridge.mjs";
import { copyOf, emptyFolder, read } from "./lib/project.mjs";

const SUITE = fileURLToPath(new URL("../node_modules/@modelcontextprotocol/conformance/dist/index.js", import.meta.url));
const SCENARIOS = {
  "2025-06-18": ["server-initialize", "ping", "tools-list", "resources-list", "prompts-list"],
  "2025-11-25": ["server-initialize", "ping", "tools-list", "resources-list", "prompts-list"],
  "2026-07-28": ["tools-list", "resources-list", "prompts-list", "caching", "sep-2164-resource-not-found"],
};

async function checksOf(scenario, version, t) {
  const url = await httpBridge(await copyOf("original-project", t), t);
  const output = await emptyFolder(t);
  const args = [SUITE, "server", "--url", url, "--scenario", scenario, "--spec-version", version, "-o", output];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args).catch((failure) => failure);
  const checks = [];
  for await (const file of glob("**/checks.json", { cwd: output })) {
    checks.push(...JSON.parse(await read(join(output, file))));
  }
  assert.ok(checks.length > 0, `the suite made no check: ${stdout}\n${stderr}`);
  return checks;
}

for (const [version, scenarios] of Object.entries(SCENARIOS)) {
  for (const scenario of scenarios) {
    test(`conformance ${version}: ${scenario}`, async (t) => {
      const checks = await checksOf(scenario, version, t);
      const told = (check) => `${check.id}: ${check.errorMessage} ${JSON.stringify(check.details ?? {}).slice(0, 1500)}`;
      for (const check of checks.filter(({ status }) => status === "WARNING")) {
        t.diagnostic(`note: ${scenario} ${version} warns: ${check.id}: ${check.errorMessage}`);
      }
      assert.deepEqual(checks.filter(({ status }) => status === "FAILURE").map(told), []);
      assert.ok(checks.some(({ status }) => status === "SUCCESS"));
    });
  }
}
