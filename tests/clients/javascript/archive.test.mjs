// A full log is archived: its oldest entries move to an archive in the same call.

import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { freshBank, read, write } from "./lib/project.mjs";

const BOUND = 1024 * 1024;
const MONTH = new Date().toISOString().slice(0, 7);

/** The archives that a reply reports; a long reply reports them as text only. */
function archivedOf(reply) {
  if (reply.structured) return reply.structured.archived;
  const notice = /^(\S+) was full: the oldest (\d+) entr\w+(?: \((\S+) to (\S+)\))? moved to (\S+)$/gm;
  const found = [...reply.text.matchAll(notice)];
  const shape = ([, document, entries, from, to, archive]) => ({ document, archive, entries: Number(entries), from, to });
  return found.length > 0 ? found.map(shape) : undefined;
}

/** Calls until a reply names an archive; gives that reply, and every mark that went in. */
async function fill(server, name, argumentsOf) {
  const marks = [];
  for (let turn = 0; turn < 200; turn += 1) {
    const mark = `mark-${String(turn).padStart(4, "0")}`;
    const reply = await server.ok(name, argumentsOf(mark));
    marks.push(mark);
    if (archivedOf(reply)) return { reply, marks };
  }
  return assert.fail(`${name} never archived`);
}

const LOGS = [
  ["progress", "track_progress", (mark) => ({ action: mark, description: "x".repeat(7000), updateActiveContext: false })],
  ["progress", "add_progress_entry", (mark) => ({ type: "fix", summary: mark, details: `- a\n\n${"x".repeat(20000)}`, files: ["a"], tags: ["t"] })],
  ["active-context", "add_session_note", (mark) => ({ note: `${mark} ${"x".repeat(7000)}` })],
  ["decision-log", "log_decision", (mark) => ({ title: mark, context: "x".repeat(20000), decision: `d ${mark}` })],
  ["active-context", "finalize_thinking_session", (mark) => ({ summary: `${mark} ${"x".repeat(7000)}` })],
];

/** Writes a log of most of the bound; gives its marks. A parse of it all, each time, would take a debug build minutes. */
async function begin(bank, stem) {
  const section = { progress: "Update History", "active-context": "Current Session Notes" }[stem];
  const marks = Array.from({ length: 120 }, (_, n) => `seed-${String(n).padStart(4, "0")}`);
  const entry = section
    ? (mark) => `- [2026-01-01 10:00:00] [a] - Did: ${mark} ${"y".repeat(8000)}\n`
    : (mark) => `## ${mark}\n- **Date:** 2026-01-01 10:00:00\n- **Context:** ${"y".repeat(8000)}\n- **Decision:** d\n\n`;
  const ordered = section ? marks.toReversed() : marks;
  await write(join(bank, `${stem}.md`), `# Log\n\n${section ? `## ${section}\n` : ""}${ordered.map(entry).join("")}`);
  return marks;
}

for (const [stem, tool, argumentsOf] of LOGS) {
  test(`${tool} continues when ${stem}.md is full, loses nothing and lists the archived entries`, async (t) => {
    const { server, bank } = await freshBank(t);
    const seed = await begin(bank, stem);
    const filled = await fill(server, tool, argumentsOf);
    const { reply, marks } = { ...filled, marks: [...seed, ...filled.marks] };
    const name = `${stem}-archive-${MONTH}.md`;
    const [archived, ...others] = archivedOf(reply);
    assert.deepEqual(others, []);
    assert.equal(archived.document, `${stem}.md`);
    assert.equal(archived.archive, name);
    assert.ok(archived.entries > 1 && archived.from <= archived.to, JSON.stringify(archived));
    assert.ok(reply.text.includes(name), reply.text);
    const [rest, old] = [await read(bank, `${stem}.md`), await read(bank, name)];
    assert.ok(Buffer.byteLength(rest) <= BOUND && Buffer.byteLength(old) <= BOUND);
    assert.ok(Buffer.byteLength(rest) < 0.6 * BOUND, "the next archiving is not on the next call");
    const shown = tool === "log_decision" ? (mark) => `## ${mark}\n` : (mark) => mark;
    for (const mark of marks) {
      const times = `${rest}${old}`.split(shown(mark)).length - 1;
      assert.equal(times, 1, `${mark} occurs ${times} times`);
    }
    assert.ok(rest.includes(marks.at(-1)) && old.includes(marks[0]), "the oldest go");
    assert.ok((await server.ok("list_memory_bank_files")).text.includes(name));
    const found = (await server.ok("search_memory_bank", { query: marks[0] })).text;
    assert.ok(found.includes(name), "what was moved is found by default");
    const next = await server.ok(tool, argumentsOf("afterwards"));
    assert.equal(archivedOf(next), undefined);
    const { digest } = (await server.ok("get_context_digest")).json;
    if (stem === "progress") assert.ok(JSON.stringify(digest.recentProgress).includes("afterwards"));
    if (stem === "decision-log") assert.ok(JSON.stringify(digest.recentDecisions).includes("afterwards"));
  });
}

test("a write to a full document without entries to archive is refused, and nothing changes", async (t) => {
  const { server, bank } = await freshBank(t);
  const prose = `# Progress\n\n${"A long story without a date. ".repeat(37000)}\n`;
  await write(join(bank, "progress.md"), prose);
  const notes = await read(bank, "active-context.md");
  const reply = await server.tool("track_progress", { action: "a", description: "b" });
  assert.ok(reply.isError);
  assert.match(reply.text, /`progress\.md` would be \d+ bytes long, at most 1048576 are allowed/);
  assert.equal(await read(bank, "progress.md"), prose);
  assert.equal(await read(bank, "active-context.md"), notes);
  assert.ok(!(await server.ok("list_memory_bank_files")).text.includes("archive"));
});

test("a document with CRLF keeps it, and so does its archive", async (t) => {
  const { server, bank } = await freshBank(t);
  const lines = Array.from({ length: 1200 }, (_, n) => {
    const day = new Date(Date.UTC(2026, 0, 1) + (1200 - n) * 3_600_000).toISOString();
    return `- [${day.slice(0, 19).replace("T", " ")}] [a] - Did: step ${n} ${"y".repeat(900)}`;
  });
  await write(join(bank, "progress.md"), `# Progress\r\n\r\n## Update History\r\n${lines.join("\r\n")}\r\n`);
  const reply = await server.ok("track_progress", { action: "a", description: "b" });
  const [{ archive, entries, from }] = archivedOf(reply);
  assert.equal(from, "2026-01-01");
  const [rest, old] = [await read(bank, "progress.md"), await read(bank, archive)];
  assert.ok(!/[^\r]\n/.test(rest) && !/[^\r]\n/.test(old));
  assert.ok(old.includes(`\r\n${lines.slice(-entries).join("\r\n")}\r\n`), "bytes and order stay");
});

test("subscribers are notified, and the archive appears in the list of resources", async (t) => {
  const { server, bank } = await freshBank(t);
  const line = `- [2026-01-01 10:00:00] [a] - Did: it ${"y".repeat(8000)}\n`;
  await write(join(bank, "progress.md"), `# Progress\n\n## Update History\n${line.repeat(130)}`);
  await server.request("resources/subscribe", { uri: "memory-bank://progress" });
  const updated = server.next(
    ({ method, params }) => method === "notifications/resources/updated" && params.uri === "memory-bank://progress",
  );
  const listed = server.next(({ method }) => method === "notifications/resources/list_changed");
  const reply = await server.ok("track_progress", { action: "a", description: "x".repeat(8000) });
  assert.ok(archivedOf(reply), reply.text);
  await Promise.all([updated, listed]);
  const uri = `memory-bank://progress-archive-${MONTH}`;
  const { contents } = await server.request("resources/read", { uri });
  assert.ok(contents[0].text.includes(line));
});

test("a repeated fact is stored once, and the reply reports it", async (t) => {
  const { server, bank } = await freshBank(t);
  await server.ok("graph_upsert_entity", { name: "Auth", entityType: "svc" });
  const add = (more) => server.ok("graph_add_observation", { entity: "Auth", text: "uses JWT", ...more });
  const first = (await add()).json;
  assert.equal(first.existed, undefined);
  const log = await read(bank, "graph", "graph.jsonl");
  for (const more of [{}, { text: "  uses JWT " }, { source: "" }, { timestamp: "" }]) {
    const again = (await add(more)).json;
    assert.deepEqual(again, { ...first, existed: true }, JSON.stringify(more));
  }
  assert.equal(await read(bank, "graph", "graph.jsonl"), log);
  for (const more of [{ source: "tool" }, { source: "docs" }, { timestamp: "2026-01-01" }]) {
    assert.equal((await add(more)).json.existed, undefined, JSON.stringify(more));
    assert.equal((await add(more)).json.existed, true, JSON.stringify(more));
  }
  const { observations } = (await server.ok("graph_open_nodes", { nodes: ["Auth"] })).json;
  assert.equal(observations.length, 4);
  await server.ok("graph_delete_entity", { observationId: first.observation.id });
  await server.ok("graph_delete_entity", { observationId: observations.find((o) => o.timestamp === "2026-01-01").id });
  assert.equal((await add()).json.existed, undefined, "given again after it was deleted, it is a new one");
});
