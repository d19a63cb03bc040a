// `setup` and the hooks of agents: they are shown, written beside what others have in the file, updated, and removed again. Each
// test has a home of its own. `hooks_agents.test.mjs` runs the real agents.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { chmod, copyFile, mkdir, readFile, readdir, stat, symlink, unlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import test from "node:test";
import { promisify } from "node:util";
import { emptyFolder } from "./lib/project.mjs";
import { BINARY } from "./lib/server.mjs";

async function newHome(t) {
  const home = await emptyFolder(t);
  const project = join(home, "shop");
  await mkdir(project);
  return { home, project };
}

async function setup({ home, project }, args, { variables = {}, input = "", program = BINARY } = {}) {
  const running = promisify(execFile)(program, ["setup", ...args], {
    cwd: project,
    env: { HOME: home, PATH: "/usr/bin:/bin", ...variables },
  });
  running.child.stdin.end(input);
  const { code = 0, stdout, stderr } = await running.catch((failure) => failure);
  return { code, stdout, stderr };
}

async function place(file, text) {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}

const read = (file) => readFile(file, "utf8");
const clients = (...names) => names.flatMap((name) => ["--client", name]);

/** The files with hooks, with the content that people and programs have in them. */
const FILES = {
  "claude-code": [
    ".claude/settings.json",
    '{\n  "model": "opus",\n  "hooks": {\n    "Stop": [\n      { "hooks": [{ "type": "command", "command": "say done" }] }\n    ]\n  }\n}\n',
  ],
  cursor: [".cursor/hooks.json", '{\r\n\t"version": 1,\r\n\t"hooks": {}\r\n}\r\n'],
  codex: [".codex/hooks.json", '{"hooks":{"PreToolUse":[{"hooks":[{"type":"command","command":"check"}]}]}}'],
  gemini: [".gemini/settings.json", '{\n    // my theme\n    "ui": { "theme": "Dracula" }\n}'],
};
/** The files that belong to these hooks alone. */
const OWN = { copilot: ".copilot/hooks/memory-bank.json", opencode: ".config/opencode/plugins/memory-bank.js" };
const EVENTS = { "claude-code": "SessionStart", cursor: "sessionStart", codex: "SessionStart", gemini: "SessionStart" };

async function fullHome(t) {
  const machine = await newHome(t);
  for (const [name, text] of Object.values(FILES)) await place(join(machine.home, name), text);
  for (const folder of [".copilot", ".config/opencode"]) await mkdir(join(machine.home, folder), { recursive: true });
  return machine;
}

/** Runs a command of a file with hooks as an agent does. */
async function runHook(command, { home, project }, input) {
  const child = spawn("/bin/sh", ["-c", command], { cwd: project, env: { HOME: home, PATH: "/usr/bin:/bin" }, stdio: "pipe" });
  const got = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"]) child[name].setEncoding("utf8").on("data", (text) => (got[name] += text));
  child.stdin.on("error", () => {});
  child.stdin.end(JSON.stringify(input));
  got.code = await new Promise((resolve) => child.on("close", resolve));
  return got;
}

test("hooks are written beside those of others, a second time changes nothing, and removal restores each byte", async (t) => {
  const machine = await fullHome(t);
  const { code, stdout, stderr } = await setup(machine, ["--yes"]);
  assert.equal(code, 0, stderr + stdout);
  const written = {};
  for (const [client, [name]] of Object.entries(FILES)) {
    written[name] = await read(join(machine.home, name));
    const hooks = JSON.parse(written[name].replace(/^\uFEFF/, "").replace(/^\s*\/\/.*$/gm, "")).hooks;
    const item = hooks[EVENTS[client]].at(-1);
    const command = item.command ?? item.hooks[0].command;
    assert.ok(command.startsWith(`${BINARY} hook ${EVENTS[client]} --agent `), command);
  }
  for (const name of Object.values(OWN)) written[name] = await read(join(machine.home, name));
  assert.match(written[FILES["claude-code"][0]], /say done/);
  assert.match(written[FILES.codex[0]], /"check"/);
  assert.match(written[OWN.copilot], /hook sessionStart --agent copilot-cli/);
  assert.ok(written[OWN.opencode].includes(`const PROGRAM = ${JSON.stringify(BINARY)};`));

  const again = await setup(machine, ["--yes"]);
  assert.equal(again.code, 0, again.stderr);
  assert.equal(again.stdout.match(/the hooks are there already/g).length, 6, again.stdout);
  for (const [name, text] of Object.entries(written)) assert.equal(await read(join(machine.home, name)), text, name);

  const removed = await setup(machine, ["--remove", "--yes"]);
  assert.equal(removed.code, 0, removed.stderr + removed.stdout);
  for (const [client, [name, before]] of Object.entries(FILES)) assert.equal(await read(join(machine.home, name)), before, client);
  assert.deepEqual(await readdir(join(machine.home, ".copilot")), []);
  assert.deepEqual(await readdir(join(machine.home, ".config/opencode")), []);
});

test("a written hook runs: with the program's path, also if it has blanks and quotes", async (t) => {
  const machine = await fullHome(t);
  const folder = join(machine.home, "it's my $HOME");
  await mkdir(folder);
  const program = join(folder, "memory-bank-mcp");
  await copyFile(BINARY, program);
  await chmod(program, 0o755);
  // Gemini CLI replaces variables in its file, also in quotes.
  const done = await setup(machine, ["--yes", ...clients("claude-code", "codex", "cursor")], { program });
  assert.equal(done.code, 0, done.stderr + done.stdout);
  await mkdir(join(machine.project, "memory-bank"));
  await place(join(machine.project, "memory-bank/active-context.md"), "# Active Context\n\n## Current Tasks\n- finish the refunds\n");
  const file = JSON.parse(await read(join(machine.home, FILES["claude-code"][0])));
  const command = file.hooks.SessionStart[0].hooks[0].command;
  const input = { hook_event_name: "SessionStart", source: "startup", session_id: "s", cwd: machine.project };
  const answer = await runHook(`MEMORY_BANK_HOOK_TIMEOUT_MS=10000 ${command}`, machine, input);
  assert.equal(answer.code, 0, answer.stderr);
  assert.match(JSON.parse(answer.stdout).hookSpecificOutput.additionalContext, /finish the refunds/);
});

test("a dry run shows the hooks and writes nothing, and `--no-hooks` leaves them out", async (t) => {
  const machine = await fullHome(t);
  const shown = await setup(machine, ["--dry-run", "--json"]);
  assert.equal(shown.code, 0, shown.stderr);
  const diffs = JSON.parse(shown.stdout).files.map((file) => file.diff).join("\n");
  assert.match(diffs, /\+.*hook SessionStart --agent claude-code/);
  assert.doesNotMatch(diffs, /say done/, "texts of others are not shown");
  for (const [name, text] of Object.values(FILES)) assert.equal(await read(join(machine.home, name)), text);
  const without = await setup(machine, ["--yes", "--no-hooks"]);
  assert.equal(without.code, 0);
  assert.doesNotMatch(without.stdout, /setup` installs them/);
  for (const name of [FILES["claude-code"], FILES.cursor, FILES.codex]) assert.equal(await read(join(machine.home, name[0])), name[1]);
  await assert.rejects(stat(join(machine.home, OWN.copilot)));
  const later = await setup(machine, ["--yes"]);
  assert.equal(later.code, 0, later.stderr);
  assert.match(await read(join(machine.home, FILES.codex[0])), /hook Stop --agent codex/);
});

test("only our hooks are removed from a file that was changed since", async (t) => {
  const machine = await newHome(t);
  assert.equal((await setup(machine, ["--yes", ...clients("claude-code", "codex")])).code, 0);
  const file = join(machine.home, ".claude/settings.json");
  const contents = JSON.parse(await read(file));
  contents.hooks.Stop[0].hooks.push({ type: "command", command: "say done" });
  contents.hooks.Notification = [{ hooks: [{ type: "command", command: "beep" }] }];
  await writeFile(file, JSON.stringify(contents));
  const { code, stdout, stderr } = await setup(machine, ["--remove", "--yes"]);
  assert.equal(code, 0, stderr + stdout);
  const theirs = (command) => [{ hooks: [{ type: "command", command }] }];
  assert.deepEqual(JSON.parse(await read(file)), { hooks: { Stop: theirs("say done"), Notification: theirs("beep") } });
  await assert.rejects(stat(join(machine.home, ".codex")), "the folder was made for the files");
});

test("other options update the hooks, and hooks that were changed by hand are not removed without a word", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, ".codex/hooks.json");
  await setup(machine, ["--yes", ...clients("codex")]);
  const { code } = await setup(machine, ["--yes", ...clients("codex"), "--folder", "notes bank", "--read-only"]);
  assert.equal(code, 0);
  const text = await read(file);
  assert.equal(text.match(/hook Stop --agent codex --folder 'notes bank' --read-only/g).length, 1);
  assert.equal(JSON.parse(text).hooks.Stop.length, 1);
  await writeFile(file, text.replaceAll("--read-only", "--no-records"));
  const refused = await setup(machine, ["--remove", "--yes"]);
  assert.equal(refused.code, 1);
  assert.match(refused.stdout, /the hooks were changed since and start .*`--replace`/);
  const removed = await setup(machine, ["--remove", "--yes", "--replace"]);
  assert.equal(removed.code, 0, removed.stderr + removed.stdout);
  await assert.rejects(stat(file));
});

test("hooks that were installed by hand or by a plugin are left alone", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, ".codex/hooks.json");
  const byHand = '{"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "memory-bank-mcp hook Stop --agent codex"}]}]}}';
  await place(file, byHand);
  await place(join(machine.home, ".claude/plugins/installed_plugins.json"), '{"plugins": {"memory@memory-bank-mcp": []}}');
  const extension = '{"name": "memory-bank"}';
  await place(join(machine.home, ".gemini/extensions/memory-bank/gemini-extension.json"), extension);
  const { code, stdout } = await setup(machine, ["--yes", ...clients("codex", "claude-code", "gemini")]);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /the hooks are there already; `setup` did not write them/);
  assert.equal(stdout.match(/a plugin has them/g).length, 2, stdout);
  assert.equal(await read(file), byHand);
  await assert.rejects(stat(join(machine.home, ".claude/settings.json")));
  assert.equal((await setup(machine, ["--remove", "--yes"])).code, 0);
  assert.equal(await read(file), byHand);
});

test("a foreign file in the place of ours is not replaced without `--replace`, and then saved", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, OWN.opencode);
  await place(file, "export const Mine = async () => ({});\n");
  const refused = await setup(machine, ["--yes", ...clients("opencode")]);
  assert.equal(refused.code, 1, refused.stdout);
  assert.match(await read(file), /Mine/);
  const done = await setup(machine, ["--yes", "--replace", ...clients("opencode")]);
  assert.equal(done.code, 0, done.stderr + done.stdout);
  assert.match(done.stdout, /The previous file was saved as/);
  assert.match(await read(file), /memory-bank-mcp/);
});

test("a link of a project does not lead out of it, for the files of everybody and for the user's own", async (t) => {
  for (const [scope, name] of [["project", "settings.json"], ["local", "settings.local.json"]]) {
    for (const link of ["file", "folder"]) {
      const machine = await newHome(t);
      const outside = join(machine.home, "private");
      await place(join(outside, name), "{}");
      if (link === "folder") {
        await symlink(outside, join(machine.project, ".claude"));
      } else {
        await mkdir(join(machine.project, ".claude"));
        await symlink(join(outside, name), join(machine.project, ".claude", name));
      }
      const { code, stdout } = await setup(machine, ["--yes", "--scope", scope, ...clients("claude-code")]);
      assert.equal(code, 1, stdout);
      assert.equal(await read(join(outside, name)), "{}", `${scope} ${link}`);
    }
  }
});

test("the user's own hooks for one project are in the project, and are removed with its entry", async (t) => {
  const machine = await newHome(t);
  const done = await setup(machine, ["--yes", "--scope", "local", ...clients("claude-code")]);
  assert.equal(done.code, 0, done.stdout);
  assert.match(await read(join(machine.project, ".claude/settings.local.json")), /hook Stop --agent claude-code/);
  assert.equal((await setup(machine, ["--remove", "--yes", "--scope", "local"])).code, 0);
  assert.deepEqual(await readdir(machine.project), []);
});

test("a file that is not as expected is named and left, and the server is set up all the same", async (t) => {
  for (const broken of ["[]", '{"hooks": []}', '{"hooks": {"Stop": {}}}', '{"hooks": 1, "hooks": 2}', "not json"]) {
    const machine = await newHome(t);
    const file = join(machine.home, ".codex/hooks.json");
    await place(file, broken);
    const { code, stdout } = await setup(machine, ["--yes", ...clients("codex")]);
    assert.equal(code, 1, broken);
    assert.match(stdout, /nothing was changed: /, broken);
    assert.equal(await read(file), broken);
    assert.match(await read(join(machine.home, ".codex/config.toml")), /memory-bank/);
  }
});

test("the files of a project have hooks without a path of this machine, and no key", async (t) => {
  const machine = await newHome(t);
  const names = ["claude-code", "cursor", "codex", "gemini", "copilot", "opencode"];
  const key = `mbmcp_live_${"k".repeat(32)}`;
  const bin = join(machine.home, "bin");
  await mkdir(bin);
  const program = join(bin, "memory-bank-mcp");
  await copyFile(BINARY, program);
  const variables = { PATH: `${bin}:/usr/bin:/bin` };
  const done = await setup(machine, ["--yes", "--scope", "project", ...clients(...names)], { variables, program });
  assert.equal(done.code, 0, done.stderr + done.stdout);
  const project = [".claude/settings.json", ".cursor/hooks.json", ".codex/hooks.json", ".gemini/settings.json", ".github/hooks/memory-bank.json", ".opencode/plugins/memory-bank.js"];
  for (const name of project) {
    const text = await read(join(machine.project, name));
    assert.match(text, name.endsWith(".js") ? /PROGRAM = "memory-bank-mcp"/ : /"memory-bank-mcp hook /, name);
    assert.ok(!text.includes(machine.home), name);
  }
  assert.equal((await setup(machine, ["--remove", "--yes"], { variables, program })).code, 0);
  assert.deepEqual(await readdir(machine.project), []);
  const url = ["--url", "http://127.0.0.1:9/mcp"];
  const remote = { variables: { ...variables, MEMORY_BANK_API_KEY: key }, program };
  await setup(machine, ["--yes", "--scope", "project", ...clients("codex"), ...url], remote);
  const text = await read(join(machine.project, ".codex/hooks.json"));
  assert.match(text, /hook Stop --agent codex --url http:\/\/127\.0\.0\.1:9\/mcp/);
  assert.ok(!text.includes("kkkk"), "the key is not in the file of the hooks");
});

test("hooks for all folders are not tied to one memory, which would get the work of every repository", async (t) => {
  const machine = await newHome(t);
  const key = `mbmcp_live_${"k".repeat(32)}`;
  for (const one of [["--path", machine.project], ["--url", "http://127.0.0.1:9/mcp", "--key-file", "-"]]) {
    const { stdout } = await setup(machine, ["--yes", ...clients("claude-code", "codex"), ...one], { input: key });
    assert.match(stdout, /no hooks are added: in a file for all folders/, one[0]);
    for (const name of [".claude/settings.json", ".codex/hooks.json"]) {
      await assert.rejects(stat(join(machine.home, name)), `${one[0]} ${name}`);
    }
  }
});

test("hooks of other programs are not taken for ours, and a program of another name finds its own", async (t) => {
  const machine = await newHome(t);
  const file = join(machine.home, ".claude/settings.json");
  const foreign = '{"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "other-tool hook Stop --agent claude-code"}]}]}}';
  await place(file, foreign);
  const program = join(machine.home, "mb");
  await copyFile(BINARY, program);
  const names = clients("claude-code", "copilot");
  assert.equal((await setup(machine, ["--yes", ...names], { program })).code, 0);
  assert.equal(JSON.parse(await read(file)).hooks.Stop.length, 2);
  const again = await setup(machine, ["--yes", "--replace", ...names], { program });
  assert.equal(again.code, 0, again.stdout);
  assert.match(await read(file), /other-tool hook Stop/);
  await writeFile(file, JSON.stringify(JSON.parse(await read(file))));
  const removed = await setup(machine, ["--remove", "--yes", "--replace"], { program });
  assert.equal(removed.code, 0, removed.stdout);
  assert.deepEqual(JSON.parse(await read(file)), JSON.parse(foreign));
  await assert.rejects(stat(join(machine.home, ".copilot/hooks/memory-bank.json")), "the file of ours");
});

test("hooks that a copy of the program with another name wrote are updated and removed by the program with its usual one", async (t) => {
  const names = clients("claude-code", "cursor", "codex", "gemini", "copilot", "opencode");
  for (const isUpdated of [false, true]) {
    const machine = await newHome(t);
    const program = join(machine.home, "mb");
    await copyFile(BINARY, program);
    assert.equal((await setup(machine, ["--yes", ...names], { program })).code, 0);
    const file = join(machine.home, ".claude/settings.json");
    assert.match(await read(file), /\/mb'? hook Stop/);
    if (isUpdated) {
      const updated = await setup(machine, ["--yes", ...names]);
      assert.equal(updated.code, 0, updated.stdout);
      assert.equal(JSON.parse(await read(file)).hooks.Stop.length, 1);
      assert.doesNotMatch(await read(file), /\/mb'? hook Stop/);
    }
    await unlink(program);
    const removed = await setup(machine, ["--remove", "--yes"]);
    assert.equal(removed.code, 0, removed.stdout);
    for (const name of [".claude/settings.json", ".cursor/hooks.json", ".codex/hooks.json", ".gemini/settings.json", ".copilot/hooks/memory-bank.json", ".config/opencode/plugins/memory-bank.js"]) {
      await assert.rejects(stat(join(machine.home, name)), name);
    }
  }
});

test("setup names a file of another scope that has the hooks, too, and the check names both", async (t) => {
  const machine = await fullHome(t);
  const options = { variables: { PATH: `${dirname(BINARY)}:/usr/bin:/bin` } };
  const first = await setup(machine, ["--yes", ...clients("codex")], options);
  assert.doesNotMatch(first.stdout, /has these hooks, too/);
  const second = await setup(machine, ["--yes", "--scope", "project", ...clients("codex")], options);
  assert.match(second.stdout, /\.codex\/hooks\.json` has these hooks, too/);
  assert.match(second.stdout, /hooks +installed: .*hooks\.json`, .*hooks\.json`/);
});
