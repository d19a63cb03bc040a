// Who wrote which line, undoing, renaming and deleting in the web console: each shows what it would do, and the way
// back from it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, fits, launch, open, PHONE, picture, plainField, signIn, skip, withTools } from "./lib/console.mjs";
import { Database } from "./lib/http_server.mjs";

const RUN = "alert(document.domain)";
const HOSTILE = `<img src=x onerror=${RUN}> <script>${RUN}</script> [x](javascript:${RUN})`;

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

const write = (filename, content) => withTools(server, alice.key, (call) => call("write_memory_bank_file", { filename, content }));
const read = async (filename) => {
  const reply = await server.fetch(`/api/v1/document?filename=${encodeURIComponent(filename)}`, alice.key);
  return reply.status === 200 ? (await reply.json()).text : reply.status;
};

/** Signs in with a login code, whose session has the rights of the user. */
async function signedIn(t, address, options) {
  const { code } = await database.operate("login-code", "--user", alice.user);
  const page = await open(t, browser, server.origin, options);
  await plainField(page);
  await signIn(page, server.origin, code, address);
  return page;
}

test("a reader sees who wrote each line, and goes to the change that brought it", { skip }, async (t) => {
  await write("facts.md", `# Facts\n\nThe port is 3100.\n${HOSTILE}\n`);
  await write("facts.md", `# Facts\n\nThe port is 1300.\n${HOSTILE}\n`);
  for (const options of [{}, { viewport: PHONE, isMobile: true, hasTouch: true, colorScheme: "dark" }]) {
    const page = await signedIn(t, "/app/documents/facts.md", options);
    await page.getByRole("link", { name: "Who wrote it" }).click();
    const ranges = page.locator(".origin");
    await ranges.first().waitFor();
    const texts = await ranges.allInnerTexts();
    const line = texts.find((text) => text.includes("The port is 1300."));
    assert.ok(line.includes(alice.user) && line.includes("version 2") && line.includes("with write_memory_bank_file"), line);
    assert.ok(texts.some((text) => text.includes(HOSTILE) && text.includes("version 1")), "texts are shown as texts");
    await accessible(page);
    await fits(page);
    await picture(page, options.viewport ? "blame-phone-dark" : "blame");
    await page.getByRole("link", { name: "version 2" }).click();
    await page.getByRole("heading", { name: "What version 2 changed" }).waitFor();
    await page.close();
  }
});

test("the changes of a session are undone after they were shown, and that is undone, too", { skip }, async (t) => {
  await write("undone.md", "# Right\n");
  await withTools(server, alice.key, async (call) => {
    await call("write_memory_bank_file", { filename: "undone.md", content: "# Wrong\n" });
    await call("graph_upsert_entity", { name: `Wrong ${HOSTILE}`, entityType: HOSTILE });
    await call("graph_add_observation", { entity: `Wrong ${HOSTILE}`, text: HOSTILE });
  });
  const page = await signedIn(t, "/app/history/undone.md?version=2");
  await page.getByText("Undo more than this change").click();
  await accessible(page);
  await page.getByRole("link", { name: "All changes of this session, in all documents and the graph" }).click();
  await page.getByRole("heading", { name: "Would be undone" }).waitFor();
  const shown = await page.locator("main").innerText();
  assert.ok(shown.includes("undone.md") && shown.includes(`Wrong ${HOSTILE}`), shown);
  await accessible(page);
  await picture(page, "undo");
  assert.equal(await read("undone.md"), "# Wrong\n", "nothing is changed before it is confirmed");
  await page.getByRole("button", { name: "Undo", exact: true }).click();
  await page.getByRole("heading", { name: "Was undone" }).waitFor();
  await accessible(page);
  assert.equal(await read("undone.md"), "# Right\n");
  assert.equal((await server.fetch(`/api/v1/graph/entity?name=${encodeURIComponent(`Wrong ${HOSTILE}`)}`, alice.key)).status, 404);
  // The way back: the version before.
  await page.getByRole("link", { name: "undone.md" }).first().click();
  await page.locator("main").getByRole("link", { name: "History", exact: true }).click();
  await page.getByRole("link", { name: /version 2/ }).click();
  await page.getByRole("link", { name: "Bring this version back" }).click();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "undone.md", exact: true }).waitFor();
  assert.equal(await read("undone.md"), "# Wrong\n");
});

test("what a user changed in one document since a time is undone, or nothing", { skip }, async (t) => {
  await write("mine.md", "# One\n");
  await write("mine.md", "# Two\n");
  await write("mine.md", "# Three\n");
  const page = await signedIn(t, "/app/history/mine.md?version=2");
  await page.getByText("Undo more than this change").click();
  await page.getByRole("link", { name: `All changes of ${alice.user} in this document, from this one on` }).click();
  await page.getByText("2 changes").waitFor();
  await page.getByRole("link", { name: "Cancel" }).click();
  await page.getByRole("heading", { name: "History of mine.md" }).waitFor();
  assert.equal(await read("mine.md"), "# Three\n");
  await page.goBack();
  await page.getByRole("button", { name: "Undo", exact: true }).click();
  await page.getByRole("heading", { name: "Was undone" }).waitFor();
  assert.equal(await read("mine.md"), "# One\n");
});

test("one own change is undone alone, from the version that it made", { skip }, async (t) => {
  await write("one.md", "# One\n\nfirst\n\nlast\n");
  await write("one.md", "# One\n\nwrong\n\nlast\n");
  await write("one.md", "# One\n\nwrong\n\nlast, and more\n");
  const page = await signedIn(t, "/app/history/one.md?version=2");
  await page.getByRole("link", { name: "Undo this change" }).click();
  await page.getByText(`One change of ${alice.user}`).waitFor();
  await page.getByText(/^1 change/).waitFor();
  await accessible(page);
  assert.match(await read("one.md"), /wrong/, "nothing is changed before it is confirmed");
  await page.getByRole("button", { name: "Undo", exact: true }).click();
  await page.getByRole("heading", { name: "Was undone" }).waitFor();
  assert.equal(await read("one.md"), "# One\n\nfirst\n\nlast, and more\n");
});

test("the history of the project has changes of documents and graph in the order of time, page by page, and undoes one", { skip }, async (t) => {
  await withTools(server, alice.key, async (call) => {
    await call("write_memory_bank_file", { filename: "mixed.md", content: "# Mixed\n" });
    await call("graph_upsert_entity", { name: "Mixed", entityType: "service" });
    for (let number = 0; number < 60; number += 1) await call("graph_add_observation", { entity: "Mixed", text: `fact ${number} ${HOSTILE}` });
    await call("write_memory_bank_file", { filename: "mixed-2.md", content: "# Mixed\n" });
    await call("graph_add_observation", { entity: "Mixed", text: "the last fact" });
  });
  for (const options of [{}, { viewport: PHONE, isMobile: true, hasTouch: true, colorScheme: "dark" }]) {
    const page = await signedIn(t, "/app/history", options);
    const rows = page.locator(".versions .row");
    await rows.first().waitFor();
    const first = await rows.allInnerTexts();
    assert.match(first[0], /^the last fact created/);
    assert.match(first[1], /^mixed-2\.md created/);
    assert.match(first[2], /^fact 59/);
    assert.equal(first.length, 50);
    await accessible(page);
    await fits(page);
    await picture(page, options.viewport ? "history-project-phone" : "history-project");
    await page.getByRole("button", { name: "Show older changes" }).click();
    await page.getByText("mixed.md", { exact: false }).last().waitFor();
    const all = await rows.allInnerTexts();
    assert.equal(all.filter((text) => /^fact \d+ /.test(text)).length, 60);
    assert.equal(new Set(all.map((text) => text.split("\n")[0])).size >= 63, true, "no change is in two pages");
    assert.ok(all.some((text) => text.startsWith("entity “Mixed” created")));
    await page.close();
  }
  const page = await signedIn(t, "/app/history");
  await page.getByRole("link", { name: "Undo: the last fact" }).click();
  await page.getByText(/^1 change/).waitFor();
  await page.getByRole("button", { name: "Undo", exact: true }).click();
  await page.getByRole("heading", { name: "Was undone" }).waitFor();
  await page.goto(`${server.origin}/app/history`);
  await page.locator(".versions .row").first().waitFor();
  assert.match(await page.locator(".versions .row").first().innerText(), /^the last fact undone/);
  const { observations } = await (await server.fetch("/api/v1/graph/entity?name=Mixed", alice.key)).json();
  assert.ok(!observations.some(({ text }) => text === "the last fact"));
});

test("a change of somebody else is not offered to an editor, and is to an owner", { skip }, async (t) => {
  await write("theirs.md", "# Theirs\n");
  const invited = await server.fetch("/api/v1/members", alice.key, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name: "Edda", role: "editor" }) });
  const { key } = (await invited.json()).key;
  await withTools(server, key, (call) => call("write_memory_bank_file", { filename: "theirs.md", content: "# Edda's\n" }));
  const editor = await open(t, browser, server.origin);
  await signIn(editor, server.origin, key, "/app/history/theirs.md?version=1");
  await editor.getByText("Undo more than this change").waitFor();
  assert.equal(await editor.getByRole("link", { name: "Undo this change" }).count(), 0);
  await editor.getByRole("link", { name: /version 2/ }).click();
  await editor.getByRole("link", { name: "Undo this change" }).waitFor();
  const owner = await signedIn(t, "/app/history/theirs.md?version=2");
  await owner.getByRole("link", { name: "Undo this change" }).waitFor();
});

test("a text that was brought back names who wrote it first, and who brought it back", { skip }, async (t) => {
  const invited = await server.fetch("/api/v1/members", alice.key, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name: "Bo", role: "editor" }) });
  const { key } = (await invited.json()).key;
  await withTools(server, key, (call) => call("write_memory_bank_file", { filename: "back.md", content: "# Back\n\nby Bo\n" }));
  await write("back.md", "# Back\n\nby nobody\n");
  const page = await signedIn(t, "/app/history/back.md?version=1");
  await page.getByRole("link", { name: "Bring this version back" }).click();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("by Bo", { exact: true }).waitFor();
  await page.getByRole("link", { name: "Who wrote it" }).click();
  const range = page.locator(".origin", { hasText: "by Bo" });
  await range.waitFor();
  assert.match(await range.innerText(), new RegExp(`Bo, [^]*version 1[^]*brought back by ${alice.user}, [^]*version 3`));
  await accessible(page);
  await picture(page, "blame-brought-back");
});

test("on a phone a chosen change is what is shown, and its heading has the focus", { skip }, async (t) => {
  for (let number = 0; number < 25; number += 1) await write("long.md", `# Long\n\n${number}\n`);
  const page = await signedIn(t, "/app/history/long.md", { viewport: PHONE, isMobile: true, hasTouch: true });
  for (const address of [undefined, "/app/history/long.md?version=20"]) {
    if (address === undefined) await page.getByRole("link", { name: /version 24/ }).click();
    else await page.goto(`${server.origin}${address}`);
    const heading = page.getByRole("heading", { name: /^What version \d+ changed/ });
    await heading.waitFor();
    await page.waitForTimeout(300);
    const { y } = await heading.boundingBox();
    const header = await page.locator("header.top").boundingBox();
    assert.ok(y >= header.y + header.height && y < 500, `${address}: the heading is at ${y}`);
    assert.match(await page.evaluate(() => document.activeElement.textContent), /^What version/);
    await accessible(page);
    await fits(page);
  }
  await picture(page, "history-long-phone");
});

test("a document gets another name and its former one again, and an unfit name is refused with its reason", { skip }, async (t) => {
  await write("old-name.md", "# Named\n");
  await write("taken.md", "# Taken\n");
  const page = await signedIn(t, "/app/documents/old-name.md");
  await page.getByRole("button", { name: "Rename" }).click();
  const dialog = page.getByRole("dialog", { name: "Rename old-name.md" });
  await dialog.waitFor();
  await accessible(page);
  await picture(page, "rename");
  await dialog.getByLabel("New name, with its folders").fill("taken.md");
  await page.keyboard.press("Enter");
  await dialog.getByRole("alert").waitFor();
  assert.equal(await read("taken.md"), "# Taken\n");
  await dialog.getByLabel("New name, with its folders").fill("plans/new-name");
  await dialog.getByRole("button", { name: "Rename" }).click();
  await page.getByRole("heading", { name: "new-name.md", exact: true }).waitFor();
  await page.getByText("It was called old-name.md.").waitFor();
  await accessible(page);
  assert.deepEqual([await read("plans/new-name.md"), await read("old-name.md")], ["# Named\n", 404]);
  await page.getByRole("button", { name: "Give it that name again" }).click();
  await page.getByRole("heading", { name: "old-name.md", exact: true }).waitFor();
  assert.equal(await read("old-name.md"), "# Named\n");
  await page.getByRole("button", { name: "Rename" }).click();
  await dialog.waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
});

test("an owner deletes a document after a question, and brings it back; an editor is not offered it", { skip }, async (t) => {
  await write("gone.md", "# Gone\n");
  const page = await signedIn(t, "/app/documents/gone.md");
  await page.getByRole("button", { name: "Delete" }).click();
  const dialog = page.getByRole("dialog", { name: "Delete gone.md?" });
  await dialog.waitFor();
  await accessible(page);
  await dialog.getByRole("button", { name: "Cancel" }).click();
  assert.equal(await read("gone.md"), "# Gone\n");
  await page.getByRole("button", { name: "Delete" }).click();
  await dialog.getByRole("button", { name: "Delete" }).click();
  await page.getByText(`${alice.user} deleted this document`).waitFor();
  await accessible(page);
  await picture(page, "deleted");
  assert.equal(await read("gone.md"), 404);
  await page.getByRole("link", { name: "Bring it back" }).click();
  await page.getByText("This is the text of version 1.").waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "gone.md", exact: true }).waitFor();
  assert.equal(await read("gone.md"), "# Gone\n");

  const made = await server.fetch("/api/keys", alice.key, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ scopes: ["read", "write"] }) });
  const editor = await open(t, browser, server.origin);
  await signIn(editor, server.origin, (await made.json()).key, "/app/documents/gone.md");
  await editor.getByRole("button", { name: "Rename" }).waitFor();
  assert.equal(await editor.getByRole("button", { name: "Delete" }).count(), 0);
});
