// Several tabs, users and projects in one browser that shows the web console, links that should sign nobody in, and documents
// that should not stop a page.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open, plainField, signIn, skip, withTools } from "./lib/console.mjs";
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
