// `doctor` on real providers: npm's oidc-provider, as an OpenID provider and as an authorization server of tokens.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { Database } from "./lib/http_server.mjs";
import { startProvider } from "./lib/oidc_provider.mjs";
import { BINARY, STATE } from "./lib/server.mjs";

const SECRET = "a-secret-that-nobody-may-see";

let database, outside;

before(async () => {
  database = await Database.lent();
  outside = await startProvider();
});
after(async () => {
  await outside?.stop();
  return database?.giveBack();
});

/** The findings of a check, each as `level: message`, and the exit code. */
async function doctor(variables, check) {
  const env = { PATH: process.env.PATH, HOME: "/nonexistent", MEMORY_BANK_STATE_DIR: STATE, DATABASE_URL: database.database, REDIS_URL: database.redis, MCP_HOST: "127.0.0.1", ...variables };
  const { code, stdout, stderr } = await new Promise((resolve) =>
    execFile(BINARY, ["doctor", "--json"], { env, cwd: "/" }, (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr })),
  );
  assert.ok(!(stdout + stderr).includes(SECRET), "the secret is shown");
  const found = JSON.parse(stdout).findings.filter((finding) => finding.check === check);
  return { code, text: found.map(({ level, message }) => `${level}: ${message}`).join("\n") };
}

const openid = (issuer) => ({ OIDC_ISSUER: issuer, OIDC_CLIENT_ID: "memory-bank", OIDC_CLIENT_SECRET: SECRET, OIDC_SCOPES: "openid" });

test("the doctor finds a real OpenID provider and its keys", async () => {
  const found = await doctor(openid(outside.issuer), "sign_in.openid");
  assert.deepEqual(found, { code: 0, text: `ok: ${outside.issuer} answers, and has one key` });
});

test("the doctor names a scope that the provider does not have", async () => {
  const found = await doctor({ ...openid(outside.issuer), OIDC_SCOPES: "openid groups" }, "sign_in.openid");
  assert.equal(found.code, 1);
  assert.match(found.text, /^error: .*`scopes_supported`: groups$/);
});

test("the doctor finds a real authorization server, by its metadata and by the address of its keys", async () => {
  for (const more of [{}, { OAUTH_JWKS_URL: `${outside.issuer}/jwks` }]) {
    const found = await doctor({ OAUTH_ISSUER: outside.issuer, ...more }, "sign_in.issuer");
    assert.deepEqual(found, { code: 0, text: `ok: ${outside.issuer} answers, and has one key` });
  }
});

test("the doctor names the issuer that a real provider has instead", async () => {
  const other = outside.issuer.replace("127.0.0.1", "localhost");
  for (const [variables, check] of [
    [openid(other), "sign_in.openid"],
    [{ OAUTH_ISSUER: other }, "sign_in.issuer"],
  ]) {
    const found = await doctor(variables, check);
    assert.equal(found.code, 1);
    assert.match(found.text, new RegExp(`^error: .*another issuer, \`${outside.issuer}\``));
  }
});

test("the doctor finds no key where a provider publishes none", async (t) => {
  const empty = createServer((_, reply) => reply.setHeader("Content-Type", "application/json").end('{"keys":[]}'));
  await new Promise((resolve) => empty.listen(0, "127.0.0.1", resolve));
  t.after(() => empty.close());
  const keys = `http://127.0.0.1:${empty.address().port}/keys`;
  const found = await doctor({ OAUTH_ISSUER: outside.issuer, OAUTH_JWKS_URL: `${keys}?token=${SECRET}` }, "sign_in.issuer");
  assert.deepEqual(found, { code: 1, text: `error: \`${keys}\` has no key that can be used, so no token of ${outside.issuer} is accepted` });
});
