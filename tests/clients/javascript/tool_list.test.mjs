// The contents of `tools/list`, and its size in tokens.

import assert from "node:assert/strict";
import test from "node:test";
import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { copyOf, emptyFolder, read, serverOn } from "./lib/project.mjs";
import { Server } from "./lib/server.mjs";
import { OLDER_NAMES } from "./lib/tool_aliases.mjs";

// The cost of the list for a model: the name, description and schema of each tool, and the whole JSON as it is often
// written, with a blank behind each comma and colon.
const BUDGETS = { all: { text: 3300, whole: 4800 }, core: { text: 1200, whole: 2000 } };
const CORE = [
  "initialize_memory_bank", "get_context_digest", "get_targeted_context", "search_memory_bank", "list_memory_bank_files",
  "read_memory_bank_file", "edit_memory_bank_file", "write_memory_bank_file", "track_progress", "log_decision",
  "update_tasks", "graph_batch", "graph_search",
];

// Read-only, destructive, idempotent. The last two mean nothing where the first holds, and are not sent then.
const HINTS = {
  get_instructions: "y",
  initialize_memory_bank: "nny",
  set_memory_bank_path: "nny",
  debug_mcp_config: "y",
  read_memory_bank_file: "y",
  write_memory_bank_file: "nyy",
  list_memory_bank_files: "y",
  get_memory_bank_status: "y",
  migrate_file_naming: "nny",
  get_context_bundle: "y",
  get_context_digest: "y",
  search_memory_bank: "y",
  create_backup: "nnn",
  restore_backup: "nyn",
  add_progress_entry: "nnn",
  add_session_note: "nnn",
  update_tasks: "nyy",
  batch_read_files: "y",
  batch_write_files: "nyy",
  track_progress: "nnn",
  update_active_context: "nyy",
  log_decision: "nnn",
  switch_mode: "nny",
  graph_upsert_entity: "nny",
  graph_batch: "nny",
  graph_add_observation: "nnn",
  graph_link_entities: "nyy",
  graph_search: "y",
  graph_open_nodes: "y",
  graph_delete_entity: "nyy",
  graph_maintain: "nyy",
  list_stores: "y",
  select_store: "nny",
  sequential_thinking: "nnn",
  finalize_thinking_session: "nyn",
  get_targeted_context: "y",
  graph_add_doc_pointer: "nnn",
};
const NEW_TOOLS = ["history", "maintain", "edit_memory_bank_file", "delete_memory_bank_file", "rename_memory_bank_file"];

async function listed(t, args = [], options = {}) {
  const server = await serverOn(await emptyFolder(t), t, args, options);
  const { tools, nextCursor } = await server.request("tools/list");
  assert.equal(nextCursor, undefined, "all tools come on one page");
  return { server, tools };
}

const spaced = (value) => {
  if (Array.isArray(value)) return `[${value.map(spaced).join(", ")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map(([key, inner]) => `${JSON.stringify(key)}: ${spaced(inner)}`).join(", ")}}`;
};

test("the 36 tools, the batch and the five newer ones are listed, and no alias is", async (t) => {
  const { tools } = await listed(t);
  assert.deepEqual(
    tools.map((tool) => tool.name).sort(),
    [...Object.keys(HINTS), ...NEW_TOOLS].sort(),
  );
});

for (const [toolset, budget] of Object.entries(BUDGETS)) {
  test(`the toolset ${toolset} costs at most ${budget.text} tokens as text and ${budget.whole} as a whole`, async (t) => {
    const { tools } = await listed(t, ["--tools", toolset]);
    const cost = (value) => countTokens(JSON.stringify(value));
    const read = tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema }));
    const [text, whole] = [cost(read), countTokens(spaced(tools))];
    const dearest = read.map((tool) => [cost(tool), tool.name]).sort((a, b) => b[0] - a[0]);
    t.diagnostic(`note: ${toolset} costs ${text} and ${whole} tokens; dearest: ${dearest.slice(0, 5).map((x) => x.join(" ")).join(", ")}`);
    assert.ok(text <= budget.text, `${text} tokens: ${dearest.map((x) => x.join(" ")).join(", ")}`);
    assert.ok(whole <= budget.whole, `${whole} tokens`);
    if (toolset === "core") assert.deepEqual(tools.map((tool) => tool.name).sort(), [...CORE].sort());
  });
}

test("a toolset shortens only the list, by flag and by variable", async (t) => {
  const names = (tools) => tools.map((tool) => tool.name).sort();
  const { server, tools } = await listed(t, ["--tools", "backups,modes"]);
  assert.deepEqual(names(tools), ["create_backup", "restore_backup", "switch_mode"]);
  assert.match((await server.ok("list_stores")).text, /^\{/);
  const env = { MEMORY_BANK_TOOLS: "Core" };
  const variable = await listed(t, [], { env });
  assert.deepEqual(names(variable.tools), [...CORE].sort());
  const flag = await listed(t, ["--tools", "backups"], { env });
  assert.deepEqual(names(flag.tools), ["create_backup", "restore_backup"]);
  for (const word of variable.server.handshake.instructions.match(/\b[a-z]+(?:_[a-z]+)+\b/g)) {
    assert.ok(CORE.includes(word), `the handshake names ${word}, which is not listed`);
  }
});

test("read-only lists and answers reading tools, and refuses every change, also by an alias", async (t) => {
  const project = await copyOf("original-project", t);
  const before = await read(project, "memory-bank", "progress.md");
  for (const [args, env] of [[["--read-only", "--tools", "all"], {}], [[], { MEMORY_BANK_READ_ONLY: "true" }]]) {
    const server = await serverOn(project, t, args, { env });
    const { tools } = await server.request("tools/list");
    const listedNames = tools.map((tool) => tool.name);
    assert.ok(listedNames.includes("read_memory_bank_file") && !listedNames.includes("track_progress"));
    assert.match((await server.ok("read_memory_bank_file", { filename: "progress.md" })).text, /content/);
    for (const [name, arguments_] of [
      ["track_progress", { action: "a", description: "b" }],
      ["graph_batch", { entities: [{ name: "x", entityType: "y" }] }],
      ["graph_unlink_entities", { from: "a", relationType: "b", to: "c" }],
      ["write_memory_bank_file", { filename: "x.md", content: "x" }],
      ["restore_backup", { backupId: "x" }],
      ["initialize_memory_bank", { path: "." }],
    ]) {
      assert.match(await server.fails(name, arguments_), /read-only/, name);
    }
    assert.match((await server.ok("create_backup", { listOnly: true })).text, /backups/);
    assert.match((await server.ok("list_backups", {})).text, /backups/);
    assert.match(await server.fails("create_backup", { listOnly: false }), /read-only/);
    assert.match(await server.fails("switch_mode", { umb: true }), /read-only/);
    assert.match(await server.fails("select_store", { action: "register", storeId: "x", path: "." }), /read-only/);
  }
  assert.equal(await read(project, "memory-bank", "progress.md"), before);
});

test("an unknown toolset or setting stops the start", async (t) => {
  const folder = await emptyFolder(t);
  for (const [args, env, word] of [
    [["--tools", "kern"], {}, "kern"],
    [[], { MEMORY_BANK_TOOLS: "kern" }, "kern"],
    [[], { MEMORY_BANK_READ_ONLY: "perhaps" }, "perhaps"],
  ]) {
    const server = new Server(folder, args, { env });
    const { code } = await server.ended();
    assert.ok(code > 0, `${code}`);
    assert.ok(server.stderr.includes(word), server.stderr);
  }
});

test("no tool declares an output schema, since only small replies have structured content", async (t) => {
  const { tools } = await listed(t);
  for (const tool of tools) assert.equal(tool.outputSchema, undefined, tool.name);
});

test("every tool has a description and the hints of its behaviour", async (t) => {
  const { tools } = await listed(t);
  const hint = (value) => (value ? "y" : "n");
  for (const { name, description, annotations } of tools) {
    assert.ok(description.length > 10, `${name} has a description`);
    const { readOnlyHint, destructiveHint, idempotentHint, openWorldHint } = annotations;
    if (readOnlyHint) {
      assert.deepEqual(annotations, { readOnlyHint: true }, name);
    } else {
      assert.equal(openWorldHint, false, `${name} acts in no open world`);
      // Left out, it would count as true.
      assert.equal(typeof destructiveHint, "boolean", name);
    }
    if (HINTS[name] === "y") assert.equal(hint(readOnlyHint), "y", name);
    else if (HINTS[name]) assert.equal(hint(readOnlyHint) + hint(destructiveHint) + hint(idempotentHint), HINTS[name], name);
    else assert.equal(hint(readOnlyHint), "n", name);
  }
});

test("every input schema is an object whose properties have one type each", async (t) => {
  const { tools } = await listed(t);
  const check = (path, { type, properties, items, required = [], ...rest }, depth) => {
    assert.ok(["object", "array", "string", "integer", "boolean"].includes(type), `${path}: ${JSON.stringify(type)}`);
    assert.ok(depth <= 4, `${path} is deeper than 4`);
    for (const word of Object.keys(rest)) assert.match(word, /^(enum|minimum|maximum|description)$/, path);
    assert.equal(type === "object", properties !== undefined && Object.keys(properties).length > 0, path);
    assert.equal(type === "array", items !== undefined, path);
    for (const field of required) assert.ok(properties[field], `${path}.${field}`);
    for (const [field, schema] of Object.entries(properties ?? {})) check(`${path}.${field}`, schema, depth + 1);
    if (items) check(`${path}[]`, items, depth + 1);
  };
  for (const { name, inputSchema } of tools) check(name, inputSchema, 1);
});

test("closed sets of values are enums, and numbers have bounds", async (t) => {
  const { tools } = await listed(t);
  const text = (name, field) =>
    JSON.stringify(tools.find((tool) => tool.name === name).inputSchema.properties[field]);
  for (const [name, field, value] of [
    ["switch_mode", "mode", "architect"],
    ["add_progress_entry", "type", "refactor"],
    ["add_session_note", "category", "blocker"],
    ["graph_maintain", "operation", "compact"],
    ["graph_link_entities", "action", "unlink"],
    ["select_store", "action", "unregister"],
  ]) {
    assert.ok(text(name, field).includes(`"${value}"`), `${name}.${field}: ${text(name, field)}`);
  }
  assert.match(text("get_targeted_context", "maxChars"), /"minimum":500/);
  assert.match(text("get_targeted_context", "maxFiles"), /"maximum":10/);
});

test("an observation is deleted without naming an entity: the schema does not require one", async (t) => {
  const { tools } = await listed(t);
  const { inputSchema } = tools.find((tool) => tool.name === "graph_delete_entity");
  assert.ok(!(inputSchema.required ?? []).includes("entity"));
});

test("get_instructions mentions only existing parameters", async (t) => {
  const { server, tools } = await listed(t);
  const { text } = await server.ok("get_instructions");
  assert.match(text, /^# /);
  for (const { name } of tools) assert.ok(text.includes(name), `${name} is explained`);
  for (const name of OLDER_NAMES) assert.ok(!text.includes(`\`${name}\``), `${name} is not recommended`);
});

test("the handshake's instructions are short and name tools that are listed", async (t) => {
  const { server, tools } = await listed(t);
  const { instructions } = server.handshake;
  const cost = countTokens(instructions);
  t.diagnostic(`note: instructions cost ${cost} tokens`);
  assert.ok(cost <= 500, `${cost} tokens`);
  const names = new Set(tools.map((tool) => tool.name));
  for (const word of instructions.match(/\b[a-z]+(?:_[a-z]+)+\b/g) ?? []) {
    assert.ok(names.has(word) || !/^(get|set|graph|track|log|update|read|write|add|switch|search|batch)_/.test(word), word);
  }
});
