// Documents in folders of the bank, and banks above the folder in which the server is started.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { emptyFolder, freshBank, read, serverOn, write } from "./lib/project.mjs";

test("a document in a folder is written, read, listed, edited, found, renamed and deleted", async (t) => {
  const { server, bank } = await freshBank(t);
  const made = await server.ok("write_memory_bank_file", { filename: "adr/0001.md", content: "# Use Postgres\n\nAn albatross.\n" });
  assert.equal(await read(bank, "adr", "0001.md"), "# Use Postgres\n\nAn albatross.\n");
  assert.equal((await server.ok("read_memory_bank_file", { filename: "adr/0001.md" })).json.etag, made.json.etag);
  const listed = (await server.ok("list_memory_bank_files")).text.split("\n");
  assert.ok(listed.includes("adr/0001.md") && !listed.includes("adr"), listed.join(" "));
  assert.ok((await server.ok("get_memory_bank_status")).json.files.includes("adr/0001.md"));
  const edits = [{ op: "replace", old: "An albatross.", new: "A pelican." }];
  await server.ok("edit_memory_bank_file", { filename: "adr/0001.md", edits, ifMatchEtag: made.json.etag });
  assert.match((await server.ok("search_memory_bank", { query: "pelican" })).text, /adr\/0001\.md/);
  assert.match((await server.ok("get_targeted_context", { query: "where is the pelican?" })).text, /adr\/0001\.md/);
  await server.ok("graph_upsert_entity", { name: "Postgres", entityType: "database" });
  await server.ok("graph_add_doc_pointer", { entityNameOrId: "Postgres", docPath: "adr/0001.md" });
  const batch = [
    { filename: "adr/0002.md", content: "two" },
    { filename: "deep/er/three.md", content: "three" },
  ];
  assert.equal((await server.ok("batch_write_files", { files: batch })).json.metadata.successful, 2);
  const several = await server.ok("batch_read_files", { files: ["adr/0002.md", "deep/er/three.md", "adr/none.md"] });
  assert.equal(several.json.metadata.successful, 2);
  await server.ok("rename_memory_bank_file", { filename: "adr/0002.md", newFilename: "archive/0002.md" });
  assert.equal(await read(bank, "archive", "0002.md"), "two");
  await server.ok("delete_memory_bank_file", { filename: "deep/er/three.md" });
  assert.ok(!(await readdir(bank)).includes("deep"), "an empty folder does not stay");
});

test("a document in a folder is a resource, and changes of it are notified", async (t) => {
  const { server, bank } = await freshBank(t);
  await server.ok("write_memory_bank_file", { filename: "adr/0001 a.md", content: "one" });
  const { resources } = await server.request("resources/list");
  const uri = "memory-bank://adr/0001%20a";
  assert.ok(resources.some((resource) => resource.uri === uri && resource.name === "adr/0001 a.md"));
  for (const spelling of [uri, "memory-bank://adr%2F0001%20a", "memory-bank://adr/0001%20a.md"]) {
    assert.equal((await server.request("resources/read", { uri: spelling })).contents[0].text, "one");
  }
  const ref = { type: "ref/resource", uri: (await server.request("resources/templates/list")).resourceTemplates[0].uriTemplate };
  const { completion } = await server.request("completion/complete", { ref, argument: { name: "name", value: "adr" } });
  assert.deepEqual(completion.values, ["adr/0001 a"]);
  await server.request("resources/subscribe", { uri });
  const updated = (m) => m.method === "notifications/resources/updated" && m.params.uri === uri;
  let notice = server.next(updated);
  await write(join(bank, "adr", "0001 a.md"), "two");
  await notice;
  notice = server.next(updated);
  await server.ok("write_memory_bank_file", { filename: "adr/0001 a.md", content: "three" });
  await notice;
});

test("names that other systems do not allow are refused with the reason, and readable where they exist", async (t) => {
  const { server, bank } = await freshBank(t);
  for (const [filename, expected] of [
    ["con.md", /device/],
    ["notes/aux.md", /device/],
    ["a:b.md", /some systems do not allow `:`/],
    ["a\u202eb.md", /invisible/],
    ["notes./x.md", /dot or a blank/],
    ["adr\\0001.md", /separated by `\/`/],
    ["memory-bank/progress.md", /leave out `memory-bank\/`/],
    ["Progress (conflicted copy).md", /a sync tool/],
  ]) {
    const text = await server.fails("write_memory_bank_file", { filename, content: "x" });
    assert.match(text, expected, filename);
  }
  await write(join(bank, "con.md"), "exists");
  assert.equal((await server.ok("read_memory_bank_file", { filename: "con.md" })).json.content, "exists");
  await write(join(bank, "PATTERNS.md"), "exists");
  const text = await server.fails("write_memory_bank_file", { filename: "patterns.md", content: "x" });
  assert.match(text, /`PATTERNS\.md`/);
  assert.deepEqual((await readdir(bank)).filter((name) => /patterns/i.test(name)).sort(), ["PATTERNS.md", "system-patterns.md"]);
});

test("two Unicode normal forms of a name are one document", async (t) => {
  const { server, bank } = await freshBank(t);
  const [composed, decomposed] = ["caf\u00e9.md", "cafe\u0301.md"];
  await write(join(bank, decomposed), "on the disk");
  assert.equal((await server.ok("read_memory_bank_file", { filename: composed })).json.content, "on the disk");
  await server.ok("write_memory_bank_file", { filename: composed, content: "written" });
  assert.deepEqual((await readdir(bank)).filter((name) => name.startsWith("caf")), [decomposed]);
  assert.match((await server.ok("search_memory_bank", { query: "written", files: [composed] })).text, /written/);
});

test("leftovers of tools are listed as such and not searched", async (t) => {
  const { server, bank } = await freshBank(t);
  await write(join(bank, "notes (conflicted copy).md"), "an albatross");
  await write(join(bank, ".notes.md.swp"), "an albatross");
  const listed = await server.ok("list_memory_bank_files");
  assert.match(listed.text, /notes \(conflicted copy\)\.md \(left by an editor or sync tool, not searched\)/);
  assert.match(listed.text, /\.notes\.md\.swp \(left/);
  for (const [tool, args] of [
    ["search_memory_bank", { query: "albatross" }],
    ["get_targeted_context", { query: "albatross" }],
    ["get_context_digest", {}],
    ["get_context_bundle", {}],
  ]) {
    assert.doesNotMatch((await server.ok(tool, args)).text, /an albatross/, tool);
  }
});

test("a server started below the root of a repository, or in a worktree, finds the bank and reports it", async (t) => {
  const folder = await emptyFolder(t);
  const [main, worktree] = [join(folder, "main"), join(folder, "worktree")];
  const git = (...args) =>
    execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@example.com", ...args], { cwd: main, stdio: "pipe" });
  await mkdir(join(main, "src/deep"), { recursive: true });
  git("init", "-q");
  await write(join(main, "readme"), "x");
  git("add", "readme");
  git("commit", "-qm", "x");
  git("worktree", "add", "-q", worktree);
  await mkdir(join(main, "memory-bank"));
  await write(join(main, "memory-bank/progress.md"), "# Progress\n");
  for (const [start, expected] of [
    [join(main, "src/deep"), /folder below/],
    [worktree, /worktree/],
  ]) {
    const server = await serverOn(start, t);
    const status = (await server.ok("get_memory_bank_status")).json;
    assert.equal(status.path, join(main, "memory-bank"));
    assert.match(status.notice, expected);
    assert.match(server.handshake.instructions, expected);
    await server.close();
  }
  // A worktree that the main checkout does not know is none.
  const moved = join(folder, "moved");
  await rename(worktree, moved);
  const server = await serverOn(moved, t);
  assert.ok((await server.tool("get_memory_bank_status")).isError);
  await rm(moved, { recursive: true });
});
