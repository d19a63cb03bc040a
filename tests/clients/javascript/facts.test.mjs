// Facts and decisions that end: arguments, replies, and the log that the earlier program reads.

import assert from "node:assert/strict";
import test from "node:test";
import { freshBank, read } from "./lib/project.mjs";

async function withApi(t) {
  const { server, bank } = await freshBank(t);
  await server.ok("graph_upsert_entity", { name: "Api", entityType: "service" });
  const add = async (text, more = {}) => (await server.ok("graph_add_observation", { entity: "Api", text, ...more })).json;
  const open = async (more = {}) => (await server.ok("graph_open_nodes", { nodes: ["Api"], ...more })).json;
  const search = async (query, more = {}) => (await server.ok("graph_search", { query, ...more })).json;
  return { server, bank, add, open, search };
}
const texts = ({ observations }) => observations.map(({ text }) => text).sort();

test("a replaced fact is left out, counted, and shown on request with its end", async (t) => {
  const { add, open, search } = await withApi(t);
  const old = (await add("port is 80")).observation;
  const now = await add("port is 443", { supersedes: "port is 80", validUntil: "2999-01-01" });
  assert.deepEqual(now.superseded, [{ id: old.id, text: "port is 80" }]);
  assert.deepEqual(now.observation.supersedes, [old.id]);
  for (const reply of [await open(), await search("port"), await search("*")]) {
    assert.deepEqual(texts(reply), ["port is 443"]);
    assert.deepEqual(reply.ended, { leftOut: 1, shownWith: "includeEnded: true" });
  }
  for (const reply of [await open({ includeEnded: true }), await search("port", { includeEnded: "true" })]) {
    assert.equal(reply.ended, undefined);
    const [ended] = reply.observations.filter(({ text }) => text === "port is 80");
    assert.equal(ended.supersededBy, now.observation.id);
    assert.match(ended.endedAt, /^\d{4}-\d\d-\d\dT/);
  }
  assert.equal((await search("api")).entities[0].observationCount, 1);
  assert.deepEqual((await open({ asOf: "2001-01-01" })).entities, []);
  assert.deepEqual((await open({ asOf: "2001-01-01" })).missing, ["Api"]);
  for (const reply of [await open({ asOf: "2998-01-01" }), await search("api", { asOf: "2998-01-01" }), await open()]) {
    assert.equal(reply.asOfNote, undefined);
  }
});

test("a fact that was replaced before is named with the fact that replaced it", async (t) => {
  const { server, add } = await withApi(t);
  const old = (await add("port is 80")).observation;
  const first = (await add("speaks TLS", { supersedes: old.id })).observation;
  const second = await add("listens on 8443", { supersedes: old.id });
  assert.deepEqual(second.superseded, [{ id: old.id, text: "port is 80", alreadyBy: first.id }]);
  assert.match(second.note, /`alreadyBy` had replaced the fact before/);
  const both = await add("listens on 443", { supersedes: [first.id, second.observation.id, old.id] });
  assert.equal(both.note, undefined);
  const { json } = await server.ok("graph_batch", {
    observations: [{ entity: "Api", text: "listens nowhere", supersedes: old.id }],
  });
  assert.equal(json.superseded[0].alreadyBy, both.observation.id);
  assert.match(json.note, /alreadyBy/);
});

test("a similar fact is named with its id, and both are written", async (t) => {
  const { server, add, open } = await withApi(t);
  const { observation } = await add("The timeout is 30 seconds");
  const added = await add("The timeout is 60 seconds");
  assert.deepEqual(added.similar, [{ id: observation.id, text: "The timeout is 30 seconds", newFact: "contradicts" }]);
  assert.match(added.hint, /supersedes/);
  assert.equal((await open()).observations.length, 2);
  const batch = { observations: [{ entity: "Api", text: "the timeout is 60 seconds." }] };
  const { similar } = (await server.ok("graph_batch", batch)).json;
  assert.deepEqual(similar.map(({ at, newFact }) => [at, newFact])[0], ["observations[0]", "repeats"]);
  assert.equal((await add("Uses PostgreSQL")).similar, undefined);
  assert.equal((await add("Uses Redis")).similar, undefined);
});

test("wrong bounds are refused with what to do, and nothing is written", async (t) => {
  const { server, open } = await withApi(t);
  const fails = (more) => server.fails("graph_add_observation", { entity: "Api", text: "x", ...more });
  assert.match(await fails({ validUntil: "next week" }), /validUntil `next week` is neither RFC 3339/);
  assert.match(await fails({ validFrom: "2026-02-02", validUntil: "2026-02-01" }), /earlier validFrom or a later validUntil/);
  assert.match(await fails({ supersedes: ["y"] }), /supersedes names `y`.*graph_open_nodes/);
  assert.match(await server.fails("graph_search", { query: "*", asOf: "yesterday" }), /asOf `yesterday`/);
  const batch = { observations: [{ entity: "Api", text: "a" }, { entity: "Api", text: "b", expiresAt: "never" }] };
  assert.match(await server.fails("graph_batch", batch), /observations\[1\].*expiresAt `never`/);
  assert.deepEqual((await open()).observations, []);
});

test("a batch takes plain facts and facts with bounds, also in the form of the reference server", async (t) => {
  const { server, search } = await withApi(t);
  await server.ok("graph_batch", {
    entities: [{ name: "Ada", entityType: "person", observations: ["likes tea", { text: "is here", validUntil: "2001-01-01" }] }],
    observations: [{ entityName: "Api", contents: ["is fast", { text: "is old", expiresAt: "2001-01-01" }] }],
  });
  const found = await search("*");
  assert.deepEqual(texts(found), ["is fast", "likes tea"]);
  assert.equal(found.ended.leftOut, 2);
});

test("plain facts are written as before, and bounds are members that the earlier program ignores", async (t) => {
  const { bank, add } = await withApi(t);
  const plain = (await add("plain", { timestamp: "2026-01-01" })).observation;
  await add("bounded", { validFrom: "2026-01-01", validUntil: "2026-01-02T10:00:00+01:00", supersedes: [plain.id] });
  const lines = (await read(bank, "graph", "graph.jsonl")).trim().split("\n").map((line) => JSON.parse(line));
  const [first, second] = lines.filter(({ type }) => type === "observation_add").map(({ observation }) => observation);
  assert.deepEqual(Object.keys(first), ["id", "entityId", "text", "timestamp", "author"]);
  const { validFrom, validUntil, supersedes } = second;
  assert.deepEqual({ validFrom, validUntil, supersedes }, {
    validFrom: "2026-01-01", validUntil: "2026-01-02T09:00:00.000Z", supersedes: [plain.id],
  });
  assert.deepEqual(Object.keys(second).slice(0, 4), ["id", "entityId", "text", "timestamp"]);
});

test("a replaced decision stays in the log with a mark, and digest and search leave it out", async (t) => {
  const { server, bank } = await freshBank(t);
  const log = (title, more = {}) => server.ok("log_decision", { title, context: "c", decision: `${title} it is`, ...more });
  await log("Use MySQL");
  await log("Use zebra queues", { validUntil: "2001-01-01" });
  await log("Use PostgreSQL", { supersedes: "Use MySQL" });
  const text = await read(bank, "decision-log.md");
  assert.match(text, /## Use MySQL\n- \*\*Date:\*\* [^\n]+\n- \*\*Superseded By:\*\* Use PostgreSQL \(\d{4}-/);
  assert.match(text, /- \*\*Supersedes:\*\* Use MySQL \(\d{4}-/);
  const digest = async (more) =>
    (await server.ok("get_context_digest", more)).json.digest.recentDecisions.map(({ title }) => title);
  assert.deepEqual(await digest({}), ["Use PostgreSQL"]);
  const ended = async (tool, more) => (await server.ok(tool, more)).json.metadata.ended;
  const shownWith = "includeEnded: true";
  assert.deepEqual(await ended("get_context_digest", {}), { leftOut: 2, shownWith });
  assert.equal(await ended("get_context_digest", { includeEnded: true }), undefined);
  const zebra = { query: "zebra", files: ["decision-log.md"] };
  assert.equal((await ended("search_memory_bank", zebra)).shownWith, shownWith);
  assert.ok((await ended("search_memory_bank", zebra)).leftOut > 0);
  assert.equal(await ended("search_memory_bank", { ...zebra, includeEnded: true }), undefined);
  assert.equal(await ended("search_memory_bank", { ...zebra, query: "giraffe" }), undefined);
  assert.equal((await digest({ includeEnded: true })).length, 3);
  const found = async (query, more) =>
    (await server.ok("search_memory_bank", { query, files: ["decision-log.md"], ...more })).json.results.map(({ content }) => content);
  assert.ok((await found("mysql")).every((line) => line.includes("Supersedes")));
  assert.deepEqual(await found("zebra"), []);
  assert.ok((await found("zebra", { includeEnded: true })).length > 0);
  assert.match(await server.fails("log_decision", { title: "X", context: "", decision: "x", supersedes: "Use Oracle" }), /no decision.*Use PostgreSQL/);
  assert.ok(!(await read(bank, "decision-log.md")).includes("## X"));
  assert.ok(!(await read(bank, "progress.md")).includes("Decision Made: X"));
});

test("a decision that begins later is not current yet, and what it replaces holds until then", async (t) => {
  const { server, bank } = await freshBank(t);
  const log = async (title, more = {}) =>
    (await server.ok("log_decision", { title, context: "c", decision: `${title} it is`, ...more })).text;
  await log("Use MySQL");
  assert.match(
    await log("Use PostgreSQL", { validFrom: "2999-01-01", supersedes: "Use MySQL" }),
    /^Decision logged: Use PostgreSQL; it holds from 2999-01-01 on; it then replaces Use MySQL \(/,
  );
  const text = await read(bank, "decision-log.md");
  assert.match(text, /\*\*Valid From:\*\* 2999-01-01\n/);
  assert.match(text, /\*\*Superseded By:\*\* Use PostgreSQL \([^)]+\), from 2999-01-01\n/);
  const { digest, metadata } = (await server.ok("get_context_digest", {})).json;
  assert.deepEqual(digest.recentDecisions.map(({ title }) => title), ["Use MySQL"]);
  assert.doesNotMatch(JSON.stringify(digest), /PostgreSQL/);
  assert.deepEqual(metadata.upcoming, ["Use PostgreSQL (from 2999-01-01)"]);
  assert.equal(metadata.ended.leftOut, 1);
  const found = async (more) =>
    (await server.ok("search_memory_bank", { query: "PostgreSQL it is", files: ["decision-log.md"], ...more })).json;
  const lines = ({ results }) => results.filter(({ content }) => content.includes("PostgreSQL it is"));
  assert.deepEqual(lines(await found({})), []);
  assert.equal(lines(await found({ includeEnded: true })).length, 1);
  // Since then already: it replaces at once.
  await log("Use SQLite", { validFrom: "2001-01-01", supersedes: "Use MySQL" });
  const titles = async (more) =>
    (await server.ok("get_context_digest", more)).json.digest.recentDecisions.map(({ title }) => title);
  assert.deepEqual(await titles({}), ["Use SQLite"]);
  assert.equal((await titles({ includeEnded: true })).length, 3);
  const before = await read(bank, "decision-log.md");
  for (const [wrong, why] of [
    [{ validFrom: "soon" }, /validFrom `soon` is neither/],
    [{ validFrom: "2027-01-02", validUntil: "2027-01-01" }, /validFrom `2027-01-02` is not before validUntil/],
    [{ expiresAt: "0000-01-01" }, /expiresAt `0000-01-01`/],
  ]) {
    assert.match(await server.fails("log_decision", { title: "Use CSV", context: "", decision: "d", ...wrong }), why);
    const decision = { title: "Use CSV", context: "", decision: "d", ...wrong };
    assert.match(await server.fails("finalize_thinking_session", { summary: "s", decision }), why);
  }
  assert.equal(await read(bank, "decision-log.md"), before);
});

test("ended decisions are in no list of the digest, and replies name what was replaced", async (t) => {
  const { server } = await freshBank(t);
  const log = async (title, more = {}) =>
    (await server.ok("log_decision", { title, context: "c", decision: `${title} it is`, ...more })).text;
  assert.equal(await log("Use MySQL"), "Decision logged: Use MySQL");
  assert.match(await log("Use PostgreSQL", { supersedes: "Use MySQL" }), /^Decision logged: Use PostgreSQL; it replaces Use MySQL \(\d{4}-[^)]+\)$/);
  assert.match(await log("Use Oracle", { supersedes: "Use MySQL" }), /Use MySQL \([^)]+\) was already replaced by Use PostgreSQL \(/);
  const progress = async (more) =>
    (await server.ok("get_context_digest", { maxDecisions: 0, ...more })).json.digest.recentProgress.join("\n");
  assert.doesNotMatch(await progress({}), /MySQL/);
  const finalized = (await server.ok("finalize_thinking_session", {
    summary: "s", decision: { title: "Use SQLite", context: "", decision: "d", supersedes: ["Use Oracle"] },
  })).text;
  assert.match(finalized, /Decision logged: Use SQLite; it replaces Use Oracle \(/);
});

test("marks by hand end decisions in logs of any name, for the digest and for searches", async (t) => {
  const { server } = await freshBank(t);
  for (const [file, mark] of [["architecture-decisions.md", "**superseded by:** Use Redis"], ["docs-adr-0001.md", "- Valid Until: 2001-01-01"]]) {
    const content = `# Architecture Decisions\n\n## Use walruses\n${mark}\n- **Decision:** walruses.\n\n## Use giraffes\n- **Decision:** giraffes.\n`;
    await server.ok("write_memory_bank_file", { filename: file, content });
    const found = async (query, more) =>
      (await server.ok("search_memory_bank", { query, files: [file], ...more })).json.results.length;
    assert.equal(await found("walruses"), 0, file);
    assert.ok((await found("walruses", { includeEnded: true })) > 0, file);
    assert.ok((await found("giraffes")) > 0, file);
  }
  const digest = JSON.stringify((await server.ok("get_context_digest", {})).json.digest);
  assert.doesNotMatch(digest, /walruses/);
});

test("what was archived is not in the digest", async (t) => {
  const { server } = await freshBank(t);
  const content = "# Plan\n\n## Tasks\n- [ ] write docs\n- [ ] stay\n\n### Build\n- [ ] a\n";
  await server.ok("write_memory_bank_file", { filename: "plan.md", content });
  const edits = [{ op: "archive", heading: "Build" }, { op: "archive", match: "write docs" }];
  await server.ok("edit_memory_bank_file", { filename: "plan.md", edits });
  const { digest } = (await server.ok("get_context_digest", {})).json;
  assert.deepEqual(digest.currentContext.tasks, ["stay"]);
});
