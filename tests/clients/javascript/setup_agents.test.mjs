// `setup` and the real agents: each lists the server as it was set up, and not any more after removal. The agents are large,
// so that they are installed on request: see CONTRIBUTING.md.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { promisify } from "node:util";
import { HttpServer } from "./lib/http_server.mjs";
import { emptyFolder } from "./lib/project.mjs";
import { BINARY } from "./lib/server.mjs";

const AGENTS = process.env.MEMORY_BANK_TEST_AGENTS;
const skip = AGENTS === undefined && "MEMORY_BANK_TEST_AGENTS does not name a folder with agents";

/** The text that each agent shows for a server that it has connected, or only lists. */
const LISTS = {
  "claude-code": { command: ["claude", "mcp", "list"], shows: /memory-bank: .*Connected/ },
  codex: { command: ["codex", "mcp", "list"], shows: /memory-bank .*enabled/ },
  gemini: { command: ["gemini", "mcp", "list"], shows: /✓ memory-bank: .*Connected/ },
  copilot: { command: ["copilot", "mcp", "list"], shows: /memory-bank \((local|http)\)/ },
  opencode: { command: ["opencode", "mcp", "list"], shows: /✓ memory-bank.*connected/ },
  cline: { command: ["cline", "config", "mcp"], shows: /memory-bank \[(stdio|streamableHttp)\]/ },
};

async function newHome(t) {
  const home = await emptyFolder(t);
  const project = join(home, "shop");
  await mkdir(join(home, ".gemini"), { recursive: true });
  await mkdir(join(project, ".git"), { recursive: true });
  // These three read a project's servers in trusted folders only.
  await writeFile(join(home, ".gemini/trustedFolders.json"), JSON.stringify({ [project]: "TRUST_FOLDER" }));
  await mkdir(join(home, ".codex"));
  await writeFile(join(home, ".codex/config.toml"), `[projects."${project}"]\ntrust_level = "trusted"\n`);
  await mkdir(join(home, ".copilot"));
  await writeFile(join(home, ".copilot/config.json"), JSON.stringify({ trusted_folders: [project] }));
  return { home, project };
}

async function run({ home, project }, [program, ...args], variables = {}, input = "") {
  const running = promisify(execFile)(program, args, {
    cwd: project,
    env: { HOME: home, PATH: `${join(AGENTS, "node_modules/.bin")}:${process.env.PATH}`, TERM: "dumb", NO_COLOR: "1", CI: "1", ...variables },
    timeout: 120_000,
  });
  // A command that ends with an error does not read its input.
  running.child.stdin.on("error", (error) => assert.equal(error.code, "EPIPE"));
  running.child.stdin.end(input);
  const { code = 0, stdout, stderr } = await running.catch((failure) => failure);
  // eslint-disable-next-line no-control-regex
  return { code, text: `${stdout}\n${stderr}`.replace(/\u001b\[[0-9;]*m/g, "") };
}

const clients = (names) => names.flatMap((name) => ["--client", name]);

/** Every agent lists the server, and none does after removal. */
async function listsAndForgets(machine, names, variables = {}) {
  for (const name of names) {
    const { text } = await run(machine, LISTS[name].command, variables);
    assert.match(text, LISTS[name].shows, name);
  }
  const removed = await run(machine, [BINARY, "setup", "--remove", "--yes"]);
  assert.equal(removed.code, 0, removed.text);
  for (const name of names) {
    const { text } = await run(machine, LISTS[name].command, variables);
    assert.doesNotMatch(text, /memory-bank[ :]/, name);
  }
}

test("agents start the server of the user's file", { skip }, async (t) => {
  const machine = await newHome(t);
  const names = Object.keys(LISTS);
  const done = await run(machine, [BINARY, "setup", "--yes", ...clients(names)]);
  assert.equal(done.code, 0, done.text);
  const codex = await readFile(join(machine.home, ".codex/config.toml"), "utf8");
  await listsAndForgets(machine, names);
  assert.equal(codex.startsWith(await readFile(join(machine.home, ".codex/config.toml"), "utf8")), true);
});

test("agents read the file in the folder that a variable names", { skip }, async (t) => {
  for (const [name, variable] of [
    ["claude-code", "CLAUDE_CONFIG_DIR"],
    ["codex", "CODEX_HOME"],
    ["gemini", "GEMINI_CLI_HOME"],
    ["copilot", "COPILOT_HOME"],
    ["opencode", "XDG_CONFIG_HOME"],
    ["cline", "CLINE_DIR"],
    ["cline", "CLINE_DATA_DIR"],
  ]) {
    const machine = await newHome(t);
    const folder = join(machine.home, "elsewhere");
    await mkdir(join(folder, ".gemini"), { recursive: true });
    await writeFile(join(folder, ".gemini/trustedFolders.json"), JSON.stringify({ [machine.project]: "TRUST_FOLDER" }));
    const variables = { [variable]: folder };
    const done = await run(machine, [BINARY, "setup", "--yes", "--client", name], variables);
    assert.equal(done.code, 0, done.text);
    assert.match(done.text, /elsewhere/, variable);
    await listsAndForgets(machine, [name], variables);
  }
});

test("agents reach a remote server with the key in the user's file", { skip }, async (t) => {
  const machine = await newHome(t);
  const server = await HttpServer.start(machine.project);
  t.after(() => server.stop());
  const names = Object.keys(LISTS);
  const wanted = [BINARY, "setup", "--yes", ...clients(names), "--url", server.url, "--key-file", "-"];
  const done = await run(machine, wanted, {}, server.key);
  assert.equal(done.code, 0, done.text);
  assert.match(done.text, /opens a session/);
  await listsAndForgets(machine, names);
});

test("agents reach a remote server with the key in the variable that the project's file names", { skip }, async (t) => {
  const machine = await newHome(t);
  const server = await HttpServer.start(machine.project);
  t.after(() => server.stop());
  const variables = { MEMORY_BANK_API_KEY: server.key };
  // Claude Code asks for a project's servers first.
  const names = ["codex", "gemini", "copilot", "opencode"];
  const wanted = [BINARY, "setup", "--yes", "--scope", "project", ...clients(names), "--url", server.url];
  const done = await run(machine, wanted, variables);
  assert.equal(done.code, 0, done.text);
  await listsAndForgets(machine, names, variables);
});

test("Claude Code has the entry for one project in that project alone", { skip }, async (t) => {
  const machine = await newHome(t);
  const { home, project } = machine;
  const [inside, elsewhere] = [join(project, "src"), join(home, "blog")];
  await mkdir(inside);
  await mkdir(elsewhere);
  const done = await run({ home, project: inside }, [BINARY, "setup", "--yes", "--scope", "local"]);
  assert.equal(done.code, 0, done.text);
  const { command, shows } = LISTS["claude-code"];
  for (const folder of [project, inside]) {
    assert.match((await run({ home, project: folder }, command)).text, shows, folder);
  }
  assert.doesNotMatch((await run({ home, project: elsewhere }, command)).text, /memory-bank:/);
  await listsAndForgets(machine, ["claude-code"]);
});
