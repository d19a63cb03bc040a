// Measures the picture of the graph in Chromium: until it is arranged, and the time between two frames while it is dragged, while
// it is zoomed, and while a node is chosen. Prints a table for docs/console.md.
//
//   MEMORY_BANK_MCP=target/release/memory-bank-mcp node tests/clients/javascript/measure_picture.mjs [entities relations]...

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launch, openedFolder } from "./lib/console.mjs";
import { writeLargeGraph } from "./lib/large_graph.mjs";

const STEPS = 90;
const given = process.argv.slice(2).map(Number);
const sizes = given.length > 1 ? given.flatMap((entities, at) => (at % 2 === 0 ? [[entities, given[at + 1]]] : [])) : [[1000, 3000], [10_000, 30_000]];

/** The times between frames, in ms, while something happens. */
async function frames(page, work) {
  await page.evaluate(() => {
    window.frameTimes = [];
    let last = performance.now();
    const next = (now) => {
      window.frameTimes.push(now - last);
      last = now;
      window.frameTimer = requestAnimationFrame(next);
    };
    window.frameTimer = requestAnimationFrame(next);
  });
  await work();
  const times = await page.evaluate(() => {
    cancelAnimationFrame(window.frameTimer);
    return window.frameTimes.slice(1).sort((one, other) => one - other);
  });
  const at = (part) => times[Math.min(times.length - 1, Math.floor(times.length * part))];
  return { median: at(0.5), slow: at(0.95), longest: times.at(-1), perSecond: (1000 * times.length) / times.reduce((sum, time) => sum + time, 0) };
}

const text = ({ median, slow, perSecond }) => `${median.toFixed(0)} / ${slow.toFixed(0)} ms (${perSecond.toFixed(0)}/s)`;

async function measured(browser, [entities, relations], t, folder) {
  const project = join(folder, `project-${entities}`);
  writeLargeGraph(project, entities, relations);
  const { link, origin } = await openedFolder(t, project, join(folder));
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
  await page.goto(link);
  await page.getByText("A large graph").waitFor();
  const reply = page.waitForResponse((response) => response.url().includes("/graph/picture"));
  const start = performance.now();
  await page.goto(`${origin}/app/graph?view=picture`);
  const bytes = (await (await reply).body()).length;
  await page.locator(".canvas").waitFor();
  const seen = performance.now() - start;
  await page.waitForTimeout(1000);
  const arranging = await frames(page, () => page.waitForTimeout(3000));
  await page.locator(".canvas[data-state=done]").waitFor({ timeout: 600_000 });
  const arranged = performance.now() - start;
  await page.waitForTimeout(1000);
  const { x, y, width, height } = await page.locator(".canvas").boundingBox();
  const [middleX, middleY] = [x + width / 2, y + height / 2];
  const dragged = await frames(page, async () => {
    await page.mouse.move(middleX, middleY);
    await page.mouse.down();
    for (let step = 0; step < STEPS; step += 1) {
      await page.mouse.move(middleX + 150 * Math.sin(step / 9), middleY + 120 * Math.sin(step / 7));
      await page.waitForTimeout(10);
    }
    await page.mouse.up();
  });
  const zoomed = await frames(page, async () => {
    for (let step = 0; step < STEPS / 3; step += 1) {
      await page.mouse.wheel(0, step % 10 < 5 ? -120 : 120);
      await page.waitForTimeout(50);
    }
  });
  await page.getByRole("button", { name: "Show all" }).click();
  await page.waitForTimeout(500);
  const chosen = await frames(page, async () => {
    await page.locator(".picture-side .nodes button").first().click();
    await page.locator("#chosen").waitFor();
    await page.waitForTimeout(1000);
  });
  return [
    `${entities} / ${relations}`,
    `${(bytes / 1000).toFixed(0)} kB`,
    `${(seen / 1000).toFixed(1)} s`,
    `${(arranged / 1000).toFixed(1)} s`,
    text(arranging),
    text(dragged),
    text(zoomed),
    `${chosen.longest.toFixed(0)} ms`,
  ];
}

const folder = mkdtempSync(join(tmpdir(), "memory-bank-picture-"));
const ends = [];
const browser = await launch();
try {
  console.log("| Entities / relations | Reply | Shown | Arranged | Frames while it is arranged | while it is dragged | while it is zoomed | Choosing a node |");
  console.log("|---|---|---|---|---|---|---|---|");
  for (const size of sizes) console.log(`| ${(await measured(browser, size, { after: (end) => ends.push(end) }, folder)).join(" | ")} |`);
} finally {
  await browser.close();
  for (const end of ends) await end();
  rmSync(folder, { recursive: true, force: true });
}
