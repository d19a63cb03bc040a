// Runs `oidc-provider` as a process of its own: an authorization server that registers clients and gives JWT access
// tokens for the resource that a client names. Prints its issuer. Its users sign in with any name. It can be started again
// at its address with a new key, and with a clock that is behind or ahead.
//
// What a browser does there is in `signInOutside`, and what a client does in `tokenOutside`.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, generateKeyPair, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const HERE = fileURLToPath(import.meta.url);

/** A key that no other process of it has. */
async function freshKey() {
  const { privateKey } = await promisify(generateKeyPair)("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "RS256" };
}

async function serve({ port = 0, hasFreshKey = false, clockSeconds = 0 }) {
  const now = Date.now;
  Date.now = () => now() + clockSeconds * 1000;
  const { default: Provider } = await import("oidc-provider");
  const listener = createServer();
  await new Promise((resolve) => listener.listen(port, "127.0.0.1", resolve));
  const issuer = `http://127.0.0.1:${listener.address().port}`;
  const provider = new Provider(issuer, {
    ...(hasFreshKey && { jwks: { keys: [await freshKey()] } }),
    scopes: ["openid", "offline_access", "read", "write", "admin"],
    responseTypes: ["code"],
    pkce: { required: () => true },
    cookies: { keys: ["a secret of a test"] },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    // A client that registers is told everything that it may use.
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed("refresh_token"),
    extraTokenClaims: (_ctx, token) => ({ groups: [`group of ${token.accountId}`] }),
    features: {
      devInteractions: { enabled: true },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource) => ({
          scope: "read write admin",
          audience: resource,
          accessTokenTTL: 300,
          accessTokenFormat: "jwt",
        }),
      },
    },
  });
  listener.on("request", provider.callback());
  process.stdout.write(`${issuer}\n`);
}

if (process.argv[1] === HERE) await serve(JSON.parse(process.argv[2]));

/** Starts the process; gives its issuer, what ends it, and what starts it again at its address. */
export async function startProvider(options = {}) {
  const child = spawn(process.execPath, [HERE, JSON.stringify(options)], { stdio: ["ignore", "pipe", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
  process.on("exit", () => child.kill("SIGKILL"));
  for await (const issuer of createInterface({ input: child.stdout })) {
    child.stdout.resume();
    const stop = async () => {
      const closed = once(child, "close");
      if (child.exitCode === null && child.signalCode === null && child.kill("SIGKILL")) await closed;
    };
    const again = async (options) => {
      await stop();
      return startProvider({ ...options, port: Number(new URL(issuer).port) });
    };
    return { issuer, stop, again };
  }
  assert.fail(`oidc-provider ended: ${stderr}`);
}

/** A browser that signs in as `user` and consents to everything; gives the parameters of the answer to the client. */
export async function signInOutside(address, user, callback) {
  const cookies = new Map();
  let next = { url: new URL(address) };
  for (let step = 0; step < 20; step += 1) {
    const reply = await fetch(next.url, {
      redirect: "manual",
      headers: { Cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; ") },
      ...(next.form && { method: "POST", body: new URLSearchParams(next.form) }),
    });
    for (const set of reply.headers.getSetCookie()) {
      const [name, value] = set.split(";")[0].split(/=(.*)/s);
      if (value) cookies.set(name, value);
      else cookies.delete(name);
    }
    const location = reply.headers.get("location");
    if (location) {
      const url = new URL(location, next.url);
      if (url.origin + url.pathname === callback) return url.searchParams;
      next = { url };
      continue;
    }
    const page = await reply.text();
    const action = page.match(/<form[^>]*action="([^"]+)"/)?.[1];
    const prompt = page.match(/name="prompt" value="([^"]+)"/)?.[1];
    assert.ok(action && prompt, page);
    next = { url: new URL(action, next.url), form: { prompt, ...(prompt === "login" && { login: user, password: "x" }) } };
  }
  assert.fail("the sign-in does not end");
}

/** An access token for a resource, as a client of its own gets it with its user's browser. */
export async function tokenOutside(issuer, user, resource) {
  const redirect = "http://localhost:33418/callback";
  const sent = async (path, body, headers) => {
    const reply = await fetch(issuer + path, { method: "POST", body, headers });
    const text = await reply.text();
    assert.ok(reply.ok, text);
    return JSON.parse(text);
  };
  const metadata = { client_name: "Test", redirect_uris: [redirect], token_endpoint_auth_method: "none", application_type: "native" };
  const { client_id } = await sent("/reg", JSON.stringify(metadata), { "Content-Type": "application/json" });
  const verifier = randomUUID() + randomUUID();
  const challenge = createHash("sha256").update(verifier).digest("base64url");
  const request = { response_type: "code", client_id, redirect_uri: redirect, scope: "read write", resource, code_challenge: challenge, code_challenge_method: "S256" };
  const answer = await signInOutside(`${issuer}/auth?${new URLSearchParams(request)}`, user, redirect);
  const form = { grant_type: "authorization_code", client_id, code: answer.get("code"), redirect_uri: redirect, code_verifier: verifier, resource };
  return (await sent("/token", new URLSearchParams(form))).access_token;
}
