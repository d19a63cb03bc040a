// The picture of the graph in the web console: by keyboard and by pointer, as of a time, without WebGL, on a phone, and with scripts
// in names, types and relations.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessible, fits, launch, middleOf, open, PHONE, picture, signIn, skip, withTools } from "./lib/console.mjs";
import { Database } from "./lib/http_server.mjs";

const RUN = "window.report('run')";
const NAME = `<img src=x onerror=${RUN}>`;

let database, server, browser, alice, then;

const CHAIN = ["Browser", "Gateway", "Checkout", "Payments", "Ledger"];

before(async () => {
  if (skip) return;
  database = await Database.lent();
  server = await database.serve();
  alice = await database.project();
  await withTools(server, alice.key, async (call) => {
    await call("initialize_memory_bank", { path: "." });
    for (const [at, name] of CHAIN.entries()) await call("graph_upsert_entity", { name, entityType: ["client", "service"][Math.min(at, 1)] });
    for (const [at, name] of CHAIN.slice(1).entries()) await call("graph_link_entities", { from: CHAIN[at], to: name, relationType: "calls" });
    await call("graph_add_observation", { entity: "Checkout", text: "sells" });
    await call("graph_upsert_entity", { name: "Alone", entityType: "person" });
    // The server's clock has more than a second between what was and what is.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    then = new Date().toISOString();
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await call("graph_unlink_entities", { from: "Payments", to: "Ledger", relationType: "calls" });
    await call("graph_upsert_entity", { name: NAME, entityType: `<b onclick=${RUN}>` });
    await call("graph_link_entities", { from: NAME, to: "Checkout", relationType: `<script>${RUN}</script>` });
  });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await database?.giveBack();
});

/** Signs in and opens a picture, whose nodes have places. */
async function drawn(t, options = {}, query = "") {
  const page = await open(t, browser, server.origin, options);
  await signIn(page, server.origin, alice.key, `/app/graph?view=picture${query}`);
  await page.locator(".canvas[data-state=done]").waitFor();
  return page;
}

const idOf = async (name) => (await (await server.fetch(`/api/v1/graph/entity?name=${encodeURIComponent(name)}`, alice.key)).json()).entity.id;

test("an entity and its neighbours are found in the picture by keyboard, and a path to another one", { skip }, async (t) => {
  const page = await drawn(t);
  await page.getByText("7 entities and 4 relations").waitFor();
  await accessible(page);
  await picture(page, "picture");
  await page.getByLabel("Find in the picture").fill("check");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  const chosen = page.getByRole("region", { name: "Checkout" });
  await chosen.waitFor();
  await page.waitForURL(/focus=ent_/);
  assert.match(await chosen.innerText(), /← calls\s+Gateway/);
  assert.match(await chosen.innerText(), /calls →\s+Payments/);
  assert.ok((await chosen.innerText()).includes(NAME), "texts are shown as texts");
  assert.match(await chosen.innerText(), /3 neighbours/);
  await accessible(page);
  await picture(page, "picture-focus");
  await page.getByLabel("Also show neighbours of neighbours").check();
  await page.getByRole("button", { name: "Path to…" }).click();
  await page.getByLabel("Where does the path lead?").fill("brow");
  await chosen.getByRole("button", { name: "Browser" }).waitFor();
  await page.keyboard.press("Enter");
  const path = page.getByRole("region", { name: "A path of 2 steps" });
  await path.waitFor();
  assert.equal(await path.getByRole("list").evaluate((list) => getComputedStyle(list).listStyleType), "none", "a path of two steps has no third number");
  assert.deepEqual((await path.getByRole("listitem").allInnerTexts()).map((text) => text.trim()), ["Checkout", "← calls Gateway", "← calls Browser"]);
  await accessible(page);
  await picture(page, "picture-path");
  await page.getByRole("button", { name: "Close the path" }).click();
  await page.getByRole("button", { name: "Path to…" }).click();
  await page.getByLabel("Where does the path lead?").fill("alone");
  await chosen.getByRole("button", { name: "Alone" }).click();
  await page.getByRole("heading", { name: "No path connects them" }).waitFor();
  await page.getByRole("link", { name: "Open the entity" }).click();
  await page.getByRole("heading", { name: "Checkout", level: 1 }).waitFor();
  await page.getByRole("link", { name: "Show in the picture" }).click();
  await page.getByRole("region", { name: "Checkout" }).waitFor();
});

test("a click on a node chooses it, keys and buttons move the picture, and types are hidden", { skip }, async (t) => {
  const page = await drawn(t);
  const canvas = page.locator(".canvas");
  const chosen = page.locator("#chosen");
  // What is chosen in the list is in the middle of the picture.
  await page.getByLabel("Find in the picture").fill("alone");
  await page.getByRole("button", { name: "Alone" }).click();
  await page.getByRole("button", { name: "Show everything" }).click();
  await chosen.waitFor({ state: "detached" });
  await canvas.click();
  await page.getByRole("heading", { name: "Alone", level: 2 }).waitFor();
  await canvas.focus();
  await page.keyboard.press("Escape");
  await chosen.waitFor({ state: "detached" });
  const seen = () => canvas.screenshot().then((bytes) => bytes.toString("base64"));
  for (const key of ["ArrowLeft", "+", "-", "ArrowDown"]) {
    const before = await seen();
    await page.keyboard.press(key);
    await page.waitForTimeout(200);
    assert.notEqual(await seen(), before, key);
  }
  await page.getByRole("button", { name: "Show all" }).click();
  await page.waitForTimeout(200);
  const all = await seen();
  await page.getByLabel("service").uncheck();
  await page.waitForTimeout(200);
  assert.notEqual(await seen(), all, "a type is hidden");
});

test("two quick clicks at different places are two clicks, and a double click opens the entity", { skip }, async (t) => {
  const page = await drawn(t);
  const [x, y] = await middleOf(page, "Alone");
  const { x: left, y: top } = await page.locator(".canvas").boundingBox();
  await page.mouse.click(left + 30, top + 30);
  await page.mouse.click(x, y);
  await page.getByRole("heading", { name: "Alone", level: 2 }).waitFor();
  await page.waitForTimeout(400);
  assert.match(page.url(), /view=picture/);
  await page.mouse.dblclick(x, y);
  await page.getByRole("heading", { name: "Alone", level: 1 }).waitFor();
});

test("the picture follows what assistants change, and what has a place keeps it", { skip }, async (t) => {
  const { key } = await database.project();
  await withTools(server, key, async (call) => {
    await call("initialize_memory_bank", { path: "." });
    for (const name of ["One", "Two", "Three", "Four"]) await call("graph_upsert_entity", { name, entityType: "service" });
    await call("graph_link_entities", { from: "One", to: "Two", relationType: "calls" });
  });
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, key, "/app/graph?view=picture");
  await page.locator(".canvas[data-state=done]").waitFor();
  await page.getByText("4 entities and 1 relation", { exact: true }).waitFor();
  const [x, y] = await middleOf(page, "Four");
  await withTools(server, key, async (call) => {
    await call("graph_upsert_entity", { name: "Five", entityType: "service" });
    await call("graph_link_entities", { from: "One", to: "Five", relationType: "calls" });
  });
  await page.getByText("5 entities and 2 relations", { exact: true }).waitFor();
  await page.locator(".canvas[data-state=done]").waitFor();
  await page.mouse.click(x, y);
  await page.getByRole("heading", { name: "Four", level: 2 }).waitFor();
  await page.getByRole("button", { name: "Path to…" }).click();
  await page.getByLabel("Where does the path lead?").fill("two");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "No path connects them" }).waitFor();
  await withTools(server, key, (call) => call("graph_delete_entity", { entity: "Four" }));
  await page.getByText("4 entities and 2 relations", { exact: true }).waitFor();
  await page.locator("#chosen").waitFor({ state: "detached" });
});

test("the slider shows the graph as it was", { skip }, async (t) => {
  const page = await drawn(t, {}, `&asOf=${encodeURIComponent(then)}`);
  await page.getByText("6 entities and 4 relations").waitFor();
  await page.getByLabel("Find in the picture").fill("ledger");
  await page.getByRole("button", { name: "Ledger" }).click();
  assert.match(await page.getByRole("region", { name: "Ledger" }).innerText(), /← calls\s+Payments/);
  await page.getByRole("button", { name: "Now" }).click();
  await page.getByText("7 entities and 4 relations").waitFor();
  await page.getByText("It has no relations here.").waitFor();
  await page.waitForURL((url) => !url.searchParams.has("asOf"));
  const slider = page.getByLabel("At this time");
  await slider.focus();
  await page.keyboard.press("Home");
  await page.waitForURL(/asOf=/);
  assert.notEqual(await slider.getAttribute("aria-valuetext"), "Now");
  await accessible(page);
});

test("a path whose nodes did not exist at another time is closed", { skip }, async (t) => {
  const page = await drawn(t);
  await page.getByLabel("Find in the picture").fill("check");
  await page.getByRole("button", { name: "Checkout" }).click();
  await page.getByRole("button", { name: "Path to…" }).click();
  await page.getByLabel("Where does the path lead?").fill("brow");
  await page.keyboard.press("Enter");
  const path = page.getByRole("region", { name: "A path of 2 steps" });
  await path.waitFor();
  await page.getByLabel("At this time").focus();
  await page.keyboard.press("Home");
  await page.waitForURL(/asOf=/);
  await path.waitFor({ state: "detached" });
  await page.getByRole("link", { name: "Overview" }).first().click();
  await page.locator(".canvas").waitFor({ state: "detached" });
});

test("another time and hidden types leave the view, the colours and the shapes as they are", { skip }, async (t) => {
  const page = await drawn(t);
  const looks = () =>
    page.locator(".legend li").evaluateAll((all) => Object.fromEntries(all.map((item) => [item.textContent.trim(), item.querySelector("[aria-hidden]").className])));
  const now = await looks();
  assert.equal(new Set(Object.values(now)).size, Object.keys(now).length, "no type looks like another");
  // What is chosen in the list is in the middle of the picture, and stays there.
  await page.getByLabel("Find in the picture").fill("alone");
  await page.getByRole("button", { name: "Alone" }).click();
  await page.getByRole("button", { name: "Show everything" }).click();
  const canvas = page.locator(".canvas");
  await canvas.focus();
  await page.keyboard.press("+");
  const chosen = page.getByRole("heading", { name: "Alone", level: 2 });
  const inTheMiddle = async (why) => {
    await page.waitForTimeout(300);
    await canvas.click();
    await chosen.waitFor({ timeout: 5000 }).catch(() => assert.fail(why));
    await page.getByRole("button", { name: "Show everything" }).click();
    await chosen.waitFor({ state: "detached" });
  };
  // A choice of the picture itself moves it: only what is between two clicks is looked at.
  await inTheMiddle("before");
  const slider = page.getByLabel("At this time");
  const last = Number(await slider.getAttribute("max"));
  await slider.focus();
  await page.keyboard.press("ArrowLeft");
  await page.waitForURL(/asOf=/);
  await page.locator(".canvas[data-state=done]").waitFor();
  assert.equal(Number(await slider.inputValue()), last - 1);
  await inTheMiddle("another time");
  await page.goto(`${server.origin}/app/graph?view=picture&asOf=${encodeURIComponent(then)}`);
  await page.locator(".canvas[data-state=done]").waitFor();
  const before = await looks();
  assert.deepEqual(before, Object.fromEntries(Object.entries(now).filter(([type]) => type in before)));
  await page.getByLabel("Find in the picture").fill("alone");
  await page.getByRole("button", { name: "Alone" }).click();
  await page.getByRole("button", { name: "Show everything" }).click();
  await page.getByLabel("service").uncheck();
  await inTheMiddle("a hidden type");
  await page.getByRole("button", { name: "Now" }).click();
  await page.getByText("7 entities and 4 relations").waitFor();
  await page.locator(".canvas[data-state=done]").waitFor();
  assert.equal(await page.getByLabel("service").isChecked(), false, "what was hidden stays hidden");
  await inTheMiddle("new nodes");
});

test("the slider has steps that fit the span, and names date and time", { skip }, async (t) => {
  const page = await open(t, browser, server.origin, { timezoneId: "Europe/Berlin", locale: "en-GB" });
  const reply = { isClustered: false, entities: 1, relations: 0, entitiesLeft: 0, edgesLeft: 0, isCut: false, types: ["service"], relationTypes: [], nodes: { ids: ["ent_1"], names: ["One"], types: [0] }, edges: { from: [], to: [], types: [], relations: [] } };
  let days = 300;
  await page.route(/\/api\/v1\/graph\/picture/, (route) => route.fulfill({ json: { ...reply, first: new Date(Date.now() - days * 86_400_000).toISOString() } }));
  await signIn(page, server.origin, alice.key, "/app/graph?view=picture");
  await page.getByLabel("At this time").waitFor();
  for (const [span, unit] of [[300, "1 day"], [2000, "7 days"], [10, "1 hour"], [0.1, "1 minute"]]) {
    days = span;
    await page.goto(`${server.origin}/app/graph?view=picture`);
    const slider = page.getByLabel("At this time");
    await slider.waitFor();
    await page.getByText(`in steps of ${unit}`).waitFor();
    assert.ok(Number(await slider.getAttribute("max")) <= 401);
    await slider.focus();
    const [before, below] = [await slider.boundingBox(), await page.locator(".picture").boundingBox()];
    await page.keyboard.press("ArrowLeft");
    assert.deepEqual([await slider.boundingBox(), await page.locator(".picture").boundingBox()], [before, below], "nothing moves when another time is chosen");
    const text = await slider.getAttribute("aria-valuetext");
    assert.match(text, /\d{1,2} \w+ \d{4},? (?:at )?\d\d:\d\d/, text);
    if (span > 100) assert.match(text, /00:00/, "days begin at midnight");
    assert.match(await page.locator("output").getAttribute("title"), /UTC$/);
  }
});

test("the server draws a graph within its bounds, with etags, and refuses what is malformed", { skip }, async () => {
  const reply = await server.fetch("/api/v1/graph/picture", alice.key);
  const { nodes, edges, types, relationTypes, ...facts } = await reply.json();
  assert.deepEqual(facts, { isClustered: false, entities: 7, relations: 4, entitiesLeft: 0, edgesLeft: 0, isCut: false, first: facts.first });
  assert.deepEqual([nodes.ids.length, nodes.names.length, nodes.types.length, "entities" in nodes], [7, 7, 7, false]);
  assert.equal(types[0], "service");
  const relations = edges.from.map((from, at) => `${nodes.names[from]} ${relationTypes[edges.types[at]]} ${nodes.names[edges.to[at]]}`);
  assert.ok(relations.includes("Browser calls Gateway") && !relations.includes("Payments calls Ledger"), relations.join(", "));
  const again = await server.fetch("/api/v1/graph/picture", alice.key, { headers: { "If-None-Match": reply.headers.get("etag") } });
  assert.equal(again.status, 304);
  const was = await (await server.fetch(`/api/v1/graph/picture?asOf=${encodeURIComponent(then)}`, alice.key)).json();
  assert.deepEqual([was.entities, was.relations], [6, 4]);
  const id = await idOf("Checkout");
  assert.equal((await (await server.fetch(`/api/v1/graph/picture?cluster=${id}`, alice.key)).json()).entities, 7);
  for (const [query, status] of [["asOf=yesterday", 400], ["asOf=", 400], ["cluster=", 400], ["cluster=ent_none", 404], ["asOf=1999-01-01", 200]]) {
    const { status: found, headers } = await server.fetch(`/api/v1/graph/picture?${query}`, alice.key);
    assert.equal(found, status, query);
    if (status >= 400) assert.match(headers.get("content-type"), /problem\+json/);
  }
});

test("a phone and dark colours show the picture, and a browser without WebGL its lists", { skip }, async (t) => {
  const phone = await drawn(t, { viewport: PHONE, isMobile: true, hasTouch: true });
  await fits(phone);
  await accessible(phone);
  await picture(phone, "picture-phone");
  const dark = await drawn(t, { colorScheme: "dark" }, `&focus=${await idOf("Checkout")}`);
  await dark.getByRole("region", { name: "Checkout" }).waitFor();
  await accessible(dark);
  await picture(dark, "picture-dark");
  const without = await open(t, browser, server.origin);
  await without.addInitScript(() => {
    HTMLCanvasElement.prototype.getContext = () => null;
  });
  await signIn(without, server.origin, alice.key, "/app/graph?view=picture");
  await without.getByText("This browser cannot draw the picture.").waitFor();
  await accessible(without);
  await without.getByRole("button", { name: "Checkout" }).click();
  await without.getByRole("region", { name: "Checkout" }).waitFor();
});

test("the names of a small graph are all within the picture of a phone, and none covers another one", { skip }, async (t) => {
  const { key } = await database.project();
  const names = Array.from({ length: 8 }, (_, at) => `Service of the shop ${at}`);
  await withTools(server, key, async (call) => {
    await call("initialize_memory_bank", { path: "." });
    for (const name of names) await call("graph_upsert_entity", { name, entityType: "service" });
    for (const [at, to] of names.entries()) if (at > 0) await call("graph_link_entities", { from: names[0], relationType: "calls", to });
  });
  const page = await open(t, browser, server.origin, { viewport: PHONE, isMobile: true, hasTouch: true });
  await page.addInitScript(() => {
    window.drawn = [];
    const fillText = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
      const scale = this.getTransform().a;
      window.drawn.push({ text, left: x, right: x + this.measureText(text).width, y, screen: this.canvas.width / scale });
      return fillText.call(this, text, x, y);
    };
  });
  await signIn(page, server.origin, key, "/app/graph?view=picture");
  await page.locator(".canvas[data-state=done]").waitFor();
  await page.getByRole("button", { name: "Show all" }).click();
  await page.waitForTimeout(500);
  await page.waitForFunction((count) => new Set(window.drawn.map(({ text }) => text)).size >= count, names.length);
  const drawn = await page.evaluate(() => window.drawn);
  // The last frame.
  const last = names.map((name) => drawn.findLast(({ text }) => text === name));
  for (const [at, one] of last.entries()) {
    assert.ok(one.left >= 0 && one.right <= one.screen, JSON.stringify(one));
    for (const other of last.slice(at + 1)) {
      assert.ok(one.right <= other.left || other.right <= one.left || Math.abs(one.y - other.y) >= 12, JSON.stringify([one, other]));
    }
  }
});

test("the picture is loaded when it is opened, and its worker from a file of the server", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  const scripts = [];
  page.on("request", (request) => request.url().endsWith(".js") && scripts.push(request.url().split("/").at(-1)));
  await signIn(page, server.origin, alice.key);
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  assert.equal(scripts.filter((name) => /picture|layout|code/.test(name)).length, 0, scripts.join(" "));
  await page.goto(`${server.origin}/app/graph?view=picture`);
  await page.locator(".canvas[data-state=done]").waitFor();
  assert.ok(scripts.some((name) => name.startsWith("picture-")) && scripts.some((name) => name.startsWith("layout_worker-")), scripts.join(" "));
});
