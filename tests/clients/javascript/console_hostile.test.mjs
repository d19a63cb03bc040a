// Scripts in every field that a model or a person can write, shown by the web console in Chromium: none runs, nothing is
// loaded from elsewhere, and the policy of the page has nothing to refuse.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { launch, open, settled, signIn, skip, withTools } from "./lib/console.mjs";
import { Database } from "./lib/http_server.mjs";

/** Where a script that ran would send a request. */
const ELSEWHERE = "http://127.0.0.1:9";
const RUN = "alert(document.domain)";
const HTML = [
  `<script>${RUN}</script>`,
  `<img src=x onerror="${RUN}">`,
  `<svg onload=${RUN}><animate onbegin=${RUN} attributeName=x dur=1s></svg>`,
  `<svg><style><img src="</style><img src=x onerror=${RUN}>"></svg>`,
  `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=${RUN}&gt;">`,
  `<iframe srcdoc="<script>parent.${RUN}</script>"></iframe>`,
  `<object data="javascript:${RUN}"></object><embed src="javascript:${RUN}">`,
  `<a href="javascript:${RUN}">click</a>`,
  `<form action="javascript:${RUN}"><button>go</button></form>`,
  `<details open ontoggle=${RUN}>x</details><video><source onerror=${RUN}></video>`,
  `<style>@import url(${ELSEWHERE}/style.css);body{background:url(${ELSEWHERE}/back.png)}</style>`,
  `<link rel=stylesheet href="${ELSEWHERE}/x.css"><meta http-equiv=refresh content="0;url=${ELSEWHERE}/">`,
  `<base href="${ELSEWHERE}/"><template><script>${RUN}</script></template>`,
  `<div style="background:url(${ELSEWHERE}/inline.png)">x</div><input autofocus onfocus=${RUN}>`,
  `<form id=documentElement name=body><input name=innerHTML></form>`,
];
const MARKDOWN = [
  `[link](javascript:${RUN})`,
  `[link](JaVaScRiPt:${RUN})`,
  `[link](java\tscript:${RUN})`,
  `[link](&#106;avascript:${RUN})`,
  `[link](data:text/html,<script>${RUN}</script>)`,
  `[link](vbscript:msgbox(1))`,
  `[link](blob:${RUN})`,
  `[link](<https://example.com/" onmouseover="${RUN}>)`,
  `![picture](${ELSEWHERE}/picture.png)`,
  `![picture](javascript:${RUN})`,
  `![" onerror="${RUN}](x" onerror="${RUN})`,
  `![picture](//127.0.0.1:9/picture.png)`,
  `<javascript:${RUN}>`,
  `[reference][x]\n\n[x]: javascript:${RUN} "title"`,
  `\`\`\`<script>${RUN}</script>\n${HTML[1]}\n\`\`\``,
  `| a | b |\n|---|---|\n| ${HTML[1]} | <script>${RUN}</script> |`,
];
const NAME = `<img src=x onerror=${RUN}>`;
const TEXT = [...HTML, ...MARKDOWN].join("\n\n");

let database, server, browser, owner;

before(async () => {
  if (skip) return;
  database = await Database.lent();
  server = await database.serve();
  const made = await database.operate("bootstrap", "--user", NAME, "--project", "hostile");
  owner = made.key;
  await server.unlimited(owner);
  await withTools(server, owner.key, async (call) => {
    await call("initialize_memory_bank", { path: "." });
    await call("write_memory_bank_file", { filename: "hostile.md", content: `# ${NAME}\n\n## ${HTML[0]} ${MARKDOWN[0]}\n\n### ${NAME}\n\n${TEXT}\n` });
    await call("write_memory_bank_file", { filename: "hostile.md", content: `# ${NAME}\n\n## ${HTML[0]} ${MARKDOWN[0]}\n\n### ${NAME}\n\n#### one more ${NAME}\n\n${TEXT}\n\nchanged ${NAME}\n` });
    await call("write_memory_bank_file", { filename: "data.json", content: JSON.stringify({ text: TEXT }) });
    await call("write_memory_bank_file", {
      filename: "active-context.md",
      content: `# Active Context\n\n## Current Focus\n\n${TEXT}\n\n## Ongoing Tasks\n\n${[...HTML, ...MARKDOWN].map((text) => `- ${text.replaceAll("\n", " ")}`).join("\n")}\n\n## Known Issues\n\n- ${NAME}\n\n## Next Steps\n\n- ${MARKDOWN[0]}\n`,
    });
    await call("track_progress", { action: NAME, description: `${MARKDOWN[0]} ${HTML[0]}` });
    await call("log_decision", { title: NAME, context: HTML[0], decision: `${MARKDOWN[0]} ${NAME}` });
    await call("graph_upsert_entity", { name: NAME, entityType: `<b onclick=${RUN}>`, attrs: { [NAME]: HTML[0], list: [NAME] } });
    await call("graph_upsert_entity", { name: `javascript:${RUN}`, entityType: "x" });
    for (const text of [...HTML, ...MARKDOWN]) await call("graph_add_observation", { entity: NAME, text });
    await call("graph_link_entities", { from: NAME, to: `javascript:${RUN}`, relationType: NAME });
    for (const name of [`img-src=x-onerror=${RUN}.md`, `${NAME}.md`, `"onmouseover="${RUN}.md`]) {
      // Names that the server refuses cannot be shown.
      await call("write_memory_bank_file", { filename: name, content: TEXT }).catch(() => undefined);
    }
  });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await database?.giveBack();
});

/** Moves the pointer over everything, clicks what a document could have made, and looks for what it has brought. */
async function provoked(page) {
  await page.evaluate(() => {
    for (const element of document.querySelectorAll("main *")) {
      for (const type of ["mouseover", "mouseenter", "focus", "toggle", "load", "error"]) element.dispatchEvent(new Event(type));
    }
  });
  const foreign = await page.evaluate(() =>
    [...document.querySelectorAll("main *")]
      // The console's own form, and what the library draws the picture on.
      .filter((element) => !element.matches(".create form") && element.closest(".canvas") === null)
      .filter(
        (element) =>
          ["SCRIPT", "IFRAME", "OBJECT", "EMBED", "IMG", "STYLE", "LINK", "META", "BASE", "FORM", "TEMPLATE", "VIDEO", "SVG", "MATH"].includes(element.tagName.toUpperCase()) ||
          element.getAttributeNames().some((name) => name.startsWith("on") || name === "style" || name === "srcdoc" || name === "src") ||
          (element instanceof HTMLAnchorElement && !["http:", "https:", "mailto:"].includes(element.protocol)),
      )
      .map((element) => element.outerHTML),
  );
  assert.deepEqual(foreign, []);
}

test("no script that a document, a name, an entry or a difference contains runs in the console", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, owner.key);
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  assert.ok((await page.locator("main").innerText()).includes(NAME), "texts are shown as texts");
  await provoked(page);
  const names = (await (await server.fetch("/api/v1/documents", owner.key)).json()).documents.map(({ name }) => name);
  assert.ok(names.includes("hostile.md"), names);
  for (const name of names) {
    const encoded = encodeURIComponent(name);
    await page.goto(`${server.origin}/app/documents/${encoded}`);
    await page.locator("article").waitFor();
    await provoked(page);
    await page.goto(`${server.origin}/app/history/${encoded}?version=1`);
    await page.locator(".change pre, .diff").first().waitFor();
    await provoked(page);
  }
  await page.goto(`${server.origin}/app/history/hostile.md?version=2`);
  await page.locator(".diff").waitFor();
  await provoked(page);
  await page.goto(`${server.origin}/app/graph`);
  await page.getByText("2 entities").waitFor();
  await provoked(page);
  const { entities } = await (await server.fetch("/api/v1/graph/search?query=*", owner.key)).json();
  assert.equal(entities.length, 2);
  for (const { id } of entities) {
    await page.goto(`${server.origin}/app/graph/${id}`);
    await page.getByRole("heading", { name: "Relations" }).waitFor();
    await provoked(page);
  }
  for (const focus of [undefined, ...entities.map(({ id }) => id)]) {
    await page.goto(`${server.origin}/app/graph?view=picture${focus === undefined ? "" : `&focus=${focus}`}`);
    await page.locator(".canvas[data-state=done]").waitFor();
    assert.ok((await page.locator("main").innerText()).includes(NAME), "texts are shown as texts");
    await provoked(page);
  }
  await page.goto(`${server.origin}/app/blame/hostile.md`);
  await page.locator(".origin").first().waitFor();
  await provoked(page);
  await page.goto(`${server.origin}/app/edit/hostile.md`);
  await page.getByRole("button", { name: "Preview" }).click();
  await page.locator("article .prose *").first().waitFor();
  await provoked(page);
  await page.goto(`${server.origin}/app/documents`);
  await page.getByRole("link", { name: "hostile.md" }).waitFor();
  await provoked(page);
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox").fill("hostile");
  await page.getByRole("option", { name: "hostile.md" }).waitFor();
  await page.keyboard.press("Escape");
  for (const query of ["onerror", NAME, `"${RUN}"`]) {
    await page.goto(`${server.origin}/app/search?q=${encodeURIComponent(query)}`);
    await page.getByRole("status").filter({ hasText: /lines?\b|entit|fact|Nothing/ }).waitFor();
    await provoked(page);
  }
});

test("no script in an address, an error or a stored session runs in the console", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, owner.key);
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  for (const path of [
    `documents/${encodeURIComponent(NAME)}`,
    `documents/hostile.md#${encodeURIComponent(NAME)}`,
    "documents/%E0%A4%A",
    `history/${encodeURIComponent(NAME)}?version=${encodeURIComponent(NAME)}`,
    `search?q=${encodeURIComponent(`javascript:${RUN}`)}`,
    `blame/${encodeURIComponent(NAME)}`,
    `undo?by=${encodeURIComponent(NAME)}&since=${encodeURIComponent(NAME)}&filename=${encodeURIComponent(NAME)}`,
    `graph?view=picture&focus=${encodeURIComponent(NAME)}&cluster=${encodeURIComponent(NAME)}&asOf=${encodeURIComponent(NAME)}`,
    `${encodeURIComponent(NAME)}`,
  ]) {
    await page.goto(`${server.origin}/app/${path}`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await settled(page);
    await provoked(page);
  }
  await page.evaluate((name) => {
    const stored = JSON.parse(localStorage.getItem("memory-bank-console"));
    localStorage.setItem("memory-bank-console", JSON.stringify({ ...stored, user: name, project: name }));
  }, NAME);
  await page.goto(`${server.origin}/app/`);
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  await provoked(page);
});

test("Markdown that leads to a document or another site stays a link, and all else becomes text", { skip }, async (t) => {
  const page = await open(t, browser, server.origin);
  await signIn(page, server.origin, owner.key, "/app/documents/hostile.md");
  const article = page.locator("article");
  await article.getByRole("link", { name: "Open the image “picture” at 127.0.0.1:9" }).first().waitFor();
  const text = await article.innerText();
  for (const shown of [HTML[0], HTML[1], HTML[7]]) assert.ok(text.includes(shown), `${shown} is shown as text`);
  const addresses = await article.locator("a").evaluateAll((links) => links.map((link) => [link.protocol, link.rel]));
  assert.ok(addresses.length > 0);
  for (const [protocol, rel] of addresses) assert.ok(protocol === "http:" || protocol === "https:", `${protocol} ${rel}`);
});

test("no page of another site frames the console", { skip }, async (t) => {
  // A page of a server on this machine: browsers refuse a frame of a local address to others before they ask for it.
  const elsewhere = createServer((_, reply) => {
    reply.setHeader("Content-Type", "text/html").end(`<iframe name="framed" src="${server.origin}/app/"></iframe>`);
  }).listen(0, "127.0.0.1");
  t.after(() => elsewhere.close());
  await once(elsewhere, "listening");
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  const refused = page.waitForEvent("console", (message) => message.text().includes("frame-ancestors"));
  await page.goto(`http://localhost:${elsewhere.address().port}/`);
  await refused;
  assert.equal(await page.frameLocator("iframe").locator("#app").count(), 0, "the frame shows nothing of the console");
});
