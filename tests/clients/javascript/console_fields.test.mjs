// The fields in which documents are edited: every key that is typed is text, and line ends stay as they were.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open, plainField, signIn, skip, withTools } from "./lib/console.mjs";
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

const address = (name) => `/api/v1/document?filename=${name}`;

async function write(name, text) {
  const headers = { "Content-Type": "application/json" };
  const reply = await server.fetch(address(name), alice.key, { method: "PUT", headers, body: JSON.stringify({ text }) });
  assert.ok([200, 201].includes(reply.status), await reply.text());
}

const stored = async (name) => (await (await server.fetch(address(name), alice.key)).json()).text;

for (const isPlain of [false, true]) {
  const field = isPlain ? "a plain field" : "a field with colours";

  async function edit(t, name) {
    const page = await open(t, browser, server.origin);
    if (isPlain) await plainField(page);
    await signIn(page, server.origin, alice.key, `/app/edit/${name}`);
    const text = page.getByRole("textbox", { name: `Text of ${name}` });
    await text.waitFor();
    assert.equal(await text.evaluate((element) => element.isContentEditable), !isPlain);
    return { page, text };
  }

  async function save(page, name) {
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByRole("heading", { name, exact: true }).waitFor();
  }

  test(`keys that open something elsewhere are text in ${field}`, { skip }, async (t) => {
    const name = `keys-${isPlain}.md`;
    await write(name, "# Keys\n\n");
    const { page, text } = await edit(t, name);
    await text.focus();
    await page.keyboard.press("Control+End");
    await page.keyboard.type("Is /app/search the way? Yes/no.");
    await save(page, name);
    assert.equal(await stored(name), "# Keys\n\nIs /app/search the way? Yes/no.");
  });

  test(`the line ends of a document stay as they were in ${field}`, { skip }, async (t) => {
    const name = `ends-${isPlain}.md`;
    await write(name, "# Ends\r\n\r\none\r\n");
    const { page, text } = await edit(t, name);
    await text.focus();
    await page.keyboard.press("Control+End");
    await page.keyboard.type("two");
    await page.keyboard.press("Enter");
    await page.keyboard.type("three");
    await save(page, name);
    assert.equal(await stored(name), "# Ends\r\n\r\none\r\ntwo\r\nthree");
    await page.getByRole("link", { name: "Edit", exact: true }).click();
    await text.waitFor();
    assert.equal(await page.getByText("This is your draft").count(), 0, "opening a document changes nothing");
  });
}
