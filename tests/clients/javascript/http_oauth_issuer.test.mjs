// Clients that sign in at an outside authorization server, `oidc-provider`, and use its tokens here as they are.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Client as OldClient } from "sdk-of-2025-06-18/client/index.js";
import { StreamableHTTPClientTransport as OldTransport } from "sdk-of-2025-06-18/client/streamableHttp.js";
import { Database } from "./lib/http_server.mjs";
import { CALLBACK, Provider, allow } from "./lib/oauth.mjs";
import { signInOutside, startProvider } from "./lib/oidc_provider.mjs";

const TRIED = [
  ["1.17", OldClient, OldTransport, {}, "2025-06-18"],
  ["1", Client, StreamableHTTPClientTransport, {}, "2025-11-25"],
  ["2", Client2, Transport2, { versionNegotiation: { mode: "legacy" } }, "2025-11-25"],
  ["2", Client2, Transport2, { versionNegotiation: { mode: "auto" } }, "2026-07-28"],
];

let database, outside, server, second;

before(async () => {
  database = await Database.lent();
  outside = await startProvider();
  server = await database.serve({ OAUTH_ISSUER: outside.issuer });
  const audience = `${server.origin}/mcp`;
  second = await database.serve({ OAUTH_ISSUER: outside.issuer, OAUTH_AUDIENCE: audience });
  await database.sql(`SELECT app.trust_issuer('${outside.issuer}', true)`);
});
after(async () => {
  await outside?.stop();
  return database?.giveBack();
});

/** A client's way through the sign-in; gives what opens a connection with its tokens. */
async function signedIn(t, name, NewClient, NewTransport, options, user, server, signIn) {
  const provider = new Provider();
  provider.clientMetadata = { ...provider.clientMetadata, grant_types: ["authorization_code", "refresh_token"], response_types: ["code"], scope: "read write" };
  const open = () => new NewTransport(new URL(server.url), { authProvider: provider });
  const connect = async () => {
    const [client, transport] = [new NewClient({ name: "sdk", version: "1" }, { capabilities: {}, ...options }), open()];
    await client.connect(transport);
    t.after(() => client.close());
    return { client, transport };
  };
  const first = open();
  await assert.rejects(new NewClient({ name: "sdk", version: "1" }, { capabilities: {}, ...options }).connect(first));
  const answer = await signIn(provider.address);
  await first.finishAuth(name.startsWith("1") ? answer.get("code") : answer);
  return { provider, connect };
}

for (const [name, NewClient, NewTransport, options, revision] of TRIED) {
  test(`the TypeScript SDK ${name} in revision ${revision} signs in at the issuer and uses its token`, async (t) => {
    const owner = await database.project();
    const subject = `${owner.user} of ${revision} ${name}`;
    await database.sql(`SELECT app.link_identity('${owner.user}', '${outside.issuer}', '${subject}')`);
    const signIn = (address) => {
      assert.equal(address.origin, outside.issuer);
      assert.equal(address.searchParams.get("resource"), `${server.origin}/mcp`);
      return signInOutside(address, subject, CALLBACK);
    };
    const { provider, connect } = await signedIn(t, name, NewClient, NewTransport, options, subject, server, signIn);
    const token = provider.saved.access_token;
    const [header, claims] = token.split(".").slice(0, 2).map((part) => JSON.parse(Buffer.from(part, "base64url")));
    assert.deepEqual([header.alg, header.typ, claims.aud, claims.sub], ["RS256", "at+jwt", `${server.origin}/mcp`, subject]);
    const { client, transport } = await connect();
    if (revision !== "2026-07-28") assert.equal(transport.protocolVersion, revision);
    const made = await client.callTool({ name: "initialize_memory_bank", arguments: { path: "." } });
    assert.ok(!made.isError, JSON.stringify(made));

    // The token is void; the client refreshes at the issuer and goes on.
    provider.saved = { ...provider.saved, access_token: token.slice(0, -8) + "AAAAAAAA" };
    const again = await connect();
    const listed = await again.client.callTool({ name: "list_memory_bank_files", arguments: {} });
    assert.ok(!listed.isError, JSON.stringify(listed));
    assert.equal(provider.refreshes, 1);

    // Taken back by an operator: on every replica, and for what the issuer gives next.
    const bearer = { Authorization: `Bearer ${provider.saved.access_token}`, "Content-Type": "application/json", Accept: "application/json, text/event-stream" };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "x", version: "1" } } });
    const status = async (server) => (await fetch(server.url, { method: "POST", headers: bearer, body })).status;
    assert.deepEqual([await status(server), await status(second)], [200, 200]);
    const [grant] = (await database.operate("grants", "list", "--user", owner.user)).grants;
    assert.equal(grant.clientHost ?? grant.host, "127.0.0.1");
    await database.operate("grants", "revoke", grant.id);
    assert.deepEqual([await status(server), await status(second)], [401, 401]);
    await assert.rejects(again.client.callTool({ name: "list_memory_bank_files", arguments: {} }));
  });
}

test("a client of revision 2025-06-18 signs in at the server's own page", async (t) => {
  const own = await database.serve();
  const owner = await database.project();
  const { code } = await database.operate("login-code", "--user", owner.user);
  const signIn = async (address) => (await allow(own.origin, address, code, ["read", "write"])).parameters;
  const { provider, connect } = await signedIn(t, "1.17", OldClient, OldTransport, {}, owner.user, own, signIn);
  assert.ok(provider.saved.access_token.startsWith("mbmcp_at_"));
  const { client, transport } = await connect();
  assert.equal(transport.protocolVersion, "2025-06-18");
  const made = await client.callTool({ name: "initialize_memory_bank", arguments: { path: "." } });
  assert.ok(!made.isError, JSON.stringify(made));
  provider.saved = { ...provider.saved, access_token: "mbmcp_at_00000000000000000000000000000000" };
  const again = await connect();
  const listed = await again.client.callTool({ name: "list_memory_bank_files", arguments: {} });
  assert.ok(!listed.isError && provider.refreshes === 1, JSON.stringify(listed));
});

test("an opaque token and one without a signature open nothing", async () => {
  for (const token of ["opaque", "eyJhbGciOiJub25lIn0.e30."]) {
    const reply = await server.fetch("/mcp", undefined, { method: "POST", headers: { Authorization: `Bearer ${token}` }, body: "{}" });
    assert.equal(reply.status, 401);
  }
});
