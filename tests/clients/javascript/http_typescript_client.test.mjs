// The official TypeScript client, version 2, over HTTP: with the handshake of 2025-11-25, and without, as in 2026-07-28.

import assert from "node:assert/strict";
import test from "node:test";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { callEveryTool } from "./lib/every_tool.mjs";
import { openStages } from "./lib/http_deployments.mjs";
import { until } from "./lib/http_server.mjs";

const stages = await openStages();
const ERAS = [
  ["legacy", "2025-11-25"],
  ["auto", "2026-07-28"],
  [{ pin: "2026-07-28" }, "2026-07-28"],
];
const MODERN = { pin: "2026-07-28" };

async function connected(t, url, key, mode) {
  const client = new Client({ name: "test", version: "2.0.0" }, { versionNegotiation: { mode } });
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { "X-API-Key": key } } });
  await client.connect(transport);
  t.after(() => client.close());
  const call = (name, args = {}, options) => client.callTool({ name, arguments: args }, options);
  return { client, transport, call };
}

async function withBank(t, stage, mode) {
  const project = await stage.project(t);
  const own = await connected(t, project.url, project.key, mode);
  await own.call("initialize_memory_bank", { path: "." });
  return { ...own, ...project };
}

for (const stage of stages) {
  const on = (name, body) => test(`${stage.name}: ${name}`, body);

  for (const [mode, version] of ERAS) {
    on(`mode ${JSON.stringify(mode)} settles on ${version}, with a session only after a handshake`, async (t) => {
      const { url, key } = await stage.project(t);
      const { client, transport } = await connected(t, url, key, mode);
      assert.equal(client.getNegotiatedProtocolVersion(), version);
      assert.equal(transport.sessionId === undefined, version === "2026-07-28");
      assert.equal((await client.listTools()).tools.length, 42);
      assert.match(client.getInstructions(), /memory/i);
    });
  }

  on("every tool does its work without a session", async (t) => {
    const { url, key } = await stage.project(t);
    const { client, call } = await connected(t, url, key, MODERN);
    const { tools } = await client.listTools();
    await callEveryTool(call, tools.map(({ name }) => name));
  });

  on("resources, prompts and completions work without a session", async (t) => {
    const { client, call } = await withBank(t, stage, MODERN);
    await call("log_decision", { title: "Größe", context: "c", decision: "d" });
    const { contents } = await client.readResource({ uri: "memory-bank://decision-log" });
    assert.match(contents[0].text, /\n## Größe\n/);
    assert.equal((await client.listResources()).resources.length, 5);
    await assert.rejects(client.readResource({ uri: "memory-bank://missing" }), { code: -32602 });
    const { prompts } = await client.listPrompts();
    assert.equal(prompts.length, 5);
    const asking = prompts.find(({ arguments: declared }) => declared?.some(({ name }) => name === "mode"));
    assert.ok((await client.getPrompt({ name: asking.name, arguments: { mode: "code" } })).messages.length > 0);
    const ref = { type: "ref/prompt", name: asking.name };
    const { completion } = await client.complete({ ref, argument: { name: "mode", value: "a" } });
    assert.deepEqual(completion.values, ["architect", "ask"]);
  });

  on("mode and thoughts are kept after a call without a session, also on another server", async (t) => {
    const { call, otherUrl, key } = await withBank(t, stage, MODERN);
    const other = await connected(t, otherUrl, key, MODERN);
    await call("switch_mode", { mode: "debug" });
    assert.match((await other.call("switch_mode")).content[0].text, /^Current mode: debug/);
    const thought = { thought: "one", thoughtNumber: 1, totalThoughts: 2, nextThoughtNeeded: true };
    const { sessionId } = (await call("sequential_thinking", thought)).structuredContent;
    const second = { ...thought, thoughtNumber: 2, nextThoughtNeeded: false, sessionId };
    assert.equal((await other.call("sequential_thinking", second)).structuredContent.thoughtHistoryLength, 2);
  });

  on("a listener without a session is notified of changes by a client with one", async (t) => {
    const { client, key, otherUrl } = await withBank(t, stage, MODERN);
    const heard = [];
    client.setNotificationHandler("notifications/resources/updated", ({ params }) => void heard.push(params.uri));
    client.setNotificationHandler("notifications/resources/list_changed", () => void heard.push("list"));
    const uri = "memory-bank://progress";
    const listener = await client.listen({ resourceSubscriptions: [uri], resourcesListChanged: true });
    const other = await connected(t, otherUrl, key, "legacy");
    await other.call("track_progress", { action: "Did", description: "it" });
    await other.call("add_session_note", { note: "a note without a subscriber" });
    await other.call("write_memory_bank_file", { filename: "fresh.md", content: "x" });
    // Notifications may repeat; without a subscription there are none.
    await until(() => heard.includes("list"), "the news");
    assert.deepEqual([...new Set(heard)], [uri, "list"]);
    await listener.close();
    assert.equal((await client.listResources()).resources.length, 6);
  });

  on("without a valid key the client gets 401", async (t) => {
    const { url } = await stage.project(t);
    for (const mode of ["legacy", MODERN]) {
      const key = `mbmcp_live_${"x".repeat(32)}`;
      await assert.rejects(connected(t, url, key, mode), (error) => {
        assert.match(`${error.status} ${error.code} ${error.message}`, /401/, error.stack);
        return true;
      });
    }
  });
}

for (const stage of stages.filter(({ database }) => database)) {
  test(`${stage.name}: a call cancelled by a client without a session writes nothing`, async (t) => {
    const { client, call } = await withBank(t, stage, MODERN);
    const release = await stage.database.holdDocuments();
    const cancel = new AbortController();
    const args = { filename: "cancelled.md", content: "x" };
    const refused = assert.rejects(call("write_memory_bank_file", args, { signal: cancel.signal }));
    await stage.database.waitingForDocuments();
    cancel.abort("no longer wanted");
    await refused;
    // An answer to a later request shows that the server has seen the connection of the earlier one close.
    await client.listTools();
    await release();
    const { resources } = await client.listResources();
    assert.ok(!resources.some(({ uri }) => uri === "memory-bank://cancelled"));
  });
}
