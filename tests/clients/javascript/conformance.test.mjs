// The server scenarios of the protocol's own conformance suite that apply to any server, over stdio through a
// bridge, as the suite speaks HTTP only; http_conformance.test.mjs runs the whole of it over HTTP. Every scenario also checks each message against the
// schema of its protocol version.
//
// Left out, because they call fixture tools, prompts or resources that only a test server has:
// tools-call-*, json-schema-2020-12, elicitation-*, input-required-result-*, tasks-*, sep-2640-*,
// resources-read-*, resources-templates-read, resources-subscribe and -unsubscribe
// (test://watched-resource), prompts-get-*, completion-complete (test_prompt_with_arguments).
// Left out, because they examine HTTP itself, which here is the bridge: server-session-lifecycle,
// server-stateless, server-sse-*, dns-rebinding-protection, http-*.
// Left out, because the server declares no logging: logging-set-level.

import test from "node:test";
import { checked, judge } from "./lib/conformance.mjs";
import { httpBridge } from "./lib/http_bridge.mjs";
import { copyOf } from "./lib/project.mjs";

const SCENARIOS = {
  "2025-06-18": ["server-initialize", "ping", "tools-list", "resources-list", "prompts-list"],
  "2025-11-25": ["server-initialize", "ping", "tools-list", "resources-list", "prompts-list"],
  "2026-07-28": ["tools-list", "resources-list", "prompts-list", "caching", "sep-2164-resource-not-found"],
};

for (const [version, scenarios] of Object.entries(SCENARIOS)) {
  for (const scenario of scenarios) {
    test(`conformance ${version}: ${scenario}`, async (t) => {
      const url = await httpBridge(await copyOf("original-project", t), t);
      const found = await checked(t, { url, version, chosen: ["--scenario", scenario] });
      judge(t, found.get(scenario));
    });
  }
}
