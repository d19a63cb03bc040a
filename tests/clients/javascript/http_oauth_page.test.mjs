// The pages of OAuth in a real browser, Chromium, without scripts: signing in with a login code and with a key, choosing
// a project and rights, allowing, refusing, and taking back; by keyboard and on a phone. With OAUTH_SCREENSHOTS, a
// folder, each page is stored there as a picture.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, skip } from "./lib/browser.mjs";
import { Database } from "./lib/http_server.mjs";

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

let database, server, alice, other, browser, listener, callback;
const answers = [];

before(async () => {
  if (skip) return;
  database = await Database.lent();
  server = await database.serve();
  alice = await database.project();
  other = `${alice.slug}-second`;
  await database.operate("projects", "create", other, "--owner", alice.user);
  // Where the application waits for its answer.
  listener = createServer((request, reply) => {
    const url = new URL(request.url, "http://localhost");
    if (url.pathname === "/callback") answers.push(url.searchParams);
    const frame = `<iframe name="framed" src="${server.origin}/oauth/grants"></iframe>`;
    const forged = `<form method="post" action="${server.origin}/oauth/grants"><input name="grant" value="x"><button>Win</button></form>`;
    reply.setHeader("Content-Type", "text/html");
    reply.end(url.pathname === "/frame" ? frame : url.pathname === "/forged" ? forged : "<h1>Connected</h1>");
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  callback = `http://localhost:${listener.address().port}/callback`;
  browser = await launch();
});
after(async () => {
  await browser?.close();
  listener?.close();
  await database?.giveBack();
});

/** An application that has registered itself, and the address with which it opens the browser. */
async function application(name, scope) {
  const reply = await fetch(`${server.origin}/oauth/register`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ client_name: name, redirect_uris: ["http://localhost/callback"] }),
  });
  const { client_id } = await reply.json();
  const verifier = randomBytes(32).toString("base64url");
  const parameters = new URLSearchParams({
    response_type: "code",
    client_id,
    redirect_uri: callback,
    scope,
    state: "a state",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
    resource: `${server.origin}/mcp`,
  });
  const exchange = async (code) => {
    const body = new URLSearchParams({ grant_type: "authorization_code", client_id, code, redirect_uri: callback, code_verifier: verifier });
    const tokens = await fetch(`${server.origin}/oauth/token`, { method: "POST", body });
    assert.equal(tokens.status, 200, await tokens.clone().text());
    return tokens.json();
  };
  return { address: `${server.origin}/oauth/authorize?${parameters}`, exchange };
}

/** A page of a browser without scripts, which fails the test if it reports anything. */
async function open(t, viewport = DESKTOP) {
  const context = await browser.newContext({ viewport, javaScriptEnabled: false });
  t.after(() => context.close());
  const page = await context.newPage();
  const reports = [];
  page.on("console", (message) => reports.push(message.text()));
  t.after(() => assert.deepEqual(reports.filter((text) => !text.startsWith("Failed to load resource")), []));
  return page;
}

async function picture(page, name) {
  const folder = process.env.OAUTH_SCREENSHOTS;
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}

async function loginCode() {
  return (await database.operate("login-code", "--user", alice.user)).code;
}

async function signIn(page, secret) {
  await page.getByLabel("API key or login code").fill(secret);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** The answer that the last click has brought to the application. */
async function answer(page) {
  await page.waitForURL(`${callback}**`);
  const parameters = answers.pop();
  assert.equal(parameters.get("state"), "a state");
  assert.equal(parameters.get("iss"), server.origin);
  return parameters;
}

/** Nothing is wider than the screen. */
async function fits(page, { width }) {
  const boxes = await page.locator("h1, p, dl, form, select, button, input, li").all();
  for (const box of boxes) {
    const { x = 0, width: wide = 0 } = (await box.boundingBox()) ?? {};
    assert.ok(x >= 0 && x + wide <= width, await box.evaluate((element) => element.outerHTML).catch(() => "an element"));
  }
}

async function opens(token) {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json", Accept: "application/json, text/event-stream" };
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "x", version: "1" } };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params });
  return (await fetch(server.url, { method: "POST", headers, body })).status;
}

test("a user signs in with a login code, chooses a project and rights, allows, and takes it back", { skip }, async (t) => {
  const { address, exchange } = await application("Research Assistant", "read write admin");
  const page = await open(t);
  await page.goto(address);
  await picture(page, "sign-in");
  await signIn(page, "ABCD-EFGH-JKMN-PQRS");
  assert.match(await page.getByRole("alert").innerText(), /not valid/);
  await picture(page, "sign-in-refused");
  await signIn(page, await loginCode());
  await page.getByRole("heading", { name: /Research Assistant/ }).waitFor();
  const text = await page.locator("main").innerText();
  for (const shown of ["Research Assistant", "localhost", alice.user, "nobody has checked it"]) assert.ok(text.includes(shown), text);
  assert.deepEqual(
    await Promise.all(["read", "write", "admin"].map((right) => page.getByRole("checkbox", { name: `(${right})` }).isChecked())),
    [true, true, false],
  );
  await picture(page, "consent");
  const options = await page.getByLabel("Project").locator("option").allInnerTexts();
  assert.equal(options.length, 2, options);
  await page.getByLabel("Project").selectOption({ label: options.find((option) => option.startsWith(other)) });
  await page.getByRole("checkbox", { name: "(write)" }).uncheck();
  await page.getByLabel("For how long").selectOption("7 days");
  await page.getByRole("button", { name: "Allow" }).click();
  const tokens = await exchange((await answer(page)).get("code"));
  assert.equal(tokens.scope, "read");
  assert.equal(await opens(tokens.access_token), 200);
  const { grants } = await database.operate("grants", "list", "--project", other);
  assert.deepEqual([grants[0].clientName, grants[0].scopes], ["Research Assistant", ["read"]]);

  // The page of grants has a sign-in of its own.
  await page.goto(`${server.origin}/oauth/grants`);
  await signIn(page, await loginCode());
  const item = page.getByRole("listitem");
  assert.match(await item.innerText(), new RegExp(`Research Assistant.*localhost.*read.*${other}`, "s"));
  await picture(page, "grants");
  await page.getByRole("button", { name: /^Take back Research Assistant, allowed 20\d\d-/ }).click();
  await page.getByText("You have allowed nothing").waitFor();
  assert.equal(await opens(tokens.access_token), 401);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("API key or login code").waitFor();
});

test("a user signs in with a key and allows by keyboard, on a phone", { skip }, async (t) => {
  const name = "An application whose name is as long as eighty characters let it be, without end";
  const { address, exchange } = await application(name, "read write");
  const page = await open(t, PHONE);
  await page.goto(address);
  await fits(page, PHONE);
  await picture(page, "sign-in-phone");
  // The field has the focus.
  await page.keyboard.insertText(alice.key);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Allow" }).waitFor();
  await fits(page, PHONE);
  await picture(page, "consent-phone");
  const options = await page.getByLabel("Project").locator("option").allInnerTexts();
  assert.equal(options.length, 1, "a key opens its own project only");
  const focused = page.locator(":focus");
  for (let step = 0; step < 20 && (await focused.count() ? await focused.innerText() : "") !== "Allow"; step += 1) await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  const tokens = await exchange((await answer(page)).get("code"));
  assert.equal(tokens.scope, "read write");
  await page.goto(`${server.origin}/oauth/grants`);
  await signIn(page, alice.key);
  await page.getByRole("button", { name: "Sign out" }).waitFor();
  await fits(page, PHONE);
  await picture(page, "grants-phone");
});

test("a user signs in as somebody else", { skip }, async (t) => {
  const { address, exchange } = await application("Switched", "read write");
  const page = await open(t);
  await page.goto(address);
  await signIn(page, alice.key);
  await page.getByRole("button", { name: "Sign in as somebody else" }).click();
  const bob = await database.project();
  await signIn(page, bob.key);
  await page.getByText(bob.user).waitFor();
  await page.getByRole("button", { name: "Allow" }).click();
  await exchange((await answer(page)).get("code"));
  const { grants } = await database.operate("grants", "list", "--user", bob.user);
  assert.deepEqual(grants.map((grant) => grant.project), [bob.slug]);
});

test("a user refuses, and a malformed request leads nowhere by itself", { skip }, async (t) => {
  const { address } = await application("Refused", "read");
  const page = await open(t);
  await page.goto(address);
  await signIn(page, await loginCode());
  await page.getByRole("button", { name: "Deny" }).click();
  assert.equal((await answer(page)).get("error"), "access_denied");
  await page.goto(address.replace("S256", "plain"));
  await picture(page, "malformed");
  assert.ok(page.url().startsWith(server.origin), page.url());
  await page.getByRole("link", { name: "Return to the application" }).click();
  assert.equal((await answer(page)).get("error"), "invalid_request");
});

/** A listener on this computer; gives its origin and the headers of the requests for its callback. */
async function listen(t, host, answer = (reply) => reply.end("done")) {
  const got = [];
  const one = createServer((request, reply) => {
    if (request.url.startsWith("/cb")) got.push({ ...request.headers, url: request.url });
    answer(reply, request);
  });
  await new Promise((resolve, reject) => one.once("error", reject).listen(0, host.replace(/[[\]]/g, ""), resolve));
  t.after(() => one.close());
  return { origin: `http://${host}:${one.address().port}`, got };
}

/** Registers an application with this redirect URI and opens its page of consent. */
async function consent(page, redirect_uri, parameters = {}) {
  const body = JSON.stringify({ client_name: "Attacker", redirect_uris: [redirect_uri] });
  const reply = await fetch(`${server.origin}/oauth/register`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  const { client_id } = await reply.json();
  const challenge = createHash("sha256").update("v".repeat(43)).digest("base64url");
  const of = (scope) => {
    const all = { response_type: "code", client_id, redirect_uri, scope, state: "s", code_challenge: challenge, code_challenge_method: "S256", ...parameters };
    return `${server.origin}/oauth/authorize?${new URLSearchParams(all)}`;
  };
  await page.goto(of("read"));
  await signIn(page, await loginCode());
  await page.getByRole("button", { name: "Allow" }).waitFor();
  return of;
}

test("the cookie that an application at another port of the host gets is worth nothing", { skip }, async (t) => {
  const host = new URL(server.origin).hostname;
  for (const decision of ["Allow", "Deny"]) {
    const page = await open(t);
    const { origin, got } = await listen(t, host);
    const of = await consent(page, `${origin}/cb`);
    const [{ name, value }] = await page.context().cookies(server.origin);
    await page.getByRole("button", { name: decision }).click();
    await page.waitForURL(`${origin}/cb**`);
    assert.deepEqual([got[0].cookie, got[0].referer], [undefined, undefined], decision);
    assert.deepEqual(await page.context().cookies(server.origin), [], decision);
    // Even with the cookie that the browser had, nothing opens.
    for (const address of [of("read"), of("read write admin"), `${server.origin}/oauth/grants`]) {
      for (const one of [name, `${name}-grants`]) {
        const text = await (await fetch(address, { headers: { Cookie: `${one}=${value}` } })).text();
        assert.ok(text.includes("API key or login code") && !text.includes(alice.user), text);
      }
    }
  }
});

test("a browser reaches an application at every loopback address", { skip }, async (t) => {
  for (const host of ["127.0.0.1", "127.0.0.2", "[::1]", "localhost"]) {
    const page = await open(t);
    const { origin, got } = await listen(t, host);
    await consent(page, `${origin}/cb`);
    await page.getByRole("button", { name: "Allow" }).click();
    await page.waitForURL(`${origin}/cb**`);
    assert.match(got[0].url, /code=mbmcp_/, host);
  }
});

test("a browser leads to a program, also by a redirect of the application's site", { skip }, async (t) => {
  const { origin, got } = await listen(t, "127.0.0.1");
  for (const onward of ["vscode://editor.example/cb?x=1", `${origin}/cb?x=1`]) {
    const page = await open(t);
    // The application's site, over https, which leads on.
    await page.route("https://site.example/**", (route) => route.fulfill({ status: 302, headers: { Location: onward } }));
    const sent = [];
    page.on("request", (request) => sent.push(request.url()));
    await consent(page, "https://site.example/cb");
    await page.getByRole("button", { name: "Allow" }).click();
    if (onward.startsWith("http")) await page.waitForURL(onward);
    else while (!sent.some((url) => url.startsWith("https://site.example/cb"))) await page.waitForTimeout(50);
    assert.ok(sent.some((url) => url.startsWith("https://site.example/cb?code=")), sent);
  }
  assert.equal(got.length, 1);
  // Straight to a program: what happens next is for the system; the page stays, with a link.
  const page = await open(t);
  await consent(page, "cursor://editor.example/cb");
  await page.getByRole("button", { name: "Allow" }).click();
  const link = page.getByRole("link", { name: "Return to the application" });
  assert.match(await link.getAttribute("href"), /^cursor:\/\/editor\.example\/cb\?code=mbmcp_.*&iss=/);
  await picture(page, "allowed");
  assert.deepEqual(await page.evaluate(faults), []);
});

/** What is too small to touch, without a name, or hard to read on a page; runs in the page. */
function faults() {
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.background = "Canvas";
  const canvas = getComputedStyle(probe).backgroundColor;
  probe.remove();
  const luminance = (text) => {
    const [r, g, b] = rgb(text).map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if (rgb(color)[3] !== 0) return color;
    }
    return canvas;
  };
  const found = [];
  for (const element of document.querySelectorAll("main *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    const [low, high] = [luminance(getComputedStyle(element).color), luminance(behind(element))].sort((a, b) => a - b);
    if (text && (high + 0.05) / (low + 0.05) < 4.5) found.push(`contrast ${(high + 0.05) / (low + 0.05)}: ${element.outerHTML}`);
  }
  for (const control of document.querySelectorAll("button, select, input:not([type=hidden]), a")) {
    const touched = control.type === "checkbox" ? control.labels[0] : control;
    const { width, height } = touched.getBoundingClientRect();
    if (height < 44 || width < 44) found.push(`${width} x ${height}: ${control.outerHTML}`);
    const name = control.labels?.length ? control.labels[0].textContent : control.getAttribute("aria-label") ?? control.textContent;
    if (!name.trim()) found.push(`no name: ${control.outerHTML}`);
  }
  if (!document.title || !document.documentElement.lang || document.querySelectorAll("h1").length !== 1) found.push("title, language or heading");
  return found;
}

for (const [size, viewport] of [["desktop", DESKTOP], ["phone", PHONE]]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`every page is readable, and its controls have a name and are large enough, on a ${size} in ${colorScheme} colours`, { skip }, async (t) => {
      const { address, exchange } = await application("Colours", "read write admin");
      const context = await browser.newContext({ viewport, colorScheme });
      t.after(() => context.close());
      const page = await context.newPage();
      const look = async (name) => {
        await picture(page, `${name}-${size}-${colorScheme}`);
        await fits(page, viewport);
        assert.deepEqual(await page.evaluate(faults), [], name);
      };
      await page.goto(address);
      await look("sign-in");
      await signIn(page, "ABCD-EFGH-JKMN-PQRS");
      await look("sign-in-refused");
      await signIn(page, await loginCode());
      await look("consent");
      await page.getByRole("button", { name: "Allow" }).click();
      await exchange((await answer(page)).get("code"));
      await page.goto(`${server.origin}/oauth/grants`);
      await signIn(page, await loginCode());
      await page.getByRole("button", { name: "Sign out" }).waitFor();
      await look("grants");
      await page.goto(address.replace("S256", "plain"));
      await look("malformed");
    });
  }
}

test("the pages cannot be framed, and a form of another site is refused", { skip }, async (t) => {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(`${server.origin}/oauth/grants`);
  const refused = page.waitForEvent("console", (message) => message.text().includes("frame-ancestors"));
  await page.goto(callback.replace("/callback", "/frame"));
  await refused;
  assert.equal(await page.frameLocator("iframe").getByLabel("API key or login code").count(), 0);
  await page.goto(callback.replace("/callback", "/forged"));
  const [reply] = await Promise.all([page.waitForResponse((one) => one.request().method() === "POST"), page.getByRole("button").click()]);
  assert.equal(reply.status(), 403);
});
