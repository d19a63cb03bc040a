// Sizes of replies: at most 25,000 characters unless more is requested, parts that make the whole, and pages.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { freshBank, read, write } from "./lib/project.mjs";

const MOST = 25_000;
const length = (text) => [...text].length;

/** A bank in which every list and document is long. */
async function longBank(t) {
  const made = await freshBank(t);
  const { bank, server } = made;
  const entry = (n) => `- [2026-${String(1 + (n % 12)).padStart(2, "0")}-${String(1 + (n % 28)).padStart(2, "0")} 10:00:00] [eve] - did: thing ${n} größer\n`;
  const entries = Array.from({ length: 2300 }, (_, n) => entry(n)).join("");
  await write(join(bank, "progress.md"), `# Progress\n\n## Update History\n\n${entries}`);
  const decision = (n) => `## Decision ${n}\n- **Date:** 2026-01-01\n- **Context:** ${"why ".repeat(20)}\n- **Decision:** so ${n}\n\n`;
  await write(join(bank, "decision-log.md"), `# Decision Log\n\n${Array.from({ length: 300 }, (_, n) => decision(n)).join("")}`);
  const tasks = Array.from({ length: 400 }, (_, n) => `- task ${n} ${"x".repeat(200)}\n`).join("");
  await write(join(bank, "active-context.md"), `# Current Context\n\n## Ongoing Tasks\n\n${tasks}`);
  await write(join(bank, "one-line.md"), "größe".repeat(20_000));
  for (let n = 0; n < 600; n += 1) await write(join(bank, `note-${String(n).padStart(3, "0")}-${"n".repeat(60)}.md`), `# Note ${n}\n\nword ${n}\n`);
  const entities = Array.from({ length: 400 }, (_, n) => ({ name: `entity ${n}`, entityType: "thing", attrs: { note: "word ".repeat(3) } }));
  await server.ok("graph_batch", { entities });
  const observations = Array.from({ length: 300 }, (_, n) => ({ entity: "entity 0", text: `word ${n} ${"fact ".repeat(40)}` }));
  await server.ok("graph_batch", { observations });
  const relations = Array.from({ length: 399 }, (_, n) => ({ from: "entity 0", relationType: "has", to: `entity ${n + 1}` }));
  await server.ok("graph_batch", { relations });
  return made;
}

test("no reply is longer than 25,000 characters unless more is requested", async (t) => {
  const { server } = await longBank(t);
  const long = "ö".repeat(60_000);
  const calls = [
    ["get_instructions", {}],
    ["read_memory_bank_file", { filename: "progress.md" }],
    ["read_memory_bank_file", { filename: "progress.md", includeEtag: false }],
    ["read_memory_bank_file", { filename: "one-line.md" }],
    ["read_memory_bank_file", { filename: "decision-log.md", tail: 900 }],
    ["read_memory_bank_file", { filename: "progress.md", heading: "Update History" }],
    ["batch_read_files", { files: ["progress.md", "decision-log.md", "active-context.md", "product-context.md"] }],
    ["list_memory_bank_files", {}],
    ["get_memory_bank_status", {}],
    ["debug_mcp_config", {}],
    ["get_context_bundle", {}],
    ["get_targeted_context", { query: "word thing" }],
    ["search_memory_bank", { query: "word thing" }],
    ["graph_search", { query: "*" }],
    ["graph_search", { query: "word", includeNeighborhood: true, neighborhoodDepth: 2 }],
    ["graph_open_nodes", { nodes: ["entity 0"] }],
    ["graph_open_nodes", { nodes: Array.from({ length: 400 }, (_, n) => `entity ${n}`) }],
    ["update_tasks", { add: ["one more"] }],
    ["graph_add_observation", { entity: "entity 1", text: long.slice(0, 30_000) }],
    ["write_memory_bank_file", { filename: "x.md", content: long }],
    ["edit_memory_bank_file", { filename: "x.md", edits: [{ op: "replace", old: long, new: "short" }] }],
    ["list_stores", {}],
    ["create_backup", { listOnly: true }],
    ["finalize_thinking_session", { summary: "s", nextSteps: Array.from({ length: 400 }, (_, n) => `step ${n}`) }],
    ["graph_maintain", { operation: "stats" }],
    ["get_context_digest", {}],
  ];
  for (const [name, args] of calls) {
    const reply = await server.ok(name, args);
    assert.ok(length(reply.text) <= MOST, `${name} ${JSON.stringify(args).slice(0, 80)}: ${length(reply.text)}`);
  }
  const failures = [
    ["graph_open_nodes", { nodes: Array.from({ length: 400 }, (_, n) => `${n} ${"missing".repeat(30)}`) }],
    ["read_memory_bank_file", { filename: "decision-log.md", heading: "nothing of the kind" }],
  ];
  for (const [name, args] of failures) assert.ok(length(await server.fails(name, args)) <= MOST, name);
});

test("a small document is returned whole, a part has no content and etag, and all parts make the whole", async (t) => {
  const { server, bank } = await longBank(t);
  const small = (await server.ok("read_memory_bank_file", { filename: "product-context.md" })).json;
  assert.deepEqual(Object.keys(small), ["content", "etag", "filename"]);
  assert.equal((await server.ok("read_memory_bank_file", { filename: "product-context.md", includeEtag: false })).text, small.content);
  for (const filename of ["progress.md", "one-line.md"]) {
    const whole = await read(bank, filename);
    let [joined, next] = ["", { filename }];
    for (let call = 0; next; call += 1) {
      assert.ok(call < 40, "reading on comes to an end");
      const part = (await server.ok("read_memory_bank_file", next)).json;
      assert.ok(!("content" in part) && !("etag" in part));
      assert.deepEqual([part.totalLines, part.totalChars], [whole.trimEnd().split("\n").length, length(whole)]);
      joined += part.part;
      assert.ok(!part.next || part.next.tool === "read_memory_bank_file");
      next = part.next?.arguments;
    }
    assert.equal(joined, whole);
  }
  const requested = (await server.ok("read_memory_bank_file", { filename: "progress.md", maxChars: 250_000 })).json;
  assert.equal(requested.content, await read(bank, "progress.md"), "more is returned on request");
});

test("lines, a heading and the tail are read with their line ends", async (t) => {
  const { server, bank } = await freshBank(t);
  await write(join(bank, "a.md"), "# A\r\n\r\n## One\r\nx\r\n\r\n## Two\r\ny\r\nz\r\n");
  const part = async (args) => (await server.ok("read_memory_bank_file", { filename: "a.md", ...args })).json;
  assert.deepEqual(await part({ fromLine: 3, lines: 2 }), { part: "## One\r\nx\r\n", fromLine: 3, lines: 2, totalLines: 8, totalChars: 34, filename: "a.md" });
  assert.equal((await part({ heading: "two" })).part, "## Two\r\ny\r\nz\r\n");
  assert.equal((await part({ tail: 1 })).part, "z\r\n");
  assert.match(await server.fails("read_memory_bank_file", { filename: "a.md", heading: "Three" }), /`One` \(line 3\)/);
  assert.match(await server.fails("read_memory_bank_file", { filename: "a.md", fromLine: 99 }), /8 lines/);
});

test("lists continue at their cursor, and a cursor of another list is refused", async (t) => {
  const { server } = await longBank(t);
  const names = [];
  let cursor;
  do {
    const reply = await server.ok("list_memory_bank_files", cursor ? { cursor } : {});
    const [first, ...lines] = reply.text.split("\n");
    assert.match(first, /^Files in Memory Bank/);
    names.push(...lines);
    cursor = /cursor `([^`]+)`/.exec(first)?.[1];
  } while (cursor);
  assert.deepEqual(names, [...new Set(names)].sort());
  assert.ok(names.length > 600);

  const pages = async (name, args, list, key) => {
    const seen = [];
    let next;
    for (let page = 0; page === 0 || next; page += 1) {
      assert.ok(page < 200, "pages come to an end");
      const { json } = await server.ok(name, next ? { ...args, cursor: next } : args);
      seen.push(...json[list].map(key));
      next = json.nextCursor ?? json.metadata?.nextCursor;
    }
    return seen;
  };
  const all = await pages("graph_search", { query: "*" }, "entities", (entity) => entity.name);
  assert.deepEqual(all, Array.from({ length: 400 }, (_, n) => `entity ${n}`));
  const facts = await pages("graph_open_nodes", { nodes: ["entity 0"] }, "observations", (one) => one.text);
  assert.equal(new Set(facts).size, 300);
  assert.equal(facts.length, 300);
  const lines = await pages("search_memory_bank", { query: "thing", maxResults: 400 }, "results", (one) => `${one.file}:${one.line}`);
  assert.equal(new Set(lines).size, lines.length);
  assert.ok(lines.length > 2000, `${lines.length}`);

  const { json } = await server.ok("graph_search", { query: "word" });
  assert.ok(json.nextCursor);
  for (const [name, args] of [
    ["graph_search", { query: "other", cursor: json.nextCursor }],
    ["graph_open_nodes", { nodes: ["entity 0"], cursor: json.nextCursor }],
    ["list_memory_bank_files", { cursor: json.nextCursor }],
    ["search_memory_bank", { query: "word", cursor: "nonsense" }],
  ]) {
    assert.match(await server.fails(name, args), /cursor/, name);
  }
});

test("an explicit limit of 500 nodes returns the whole graph", async (t) => {
  const { server } = await longBank(t);
  const { json, text } = await server.ok("graph_search", { query: "*", limit: 500 });
  assert.equal(json.entities.length, 400);
  assert.ok(length(text) > MOST);
});

test("a bundle has the digest and the most useful documents within its budget, and names the calls for the rest", async (t) => {
  const { server, bank } = await longBank(t);
  for (const [args, most] of [[{}, 24_000], [{ maxChars: 8000 }, 8000], [{ maxChars: 60_000 }, 60_000]]) {
    const { text, json } = await server.ok("get_context_bundle", args);
    assert.ok(length(text) <= most, `${length(text)}`);
    assert.deepEqual(Object.keys(json), ["digest", "bundle", "leftOut", "metadata"]);
    assert.equal(json.metadata.filesLoaded, 5);
    for (const [name, entry] of Object.entries(json.bundle)) {
      const whole = await read(bank, name);
      if ("content" in entry) {
        assert.equal(entry.content, whole);
        continue;
      }
      assert.ok(!("etag" in entry));
      for (const part of entry.parts) assert.ok(whole.includes(part.text), name);
    }
    assert.equal(json.leftOut.tool, "read_memory_bank_file");
    for (const call of json.leftOut.calls.slice(0, 5)) await server.ok("read_memory_bank_file", call);
  }
  const { json } = await server.ok("get_context_bundle", { includeEtags: false });
  assert.ok(Object.values(json.bundle).every((entry) => !("etag" in entry)));
});

test("a bundle of a bank in another layout has its documents", async (t) => {
  const { server, bank } = await freshBank(t);
  const fs = await import("node:fs/promises");
  for (const name of await fs.readdir(bank)) await fs.rm(join(bank, name), { recursive: true });
  await mkdir(bank, { recursive: true });
  await write(join(bank, "projectbrief.md"), "# Brief\n\nA bakery.\n");
  const { json } = await server.ok("get_context_bundle");
  assert.equal(json.bundle["projectbrief.md"].content, "# Brief\n\nA bakery.\n");
});

test("one call records a session completely or not at all, and a repeated call changes nothing", async (t) => {
  const { server } = await freshBank(t);
  const session = {
    entities: [{ name: "Api", entityType: "service", attrs: { port: 80 } }, { name: "Store", entityType: "table" }],
    observations: [{ entity: "Api", text: "is fast", source: "measured" }, { entity: "Store", text: "is small" }],
    relations: [{ from: "Api", relationType: "reads", to: "Store" }],
  };
  const first = (await server.ok("graph_batch", session)).json;
  assert.deepEqual(first.created, { entities: 2, observations: 2, relations: 1 });
  const again = (await server.ok("graph_batch", session)).json;
  assert.deepEqual([again.created, again.existed], [
    { entities: 0, observations: 0, relations: 0 },
    { entities: 2, observations: 2, relations: 1 },
  ]);
  const wrong = { ...session, entities: [{ name: "New", entityType: "x" }], relations: [{ from: "Api", relationType: "reads", to: "Stor" }] };
  const text = await server.fails("graph_batch", wrong);
  assert.match(text, /relations\[0\]/);
  assert.match(text, /Store/);
  assert.match(await server.fails("graph_batch", { entities: [{ name: "x" }] }), /entities\[0\]\.entityType/);
  assert.match(await server.fails("graph_batch", {}), /empty/);
  const { stats } = (await server.ok("graph_maintain", { operation: "stats" })).json;
  assert.deepEqual([stats.entityCount, stats.observationCount, stats.relationCount], [2, 2, 1]);
});

test("a batch with long names is answered within 25,000 characters, with the rest counted", async (t) => {
  const { server } = await freshBank(t);
  for (const size of [200, 205, 251, 300]) {
    const names = Array.from({ length: 100 }, (_, n) => `${String(n).padStart(3, "0")}${"n".repeat(size - 6)}.md`);
    for (const [tool, arguments_] of [
      ["batch_write_files", { files: names.map((filename) => ({ filename, content: "x" })) }],
      ["batch_read_files", { files: names }],
      ["batch_read_files", { files: names.map((name) => `no${name}`) }],
    ]) {
      const reply = await server.ok(tool, arguments_);
      assert.ok(length(reply.text) <= MOST, `${tool} ${size}: ${length(reply.text)}`);
      const { results, metadata } = JSON.parse(reply.text);
      const shown = Object.keys(results).length + (metadata.remaining?.length ?? 0);
      const left = (metadata.resultsLeftOut?.files ?? 0) + (metadata.remainingLeft ?? 0);
      assert.equal(shown + left, 100, `${tool} ${size}`);
    }
  }
});

test("attributes that do not fit are omitted under another name, and complete with maxChars", async (t) => {
  const { server } = await freshBank(t);
  const attrs = { steps: "v".repeat(60_000) };
  const check = (entity) => assert.ok(entity.attrs === undefined && entity.attrsLeftOut.chars > 60_000, JSON.stringify(entity).slice(0, 200));
  check(JSON.parse((await server.ok("graph_upsert_entity", { name: "big", entityType: "thing", attrs })).text).entity);
  check(JSON.parse((await server.ok("graph_search", { query: "big" })).text).entities[0]);
  check(JSON.parse((await server.ok("graph_open_nodes", { nodes: ["big"] })).text).entities[0]);
  const whole = JSON.parse((await server.ok("graph_open_nodes", { nodes: ["big"], maxChars: 262_144 })).text);
  assert.deepEqual(whole.entities[0].attrs, attrs);
});

test("a batch in the shape of the reference memory server keeps its facts", async (t) => {
  const { server } = await freshBank(t);
  const reply = JSON.parse((await server.ok("graph_batch", {
    entities: [{ name: "Ada", entityType: "person", observations: ["likes tea"] }, { name: "Bob", entityType: "person" }],
    relations: [{ from: "Ada", to: "Bob", relationType: "knows" }],
    observations: [{ entityName: "Bob", contents: ["has a dog", "has a cat"] }],
  })).text);
  assert.deepEqual(reply.created, { entities: 2, observations: 3, relations: 1 });
  assert.equal(reply.ignoredArguments, undefined);
});
