// Editing a document without rewriting it.

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { freshBank, read, write } from "./lib/project.mjs";

const RUNBOOK = "# Runbook\r\n\r\n## Outage\r\n\r\nCall the provider.\r\n\r\n## Recovery\r\n\r\nReplay the events.\r\n";

async function withRunbook(t, text = RUNBOOK) {
  const { server, bank } = await freshBank(t);
  await write(join(bank, "runbook.md"), text);
  const { etag } = (await server.ok("read_memory_bank_file", { filename: "runbook.md" })).json;
  const edit = (edits, ifMatchEtag) =>
    server.tool("edit_memory_bank_file", { filename: "runbook.md", edits, ...(ifMatchEtag && { ifMatchEtag }) });
  return { server, bank, etag, edit, text: () => read(bank, "runbook.md") };
}

test("several edits are applied in one call; the reply has the new etag and a diff", async (t) => {
  const { server, etag, edit, text } = await withRunbook(t);
  const reply = await edit(
    [
      { op: "replace", old: "Call the provider.", new: "Ring the provider." },
      { op: "append", heading: "Recovery", text: "- Tell the branches" },
    ],
    etag,
  );
  assert.ok(!reply.isError, reply.text);
  const { etag: stored } = (await server.ok("read_memory_bank_file", { filename: "runbook.md" })).json;
  assert.equal(reply.structured.etag, stored);
  assert.match(reply.text, /-Call the provider\./);
  assert.match(reply.text, /\+Ring the provider\./);
  const edited = await text();
  assert.ok(edited.startsWith(RUNBOOK.slice(0, RUNBOOK.indexOf("Call"))));
  assert.ok(edited.includes("Replay the events.\r\n") && edited.includes("- Tell the branches\r\n"));
  assert.ok(!/[^\r]\n/.test(edited), "a document with CRLF keeps it");
});

test("edits are applied all or none", async (t) => {
  const { edit, text } = await withRunbook(t);
  for (const second of [
    { op: "replace", old: "not there", new: "x" },
    { op: "append", heading: "No such heading", text: "x" },
    { op: "replace", old: "e", new: "x" },
  ]) {
    const reply = await edit([{ op: "replace", old: "Call", new: "Ring" }, second]);
    assert.ok(reply.isError, JSON.stringify(second));
    assert.equal(await text(), RUNBOOK);
  }
});

test("a stale etag is refused, and the error shows what changed meanwhile", async (t) => {
  const { bank, etag, edit, text } = await withRunbook(t);
  const outside = RUNBOOK.replace("Replay the events.", "Replay them twice.");
  await write(join(bank, "runbook.md"), outside);
  const reply = await edit([{ op: "replace", old: "Call", new: "Ring" }], etag);
  assert.ok(reply.isError);
  assert.match(reply.text, /Replay them twice\./);
  assert.equal(await text(), outside);
});

test("dollar signs and backslashes are inserted literally", async (t) => {
  const { edit, text } = await withRunbook(t);
  const odd = "$& $1 \\1 $`";
  assert.ok(!(await edit([{ op: "replace", old: "Call the provider.", new: odd }])).isError);
  assert.equal(await text(), RUNBOOK.replace("Call the provider.", () => odd));
});

test("a heading inside a code fence is not a heading", async (t) => {
  const fenced = "# A\n\n```\n## Fake\n```\n\n## Real\n\nold\n";
  const { edit, text } = await withRunbook(t, fenced);
  assert.ok((await edit([{ op: "append", heading: "Fake", text: "x" }])).isError);
  assert.ok(!(await edit([{ op: "replace_section", heading: "Real", text: "new" }])).isError);
  assert.equal(await text(), fenced.replace("old", "new"));
});

test("concurrent edits of several calls are all kept", async (t) => {
  const { edit, text } = await withRunbook(t);
  const replies = await Promise.all(
    Array.from({ length: 20 }, (_, n) => edit([{ op: "append", heading: "Outage", text: `- step <${n}>` }])),
  );
  assert.ok(replies.every((reply) => !reply.isError));
  for (let n = 0; n < 20; n += 1) assert.equal((await text()).split(`step <${n}>`).length, 2);
});

test("a document is renamed once, and never over another", async (t) => {
  const { server, bank } = await withRunbook(t);
  await server.ok("rename_memory_bank_file", { filename: "runbook.md", newFilename: "outage.md" });
  assert.equal(await read(bank, "outage.md"), RUNBOOK);
  assert.ok(!(await readdir(bank)).includes("runbook.md"));
  await server.fails("rename_memory_bank_file", { filename: "runbook.md", newFilename: "again.md" });
  await write(join(bank, "other.md"), "other");
  await server.fails("rename_memory_bank_file", { filename: "other.md", newFilename: "outage.md" });
  assert.equal(await read(bank, "outage.md"), RUNBOOK);
});

test("core documents are neither deleted nor renamed, others are", async (t) => {
  const { server, bank } = await withRunbook(t);
  await server.fails("delete_memory_bank_file", { filename: "progress.md" });
  await server.fails("delete_memory_bank_file", { filename: "Progress.md" });
  await server.fails("rename_memory_bank_file", { filename: "progress.md", newFilename: "p.md" });
  assert.ok((await readdir(bank)).includes("progress.md"));
  await server.ok("delete_memory_bank_file", { filename: "runbook.md" });
  assert.ok(!(await readdir(bank)).includes("runbook.md"));
  await server.fails("delete_memory_bank_file", { filename: "runbook.md" });
});
