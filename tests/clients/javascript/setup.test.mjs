// `setup`: writes into the files of agents and takes it away again. Each test has a home of its own.

import assert from "node:assert/strict";
import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { FILES, fullHome, newHome, place, read, setup } from "./lib/setup.mjs";

test("every agent that is found is set up, a second time changes nothing, and removal restores each byte", async (t) => {
  const machine = await fullHome(t);
  const { code, stdout, stderr } = await setup(machine, ["--yes"]);
  assert.equal(code, 0, stderr + stdout);
  assert.doesNotMatch(stdout, /secret-of-files/, "texts of other servers are not shown");
  const written = {};
  for (const [client, [name]] of Object.entries(FILES)) {
    written[client] = await read(join(machine.home, name));
    assert.match(written[client], /memory-bank-mcp/, client);
    assert.match(written[client], /"--tools",\s*"core"/, client);
  }
  // Its own file cannot name the open folder.
  assert.match(await read(join(machine.project, ".vscode/mcp.json")), /\$\{workspaceFolder\}/);

  const again = await setup(machine, ["--yes"]);
  assert.equal(again.code, 0, again.stderr);
  for (const [client, [name]] of Object.entries(FILES)) {
    assert.equal(await read(join(machine.home, name)), written[client], client);
  }

  const removed = await setup(machine, ["--remove", "--yes"]);
  assert.equal(removed.code, 0, removed.stderr + removed.stdout);
  for (const [client, [name, before]] of Object.entries(FILES)) {
    assert.equal(await read(join(machine.home, name)), before, client);
    assert.equal((await stat(join(machine.home, name))).mode & 0o777, 0o644, client);
  }
  assert.deepEqual(await readdir(machine.project), [], "folders that were made are gone");
});

test("created files are closed to others and removed with the entry", async (t) => {
  const machine = await newHome(t);
  const clients = ["claude-code", "codex", "opencode", "zed", "roo"].flatMap((client) => ["--client", client]);
  assert.equal((await setup(machine, ["--yes", ...clients])).code, 0);
  assert.equal((await stat(join(machine.home, ".claude.json"))).mode & 0o777, 0o600);
  assert.equal((await setup(machine, ["--remove", "--yes"])).code, 0);
  assert.deepEqual((await readdir(machine.home)).sort(), [".local", "shop"]);
});

test("an entry is recognised in a file that its client has rewritten, and only it is removed", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, ".claude.json");
  await place(file, '{"a": 1}');
  await setup(machine, ["--yes", "--client", "claude-code"]);
  const contents = JSON.parse(await read(file));
  contents.mcpServers["memory-bank"].env = {};
  contents.mcpServers["memory-bank"].alwaysAllow = ["search_memory_bank"];
  contents.mcpServers.other = { command: "x" };
  await writeFile(file, JSON.stringify(contents, null, 2));
  const again = await setup(machine, ["--yes", "--client", "claude-code"]);
  assert.match(again.stdout, /is there already/);
  const { code, stdout } = await setup(machine, ["--remove", "--yes"]);
  assert.equal(code, 0, stdout);
  assert.deepEqual(JSON.parse(await read(file)), { a: 1, mcpServers: { other: { command: "x" } } });
});

test("other options update an entry and keep the settings that were added to it", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, ".cursor/mcp.json");
  await place(file, '{\n  "mcpServers": {\n    "a": {}\n  }\n}\n');
  await setup(machine, ["--yes", "--client", "cursor"]);
  await writeFile(file, (await read(file)).replace('"core"]', '"core"],\n      "disabled": true'));
  const { code, stderr } = await setup(machine, ["--yes", "--client", "cursor", "-u", "Jo", "-m", "architect", "--tools", "all"]);
  assert.equal(code, 0, stderr);
  const entry = JSON.parse(await read(file)).mcpServers["memory-bank"];
  assert.deepEqual(entry.args.slice(2), ["--mode", "architect", "--username", "Jo", "--tools", "all"]);
  assert.equal(entry.disabled, true);
});

test("comments in an entry stay when other options update it", async (t) => {
  const machine = await newHome(t);
  for (const [client, name, before, comment] of [
    ["cursor", ".cursor/mcp.json", "{\n  \"mcpServers\": {}\n}\n", "// mine"],
    ["codex", ".codex/config.toml", "a = 1\n", "# mine"],
  ]) {
    const file = join(machine.home, name);
    await place(file, before);
    await setup(machine, ["--yes", "--client", client]);
    const written = await read(file);
    const commented = written.replace(/^(\s*)("command": |command = )(.*)$/m, `$1${comment}\n$1$2$3 ${comment} too`);
    await writeFile(file, commented);
    assert.equal((await setup(machine, ["--yes", "--client", client, "--tools", "all"])).code, 0);
    assert.equal(await read(file), commented.replace('"core"', '"all"'), client);
  }
});

test("an update of an untouched file is still undone to the byte", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, ".gemini/settings.json");
  const before = '{ "a": 1, "mcpServers": {} }';
  await place(file, before);
  await setup(machine, ["--yes", "--client", "gemini-cli"]);
  assert.equal((await setup(machine, ["--yes", "--client", "gemini", "--read-only"])).code, 0);
  assert.deepEqual(JSON.parse(await read(file)).mcpServers["memory-bank"].args, ["--tools", "core", "--read-only"]);
  await setup(machine, ["--remove", "--yes"]);
  assert.equal(await read(file), before);
});

test("a foreign entry is replaced on request only, and given back", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, ".cursor/mcp.json");
  const before = '{"mcpServers": {"memory-bank": {"command": "npx", "args": ["-y", "@diazstg/memory-bank-mcp"]}, "b": {}}}';
  await place(file, before);
  const refused = await setup(machine, ["--yes", "--client", "cursor"]);
  assert.equal(refused.code, 1);
  assert.match(refused.stdout, /npx -y @diazstg\/memory-bank-mcp.*--replace/);
  assert.equal(await read(file), before);
  const { code, stderr } = await setup(machine, ["--yes", "--client", "cursor", "--replace"]);
  assert.equal(code, 0, stderr);
  assert.equal(JSON.parse(await read(file)).mcpServers["memory-bank"].args[0], "--path");
  const kept = join(machine.home, ".local/state/memory-bank-mcp/replaced");
  const [copy] = await readdir(kept);
  assert.equal(await read(join(kept, copy)), before);
  await setup(machine, ["--remove", "--yes"]);
  assert.equal(await read(file), before);
});

test("an entry that was changed since is not changed without --replace", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, ".cursor/mcp.json");
  await setup(machine, ["--yes", "--client", "cursor"]);
  await writeFile(file, '{"mcpServers": {"memory-bank": {"command": "mine"}}}');
  const { code, stdout } = await setup(machine, ["--remove", "--yes"]);
  assert.equal(code, 1);
  assert.match(stdout, /was changed since and starts `mine`/);
  assert.equal((await setup(machine, ["--remove", "--yes", "--replace"])).code, 0);
});

test("parts that setup did not write stay at removal", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, ".cursor/mcp.json");
  await setup(machine, ["--yes", "--client", "cursor"]);
  const text = await read(file);
  await setup(machine, ["--remove", "--yes"]);
  await place(file, text);
  const again = await setup(machine, ["--yes", "--client", "cursor", "--no-hooks"]);
  assert.match(again.stdout, /did not write it/);
  const { code, stdout } = await setup(machine, ["--remove", "--yes"]);
  assert.equal(code, 0);
  assert.match(stdout, /Nothing to remove/);
  assert.equal(await read(file), text);
});

test("a malformed file is not changed, and the others are written", async (t) => {
  const machine = await newHome(t);
  const broken = join(machine.home, ".gemini/settings.json");
  await place(broken, '{ "mcpServers": ');
  await place(join(machine.home, ".codex/config.toml"), "a = ");
  await mkdir(join(machine.home, ".cursor"));
  const { code, stdout } = await setup(machine, ["--yes"]);
  assert.equal(code, 1);
  assert.match(stdout, /settings\.json: nothing was changed: it is not valid JSON.*fix it first/);
  assert.match(stdout, /config\.toml: nothing was changed: it is not valid TOML/);
  assert.equal(await read(broken), '{ "mcpServers": ');
  assert.match(await read(join(machine.home, ".cursor/mcp.json")), /memory-bank/);
});

test("a read-only file is not changed", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, ".cursor/mcp.json");
  await place(file, "{}", 0o444);
  const { code, stdout } = await setup(machine, ["--yes", "--client", "cursor"]);
  assert.equal(code, 1);
  assert.match(stdout, /is read-only/);
  assert.equal(await read(file), "{}");
});

test("the member that contains servers is removed with the last entry, even if projects in the file have one, too", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, ".claude.json");
  const before = { projects: { "/a": { mcpServers: {} } } };
  await place(file, JSON.stringify(before, null, 2));
  await setup(machine, ["--yes", "--client", "claude-code"]);
  await place(file, JSON.stringify({ ...JSON.parse(await read(file)), numStartups: 8 }, null, 2));
  assert.equal((await setup(machine, ["--remove", "--yes"])).code, 0);
  assert.deepEqual(JSON.parse(await read(file)), { ...before, numStartups: 8 });
});

test("neither texts of others nor characters that move the cursor are printed", async (t) => {
  const machine = await newHome(t);
  const { home, project } = machine;
  await place(join(home, ".codex/config.toml"), '[env]\nTOKEN = """\nsk-lines\n"""\nPIN = 4711\n# sk-comment\n');
  const other = {
    command: "node\u001b[2J",
    args: ["--api-key", "sk-argument", "--header=Authorization: Bearer sk-header", "TOKEN=sk-variable"],
  };
  await place(join(home, ".cursor/mcp.json"), `{ // sk-comment\n"mcpServers": {"memory-bank": ${JSON.stringify(other)}}}`);
  await place(
    join(project, ".mcp.json"),
    '{ // \u001b[2J sk-comment\n"mcpServers": {"memory-bank": {"url": "https://me:sk-pass@h/mcp?key=sk-query"}}}',
  );
  await place(join(home, ".config/opencode/opencode.json"), '{"mcp": {}, "key": "sk-open\n}');
  await place(join(project, ".codex/config.toml"), 'TOKEN = "sk-open\n');
  const user = ["codex", "cursor", "opencode"].flatMap((client) => ["--client", client]);
  const shared = ["--scope", "project", "--client", "claude-code", "--client", "codex"];
  for (const clients of [user, shared]) {
    for (const how of [["--dry-run"], ["--dry-run", "--json"], ["--yes"], ["--yes", "--json"], ["--remove", "--yes"]]) {
      const { stdout, stderr } = await setup(machine, [...how, ...(how[0] === "--remove" ? [] : clients)]);
      assert.doesNotMatch(stdout + stderr, /sk-|4711/, how.join(" "));
      assert.doesNotMatch(stdout + stderr, /\u001b/, how.join(" "));
    }
  }
});

test("variables that a project brings for an entry like ours are named", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.project, ".mcp.json");
  const args = ["--yes", "--client", "claude-code", "--scope", "project"];
  await setup(machine, args);
  const config = JSON.parse(await read(file));
  Object.assign(config.mcpServers["memory-bank"], { env: { LD_PRELOAD: "./sk-evil.so" }, cwd: "/sk" });
  await place(file, JSON.stringify(config));
  const { stdout } = await setup(machine, args);
  assert.match(stdout, /is there already, with `env` \(`LD_PRELOAD`\), `cwd`/);
  assert.doesNotMatch(stdout, /sk/);
});

test("without a terminal and an answer nothing is changed", async (t) => {
  const machine = await fullHome(t);
  const { code, stderr } = await setup(machine, []);
  assert.equal(code, 2);
  assert.match(stderr, /not a terminal.*--dry-run.*--yes/s);
  const dry = await setup(machine, ["--dry-run"]);
  assert.equal(dry.code, 0);
  assert.match(dry.stdout, /would be added/);
  for (const [client, [name, before]] of Object.entries(FILES)) {
    assert.equal(await read(join(machine.home, name)), before, client);
  }
  assert.ok(!(await readdir(machine.home)).includes(".local"), "no state is made either");
});

test("without agents the message names the places where they were looked for", async (t) => {
  const machine = await newHome(t);
  const moved = join(machine.home, "elsewhere");
  const { code, stderr } = await setup(machine, ["--yes"], { variables: { CODEX_HOME: moved } });
  assert.equal(code, 1);
  assert.match(stderr, /no agent was found.*--client/);
  for (const line of [
    `Claude Code: \`${machine.home}/.claude.json\`, \`${machine.home}/.claude\`, the program \`claude\` in \`PATH\``,
    `Codex: \`${moved}\`, the program \`codex\` in \`PATH\``,
    `Zed: \`${machine.home}/.config/zed\`, the program \`zed\` in \`PATH\`, the program \`zeditor\` in \`PATH\``,
  ]) {
    assert.ok(stderr.includes(`\n  ${line}\n`), `${line} is not in ${stderr}`);
  }
});
