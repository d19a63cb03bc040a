// `setup` for projects of a server: files below a project, keys and their variables.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { chmod, mkdir, readdir, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { promisify } from "node:util";
import { BINARY } from "./lib/server.mjs";
import { FILES, KEY, OTHER_KEY, newHome, place, read, setup } from "./lib/setup.mjs";

test("as JSON, each file has an outcome, and no key is shown", async (t) => {
  const machine = await newHome(t);
  const wanted = ["--json", "--yes", "--client", "cursor", "--client", "zed", "--url", "http://127.0.0.1:9/mcp", "--key-file", "-"];
  const { code, stdout, stderr } = await setup(machine, wanted, { input: `${KEY}\n` });
  assert.equal(code, 1, "nothing listens there");
  const reply = JSON.parse(stdout);
  const outcomes = reply.files.map(({ client, part, outcome }) => [client, part, outcome]);
  assert.deepEqual(outcomes, [["cursor", "server", "written"], ["cursor", "hooks", "skipped"], ["zed", "server", "written"]]);
  assert.equal(reply.check.status, "error");
  assert.doesNotMatch(stdout + stderr, /kkkk/);
});

test("a draft with a key that a killed setup left goes, also with --remove, and that of one that runs stays", async (t) => {
  const machine = await newHome(t);
  const left = [".memory-bank-mcp-aB3dE9", ".cursor/.memory-bank-mcp-Zz09aa", ".codex/.memory-bank-mcp-000000"].map((name) => join(machine.home, name));
  const others = [".memory-bank-mcp-notes", ".cursor/.memory-bank-mcp-Zz09aab", ".cursor/memory-bank-mcp-Zz09aa"].map((name) => join(machine.home, name));
  for (const file of [...left, ...others]) await place(file, `{"key": "${KEY}"}`);
  const running = join(machine.home, ".cursor/.memory-bank-mcp-Running".slice(0, -1));
  await place(running, KEY);
  const holder = spawn("flock", [running, "sh", "-c", "echo held; exec sleep 60"]);
  t.after(() => holder.kill());
  await new Promise((held) => holder.stdout.once("data", held));
  const dry = await setup(machine, ["--remove", "--dry-run"]);
  assert.equal(dry.code, 0, dry.stderr);
  for (const file of [...left, ...others]) assert.ok(await read(file), file);
  assert.equal((await setup(machine, ["--remove", "--yes"])).code, 0);
  for (const file of left) await assert.rejects(stat(file), file);
  for (const file of [...others, running]) assert.ok(await read(file), file);
});

test("a project that was moved is named as the place where its entry may be", async (t) => {
  const machine = await newHome(t);
  assert.equal((await setup(machine, ["--yes", "--scope", "project", "--client", "cursor"])).code, 0);
  await rename(machine.project, `${machine.project}-moved`);
  await mkdir(machine.project);
  const removed = await setup(machine, ["--remove", "--yes"]);
  assert.match(removed.stdout, /mcp\.json.*the file is not there any more.*if its folder was moved, remove `memory-bank` from the file by hand/s);
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
  await chmod(file, 0o664);
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
  assert.equal((await stat(file)).mode & 0o777, 0o600, "the other key is still there");
  await setup(machine, ["--remove", "--yes"]);
  assert.equal(await read(file), "{}\n");
  assert.equal((await stat(file)).mode & 0o777, 0o664, "as it was before the first key");
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
