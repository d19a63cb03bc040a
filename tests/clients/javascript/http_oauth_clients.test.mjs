// Other clients that sign in by themselves against a server of a database: `mcp-remote` and the Inspector's command line.
// Each shows the address of the page; the test does in it what a person does, and follows the answer to the client. A proxy
// in between notes the revision of the protocol in which a client speaks.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Database, until } from "./lib/http_server.mjs";
import { interruptingProxy } from "./lib/interrupting_proxy.mjs";
import { allow, freePort } from "./lib/oauth.mjs";
import { emptyFolder } from "./lib/project.mjs";
import { ENVIRONMENT, Server } from "./lib/server.mjs";

const module = (path) => fileURLToPath(new URL(`../node_modules/${path}`, import.meta.url));
const REMOTE = module("mcp-remote/dist/proxy.js");
const CONFORMANCE = module("@modelcontextprotocol/conformance/dist/index.js");
const INSPECTOR = module("@modelcontextprotocol/inspector/clients/launcher/build/index.js");

let database, server;

before(async () => {
  database = await Database.lent();
  server = await database.serve();
});
after(() => database?.giveBack());

/** Waits for the address of the page in what a client writes, allows there, and follows the answer. */
async function allowWhatIsShown(written, user, { origin } = server) {
  let address;
  await until(() => (address = written().match(new RegExp(`${origin}/oauth/authorize\\?[^\\s"'\\\\]+`))?.[0]), "the address of the page");
  const { code } = await database.operate("login-code", "--user", user);
  const callback = new URL(new URL(address).searchParams.get("redirect_uri"));
  const { location } = await allow(origin, address, code, ["read", "write"], callback.origin + callback.pathname);
  const reply = await fetch(location);
  assert.equal(reply.status, 200, await reply.text());
}

for (const [revision, more] of [
  ["2025-06-18", []],
  ["2025-11-25", []],
  ["2026-07-28", ["--protocol", "auto"]],
]) {
  test(`mcp-remote signs in and passes calls on, in revision ${revision}`, async (t) => {
    const proxy = await interruptingProxy(t, server.url);
    const owner = await database.project();
    const HOME = await emptyFolder(t);
    const env = { HOME, MCP_REMOTE_CONFIG_DIR: HOME, BROWSER: "/bin/true", PATH: "/nonexistent" };
    const args = [REMOTE, proxy.url, String(await freePort()), "--transport", "http-only", ...more];
    const remote = new Server(HOME, args, { command: process.execPath, env });
    t.after(() => remote.child.kill());
    // Its own client has a handshake in any case.
    const asked = more.length ? "2025-11-25" : revision;
    await Promise.all([remote.initialize(asked), allowWhatIsShown(() => remote.stderr, owner.user, proxy)]);
    assert.equal(remote.handshake.protocolVersion, asked);
    const made = await remote.request("tools/call", { name: "initialize_memory_bank", arguments: { path: "." } });
    assert.ok(!made.isError, JSON.stringify(made));
    const { grants } = await database.operate("grants", "list", "--user", owner.user);
    assert.equal(grants.length, 1);
    assert.match(grants[0].clientName, /MCP/);
    assert.equal(proxy.revisions.at(-1), revision, proxy.revisions.join());
  });
}

for (const [era, revision] of [["legacy", "2025-11-25"], ["modern", "2026-07-28"]]) {
  test(`the Inspector's command line signs in and calls a tool, in revision ${revision}`, async (t) => {
    const proxy = await interruptingProxy(t, server.url);
    const owner = await database.project();
    const HOME = await emptyFolder(t);
    const env = { ...ENVIRONMENT, HOME, NO_COLOR: "1", MCP_AUTO_OPEN_ENABLED: "true", MCP_INSPECTOR_SECRET_STORE: "memory", MCP_OAUTH_CALLBACK_URL: `http://127.0.0.1:${await freePort()}/oauth/callback` };
    const named = ["--server-url", proxy.url, "--transport", "http", "--protocol-era", era];
    const args = [INSPECTOR, "--cli", "--format", "json", ...named, "--method", "tools/call", "--tool-name", "initialize_memory_bank", "--tool-arg", "path=."];
    const child = spawn(process.execPath, args, { cwd: HOME, env, stdio: ["ignore", "pipe", "pipe"] });
    t.after(() => child.kill());
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
    const ended = new Promise((resolve) => child.once("close", resolve));
    await allowWhatIsShown(() => stdout + stderr, owner.user, proxy);
    assert.equal(await ended, 0, stdout + stderr);
    const { grants } = await database.operate("grants", "list", "--user", owner.user);
    assert.equal(grants.length, 1);
    assert.match(stdout, /content/);
    assert.equal(proxy.revisions.at(-1), revision, proxy.revisions.join());
  });
}

test("the conformance suite's authorization server scenarios pass", async () => {
  const owner = await database.project();
  const port = await freePort();
  const callback = `http://127.0.0.1:${port}/callback`;
  const { clientId } = await database.operate("oauth-clients", "create", "--name", "Conformance", "--redirect-uri", callback);
  const args = [CONFORMANCE, "authorization", "--url", server.origin, "--client-id", clientId, "--resource", server.url, "--port", String(port)];
  const child = spawn(process.execPath, args, { env: ENVIRONMENT, stdio: ["ignore", "pipe", "pipe"] });
  let written = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (written += text));
  const ended = new Promise((resolve) => child.once("close", resolve));
  await allowWhatIsShown(() => written, owner.user);
  assert.equal(await ended, 0, written);
  assert.match(written, /Total: [1-9]\d* passed, 0 failed/);
});
