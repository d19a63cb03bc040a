// Lets Lighthouse judge pages of the console, for docs/console.md. Lighthouse is not a package of the tests; install it in a folder of its own.
//
//   npm install --prefix DIR lighthouse
//   LIGHTHOUSE=DIR MEMORY_BANK_MCP=target/release/memory-bank-mcp node tests/clients/javascript/measure_lighthouse.mjs
//
// MEMORY_BANK_TEST_POSTGRES names the program that lends databases.

import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";
import { withTools } from "./lib/console.mjs";
import { Database } from "./lib/http_server.mjs";

if (!process.env.LIGHTHOUSE) throw new Error("LIGHTHOUSE must name the folder with the package `lighthouse`");
const { default: lighthouse, desktopConfig } = await import(createRequire(join(resolve(process.env.LIGHTHOUSE), "package.json")).resolve("lighthouse"));

const CATEGORIES = ["performance", "accessibility", "best-practices"];
const PAGES = [
  ["Overview", "/app/"],
  ["Documents", "/app/documents"],
  ["A document", "/app/documents/progress.md"],
  ["Search", "/app/search?q=checkout"],
  ["Graph", "/app/graph"],
  ["Graph as a picture", "/app/graph?view=picture"],
  ["History", "/app/history"],
  ["Calls", "/app/project/calls"],
];

const freePort = () =>
  new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

/** By Lighthouse's own settings for a desktop; on a phone with a slow processor and network, which it computes; on a phone as fast as this machine. */
const FORMS = ["desktop", "slow phone", "fast phone"];

/** The scores of a page, 0 to 100, in the order of the categories. */
async function scores(url, port, form) {
  const flags = { port, disableStorageReset: true, onlyCategories: CATEGORIES, logLevel: "error", output: "json", ...(form === "fast phone" && { throttlingMethod: "provided" }) };
  const result = await lighthouse(url, flags, form === "desktop" ? desktopConfig : undefined);
  const failed = Object.values(result.lhr.audits).filter(({ score, scoreDisplayMode }) => score !== null && score < 0.9 && scoreDisplayMode === "binary");
  const shown = ["first-contentful-paint", "largest-contentful-paint", "total-blocking-time", "cumulative-layout-shift"].map((id) => result.lhr.audits[id].displayValue);
  return { shown, scores: CATEGORIES.map((name) => Math.round(100 * (result.lhr.categories[name].score ?? 0))), failed: failed.map(({ id }) => id), at: result.lhr.finalDisplayedUrl };
}

const database = await Database.lent();
const folder = mkdtempSync(join(tmpdir(), "lighthouse-"));
let browser;
try {
  const server = await database.serve();
  const { key } = await database.project();
  await withTools(server, key, async (call) => {
    await call("initialize_memory_bank", { path: "." });
    for (let number = 0; number < 200; number += 1) await call("track_progress", { action: "Implemented", description: `Part ${number} of the checkout` });
    await call("log_decision", { title: "Use PostgreSQL", context: "Several replicas", decision: "One database" });
    for (let number = 0; number < 50; number += 1) await call("graph_upsert_entity", { name: `Service ${number}`, entityType: "service" });
  });
  const port = await freePort();
  browser = await chromium.launchPersistentContext(folder, { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", `--remote-debugging-port=${port}`] });
  console.log("| Page | Screen | Performance | Accessibility | Best practices | First paint | Largest paint | Blocked | Layout shift |\n|---|---|---|---|---|---|---|---|---|");
  const report = async (name, path) => {
    for (const form of FORMS) {
      const { scores: found, shown, failed, at } = await scores(`${server.origin}${path}`, port, form);
      if (new URL(at).pathname !== new URL(path, server.origin).pathname) throw new Error(`${name}: ${at} was shown`);
      console.log(`| ${name} | ${form} | ${[...found, ...shown].join(" | ")} |${failed.length > 0 ? ` ${failed.join(", ")}` : ""}`);
    }
  };
  await report("Signing in", "/app/");
  const page = await browser.newPage();
  await page.goto(`${server.origin}/app/`);
  await page.getByLabel("API key or login code").fill(key);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Who was active" }).waitFor();
  for (const [name, path] of PAGES) await report(name, path);
} finally {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
  await database.giveBack();
}
