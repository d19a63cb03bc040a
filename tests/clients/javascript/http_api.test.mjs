// `/api/v1` over HTTP: pages, etags, problems, and the rights of a token. Its description is compared with it in
// test_rest_keys.py.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { withTools } from "./lib/console.mjs";
import { Database } from "./lib/http_server.mjs";

let database, server, alice, bob;
const NAMES = ["plans/a.md", "plans/b.md", "plans/ü.md"];

before(async () => {
  database = await Database.lent();
  server = await database.serve();
  alice = await database.project();
  bob = await database.project();
  await withTools(server, alice.key, async (call) => {
    await call("initialize_memory_bank", { path: "." });
    for (const filename of NAMES) await call("write_memory_bank_file", { filename, content: `# Plan\n\nthe quokka of ${filename}\n` });
  });
});
after(() => database?.giveBack());

const get = (path, key = alice.key, headers = {}) => server.fetch(`/api/v1/${path}`, key, { headers });
const json = async (path, key) => (await get(path, key)).json();

test("documents are listed page by page, each once, with who changed them", async () => {
  const whole = (await json("documents")).documents;
  assert.deepEqual(whole.filter(({ name }) => name.startsWith("plans/")).map(({ name }) => name), NAMES);
  assert.ok(whole.filter(({ name }) => name.startsWith("plans/")).every(({ updatedBy, bytes, updatedAt }) => updatedBy === alice.user && bytes > 0 && !Number.isNaN(Date.parse(updatedAt))));
  const names = [];
  let cursor;
  do {
    const page = await json(`documents?limit=2${cursor ? `&cursor=${cursor}` : ""}`);
    assert.ok(page.documents.length <= 2);
    names.push(...page.documents.map(({ name }) => name));
    cursor = page.nextCursor;
  } while (cursor);
  assert.deepEqual(names, whole.map(({ name }) => name));
});

test("a reply that the client has is not sent again, until it changes", async () => {
  const path = `document?filename=${encodeURIComponent(NAMES[2])}`;
  const first = await get(path);
  const etag = first.headers.get("etag");
  assert.equal((await first.json()).text, `# Plan\n\nthe quokka of ${NAMES[2]}\n`);
  const again = await get(path, alice.key, { "If-None-Match": etag });
  assert.equal(again.status, 304);
  assert.equal(await again.text(), "");
  await withTools(server, alice.key, (call) => call("write_memory_bank_file", { filename: NAMES[2], content: "# Plan\n\nchanged\n" }));
  const changed = await get(path, alice.key, { "If-None-Match": etag });
  assert.equal(changed.status, 200);
  assert.match((await changed.json()).text, /changed/);
});

test("errors are problems that say what to do", async () => {
  for (const [path, status, key] of [
    ["document?filename=none.md", 404],
    ["document?filename=../../etc/passwd", 404],
    ["document", 400],
    ["documents?limit=0", 400],
    ["documents?cursor=x", 404],
    [`search?query=${"x".repeat(1025)}`, 400],
    ["search?query=quokka&cursor=x", 404],
    ["history?filename=none.md", 404],
    ["session", 401, null],
  ]) {
    const reply = key === null ? await server.fetch(`/api/v1/${path}`) : await get(path);
    assert.equal(reply.status, status, path);
    assert.equal(reply.headers.get("content-type"), "application/problem+json", path);
    const { title, status: named, detail } = await reply.json();
    assert.ok(title.length > 0 && named === status && detail.length > 5, path);
  }
});

test("a search finds lines, and a blank one nothing", async () => {
  const { results } = await json("search?query=quokka&limit=1");
  assert.equal(results.length, 1);
  assert.match(results[0].content, /quokka/);
  assert.deepEqual((await json("search?query=%20")).results, []);
});

test("a key sees its own project, and lists change nothing", async () => {
  assert.equal((await json("session", bob.key)).project, bob.slug);
  assert.deepEqual((await json("search?query=quokka", bob.key)).results, []);
  for (const path of ["documents", "history"]) assert.ok(!JSON.stringify(await json(path, bob.key)).includes("plans/"), path);
  assert.equal((await get(`document?filename=${NAMES[0]}`, bob.key)).status, 404);
  for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
    assert.equal((await server.fetch("/api/v1/documents", alice.key, { method })).status, 405, method);
  }
});
