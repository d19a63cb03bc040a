// Arguments as models send them: unambiguous ones are normalised, others are refused with advice, and an unknown argument
// never makes a tool delete or overwrite.

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { freshBank, read, write } from "./lib/project.mjs";

/** Every file of a bank with its text, but for the records of its history, which are sealed with times in them. */
async function contents(bank) {
  const names = (await readdir(bank, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const paths = names
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((path) => !path.includes(join(".mbmcp", "history")))
    .sort();
  return Object.fromEntries(await Promise.all(paths.map(async (path) => [path, await read(path)])));
}

/** The reply to a call on a bank of its own, without what differs from call to call, and the bank after it. */
async function effect(t, calls) {
  const { server, bank } = await freshBank(t);
  const replies = [];
  for (const [name, args] of calls) {
    const reply = await server.tool(name, args);
    assert.ok(!reply.isError, `${name} ${JSON.stringify(args)}: ${reply.text}`);
    replies.push(reply.text);
  }
  const texts = Object.values(await contents(bank)).concat(replies);
  const same = (text) =>
    text
      .replace(/\d{4}-\d{2}-\d{2}T[\d:.]+Z/g, "TIME")
      .replace(/\[?\d{4}-\d{2}-\d{2}[ \d:APM]*\]?/g, "DAY")
      .replace(/\b(?:p|obs)_[\w-]+/g, "ID")
      .replace(/[0-9a-f]{16}/g, "ETAG")
      .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "UUID");
  await server.close();
  return texts.map(same);
}

const ENTITY = ["graph_upsert_entity", { name: "A", entityType: "t" }];

for (const [what, before, name, sent, meant] of [
  ["a list as JSON text", [], "update_tasks", { add: '["write the tests"]' }, { add: ["write the tests"] }],
  ["lists as JSON text", [], "add_progress_entry", { type: "fix", summary: "s", tags: '["a","b"]', files: ' ["x.rs"]\n' }, { type: "fix", summary: "s", tags: ["a", "b"], files: ["x.rs"] }],
  ["a required list as JSON text", [], "batch_read_files", { files: '["progress.md"]' }, { files: ["progress.md"] }],
  ["alternatives as JSON text", [], "log_decision", { title: "t", context: "c", decision: "d", alternatives: '["x","y"]' }, { title: "t", context: "c", decision: "d", alternatives: ["x", "y"] }],
  ["nodes as JSON text", [ENTITY], "graph_open_nodes", { nodes: '["A"]' }, { nodes: ["A"] }],
  ["an empty list as JSON text", [], "update_tasks", { add: ["a"], replace: "[]" }, { add: ["a"] }],
  ["a text for a list", [], "update_tasks", { add: "write the tests" }, { add: ["write the tests"] }],
  ["a text that looks like a checkbox", [], "update_tasks", { add: "[x] do it" }, { add: ["[x] do it"] }],
  ["a text in brackets", [], "update_tasks", { add: "[WIP] tidy up [soon]" }, { add: ["[WIP] tidy up [soon]"] }],
  ["a text for consequences", [], "log_decision", { title: "t", context: "c", decision: "d", consequences: "slower builds" }, { title: "t", context: "c", decision: "d", consequences: ["slower builds"] }],
  ["a name for a list of names", [ENTITY], "graph_open_nodes", { nodes: "A" }, { nodes: ["A"] }],
  ["an object as JSON text", [], "graph_upsert_entity", { name: "B", entityType: "t", attrs: '{"lang":"rust"}' }, { name: "B", entityType: "t", attrs: { lang: "rust" } }],
  ["null in an object as JSON text", [["graph_upsert_entity", { name: "A", entityType: "t", attrs: { a: 1, b: 2 } }]], "graph_upsert_entity", { name: "A", entityType: "t", attrs: '{"a":null}' }, { name: "A", entityType: "t", attrs: { a: null } }],
  ["edits as JSON text, with type for op", [], "edit_memory_bank_file", { filename: "progress.md", edits: '[{"type":"append","heading":"Update History","text":"- x"}]' }, { filename: "progress.md", edits: [{ op: "append", heading: "Update History", text: "- x" }] }],
  ["names of other editors", [["write_memory_bank_file", { filename: "n.md", content: "a b\n" }]], "edit_memory_bank_file", { file_path: "n.md", edits: [{ op: "replace", old_string: " b", newText: "" }] }, { filename: "n.md", edits: [{ op: "replace", old: " b", new: "" }] }],
  ["names for a list of names", [], "batch_read_files", { filenames: "progress.md" }, { files: ["progress.md"] }],
  ["one edit for a list", [], "edit_memory_bank_file", { file: "progress.md", edits: { op: "Append", heading: "Update History", text: "- x" } }, { filename: "progress.md", edits: [{ op: "append", heading: "Update History", text: "- x" }] }],
  ["files of a batch as JSON text", [], "batch_write_files", { files: '[{"path":"n.md","content":"x"}]', stop_on_error: "true" }, { files: [{ filename: "n.md", content: "x" }], stopOnError: true }],
  ["items of a batch as JSON text", [], "batch_write_files", { files: ['{"file_name":"n.md","content":"{}"}'] }, { files: [{ filename: "n.md", content: "{}" }] }],
  ["parts of an outcome as JSON text", [], "finalize_thinking_session", { summary: "s", decision: '{"title":"t","context":"","decision":"d","alternatives":"x"}', next_steps: "rest", progressEntry: '{"type":"Fix","summary":"p"}', tasks: '{"add":"one"}' }, { summary: "s", decision: { title: "t", context: "", decision: "d", alternatives: ["x"] }, nextSteps: ["rest"], progressEntry: { type: "fix", summary: "p" }, tasks: { add: ["one"] } }],
  ["a source as JSON text", [ENTITY], "graph_add_observation", { entity: "A", text: "f", source: '{"kind":"tool","ref":"r"}' }, { entity: "A", text: "f", source: { kind: "tool", ref: "r" } }],
  ["a number as text", [ENTITY], "graph_search", { query: "*", limit: " 5 " }, { query: "*", limit: 5 }],
  ["a number in another notation", [ENTITY], "graph_search", { query: "*", limit: "1e2" }, { query: "*", limit: 100 }],
  ["numbers and flags as text", [], "get_targeted_context", { query: "progress", max_chars: "900", preferActiveContext: "False" }, { query: "progress", maxChars: 900, preferActiveContext: false }],
  ["a flag as text", [], "track_progress", { action: "a", description: "b", updateActiveContext: "false " }, { action: "a", description: "b", updateActiveContext: false }],
  ["snake case", [], "read_memory_bank_file", { file_name: "progress.md", include_etag: false }, { filename: "progress.md", includeEtag: false }],
  ["path for filename", [], "read_memory_bank_file", { path: "progress.md" }, { filename: "progress.md" }],
  ["file for filename, null beside it", [], "read_memory_bank_file", { file: "progress.md", filename: null, path: "" }, { filename: "progress.md" }],
  ["both names with one value", [], "read_memory_bank_file", { file: "progress.md", filename: "progress.md" }, { filename: "progress.md" }],
  ["a word in capitals", [], "add_progress_entry", { type: "Feature", summary: "s" }, { type: "feature", summary: "s" }],
  ["a word in capitals for a note", [], "add_session_note", { note: "n", category: "TODO" }, { note: "n", category: "todo" }],
  ["a mode in capitals", [], "switch_mode", { mode: "Ask" }, { mode: "ask" }],
  ["an empty category", [], "add_session_note", { note: "n", category: "" }, { note: "n" }],
  ["an empty etag of a new document", [], "write_memory_bank_file", { filename: "n.md", content: "x", ifMatchEtag: "" }, { filename: "n.md", content: "x" }],
  ["an empty etag of a document", [], "write_memory_bank_file", { filename: "progress.md", content: "x", ifMatchEtag: "" }, { filename: "progress.md", content: "x" }],
  ["an empty etag in a batch", [], "batch_write_files", { files: [{ filename: "progress.md", content: "x", if_match_etag: "" }] }, { files: [{ filename: "progress.md", content: "x" }] }],
  ["an empty store", [], "graph_upsert_entity", { name: "A", entityType: "t", storeId: "" }, { name: "A", entityType: "t" }],
  ["an empty list of files", [], "search_memory_bank", { query: "progress", files: [] }, { query: "progress" }],
  ["an empty heading and note", [ENTITY], "graph_add_doc_pointer", { entityNameOrId: "A", path: "progress.md", heading: "", note: "" }, { entityNameOrId: "A", docPath: "progress.md" }],
  ["an empty content", [], "write_memory_bank_file", { filename: "n.md", content: "" }, { filename: "n.md", content: "" }],
  ["a content that is JSON", [], "write_memory_bank_file", { filename: "n.md", content: '["a"]', ifMatchEtag: null }, { filename: "n.md", content: '["a"]' }],
  ["an empty new text", [["write_memory_bank_file", { filename: "n.md", content: "a b\n" }]], "edit_memory_bank_file", { filename: "n.md", edits: [{ op: "replace", old: " b", new: "" }] }, { filename: "n.md", edits: [{ op: "REPLACE", old: " b", new: "" }] }],
]) {
  test(`${what} is accepted: ${name} ${JSON.stringify(sent)}`, async (t) => {
    assert.deepEqual(await effect(t, [...before, [name, sent]]), await effect(t, [...before, [name, meant]]));
  });
}

test("a backup folder that is empty or the bank itself means the default", async (t) => {
  const { server } = await freshBank(t);
  await server.ok("create_backup", { backupDir: "" });
  assert.equal((await server.ok("create_backup", { listOnly: "true" })).json.metadata.count, 1);
});

test("texts are written unchanged, whatever they contain", async (t) => {
  const { server, bank } = await freshBank(t);
  for (const content of ['{"a":1}', "[]", "true", "5", "null", " ", '"x"', "{ not json", '[["a"]]']) {
    await server.ok("write_memory_bank_file", { filename: "n.md", content });
    assert.equal(await read(bank, "n.md"), content);
  }
  await server.fails("write_memory_bank_file", { filename: "n.md", content: { a: 1 } });
  await server.fails("write_memory_bank_file", { filename: "n.md", content: 5 });
});

test("extra arguments of a host are ignored and listed in text and structured content", async (t) => {
  const { server, bank } = await freshBank(t);
  for (const [name, args, ignored] of [
    ["track_progress", { action: "a", description: "b", toolCallId: "x1", sessionId: "s" }, ["toolCallId", "sessionId"]],
    ["list_memory_bank_files", { random_string: "dummy" }, ["random_string"]],
    ["list_memory_bank_files", { _meta: {} }, ["_meta"]],
    ["get_memory_bank_status", { explanation: "why" }, ["explanation"]],
    ["get_context_digest", { sessionId: "x", action: "sendMessage", chatInput: "hi", toolCallId: "c" }, ["sessionId", "action", "chatInput", "toolCallId"]],
    ["get_instructions", { requestHeartbeat: true }, ["requestHeartbeat"]],
    ["get_current_mode", { random_string: "" }, ["random_string"]],
    ["list_stores", { __proto__: null, ["__proto__"]: { a: 1 }, constructor: 1 }, ["__proto__", "constructor"]],
    ["search_memory_bank", { query: "progress", task_progress: "- [ ] x" }, ["task_progress"]],
    ["log_decision", { title: "t", context: "", decision: "d", rationale: "r" }, ["rationale"]],
    ["graph_upsert_entity", { name: "A", entityType: "t", observations: ["x"] }, ["observations"]],
  ]) {
    const reply = await server.ok(name, args);
    // A long reply has no data beside its text.
    if (reply.structured) assert.deepEqual(reply.structured.ignoredArguments, ignored, `${name}: ${reply.text}`);
    for (const one of ignored) assert.ok(reply.text.includes(one), `${name}: ${reply.text}`);
    if (reply.text.startsWith("{")) assert.deepEqual(reply.json.ignoredArguments, ignored);
  }
  assert.match(await read(bank, "progress.md"), /- a: b\n/);
  // The text of a document is unchanged; the note is in a separate block.
  const { content } = await server.request("tools/call", {
    name: "read_memory_bank_file", arguments: { filename: "progress.md", includeEtag: false, why: "x" },
  });
  assert.equal(content[0].text, await read(bank, "progress.md"));
  assert.match(content[1].text, /why/);
  // A value is never repeated, and not every name.
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`x${n}`, "the secret"]));
  const { text } = await server.ok("list_stores", { ...many, mbmcp_live_0123456789abcdef: 1, ["y".repeat(5000)]: 1 });
  assert.ok(!text.includes("the secret") && !text.includes("mbmcp_") && text.length < 2000, text);
  assert.match(await server.fails("log_decision", { title: "t", decision: "d", reason: "r" }), /`context` is required[^]*reason/);
});

test("an unknown argument stops every call that may destroy data", async (t) => {
  const { server, bank } = await freshBank(t);
  // By the tool: a document from outside is noted in the history in the background, which changes files of the bank.
  await server.ok("write_memory_bank_file", { filename: "note.md", content: "# Note\n\nkept\n" });
  await server.ok("graph_upsert_entity", { name: "Alpha", entityType: "t" });
  const { observation } = (await server.ok("graph_add_observation", { entity: "Alpha", text: "a fact" })).json;
  await server.ok("graph_upsert_entity", { name: "Beta", entityType: "t" });
  await server.ok("graph_link_entities", { from: "Alpha", relationType: "r", to: "Beta" });
  await server.ok("update_tasks", { add: ["one", "two"] });
  const { backupId } = (await server.ok("create_backup")).json;
  const before = await contents(bank);
  for (const [name, args] of [
    ["graph_delete_entity", { entity: "Alpha", observatonId: observation.id }],
    ["graph_delete_entity", { entity: "Alpha", observation: observation.id }],
    ["graph_delete_entity", { entity: "Alpha", observationId: observation.id, observation_id: "obs_other" }],
    ["graph_delete_entity", { entity: "Alpha", observation_id: "" }],
    ["graph_delete_entity", { entity: "Alpha", id: null }],
    ["graph_delete_entity", { entity: "Alpha", __proto__: null, ["__proto__"]: { observationId: "x" } }],
    ["graph_delete_observation", { entity: "Alpha", observationID: "" }],
    ["graph_delete_observation", { entity: "Alpha", observation: observation.id }],
    ["write_memory_bank_file", { filename: "note.md", content: "x", ifMatchETagg: "aa" }],
    ["write_memory_bank_file", { filename: "note.md", content: "x", etag: "aa" }],
    ["write_memory_bank_file", { filename: "note.md", content: "x", if_match: "aa" }],
    ["write_memory_bank_file", { filename: "note.md", path: "other.md", content: "x" }],
    ["write_memory_bank_file", { filename: "note.md", content: "x", append: true }],
    ["batch_write_files", { files: [{ filename: "note.md", content: "x", etag: "aa" }] }],
    ["batch_write_files", { files: '[{"filename":"note.md","content":"x","etag":"aa"}]' }],
    ["batch_write_files", { files: '[{"filename":"note.md","content":"x","ifMatchEtag":"aa","ifMatchEtag":""}]' }],
    ["batch_write_files", { files: [{ filename: "note.md", content: "x" }], dryRun: true }],
    ["edit_memory_bank_file", { filename: "note.md", edits: [{ op: "replace", old: "kept", new: "", all: false }] }],
    ["edit_memory_bank_file", { filename: "note.md", edits: [{ op: "append", type: "replace_section", heading: "Note", text: "" }] }],
    ["delete_memory_bank_file", { filename: "note.md", etag: "aa" }],
    ["delete_memory_bank_file", { filename: "note.md", ifMatchEtag: "" }],
    ["delete_memory_bank_file", { path: "note.md", file: "other.md" }],
    ["rename_memory_bank_file", { filename: "note.md", newFilename: "b.md", etag: "aa" }],
    ["update_tasks", { replace: ["x"], dryRun: true }],
    ["update_tasks", { clear: "true", list: "issues" }],
    ["update_tasks", { replace: "['a', 'b']" }],
    ["update_active_context", { tasks: ["x"], mode: "append" }],
    ["graph_link_entities", { from: "Alpha", relationType: "r", to: "Beta", action: "unlink", id: "x" }],
    ["graph_unlink_entities", { from: "Alpha", relationType: "r", to: "Beta", store: "other" }],
    ["graph_maintain", { operation: "compact", dry_run: "true" }],
    ["graph_compact", { dryRun: true }],
    ["restore_backup", { backupId, files: ["note.md"] }],
    ["finalize_thinking_session", { summary: "s", tasks: { replace: ["x"], onlyIf: "y" } }],
    ["finalize_thinking_session", { summary: "s", toolCallId: "x" }],
    ["sequential_thinking", { reset: true, session: "s1" }],
    ["reset_sequential_thinking", { sesionId: "s1" }],
  ]) {
    const text = await server.fails(name, args);
    assert.match(text, /unknown argument|two values|is empty|is required|must be/, `${name} ${JSON.stringify(args)}: ${text}`);
    assert.deepEqual(await contents(bank), before, `${name} ${JSON.stringify(args)}`);
  }
});

test("a missing argument is named with its type and an example", async (t) => {
  const { server } = await freshBank(t);
  for (const [name, args, text] of [
    ["read_memory_bank_file", {}, /^Filename not specified: `filename` is required and is missing; it takes a string, for example \{"filename":"progress\.md"\}/],
    ["initialize_memory_bank", { path: "" }, /^Path not specified: `path` is required and is empty/],
    ["log_decision", { title: "t", decision: "d" }, /^`context` is required and is missing; it takes a string, for example \{"context":/],
    ["log_decision", { context: null, decision: "d" }, /^`title` is required and is missing.*`context` is required and is null/],
    ["add_progress_entry", { summary: "s" }, /^`type` is required and is missing; it takes one of feature, fix/],
    ["graph_upsert_entity", { name: "x" }, /^`entityType` is required/],
    ["graph_link_entities", { from: "a", to: "b" }, /^`relationType` is required/],
    ["graph_add_observation", { entity: "a" }, /^`text` is required/],
    ["graph_add_doc_pointer", { docPath: "progress.md" }, /^`entityNameOrId` is required/],
    ["edit_memory_bank_file", { filename: "progress.md" }, /`edits` is required and is missing; it takes an array of objects, for example \{"edits":\[\{"op":"append"/],
    ["edit_memory_bank_file", { filename: "progress.md", edits: [{ op: "replace", old: "x" }] }, /^`edits\[0\]`: missing field `new`; replace takes `old`, `new`.* for example \{/],
    ["batch_write_files", { files: [{ filename: "a.md" }] }, /^`files\[0\]\.content` is required/],
    ["sequential_thinking", { thought: "x" }, /^missing: `nextThoughtNeeded`, `thoughtNumber`, `totalThoughts`; for example \{/],
    ["select_store", { action: "Register", storeId: "x" }, /^register needs `path`, for example \{/],
    ["update_tasks", { add: [1] }, /^`add\[0\]` must be a string, got 1; for example \{"add":\["write the tests"\]\}/],
    ["add_progress_entry", { type: "bugfix", summary: "s" }, /^`type` must be one of feature, fix, .*, got the string "bugfix"; for example/],
  ]) {
    const reply = await server.tool(name, args);
    assert.ok(reply.isError, `${name}: ${reply.text}`);
    assert.match(reply.text, text);
  }
});

test("secrets and huge values are not echoed", async (t) => {
  const { server } = await freshBank(t);
  const secrets = ["mbmcp_live_0123456789abcdef", "sk-ant-0123456789", "my password is hunter2", "x".repeat(900_000)];
  for (const secret of secrets) {
    for (const [name, args] of [
      ["add_session_note", { note: "n", category: secret }],
      ["graph_search", { query: "*", limit: secret }],
      ["graph_upsert_entity", { name: "A", entityType: "t", attrs: secret }],
      ["track_progress", { action: "a", description: "b", updateActiveContext: secret }],
      ["edit_memory_bank_file", { filename: "progress.md", edits: secret }],
      ["edit_memory_bank_file", { filename: "progress.md", edits: [secret] }],
      ["graph_maintain", { operation: secret }],
    ]) {
      const text = await server.fails(name, args);
      assert.ok(!text.includes(secret.slice(0, 60)) && text.length < 700, `${name}: ${text.slice(0, 900)}`);
    }
  }
  for (const name of ["mbmcp_live_0123456789abcdef", "x".repeat(5000)]) {
    const text = await server.fails("graph_maintain", { operation: "stats", [name]: 1 });
    assert.ok(!text.includes(name) && text.length < 300, text);
  }
});
