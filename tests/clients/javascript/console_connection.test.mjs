// The web console while the server cannot be reached, or asks to wait: what has failed comes back by itself, and nothing is asked for in vain.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, launch, open, picture, plainField, settled, signIn, skip, withTools } from "./lib/console.mjs";
import { Database } from "./lib/http_server.mjs";

let database, server, browser, alice;

before(async () => {
  if (skip) return;
  database = await Database.lent();
  server = await database.serve();
  alice = await database.project();
  await withTools(server, alice.key, async (call) => {
    await call("initialize_memory_bank", { path: "." });
    await call("write_memory_bank_file", { filename: "plan.md", content: "# Plan\n" });
    await call("graph_upsert_entity", { name: "Billing", entityType: "service" });
    await call("graph_add_observation", { entity: "Billing", text: "is slow" });
  });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await database?.giveBack();
});

const trouble = (page) => page.getByRole("alert");
const unreachable = (page) => trouble(page).filter({ hasText: "The server cannot be reached." });

/** Each page that loads something, by a link to it, and what it shows then. */
const PAGES = [
  ["/app/documents", (page) => page.getByRole("link", { name: "plan.md" })],
  ["/app/documents/plan.md", (page) => page.getByRole("button", { name: "Download" })],
  ["/app/edit/plan.md", (page) => page.getByLabel("Text of plan.md")],
  ["/app/blame/plan.md", (page) => page.locator(".origin").first()],
  ["/app/history", (page) => page.getByRole("link", { name: /plan\.md/ }).first()],
  ["/app/search?q=plan", (page) => page.getByRole("link", { name: /plan\.md/ }).first()],
  ["/app/graph", (page) => page.getByRole("link", { name: "Billing" })],
  ["/app/graph?view=picture", (page) => page.getByText("1 entity and 0 relations")],
  ["/app/graph/Billing", (page) => page.getByText("is slow").first()],
  ["/app/sessions", (page) => page.getByText("changes, ").first()],
  ["/app/project/members", (page) => page.getByLabel(`Role of ${alice.user}`)],
  ["/app/project/health", (page) => page.getByText("Longest document")],
  ["/app/", (page) => page.getByRole("heading", { name: "Who was active" })],
];

/** Opens a page of the console as a link of it does. */
const visit = (page, address) =>
  page.evaluate((to) => {
    const link = Object.assign(document.createElement("a"), { href: to });
    document.querySelector("main").append(link);
    link.click();
    link.remove();
  }, address);

test("every page in error comes back with the connection, and never shows that it loads beside the error", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await plainField(page);
  await signIn(page, server.origin, alice.key);
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  await settled(page);
  // What the pages are made of is loaded before, so that the requests alone fail.
  for (const [address, found] of PAGES) {
    await visit(page, address);
    await found(page).waitFor();
  }
  for (const [address, found] of PAGES) {
    await page.context().setOffline(true);
    await visit(page, address);
    await unreachable(page).waitFor();
    assert.equal(await page.getByText("Loading…").count(), 0, address);
    assert.equal(await found(page).count(), 0, address);
    await page.context().setOffline(false);
    await found(page).waitFor({ timeout: 10_000 });
    assert.equal(await trouble(page).count(), 0, address);
  }
  await page.context().setOffline(true);
  await visit(page, "/app/documents");
  await unreachable(page).waitFor();
  await accessible(page);
  await picture(page, "unreachable");
  await page.context().setOffline(false);
});

test("a page in error comes back after a restart of the server, without an event of the browser", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key);
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  await settled(page);
  const isApi = (url) => url.pathname.startsWith("/api/");
  await page.route(isApi, (route) => route.abort("connectionrefused"));
  for (const [address, found] of [PAGES[0], PAGES[6]]) {
    await visit(page, address);
    await unreachable(page).waitFor();
    await page.waitForTimeout(1000);
    assert.equal(await found(page).count(), 0);
  }
  await page.unroute(isApi);
  await PAGES[6][1](page).waitFor();
  assert.equal(await trouble(page).count(), 0);
});

test("a part of the console that could not be loaded is loaded when the server can be reached again", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await plainField(page);
  await signIn(page, server.origin, alice.key);
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  const isPart = (url) => url.pathname.startsWith("/app/assets/");
  await page.route(isPart, (route) => route.abort("connectionrefused"));
  await visit(page, "/app/edit/plan.md");
  await unreachable(page).waitFor();
  await page.unroute(isPart);
  await page.getByLabel("Text of plan.md").waitFor();
  assert.equal(await trouble(page).count(), 0);
});

test("the error of an action leaves when the connection is back, and when the action is tried again", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key, "/app/graph/Billing");
  await page.getByRole("button", { name: "End: is slow" }).waitFor();
  await settled(page);
  await page.context().setOffline(true);
  await page.getByRole("button", { name: "End: is slow" }).click();
  await unreachable(page).waitFor();
  await page.context().setOffline(false);
  await unreachable(page).waitFor({ state: "detached", timeout: 10_000 });
  await page.getByRole("button", { name: "End: is slow" }).waitFor();
  await page.context().setOffline(true);
  await page.getByRole("button", { name: "End: is slow" }).click();
  await unreachable(page).waitFor();
  let answer;
  const held = new Promise((resolve) => (answer = resolve));
  await page.context().setOffline(false);
  await page.route(
    (url) => url.pathname === "/api/v1/graph/observation",
    async (route) => {
      await held;
      await route.continue();
    },
  );
  await page.getByRole("button", { name: "End: is slow" }).click();
  await unreachable(page).waitFor({ state: "detached", timeout: 2000 });
  answer();
  await page.getByText("Ended. Assistants no longer get this fact.").waitFor();
});

test("a save that waits says when it is tried next, and is made within seconds after the server is back, or at once", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await plainField(page);
  await signIn(page, server.origin, alice.key, "/app/edit/waiting.md");
  await page.getByLabel("Text of waiting.md").fill("# Waiting\n");
  const isApi = (url) => url.pathname.startsWith("/api/");
  const isSave = (request) => request.method() === "PUT";
  await page.route(isApi, (route) => route.abort("connectionrefused"));
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("Your text is kept in this browser, and is saved as soon as the connection is back.").waitFor();
  await page.getByText(/Next attempt in \d s\./).waitFor();
  await accessible(page);
  await picture(page, "edit-waiting");
  // After a longer time without the server, too.
  await page.waitForTimeout(9000);
  await page.unroute(isApi);
  await page.waitForRequest(isSave, { timeout: 5000 });
  await page.getByRole("heading", { name: "waiting.md", exact: true }).waitFor();
  const text = async () => (await (await server.fetch("/api/v1/document?filename=waiting.md", alice.key)).json()).text;
  assert.equal(await text(), "# Waiting\n");

  await page.getByRole("link", { name: "Edit" }).click();
  await page.getByLabel("Text of waiting.md").fill("# Waiting\n\nno more\n");
  await page.route(isApi, (route) => route.abort("connectionrefused"));
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText(/Next attempt in 4 s\./).waitFor();
  await page.unroute(isApi);
  const saved = page.waitForRequest(isSave, { timeout: 3000 });
  await page.getByRole("button", { name: "Try now" }).click();
  await saved;
  await page.getByRole("heading", { name: "waiting.md", exact: true }).waitFor();
  assert.equal(await text(), "# Waiting\n\nno more\n");
});

/** Refuses reads for too many requests until a time, with what the server sends then. */
async function refusing(page, seconds) {
  const end = Date.now() + 1000 * seconds;
  let refused = 0;
  await page.route(
    (url) => url.pathname.startsWith("/api/"),
    (route) => {
      const left = Math.ceil((end - Date.now()) / 1000);
      if (left <= 0) return route.continue();
      refused += 1;
      const body = JSON.stringify({ title: "Too Many Requests", status: 429, detail: "Too many requests", retryAfter: left });
      return route.fulfill({ status: 429, headers: { "Retry-After": String(left), "Content-Type": "application/problem+json" }, body });
    },
  );
  return () => refused;
}

test("a page whose requests the server refuses as too many waits, says so quietly, and goes on by itself", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key);
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  await settled(page);
  const refused = await refusing(page, 6);
  await page.goto(`${server.origin}/app/documents`);
  await page.getByText("so this page waits before the next one").waitFor();
  await page.getByText(/It goes on in \d s\./).waitFor();
  assert.equal(await trouble(page).count(), 0);
  await accessible(page);
  await picture(page, "too-many");
  await page.getByRole("link", { name: "plan.md" }).waitFor({ timeout: 15_000 });
  await page.getByText("so this page waits before the next one").waitFor({ state: "detached" });
  assert.ok(refused() <= 4, `${refused()} requests were refused`);
});

test("a read that finds no memory for its reply several times is made again soon", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key);
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  await settled(page);
  const detail = "replies of this key or token that are being made or were not read yet take all the memory it may have; read them, and try again in 1 s";
  const body = JSON.stringify({ title: "Too Many Requests", status: 429, detail });
  // One more than a read is sent before its page shows the refusal.
  await page.route(/\/api\/v1\/documents/, (route) => route.fulfill({ status: 429, headers: { "Retry-After": "1", "Content-Type": "application/problem+json" }, body }), { times: 4 });
  await page.goto(`${server.origin}/app/documents`);
  await trouble(page).waitFor();
  await page.getByRole("link", { name: "plan.md" }).waitFor({ timeout: 20_000 });
});

test("a change that the server refuses as one of too many requests is not sent again by itself", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await plainField(page);
  await signIn(page, server.origin, alice.key, "/app/edit/refused.md");
  await page.getByLabel("Text of refused.md").fill("# Refused\n");
  await settled(page);
  const sent = [];
  page.on("request", (request) => request.method() === "PUT" && sent.push(request.url()));
  await refusing(page, 3);
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await trouble(page).filter({ hasText: "Too many requests. Try again in" }).waitFor();
  await page.waitForTimeout(5000);
  assert.equal(sent.length, 1);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("heading", { name: "refused.md", exact: true }).waitFor();
});

test("twenty pages that are opened one after the other fit into the requests of a key with sixty a minute", { skip }, async (t) => {
  const headers = { "Content-Type": "application/json" };
  const made = await server.fetch("/api/v1/members", alice.key, { method: "POST", headers, body: JSON.stringify({ name: "sixty", role: "editor" }) });
  const { key } = await made.json();
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, key.key);
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  await settled(page);
  const refused = [];
  let sent = 0;
  page.on("response", (response) => response.status() === 429 && refused.push(response.url()));
  page.on("request", (request) => (sent += new URL(request.url()).pathname.startsWith("/api/") ? 1 : 0));
  const opened = [PAGES[12], PAGES[0], PAGES[1], PAGES[4], PAGES[6], PAGES[8], PAGES[9]];
  const counts = [];
  for (let number = 0; number < 20; number += 1) {
    const [address, found] = opened[number % opened.length];
    const before = sent;
    await page.goto(server.origin + address);
    await found(page).waitFor();
    await settled(page);
    await page.waitForTimeout(300);
    counts.push(`${address}: ${sent - before}`);
    // The page of an entity has its facts, its history and the documents that point to it.
    const most = address.startsWith("/app/graph/") ? 4 : 3;
    assert.ok(sent - before <= most, `${address} took ${sent - before} requests`);
  }
  assert.deepEqual(refused, [], counts.join(", "));
});
