// Several tabs, users and projects in one browser that shows the web console, links that should sign nobody in, and documents
// that should not stop a page.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { accessible, launch, open, picture, plainField, signIn, skip, withTools } from "./lib/console.mjs";
import { Database } from "./lib/http_server.mjs";

let database, server, browser, alice, eve;

before(async () => {
  if (skip) return;
  database = await Database.lent();
  server = await database.serve();
  [alice, eve] = [await database.project(), await database.project()];
  for (const { key } of [alice, eve]) {
    await withTools(server, key, async (call) => {
      await call("initialize_memory_bank", { path: "." });
      await call("write_memory_bank_file", { filename: "notes.md", content: "# Notes\n\nthe same text\n" });
    });
  }
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await database?.giveBack();
});

const stored = async (key) => (await (await server.fetch("/api/v1/document?filename=notes.md", key)).json()).text;

/** Signs another tab in to another project, as a form that was open before does. */
const replaceSession = (page, key) =>
  page.evaluate(async (secret) => {
    const reply = await fetch("/app/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ secret }) });
    localStorage.setItem("memory-bank-console", JSON.stringify(await reply.json()));
  }, key);

test("an address with a key or a login code signs nobody in", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  for (const secret of [eve.key, "mbmcp_lc_0123456789abcdef"]) {
    await page.goto("about:blank");
    await page.goto(`${server.origin}/app/#open=${secret}`);
    await page.getByLabel("API key or login code").waitFor();
  }
  await signIn(page, server.origin, alice.key);
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  await page.goto("about:blank");
  await page.goto(`${server.origin}/app/#open=${eve.key}`);
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  await page.getByText(`Signed in as ${alice.user}`).waitFor();
});

test("a text that is edited is never saved into the project of another tab, and no other user sees its draft", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await plainField(page);
  await signIn(page, server.origin, alice.key, "/app/edit/notes.md");
  const field = page.getByLabel("Text of notes.md");
  await field.fill("# Notes\n\nconfidential\n");
  const other = await page.context().newPage();
  await other.goto(`${server.origin}/app/`);
  await replaceSession(other, eve.key);
  await page.getByText(`Signed in as ${eve.user}`).waitFor();
  await field.waitFor();
  assert.equal(await field.inputValue(), "# Notes\n\nthe same text\n");
  await field.fill("# Notes\n\nof the other project\n");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "notes.md", exact: true }).waitFor();
  assert.deepEqual([await stored(alice.key), await stored(eve.key)], ["# Notes\n\nthe same text\n", "# Notes\n\nof the other project\n"]);
  // The draft waits for its own user.
  await replaceSession(other, alice.key);
  await page.goto(`${server.origin}/app/edit/notes.md`);
  await page.getByText("This is your draft, which is not saved yet.").waitFor();
  assert.match(await field.inputValue(), /confidential/);
});

/** An editor of a document in another tab of the same browser. */
async function tab(page, name) {
  const other = await page.context().newPage();
  await other.goto(`${server.origin}/app/edit/${name}`);
  const field = other.getByLabel(`Text of ${name}`);
  await field.waitFor();
  return { page: other, field };
}

test("two tabs with one document keep a draft each, of which none is lost or called left while its tab is open", { skip }, async (t) => {
  await withTools(server, alice.key, (call) => call("write_memory_bank_file", { filename: "both.md", content: "# Both\n" }));
  const page = await open(t, browser, server.origin);
  await plainField(page);
  await signIn(page, server.origin, alice.key, "/app/edit/both.md");
  await page.getByLabel("Text of both.md").fill("# Both\n\nof the first tab\n");
  const second = await tab(page, "both.md");
  await second.page.getByText("This document is edited in another tab, too.").waitFor();
  assert.equal(await second.field.inputValue(), "# Both\n");
  assert.equal(await second.page.getByText("This is your draft").count(), 0);
  await second.field.fill("# Both\n\nof the second tab\n");
  await page.getByLabel("Text of both.md").fill("# Both\n\nof the first tab, and more\n");
  await second.page.reload();
  await second.page.getByText("This is your draft, which is not saved yet.").waitFor();
  assert.equal(await second.field.inputValue(), "# Both\n\nof the second tab\n", "a tab that is loaded again has its own text");
  const third = await tab(page, "both.md");
  assert.equal(await third.field.inputValue(), "# Both\n");
  await second.page.close();
  await third.page.goto(`${server.origin}/app/documents/both.md`);
  await third.page.getByText("You have a draft of this document in this browser").waitFor();
  await third.page.getByText("This document is edited in another tab, too.").waitFor();
  await page.close();
  await third.page.goto(`${server.origin}/app/edit/both.md`);
  await third.field.waitFor();
  const found = [await third.field.inputValue()];
  await third.page.getByText("There is another draft of this document").waitFor();
  await accessible(third.page);
  await picture(third.page, "edit-two-drafts");
  await third.page.getByRole("button", { name: "Continue with that one" }).click();
  await third.page.waitForFunction((before) => document.querySelector("textarea")?.value !== before, found[0]);
  found.push(await third.field.inputValue());
  assert.deepEqual(found.sort(), ["# Both\n\nof the first tab, and more\n", "# Both\n\nof the second tab\n"]);
});

test("a draft is offered also if the browser ends the lock of its closed tab after another tab has opened the document", { skip }, async (t) => {
  await withTools(server, alice.key, (call) => call("write_memory_bank_file", { filename: "late.md", content: "# Late\n" }));
  const page = await open(t, browser, server.origin);
  await plainField(page);
  await signIn(page, server.origin, alice.key, "/app/documents/late.md");
  await page.getByRole("link", { name: "Edit" }).waitFor();
  // Two drafts that were left; the lock of one is still held, as by a tab that is being closed.
  const end = await page.evaluateHandle(([user, project]) => {
    const keyOf = (id) => `memory-bank-console-draft ${JSON.stringify([user, project, "late.md", id])}`;
    for (const id of ["held", "free"]) {
      localStorage.setItem(keyOf(id), JSON.stringify({ base: { text: "# Late\n" }, text: `# Late\n\n${id}\n`, at: Date.now() }));
    }
    return new Promise((granted) => {
      void navigator.locks.request(keyOf("held"), () => new Promise((release) => granted({ release })));
    });
  }, [alice.user, alice.slug]);
  const { page: second, field } = await tab(page, "late.md");
  const isOpen = second.getByText("This document is edited in another tab, too.");
  await isOpen.waitFor();
  assert.equal(await field.inputValue(), "# Late\n\nfree\n");
  await end.evaluate(({ release }) => release());
  await second.getByText("There is another draft of this document").waitFor({ timeout: 5000 });
  await isOpen.waitFor({ state: "detached", timeout: 5000 });
  await second.getByRole("button", { name: "Continue with that one" }).click();
  await second.waitForFunction(() => document.querySelector("textarea")?.value === "# Late\n\nheld\n");
});

test("a tab says that its document was saved elsewhere, before its own text is saved", { skip }, async (t) => {
  await withTools(server, alice.key, (call) => call("write_memory_bank_file", { filename: "saved.md", content: "# Saved\n\none\n\ntwo\n" }));
  const page = await open(t, browser, server.origin);
  await plainField(page);
  await signIn(page, server.origin, alice.key, "/app/edit/saved.md");
  const field = page.getByLabel("Text of saved.md");
  await field.fill("# Saved\n\none of mine\n\ntwo\n");
  const second = await tab(page, "saved.md");
  await second.field.fill("# Saved\n\none\n\ntwo of the other tab\n");
  await second.page.getByRole("button", { name: "Save" }).click();
  await second.page.getByRole("heading", { name: "saved.md", exact: true }).waitFor();
  const note = page.getByRole("status").filter({ hasText: "You have changed this document elsewhere meanwhile." });
  await note.waitFor();
  assert.equal(await field.inputValue(), "# Saved\n\none of mine\n\ntwo\n");
  await accessible(page);
  await picture(page, "edit-elsewhere");
  await note.getByRole("button", { name: "Compare both" }).click();
  await page.getByRole("button", { name: "Continue with the merged text" }).click();
  await page.getByText("This is the merged text.").waitFor();
  assert.equal(await note.count(), 0);
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "saved.md", exact: true }).waitFor();
  const reply = await server.fetch("/api/v1/document?filename=saved.md", alice.key);
  assert.equal((await reply.json()).text, "# Saved\n\none of mine\n\ntwo of the other tab\n");
});

test("a document that is deleted while it is edited is called so, and its text is saved as a new document", { skip }, async (t) => {
  await withTools(server, alice.key, (call) => call("write_memory_bank_file", { filename: "deleted.md", content: "# Deleted\n" }));
  const page = await open(t, browser, server.origin);
  await plainField(page);
  await signIn(page, server.origin, alice.key, "/app/edit/deleted.md");
  const field = page.getByLabel("Text of deleted.md");
  await field.fill("# Deleted\n\nof mine\n");
  const { etag } = await (await server.fetch("/api/v1/document?filename=deleted.md", alice.key)).json();
  assert.equal((await server.fetch(`/api/v1/document?filename=deleted.md&etag=${etag}`, alice.key, { method: "DELETE" })).status, 200);
  const note = page.getByRole("status").filter({ hasText: "This document was deleted meanwhile. Your text is kept here." });
  await note.waitFor();
  assert.equal(await field.inputValue(), "# Deleted\n\nof mine\n");
  await accessible(page);
  await picture(page, "edit-deleted");
  // Saving says the same again, and loses nothing; no alert is shown until the page knows why the text was refused.
  const asked = (request) => request.method() === "GET" && request.url().includes("/api/v1/document?");
  await page.route(
    (url) => url.pathname === "/api/v1/document",
    async (route) => {
      if (asked(route.request())) await setTimeout(500);
      await route.continue();
    },
  );
  const answered = page.waitForResponse((response) => asked(response.request()));
  const refused = page.waitForResponse((response) => response.request().method() === "PUT");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  assert.ok((await refused).status() >= 400);
  await setTimeout(200);
  assert.equal(await page.getByRole("alert").count(), 0);
  await answered;
  await page.locator("#save:enabled").waitFor();
  await note.waitFor();
  assert.equal(await page.getByRole("alert").count(), 0);
  await page.reload();
  await page.getByText("This is your draft, which is not saved yet.").waitFor();
  await note.waitFor();
  await note.getByRole("button", { name: "Save it as a new document" }).click();
  await page.getByRole("heading", { name: "deleted.md", exact: true }).waitFor();
  const reply = await server.fetch("/api/v1/document?filename=deleted.md", alice.key);
  assert.equal((await reply.json()).text, "# Deleted\n\nof mine\n");
});

test("two tabs that correct one fact keep their texts", { skip }, async (t) => {
  await withTools(server, alice.key, async (call) => {
    await call("graph_upsert_entity", { name: "Tabbed", entityType: "service" });
    await call("graph_add_observation", { entity: "Tabbed", text: "is blue" });
  });
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key, "/app/graph/Tabbed");
  const tabs = [page, await page.context().newPage()];
  await tabs[1].goto(`${server.origin}/app/graph/Tabbed`);
  for (const [at, one] of tabs.entries()) {
    await one.getByRole("button", { name: "Correct: is blue" }).click();
    await one.getByLabel("Corrected text").fill(`is red ${at}`);
  }
  for (const [at, one] of tabs.entries()) {
    await one.reload();
    await one.getByLabel("Corrected text").waitFor();
    assert.equal(await one.getByLabel("Corrected text").inputValue(), `is red ${at}`);
  }
});

test("a press while a tab looks for a draft that was left is not lost", { skip }, async (t) => {
  await withTools(server, alice.key, async (call) => {
    await call("graph_upsert_entity", { name: "Pressed", entityType: "service" });
    await call("graph_add_observation", { entity: "Pressed", text: "is blue" });
  });
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key, "/app/graph/Pressed");
  await page.getByRole("button", { name: "Correct: is blue" }).click();
  await page.getByLabel("Corrected text").fill("is red");
  const second = await page.context().newPage();
  // As soon as the button is there, and again while the tab waits for the lock of the first one.
  await second.addInitScript(() => {
    const press = () => document.querySelector('[aria-label="Correct: is blue"]')?.click();
    new MutationObserver((_, observer) => {
      if (document.querySelector('[aria-label="Correct: is blue"]') === null) return;
      observer.disconnect();
      for (const after of [0, 60, 120, 180]) setTimeout(press, after);
    }).observe(document, { childList: true, subtree: true });
  });
  await second.goto(`${server.origin}/app/graph/Pressed`);
  await second.getByLabel("Corrected text").waitFor({ timeout: 10_000 });
  assert.equal(await second.getByLabel("Corrected text").inputValue(), "is blue");
});

test("a tab that is loaded again has its own draft also if the browser ends the lock of its former page late", { skip }, async (t) => {
  await withTools(server, alice.key, (call) => call("write_memory_bank_file", { filename: "again.md", content: "# Again\n" }));
  const page = await open(t, browser, server.origin);
  await plainField(page);
  await signIn(page, server.origin, alice.key, "/app/edit/again.md");
  await page.getByLabel("Text of again.md").fill("# Again\n\nmine\n");
  // Another page of the browser takes the lock as soon as it ends, and keeps it for longer than a closed tab may.
  const holder = await page.context().newPage();
  await holder.goto(`${server.origin}/app/`);
  await holder.evaluate(() => {
    const key = Object.keys(localStorage).find((name) => name.startsWith("memory-bank-console-draft "));
    void navigator.locks.request(key, () => new Promise((release) => setTimeout(release, 1000)));
  });
  await page.bringToFront();
  await page.reload();
  await page.getByText("This is your draft, which is not saved yet.").waitFor({ timeout: 10_000 });
  assert.equal(await page.getByLabel("Text of again.md").inputValue(), "# Again\n\nmine\n");
});

test("a page follows another tab's session also if it has read the former one just before", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key);
  await page.getByText(`Signed in as ${alice.user}`).waitFor();
  await replaceSession(page, eve.key);
  // The browser tells a page of a change while nobody listens yet: the page has read the former session, and gets no event.
  await page.addInitScript((former) => {
    const read = Storage.prototype.getItem;
    let isFirst = true;
    Storage.prototype.getItem = function (name) {
      if (name !== "memory-bank-console" || !isFirst) return read.call(this, name);
      isFirst = false;
      return JSON.stringify({ ...JSON.parse(read.call(this, name)), ...former });
    };
  }, { token: "0".repeat(32), user: alice.user, project: alice.slug });
  await page.goto(`${server.origin}/app/`);
  await page.getByText(`Signed in as ${eve.user}`).waitFor({ timeout: 10_000 });
});

test("a refusal of a former session that comes late ends no session that another tab has opened", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key);
  await page.getByText(`Signed in as ${alice.user}`).waitFor();
  // The requests of the former session wait, until the new one is shown.
  let release;
  const isReleased = new Promise((resolve) => (release = resolve));
  const { token } = await page.evaluate(() => JSON.parse(localStorage.getItem("memory-bank-console")));
  const held = page.waitForRequest((request) => request.url().includes("/api/v1/documents"));
  let refused = 0;
  await page.route(
    (url) => url.pathname.startsWith("/api/v1/"),
    async (route) => {
      if (route.request().headers()["x-console-token"] !== token) return route.continue();
      await isReleased;
      refused += 1;
      // A page that has left the request has nothing to answer.
      await route.fulfill({ status: 401, contentType: "application/problem+json", body: "{}" }).catch(() => undefined);
    },
  );
  await page.getByRole("link", { name: "Documents" }).first().click();
  await held;
  const other = await page.context().newPage();
  await other.goto(`${server.origin}/app/`);
  await replaceSession(other, eve.key);
  await page.getByText(`Signed in as ${eve.user}`).waitFor();
  release();
  await setTimeout(500);
  assert.ok(refused > 0);
  assert.equal(await page.getByText(`Signed in as ${eve.user}`).count(), 1);
  const stored = await page.evaluate(() => JSON.parse(localStorage.getItem("memory-bank-console") ?? "{}"));
  assert.equal(stored.user, eve.user);
});

test("a document that a parser takes minutes for is shown as its source", { skip }, async (t) => {
  const heavy = {
    "marks.md": "*a_".repeat(20_000),
    "word.md": `${"a.".repeat(50_000)}@`,
    "deep.md": `${">".repeat(20_000)} deep`,
    "list.md": `${"- ".repeat(20_000)}deep`,
  };
  await withTools(server, alice.key, async (call) => {
    for (const [filename, content] of Object.entries(heavy)) await call("write_memory_bank_file", { filename, content });
  });
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key);
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  // The page answers while a parser works on such a text.
  await page.goto(`${server.origin}/app/documents/marks.md`);
  await page.getByText("Loading…").waitFor();
  await page.getByRole("link", { name: "Overview" }).click();
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  for (const name of Object.keys(heavy)) {
    await page.goto(`${server.origin}/app/documents/${name}`);
    await page.getByText("This text has more Markdown than a page can show").waitFor();
    assert.equal((await page.locator("pre.source").textContent()).trim(), heavy[name].trim(), name);
  }
  // What people write is shown as Markdown, also if it is long.
  const lines = "*a_\n".repeat(20_000);
  await withTools(server, alice.key, (call) => call("write_memory_bank_file", { filename: "lines.md", content: lines }));
  await page.goto(`${server.origin}/app/documents/lines.md`);
  await page.locator("article p").filter({ hasText: "*a_" }).waitFor();
  const long = `# Long\n\n${"- **Fixed** the `parser` of [links](https://example.com) in *several* places\n".repeat(8_000)}`;
  await withTools(server, alice.key, (call) => call("write_memory_bank_file", { filename: "long.md", content: long }));
  await page.goto(`${server.origin}/app/documents/long.md`);
  await page.locator("article strong").first().waitFor();
  await page.waitForFunction(() => document.querySelectorAll("article li").length === 8000);
  await page.getByRole("link", { name: "Overview" }).click();
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
});
