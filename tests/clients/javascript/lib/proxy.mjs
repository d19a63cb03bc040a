// nginx and HAProxy in front of two servers, each a process of its own in a folder of its own, with the very files of
// deploy/proxy/; only addresses are changed in them, and the time-out where a test cannot wait for it or what keeps connections. Knows nothing of MCP.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./http_server.mjs";

/** Where proxies listen. Connections begin elsewhere, so a port that is free here stays free. */
export const PROXY_HOST = "127.0.0.6";

const PROXIES = {
  nginx: {
    file: "nginx.conf",
    listen: "listen 80;",
    at: (address) => `listen ${address};`,
    idle: "proxy_read_timeout 150s;",
    kept: {
      "upstream memory_bank_mcp {": "upstream memory_bank_mcp {\n    keepalive 4;\n    keepalive_timeout 90s;",
      "proxy_set_header Connection close;": 'proxy_set_header Connection "";',
    },
    async command(folder, config) {
      const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
        (name) => `${name}_temp_path ${folder}/${name};`,
      );
      await writeFile(join(folder, "site.conf"), config);
      const main = [
        process.getuid() === 0 ? "user root;" : "",
        `worker_processes 1; daemon off; pid ${folder}/pid; error_log stderr warn;`,
        `events {} http { access_log off; ${temporary.join(" ")} include ${folder}/site.conf; }`,
      ];
      await writeFile(join(folder, "main.conf"), main.join("\n"));
      return ["nginx", "-e", "stderr", "-p", folder, "-c", join(folder, "main.conf")];
    },
  },
  haproxy: {
    file: "haproxy.cfg",
    listen: "bind :80",
    at: (address) => `bind ${address}`,
    idle: /timeout (client|server) 150s/g,
    kept: {
      "option http-server-close": "http-reuse always",
      "default-server check": "default-server pool-purge-delay 90s check",
    },
    async command(folder, config) {
      await writeFile(join(folder, "haproxy.cfg"), config);
      return ["haproxy", "-db", "-f", join(folder, "haproxy.cfg")];
    },
  },
};

export const KINDS = Object.keys(PROXIES);

const running = new Set();
// nginx takes its workers along only when it may.
process.on("exit", () => running.forEach((child) => child.kill("SIGTERM")));

/** A port that is free at `host`. */
export async function freePort(host) {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, host, resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Whether a server accepts connections there. */
export function listens(host, port) {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once("connect", () => resolve(true) ?? socket.destroy());
    socket.once("error", () => resolve(false));
  });
}

/** The file of deploy/proxy/ with these addresses; each replaced text must occur in it. */
async function configured({ file, listen, at, idle, kept }, address, servers, { idleSeconds, keeps }) {
  let text = await readFile(new URL(`../../../../deploy/proxy/${file}`, import.meta.url), "utf8");
  const change = (from, to) => {
    const changed = text.replaceAll(from, to);
    assert.notEqual(changed, text, `${from} is not in ${file}`);
    text = changed;
  };
  change(listen, at(address));
  servers.forEach((server, n) => change(`10.0.0.1${n + 1}:3100`, new URL(server.origin).host));
  if (idleSeconds !== undefined) change(idle, (found) => found.replace("150s", `${idleSeconds}s`));
  if (keeps) for (const [from, to] of Object.entries(kept)) change(from, to);
  return text;
}

/**
 * A proxy in front of two servers, until the test ends; gives its origin. `idleSeconds` is its time-out, and with `keeps`
 * it keeps connections to the servers for 90 s.
 */
export async function startProxy(t, kind, servers, options = {}) {
  const folder = await mkdtemp(join(tmpdir(), "memory-bank-proxy-"));
  const port = await freePort(PROXY_HOST);
  const config = await configured(PROXIES[kind], `${PROXY_HOST}:${port}`, servers, options);
  const [program, ...args] = await PROXIES[kind].command(folder, config);
  // Debian keeps both where only the administrator's PATH leads.
  const env = { PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
  const child = spawn(program, args, { env, stdio: ["ignore", "ignore", "pipe"] });
  running.add(child);
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (errors += text));
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  t.after(async () => {
    child.kill("SIGTERM");
    await ended;
    running.delete(child);
    await rm(folder, { recursive: true });
  });
  await until(async () => {
    assert.equal(child.exitCode, null, `${program} ended: ${errors}`);
    return listens(PROXY_HOST, port);
  }, program);
  return `http://${PROXY_HOST}:${port}`;
}
