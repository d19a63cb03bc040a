// Runs `oidc-provider` as a process of its own: an authorization server that registers clients and gives JWT access
// tokens for the resource that a client names. Prints its issuer. Its users sign in with any name.
//
// What a browser does there is in `signInOutside`.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(import.meta.url);

async function serve() {
  const { default: Provider } = await import("oidc-provider");
  const listener = createServer();
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const issuer = `http://127.0.0.1:${listener.address().port}`;
  const provider = new Provider(issuer, {
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

if (process.argv[1] === HERE) await serve();

/** Starts the process; gives its issuer, and what ends it. */
export async function startProvider() {
  const child = spawn(process.execPath, [HERE], { stdio: ["ignore", "pipe", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
  process.on("exit", () => child.kill("SIGKILL"));
  for await (const issuer of createInterface({ input: child.stdout })) {
    child.stdout.resume();
    return { issuer, stop: () => child.kill("SIGKILL") };
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
