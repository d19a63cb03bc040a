// The official TypeScript SDK, version 1, over stdio.

import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { ResourceUpdatedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { sentOnce } from "./lib/every_tool.mjs";
import { copyOf, read, write } from "./lib/project.mjs";
import { BINARY, ENVIRONMENT } from "./lib/server.mjs";

async function connected(t) {
  const project = await copyOf("original-project", t);
  const client = new Client({ name: "test", version: "1.0.0" });
  const transport = new StdioClientTransport({ command: BINARY, cwd: project, env: ENVIRONMENT, stderr: "ignore" });
  await client.connect(transport);
  t.after(() => client.close());
  return { client, project, bank: join(project, "memory-bank") };
}

test("the SDK connects, and knows the server, its version and instructions", async (t) => {
  const { client } = await connected(t);
  assert.match(client.getServerVersion().version, /^\d+\.\d+\.\d+/);
  assert.match(client.getInstructions(), /memory/i);
  await client.ping();
});

test("the SDK lists and calls tools, and accepts every structured reply", async (t) => {
  const { client, bank } = await connected(t);
  const { tools } = await client.listTools();
  assert.equal(tools.length, 42);
  // After listTools, the SDK checks structured replies against the tools' output schemas.
  for (const [name, args] of [
    ["get_memory_bank_status", {}],
    ["get_context_bundle", {}],
    ["get_context_digest", {}],
    ["read_memory_bank_file", { filename: "progress.md" }],
    ["search_memory_bank", { query: "webhook" }],
    ["graph_search", { query: "checkout" }],
    ["graph_open_nodes", { nodes: ["Checkout Service"] }],
    ["get_targeted_context", { query: "pick-up slot" }],
    ["list_stores", {}],
  ]) {
    const result = await client.callTool({ name, arguments: args });
    assert.notEqual(result.isError, true, `${name}: ${result.content[0].text}`);
    sentOnce(result, name);
  }
  await client.callTool({ name: "track_progress", arguments: { action: "Did", description: "it" } });
  assert.match(await read(bank, "progress.md"), /- Did: it\n/);
});

test("a failed tool and wrong arguments are results, an unknown tool throws with its code", async (t) => {
  const { client } = await connected(t);
  const result = await client.callTool({ name: "read_memory_bank_file", arguments: { filename: "missing.md" } });
  assert.equal(result.isError, true);
  const missing = await client.callTool({ name: "read_memory_bank_file", arguments: {} });
  assert.equal(missing.isError, true);
  assert.match(missing.content[0].text, /`filename` is required/);
  await assert.rejects(client.callTool({ name: "no_such_tool", arguments: {} }), { code: -32602, message: /Unknown tool/ });
});

test("the SDK lists and reads resources, and is notified of a change by an editor", async (t) => {
  const { client, bank } = await connected(t);
  const { resources } = await client.listResources();
  assert.equal(resources[0].uri, "memory-bank://product-context");
  const { resourceTemplates } = await client.listResourceTemplates();
  assert.equal(resourceTemplates.length, 1);
  const heard = new Promise((resolve) => {
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => resolve(params.uri));
  });
  await client.subscribeResource({ uri: "memory-bank://payments" });
  await write(join(bank, "payments.md"), "# Changed outside\n");
  assert.equal(await heard, "memory-bank://payments");
  const { contents } = await client.readResource({ uri: "memory-bank://payments" });
  assert.equal(contents[0].text, "# Changed outside\n");
});

test("the SDK gets every prompt, filled with the state of the bank", async (t) => {
  const { client } = await connected(t);
  const { prompts } = await client.listPrompts();
  assert.equal(prompts.length, 5);
  let text = "";
  const known = { mode: "code", entity: "Checkout Service" };
  for (const { name, arguments: declared = [] } of prompts) {
    const args = Object.fromEntries(declared.map((argument) => [argument.name, known[argument.name] ?? "Use a queue"]));
    const { messages } = await client.getPrompt({ name, arguments: args });
    assert.ok(messages.length > 0, name);
    text += JSON.stringify(messages);
  }
  assert.ok(text.includes("Write the runbook for the payment provider's outage"), "next steps appear");
  await assert.rejects(client.getPrompt({ name: "no-such-prompt" }), { code: -32602 });
});

test("the SDK completes modes and names of entities for the prompts that take one", async (t) => {
  const { client } = await connected(t);
  const { prompts } = await client.listPrompts();
  const complete = async (argument, value) => {
    const { name } = prompts.find((prompt) => prompt.arguments?.some((declared) => declared.name === argument));
    const { completion } = await client.complete({ ref: { type: "ref/prompt", name }, argument: { name: argument, value } });
    return completion.values;
  };
  assert.deepEqual(await complete("mode", "a"), ["architect", "ask"]);
  assert.deepEqual(await complete("entity", "check"), ["Checkout Service"]);
});

test("the SDK completes document names from the template", async (t) => {
  const { client } = await connected(t);
  const { resourceTemplates } = await client.listResourceTemplates();
  const [{ uriTemplate }] = resourceTemplates;
  const [, name] = uriTemplate.match(/\{\+?(\w+)\}/);
  const { completion } = await client.complete({
    ref: { type: "ref/resource", uri: uriTemplate },
    argument: { name, value: "pay" },
  });
  assert.deepEqual(completion.values, ["payments"]);
});
