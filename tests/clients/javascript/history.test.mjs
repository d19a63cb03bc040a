// The history of documents in a folder: versions, restore, the setting that turns it off, and read-only mode.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFile, cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { emptyFolder, freshBank, serverOn } from "./lib/project.mjs";
import { BINARY, ENVIRONMENT } from "./lib/server.mjs";

const plan = (more) => ({ filename: "plan.md", ...more });

test("a folder keeps versions, shows and compares them, and brings one back, also after a deletion", async (t) => {
  const { server } = await freshBank(t);
  for (const content of ["# Plan\n\none\n", "# Plan\n\ntwo\n"]) await server.ok("write_memory_bank_file", plan({ content }));
  const list = async () => JSON.parse((await server.ok("history", plan())).text).versions;
  const [second, first] = await list();
  assert.deepEqual([second.kind, first.kind], ["changed", "created"]);
  assert.equal(second.tool, "write_memory_bank_file");
  const show = { action: "show", version: first.version };
  assert.equal(JSON.parse((await server.ok("history", plan(show))).text).text, "# Plan\n\none\n");
  const diff = await server.ok("history", plan({ action: "diff", version: first.version }));
  assert.match(diff.text, /-one\n\+two/);
  const restore = plan({ action: "restore", version: first.version });
  assert.match(await server.fails("history", { ...restore, ifMatchEtag: first.etag }), /ETAG_MISMATCH/);
  await server.ok("history", { ...restore, ifMatchEtag: second.etag });
  await server.ok("delete_memory_bank_file", plan());
  await server.ok("history", restore);
  assert.match((await server.ok("read_memory_bank_file", plan())).text, /one/);
  assert.deepEqual((await list()).map(({ kind }) => kind), ["restored", "deleted", "restored", "changed", "created"]);
  const uri = `memory-bank://plan?version=${second.version}`;
  const { contents } = await server.request("resources/read", { uri });
  assert.equal(contents[0].text, "# Plan\n\ntwo\n");
  assert.equal(JSON.parse((await server.ok("history", plan({ action: "erase" }))).text).erasedVersions, 5);
});

test("a document that is removed on the disk is listed as deleted from outside, and is brought back", async (t) => {
  const { server, project } = await freshBank(t);
  await server.ok("write_memory_bank_file", plan({ content: "# Plan\n" }));
  await rm(join(project, "memory-bank/plan.md"));
  const list = async (args) => JSON.parse((await server.ok("history", args)).text).versions;
  for (const args of [{}, plan()]) {
    const [deletion, made] = (await list(args)).filter(({ filename }) => args.filename || filename === "plan.md");
    assert.deepEqual([deletion.kind, deletion.deleted, deletion.etag, deletion.by], ["outside", true, undefined, undefined]);
    assert.deepEqual([made.kind, made.deleted], ["created", undefined]);
  }
  const [{ version }] = await list(plan());
  await server.ok("history", plan({ action: "restore", version: version - 1 }));
  assert.match((await server.ok("read_memory_bank_file", plan())).text, /# Plan/);
});

test("a deleted document whose name another one got is listed, shown, brought back beside it and erased by its name", async (t) => {
  const { server } = await freshBank(t);
  const json = async (tool, args) => JSON.parse((await server.ok(tool, args)).text);
  const rename = (filename, newFilename) => server.ok("rename_memory_bank_file", { filename, newFilename });
  await server.ok("write_memory_bank_file", plan({ content: "the first\n" }));
  await rename("plan.md", "old.md");
  await server.ok("write_memory_bank_file", plan({ content: "a secret\n" }));
  await server.ok("delete_memory_bank_file", plan());
  await rename("old.md", "plan.md");
  const { versions } = await json("history", plan());
  const other = versions.filter(({ documentId }) => documentId);
  assert.deepEqual(other.map(({ kind }) => kind), ["deleted", "created"]);
  assert.equal(versions.length, 5);
  const { documentId, version } = other[1];
  assert.equal((await json("history", plan({ action: "show", documentId, version }))).text, "a secret\n");
  assert.match((await server.ok("history", plan({ action: "diff", documentId, version }))).text, /-a secret\n\+the first/);
  const restore = plan({ action: "restore", documentId, version });
  assert.match(await server.fails("history", restore), /is another document now/);
  assert.match(await server.fails("history", plan({ documentId })), /`documentId` is for/);
  assert.match(await server.fails("history", plan({ action: "erase", documentId })), /does not take `documentId`/);
  await rename("plan.md", "kept.md");
  await server.ok("history", restore);
  assert.match((await server.ok("read_memory_bank_file", plan())).text, /a secret/);
  await server.ok("delete_memory_bank_file", plan());
  await rename("kept.md", "plan.md");
  const { erasedVersions, note } = await json("history", plan({ action: "erase" }));
  assert.ok(erasedVersions >= 7, String(erasedVersions));
  assert.match(note, /copies in other documents/);
  assert.match(await server.fails("history", plan({ action: "show", documentId, version })), /no version|no history/);
  assert.match((await server.ok("read_memory_bank_file", plan())).text, /the first/);
});

test("an erased text is shown in no conflict, by no server of the folder", async (t) => {
  const { server, project } = await freshBank(t);
  const other = await serverOn(project, t);
  for (const eraser of [server, other]) {
    await server.ok("write_memory_bank_file", plan({ content: "a secret\n" }));
    for (const reader of [server, other]) await reader.ok("read_memory_bank_file", plan());
    await server.ok("write_memory_bank_file", plan({ content: "nothing\n" }));
    const [, { etag }] = JSON.parse((await server.ok("history", plan())).text).versions;
    const conflict = (writer) => writer.fails("write_memory_bank_file", plan({ content: "mine\n", ifMatchEtag: etag }));
    for (const writer of [server, other]) assert.match(await conflict(writer), /-a secret/);
    await eraser.ok("history", plan({ action: "erase" }));
    for (const writer of [server, other]) {
      const reply = await conflict(writer);
      assert.match(reply, /ETAG_MISMATCH.*not known any more/s);
      assert.doesNotMatch(reply, /secret/);
    }
  }
});

test("an action that changes something refuses arguments that it would ignore", async (t) => {
  const { server } = await freshBank(t);
  for (const content of ["one\n", "two\n"]) await server.ok("write_memory_bank_file", plan({ content }));
  await server.ok("graph_upsert_entity", { name: "Api", entityType: "service" });
  const { at } = JSON.parse((await server.ok("history", plan())).text).versions[0];
  const ignored = [
    plan({ action: "erase", dryRun: true }), plan({ action: "erase", version: 1 }), plan({ action: "erase", until: at }),
    plan({ action: "restore", version: 1, dryRun: true }), { entity: "Api", action: "erase", dryRun: true },
    { action: "undo", by: "alice", since: at, version: 1 },
  ];
  for (const given of ignored) assert.match(await server.fails("history", given), /does not take `(dryRun|version|until)`, so nothing was changed/);
  const { versions } = JSON.parse((await server.ok("history", plan())).text);
  assert.deepEqual(versions.map(({ version }) => version), [2, 1]);
  // A time of a list, as the end of a span, includes the version that has it.
  assert.equal(JSON.parse((await server.ok("history", plan({ until: at }))).text).versions.length, 2);
});

test("in a folder a user's changes since a time are undone, also by the shell command, and lines have their authors", async (t) => {
  const { server, project } = await freshBank(t, ["--username", "alice"]);
  const json = async (tool, args) => JSON.parse((await server.ok(tool, args)).text);
  await server.ok("write_memory_bank_file", plan({ content: "# Plan\n\none\n" }));
  const [{ at }] = (await json("history", plan())).versions;
  const since = new Date(Date.parse(at) + 1).toISOString();
  await new Promise((resolve) => setTimeout(resolve, 10));
  await server.ok("write_memory_bank_file", plan({ content: "# Plan\n\none\ntwo\n" }));
  await server.ok("write_memory_bank_file", { filename: "new.md", content: "new\n" });
  const blame = (await json("history", plan({ action: "blame" }))).ranges;
  assert.deepEqual(blame.map(({ fromLine, version, by, text }) => [fromLine, version, by, text]), [[1, 1, "alice", "# Plan\n\none\n"], [4, 2, "alice", "two\n"]]);
  assert.match(await server.fails("history", { action: "undo", by: "alice" }), /since when\? Give `since` beside the user `alice`/);
  const undo = { action: "undo", by: "alice", since };
  const dry = await json("history", { ...undo, dryRun: true });
  assert.deepEqual(dry.undone.map(({ filename, change }) => [filename, change]).sort(), [["new.md", "deleted"], ["plan.md", "changed"]]);
  assert.match((await server.ok("read_memory_bank_file", plan())).text, /two/);
  const run = (...args) => execFileSync(BINARY, [...args, "--path", project, "--username", "alice"], { encoding: "utf8", env: { ...process.env, ...ENVIRONMENT } });
  const shown = run("undo", "--by", "alice", "--since", since, "--dry-run");
  assert.match(shown, /^dry run: nothing was changed; it would take back:\n/);
  assert.match(shown, /^new\.md  would be deleted  1 version$/m);
  assert.equal(run("undo", "new", "--by", "alice", "--since", since, "--yes"), "new.md  deleted  1 version taken back\n");
  assert.match(run("blame", "plan"), /^ {4}1  \d{4}-\d\d-\d\dT\d\d:\d\d  alice, write_memory_bank_file  # Plan$/m);
  assert.equal((await json("history", undo)).undone.length, 1);
  assert.doesNotMatch((await server.ok("read_memory_bank_file", plan())).text, /two/);
  assert.deepEqual((await json("history", undo)).undone, []);
});

test("of a version only its change is taken back, and a foreign version is restored only on request", async (t) => {
  const { server, project } = await freshBank(t);
  for (const content of ["one\n", "one\ntwo\n", "zero\none\ntwo\n"]) await server.ok("write_memory_bank_file", plan({ content }));
  await server.ok("history", plan({ action: "restore", version: 2, onlyChange: true }));
  const read = async (client) => JSON.parse((await client.ok("read_memory_bank_file", plan())).text).content;
  assert.equal(await read(server), "zero\none\n");
  assert.match(await server.fails("history", plan({ action: "restore", version: 1, onlyChange: true })), /created the document, which changed since by .* \(version 2\)/);
  await server.close();
  const other = await serverOn(project, t, ["--state-dir", await emptyFolder(t)]);
  const restore = plan({ action: "restore", version: 1 });
  assert.match(await other.fails("history", restore), /came with the repository.*acceptForeign/);
  await other.ok("history", { ...restore, acceptForeign: true });
  assert.equal(await read(other), "one\n");
});

test("an entity is listed, shown, compared and restored, also after a compaction and a deletion", async (t) => {
  const { server } = await freshBank(t, ["--username", "alice"]);
  const json = async (args) => JSON.parse((await server.ok("history", args)).text);
  const upsert = (attrs) => server.ok("graph_upsert_entity", { name: "Api", entityType: "service", attrs });
  await upsert({ port: 80 });
  await server.ok("graph_add_observation", { entity: "Api", text: "is fast" });
  const [{ version }] = (await json({ entity: "Api" })).versions;
  await upsert({ port: 81 });
  const { versions } = await json({ entity: "api" });
  assert.deepEqual(versions.map(({ kind, by, tool }) => [kind, by, tool]), [
    ["changed", "alice", "graph_upsert_entity"], ["created", "alice", "graph_add_observation"], ["created", "alice", "graph_upsert_entity"]]);
  assert.equal(versions[1].observation, "is fast");
  const show = async () => (await json({ action: "show", entity: "Api", version })).text;
  const was = await show();
  assert.match(was, /^Api \[service\]\nport = 80\n- .*: is fast\n$/);
  assert.match((await server.ok("history", { action: "diff", entity: "Api", version })).text, /-port = 80\n\+port = 81/);
  await server.ok("graph_maintain", { operation: "compact" });
  assert.deepEqual((await json({ entity: "Api" })).versions, versions);
  assert.equal(await show(), was);
  await server.ok("graph_delete_entity", { entity: "Api" });
  const restored = await json({ action: "restore", entity: "Api", version });
  assert.deepEqual([restored.entity, restored.observationsAdded], ["Api", 1]);
  assert.match((await server.ok("graph_open_nodes", { nodes: ["Api"] })).text, /"port":\s*80/);
  await server.ok("write_memory_bank_file", plan({ content: "one" }));
  const all = (await json({})).versions;
  assert.deepEqual([all[0].filename, all[1].entity], ["plan.md", "Api"]);
  assert.match(await server.fails("history", { entity: "Nobody" }), /not found/i);
});

test("the graph of a copied bank is marked as foreign, and restored only on request", async (t) => {
  const { server, project } = await freshBank(t, ["--username", "alice"]);
  await server.ok("graph_upsert_entity", { name: "Api", entityType: "service", attrs: { port: 80 } });
  await server.ok("graph_upsert_entity", { name: "Api", entityType: "service", attrs: { port: 81 } });
  const json = async (client, args) => JSON.parse((await client.ok("history", args)).text);
  const own = (await json(server, { entity: "Api" })).versions;
  assert.deepEqual(own.map(({ by, origin }) => [by, origin]), [["alice", undefined], ["alice", undefined]]);
  await server.close();
  const copy = await emptyFolder(t);
  await cp(`${project}/memory-bank`, `${copy}/memory-bank`, { recursive: true });
  await rm(`${copy}/memory-bank/.mbmcp`, { recursive: true, force: true });
  const other = await serverOn(copy, t, ["--username", "alice"]);
  const { versions } = await json(other, { entity: "Api" });
  assert.deepEqual(versions.map(({ version, by, origin }) => [version, by, origin]), [[2, undefined, "foreign"], [1, undefined, "foreign"]]);
  const first = { entity: "Api", version: 1 };
  assert.equal((await json(other, { action: "show", ...first })).origin, "foreign");
  assert.match((await other.ok("history", { action: "diff", ...first })).text, /^foreign, nobody here wrote it: version 1\n/);
  assert.match(await other.fails("history", { action: "restore", ...first }), /came with the repository.*acceptForeign/);
  assert.match(await other.fails("history", { action: "undo", by: "alice", since: "2020-01-01" }), /no such changes/);
  await other.ok("history", { action: "restore", ...first, acceptForeign: true });
  const [restored] = (await json(other, { entity: "Api" })).versions;
  assert.deepEqual([restored.by, restored.origin, restored.version], ["alice", undefined, 3]);
});

test("a list has a limit, and what only reads takes a name without its extension", async (t) => {
  const { server } = await freshBank(t);
  for (const content of ["one\n", "two\n", "three\n"]) await server.ok("write_memory_bank_file", plan({ content }));
  const json = async (args) => JSON.parse((await server.ok("history", args)).text);
  const page = await json({ filename: "plan", limit: 2 });
  assert.deepEqual(page.versions.map(({ version }) => version), [3, 2]);
  const rest = await json({ filename: "plan", limit: 2, cursor: page.nextCursor });
  assert.deepEqual([rest.versions.map(({ version }) => version), rest.nextCursor], [[1], undefined]);
  assert.equal((await json({ limit: 1 })).versions.length, 1);
  assert.match(await server.fails("history", { limit: 201 }), /limit/);
  assert.equal((await json({ filename: "plan", action: "show", version: 1 })).text, "one\n");
  assert.equal((await json({ filename: "plan", action: "blame" })).ranges.length, 1);
  assert.match((await server.ok("history", { filename: "plan", action: "diff", version: 1 })).text, /-one/);
  assert.match(await server.fails("history", { filename: "plan", action: "restore", version: 1 }), /\.md/);
  assert.match(await server.fails("history", { ...plan(), action: "restore", version: 1, limit: 1 }), /does not take `limit`/);
});

test("where two users overwrite one line in turn, undo names the versions that bring a former text back", async (t) => {
  const { server: first, project } = await freshBank(t, ["--username", "alice"]);
  const second = await serverOn(project, t, ["--username", "bob"]);
  const since = new Date(Date.now() - 1000).toISOString();
  for (const [client, content] of [[first, "a1\n"], [second, "b1\n"], [first, "a2\n"], [second, "b2\n"]]) {
    await client.ok("write_memory_bank_file", plan({ content }));
  }
  const { left, undone } = JSON.parse((await second.ok("history", { action: "undo", by: "bob", since })).text);
  assert.deepEqual(undone, []);
  assert.deepEqual(left[0].restorable, [3, 1]);
  assert.match(left[0].advice, /`restore` brings a former text of `plan\.md` back: version 3 is .*; version 1 is /);
  // Also where others had the last word.
  const ofAlice = JSON.parse((await first.ok("history", { action: "undo", by: "alice", since, dryRun: true })).text);
  assert.deepEqual(ofAlice.left.find(({ filename }) => filename === "plan.md").restorable, [2]);
  await second.ok("history", plan({ action: "restore", version: left[0].restorable[0] }));
  assert.match((await second.ok("read_memory_bank_file", plan())).text, /a2/);
});

test("HISTORY_RETENTION_DAYS=0 keeps no history, and a wrong value stops the start", async (t) => {
  const { server } = await freshBank(t, ["--username", "alice"], { env: { HISTORY_RETENTION_DAYS: "0" } });
  await server.ok("write_memory_bank_file", plan({ content: "one" }));
  const { versions, note } = (await server.ok("history", {})).json;
  assert.deepEqual(versions, []);
  assert.match(note, /history is off \(HISTORY_RETENTION_DAYS=0\)/);
  const off = /history is off \(HISTORY_RETENTION_DAYS=0\)/;
  assert.match((await server.ok("history", plan())).json.note, off);
  for (const args of [plan({ action: "show", version: 1 }), plan({ action: "diff", version: 1 }), plan({ action: "blame" }), plan({ action: "restore", version: 1 })]) {
    assert.match(await server.fails("history", args), off);
  }
  await assert.rejects(server.request("resources/read", { uri: "memory-bank://plan?version=1" }), off);
  assert.match(await server.fails("history", { action: "undo", by: "alice", since: "2020-01-01" }), /history is off/);
  await assert.rejects(serverOn(await emptyFolder(t), t, [], { env: { HISTORY_RETENTION_DAYS: "many" } }));
});

test("a user's changes of graph and documents since a time are undone together, and the shell shows an entity's history", async (t) => {
  const { server, project } = await freshBank(t, ["--username", "alice"]);
  const json = async (tool, args) => JSON.parse((await server.ok(tool, args)).text);
  const upsert = (name, port) => server.ok("graph_upsert_entity", { name, entityType: "service", attrs: { port } });
  await upsert("Api", 80);
  const [{ at, version }] = (await json("history", { entity: "Api" })).versions;
  const since = new Date(Date.parse(at) + 1).toISOString();
  await new Promise((resolve) => setTimeout(resolve, 10));
  await upsert("Api", 81);
  await upsert("New", 1);
  await server.ok("graph_add_observation", { entity: "New", text: "is new" });
  await server.ok("write_memory_bank_file", plan({ content: "# Plan\n" }));
  const run = (...args) => execFileSync(BINARY, [...args, "--path", project, "--username", "alice"], { encoding: "utf8", env: { ...process.env, ...ENVIRONMENT } });
  assert.match(run("diff", "Api", String(version), "--entity"), /-port = 80\n\+port = 81/);
  assert.equal(run("history", "--entity", "Api").trim().split("\n").length, 2);
  const undo = { action: "undo", by: "alice", since };
  const done = await json("history", undo);
  const words = done.undone.map((one) => `${one.change} ${one.filename ?? one.entity} ${one.observation ?? one.type ?? ""}`.trim()).sort();
  assert.deepEqual(words, ['changed Api service {"port":80}', "deleted New is new", 'deleted New service {"port":1}', "deleted plan.md"]);
  assert.match(run("diff", "Api", String(version), "--entity"), /are the same/);
  assert.match(await server.fails("read_memory_bank_file", plan()), /plan\.md/);
  assert.deepEqual((await json("history", undo)).undone, []);
});

test("pages of the history show each change once after two branches of the graph were merged", async (t) => {
  const { server, project } = await freshBank(t);
  const log = join(project, "memory-bank/graph/graph.jsonl");
  const observe = async (text) => {
    await server.ok("graph_add_observation", { entity: "New", text });
    // Each change has a time of its own.
    await new Promise((resolve) => setTimeout(resolve, 3));
  };
  await server.ok("graph_upsert_entity", { name: "New", entityType: "service" });
  await observe("before");
  const base = await readFile(log, "utf8");
  for (let number = 1; number <= 4; number += 1) await observe(`branch ${number}`);
  const branch = (await readFile(log, "utf8")).slice(base.length);
  await writeFile(log, base);
  for (let number = 1; number <= 4; number += 1) await observe(`main ${number}`);
  // As git merges them with `merge=union`: the later changes come first.
  await appendFile(log, branch);
  for (let number = 1; number <= 4; number += 1) await server.ok("write_memory_bank_file", { filename: `doc${number}.md`, content: "x\n" });
  const pages = async (limit) => {
    const items = [];
    let cursor;
    do {
      const page = JSON.parse((await server.ok("history", { limit, ...(cursor === undefined ? {} : { cursor }) })).text);
      items.push(...page.versions.map((item) => `${item.filename ?? "graph"} ${item.version}`));
      cursor = page.nextCursor;
      assert.ok(items.length < 100, "the pages do not end");
    } while (cursor !== undefined);
    return items;
  };
  const whole = await pages(200);
  assert.equal(whole.filter((item) => item.startsWith("graph")).length, 10);
  for (const limit of [1, 2, 3, 4, 5, 6, 7, 8, 10]) assert.deepEqual((await pages(limit)).sort(), [...whole].sort(), `pages of ${limit}`);
});
