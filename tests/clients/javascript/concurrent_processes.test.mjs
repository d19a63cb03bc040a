// Several processes, and concurrent calls of one process, on one folder: no acknowledged write is lost.

import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { freshBank, read, serverOn } from "./lib/project.mjs";

const PROCESSES = 4;
const EACH = 15;

async function crowd(t) {
  const { server, project, bank } = await freshBank(t);
  const others = await Promise.all(Array.from({ length: PROCESSES - 1 }, () => serverOn(project, t)));
  return { servers: [server, ...others], project, bank };
}

/** Every process makes `EACH` calls, all at once; gives the replies. */
const all = (servers, call) =>
  Promise.all(servers.flatMap((server, p) => Array.from({ length: EACH }, (_, n) => call(server, `${p}-${n}`))));

const count = (text, pattern) => text.split(pattern).length - 1;

test("entries of four processes in one document are all kept", async (t) => {
  const { servers, bank } = await crowd(t);
  await all(servers, (server, key) => server.ok("track_progress", { action: "did", description: `entry <${key}>` }));
  for (const file of ["progress.md", "active-context.md"]) {
    const text = await read(bank, file);
    for (let p = 0; p < PROCESSES; p += 1) {
      for (let n = 0; n < EACH; n += 1) assert.equal(count(text, `entry <${p}-${n}>`), 1, `${file}: ${p}-${n}`);
    }
  }
});

test("different tools on the same two documents lose nothing", async (t) => {
  const { servers, bank } = await crowd(t);
  await all(servers, (server, key) =>
    [
      () => server.ok("add_progress_entry", { type: "fix", summary: `mark <${key}>` }),
      () => server.ok("log_decision", { title: `mark <${key}>`, context: "", decision: "d" }),
      () => server.ok("update_tasks", { add: [`mark <${key}>`] }),
      () => server.ok("add_session_note", { note: `mark <${key}>` }),
    ][Number(key.split("-")[1]) % 4](),
  );
  const text = (await Promise.all(["progress.md", "decision-log.md", "active-context.md"].map((f) => read(bank, f)))).join("");
  for (let p = 0; p < PROCESSES; p += 1) {
    for (let n = 0; n < EACH; n += 1) assert.ok(text.includes(`mark <${p}-${n}>`), `${p}-${n}`);
  }
  assert.equal(count(text, "# Current Context\n"), 1, "the title occurs once");
});

test("of many writes with one etag exactly one succeeds across all processes", async (t) => {
  const { servers, bank } = await crowd(t);
  const { etag } = (await servers[0].ok("read_memory_bank_file", { filename: "progress.md" })).json;
  const replies = await all(servers, (server, key) =>
    server.tool("write_memory_bank_file", { filename: "progress.md", content: `by ${key}`, ifMatchEtag: etag }),
  );
  const winners = replies.filter((reply) => !reply.isError);
  assert.equal(winners.length, 1);
  for (const reply of replies.filter((r) => r.isError)) assert.equal(reply.json.error, "ETAG_MISMATCH");
  assert.equal((await servers[1].ok("read_memory_bank_file", { filename: "progress.md" })).json.etag, winners[0].json.etag);
  assert.match(await read(bank, "progress.md"), /^by \d-\d+$/);
});

test("observations, entities and relations of four processes are all kept, and all see them", async (t) => {
  const { servers, bank } = await crowd(t);
  await servers[0].ok("graph_upsert_entity", { name: "Hub", entityType: "thing" });
  await all(servers, async (server, key) => {
    await server.ok("graph_upsert_entity", { name: `Node ${key}`, entityType: "thing" });
    await server.ok("graph_add_observation", { entity: "Hub", text: `fact ${key}` });
    await server.ok("graph_link_entities", { from: `Node ${key}`, relationType: "of", to: "Hub" });
  });
  const total = PROCESSES * EACH;
  for (const server of servers) {
    const { stats } = (await server.ok("graph_maintain", { operation: "stats" })).json;
    assert.deepEqual([stats.entityCount, stats.observationCount, stats.relationCount], [total + 1, total, total]);
  }
  for (const line of (await read(bank, "graph", "graph.jsonl")).trimEnd().split("\n")) JSON.parse(line);
});

test("compaction during additions drops nothing", async (t) => {
  const { servers } = await crowd(t);
  await servers[0].ok("graph_upsert_entity", { name: "Hub", entityType: "thing" });
  await all(servers, (server, key) =>
    Number(key.split("-")[1]) % 5 === 0
      ? server.ok("graph_maintain", { operation: "compact" })
      : server.ok("graph_add_observation", { entity: "Hub", text: `fact ${key}` }),
  );
  const { stats } = (await servers[2].ok("graph_maintain", { operation: "stats" })).json;
  assert.equal(stats.observationCount, PROCESSES * EACH * (4 / 5));
});

test("thirty concurrent first entities are all created", async (t) => {
  const { server } = await freshBank(t);
  await Promise.all(
    Array.from({ length: 30 }, (_, n) => server.ok("graph_upsert_entity", { name: `E${n}`, entityType: "t" })),
  );
  assert.equal((await server.ok("graph_search", { query: "*", limit: 500 })).json.entities.length, 30);
});

test("stores registered by several processes are all in the registry", async (t) => {
  const { servers, project } = await crowd(t);
  await Promise.all(
    servers.map((server, p) => server.ok("select_store", { action: "register", storeId: `s${p}`, path: project })),
  );
  const { stores } = JSON.parse(await read(project, "stores.json"));
  for (let p = 0; p < PROCESSES; p += 1) assert.ok(stores.some(({ storeId }) => storeId === `s${p}`), `s${p}`);
});

test("a reader never sees a partial document", async (t) => {
  const { servers, bank } = await crowd(t);
  const size = 200_000;
  let writing = true;
  const writes = (async () => {
    for (let n = 0; n < 20; n += 1) {
      await servers[0].ok("write_memory_bank_file", { filename: "big.md", content: String(n % 10).repeat(size) });
    }
    writing = false;
  })();
  await servers[0].ok("write_memory_bank_file", { filename: "big.md", content: "0".repeat(size) });
  while (writing) {
    const text = await read(join(bank, "big.md"));
    assert.equal(text.length, size);
    assert.equal(text, text[0].repeat(size));
    const reply = await servers[1].ok("read_memory_bank_file", { filename: "big.md", maxChars: 250_000 });
    assert.equal(reply.json.content, reply.json.content[0].repeat(size));
  }
  await writes;
});
