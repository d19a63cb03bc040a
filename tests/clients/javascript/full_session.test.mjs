// One working session with every tool, on a folder of the TypeScript server. The steps build on each other; at the end every
// listed tool was called, and files that the session did not change are identical byte for byte.

import assert from "node:assert/strict";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { sentOnce } from "./lib/every_tool.mjs";
import { copyOf, CORE_FILES, emptyFolder, read, serverOn, write } from "./lib/project.mjs";

/** The bullets under a level-2 heading. */
function bullets(text, heading) {
  const lines = text.split("\n");
  const start = lines.indexOf(`## ${heading}`);
  assert.notEqual(start, -1, `## ${heading} is in:
${text}`);
  const end = lines.findIndex((line, n) => n > start && /^#{1,2} /.test(line));
  return lines.slice(start + 1, end < 0 ? undefined : end).filter((line) => line.startsWith("- ")).map((line) => line.slice(2));
}

test("a session with every tool on a folder of the TypeScript server", async (t) => {
  const project = await copyOf("original-project", t);
  const bank = join(project, "memory-bank");
  const before = Object.fromEntries(
    await Promise.all(["product-context.md", "system-patterns.md", "api-endpoints.json"].map(async (f) => [f, await read(bank, f)])),
  );
  const server = await serverOn(project, t, ["--username", "Alice"]);
  const called = new Set();
  const call = async (name, args) => {
    called.add(name);
    return server.ok(name, args);
  };
  const json = async (name, args) => {
    const reply = await call(name, args);
    sentOnce(reply.result, name);
    return reply.json;
  };
  const step = async (name, body) => assert.ok((await t.test(name, body)) === undefined);

  await step("it selects the bank", async () => {
    assert.match((await call("get_instructions")).text, /^# /);
    assert.equal((await json("get_memory_bank_status")).isComplete, true);
    assert.match((await call("list_memory_bank_files")).text, /^Files in Memory Bank:\n/);
    const debug = (await call("debug_mcp_config", { verbose: true })).text;
    assert.match(debug, /^MCP Configuration Debug Information:\n/);
    assert.ok(!debug.includes(process.env.PATH), "no value of the environment is shown");
    const config = JSON.parse(debug.slice(debug.indexOf("\n")));
    assert.equal(config.memoryBank.directory, bank);
    assert.equal(config.mode.name, "code");
  });

  await step("it reads the bank", async () => {
    const { bundle, metadata } = await json("get_context_bundle");
    assert.deepEqual(Object.keys(bundle), CORE_FILES);
    assert.equal(metadata.filesLoaded, 5);
    assert.equal(bundle["system-patterns.md"].etag, "35d505cf34f5c92a");
    const { digest } = await json("get_context_digest", { maxProgressEntries: 3, maxDecisions: 2, includeSystemPatterns: true });
    assert.equal(digest.recentProgress.length, 3);
    assert.equal(digest.recentDecisions.length, 2);
    assert.match(digest.systemPatterns, /# System Patterns/);
    const { results } = await json("batch_read_files", { files: ["payments.md", "größe & maße.md", "payments.md", "none.md"] });
    assert.deepEqual(Object.keys(results), ["payments.md", "größe & maße.md", "none.md"]);
    assert.ok(results["größe & maße.md"].content.startsWith("\ufeff# Größen"), "a byte order mark is kept");
    const bare = await call("read_memory_bank_file", { filename: "payments.md", includeEtag: false });
    assert.equal(bare.text, await read(bank, "payments.md"), "only the content is returned, as requested");
  });

  await step("it searches", async () => {
    const { query, results, metadata: about } = await json("search_memory_bank", { query: "retries webhook", maxResults: 5 });
    assert.equal(query, "retries webhook");
    assert.equal(results[0].file, "payments.md");
    assert.equal(results[0].content, "The provider retries a webhook for three days.");
    assert.equal(results[0].line, 5);
    assert.ok(results[0].context.includes(results[0].content));
    assert.ok(about.filesSearched.includes("payments.md"), "documents beyond the core files are searched");
    const all = await json("search_memory_bank", { query: "Milestone", files: ["progress.md"], maxResults: 100 });
    assert.equal(all.metadata.truncated, false);
    const exact = await json("search_memory_bank", { query: "Milestone", files: ["progress.md"], maxResults: all.results.length });
    assert.equal(exact.metadata.truncated, false, "a result of exactly the limit is not truncated");
  });

  await step("it writes with etags", async () => {
    const { etag } = (await json("read_memory_bank_file", { filename: "payments.md" }));
    const written = await json("write_memory_bank_file", { filename: "payments.md", content: "c", ifMatchEtag: etag });
    assert.equal(written.etag, "2e7d2c03a9507ae2");
    const stale = await server.tool("write_memory_bank_file", { filename: "payments.md", content: "d", ifMatchEtag: etag });
    assert.ok(stale.isError);
    assert.deepEqual([stale.json.error, stale.json.expectedEtag, stale.json.currentEtag], ["ETAG_MISMATCH", etag, "2e7d2c03a9507ae2"]);
    const missing = await server.tool("write_memory_bank_file", { filename: "none.md", content: "d", ifMatchEtag: etag });
    assert.equal(missing.json.error, "FILE_NOT_FOUND");
    const both = await json("batch_write_files", {
      files: [
        { filename: "one.md", content: "1" },
        { filename: "payments.md", content: "x", ifMatchEtag: etag },
        { filename: "two.md", content: "2" },
      ],
    });
    assert.deepEqual([both.metadata.requested, both.metadata.failed], [3, 1]);
    assert.match(both.results["payments.md"].error, /^ETag mismatch: expected/);
    assert.equal(await read(bank, "two.md"), "2");
    assert.equal(await read(bank, "payments.md"), "c");
  });

  await step("it edits, renames and deletes without rewriting", async () => {
    const text = "# Runbook\r\n\r\n## Outage\r\n\r\nCall the provider.\r\n\r\n## Recovery\r\n\r\nReplay the events.\r\n";
    await write(join(bank, "runbook.md"), text);
    const { etag } = await json("read_memory_bank_file", { filename: "runbook.md" });
    const edited = await call("edit_memory_bank_file", {
      filename: "runbook.md",
      ifMatchEtag: etag,
      edits: [{ op: "replace", old: "Call the provider.", new: "Ring the provider." }],
    });
    assert.equal(await read(bank, "runbook.md"), text.replace("Call", "Ring"));
    assert.match(edited.text, /Ring the provider/);
    await call("rename_memory_bank_file", { filename: "runbook.md", newFilename: "outage.md" });
    assert.ok(!(await readdir(bank)).includes("runbook.md"));
    await call("delete_memory_bank_file", { filename: "outage.md" });
    assert.ok(!(await readdir(bank)).includes("outage.md"));
    await server.fails("delete_memory_bank_file", { filename: "progress.md" });
    assert.ok((await readdir(bank)).includes("progress.md"));
  });

  await step("it records progress and notes in existing sections", async () => {
    const progress = await read(bank, "progress.md");
    assert.equal(
      (await call("track_progress", { action: "Did", description: "the runbook" })).text,
      "Progress tracked: Did - the runbook",
    );
    const entry = await json("add_progress_entry", {
      type: "feature", summary: "Vouchers", details: "Two kinds.", files: ["a.ts", "b.ts"], tags: ["x", "y"],
    });
    assert.match(entry.entryId, /^p_\d{4}-\d\d-\d\d_[0-9a-z]+$/);
    const after = await read(bank, "progress.md");
    assert.match(after, /## Update History\n+### \[[^\]]+ UTC\] \[Alice\] - ✨ Feature: Vouchers\n<!-- ID: p_[^>]+ -->\n/);
    assert.match(after, /- \[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\] \[Alice\] - Did: the runbook\n/);
    assert.ok(after.includes("**Affected files:**\n- `a.ts`\n- `b.ts`\n"));
    assert.ok(after.includes("**Tags:** `x`, `y`"));
    for (const line of progress.split("\n")) assert.ok(after.includes(line), `kept: ${line}`);
    const unchanged = await read(bank, "active-context.md");
    await call("track_progress", { action: "Did", description: "in silence", updateActiveContext: false });
    assert.equal(await read(bank, "active-context.md"), unchanged, "the flag is honoured");
    const note = await json("add_session_note", { note: "keys arrived", category: "blocker" });
    assert.equal(note.category, "blocker");
    const notes = await read(bank, "active-context.md");
    assert.equal(notes.split(/^## .*Session Notes$/m).length, 3, "no third section of notes");
    assert.match(notes, / UTC\] \[Alice\] - 🚧 Blocker: keys arrived\n/);
  });

  await step("it edits the task list without losing other lines", async () => {
    const old = await read(bank, "active-context.md");
    const first = await json("update_tasks", { add: ["Test the vouchers", "let the checkout accept vouchers"] });
    assert.deepEqual([first.changes.added, first.changes.removed, first.changes.replaced], [1, 0, false]);
    const second = await json("update_tasks", { remove: ["slot calculation", ""], add: ["Ship it"] });
    assert.equal(second.changes.removed, 1);
    const text = await read(bank, "active-context.md");
    assert.equal(text.split("\n").filter((line) => line === "# Current Context").length, 1);
    for (const heading of ["Known Issues", "Next Steps", "Current Session Notes"]) {
      assert.deepEqual(bullets(text, heading), bullets(old, heading), heading);
    }
    assert.ok(text.includes("- Ship it\n"));
    await call("update_active_context", { issues: ["Only this"], nextSteps: [], clear: true });
    const changed = await read(bank, "active-context.md");
    assert.deepEqual(bullets(changed, "Known Issues"), ["Only this"]);
    assert.deepEqual(bullets(changed, "Next Steps"), [], "a list is emptied by an explicit word");
  });

  await step("it records decisions and thoughts", async () => {
    const log = await read(bank, "decision-log.md");
    const reply = await call("log_decision", {
      title: "Vouchers are single use", context: "Fraud", decision: "One order each", alternatives: ["Many"], consequences: [],
    });
    assert.equal(reply.text, "Decision logged: Vouchers are single use");
    const longer = await read(bank, "decision-log.md");
    assert.ok(longer.startsWith(log), "what was there stays");
    assert.match(longer.slice(log.length), /^\n## Vouchers are single use\n- \*\*Date:\*\* .*\n- \*\*Author:\*\* Alice\n/);
    const thought = await json("sequential_thinking", {
      thought: "t", nextThoughtNeeded: true, thoughtNumber: 2, totalThoughts: 1, sessionId: "story",
    });
    assert.deepEqual([thought.totalThoughts, thought.thoughtHistoryLength, thought.sessionId], [2, 1, "story"]);
    const branch = await json("sequential_thinking", {
      thought: "t", nextThoughtNeeded: false, thoughtNumber: 3, totalThoughts: 3, sessionId: "story",
      branchFromThought: 2, branchId: "__proto__",
    });
    assert.deepEqual(branch.branches, ["__proto__"], "a name like any other");
    const end = await json("finalize_thinking_session", {
      summary: "Vouchers thought through",
      decision: { title: "Voucher codes have 12 signs", context: "Guessing", decision: "Base 32" },
      tasks: { add: ["Print vouchers"] },
      nextSteps: ["Ask the branches"],
      progressEntry: { type: "docs", summary: "Voucher page" },
      sessionId: "story",
    });
    assert.equal(end.success, true);
    assert.equal(end.actions.length, 5);
    assert.match(await read(bank, "decision-log.md"), /\n\n## .*Voucher codes have 12 signs\n/, "a blank line before the heading");
    assert.match(await read(bank, "progress.md"), /📚 Docs: Voucher page\n/, "the sister tool's labels");
    assert.deepEqual(bullets(await read(bank, "active-context.md"), "Next Steps"), ["Ask the branches"]);
    assert.ok((await read(bank, "active-context.md")).includes("- Print vouchers\n"));
  });

  await step("it switches modes and updates the bank, with the trigger of the TypeScript server", async () => {
    assert.equal((await call("switch_mode", { mode: "ask" })).text, "Successfully switched to mode ask.");
    await server.fails("switch_mode", { umb: true, umbCommand: "plumber" });
    assert.match((await call("switch_mode", { umb: true, umbCommand: "update memory bank" })).text, /^\[MEMORY BANK: UPDATING\] UMB mode activated/);
    assert.match((await call("switch_mode")).text, /^Current mode: ask\nMemory Bank status: ACTIVE\nUMB mode active: Yes$/);
    assert.match((await call("switch_mode", { umb: false })).text, /^\[MEMORY BANK: ACTIVE\] UMB mode deactivated/);
  });

  await step("it reads the graph of the TypeScript server, unusual timestamps included", async () => {
    const { stats } = await json("graph_maintain", { operation: "stats" });
    assert.deepEqual([stats.entityCount, stats.observationCount, stats.relationCount], [6, 7, 2]);
    const opened = await json("graph_open_nodes", { nodes: ["Order Database"] });
    const of = (name) => opened.entities.find((entity) => entity.name === name);
    assert.equal(of("Order Database").id, "ent_KQHGn9GajpdL");
    assert.deepEqual(
      opened.observations.filter(({ entityId }) => entityId === "ent_KQHGn9GajpdL").map(({ timestamp }) => timestamp).sort(),
      ["1", "2020"],
    );
    assert.equal(of("Checkout Service").attrs.docPath, "system-patterns.md");
    const words = await json("graph_search", { query: "dump nightly" });
    assert.deepEqual(words.entities.map(({ name }) => name), ["Order Database"], "words in any order, by a fact");
    assert.match(await server.fails("graph_open_nodes", { nodes: ["ent_missing"] }), /ent_missing/);
    await server.fails("graph_search", { query: "*", storeId: "nobody" });
  });

  await step("it adds to the graph and deletes from it", async () => {
    const { entity } = await json("graph_upsert_entity", { name: "Rust", entityType: "lang", attrs: { since: 2015 } });
    assert.equal(entity.id, "ent_uJwUBCqjVyWo");
    await json("graph_upsert_entity", { name: "Axum", entityType: "lib" });
    const again = await json("graph_upsert_entity", { name: " rust ", entityType: "LANG" });
    assert.deepEqual([again.entity.id, again.entity.attrs], [entity.id, { since: 2015 }], "attributes stay");
    const { observation } = await json("graph_add_observation", {
      entity: "Rust", text: "ts date", timestamp: "2020-01-01T00:00:00.000Z", source: "docs page",
    });
    assert.deepEqual(observation.source, { kind: "manual", ref: "docs page" });
    const batch = await json("graph_batch", { entities: [{ name: "Axum", entityType: "lib" }] });
    assert.deepEqual(batch.existed.entities, 1);
    const { relation } = await json("graph_link_entities", { from: "Axum", relationType: "written-in", to: "Rust" });
    assert.equal(relation.id, "rel_c8-6byqpeOrw");
    const unlinked = await json("graph_link_entities", { from: "Axum", relationType: " WRITTEN-in ", to: "Rust", action: "unlink" });
    assert.deepEqual([unlinked.success, unlinked.removed], [true, true]);
    for (const entityName of ["lph", "   ", "Ru", "Auth"]) {
      await server.fails("graph_delete_entity", { entity: entityName });
    }
    await server.fails("graph_delete_entity", { entity: "Axum", observationId: observation.id });
    await json("graph_delete_entity", { observationId: observation.id });
    assert.match((await json("graph_delete_entity", { entity: "Axum" })).message, /Axum/);
  });

  await step("it links documents to nodes and finds them by a query", async () => {
    await write(join(bank, "payments.md"), "# Payments\n\n## Provider\n\nA webhook is retried for three days.\n\n## Refunds\n\nBy hand.\n");
    const pointer = await json("graph_add_doc_pointer", {
      entityNameOrId: "Payment Gateway", docPath: "payments.md", heading: "Refunds", note: "who makes them",
    });
    assert.equal(pointer.entity, "Payment Gateway");
    assert.equal(pointer.actions.length, 2);
    const pack = await json("get_targeted_context", { query: "who refunds a payment at the gateway?", maxChars: 4000 });
    assert.ok(pack.pointers.some(({ path }) => path === "payments.md"));
    assert.ok(pack.excerpts.some(({ excerpt }) => excerpt.includes("By hand.")));
    const small = await call("get_targeted_context", { query: "checkout", maxChars: 500 });
    assert.ok([...small.text].length <= 500, `${[...small.text].length} characters`);
    await server.fails("graph_add_doc_pointer", { entityNameOrId: "Payment Gateway", docPath: "none.md" });
  });

  await step("it backs up and restores everything, including the graph", async () => {
    const made = await json("create_backup");
    assert.match(made.backupPath, /memory-bank-backup-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z/);
    const { backups } = await json("create_backup", { listOnly: true });
    assert.equal(backups.length, 2);
    assert.equal(backups[0].path, made.backupPath);
    const log = () => read(bank, "graph", "graph.jsonl");
    const entities = () => json("graph_search", { query: "*", limit: 100 });
    const [graph, known] = [await log(), await entities()];
    const progress = await read(bank, "progress.md");
    await call("track_progress", { action: "To be", description: "undone" });
    await call("graph_upsert_entity", { name: "To be undone", entityType: "t" });
    const restored = await json("restore_backup", { backupId: backups[0].id, createPreRestoreBackup: false });
    assert.equal(restored.success, true);
    assert.equal(await read(bank, "progress.md"), progress);
    // The graph is as it was; the log, which is its history, goes on with what the restore changed.
    assert.deepEqual(await entities(), known);
    const [added, removed, ...more] = (await log()).slice(graph.length).trimEnd().split("\n").map(JSON.parse);
    assert.ok((await log()).startsWith(graph));
    assert.deepEqual([added.entity.name, removed.entityId, removed.tool, more.length], ["To be undone", added.entity.id, "restore_backup", 0]);
    const restoredLog = await log();
    const old = await json("restore_backup", { backupId: "memory-bank-backup-2026-11-20T17-45-12-308" });
    assert.ok(old.preRestoreBackupPath);
    assert.equal(await read(bank, "decision-log.md"), "# Decision Log\n");
    assert.equal(await log(), restoredLog, "a backup without a graph leaves the graph");
    await json("restore_backup", { backupId: backups[0].id });
    await server.fails("restore_backup", { backupId: "memory-bank-backup-2020-01-01T00-00-00-000Z" });
  });

  await step("it works with several stores separately", async () => {
    const other = join(await emptyFolder(t), "other");
    await mkdir(other);
    await call("initialize_memory_bank", { path: other });
    await call("write_memory_bank_file", { filename: "x.md", content: "in other" });
    await call("set_memory_bank_path", { path: project });
    await call("write_memory_bank_file", { filename: "x.md", content: "in shop" });
    assert.equal(await read(other, "memory-bank", "x.md"), "in other");
    assert.equal(await read(bank, "x.md"), "in shop");
    const registered = await json("select_store", { action: "register", storeId: "other", path: other });
    assert.equal(registered.store.storeId, "other");
    await json("graph_upsert_entity", { name: "Elsewhere", entityType: "t", storeId: "other" });
    assert.ok((await read(other, "memory-bank", "graph", "graph.jsonl")).includes("Elsewhere"));
    assert.ok(!(await read(bank, "graph", "graph.jsonl")).includes("Elsewhere"));
    const { stores } = await json("list_stores");
    assert.deepEqual(stores.filter(({ isActive }) => isActive).map(({ id }) => id), ["shop"]);
    assert.ok(["shop", "handbook", "other"].every((id) => stores.some((store) => store.id === id)));
    const selected = await json("select_store", { storeId: "other" });
    assert.equal(selected.memoryBankDir, join(other, "memory-bank"));
    assert.equal((await json("read_memory_bank_file", { filename: "x.md" })).content, "in other");
    await json("select_store", { path: project });
    await json("select_store", { action: "unregister", storeId: "other" });
    assert.match(await server.fails("set_memory_bank_path", { path: "/nonexistent" }), /not found/i);
    assert.equal((await json("get_memory_bank_status")).path, bank, "a failed switch changes nothing");
  });

  await step("it migrates old names, and reports what it left", async () => {
    const old = await copyOf("original-old-names", t);
    await call("set_memory_bank_path", { path: old });
    const { text } = await call("migrate_file_naming");
    assert.match(text, /^Migration completed\. 3 files migrated\./);
    assert.match(text, /decisionLog\.md/);
    const names = (await readdir(join(old, "memory-bank"))).filter((name) => !name.startsWith("."));
    assert.deepEqual(names.sort(), [
      "active-context.md", "decision-log.md", "decisionLog.md", "product-context.md", "progress.md", "system-patterns.md",
    ]);
  });

  await step("it has called every tool, and all other text is unchanged", async () => {
    const { tools } = await server.request("tools/list");
    const { versions } = await json("history", {});
    assert.equal((await json("maintain", {})).dryRun, true);
    assert.ok(Array.isArray(versions), JSON.stringify(versions));
    assert.deepEqual(tools.map(({ name }) => name).filter((name) => !called.has(name)), []);
    for (const [file, text] of Object.entries(before)) assert.equal(await read(bank, file), text, file);
    await server.close();
  });
});
