// Users of the web console whose role is lowered while they look, and readers: the console follows, names the right that is needed, and
// loses nothing.

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
  });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await database?.giveBack();
});

const headers = { "Content-Type": "application/json" };

/** A new member of the project, with a key of this role. */
async function member(name, role) {
  const reply = await server.fetch("/api/v1/members", alice.key, { method: "POST", headers, body: JSON.stringify({ name, role }) });
  assert.ok(reply.ok, await reply.clone().text());
  return (await reply.json()).key.key;
}

async function lower(name, role) {
  const reply = await server.fetch(`/api/v1/member?name=${name}`, alice.key, { method: "PATCH", headers, body: JSON.stringify({ role }) });
  assert.ok(reply.ok, await reply.clone().text());
}

test("a role that is lowered while an owner writes is followed by the page at the first refusal, and the text is kept", { skip }, async (t) => {
  const key = await member("olga", "owner");
  const page = await open(t, browser, server.origin);
  await plainField(page);
  await signIn(page, server.origin, key, "/app/edit/plan.md");
  const field = page.getByLabel("Text of plan.md");
  await field.fill("# Plan\n\nof Olga\n");
  await page.getByText("Signed in as olga (owner)").waitFor();
  const menu = page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Project" });
  await menu.waitFor();
  await lower("olga", "viewer");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByRole("alert").filter({ hasText: "This takes the right to write" }).waitFor();
  await page.getByText("Signed in as olga (viewer)").waitFor();
  await menu.waitFor({ state: "detached" });
  await page.getByText("You may only read in this project, so this text cannot be saved. It is kept in this browser").waitFor();
  assert.equal(await field.inputValue(), "# Plan\n\nof Olga\n");
  assert.equal(await field.evaluate((area) => area.readOnly), true);
  assert.equal(await page.getByRole("button", { name: "Save", exact: true }).count(), 0);
  await accessible(page);
  await picture(page, "edit-lowered");
  // Her text is not forgotten by the document's page, and can be read there.
  await page.goto(`${server.origin}/app/documents/plan.md`);
  await page.reload();
  await page.getByText("You have a draft of this document in this browser").waitFor();
  await page.getByRole("link", { name: "Look at the draft" }).click();
  assert.equal(await field.inputValue(), "# Plan\n\nof Olga\n");
});

test("the pages of owners follow a role that is lowered while they are open", { skip }, async (t) => {
  const key = await member("otto", "owner");
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, key, "/app/project/members");
  await page.getByLabel("Role of otto").waitFor();
  await page.getByText("Signed in as otto (owner)").waitFor();
  await lower("otto", "viewer");
  await page.getByRole("link", { name: "API keys" }).click();
  await page.getByText("Only owners of the project see this.").waitFor();
  await page.getByText("Signed in as otto (viewer)").waitFor();
  assert.equal(await page.getByText("Create a key").count(), 0);
  assert.equal(await page.getByRole("alert").count(), 0);
});

test("a reader who opens the editor or an undo sees which right it takes, before anything is written", { skip }, async (t) => {
  const key = await member("vera", "viewer");
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, key, "/app/edit/plan.md");
  await page.getByText("You may only read in this project, so the text can be copied, but not changed.").waitFor();
  const field = page.getByLabel("Text of plan.md");
  assert.equal(await field.inputValue(), "# Plan\n");
  assert.equal(await field.evaluate((area) => area.readOnly), true);
  assert.equal(await page.getByRole("button", { name: "Save", exact: true }).count(), 0);
  await accessible(page);
  await picture(page, "edit-reader");
  await page.goto(`${server.origin}/app/undo?by=${alice.user}`);
  await page.getByRole("alert").filter({ hasText: "This takes the right to write" }).waitFor();
  await settled(page);
  assert.equal(await page.getByRole("button", { name: "Undo" }).count(), 0);
});
