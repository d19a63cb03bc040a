// What `tools/list` says, and what it costs a model to read it.

import assert from "node:assert/strict";
import test from "node:test";
import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { emptyFolder, serverOn } from "./lib/project.mjs";
import { OLDER_NAMES } from "./lib/older_names.mjs";

const TOKEN_BUDGET = 3200;

// Read-only, destructive, idempotent.
const HINTS = {
  get_instructions: "yny",
  initialize_memory_bank: "nny",
  set_memory_bank_path: "nny",
  debug_mcp_config: "yny",
  read_memory_bank_file: "yny",
  write_memory_bank_file: "nyy",
  list_memory_bank_files: "yny",
  get_memory_bank_status: "yny",
  migrate_file_naming: "nny",
  get_context_bundle: "yny",
  get_context_digest: "yny",
  search_memory_bank: "yny",
  create_backup: "nnn",
  restore_backup: "nyn",
  add_progress_entry: "nnn",
  add_session_note: "nnn",
  update_tasks: "nyy",
  batch_read_files: "yny",
  batch_write_files: "nyy",
  track_progress: "nnn",
  update_active_context: "nyy",
  log_decision: "nnn",
  switch_mode: "nny",
  graph_upsert_entity: "nny",
  graph_add_observation: "nnn",
  graph_link_entities: "nyy",
  graph_search: "yny",
  graph_open_nodes: "yny",
  graph_delete_entity: "nyy",
  graph_maintain: "nyy",
  list_stores: "yny",
  select_store: "nny",
  sequential_thinking: "nnn",
  finalize_thinking_session: "nyn",
  get_targeted_context: "yny",
  graph_add_doc_pointer: "nnn",
};
const NEW_TOOLS = ["edit_memory_bank_file", "delete_memory_bank_file", "rename_memory_bank_file"];

async function listed(t) {
  const server = await serverOn(await emptyFolder(t), t);
  const { tools, nextCursor } = await server.request("tools/list");
  assert.equal(nextCursor, undefined, "all tools come on one page");
  return { server, tools };
}

test("the 36 tools and the three new ones are listed, and no older name", async (t) => {
  const { tools } = await listed(t);
  assert.deepEqual(
    tools.map((tool) => tool.name).sort(),
    [...Object.keys(HINTS), ...NEW_TOOLS].sort(),
  );
});

test(`names, descriptions and input schemas cost at most ${TOKEN_BUDGET} tokens`, async (t) => {
  const { tools } = await listed(t);
  const cost = (value) => countTokens(JSON.stringify(value));
  const read = tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema }));
  const total = cost(read);
  const dearest = read.map((tool) => [cost(tool), tool.name]).sort((a, b) => b[0] - a[0]);
  t.diagnostic(`note: tools/list costs ${total} tokens; dearest: ${dearest.slice(0, 5).map((x) => x.join(" ")).join(", ")}`);
  assert.ok(total <= TOKEN_BUDGET, `${total} tokens: ${dearest.map((x) => x.join(" ")).join(", ")}`);
});

test("every tool has a title, a description and the hints of its behaviour", async (t) => {
  const { tools } = await listed(t);
  const hint = (value) => (value ? "y" : "n");
  for (const { name, title, description, annotations } of tools) {
    assert.ok(title ?? annotations?.title, `${name} has a title`);
    assert.ok(description.length > 10, `${name} has a description`);
    assert.equal(annotations.openWorldHint, false, `${name} acts in no open world`);
    const { readOnlyHint, destructiveHint, idempotentHint } = annotations;
    if (HINTS[name]) {
      assert.equal(hint(readOnlyHint) + hint(destructiveHint) + hint(idempotentHint), HINTS[name], name);
    } else {
      assert.equal(hint(readOnlyHint), "n", name);
    }
  }
});

test("every input schema is an object whose properties have one type each, and names only what exists", async (t) => {
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

test("an observation is deleted without naming an entity: the schema does not ask for one (d33)", async (t) => {
  const { tools } = await listed(t);
  const { inputSchema } = tools.find((tool) => tool.name === "graph_delete_entity");
  assert.ok(!(inputSchema.required ?? []).includes("entity"));
});

test("get_instructions speaks of parameters that exist (d49)", async (t) => {
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
