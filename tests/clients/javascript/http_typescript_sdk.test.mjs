// The official TypeScript SDK, version 1, over HTTP, with sessions.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import test from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CallToolResultSchema,
  ResourceListChangedNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { callEveryTool } from "./lib/every_tool.mjs";
import { interruptingProxy } from "./lib/interrupting_proxy.mjs";
import { openStages } from "./lib/http_deployments.mjs";
import { until } from "./lib/http_server.mjs";

const stages = await openStages();
const onDatabase = stages.filter(({ database }) => database);

function transportTo(url, key, options = {}) {
  return new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { "X-API-Key": key } }, ...options });
}

async function connected(t, url, key, options = {}) {
  const client = new Client({ name: "test", version: "1.0.0" });
  const transport = transportTo(url, key, options);
  await client.connect(transport);
  t.after(() => client.close());
  return { client, transport, call: caller(client) };
}

const caller = (client) => (name, args = {}, options) =>
  client.callTool({ name, arguments: args }, CallToolResultSchema, options);

/** A client of a new project with a bank. */
async function withBank(t, stage) {
  const project = await stage.project(t);
  const own = await connected(t, project.url, project.key);
  await own.call("initialize_memory_bank", { path: "." });
  return { ...own, ...project };
}

for (const stage of stages) {
  const on = (name, body) => test(`${stage.name}: ${name}`, body);

  on("the SDK connects, gets a session, and knows version and instructions", async (t) => {
    const { url, key } = await stage.project(t);
    const { client, transport } = await connected(t, url, key);
    assert.match(transport.sessionId, /^[0-9a-f-]{36}$/);
    assert.equal(transport.protocolVersion, "2025-11-25");
    assert.match(client.getServerVersion().version, /^\d+\.\d+\.\d+/);
    assert.match(client.getInstructions(), /memory/i);
    await client.ping();
  });

  on("every tool does its work", async (t) => {
    const { url, key } = await stage.project(t);
    const { client, call } = await connected(t, url, key);
    const { tools } = await client.listTools();
    assert.equal(tools.length, 42);
    await callEveryTool(call, tools.map(({ name }) => name));
  });

  on("a failed tool and wrong arguments are results, an unknown tool throws with its code", async (t) => {
    const { call } = await withBank(t, stage);
    assert.equal((await call("read_memory_bank_file", { filename: "missing.md" })).isError, true);
    assert.equal((await call("read_memory_bank_file")).isError, true);
    await assert.rejects(call("no_such_tool"), { code: -32602, message: /Unknown tool/ });
  });

  on("documents in folders are documents, and each has one name", async (t) => {
    const { client, call } = await withBank(t, stage);
    const text = async (name, args) => {
      const reply = await call(name, args);
      assert.ok(!reply.isError, `${name}: ${reply.content[0].text}`);
      return reply.content[0].text;
    };
    await text("write_memory_bank_file", { filename: "adr/cafe\u0301.md", content: "# One\n\nAn albatross.\n" });
    const filename = "adr/caf\u00e9.md";
    assert.match(await text("read_memory_bank_file", { filename }), /albatross/);
    assert.ok((await text("list_memory_bank_files")).split("\n").includes(filename));
    await text("edit_memory_bank_file", { filename, edits: [{ op: "replace", old: "An albatross.", new: "A pelican." }] });
    assert.ok((await text("search_memory_bank", { query: "pelican" })).includes(filename));
    const { contents } = await client.readResource({ uri: "memory-bank://adr/caf%C3%A9" });
    assert.match(contents[0].text, /pelican/);
    const { resources } = await client.listResources();
    assert.ok(resources.some(({ uri }) => uri === "memory-bank://adr/caf%C3%A9"));
    const { backupId } = JSON.parse(await text("create_backup"));
    await text("rename_memory_bank_file", { filename, newFilename: "archive/one.md" });
    await text("restore_backup", { backupId, createPreRestoreBackup: false });
    assert.match(await text("read_memory_bank_file", { filename }), /pelican/);
    for (const name of ["con.md", "graph/x.md", "backups/x.md", "ADR/x.md", "../x.md", "a\u202eb.md"]) {
      const refused = await call("write_memory_bank_file", { filename: name, content: "x" });
      assert.ok(refused.isError, name);
    }
  });

  on("resources are listed, found by the template, read, and refused", async (t) => {
    const { client, call } = await withBank(t, stage);
    await call("write_memory_bank_file", { filename: "payments.md", content: "# Payments\n" });
    const { resources } = await client.listResources();
    assert.deepEqual(
      resources.map(({ uri }) => uri),
      ["product-context", "active-context", "progress", "decision-log", "system-patterns", "payments"].map(
        (name) => `memory-bank://${name}`,
      ),
    );
    const { resourceTemplates } = await client.listResourceTemplates();
    const [{ uriTemplate }] = resourceTemplates;
    const { contents } = await client.readResource({ uri: "memory-bank://payments" });
    assert.equal(contents[0].text, "# Payments\n");
    await assert.rejects(client.readResource({ uri: "memory-bank://missing" }), { code: -32002 });
    const [, name] = uriTemplate.match(/\{\+?(\w+)\}/);
    const ref = { type: "ref/resource", uri: uriTemplate };
    const { completion } = await client.complete({ ref, argument: { name, value: "pay" } });
    assert.deepEqual(completion.values, ["payments"]);
  });

  on("prompts are filled from the bank, and their arguments completed", async (t) => {
    const { client, call } = await withBank(t, stage);
    await call("graph_upsert_entity", { name: "Checkout Service", entityType: "service" });
    await call("update_active_context", { nextSteps: ["Write the runbook for outages"] });
    const { prompts } = await client.listPrompts();
    assert.equal(prompts.length, 5);
    const known = { mode: "code", entity: "Checkout Service" };
    let text = "";
    for (const { name, arguments: declared = [] } of prompts) {
      const args = Object.fromEntries(declared.map((argument) => [argument.name, known[argument.name] ?? "Queue"]));
      text += JSON.stringify((await client.getPrompt({ name, arguments: args })).messages);
    }
    assert.ok(text.includes("Write the runbook for outages"), "next steps appear");
    const complete = async (argument, value) => {
      const { name } = prompts.find((prompt) => prompt.arguments?.some((declared) => declared.name === argument));
      const ref = { type: "ref/prompt", name };
      return (await client.complete({ ref, argument: { name: argument, value } })).completion.values;
    };
    assert.deepEqual(await complete("mode", "a"), ["architect", "ask"]);
    assert.deepEqual(await complete("entity", "check"), ["Checkout Service"]);
  });

  on("a subscriber is notified of changes by another client until it unsubscribes", async (t) => {
    const { client, key, otherUrl } = await withBank(t, stage);
    const heard = [];
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => void heard.push(params.uri));
    client.setNotificationHandler(ResourceListChangedNotificationSchema, () => void heard.push("list"));
    const uri = "memory-bank://progress";
    await client.subscribeResource({ uri });
    const other = await connected(t, otherUrl, key);
    // The stream of notifications opens after the handshake; an earlier change would be missed.
    await until(async () => {
      await other.call("track_progress", { action: "Did", description: "it" });
      return heard.includes(uri);
    }, "the news of the change");
    const { contents } = await client.readResource({ uri });
    assert.match(contents[0].text, /- Did: it\n/);
    await client.unsubscribeResource({ uri });
    heard.length = 0;
    await other.call("add_progress_entry", { type: "fix", summary: "unheard" });
    await other.call("write_memory_bank_file", { filename: "fresh.md", content: "x" });
    // News come in order: when the later one is there, the earlier one was not sent.
    await until(() => heard.includes("list"), "the news that the list has changed");
    assert.deepEqual(heard.filter((item) => item !== "list"), []);
  });

  on("thirty concurrent calls in one session each get their own reply", async (t) => {
    const { client, call } = await withBank(t, stage);
    const numbers = Array.from({ length: 30 }, (_, number) => number);
    const results = await Promise.all(
      numbers.map((number) => call("track_progress", { action: "Did", description: `number <${number}>` })),
    );
    for (const number of numbers) assert.match(results[number].content[0].text, new RegExp(`number <${number}>$`));
    const { contents } = await client.readResource({ uri: "memory-bank://progress" });
    for (const number of numbers) assert.equal(contents[0].text.split(`number <${number}>`).length, 2);
  });

  on("a progress token does not change the reply", async (t) => {
    const { call } = await withBank(t, stage);
    const onprogress = () => {};
    const result = await call("get_context_bundle", {}, { onprogress, resetTimeoutOnProgress: true });
    assert.equal(JSON.parse(result.content[0].text).metadata.filesLoaded, 5);
  });

  on("a session that its client ended is gone, and the SDK reports 404", async (t) => {
    const { transport, client, url, key } = await withBank(t, stage);
    const { sessionId } = transport;
    await transport.terminateSession();
    assert.equal(transport.sessionId, undefined);
    const late = new Client({ name: "test", version: "1.0.0" });
    const reused = transportTo(url, key, { sessionId });
    // With the id of a session, the SDK makes no handshake.
    await late.connect(reused);
    t.after(() => late.close());
    await assert.rejects(late.ping(), { name: "Error", code: 404 });
    await assert.rejects(client.ping(), { code: 400 });
  });

  on("requests without a valid key are refused, and the SDK shows the server's message", async (t) => {
    const { url, key, server } = await stage.project(t);
    const made = await server.fetch("/api/keys", key, { method: "POST" });
    const second = await made.json();
    assert.equal((await server.fetch(`/api/keys/${second.id}`, key, { method: "DELETE" })).status, 200);
    for (const [given, words] of [
      [undefined, /Missing X-API-Key or Authorization header/],
      ["sk-something", /Invalid API key format/],
      [`mbmcp_live_${"x".repeat(32)}`, /Invalid API key/],
      [second.key, /API key has been revoked/],
    ]) {
      const client = new Client({ name: "test", version: "1.0.0" });
      const headers = given === undefined ? {} : { Authorization: `Bearer ${given}` };
      const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
      await assert.rejects(client.connect(transport), (error) => error.code === 401 && words.test(error.message));
    }
  });
}

for (const stage of onDatabase) {
  const on = (name, body) => test(`${stage.name}: ${name}`, body);

  on("the session of another project does not exist", async (t) => {
    const { transport, url } = await withBank(t, stage);
    const stranger = await stage.project(t);
    const client = new Client({ name: "test", version: "1.0.0" });
    const foreign = transportTo(url, stranger.key, { sessionId: transport.sessionId });
    await client.connect(foreign);
    t.after(() => client.close());
    await assert.rejects(client.ping(), { code: 404 });
    await assert.rejects(foreign.terminateSession(), { code: 404 });
  });

  on("a call that is cancelled while it waits writes nothing, and the session continues", async (t) => {
    const { url, key, client } = await withBank(t, stage);
    let arrived = false;
    const noting = async (input, init) => {
      const reply = await fetch(input, init);
      if (init?.body?.includes("notifications/cancelled")) arrived = reply.status === 202;
      return reply;
    };
    const { call } = await connected(t, url, key, { fetch: noting });
    const release = await stage.database.holdDocuments();
    const cancel = new AbortController();
    const args = { filename: "cancelled.md", content: "x" };
    const refused = assert.rejects(call("write_memory_bank_file", args, { signal: cancel.signal }), /no longer wanted/);
    await stage.database.waitingForDocuments();
    cancel.abort("no longer wanted");
    await refused;
    await until(() => arrived, "the server's word that it knows of the cancellation");
    await release();
    const { resources } = await client.listResources();
    assert.ok(!resources.some(({ uri }) => uri === "memory-bank://cancelled"));
  });

  on("a subscription continues after the stream of notifications was cut", async (t) => {
    const { url, key, otherUrl } = await withBank(t, stage);
    const proxy = await interruptingProxy(t, url);
    const { client } = await connected(t, proxy.url, key);
    const heard = [];
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => void heard.push(params.uri));
    const uri = "memory-bank://progress";
    await client.subscribeResource({ uri });
    const other = await connected(t, otherUrl, key);
    const change = async () => {
      await other.call("track_progress", { action: "Did", description: "it" });
      await pause(100);
      return heard.length > 0;
    };
    await until(change, "the first news");
    proxy.cut();
    heard.length = 0;
    await until(change, "news after the cut");
  });
}

const [events] = stages;

test("the SDK fetches a reply after a cut stream with Last-Event-ID", async (t) => {
  const { url, key } = await withBank(t, events);
  const proxy = await interruptingProxy(t, url);
  const { call } = await connected(t, proxy.url, key);
  const release = await events.database.holdDocuments();
  const tokens = [];
  const args = { filename: "late.md", content: "late" };
  const answer = call("write_memory_bank_file", args, { onresumptiontoken: (token) => tokens.push(token) });
  await until(() => tokens.length > 0, "the event that opens the stream");
  proxy.cut();
  await release();
  assert.match((await answer).content[0].text, /late\.md successfully written/);
  assert.ok(proxy.resumed.includes(tokens[0]), `${proxy.resumed} has ${tokens}`);
});

test("another client fetches a reply from another replica after the first was killed", async (t) => {
  const first = await events.database.serve();
  const { key } = await events.project(t);
  const { call, client, transport } = await connected(t, first.url, key);
  await call("initialize_memory_bank", { path: "." });
  const release = await events.database.holdDocuments();
  let token;
  const request = { method: "tools/call", params: { name: "get_context_bundle", arguments: {} } };
  const lost = client.request(request, CallToolResultSchema, { onresumptiontoken: (given) => (token ??= given) });
  lost.catch(() => {});
  await until(() => token !== undefined, "the event that opens the stream");
  await release();
  const stored = `SELECT count(*) FROM mcp_events WHERE stream_id = '${token.slice(0, 32)}'`;
  await until(async () => Number(await events.database.sql(stored)) === 1, "the stored answer");
  const { sessionId } = transport;
  await first.stop("SIGKILL");
  const other = new Client({ name: "test", version: "1.0.0" });
  await other.connect(transportTo(events.server.url, key, { sessionId }));
  t.after(() => other.close());
  const result = await other.request(request, CallToolResultSchema, { resumptionToken: token });
  assert.equal(JSON.parse(result.content[0].text).metadata.filesLoaded, 5);
});
