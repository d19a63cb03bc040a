// A stub of three model services: it answers every request with "done", and records the requests.

import { createServer } from "node:http";

const events = (response, list) => {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  for (const [type, data] of list) response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
  response.end();
};

const usage = { input_tokens: 1, output_tokens: 1, total_tokens: 2 };

/** As Anthropic's service streams a message. */
const message = [
  [
    "message_start",
    { message: { id: "m", type: "message", role: "assistant", model: "m", content: [], stop_reason: null, usage } },
  ],
  ["content_block_start", { index: 0, content_block: { type: "text", text: "" } }],
  ["content_block_delta", { index: 0, delta: { type: "text_delta", text: "done" } }],
  ["content_block_stop", { index: 0 }],
  ["message_delta", { delta: { stop_reason: "end_turn" }, usage }],
  ["message_stop", {}],
];

/** As OpenAI's service streams a response. */
const responses = [
  ["response.created", { response: { id: "r" } }],
  [
    "response.output_item.done",
    {
      output_index: 0,
      item: { type: "message", role: "assistant", id: "m", content: [{ type: "output_text", text: "done" }] },
    },
  ],
  ["response.completed", { response: { id: "r", usage } }],
];

/** As Google's service answers. */
const candidates = {
  candidates: [{ content: { role: "model", parts: [{ text: "done" }] }, finishReason: "STOP", index: 0 }],
  usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 },
};

/** Starts the service for the time of the test `t`; `requests` has the bodies of all requests. */
export async function startModel(t) {
  const requests = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => (body += part));
    request.on("end", () => {
      requests.push(body);
      if (request.url.includes("/messages") && body.includes('"stream":true')) return events(response, message);
      if (request.url.includes("/responses")) return events(response, responses);
      if (request.url.includes("streamGenerateContent")) {
        response.writeHead(200, { "Content-Type": "text/event-stream" });
        return response.end(`data: ${JSON.stringify(candidates)}\n\n`);
      }
      response.writeHead(200, { "Content-Type": "application/json" });
      response.end(JSON.stringify(request.url.includes("generateContent") ? candidates : {}));
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return { requests, url: `http://127.0.0.1:${server.address().port}` };
}
