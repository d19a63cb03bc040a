// Two servers of one database behind nginx and HAProxy, with the files of deploy/proxy/: streams are not buffered, servers
// restart one after the other without a failed request, and addresses and hosts of clients are forwarded.

import assert from "node:assert/strict";
import { Agent, createServer, request as send } from "node:http";
import { connect, createServer as createRelay } from "node:net";
import test, { after, describe } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Client as Client1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as Transport1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Database, until } from "./lib/http_server.mjs";
import { Provider, allow } from "./lib/oauth.mjs";
import { KINDS, PROXY_HOST, freePort, listens, startProxy } from "./lib/proxy.mjs";

// Nobody's connections begin here, so a server that restarts finds its port free.
const SERVER_HOST = "127.0.0.5";
const HOSTS = `127.0.0.1,${SERVER_HOST},${PROXY_HOST}`;
const VERSION = "2025-11-25";

const database = await Database.lent();
after(() => database.giveBack());

/** A server on a port that stays its own, so that it can be started again there. */
async function replica(variables = {}) {
  const MCP_PORT = variables.MCP_PORT ?? String(await freePort(SERVER_HOST));
  return database.serve({ MCP_HOST: SERVER_HOST, ALLOWED_HOSTS: HOSTS, ...variables, MCP_PORT });
}

const replicas = [await replica(), await replica()];

async function connected(t, origin, key, mode = "legacy") {
  const client = new Client({ name: "test", version: "2.0.0" }, { versionNegotiation: { mode } });
  const transport = new StreamableHTTPClientTransport(new URL("/mcp", origin), {
    requestInit: { headers: { "X-API-Key": key } },
  });
  await client.connect(transport);
  t.after(() => client.close());
  const call = async (name, args = {}) => {
    const reply = await client.callTool({ name, arguments: args });
    assert.ok(!reply.isError, reply.content[0]?.text);
    return reply.content[0].text;
  };
  return { client, transport, call };
}

/** A project with a bank, behind a proxy. */
async function bankBehind(t, origin) {
  const { key } = await database.project();
  const own = await connected(t, origin, key);
  await own.call("initialize_memory_bank", { path: "." });
  return { key, ...own };
}

/** One request over a connection of its own; `text` has the received body so far. */
function exchange(url, { method = "GET", headers = {}, localAddress, body } = {}) {
  return new Promise((resolve, reject) => {
    headers = { Connection: "keep-alive", ...headers };
    const request = send(url, { method, headers, localAddress, agent: false });
    request.once("error", reject);
    request.once("response", (response) => {
      const reply = { status: response.statusCode, headers: response.headers, text: "", over: false };
      reply.cut = () => request.destroy();
      response.setEncoding("utf8").on("data", (text) => (reply.text += text));
      response.once("error", () => {});
      response.once("close", () => (reply.over = true));
      resolve(reply);
    });
    request.end(body);
  });
}

const rpc = (id, method, params) => JSON.stringify({ jsonrpc: "2.0", id, method, params });

function mcpHeaders(key, session) {
  const headers = {
    "X-API-Key": key,
    "Content-Type": "application/json",
    Accept: "application/json, text/event-stream",
  };
  return session ? { ...headers, "Mcp-Session-Id": session, "MCP-Protocol-Version": VERSION } : headers;
}

function callTool(origin, key, session, name, args) {
  const body = rpc(1, "tools/call", { name, arguments: args });
  return exchange(`${origin}/mcp`, { method: "POST", headers: mcpHeaders(key, session), body });
}

/** The stream of a session that hears of one document. */
async function listening(t, origin, { client, transport, key }, uri) {
  await client.subscribeResource({ uri });
  const headers = mcpHeaders(key, transport.sessionId);
  const stream = await exchange(`${origin}/mcp`, { headers: { ...headers, Accept: "text/event-stream" } });
  t.after(stream.cut);
  assert.equal(stream.status, 200);
  return stream;
}

const UPDATED = /"method":"notifications\/resources\/updated"/g;
const count = (text, pattern) => text.match(pattern)?.length ?? 0;
const PROGRESS = "memory-bank://progress";

for (const kind of KINDS) {
  test(`${kind}: a client registers, signs in and refreshes with OAuth through it, on both servers`, async (t) => {
    const origin = await startProxy(t, kind, replicas);
    const { user } = await database.project();
    const { code } = await database.operate("login-code", "--user", user);
    const provider = new Provider();
    // Version 2 of the SDK takes no other address of this machine than 127.0.0.1.
    const open = () => new Transport1(new URL("/mcp", origin), { authProvider: provider });
    const client = () => new Client1({ name: "test", version: "2.0.0" });
    const first = open();
    await assert.rejects(client().connect(first));
    assert.equal(provider.address.origin, origin);
    assert.equal(provider.address.searchParams.get("resource"), `${origin}/mcp`);
    const { parameters } = await allow(origin, provider.address, code, ["read", "write"]);
    assert.equal(parameters.get("iss"), origin);
    await first.finishAuth(parameters.get("code"));
    for (const refreshes of [0, 1]) {
      const connected = client();
      await connected.connect(open());
      t.after(() => connected.close());
      const made = await connected.callTool({ name: "initialize_memory_bank", arguments: { path: "." } });
      assert.ok(!made.isError && provider.refreshes === refreshes, JSON.stringify(made));
      provider.saved = { ...provider.saved, access_token: "mbmcp_at_00000000000000000000000000000000" };
    }
  });
}

// Tests that block the whole database run first, one at a time.

for (const kind of KINDS) {
  test(`${kind}: a long reply starts before its call is done, and ends with it`, async (t) => {
    const origin = await startProxy(t, kind, replicas);
    const { key, transport } = await bankBehind(t, origin);
    const release = await database.holdDocuments();
    t.after(release);
    const args = { action: "waited", description: "for the documents" };
    const reply = await callTool(origin, key, transport.sessionId, "track_progress", args);
    await database.waitingForDocuments(1);
    assert.equal(reply.status, 200);
    assert.match(reply.headers["content-type"], /^text\/event-stream/);
    await until(() => reply.text.startsWith("id: "), "the event that opens the stream");
    assert.equal(count(reply.text, /"result"/g), 0);
    await release();
    await until(() => reply.over, "the end of the reply");
    assert.equal(count(reply.text, /"result"/g), 1);
  });
}

test("calls in flight are answered when their servers shut down", async (t) => {
  const pair = [await replica(), await replica({ MCP_JSON_RESPONSE: "true" })];
  const { key, transport } = await bankBehind(t, pair[0].origin);
  const release = await database.holdDocuments();
  t.after(release);
  const held = pair.map(({ origin }, n) =>
    callTool(origin, key, transport.sessionId, "track_progress", { action: "held", description: `call ${n}` }),
  );
  await database.waitingForDocuments(2);
  const ended = pair.map((server) => server.stop());
  await until(async () => !(await listens(SERVER_HOST, new URL(pair[1].origin).port)), "the end of the listening");
  await release();
  for (const reply of await Promise.all(held)) {
    await until(() => reply.over, "the end of the reply");
    assert.equal(reply.status, 200, reply.text);
    assert.equal(count(reply.text, /"result"/g), 1, reply.text);
  }
  for (const end of ended) assert.deepEqual(await end, { code: 0, signal: null });
});

test("a server that shuts down fails /health/ready while it still serves, and closes connections", async (t) => {
  const server = await replica({ SHUTDOWN_DRAIN_SECONDS: "4" });
  const { key, transport } = await bankBehind(t, server.origin);
  const before = await exchange(`${server.origin}/health/ready`);
  assert.equal(before.status, 200);
  assert.notEqual(before.headers.connection, "close");
  const began = Date.now();
  const ended = server.stop();
  await until(async () => (await exchange(`${server.origin}/health/ready`)).status === 503, "503");
  const args = { action: "added", description: "while the server ends" };
  const reply = await callTool(server.origin, key, transport.sessionId, "track_progress", args);
  await until(() => reply.over, "the end of the reply");
  assert.equal(reply.status, 200);
  assert.equal(reply.headers.connection, "close");
  assert.equal(count(reply.text, /"result"/g), 1);
  assert.deepEqual(await ended, { code: 0, signal: null });
  assert.ok(Date.now() - began < 10_000, "the end took ten seconds");
});

test("a request over a connection opened before the server stopped listening is answered", async () => {
  const server = await replica();
  const port = Number(new URL(server.origin).port);
  const socket = connect(port, SERVER_HOST);
  await new Promise((resolve) => socket.once("connect", resolve));
  const ended = server.stop();
  await until(async () => !(await listens(SERVER_HOST, port)), "the end of the listening");
  let text = "";
  socket.setEncoding("utf8").on("data", (more) => (text += more));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write(`GET /health/live HTTP/1.1\r\nHost: ${SERVER_HOST}\r\n\r\n`);
  await closed;
  assert.match(text, /^HTTP\/1\.1 200 /);
  assert.match(text, /\r\nconnection: close\r\n/i);
  assert.deepEqual(await ended, { code: 0, signal: null });
});

/** Sends until a request is refused by a limit of three. A moment without Redis may let one pass uncounted. */
async function refused(request) {
  for (let n = 1; n <= 20; n += 1) {
    const status = await request(n);
    if (status === 429) return;
    assert.equal(status, 401);
  }
  assert.fail("no limit was reached");
}

/** A way to a server on which the connections that bring calls are counted. */
async function relay(t, server) {
  const { hostname, port } = new URL(server.origin);
  const seen = { calls: 0, origin: "" };
  const listener = createRelay((near) => {
    const far = connect(port, hostname);
    near.once("data", (first) => (seen.calls += first.includes("/mcp") ? 1 : 0));
    for (const [from, to] of [[near, far], [far, near]]) from.pipe(to).on("error", () => {}) && from.on("error", () => {});
  });
  await new Promise((resolve) => listener.listen(0, SERVER_HOST, resolve));
  t.after(() => listener.close());
  seen.origin = `http://${SERVER_HOST}:${listener.address().port}`;
  return seen;
}

describe("behind a proxy", { concurrency: true }, () => {
  for (const kind of [...KINDS, "a proxy such as Traefik"]) {
    test(`${kind}: a call works over a connection that was idle for longer than the header time-out`, async (t) => {
      const seen = await relay(t, replicas[0]);
      // An agent that keeps connections, like Traefik and other proxies.
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      t.after(() => agent.destroy());
      const origin = KINDS.includes(kind) ? await startProxy(t, kind, [seen, seen], { keeps: true }) : seen.origin;
      const { key } = await database.project();
      const body = rpc(1, "initialize", {
        protocolVersion: VERSION,
        capabilities: {},
        clientInfo: { name: "test", version: "1" },
      });
      const post = () =>
        new Promise((resolve, reject) => {
          const request = send(`${origin}/mcp`, { method: "POST", headers: mcpHeaders(key), agent });
          request.once("error", reject);
          request.once("response", (response) => response.resume().once("end", () => resolve(response.statusCode)));
          request.end(body);
        });
      const twice = async () => assert.deepEqual([await post(), await post()], [200, 200]);
      // A proxy opens a connection to each of its two servers, at once or when their turn comes.
      let before = -1;
      for (let round = 0; before !== seen.calls && round < 10; round++) {
        before = seen.calls;
        await twice();
      }
      assert.ok(before >= 1 && before <= 2, `${before}`);
      await pause(22_000);
      await twice();
      assert.equal(seen.calls, before, "a connection was closed meanwhile");
    });
  }

  for (const kind of KINDS) {
    test(`${kind}: upstream connections are not reused, since they could close while a request is sent`, async (t) => {
      // In place of the servers, to see how a proxy uses its connections.
      const connections = [];
      const upstream = createServer(({ url, headers }, response) => {
        if (url !== "/health/ready") connections.push(headers.connection);
        response.end();
      });
      upstream.keepAliveTimeout = 0;
      await new Promise((resolve) => upstream.listen(0, SERVER_HOST, resolve));
      t.after(() => upstream.close() && upstream.closeAllConnections());
      const server = { origin: `http://${SERVER_HOST}:${upstream.address().port}` };
      const origin = await startProxy(t, kind, [server, server]);
      // On a busy machine the proxy may listen before it has found the servers.
      await until(async () => (await exchange(`${origin}/health/ready`)).status === 200, "a server behind the proxy");
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      t.after(() => agent.destroy());
      for (let n = 0; n < 4; n += 1) {
        await new Promise((resolve, reject) => {
          const answered = (response) => response.resume().once("end", () => resolve(assert.equal(response.statusCode, 200)));
          send(origin, { agent }, answered).once("error", reject).end();
        });
      }
      assert.deepEqual(connections, Array(4).fill("close"));
      const openConnections = () => new Promise((resolve) => upstream.getConnections((_, number) => resolve(number)));
      await until(async () => (await openConnections()) === 0, "the end of the connections");
    });

    test(`${kind}: changes made on either server arrive on an open stream`, async (t) => {
      const origin = await startProxy(t, kind, replicas);
      const own = await bankBehind(t, origin);
      const stream = await listening(t, origin, own, PROGRESS);
      for (const [n, server] of replicas.entries()) {
        const other = await connected(t, server.origin, own.key);
        const heard = count(stream.text, UPDATED);
        await other.call("track_progress", { action: "told", description: `by another client on server ${n}` });
        await until(() => count(stream.text, UPDATED) > heard, `news of server ${n}`);
        assert.ok(!stream.over);
      }
    });

    test(`${kind}: changes arrive on a stream without a session`, async (t) => {
      const origin = await startProxy(t, kind, replicas);
      const { key, call } = await bankBehind(t, origin);
      const { client } = await connected(t, origin, key, { pin: "2026-07-28" });
      const heard = [];
      client.setNotificationHandler("notifications/resources/updated", ({ params }) => heard.push(params.uri));
      await client.listen({ resourceSubscriptions: [PROGRESS] });
      await call("track_progress", { action: "told", description: "without a session" });
      await until(() => heard.includes(PROGRESS), "the news");
    });

    test(`${kind}: a silent stream stays open for longer than the idle time-out of the proxy`, async (t) => {
      const origin = await startProxy(t, kind, replicas, { idleSeconds: 25 });
      const own = await bankBehind(t, origin);
      const stream = await listening(t, origin, own, PROGRESS);
      const spoken = () => count(stream.text, /^: alive$/gm);
      await until(() => spoken() >= 1, "the first sign of life");
      await until(() => spoken() >= 2, "the second sign of life");
      assert.ok(!stream.over);
      // A server that lost Redis for a moment notifies of every subscription, since it may have missed a change.
      const before = count(stream.text, UPDATED);
      await own.call("track_progress", { action: "told", description: "after a long silence" });
      await until(() => count(stream.text, UPDATED) > before, "the notification");
    });

    test(`${kind}: servers restart one after the other, and no request fails`, async (t) => {
      const variables = kind === "haproxy" ? { SHUTDOWN_DRAIN_SECONDS: "4" } : {};
      const pair = [await replica(variables), await replica(variables)];
      const origin = await startProxy(t, kind, pair);
      const own = await bankBehind(t, origin);
      const listener = await connected(t, origin, own.key);
      const heard = [];
      listener.client.setNotificationHandler("notifications/resources/updated", ({ params }) => heard.push(params.uri));
      await listener.client.subscribeResource({ uri: PROGRESS });

      const acknowledged = [];
      const failed = [];
      let going = true;
      const workers = Array.from({ length: 4 }, async (_, worker) => {
        const { client, call } = await connected(t, origin, own.key);
        for (let n = 0; going; n += 1) {
          const entry = `entry <${worker}-${n}>`;
          try {
            await call("track_progress", { action: "did", description: entry });
            acknowledged.push(entry);
            await client.readResource({ uri: "memory-bank://product-context" });
          } catch (error) {
            failed.push(`${entry}: ${error.stack} ${error.cause}`);
          }
          await pause(20);
        }
      });
      const more = async (what) => {
        const goal = acknowledged.length + 12;
        await until(() => acknowledged.length >= goal || failed.length > 0, what);
      };
      for (const [n, server] of pair.entries()) {
        await more(`edits before server ${n} restarts`);
        const { port } = new URL(server.origin);
        assert.deepEqual(await server.stop(), { code: 0, signal: null });
        await more(`edits while server ${n} is away`);
        const began = Date.now();
        pair[n] = await replica({ ...variables, MCP_PORT: port });
        // Until the proxy notices, the other server is next. A process younger than this moment is the new one.
        await until(async () => {
          const health = await fetch(`${origin}/health`);
          return health.ok && (await health.json()).uptime * 1000 <= Date.now() - began;
        }, `requests to server ${n}`);
      }
      await more("edits after both restarted");
      going = false;
      await Promise.all(workers);
      assert.deepEqual(failed, []);

      const text = await own.call("read_memory_bank_file", { filename: "progress.md", maxChars: 200_000 });
      for (const entry of acknowledged) assert.equal(text.split(entry).length - 1, 1, entry);
      const before = heard.length;
      await until(async () => {
        await own.call("track_progress", { action: "told", description: "after the restarts" });
        return heard.length > before;
      }, "news in the session from before the restarts");
    });

    test(`${kind}: requests are counted by the real address of the client`, async (t) => {
      const variables = { RATE_LIMIT_IP_PER_MINUTE: "3", REDIS_KEY_PREFIX: `hop-${kind}`, TRUST_PROXY_HOPS: "1" };
      const origin = await startProxy(t, kind, [await replica(variables), await replica(variables)]);
      const from = async (localAddress, forged) => {
        const headers = forged ? { "X-Forwarded-For": forged } : {};
        return (await exchange(`${origin}/api/keys`, { localAddress, headers })).status;
      };
      // Another forged address each time: if one of them counted, none would be refused.
      await refused((n) => from("127.0.0.2", `203.0.113.${n}`));
      await refused(() => from("127.0.0.2"));
      await refused(() => from("127.0.0.2", "127.0.0.3"));
      assert.equal(await from("127.0.0.3"), 401);
      assert.equal(await from("127.0.0.3", "127.0.0.2"), 401);
    });

    test(`${kind}: without a trusted proxy all clients count as the address of the proxy`, async (t) => {
      const variables = { RATE_LIMIT_IP_PER_MINUTE: "3", REDIS_KEY_PREFIX: `none-${kind}`, TRUST_PROXY_HOPS: "0" };
      const origin = await startProxy(t, kind, [await replica(variables), await replica(variables)]);
      const from = async (localAddress) => (await exchange(`${origin}/api/keys`, { localAddress })).status;
      // From each address once: if these counted, none would be refused.
      await refused((n) => from(`127.0.1.${n}`));
    });

    test(`${kind}: host and origin of the client reach the server, which checks them`, async (t) => {
      const variables = { ALLOWED_HOSTS: "memory.example.com", ALLOWED_ORIGINS: "https://app.example" };
      const origin = await startProxy(t, kind, [await replica(variables), await replica(variables)]);
      const status = async (Host, Origin) => {
        const headers = Origin ? { Host, Origin } : { Host };
        return (await exchange(`${origin}/api/keys`, { headers })).status;
      };
      assert.equal(await status("memory.example.com"), 401);
      // The proxy is reached without TLS here and forwards that: its own origin has this scheme, host and port.
      assert.equal(await status("memory.example.com", "http://memory.example.com"), 401);
      assert.equal(await status("memory.example.com:8080", "http://memory.example.com:8080"), 401);
      assert.equal(await status("memory.example.com", "https://memory.example.com"), 403);
      assert.equal(await status("memory.example.com:8080", "http://memory.example.com:8081"), 403);
      assert.equal(await status("memory.example.com", "https://app.example"), 401);
      assert.equal(await status("memory.example.com", "https://evil.example"), 403);
      assert.equal(await status("evil.example"), 403);
      assert.equal(await status(new URL(origin).host), 403);
    });
  }
});
