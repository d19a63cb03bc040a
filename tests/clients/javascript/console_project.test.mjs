// What owners administer in the web console, in Chromium: members, keys, applications, the audit log, limits; working sessions and
// changes as they happen; and that others see nothing of it. Every name is a script.

import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { after, before, test } from "node:test";
import { accessible, fits, launch, open, PHONE, picture, plainField, signIn, skip, withTools } from "./lib/console.mjs";
import { Database } from "./lib/http_server.mjs";

const RUN = "alert(document.domain)";
const NAME = `Carol <img src=x onerror=${RUN}>`;
const LABEL = `"><script>${RUN}</script>`;

let database, server, browser, alice;

before(async () => {
  if (skip) return;
  database = await Database.lent();
  server = await database.serve();
  alice = await database.project();
  await withTools(server, alice.key, async (call) => {
    await call("initialize_memory_bank", { path: "." });
    await call("write_memory_bank_file", { filename: "plans/plan.md", content: "# Plan\n" });
    await call("graph_upsert_entity", { name: NAME, entityType: "service" });
  });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await database?.giveBack();
});

const send = (method, path, body, key = alice.key) =>
  server.fetch(`/api/v1/${path}`, key, { method, ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }) });
const part = (page, name) => page.getByRole("navigation", { name: "Parts of the project" }).getByRole("link", { name });

test("an owner invites a member with a key that is shown once, changes the role, and removes the member", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key);
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Project" }).click();
  await page.getByRole("heading", { name: "Members", level: 1 }).waitFor();
  assert.match(await page.getByRole("listitem").filter({ hasText: alice.user }).innerText(), new RegExp(`${alice.user}\\s+you`));
  await accessible(page);
  await page.getByText("Invite a member").click();
  await page.getByLabel("Name").fill(NAME);
  await page.getByLabel("Role", { exact: true }).selectOption("viewer");
  await accessible(page);
  await page.getByLabel("Name").focus();
  await page.keyboard.press("Enter");
  const key = await page.getByLabel("API key").innerText();
  assert.match(key, /^mbmcp_live_/);
  await accessible(page);
  await picture(page, "project-members");
  assert.equal((await send("GET", "documents", undefined, key)).status, 200);
  await page.getByRole("button", { name: "I have kept it" }).click();
  assert.equal(await page.getByText(key).count(), 0, "the key is not shown again");

  await page.getByLabel(`Role of ${NAME}`).selectOption("editor");
  await page.getByText(`${NAME} is editor now.`).waitFor();
  assert.equal((await send("PUT", "document?filename=carol.md", { text: "# Carol\n" }, key)).status, 200);
  const remove = page.getByRole("button", { name: `Remove ${NAME}` });
  // The focus moves before the next event of a key can come.
  const focused = await remove.evaluate(async (button) => {
    button.click();
    await new Promise((done) => queueMicrotask(() => queueMicrotask(done)));
    return document.activeElement.textContent;
  });
  assert.equal(focused, "Cancel");
  await page.keyboard.press("Enter");
  await remove.focus();
  await page.keyboard.press("Enter");
  // The focus is on the button that changes nothing, and comes back.
  await page.keyboard.press("Enter");
  assert.equal(await remove.evaluate((button) => button === document.activeElement), true);
  await page.keyboard.press("Enter");
  await accessible(page);
  await page.getByRole("button", { name: "Remove the member" }).click();
  await page.getByText(`${NAME} is no longer a member.`).waitFor();
  assert.equal((await send("GET", "documents", undefined, key)).status, 401);

  // What the server refuses, the page says.
  await page.getByLabel(`Role of ${alice.user}`).selectOption("viewer");
  await page.getByText(/last owner/).waitFor();
  assert.equal(await page.getByLabel(`Role of ${alice.user}`).inputValue(), "owner");
});

test("a member whose key was never kept gets a new one from an owner, and the page of keys says whose keys can be changed", { skip }, async (t) => {
  const first = (await (await send("POST", "members", { name: "Lost Larry", role: "viewer" })).json()).key.key;
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key, "/app/project/members");
  await page.getByRole("button", { name: "New key for Lost Larry" }).click();
  await accessible(page);
  await picture(page, "project-new-key");
  await page.getByRole("button", { name: "Make a new key" }).click();
  const key = await page.getByLabel("API key").innerText();
  assert.match(key, /^mbmcp_live_/);
  assert.notEqual(key, first);
  assert.equal((await send("GET", "documents", undefined, first)).status, 401);
  await page.getByRole("button", { name: "I have kept it" }).click();
  assert.equal((await send("GET", "documents", undefined, key)).status, 200);
  await page.goto(`${server.origin}/app/project/keys`);
  await page.getByText("You change label, rights and limit of your own keys only.").waitFor();
});

test("the page of limits names what needs attention, and notices by itself that all is well again", { skip }, async (t) => {
  const { hostname, port } = new URL(database.redis);
  const links = new Set();
  let isCut = false;
  const link = createServer((client) => {
    if (isCut) return client.destroy();
    const redis = connect(Number(port), hostname);
    for (const [one, other] of [[client, redis], [redis, client]]) {
      links.add(one);
      one.on("error", () => {}).on("close", () => links.delete(one) && other.destroy()).pipe(other);
    }
  });
  await new Promise((done) => link.listen(0, "127.0.0.1", done));
  t.after(() => link.close());
  const behind = await database.serve({ REDIS_URL: Object.assign(new URL(database.redis), { host: `127.0.0.1:${link.address().port}` }).href });
  t.after(() => behind.stop());
  const page = await open(t, browser, behind.origin);
  await signIn(page, behind.origin, alice.key, "/app/project/health");
  await page.getByText("All is well.").waitFor();
  isCut = true;
  links.forEach((end) => end.destroy());
  await part(page, "Members").click();
  await part(page, "Limits and health").click();
  await page.getByText(/^Redis does not answer/).waitFor();
  await accessible(page);
  isCut = false;
  await page.getByText("All is well.").waitFor();
});

test("an owner makes and revokes keys, ends an application's access, and reads the audit log and the limits", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key, "/app/project/keys");
  await page.getByText("Create a key").click();
  await page.getByLabel("Label", { exact: true }).fill(LABEL);
  await page.getByLabel("write", { exact: true }).uncheck();
  await page.getByLabel("Days until it expires (empty: never)").fill("7");
  await accessible(page);
  // A double click makes one key.
  await page.getByRole("button", { name: "Create", exact: true }).dblclick();
  const key = await page.getByLabel("API key").innerText();
  assert.equal((await send("GET", "documents", undefined, key)).status, 200);
  await page.getByRole("button", { name: "I have kept it" }).click();
  await page.getByRole("heading", { name: LABEL }).waitFor();
  assert.equal(await page.getByRole("heading", { name: LABEL }).count(), 1);
  await accessible(page);
  await picture(page, "project-keys");
  const change = page.getByRole("button", { name: `Change ${LABEL}` });
  await change.focus();
  await page.keyboard.press("Enter");
  await accessible(page);
  await picture(page, "project-key-change");
  await page.keyboard.press("Escape");
  assert.equal(await change.evaluate((button) => button === document.activeElement), true);
  await page.keyboard.press("Enter");
  const form = page.getByRole("form", { name: `Change ${LABEL}` });
  await form.getByLabel("Requests per minute (0: no limit)").fill("7");
  await form.getByLabel("read", { exact: true }).uncheck();
  assert.ok(await form.getByRole("button", { name: "Save" }).isDisabled(), "no choice would mean all that the role gives");
  await form.getByLabel("read", { exact: true }).check();
  await form.getByLabel("write", { exact: true }).check();
  await form.getByLabel("Label", { exact: true }).fill(`${LABEL} renamed`);
  await page.keyboard.press("Enter");
  await page.getByText("The key is changed.").waitFor();
  await page.getByRole("heading", { name: `${LABEL} renamed` }).waitFor();
  const { keys } = await (await send("GET", "keys")).json();
  assert.deepEqual(keys.filter(({ label }) => label === `${LABEL} renamed`).map(({ rateLimit, scopes }) => [rateLimit, scopes]), [[7, ["read", "write"]]]);
  await page.getByRole("button", { name: new RegExp(`^Revoke ${alice.user}: ">`) }).click();
  await page.getByRole("button", { name: "Revoke it" }).click();
  await page.getByText("Revoked.").waitFor();
  assert.equal((await send("GET", "documents", undefined, key)).status, 401);

  await part(page, "Applications").click();
  await page.getByText("this session").waitFor();
  await accessible(page);
  await part(page, "Audit log").click();
  await page.getByText("revoked a key").first().waitFor();
  await page.getByText(/127\.0\.0\.1/).first().waitFor();
  const log = await page.locator("main .rows").innerText();
  assert.doesNotMatch(log, /[0-9a-f]{8}-[0-9a-f]{4}-|ent_\w{8}/, "no ids");
  assert.match(log, new RegExp(`${alice.user} changed a key: mbmcp_live_\\w+…`));
  assert.match(log, /revoked a key: mbmcp_live_\w+…/);
  assert.match(await page.locator("main .rows time").first().getAttribute("title"), /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
  await accessible(page);
  // Every action has words.
  assert.doesNotMatch(await page.locator("main ul").last().innerText(), /\b(project|user|member|key)\.[a-z_]+/);
  await picture(page, "project-audit");
  await part(page, "Calls").click();
  await page.getByRole("heading", { name: "Time of a call" }).waitFor();
  await page.waitForFunction(() => document.querySelectorAll(".chart canvas").length === 3);
  await accessible(page);
  await picture(page, "project-calls");
  await page.getByText("The same as a table").click();
  await page.getByRole("columnheader", { name: "95th percentile" }).waitFor();
  await accessible(page);
  await page.getByRole("button", { name: "30 days" }).click();
  await page.getByRole("button", { name: "30 days", pressed: true }).waitFor();
  await part(page, "Limits and health").click();
  await page.getByText("All is well.").waitFor();
  await accessible(page);
  await picture(page, "project-health");

  await part(page, "Applications").click();
  const own = page.locator("li", { hasText: "this session" });
  await own.getByRole("button").click();
  await own.getByRole("button", { name: "Revoke it" }).click();
  await page.getByText("Your session has ended.").first().waitFor();
});

test("a member who is no owner sees no administration, and its address says why", { skip }, async (t) => {
  const { key } = (await (await send("POST", "members", { name: "Vera", role: "viewer" })).json()).key;
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, key);
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  assert.equal(await page.getByRole("link", { name: "Project", exact: true }).count(), 0);
  await page.goto(`${server.origin}/app/project/members`);
  await page.getByText("Only owners of the project see this.").waitFor();
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").fill("audit");
  assert.equal(await page.getByRole("option", { name: "Project: Audit log" }).count(), 0);
});

test("who loses the right to write while a document is edited is told so, and keeps the text", { skip }, async (t) => {
  const { key } = (await (await send("POST", "members", { name: "Dora", role: "editor" })).json()).key;
  const page = await open(t, browser, server.origin);
  await plainField(page);
  await signIn(page, server.origin, key, "/app/edit/plans/plan.md");
  const field = page.getByLabel("Text of plans/plan.md");
  await field.fill("# Plan\n\nof Dora\n");
  assert.equal((await send("PATCH", "member?name=Dora", { role: "viewer" })).status, 200);
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("This takes the right to write").waitFor();
  assert.equal(await field.inputValue(), "# Plan\n\nof Dora\n");
});

test("working sessions and pages follow changes as they happen", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key, "/app/sessions");
  await page.getByRole("heading", { name: "Working sessions", level: 1 }).waitFor();
  await accessible(page);
  const other = await open(t, browser, server.origin);
  await signIn(other, server.origin, alice.key, "/app/documents");
  await other.getByRole("heading", { name: "Documents", level: 1 }).waitFor();
  await withTools(server, alice.key, async (call) => {
    await call("write_memory_bank_file", { filename: "live.md", content: "# Live\n\nfirst\n" });
    await call("graph_upsert_entity", { name: "Live Thing", entityType: "service" });
  });
  await page.getByRole("link", { name: "live.md" }).waitFor();
  await page.getByRole("link", { name: "Live Thing" }).waitFor();
  await picture(page, "sessions");
  await other.getByRole("link", { name: "live.md" }).click();
  await other.getByText("first").waitFor();
  await withTools(server, alice.key, (call) => call("write_memory_bank_file", { filename: "live.md", content: "# Live\n\nsecond\n" }));
  await other.getByText("second").waitFor();
});

test("an owner changes keys of the own user only, and only within the own rights", { skip }, async () => {
  const made = await (await send("POST", "keys", { label: "mine" })).json();
  const changed = await send("PATCH", `key?id=${made.id}`, { label: null, rateLimit: 5, scopes: ["read"] });
  assert.equal(changed.status, 200);
  const { label, rateLimit, scopes } = await changed.json();
  assert.deepEqual([label, rateLimit, scopes], [null, 5, ["read"]]);
  const other = (await (await send("POST", "members", { name: "Otto", role: "owner" })).json()).key;
  assert.equal((await send("PATCH", `key?id=${other.id}`, { label: "stolen" })).status, 404);
  assert.equal((await send("PATCH", `key?id=${made.id}`, { label: "x" }, made.key)).status, 403);
  for (const [query, body, status] of [[`id=${made.id}`, { other: 1 }, 400], ["id=none", { label: "x" }, 400], [`id=${made.id}`, { rateLimit: 2_000_000 }, 400], ["id=00000000-0000-4000-8000-000000000000", {}, 404]]) {
    const reply = await send("PATCH", `key?${query}`, body);
    assert.equal(reply.status, status, query);
    assert.match(reply.headers.get("content-type"), /problem\+json/);
  }
});

test("working sessions are listed page by page, and none is lost between two pages", { skip }, async (t) => {
  const other = await database.project();
  for (const round of [0, 1, 2]) {
    await withTools(server, other.key, async (call) => {
      if (round === 0) await call("initialize_memory_bank", { path: "." });
      const observations = Array.from({ length: 90 }, (_, at) => ({ entity: "Much", text: `${round} ${at}` }));
      await call("graph_batch", { entities: [{ name: "Much", entityType: "thing" }], observations });
      await call("write_memory_bank_file", { filename: `round-${round}.md`, content: `# ${round}\n` });
    });
  }
  const found = new Map();
  let cursor, pages = 0;
  do {
    const page = await (await send("GET", `sessions${cursor ? `?cursor=${cursor}` : ""}`, undefined, other.key)).json();
    for (const { session, changes } of page.sessions) found.set(session, (found.get(session) ?? 0) + changes);
    assert.equal(page.truncated, page.nextCursor !== undefined);
    cursor = page.nextCursor;
    pages += 1;
  } while (cursor !== undefined);
  assert.ok(pages > 1, `${pages} pages`);
  const changes = [...found.values()];
  assert.equal(changes.filter((count) => count >= 91).length, 3, `${changes}`);
  const { versions: documents } = await (await send("GET", "history?limit=200", undefined, other.key)).json();
  assert.equal(changes.reduce((sum, count) => sum + count, 0), documents.length + 271, "each change is counted once");
  assert.equal((await send("GET", "sessions?cursor=x", undefined, other.key)).status, 404);
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, other.key, "/app/sessions");
  const older = page.getByRole("button", { name: "Show older sessions" });
  for (let at = 1; at < pages; at += 1) {
    const next = page.waitForResponse(/sessions\?cursor=/);
    await older.click();
    await next;
  }
  await older.waitFor({ state: "detached" });
  assert.equal(await page.locator(".rows > li").count(), found.size, "a session on two pages is one");
  await page.getByRole("link", { name: "round-0.md" }).waitFor();
  await accessible(page);
});

test("the pages for owners fit a phone, in dark colours", { skip }, async (t) => {
  const page = await open(t, browser, server.origin, { viewport: PHONE, colorScheme: "dark" });
  await signIn(page, server.origin, alice.key, "/app/project/members");
  for (const [name, shown] of [["Members", alice.user], ["API keys", "Create a key"], ["Applications", "Web console"], ["Audit log", "created a key"], ["Limits and health", "Limits"]]) {
    await part(page, name).click();
    await page.getByText(shown).first().waitFor();
    await fits(page);
    await accessible(page);
    await picture(page, `project-${name.split(" ")[0].toLowerCase()}-phone`);
  }
});
