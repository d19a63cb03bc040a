// Signing in with a real OpenID provider, npm's oidc-provider in a process of its own: its pages and those of the server
// in Chromium without scripts, on two replicas with PostgreSQL and Redis, and the TypeScript SDK's OAuth client. With
// OAUTH_SCREENSHOTS, a folder, the pages are stored there as pictures.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { launch, skip } from "./lib/browser.mjs";
import { Database, until } from "./lib/http_server.mjs";
import { Provider, freePort } from "./lib/oauth.mjs";

const PROVIDER = fileURLToPath(new URL("lib/openid_provider.mjs", import.meta.url));

let database, server, replica, project, issuer, provider, browser, listener, callback, port;
const answers = [];

async function startProvider() {
  const redirectUris = [server, replica].map(({ origin }) => `${origin}/oauth/openid/callback`);
  provider = spawn(process.execPath, [PROVIDER, port, ...redirectUris], { stdio: ["ignore", "pipe", "pipe"] });
  let written = "";
  for (const stream of [provider.stdout, provider.stderr]) stream.setEncoding("utf8").on("data", (text) => (written += text));
  await until(() => written.includes(`ready ${issuer}`), `the provider: ${written}`);
}

async function stopProvider() {
  const ended = new Promise((resolve) => provider.once("close", resolve));
  provider.kill("SIGKILL");
  await ended;
}

before(async () => {
  if (skip) return;
  database = await Database.lent();
  port = String(await freePort());
  issuer = `http://127.0.0.1:${port}`;
  await database.operate("identities", "trust", issuer);
  const variables = {
    OIDC_ISSUER: issuer,
    OIDC_CLIENT_ID: "memory-bank",
    OIDC_CLIENT_SECRET: "a secret of the test: 100%",
    OIDC_NAME: "Example Login",
    OIDC_MAPPING: "group:dev=project-1:editor,group:boss=project-1:owner,domain:example.com=second:viewer",
  };
  [server, replica] = [await database.serve(variables), await database.serve(variables)];
  project = await database.project();
  assert.equal(project.slug, "project-1");
  await database.operate("projects", "create", "second", "--owner", project.user);
  await startProvider();
  listener = createServer((request, reply) => {
    const url = new URL(request.url, "http://localhost");
    if (url.pathname === "/callback") answers.push(url.searchParams);
    reply.setHeader("Content-Type", "text/html");
    reply.end("<h1>Connected</h1>");
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  callback = `http://localhost:${listener.address().port}/callback`;
  browser = await launch();
});
after(async () => {
  await browser?.close();
  listener?.close();
  provider?.kill("SIGKILL");
  await database?.giveBack();
});

/** What the SDK keeps, with the address at which this test waits. */
class Application extends Provider {
  redirectUrl = callback;
  clientMetadata = { client_name: "SDK", redirect_uris: [callback], token_endpoint_auth_method: "none" };
}

/** An application that wants to be let in: its client, and the address of the page. */
async function application() {
  const authProvider = new Application();
  const open = () => new StreamableHTTPClientTransport(new URL(server.url), { authProvider });
  const client = () => new Client({ name: "sdk", version: "1" }, { versionNegotiation: { mode: "auto" } });
  const first = open();
  await assert.rejects(client().connect(first));
  const connect = async (t, answer) => {
    await first.finishAuth(answer);
    const one = client();
    await one.connect(open());
    t.after(() => one.close());
    return one;
  };
  return { address: authProvider.address.href, connect, tokens: () => authProvider.saved };
}

/** A page of a new browser without scripts. */
async function open(t, viewport = { width: 1280, height: 800 }) {
  const context = await browser.newContext({ viewport, javaScriptEnabled: false });
  t.after(() => context.close());
  return context.newPage();
}

async function picture(page, name) {
  const folder = process.env.OAUTH_SCREENSHOTS;
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}

/** Chooses the provider, and does there what a person does. */
async function signIn(page, login) {
  await page.getByRole("button", { name: "Sign in with Example Login" }).click();
  await page.locator('input[name="login"]').fill(login);
  await page.locator('input[name="password"]').fill("any");
  await page.locator('button[type="submit"]').click();
  await page.locator('button[type="submit"]').click();
}

async function answer(page) {
  await page.waitForURL(`${callback}**`);
  return answers.pop();
}

test("the SDK's client is let in by a user of the provider, with the role of its group", { skip }, async (t) => {
  const { address, connect } = await application();
  const page = await open(t);
  await page.goto(address);
  await picture(page, "openid-sign-in");
  await signIn(page, "dora");
  await page.getByRole("heading", { name: /SDK/ }).waitFor();
  const text = await page.locator("main").innerText();
  assert.ok(text.includes("dora@example.com (127.0.0.1)"), text);
  const options = await page.getByLabel("Project").locator("option").allInnerTexts();
  assert.deepEqual(options, ["project-1 (you are an editor)", "second (you are a viewer)"]);
  await picture(page, "openid-consent");
  await page.getByRole("button", { name: "Allow" }).click();
  const client = await connect(t, await answer(page));
  const made = await client.callTool({ name: "initialize_memory_bank", arguments: { path: "." } });
  assert.ok(!made.isError, JSON.stringify(made));

  // The page of grants has a sign-in of its own; the provider knows the user already.
  await page.goto(`${server.origin}/oauth/grants`);
  await page.getByRole("button", { name: "Sign in with Example Login" }).click();
  await page.getByRole("button", { name: "Take back SDK" }).click();
  await page.getByText("You have allowed nothing").waitFor();
  await assert.rejects(client.callTool({ name: "list_memory_bank_files", arguments: {} }));
});

test("a user of the provider signs in to the console, and the answer opens nothing in another browser", { skip }, async (t) => {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(`${server.origin}/app/`);
  await page.getByRole("button", { name: "Sign in with Example Login" }).waitFor();
  await picture(page, "openid-console");
  await signIn(page, "dora");
  await page.getByRole("heading", { name: "Choose a project" }).waitFor();
  assert.equal(new URL(page.url()).hash, "", "the address shows nothing of the sign-in");
  await page.getByRole("button", { name: "project-1" }).click();
  await page.getByText("Signed in as dora@example.com (127.0.0.1) (editor)").waitFor();
  const { grants } = await database.operate("grants", "list", "--project", "project-1");
  assert.deepEqual(grants.filter(({ clientName }) => clientName === "Web console").map(({ user, userName }) => userName ?? user?.name ?? user), ["dora@example.com (127.0.0.1)"]);
  const cookies = await context.cookies();
  const session = cookies.find(({ name }) => name.startsWith("mbmcp-console-"));
  assert.equal(session.sameSite, "Strict");
  assert.equal(session.httpOnly, true);
  assert.equal(cookies.some(({ name, value }) => /openid|choice/.test(name) && value !== ""), false, JSON.stringify(cookies));

  // Another browser that opens the last address has no sign-in, and one that gets the provider's answer has not begun it.
  const other = await browser.newContext();
  t.after(() => other.close());
  const stranger = await other.newPage();
  await stranger.goto(`${server.origin}/app/#signed-in`);
  await stranger.getByText(/sign-in has expired/).waitFor();
  const reply = await stranger.request.get(`${server.origin}/oauth/openid/callback?state=x&code=y`);
  assert.equal(reply.status(), 403);
  // A page of another site cannot begin one.
  for (const headers of [{ Origin: "https://elsewhere.example" }, { "Sec-Fetch-Site": "cross-site" }]) {
    assert.equal((await fetch(`${server.origin}/app/openid`, { method: "POST", headers })).status, 403);
  }
});

test("a second sign-in finds the same user, and another user gets another role", { skip }, async (t) => {
  for (const [login, role] of [["dora", "an editor"], ["otto", "an owner"], ["dora", "an editor"]]) {
    const page = await open(t);
    await page.goto(`${replica.origin}/oauth/grants`);
    await signIn(page, login);
    await page.getByText(`Signed in as ${login}@example.com`).waitFor();
    // Who is signed in at one replica is signed in at the other.
    await page.goto(`${server.origin}/oauth/grants`);
    await page.getByText(`Signed in as ${login}@example.com`).waitFor();
    const { address } = await application();
    await page.goto(address);
    await page.getByRole("button", { name: "Sign in with Example Login" }).click();
    const options = await page.getByLabel("Project").locator("option").allInnerTexts();
    assert.equal(options[0], `project-1 (you are ${role})`);
  }
  const { identities } = await database.operate("identities", "list");
  assert.deepEqual(identities.map(({ subject }) => subject).sort(), ["dora", "otto"]);
});

test("an address that was not verified, and a user without a group, get nothing", { skip }, async (t) => {
  for (const login of ["vera", "stan"]) {
    const page = await open(t, { width: 360, height: 740 });
    const { address } = await application();
    await page.goto(address);
    await signIn(page, login);
    await page.getByRole("heading", { name: "There is no access" }).waitFor();
    assert.match(await page.locator("main").innerText(), new RegExp(`“${login}”`));
    await picture(page, "openid-no-access-phone");
    await page.getByRole("link", { name: "Sign in again" }).click();
    await page.getByLabel("API key or login code").waitFor();
  }
  const { identities } = await database.operate("identities", "list");
  assert.ok(!identities.some(({ subject }) => ["vera", "stan"].includes(subject)));
});

test("a user cancels at the provider, and signs in with a login code instead", { skip }, async (t) => {
  const page = await open(t);
  const { address } = await application();
  await page.goto(address);
  await page.getByRole("button", { name: "Sign in with Example Login" }).click();
  await page.getByRole("link", { name: /cancel/i }).click();
  await page.getByRole("heading", { name: "Not signed in" }).waitFor();
  await picture(page, "openid-cancelled");
  await page.getByRole("link", { name: "Sign in again" }).click();
  const { code } = await database.operate("login-code", "--user", project.user);
  await page.getByLabel("API key or login code").fill(code);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByText(project.user).waitFor();
});

test("a user who is removed between is out, and is not made again", { skip }, async (t) => {
  const { address, connect } = await application();
  const page = await open(t);
  await page.goto(address);
  await signIn(page, "otto");
  await page.getByRole("button", { name: "Allow" }).click();
  const client = await connect(t, await answer(page));
  await client.listTools();
  const { identities } = await database.operate("identities", "list");
  const { user } = identities.find(({ subject }) => subject === "otto");
  await database.operate("users", "remove", user);
  await assert.rejects(client.callTool({ name: "list_memory_bank_files", arguments: {} }));
  const again = await open(t);
  await again.goto(address);
  await signIn(again, "otto");
  await again.getByText("has removed your access").waitFor();
});

test("a provider that is down gives a clear page, and works again when it is back", { skip }, async (t) => {
  const page = await open(t);
  const { address } = await application();
  await page.goto(address);
  await page.getByRole("button", { name: "Sign in with Example Login" }).click();
  await page.locator('input[name="login"]').waitFor();
  const back = await page.context().newPage();
  await stopProvider();
  // The metadata is known; the provider's own page cannot be reached, and its answer cannot be exchanged.
  const cookies = await page.context().cookies(server.origin);
  assert.ok(cookies.some(({ name, sameSite, httpOnly }) => name === "mbmcp-openid" && sameSite === "Lax" && httpOnly));
  await back.goto(`${server.origin}/oauth/openid/callback?code=x&state=y`);
  await back.getByRole("heading", { name: "Start again" }).waitFor();
  await startProvider();
  await page.goto(address);
  await signIn(page, "dora");
  await page.getByRole("button", { name: "Allow" }).waitFor();
});
