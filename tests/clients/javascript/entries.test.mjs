// Text that tools write into a bank: its place, its form and its signature.

import assert from "node:assert/strict";
import { mkdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { emptyFolder, read, serverOn, write } from "./lib/project.mjs";

const ENTRY = "\\[\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d UTC\\] \\[Alice\\] - ";

/** A server on a bank that holds these documents. */
async function bankOf(t, files) {
  const project = await emptyFolder(t);
  const bank = join(project, "memory-bank");
  await mkdir(bank, { recursive: true });
  for (const [name, text] of Object.entries(files)) await write(join(bank, name), text);
  const server = await serverOn(project, t, ["--username", "Alice"]);
  const tool = async (name, args) => JSON.parse((await server.ok(name, args)).text);
  return { server, bank, tool };
}

const headings = (text) => text.split("\n").filter((line) => /^#{1,6} (?!\[\d)/.test(line));

test("sections are found with numbers, colons, bold and brackets around their titles", async (t) => {
  const text = "# Active\n\n## 1. Ongoing Tasks:\n- one\n\n## **Known Issues**\n- i\n\n## Next Steps (In Priority Order)\n- n\n";
  const { server, bank, tool } = await bankOf(t, { "active-context.md": text });
  for (let round = 0; round < 2; round += 1) {
    await tool("update_tasks", { add: ["two"] });
    await server.ok("update_active_context", { issues: [`j${round}`], nextSteps: [`m${round}`] });
  }
  assert.equal(
    await read(bank, "active-context.md"),
    "# Active\n\n## 1. Ongoing Tasks:\n- one\n- two\n\n## **Known Issues**\n- j1\n\n## Next Steps (In Priority Order)\n- m1\n",
  );
});

test("a bank in Cline's layout is edited in its own lists", async (t) => {
  const active = "# Active Context\n\n## Current Work Focus\nPayment flow.\n\n## Recent Changes\n- Added Stripe\n\n## Next Steps\n1. Webhooks\n2. Refunds\n\n## Active Decisions\n- Use idempotency keys\n";
  const progress = "# Progress\n\n## What Works\n- Login\n\n## What's Left to Build\n- [ ] Refunds\n\n## Current Status\nBeta.\n\n## Known Issues\n- Slow checkout\n";
  const { server, bank, tool } = await bankOf(t, { "activeContext.md": active, "progress.md": progress });
  const { tasks } = await tool("update_tasks", { add: ["Invoices"] });
  assert.deepEqual(tasks, ["[ ] Refunds", "[ ] Invoices"]);
  await server.ok("update_active_context", { issues: ["Slow search"], nextSteps: ["Refunds", "Taxes"] });
  await server.ok("track_progress", { action: "Did", description: "it" });
  const changed = await read(bank, "activeContext.md");
  assert.deepEqual(headings(changed), headings(active));
  assert.match(changed, new RegExp(`## Recent Changes\\n- ${ENTRY}Did: it\\n- Added Stripe\\n`));
  assert.ok(changed.includes("## Next Steps\n2. Refunds\n3. Taxes\n"), changed);
  const moved = await read(bank, "progress.md");
  assert.deepEqual(headings(moved), [...headings(progress), "## Update History"], "a log of entries is none of its lists");
  assert.ok(moved.includes("- [ ] Refunds\n- [ ] Invoices\n") && moved.includes("## Known Issues\n- Slow search\n"), moved);
});

test("a new bank contains nothing that counts as content", async (t) => {
  const project = await emptyFolder(t);
  const bank = join(project, "memory-bank");
  const server = await serverOn(project, t, ["--username", "Alice"]);
  await server.ok("initialize_memory_bank", { path: project });
  for (const name of ["product-context.md", "active-context.md", "progress.md", "decision-log.md", "system-patterns.md"]) {
    for (const line of (await read(bank, name)).split("\n")) assert.match(line, /^($|#{1,2} |<!-- .* -->$)/, name);
  }
  const { json: results } = await server.ok("search_memory_bank", { query: "decision date", maxResults: 4 });
  assert.deepEqual(results.results.filter(({ content }) => content.includes("[")), []);
  const { json: first } = await server.ok("update_tasks", { add: ["Write the parser"] });
  assert.deepEqual([first.tasks, first.changes], [["Write the parser"], { added: 1, removed: 0, replaced: false }]);
  const { json: digest } = await server.ok("get_context_digest");
  assert.deepEqual(digest.digest.currentContext.tasks, ["Write the parser"]);
});

test("in an older bank the first real entry replaces the placeholder", async (t) => {
  const row = (number) => `## Decision ${number}\n- **Date:** [Date]\n- **Context:** [Context]\n- **Decision:** [Decision]\n- **Alternatives Considered:** [Alternatives]\n- **Consequences:** [Consequences]\n`;
  const { server, bank, tool } = await bankOf(t, {
    "active-context.md": "# Current Context\n\n## Ongoing Tasks\n- [Task 1]\n- [Task 2]\n\n## Known Issues\n- [Issue 1]\n",
    "progress.md": "# Project Progress\n\n## Update History\n- [Date] - [Update]\n- [Date] - [Update]\n",
    "decision-log.md": `# Decision Log\n\n${row(1)}\n${row(2)}`,
  });
  const reply = await tool("update_tasks", { add: ["Write the parser"] });
  assert.deepEqual(reply.tasks, ["Write the parser"]);
  assert.equal(reply.removed, undefined);
  await server.ok("log_decision", { title: "Use nom", context: "", decision: "nom" });
  assert.equal(
    await read(bank, "active-context.md"),
    "# Current Context\n\n## Ongoing Tasks\n- Write the parser\n\n## Known Issues\n- [Issue 1]\n",
    "a decision is logged in one place, and other lists stay",
  );
  assert.match(await read(bank, "decision-log.md"), /^# Decision Log\n\n## Use nom\n- \*\*Date:\*\* \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n- \*\*Author:\*\* Alice\n/);
  assert.match(await read(bank, "progress.md"), new RegExp(`^# Project Progress\\n\\n## Update History\\n- ${ENTRY}Decision Made: Use nom\\n$`));
});

test("every tool that writes an entry signs it in the same form", async (t) => {
  const { server, bank, tool } = await bankOf(t, { "progress.md": "# P\n" });
  await server.ok("track_progress", { action: "Did", description: "it" });
  await tool("add_progress_entry", { type: "fix", summary: "s" });
  await tool("add_session_note", { note: "n", category: "issue" });
  await tool("add_session_note", { note: "m" });
  await tool("finalize_thinking_session", { summary: "f", progressEntry: { type: "docs", summary: "g" } });
  await tool("graph_upsert_entity", { name: "A", entityType: "t" });
  const { observation } = await tool("graph_add_observation", { entity: "A", text: "fact" });
  assert.equal(observation.author, "Alice");
  assert.equal((await tool("graph_add_observation", { entity: "A", text: "fact" })).existed, true);
  assert.ok((await read(bank, "graph", "graph.jsonl")).includes('"author":"Alice"'));
  await unlink(join(bank, "graph", "graph.snapshot.json")).catch(() => {});
  assert.equal((await tool("graph_open_nodes", { nodes: ["A"] })).observations[0].author, "Alice");
  const written = (await read(bank, "progress.md")) + (await read(bank, "active-context.md"));
  for (const text of ["Did: it", "🐛 Fix: s", "⚠️ Issue: n", "📝 Note: m", "🧠 Outcome: f", "📚 Docs: g"]) {
    assert.match(written, new RegExp(`\\n(- |### )${ENTRY}${text}\\n`));
  }
});

test("a blocker counts until it is resolved, and an ambiguous resolution is refused with candidates", async (t) => {
  const { server, bank, tool } = await bankOf(t, { "active-context.md": "# A\n\n## 3. Session Notes\n- [Nov 22, 2026, 9:30 AM] 🚧 keys are missing\n" });
  await tool("add_session_note", { note: "CI is down", category: "blocker" });
  const issues = async () => (await tool("get_context_digest")).digest.currentContext.issues;
  assert.equal((await issues()).length, 2);
  const before = await read(bank, "active-context.md");
  const unclear = await server.fails("update_tasks", { add: ["x"], resolve: ["CI"] });
  assert.match(unclear, /`resolve`: `CI` fits no open note or issue; give the whole text of one of /);
  assert.ok(unclear.includes("Blocker: CI is down"), unclear);
  assert.equal(await read(bank, "active-context.md"), before, "nothing of a refused call is done");
  assert.deepEqual((await tool("update_tasks", { resolve: ["CI is down", "keys are missing"] })).resolved.length, 2);
  assert.deepEqual(await issues(), []);
  assert.match(await read(bank, "active-context.md"), /- \[Nov 22, 2026, 9:30 AM\] 🚧 ~~keys are missing~~ \[resolved \d{4}-\d\d-\d\d\]\n/);
});

test("a missing task is reported with similar ones, and replace and remove can be combined", async (t) => {
  const { tool } = await bankOf(t, { "active-context.md": "# A\n\n## Ongoing Tasks\n- Write the parser\n- Ship it\n" });
  const missed = await tool("update_tasks", { remove: ["write teh parser", "zebra"] });
  assert.equal(missed.changes.removed, 0);
  assert.deepEqual(missed.notFound, [{ text: "write teh parser", near: ["Write the parser"] }, { text: "zebra" }]);
  const both = await tool("update_tasks", { replace: ["a", "b"], remove: ["b", "Ship it", "gone"], add: ["c"] });
  assert.deepEqual(both.tasks, ["a", "c"]);
  assert.deepEqual(both.notFound, [{ text: "gone" }]);
  assert.deepEqual(both.removed.items, ["- Write the parser", "- Ship it"]);
});

test("a single letter or number never selects a task for removal", async (t) => {
  const { tool } = await bankOf(t, { "active-context.md": "# A\n\n## Ongoing Tasks\n- alpha\n- beta\n- port the v1 parser\n" });
  for (const part of ["1", "o", "v1", "pars"]) {
    const missed = await tool("update_tasks", { remove: [part] });
    assert.deepEqual([missed.tasks.length, missed.notFound[0].text], [3, part]);
  }
  assert.deepEqual((await tool("update_tasks", { remove: ["the v1 parser"] })).tasks, ["alpha", "beta"]);
});

test("a log in the order oldest first keeps that order", async (t) => {
  const log = "# Progress\n\n## Update History\n- [2026-01-01 10:00:00] [a] - Did: step 1\n- [2026-01-02 10:00:00] [a] - Did: step 2\n";
  const { server, bank } = await bankOf(t, { "progress.md": log });
  await server.ok("track_progress", { action: "Did", description: "step 3" });
  await server.ok("track_progress", { action: "Did", description: "step 4" });
  const text = await read(bank, "progress.md");
  assert.ok(text.startsWith(log), text);
  assert.match(text.slice(log.length), new RegExp(`^- ${ENTRY}Did: step 3\\n- ${ENTRY}Did: step 4\\n$`));
});
