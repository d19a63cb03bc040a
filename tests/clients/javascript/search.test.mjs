// Search of documents by a client: days, quotes, missing words.

import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { freshBank, write } from "./lib/project.mjs";

async function bankWithLog(t) {
  const made = await freshBank(t);
  await write(
    join(made.bank, "log.md"),
    "# Log\n\n- [2026-08-30 10:49] moved the gateway\n- 2026-09-02: drained the gateway\n\n### Sep 5, 2026\n\n- retired the gateway\n",
  );
  const search = async (args) => (await made.server.ok("search_memory_bank", { files: ["log.md"], ...args })).json;
  return { ...made, search };
}

test("since and until accept days and months and refuse other values", async (t) => {
  const { server, search } = await bankWithLog(t);
  const found = async (args) => (await search({ query: "gateway", ...args })).results.map(({ line }) => line).sort();
  assert.deepEqual(await found({}), [3, 4, 8]);
  assert.deepEqual(await found({ until: "2026-08" }), [3]);
  assert.deepEqual(await found({ since: "2026-09-02", until: "2026-09-02" }), [4]);
  assert.deepEqual(await found({ since: "2026-09-03" }), [8]);
  for (const [args, message] of [
    [{ since: "last week" }, /`since`: `last week` is not a day/],
    [{ since: "2026-09-05", until: "2026-09-01" }, /is after `until`/],
  ]) {
    const call = server.tool("search_memory_bank", { query: "gateway", ...args });
    const text = await call.then((reply) => reply.text, (error) => String(error.message ?? error));
    assert.match(text, message);
  }
});

test("a missing phrase falls back to its words, and the reply reports it", async (t) => {
  const { search } = await bankWithLog(t);
  const narrow = await search({ query: '"retired the gateway"' });
  assert.deepEqual(narrow.results.map(({ line }) => line), [8]);
  assert.equal(narrow.metadata.phrasesNotFound, undefined);
  const fallen = await search({ query: '"gateway retired"' });
  assert.equal(fallen.results[0].line, 8);
  assert.deepEqual(fallen.metadata.phrasesNotFound, ["gateway retired"]);
  assert.match(fallen.metadata.note, /words were searched/);
});

test("a missing word is replaced by similar ones, and the reply names them", async (t) => {
  const { search } = await bankWithLog(t);
  const found = await search({ query: "gatewya drained" });
  assert.equal(found.results[0].line, 4);
  assert.deepEqual(found.metadata.wordsNotFound, ["gatewya"]);
});
