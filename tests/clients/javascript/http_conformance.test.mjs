// The protocol's own conformance suite, directly over HTTP: every server scenario of every version, except those for the
// suite's own test server.

import assert from "node:assert/strict";
import test from "node:test";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { checked, judge } from "./lib/conformance.mjs";
import { openStages } from "./lib/http_deployments.mjs";

const LEFT_OUT = [
  [/^logging-set-level$/, "the server declares no logging"],
  [/^completion-complete$/, "the prompt test_prompt_with_arguments"],
  [/^tools-call-/, "the tools test_simple_text, test_error_handling and their like"],
  [/^json-schema-2020-12$/, "the tool json_schema_2020_12_tool"],
  [/^elicitation-/, "tools that ask the user"],
  [/^input-required-result-/, "tools that ask the client for more"],
  [/^server-sse-polling$/, "the tool test_reconnection; http_typescript_sdk.test.mjs cuts streams of our own tools"],
  [/^resources-(read|templates-read|subscribe|unsubscribe)/, "the resources test://…"],
  [/^prompts-get-/, "the prompts test_simple_prompt and their like"],
  [/^http-custom-header-server-validation$/, "a tool with x-mcp-header annotations"],
];
// Of the scenario server-stateless: they need the tools test_missing_capability, test_streaming_elicitation and test_logging_tool.
const WAIVED = [
  "sep-2575-server-rejects-undeclared-capability",
  "sep-2575-missing-capability-http-400",
  "sep-2575-http-server-no-independent-requests-on-stream",
  "sep-2575-server-no-log-without-loglevel",
];
/** How many scenarios of a version have to be left, so that none is lost unseen. */
const LEAST = { "2025-03-26": 1, "2025-06-18": 6, "2025-11-25": 8, "2026-07-28": 8 };

const stages = await openStages();

for (const stage of stages.filter(({ database }) => database)) {
  for (const [version, least] of Object.entries(LEAST)) {
    test(`${stage.name}: conformance ${version}`, async (t) => {
      const { url, key } = await stage.project(t);
      await initialised(url, key);
      const scenarios = await checked(t, { url, key, version, chosen: ["--suite", "all"] });
      let judged = 0;
      for (const [scenario, checks] of scenarios) {
        if (LEFT_OUT.some(([pattern]) => pattern.test(scenario))) continue;
        judged += 1;
        await t.test(`${stage.name}: ${version}: ${scenario}`, (own) => judge(own, checks, WAIVED));
      }
      assert.ok(judged >= least, `${judged} scenarios: ${[...scenarios.keys()]}`);
    });
  }
}

/** The suite reads the first resource that is listed, so there has to be one. */
async function initialised(url, key) {
  const client = new Client({ name: "test", version: "1.0.0" });
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { "X-API-Key": key } } }));
  await client.callTool({ name: "initialize_memory_bank", arguments: { path: "." } });
  await client.close();
}
