// Malformed lines, messages and arguments.

import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { emptyFolder, freshBank, read, serverOn } from "./lib/project.mjs";

async function withServer(t) {
  return serverOn(await emptyFolder(t), t);
}

const errorWithoutId = (code) => (message) => message.error?.code === code && message.id === null;

for (const [what, line] of [
  ["is not JSON", "{ this is not JSON"],
  ["is cut off", '{"jsonrpc":"2.0","id":7,"method":"pi'],
  ["is a word", "hello"],
  ["nests too deep for the parser", "[".repeat(100_000)],
]) {
  test(`a line that ${what} gets -32700 with id null, and the next line is served`, async (t) => {
    const server = await withServer(t);
    const reply = server.next(errorWithoutId(-32700));
    server.sendLine(line);
    await reply;
    assert.deepEqual(await server.request("ping"), {});
    await server.close();
  });
}

test("a line of bytes that are not UTF-8 is refused, and the next is served", async (t) => {
  const server = await withServer(t);
  const reply = server.next((message) => message.error && message.id === null);
  server.child.stdin.write(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d, 0x0a]));
  await reply;
  assert.deepEqual(await server.request("ping"), {});
});

for (const [what, line] of [
  ["a batch", '[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]'],
  ["an empty batch", "[]"],
  ["a number", "17"],
  ["an object that is no message", '{"hello":"world"}'],
]) {
  test(`${what} gets -32600, and the next line is served`, async (t) => {
    const server = await withServer(t);
    const reply = server.next((message) => message.error?.code === -32600);
    server.sendLine(line);
    await reply;
    assert.deepEqual(await server.request("ping"), {});
    await server.close();
  });
}

test("empty lines and unknown notifications are ignored", async (t) => {
  const server = await withServer(t);
  const before = server.received.length;
  server.sendLine("");
  server.sendLine("  ");
  server.notify("notifications/nobody/knows", { a: 1 });
  server.sendLine("\r");
  assert.deepEqual(await server.request("ping"), {});
  assert.equal(server.received.length, before + 1);
});

test("an unknown method gets -32601", async (t) => {
  const server = await withServer(t);
  await server.refuses(-32601, "no/such/method", {});
});

test("the id of a request is returned unchanged in every type", async (t) => {
  const server = await withServer(t);
  for (const id of ["a text", 0, -1, Number.MAX_SAFE_INTEGER, ""]) {
    assert.deepEqual(await server.request("ping", undefined, { id }), {});
  }
});

test("a line of 20 MB is refused, and the server continues", async (t) => {
  const server = await withServer(t);
  const refusal = server.next((message) => message.error !== undefined);
  server.send({
    id: "huge",
    method: "tools/call",
    params: { name: "write_memory_bank_file", arguments: { filename: "huge.md", content: "x".repeat(20e6) } },
  });
  assert.ok([null, "huge"].includes((await refusal).id));
  assert.deepEqual(await server.request("ping"), {});
  await server.close();
});

test("a document over one MiB is refused with the bound in the text, and nothing is written", async (t) => {
  const { server } = await freshBank(t);
  const big = { name: "write_memory_bank_file", arguments: { filename: "big.md", content: "x".repeat(1024 * 1024 + 1) } };
  assert.match(await server.fails(big.name, big.arguments), /1048576/);
  await server.ok("write_memory_bank_file", { filename: "full.md", content: "x".repeat(1024 * 1024) });
  assert.ok(!(await server.ok("list_memory_bank_files")).text.includes("big.md"));
});

test("an unknown tool is a protocol error that begins `Unknown tool`", async (t) => {
  const server = await withServer(t);
  for (const args of [{}, undefined]) {
    const error = await server.refuses(-32602, "tools/call", { name: "no_such_tool", arguments: args });
    assert.match(error.message, /Unknown tool: no_such_tool/);
  }
});

test("omitted arguments count as empty", async (t) => {
  const { server } = await freshBank(t);
  for (const name of ["update_tasks", "switch_mode", "list_stores", "get_context_digest", "update_active_context"]) {
    const result = await server.request("tools/call", { name });
    assert.notEqual(result.isError, true, `${name}: ${result.content[0].text}`);
  }
  const { isError } = await server.request("tools/call", { name: "track_progress" });
  assert.equal(isError, true);
});

for (const [name, args, field] of [
  ["read_memory_bank_file", {}, "filename"],
  ["read_memory_bank_file", { filename: 7 }, "filename"],
  ["write_memory_bank_file", { filename: "a.md", content: { a: 1 } }, "content"],
  ["track_progress", { action: {}, description: "x" }, "action"],
  ["track_progress", { action: "x", description: "y", updateActiveContext: "no" }, "updateActiveContext"],
  ["add_progress_entry", { type: "poem", summary: "x" }, "type"],
  ["add_progress_entry", { type: "bugfix", summary: "x" }, "type"],
  ["add_progress_entry", { type: "fix", summary: "x", files: 7 }, "files"],
  ["add_session_note", { note: "x", category: "zzz" }, "category"],
  ["update_tasks", { add: [1] }, "add[0]"],
  ["update_tasks", { add: "['a', 'b']" }, "add"],
  ["search_memory_bank", { query: "x", files: { a: 1 } }, "files"],
  ["search_memory_bank", { query: "x", maxResults: 0 }, "maxResults"],
  ["batch_read_files", { files: [] }, "files"],
  ["batch_write_files", { files: [{ filename: "a.md", content: "x" }, null] }, "files"],
  ["graph_upsert_entity", { name: "x", entityType: "y", attrs: [1] }, "attrs"],
  ["graph_open_nodes", { nodes: [5] }, "nodes"],
  ["graph_open_nodes", { nodes: " " }, "nodes"],
  ["graph_search", { query: "x", limit: "two" }, "limit"],
  ["graph_link_entities", { from: "a", relationType: "b", to: "c", action: "bogus" }, "action"],
  ["graph_maintain", { operation: "zzz" }, "operation"],
  ["select_store", { action: "marry" }, "action"],
  ["sequential_thinking", { thought: "x", nextThoughtNeeded: true, thoughtNumber: "2.5", totalThoughts: 3 }, "thoughtNumber"],
  ["sequential_thinking", { reset: "false" }, "thoughtNumber"],
  ["finalize_thinking_session", { summary: "x", decision: { title: "x" } }, "decision"],
  ["finalize_thinking_session", { summary: "x", progressEntry: {} }, "progressEntry"],
  ["get_targeted_context", { query: "x", maxChars: 100 }, "maxChars"],
  ["switch_mode", { umb: "yes" }, "umb"],
]) {
  test(`${name} ${JSON.stringify(args)} is refused by a result that names \`${field}\``, async (t) => {
    const { server, bank } = await freshBank(t);
    const before = await read(bank, "active-context.md");
    const text = await server.fails(name, args);
    assert.ok(text.includes(`\`${field}`), text);
    assert.match(text, /for example \{/);
    assert.equal(await read(bank, "active-context.md"), before);
  });
}

test("numbers out of range in a graph search are clamped", async (t) => {
  const { server } = await freshBank(t);
  for (const name of ["One", "Two"]) {
    await server.ok("graph_upsert_entity", { name, entityType: "thing" });
  }
  for (const limit of [-1, 0, 1]) {
    const { json } = await server.ok("graph_search", { query: "*", limit, includeNeighborhood: true, neighborhoodDepth: 9 });
    assert.equal(json.entities.length, 1, `limit ${limit}`);
  }
  assert.equal((await server.ok("graph_search", { query: "*", limit: 100000 })).json.entities.length, 2);
});

test("arguments that are not an object are refused by a result, unless they are JSON text of one or missing", async (t) => {
  const { server } = await freshBank(t);
  for (const args of [[1], "text", 7, true, "[1]"]) {
    assert.match(await server.fails("list_memory_bank_files", args), /^`arguments` must be an object/);
  }
  for (const args of [[], "", "{}", null, "[]"]) {
    assert.match((await server.ok("list_memory_bank_files", args)).text, /^Files in Memory Bank:/);
  }
  const text = JSON.stringify({ action: "Did", description: "it" });
  assert.equal((await server.ok("track_progress", text)).text, "Progress tracked: Did - it");
});

test("a duplicate argument stops the call and is named", async (t) => {
  const { server, bank } = await freshBank(t);
  await server.ok("graph_upsert_entity", { name: "Alpha", entityType: "t" });
  let id = 0;
  const call = async (params) => {
    id += 1;
    const reply = server.next((message) => message.id === `twice-${id}`);
    server.sendLine(`{"jsonrpc":"2.0","id":"twice-${id}","method":"tools/call","params":{${params}}}`);
    return reply;
  };
  const before = await read(bank, "progress.md");
  for (const params of [
    '"name":"graph_delete_entity","arguments":{"entity":"Alpha","observationId":"obs_x","observationId":null}',
    '"name":"graph_delete_entity","arguments":{"entity":"Alpha","observationId":"obs_x","observation\\u0049d":null}',
    '"name":"graph_delete_observation","arguments":{"entity":"Alpha","observationId":"","observationId":"x"}',
    '"name":"write_memory_bank_file","arguments":{"filename":"progress.md","content":"x","ifMatchEtag":"aa","ifMatchEtag":null}',
    '"name":"batch_write_files","arguments":{"files":[{"filename":"a.md","filename":"progress.md","content":"x"}]}',
    '"name":"track_progress","arguments":{"action":"Did","description":"one","description":"two"}',
    '"name":"sequential_thinking","arguments":{"reset":true,"sessionId":"a","sessionId":null}',
  ]) {
    const { result } = await call(params);
    assert.equal(result?.isError, true, params);
    assert.match(result.content[0].text, /^`arguments` gives `(observationId|ifMatchEtag|filename|sessionId|description)` twice/);
  }
  assert.equal((await call('"name":"track_progress","name":"track_progress","arguments":{}')).error?.code, -32600);
  const { result } = await call('"name":"write_memory_bank_file","arguments":"{\\"filename\\":\\"progress.md\\",\\"filename\\":\\"b.md\\",\\"content\\":\\"x\\"}"');
  assert.equal(result.isError, true);
  assert.equal(await read(bank, "progress.md"), before);
  assert.equal((await server.ok("graph_search", { query: "*" })).json.entities.length, 1);
  assert.equal((await call('"name":"list_memory_bank_files","arguments":{"a":1,"a":2}')).result.isError, true);
});

for (const id of ["null", "{}", "[1]", "true", "1.5", "12345678901234567890"]) {
  test(`an id that is ${id} gets -32600 with id null, and the next line is served`, async (t) => {
    const server = await withServer(t);
    for (const method of ["ping", "tools/list", "notifications/initialized"]) {
      const reply = server.next((message) => message.error !== undefined);
      server.sendLine(`{"jsonrpc":"2.0","id":${id},"method":"${method}"}`);
      const { error, id: given } = await reply;
      assert.deepEqual([error.code, given], [-32600, null]);
      assert.match(error.message, /`id`/);
    }
    assert.deepEqual(await server.request("ping"), {});
  });
}

test("a lone surrogate is stored as U+FFFD", async (t) => {
  const { server, bank } = await freshBank(t);
  const reply = server.next((message) => message.id === "lone");
  server.sendLine(
    String.raw`{"jsonrpc":"2.0","id":"lone","method":"tools/call","params":{"name":"write_memory_bank_file","arguments":{"filename":"lone.md","content":"a\ud800b \ud83d\ude00 \udc00 \\ud800"}}}`,
  );
  const { result, error } = await reply;
  assert.equal(error, undefined, JSON.stringify(error));
  assert.notEqual(result.isError, true, result.content[0].text);
  assert.equal(await read(bank, "lone.md"), "a\ufffdb \u{1f600} \ufffd \\ud800");
});

test("control characters, line ends and markup in arguments do not break a document's structure", async (t) => {
  const { server, bank } = await freshBank(t);
  await server.ok("track_progress", { action: "a\n## Injected", description: "b\r\n\r\n# Title\n- c" });
  await server.ok("update_active_context", { tasks: ["one\n## Known Issues\n- forged"] });
  await server.ok("log_decision", { title: "t\n## second", context: "c", decision: "d" });
  const headings = (text) => text.split("\n").filter((line) => /^#{1,2} /.test(line));
  assert.ok(!headings(await read(bank, "progress.md")).some((line) => /Injected|Title/.test(line)));
  assert.equal(headings(await read(bank, "active-context.md")).filter((line) => line === "## Known Issues").length, 1);
  assert.ok(!headings(await read(bank, "decision-log.md")).includes("## second"));
});

for (const pattern of ["$&", "$`", "$'", "$$", "$1"]) {
  test(`the text ${pattern} is written unchanged`, async (t) => {
    const { server, bank } = await freshBank(t);
    await server.ok("track_progress", { action: `x${pattern}`, description: `${pattern}y` });
    await server.ok("log_decision", { title: `T ${pattern}`, context: pattern, decision: pattern });
    assert.ok((await read(bank, "progress.md")).includes(`- x${pattern}: ${pattern}y\n`));
    assert.ok((await read(bank, "progress.md")).includes(`Decision Made: T ${pattern}\n`));
    assert.ok((await read(bank, "decision-log.md")).includes(`\n## T ${pattern}\n`));
  });
}

test("a thousand pipelined requests are all answered", async (t) => {
  const { server, bank } = await freshBank(t);
  const replies = await Promise.all(
    Array.from({ length: 1000 }, (_, n) =>
      n % 2 ? server.request("ping") : server.tool("read_memory_bank_file", { filename: "progress.md" }),
    ),
  );
  assert.equal(replies.length, 1000);
  assert.equal(replies[0].json.content, await read(join(bank, "progress.md")));
});
