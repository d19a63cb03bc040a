// Corrections of facts in the web console that meet somebody else's change, or no connection: both texts are shown and the user
// chooses, and what could not be sent is sent when the connection is back.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, fits, launch, open, PHONE, picture, settled, signIn, skip, withTools } from "./lib/console.mjs";
import { Database } from "./lib/http_server.mjs";

let database, server, browser, alice, bob;

before(async () => {
  if (skip) return;
  database = await Database.lent();
  server = await database.serve();
  alice = await database.project();
  await withTools(server, alice.key, (call) => call("initialize_memory_bank", { path: "." }));
  bob = (await (await send("POST", "members", { name: "Bob", role: "editor" })).json()).key.key;
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await database?.giveBack();
});

const send = (method, path, body, key = alice.key) =>
  server.fetch(`/api/v1/${path}`, key, { method, ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }) });
const factsOf = async (name, query = "") => (await (await send("GET", `graph/entity?name=${encodeURIComponent(name)}${query}`)).json()).observations;
const holding = async (name) => (await factsOf(name)).map(({ text }) => text).sort();
const replace = (name, text, former, key) => send("POST", "graph/observation", { entity: name, text, supersedes: [former] }, key);

/** A page of an entity with a fact, of which a correction is written and not saved. */
async function correcting(t, name, fact, text, options) {
  await withTools(server, alice.key, async (call) => {
    await call("graph_upsert_entity", { name, entityType: "service" });
    await call("graph_add_observation", { entity: name, text: fact });
  });
  const page = await open(t, browser, server.origin, options);
  await signIn(page, server.origin, alice.key, `/app/graph/${encodeURIComponent(name)}`);
  await page.getByRole("heading", { name, level: 1 }).waitFor();
  await settled(page);
  await page.getByRole("button", { name: `Correct: ${fact}` }).click();
  await page.getByLabel("Corrected text").fill(text);
  return page;
}

test("a fact that somebody changed while it is corrected shows both texts, and the user's replaces theirs", { skip }, async (t) => {
  const page = await correcting(t, "Replaced", "listens on port 9090", "listens on port 8080");
  await replace("Replaced", "listens on port 7070", "listens on port 9090", bob);
  await page.getByText("Bob has changed this observation meanwhile.").waitFor();
  const form = page.locator("form.correction");
  assert.match(await form.innerText(), /Before\s+listens on port 9090\s+As Bob wrote it\s+listens on port 7070/);
  assert.equal(await page.getByLabel("As you wrote it here").inputValue(), "listens on port 8080");
  await settled(page);
  await accessible(page);
  await picture(page, "correction-meanwhile");
  // The keys that save do not choose between the texts of two people.
  await page.getByLabel("As you wrote it here").press("Control+Enter");
  await page.reload();
  await page.getByText("Bob has changed this observation meanwhile.").waitFor();
  assert.deepEqual(await holding("Replaced"), ["listens on port 7070"]);
  await page.getByRole("button", { name: "Replace theirs by mine" }).click();
  await page.getByText("Corrected. The former text has ended.").waitFor();
  assert.deepEqual(await holding("Replaced"), ["listens on port 8080"]);
  await page.getByRole("button", { name: "Undo", exact: true }).click();
  await page.getByText("Undone. It is as it was before.").waitFor();
  assert.deepEqual(await holding("Replaced"), ["listens on port 7070"]);
});

test("a fact that the user has changed elsewhere shows the saved text and this one, which replaces it", { skip }, async (t) => {
  const page = await correcting(t, "Own", "is small", "is large");
  await replace("Own", "is tiny", "is small");
  await page.getByText("You have changed this observation elsewhere meanwhile.").waitFor();
  await page.getByRole("button", { name: "Keep the saved one" }).waitFor();
  assert.equal(await page.getByRole("button", { name: /theirs/ }).count(), 0);
  await page.getByRole("button", { name: "Replace the saved one by this one" }).click();
  await page.getByText("Corrected. The former text has ended.").waitFor();
  assert.deepEqual(await holding("Own"), ["is large"]);
});

test("on a phone the user keeps what somebody else wrote meanwhile, and leaves what was ended", { skip }, async (t) => {
  const page = await correcting(t, "Kept", "is blue", "is red", { viewport: PHONE, isMobile: true, hasTouch: true });
  await replace("Kept", "is green", "is blue", bob);
  await page.getByText("Bob has changed this observation meanwhile.").waitFor();
  await fits(page);
  await accessible(page);
  await picture(page, "correction-meanwhile-phone");
  await page.getByRole("button", { name: "Keep theirs" }).click();
  await page.getByLabel("As you wrote it here").waitFor({ state: "detached" });
  assert.deepEqual(await holding("Kept"), ["is green"]);
  await page.locator("ul.observations li", { hasText: "is blue" }).waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Correct: is green" }).click();
  await page.getByLabel("Corrected text").fill("is grey");
  const [{ id }] = await factsOf("Kept");
  await send("DELETE", `graph/observation?entity=Kept&id=${id}`, undefined, bob);
  await page.getByText("Bob has ended this observation meanwhile.").waitFor();
  await page.getByRole("button", { name: "Leave it ended" }).waitFor();
  await page.getByRole("button", { name: "Record mine all the same" }).click();
  await page.getByText("Corrected.").waitFor();
  assert.deepEqual(await holding("Kept"), ["is grey"]);
});

test("a correction is never sent over a text that its user has not seen", { skip }, async (t) => {
  const page = await correcting(t, "Unseen", "is blue", "is red");
  // The page does not hear of the change.
  await page.route("**/api/v1/events", (route) => route.abort());
  await page.reload();
  await page.getByLabel("Corrected text").waitFor();
  await settled(page);
  await replace("Unseen", "is green", "is blue", bob);
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Bob has changed this observation meanwhile.").waitFor();
  assert.deepEqual(await holding("Unseen"), ["is green"]);
});

test("a correction without a connection waits, and is sent when the connection is back", { skip }, async (t) => {
  const page = await correcting(t, "Waiting", "is blue", "is red");
  await page.context().setOffline(true);
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Your correction is kept in this browser, and is sent as soon as the connection is back.").waitFor();
  await accessible(page);
  await picture(page, "correction-waits");
  await page.context().setOffline(false);
  await page.getByText("Corrected. The former text has ended.").waitFor();
  assert.deepEqual(await holding("Waiting"), ["is red"]);
  await page.getByRole("button", { name: "Undo", exact: true }).click();
  await page.getByText("Undone. It is as it was before.").waitFor();
  assert.deepEqual(await holding("Waiting"), ["is blue"]);
});

test("a correction that waits survives a closed tab, is sent by another page, and meets a change of somebody else", { skip }, async (t) => {
  for (const name of ["Sent", "Met"]) {
    const page = await correcting(t, name, "is blue", "is red");
    const context = page.context();
    await context.setOffline(true);
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Your correction is kept in this browser").waitFor();
    await page.close();
    if (name === "Met") await replace(name, "is green", "is blue", bob);
    await context.setOffline(false);
    const other = await context.newPage();
    await other.goto(`${server.origin}/app/`);
    if (name === "Sent") {
      await other.getByText("The correction in “Sent” was saved, now that the server can be reached.").waitFor();
      assert.deepEqual(await holding(name), ["is red"]);
      continue;
    }
    const note = other.getByText("The correction in “Met” could not be saved as it is.");
    await note.waitFor();
    await accessible(other);
    assert.deepEqual(await holding(name), ["is green"]);
    await note.getByRole("link", { name: "look at it" }).click();
    await other.getByText("Bob has changed this observation meanwhile.").waitFor();
    assert.equal(await other.getByLabel("As you wrote it here").inputValue(), "is red");
  }
});
