// The picture of a large graph in the web console: a click while it moves, and clusters.

import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { accessible, launch, middleOf, open, openedFolder, picture, skip } from "./lib/console.mjs";
import { writeLargeGraph } from "./lib/large_graph.mjs";

let browser, folder;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "memory-bank-picture-"));
  if (!skip) browser = await launch();
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

test("a click while a large picture still moves chooses the node that is seen there", { skip }, async (t) => {
  const project = join(folder, "moving");
  writeLargeGraph(project, 3000, 6000);
  // One without neighbours is exactly in the middle when it is chosen.
  const log = join(project, "memory-bank/graph/graph.jsonl");
  const first = JSON.parse(readFileSync(log, "utf8").split("\n")[1]);
  const name = "Lonely";
  appendFileSync(log, `${JSON.stringify({ ...first, entity: { ...first.entity, id: "ent_ffffffffffffffff", name } })}\n`);
  const { link, origin } = await openedFolder(t, project, folder);
  const page = await open(t, browser, origin, { reducedMotion: "no-preference" });
  await page.goto(link);
  await page.getByText("A large graph").waitFor({ timeout: 120_000 });
  await page.goto(`${origin}/app/graph?view=picture`);
  await page.locator(".canvas[data-state=done]").waitFor({ timeout: 120_000 });
  const [x, y] = await middleOf(page, name);
  for (const pause of [30, 80, 150, 220]) {
    await page.waitForTimeout(600);
    await page.mouse.move(x, y);
    await page.mouse.wheel(0, -120);
    await page.waitForTimeout(pause);
    await page.mouse.click(x, y);
    await page.getByRole("heading", { name, level: 2 }).waitFor({ timeout: 5000 }).catch(() => assert.fail(`nothing was chosen ${pause} ms after the wheel`));
    await page.getByRole("button", { name: "Show everything" }).click();
    await page.locator("#chosen").waitFor({ state: "detached" });
  }
});

test("a graph of 12,000 entities is shown as clusters, of which one opens and one is found by an entity", { skip }, async (t) => {
  const project = join(folder, "project");
  writeLargeGraph(project, 12_000, 30_000);
  const { link, origin } = await openedFolder(t, project, folder);
  const page = await open(t, browser, origin);
  await page.goto(link);
  await page.getByText("A large graph").waitFor({ timeout: 120_000 });
  await page.goto(`${origin}/app/graph?view=picture`);
  await page.getByText("12,000 entities and 30,000 relations").waitFor({ timeout: 120_000 });
  await page.getByText("The graph is too large for one picture").waitFor();
  await page.locator(".canvas[data-state=done]").waitFor({ timeout: 120_000 });
  await accessible(page);
  await picture(page, "picture-clusters");
  await page.locator(".picture-side").getByRole("button").first().click();
  await page.getByRole("button", { name: "Open the cluster" }).click();
  await page.waitForURL(/cluster=ent_/);
  await page.locator(".canvas[data-state=done]").waitFor();
  await page.getByRole("link", { name: "All clusters" }).click();
  // The first search of a large graph may find that its index is being built.
  const detail = "the search index of this project is being built; try again in 1 s";
  const refusal = { status: 503, headers: { "Retry-After": "2", "Content-Type": "application/problem+json" }, body: JSON.stringify({ title: "Service Unavailable", status: 503, detail }) };
  await page.route(/graph\/search/, (route) => route.fulfill(refusal), { times: 1 });
  await page.getByLabel("Find a cluster or an entity").fill("Ledger 5432");
  await page.getByRole("button", { name: "Ledger 5432", exact: true }).click({ timeout: 120_000 });
  await page.getByRole("region", { name: "Ledger 5432" }).waitFor();
});
