// Calls with random arguments, valid and invalid, for every tool: each is answered without an internal error, and the bank
// stays readable. The seed is fixed; SEED=n uses another one.

import assert from "node:assert/strict";
import { appendFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { copyOf, read, serverOn } from "./lib/project.mjs";

const SEED = Number(process.env.SEED ?? 20261122);
const CALLS_EACH = 40;

/** A small generator of numbers from 0 to 1 (mulberry32). */
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const TEXTS = [
  "", " ", "a", "Checkout Service", "checkout", "*", "progress.md", "payments.md", "none.md", "../x.md", "a\nb", "a\r\n## b",
  "## Next Steps", "$&", "\u0000", "\ufeff", "日本語 $& 名", "\u{1f600}", "e\u0301", "__proto__", "constructor", "ent_", "ent_PYUwdCvnUC8p",
  "obs_B2ttSzKE_blm", "shop", "handbook", "2026-11-22", "1", "null", "`", "```", "- [ ] x", "x".repeat(10_000), '"', "\\", "<!--", "%2e%2e",
];
const ODD = [null, true, false, 0, 1, -1, 0.5, 1e308, 2 ** 53, [], {}, [[]], [null], { a: { b: [] } }, "", ["a"], [1, "a"]];

function generator(random) {
  const pick = (list) => list[Math.floor(random() * list.length)];
  const value = (name, schema, depth = 0) => {
    if (random() < 0.15) return pick(ODD);
    // Only names inside the project: the test must not write elsewhere.
    if (/^(path|backupDir)$/.test(name)) return pick(["", ".", "sub", "handbook", "memory-bank", "stores.json"]);
    const kinds = [schema.type ?? []].flat();
    if (schema.const !== undefined) return schema.const;
    if (schema.enum) return random() < 0.9 ? pick(schema.enum) : pick(TEXTS);
    if (schema.anyOf ?? schema.oneOf) return value(name, pick(schema.anyOf ?? schema.oneOf), depth);
    if (kinds.includes("integer") || kinds.includes("number")) {
      return pick([schema.minimum ?? 1, schema.maximum ?? 10, 1, 2, 3, -1, 1.5, 1_000_000_000]);
    }
    if (kinds.includes("boolean")) return random() < 0.5;
    if (kinds.includes("array")) {
      return Array.from({ length: Math.floor(random() * 4) }, () => value("", schema.items ?? {}, depth + 1));
    }
    if (kinds.includes("object") && depth < 3) return object(schema, depth + 1);
    return pick(TEXTS);
  };
  const object = (schema, depth = 0) => {
    const made = {};
    for (const [name, of] of Object.entries(schema.properties ?? {})) {
      if (random() < (schema.required?.includes(name) ? 0.95 : 0.5)) made[name] = value(name, of, depth);
    }
    if (random() < 0.03) made.unexpected = pick(ODD);
    return made;
  };
  return { pick, object };
}

test(`random calls of every tool are answered without a fault (seed ${SEED})`, { timeout: 110_000 }, async (t) => {
  const project = await copyOf("original-project", t);
  const server = await serverOn(project, t);
  const { tools } = await server.request("tools/list");
  const { pick, object } = generator(randomNumbers(SEED));
  let [answered, succeeded] = [0, 0];
  for (let round = 0; round < CALLS_EACH; round += 1) {
    const calls = tools.map(async ({ name, inputSchema }) => {
      const args = object(inputSchema);
      const result = await server.request("tools/call", { name, arguments: args }).catch((error) => {
        assert.fail(`${name} ${JSON.stringify(args).slice(0, 500)}: ${error}`);
      });
      if (!result.isError) succeeded += 1;
      assert.ok(!result.content[0].text.includes("panicked"), `${name} ${JSON.stringify(args).slice(0, 500)}`);
      answered += 1;
    });
    await Promise.all(calls);
    if (pick([true, false, false])) await appendFile(join(project, "memory-bank", "graph", "graph.jsonl"), pick(TEXTS)).catch(() => {});
  }
  assert.equal(answered, CALLS_EACH * tools.length);
  t.diagnostic(`note: of ${answered} random calls ${succeeded} succeeded`);
  assert.ok(succeeded > answered / 8, "the calls are not so random that all are refused");
  assert.ok(!server.stderr.includes("panicked"), server.stderr.slice(0, 2000));
  await server.ok("select_store", { path: project });
  assert.equal((await server.ok("get_memory_bank_status")).json.isComplete, true);
  assert.equal((await server.ok("graph_maintain", { operation: "rebuild" })).json.success, true);
  const text = (await server.ok("read_memory_bank_file", { filename: "active-context.md", includeEtag: false })).text;
  assert.equal(text, await read(project, "memory-bank", "active-context.md"));
  await server.close();
});

/** Every file of a project with its text. */
async function everyFile(folder) {
  const entries = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => join(entry.parentPath ?? entry.path, entry.name)).sort();
  return Object.fromEntries(await Promise.all(paths.map(async (path) => [path, await read(path)])));
}

test(`no destructive tool does anything when it gets an unknown argument (seed ${SEED})`, { timeout: 110_000 }, async (t) => {
  const project = await copyOf("original-project", t);
  const server = await serverOn(project, t);
  const { tools } = await server.request("tools/list");
  const { pick, object } = generator(randomNumbers(SEED));
  const strange = ["__proto__", "constructor", "etag", "ifMatchEtagg", "observatonId", "dryRun", "toolCallId", "", "x".repeat(300)];
  // Reading files for search or a first read may create some.
  await server.ok("graph_maintain", { operation: "rebuild" });
  const before = await everyFile(project);
  const destructive = tools.filter(({ annotations }) => annotations.destructiveHint);
  assert.ok(destructive.length >= 10);
  for (let round = 0; round < 30; round += 1) {
    const calls = destructive.map(async ({ name, inputSchema }) => {
      const args = object(inputSchema);
      const lists = Object.values(args).filter((value) => Array.isArray(value) && value.some((item) => item?.constructor === Object));
      const inside = lists.length > 0 && pick([true, false]) ? lists[0].find((item) => item?.constructor === Object) : args;
      Object.defineProperty(inside, pick(strange), { value: pick(ODD), enumerable: true });
      const reply = await server.tool(name, args);
      assert.ok(reply.isError, `${name} ${JSON.stringify(args).slice(0, 500)}: ${reply.text.slice(0, 500)}`);
    });
    await Promise.all(calls);
  }
  assert.deepEqual(await everyFile(project), before);
  await server.close();
});

test(`arguments of any shape are answered by a result, for every tool (seed ${SEED})`, { timeout: 110_000 }, async (t) => {
  const project = await copyOf("original-project", t);
  const server = await serverOn(project, t);
  const { tools } = await server.request("tools/list");
  const { pick } = generator(randomNumbers(SEED + 1));
  const shape = (depth = 0) => {
    if (depth > 2) return pick([...ODD, ...TEXTS]);
    const some = Array.from({ length: pick([0, 1, 2, 3]) }, () => shape(depth + 1));
    return pick([
      () => pick(ODD), () => pick(TEXTS), () => some, () => JSON.stringify(some),
      () => Object.fromEntries(some.map((value) => [pick([...TEXTS, "filename", "op", "id"]), value])),
    ])();
  };
  for (let round = 0; round < 30; round += 1) {
    await Promise.all(tools.map(async ({ name, inputSchema }) => {
      // Only names inside the project: the test must not write elsewhere.
      const names = Object.keys(inputSchema.properties).filter((one) => !/^(path|backupDir|storeId)$/.test(one));
      const args = pick([0, 1, 2, 3, 4]) === 0 ? shape() : Object.fromEntries(names.filter(() => pick([true, true, false])).map((one) => [one, shape()]));
      const result = await server.request("tools/call", { name, arguments: args }).catch((error) => {
        assert.fail(`${name} ${JSON.stringify(args).slice(0, 500)}: ${error}`);
      });
      assert.ok(result.content[0].text.length > 0 || !result.isError);
    }));
  }
  assert.ok(!server.stderr.includes("panicked"), server.stderr.slice(0, 2000));
  assert.equal((await server.ok("graph_maintain", { operation: "rebuild" })).json.success, true);
  await server.close();
});
