// Clients in strict mode send every argument, as null, "" or []. None of these requests a deletion.

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { freshBank, read, write } from "./lib/project.mjs";

const EMPTY = [null, "", []];

const ACTIVE = `# Active

## Ongoing Tasks

Plan: see the wiki.

- [ ] first task
  with more words
- second task

### Later
- a task of later

## Known Issues
- an issue

## Next Steps
1. a step

## Current Session Notes
- a note
`;

/** Arguments with which each tool works; the items that they delete or replace do not exist. */
function required(backupId) {
  return {
    initialize_memory_bank: { path: "." },
    read_memory_bank_file: { filename: "note.md" },
    write_memory_bank_file: { filename: "fresh.md", content: "x" },
    edit_memory_bank_file: { filename: "note.md", edits: [{ op: "append", heading: "Note", text: "- appended" }] },
    rename_memory_bank_file: { filename: "note.md", newFilename: "renamed.md" },
    delete_memory_bank_file: { filename: "none.md" },
    search_memory_bank: { query: "task" },
    restore_backup: { backupId },
    add_progress_entry: { type: "fix", summary: "s" },
    add_session_note: { note: "n" },
    batch_read_files: { files: ["note.md"] },
    batch_write_files: { files: [{ filename: "fresh.md", content: "x" }] },
    track_progress: { action: "Did", description: "it" },
    log_decision: { title: "t", context: "", decision: "d" },
    graph_upsert_entity: { name: "Alpha", entityType: "thing" },
    graph_add_observation: { entity: "Alpha", text: "another fact" },
    graph_link_entities: { from: "Alpha", relationType: "knows", to: "Beta" },
    graph_search: { query: "*" },
    graph_open_nodes: { nodes: ["Alpha"] },
    graph_maintain: { operation: "compact" },
    finalize_thinking_session: { summary: "s" },
    get_targeted_context: { query: "task" },
    graph_add_doc_pointer: { entityNameOrId: "Alpha", docPath: "progress.md" },
  };
}

async function filledBank(t) {
  const { server, project, bank } = await freshBank(t);
  await write(join(bank, "active-context.md"), ACTIVE);
  await write(join(bank, "note.md"), "# Note\n\nkept line\n");
  await server.ok("graph_upsert_entity", { name: "Alpha", entityType: "thing", attrs: { port: 80 } });
  await server.ok("graph_upsert_entity", { name: "Beta", entityType: "thing" });
  await server.ok("graph_add_observation", { entity: "Alpha", text: "a fact" });
  await server.ok("graph_link_entities", { from: "Alpha", relationType: "knows", to: "Beta" });
  await server.ok("sequential_thinking", {
    thought: "x", nextThoughtNeeded: true, thoughtNumber: 1, totalThoughts: 2, sessionId: "mine",
  });
  const { backupId } = (await server.ok("create_backup")).json;
  return { server, project, bank, backupId };
}

/** Every line of every document with its count, and the contents of the graph. */
async function contents(server, bank) {
  const lines = new Map();
  for (const name of (await readdir(bank)).filter((name) => name.endsWith(".md"))) {
    for (const line of (await read(bank, name)).split("\n").filter((line) => line.trim())) {
      lines.set(line, (lines.get(line) ?? 0) + 1);
    }
  }
  const { stats } = (await server.ok("graph_maintain", { operation: "stats" })).json;
  return { lines, stats };
}

function nothingIsGone(before, after, what) {
  for (const [line, count] of before.lines) {
    assert.ok((after.lines.get(line) ?? 0) >= count, `${what} removed ${JSON.stringify(line)}`);
  }
  for (const [name, count] of Object.entries(before.stats)) {
    assert.ok(after.stats[name] >= count, `${what}: ${name} fell from ${count} to ${after.stats[name]}`);
  }
}

test("no tool removes anything when an optional argument is null, an empty text or an empty list", async (t) => {
  const { server, bank, backupId } = await filledBank(t);
  const { tools } = await server.request("tools/list");
  const bases = required(backupId);
  let before = await contents(server, bank);
  let calls = 0;
  const run = async (name, args) => {
    const what = `${name} ${JSON.stringify(args)}`;
    await server.tool(name, args);
    const after = await contents(server, bank);
    nothingIsGone(before, after, what);
    before = after;
    calls += 1;
  };
  // The restored state equals the current one, so nothing may have changed before.
  tools.sort((a, b) => (b.name === "restore_backup") - (a.name === "restore_backup"));
  for (const { name, inputSchema } of tools) {
    const base = bases[name] ?? {};
    for (const one of inputSchema.required ?? []) assert.ok(one in base, `${name} needs ${one}`);
    const options = Object.keys(inputSchema.properties).filter((one) => !(one in base));
    for (const value of EMPTY) {
      for (const option of options) await run(name, { ...base, [option]: value });
      await run(name, { ...base, ...Object.fromEntries(options.map((option) => [option, value])) });
    }
  }
  for (const value of EMPTY) {
    for (const option of ["add", "remove", "replace", "clear"]) {
      await run("finalize_thinking_session", { summary: "s", tasks: { [option]: value } });
    }
    await run("finalize_thinking_session", { summary: "s", tasks: { add: [], remove: value, replace: value, clear: false } });
    for (const option of ["old", "new", "match", "count"]) {
      const edit = { op: "append", heading: "Known Issues", text: "- more", [option]: value };
      await run("edit_memory_bank_file", { filename: "active-context.md", edits: [edit] });
    }
    await run("edit_memory_bank_file", { filename: "active-context.md", edits: [{ op: "replace", old: value, new: value }] });
    await run("graph_delete_entity", { entity: value, observationId: value });
    await run("sequential_thinking", { reset: value, sessionId: value });
  }
  assert.ok(calls > 200, `${calls} calls`);
});

test("an empty list of tasks changes nothing; only clear empties a list", async (t) => {
  const { server, bank } = await filledBank(t);
  const added = (await server.ok("update_tasks", { add: ["Write docs"], remove: [], replace: [] })).json;
  assert.deepEqual(added.changes, { added: 1, removed: 0, replaced: false });
  assert.equal(await read(bank, "active-context.md"), ACTIVE.replace("- second task\n", "- second task\n- Write docs\n"));
  const cleared = (await server.ok("update_tasks", { clear: true, add: ["only"], remove: [], replace: [] })).json;
  assert.deepEqual(cleared.removed.items, ["- [ ] first task\n  with more words", "- second task", "- Write docs"]);
  const text = await read(bank, "active-context.md");
  assert.ok(text.includes("Plan: see the wiki.\n\n- only\n\n### Later\n- a task of later\n"), text);
});

test("an empty list of the active context changes nothing; clear empties those that are given as []", async (t) => {
  const { server, bank } = await filledBank(t);
  const same = await server.ok("update_active_context", { tasks: [], issues: [], nextSteps: [] });
  assert.match(same.text, /^Active context updated successfully\n\nNothing changed: .*`clear: true`/);
  assert.equal(await read(bank, "active-context.md"), ACTIVE);
  const reply = await server.ok("update_active_context", { tasks: ["second task"], issues: [], clear: true });
  assert.match(reply.text, /^Active context updated successfully\n\nRemoved \(2\):\n- \[ \] first task\n  with more words\n- an issue$/);
  assert.deepEqual(reply.structured.removed.items, ["- [ ] first task\n  with more words", "- an issue"]);
  const text = await read(bank, "active-context.md");
  assert.equal(text, ACTIVE.replace("- [ ] first task\n  with more words\n", "").replace("- an issue\n", ""));
  assert.match(await server.fails("update_active_context", { clear: true }), /`clear` leaves open which list/);
});

test("an ambiguous deletion is refused, and a clear one lists the removed items", async (t) => {
  const { server, bank } = await filledBank(t);
  for (const observationId of ["", "  "]) {
    const text = await server.fails("graph_delete_entity", { entity: "Alpha", observationId });
    assert.match(text, /observationId/);
  }
  assert.match(await server.fails("sequential_thinking", { reset: true, sessionId: "" }), /`sessionId` is empty/);
  const note = { filename: "note.md", ifMatchEtag: "" };
  assert.match(await server.fails("delete_memory_bank_file", note), /`ifMatchEtag` is empty/);
  assert.equal(await read(bank, "note.md"), "# Note\n\nkept line\n");
  await server.ok("write_memory_bank_file", { filename: "new.md", content: "x", ifMatchEtag: "" });

  const { replaced } = (await server.ok("write_memory_bank_file", { filename: "new.md", content: "a\nb\n" })).json;
  assert.deepEqual(replaced, { etag: "2d711642b726b044", bytes: 1, lines: 1 });
  const batch = (await server.ok("batch_write_files", { files: [{ filename: "new.md", content: "c" }] })).json;
  assert.equal(batch.results["new.md"].replaced.lines, 2);
  const deleted = (await server.ok("delete_memory_bank_file", { filename: "note.md", ifMatchEtag: null })).json;
  assert.deepEqual(deleted.removed.items, ["# Note\n\nkept line\n"]);
  assert.equal(deleted.replaced.lines, 3);
  const entity = (await server.ok("graph_delete_entity", { entity: "Alpha", observationId: null })).json;
  assert.equal(entity.deleted.observationCount, 1);
  assert.equal(entity.deleted.relationCount, 1);
});

test("replacing a section lists the removed sub-sections", async (t) => {
  const { server } = await filledBank(t);
  const edits = [{ op: "replace_section", heading: "Ongoing Tasks", text: "- none", old: "", new: "", match: "" }];
  const reply = await server.ok("edit_memory_bank_file", { filename: "active-context.md", edits });
  assert.deepEqual(reply.json.removed.sections, ["### Later"]);
  assert.match(reply.json.diff, /-- a task of later/);
});

test("text written after an open fence is visible, in one section", async (t) => {
  const { server, bank } = await filledBank(t);
  const open = "# A\n\n```js\nconst a = 1\n\n## Ongoing Tasks\n- one\n";
  await write(join(bank, "active-context.md"), open);
  for (const task of ["two", "three", "four"]) await server.ok("update_tasks", { add: [task] });
  const { digest } = (await server.ok("get_context_digest")).json;
  assert.deepEqual(digest.currentContext.tasks, ["four", "three", "two"]);
  assert.equal(await read(bank, "active-context.md"), `${open}\`\`\`\n\n## Ongoing Tasks\n- two\n- three\n- four\n`);
});

test("a section with a merge conflict refuses edits and names the line; other sections accept them", async (t) => {
  const { server, bank } = await filledBank(t);
  const conflict = "<<<<<<< HEAD\n- mine\n=======\n- theirs\n>>>>>>> feature\n";
  const text = `# A\n\n## Ongoing Tasks\n${conflict}\n## Known Issues\n- i\n`;
  await write(join(bank, "active-context.md"), text);
  const { digest } = (await server.ok("get_context_digest")).json;
  assert.deepEqual(digest.currentContext.tasks, ["theirs", "mine"]);
  for (const args of [{ add: ["new"] }, { remove: ["mine"] }, { replace: ["x"] }, { clear: true }]) {
    assert.match(await server.fails("update_tasks", args), /`active-context\.md`: lines 4 to 8 hold a merge conflict/);
  }
  assert.equal(await read(bank, "active-context.md"), text);
  await server.ok("update_active_context", { issues: ["j"] });
  assert.equal(await read(bank, "active-context.md"), text.replace("- i\n", "- j\n"));
  const edits = [{ op: "replace", old: conflict, new: "- mine\n- theirs\n" }];
  await server.ok("edit_memory_bank_file", { filename: "active-context.md", edits });
  await server.ok("update_tasks", { add: ["new"] });
});

test("a call with every member of an edit or outcome uses the members that are not empty", async (t) => {
  const { server, bank } = await filledBank(t);
  const rest = { old: "", new: "", match: "", count: 1 };
  const edits = [
    { ...rest, op: "append", heading: "Note", text: "- last" },
    { ...rest, op: "insert_before", match: "kept line", heading: "", text: "- before" },
    { ...rest, op: "replace", old: "- last", new: "- end", heading: "", text: "" },
  ];
  await server.ok("edit_memory_bank_file", { filename: "note.md", edits, ifMatchEtag: "" });
  assert.equal(await read(bank, "note.md"), "# Note\n\n- before\nkept line\n\n- end\n");

  for (const blank of ["", null]) {
    const decision = { title: blank, context: blank, decision: blank, alternatives: [], consequences: [] };
    const progressEntry = { type: "other", summary: blank, details: blank, files: [], tags: [] };
    const tasks = { add: [], remove: [], replace: [], clear: false };
    const { actions } = (
      await server.ok("finalize_thinking_session", { summary: "s", decision, tasks, nextSteps: [], progressEntry, sessionId: "" })
    ).json;
    assert.deepEqual(actions, ["Session note added to active-context.md"]);
  }
  const half = { title: "", context: "c", decision: "d", alternatives: [], consequences: [] };
  for (const args of [{ decision: half }, { progressEntry: { type: "fix", details: "d" } }, { progressEntry: { type: "fix" } }]) {
    assert.match(await server.fails("finalize_thinking_session", { summary: "s", ...args }), /(title|summary)` is required/);
  }

  const switched = await server.ok("switch_mode", { mode: "ask", umb: false, umbCommand: "" });
  assert.equal(switched.text, "Successfully switched to mode ask.");
});

test("a source given again with blanks around it, or with an empty reference, is the same source", async (t) => {
  const { server } = await filledBank(t);
  const observe = async (source) => (await server.ok("graph_add_observation", { entity: "Beta", text: "f", source })).json;
  const first = await observe("review");
  for (const same of [" review\n", { kind: "manual", ref: " review" }]) {
    const again = await observe(same);
    assert.equal(again.existed, true, JSON.stringify(same));
    assert.equal(again.observation.id, first.observation.id);
  }
  await observe({ kind: "tool" });
  for (const same of ["tool", " tool ", { kind: "tool", ref: "" }, { kind: "tool", ref: null }]) {
    assert.equal((await observe(same)).existed, true, JSON.stringify(same));
  }
});
