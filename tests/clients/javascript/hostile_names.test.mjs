// Names of documents that try to leave the bank, and similar names that are valid.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { link, lstat, mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { freshBank, read, write } from "./lib/project.mjs";

const HOSTILE = [
  "../outside.md",
  "..\\outside.md",
  "../../../../etc/passwd",
  "/etc/passwd",
  "/etc/passwd.md",
  "C:\\outside.md",
  "\\\\host\\share\\outside.md",
  "sub/../../outside.md",
  "./progress.md",
  "sub/./progress.md",
  "sub//progress.md",
  "graph/graph.jsonl",
  "graph/graph.md",
  "GRAPH/x.md",
  "backups/x.md",
  ".mbmcp/x.md",
  "sub/.git/x.md",
  "1/2/3/4/5/6/7/8/9/x.md",
  "a\0.md",
  "outside.txt",
  "outside",
  ".md/",
  `${"x".repeat(300)}.md`,
];

async function bankWithSecret(t) {
  const { server, project, bank } = await freshBank(t);
  await write(join(project, "outside.md"), "the secret\n");
  return { server, project, bank };
}

/** A refusal is a tool error that reveals nothing from outside. */
async function refused(server, name, args) {
  const reply = await server.tool(name, args);
  assert.ok(reply.isError, `${name} ${JSON.stringify(args)} should be refused, but: ${reply.text}`);
  assert.ok(!reply.text.includes("the secret") && !reply.text.includes("root:"), reply.text);
}

test("reading, writing, editing, deleting and renaming refuse every name outside the bank", async (t) => {
  const { server, project } = await bankWithSecret(t);
  const before = await readdir(project);
  for (const filename of HOSTILE) {
    await refused(server, "read_memory_bank_file", { filename });
    await refused(server, "write_memory_bank_file", { filename, content: "x" });
    await refused(server, "write_memory_bank_file", { filename, content: "x", ifMatchEtag: "aa" });
    await refused(server, "delete_memory_bank_file", { filename });
    await refused(server, "graph_add_doc_pointer", { entityNameOrId: "none", docPath: filename });
  }
  assert.equal(await read(project, "outside.md"), "the secret\n");
  assert.deepEqual(await readdir(project), before);
});

test("an invalid name is reported as invalid and not as missing", async (t) => {
  const { server } = await bankWithSecret(t);
  const text = await server.fails("write_memory_bank_file", { filename: "../x.md", content: "x", ifMatchEtag: "aa" });
  assert.ok(!text.includes("FILE_NOT_FOUND"), text);
});

test("batches report refused names one by one", async (t) => {
  const { server } = await bankWithSecret(t);
  const { results, metadata } = (await server.ok("batch_read_files", { files: ["../outside.md", "progress.md"] })).json;
  assert.match(results["../outside.md"].error, /^Failed to read:/);
  assert.equal(results["../outside.md"].content, "");
  assert.deepEqual([metadata.successful, metadata.failed], [1, 1]);
});

test("a search lists refused names as skipped", async (t) => {
  const { server } = await bankWithSecret(t);
  const { results, metadata } = (
    await server.ok("search_memory_bank", { query: "secret", files: ["../outside.md", "../../etc/passwd"] })
  ).json;
  assert.deepEqual(results, []);
  assert.ok(!metadata.filesSearched.includes("../outside.md"));
  assert.equal(metadata.skipped.length, 2);
});

test("a resource address cannot leave the bank", async (t) => {
  const { server } = await bankWithSecret(t);
  for (const uri of ["memory-bank://../outside", "memory-bank:///etc/passwd", "file:///etc/passwd", "memory-bank://", "MEMORY-BANK://progress"]) {
    const error = await server.request("resources/read", { uri }).then(() => undefined, (caught) => caught);
    assert.ok(error, `${uri} is refused`);
    assert.ok([-32602, -32002].includes(error.code), `${uri}: ${error}`);
  }
});

test("a symbolic link out of the bank is not read, written or searched", async (t) => {
  const { server, project, bank } = await bankWithSecret(t);
  await symlink(join(project, "outside.md"), join(bank, "link.md"));
  await refused(server, "read_memory_bank_file", { filename: "link.md" });
  await server.tool("write_memory_bank_file", { filename: "link.md", content: "overwritten" });
  assert.equal(await read(project, "outside.md"), "the secret\n");
  assert.ok(!(await server.ok("search_memory_bank", { query: "the secret" })).text.includes('"file":"link.md"'));
});

test("a bank's graph folder that is a link elsewhere is refused", async (t) => {
  const { server, project, bank } = await bankWithSecret(t);
  await mkdir(join(project, "elsewhere"));
  await symlink(join(project, "elsewhere"), join(bank, "graph"));
  await server.tool("graph_upsert_entity", { name: "A", entityType: "t" });
  assert.deepEqual(await readdir(join(project, "elsewhere")), []);
});

test("a pipe in place of a document does not block the server", async (t) => {
  const { server, bank } = await bankWithSecret(t);
  execFileSync("mkfifo", [join(bank, "pipe.md")]);
  await refused(server, "read_memory_bank_file", { filename: "pipe.md" });
  await server.ok("search_memory_bank", { query: "Objective" });
  await server.ok("create_backup");
  await server.ok("get_memory_bank_status");
  await server.close();
});

test("a folder in place of a document is refused", async (t) => {
  const { server, bank } = await bankWithSecret(t);
  await mkdir(join(bank, "dir.md"));
  await refused(server, "read_memory_bank_file", { filename: "dir.md" });
  await refused(server, "write_memory_bank_file", { filename: "dir.md", content: "x" });
  assert.deepEqual((await readdir(bank)).filter((name) => name.includes("tmp")), []);
});

test("backups are written only below the project", async (t) => {
  const { server } = await bankWithSecret(t);
  for (const backupDir of ["../esc", "/proc/nope", "/dev/shm/esc"]) {
    await refused(server, "create_backup", { backupDir });
  }
  for (const backupId of ["../memory-bank", "memory-bank-backup-../..", "memory-bank", "/etc"]) {
    await refused(server, "restore_backup", { backupId });
  }
});

test("names with blanks, dots, other scripts and escapes are ordinary names", async (t) => {
  const { server, bank } = await bankWithSecret(t);
  for (const filename of ["two words.md", ".hidden.md", "v1..2.md", "größe.md", "日本語.md", "%2e%2e%2fx.md", "🚀.md", "a.b.c.json"]) {
    await server.ok("write_memory_bank_file", { filename, content: `content of ${filename}` });
    assert.equal((await server.ok("read_memory_bank_file", { filename })).json.content, `content of ${filename}`);
    assert.ok((await lstat(join(bank, filename))).isFile());
  }
});

test("reading, writing and comparing use the same canonical name", async (t) => {
  const { server, bank } = await bankWithSecret(t);
  await server.ok("write_memory_bank_file", { filename: "README.md", content: "one" });
  const first = (await server.ok("read_memory_bank_file", { filename: "README.md" })).json;
  assert.equal(first.content, "one");
  await server.ok("write_memory_bank_file", { filename: "README.md", content: "two", ifMatchEtag: first.etag });
  assert.equal(await read(bank, "readme.md"), "two");
  await server.ok("write_memory_bank_file", { filename: "myNotes.md", content: "mine" });
  assert.equal(await read(bank, "my-notes.md"), "mine");
  assert.equal((await server.ok("read_memory_bank_file", { filename: "myNotes.md" })).json.content, "mine");
});

test("a hard link is replaced, not written through", async (t) => {
  const { server, project, bank } = await bankWithSecret(t);
  await link(join(project, "outside.md"), join(bank, "hard.md"));
  await server.ok("write_memory_bank_file", { filename: "hard.md", content: "mine" });
  assert.equal(await read(project, "outside.md"), "the secret\n");
  assert.equal(await read(bank, "hard.md"), "mine");
});
