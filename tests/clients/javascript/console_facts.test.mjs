// What the web console says of facts and their changes: which text a correction replaced, what an undo would change, what has
// ended or is gone, which fact a search found, and long names on a phone.

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

const tools = (use) => withTools(server, alice.key, use);
const send = (method, path, body) =>
  server.fetch(`/api/v1/${path}`, alice.key, { method, ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }) });

/** Adds an entity with facts. */
const entity = (name, ...facts) =>
  tools(async (call) => {
    await call("graph_upsert_entity", { name, entityType: "service" });
    for (const text of facts) await call("graph_add_observation", { entity: name, text });
  });

/** A page of the console, signed in. */
async function shown(t, address, options) {
  const page = await open(t, browser, server.origin, options);
  await signIn(page, server.origin, alice.key, address);
  await page.locator("h1").waitFor();
  await settled(page);
  return page;
}

const history = (page) => page.locator("main .card").last();

test("the history names the text that a correction replaced, and the entities of relations", { skip }, async (t) => {
  await entity("Payments", "listens on port 9090");
  await entity("Shop");
  await tools((call) => call("graph_link_entities", { from: "Shop", to: "Payments", relationType: "calls" }));
  await send("POST", "graph/observation", { entity: "Payments", text: "listens on port 8080", supersedes: ["listens on port 9090"] });
  const page = await shown(t, "/app/graph/Payments");
  const text = await history(page).innerText();
  assert.match(text, /corrected\s+listens on port 8080\s+in place of: listens on port 9090/);
  assert.match(text, /created\s+listens on port 9090/);
  assert.match(text, /created\s+Shop · calls → Payments/);
  assert.match(text, /created\s+entity “Payments” \(service\)/);
  await accessible(page);
  await picture(page, "entity-history");
  await page.getByRole("button", { name: "Back to the former text: listens on port 9090, in place of: listens on port 8080" }).click();
  await history(page).getByText("in place of: listens on port 8080").waitFor();
  await page.goto(`${server.origin}/app/history`);
  const rows = page.locator(".versions .row");
  await rows.first().waitFor();
  const all = await rows.allInnerTexts();
  assert.match(all[0], /^listens on port 9090 corrected\s+of “Payments”, in place of: listens on port 8080/);
  assert.match(all[1], /^listens on port 8080 corrected\s+of “Payments”, in place of: listens on port 9090/);
  assert.match(all[2], /^Shop · calls → Payments created/);
  await accessible(page);
});

test("a fact that was ended is listed once, also after a return to its former text", { skip }, async (t) => {
  await entity("Retries", "retries three times");
  const page = await shown(t, "/app/graph/Retries");
  await page.getByLabel("Show ended facts").check();
  await settled(page);
  const ended = page.locator(".observations li.ended");
  await page.getByRole("button", { name: "End: retries three times" }).click();
  await page.getByText("Ended. Assistants no longer get this fact.").waitFor();
  await ended.first().waitFor();
  assert.deepEqual((await ended.allInnerTexts()).map((text) => text.split("\n")[0]), ["retries three times"]);
  assert.doesNotMatch(await ended.first().innerText(), /replaced by/);

  await entity("Ports", "listens on port 9090");
  const fact = (text, former) => send("POST", "graph/observation", { entity: "Ports", text, supersedes: [former] });
  await fact("listens on port 8080", "listens on port 9090");
  await fact("listens on port 9090", "listens on port 8080");
  const ports = await shown(t, "/app/graph/Ports");
  await ports.getByLabel("Show ended facts").check();
  await settled(ports);
  await ports.getByRole("button", { name: "End: listens on port 9090" }).click();
  await ports.getByText("Ended. Assistants no longer get this fact.").waitFor();
  await settled(ports);
  await ports.getByRole("button", { name: "Undo", exact: true }).waitFor();
  const texts = async () => (await ports.locator(".observations li.ended").allInnerTexts()).map((text) => text.split("\n")[0]).sort();
  await ports.locator(".observations li.ended").nth(1).waitFor();
  assert.deepEqual(await texts(), ["listens on port 8080", "listens on port 9090"]);
});

test("the preview of an undo shows what would change in a document, and what a fact is that has ended", { skip }, async (t) => {
  await tools(async (call) => {
    await call("write_memory_bank_file", { filename: "undo.md", content: "# Undo\n\nright\n\nlast\n" });
    await call("write_memory_bank_file", { filename: "undo.md", content: "# Undo\n\nwrong\n\nlast\n" });
    await call("write_memory_bank_file", { filename: "undo.md", content: "# Undo\n\nwrong\n\nlast, and more\n" });
  });
  const page = await shown(t, "/app/history/undo.md?version=2");
  await page.getByRole("link", { name: "Undo this change" }).click();
  const diff = page.getByText("What would change in undo.md").locator("..");
  await diff.waitFor();
  const lines = (await diff.locator(".diff > div").allInnerTexts()).map((line) => line.trim());
  assert.ok(lines.some((line) => line.endsWith("-wrong")) && lines.some((line) => line.endsWith("+right")), lines.join("\n"));
  assert.ok(!lines.some((line) => /^[+-].*last/.test(line)), "what stays is no change");
  await accessible(page);
  await picture(page, "undo-difference");

  await entity("Ended", "is old");
  await send("POST", "graph/observation", { entity: "Ended", text: "is new", supersedes: ["is old"] });
  await page.goto(`${server.origin}/app/graph/Ended`);
  await page.getByRole("link", { name: "Undo: is old" }).click();
  await page.getByText("this fact has already ended, so no current fact changes").waitFor();
  await page.goto(`${server.origin}/app/graph/Ended`);
  await page.getByRole("link", { name: "Undo: is new" }).click();
  await page.getByRole("heading", { name: "Would be undone" }).waitFor();
  assert.equal(await page.getByText("it has ended already").count(), 0);
});

test("a creation that cannot be undone alone is not offered as one that can be", { skip }, async (t) => {
  await entity("Used", "is used");
  await entity("Empty");
  const page = await shown(t, "/app/graph/Used");
  const row = history(page).getByRole("listitem").filter({ hasText: "entity “Used”" });
  await row.getByText("has facts or relations").waitFor();
  assert.equal(await row.getByRole("link", { name: /^Undo/ }).count(), 0);
  await accessible(page);
  await page.goto(`${server.origin}/app/history`);
  const rows = page.locator(".versions .row");
  await rows.first().waitFor();
  assert.equal(await rows.filter({ hasText: "entity “Used”" }).getByRole("link", { name: /^Undo/ }).count(), 0);
  assert.equal(await rows.filter({ hasText: "entity “Empty”" }).getByRole("link", { name: /^Undo/ }).count(), 1);
});

test("an entity that is deleted while its page is open is called so, and what is written there stays", { skip }, async (t) => {
  await entity("Gone", "is there");
  const page = await shown(t, "/app/graph/Gone");
  await page.getByRole("button", { name: "Correct: is there" }).click();
  await page.getByLabel("Corrected text").fill("is somewhere");
  await tools((call) => call("graph_delete_entity", { entity: "Gone" }));
  await page.getByText("This entity was deleted meanwhile.").waitFor();
  await accessible(page);
  assert.equal(await page.getByLabel("Corrected text").inputValue(), "is somewhere");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").getByText("The graph shows what there is").waitFor();
  assert.equal(await page.getByText("The list of documents shows").count(), 0);
  await page.goto(`${server.origin}/app/documents/never.md`);
  await page.getByText("There is no document of this name.").waitFor();
});

test("a search names the fact that has the words, in the search and in the graph", { skip }, async (t) => {
  await entity("Searched", "knows the zanzibar port", "knows nothing else");
  const page = await shown(t, "/app/search?q=zanzibar");
  const facts = page.getByRole("region", { name: "Facts" });
  await facts.waitFor();
  assert.match(await facts.innerText(), /Searched\s+knows the zanzibar port/);
  assert.equal(await facts.locator("mark").innerText(), "zanzibar");
  assert.doesNotMatch(await facts.innerText(), /nothing else/);
  // It does not say that nothing was found.
  await page.getByRole("status").filter({ hasText: "No document has “zanzibar”, but the graph has it:" }).waitFor();
  assert.equal(await page.getByText("Nothing is found").count(), 0);
  await accessible(page);
  await page.goto(`${server.origin}/app/graph?q=zanzibar`);
  await page.locator(".entry", { hasText: "knows the zanzibar port" }).waitFor();
  await accessible(page);
  await page.goto(`${server.origin}/app/graph`);
  await page.locator(".entry").first().waitFor();
  assert.equal(await page.locator(".entry .found").count(), 0, "without words no fact is named");
});

test("a long name takes little room on a phone, and is shown whole when it is asked for", { skip }, async (t) => {
  const name = `Long ${"name ".repeat(39)}end`;
  await entity(name, "is known");
  const page = await shown(t, `/app/graph/${encodeURIComponent(name)}`, { viewport: PHONE, isMobile: true, hasTouch: true });
  const heading = page.locator("h1", { hasText: "Long name" });
  await heading.waitFor();
  assert.ok((await heading.innerText()).length <= 101);
  assert.equal(await heading.getAttribute("title"), name.trim());
  const { height } = await heading.boundingBox();
  assert.ok(height < 200, `${height} px`);
  await accessible(page);
  await fits(page);
  await picture(page, "entity-long-phone");
  await page.getByRole("button", { name: "more of: Long" }).first().click();
  assert.equal(await heading.innerText(), name.trim());
  await page.goto(`${server.origin}/app/history`);
  const row = page.locator(".versions .row", { hasText: "Long name" }).first();
  await row.waitFor();
  assert.ok((await row.boundingBox()).height < 220);
  await accessible(page);
  await fits(page);
});

test("the overview says in which order open tasks are", { skip }, async (t) => {
  await tools((call) => call("update_active_context", { tasks: ["Port the refunds", "Write the runbook"] }));
  const page = await shown(t, "/app/");
  const tasks = page.locator(".card", { has: page.getByRole("heading", { name: "Open tasks" }) });
  await tasks.getByText("The latest first").waitFor();
  await accessible(page);
});
