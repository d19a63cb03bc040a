// Tokens of a real outside authorization server, `oidc-provider` as a process of its own, on two servers with PostgreSQL
// and Redis: the MCP Inspector's command line and the Python SDK sign in there by themselves; the provider changes its key;
// tokens for others, expired ones and those of a clock that is wrong.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Database, until } from "./lib/http_server.mjs";
import { freePort } from "./lib/oauth.mjs";
import { signInOutside, startProvider, tokenOutside } from "./lib/oidc_provider.mjs";
import { emptyFolder } from "./lib/project.mjs";
import { ENVIRONMENT } from "./lib/server.mjs";

const local = (path) => fileURLToPath(new URL(path, import.meta.url));
const INSPECTOR = local("../node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js");
const PYTHON = local("../.venv/bin/python");
const CALLBACK = "http://localhost:33418/callback";

let database, outside, server, replica;

before(async () => {
  database = await Database.lent();
  outside = await startProvider();
  server = await database.serve({ OAUTH_ISSUER: outside.issuer });
  replica = await database.serve({ OAUTH_ISSUER: outside.issuer, OAUTH_AUDIENCE: `${server.origin}/mcp` });
  await database.sql(`SELECT app.trust_issuer('${outside.issuer}', true)`);
});
after(async () => {
  await outside?.stop();
  return database?.giveBack();
});

/** A user with a project, who is known at the provider, too. */
async function linkedUser(subject) {
  const { user, slug } = await database.project();
  await database.operate("identities", "link", "--user", user, "--issuer", outside.issuer, "--subject", subject);
  return { user, slug, subject };
}

/** The status of the first request with a token, and why it is refused. */
async function open(at, token) {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json", Accept: "application/json, text/event-stream" };
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "x", version: "1" } };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params });
  const reply = await fetch(at.url, { method: "POST", headers, body });
  await reply.text();
  return [reply.status, reply.headers.get("www-authenticate")?.match(/error_description="([^"]*)"/)?.[1]];
}

const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
const token = (user, resource = `${server.origin}/mcp`) => tokenOutside(outside.issuer, user.subject, resource);

/** A process with what it writes. */
function started(t, command, args, options) {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], ...options });
  t.after(() => child.kill());
  const run = { child, written: "", stdout: "" };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (run.written += text));
  child.stdout.on("data", (text) => (run.stdout += text));
  run.ended = new Promise((resolve) => child.once("close", resolve));
  return run;
}

/** The address at the provider that a client writes. */
async function shown(run) {
  let address;
  await until(() => (address = run.written.match(new RegExp(`${outside.issuer}/auth\\?[^\\s"'\\\\]+`))?.[0]), `an address in ${run.written}`);
  return new URL(address);
}

/** The grant that a client got here without a page of this server. */
async function grantOf({ user, slug }) {
  const { grants } = await database.operate("grants", "list", "--user", user);
  assert.deepEqual(grants.map((grant) => grant.project), [slug], JSON.stringify(grants));
  return grants[0];
}

for (const era of ["legacy", "modern"]) {
  test(`the Inspector's command line calls a tool with a token of the provider, in the ${era} era`, async (t) => {
    const user = await linkedUser(`inspector ${era}`);
    const HOME = await emptyFolder(t);
    const callback = `http://127.0.0.1:${await freePort()}/oauth/callback`;
    const env = { ...ENVIRONMENT, HOME, NO_COLOR: "1", MCP_AUTO_OPEN_ENABLED: "true", MCP_INSPECTOR_SECRET_STORE: "memory", MCP_OAUTH_CALLBACK_URL: callback };
    const args = [INSPECTOR, "--cli", "--format", "json", "--server-url", server.url, "--transport", "http", "--protocol-era", era];
    args.push("--method", "tools/call", "--tool-name", "initialize_memory_bank", "--tool-arg", "path=.");
    const run = started(t, process.execPath, args, { cwd: HOME, env });
    const address = await shown(run);
    assert.equal(address.searchParams.get("resource"), `${server.origin}/mcp`);
    const answer = await signInOutside(address, user.subject, callback);
    assert.equal((await fetch(`${callback}?${answer}`)).status, 200);
    assert.equal(await run.ended, 0, run.written);
    assert.match(run.stdout, /content/);
    assert.equal((await grantOf(user)).clientHost, "127.0.0.1");
  });
}

for (const mode of ["legacy", "auto"]) {
  test(`the Python SDK calls a tool with a token of the provider and refreshes it, in mode ${mode}`, { skip: !existsSync(PYTHON) }, async (t) => {
    const user = await linkedUser(`python ${mode}`);
    const run = started(t, PYTHON, [local("../python/oauth_sdk.py"), server.url, "--ask", mode], { env: ENVIRONMENT });
    const answer = await signInOutside(await shown(run), user.subject, CALLBACK);
    run.child.stdin.end(`${CALLBACK}?${answer}\n`);
    assert.equal(await run.ended, 0, run.written);
    const { token, stored, text } = JSON.parse(run.stdout.trim().split("\n").at(-1));
    assert.equal(stored, 2, "the SDK has refreshed the token at the provider");
    assert.deepEqual([claims(token).iss, claims(token).aud, claims(token).sub], [outside.issuer, `${server.origin}/mcp`, user.subject]);
    assert.match(text, /\S/);
    await grantOf(user);
  });
}

test("a token for another server is refused", async () => {
  const user = await linkedUser("other audience");
  for (const resource of ["https://other.example.com/mcp", `${server.origin}/other`, `${replica.origin}/mcp`]) {
    const foreign = await token(user, resource);
    assert.equal(claims(foreign).aud, resource);
    assert.deepEqual(await open(server, foreign), [401, "the token is for another audience"], resource);
  }
  assert.deepEqual(await open(server, await token(user, server.origin)), [200, undefined]);
});

test("the provider's new key is followed, and a token of its old key that was not seen before is refused", async () => {
  const user = await linkedUser("new key");
  const [seen, unseen] = [await token(user), await token(user)];
  assert.deepEqual(await open(server, seen), [200, undefined]);
  outside = await outside.again({ hasFreshKey: true });
  const next = await token(user);
  await until(async () => (await open(server, next))[0] === 200, "the new key");
  const unknown = [401, "the token is signed with a key that the issuer does not publish"];
  assert.deepEqual(await open(server, unseen), unknown);
  // A server that never verified the first token does not accept it, although its row is in the database.
  const fresh = await database.serve({ OAUTH_ISSUER: outside.issuer, OAUTH_AUDIENCE: `${server.origin}/mcp` });
  assert.deepEqual(await open(fresh, seen), unknown);
  assert.deepEqual(await open(fresh, next), [200, undefined]);
});

// A token lives for 300 s.
for (const [clockSeconds, what, expected] of [
  [-330, "expired half a minute ago is accepted", [200, undefined]],
  [-400, "expired long ago is refused", [401, "the token has expired"]],
  [30, "issued half a minute ahead is accepted", [200, undefined]],
  [120, "issued two minutes ahead is refused", [401, "the token is not valid yet"]],
]) {
  test(`a token that was ${what}`, async () => {
    const user = await linkedUser(what);
    outside = await outside.again({ clockSeconds });
    const of = await token(user);
    const now = Date.now() / 1000;
    assert.ok(Math.abs(claims(of).iat - now - clockSeconds) < 20, JSON.stringify(claims(of)));
    // The provider has its first key again.
    const found = await (async () => {
      let last;
      await until(async () => !(last = await open(server, of))[1]?.includes("does not publish"), "the provider's key");
      return last;
    })();
    assert.deepEqual(found, expected);
  });
}
