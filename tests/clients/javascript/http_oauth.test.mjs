// The TypeScript SDKs' own OAuth clients against a server of a database: they find the authorization server, register,
// send a browser to the page, get, use and refresh tokens, and sign in again for a right that they lack.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Database } from "./lib/http_server.mjs";
import { Provider, allow } from "./lib/oauth.mjs";

const TRIED = [
  ["1", Client, StreamableHTTPClientTransport, {}, "2025-11-25"],
  ["2", Client2, Transport2, { versionNegotiation: { mode: "legacy" } }, "2025-11-25"],
  ["2", Client2, Transport2, { versionNegotiation: { mode: "auto" } }, "2026-07-28"],
];

let database, server;

before(async () => {
  database = await Database.lent();
  server = await database.serve();
});
after(() => database?.giveBack());

for (const [name, NewClient, NewTransport, options, revision] of TRIED) {
  test(`the TypeScript SDK ${name} in revision ${revision} signs in, calls a tool, refreshes and steps up`, async (t) => {
    const owner = await database.project();
    const code = async () => (await database.operate("login-code", "--user", owner.user)).code;
    const provider = new Provider();
    const open = () => new NewTransport(new URL(server.url), { authProvider: provider });
    const client = () => new NewClient({ name: "sdk", version: "1" }, { capabilities: {}, ...options });
    const finish = (transport, answer) => transport.finishAuth(name === "1" ? answer.get("code") : answer);
    const connected = async (transport = open()) => {
      const one = client();
      await one.connect(transport);
      t.after(() => one.close());
      return one;
    };
    const first = open();
    await assert.rejects(client().connect(first));
    assert.ok(provider.client.client_id.startsWith("mbmcp_client_"));
    assert.equal(provider.address.searchParams.get("scope"), "read write");
    assert.equal(provider.address.searchParams.get("resource"), `${server.origin}/mcp`);
    const { parameters } = await allow(server.origin, provider.address, await code(), ["read", "write"]);
    assert.equal(parameters.get("iss"), server.origin);
    await finish(first, parameters);
    assert.ok(provider.saved.access_token.startsWith("mbmcp_at_"));
    const made = await (await connected()).callTool({ name: "initialize_memory_bank", arguments: { path: "." } });
    assert.ok(!made.isError, JSON.stringify(made));

    // The access token is void; the client refreshes and repeats by itself.
    provider.saved = { ...provider.saved, access_token: "mbmcp_at_00000000000000000000000000000000" };
    const again = await connected();
    assert.equal(provider.refreshes, 1);
    const listed = await again.callTool({ name: "list_memory_bank_files", arguments: {} });
    assert.ok(!listed.isError, JSON.stringify(listed));

    // A call that needs more sends the browser to the page again, with what the client has and what it lacks.
    await again.callTool({ name: "write_memory_bank_file", arguments: { filename: "notes.md", content: "x" } });
    const remove = { name: "delete_memory_bank_file", arguments: { filename: "notes.md" } };
    // Version 1 refreshes its token instead, which gives no new right, and then gives up.
    if (name === "1") provider.saved = { ...provider.saved, refresh_token: undefined };
    const lacking = open();
    const limited = await connected(lacking);
    await assert.rejects(limited.callTool(remove));
    assert.equal(provider.address.searchParams.get("scope"), "read write admin");
    const more = await allow(server.origin, provider.address, await code(), ["read", "write", "admin"]);
    await finish(lacking, more.parameters);
    const removed = await (await connected()).callTool(remove);
    assert.ok(!removed.isError, JSON.stringify(removed));
  });
}
