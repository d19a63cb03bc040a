// Both eras of the protocol on one binary: handshakes from 2024-11-05 to 2025-11-25, and
// 2026-07-28 without one, where every request has client info in `_meta`.

import assert from "node:assert/strict";
import test from "node:test";
import { copyOf, emptyFolder, serverOn } from "./lib/project.mjs";
import { Server } from "./lib/server.mjs";

const MODERN = "2026-07-28";
const HANDSHAKE_VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

const meta = (version = MODERN) => ({
  "io.modelcontextprotocol/protocolVersion": version,
  "io.modelcontextprotocol/clientInfo": { name: "raw-client", version: "1.0.0" },
  "io.modelcontextprotocol/clientCapabilities": {},
});

/** A server that has not seen a handshake, on a copy of a project of the TypeScript server. */
async function modernServer(t) {
  const server = new Server(await copyOf("original-project", t));
  t.after(() => server.kill());
  server.modern = (method, params = {}) => server.request(method, { ...params, _meta: meta() });
  return server;
}

for (const version of HANDSHAKE_VERSIONS) {
  test(`a handshake with ${version} is answered in that version, and tools work`, async (t) => {
    const server = await serverOn(await copyOf("original-project", t), t, [], { version });
    assert.equal(server.handshake.protocolVersion, version);
    assert.equal((await server.request("tools/list")).tools.length, 42);
    assert.equal((await server.ok("get_memory_bank_status")).json.isComplete, true);
    assert.deepEqual(await server.request("ping"), {});
  });
}

test("a handshake with an unknown version is answered in the newest version with a handshake", async (t) => {
  const server = await serverOn(await emptyFolder(t), t, [], { version: "1999-12-31" });
  assert.equal(server.handshake.protocolVersion, "2025-11-25");
});

test("a handshake with 2026-07-28 is answered in the newest version with a handshake", async (t) => {
  const server = await serverOn(await emptyFolder(t), t, [], { version: MODERN });
  assert.equal(server.handshake.protocolVersion, "2025-11-25");
});

test("a ping before the handshake is answered", async (t) => {
  const server = new Server(await emptyFolder(t));
  t.after(() => server.kill());
  assert.deepEqual(await server.request("ping"), {});
});

test("server/discover returns versions, capabilities, instructions and server info", async (t) => {
  const server = await modernServer(t);
  const found = await server.modern("server/discover");
  assert.deepEqual([...HANDSHAKE_VERSIONS, MODERN].filter((v) => !found.supportedVersions.includes(v)), []);
  assert.equal(found.resultType, "complete");
  for (const part of ["tools", "resources", "prompts", "completions"]) {
    assert.ok(found.capabilities[part], `the capability ${part} is declared`);
  }
  assert.equal(found.capabilities.resources.subscribe, true);
  assert.match(found.instructions, /memory/i);
  assert.ok(found._meta["io.modelcontextprotocol/serverInfo"].version);
  assert.ok(Number.isInteger(found.ttlMs) && ["public", "private"].includes(found.cacheScope));
});

test("after a discovery, a client may still choose the handshake", async (t) => {
  const server = await modernServer(t);
  await server.modern("server/discover");
  assert.equal((await server.initialize("2025-06-18")).protocolVersion, "2025-06-18");
  assert.equal((await server.request("tools/list")).tools.length, 42);
});

test("requests of 2026-07-28 work without handshake or discovery, and carry a result type", async (t) => {
  const server = await modernServer(t);
  const { tools, resultType } = await server.modern("tools/list");
  assert.equal(tools.length, 42);
  assert.equal(resultType, "complete");
  const result = await server.modern("tools/call", { name: "get_memory_bank_status", arguments: {} });
  assert.equal(JSON.parse(result.content[0].text).isComplete, true);
  assert.equal(result.structuredContent.isComplete, true);
});

test("lists and resources of 2026-07-28 carry cache hints", async (t) => {
  const server = await modernServer(t);
  for (const [method, params] of [
    ["tools/list", {}],
    ["prompts/list", {}],
    ["resources/list", {}],
    ["resources/templates/list", {}],
    ["resources/read", { uri: "memory-bank://progress" }],
  ]) {
    const result = await server.modern(method, params);
    assert.ok(Number.isInteger(result.ttlMs) && result.ttlMs >= 0, `${method}: ttlMs ${result.ttlMs}`);
    assert.ok(["public", "private"].includes(result.cacheScope), `${method}: cacheScope ${result.cacheScope}`);
  }
  const { cacheScope } = await server.modern("resources/read", { uri: "memory-bank://progress" });
  assert.equal(cacheScope, "private", "a document belongs to its user");
});

test("replies to handshake versions carry no fields of the newer protocol", async (t) => {
  const server = await serverOn(await copyOf("original-project", t), t, [], { version: "2025-06-18" });
  for (const method of ["tools/list", "resources/list", "prompts/list"]) {
    const result = await server.request(method);
    assert.equal(result.resultType, undefined, method);
  }
});

test("state survives a call without a session: the mode stays switched", async (t) => {
  const server = await modernServer(t);
  const call = (name, args = {}) => server.modern("tools/call", { name, arguments: args });
  await call("switch_mode", { mode: "debug" });
  assert.match((await call("switch_mode")).content[0].text, /^Current mode: debug/);
  const first = await call("sequential_thinking", {
    thought: "one", nextThoughtNeeded: true, thoughtNumber: 1, totalThoughts: 2,
  });
  const { sessionId } = JSON.parse(first.content[0].text);
  assert.ok(sessionId, "a handle is minted when none is given");
  const second = await call("sequential_thinking", {
    thought: "two", nextThoughtNeeded: false, thoughtNumber: 2, totalThoughts: 2, sessionId,
  });
  assert.equal(JSON.parse(second.content[0].text).thoughtHistoryLength, 2);
});

test("a request without metadata is refused with -32602 and the missing fields", async (t) => {
  const server = await modernServer(t);
  const error = await server.refuses(-32602, "tools/list", {
    _meta: { "io.modelcontextprotocol/protocolVersion": MODERN },
  });
  assert.match(error.message, /clientCapabilities/);
});

test("an unknown version is refused with the list of supported versions", async (t) => {
  const server = await modernServer(t);
  const error = await server
    .request("tools/list", { _meta: meta("2099-01-01") })
    .then(() => undefined, (caught) => caught);
  assert.ok(error, "it is refused");
  assert.ok(JSON.stringify(error.data).includes(MODERN), JSON.stringify(error.data));
});

test("a missing resource is refused with the code of its protocol version", async (t) => {
  const legacy = await serverOn(await copyOf("original-project", t), t);
  const uri = "memory-bank://no-such-document";
  const old = await legacy.refuses(-32002, "resources/read", { uri });
  assert.ok(!old.message.includes("/tmp/"), old.message);
  const modern = await modernServer(t);
  const error = await modern.modern("resources/read", { uri }).then(() => undefined, (caught) => caught);
  assert.ok([-32002, -32602].includes(error?.code), String(error));
});

test("subscriptions/listen acknowledges what it delivers, and delivers it", async (t) => {
  const server = await modernServer(t);
  const uri = "memory-bank://progress";
  const acknowledged = server.next((m) => m.method === "notifications/subscriptions/acknowledged");
  const ended = server.request(
    "subscriptions/listen",
    { notifications: { resourceSubscriptions: [uri], resourcesListChanged: true }, _meta: meta() },
    { id: "listen-1" },
  );
  const { params } = await acknowledged;
  assert.equal(params._meta["io.modelcontextprotocol/subscriptionId"], "listen-1");
  assert.deepEqual(params.notifications.resourceSubscriptions, [uri]);

  const updated = server.next((m) => m.method === "notifications/resources/updated");
  await server.modern("tools/call", { name: "track_progress", arguments: { action: "a", description: "b" } });
  const update = (await updated).params;
  assert.equal(update.uri, uri);
  assert.equal(update._meta["io.modelcontextprotocol/subscriptionId"], "listen-1");

  const listed = server.next((m) => m.method === "notifications/resources/list_changed");
  await server.modern("tools/call", {
    name: "write_memory_bank_file",
    arguments: { filename: "brand-new.md", content: "x" },
  });
  await listed;
  server.notify("notifications/cancelled", { requestId: "listen-1" });
  ended.catch(() => {});
  await server.modern("tools/list");
});

test("an open subscription is ended and does not delay the end of the process", async (t) => {
  const server = await modernServer(t);
  const acknowledged = server.next((m) => m.method === "notifications/subscriptions/acknowledged");
  const ended = server.request(
    "subscriptions/listen",
    { notifications: { resourcesListChanged: true }, _meta: meta() },
    { id: "listen-1" },
  );
  await acknowledged;
  const began = performance.now();
  await server.close();
  assert.ok(performance.now() - began < 3000, `${performance.now() - began} ms`);
  assert.equal((await ended).resultType, "complete");
});
