// The calls of the VS Code extension: handshake 2024-11-05, one JSON message per line, and text of tools parsed as JSON
// where possible.

import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { copyOf, CORE_FILES, emptyFolder, read, serverOn } from "./lib/project.mjs";
import { Server } from "./lib/server.mjs";

class Extension {
  constructor(server) {
    this.server = server;
  }

  static async on(project, t, args = []) {
    const server = new Server(project, args);
    t.after(() => server.kill());
    const handshake = await server.request("initialize", {
      protocolVersion: "2024-11-05",
      capabilities: {},
      clientInfo: { name: "memory-bank-vscode", version: "2.0.0" },
    });
    assert.equal(handshake.protocolVersion, "2024-11-05");
    server.notify("notifications/initialized", {});
    return new Extension(server);
  }

  async call(name, args = {}) {
    const result = await this.server.request("tools/call", { name, arguments: args });
    const { text } = result.content[0];
    if (result.isError) throw new Error(text);
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }
}

const extension = async (t, fixture = "original-project") => {
  const project = await copyOf(fixture, t);
  return { client: await Extension.on(project, t), project, bank: join(project, "memory-bank") };
};

test("status tree", async (t) => {
  const { client, bank } = await extension(t);
  const status = await client.call("get_memory_bank_status");
  assert.equal(status.isComplete, true);
  assert.equal(status.path, bank);
  assert.equal(status.language, "en");
  assert.deepEqual(status.missingCoreFiles, []);
  assert.deepEqual(status.coreFilesPresent, CORE_FILES);
  assert.ok(status.files.includes("payments.md") && status.files.includes("graph"));
  assert.equal(new Date(status.lastUpdated).toISOString(), status.lastUpdated);
});

test("status, files and graph trees without a bank get the expected errors", async (t) => {
  const client = await Extension.on(await emptyFolder(t), t);
  await assert.rejects(client.call("get_memory_bank_status"), /Memory Bank not found/);
  await assert.rejects(client.call("list_memory_bank_files"), /Memory Bank not found/);
  await assert.rejects(client.call("graph_search", { query: "*", limit: 50 }), /not initialized/);
  assert.match(await client.call("switch_mode"), /^Current mode:\s*(\w+)\nMemory Bank status: INACTIVE/);
});

test("initialise button, twice, with the bank folder's own path as well", async (t) => {
  const project = await emptyFolder(t);
  const client = await Extension.on(project, t);
  const line = `Memory Bank initialized at ${join(project, "memory-bank")}`;
  assert.equal(await client.call("initialize_memory_bank", { path: project }), line);
  assert.equal(await client.call("initialize_memory_bank", { path: project }), line);
  assert.equal(await client.call("initialize_memory_bank", { path: join(project, "memory-bank") }), line);
  assert.equal((await client.call("get_memory_bank_status")).isComplete, true);
});

test("a failed initialisation is an error, and the bank in use stays", async (t) => {
  const { client, project, bank } = await extension(t);
  await assert.rejects(client.call("initialize_memory_bank", { path: join(project, "stores.json") }), /initializ/i);
  assert.equal((await client.call("get_memory_bank_status")).path, bank);
});

test("files tree", async (t) => {
  const { client } = await extension(t);
  const [first, ...names] = (await client.call("list_memory_bank_files")).split("\n");
  assert.match(first, /files in memory bank/i);
  const files = names.filter((name) => name.includes("."));
  for (const name of [...CORE_FILES, "payments.md", "api-endpoints.json", "größe & maße.md"]) {
    assert.ok(files.includes(name), name);
  }
  assert.deepEqual(names, [...names].sort());
});

test("mode tree and mode switch; the next start honours what was written to mcp.json", async (t) => {
  const { client, project } = await extension(t);
  assert.match(await client.call("switch_mode"), /^Current mode:\s*(code)$/m);
  for (const mode of ["architect", "ask", "debug", "test", "code"]) {
    assert.equal(await client.call("switch_mode", { mode }), `Successfully switched to mode ${mode}.`);
    const next = await Extension.on(project, t, ["--mode", mode]);
    assert.match(await next.call("switch_mode"), new RegExp(`^Current mode:\\s*${mode}$`, "m"));
  }
  await assert.rejects(client.call("switch_mode", { mode: "Coding" }), /Coding/);
});

test("read and write a file", async (t) => {
  const { client, bank } = await extension(t);
  const reply = await client.call("read_memory_bank_file", { filename: "payments.md" });
  assert.equal(reply.content, await read(bank, "payments.md"));
  assert.equal(reply.filename, "payments.md");
  assert.match(reply.etag, /^[0-9a-f]{16}$/);
  await client.call("write_memory_bank_file", { filename: "payments.md", content: "" });
  assert.equal(await read(bank, "payments.md"), "");
});

test("progress, decision without a rationale, context", async (t) => {
  const { client, bank } = await extension(t);
  await client.call("track_progress", { action: "other", description: "Wrote the runbook" });
  assert.match(await read(bank, "progress.md"), /- other: Wrote the runbook\n/);
  await client.call("log_decision", { title: "Ship on Mondays", context: "", decision: "Never on Fridays" });
  assert.match(await read(bank, "decision-log.md"), /\n## Ship on Mondays\n/);
  for (const [field, heading] of [["tasks", "Ongoing Tasks"], ["issues", "Known Issues"], ["nextSteps", "Next Steps"]]) {
    await client.call("update_active_context", { [field]: [`only ${field}`] });
    assert.match(await read(bank, "active-context.md"), new RegExp(`## ${heading}\n\n?- only ${field}\n`));
  }
});

test("graph tree", async (t) => {
  const { client } = await extension(t);
  const { entities, relations } = await client.call("graph_search", { query: "*", limit: 50 });
  assert.equal(entities.length, 6);
  const checkout = entities.find((entity) => entity.name === "Checkout Service");
  assert.match(checkout.id, /^ent_/);
  assert.equal(checkout.entityType, "service");
  assert.ok(checkout.observations.every(({ text, timestamp }) => text && timestamp));
  assert.equal(checkout.observations.length, 2);
  assert.ok(relations.some((r) => r.from === "Checkout Service" && r.to === "Order Database" && r.relationType === "writes-to"));
});

test("graph webview: counts, names on the edges of opened nodes", async (t) => {
  const { client } = await extension(t);
  const all = await client.call("graph_search", { query: "*", limit: 500 });
  const checkout = all.entities.find((entity) => entity.name === "Checkout Service");
  assert.deepEqual([checkout.observationCount, checkout.relationCount], [2, 2]);
  assert.ok((await client.call("graph_search", { query: "order", limit: 200 })).entities.length >= 1);
  const opened = await client.call("graph_open_nodes", { nodes: ["Checkout Service"] });
  const names = new Set(opened.entities.map((entity) => entity.name));
  assert.ok(opened.relations.length >= 2);
  for (const { from, to } of opened.relations) assert.ok(names.has(from) && names.has(to), `${from} - ${to}`);
});

test("graph edit: entities are named by their name", async (t) => {
  const { client } = await extension(t);
  await client.call("graph_upsert_entity", { name: "Courier", entityType: "role" });
  await client.call("graph_add_observation", { entity: "Courier", text: "Starts at five", source: "phone call" });
  await client.call("graph_link_entities", { from: "Courier", to: "Checkout Service", relationType: "waits-for" });
  await client.call("graph_delete_entity", { entity: "Courier" });
  assert.equal((await client.call("graph_search", { query: "Courier", limit: 1 })).entities.length, 0);
});

test("delete one observation", async (t) => {
  const { client } = await extension(t);
  await client.call("graph_delete_entity", { observationId: "obs_B2ttSzKE_blm" });
  await assert.rejects(client.call("graph_delete_entity", { observationId: "obs_B2ttSzKE_blm" }), /not found/i);
});

test("rename: the exact name ranks first, with all its observations", async (t) => {
  const { client } = await extension(t);
  await client.call("graph_upsert_entity", { name: "Order", entityType: "thing" });
  for (let n = 0; n < 8; n += 1) {
    await client.call("graph_add_observation", { entity: "Order", text: `fact ${n}` });
  }
  const { entities } = await client.call("graph_search", { query: "Order", limit: 1 });
  assert.deepEqual(entities.map((entity) => entity.name), ["Order"]);
  assert.equal(entities[0].observations.length, 8);
});

test("compact and rebuild", async (t) => {
  const { client, bank } = await extension(t);
  const compacted = await client.call("graph_maintain", { operation: "compact" });
  assert.deepEqual([compacted.success, compacted.operation], [true, "compact"]);
  assert.ok((await read(bank, "graph", "graph.jsonl")).includes('"future_event"'), "unknown events are kept");
  const { stats } = await client.call("graph_maintain", { operation: "rebuild" });
  assert.deepEqual([stats.entityCount, stats.observationCount, stats.relationCount], [6, 7, 2]);
});

test("digest preview", async (t) => {
  const { client } = await extension(t);
  // The tokens of the folder's random name must not decide whether the last decision fits.
  const { digest } = await client.call("get_context_digest", { maxTokens: 900 });
  assert.deepEqual(digest.currentContext.nextSteps[0], "Write the runbook for the payment provider's outage");
  assert.ok(digest.currentContext.tasks.includes("Move the slot calculation into packages/domain"));
  assert.ok(digest.recentProgress.some((line) => line.startsWith("- [2026-11-21 16:05:41]")), digest.recentProgress);
  assert.ok(digest.recentProgress.some((line) => line.includes("Branches can close single pick-up slots")));
  assert.ok(digest.recentDecisions.every(({ title }) => title !== "# Decision Log"));
  const titles = digest.recentDecisions.map(({ title }) => title.replace(/^1\. /, ""));
  assert.equal(titles[0], "Keep one database for shop and back office", "newest by date first");
  assert.ok(titles.includes("Lock slots optimistically"), titles);
  assert.match(digest.graphSummary, /Checkout Service/);
});

test("stores tree and selection", async (t) => {
  const { client, project } = await extension(t);
  const first = await client.call("list_stores");
  assert.deepEqual(first.stores.map(({ id, path, isActive }) => [id, path, isActive]), [
    ["shop", project, true],
    ["handbook", join(project, "..", "handbook"), false],
  ]);
  const { kind, hasGraph, fileCount, lastUsedAt } = first.stores[0];
  assert.deepEqual([kind, hasGraph], ["local", true]);
  assert.ok(fileCount >= 8 && Date.parse(lastUsedAt) > 0);
  const other = await emptyFolder(t);
  await client.call("initialize_memory_bank", { path: other });
  const { stores } = await client.call("list_stores");
  assert.deepEqual(stores.filter((store) => store.isActive).map((store) => store.path), [other]);
  await client.call("select_store", { path: project });
  assert.equal((await client.call("get_memory_bank_status")).path, join(project, "memory-bank"));
});

test("resources", async (t) => {
  const { client, bank } = await extension(t);
  const { resources } = await client.server.request("resources/list");
  assert.deepEqual(
    resources.slice(0, 5).map(({ uri, name, mimeType }) => [uri, name, mimeType]),
    CORE_FILES.map((file) => [
      `memory-bank://${file.replace(".md", "")}`,
      file.replace(".md", "").split("-").map((word) => word[0].toUpperCase() + word.slice(1)).join(" "),
      "text/markdown",
    ]),
  );
  for (const { uri } of resources.slice(0, 5)) {
    const { contents } = await client.server.request("resources/read", { uri });
    assert.equal(contents[0].uri, uri);
    assert.equal(contents[0].text, await read(bank, `${uri.replace("memory-bank://", "")}.md`));
  }
});
