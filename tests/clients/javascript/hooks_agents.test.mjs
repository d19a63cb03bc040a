// Real agents with their hooks, plugin or extension: each gets one prompt, and the request to its model shows the texts that the
// hooks added; afterwards the bank has the session. The agents are installed on request: see CONTRIBUTING.md.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Machine } from "./lib/hook.mjs";
import { startModel } from "./lib/model_stub.mjs";
import { read, serverOn } from "./lib/project.mjs";
import { BINARY } from "./lib/server.mjs";

const AGENTS = process.env.MEMORY_BANK_TEST_AGENTS;
const skip = AGENTS === undefined && "MEMORY_BANK_TEST_AGENTS does not name a folder with agents";
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const QUESTION = "which backoff do the webhook retries use in the gateway?";

async function agentOn(t) {
  const machine = await Machine.start(t);
  const server = await serverOn(machine.project, t);
  await server.ok("initialize_memory_bank", { path: machine.project });
  await server.ok("update_active_context", { tasks: ["finish the refunds"] });
  for (let number = 0; number < 12; number += 1) {
    await server.ok("track_progress", { action: "Export", description: `the export ${"abcdefghijkl"[number]} has tests` });
  }
  await server.ok("log_decision", { title: "Retries", context: "", decision: "webhook retries in the gateway use exponential backoff" });
  machine.model = await startModel(t);
  machine.bin = join(machine.root, "bin");
  await mkdir(machine.bin);
  await symlink(BINARY, join(machine.bin, "memory-bank-mcp"));
  return machine;
}

/** Runs an agent's program and returns its output, also if it fails. */
async function run(machine, [program, ...args], variables = {}, input = "") {
  const running = promisify(execFile)(program, args, {
    cwd: machine.project,
    timeout: 300_000,
    env: {
      HOME: machine.root,
      PATH: `${machine.bin}:${join(AGENTS, "node_modules/.bin")}:${process.env.PATH}`,
      TERM: "dumb",
      NO_COLOR: "1",
      CI: "1",
      MEMORY_BANK_STATE_DIR: machine.state,
      MEMORY_BANK_HOOK_TIMEOUT_MS: "10000",
      ...variables,
    },
  });
  running.child.stdin.on("error", () => {});
  running.child.stdin.end(input);
  const { stdout, stderr } = await running.catch((failure) => failure);
  return `${stdout}\n${stderr}`;
}

/** The model was given the digest and the answer of the bank, and the session was recorded. */
async function check(machine, agent, output) {
  const requests = machine.model.requests.join("\n");
  assert.match(requests, /memory-bank-data-[0-9a-f]{6}/, `${agent}: ${output}`);
  assert.match(requests, /finish the refunds/, agent);
  assert.match(requests, /exponential backoff/, agent);
  const records = await read(machine.project, "memory-bank/session-records.md");
  assert.match(records, new RegExp(`session \`[0-9a-f]{12}\` of ${agent} on \`main\``), output);
  assert.equal(records.match(/session `/g).length, 1, records);
}

test("Claude Code loads the plugin, lists its server, and runs its hooks", { skip }, async (t) => {
  const machine = await agentOn(t);
  for (const folder of [ROOT, join(ROOT, "integrations/claude-code")]) {
    assert.match(await run(machine, ["claude", "plugin", "validate", folder]), /Validation passed$/m);
  }
  await run(machine, ["claude", "plugin", "marketplace", "add", ROOT]);
  assert.match(await run(machine, ["claude", "plugin", "install", "memory@memory-bank-mcp"]), /Successfully installed/);
  const details = await run(machine, ["claude", "plugin", "details", "memory"]);
  assert.match(details, /Skills \(5\)/);
  assert.match(details, /Hooks \(6\)/);
  assert.match(await run(machine, ["claude", "mcp", "list"]), /plugin:memory:memory-bank: .*Connected/);
  const key = { ANTHROPIC_API_KEY: "none", ANTHROPIC_BASE_URL: machine.model.url, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1" };
  await check(machine, "claude-code", await run(machine, ["claude", "-p", QUESTION], key));
});

test("Gemini CLI loads the extension, lists its server, and runs its hooks", { skip }, async (t) => {
  const machine = await agentOn(t);
  const extension = join(ROOT, "integrations/gemini-cli");
  await mkdir(join(machine.root, ".gemini"));
  const trusted = { [machine.project]: "TRUST_FOLDER", [extension]: "TRUST_FOLDER" };
  await writeFile(join(machine.root, ".gemini/trustedFolders.json"), JSON.stringify(trusted));
  const settings = { security: { auth: { selectedType: "gemini-api-key" } } };
  await writeFile(join(machine.root, ".gemini/settings.json"), JSON.stringify(settings));
  assert.match(await run(machine, ["gemini", "extensions", "validate", extension]), /successfully validated/);
  const installed = await run(machine, ["gemini", "extensions", "install", extension, "--consent"], {}, "y\n");
  assert.match(installed, /installed successfully/);
  assert.match(await run(machine, ["gemini", "mcp", "list"]), /✓ memory-bank .*Connected/);
  const key = { GEMINI_API_KEY: "none", GOOGLE_GEMINI_BASE_URL: machine.model.url };
  await check(machine, "gemini-cli", await run(machine, ["gemini", "-m", "gemini-2.5-flash", "-p", QUESTION], key));
});

test("Codex runs its hooks", { skip }, async (t) => {
  const machine = await agentOn(t);
  await mkdir(join(machine.root, ".codex"));
  await copyFile(join(ROOT, "integrations/codex/hooks.json"), join(machine.root, ".codex/hooks.json"));
  const provider = `name = "stub"\nbase_url = "${machine.model.url}/v1"\nwire_api = "responses"`;
  const config = `model = "stub"\nmodel_provider = "stub"\n[model_providers.stub]\n${provider}\n`;
  const trusted = `[projects."${machine.project}"]\ntrust_level = "trusted"\n`;
  await writeFile(join(machine.root, ".codex/config.toml"), `${config}${trusted}`);
  await check(machine, "codex", await run(machine, ["codex", "exec", "--dangerously-bypass-hook-trust", QUESTION]));
});

test("Copilot CLI runs its hooks", { skip }, async (t) => {
  const machine = await agentOn(t);
  await mkdir(join(machine.project, ".github/hooks"), { recursive: true });
  const hooks = "integrations/copilot-cli/memory-bank.json";
  await copyFile(join(ROOT, hooks), join(machine.project, ".github/hooks/memory-bank.json"));
  await mkdir(join(machine.root, ".copilot"));
  await writeFile(join(machine.root, ".copilot/config.json"), JSON.stringify({ trusted_folders: [machine.project] }));
  const provider = {
    COPILOT_OFFLINE: "true",
    COPILOT_PROVIDER_TYPE: "anthropic",
    COPILOT_PROVIDER_BASE_URL: machine.model.url,
    COPILOT_PROVIDER_API_KEY: "none",
    COPILOT_MODEL: "claude-sonnet-4.5",
  };
  await check(machine, "copilot-cli", await run(machine, ["copilot", "-p", QUESTION, "--allow-all-tools"], provider));
});

/** Installs the hooks with `setup`, and removes them afterwards. */
async function setUp(machine, client) {
  const program = join(machine.bin, "memory-bank-mcp");
  const options = ["--client", client, "--state-dir", machine.state];
  const done = await run(machine, [program, "setup", "--yes", ...options]);
  assert.match(done, /the hooks added/, done);
  return () => run(machine, [program, "setup", "--remove", "--yes", ...options]);
}

/** What each agent needs to run with the stand-in of a model. */
const WITH_SETUP = {
  "claude-code": {
    client: "claude-code",
    command: (machine) => [["claude", "-p", QUESTION], { ANTHROPIC_API_KEY: "none", ANTHROPIC_BASE_URL: machine.model.url, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1" }],
  },
  "gemini-cli": {
    client: "gemini",
    prepare: async (machine) => {
      await mkdir(join(machine.root, ".gemini"));
      await writeFile(join(machine.root, ".gemini/trustedFolders.json"), JSON.stringify({ [machine.project]: "TRUST_FOLDER" }));
      await writeFile(join(machine.root, ".gemini/settings.json"), JSON.stringify({ security: { auth: { selectedType: "gemini-api-key" } } }));
    },
    command: (machine) => [["gemini", "-m", "gemini-2.5-flash", "-p", QUESTION], { GEMINI_API_KEY: "none", GOOGLE_GEMINI_BASE_URL: machine.model.url }],
  },
  codex: {
    client: "codex",
    prepare: async (machine) => {
      await mkdir(join(machine.root, ".codex"));
      const provider = `name = "stub"\nbase_url = "${machine.model.url}/v1"\nwire_api = "responses"`;
      const config = `model = "stub"\nmodel_provider = "stub"\n[model_providers.stub]\n${provider}\n`;
      const trusted = `[projects."${machine.project}"]\ntrust_level = "trusted"\n`;
      await writeFile(join(machine.root, ".codex/config.toml"), `${config}${trusted}`);
    },
    command: () => [["codex", "exec", "--dangerously-bypass-hook-trust", QUESTION], {}],
  },
  "copilot-cli": {
    client: "copilot",
    prepare: async (machine) => {
      await mkdir(join(machine.root, ".copilot"));
      await writeFile(join(machine.root, ".copilot/config.json"), JSON.stringify({ trusted_folders: [machine.project] }));
    },
    command: (machine) => [
      ["copilot", "-p", QUESTION, "--allow-all-tools"],
      {
        COPILOT_OFFLINE: "true",
        COPILOT_PROVIDER_TYPE: "anthropic",
        COPILOT_PROVIDER_BASE_URL: machine.model.url,
        COPILOT_PROVIDER_API_KEY: "none",
        COPILOT_MODEL: "claude-sonnet-4.5",
      },
    ],
  },
  opencode: {
    client: "opencode",
    prepare: async (machine) => {
      const home = join(machine.root, ".config/opencode");
      await mkdir(home, { recursive: true });
      const model = "anthropic/claude-sonnet-4-5";
      const options = { baseURL: `${machine.model.url}/v1`, apiKey: "none" };
      const anthropic = { options, models: { "claude-sonnet-4-5": { name: "stub" } } };
      const config = { autoupdate: false, model, small_model: model, provider: { anthropic } };
      await writeFile(join(home, "opencode.json"), JSON.stringify(config));
    },
    command: () => [["opencode", "run", QUESTION], {}],
  },
};

for (const [agent, { client, prepare, command }] of Object.entries(WITH_SETUP)) {
  test(`${agent} runs the hooks that setup wrote, and none after removal`, { skip }, async (t) => {
    const machine = await agentOn(t);
    await prepare?.(machine);
    const remove = await setUp(machine, client);
    const [words, variables] = command(machine);
    await check(machine, agent, await run(machine, words, variables));
    assert.match(await remove(), /the hooks removed/);
    machine.model.requests.length = 0;
    await run(machine, words, variables);
    assert.ok(machine.model.requests.length > 0, "the agent still works");
    assert.doesNotMatch(machine.model.requests.join("\n"), /memory-bank-data-/);
  });
}

test("opencode runs the plugin", { skip }, async (t) => {
  const machine = await agentOn(t);
  const home = join(machine.root, ".config/opencode");
  await mkdir(join(home, "plugins"), { recursive: true });
  await copyFile(join(ROOT, "integrations/opencode/memory-bank.js"), join(home, "plugins/memory-bank.js"));
  const model = "anthropic/claude-sonnet-4-5";
  const options = { baseURL: `${machine.model.url}/v1`, apiKey: "none" };
  const anthropic = { options, models: { "claude-sonnet-4-5": { name: "stub" } } };
  const config = { autoupdate: false, model, small_model: model, provider: { anthropic } };
  await writeFile(join(home, "opencode.json"), JSON.stringify(config));
  await check(machine, "opencode", await run(machine, ["opencode", "run", QUESTION]));
});
