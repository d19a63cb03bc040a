// Signing out of the web console while texts are not saved: nothing is lost without a question, and other tabs say what has happened.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, launch, open, picture, plainField, settled, signIn, skip, withTools } from "./lib/console.mjs";
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
      await call("write_memory_bank_file", { filename: "notes.md", content: "# Notes\n" });
      await call("graph_upsert_entity", { name: "Billing", entityType: "service" });
      await call("graph_add_observation", { entity: "Billing", text: "is slow" });
    });
  }
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await database?.giveBack();
});

const kept = (page) => page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
const signOutButton = (page) => page.getByRole("banner").getByRole("button", { name: "Sign out" });

test("who signs out while another tab has a text that is not saved is asked first, and may stay", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await plainField(page);
  await signIn(page, server.origin, alice.key, "/app/edit/notes.md");
  const field = page.getByLabel("Text of notes.md");
  await field.fill("# Notes\n\nnot saved\n");
  const other = await page.context().newPage();
  await other.goto(`${server.origin}/app/graph/Billing`);
  await other.getByRole("button", { name: "Correct: is slow" }).click();
  await other.getByLabel("Corrected text").fill("is quick");
  await settled(other);
  await signOutButton(other).click();
  const question = other.getByRole("dialog", { name: "Sign out, and lose what is not saved?" });
  await question.getByText("notes.md").waitFor();
  await question.getByText("a correction in “Billing”").waitFor();
  await accessible(other);
  await picture(other, "sign-out");
  // The first button changes nothing.
  await other.keyboard.press("Enter");
  await question.waitFor({ state: "detached" });
  assert.equal(await field.inputValue(), "# Notes\n\nnot saved\n");
  await other.keyboard.press("Control+k");
  await other.getByRole("combobox").fill("Sign out");
  await other.keyboard.press("Enter");
  await question.waitFor();
  await other.keyboard.press("Escape");
  await question.waitFor({ state: "detached" });
  await page.reload();
  await page.getByText("This is your draft, which is not saved yet.").waitFor();

  // What was begun after the question is asked for, too.
  await signOutButton(other).click();
  await question.waitFor();
  await page.goto(`${server.origin}/app/edit/later.md`);
  await page.getByLabel("Text of later.md").fill("# Later\n");
  await question.getByRole("button", { name: "Sign out, and remove them" }).click();
  await question.getByText("later.md").waitFor();
  await question.getByRole("button", { name: "Sign out, and remove them" }).click();
  await other.getByText("You are signed out.").waitFor();
  await page.getByText("You have signed out in another tab of this browser").waitFor();
  for (const one of [page, other]) for (const gone of ["not saved", "is quick", "Later", "notes.md"]) assert.ok(!(await kept(one)).includes(gone), gone);
});

test("who has saved everything signs out without a question, and a session that has ended is called so in each tab", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, alice.key);
  await settled(page);
  const other = await page.context().newPage();
  await other.goto(`${server.origin}/app/documents`);
  await other.getByRole("link", { name: "notes.md" }).waitFor();
  await signOutButton(page).click();
  await page.getByText("You are signed out.").waitFor();
  await other.getByText("You have signed out in another tab of this browser").waitFor();
  await signIn(page, server.origin, alice.key);
  await settled(page);
  await other.getByRole("link", { name: "notes.md" }).waitFor();
  const { grants } = await (await server.fetch("/api/v1/grants", alice.key)).json();
  for (const { id } of grants) assert.equal((await server.fetch(`/api/v1/grant?id=${id}`, alice.key, { method: "DELETE" })).status, 200);
  for (const one of [page, other]) await one.getByText("Your session has ended. Sign in again to continue where you were.").waitFor();
});

test("who signs out is signed out and leaves no text, also where other requests learn it first, in any tab", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await plainField(page);
  await signIn(page, server.origin, alice.key, "/app/edit/notes.md");
  await page.getByLabel("Text of notes.md").fill("# Notes\n\nleft behind\n");
  await settled(page);
  const other = await page.context().newPage();
  for (const hasOther of [true, false]) {
    if (hasOther) await other.goto(`${server.origin}/app/documents`);
    else await other.close();
    let answer;
    const answered = new Promise((resolve) => (answer = resolve));
    await page.route("**/app/session", async (route) => {
      if (route.request().method() !== "DELETE") return route.continue();
      const response = await route.fetch();
      await answered;
      return route.fulfill({ response });
    });
    // The stream of changes ends with the session, and asks for another one.
    const refused = page.waitForResponse((response) => response.url().endsWith("/api/v1/events") && response.status() === 401);
    await signOutButton(page).click();
    await page.getByRole("button", { name: "Sign out, and remove them" }).click();
    if (hasOther) await other.getByText("Your session has ended.").waitFor();
    else {
      await refused;
      await settled(page);
      assert.equal(await page.getByText("Your session has ended.").count(), 0, "the user is signing out");
    }
    answer();
    await page.getByText("You are signed out.").waitFor();
    assert.ok(!(await kept(page)).includes("left behind"));
    if (!hasOther) break;
    await signIn(page, server.origin, alice.key, "/app/edit/notes.md");
    await page.getByLabel("Text of notes.md").fill("# Notes\n\nleft behind\n");
    await settled(page);
  }
});

test("what another user of the browser has not saved is not lost when somebody signs out", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await plainField(page);
  await signIn(page, server.origin, alice.key, "/app/edit/notes.md");
  await page.getByLabel("Text of notes.md").fill("# Notes\n\nof Alice\n");
  await settled(page);
  const { grants } = await (await server.fetch("/api/v1/grants", alice.key)).json();
  for (const { id } of grants) assert.equal((await server.fetch(`/api/v1/grant?id=${id}`, alice.key, { method: "DELETE" })).status, 200);
  await page.goto(`${server.origin}/app/`);
  await signIn(page, server.origin, eve.key);
  await settled(page);
  await signOutButton(page).click();
  await page.getByText("You are signed out.").waitFor();
  await signIn(page, server.origin, alice.key, "/app/edit/notes.md");
  await page.getByText("This is your draft, which is not saved yet.").waitFor();
  assert.equal(await page.getByLabel("Text of notes.md").inputValue(), "# Notes\n\nof Alice\n");
});
