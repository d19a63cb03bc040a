// Lets a client that speaks HTTP only reach the binary on stdio: each JSON-RPC message is passed on
// as it is, in both directions. A handshake opens a session with a process of its own; requests of
// 2026-07-28, which know no session, share one process. Adds nothing, answers nothing itself.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { once } from "node:events";
import { Server } from "./server.mjs";

export async function httpBridge(project, t) {
  const sessions = new Map();
  const open = (id) => {
    sessions.set(id, new Server(project));
    return sessions.get(id);
  };

  const http = createServer(async (request, response) => {
    const session = request.headers["mcp-session-id"];
    if (request.method === "DELETE") {
      await sessions.get(session)?.kill();
      sessions.delete(session);
      return response.writeHead(200).end();
    }
    if (request.method !== "POST") return response.writeHead(405).end();

    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const message = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    const headers = { "content-type": "application/json" };
    let id = session ?? "";
    if (message.method === "initialize") headers["mcp-session-id"] = id = randomUUID();
    const server = sessions.get(id) ?? open(id);

    if (message.id === undefined || message.method === undefined) {
      server.send(message);
      return response.writeHead(202).end();
    }
    // Clients of one process may use the same ids at the same time, so each gets one of its own.
    const own = `${randomUUID()}`;
    const reply = server.next((answer) => answer.id === own && answer.method === undefined);
    server.send({ ...message, id: own });
    response.writeHead(200, headers).end(JSON.stringify({ ...(await reply), id: message.id }));
  });

  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  t.after(async () => {
    http.closeAllConnections();
    http.close();
    for (const server of sessions.values()) await server.kill();
  });
  return `http://127.0.0.1:${http.address().port}/mcp`;
}
