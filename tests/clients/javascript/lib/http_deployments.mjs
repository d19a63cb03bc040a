// Where a client is tried over HTTP: servers of a database and of a folder, with replies as streams of events and as
// JSON. All servers of a database are replicas, so a notification may come from another one.

import { after } from "node:test";
import { Database, HttpServer } from "./http_server.mjs";
import { emptyFolder } from "./project.mjs";

const MODES = [
  ["events", "false"],
  ["JSON", "true"],
];

/** Opens the stages of a test file; they close when the file is done. */
export async function openStages() {
  const database = await Database.lent();
  after(() => database.giveBack());
  const stages = [];
  for (const [mode, MCP_JSON_RESPONSE] of MODES) {
    const server = await database.serve({ MCP_JSON_RESPONSE });
    stages.push({
      name: `database, ${mode}`,
      events: mode === "events",
      database,
      server,
      /** A project of its own for a test: where it is served, also by another replica, and its owner's key. */
      async project() {
        const { key } = await database.project();
        return { url: server.url, otherUrl: stages[mode === "events" ? 1 : 0].server.url, key, server };
      },
    });
  }
  for (const [mode, MCP_JSON_RESPONSE] of MODES) {
    stages.push({
      name: `folder, ${mode}`,
      events: mode === "events",
      async project(t) {
        const server = await HttpServer.start(await emptyFolder(t), { MCP_JSON_RESPONSE });
        t.after(() => server.stop("SIGKILL"));
        const { keys } = await (await server.fetch("/api/keys", server.key)).json();
        await server.unlimited({ id: keys[0].id, key: server.key });
        return { url: server.url, otherUrl: server.url, key: server.key, server };
      },
    });
  }
  return stages;
}
