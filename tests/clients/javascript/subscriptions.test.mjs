// `resources/subscribe`: a client is notified of changes by tools, by an editor, and by another process.

import assert from "node:assert/strict";
import { appendFile, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import test from "node:test";
import { copyOf, read, serverOn, write } from "./lib/project.mjs";

const updated = (uri) => (m) => m.method === "notifications/resources/updated" && m.params.uri === uri;

async function subscribed(t, ...uris) {
  const project = await copyOf("original-project", t);
  const server = await serverOn(project, t);
  for (const uri of uris) assert.deepEqual(await server.request("resources/subscribe", { uri }), {});
  return { server, project, bank: join(project, "memory-bank") };
}

test("an editor that appends to the file is noticed", async (t) => {
  const uri = "memory-bank://progress";
  const { server, bank } = await subscribed(t, uri);
  const notice = server.next(updated(uri));
  await appendFile(join(bank, "progress.md"), "- by hand\n");
  await notice;
  const { contents } = await server.request("resources/read", { uri });
  assert.ok(contents[0].text.endsWith("- by hand\n"));
});

test("an editor that replaces the file by renaming is noticed", async (t) => {
  const uri = "memory-bank://payments";
  const { server, bank } = await subscribed(t, uri);
  const notice = server.next(updated(uri));
  await write(join(bank, "payments.md.swp"), "# New\n");
  await rename(join(bank, "payments.md.swp"), join(bank, "payments.md"));
  await notice;
});

test("a tool call that changes the document is noticed once", async (t) => {
  const uri = "memory-bank://active-context";
  const { server } = await subscribed(t, uri);
  await server.ok("add_session_note", { note: "heard of it" });
  await pause(1500);
  assert.equal(server.received.filter(updated(uri)).length, 1);
});

test("another process that changes the document is noticed", async (t) => {
  const uri = "memory-bank://decision-log";
  const { server, project } = await subscribed(t, uri);
  const other = await serverOn(project, t);
  const notice = server.next(updated(uri));
  await other.ok("log_decision", { title: "From elsewhere", context: "c", decision: "d" });
  await notice;
});

test("documents without a subscription and ended subscriptions cause no notification", async (t) => {
  const uri = "memory-bank://progress";
  const { server, bank } = await subscribed(t, uri);
  await server.request("resources/unsubscribe", { uri });
  await appendFile(join(bank, "progress.md"), "- by hand\n");
  await server.ok("write_memory_bank_file", { filename: "payments.md", content: "x" });
  await pause(1500);
  assert.deepEqual(server.received.filter((m) => m.method === "notifications/resources/updated"), []);
});

test("an editor that creates or deletes a document changes the list of resources", async (t) => {
  const { server, bank } = await subscribed(t);
  assert.equal(server.handshake.capabilities.resources.listChanged, true);
  const changed = (m) => m.method === "notifications/resources/list_changed";
  let notice = server.next(changed);
  await write(join(bank, "fresh.md"), "# Fresh\n");
  await notice;
  const uris = async () => (await server.request("resources/list")).resources.map((resource) => resource.uri);
  assert.ok((await uris()).includes("memory-bank://fresh"));
  notice = server.next(changed);
  await unlink(join(bank, "fresh.md"));
  await notice;
  assert.ok(!(await uris()).includes("memory-bank://fresh"));
});

test("all documents are listed in pages, each exactly once", async (t) => {
  const { server, bank } = await subscribed(t);
  for (let n = 0; n < 250; n += 1) await write(join(bank, `note-${n}.md`), `# ${n}\n`);
  const seen = [];
  let cursor;
  do {
    const page = await server.request("resources/list", cursor === undefined ? {} : { cursor });
    seen.push(...page.resources.map((resource) => resource.uri));
    cursor = page.nextCursor;
  } while (cursor !== undefined && seen.length < 1000);
  assert.equal(new Set(seen).size, seen.length);
  assert.ok(seen.length >= 255, `${seen.length} resources`);
  await server.refuses(-32602, "resources/list", { cursor: "no cursor of ours" });
});

test("the template names documents beyond the core files", async (t) => {
  const { server, bank } = await subscribed(t);
  const { resourceTemplates } = await server.request("resources/templates/list");
  assert.ok(resourceTemplates.some(({ uriTemplate }) => uriTemplate.startsWith("memory-bank://{")));
  const { contents } = await server.request("resources/read", { uri: "memory-bank://payments" });
  assert.equal(contents[0].text, await read(bank, "payments.md"));
});

test("a bank that appears after the start is found by reading a resource", async (t) => {
  const { project, server } = await subscribed(t);
  await rename(join(project, "memory-bank"), join(project, "hidden"));
  const late = await serverOn(project, t);
  await late.refuses(-32002, "resources/read", { uri: "memory-bank://progress" });
  await rename(join(project, "hidden"), join(project, "memory-bank"));
  const { contents } = await late.request("resources/read", { uri: "memory-bank://progress" });
  assert.match(contents[0].text, /^# Project Progress/);
  await server.kill();
});
