// What the web console shows of where a text comes from: documents that point to an entity, who made a change and with what, deleted
// documents, and characters that are not seen or that show a text as another one.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, fits, launch, open, PHONE, picture, settled, signIn, skip, withTools } from "./lib/console.mjs";
import { Database } from "./lib/http_server.mjs";

let database, server, browser, alice;

before(async () => {
  if (skip) return;
  database = await Database.lent();
  server = await database.serve();
  alice = await database.project();
  await withTools(server, alice.key, (call) => call("initialize_memory_bank", { path: "." }));
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await database?.giveBack();
});

const send = (method, path, body) =>
  server.fetch(`/api/v1/${path}`, alice.key, { method, ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }) });
/** A change without a tool, as the console makes it. */
async function write(name, text) {
  const reply = await send("PUT", `document?filename=${encodeURIComponent(name)}`, { text });
  assert.equal(reply.status, 200, await reply.clone().text());
}

async function shown(t, address, options) {
  const page = await open(t, browser, server.origin, options);
  await signIn(page, server.origin, alice.key, address);
  await settled(page);
  return page;
}

const OVERRIDE = "\u202Egnp.exe\u202C";
const MARKED = "⟨U+202E⟩gnp.exe⟨U+202C⟩";

test("an entity's page lists the documents that point to it, and leads to the place", { skip }, async (t) => {
  await withTools(server, alice.key, async (call) => {
    await call("graph_upsert_entity", { name: "billing-service", entityType: "service" });
    await call("graph_upsert_entity", { name: "nobody-knows", entityType: "service" });
  });
  await write("plans/mentions.md", "# Notes\n\n- The billing-service is slow.\n\n## Later plans\n\nsee [[billing-service]]\n");
  await write("other.md", "# Other\n\nthe billing-service-team\n");
  const page = await shown(t, "/app/graph/billing-service");
  const card = page.getByRole("region", { name: "Documents that point to it" });
  await card.getByRole("link", { name: "plans/mentions.md" }).waitFor();
  assert.doesNotMatch(await card.innerText(), /other\.md/);
  assert.match(await card.innerText(), /in 2 lines[^]*Notes · line 3[^]*The billing-service is slow\.[^]*Later plans · line 7/);
  await accessible(page);
  await picture(page, "entity-mentions");
  // It follows changes.
  await write("again.md", "# Again\n\nbilling-service\n");
  await card.getByRole("link", { name: "again.md" }).waitFor();
  await card.getByRole("link", { name: "Later plans" }).click();
  await page.getByRole("heading", { name: "Later plans" }).waitFor();
  assert.match(page.url(), /\/app\/documents\/plans\/mentions\.md#h-later-plans$/);
  await page.goto(`${server.origin}/app/graph/nobody-knows`);
  await page.getByText("No document has its name.").waitFor();
});

test("no text is shown as another one: characters that are not seen have marks, and the editor keeps them", { skip }, async (t) => {
  await withTools(server, alice.key, async (call) => {
    await call("graph_upsert_entity", { name: "Spoofed", entityType: "ser\u200Bvice", attrs: { note: `a ${OVERRIDE}` } });
    await call("graph_add_observation", { entity: "Spoofed", text: `see ${OVERRIDE} now\u0007` });
    await call("graph_add_observation", { entity: "Spoofed", text: "می‌خواهم 👩‍💻 ❤️ stay" });
    await call("track_progress", { action: `open ${OVERRIDE}`, description: "d" });
  });
  const text = `# Head ${OVERRIDE}\n\n- item ${OVERRIDE}\n\n[link ${OVERRIDE}](https://example.org)\n\n\`code ${OVERRIDE}\`\n\nplain \u200Bx\uFEFF\n`;
  await write("spoofed.md", text);
  const page = await shown(t, "/app/graph/Spoofed");
  const noneUnseen = async () => {
    const found = await page.evaluate(() => document.body.innerText.match(/[\u202A-\u202E\u2066-\u2069\u200B\u200E\u200F\uFEFF\u0000-\u0008\u000B-\u001F\u007F-\u009F]/u)?.[0].codePointAt(0));
    assert.equal(found, undefined, `${page.url()}: ${found?.toString(16)}`);
  };
  const observations = page.getByRole("region", { name: "Observations" });
  assert.ok((await observations.innerText()).includes(`see ${MARKED} now⟨U+0007⟩`), await observations.innerText());
  // What scripts and emoji need stays.
  assert.ok((await observations.innerText()).includes("می‌خواهم 👩‍💻 ❤️ stay"));
  assert.equal(await observations.getByRole("img", { name: "invisible character: right-to-left override" }).count(), 1);
  await page.getByText("ser⟨U+200B⟩vice").first().waitFor();
  await noneUnseen();
  await accessible(page);
  await picture(page, "unseen-entity");
  for (const [address, seen] of [
    ["/app/documents/spoofed.md", `Head ${MARKED}`],
    ["/app/history", MARKED],
    ["/app/history/spoofed.md?version=1", MARKED],
    ["/app/blame/spoofed.md", MARKED],
    ["/app/search?q=gnp", MARKED],
    ["/app/", MARKED],
  ]) {
    await page.goto(server.origin + address);
    await settled(page);
    await page.getByText(seen).first().waitFor();
    await noneUnseen();
  }
  await page.goto(`${server.origin}/app/documents/spoofed.md`);
  await page.getByRole("button", { name: "Source" }).click();
  assert.ok((await page.locator("pre.source").innerText()).includes(`- item ${MARKED}`));
  await noneUnseen();
  // The bytes of the document stay.
  await page.addInitScript(() => localStorage.setItem("memory-bank-console-editor", "plain"));
  await page.goto(`${server.origin}/app/edit/spoofed.md`);
  const field = page.getByRole("textbox", { name: "Text of spoofed.md" });
  await field.waitFor();
  assert.equal(await field.inputValue(), text);
});

test("sessions and the history say with what a change was made, and show those of a user and a day", { skip }, async (t) => {
  await withTools(server, alice.key, async (call) => {
    await call("graph_upsert_entity", { name: "Made", entityType: "service", attrs: { tier: "gold" } });
    await call("graph_upsert_entity", { name: "Other", entityType: "service" });
    await call("graph_link_entities", { from: "Made", to: "Other", relationType: "a_relation_type_that_is_so_long_that_it_does_not_fit_into_its_card_at_all" });
  });
  await write("by-hand.md", "# By hand\n");
  const page = await shown(t, "/app/sessions");
  const row = (text) => page.locator(".rows > li", { hasText: text }).first();
  await row("by-hand.md").waitFor();
  assert.match(await row("by-hand.md").innerText(), /in the console or over REST/);
  const ofAssistant = row("graph_link_entities");
  assert.match(await ofAssistant.innerText(), /console-test[^]*with [^]*graph_upsert_entity/);
  await accessible(page);
  await picture(page, "sessions-clients");
  // The undo of the session says whose it is, and comes from there.
  await ofAssistant.getByRole("link", { name: /^Undo what/ }).click();
  await page.getByRole("navigation").first().waitFor();
  await page.locator(".crumbs").getByRole("link", { name: "Working sessions" }).waitFor();
  await page.locator("main .facts strong", { hasText: alice.user }).waitFor();
  await page.getByRole("link", { name: "3 changes" }).waitFor();

  await page.goto(`${server.origin}/app/history`);
  await page.getByText("Made · a_relation_type").first().waitFor();
  const list = await page.locator("ol.versions").innerText();
  assert.match(list, /service, tier: gold/);
  assert.doesNotMatch(list, /[{}]|->/);
  assert.match(list, /by-hand\.md[^]{0,80}in the console or over REST/);
  assert.match(list, /with graph_link_entities/);
  assert.equal(await page.locator(".crumbs").count(), 0);
  await accessible(page);
  await page.getByLabel("Of whom").selectOption(alice.user);
  await page.waitForURL(/by=/);
  await page.getByText("by-hand.md").first().waitFor();
  await page.getByLabel("On the day").fill("2020-01-01");
  await page.getByText("No change of these is recorded.").waitFor();
  await page.getByRole("link", { name: "Show all changes" }).click();
  await page.getByText("by-hand.md").first().waitFor();

  // A long type of a relation stays within its card.
  for (const viewport of [undefined, PHONE]) {
    const narrow = await shown(t, "/app/graph/Made", viewport && { viewport });
    await narrow.locator(".card .tag", { hasText: "a_relation_type" }).first().waitFor();
    const [tag, card] = await narrow.evaluate(() => {
      const tag = [...document.querySelectorAll(".card .tag")].find((one) => one.textContent.startsWith("a_relation_type"));
      return [tag, tag.closest(".card")].map((one) => one.getBoundingClientRect().right);
    });
    assert.ok(tag <= card, `${tag} ${card}`);
    await fits(narrow);
  }
});

test("a deleted document is found from the documents and from its own address, and comes back", { skip }, async (t) => {
  await write("plans/old-plan.md", "# Old plan\n");
  const { etag } = await (await send("GET", "document?filename=plans/old-plan.md")).json();
  assert.equal((await send("DELETE", `document?filename=plans/old-plan.md&etag=${etag}`)).status, 200);
  const page = await shown(t, "/app/documents/plans/old-plan.md");
  await page.locator("main .note").getByRole("link", { name: "History", exact: true }).waitFor();
  await page.locator("main .note").getByRole("link", { name: "Deleted documents" }).waitFor();
  await accessible(page);
  await page.goto(`${server.origin}/app/documents`);
  await page.getByRole("link", { name: "Deleted documents" }).click();
  await page.getByRole("link", { name: "plans/old-plan.md" }).waitFor();
  assert.doesNotMatch(await page.locator("main").innerText(), /by-hand\.md/);
  await accessible(page);
  await fits(page);
  await picture(page, "deleted-documents");
  await page.getByRole("button", { name: "Bring it back: plans/old-plan.md" }).click();
  await page.getByRole("button", { name: "Save" }).click();
  await page.waitForURL(/\/app\/documents\/plans\/old-plan\.md/);
  await page.getByRole("heading", { name: "Old plan" }).waitFor();
  await page.goto(`${server.origin}/app/deleted`);
  await page.getByText("No deleted document is found.").waitFor();
});

test("chosen states are seen in forced colours, and ? lists the keys", { skip }, async (t) => {
  const page = await shown(t, "/app/graph", { forcedColors: "active" });
  const backOf = (name) => page.getByRole("link", { name, exact: true }).first().evaluate((one) => getComputedStyle(one).backgroundColor);
  assert.notEqual(await backOf("List"), await backOf("Picture"));
  await page.keyboard.press("?");
  const dialog = page.getByRole("dialog", { name: "Keyboard shortcuts" });
  await dialog.waitFor();
  await accessible(page);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
});

test("an address that was removed, or that has a user's name, is no link", { skip }, async (t) => {
  await write("links.md", "# Links\n\n[data](data:text/html;base64,PHA+) [user](https://good.example:pw@evil.example/) [fine](https://good.example/)\n");
  const page = await shown(t, "/app/documents/links.md");
  await page.getByRole("link", { name: /^fine/ }).waitFor();
  for (const name of ["data", "user"]) assert.equal(await page.locator("article").getByRole("link", { name, exact: true }).count(), 0, name);
});
