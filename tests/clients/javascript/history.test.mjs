// The history of documents in a folder: versions, restore, the setting that turns it off, and read-only mode.

import assert from "node:assert/strict";
import test from "node:test";
import { emptyFolder, freshBank, serverOn } from "./lib/project.mjs";

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

test("HISTORY_RETENTION_DAYS=0 keeps no history, and a wrong value stops the start", async (t) => {
  const { server } = await freshBank(t, [], { env: { HISTORY_RETENTION_DAYS: "0" } });
  await server.ok("write_memory_bank_file", plan({ content: "one" }));
  assert.match((await server.tool("history", {})).text, /"versions":\[\]|no history/);
  await assert.rejects(serverOn(await emptyFolder(t), t, [], { env: { HISTORY_RETENTION_DAYS: "many" } }));
});
