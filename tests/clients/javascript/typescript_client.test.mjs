// The official TypeScript client, version 2, in both eras of the protocol.

import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { copyOf, read, write } from "./lib/project.mjs";
import { BINARY, ENVIRONMENT } from "./lib/server.mjs";

async function connected(t, mode) {
  const project = await copyOf("original-project", t);
  const client = new Client({ name: "test", version: "2.0.0" }, { versionNegotiation: { mode } });
  await client.connect(new StdioClientTransport({ command: BINARY, cwd: project, env: ENVIRONMENT, stderr: "ignore" }));
  t.after(() => client.close());
  return { client, bank: join(project, "memory-bank") };
}

for (const [mode, version] of [
  ["legacy", "2025-11-25"],
  ["auto", "2026-07-28"],
  [{ pin: "2026-07-28" }, "2026-07-28"],
]) {
  const name = JSON.stringify(mode);
  test(`mode ${name} settles on ${version} and works through tools, resources and prompts`, async (t) => {
    const { client, bank } = await connected(t, mode);
    assert.equal(client.getNegotiatedProtocolVersion(), version);
    const { tools } = await client.listTools();
    assert.equal(tools.length, 42);
    const result = await client.callTool({ name: "log_decision", arguments: { title: "T", context: "c", decision: "d" } });
    assert.notEqual(result.isError, true, result.content[0].text);
    assert.match(await read(bank, "decision-log.md"), /\n## T\n/);
    const { contents } = await client.readResource({ uri: "memory-bank://decision-log" });
    assert.match(contents[0].text, /\n## T\n/);
    assert.equal((await client.listPrompts()).prompts.length, 5);
    await assert.rejects(client.readResource({ uri: "memory-bank://no-such-document" }));
  });
}

test("listen delivers a change by an editor", async (t) => {
  const { client, bank } = await connected(t, { pin: "2026-07-28" });
  const heard = new Promise((resolve) => {
    client.setNotificationHandler("notifications/resources/updated", ({ params }) => resolve(params.uri));
  });
  const subscription = await client.listen({ resourceSubscriptions: ["memory-bank://payments"] });
  await write(join(bank, "payments.md"), "# Changed outside\n");
  assert.equal(await heard, "memory-bank://payments");
  await subscription.close();
});
