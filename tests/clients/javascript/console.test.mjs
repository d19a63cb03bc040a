// The web console in Chromium, on a server with PostgreSQL and Redis: signing in, reading, searching, the history, signing
// out; by keyboard, on a phone, in light and dark; with axe on every page. With CONSOLE_SCREENSHOTS, a folder, pages are
// stored there as pictures.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { accessible, fits, launch, open, PHONE, picture, settled, signIn, skip, withTools } from "./lib/console.mjs";
import { Database } from "./lib/http_server.mjs";

let database, server, browser, alice;

const GUIDE = `# Deployment

How the shop is deployed.

## Steps

1. Build the image.
2. Push it, see [the decisions](../decision-log.md) and [the checks](#checks).

- [x] staging
- [ ] production

| Stage | Replicas |
|---|---:|
| staging | 1 |
| production | 3 |

## Checks

The health check answers with \`200\`.

\`\`\`sh
curl -f https://shop.example.com/health
\`\`\`

## Rollback

Use the [former image](https://registry.example.com/shop). ![the pipeline](https://pictures.example.com/pipeline.png)
`;

before(async () => {
  if (skip) return;
  database = await Database.lent();
  server = await database.serve();
  alice = await database.project();
  await withTools(server, alice.key, async (call) => {
    await call("initialize_memory_bank", { path: "." });
    await call("write_memory_bank_file", {
      filename: "active-context.md",
      content:
        "# Active Context\n\n## Current Focus\n\nMoving the **checkout** to the new payment provider.\n\n## Ongoing Tasks\n\n- Port the refunds\n- Write the runbook\n\n## Known Issues\n\n- Refunds fail for orders before 2024\n\n## Next Steps\n\n- Ask finance about old orders\n",
    });
    await call("track_progress", { action: "Checkout", description: "moved the cart to the new provider" });
    await call("log_decision", {
      title: "Use the new payment provider",
      context: "Fees rose",
      decision: "Move all payments to the new provider",
    });
    await call("write_memory_bank_file", { filename: "guides/deployment.md", content: GUIDE });
    await call("write_memory_bank_file", { filename: "guides/deployment.md", content: GUIDE.replace("| production | 3 |", "| production | 5 |") });
    await call("graph_upsert_entity", { name: "Checkout", entityType: "service", attrs: { team: "shop", replicas: 3 } });
    await call("graph_upsert_entity", { name: "Payments", entityType: "service" });
    await call("graph_add_observation", { entity: "Checkout", text: "uses the **new** provider since November" });
    await call("graph_link_entities", { from: "Checkout", to: "Payments", relationType: "calls" });
  });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await database?.giveBack();
});

test("a reader signs in with a key, reads, searches, follows the history, and signs out", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await page.goto(`${server.origin}/app/`);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await accessible(page);
  await picture(page, "sign-in");
  await page.getByLabel("API key or login code").fill("mbmcp_live_0000000000000000000000000000wrong");
  await page.keyboard.press("Enter");
  assert.match(await page.getByRole("alert").innerText(), /neither an API key nor a login code|not valid/);
  await accessible(page);
  await page.getByLabel("API key or login code").fill(alice.key);
  await page.keyboard.press("Enter");

  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  const overview = await page.locator("main").innerText();
  for (const shown of ["Moving the checkout to the new payment provider.", "Refunds fail for orders before 2024", "Port the refunds", "Use the new payment provider", alice.user]) {
    assert.ok(overview.includes(shown), overview);
  }
  await accessible(page);
  await picture(page, "overview");

  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Documents" }).click();
  await page.getByRole("link", { name: "deployment.md" }).waitFor();
  assert.equal(await page.locator("h1").evaluate((heading) => heading === document.activeElement), true, "the heading of the page has the focus");
  await accessible(page);
  await picture(page, "documents");
  await page.getByLabel("Filter by name").fill("deploy");
  await page.getByText("1 document", { exact: true }).waitFor();
  await page.getByRole("link", { name: "deployment.md" }).click();

  await page.getByRole("heading", { name: "Checks" }).waitFor();
  await page.getByRole("navigation", { name: "On this page" }).getByRole("link", { name: "Rollback" }).waitFor();
  // A remote image is a link, and another site opens in a tab of its own.
  const image = page.getByRole("link", { name: "Open the image “the pipeline” at pictures.example.com" });
  assert.equal(await image.getAttribute("rel"), "noopener noreferrer nofollow");
  assert.equal(await page.locator("article img").count(), 0);
  await accessible(page);
  await picture(page, "document");
  await page.getByRole("link", { name: "the decisions" }).click();
  await page.getByRole("heading", { name: "decision-log.md", level: 1 }).waitFor();
  await page.goBack();
  await page.getByRole("heading", { name: "deployment.md", level: 1 }).waitFor();

  await page.locator("main").getByRole("link", { name: "History" }).click();
  await page.getByRole("link", { name: /version 2/ }).click();
  await page.getByText("| production | 5 |").waitFor();
  const difference = await page.getByRole("region", { name: "History" }).innerText();
  assert.match(difference, /removed:\s+-\| production \| 3 \|\s+added:\s+\+\| production \| 5 \|/);
  await accessible(page);
  await picture(page, "history");

  await page.keyboard.press("/");
  await page.getByLabel("Search the documents").fill("payment provider");
  await page.locator("ol.results mark").first().waitFor();
  assert.equal((await page.locator("ol.results mark").first().innerText()).toLowerCase(), "payment");
  await page.waitForURL(/\/app\/search\?q=payment%20provider$/);
  await accessible(page);
  await picture(page, "search");
  await page.getByLabel("Search the documents").fill("qqqqzzzz");
  await page.getByText("Nothing is found for “qqqqzzzz”").waitFor();

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("You are signed out.").waitFor();
  const { grants } = await database.operate("grants", "list", "--project", alice.slug);
  assert.deepEqual(grants.filter(({ clientName }) => clientName === "Web console"), []);
});

test("a session is a cookie that no script reads, and opens nothing without its other half", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key);
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  const [cookie] = await page.context().cookies();
  assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite], [`mbmcp-console-${new URL(server.origin).port}`, true, "Strict"]);
  assert.ok(!(await page.evaluate(() => document.cookie)).includes("mbmcp"));
  const token = await page.evaluate(() => JSON.parse(localStorage.getItem("memory-bank-console")).token);
  const status = async (headers) => (await fetch(`${server.origin}/api/v1/session`, { headers })).status;
  const halves = { Cookie: `${cookie.name}=${cookie.value}`, "X-Console-Token": token };
  assert.equal(await status(halves), 200);
  assert.equal(await status({ Cookie: halves.Cookie }), 401);
  assert.equal(await status({ "X-Console-Token": token }), 401);
  assert.equal(await status({ ...halves, "Sec-Fetch-Site": "same-site" }), 401);
  assert.equal(await status({ ...halves, Origin: "http://localhost:1" }), 403);
  // It opens what the console shows, and no other route.
  for (const path of ["/api/keys", "/api/history"]) assert.equal((await fetch(server.origin + path, { headers: halves })).status, 401, path);
  assert.equal((await fetch(server.url, { method: "POST", headers: halves, body: "{}" })).status, 401);
  // Signing out needs both halves, too, and ends the session for whoever kept them.
  const end = async (headers) => (await fetch(`${server.origin}/app/session`, { method: "DELETE", headers })).status;
  assert.equal(await end({ Cookie: halves.Cookie }), 401);
  assert.equal(await status(halves), 200);
  assert.equal(await end(halves), 204);
  assert.equal(await status(halves), 401);
});

test("a session ends with the key that it was opened with, and says so", { skip }, async (t) => {
  const made = await server.fetch("/api/keys", alice.key, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ scopes: ["read"] }) });
  const { key, id } = await made.json();
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, key, "/app/documents/guides/deployment.md");
  await page.getByRole("heading", { name: "Checks" }).waitFor();
  assert.equal((await server.fetch(`/api/keys/${id}`, alice.key, { method: "DELETE" })).status, 200);
  await page.getByRole("link", { name: "Overview" }).click();
  await page.getByText("Your session has ended.").waitFor();
  await page.getByLabel("API key or login code").fill(alice.key);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
});

test("a key that may not read opens no session, and a revoked one neither", { skip }, async () => {
  const post = (body, headers = {}) =>
    fetch(`${server.origin}/app/session`, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });
  const made = await server.fetch("/api/keys", alice.key, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ scopes: ["write"] }) });
  const { key, id } = await made.json();
  assert.equal((await post({ secret: key })).status, 403);
  await server.fetch(`/api/keys/${id}`, alice.key, { method: "DELETE" });
  assert.equal((await post({ secret: key })).status, 401);
  assert.equal((await post({ secret: alice.key }, { "Sec-Fetch-Site": "cross-site" })).status, 403);
  assert.equal((await post({ secret: alice.key }, { Origin: "https://evil.example" })).status, 403);
  for (const body of [{}, { secret: alice.key, project: "x" }, { other: 1 }]) assert.equal((await post(body)).status, 400);
});

test("a user of several projects chooses one after a login code", { skip }, async (t) => {
  const second = `${alice.slug}-second`;
  await database.operate("projects", "create", second, "--owner", alice.user);
  const { code } = await database.operate("login-code", "--user", alice.user);
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, code);
  await page.getByRole("heading", { name: "Choose a project" }).waitFor();
  await accessible(page);
  await page.getByRole("button", { name: new RegExp(`${second}.*owner`, "s") }).click();
  await page.getByText("There is nothing to show yet.").waitFor();
  assert.match(await page.title(), new RegExp(second));
  assert.deepEqual((await page.context().cookies()).map(({ name }) => name), [`mbmcp-console-${new URL(server.origin).port}`]);
});

test("the search has its field in focus however it is opened", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key);
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  await settled(page);
  const isFocused = () => page.waitForFunction(() => document.activeElement?.id === "query", undefined, { timeout: 3000 });
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Search" }).click();
  await page.getByLabel("Search the documents").waitFor();
  await page.waitForTimeout(200);
  await isFocused();
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Overview" }).click();
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  await page.keyboard.press("/");
  await page.waitForTimeout(200);
  await isFocused();
  await page.goto(`${server.origin}/app/search`);
  await isFocused();
  await page.getByLabel("Show ended facts").waitFor();
});

test("results of a search are plain text with the words found, and say where the words are if they are not in the line", { skip }, async (t) => {
  const text = "# The **zebra** rules\n\n- **Wombats** eat [`hay`](https://example.com) ~~often~~\n- [ ] ask the *wombat* keeper\n\n| animal | food |\n|---|---|\n| wombat | **grass** |\n\n## Wombat `house`\n\nIt has one door.\n";
  await withTools(server, alice.key, (call) => call("write_memory_bank_file", { filename: "animals/marsupials.md", content: text }));
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key, "/app/search?q=wombat");
  const results = page.locator(".result");
  await results.first().waitFor();
  const shown = await results.allInnerTexts();
  assert.ok(shown.some((row) => row.includes("Wombats eat hay often")), shown.join("\n---\n"));
  assert.ok(shown.some((row) => row.includes("ask the wombat keeper")), shown.join("\n---\n"));
  assert.ok(shown.some((row) => row.includes("wombat · grass")), shown.join("\n---\n"));
  for (const row of shown) assert.doesNotMatch(row, /\*\*|`|\]\(|^#|\[ \]|~~/m);
  for (const result of await results.all()) assert.ok((await result.locator("mark").count()) > 0, await result.innerText());
  await accessible(page);
  await picture(page, "search-plain");
  // By two words: each row shows one of them, or says where it is.
  await page.getByLabel("Search the documents").fill("marsupials door");
  await page.getByText("It has one door.").first().waitFor();
  await settled(page);
  for (const result of await results.all()) {
    const found = await result.locator("mark").count();
    assert.ok(found > 0 || /similar in meaning/.test(await result.innerText()), await result.innerText());
  }
  await results.filter({ hasText: "It has one door." }).getByRole("link").first().click();
  await page.waitForURL(/\/app\/documents\/animals\/marsupials\.md#h-wombat-house$/);
  await page.getByRole("heading", { name: "Wombat house" }).waitFor();
});

test("a decision of the overview leads to the documents that have it", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key);
  await page.getByRole("link", { name: "Use the new payment provider" }).click();
  await page.locator(".result", { hasText: "decision-log.md" }).first().waitFor();
});

test("everything is reached by keyboard, with a command palette", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key);
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").waitFor();
  await accessible(page);
  await page.keyboard.type("deploy");
  await page.getByRole("option", { name: "guides/deployment.md" }).waitFor();
  await picture(page, "palette");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Checks" }).waitFor();
  // The skip link is the first stop of a page, and leads to its content.
  await page.reload();
  await page.getByRole("heading", { name: "Checks" }).waitFor();
  await page.keyboard.press("Tab");
  const skipLink = page.getByRole("link", { name: "Skip to the content" });
  assert.equal(await skipLink.evaluate((link) => link === document.activeElement && link.getBoundingClientRect().left >= 0), true);
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "content");
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("combobox").waitFor({ state: "detached" });
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").waitFor();
  await page.keyboard.type("sign out");
  await page.keyboard.press("Enter");
  await page.getByText("You are signed out.").waitFor();
});

test("an entity has a page with its facts, relations, attributes and changes, and a search finds it", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key, "/app/search?q=checkout");
  await page.locator(".entities").getByRole("link", { name: "Checkout" }).waitFor();
  await accessible(page);
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Graph" }).click();
  await page.getByText("2 entities").waitFor();
  await page.getByLabel("Search the entities").fill("provider");
  await page.getByText("1 entity", { exact: true }).waitFor();
  await page.getByRole("link", { name: "Checkout" }).click();
  await page.getByRole("heading", { name: "Checkout", level: 1 }).waitFor();
  const text = await page.locator("main").innerText();
  for (const shown of ["service", "uses the new provider since November", "calls", "Payments", "team", "shop", "replicas", "3", `by ${alice.user}`, "with graph_add_observation"]) {
    assert.ok(text.includes(shown), `${shown}: ${text}`);
  }
  await accessible(page);
  await picture(page, "entity");
  await page.getByRole("link", { name: "Payments", exact: true }).click();
  await page.getByText("Nothing is known about it yet.").waitFor();
  // Of the two answers that the page waits for, either one comes first.
  for (const late of ["**/api/v1/graph/entity?**", "**/api/v1/history?**"]) {
    await page.route(late, async (route) => {
      await setTimeout(1000);
      await route.continue();
    });
    await page.goto(`${server.origin}/app/graph/ent_unknown`);
    await page.getByText("This entity or fact does not exist, or not any more.").waitFor();
    await page.unrouteAll({ behavior: "wait" });
  }
});

test("times are shown in UTC for who asks, by keyboard and on a phone, on every page", { skip }, async (t) => {
  const { updatedAt } = await (await server.fetch("/api/v1/document?filename=progress.md", alice.key)).json();
  const utc = `${updatedAt.slice(0, 16).replace("T", " ")} UTC`;
  const page = await open(t, browser, server.origin, { timezoneId: "Asia/Tokyo" });
  await signIn(page, server.origin, alice.key, "/app/documents/progress.md");
  const time = page.locator("main time").first();
  await time.waitFor();
  assert.notEqual(await time.innerText(), utc);
  await page.keyboard.press("Control+k");
  await page.keyboard.type("times in utc");
  await page.keyboard.press("Enter");
  await page.locator("main time", { hasText: utc }).first().waitFor();
  await accessible(page);
  await page.goto(`${server.origin}/app/history`);
  await page.locator("main time").first().waitFor();
  for (const text of await page.locator("main time").allInnerTexts()) assert.match(text, /^\d{4}-\d\d-\d\d \d\d:\d\d UTC$/);
  const phone = await open(t, browser, server.origin, { viewport: PHONE, isMobile: true, hasTouch: true });
  await signIn(phone, server.origin, alice.key, "/app/documents/progress.md");
  await phone.locator("main time").first().waitFor();
  const button = phone.getByRole("button", { name: "Times in UTC" });
  await button.tap();
  await phone.locator("main time", { hasText: utc }).first().waitFor();
  assert.equal(await button.getAttribute("aria-pressed"), "true");
  await fits(phone);
  await accessible(phone);
  await button.tap();
  await phone.locator("main time", { hasText: utc }).first().waitFor({ state: "detached" });
});

test("a phone shows every page, in light and dark colours, and nothing is wider than its screen", { skip }, async (t) => {
  for (const colorScheme of ["light", "dark"]) {
    const page = await open(t, browser, server.origin, { viewport: PHONE, hasTouch: true, isMobile: true, colorScheme });
    await signIn(page, server.origin, alice.key);
    for (const [path, text, name] of [
      ["/app/", "Who was active", "overview"],
      ["/app/documents", "deployment.md", "documents"],
      ["/app/documents/guides/deployment.md", "Rollback", "document"],
      ["/app/history/guides/deployment.md?version=2", "What version 2 changed", "history"],
      ["/app/graph", "Payments", "graph"],
      ["/app/search?q=refunds", "orders before 2024", "search"],
    ]) {
      await page.getByRole("navigation", { name: "Pages" }).waitFor();
      await page.goto(server.origin + path);
      await page.getByText(text).last().waitFor();
      await fits(page);
      await accessible(page);
      await picture(page, `${name}-phone-${colorScheme}`);
    }
  }
  const dark = await open(t, browser, server.origin, { colorScheme: "dark" });
  await signIn(dark, server.origin, alice.key);
  await dark.getByRole("heading", { name: "Who was active" }).waitFor();
  await accessible(dark);
  await picture(dark, "overview-dark");
  await dark.goto(`${server.origin}/app/documents/guides/deployment.md`);
  await dark.getByRole("heading", { name: "Checks" }).waitFor();
  await accessible(dark);
  await picture(dark, "document-dark");
});

test("errors say what to do, and a page that failed is loaded again", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key, "/app/documents/nowhere.md");
  await page.getByText("There is no document of this name.").waitFor();
  await accessible(page);
  await page.goto(`${server.origin}/app/nonsense`);
  await page.getByRole("heading", { name: "There is no such page." }).waitFor();
  await page.context().setOffline(true);
  await page.getByRole("link", { name: "Documents" }).click();
  await page.getByText("The server cannot be reached.").waitFor();
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText("The server cannot be reached.").waitFor();
  await page.context().setOffline(false);
  await page.getByRole("link", { name: "deployment.md" }).waitFor();
});

test("the files of the console are compressed, kept by their hash, and come from this server alone", { skip }, async () => {
  const first = await fetch(`${server.origin}/app/`);
  const policy = first.headers.get("content-security-policy");
  for (const part of ["default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "require-trusted-types-for 'script'"]) {
    assert.ok(policy.includes(part), policy);
  }
  assert.equal(first.headers.get("x-content-type-options"), "nosniff");
  assert.equal(first.headers.get("referrer-policy"), "no-referrer");
  assert.equal(first.headers.get("cache-control"), "no-cache");
  const again = await fetch(`${server.origin}/app/`, { headers: { "If-None-Match": first.headers.get("etag") } });
  assert.equal(again.status, 304);
  const files = [...(await first.text()).matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path);
  assert.ok(files.length >= 3 && files.every((path) => /^\/app\/assets\/[\w.-]+$/.test(path)), files.join(" "));
  for (const path of files) {
    const reply = await fetch(server.origin + path);
    assert.equal(reply.status, 200, path);
    assert.equal(reply.headers.get("cache-control"), "public, max-age=31536000, immutable");
    assert.equal(reply.headers.get("content-encoding"), "gzip");
  }
  assert.equal((await fetch(`${server.origin}/app/assets/none.js`)).status, 404);
});
