// Clients that are known by the address of a document (Client ID Metadata Documents), for real: the server fetches the
// documents by name, over TLS, from addresses of the internet. The test has a network of its own in which such addresses
// are this machine's (`unshare`), names by /etc/hosts, and an authority of its own. It needs root; elsewhere it is skipped,
// and the guards are shown by the tests of http::oauth::client_fetch.

import assert from "node:assert/strict";
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { generateKeyPair, randomUUID, sign } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const INSIDE = process.env.MEMORY_BANK_TEST_INSIDE;
const NAMES = {
  "client.example": "93.184.215.14",
  "keys.example": "93.184.215.14",
  "redirect.example": "93.184.215.14",
  "long.example": "93.184.215.14",
  "slow.example": "93.184.215.14",
  "loopback.example": "127.0.0.1",
  "private.example": "10.1.2.3",
  "link.example": "169.254.169.254",
  "carrier.example": "100.64.0.1",
  "mapped.example": "::1",
};

if (!INSIDE) {
  const can = spawnSync("unshare", ["--net", "--mount", "ip", "link", "set", "lo", "up"]).status === 0;
  const openssl = spawnSync("openssl", ["version"]).status === 0;
  test("clients that are known by a document", { skip: !can || !openssl }, () => {
    const self = fileURLToPath(import.meta.url);
    // The test server of PostgreSQL is one for each user; that of this user cannot be reached from inside.
    const env = { ...process.env, MEMORY_BANK_TEST_INSIDE: "yes", USER: `inside-${process.pid}` };
    delete env.NODE_TEST_CONTEXT;
    const done = spawnSync("unshare", ["--net", "--mount", process.execPath, "--test", self], { env, encoding: "utf8", timeout: 240_000 });
    assert.equal(done.status, 0, done.stdout + done.stderr);
    assert.match(done.stdout, /# pass [1-9]/);
  });
} else {
  await inside();
}

async function inside() {
  const { Client: Client2, StreamableHTTPClientTransport: Transport2 } = await import("@modelcontextprotocol/client");
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const { createPrivateKeyJwtAuth } = await import("@modelcontextprotocol/sdk/client/auth-extensions.js");
  const { createPrivateKeyJwtAuth: createPrivateKeyJwtAuth2 } = await import("@modelcontextprotocol/client");
  const { Database } = await import("./lib/http_server.mjs");
  const { CALLBACK, Provider, allow } = await import("./lib/oauth.mjs");

  const folder = mkdtempSync(join(tmpdir(), "memory-bank-oauth-"));
  const hosts = join(folder, "hosts");
  const seen = [];
  /** What the documents of clients with keys say beside the usual, and the sets of keys, each by its path. */
  const [documents, published] = [new Map(), new Map()];
  let database, server, serve, owner, https;

  before(async () => {
    execFileSync("ip", ["link", "set", "lo", "up"]);
    for (const address of new Set(Object.values(NAMES))) {
      if (!address.startsWith("127.") && address !== "::1") execFileSync("ip", ["addr", "add", `${address}/32`, "dev", "lo"]);
    }
    writeFileSync(hosts, ["127.0.0.1 localhost", ...Object.entries(NAMES).map(([name, address]) => `${address} ${name}`)].join("\n"));
    execFileSync("mount", ["--bind", hosts, "/etc/hosts"]);
    const alt = Object.keys(NAMES).map((name) => `DNS:${name}`).join(",");
    writeFileSync(join(folder, "leaf.cnf"), `basicConstraints=CA:FALSE\nsubjectAltName=${alt}`);
    const openssl = (...args) => execFileSync("openssl", args, { cwd: folder, stdio: "ignore" });
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=authority");
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "leaf.csr", "-subj", "/CN=leaf");
    openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "leaf.cnf", "-out", "cert.pem");
    const [key, cert] = ["key.pem", "cert.pem"].map((name) => readFileSync(join(folder, name)));
    https = createServer({ key, cert }, (request, reply) => {
      const host = request.headers.host;
      seen.push(host);
      const address = `https://${host}${request.url}`;
      const document = JSON.stringify({ client_id: address, client_name: "Documented", redirect_uris: [CALLBACK], ...documents.get(request.url) });
      if (host === "redirect.example") return reply.writeHead(302, { Location: "https://loopback.example/app.json" }).end();
      if (host === "slow.example") return;
      reply.writeHead(200, { "Content-Type": "application/json" });
      if (published.has(request.url)) return reply.end(JSON.stringify({ keys: published.get(request.url) }));
      reply.end(host === "long.example" ? document + " ".repeat(70_000) : document);
    });
    await new Promise((resolve) => https.listen(443, "::", resolve));
    database = await Database.lent();
    serve = () => database.serve({ SSL_CERT_FILE: join(folder, "ca.pem") });
    server = await serve();
    owner = await database.project();
  });
  after(async () => {
    https?.closeAllConnections();
    https?.close();
    await database?.giveBack();
    rmSync(folder, { recursive: true });
  });

  for (const [name, NewClient, NewTransport] of [
    ["1", Client, StreamableHTTPClientTransport],
    ["2", Client2, Transport2],
  ]) {
    test(`the TypeScript SDK ${name} is known by its document, signs in and calls a tool`, async (t) => {
      const address = `https://client.example/sdk-${name}.json`;
      const provider = new Provider(address);
      const open = () => new NewTransport(new URL(server.url), { authProvider: provider });
      const client = () => new NewClient({ name: "sdk", version: "1" }, { capabilities: {} });
      const transport = open();
      await assert.rejects(client().connect(transport));
      assert.equal(provider.address.searchParams.get("client_id"), address);
      const { code } = await database.operate("login-code", "--user", owner.user);
      const { parameters, consent } = await allow(server.origin, provider.address, code, ["read", "write"]);
      for (const shown of ["Documented", "Described at", "client.example"]) assert.ok(consent.includes(shown), consent);
      await transport.finishAuth(name === "1" ? parameters.get("code") : parameters);
      const connected = client();
      await connected.connect(open());
      t.after(() => connected.close());
      const made = await connected.callTool({ name: "initialize_memory_bank", arguments: { path: "." } });
      assert.ok(!made.isError, JSON.stringify(made));
      const { clients } = await database.operate("oauth-clients", "list");
      assert.ok(!clients.some((one) => one.name === "Documented"), "a documented client has no row");
      assert.equal(seen.filter((host) => host === "client.example").length, Number(name), "one fetch for each document");
    });
  }

  /** A key of a client: the private part for the SDK, and the public one for its set of keys. */
  async function clientKey(kid) {
    const { publicKey, privateKey } = await promisify(generateKeyPair)("ec", { namedCurve: "P-256" });
    return { kid, privateKey: privateKey.export({ type: "pkcs8", format: "pem" }), public: { ...publicKey.export({ format: "jwk" }), kid, alg: "ES256", use: "sig" } };
  }

  /** A token request of a client, with an assertion that names its key. */
  async function refreshWith(target, key, client, token) {
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: client, sub: client, aud: target.origin, jti: randomUUID(), iat: now, exp: now + 60 };
    const text = [{ alg: "ES256", kid: key.kid, typ: "JWT" }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
    const signature = sign("sha256", Buffer.from(text), { key: key.privateKey, dsaEncoding: "ieee-p1363" });
    const assertion = `${text}.${signature.toString("base64url")}`;
    const form = { grant_type: "refresh_token", refresh_token: token, client_assertion: assertion, client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" };
    const reply = await target.fetch("/oauth/token", undefined, { method: "POST", body: new URLSearchParams(form) });
    return [reply.status, await reply.json()];
  }

  for (const [name, NewClient, NewTransport, authentication, isRegistered] of [
    ["1", Client, StreamableHTTPClientTransport, createPrivateKeyJwtAuth, false],
    ["2", Client2, Transport2, createPrivateKeyJwtAuth2, false],
    ["2", Client2, Transport2, createPrivateKeyJwtAuth2, true],
  ]) {
    test(`the TypeScript SDK ${name} authenticates itself with a key at \`jwks_uri\` of its ${isRegistered ? "registration" : "document"}`, async (t) => {
      const path = `/keyed-${name}-${isRegistered}.json`;
      const [old, next] = [await clientKey("old"), await clientKey("next")];
      published.set(`/keys${path}`, [old.public]);
      const keyed = { token_endpoint_auth_method: "private_key_jwt", jwks_uri: `https://keys.example/keys${path}` };
      documents.set(path, keyed);
      const provider = new Provider(isRegistered ? undefined : `https://client.example${path}`);
      if (isRegistered) provider.clientMetadata = { ...provider.clientMetadata, ...keyed };
      provider.addClientAuthentication = (...request) => {
        const subject = provider.client?.client_id ?? `https://client.example${path}`;
        return authentication({ issuer: subject, subject, privateKey: old.privateKey, alg: "ES256", lifetimeSeconds: 60 })(...request);
      };
      const open = () => new NewTransport(new URL(server.url), { authProvider: provider });
      const connect = async () => {
        const client = new NewClient({ name: "sdk", version: "1" }, { capabilities: {} });
        await client.connect(open());
        t.after(() => client.close());
        return client;
      };
      const transport = open();
      await assert.rejects(new NewClient({ name: "sdk", version: "1" }, { capabilities: {} }).connect(transport));
      const client = provider.address.searchParams.get("client_id");
      assert.equal(client.startsWith("mbmcp_client_"), isRegistered);
      const { code } = await database.operate("login-code", "--user", owner.user);
      const { parameters } = await allow(server.origin, provider.address, code, ["read", "write"]);
      await transport.finishAuth(name === "1" ? parameters.get("code") : parameters);
      const made = await (await connect()).callTool({ name: "initialize_memory_bank", arguments: { path: "." } });
      assert.ok(!made.isError, JSON.stringify(made));

      // The token is void; the client refreshes with another assertion.
      provider.saved = { ...provider.saved, access_token: "mbmcp_at_00000000000000000000000000000000" };
      const listed = await (await connect()).callTool({ name: "list_memory_bank_files", arguments: {} });
      assert.ok(!listed.isError && provider.refreshes === 1, JSON.stringify(listed));
      assert.equal(await database.sql(`SELECT count(*) FROM app.oauth_assertions WHERE client_id = '${client}'`), "2");

      // Without its key nobody refreshes, and the token stays good for the client.
      const bare = { grant_type: "refresh_token", refresh_token: provider.saved.refresh_token, client_id: client };
      const refused = await server.fetch("/oauth/token", undefined, { method: "POST", body: new URLSearchParams(bare) });
      assert.deepEqual([refused.status, (await refused.json()).error], [401, "invalid_client"]);
      // The client changes its key: a server that has not cached the old set refuses the old key.
      published.set(`/keys${path}`, [next.public]);
      const fresh = await serve();
      const [status, reply] = await refreshWith(fresh, old, client, provider.saved.refresh_token);
      assert.deepEqual([status, reply.error], [401, "invalid_client"]);
      assert.match(reply.error_description, /not signed with a key of the client/);
      const [well, tokens] = await refreshWith(fresh, next, client, provider.saved.refresh_token);
      assert.deepEqual([well, tokens.token_type], [200, "Bearer"], JSON.stringify(tokens));
      await fresh.stop();
    });
  }

  for (const host of ["private", "loopback", "redirect", "slow", "long"]) {
    test(`keys at ${host}.example let nobody in`, async () => {
      const path = `/keyed-${host}.json`;
      documents.set(path, { token_endpoint_auth_method: "private_key_jwt", jwks_uri: `https://${host}.example/keys.json` });
      const client = `https://client.example${path}`;
      const fetched = seen.length;
      const [status, reply] = await refreshWith(server, await clientKey("1"), client, "mbmcp_rt_00000000000000000000000000000000");
      assert.deepEqual([status, reply.error], [503, "temporarily_unavailable"], JSON.stringify(reply));
      const hosts = seen.slice(fetched);
      const reached = ["redirect", "slow", "long"].includes(host) ? ["client.example", `${host}.example`] : ["client.example"];
      assert.deepEqual(hosts, reached);
    });
  }

  const python = fileURLToPath(new URL("../.venv/bin/python", import.meta.url));
  test("the Python SDK is known by its document, signs in and calls a tool", { skip: !existsSync(python) }, async () => {
    const { code } = await database.operate("login-code", "--user", owner.user);
    const script = fileURLToPath(new URL("../python/oauth_sdk.py", import.meta.url));
    const document = "https://client.example/python.json";
    const { stdout } = await promisify(execFile)(python, [script, server.url, code, document]);
    const { client, scope } = JSON.parse(stdout);
    assert.deepEqual([client, scope], [document, "read write"]);
  });

  const page = async (host) => {
    const parameters = new URLSearchParams({
      response_type: "code",
      client_id: `https://${host}/app.json`,
      redirect_uri: CALLBACK,
      code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
      code_challenge_method: "S256",
    });
    const reply = await fetch(`${server.origin}/oauth/authorize?${parameters}`, { redirect: "manual" });
    return [reply.status, reply.headers.get("location"), await reply.text()];
  };

  for (const host of ["loopback", "private", "link", "carrier", "mapped"]) {
    test(`no document is fetched from ${NAMES[`${host}.example`]}`, async () => {
      const [status, location, text] = await page(`${host}.example`);
      assert.deepEqual([status, location], [400, null], text);
      assert.match(text, /could not be fetched from the internet/);
      assert.ok(!seen.includes(`${host}.example`));
    });
  }

  for (const [host, why] of [
    ["redirect", /not there, or not JSON/],
    ["long", /too long/],
    ["slow", /did not arrive in time/],
  ]) {
    test(`a document that is ${host} is refused`, async () => {
      const [status, location, text] = await page(`${host}.example`);
      assert.deepEqual([status, location], [400, null], text);
      assert.match(text, why);
      assert.ok(seen.includes(`${host}.example`) && !seen.includes("loopback.example"));
    });
  }
}
