// MCP Apps: the digest and the graph as pages within a host, with the bridge of the extension's own SDK, the official client, a
// folder over stdio and a database over HTTP.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { DECLARED, EXTENSION, linked, MIME_TYPE, shown } from "./lib/app_host.mjs";
import { accessible, fits, launch, PHONE, picture, skip } from "./lib/console.mjs";
import { Database } from "./lib/http_server.mjs";
import { emptyFolder } from "./lib/project.mjs";
import { BINARY, ENVIRONMENT } from "./lib/server.mjs";

const LINKS = {
  get_context_digest: "ui://memory-bank/digest",
  graph_search: "ui://memory-bank/graph",
  graph_open_nodes: "ui://memory-bank/graph",
};
const ERAS = ["legacy", { pin: "2026-07-28" }];

let database, server, browser;

before(async () => {
  database = await Database.lent();
  server = await database.serve();
  if (!skip) browser = await launch();
});
after(async () => {
  await browser?.close();
  await database?.giveBack();
});

/** A client of a transport; with the extension unless other capabilities are given. */
async function connected(t, transport, { capabilities = DECLARED, mode = "legacy" } = {}) {
  const client = new Client({ name: "host", version: "1.0.0" }, { capabilities, versionNegotiation: { mode } });
  await client.connect(transport);
  t.after(() => client.close());
  return client;
}

const overHttp = (key) => new StreamableHTTPClientTransport(new URL(server.url), { requestInit: { headers: { "X-API-Key": key } } });
const overStdio = (cwd) => new StdioClientTransport({ command: BINARY, cwd, env: ENVIRONMENT, stderr: "ignore" });

/** Where apps are served: each gives the transport of a new client of one bank. */
const PLACES = {
  "folder, stdio": async (t) => {
    const folder = await emptyFolder(t);
    return () => overStdio(folder);
  },
  "database, HTTP": async () => {
    const { key } = await database.project();
    return () => overHttp(key);
  },
};

async function succeed(client, name, args = {}) {
  const reply = await client.callTool({ name, arguments: args });
  assert.ok(!reply.isError, `${name}: ${JSON.stringify(reply.content)}`);
  return reply;
}

/** A client of a new bank with entries and a small graph. */
async function withBank(t, place = "folder, stdio") {
  const client = await connected(t, (await PLACES[place](t))());
  const call = (name, args) => succeed(client, name, args);
  await call("initialize_memory_bank", { path: "." });
  await call("update_active_context", {
    tasks: ["Count the quokkas of the **north** shore", "Write the `census` report"],
    issues: ["The ferry is out of order"],
    nextSteps: ["Ask the harbour master"],
  });
  await call("log_decision", { title: "Count by night", context: "Quokkas sleep by day", decision: "Counting starts after sunset" });
  await call("track_progress", { action: "South shore", description: "214 quokkas were counted" });
  await call("write_memory_bank_file", { filename: "plans/north.md", content: "# North\n\nCount the quokkas of the north shore in May.\n" });
  await call("graph_batch", {
    entities: [
      { name: "Census", entityType: "project", attrs: { year: 2026 } },
      { name: "Ada", entityType: "person" },
      { name: "Ferry", entityType: "vessel" },
      { name: "Harbour", entityType: "place" },
      { name: "North shore", entityType: "place" },
      { name: "South shore", entityType: "place" },
      { name: "Night watch", entityType: "group" },
      { name: "Lanterns", entityType: "thing" },
    ],
    observations: [
      { entity: "Census", text: "Starts in April", validUntil: "2026-04-30" },
      { entity: "Census", text: "Runs until June" },
      { entity: "Ada", text: "Leads the census" },
      { entity: "Harbour", text: "Opens at six" },
    ],
    relations: [
      { from: "Ada", to: "Census", relationType: "leads" },
      { from: "Census", to: "Ferry", relationType: "needs" },
      { from: "Ferry", to: "Harbour", relationType: "lies in" },
      { from: "Census", to: "North shore", relationType: "covers" },
      { from: "Census", to: "South shore", relationType: "covers" },
      { from: "Night watch", to: "Census", relationType: "carries out" },
      { from: "Night watch", to: "Lanterns", relationType: "uses" },
      { from: "Ada", to: "Night watch", relationType: "leads" },
    ],
  });
  return client;
}

for (const [name, place] of Object.entries(PLACES)) {
  for (const mode of ERAS) {
    const title = `${name}, ${JSON.stringify(mode)}`;
    test(`${title}: only a client that declares the extension sees links and pages`, async (t) => {
      const transport = await place(t);
      const client = await connected(t, transport(), { mode });
      const { tools } = await client.listTools();
      const links = tools.filter(({ _meta }) => _meta).map((tool) => [tool.name, tool._meta]);
      assert.deepEqual(
        Object.fromEntries(links),
        Object.fromEntries(Object.entries(LINKS).map(([tool, resourceUri]) => [tool, { ui: { resourceUri } }])),
      );
      const { resources } = await client.listResources();
      const pages = resources.filter(({ uri }) => uri.startsWith("ui://"));
      assert.deepEqual(pages.map(({ uri }) => uri), [...new Set(Object.values(LINKS))]);
      for (const { uri, mimeType, _meta } of pages) {
        assert.equal(mimeType, MIME_TYPE);
        const { contents } = await client.readResource({ uri });
        assert.equal(contents.length, 1);
        assert.deepEqual([contents[0].uri, contents[0].mimeType], [uri, MIME_TYPE]);
        assert.deepEqual(contents[0]._meta, _meta);
        assert.deepEqual(_meta.ui.csp, { connectDomains: [], resourceDomains: [], frameDomains: [], baseUriDomains: [] });
        assert.match(contents[0].text, /^<!doctype html>/);
      }
      await assert.rejects(client.readResource({ uri: "ui://memory-bank/other" }), { code: -32602 });
      const plain = tools.map(({ _meta, ...tool }) => tool);
      for (const capabilities of [{}, { extensions: { [EXTENSION]: { mimeTypes: ["text/html"] } } }]) {
        const other = await connected(t, transport(), { capabilities, mode });
        const listed = await other.listTools();
        assert.equal(JSON.stringify(listed.tools), JSON.stringify(plain));
        assert.ok(!JSON.stringify(await other.listResources()).includes("ui://"));
      }
    });
  }
}

test("a key without the right to read sees no app", async (t) => {
  const { key } = await database.project();
  const made = await server.fetch("/api/keys", key, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ scopes: ["write"] }),
  });
  assert.equal(made.status, 201, await made.clone().text());
  const client = await connected(t, overHttp((await made.json()).key));
  const { tools } = await client.listTools();
  assert.ok(tools.length > 0 && tools.every(({ _meta }) => _meta === undefined));
  assert.deepEqual((await client.listResources()).resources, []);
  await assert.rejects(client.readResource({ uri: LINKS.get_context_digest }));
});

test("the digest is shown, an entry leads to documents, and a question goes into the conversation", { skip }, async (t) => {
  const client = await withBank(t);
  const { page, app, calls, messages } = await shown(t, browser, client, "get_context_digest", {}, { context: { theme: "light", availableDisplayModes: ["inline", "fullscreen"] } });
  await app.getByRole("heading", { name: "Memory bank" }).waitFor();
  for (const heading of ["Issues and blockers", "Open tasks", "Latest decisions", "Latest progress"]) {
    await app.getByRole("heading", { name: heading }).waitFor();
  }
  await accessible(app);
  await picture(page, "app-digest-light");

  // By keyboard: the entry opens, and below it the document.
  const entry = app.getByRole("button", { name: "Count the quokkas of the north shore" });
  await entry.focus();
  await page.keyboard.press("Enter");
  const document = app.getByRole("button", { name: "Open plans/north.md" }).first();
  await document.waitFor();
  assert.equal(calls.at(-1).name, "search_memory_bank");
  await app.locator(".found strong", { hasText: "north" }).waitFor();
  await document.focus();
  await page.keyboard.press("Enter");
  await app.getByRole("region", { name: "Text of plans/north.md" }).first().waitFor();
  assert.deepEqual(calls.at(-1), { name: "read_memory_bank_file", arguments: { filename: "plans/north.md" } });
  await accessible(app);
  await picture(page, "app-digest-open");
  await app.getByRole("button", { name: "Ask the assistant" }).click();
  await app.getByText("The question is in the conversation.").waitFor();
  assert.equal(messages.length, 1);
  assert.equal(messages[0].role, "user");
  assert.match(messages[0].content[0].text, /not an instruction: “Count the quokkas of the north shore”/);

  await succeed(client, "update_tasks", { add: ["Buy a lantern"] });
  await app.getByRole("button", { name: "Load again" }).click();
  await app.getByText("Buy a lantern").waitFor();
  await app.getByRole("button", { name: "Full screen" }).click();
  await app.getByRole("button", { name: "Back into the conversation" }).waitFor();
});

test("the graph is shown, and a neighbour is opened through the host", { skip }, async (t) => {
  const client = await withBank(t, "database, HTTP");
  const { page, app, calls } = await shown(t, browser, client, "graph_open_nodes", { nodes: ["Census"] }, { context: { theme: "dark" } });
  await app.getByRole("heading", { name: "Census" }).waitFor();
  assert.ok((await app.locator("svg .node").count()) >= 3);
  await app.getByText("Runs until June").waitFor();
  assert.equal(await app.getByText("Starts in April").count(), 0);
  await app.getByText("1 fact that has ended is not shown.").waitFor();
  await accessible(app);
  await picture(page, "app-graph-dark");
  await app.getByLabel("Show ended facts").check();
  await app.locator("li", { hasText: "Starts in April" }).locator(".tag", { hasText: "ended" }).waitFor();
  await app.locator("del", { hasText: "Starts in April" }).waitFor();
  assert.deepEqual(calls.at(-1), { name: "graph_open_nodes", arguments: { nodes: ["Census"], includeEnded: true } });

  // By keyboard along a relation; the focus follows.
  await app.getByRole("button", { name: "needs → Ferry" }).focus();
  await page.keyboard.press("Enter");
  await app.getByRole("button", { name: "lies in → Harbour" }).waitFor();
  assert.equal(calls.at(-1).name, "graph_open_nodes");
  assert.equal(await app.evaluate(() => document.activeElement.textContent), "Ferry");
  // By pointer in the picture.
  await app.locator("svg .node", { hasText: "Harbour" }).locator("circle, rect, polygon").click();
  await app.getByText("Opens at six").waitFor();
  await accessible(app);
  await app.getByLabel("Search the graph").fill("lead");
  await page.keyboard.press("Enter");
  await app.getByRole("button", { name: "Ada" }).first().waitFor();
  assert.deepEqual([calls.at(-1).name, calls.at(-1).arguments.query], ["graph_search", "lead"]);
});

test("an app asks about the bank and the time of the call that it was opened for, and shows a later result", { skip }, async (t) => {
  const client = await withBank(t);
  const asOf = new Date().toISOString();
  const { page, app, calls } = await shown(t, browser, client, "graph_open_nodes", { nodes: ["Census"], asOf });
  await app.getByRole("button", { name: "needs → Ferry" }).click();
  await app.getByRole("button", { name: "lies in → Harbour" }).waitFor();
  assert.equal(calls.at(-1).arguments.asOf, asOf);
  const later = await client.callTool({ name: "graph_search", arguments: { query: "Lanterns" } });
  await page.evaluate((result) => window.bridge.sendToolResult(result), later);
  await app.getByRole("button", { name: "Ferry" }).first().waitFor({ state: "detached" });
  await app.getByRole("button", { name: "Lanterns" }).waitFor();
});

test("a search is shown as a picture and as a list, also when it is long", { skip }, async (t) => {
  const client = await withBank(t);
  const entities = Array.from({ length: 260 }, (_, at) => ({ name: `Quokka ${at}`, entityType: `kind ${at % 7}` }));
  const relations = entities.slice(1).map(({ name }, at) => ({ from: name, to: `Quokka ${Math.floor(at / 3)}`, relationType: "child of" }));
  await succeed(client, "graph_batch", { entities: entities.slice(0, 130) });
  await succeed(client, "graph_batch", { entities: entities.slice(130), relations: relations.slice(0, 200) });
  const args = { query: "quokka", limit: 250 };
  const result = await client.callTool({ name: "graph_search", arguments: args });
  assert.equal(result.structuredContent, undefined, "a long reply is text alone");
  const { page, app } = await shown(t, browser, client, "graph_search", args, { result });
  await app.locator("svg .node").first().waitFor();
  assert.equal(await app.locator("svg .node").count(), 200);
  await app.getByText(/The picture shows 200 of 2\d\d entities/).waitFor();
  await accessible(app);
  await picture(page, "app-graph-large");
});

test("apps have room on a phone, and take the looks of the host", { skip }, async (t) => {
  const client = await withBank(t);
  const variables = { "--color-background-primary": "rgb(250, 240, 230)", "--color-text-primary": "light-dark(rgb(60, 20, 10), #fff)", "--font-sans": "serif", "--color-text-info": "image-set(url(http://127.0.0.1:9/x.png) 1x)", "--back": "red" };
  const context = { theme: "light", styles: { variables }, safeAreaInsets: { top: 30, right: 0, bottom: 0, left: 0 }, locale: "de-DE", timeZone: "Asia/Tokyo" };
  for (const [tool, args] of [["get_context_digest", {}], ["graph_open_nodes", { nodes: ["Census"] }]]) {
    const { page, app } = await shown(t, browser, client, tool, args, { context, viewport: PHONE });
    await app.getByRole("heading", { level: 1 }).waitFor();
    await fits(app);
    await accessible(app);
    const look = () => app.evaluate(() => {
      const { backgroundColor, color, fontFamily } = getComputedStyle(document.body);
      return { backgroundColor, color, fontFamily, info: document.documentElement.style.getPropertyValue("--color-text-info"), own: document.documentElement.style.getPropertyValue("--back") };
    });
    assert.deepEqual(await look(), { backgroundColor: "rgb(250, 240, 230)", color: "rgb(60, 20, 10)", fontFamily: "serif", info: "", own: "" });
    assert.equal(await app.evaluate(() => getComputedStyle(document.querySelector("main")).paddingTop), "42px");
    assert.ok((await page.evaluate(() => window.height)) > 200, "the host knows the height");
    await picture(page, `app-${tool}-phone`);
    await page.evaluate(() => window.bridge.setHostContext({ theme: "dark" }));
    await app.locator(":root[data-theme=dark]").waitFor();
    assert.equal((await look()).color, "rgb(255, 255, 255)");
  }
});

test("without a host's help an app only shows, and says why there is nothing", { skip }, async (t) => {
  const client = await withBank(t);
  const none = { capabilities: {} };
  const { app } = await shown(t, browser, client, "get_context_digest", {}, none);
  await app.getByText("The ferry is out of order").waitFor();
  assert.equal(await app.getByRole("button").count(), 0);
  const graph = await shown(t, browser, client, "graph_search", { query: "Census" }, none);
  await graph.app.getByRole("button", { name: "Census" }).click();
  await graph.app.getByRole("heading", { name: "Census" }).waitFor();
  assert.deepEqual(graph.calls, []);
  for (const [result, said] of [
    [{ content: [{ type: "text", text: "Some entities not found: <b>X</b>" }], isError: true }, "Some entities not found: <b>X</b>"],
    [{ content: [{ type: "text", text: "no JSON" }] }, "no JSON"],
    [{ content: [] }, "did not answer"],
  ]) {
    const failed = await shown(t, browser, client, "graph_open_nodes", { nodes: ["X"] }, { result });
    assert.ok((await failed.app.getByRole("alert").innerText()).includes(said));
    await accessible(failed.app);
  }
  const { page, app: cancelled } = await shown(t, browser, client, "get_context_digest");
  await page.evaluate(() => window.bridge.sendToolCancelled({ reason: "x" }));
  await cancelled.getByText("The call was cancelled.").waitFor();
  assert.deepEqual(await page.evaluate(() => window.bridge.teardownResource({})), {});
});

const RUN = "alert(document.domain)";
const NAME = `<img src=x onerror=${RUN}>`;
const HOSTILE = [NAME, `<script>${RUN}</script>`, `<svg onload=${RUN}>`, `<a href="javascript:${RUN}">x</a>`, `[x](javascript:${RUN})`, `**${NAME}** \`${NAME}\``, `![x](http://127.0.0.1:9/x.png)`, `</script><script>${RUN}</script>`, `<style>@import url(http://127.0.0.1:9/x.css)</style>`];

/** Nothing that a text could have made is in the page. */
async function harmless(app) {
  const foreign = await app.evaluate(() =>
    [...document.querySelectorAll("main *")]
      .filter((element) => /^(script|iframe|object|embed|img|style|link|meta|base|form|a|video|math)$/i.test(element.tagName) || element.getAttributeNames().some((name) => name.startsWith("on") || ["style", "src", "href", "srcdoc"].includes(name)))
      .map((element) => element.outerHTML),
  );
  assert.deepEqual(foreign, []);
  assert.ok((await app.locator("main").innerText()).includes(NAME), "texts are shown as texts");
}

test("no script that a model wrote runs in an app", { skip }, async (t) => {
  const client = await withBank(t);
  const call = (name, args) => succeed(client, name, args);
  await call("update_active_context", { tasks: HOSTILE, issues: HOSTILE, nextSteps: [NAME] });
  await call("log_decision", { title: NAME, context: HOSTILE[1], decision: HOSTILE.join(" ") });
  await call("track_progress", { action: NAME, description: HOSTILE.join(" ") });
  await call("write_memory_bank_file", { filename: "hostile.md", content: `# ${NAME}\n\n${HOSTILE.join("\n\n")}\n` });
  await call("graph_upsert_entity", { name: NAME, entityType: `<b onclick=${RUN}>`, attrs: { [NAME]: HOSTILE[1], list: HOSTILE } });
  for (const text of HOSTILE) await call("graph_add_observation", { entity: NAME, text });
  await call("graph_link_entities", { from: NAME, to: "Census", relationType: NAME });
  const digest = await shown(t, browser, client, "get_context_digest", { maxTokens: 5000 });
  await digest.app.getByRole("heading", { name: "Open tasks" }).waitFor();
  await harmless(digest.app);
  for (const entry of await digest.app.locator("button.entry[aria-expanded=false]").all()) await entry.evaluate((button) => button.click());
  await digest.app.getByRole("button", { name: "Ask the assistant" }).first().click();
  await digest.app.locator(".found").first().waitFor();
  await harmless(digest.app);
  const graph = await shown(t, browser, client, "graph_open_nodes", { nodes: [NAME], includeEnded: true });
  await graph.app.getByRole("heading", { name: NAME }).waitFor();
  await harmless(graph.app);
  const search = await shown(t, browser, client, "graph_search", { query: "onerror" });
  await search.app.locator("svg .node").first().waitFor();
  await harmless(search.app);
  const { content } = await linked(client, "graph_search");
  assert.ok(!content.text.includes("Census"), "a page has no data");
});

test("an app by itself loads nothing and turns no text into HTML, also where nobody adds a policy", { skip }, async (t) => {
  const client = await withBank(t);
  const context = await browser.newContext();
  t.after(() => context.close());
  for (const tool of ["get_context_digest", "graph_search"]) {
    const page = await context.newPage();
    const { content } = await linked(client, tool);
    const requests = [];
    await page.route("**/*", (route) => {
      requests.push(route.request().url());
      return route.fulfill({ contentType: "text/html", body: content.text });
    });
    await page.goto("http://app.example/");
    await page.getByText("opened alone it has nothing to show").waitFor();
    await accessible(page);
    const outcomes = await page.evaluate(async () => {
      const attempt = async (what) => Promise.resolve().then(what).then(() => "done", (error) => error.name);
      const element = (name, properties) => new Promise((resolve, reject) => document.body.append(Object.assign(document.createElement(name), { onload: resolve, onerror: () => reject(new Error()) }, properties)));
      return [
        await attempt(() => fetch("http://app.example/data")),
        await attempt(() => element("img", { src: "http://app.example/x.png" })),
        await attempt(() => element("link", { rel: "stylesheet", href: "http://app.example/x.css" })),
        await attempt(() => (document.body.innerHTML = "<b>x</b>")),
        await attempt(() => (document.createElement("iframe").srcdoc = "x")),
      ];
    });
    assert.deepEqual(outcomes, ["TypeError", "Error", "Error", "TypeError", "TypeError"]);
    assert.deepEqual(requests, ["http://app.example/"]);
  }
});
