// The web console in a real browser: a bank with contents, a page that reports what must not happen, and axe.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { launch, skip } from "./browser.mjs";
import { BINARY } from "./server.mjs";

export { launch, skip };
/** How many letters of a page a failure reports. */
const MOST_SHOWN = 2000;
export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

/** Runs `use` with a function that calls tools of a server; a refusal fails the test. */
export async function withTools(server, key, use) {
  const client = new Client({ name: "console-test", version: "1.0.0" });
  await client.connect(new StreamableHTTPClientTransport(new URL(server.url), { requestInit: { headers: { "X-API-Key": key } } }));
  try {
    await use(async (name, args = {}) => {
      const reply = await client.callTool({ name, arguments: args });
      assert.ok(!reply.isError, `${name}: ${JSON.stringify(reply.content)}`);
      return reply;
    });
  } finally {
    await client.close();
  }
}

/**
 * A page of a browser of its own. When the test ends it fails if a script of a document ran, a dialog opened, the policy of
 * the page was violated, an error was thrown, or a request went to another host than its own and the `allowed` ones.
 */
export async function open(t, browser, origin, { allowed = [], ...options } = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  const reports = [];
  t.after(async () => {
    // What a person would see explains a failure that comes once in many runs.
    if (!t.passed || reports.length > 0) t.diagnostic(`note: ${await shown(page).catch(({ message }) => message)}`);
    // A request that a test delays may wait when the test ends.
    for (const open of context.pages()) await open.unrouteAll({ behavior: "ignoreErrors" });
    await context.close();
  });
  await page.exposeFunction("report", (text) => void reports.push(text));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => window.report(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  });
  page.on("dialog", (dialog) => {
    reports.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("pageerror", (error) => reports.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // A reply with an error status is reported by the browser, and shown by the page.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) reports.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (![origin, ...allowed].includes(url.origin) && url.protocol !== "blob:" && url.protocol !== "data:") reports.push(`request: ${request.url()}`);
  });
  t.after(() => assert.deepEqual(reports, []));
  return Object.assign(page, { reports });
}

/** The address and the text of a page. */
async function shown(page) {
  const text = await page.locator("body").innerText({ timeout: 5000 });
  return `${page.url()}\n${text.slice(0, MOST_SHOWN)}`;
}

/** Chooses the plain field for editing, as a user does once. */
export const plainField = (page) => page.addInitScript(() => localStorage.setItem("memory-bank-console-editor", "plain"));

/** Signs in with a key or a login code. */
export async function signIn(page, origin, secret, address = "/app/") {
  await page.goto(origin + address);
  await page.getByLabel("API key or login code").fill(secret);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** Starts the console of a project's folder; gives the link that signs in. The state is kept in a folder of the test. */
export async function openedFolder(t, project, folder) {
  const env = { PATH: process.env.PATH, HOME: "/dev/null/home", RUST_LOG: "warn", MEMORY_BANK_STATE_DIR: join(folder, "state") };
  const child = spawn(BINARY, ["open", "--path", project, "--no-browser"], { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  for await (const line of createInterface({ input: child.stdout })) {
    const link = line.match(/http:\S+/)?.[0];
    if (link) return { link, origin: new URL(link).origin };
  }
  assert.fail("it ended before it was ready");
}

/** Waits until the page has loaded what it shows. The stream of changes stays open, so the network is never idle. */
export async function settled(page) {
  await page.locator("footer", { hasText: "(…)" }).waitFor({ state: "detached" });
  await page.locator(":root:has(.loading)").waitFor({ state: "detached" });
}

const axe = skip ? "" : readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Fails if axe finds something, by the rules of WCAG 2.2 AA and its best practices. */
export async function accessible(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("\n")}`);
  assert.deepEqual(found, []);
}

/** Nothing is wider than the screen. */
export async function fits(page) {
  const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(content <= screen, `${content} px on a screen of ${screen} px`);
}

/** With CONSOLE_SCREENSHOTS, a folder, stores a picture there. */
export async function picture(page, name) {
  const folder = process.env.CONSOLE_SCREENSHOTS;
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`) });
}

/** The middle of the picture, where what was chosen in the list is. */
export async function middleOf(page, name) {
  await page.getByLabel("Find in the picture").fill(name);
  await page.locator(".picture-side .nodes").getByRole("button", { name, exact: true }).click();
  await page.locator("#chosen").waitFor();
  await page.waitForTimeout(500);
  await page.getByRole("button", { name: "Show everything" }).click();
  await page.locator("#chosen").waitFor({ state: "detached" });
  const { x, y, width, height } = await page.locator(".canvas").boundingBox();
  return [x + width / 2, y + height / 2];
}
