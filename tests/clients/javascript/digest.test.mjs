// The digest of banks made by other tools and people: its contents, its omissions and its size.

import assert from "node:assert/strict";
import { mkdir, readdir, rename, rm, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import test from "node:test";
import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { emptyFolder, freshBank, read, serverOn, write } from "./lib/project.mjs";

const SAMPLES = join(import.meta.dirname, "../../../crates/memory-bank-contract-tests/fixtures/digests");

/** A server on a project whose bank has these files. */
async function bankOf(t, files, args = []) {
  const project = await emptyFolder(t);
  const bank = join(project, "memory-bank");
  await mkdir(bank);
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(bank, name)), { recursive: true });
    await write(join(bank, name), text);
  }
  return { project, bank, server: await serverOn(project, t, args) };
}

const digestOf = async (server, args = {}) => (await server.ok("get_context_digest", args)).json.digest;

async function samples() {
  const names = (await readdir(SAMPLES)).filter((name) => name.endsWith(".bank")).sort();
  const parts = (text) => text.split("=== ").slice(1).map((part) => [part.slice(0, part.indexOf("\n")).trim(), part.slice(part.indexOf("\n") + 1)]);
  return Promise.all(names.map(async (name) => [name, Object.fromEntries(parts(await read(SAMPLES, name)))]));
}

test("the digest of every sample has at most 600 tokens unless more is requested", async (t) => {
  for (const [name, files] of await samples()) {
    const { server } = await bankOf(t, files);
    const { text } = await server.ok("get_context_digest");
    assert.ok(countTokens(text) <= 600, `${name}: ${countTokens(text)}`);
    await server.stop?.();
  }
});

test("a large bank in any script stays within 600 tokens and reports omissions", async (t) => {
  const scripts = {
    Latin: ["Ongoing Tasks", "Rework the onboarding flow of the customer portal, part"],
    Cyrillic: ["Текущие задачи", "Переделать форму регистрации покупателя, часть"],
    Chinese: ["当前任务", "重新设计客户门户的注册流程并补充自动化测试，第"],
    Japanese: ["進行中のタスク", "顧客ポータルの登録フローを作り直してテストを追加する、その"],
    Korean: ["진행 중인 작업", "고객 포털의 가입 절차를 다시 설계하고 시험을 추가하기, 제"],
    Symbols: ["Tasks", "🚀🔥 {\"a\": [1,2,3]} \\\\ <x/> ✅ 9f8e7d6c5b4a"],
  };
  for (const [script, [heading, words]] of Object.entries(scripts)) {
    const list = Array.from({ length: 400 }, (_, n) => `- ${words} ${n}`).join("\n");
    const log = Array.from({ length: 300 }, (_, n) => `- [2026-0${1 + (n % 9)}-1${n % 10} 10:00:00] [a] - Did: ${words} ${n}`).join("\n");
    const decisions = Array.from({ length: 100 }, (_, n) => `## ${words} ${n}\n- **Date:** 2026-05-01\n- **Decision:** ${words} ${n} ${words}\n`).join("\n");
    const { server } = await bankOf(t, {
      "active-context.md": `# A\n\n## ${heading}\n${list}\n\n## Known Issues\n${list}\n\n## Next Steps\n${list}\n`,
      "progress.md": `# P\n\n## Update History\n${log}\n`,
      "decision-log.md": `# D\n\n${decisions}`,
      ...Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`note-${n}-${words.slice(0, 5).replace(/[^\p{L}]/gu, "x")}.md`, `# N\n\n- [ ] ${words}\n`])),
    });
    const { text, json } = await server.ok("get_context_digest");
    assert.ok(countTokens(text) <= 600, `${script}: ${countTokens(text)}\n${text}`);
    assert.ok(json.digest.leftOut.tasks > 300, script);
    assert.ok(json.digest.currentContext.tasks.length >= 2, `${script}: ${text}`);
    assert.ok(json.digest.recentDecisions.length >= 1, script);
    const more = await server.ok("get_context_digest", { maxTokens: 3000 });
    assert.ok(countTokens(more.text) <= 3000 && more.text.length > text.length * 2, script);
  }
});

test("Cline's names and headings are found", async (t) => {
  const { server } = await bankOf(t, {
    "activeContext.md": "# Active Context\n\n## Current Work Focus\nPayment flow.\n\n## Recent Changes\n- Added Stripe\n\n## Next Steps\n1. Webhooks\n2. Refunds\n\n## Active Decisions\n- Use idempotency keys\n",
    "progress.md": "# Progress\n\n## What Works\n- Login\n\n## What's Left to Build\n- [ ] Refunds\n\n## Current Status\nBeta.\n\n## Known Issues\n- Slow checkout\n",
  });
  const digest = await digestOf(server);
  assert.equal(digest.focus, "Payment flow.");
  assert.equal(digest.projectState, "Beta.");
  assert.deepEqual(digest.currentContext, { tasks: ["Refunds"], issues: ["Slow checkout"], nextSteps: ["Webhooks", "Refunds"] });
  assert.deepEqual(digest.recentProgress, ["- Added Stripe", "- Login"]);
  assert.deepEqual(digest.recentDecisions.map(({ title }) => title), ["Use idempotency keys"]);
  assert.deepEqual(digest.documents.map((line) => line.split(" ")[0]).sort(), ["activeContext.md", "progress.md"]);
  const targeted = (await server.ok("get_targeted_context", { query: "checkout" })).json;
  assert.match(targeted.digest.text, /Focus: Payment flow\.[^]*Tasks: Refunds[^]*Issues: Slow checkout/);
});

test("dates decide which entries are recent, in every order of the file", async (t) => {
  const log = Array.from({ length: 15 }, (_, n) => `- [2026-01-${String(n + 1).padStart(2, "0")} 10:00:00] [a] - Did: step ${n + 1}\n`).join("");
  const { server } = await bankOf(t, { "progress.md": `# Progress\n\n## Update History\n${log}` });
  const digest = await digestOf(server, { maxProgressEntries: 3 });
  assert.deepEqual(digest.recentProgress.map((line) => line.split(": ")[1]), ["step 15", "step 14", "step 13"]);
});

test("structural headings are not decisions, and Roo's entries are", async (t) => {
  const { server } = await bankOf(t, {
    "decision-log.md":
      "# Decision Log\n\nThis file records decisions.\n2026-08-30 - Log of updates made.\n\n*\n\n## Decision\n\n*\n\n## Rationale\n\n*\n\n## Implementation Details\n\n*\n---\n" +
      "### Decision\n[2026-08-30 10:49:40] - Use hooks for state.\n\n**Rationale:**\nLess code.\n---\n### Decision\n[2026-09-02 09:00:00] - Drop the context provider.\n",
  });
  const { recentDecisions } = await digestOf(server);
  assert.deepEqual(recentDecisions.map(({ title }) => title), ["Drop the context provider.", "Use hooks for state."]);
});

test("rows of a template never count as content", async (t) => {
  const { server } = await freshBank(t);
  const empty = await server.ok("get_context_digest");
  assert.doesNotMatch(empty.text, /\[(Task|Issue|Date|Decision|Note|Next)/);
  const listed = (await server.ok("update_tasks", { add: ["Write the parser"] })).json;
  assert.ok(listed.tasks.every((task) => !task.startsWith("[")), JSON.stringify(listed.tasks));
  await server.ok("log_decision", { title: "Use nom", context: "", decision: "nom" });
  const digest = await digestOf(server);
  assert.deepEqual(digest.currentContext.tasks, ["Write the parser"]);
  assert.deepEqual(digest.recentDecisions.map(({ title }) => title), ["Use nom"]);
  const targeted = (await server.ok("get_targeted_context", { query: "open issues", maxChars: 2000 })).text;
  assert.doesNotMatch(targeted, /\[(Task|Issue|Note|Next step|Date|Decision) ?\d?\]/);
});

test("the next process reports the changes since the last one", async (t) => {
  const options = { env: { MEMORY_BANK_STATE_DIR: await emptyFolder(t) } };
  const { server, project, bank } = await freshBank(t, [], options);
  assert.equal((await digestOf(server)).sinceLastSession, undefined);
  // The session ended an hour ago, and nothing has changed since but one document.
  const visits = join(options.env.MEMORY_BANK_STATE_DIR, "sessions", "visits.json");
  const seen = new Date(Date.now() - 3_600_000);
  await write(visits, (await read(visits)).replace(/"seen":"[^"]*"/, `"seen":"${seen.toISOString()}"`));
  const before = new Date(Date.now() - 7_200_000);
  for (const name of await readdir(bank)) await utimes(join(bank, name), before, before);
  await write(join(bank, "progress.md"), "# Progress\n\n- [2026-11-26] done\n");
  const next = await serverOn(project, t, [], options);
  const { sinceLastSession } = await digestOf(next);
  assert.match(sinceLastSession, /^since \d{4}-\d\d-\d\d \d\d:\d\d UTC: progress\.md$/);
});

test("the next process reports deleted and renamed documents and the changes of the graph", async (t) => {
  const options = { env: { MEMORY_BANK_STATE_DIR: await emptyFolder(t) } };
  const { server, project } = await freshBank(t, [], options);
  for (const filename of ["old.md", "plan.md"]) await server.ok("write_memory_bank_file", { filename, content: "# A\n" });
  await digestOf(server);
  const pause = () => new Promise((done) => setTimeout(done, 20));
  await pause();
  const before = new Date().toISOString();
  await pause();
  await server.ok("write_memory_bank_file", { filename: "short-lived.md", content: "x" });
  await server.ok("delete_memory_bank_file", { filename: "short-lived.md" });
  await server.ok("delete_memory_bank_file", { filename: "old.md" });
  await server.ok("rename_memory_bank_file", { filename: "plan.md", newFilename: "roadmap.md" });
  await server.ok("graph_upsert_entity", { name: "Api", entityType: "service" });
  const visits = join(options.env.MEMORY_BANK_STATE_DIR, "sessions", "visits.json");
  await write(visits, (await read(visits)).replace(/"seen":"([^"]*)"/, `"seen":"$1","before":"${before}"`));
  const { sinceLastSession } = await digestOf(await serverOn(project, t, [], options));
  assert.match(sinceLastSession, /deleted: old\.md; renamed: plan\.md to roadmap\.md; graph: 1 change of Api$/);
  assert.doesNotMatch(sinceLastSession, /short-lived/);
});

test("the next process reports what something outside deleted, renamed and edited, each once", async (t) => {
  const options = { env: { MEMORY_BANK_STATE_DIR: await emptyFolder(t) } };
  const { server, project, bank } = await freshBank(t, [], options);
  const text = "# Plan\n\nA text by which it is known.\n";
  for (const filename of ["old.md", "plan.md"]) await server.ok("write_memory_bank_file", { filename, content: text + filename });
  // Documents that the server never wrote.
  for (const name of ["stock-old.md", "stock-plan.md"]) await write(join(bank, name), text + name);
  assert.equal((await digestOf(server)).sinceLastSession, undefined);
  await new Promise((done) => setTimeout(done, 20));
  const before = new Date().toISOString();
  const past = new Date(Date.now() - 7_200_000);
  for (const name of await readdir(bank)) if (name.endsWith(".md")) await utimes(join(bank, name), past, past);
  for (const name of ["old.md", "stock-old.md"]) await rm(join(bank, name));
  for (const name of ["plan.md", "stock-plan.md"]) await rename(join(bank, name), join(bank, `new-${name}`));
  await write(join(bank, "progress.md"), "# Progress\n\n- [2026-11-26] done\n");
  await utimes(join(bank, "progress.md"), past, past);
  // In the same session these are news, too, since the caller did not do it through the server.
  const seen = /: progress\.md; deleted: (old\.md, stock-old\.md|stock-old\.md, old\.md); renamed: /;
  const { sinceLastSession: news } = await digestOf(server);
  assert.match(news, seen);
  const visits = join(options.env.MEMORY_BANK_STATE_DIR, "sessions", "visits.json");
  await write(visits, (await read(visits)).replace(/"seen":"([^"]*)"/, `"seen":"$1","before":"${before}"`));
  const { sinceLastSession } = await digestOf(await serverOn(project, t, [], options));
  assert.match(sinceLastSession, seen);
  for (const pair of ["plan.md to new-plan.md", "stock-plan.md to new-stock-plan.md"]) {
    assert.equal(sinceLastSession.split(` ${pair}`).length, 2, sinceLastSession);
  }
  assert.equal(sinceLastSession.split("new-plan.md").length, 2, sinceLastSession);
  await server.ok("edit_memory_bank_file", { filename: "new-plan.md", edits: [{ op: "replace", old: "known", new: "found" }] });
  assert.match((await digestOf(await serverOn(project, t, [], options))).sinceLastSession, /plan\.md to new-plan\.md and edited/);
});
