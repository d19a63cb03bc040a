// Defects of the TypeScript server in documents, tasks, progress, decisions and backups: each test reproduces one and
// checks the correct behaviour.

import assert from "node:assert/strict";
import { mkdir, readdir, symlink, unlink } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { copyOf, emptyFolder, freshBank, read, serverOn, write } from "./lib/project.mjs";

const lines = (text, line) => text.split("\n").filter((each) => each === line).length;

test("set_memory_bank_path switches everything", async (t) => {
  const { server, project: a } = await freshBank(t);
  const b = await emptyFolder(t);
  await server.ok("initialize_memory_bank", { path: b });
  await server.ok("set_memory_bank_path", { path: a });
  await server.ok("write_memory_bank_file", { filename: "x.md", content: "x" });
  await server.ok("track_progress", { action: "x", description: "y" });
  assert.equal((await server.ok("get_memory_bank_status")).json.path, join(a, "memory-bank"));
  assert.equal(await read(a, "memory-bank", "x.md"), "x");
  assert.ok(!(await readdir(join(b, "memory-bank"))).includes("x.md"));
  assert.match(await read(a, "memory-bank", "progress.md"), /- x: y\n/);
});

test("update_tasks twice keeps the title, other bullets and CRLF", async (t) => {
  const { server, bank } = await freshBank(t);
  const template = await read(bank, "active-context.md");
  await server.ok("update_tasks", { add: ["a"] });
  await server.ok("update_tasks", { add: ["a"] });
  const text = await read(bank, "active-context.md");
  assert.equal(text.replace("- a\n", ""), template);
  const other = "# Current Context\r\n\r\n## Ongoing Tasks\r\n* one\r\n* two\r\n\r\nSome prose.\r\n\r\n## Known Issues\r\n- x\r\n";
  await write(join(bank, "active-context.md"), other);
  await server.ok("update_tasks", { add: ["three"] });
  const after = await read(bank, "active-context.md");
  for (const line of other.split("\r\n")) assert.ok(after.includes(line), line);
  assert.ok(!/[^\r]\n/.test(after) && after.includes("three\r\n"));
});

test("dollar patterns are literal text", async (t) => {
  const { server, bank } = await freshBank(t);
  const before = await read(bank, "progress.md");
  await server.ok("track_progress", { action: "x", description: "$& $` $' $$" });
  const after = await read(bank, "progress.md");
  assert.equal(after.split("\n").length, before.split("\n").length + 1);
  assert.ok(after.includes("- x: $& $` $' $$\n"));
});

test("ten entries at once are ten entries", async (t) => {
  const { server, bank } = await freshBank(t);
  await Promise.all(Array.from({ length: 10 }, (_, n) => server.ok("track_progress", { action: "x", description: `<${n}>` })));
  const text = await read(bank, "progress.md");
  for (let n = 0; n < 10; n += 1) assert.ok(text.includes(`<${n}>`));
});

test("headings are whole lines, also at the end of a file", async (t) => {
  const { server, bank } = await freshBank(t);
  const entry = { type: "fix", summary: "s" };
  await write(join(bank, "progress.md"), "# P\n\n## Update History");
  await server.ok("add_progress_entry", entry);
  assert.match(await read(bank, "progress.md"), /^# P\n\n## Update History\n[^]*🐛 Fix: s/);
  await write(join(bank, "progress.md"), "# P\n\nSee ## Update History below.\n\n## Update History Archive\n\n- old\n");
  await server.ok("track_progress", { action: "x", description: "y" });
  const text = await read(bank, "progress.md");
  assert.equal(lines(text, "## Update History Archive"), 1);
  assert.ok(text.includes("## Update History Archive\n\n- old\n") && text.includes("See ## Update History below.\n"));
  assert.equal(lines(text, "## Update History"), 1);
});

test("a missing final newline joins no lines", async (t) => {
  const { server, bank } = await freshBank(t);
  await write(join(bank, "decision-log.md"), "# Decision Log");
  await write(join(bank, "active-context.md"), "# Current Context\n\n## Next Steps\n- a");
  await server.ok("finalize_thinking_session", {
    summary: "s", decision: { title: "D", context: "c", decision: "d" }, nextSteps: ["b"],
  });
  assert.match(await read(bank, "decision-log.md"), /^# Decision Log\n\n## .*D\n/);
  assert.match(await read(bank, "active-context.md"), /\n- a\n- b\n/);
});

test("a backup contains the graph, and unusual file names do not break it", async (t) => {
  const { server, bank } = await freshBank(t);
  await server.ok("graph_upsert_entity", { name: "A", entityType: "t" });
  await write(join(bank, "bad..name.md"), "odd");
  const { backupPath } = (await server.ok("create_backup")).json;
  assert.equal(await read(backupPath, "graph", "graph.jsonl"), await read(bank, "graph", "graph.jsonl"));
  assert.equal(await read(backupPath, "bad..name.md"), "odd");
});

test("a backup's id is listed and restored", async (t) => {
  const { server, bank } = await freshBank(t);
  const before = await read(bank, "progress.md");
  const { backupPath } = (await server.ok("create_backup")).json;
  await server.ok("track_progress", { action: "x", description: "y" });
  const { backups } = (await server.ok("create_backup", { listOnly: true })).json;
  assert.equal(backups[0].path, backupPath);
  assert.equal(new Date(backups[0].timestamp).toISOString(), backups[0].timestamp);
  await server.ok("restore_backup", { backupId: backups[0].id });
  assert.equal(await read(bank, "progress.md"), before);
});

test("the digest has the newest decisions and entries, and whole lists", async (t) => {
  const { server } = await freshBank(t);
  for (let n = 1; n <= 7; n += 1) await server.ok("log_decision", { title: `D${n}`, context: "c", decision: "d" });
  await server.ok("add_progress_entry", { type: "fix", summary: "structured" });
  await server.ok("update_active_context", { tasks: ["a ## b", "last"] });
  const { digest } = (await server.ok("get_context_digest")).json;
  assert.deepEqual(digest.recentDecisions.map(({ title }) => title), ["D7", "D6", "D5", "D4", "D3"]);
  assert.ok(digest.recentProgress.some((line) => line.startsWith("- [") && line.includes("structured")));
  assert.deepEqual(digest.currentContext.tasks, ["last", "a ## b"]);
  const none = (await server.ok("get_context_digest", { maxProgressEntries: 0 })).json;
  assert.deepEqual(none.digest.recentProgress, []);
});

test("there is one task list and one list of notes", async (t) => {
  const { server, bank } = await freshBank(t);
  await server.ok("update_active_context", { tasks: ["one"] });
  await server.ok("update_tasks", { add: ["two"] });
  await server.ok("track_progress", { action: "x", description: "y" });
  await server.ok("add_session_note", { note: "n" });
  await server.ok("finalize_thinking_session", { summary: "s", tasks: { add: ["three"] } });
  const headings = (await read(bank, "active-context.md")).split("\n").filter((line) => /^## /.test(line));
  assert.deepEqual(headings, ["## Ongoing Tasks", "## Known Issues", "## Next Steps", "## Current Session Notes"]);
  const { digest } = (await server.ok("get_context_digest")).json;
  assert.deepEqual(digest.currentContext.tasks, ["three", "two", "one"]);
});

test("updateActiveContext:false is honoured", async (t) => {
  const { server, bank } = await freshBank(t);
  const before = await read(bank, "active-context.md");
  await server.ok("track_progress", { action: "x", description: "y", updateActiveContext: false });
  assert.equal(await read(bank, "active-context.md"), before);
});

test("includeEtag:false returns the bare text", async (t) => {
  const { server, bank } = await freshBank(t);
  const { text } = await server.ok("read_memory_bank_file", { filename: "progress.md", includeEtag: false });
  assert.equal(text, await read(bank, "progress.md"));
});

test("`truncated` means that there are more hits; refused files are skipped", async (t) => {
  const { server, bank } = await freshBank(t);
  const lines = Array.from({ length: 30 }, (_, at) => `needle ${at}\n`);
  await write(join(bank, "hits.md"), lines.join(""));
  const search = async (args) => (await server.ok("search_memory_bank", { query: "needle", ...args })).json;
  assert.equal((await search({ maxResults: 30 })).metadata.truncated, false);
  assert.equal((await search({ maxResults: 30 })).results.length, 30);
  assert.equal((await search({ maxResults: 29 })).metadata.truncated, true);
  // Equal lines are shown once, with their count, and where the first others are.
  await write(join(bank, "same.md"), "straw\n".repeat(9));
  const same = await search({ query: "straw" });
  assert.deepEqual([same.results.length, same.results[0].similar, same.metadata.truncated], [1, 8, false]);
  assert.deepEqual(same.results[0].similarIn.map(({ file }) => file), Array(5).fill("same.md"));
  const { metadata } = await search({ files: ["../../etc/passwd", "hits.md"] });
  assert.deepEqual(metadata.filesSearched, ["hits.md"]);
  assert.equal(metadata.skipped.length, 1);
  const long = `${"x".repeat(400_000)} longneedle ${"y".repeat(400_000)}`;
  await write(join(bank, "long.md"), long);
  const reply = await server.ok("search_memory_bank", { query: "longneedle" });
  assert.ok(reply.text.length < 10_000 && reply.json.results[0].content.includes("longneedle"));
});

test("a repeated name in a batch is read; results keep the requested order", async (t) => {
  const { server } = await freshBank(t);
  const files = ["system-patterns.md", "progress.md", "progress.md", "active-context.md"];
  const { results, metadata } = (await server.ok("batch_read_files", { files })).json;
  assert.equal(metadata.failed, 0);
  assert.deepEqual(Object.keys(results), ["system-patterns.md", "progress.md", "active-context.md"]);
});

test("a name that is normalised on writing is found on reading", async (t) => {
  const { server } = await freshBank(t);
  await server.ok("write_memory_bank_file", { filename: "myNotes.md", content: "a" });
  const { etag } = (await server.ok("read_memory_bank_file", { filename: "myNotes.md" })).json;
  assert.equal(etag, "ca978112ca1bbdca");
  await server.ok("write_memory_bank_file", { filename: "myNotes.md", content: "b", ifMatchEtag: etag });
});

test("an invalid name is reported, and an empty etag counts as missing but deletes nothing", async (t) => {
  const { server, bank } = await freshBank(t);
  const bad = await server.fails("write_memory_bank_file", { filename: "../x.md", content: "x", ifMatchEtag: "aa" });
  assert.ok(!bad.includes("FILE_NOT_FOUND"));
  const { replaced } = (await server.ok("write_memory_bank_file", { filename: "progress.md", content: "x", ifMatchEtag: "" })).json;
  assert.ok(replaced.bytes > 0);
  assert.equal(await read(bank, "progress.md"), "x");
  await server.ok("write_memory_bank_file", { filename: "note.md", content: "x", ifMatchEtag: "" });
  assert.match(await server.fails("delete_memory_bank_file", { filename: "note.md", ifMatchEtag: "" }), /`ifMatchEtag` is empty/);
  assert.equal(await read(bank, "note.md"), "x");
});

test("an empty context is accepted, and a missing progress.md loses no decision", async (t) => {
  const { server, bank } = await freshBank(t);
  await server.ok("log_decision", { title: "A", context: "", decision: "d" });
  await unlink(join(bank, "progress.md"));
  await server.ok("log_decision", { title: "B", context: "c", decision: "d" });
  assert.equal(lines(await read(bank, "decision-log.md"), "## B"), 1);
  assert.match(await read(bank, "progress.md"), /^# Project Progress\n[^]*Decision Made: B\n/);
});

test("all parts of a finalisation are validated before anything is written", async (t) => {
  const { server, bank } = await freshBank(t);
  const before = await read(bank, "decision-log.md");
  for (const part of [{ decision: { title: "x" } }, { progressEntry: {} }, { progressEntry: { type: "poem", summary: "s" } }]) {
    await server.fails("finalize_thinking_session", { summary: "s", ...part });
  }
  for (const file of await readdir(bank)) {
    if (file.endsWith(".md")) assert.ok(!(await read(bank, file)).includes("undefined"), file);
  }
  assert.equal(await read(bank, "decision-log.md"), before);
});

test("backups stay beside the bank", async (t) => {
  const { server, project } = await freshBank(t);
  for (const backupDir of ["../esc", "/proc/nope", "/tmp"]) {
    const reply = await server.tool("create_backup", { backupDir }).catch((error) => ({ isError: true, text: error.message }));
    assert.ok(reply.isError, `${backupDir}: ${reply.text}`);
  }
  assert.deepEqual((await readdir(project)).filter((name) => name.includes("backup")), []);
});

test("times are UTC in every time zone of the host", async (t) => {
  const { server, bank } = await freshBank(t, [], { env: { TZ: "Asia/Tokyo" } });
  const hours = [new Date()];
  await server.ok("add_session_note", { note: "n" });
  await server.ok("add_progress_entry", { type: "fix", summary: "s" });
  hours.push(new Date());
  const either = (text) => text.includes(" UTC]") && hours.some((date) => text.includes(date.toISOString().slice(11, 16)));
  const note = (await read(bank, "active-context.md")).split("\n").find((line) => line.endsWith(" n"));
  const heading = (await read(bank, "progress.md")).split("\n").find((line) => line.startsWith("### ["));
  assert.ok(either(note), note);
  assert.ok(either(heading), heading);
});

test("an unknown category is refused", async (t) => {
  const { server, bank } = await freshBank(t);
  assert.match(await server.fails("add_session_note", { note: "n", category: "zzz" }), /observation.*blocker/);
  assert.ok(!(await read(bank, "active-context.md")).includes("undefined"));
});

test("a link to a file outside is not read", async (t) => {
  const { server, bank } = await freshBank(t);
  await symlink("/etc/hostname", join(bank, "link.md"));
  await server.fails("read_memory_bank_file", { filename: "link.md" });
});

test("a list can be cleared", async (t) => {
  const { server } = await freshBank(t);
  await server.ok("update_active_context", { tasks: [], clear: true });
  assert.deepEqual((await server.ok("get_context_digest")).json.digest.currentContext.tasks, []);
});

test("a migration names files that it did not move", async (t) => {
  const project = await copyOf("original-old-names", t);
  const server = await serverOn(project, t);
  assert.match((await server.ok("migrate_file_naming")).text, /3 files migrated\.[^]*decisionLog\.md/);
  const empty = await serverOn(await emptyFolder(t), t);
  assert.match(await empty.fails("migrate_file_naming"), /Memory Bank directory not found\./);
});

test("a folder with the bank's name that is not a bank is not used", async (t) => {
  const project = await emptyFolder(t);
  await mkdir(join(project, "memory-bank"));
  const server = await serverOn(project, t);
  assert.match(await server.fails("get_memory_bank_status"), /Memory Bank not found/);
});
