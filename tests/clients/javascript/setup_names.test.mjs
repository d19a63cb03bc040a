// `setup` with several names, with a name that moves to another memory, and over entries of others: nothing of theirs is lost.

import assert from "node:assert/strict";
import { copyFile, mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import test from "node:test";
import { BINARY } from "./lib/server.mjs";
import { newHome, place, read, setup } from "./lib/setup.mjs";

const clients = (...names) => names.flatMap((name) => ["--client", name]);
const ADDRESS = "http://127.0.0.1:9/mcp";
const COPIES = ".local/state/memory-bank-mcp/replaced";
/** The files with the hooks of a project. */
const LISTED = { "claude-code": ".claude/settings.json", codex: ".codex/hooks.json", gemini: ".gemini/settings.json", cursor: ".cursor/hooks.json" };
/** The folders with files of hooks alone, and the file of a name in them. */
const OWN = { copilot: (name) => `.github/hooks/${name}.json`, opencode: (name) => `.opencode/plugins/${name}.js` };

test("two names have hooks of their own in one file, and the removal of one leaves the other", async (t) => {
  for (const first of ["shop", "blog"]) {
    const machine = await newHome(t);
    const { project } = machine;
    const theirs = '{"hooks":{"PreToolUse":[{"hooks":[{"type":"command","command":"check"}]}]}}\n';
    await place(join(project, LISTED.codex), theirs);
    const add = async (name) => {
      const server = ["--url", ADDRESS, "--name", name];
      const done = await setup(machine, ["--yes", "--scope", "project", ...clients(...Object.keys(LISTED), ...Object.keys(OWN)), ...server]);
      assert.doesNotMatch(done.stdout, /did not write|nothing was changed/, done.stdout);
    };
    await add("shop");
    await add("blog");
    const variable = (name) => new RegExp(`--key-variable MEMORY_BANK_API_KEY_${name.toUpperCase()}\\b`, "g");
    for (const file of Object.values(LISTED)) {
      const text = await read(join(project, file));
      const [shop, blog] = ["shop", "blog"].map((name) => text.match(variable(name))?.length);
      assert.ok(shop >= 5 && shop === blog, `${file}: ${shop} and ${blog}`);
    }
    for (const file of Object.values(OWN)) {
      for (const name of ["shop", "blog"]) {
        assert.match(await read(join(project, file(`memory-bank-${name}`))), new RegExp(`MEMORY_BANK_API_KEY_${name.toUpperCase()}\\b`));
      }
    }
    const second = first === "shop" ? "blog" : "shop";
    const removed = await setup(machine, ["--remove", "--yes", "--name", first]);
    assert.equal(removed.code, 0, removed.stdout);
    for (const file of Object.values(LISTED)) {
      const text = await read(join(project, file));
      assert.doesNotMatch(text, variable(first), file);
      assert.match(text, variable(second), file);
    }
    assert.match(await read(join(project, LISTED.codex)), /"check"/);
    assert.match(await read(join(project, OWN.copilot(`memory-bank-${second}`))), variable(second));
    await assert.rejects(stat(join(project, OWN.copilot(`memory-bank-${first}`))));
    assert.equal((await setup(machine, ["--remove", "--yes", "--name", second])).code, 0);
    assert.deepEqual(JSON.parse(await read(join(project, LISTED.codex))), JSON.parse(theirs));
    assert.deepEqual(await readdir(project), [".codex"], "all else is gone");
  }
});

test("two names with the same hooks share them, until the last of the two is removed", async (t) => {
  for (const first of ["one", "two"]) {
    const machine = await newHome(t);
    const file = join(machine.home, ".codex/hooks.json");
    const before = '{ "hooks": {} }\n';
    await place(file, before);
    const add = (name) => setup(machine, ["--yes", ...clients("codex"), "--name", name]);
    await add("one");
    const text = await read(file);
    const second = await add("two");
    assert.equal(second.code, 0, second.stdout);
    assert.match(second.stdout, /the hooks are there already, those of `one`/);
    assert.equal(await read(file), text);
    assert.match((await add("two")).stdout, /the hooks are there already$/m);
    const removed = await setup(machine, ["--remove", "--yes", "--name", first]);
    assert.equal(removed.code, 0, removed.stdout);
    assert.match(removed.stdout, new RegExp(`the hooks stay, since \`${first === "one" ? "two" : "one"}\` has the same`));
    assert.equal(await read(file), text);
    assert.equal((await setup(machine, ["--remove", "--yes"])).code, 0);
    assert.equal(await read(file), before);
  }
});

test("other options of one of two names that share hooks leave those of the other", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, ".codex/hooks.json");
  const add = (name, ...words) => setup(machine, ["--yes", ...clients("codex"), "--name", name, ...words]);
  await add("one");
  await add("two");
  await add("one", "--folder", "notes");
  const commands = () => read(file).then((text) => JSON.parse(text).hooks.Stop.map(({ hooks }) => hooks[0].command.replace(/^.* hook /, "hook ")));
  assert.deepEqual(await commands(), ["hook Stop --agent codex", "hook Stop --agent codex --folder notes"]);
  assert.equal((await setup(machine, ["--remove", "--yes", "--name", "two"])).code, 0);
  assert.deepEqual(await commands(), ["hook Stop --agent codex --folder notes"]);
  assert.equal((await setup(machine, ["--remove", "--yes"])).code, 0);
  await assert.rejects(stat(file));
});

test("a name that moves from a folder to a server loses the hooks of the folder", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, ".claude/settings.json");
  const before = '{ "model": "opus" }';
  await place(file, before);
  await setup(machine, ["--yes", ...clients("claude-code", "copilot")]);
  assert.match(await read(file), /hook Stop/);
  const server = [...clients("claude-code", "copilot"), "--url", ADDRESS];
  const shown = await setup(machine, ["--dry-run", ...server]);
  assert.match(shown.stdout, /the hooks would be removed; no hooks are added: in a file for all folders/);
  assert.match(await read(file), /hook Stop/);
  // The hooks of another name stay.
  await setup(machine, ["--yes", ...clients("claude-code"), "--folder", "notes", "--name", "notes"]);
  const moved = await setup(machine, ["--yes", ...server]);
  assert.match(moved.stdout, /the hooks removed; no hooks are added: in a file for all folders/);
  assert.match(await read(file), /hook Stop --agent claude-code --folder notes/);
  assert.doesNotMatch(await read(file), /hook Stop --agent claude-code"/);
  await assert.rejects(stat(join(machine.home, ".copilot/hooks/memory-bank.json")));
  assert.equal((await setup(machine, ["--remove", "--yes"])).code, 0);
  assert.deepEqual(JSON.parse(await read(file)), JSON.parse(before));
});

test("a name that moves from a folder to a server in the file of a project has the server's hooks alone", async (t) => {
  const machine = await newHome(t);
  const options = ["--yes", "--scope", "project", ...clients("claude-code", "opencode")];
  await setup(machine, options);
  await setup(machine, [...options, "--url", ADDRESS]);
  const { hooks } = JSON.parse(await read(join(machine.project, ".claude/settings.json")));
  for (const [event, list] of Object.entries(hooks)) {
    assert.equal(list.length, 1, event);
    assert.match(list[0].hooks[0].command, /--url http/, event);
  }
  assert.deepEqual(await readdir(join(machine.project, ".opencode/plugins")), ["memory-bank.js"]);
  assert.match(await read(join(machine.project, ".opencode/plugins/memory-bank.js")), /--url/);
  // Hooks for all folders are of another memory: an agent runs both.
  await setup(machine, ["--yes", ...clients("claude-code")]);
  const again = await setup(machine, ["--dry-run", "--read-only", "--scope", "project", ...clients("claude-code"), "--url", ADDRESS]);
  assert.match(again.stdout, /settings\.json` has hooks of another memory.*`memory-bank-mcp setup --remove --client claude-code --scope user`/);
});

test("an entry that was replaced is there again after --remove, to the byte or in a file that was changed since", async (t) => {
  const theirs = { command: "npx", args: ["-y", "other-memory"], env: { TOKEN: "sk-theirs" } };
  const json = `{"mcpServers": {"memory-bank": ${JSON.stringify(theirs)}, "b": {}}}`;
  const toml = '[mcp_servers.memory-bank] # mine\ncommand = "npx"\nargs = ["-y", "other-memory"]\n\n[mcp_servers.memory-bank.env]\nTOKEN = "sk-theirs"\n';
  for (const [client, name, before] of [["cursor", ".cursor/mcp.json", json], ["codex", ".codex/config.toml", toml]]) {
    for (const later of ["untouched", "updated", "changed", "updated and changed"]) {
      const machine = await newHome(t);
      const file = join(machine.home, name);
      await place(file, before);
      const shown = await setup(machine, ["--dry-run", ...clients(client), "--replace"]);
      assert.match(shown.stdout, /starts `npx -y other-memory`.*`setup --remove` would give it back/);
      const replaced = await setup(machine, ["--yes", ...clients(client), "--replace", "--json"]);
      assert.equal(replaced.code, 0, replaced.stderr);
      const [copy] = await readdir(join(machine.home, COPIES));
      assert.match(JSON.parse(replaced.stdout).files[0].notes.join("\n"), new RegExp(`saved as .*${copy}.*--remove.* gives`));
      assert.doesNotMatch(replaced.stdout, /sk-theirs/);
      if (later.includes("updated")) {
        assert.equal((await setup(machine, ["--yes", ...clients(client), "--tools", "all"])).code, 0);
      }
      if (later.includes("changed")) {
        const text = await read(file);
        await writeFile(file, client === "cursor" ? text.replace('"b": {}', '"b": {"url": "https://b/mcp"}') : `${text}\n[new]\na = 1\n`);
      }
      const removed = await setup(machine, ["--remove", "--yes"]);
      assert.equal(removed.code, 0, removed.stderr + removed.stdout);
      assert.match(removed.stdout, /`memory-bank` removed; the entry that it replaced is there again/);
      assert.doesNotMatch(removed.stdout, /sk-theirs/);
      const after = await read(file);
      if (!later.includes("changed")) {
        assert.equal(after, before, `${client} ${later}`);
      } else if (client === "cursor") {
        assert.deepEqual(JSON.parse(after), { mcpServers: { "memory-bank": theirs, b: { url: "https://b/mcp" } } });
      } else {
        assert.match(after, /\[mcp_servers\.memory-bank\][^[]*args = \["-y", "other-memory"\]/);
        assert.match(after, /TOKEN = "sk-theirs"/);
        assert.match(after, /\[new\]\na = 1\n/);
      }
      assert.deepEqual(await readdir(join(machine.home, COPIES)), [], "a copy that may have keys is not kept without need");
    }
  }
});

test("the removal of an entry whose copy is gone names the copy, and removes ours", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, ".cursor/mcp.json");
  await place(file, '{"mcpServers": {"memory-bank": {"command": "theirs"}}}');
  await setup(machine, ["--yes", ...clients("cursor"), "--replace"]);
  await rm(join(machine.home, COPIES), { recursive: true });
  const { code, stdout } = await setup(machine, ["--remove", "--yes"]);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /`memory-bank` removed; the entry that it replaced cannot be given back, since its copy `.*mcp\.json` is gone/);
  assert.deepEqual(JSON.parse(await read(file)), { mcpServers: {} });
});

test("hooks and files of hooks that were replaced are there again after --remove", async (t) => {
  const machine = await newHome(t);
  const plugin = join(machine.home, ".config/opencode/plugins/memory-bank.js");
  const mine = "export const Mine = async () => ({});\n";
  await place(plugin, mine);
  const file = join(machine.home, ".codex/hooks.json");
  const byHand = { hooks: { Stop: [{ hooks: [{ type: "command", command: "memory-bank-mcp hook Stop --agent codex --no-records" }, { type: "command", command: "beep" }] }] } };
  await place(file, JSON.stringify(byHand));
  const done = await setup(machine, ["--yes", "--replace", ...clients("codex", "opencode")]);
  assert.equal(done.code, 0, done.stdout);
  assert.doesNotMatch(await read(file), /--no-records/);
  // Another program adds its own.
  const contents = JSON.parse(await read(file));
  contents.hooks.Notification = [{ hooks: [{ type: "command", command: "ring" }] }];
  await writeFile(file, JSON.stringify(contents));
  const removed = await setup(machine, ["--remove", "--yes"]);
  assert.equal(removed.code, 0, removed.stdout);
  assert.equal(await read(plugin), mine);
  const commands = JSON.parse(await read(file)).hooks;
  assert.deepEqual(commands.Notification, contents.hooks.Notification);
  assert.deepEqual(commands.Stop.flatMap(({ hooks }) => hooks.map(({ command }) => command)).sort(), ["beep", byHand.hooks.Stop[0].hooks[0].command]);
});

test("an entry that moves to another project shows both paths", async (t) => {
  const machine = await newHome(t);
  const blog = join(machine.home, "blog");
  await mkdir(blog);
  const file = join(machine.home, ".config/Claude/claude_desktop_config.json");
  const theirs = { mcpServers: { files: { command: "npx", args: ["sk-theirs"] } } };
  for (const text of [JSON.stringify(theirs), `${JSON.stringify(theirs, null, 2)}\n`]) {
    await place(file, text);
    await setup(machine, ["--yes", ...clients("claude-desktop")]);
    const moved = await setup({ home: machine.home, project: blog }, ["--dry-run", ...clients("claude-desktop")]);
    assert.ok(moved.stdout.includes(`The entry moves from the memory of \`${machine.project}\` to that of \`${blog}\`.`), moved.stdout);
    if (text.includes("\n")) {
      assert.match(moved.stdout, new RegExp(`^-.*"${machine.project}"`, "m"));
      assert.match(moved.stdout, new RegExp(`^\\+.*"${blog}"`, "m"));
    }
    assert.doesNotMatch(moved.stdout, /sk-theirs/);
    await setup(machine, ["--remove", "--yes"]);
  }
  await setup(machine, ["--yes", ...clients("codex"), "--folder", "notes"]);
  const hooks = await setup(machine, ["--dry-run", ...clients("codex"), "--folder", "other"]);
  assert.match(hooks.stdout, /^-.*hook Stop --agent codex --folder notes/m);
});

test("what a file for everybody gets of this machine and user is named before it is written", async (t) => {
  const machine = await newHome(t);
  const shared = ["--scope", "project", ...clients("claude-code", "vscode"), "-u", "Jo Doe", "--state-dir", join(machine.home, "state")];
  const { stdout } = await setup(machine, ["--dry-run", ...shared]);
  for (const name of [".mcp.json", ".vscode/mcp.json", ".claude/settings.json"]) {
    const part = stdout.slice(stdout.indexOf(`${machine.project}/${name})`));
    const notice = part.slice(0, part.indexOf("would be added"));
    assert.match(notice, /meant to be committed, and everybody who uses it gets from it: /, name);
    assert.match(notice, /the path `\/.*memory-bank-mcp`.*on `PATH`/, name);
    assert.match(notice, /the user name `Jo Doe`/, name);
    assert.match(notice, new RegExp(`the folder \`${machine.home}/state\``), name);
  }
  assert.match(stdout, /\$\{workspaceFolder\}/);
  assert.ok(!new RegExp(`"--path",\\s*"${machine.project}"`).test(stdout), "the project is not named by its path");
  const asJson = JSON.parse((await setup(machine, ["--dry-run", "--json", ...shared])).stdout);
  assert.match(asJson.files[0].notes.join("\n"), /the user name `Jo Doe`/);
  const mine = await setup(machine, ["--dry-run", ...clients("claude-code", "codex"), "-u", "Jo Doe"]);
  assert.doesNotMatch(mine.stdout, /meant to be committed/);
});

test("in the root folder nothing is set up that must name a project, and the message names a way", async (t) => {
  const { home } = await newHome(t);
  for (const client of ["windsurf", "claude-desktop"]) {
    const { code, stdout } = await setup({ home, project: "/" }, ["--dry-run", ...clients(client)]);
    assert.equal(code, 1);
    assert.match(stdout, /nothing was changed: it must name a project, and this is the root folder; run `setup` in the project, or name.*`--path`/);
  }
  for (const client of ["claude-code", "vscode"]) {
    const { code, stdout } = await setup({ home, project: "/" }, ["--dry-run", "--scope", "project", ...clients(client)]);
    assert.equal(code, 1);
    assert.match(stdout, /this is the root folder/, client);
    const named = await setup({ home, project: "/" }, ["--dry-run", "--scope", "project", ...clients(client), "--path", home]);
    assert.equal(named.code, 0, named.stdout);
  }
  const all = await setup({ home, project: "/" }, ["--dry-run", ...clients("claude-code")]);
  assert.equal(all.code, 0, "a file for all folders names none");
});

test("no path in the cache of a package runner is written, and no hooks are added from there", async (t) => {
  const machine = await newHome(t);
  const at = (folder) => join(machine.home, folder, "bin/memory-bank-mcp");
  let program = at("here");
  await mkdir(dirname(program), { recursive: true });
  await copyFile(BINARY, program);
  for (const [folder, words, install] of [
    [".npm/_npx/1a/node_modules/@diazstg/x", ["npx", "-y", "@diazstg/memory-bank-mcp"], "npm install --global"],
    [".cache/pnpm/dlx/6f4c6803/mwzmarpo-2nn/node_modules/.pnpm/x@2/node_modules/x", ["pnpm", "dlx", "@diazstg/memory-bank-mcp"], "npm install --global"],
    [".bun/install/cache/.bunx-0/@diazstg/x@latest/node_modules/x", ["bunx", "@diazstg/memory-bank-mcp"], "npm install --global"],
    [".cache/pipx/c539b568024c72c", undefined, "pipx install"],
    [".cache/uv/archive-v0/ab", undefined, "uv tool install"],
  ]) {
    await mkdir(dirname(at(folder)), { recursive: true });
    await rename(program, at(folder));
    program = at(folder);
    const { code, stdout } = await setup(machine, ["--yes", ...clients("claude-code")], { program });
    const file = join(machine.home, ".claude.json");
    if (words === undefined) {
      assert.equal(code, 1, folder);
      assert.match(stdout, new RegExp(`nothing was changed: this program runs from the cache of .*\`${install}`));
      await assert.rejects(stat(file), folder);
    } else {
      assert.equal(code, 0, stdout);
      assert.match(stdout, new RegExp(`no hooks are added: this program runs from the cache of .*\`${install} `));
      const { command, args } = JSON.parse(await read(file)).mcpServers["memory-bank"];
      assert.deepEqual([command, ...args.slice(0, words.length - 1)], words);
      assert.equal((await setup(machine, ["--remove", "--yes"], { program })).code, 0);
    }
    await assert.rejects(stat(join(machine.home, ".claude/settings.json")), folder);
  }
});
