// `/api/v1` over HTTP: pages, etags, problems, and the rights of a token. Its description is compared with it in
// test_rest_keys.py.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { withTools } from "./lib/console.mjs";
import { Database } from "./lib/http_server.mjs";

let database, server, alice, bob;
const NAMES = ["plans/a.md", "plans/b.md", "plans/ü.md"];

before(async () => {
  database = await Database.lent();
  server = await database.serve();
  alice = await database.project();
  bob = await database.project();
  await withTools(server, alice.key, async (call) => {
    await call("initialize_memory_bank", { path: "." });
    for (const filename of NAMES) await call("write_memory_bank_file", { filename, content: `# Plan\n\nthe quokka of ${filename}\n` });
  });
});
after(() => database?.giveBack());

const get = (path, key = alice.key, headers = {}) => server.fetch(`/api/v1/${path}`, key, { headers });
const json = async (path, key) => (await get(path, key)).json();

test("documents are listed page by page, each once, with who changed them", async () => {
  const whole = (await json("documents")).documents;
  assert.deepEqual(whole.filter(({ name }) => name.startsWith("plans/")).map(({ name }) => name), NAMES);
  assert.ok(whole.filter(({ name }) => name.startsWith("plans/")).every(({ updatedBy, bytes, updatedAt }) => updatedBy === alice.user && bytes > 0 && !Number.isNaN(Date.parse(updatedAt))));
  const names = [];
  let cursor;
  do {
    const page = await json(`documents?limit=2${cursor ? `&cursor=${cursor}` : ""}`);
    assert.ok(page.documents.length <= 2);
    names.push(...page.documents.map(({ name }) => name));
    cursor = page.nextCursor;
  } while (cursor);
  assert.deepEqual(names, whole.map(({ name }) => name));
});

test("a reply that the client has is not sent again, until it changes", async () => {
  const path = `document?filename=${encodeURIComponent(NAMES[2])}`;
  const first = await get(path);
  const etag = first.headers.get("etag");
  assert.equal((await first.json()).text, `# Plan\n\nthe quokka of ${NAMES[2]}\n`);
  const again = await get(path, alice.key, { "If-None-Match": etag });
  assert.equal(again.status, 304);
  assert.equal(await again.text(), "");
  await withTools(server, alice.key, (call) => call("write_memory_bank_file", { filename: NAMES[2], content: "# Plan\n\nchanged\n" }));
  const changed = await get(path, alice.key, { "If-None-Match": etag });
  assert.equal(changed.status, 200);
  assert.match((await changed.json()).text, /changed/);
});

test("errors are problems that say what to do", async () => {
  for (const [path, status, key] of [
    ["document?filename=none.md", 404],
    ["document?filename=../../etc/passwd", 404],
    ["document", 400],
    ["documents?limit=0", 400],
    ["documents?cursor=x", 404],
    [`search?query=${"x".repeat(1025)}`, 400],
    ["search?query=quokka&cursor=x", 404],
    ["history?filename=none.md", 404],
    // An argument that nobody reads is a mistake.
    ["history?sinse=2026-11-27", 400],
    ["history/show?filename=none.md&version=1&until=2026-11-27", 400],
    ["history/diff?filename=none.md&version=1&wiht=2", 400],
    ["documents?most=3", 400],
    ["search?query=quokka&most=3", 400],
    ["digest?day=2026-11-27", 400],
    ["session", 401, null],
  ]) {
    const reply = key === null ? await server.fetch(`/api/v1/${path}`) : await get(path);
    assert.equal(reply.status, status, path);
    assert.equal(reply.headers.get("content-type"), "application/problem+json", path);
    const { title, status: named, detail } = await reply.json();
    assert.ok(title.length > 0 && named === status && detail.length > 5, path);
  }
});

test("a search finds lines, and a blank one nothing", async () => {
  const { results } = await json("search?query=quokka&limit=1");
  assert.equal(results.length, 1);
  assert.match(results[0].content, /quokka/);
  assert.deepEqual((await json("search?query=%20")).results, []);
});

test("a key sees its own project, and lists change nothing", async () => {
  assert.equal((await json("session", bob.key)).project, bob.slug);
  assert.deepEqual((await json("search?query=quokka", bob.key)).results, []);
  for (const path of ["documents", "history"]) assert.ok(!JSON.stringify(await json(path, bob.key)).includes("plans/"), path);
  assert.equal((await get(`document?filename=${NAMES[0]}`, bob.key)).status, 404);
  for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
    assert.equal((await server.fetch("/api/v1/documents", alice.key, { method })).status, 405, method);
  }
});

const send = (method, path, body, key = alice.key) =>
  server.fetch(`/api/v1/${path}`, key, { method, ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }) });
const name = (filename) => `document?filename=${encodeURIComponent(filename)}`;
async function written(filename, text, key = alice.key) {
  const reply = await send("PUT", name(filename), { text }, key);
  assert.equal(reply.status, 200);
  return (await reply.json()).etag;
}
async function refused(reply, status, words) {
  assert.equal(reply.status, status);
  assert.equal(reply.headers.get("content-type"), "application/problem+json");
  const { detail } = await reply.json();
  assert.match(detail, words);
}
/** A key of the same project with these scopes. */
async function limited(scopes) {
  const reply = await server.fetch("/api/keys", alice.key, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ scopes }) });
  return (await reply.json()).key;
}

test("a name is checked before a document is written: by the rules of new names, and against the names that there are", async () => {
  await written("checked/there.md", "# There\n");
  const checked = (filename) => json(`document/name?filename=${encodeURIComponent(filename)}`);
  assert.deepEqual(await checked("checked/there.md"), { name: "checked/there.md", exists: true });
  assert.deepEqual(await checked("checked/There.md"), { name: "checked/there.md", exists: true });
  assert.deepEqual(await checked("checked/NewName.md"), { name: "checked/new-name.md", exists: false });
  const refusals = { "../evil.md": /traversal/, "a?b.md": /`\?`/, "con.md": /device/, "fdp\u202egpj.md": /invisible/, "notes.txt": /\.md and \.json/, "Checked/other.md": /letter case/ };
  for (const [filename, reason] of Object.entries(refusals)) {
    const { exists, refusal } = await checked(filename);
    assert.equal(exists, false, filename);
    assert.match(refusal, reason);
    assert.equal((await send("PUT", name(filename), { text: "x" })).status, 409, `${filename}: what is refused here is refused when it is written`);
  }
  await refused(await send("GET", "document/name"), 400, /malformed/);
});

test("a document gets another name with its etag, and keeps its history", async () => {
  const etag = await written("moves/old.md", "# Old\n");
  await refused(await send("POST", "document/rename", { filename: "moves/old.md", to: "moves/new.md", etag: "0000000000000000" }), 409, /read it again/);
  const reply = await send("POST", "document/rename", { filename: "moves/old.md", to: "moves/new.md", etag });
  assert.deepEqual(await reply.json(), { name: "moves/new.md", etag });
  assert.equal((await get(name("moves/old.md"))).status, 404);
  assert.equal((await json(name("moves/new.md"))).text, "# Old\n");
  const [newest] = (await json(`history?filename=${encodeURIComponent("moves/new.md")}`)).versions;
  assert.equal(newest.kind, "renamed");
  assert.equal(newest.formerName, "moves/old.md");
  assert.equal(newest.tool, undefined);
  await refused(await send("POST", "document/rename", { filename: "moves/old.md", to: "x.md", etag }), 404, /does not exist/);
  await refused(await send("POST", "document/rename", { filename: "moves/new.md", to: NAMES[0], etag }), 409, /exists/);
  await refused(await send("POST", "document/rename", { filename: "progress.md", to: "x.md", etag: (await json(name("progress.md"))).etag }), 409, /core document/);
  await refused(await send("POST", "document/rename", { filename: "moves/new.md", to: "x.md" }), 400, /etag/);
  await refused(await send("POST", "document/rename", { filename: "moves/new.md", to: "x.md", etag }, await limited(["read"])), 403, /scope `write`/);
});

test("a document is deleted with its etag and the scope admin, and its text stays in the history", async () => {
  const etag = await written("moves/gone.md", "# Gone\n");
  const path = name("moves/gone.md");
  await refused(await send("DELETE", path), 400, /malformed/);
  await refused(await send("DELETE", `${path}&etag=0000000000000000`), 409, /read it again/);
  await refused(await send("DELETE", `${path}&etag=${etag}`, undefined, await limited(["read", "write"])), 403, /scope `admin`/);
  assert.equal((await get(path)).status, 200);
  assert.deepEqual(await (await send("DELETE", `${path}&etag=${etag}`)).json(), { name: "moves/gone.md" });
  assert.equal((await get(path)).status, 404);
  assert.equal((await json(`history/show?filename=${encodeURIComponent("moves/gone.md")}&version=1`)).text, "# Gone\n");
  await refused(await send("DELETE", `${name("progress.md")}&etag=${(await json(name("progress.md"))).etag}`), 409, /core document/);
  const foreign = await send("DELETE", `${name(NAMES[0])}&etag=${(await json(name(NAMES[0]))).etag}`, undefined, bob.key);
  assert.equal(foreign.status, 404);
  assert.equal((await get(name(NAMES[0]))).status, 200);
});

test("each line of a document has the version that wrote it, page by page", async () => {
  await written("lines.md", "one\ntwo\n");
  const { etag } = await json(name("lines.md"));
  await send("PUT", name("lines.md"), { text: "one\n2\n3\n", etag });
  const { ranges, filename, nextCursor } = await json(`history/blame?filename=lines.md`);
  assert.equal(filename, "lines.md");
  assert.equal(nextCursor, undefined);
  assert.deepEqual(ranges.map(({ fromLine, text, version, by }) => ({ fromLine, text, version, by })), [
    { fromLine: 1, text: "one\n", version: 1, by: alice.user },
    { fromLine: 2, text: "2\n3\n", version: 2, by: alice.user },
  ]);
  await refused(await get("history/blame?filename=none.md"), 404, /no history/);
  await refused(await get("history/blame?filename=lines.md&cursor=x"), 404, /nextCursor/);
  await refused(await get("history/blame?filename=lines.md", bob.key), 404, /no history/);
});

test("the changes of a session are undone after a dry run, and not those of others without the scope admin", async () => {
  let session;
  await withTools(server, alice.key, async (call) => {
    await call("write_memory_bank_file", { filename: "undo/a.md", content: "# A\n" });
    await call("graph_upsert_entity", { name: "Undo", entityType: "service" });
  });
  [{ session }] = (await json("history?filename=undo%2Fa.md")).versions;
  const dry = await (await send("POST", "history/undo", { by: session, dryRun: true })).json();
  assert.equal(dry.dryRun, true);
  assert.deepEqual(dry.undone.map(({ filename, entity, change }) => filename ?? `${entity} ${change}`).sort(), ["Undo deleted", "undo/a.md"]);
  assert.deepEqual(dry.left, []);
  assert.equal((await get(name("undo/a.md"))).status, 200, "a dry run changes nothing");
  await refused(await send("POST", "history/undo", { by: session }, await limited(["read"])), 403, /scope `write`/);
  await refused(await send("POST", "history/undo", { by: session }, await limited(["write", "admin"])), 403, /scope `read`/);
  await refused(await send("POST", "history/undo", { by: "somebody", since: "2026-01-01" }, await limited(["read", "write"])), 403, /may not undo changes of `somebody`.*scope `admin`/);
  await refused(await send("POST", "history/undo", { by: alice.user }), 404, /since when\?/);
  await refused(await send("POST", "history/undo", { by: "00000000-0000-4000-8000-000000000000" }), 409, /no such changes/);
  await refused(await send("POST", "history/undo", { by: session }, bob.key), 409, /no such changes/);
  await refused(await send("POST", "history/undo", {}), 400, /by/);
  const done = await (await send("POST", "history/undo", { by: session })).json();
  assert.equal(done.dryRun, false);
  assert.equal(done.undone.length, 2);
  assert.equal((await get(name("undo/a.md"))).status, 404);
  assert.equal((await json("graph/search?query=Undo")).entities.some((entity) => entity.name === "Undo"), false);
});

test("the history of documents and graph is one list by time, page by page, each change once", async () => {
  const { project: _, ...carol } = await database.project();
  await withTools(server, carol.key, async (call) => {
    await call("initialize_memory_bank", { path: "." });
    for (const name of ["One", "Two", "Three"]) {
      await call("graph_upsert_entity", { name, entityType: "service" });
      await call("write_memory_bank_file", { filename: `${name}.md`, content: `# ${name}\n` });
    }
  });
  const keyOf = ({ filename, entityId, version }) => (filename === undefined ? `${entityId} ${version}` : `${filename} ${version}`);
  const [documents, whole] = [(await json("history?limit=200", carol.key)).versions, (await json("history?includeGraph=true&limit=200", carol.key)).versions];
  assert.deepEqual(whole.filter(({ filename }) => filename !== undefined), documents);
  assert.deepEqual(whole.filter(({ entity }) => entity !== undefined).map(({ entity }) => entity), ["Three", "Two", "One"]);
  assert.deepEqual(whole.slice(0, 6).map(({ filename, entity }) => filename ?? entity), ["three.md", "Three", "two.md", "Two", "one.md", "One"]);
  const seen = [];
  let cursor;
  do {
    const page = await json(`history?includeGraph=true&limit=4${cursor ? `&cursor=${cursor}` : ""}`, carol.key);
    assert.ok(page.versions.length <= 4);
    seen.push(...page.versions.map(keyOf));
    cursor = page.nextCursor;
  } while (cursor);
  assert.deepEqual(seen, whole.map(keyOf));
  const { nextCursor } = await json("history?limit=1", carol.key);
  await refused(await get(`history?includeGraph=true&cursor=${nextCursor}`, carol.key), 404, /nextCursor/);
  const [{ session }] = whole;
  const ofSession = (await json(`history?includeGraph=true&limit=200&by=${session}`, carol.key)).versions;
  assert.deepEqual(ofSession.map(keyOf), whole.filter((change) => change.session === session).map(keyOf));
  assert.deepEqual((await json(`history?includeGraph=true&by=${alice.user}`, carol.key)).versions, []);
  assert.ok(!JSON.stringify((await json("history?includeGraph=true", bob.key)).versions).includes("Three"), "each project has its own");
  await send("POST", "history/undo", { by: session, entity: "Three" }, carol.key);
  const [undone] = (await json("history?includeGraph=true", carol.key)).versions;
  assert.deepEqual([undone.entity, undone.kind, undone.undo, undone.tool], ["Three", "deleted", true, undefined]);
});

test("an undo over REST is a change of its user without a tool, in documents and the graph, and can be undone", async () => {
  const erik = await database.project();
  let session;
  await withTools(server, erik.key, async (call) => {
    await call("initialize_memory_bank", { path: "." });
    await call("write_memory_bank_file", { filename: "undone.md", content: "# One\n" });
    await call("graph_upsert_entity", { name: "Undone", entityType: "service" });
  });
  ({ session } = (await json("history?includeGraph=true", erik.key)).versions[0]);
  const undo = async (body) => (await send("POST", "history/undo", body, erik.key)).json();
  assert.ok((await undo({ by: session })).undone.length >= 2);
  const { versions } = await json("history?includeGraph=true&limit=200", erik.key);
  const undone = versions.filter(({ undo }) => undo);
  assert.ok(undone.some(({ filename }) => filename === "undone.md") && undone.some(({ entity }) => entity === "Undone"));
  for (const change of undone) assert.deepEqual([change.by, change.tool, change.session], [erik.user, undefined, undefined]);
  const [latest] = (await json("sessions", erik.key)).sessions;
  assert.deepEqual([latest.by, latest.tools, latest.session], [erik.user, [], undefined]);
  // It is still known as an undo: a second one finds nothing, and it can be taken back itself.
  assert.deepEqual((await undo({ by: session })).undone, []);
  await undo({ by: erik.user, since: undone.at(-1).at });
  assert.equal((await json(name("undone.md"), erik.key)).text, "# One\n");
});

test("a session names ten documents and ten entities, and counts the others", async () => {
  const dora = await database.project();
  await withTools(server, dora.key, async (call) => {
    await call("initialize_memory_bank", { path: "." });
    for (let number = 0; number < 14; number += 1) await call("graph_upsert_entity", { name: `Entity ${number}`, entityType: "service" });
    for (let number = 0; number < 12; number += 1) await call("write_memory_bank_file", { filename: `many/${number}.md`, content: "# Many\n" });
  });
  const [{ session, changes, documents, documentsNotNamed, entities, entitiesNotNamed }] = (await json("sessions", dora.key)).sessions;
  const { versions } = await json(`history?includeGraph=true&limit=200&by=${session}`, dora.key);
  assert.equal(changes, versions.length);
  assert.deepEqual([documents.length, entities.length, entitiesNotNamed], [10, 10, 4]);
  assert.equal(documentsNotNamed, new Set(versions.map(({ filename }) => filename).filter(Boolean)).size - 10);
});

test("a read-only server changes nothing over REST", async () => {
  const readOnly = await database.serve({ MEMORY_BANK_READ_ONLY: "true" });
  const change = (method, path, body) =>
    readOnly.fetch(`/api/v1/${path}`, alice.key, { method, ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }) });
  const { etag } = await json(name(NAMES[0]));
  const started = /started with `--read-only`(?!.*owner)/;
  await refused(await change("PUT", name("new.md"), { text: "x" }), 403, started);
  await refused(await change("DELETE", `${name(NAMES[0])}&etag=${etag}`), 403, started);
  await refused(await change("POST", "document/rename", { filename: NAMES[0], to: "x.md", etag }), 403, started);
  await refused(await change("POST", "history/undo", { by: alice.user, since: "2026-01-01" }), 403, started);
  assert.equal((await (await readOnly.fetch("/api/v1/session", alice.key)).json()).readOnly, true);
  assert.equal((await json("session")).readOnly, false);
});

/** The stream of changes: `next` gives its events, one after the other; `undefined` when it has ended. */
async function watch(t, key, headers = {}, of = server) {
  const control = new AbortController();
  t.after(() => control.abort());
  const reply = await of.fetch("/api/v1/events", key, { headers, signal: control.signal });
  if (!reply.ok) return { reply };
  assert.equal(reply.headers.get("content-type"), "text/event-stream");
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  const next = async () => {
    for (;;) {
      const end = rest.indexOf("\n\n");
      if (end === -1) {
        const { done, value } = await reader.read();
        if (done) return undefined;
        rest += value;
        continue;
      }
      const data = rest.slice(0, end).match(/^data: (.*)$/m)?.[1];
      rest = rest.slice(end + 2);
      if (data !== undefined) return JSON.parse(data);
    }
  };
  let last;
  // A server that hears nothing of Redis in time publishes again, so that an event may come twice.
  const nextOther = async () => {
    let event = await next();
    while (last !== undefined && JSON.stringify(event) === JSON.stringify(last)) event = await next();
    return (last = event);
  };
  return { reply, next: nextOther, close: () => control.abort() };
}

test("changes are sent as they happen, of the own project alone, also from another server", async (t) => {
  const replica = await database.serve();
  const [own, others, there] = [await watch(t, alice.key), await watch(t, bob.key), await watch(t, alice.key, {}, replica)];
  await written("watched.md", "# One\n");
  for (const { next } of [own, there]) {
    assert.deepEqual(await next(), { change: "document", name: "watched.md" });
    assert.deepEqual(await next(), { change: "list" });
  }
  await withTools(server, alice.key, (call) => call("graph_upsert_entity", { name: "Watched", entityType: "service" }));
  for (const { next } of [own, there]) assert.deepEqual(await next(), { change: "graph" });
  // The first event of the other project is its own.
  await withTools(server, bob.key, async (call) => {
    await call("initialize_memory_bank", { path: "." });
    await call("write_memory_bank_file", { filename: "of-bob.md", content: "# Bob\n" });
  });
  for (let event = await others.next(); event.name !== "of-bob.md"; event = await others.next()) {
    assert.ok(!JSON.stringify(event).includes("watched"), JSON.stringify(event));
  }
  const again = await watch(t, alice.key, { "Last-Event-ID": "7" });
  assert.deepEqual(await again.next(), { change: "all" });
});

test("a stream of changes ends with its key, needs the scope read, and their number is bounded", async (t) => {
  await refused((await watch(t, await limited(["write", "admin"]))).reply, 403, /scope `read`/);
  const made = await (await server.fetch("/api/keys", alice.key, { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" })).json();
  const stream = await watch(t, made.key);
  assert.equal((await server.fetch(`/api/keys/${made.id}`, alice.key, { method: "DELETE" })).status, 200);
  assert.equal(await stream.next(), undefined);
  assert.equal((await watch(t, made.key)).reply.status, 401);
  const few = await database.serve({ MAX_STREAMS_PER_KEY: "2" });
  const open = [await watch(t, alice.key, {}, few), await watch(t, alice.key, {}, few)];
  await refused((await watch(t, alice.key, {}, few)).reply, 429, /open streams/);
  open[0].close();
  for (let tries = 0; ; tries += 1) {
    const { reply } = await watch(t, alice.key, {}, few);
    if (reply.ok) break;
    assert.ok(tries < 100, "a closed stream is free again");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});
