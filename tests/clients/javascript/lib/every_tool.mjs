// A day's work that calls every listed tool once, with real arguments. The caller provides the transport.

import assert from "node:assert/strict";

/** Calls every tool through `call(name, args)`, which returns an SDK's result, and checks the results. */
export async function callEveryTool(call, listed) {
  const called = new Set();
  const run = async (name, args, expected) => {
    called.add(name);
    const result = await call(name, args);
    const text = result.content[0].text;
    assert.notEqual(result.isError ?? result.is_error, true, `${name}: ${text}`);
    assert.match(text, expected, name);
    // Where a tool answers in JSON, the structured content of a small reply is the same; elsewhere it may contain more than
    // the text. A long reply is sent once.
    const json = parsed(text);
    if (json !== undefined) sentOnce(result, name);
    return json ?? text;
  };

  await run("get_instructions", {}, /^# /);
  await run("initialize_memory_bank", { path: "." }, /^Memory Bank initialized at /);
  await run("set_memory_bank_path", {}, /^Memory Bank path set to /);
  await run("debug_mcp_config", {}, /^MCP Configuration Debug Information:/);
  await run("switch_mode", { mode: "architect" }, /architect/);
  await run("write_memory_bank_file", { filename: "größe.md", content: "# Größe\n\nfirst $& line\n" }, /"success":true/);
  const document = await run("read_memory_bank_file", { filename: "größe.md" }, /first \$& line/);
  assert.equal(document.content, "# Größe\n\nfirst $& line\n");
  const edits = [{ op: "replace", old: "first", new: "second" }];
  await run("edit_memory_bank_file", { filename: "größe.md", edits, ifMatchEtag: document.etag }, /größe\.md/);
  await run("rename_memory_bank_file", { filename: "größe.md", newFilename: "maße.md" }, /maße\.md/);
  await run("batch_write_files", { files: [{ filename: "api.md", content: "# API\n\nPOST /orders\n" }] }, /"successful":1/);
  await run("batch_read_files", { files: ["api.md", "maße.md"] }, /second \$& line/);
  await run("list_memory_bank_files", {}, /^Files in Memory Bank:\n[^]*\bapi\.md/);
  await run("delete_memory_bank_file", { filename: "maße.md" }, /maße\.md/);
  const status = await run("get_memory_bank_status", {}, /"isComplete":true/);
  assert.equal(status.coreFilesPresent.length, 5);
  await run("migrate_file_naming", {}, /^Migration completed\. 0 files migrated/);

  await run("add_progress_entry", { type: "feature", summary: "Orders", files: ["api.md"], tags: ["api"] }, /"entryId":"p_/);
  await run("add_session_note", { note: "Asked for the limits", category: "question" }, /"success":true/);
  await run("update_tasks", { add: ["Write the runbook"] }, /Write the runbook/);
  await run("track_progress", { action: "Did", description: "the orders" }, /^Progress tracked: Did - the orders/);
  await run("update_active_context", { issues: ["Slow start"], nextSteps: ["Measure it"] }, /./);
  await run("log_decision", { title: "Use a queue", context: "", decision: "PostgreSQL is the queue" }, /./);
  await run("get_context_bundle", {}, /"filesLoaded":5/);
  const { digest } = await run("get_context_digest", {}, /"recentDecisions"/);
  assert.equal(digest.recentDecisions[0].title, "Use a queue");
  const found = await run("search_memory_bank", { query: "orders" }, /"results"/);
  assert.ok(found.results.some(({ file }) => file === "api.md"), JSON.stringify(found.results));

  await run("graph_upsert_entity", { name: "Order Service", entityType: "service", attrs: { port: 80 } }, /Order Service/);
  await run("graph_upsert_entity", { name: "Queue", entityType: "table" }, /Queue/);
  await run("graph_add_observation", { entity: "Order Service", text: "answers within 40 ms" }, /./);
  const entities = [{ name: "Queue", entityType: "table" }];
  await run("graph_batch", { entities, observations: [{ entity: "Queue", text: "one table" }] }, /"success":true/);
  await run("graph_link_entities", { from: "Order Service", relationType: "reads", to: "Queue" }, /./);
  await run("graph_add_doc_pointer", { entityNameOrId: "Order Service", docPath: "api.md", heading: "API" }, /./);
  const graph = await run("graph_search", { query: "*", limit: 10 }, /"entities"/);
  assert.deepEqual(graph.relations.map(({ from, to }) => [from, to]), [["Order Service", "Queue"]]);
  await run("graph_open_nodes", { nodes: ["Order Service"] }, /answers within 40 ms/);
  await run("get_targeted_context", { query: "how fast is the order service" }, /Order Service/);
  await run("graph_maintain", { operation: "stats" }, /./);
  await run("graph_delete_entity", { entity: "Queue" }, /./);

  const thought = { thought: "Is one table enough?", thoughtNumber: 1, totalThoughts: 1, nextThoughtNeeded: false };
  const { sessionId } = await run("sequential_thinking", thought, /"thoughtNumber":1/);
  await run("finalize_thinking_session", { summary: "One table is enough", sessionId }, /./);
  await run("create_backup", {}, /"success":true/);
  const { backups } = await run("create_backup", { listOnly: true }, /"count":1/);
  await run("write_memory_bank_file", { filename: "api.md", content: "spoiled" }, /"success":true/);
  await run("restore_backup", { backupId: backups[0].id }, /Successfully restored/);
  assert.match((await run("read_memory_bank_file", { filename: "api.md" }, /./)).content, /POST \/orders/);
  const { versions } = await run("history", { filename: "api.md" }, /"kind":"created"/);
  assert.equal(versions[0].tool, "restore_backup");
  await run("history", { action: "show", filename: "api.md", version: versions[1].version }, /spoiled/);
  await run("maintain", {}, /"dryRun":true/);
  const { stores } = await run("list_stores", {}, /"stores"/);
  await run("select_store", { storeId: stores[0].id }, /./);
  assert.deepEqual([...called].sort(), [...listed].sort(), "every listed tool is called");
}

const SMALL = 2048;

/** JSON in a reply is compact, and repeated as structured content only if it is small. */
export function sentOnce(result, name) {
  const { text } = result.content[0];
  const value = JSON.parse(text);
  assert.ok(!/^[{[]\s|\n/.test(text), `${name}: ${text.slice(0, 100)}`);
  const structured = result.structuredContent ?? result.structured_content;
  if (Buffer.byteLength(text) < SMALL) assert.deepEqual(structured, value, name);
  else assert.equal(structured, undefined, `${name} is sent twice`);
}

function parsed(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" ? value : undefined;
  } catch {
    return undefined;
  }
}
