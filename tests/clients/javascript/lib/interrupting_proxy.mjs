// A TCP proxy whose connections a test can cut, and that notes some headers of the requests.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/**
 * A proxy to the address in `url`; notes the `Last-Event-ID` and the `MCP-Protocol-Version` of each request that passes, and
 * the revisions that handshakes ask for.
 */
export async function interruptingProxy(t, url) {
  const { hostname, port, pathname } = new URL(url);
  const open = new Set();
  const [resumed, revisions, asked] = [[], [], []];
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const [socket, other] of [[client, upstream], [upstream, client]]) {
      open.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        open.delete(socket);
        other.destroy();
      });
    }
    client.on("data", (chunk) => {
      const named = /^last-event-id: *(\S+)/im.exec(chunk.toString("latin1"));
      if (named) resumed.push(named[1]);
      const revision = /^mcp-protocol-version: *(\S+)/im.exec(chunk.toString("latin1"));
      if (revision) revisions.push(revision[1]);
      const handshake = /"protocolVersion": *"([^"]+)"/.exec(chunk.toString("latin1"));
      if (handshake) asked.push(handshake[1]);
    });
    client.pipe(upstream);
    upstream.pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = () => {
    for (const socket of open) socket.resetAndDestroy();
  };
  t.after(() => {
    server.close();
    cut();
  });
  const origin = `http://127.0.0.1:${server.address().port}`;
  return { origin, url: origin + pathname, cut, resumed, revisions, asked };
}
