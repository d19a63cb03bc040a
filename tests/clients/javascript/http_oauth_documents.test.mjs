// Clients that are known by the address of a document (Client ID Metadata Documents), for real: the server fetches the
// documents by name, over TLS, from addresses of the internet. The test has a network of its own in which such addresses
// are this machine's (`unshare`), names by /etc/hosts, and an authority of its own. It needs root; elsewhere it is skipped,
// and the guards are shown by the tests of http::oauth::client_fetch.

import assert from "node:assert/strict";
import { execFile, execFileSync, spawnSync } from "node:child_process";
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
  const { Database } = await import("./lib/http_server.mjs");
  const { CALLBACK, Provider, allow } = await import("./lib/oauth.mjs");

  const folder = mkdtempSync(join(tmpdir(), "memory-bank-oauth-"));
  const hosts = join(folder, "hosts");
  const seen = [];
  let database, server, owner, https;

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
      const document = JSON.stringify({ client_id: address, client_name: "Documented", redirect_uris: [CALLBACK] });
      if (host === "redirect.example") return reply.writeHead(302, { Location: "https://loopback.example/app.json" }).end();
      if (host === "slow.example") return;
      reply.writeHead(200, { "Content-Type": "application/json" });
      reply.end(host === "long.example" ? document + " ".repeat(70_000) : document);
    });
    await new Promise((resolve) => https.listen(443, "::", resolve));
    database = await Database.lent();
    server = await database.serve({ SSL_CERT_FILE: join(folder, "ca.pem") });
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
      assert.match(text, /not on the internet/);
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
