// `setup` where files and folders of agents are links.

import assert from "node:assert/strict";
import { lstat, mkdir, readlink, rm, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { newHome, place, read, setup } from "./lib/setup.mjs";

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
