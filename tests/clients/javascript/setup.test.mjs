// `setup`: writes into the files of agents and takes it away again. Each test has a home of its own.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, lstat, mkdir, readFile, readdir, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import test from "node:test";
import { promisify } from "node:util";
import { emptyFolder } from "./lib/project.mjs";
import { BINARY } from "./lib/server.mjs";

const KEY = `mbmcp_live_${"k".repeat(32)}`;
const OTHER_KEY = `mbmcp_live_${"q".repeat(32)}`;

/** A home with a project in it. */
async function newHome(t) {
  const home = await emptyFolder(t);
  const project = join(home, "shop");
  await mkdir(project);
  return { home, project };
}

/** Runs the command; its standard input is not a terminal. */
async function setup({ home, project }, args, { variables = {}, input = "" } = {}) {
  const running = promisify(execFile)(BINARY, ["setup", ...args], {
    cwd: project,
    env: { HOME: home, PATH: "/usr/bin:/bin", ...variables },
  });
  running.child.stdin.end(input);
  const { code = 0, stdout, stderr } = await running.catch((failure) => failure);
  return { code, stdout, stderr };
}

async function place(file, text, mode = 0o644) {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  await chmod(file, mode);
}

const read = (file) => readFile(file, "utf8");
const GLOBAL = ".config/Code/User/globalStorage";

/** The files of agents as people and programs write them. */
const FILES = {
  "claude-code": [".claude.json", '{\n  "numStartups": 7,\n  "mcpServers": {},\n  "projects": {"/a": {"x": [1,  2]}}\n}'],
  "claude-desktop": [
    ".config/Claude/claude_desktop_config.json",
    '{"mcpServers":{"files":{"command":"npx","args":["-y","files"],"env":{"TOKEN":"secret-of-files"}}}}',
  ],
  cursor: [".cursor/mcp.json", '{\r\n\t"mcpServers": {\r\n\t\t"a": { "url": "https://a/mcp" }\r\n\t}\r\n}\r\n'],
  cline: [`${GLOBAL}/saoudrizwan.claude-dev/settings/cline_mcp_settings.json`, '{\n  "mcpServers": {\n  }\n}\n'],
  roo: [`${GLOBAL}/rooveterinaryinc.roo-cline/settings/mcp_settings.json`, ""],
  windsurf: [".codeium/windsurf/mcp_config.json", '\uFEFF{ "mcpServers": { "a": {"command": "a"} } }'],
  codex: [
    ".codex/config.toml",
    '# my settings\nmodel = "m"   # kept\n\n[mcp_servers.other]\ncommand = "x"\nargs = [\n  "a", # one\n]\n\n[projects."/a"]\ntrust_level = "trusted"\n# the end',
  ],
  gemini: [".gemini/settings.json", '{\n    "security": {\n        "auth": {}\n    }\n}\n'],
  copilot: [".copilot/mcp-config.json", '{"mcpServers": {}}\n'],
  opencode: [".config/opencode/opencode.jsonc", '{\n  // models\n  "model": "m", /* mine */\n}\n'],
  zed: [".config/zed/settings.json", '// Zed settings\n//\n{\n  "theme": "One Dark",\n  // last\n}\n'],
};

/** A home with all of them. */
async function fullHome(t) {
  const place_ = await newHome(t);
  for (const [name, text] of Object.values(FILES)) {
    await place(join(place_.home, name), text);
  }
  return place_;
}

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

test("a foreign entry is replaced on request only, and the file is kept", async (t) => {
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
  assert.deepEqual(JSON.parse(await read(file)), { mcpServers: { b: {} } });
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
  const again = await setup(machine, ["--yes", "--client", "cursor"]);
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

test("a link stays a link, and its file gets the entry and keeps its mode", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, "dotfiles/cursor.json");
  await place(file, '{"a": 1}', 0o640);
  await mkdir(join(machine.home, ".cursor"));
  await symlink("../dotfiles/cursor.json", join(machine.home, ".cursor/mcp.json"));
  assert.equal((await setup(machine, ["--yes", "--client", "cursor"])).code, 0);
  assert.ok((await lstat(join(machine.home, ".cursor/mcp.json"))).isSymbolicLink());
  assert.equal(await readlink(join(machine.home, ".cursor/mcp.json")), "../dotfiles/cursor.json");
  assert.match(await read(file), /memory-bank/);
  assert.equal((await stat(file)).mode & 0o777, 0o640);
  await setup(machine, ["--remove", "--yes"]);
  assert.equal(await read(file), '{"a": 1}');
});

test("where a copy has taken a link's place, the entry is removed from both", async (t) => {
  for (const linked of ["mcp.json", ""]) {
    const machine = await newHome(t);
    const [file, own] = [join(machine.home, ".cursor/mcp.json"), join(machine.home, "dotfiles/cursor/mcp.json")];
    await place(own, '{"a": 1}');
    if (linked === "mcp.json") {
      await mkdir(join(machine.home, ".cursor"));
      await symlink("../dotfiles/cursor/mcp.json", file);
    } else {
      await symlink("dotfiles/cursor", join(machine.home, ".cursor"));
    }
    assert.equal((await setup(machine, ["--yes", "--client", "cursor"])).code, 0);
    // As editors leave it that save a file by replacing it, and programs that copy a folder of settings.
    const text = await read(file);
    await rm(join(machine.home, ".cursor", linked));
    await place(file, text.replace('"a": 1', '"b": 2'));
    const planned = await setup(machine, ["--remove", "--dry-run"]);
    assert.match(planned.stdout, /would be removed.*would be removed/s);
    assert.match(await read(file), /memory-bank/);
    const { code, stdout } = await setup(machine, ["--remove", "--yes"]);
    assert.equal(code, 0, stdout);
    assert.deepEqual(JSON.parse(await read(file)), { b: 2 });
    assert.equal(await read(own), '{"a": 1}');
    assert.match((await setup(machine, ["--remove", "--yes"])).stdout, /Nothing to remove/);
  }
});

test("an entry of the user in the place of a link is not taken away", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, ".cursor/mcp.json");
  await place(join(machine.home, "dotfiles/cursor.json"), "{}");
  await mkdir(join(machine.home, ".cursor"));
  await symlink("../dotfiles/cursor.json", file);
  await setup(machine, ["--yes", "--client", "cursor"]);
  await rm(file);
  const own = '{"mcpServers": {"memory-bank": {"command": "mine"}}}';
  await place(file, own);
  const { code, stdout } = await setup(machine, ["--remove", "--yes", "--replace"]);
  assert.equal(code, 0, stdout);
  assert.equal(await read(file), own);
  assert.equal(await read(join(machine.home, "dotfiles/cursor.json")), "{}");
});

test("a project's link that leads out of it is not followed", async (t) => {
  const machine = await newHome(t);
  await place(join(machine.home, "mine.json"), "{}");
  await symlink("../mine.json", join(machine.project, ".mcp.json"));
  const { code, stdout } = await setup(machine, ["--yes", "--client", "claude-code", "--scope", "project"]);
  assert.equal(code, 1);
  assert.match(stdout, /leads out of the project/);
  assert.equal(await read(join(machine.home, "mine.json")), "{}");
});

test("a link created after setup is not followed at removal", async (t) => {
  const machine = await newHome(t);
  const { home, project } = machine;
  await setup(machine, ["--yes", "--client", "claude-code", "--scope", "project"]);
  // A pull of the project brings a link to a file that `setup` did not write, but that has the same entry.
  const own = JSON.stringify({ ...JSON.parse(await read(join(project, ".mcp.json"))), oauth: "private" });
  await place(join(home, ".claude.json"), own);
  await rm(join(project, ".mcp.json"));
  await symlink("../.claude.json", join(project, ".mcp.json"));
  const { code, stdout } = await setup(machine, ["--remove", "--yes", "--replace"]);
  assert.equal(code, 1, stdout);
  assert.match(stdout, /link/);
  assert.equal(await read(join(home, ".claude.json")), own);
  assert.ok((await lstat(join(project, ".mcp.json"))).isSymbolicLink(), "nothing private is put into the project");
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

test("as JSON, each file has an outcome, and no key is shown", async (t) => {
  const machine = await newHome(t);
  const wanted = ["--json", "--yes", "--client", "cursor", "--client", "zed", "--url", "http://127.0.0.1:9/mcp", "--key-file", "-"];
  const { code, stdout, stderr } = await setup(machine, wanted, { input: `${KEY}\n` });
  assert.equal(code, 1, "nothing listens there");
  const reply = JSON.parse(stdout);
  assert.deepEqual(reply.files.map(({ client, outcome }) => [client, outcome]), [["cursor", "written"], ["zed", "written"]]);
  assert.equal(reply.check.status, "error");
  assert.doesNotMatch(stdout + stderr, /kkkk/);
});

test("an entry for one project goes into the user's file below the project, with its key, and comes out again", async (t) => {
  const machine = await newHome(t);
  const { home, project } = machine;
  const file = join(home, ".claude.json");
  const before = `{\n  "projects": {\n    "/other": { "mcpServers": {} }\n  }\n}\n`;
  await place(file, before);
  // Claude Code knows a folder by the root of its repository.
  await mkdir(join(project, ".git"));
  const inside = { home, project: join(project, "src") };
  await mkdir(inside.project);
  const keyFile = join(home, "key");
  await writeFile(keyFile, KEY);
  const args = ["--yes", "--scope", "local", "--url", "https://127.0.0.1:9/mcp", "--key-file", keyFile];
  const { stdout } = await setup(inside, args);
  assert.doesNotMatch(stdout, /kkkk/);
  const { projects, mcpServers } = JSON.parse(await read(file));
  assert.equal(mcpServers, undefined);
  assert.deepEqual(projects["/other"], { mcpServers: {} });
  assert.equal(projects[project].mcpServers["memory-bank"].headers["X-API-Key"], KEY);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.match((await setup(inside, args)).stdout, /is there already/);
  // Beside it, one of the same name for every project, which stays when the other goes.
  assert.equal((await setup(machine, ["--yes", "--client", "claude-code"])).code, 0);
  assert.ok(JSON.parse(await read(file)).mcpServers["memory-bank"].command);
  const elsewhere = join(home, "blog");
  await mkdir(elsewhere);
  assert.match((await setup({ home, project: elsewhere }, ["--remove", "--yes", "--scope", "local"])).stdout, /Nothing to remove/);
  assert.equal((await setup(machine, ["--remove", "--yes", "--scope", "local"])).code, 0);
  assert.deepEqual(JSON.parse(await read(file)).projects, { "/other": { mcpServers: {} } });
  assert.equal((await setup(machine, ["--remove", "--yes"])).code, 0);
  assert.equal(JSON.stringify(JSON.parse(await read(file))), JSON.stringify(JSON.parse(before)));

  const refused = await setup(machine, ["--yes", "--scope", "local", "--client", "cursor"]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /Cursor has no entries for one project in your own file.*--scope user/s);
});

test("two projects with two keys have two names and two variables", async (t) => {
  const machine = await newHome(t);
  const blog = join(machine.home, "blog");
  await mkdir(blog);
  for (const [project, name] of [[machine.project, "shop"], [blog, "blog"]]) {
    const wanted = ["--yes", "--scope", "project", "--name", name, "--url", "http://127.0.0.1:9/mcp"];
    for (const client of ["claude-code", "cursor", "codex", "gemini", "copilot", "opencode", "roo", "vscode"]) {
      wanted.push("--client", client);
    }
    await setup({ home: machine.home, project }, wanted, { variables: { [`MEMORY_BANK_API_KEY_${name.toUpperCase()}`]: KEY } });
    for (const file of [".mcp.json", ".cursor/mcp.json", ".codex/config.toml", ".gemini/settings.json", ".github/mcp.json", "opencode.json", ".roo/mcp.json"]) {
      const text = await read(join(project, file));
      assert.match(text, new RegExp(`MEMORY_BANK_API_KEY_${name.toUpperCase()}\\b`), file);
      assert.doesNotMatch(text, /kkkk/, `${file} is meant to be committed`);
    }
    assert.match(await read(join(project, ".vscode/mcp.json")), new RegExp(`input:memory-bank-api-key-${name}`));
  }
  assert.equal((await setup(machine, ["--remove", "--yes"])).code, 0);
  assert.deepEqual(await readdir(blog), []);
  assert.deepEqual(await readdir(machine.project), []);
});

test("a user's file holds two keys under two names, closed to others", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, ".cursor/mcp.json");
  await place(file, "{}\n");
  for (const [name, key] of [["shop", KEY], ["blog", OTHER_KEY]]) {
    const keyFile = join(machine.home, `${name}.key`);
    await writeFile(keyFile, key);
    await setup(machine, ["--yes", "--client", "cursor", "--name", name, "--url", "https://127.0.0.1:9/mcp", "--key-file", keyFile]);
  }
  const { mcpServers } = JSON.parse(await read(file));
  assert.equal(mcpServers.shop.headers["X-API-Key"], KEY);
  assert.equal(mcpServers.blog.headers["X-API-Key"], OTHER_KEY);
  assert.equal(mcpServers.blog.url, "https://127.0.0.1:9/mcp?tools=core");
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  await setup(machine, ["--remove", "--yes", "--name", "shop"]);
  assert.deepEqual(Object.keys(JSON.parse(await read(file)).mcpServers), ["blog"]);
  await setup(machine, ["--remove", "--yes"]);
  assert.equal(await read(file), "{}\n");
});

test("a key is needed where the client reads it from its file alone", async (t) => {
  const machine = await newHome(t);
  const { code, stdout } = await setup(machine, ["--yes", "--client", "zed", "--url", "https://127.0.0.1:9/mcp"]);
  assert.equal(code, 1);
  assert.match(stdout, /reads the key only from its file.*--key-file/);
});

test("client-config keeps -u and -m, knows every client, and names a variable for each name", async (t) => {
  const machine = await newHome(t);
  const config = async (args) => {
    const { stdout } = await promisify(execFile)(BINARY, ["client-config", ...args], {
      cwd: machine.project,
      env: { HOME: machine.home, PATH: "/usr/bin:/bin" },
    });
    return stdout;
  };
  const clients = [...Object.keys(FILES), "vscode", "inspector"];
  for (const client of clients) {
    assert.match(await config(["--client", client, "-u", "Jo", "-m", "ask"]), /"--mode",\s*"ask",\s*"--username",\s*"Jo"/, client);
  }
  assert.match(await config(["--client", "claude-code", "--http", "https://h/mcp", "--name", "shop"]), /\$\{MEMORY_BANK_API_KEY_SHOP\}/);
  assert.match(await config(["--client", "claude-code", "--http", "https://h/mcp"]), /\$\{MEMORY_BANK_API_KEY\}/);
  assert.match(await config(["--client", "codex"]), /^\[mcp_servers\.memory-bank\]\ncommand = "/);
});

test("in the home folder only agents that need no project are set up", async (t) => {
  const { home } = await newHome(t);
  await mkdir(join(home, ".cursor"));
  await mkdir(join(home, ".codeium/windsurf"), { recursive: true });
  await mkdir(join(home, ".config/Code/User"), { recursive: true });
  const { code, stdout } = await setup({ home, project: home }, ["--yes"]);
  assert.equal(code, 0, stdout);
  assert.match(await read(join(home, ".cursor/mcp.json")), /memory-bank/);
  assert.deepEqual(await readdir(join(home, ".codeium/windsurf")), []);
  assert.ok(!(await readdir(home)).includes(".vscode"));
  assert.match(stdout, /mcp_config\.json: nothing was changed: it must name a project/);
  const wanted = await setup({ home, project: home }, ["--yes", "--client", "windsurf"]);
  assert.equal(wanted.code, 1);
  const named = await setup({ home, project: home }, ["--yes", "--client", "windsurf", "--path", "shop"]);
  assert.equal(named.code, 0, named.stdout);
  assert.match(named.stdout, /memory of .*shop only/);
});
