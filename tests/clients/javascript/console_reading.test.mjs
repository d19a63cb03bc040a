// Reading in the web console: which changes the history lists, what the search is limited to, where a link leads, what a page says of a
// document that is not there, and what the picture leaves in the history of the browser.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { accessible, fits, launch, open, openedFolder, PHONE, picture, plainField, settled, signIn, skip, withTools } from "./lib/console.mjs";
import { Database } from "./lib/http_server.mjs";

const PHONE_DARK = { viewport: PHONE, isMobile: true, hasTouch: true, colorScheme: "dark" };

let database, server, browser, alice, bob;

before(async () => {
  if (skip) return;
  database = await Database.lent();
  server = await database.serve();
  alice = await database.project();
  await withTools(server, alice.key, (call) => call("initialize_memory_bank", { path: "." }));
  const invited = await send("POST", "members", { name: "Bob", role: "editor" });
  bob = (await invited.json()).key.key;
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await database?.giveBack();
});

const send = (method, path, body, key = alice.key) =>
  server.fetch(`/api/v1/${path}`, key, { method, ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }) });
const named = (name) => `document?filename=${encodeURIComponent(name)}`;

/** A change without a tool, as the console makes it. */
async function write(name, text, key) {
  const reply = await send("PUT", named(name), { text }, key);
  assert.equal(reply.status, 200, await reply.clone().text());
}
async function remove(name) {
  const { etag } = await (await send("GET", named(name))).json();
  assert.equal((await send("DELETE", `${named(name)}&etag=${etag}`)).status, 200);
}

async function shown(t, address, options) {
  const page = await open(t, browser, server.origin, options);
  await plainField(page);
  await signIn(page, server.origin, alice.key, address);
  await page.locator("footer").waitFor();
  await settled(page);
  return page;
}

test("the day of the history is one of UTC where times are in UTC, and else one where the user is", { skip }, async (t) => {
  await write("day.md", "# Day\n");
  const { at } = (await (await send("GET", "history?filename=day.md")).json()).versions[0];
  // Where the day is another one at this moment.
  const isLate = new Date(at).getUTCHours() >= 10;
  const timezoneId = isLate ? "Pacific/Kiritimati" : "Pacific/Pago_Pago";
  const inUtc = at.slice(0, 10);
  const local = new Date(Date.parse(at) + (isLate ? 14 : -11) * 3_600_000).toISOString().slice(0, 10);
  assert.notEqual(local, inUtc);
  const page = await shown(t, "/app/history", { timezoneId });
  const row = page.locator(".versions").getByRole("link", { name: /^day\.md/ });
  const day = page.getByLabel("On the day");
  await day.fill(local);
  await row.waitFor();
  await day.fill(inUtc);
  await row.waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Times in UTC" }).click();
  await row.waitFor();
  assert.match(await row.innerText(), new RegExp(`${inUtc} .* UTC`));
  await day.fill(local);
  await row.waitFor({ state: "detached" });
});

test("the history of one user still offers the users that were seen before", { skip }, async (t) => {
  await write("of-alice.md", "# Alice\n");
  await write("of-bob.md", "# Bob\n", bob);
  const page = await shown(t, "/app/history");
  const whom = page.getByLabel("Of whom");
  await page.getByText("of-bob.md").waitFor();
  await whom.selectOption("Bob");
  await page.waitForURL(/by=Bob/);
  await page.getByText("of-alice.md").waitFor({ state: "detached" });
  assert.deepEqual(await whom.locator("option").allInnerTexts(), ["Everybody", "Bob", alice.user]);
  await page.getByRole("link", { name: "Working sessions" }).click();
  await page.getByRole("heading", { name: "Working sessions", level: 1 }).waitFor();
  await page.goBack();
  await page.getByText("of-bob.md").waitFor();
  assert.deepEqual(await whom.locator("option").allInnerTexts(), ["Everybody", "Bob", alice.user]);
  await whom.selectOption(alice.user);
  await page.getByText("of-alice.md").waitFor();
});

test("the changes of a user without a tool are listed alone, from the working sessions", { skip }, async (t) => {
  await write("hand-1.md", "# By hand\n", bob);
  await withTools(server, bob, (call) => call("write_memory_bank_file", { filename: "tool-1.md", content: "# By a tool\n" }));
  await write("hand-2.md", "# By hand\n", bob);
  await write("hand-of-alice.md", "# By hand\n");
  const page = await shown(t, "/app/sessions");
  const own = page.locator(".rows > li").filter({ hasText: "in the console or over REST" }).filter({ has: page.getByRole("heading", { name: /^Bob/ }) });
  const count = Number(/(\d+) change/.exec(await own.innerText())[1]);
  await own.getByRole("link", { name: "List its changes: of Bob, in the console or over REST" }).click();
  const rows = page.locator(".versions > li");
  await rows.filter({ hasText: "hand-2.md" }).waitFor();
  const listed = await rows.allInnerTexts();
  assert.equal(listed.length, count, listed.join("\n"));
  for (const row of listed) assert.match(row, /Bob · in the console or over REST/);
  assert.equal(await page.getByLabel("Made how").inputValue(), "hand");
  await accessible(page);
  await fits(page);
  await picture(page, "history-by-hand");
  // The way back to all, and a user without such changes.
  await page.getByLabel("Made how").selectOption("");
  await rows.filter({ hasText: "tool-1.md" }).waitFor();
  await page.getByLabel("Made how").selectOption("tool");
  await page.getByText("No change of these is recorded.").waitFor();
});

test("a name that no new document may have is refused beside the field, and one that exists is offered to be opened", { skip }, async (t) => {
  await write("there.md", "# There\n");
  for (const options of [{}, PHONE_DARK]) {
    const page = await shown(t, "/app/documents", options);
    await page.getByText("New document", { exact: true }).click();
    const field = page.getByLabel("Name of the new document");
    const begin = page.getByRole("button", { name: "Start writing" });
    for (const [name, reason] of [["../evil", /traversal/], ["a?b", /do not allow `\?`/], ["con.md", /device/], ["fdp\u202egpj", /invisible character/], ["There/x.md/y", /name of a document/]]) {
      await field.fill(name);
      await begin.click();
      const objection = page.locator(".objection");
      await objection.waitFor();
      assert.match(await objection.innerText(), reason);
      assert.equal(new URL(page.url()).pathname, "/app/documents");
      assert.equal(await field.inputValue(), name, "the name stays");
    }
    await accessible(page);
    await fits(page);
    await picture(page, options.viewport ? "name-refused-phone-dark" : "name-refused");
    await field.fill("There");
    await page.locator(".objection").waitFor({ state: "detached" });
    await begin.click();
    await page.getByText("There is a document there.md already.").waitFor();
    await accessible(page);
    await page.getByRole("link", { name: "Open it" }).click();
    await page.getByRole("heading", { name: "there.md", level: 1 }).waitFor();
    await page.goto(`${server.origin}/app/documents`);
    await page.getByLabel("Name of the new document").fill("plans/NewName");
    await begin.click();
    await page.getByLabel("Text of plans/new-name.md").waitFor();
    await page.close();
  }
});

test("a folder checks names in the same way, also against its folders", { skip }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "memory-bank-reading-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, "project/memory-bank/plans"), { recursive: true });
  writeFileSync(join(folder, "project/memory-bank/active-context.md"), "# Active Context\n");
  writeFileSync(join(folder, "project/memory-bank/plans/north.md"), "# North\n");
  const { link, origin } = await openedFolder(t, join(folder, "project"), folder);
  const page = await open(t, browser, origin);
  await plainField(page);
  await page.goto(link);
  await page.locator("footer").waitFor();
  await page.goto(`${origin}/app/documents`);
  await page.getByText("New document", { exact: true }).click();
  const field = page.getByLabel("Name of the new document");
  for (const [name, reason] of [["../evil", /traversal/], ["con.md", /device/], ["PLANS/south", /letter case/], ["plans/north", /There is a document plans\/north\.md already\./]]) {
    await field.fill(name);
    await page.getByRole("button", { name: "Start writing" }).click();
    assert.match(await page.locator(".objection").innerText(), reason);
  }
  await field.fill("plans/south");
  await page.getByRole("button", { name: "Start writing" }).click();
  await page.getByLabel("Text of plans/south.md").waitFor();
  await page.goto(`${origin}/app/documents/plans/west.md`);
  await page.getByText("There is no document of this name.").waitFor();
  await page.getByRole("link", { name: "Make it" }).waitFor();
});

test("the page of a deleted document brings it back, and that of a name that never was offers to make it", { skip }, async (t) => {
  await write("plans/gone.md", "# Gone\n");
  await remove("plans/gone.md");
  for (const options of [{}, PHONE_DARK]) {
    const page = await shown(t, "/app/documents/plans/gone.md", options);
    const note = page.locator("main .note");
    await note.getByText(`${alice.user} deleted this document:`).waitFor();
    await note.getByRole("link", { name: "History", exact: true }).waitFor();
    assert.equal(await page.getByRole("alert").count(), 0, "a document that was deleted is no trouble");
    assert.equal(await note.count(), 1);
    await accessible(page);
    await fits(page);
    await picture(page, options.viewport ? "document-deleted-phone-dark" : "document-deleted");
    await page.goto(`${server.origin}/app/documents/etc/passwd`);
    await page.getByText("There is no document of this name.").waitFor();
    await page.getByRole("link", { name: "Make etc/passwd.md" }).waitFor();
    assert.equal(await page.getByRole("alert").count(), 0);
    await accessible(page);
    await picture(page, options.viewport ? "document-never-phone-dark" : "document-never");
    await page.close();
  }
  const page = await shown(t, "/app/documents/plans/gone.md");
  await page.getByRole("link", { name: "Bring it back" }).click();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "gone.md", level: 1 }).waitFor();
  await page.getByRole("heading", { name: "Gone", exact: true }).waitFor();
  await page.goto(`${server.origin}/app/documents/con.md`);
  await page.getByText("There is no document of this name.").waitFor();
  await settled(page);
  assert.equal(await page.getByRole("link", { name: /^Make/ }).count(), 0, "a name that is refused is not offered");
  // It appears as soon as somebody makes it.
  await page.goto(`${server.origin}/app/documents/soon.md`);
  await page.getByRole("link", { name: "Make it" }).waitFor();
  await write("soon.md", "# Soon\n");
  await page.getByRole("heading", { name: "Soon", exact: true }).waitFor();
});

test("a search is limited to a kind and to what was known on a day, and counts what it shows", { skip }, async (t) => {
  await write("aardvarks.md", "# Animals\n\nThe aardvark digs.\n\nThe aardvark sleeps.\n");
  await withTools(server, alice.key, async (call) => {
    await call("graph_upsert_entity", { name: "aardvark", entityType: "animal" });
    await call("graph_add_observation", { entity: "aardvark", text: "the aardvark eats ants" });
  });
  for (const options of [{}, PHONE_DARK]) {
    const page = await shown(t, "/app/search?q=aardvark", options);
    const status = page.locator("main p[role=status]");
    const count = page.getByText(/^1 entity, 1 fact and \d lines$/);
    await count.waitFor();
    assert.equal(Number(/(\d) lines/.exec(await count.innerText())[1]), await page.locator("ol.results > li").count());
    await accessible(page);
    await fits(page);
    await picture(page, options.viewport ? "search-filters-phone-dark" : "search-filters");
    const what = page.getByLabel("What", { exact: true });
    await what.selectOption("Documents");
    await page.waitForURL(/what=documents/);
    await page.getByText(/^\d lines$/).waitFor();
    assert.equal(await page.locator(".entities, section[aria-labelledby=facts]").count(), 0);
    await what.selectOption("Facts");
    await page.getByText("1 fact", { exact: true }).waitFor();
    assert.equal(await page.locator("ol.results").count(), 0);
    await page.getByText("the aardvark eats ants").waitFor();
    await what.selectOption("Entities");
    await page.getByText("1 entity", { exact: true }).waitFor();
    await page.locator(".tree .tag", { hasText: "animal" }).waitFor();
    await accessible(page);
    await page.getByLabel("As it was on the day").fill("2020-01-01");
    await page.waitForURL(/day=2020-01-01/);
    await status.filter({ hasText: "Nothing is found for “aardvark” with these filters." }).waitFor();
    await page.getByRole("link", { name: "Overview", exact: true }).click();
    await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
    await page.goBack();
    await status.filter({ hasText: "Nothing is found for “aardvark” with these filters." }).waitFor();
    assert.equal(await what.inputValue(), "entities", "the address has the filters");
    await page.close();
  }
});

const LINKS = [
  ["[https://good.example](https://evil.example/phish)", "evil.example"],
  ["[good.example](https://evil.example/phish)", "evil.example"],
  ["[see **www.good.example/login** here](https://good.example.evil.example/)", "good.example.evil.example"],
  ["[see:https://good.example](https://evil.example:8443/)", "evil.example:8443"],
  ["[https:\\\\\\\\good.example](https://evil.example/)", "evil.example"],
  ["[http://localhost:3000](https://evil.example/)", "evil.example"],
  ["[10.0.0.1](https://evil.example/)", "evil.example"],
  ["[help@good.example](mailto:help@evil.example)", "help@evil.example"],
  ["[https://gооd.example](https://gооd.example/)", "xn--gd-fmca.example"],
  ["[https://good.example/a/page.html](https://good.example/a/page.html)", undefined],
  ["[good.example](https://www.good.example/a)", undefined],
  ["[https://good.example](http://good.example:8080/)", undefined],
  ["<https://good.example/a.b/c?d=e.f>", undefined],
  ["<help@good.example>", undefined],
  ["[the manual, chapter 1.2](https://good.example/)", undefined],
  ["[version 2.0.1](https://good.example/)", undefined],
];

test("a link whose text looks like another address shows where it leads", { skip }, async (t) => {
  await write("leads.md", `# Links\n\n${LINKS.map(([link]) => `- ${link}`).join("\n")}\n\n## [https://good.example](https://evil.example/heading)\n`);
  for (const options of [{}, PHONE_DARK]) {
    const page = await shown(t, "/app/documents/leads.md", options);
    const items = page.locator(".prose li");
    await items.first().waitFor();
    const found = await items.evaluateAll((all) => all.map((item) => item.querySelector("a .leads")?.textContent ?? null));
    assert.deepEqual(found, LINKS.map(([, place]) => (place === undefined ? null : ` (leads to ${place})`)));
    assert.ok(await items.first().getByText("leads to evil.example").isVisible());
    assert.equal(await page.locator(".prose h3, .prose h2").last().getAttribute("id"), "h-httpsgoodexample", "the address of a heading stays");
    await accessible(page);
    await fits(page);
    await picture(page, options.viewport ? "links-phone-dark" : "links");
    await page.close();
  }
});

test("the preview of an undo says what will happen", { skip }, async (t) => {
  await withTools(server, alice.key, async (call) => {
    await call("write_memory_bank_file", { filename: "undo-made.md", content: "# Made\n" });
    await call("write_memory_bank_file", { filename: "there-undo.md", content: "# One\n" });
  });
  await withTools(server, alice.key, async (call) => {
    await call("write_memory_bank_file", { filename: "there-undo.md", content: "# Two\n" });
    await call("write_memory_bank_file", { filename: "undo-new.md", content: "# New\n" });
  });
  const { session } = (await (await send("GET", "history?filename=undo-new.md")).json()).versions[0];
  const page = await open(t, browser, server.origin);
  const { code } = await database.operate("login-code", "--user", alice.user);
  await signIn(page, server.origin, code, `/app/undo?by=${session}`);
  await page.getByRole("heading", { name: "Would be undone" }).waitFor();
  const badge = (name) => page.locator(".card li", { hasText: name }).locator(".tag").innerText();
  assert.deepEqual([await badge("undo-new.md"), await badge("there-undo.md")], ["will be deleted", "will change"]);
  await accessible(page);
  await picture(page, "undo-will");
  await page.getByRole("button", { name: "Undo", exact: true }).click();
  await page.getByRole("heading", { name: "Was undone" }).waitFor();
  assert.deepEqual([await badge("undo-new.md"), await badge("there-undo.md")], ["deleted", "changed"]);
});

test("going back from a chosen node shows the picture without it, and showing everything leaves no second one", { skip }, async (t) => {
  await withTools(server, alice.key, async (call) => {
    await call("graph_upsert_entity", { name: "Node one", entityType: "service" });
    await call("graph_upsert_entity", { name: "Node two", entityType: "service" });
    await call("graph_link_entities", { from: "Node one", to: "Node two", relationType: "calls" });
  });
  const page = await shown(t, "/app/");
  await page.goto(`${server.origin}/app/graph`);
  await page.getByRole("link", { name: "Picture" }).click();
  await page.locator(".canvas[data-state=done]").waitFor();
  const chosen = page.locator("#chosen");
  const choose = (name) => page.locator(".picture-side .nodes").getByRole("button", { name, exact: true }).click();
  await choose("Node one");
  await page.getByRole("heading", { name: "Node one", level: 2 }).waitFor();
  await choose("Node two");
  await page.getByRole("heading", { name: "Node two", level: 2 }).waitFor();
  await page.goBack();
  await chosen.waitFor({ state: "detached" });
  await page.locator(".canvas").waitFor();
  assert.match(page.url(), /view=picture$/);
  await page.goForward();
  await page.getByRole("heading", { name: "Node two", level: 2 }).waitFor();
  await page.goBack();
  await chosen.waitFor({ state: "detached" });
  await choose("Node one");
  await chosen.waitFor();
  await page.getByRole("button", { name: "Show everything" }).click();
  await chosen.waitFor({ state: "detached" });
  await page.goBack();
  await page.getByRole("heading", { name: "Graph", level: 1 }).waitFor();
  await page.locator(".canvas").waitFor({ state: "detached" });
});

test("the list of keys has those of the editor", { skip }, async (t) => {
  const page = await shown(t, "/app/");
  await page.keyboard.press("?");
  const list = page.getByRole("dialog", { name: "Keyboard shortcuts" });
  await list.waitFor();
  const keys = await list.locator("kbd").allInnerTexts();
  assert.ok(keys.includes("Ctrl S") && keys.includes("Ctrl F"), keys.join(", "));
  await accessible(page);
  await picture(page, "shortcuts");
});

/** Opens the dialog of a document, and asks for another name. */
async function rename(page, from, to) {
  await page.goto(`${server.origin}/app/documents/${from}`);
  await page.getByRole("button", { name: "Rename" }).click();
  await page.getByLabel("New name, with its folders").fill(to);
  await page.getByRole("dialog").getByRole("button", { name: "Rename" }).click();
}

test("a renaming whose reply is lost counts as done if it was done, and else the page names what may be its new name", { skip }, async (t) => {
  for (const name of ["lost-1.md", "lost-2.md", "lost-3.md"]) await write(name, `# Lost ${name}\n`);
  const page = await shown(t, "/app/documents");
  const isRename = (url) => url.pathname === "/api/v1/document/rename";
  const isApi = (url) => url.pathname.startsWith("/api/v1/document");
  const lose = async (route) => {
    await route.fetch();
    await route.abort("connectionreset");
  };
  // The server can be asked.
  await page.route(isRename, lose);
  await rename(page, "lost-1.md", "found-1.md");
  await page.getByRole("heading", { name: "found-1.md", level: 1 }).waitFor();
  await page.getByText("It was called lost-1.md.").waitFor();
  await page.unrouteAll({ behavior: "wait" });
  // It cannot.
  await page.goto(`${server.origin}/app/documents/lost-2.md`);
  await page.getByRole("button", { name: "Rename" }).click();
  await page.getByLabel("New name, with its folders").fill("found-2.md");
  await page.route(isApi, (route) => (isRename(new URL(route.request().url())) ? lose(route) : route.abort("connectionreset")));
  const ask = page.getByRole("dialog").getByRole("button", { name: "Rename" });
  await ask.click();
  const note = page.getByRole("dialog").getByText("it may have been renamed already to");
  await note.waitFor();
  await page.getByRole("dialog").getByRole("link", { name: "found-2.md" }).waitFor();
  await accessible(page);
  await picture(page, "rename-lost");
  await page.unrouteAll({ behavior: "wait" });
  // Asked for again, it was done.
  await ask.click();
  await page.getByRole("heading", { name: "found-2.md", level: 1 }).waitFor();
  // The page itself says so, too, and leads there.
  await page.goto(`${server.origin}/app/documents/lost-3.md`);
  await page.getByRole("button", { name: "Rename" }).click();
  await page.getByLabel("New name, with its folders").fill("found-3.md");
  await page.route(isApi, (route) => (isRename(new URL(route.request().url())) ? lose(route) : route.abort("connectionreset")));
  await ask.click();
  await note.waitFor();
  await page.unrouteAll({ behavior: "wait" });
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await write("wakes-the-page.md", "# Wakes\n");
  await page.locator("main").getByText("it may have been renamed already to").waitFor();
  await page.locator("main").getByRole("link", { name: "found-3.md" }).first().click();
  await page.getByRole("heading", { name: "found-3.md", level: 1 }).waitFor();
  assert.equal((await send("GET", named("lost-3.md"))).status, 404);
});

test("a search names all places of one sentence", { skip }, async (t) => {
  for (const name of ["a", "b"]) await write(`same/${name}.md`, `# Notes ${name}\n\nThe harbour crane lifts 40 tons.\n`);
  const page = await shown(t, "/app/search?q=harbour%20crane");
  const row = page.locator(".result", { hasText: "The same text also:" });
  await row.getByText("line 3").first().waitFor();
  const names = (await row.getByRole("link").allInnerTexts()).filter((name) => name.startsWith("same/"));
  assert.deepEqual(names.sort(), ["same/a.md", "same/b.md"]);
  await accessible(page);
  await picture(page, "search-same");
  await row.getByRole("link", { name: /^same\// }).last().click();
  await page.getByText("The harbour crane lifts 40 tons.").waitFor();
});

test("who wrote a document that is gone leads to what became of it", { skip }, async (t) => {
  await write("gone-lines.md", "# Gone\n");
  await remove("gone-lines.md");
  const page = await shown(t, "/app/blame/gone-lines.md");
  await page.getByText("The document of this name is not there any more.").waitFor();
  await page.getByRole("link", { name: "Open the document" }).click();
  await page.getByRole("link", { name: "Bring it back" }).waitFor();
});

test("an undo whose reply is lost is asked again, and says what is as it was already", { skip }, async (t) => {
  await write("lost-undo.md", "# One\n");
  await withTools(server, alice.key, (call) => call("write_memory_bank_file", { filename: "lost-undo.md", content: "# Two\n" }));
  const { session } = (await (await send("GET", "history?filename=lost-undo.md")).json()).versions[0];
  const page = await shown(t, `/app/undo?by=${session}`);
  await page.getByRole("heading", { name: "Would be undone" }).waitFor();
  await page.route((url) => url.pathname === "/api/v1/history/undo", async (route) => {
    if (route.request().postDataJSON().dryRun === true) return route.continue();
    await route.fetch();
    return route.abort("connectionreset");
  });
  await page.getByRole("button", { name: "Undo", exact: true }).click();
  await page.getByText("1 document or item is as it was before already.").waitFor();
  await page.getByRole("button", { name: "Undo", exact: true }).waitFor({ state: "detached" });
  assert.equal((await (await send("GET", named("lost-undo.md"))).json()).text, "# One\n");
});

test("the working sessions offer an editor no undo of those of others", { skip }, async (t) => {
  await withTools(server, alice.key, (call) => call("write_memory_bank_file", { filename: "of-alice.md", content: "# Hers\n" }));
  await withTools(server, bob, (call) => call("write_memory_bank_file", { filename: "of-bob.md", content: "# His\n" }));
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, bob, "/app/sessions");
  const undo = page.getByRole("link", { name: /^Undo what/ });
  await undo.first().waitFor();
  const labels = await undo.evaluateAll((links) => links.map((link) => link.getAttribute("aria-label")));
  assert.ok(labels.every((label) => label.includes("Bob")), labels.join("; "));
  await page.getByText(alice.user).first().waitFor();
});
