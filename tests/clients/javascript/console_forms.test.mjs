// What is typed into the forms of the web console and not sent: it survives a closed tab, leaves the browser when its user signs out,
// and is no secret.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, launch, open, settled, signIn, skip, withTools } from "./lib/console.mjs";
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

const kept = (page) => page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));

/** Closes the page, and opens an address in another tab of the browser. */
async function reopened(page, address) {
  const next = await page.context().newPage();
  await page.close();
  await next.goto(`${server.origin}${address}`);
  await next.locator("h1").waitFor();
  await settled(next);
  return next;
}

test("an invitation, a key and new names that are typed survive a closed tab until they are sent", { skip }, async (t) => {
  let page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key, "/app/project/members");
  await page.getByText("Invite a member").click();
  await page.getByLabel("Name").fill("Carol");
  await page.getByLabel("Role", { exact: true }).selectOption("viewer");
  page = await reopened(page, "/app/project/keys");
  await page.getByText("Create a key").click();
  await page.getByLabel("Label", { exact: true }).fill("for the build");
  await page.getByLabel("write", { exact: true }).uncheck();
  await page.getByLabel("Days until it expires").fill("30");
  page = await reopened(page, "/app/documents");
  await page.getByText("New document", { exact: true }).click();
  await page.getByLabel("Name of the new document").fill("plans/next");
  page = await reopened(page, "/app/documents/plan.md");
  await page.getByRole("button", { name: "Rename" }).click();
  await page.getByLabel("New name, with its folders").fill("plans/first.md");

  page = await reopened(page, "/app/project/members");
  assert.equal(await page.getByLabel("Name").inputValue(), "Carol");
  assert.equal(await page.getByLabel("Role", { exact: true }).inputValue(), "viewer");
  await accessible(page);
  await page.getByRole("button", { name: "Invite", exact: true }).click();
  const secret = await page.getByLabel("API key").innerText();
  page = await reopened(page, "/app/project/keys");
  assert.equal(await page.getByLabel("Label", { exact: true }).inputValue(), "for the build");
  assert.deepEqual([await page.getByLabel("write", { exact: true }).isChecked(), await page.getByLabel("read", { exact: true }).isChecked()], [false, true]);
  assert.equal(await page.getByLabel("Days until it expires").inputValue(), "30");
  await page.getByRole("button", { name: "Create", exact: true }).click();
  const own = await page.getByLabel("API key").innerText();
  await page.getByRole("button", { name: /^Change for the build/ }).click();
  await page.getByLabel("Requests per minute").fill("77");
  page = await reopened(page, "/app/project/keys");
  assert.equal(await page.getByLabel("Requests per minute").inputValue(), "77");
  await page.getByRole("button", { name: "Cancel" }).click();
  page = await reopened(page, "/app/documents");
  assert.equal(await page.getByLabel("Name of the new document").inputValue(), "plans/next");
  await page.getByRole("button", { name: "Start writing" }).click();
  await page.getByLabel("Text of plans/next.md").waitFor();
  page = await reopened(page, "/app/documents/plan.md");
  await page.getByRole("button", { name: "Rename" }).click();
  assert.equal(await page.getByLabel("New name, with its folders").inputValue(), "plans/first.md");
  await page.getByRole("dialog").getByRole("button", { name: "Rename" }).click();
  await page.getByText("It was called plan.md.").waitFor();
  // What was sent is kept no more, and a key never was.
  const text = await kept(page);
  for (const gone of ["Carol", "for the build", "plans/first", "plans/next", secret, own, alice.key]) assert.ok(!text.includes(gone), `${gone} in ${text}`);
});

test("what was typed into a form leaves the browser when its user signs out, and no other user sees it", { skip }, async (t) => {
  let page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key, "/app/project/members");
  await page.getByText("Invite a member").click();
  await page.getByLabel("Name").fill("Dora");
  assert.match(await kept(page), /Dora/);
  page = await reopened(page, "/app/");
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.getByRole("dialog").getByText("what was typed into a form").waitFor();
  await page.getByRole("button", { name: "Sign out, and remove them" }).click();
  await page.getByText("You are signed out.").waitFor();
  assert.doesNotMatch(await kept(page), /Dora/);
  await signIn(page, server.origin, alice.key, "/app/project/members");
  await page.getByText("Invite a member").waitFor();
  await settled(page);
  assert.equal(await page.getByLabel("Name").filter({ visible: true }).count(), 0);
});
