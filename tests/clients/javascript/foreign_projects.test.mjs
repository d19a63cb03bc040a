// A foreign project: its links, its registry and its key file are not trusted. Also unusable paths of careless
// clients.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { BINARY, ENVIRONMENT, Server } from "./lib/server.mjs";

/** A home folder with private files, and an empty project deep in it. */
async function home(t) {
  const folder = await mkdtemp(join(tmpdir(), "foreign-"));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  await mkdir(join(folder, ".ssh"));
  await mkdir(join(folder, "src/project"), { recursive: true });
  await writeFile(join(folder, ".ssh/id_rsa"), "PRIVATE KEY");
  await writeFile(join(folder, ".claude.json"), '{"token":"secret"}');
  await writeFile(join(folder, "settings.json"), '{"mine":true}');
  await writeFile(join(folder, "notes.md"), "secret");
  return { folder, project: join(folder, "src/project") };
}

async function names(folder) {
  return (await readdir(folder, { recursive: true })).sort();
}

async function served(t, project, args = []) {
  const server = await Server.start(project, args);
  t.after(() => server.close());
  return (name, input = {}) => server.tool(name, input);
}

test("a bank that links to the home folder is not read, written or copied", async (t) => {
  const { folder, project } = await home(t);
  await symlink("../..", join(project, "memory-bank"));
  const before = await names(folder);
  const call = await served(t, project);
  for (const [name, input] of [
    ["get_memory_bank_status", {}],
    ["read_memory_bank_file", { filename: ".claude.json" }],
    ["write_memory_bank_file", { filename: "settings.json", content: "{}" }],
    ["create_backup", {}],
    ["initialize_memory_bank", { path: project }],
    ["initialize_memory_bank", { path: "memory-bank" }],
    ["set_memory_bank_path", {}],
  ]) {
    const reply = await call(name, input);
    assert.ok(reply.isError, `${name}: ${reply.text}`);
    assert.match(reply.text, new RegExp(`leads out of the project, to \`${folder}\``), name);
    assert.doesNotMatch(reply.text, /secret|PRIVATE/);
  }
  assert.deepEqual(await names(folder), before);
  assert.equal(await readFile(join(folder, "settings.json"), "utf8"), '{"mine":true}');
});

test("only a flag of the server allows such a link", async (t) => {
  const { folder, project } = await home(t);
  await mkdir(join(folder, "shared"));
  await symlink("../../shared", join(project, "memory-bank"));
  await writeFile(join(project, ".env"), "MEMORY_BANK_FOLLOW_LINKS=1\nFOLLOW_LINKS=1\n");
  await writeFile(join(project, "stores.json"), '{"version":1,"followLinks":true,"stores":[]}');
  const strict = await served(t, project);
  assert.ok((await strict("initialize_memory_bank", { path: project })).isError);
  assert.deepEqual(await names(join(folder, "shared")), []);
  const lenient = await served(t, project, ["--follow-links"]);
  assert.ok(!(await lenient("initialize_memory_bank", { path: project })).isError);
  assert.ok((await names(join(folder, "shared"))).includes("progress.md"));
});

test("a registry that came with the project opens no other folder", async (t) => {
  const { folder, project } = await home(t);
  const other = join(folder, "other");
  await mkdir(join(other, "memory-bank"), { recursive: true });
  await writeFile(join(other, "memory-bank/progress.md"), "secret");
  const stores = [{ storeId: "x", projectPath: other, kind: "local", registeredAt: "2026", lastUsedAt: "2026" }];
  await writeFile(join(project, "stores.json"), JSON.stringify({ version: 1, selectedStoreId: "x", stores }));
  const call = await served(t, project);
  for (const [name, input] of [
    ["select_store", { storeId: "x" }],
    ["graph_upsert_entity", { storeId: "x", name: "E", entityType: "t" }],
  ]) {
    const reply = await call(name, input);
    assert.ok(reply.isError, `${name}: ${reply.text}`);
    assert.match(reply.text, /was not registered on this machine/);
  }
  assert.deepEqual(await names(other), ["memory-bank", "memory-bank/progress.md"]);
  assert.ok(!(await call("select_store", { action: "register", storeId: "x", path: other })).isError);
  assert.ok(!(await call("select_store", { storeId: "x" })).isError);
});

test("an unusable path is refused with advice and creates nothing", async (t) => {
  const { folder, project } = await home(t);
  const call = await served(t, project);
  const before = await names(folder);
  for (const [path, meant] of [
    ["${workspaceFolder}", /\$\{workspaceFolder\}.*give the path itself/],
    ["${workspaceFolder}/x", /give the path itself/],
    ["$HOME/proj", /`\$HOME`.*give the path itself/],
    ["%USERPROFILE%\\x", /give the path itself/],
    [`file://${folder}/proj`, new RegExp(`give the plain path, \`${folder}/proj\``)],
    ["C:\\Users\\me\\proj", /a path for Windows/],
    ["\\\\server\\share", /a path for Windows/],
    ["/c/Users/me/proj", /no folder `\/c`/],
    ["/nonexistent/x", /no folder `\/nonexistent`/],
    [join(folder, "a/b/c"), new RegExp(`no folder \`${folder}/a\``)],
    ["a\nb", /control character/],
  ]) {
    const reply = await call("initialize_memory_bank", { path });
    assert.ok(reply.isError, `${path}: ${reply.text}`);
    assert.match(reply.text, meant);
  }
  assert.deepEqual(await names(folder), before);
  for (const path of [".", "./", "proj", project, `${project}/`, join(project, "memory-bank")]) {
    const reply = await call("initialize_memory_bank", { path });
    assert.ok(!reply.isError, `${path}: ${reply.text}`);
  }
});

/** Serves a folder over HTTP until it listens; gives the key that it shows, and whether `key` is let in. */
async function serve(t, project, key, env = {}) {
  const all = { ...ENVIRONMENT, MCP_HOST: "127.0.0.1", MCP_PORT: "0", ...env };
  const child = spawn(BINARY, ["serve"], { cwd: project, env: all, stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  let shown, url;
  for await (const line of createInterface({ input: child.stdout })) {
    shown ??= /^API key \(shown this once\): (\S+)/.exec(line)?.[1];
    url = /^Listening on (http:\S+)\/mcp/.exec(line)?.[1];
    if (url) break;
  }
  assert.ok(url, "the server ended before it was ready");
  const reply = await fetch(`${url}/api/keys`, { headers: { "X-API-Key": key ?? shown } });
  // It ends in good order: a server that is killed while it notes the use of a key leaves a draft for a minute.
  child.kill("SIGTERM");
  await once(child, "exit");
  return { shown, isLetIn: reply.status === 200 };
}

/** A key file in the project, as older versions wrote it, and the key. */
async function keysOfOldServer(project) {
  const { createHash, randomUUID } = await import("node:crypto");
  const key = `mbmcp_live_${"k".repeat(32)}`;
  const hash = createHash("sha256").update(key).digest("hex");
  const one = {
    id: randomUUID(), hash, prefix: key.slice(0, 16), label: "theirs", scopes: [], rateLimit: 60,
    lastUsedAt: null, expiresAt: null, createdAt: "2026-01-01T00:00:00Z", revokedAt: null,
  };
  const file = join(project, ".memory-bank-keys.json");
  await writeFile(file, JSON.stringify({ version: 1, keys: [one] }));
  return { key, file };
}

test("a key file in the project grants no access", async (t) => {
  const { project } = await home(t);
  const { key, file } = await keysOfOldServer(project);
  await chmod(file, 0o644);
  const { shown, isLetIn } = await serve(t, project, key);
  assert.equal(isLetIn, false);
  assert.match(shown ?? "", /^mbmcp_live_/, "a key of one's own is made");
});

test("keys of an older version keep working, and are moved out of the project", async (t) => {
  const { folder, project } = await home(t);
  const { key, file } = await keysOfOldServer(project);
  await chmod(file, 0o600);
  for (const _start of [1, 2]) {
    const env = { HOME: folder, MEMORY_BANK_STATE_DIR: "" };
    const { shown, isLetIn } = await serve(t, project, key, env);
    assert.deepEqual({ shown, isLetIn }, { shown: undefined, isLetIn: true });
    assert.deepEqual(await names(project), []);
  }
  assert.deepEqual((await readdir(join(folder, ".local/state/memory-bank-mcp/keys"))).map((name) => name.replace(/^[^.]*/, "")).sort(), [".json", ".lock"]);
});
