// The AI SDK: its MCP client lists every tool, and models of Google and of OpenAI get each with its parameters.

import assert from "node:assert/strict";
import test from "node:test";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createMCPClient } from "@ai-sdk/mcp";
import { Experimental_StdioMCPTransport as StdioMCPTransport } from "@ai-sdk/mcp/mcp-stdio";
import { createOpenAI } from "@ai-sdk/openai";
import { asSchema, generateText } from "ai";
import { z } from "zod";
import { emptyFolder, serverOn } from "./lib/project.mjs";
import { BINARY, ENVIRONMENT } from "./lib/server.mjs";

async function connected(t) {
  const cwd = await emptyFolder(t);
  const transport = new StdioMCPTransport({ command: BINARY, cwd, env: ENVIRONMENT, stderr: "ignore" });
  const client = await createMCPClient({ transport });
  t.after(() => client.close());
  const server = await serverOn(cwd, t);
  const { tools: listed } = await server.request("tools/list");
  return { client, tools: await client.tools(), listed };
}

/** The request that a model gets with these tools; it answers with a text. */
async function sent(make, tools, answer) {
  let body;
  const fetch = async (_, request) => {
    body = JSON.parse(request.body);
    return Response.json(answer);
  };
  const { warnings } = await generateText({ model: make(fetch), tools, prompt: "hello" });
  return { body, warnings };
}

test("the client lists every tool with its schema, and calls one", async (t) => {
  const { tools, listed } = await connected(t);
  assert.deepEqual(Object.keys(tools).sort(), listed.map(({ name }) => name).sort());
  for (const { name, inputSchema } of listed) {
    const { jsonSchema } = asSchema(tools[name].inputSchema);
    assert.deepEqual(jsonSchema.properties, inputSchema.properties, name);
    assert.deepEqual(jsonSchema.required, inputSchema.required, name);
  }
  const options = { toolCallId: "1", messages: [] };
  const made = await tools.initialize_memory_bank.execute({ path: "." }, options);
  assert.match(made.content[0].text, /^Memory Bank initialized at /);
  const refused = await tools.read_memory_bank_file.execute({}, options);
  assert.equal(refused.isError, true);
  assert.match(refused.content[0].text, /`filename` is required/);
});

test("zod reads every schema and accepts the tool's own arguments", async (t) => {
  const { listed } = await connected(t);
  for (const { name, inputSchema } of listed) {
    const schema = z.fromJSONSchema(inputSchema);
    const values = { string: "x", boolean: true, integer: 1, array: [], object: undefined };
    const given = Object.fromEntries(
      Object.entries(inputSchema.properties)
        .filter(([, { type }]) => type !== "object")
        .map(([key, { type, enum: words, minimum }]) => [key, words?.[0] ?? minimum ?? values[type]]),
    );
    assert.deepEqual(schema.parse(given), given, name);
  }
});

test("a model of Google is sent every tool, each with typed parameters", async (t) => {
  const { tools, listed } = await connected(t);
  const make = (fetch) => createGoogleGenerativeAI({ apiKey: "none", fetch })("gemini-2.5-flash");
  const answer = { candidates: [{ content: { role: "model", parts: [{ text: "hi" }] }, finishReason: "STOP" }] };
  const { body, warnings } = await sent(make, tools, answer);
  assert.deepEqual(warnings ?? [], []);
  const declared = body.tools.flatMap(({ functionDeclarations }) => functionDeclarations);
  assert.deepEqual(declared.map(({ name }) => name).sort(), listed.map(({ name }) => name).sort());
  for (const { name, parameters, parametersJsonSchema } of declared) {
    const { properties } = parameters ?? parametersJsonSchema;
    const { inputSchema } = listed.find((tool) => tool.name === name);
    assert.deepEqual(Object.keys(properties), Object.keys(inputSchema.properties), name);
    for (const [field, { type }] of Object.entries(properties)) assert.ok(type, `${name}.${field}`);
  }
});

test("a model of OpenAI is sent every tool", async (t) => {
  const { tools, listed } = await connected(t);
  const make = (fetch) => createOpenAI({ apiKey: "none", fetch }).chat("gpt-5-mini");
  const answer = {
    id: "1", created: 1, model: "m", object: "chat.completion",
    choices: [{ index: 0, message: { role: "assistant", content: "hi" }, finish_reason: "stop" }],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  };
  const { body } = await sent(make, tools, answer);
  const functions = body.tools.map((tool) => tool.function);
  assert.deepEqual(functions.map(({ name }) => name).sort(), listed.map(({ name }) => name).sort());
  for (const { name, parameters } of functions) {
    const { inputSchema } = listed.find((tool) => tool.name === name);
    assert.deepEqual(parameters.properties, inputSchema.properties, name);
  }
});
