// Real agents that sign in with OAuth, without an account at a model: Claude Code and Gemini CLI. They are large, so that they
// are installed on request: see CONTRIBUTING.md. They need a terminal, which `script` gives them, and open a browser with
// `xdg-open`, which stores the address; the test does in the page what a person does. A proxy in between notes the revision
// of the protocol in which an agent speaks.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Database, until } from "./lib/http_server.mjs";
import { interruptingProxy } from "./lib/interrupting_proxy.mjs";
import { startModel } from "./lib/model_stub.mjs";
import { allow } from "./lib/oauth.mjs";
import { emptyFolder } from "./lib/project.mjs";

const AGENTS = process.env.MEMORY_BANK_TEST_AGENTS;
const skip = AGENTS === undefined && "MEMORY_BANK_TEST_AGENTS does not name a folder with agents";

let database, server;

before(async () => {
  if (skip) return;
  database = await Database.lent();
  // The documents about these agents are on the internet; without documents they register themselves.
  server = await database.serve({ OAUTH_CLIENT_DOCUMENTS: "false" });
});
after(() => database?.giveBack());

/** A home with a project, and what starts an agent there. */
async function machineOf(t) {
  const home = await emptyFolder(t);
  const project = join(home, "shop");
  await mkdir(join(project, ".git"), { recursive: true });
  const [opened, bin] = [join(home, "opened"), join(home, "bin")];
  await mkdir(bin);
  await writeFile(join(bin, "xdg-open"), `#!/bin/sh\necho "$1" > ${opened}\n`);
  await chmod(join(bin, "xdg-open"), 0o755);
  const spawned = ([program, ...args], variables, stdin) => {
    const env = { HOME: home, PATH: `${bin}:${join(AGENTS, "node_modules/.bin")}:${process.env.PATH}`, TERM: "dumb", NO_COLOR: "1", DISPLAY: ":0", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1", ...variables };
    const child = spawn(program, args, { cwd: project, env, stdio: [stdin, "pipe", "pipe"] });
    t.after(() => child.kill());
    const run = { child, text: "" };
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (run.text += text));
    run.ended = new Promise((resolve) => child.once("close", resolve));
    return run;
  };
  // In a terminal, so that the agent asks.
  const start = (command, variables) => spawned(["script", "-qec", command.map((word) => `'${word}'`).join(" "), "/dev/null"], variables, "pipe");
  const done = async (command, variables) => {
    const run = spawned(command, variables, "ignore");
    const code = await run.ended;
    return { code, text: run.text };
  };
  return { home, project, start, done, opened: () => readFile(opened, "utf8").catch(() => "") };
}

/** Waits for the address in a text, allows there, and sends the browser back to the agent. */
async function allowWhatIsIn(text, user, { origin }) {
  let address;
  // The terminal's control characters end it, too.
  await until(async () => (address = (await text()).match(new RegExp(`${origin}/oauth/authorize\\?[\\w%&=.+~-]+`))?.[0]), "the address of the page");
  const { code } = await database.operate("login-code", "--user", user);
  const callback = new URL(new URL(address).searchParams.get("redirect_uri"));
  const { location } = await allow(origin, address, code, ["read", "write"], callback.origin + callback.pathname);
  const reply = await fetch(location);
  assert.ok(reply.ok, await reply.text());
}

test("Claude Code signs in, connects, and is out when its grant is taken back", { skip }, async (t) => {
  const { start, done } = await machineOf(t);
  const proxy = await interruptingProxy(t, server.url);
  const owner = await database.project();
  const added = await done(["claude", "mcp", "add", "--transport", "http", "memory-bank", proxy.url]);
  assert.equal(added.code, 0, added.text);
  assert.match((await done(["claude", "mcp", "list"])).text, /memory-bank: .*[Nn]eeds authentication/);
  const login = start(["claude", "mcp", "login", "--no-browser", "memory-bank"]);
  await allowWhatIsIn(() => login.text, owner.user, proxy);
  assert.equal(await login.ended, 0, login.text);
  const listed = await done(["claude", "mcp", "list"]);
  assert.match(listed.text, /memory-bank: .*Connected/);
  const { grants } = await database.operate("grants", "list", "--user", owner.user);
  assert.equal(grants.length, 1);
  assert.match(grants[0].clientName, /Claude/);
  t.diagnostic(`Claude Code speaks ${proxy.revisions.at(-1)}`);
  assert.match(proxy.revisions.at(-1), /^202[56]-/);
  await database.operate("grants", "revoke", grants[0].id);
  assert.doesNotMatch((await done(["claude", "mcp", "list"])).text, /memory-bank: .*Connected/);
});

test("Gemini CLI signs in, and gives its model the tools", { skip }, async (t) => {
  const { home, project, start, done, opened } = await machineOf(t);
  const proxy = await interruptingProxy(t, server.url);
  const model = await startModel(t);
  const owner = await database.project();
  await mkdir(join(home, ".gemini"));
  await writeFile(join(home, ".gemini/trustedFolders.json"), JSON.stringify({ [project]: "TRUST_FOLDER" }));
  const settings = { privacy: { usageStatisticsEnabled: false }, security: { auth: { selectedType: "gemini-api-key" } }, mcpServers: { "memory-bank": { httpUrl: proxy.url, oauth: { enabled: true }, trust: true } } };
  await writeFile(join(home, ".gemini/settings.json"), JSON.stringify(settings));
  const command = ["gemini", "-m", "gemini-2.5-flash", "-p", "What is in the bank?"];
  const variables = { GEMINI_API_KEY: "none", GOOGLE_GEMINI_BASE_URL: model.url };
  const run = start(command, variables);
  await until(() => run.text.includes("[Y/n]"), "the question");
  run.child.stdin.write("Y\n");
  await allowWhatIsIn(opened, owner.user, proxy);
  assert.equal(await run.ended, 0, run.text);
  assert.match((await done(["gemini", "mcp", "list"], variables)).text, /✓ memory-bank: .*Connected/);
  const again = await done(command, variables);
  assert.equal(again.code, 0, again.text);
  assert.ok(model.requests.some((request) => request.includes("get_memory_bank_status")), "the model was not given the tools");
  const { grants } = await database.operate("grants", "list", "--user", owner.user);
  assert.equal(grants.length, 1);
  t.diagnostic(`Gemini CLI asks for ${proxy.asked.at(-1)}`);
  assert.match(proxy.asked.at(-1), /^202[56]-/);
});
