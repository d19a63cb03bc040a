// What owners administer over `/api/v1`: members, keys, grants, the audit log and the health of the server; and who is refused.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { withTools } from "./lib/console.mjs";
import { Database } from "./lib/http_server.mjs";

let database, server, alice, bob;
const SCRIPT = `<img src=x onerror="window.report('ran')">`;

before(async () => {
  database = await Database.lent();
  server = await database.serve();
  alice = await database.project();
  bob = await database.project();
  for (const { key } of [alice, bob]) await withTools(server, key, (call) => call("initialize_memory_bank", { path: "." }));
});
after(() => database?.giveBack());

/** A request of the console, with both halves of a session, or with a key. */
const send = (method, path, { key = alice.key, body, headers = {} } = {}) =>
  server.fetch(`/api/v1/${path}`, key === null ? undefined : key, {
    method,
    headers: { ...(body && { "Content-Type": "application/json" }), ...headers },
    ...(body && { body: JSON.stringify(body) }),
  });
async function data(method, path, options) {
  const reply = await send(method, path, options);
  const text = await reply.text();
  assert.equal(reply.status, 200, `${method} ${path}: ${text}`);
  return JSON.parse(text);
}
async function refused(reply, status, words) {
  const text = await reply.text();
  assert.equal(reply.status, status, text);
  assert.equal(reply.headers.get("content-type"), "application/problem+json");
  assert.match(JSON.parse(text).detail, words);
}
const member = (name) => `member?name=${encodeURIComponent(name)}`;
const invite = (name, role, options = {}) => data("POST", "members", { body: { name, role, ...options } });

/** Opens a session of the console; the headers of its requests. */
async function session(secret) {
  const reply = await fetch(`${server.origin}/app/session`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ secret }) });
  assert.equal(reply.status, 200, await reply.clone().text());
  const { token } = await reply.json();
  return { Cookie: reply.headers.get("set-cookie").split(";")[0], "X-Console-Token": token };
}

test("an owner invites, changes and removes members, and their keys follow at once", async () => {
  const name = `Carol ${SCRIPT}`;
  const { key, role } = await invite(name, "viewer");
  assert.equal(role, "viewer");
  assert.deepEqual(key.scopes, []);
  const found = (await data("GET", "members")).members.find((one) => one.name === name);
  assert.equal(found.role, "viewer");
  const read = () => send("GET", "documents", { key: key.key });
  const write = () => send("PUT", "document?filename=carol.md", { key: key.key, body: { text: "# Carol\n" } });
  assert.equal((await read()).status, 200);
  await refused(await write(), 403, /role with the scope `write`/);
  assert.deepEqual(await data("PATCH", member(name), { body: { role: "editor" } }), { name, role: "editor" });
  assert.equal((await write()).status, 200);
  assert.deepEqual(await data("DELETE", member(name)), { name, revokedKeys: 1 });
  assert.equal((await read()).status, 401);
  await refused(await send("DELETE", member(name)), 404, /no member/);
  const actions = (await data("GET", "audit")).rows.map(({ action, user }) => `${action} ${user}`);
  for (const action of ["member.added", "member.role_changed", "member.removed", "key.created", "key.revoked"]) {
    assert.ok(actions.includes(`${action} ${alice.user}`), actions.join(", "));
  }
});

test("a member who has used nothing yet gets a new key from an owner, and nobody else does", async () => {
  const first = (await invite("Lost Larry", "editor")).key;
  const replace = (name, options = {}) => send("POST", `member/key?name=${encodeURIComponent(name)}`, { body: {}, ...options });
  const open = (await data("GET", "members")).members.filter(({ mayReplaceKey }) => mayReplaceKey);
  assert.deepEqual(open.map((member) => member.name), ["Lost Larry"]);
  const { name, key } = await data("POST", "member/key?name=Lost%20Larry", { body: { label: "again", expiresInDays: 9 } });
  assert.deepEqual([name, key.label, key.scopes], ["Lost Larry", "again", []]);
  assert.equal((await send("GET", "documents", { key: first.key })).status, 401, "the key of the invitation is void");
  const { rows } = await data("GET", "audit");
  const [made, revoked] = rows.filter(({ detail }) => detail.name === "Lost Larry");
  assert.deepEqual([made.action, made.user, made.subject, revoked.action], ["key.rotated", alice.user, key.id, "key.revoked"]);
  await refused(await replace("nobody"), 404, /no member/);
  await refused(await replace(bob.user), 404, /no member/);
  await refused(await replace(alice.user), 409, /used nothing yet/);
  await refused(await replace("Lost Larry", { key: key.key }), 403, /role with the scope `admin`/);
  await refused(await replace("Lost Larry", { body: { expiresInDays: 0 } }), 400, /expiresInDays/);
  assert.equal((await send("GET", "documents", { key: key.key })).status, 200);
  // What was used is written a little later.
  for (let tries = 0; ; tries += 1) {
    const used = (await data("GET", "keys")).keys.find(({ id }) => id === key.id)?.lastUsedAt;
    if (used) break;
    assert.ok(tries < 300, "the use of the key is not noted");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await refused(await replace("Lost Larry"), 409, /used nothing yet/);
  assert.equal((await data("GET", "members")).members.find((member) => member.name === "Lost Larry").mayReplaceKey, false);
  assert.equal((await send("GET", "documents", { key: key.key })).status, 200, "its key stays");
  // Nor for a member whom an operator has made one here, and who works elsewhere.
  await database.operate("members", "add", "--project", alice.slug, "--user", bob.user, "--role", "viewer");
  await refused(await replace(bob.user), 409, /used nothing yet/);
  await data("DELETE", member(bob.user));
});

test("junk cookies of the console's name, first or last, lock nobody out, and another's session opens nothing", async () => {
  const headers = await session(alice.key);
  const [cookieName, value] = headers.Cookie.split("=");
  const junk = `${cookieName}=junk; ${cookieName}=${value.slice(0, -4)}AAAA`;
  for (const Cookie of [`${junk}; ${headers.Cookie}`, `${headers.Cookie}; ${junk}`, `${cookieName}=; ${headers.Cookie}; ${junk}`]) {
    const known = await data("GET", "session", { key: null, headers: { ...headers, Cookie } });
    assert.equal(known.user, alice.user);
  }
  assert.equal((await send("GET", "session", { key: null, headers: { ...headers, Cookie: junk } })).status, 401);
  const bobs = await session(bob.key);
  const both = { ...headers, Cookie: `${bobs.Cookie}; ${headers.Cookie}` };
  assert.equal((await data("GET", "session", { key: null, headers: both })).user, alice.user);
  assert.equal((await send("GET", "session", { key: null, headers: { ...headers, Cookie: bobs.Cookie } })).status, 401);
  const many = Array.from({ length: 9 }, (_, number) => `${cookieName}=${value.slice(0, -4)}000${number}`).join("; ");
  assert.equal((await send("GET", "session", { key: null, headers: { ...headers, Cookie: `${many}; ${headers.Cookie}` } })).status, 401, "they are bounded");
  const closed = await fetch(`${server.origin}/app/session`, { method: "DELETE", headers: { ...headers, Cookie: `${junk}; ${headers.Cookie}` } });
  assert.equal(closed.status, 204);
  assert.equal((await send("GET", "session", { key: null, headers })).status, 401);
});

test("an owner sees how often tools were called, how long that took and how many tokens it served", async () => {
  const { key: viewer } = (await invite("Counted", "viewer")).key;
  const total = async (path, key) => {
    const { steps, stepSeconds, timesMs } = await data("GET", path, { key });
    const sum = (of) => steps.reduce((before, step) => before + of(step), 0);
    return { stepSeconds, timesMs, calls: sum((step) => step.calls), failures: sum((step) => step.failures), tokens: sum((step) => step.tokens), times: sum((step) => step.times.reduce((a, b) => a + b, 0)) };
  };
  const eve = await database.project();
  await withTools(server, eve.key, async (call) => {
    await call("initialize_memory_bank", { path: "." });
    await call("write_memory_bank_file", { filename: "words.md", content: "# Words\n\nSome words.\n" });
    await call("read_memory_bank_file", { filename: "words.md" });
    await assert.rejects(call("read_memory_bank_file", { filename: "missing.md" }));
  });
  // Counted calls are written every ten seconds.
  let seen;
  for (let tries = 0; tries < 150; tries += 1) {
    seen = await total("calls", eve.key);
    if (seen.calls >= 4) break;
    await new Promise((done) => setTimeout(done, 200));
  }
  assert.equal(seen.calls, 4);
  assert.equal(seen.failures, 1);
  assert.ok(seen.tokens > 20 && seen.tokens < 5000, `${seen.tokens} tokens`);
  assert.equal(seen.times, 4, "no call took longer than the last bound");
  assert.deepEqual([seen.stepSeconds, seen.timesMs], [3600, [10, 30, 100, 300, 1000, 3000]]);
  assert.equal((await total("calls?days=30", eve.key)).stepSeconds, 86400);
  for (const days of ["0", "401", "x", "-1"]) assert.equal((await send("GET", `calls?days=${days}`)).status, 400, days);
  await refused(await send("GET", "calls", { key: viewer }), 403, /owner/);
});

test("a user of another project is not made a member, and nothing shows whether one exists that is none", async () => {
  await refused(await send("POST", "members", { body: { name: bob.user, role: "editor" } }), 409, /exists already/);
  await refused(await send("PATCH", member(bob.user), { body: { role: "editor" } }), 404, /no member/);
  await refused(await send("PATCH", member("nobody"), { body: { role: "editor" } }), 404, /no member/);
  await refused(await send("DELETE", member(bob.user)), 404, /no member/);
  assert.deepEqual((await data("GET", "members", { key: bob.key })).members.map(({ name }) => name), [bob.user]);
});

test("a project keeps an owner, and names and bodies are checked", async () => {
  await refused(await send("DELETE", member(alice.user)), 409, /last owner/);
  await refused(await send("PATCH", member(alice.user), { body: { role: "viewer" } }), 409, /last owner/);
  await refused(await send("POST", "members", { body: { name: " ", role: "viewer" } }), 409, /1 to 255 bytes/);
  await refused(await send("POST", "members", { body: { name: "x\ny", role: "viewer" } }), 409, /on one line/);
  await refused(await send("POST", "members", { body: { name: "zoe", role: "god" } }), 400, /role|variant/);
  await refused(await send("POST", "members", { body: { name: "zoe", role: "viewer", expiresInDays: 0 } }), 400, /expiresInDays/);
  await refused(await send("PATCH", "member", { body: { role: "viewer" } }), 400, /malformed/);
  await refused(await send("PATCH", member("x\0y"), { body: { role: "viewer" } }), 404, /no such member/);
  await refused(await send("DELETE", "key?id=x"), 400, /malformed/);
  const text = "x".repeat(1_100_000);
  assert.equal((await send("POST", "members", { body: { name: text, role: "viewer" } })).status, 413);
});

test("an owner sees the keys of all members page by page, makes own ones, and revokes those of others", async () => {
  const dora = await invite("Dora", "editor", { label: SCRIPT, expiresInDays: 30 });
  const made = await data("POST", "keys", { body: { label: "second", scopes: ["read"] } });
  const keys = [];
  let cursor;
  do {
    const page = await data("GET", `keys?limit=1${cursor ? `&cursor=${cursor}` : ""}`);
    assert.ok(page.keys.length <= 1);
    keys.push(...page.keys);
    cursor = page.nextCursor;
  } while (cursor);
  const of = (id) => keys.find((key) => key.id === id);
  assert.equal(of(dora.key.id).user, "Dora");
  assert.equal(of(dora.key.id).label, SCRIPT);
  assert.equal(of(made.id).user, alice.user);
  assert.ok(!JSON.stringify(keys).includes(made.key), "a key is shown once");
  assert.equal((await send("GET", "documents", { key: made.key })).status, 200);
  assert.deepEqual(await data("DELETE", `key?id=${dora.key.id}`), { id: dora.key.id });
  assert.equal((await send("GET", "documents", { key: dora.key.key })).status, 401);
  await refused(await send("DELETE", `key?id=${dora.key.id}`), 404, /no key/);
  await refused(await send("DELETE", `key?id=${bob.id}`), 404, /no key/);
  assert.equal((await send("GET", "session", { key: bob.key })).status, 200);
  const listed = (await data("GET", "keys?includeRevoked=true")).keys.find(({ id }) => id === dora.key.id);
  assert.equal(listed.status, "revoked");
  await data("DELETE", member("Dora"));
});

test("viewers and editors, and keys without the scope admin, administer nothing", async () => {
  const editor = (await invite("Erin", "editor")).key.key;
  const viewer = (await invite("Vera", "viewer")).key.key;
  const reader = (await data("POST", "keys", { body: { scopes: ["read", "write"] } })).key;
  const nobody = "00000000-0000-4000-8000-000000000000";
  for (const key of [editor, viewer, reader]) {
    const words = key === reader ? /lacks the scope `admin`/ : /role with the scope `admin`/;
    for (const path of ["members", "keys", "grants", "audit", "health"]) await refused(await send("GET", path, { key }), 403, words);
    await refused(await send("POST", "members", { key, body: { name: "x", role: "owner" } }), 403, words);
    await refused(await send("PATCH", member("Erin"), { key, body: { role: "owner" } }), 403, words);
    await refused(await send("DELETE", member("Erin"), { key }), 403, words);
    await refused(await send("POST", "keys", { key, body: {} }), 403, words);
    await refused(await send("DELETE", `key?id=${nobody}`, { key }), 403, words);
    await refused(await send("DELETE", `grant?id=${nobody}`, { key }), 403, words);
    assert.equal((await send("GET", "sessions", { key })).status, 200);
  }
  // Who is an owner no longer administers nothing at once, whatever the server remembers.
  await data("PATCH", member("Erin"), { body: { role: "owner" } });
  assert.equal((await send("GET", "members", { key: editor })).status, 200);
  await database.sql(`UPDATE memberships SET role = 'editor' WHERE user_id = (SELECT id FROM users WHERE name = 'Erin')`);
  assert.equal((await send("GET", "members", { key: editor })).status, 403);
});

test("a key with less than all scopes gives no more than it has", async () => {
  const { key } = await data("POST", "keys", { body: { scopes: ["read", "admin"] } });
  await refused(await send("POST", "keys", { key, body: {} }), 403, /more scopes/);
  await refused(await send("POST", "keys", { key, body: { scopes: ["write"] } }), 403, /more scopes/);
  for (const role of ["editor", "owner"]) {
    await refused(await send("POST", "members", { key, body: { name: "Gina", role } }), 403, /more rights than the key has/);
  }
  const invited = await data("POST", "members", { key, body: { name: "Gina", role: "viewer" } });
  assert.deepEqual(invited.key.scopes, ["read", "admin"]);
  await refused(await send("PATCH", member("Gina"), { key, body: { role: "owner" } }), 403, /more rights than the key has/);
  await data("PATCH", member("Gina"), { body: { role: "owner" } });
  assert.deepEqual(await data("PATCH", member("Gina"), { key, body: { role: "editor" } }), { name: "Gina", role: "editor" }, "less is given by any administrator");
  await refused(await send("PUT", "document?filename=gina.md", { key: invited.key.key, body: { text: "x" } }), 403, /scope `write`/);
  await data("DELETE", member("Gina"));
});

test("a change gives its reply whatever the client has, and a list is not given twice", async () => {
  const headers = { "If-None-Match": "*" };
  assert.equal((await send("GET", "members", { headers })).status, 304);
  const made = await data("POST", "keys", { headers, body: { label: "with a condition" } });
  assert.match(made.key, /^mbmcp_/);
  const removed = await send("DELETE", `key?id=${made.id}`, { headers });
  assert.equal(removed.headers.get("etag"), null);
  assert.deepEqual(await removed.json(), { id: made.id });
});

test("a list goes on where its last item was, also when the item is gone", async () => {
  for (const name of ["list a", "list b", "list c"]) await invite(name, "viewer");
  const names = [];
  let cursor = "";
  do {
    const page = await data("GET", `members?limit=1${cursor}`);
    names.push(...page.members.map(({ name }) => name));
    if (names.at(-1) === "list a") await data("DELETE", member("list a"));
    cursor = page.nextCursor && `&cursor=${page.nextCursor}`;
  } while (cursor);
  assert.deepEqual(names.filter((name) => name.startsWith("list ")), ["list a", "list b", "list c"]);
  const expected = (await data("GET", "keys")).keys.map(({ id }) => id);
  const first = await data("GET", "keys?limit=1");
  await data("DELETE", `key?id=${first.keys[0].id}`);
  const rest = await data("GET", `keys?limit=1000&cursor=${first.nextCursor}`);
  assert.deepEqual([first.keys[0].id, ...rest.keys.map(({ id }) => id)], expected);
  for (const name of ["list b", "list c"]) await data("DELETE", member(name));
});

test("the session of a key has the limit of the key, for all its sessions together", async () => {
  const made = await data("POST", "keys", { body: { rateLimit: 12 } });
  const [one, other] = [await session(made.key), await session(made.key)];
  const replies = [];
  for (let number = 0; number < 7; number += 1) {
    for (const headers of [one, other]) replies.push(await send("GET", "session", { key: null, headers }));
  }
  assert.equal(replies[0].headers.get("x-ratelimit-limit"), "12");
  assert.ok(replies.some(({ status }) => status === 429), "two sessions have the limit of one");
  const wide = await send("GET", "session", { key: null, headers: await session(alice.key) });
  assert.equal(wide.headers.get("x-ratelimit-limit"), "240");
});

test("the streams of all sessions of a key are counted together", async () => {
  const made = await data("POST", "keys", { body: { rateLimit: 0 } });
  const [one, other] = [await session(made.key), await session(made.key)];
  const stop = new AbortController();
  const open = (headers) => fetch(`${server.origin}/api/v1/events`, { headers, signal: stop.signal });
  try {
    // Kept, since a reply that nobody has any more is collected, and its stream ends.
    const streams = [];
    for (let number = 0; number < 32; number += 1) streams.push(await open(number % 2 ? one : other));
    assert.deepEqual(streams.filter(({ status }) => status !== 200), []);
    for (const headers of [one, other]) {
      const reply = await open(headers);
      assert.equal(reply.status, 429);
      await refused(reply, 429, /as many open streams/);
    }
    assert.equal(streams.length, 32);
  } finally {
    stop.abort();
  }
  await data("DELETE", `key?id=${made.id}`);
});

test("a key that a session makes ends with the key that opened it, and has the rights of the session", async () => {
  const opener = await data("POST", "keys", { body: { scopes: ["read", "admin"], expiresInDays: 2, rateLimit: 0 } });
  const headers = await session(opener.key);
  for (const expiresInDays of [undefined, 30]) {
    const made = await data("POST", "keys", { key: null, headers, body: { expiresInDays } });
    assert.deepEqual(made.scopes, ["read", "admin"]);
    assert.equal(made.expiresAt, opener.expiresAt);
    const own = await server.fetch("/api/keys", opener.key, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ scopes: ["read"], expiresInDays }),
    });
    assert.equal((await own.json()).expiresAt, opener.expiresAt);
  }
  const guest = await data("POST", "members", { key: null, headers, body: { name: "Guest of a session", role: "viewer" } });
  assert.equal(guest.key.expiresAt, opener.expiresAt);
  await data("DELETE", member("Guest of a session"));
  // An issuer does not report users who have left.
  const bound = await session(alice.key);
  await database.sql(`INSERT INTO app.identities (issuer, subject, id, user_id) SELECT 'https://login.example.com', 'alice', gen_random_uuid(), id FROM users WHERE name = '${alice.user}';
    UPDATE app.oauth_grants SET by_key = NULL, by_identity = (SELECT id FROM app.identities WHERE subject = 'alice') WHERE id = (
      SELECT id FROM app.oauth_grants WHERE client_id = 'memory-bank-console' ORDER BY created_at DESC LIMIT 1)`);
  const made = await data("POST", "keys", { key: null, headers: bound, body: {} });
  const days = (Date.parse(made.expiresAt) - Date.parse(made.createdAt)) / 86_400_000;
  assert.ok(days > 89.9 && days < 90.1, `${days}`);
});

test("times that no database stores, long names and null characters are refused", async () => {
  const cursor = Buffer.from(JSON.stringify(["-009000-01-01T00:00:00Z", 5])).toString("base64url");
  await refused(await send("GET", `audit?cursor=${cursor}`), 404, /no such page/);
  for (const year of ["-009000", "-000001", "0000"]) {
    await refused(await send("GET", `history?since=${year}-01-01`), 400, /since/);
    await refused(await send("GET", `history?since=${year}-01-01T00:00:00Z`), 400, /since/);
    await refused(await send("GET", `graph/picture?asOf=${year}-01-01T00:00:00Z`), 400, /asOf/);
    await refused(await send("POST", "history/undo", { body: { by: "x", since: `${year}-01-01T00:00:00Z` } }), 400, /since/);
  }
  for (const by of ["x".repeat(100_000), "a\0b"]) {
    await refused(await send("POST", "history/undo", { body: { by, since: "2026-01-01" } }), 400, /at most 255 bytes/);
  }
  await refused(await send("POST", "keys", { body: { label: "a\0b" } }), 400, /null character/);
  await refused(await send("POST", "members", { body: { name: "Nina", role: "viewer", label: "a\0b" } }), 400, /null character/);
  await refused(await send("POST", "members", { body: { name: alice.user.toUpperCase(), role: "viewer" } }), 409, /letter case/);
  await refused(await send("POST", "members", { body: { name: "eve\u200b", role: "viewer" } }), 409, /invisible/);
});

test("a deadlock of the database is reported as busy, with the time to try again", async () => {
  await invite("Otto", "viewer");
  await database.sql(`CREATE FUNCTION public.fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$;
    CREATE TRIGGER fails BEFORE UPDATE ON memberships EXECUTE FUNCTION public.fails()`);
  try {
    const busy = await send("PATCH", member("Otto"), { body: { role: "editor" } });
    assert.equal(busy.headers.get("retry-after"), "2");
    await refused(busy, 503, /try again/);
  } finally {
    await database.sql("DROP TRIGGER fails ON memberships; DROP FUNCTION public.fails()");
  }
  await data("DELETE", member("Otto"));
});

test("what is refused below /api/v1 before a route is reached is a problem, too", async () => {
  await refused(await send("GET", "nothing"), 404, /not found/i);
  await refused(await send("GET", "members", { headers: { Origin: "https://elsewhere.example" } }), 403, /Origin not allowed/);
});

test("a session of the console administers as its user does, until it is revoked; its cookie alone changes nothing", async () => {
  const headers = await session(alice.key);
  const own = (await data("GET", "session", { key: null, headers })).rights;
  assert.deepEqual(own, ["read", "write", "admin"]);
  const made = await data("POST", "keys", { key: null, headers, body: { scopes: ["read"], label: "of the console" } });
  assert.equal((await send("GET", "documents", { key: made.key })).status, 200);
  const { Cookie } = headers;
  assert.equal((await send("POST", "keys", { key: null, headers: { Cookie }, body: { scopes: ["read"] } })).status, 401);
  const foreign = { ...headers, Origin: "https://elsewhere.example" };
  assert.ok([401, 403].includes((await send("POST", "keys", { key: null, headers: foreign, body: { scopes: ["read"] } })).status));
  const { grants } = await data("GET", "grants", { key: null, headers });
  const grant = grants.find(({ isOwn }) => isOwn);
  assert.equal(grant.client, "Web console");
  assert.equal(grant.user, alice.user);
  assert.deepEqual(await data("DELETE", `grant?id=${grant.id}`), { id: grant.id });
  assert.equal((await send("GET", "session", { key: null, headers })).status, 401);
  const revoked = (await data("GET", "audit")).rows.find(({ action, subject }) => action === "grant.revoked" && subject === grant.id);
  assert.equal(revoked.user, alice.user);
  await refused(await send("DELETE", `grant?id=${grant.id}`), 404, /no grant/);
  // The session of a reader has no more than the key.
  const reader = await session(made.key);
  assert.deepEqual((await data("GET", "session", { key: null, headers: reader })).rights, ["read"]);
  await refused(await send("GET", "members", { key: null, headers: reader }), 403, /scope `admin`/);
  const [other] = (await data("GET", "grants")).grants;
  await refused(await send("DELETE", `grant?id=${other.id}`, { key: bob.key }), 404, /no grant/);
});

test("the audit log has pages, and the address of a sign-in", async () => {
  const first = await data("GET", "audit?limit=2");
  assert.equal(first.rows.length, 2);
  const second = await data("GET", `audit?limit=2&cursor=${first.nextCursor}`);
  assert.ok(second.rows[0].id < first.rows[1].id);
  await refused(await send("GET", "audit?cursor=x"), 404, /no such page/);
  await session(alice.key);
  let rows;
  for (let tries = 0; tries < 60; tries += 1) {
    ({ rows } = await data("GET", "audit"));
    const grant = rows.find(({ action, detail }) => action === "grant.created" && detail.client === "Web console");
    if (rows.some(({ action, keyId, address }) => action === "key.used_from_new_address" && keyId === grant.subject && address === "127.0.0.1")) return;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  assert.fail(JSON.stringify(rows.slice(0, 5)));
});

test("an owner sees limits and the quota, and what needs attention", async () => {
  const health = await data("GET", "health");
  assert.equal(health.database, "ok");
  assert.equal(health.redis, "ok");
  assert.deepEqual(health.findings, []);
  assert.ok(health.usage.documents > 0);
  assert.ok(health.limits.documentBytes >= 1024 * 1024 && health.limits.auditDays > 0);
  await database.operate("projects", "set-quota", "--project", alice.slug, "--bytes", String(health.usage.total + 1));
  const full = await data("GET", "health");
  assert.equal(full.usage.quota, health.usage.total + 1);
  assert.match(full.findings.join(), /of its quota/);
  await database.operate("projects", "set-quota", "--project", alice.slug, "--default");
});

test("working sessions show who changed what", async () => {
  await withTools(server, alice.key, async (call) => {
    await call("write_memory_bank_file", { filename: "work/a.md", content: "# A\n" });
    await call("write_memory_bank_file", { filename: "work/b.md", content: "# B\n" });
    await call("graph_upsert_entity", { name: "Worked", entityType: "service" });
  });
  const [latest] = (await data("GET", "sessions")).sessions;
  assert.equal(latest.by, alice.user);
  assert.ok(latest.session.length > 10);
  assert.deepEqual(latest.documents, ["work/b.md", "work/a.md"]);
  assert.deepEqual(latest.entities, ["Worked"]);
  assert.equal(latest.changes, 3);
  assert.ok(!JSON.stringify(await data("GET", "sessions", { key: bob.key })).includes("work/"));
});

test("an application with a token of an owner administers nothing, neither for the server nor for the database", async () => {
  const token = `mbmcp_at_${"A1".repeat(16)}`;
  const of = `(SELECT id FROM projects WHERE slug = '${alice.slug}'), '00000000-0000-4000-8000-0000000000aa'`;
  const user = `(SELECT id FROM users WHERE name = '${alice.user}')`;
  await database.sql(`INSERT INTO app.oauth_grants (project_id, id, user_id, client_id, client_name, client_host, scopes, resource)
    VALUES (${of}, ${user}, 'an-application', 'Application', 'app.example', '{read,write,admin}', '${server.origin}/mcp');
    INSERT INTO api_keys (project_id, grant_id, user_id, key_hash, key_prefix, scopes, rate_limit, expires_at)
    VALUES (${of}, ${user}, sha256('${token}'), 'mbmcp_at_A1A', '{read,write,admin}', 0, now() + interval '1 hour')`);
  const as = { key: token };
  assert.deepEqual((await data("GET", "session", as)).rights, ["read", "write", "admin"]);
  for (const path of ["members", "keys", "grants", "audit", "health"]) await refused(await send("GET", path, as), 403, /token of OAuth cannot administer/);
  await refused(await send("POST", "members", { ...as, body: { name: "x", role: "owner" } }), 403, /token of OAuth/);
  await refused(await send("POST", "keys", { ...as, body: { scopes: ["read"] } }), 403, /token of OAuth/);
  // A session that the database knows as one of an application is refused there.
  const headers = await session(alice.key);
  await data("GET", "members", { key: null, headers });
  await database.sql(`UPDATE app.oauth_grants SET client_id = 'an-application' WHERE client_id = 'memory-bank-console'`);
  for (const [method, path, body] of [
    ["GET", "members"],
    ["GET", "keys"],
    ["GET", "grants"],
    ["GET", "audit"],
    ["POST", "members", { name: "x", role: "viewer" }],
    ["PATCH", member(alice.user), { role: "owner" }],
    ["DELETE", member(alice.user)],
    ["POST", "keys", { scopes: ["read"] }],
    ["DELETE", `key?id=${alice.id}`],
  ]) {
    await refused(await send(method, path, { key: null, headers, body }), 403, /may not do that/);
  }
});
