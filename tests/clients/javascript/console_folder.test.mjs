// `memory-bank-mcp open`: the console of a folder, for the user of this computer, by a link that works once.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { accessible, launch, open, plainField, skip } from "./lib/console.mjs";
import { BINARY } from "./lib/server.mjs";

let browser, folder;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "memory-bank-console-"));
  mkdirSync(join(folder, "project/memory-bank/plans"), { recursive: true });
  writeFileSync(join(folder, "project/memory-bank/active-context.md"), "# Active Context\n\n## Current Focus\n\nThe quokka census\n");
  writeFileSync(join(folder, "project/memory-bank/plans/north.md"), "# North\n\nCount the quokkas.\n");
  if (!skip) browser = await launch();
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Starts the command; gives its link. The environment has what must not count for it. */
async function opened(t, variables = {}, ...args) {
  const env = { PATH: process.env.PATH, HOME: "/dev/null/home", RUST_LOG: "warn", MEMORY_BANK_STATE_DIR: join(folder, "state"), MCP_HOST: "0.0.0.0", ALLOWED_ORIGINS: "*", ALLOWED_HOSTS: "*", ...variables };
  const child = spawn(BINARY, ["open", "--path", join(folder, "project"), ...args], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((resolve) => child.once("close", (code) => resolve(code)));
  t.after(() => child.kill("SIGKILL"));
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
  for await (const line of createInterface({ input: child.stdout })) {
    const link = line.match(/http:\S+/)?.[0];
    if (link) return { child, ended, link, origin: new URL(link).origin };
  }
  assert.fail(`it ended before it was ready: ${await ended} ${stderr}`);
}

const post = (origin, secret, headers = {}) =>
  fetch(`${origin}/app/session`, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify({ secret }) });

test("the user of a folder opens its console with a link, reads, and stops it", { skip }, async (t) => {
  const { child, ended, link, origin } = await opened(t, {}, "--no-browser");
  assert.match(link, /^http:\/\/127\.0\.0\.1:\d+\/app\/#open=mbmcp_si_\w{32}$/);
  const page = await open(t, browser, origin);
  await page.goto(link);
  await page.getByText("The quokka census").waitFor();
  assert.equal(page.url(), `${origin}/app/`, "the secret has left the address");
  await accessible(page);
  await page.reload();
  await page.getByRole("link", { name: "Documents" }).click();
  await page.getByRole("link", { name: "north.md" }).click();
  await page.getByText("Count the quokkas.").waitFor();
  await page.keyboard.press("/");
  await page.getByLabel("Search the documents").fill("quokkas");
  await page.locator("mark").first().waitFor();

  // The link opens no second browser.
  const other = await open(t, browser, origin);
  await other.goto(link);
  await other.getByText("This link was used already").waitFor();
  await accessible(other);

  // The one user sees the limits; a folder has no members, and no audit log.
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Project" }).click();
  await page.getByText("All is well.").waitFor();
  assert.equal(await page.getByRole("link", { name: "Members" }).count(), 0);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("You are signed out.").waitFor();
  child.kill("SIGTERM");
  assert.equal(await ended, 0);
});

test("nothing but the link opens the console of a folder", async (t) => {
  const { link, origin } = await opened(t, {}, "--no-browser");
  const secret = new URL(link).hash.slice("#open=".length);
  for (const wrong of ["", "mbmcp_live_0123", secret.slice(0, -1), `${secret.slice(0, -1)}${secret.endsWith("A") ? "B" : "A"}`]) {
    assert.equal((await post(origin, wrong)).status, 401, wrong);
  }
  assert.equal((await post(origin, secret, { Origin: "http://127.0.0.1:1" })).status, 403);
  assert.equal((await post(origin, secret, { "Sec-Fetch-Site": "same-site" })).status, 403);
  for (const path of ["/api/v1/documents", "/api/keys", "/mcp"]) assert.equal((await fetch(origin + path)).status, 401, path);
  // A page whose host name was made to resolve to this computer.
  const { request } = await import("node:http");
  const rebound = await new Promise((resolve, reject) => {
    request(`${origin}/app/`, { headers: { Host: "evil.example" } }, (reply) => resolve(reply.resume().statusCode)).once("error", reject).end();
  });
  assert.equal(rebound, 403);
  const signed = await post(origin, secret);
  assert.equal(signed.status, 200);
  const cookie = signed.headers.getSetCookie()[0].split(";")[0];
  const { token, project } = await signed.json();
  assert.ok(!project.includes("/"), "no path of the host is shown");
  const headers = { Cookie: cookie, "X-Console-Token": token };
  const session = await (await fetch(`${origin}/api/v1/session`, { headers })).json();
  assert.deepEqual(session.rights, ["read", "write", "admin"]);
  assert.equal((await fetch(`${origin}/mcp`, { method: "POST", headers, body: "{}" })).status, 401);
  assert.equal((await post(origin, secret)).status, 401, "the link works once");
});

/** Signs in with the link; gives the headers of the session. */
async function session({ link, origin }) {
  const signed = await post(origin, new URL(link).hash.slice("#open=".length));
  return { Cookie: signed.headers.getSetCookie()[0].split(";")[0], "X-Console-Token": (await signed.json()).token };
}

test("a folder that is opened read-only is not changed", async (t) => {
  const set = await opened(t, { MEMORY_BANK_READ_ONLY: "true" }, "--no-browser");
  const reply = await fetch(`${set.origin}/api/v1/session`, { headers: await session(set) });
  assert.deepEqual((await reply.json()).rights, ["read"]);
  const { link, origin } = await opened(t, {}, "--no-browser", "--read-only");
  const headers = await session({ link, origin });
  assert.deepEqual((await (await fetch(`${origin}/api/v1/session`, { headers })).json()).rights, ["read"]);
  const put = { method: "PUT", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify({ text: "x" }) };
  const refused = await fetch(`${origin}/api/v1/document?filename=new.md`, put);
  assert.equal(refused.status, 403);
  assert.match((await refused.json()).detail, /started with `--read-only`/);
});

test("the editor of a folder that is opened read-only says why, and sends nobody to an owner", { skip }, async (t) => {
  const { link, origin } = await opened(t, {}, "--no-browser", "--read-only");
  const page = await open(t, browser, origin);
  await page.goto(link);
  await page.getByText("The quokka census").waitFor();
  await page.goto(`${origin}/app/edit/plans/north.md`);
  await page.getByText("This server was started with --read-only, so the text can be copied").waitFor();
  assert.ok(!(await page.locator("main").innerText()).includes("ask an owner"));
  await accessible(page);
  await page.goto(`${origin}/app/undo?by=somebody&since=2026-01-01T00:00:00Z`);
  await page.getByRole("alert").filter({ hasText: "started with --read-only" }).waitFor();
  assert.ok(!(await page.locator("main").innerText()).includes("Ask an owner"));
});

test("a document that is removed on the disk is among the deleted ones, and comes back", { skip }, async (t) => {
  const { link, origin } = await opened(t, {}, "--no-browser");
  const page = await open(t, browser, origin);
  await plainField(page);
  await page.goto(link);
  await page.getByText("The quokka census").waitFor();
  await page.goto(`${origin}/app/edit/gone.md`);
  await page.getByLabel("Text of gone.md").fill("# Gone\n\nThe numbat count\n");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("The numbat count").waitFor();
  rmSync(join(folder, "project/memory-bank/gone.md"));
  await page.goto(`${origin}/app/deleted`);
  const row = page.getByRole("listitem").filter({ hasText: "gone.md" });
  await row.waitFor();
  await accessible(page);
  await row.getByRole("link", { name: "gone.md" }).click();
  await page.getByText("Something outside of the server deleted this document:").waitFor();
  await page.getByText("deleted outside of the server").waitFor();
  await accessible(page);
  await page.getByRole("link", { name: "Bring it back" }).click();
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("The numbat count").waitFor();
  assert.match(readFileSync(join(folder, "project/memory-bank/gone.md"), "utf8"), /numbat/);
  // Both are brought back from the list, too; one that the server never wrote has no text.
  rmSync(join(folder, "project/memory-bank/gone.md"));
  await page.goto(`${origin}/app/deleted`);
  await page.getByRole("button", { name: "Bring it back: gone.md" }).click();
  await page.getByLabel("Text of gone.md").waitFor();
  assert.match(await page.getByLabel("Text of gone.md").inputValue(), /numbat/);
});

test("a browser gets the link in a file of its user alone, and a folder without a bank has no console", async (t) => {
  const [bin, temporary, browsed] = ["bin", "temporary", "browsed"].map((name) => join(folder, name));
  mkdirSync(bin);
  mkdirSync(temporary);
  writeFileSync(join(bin, "xdg-open"), `#!/bin/sh\nprintf '%s\\n' "$@" > "${browsed}.tmp" && mv "${browsed}.tmp" "${browsed}"\n`, { mode: 0o755 });
  const { child, ended, link, origin } = await opened(t, { PATH: `${bin}:${process.env.PATH}`, TMPDIR: temporary });
  const { readFileSync, readdirSync, existsSync, statSync } = await import("node:fs");
  const { until } = await import("./lib/http_server.mjs");
  await until(() => existsSync(browsed), "the browser");
  const secret = new URL(link).hash.slice("#open=".length);
  const given = readFileSync(browsed, "utf8");
  assert.ok(!given.includes(secret), "others can read the arguments of a program");
  const [file, ...others] = given.trimEnd().split("\n");
  assert.deepEqual(others, []);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(dirname(file)).mode & 0o777, 0o700);
  assert.match(readFileSync(file, "utf8"), new RegExp(`http-equiv="refresh" content="0; url=${link}"`));
  if (skip) assert.equal((await post(origin, secret)).status, 200);
  else {
    const context = await browser.newContext();
    t.after(() => context.close());
    const page = await context.newPage();
    await page.goto(`file://${file}`);
    await page.getByText("The quokka census").waitFor();
  }
  await until(() => !existsSync(dirname(file)), "the end of the file");

  // It is deleted at the end, too.
  rmSync(browsed);
  const unused = await opened(t, { PATH: `${bin}:${process.env.PATH}`, TMPDIR: temporary });
  await until(() => existsSync(browsed), "the browser");
  assert.equal(readdirSync(temporary).length, 1);
  for (const { child: one, ended: end } of [unused, { child, ended }]) {
    one.kill("SIGTERM");
    assert.equal(await end, 0);
  }
  assert.deepEqual(readdirSync(temporary), []);
  mkdirSync(join(folder, "empty"));
  await assert.rejects(opened(t, {}, "--no-browser", "--folder", "no-such-bank"), /1 .*memory-bank-mcp init/s);
});

test("the consoles of two folders are open at once, and one without a session names the way to a new link", { skip }, async (t) => {
  const [first, second] = [await opened(t), await opened(t)];
  const page = await open(t, browser, first.origin);
  await page.goto(first.link);
  await page.getByText("The quokka census").waitFor();
  const other = await page.context().newPage();
  await other.goto(second.link);
  await other.getByText("The quokka census").waitFor();
  await page.reload();
  await page.getByText("The quokka census").waitFor();
  const stranger = await open(t, browser, first.origin);
  await stranger.goto(`${first.origin}/app/documents`);
  await stranger.getByText("For a new link run memory-bank-mcp open in that folder again.").waitFor();
  assert.equal(await stranger.getByLabel("API key or login code").count(), 0);
  await accessible(stranger);
});
