// The TypeScript SDKs' own OAuth clients against a server of a database: they find the authorization server, register,
// send a browser to the page, and get, use and refresh tokens.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Database } from "./lib/http_server.mjs";

const CALLBACK = "http://localhost:33418/callback";

let database, server, owner;

before(async () => {
  database = await Database.lent();
  server = await database.serve();
  owner = await database.project();
});
after(() => database?.giveBack());

/** What an application keeps. */
class Provider {
  redirectUrl = CALLBACK;
  clientMetadata = { client_name: "SDK", redirect_uris: [CALLBACK], token_endpoint_auth_method: "none" };
  refreshes = 0;
  clientInformation = () => this.client;
  saveClientInformation = (client) => void (this.client = client);
  tokens = () => this.saved;
  saveTokens(tokens) {
    if (this.saved) this.refreshes += 1;
    this.saved = tokens;
  }
  redirectToAuthorization = (url) => void (this.address = url);
  saveCodeVerifier = (verifier) => void (this.verifier = verifier);
  codeVerifier = () => this.verifier;
  state = () => "a state";
}

const field = (page, name) =>
  page.match(new RegExp(`name="${name}" value="([^"]*)"`))[1].replaceAll("&amp;", "&").replaceAll("&#39;", "'").replaceAll("&quot;", '"');

/** Signs in and allows, as a person does in a browser; gives the parameters of the answer. */
async function allow(address, scopes) {
  let cookie = "";
  const ask = async (url, body) => {
    const init = { redirect: "manual", headers: { Cookie: cookie }, ...(body && { method: "POST", body: new URLSearchParams(body) }) };
    const reply = await fetch(new URL(url, server.origin), init);
    cookie = reply.headers.getSetCookie()[0]?.split(";")[0] ?? cookie;
    return reply;
  };
  const { code: secret } = await database.operate("login-code", "--user", owner.user);
  const page = await (await ask(address)).text();
  const signed = await ask("/oauth/sign-in", { request: field(page, "request"), token: field(page, "token"), secret });
  assert.equal(signed.status, 303, await signed.text());
  const consent = await (await ask(signed.headers.get("location"))).text();
  const project = consent.match(/<option value="([^"]+)"/)[1];
  const rights = Object.fromEntries(scopes.map((scope) => [scope, "yes"]));
  const form = { request: field(consent, "request"), token: field(consent, "token"), project, decision: "allow", ...rights };
  const answer = await ask("/oauth/authorize", form);
  assert.equal(answer.status, 303, await answer.text());
  const location = new URL(answer.headers.get("location"));
  assert.equal(location.origin + location.pathname, CALLBACK);
  return location.searchParams;
}

for (const [name, NewClient, NewTransport] of [
  ["1", Client, StreamableHTTPClientTransport],
  ["2", Client2, Transport2],
]) {
  test(`the TypeScript SDK ${name} signs in, calls a tool and refreshes its token`, async (t) => {
    const provider = new Provider();
    const open = () => new NewTransport(new URL(server.url), { authProvider: provider });
    const client = () => new NewClient({ name: "sdk", version: "1" }, { capabilities: {} });
    let transport = open();
    await assert.rejects(client().connect(transport));
    assert.ok(provider.client.client_id.startsWith("mbmcp_client_"));
    assert.equal(provider.address.searchParams.get("scope"), "read write");
    assert.equal(provider.address.searchParams.get("resource"), `${server.origin}/mcp`);
    const answer = await allow(provider.address, ["read", "write"]);
    assert.equal(answer.get("iss"), server.origin);
    await transport.finishAuth(name === "1" ? answer.get("code") : answer);
    assert.ok(provider.saved.access_token.startsWith("mbmcp_at_"));

    const connected = client();
    await connected.connect(open());
    t.after(() => connected.close());
    const made = await connected.callTool({ name: "initialize_memory_bank", arguments: { path: "." } });
    assert.ok(!made.isError, JSON.stringify(made));

    // The access token is void; the client refreshes and repeats by itself.
    provider.saved = { ...provider.saved, access_token: "mbmcp_at_00000000000000000000000000000000" };
    const again = client();
    await again.connect(open());
    t.after(() => again.close());
    assert.equal(provider.refreshes, 1);
    const listed = await again.callTool({ name: "list_memory_bank_files", arguments: {} });
    assert.ok(!listed.isError, JSON.stringify(listed));
  });
}
