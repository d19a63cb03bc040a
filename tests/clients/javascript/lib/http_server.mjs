// The binary as a server of HTTP: of a database (PostgreSQL and Redis are real, and lent for the time of a test file)
// or of a folder. Knows the environment, the addresses and the keys; knows nothing of MCP.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { BINARY, STATE } from "./server.mjs";

const LENDER =
  process.env.MEMORY_BANK_TEST_POSTGRES ??
  fileURLToPath(new URL("../../../../target/debug/memory-bank-test-postgres", import.meta.url));
const BASE = { PATH: process.env.PATH, HOME: "/dev/null/home", RUST_LOG: "warn", MEMORY_BANK_STATE_DIR: STATE };
const TIMEOUT = 60_000;

// A test file that is ended before its time leaves nothing running.
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
process.once("SIGTERM", () => process.exit(143));

/** The first line of a process's output that `wanted` makes something of. */
async function lineMatching(child, wanted) {
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT);
  for await (const line of createInterface({ input: child.stdout })) {
    const found = wanted(line);
    if (found !== undefined) {
      clearTimeout(timer);
      child.stdout.resume();
      return found;
    }
  }
  assert.fail(`${child.spawnfile} ended before it was ready: ${stderr}`);
}

/** Waits until `holds` gives true; fails after a generous while. */
export async function until(holds, what) {
  const end = Date.now() + 2 * TIMEOUT;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `${what} did not come`);
    await pause(50);
  }
}

/** A running server. */
export class HttpServer {
  /** Starts a server in `cwd` with these variables; its own key, if it shows one, is in `key`. */
  static async start(cwd, variables = {}) {
    const server = new HttpServer();
    const env = { ...BASE, MCP_HOST: "127.0.0.1", MCP_PORT: "0", RATE_LIMIT_IP_PER_MINUTE: "0", ...variables };
    server.child = spawn(BINARY, ["serve"], { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    running.add(server.child);
    server.child.once("close", () => running.delete(server.child));
    server.exited = new Promise((resolve) => server.child.once("close", (code, signal) => resolve({ code, signal })));
    server.url = await lineMatching(server.child, (line) => {
      server.key = line.match(/^API key \(shown this once\): (\S+)/)?.[1] ?? server.key;
      return line.match(/^Listening on (http:\S+)/)?.[1];
    });
    server.origin = new URL(server.url).origin;
    return server;
  }

  /** A request to one of the other routes, as `fetch` gives it. */
  fetch(path, key, { headers = {}, ...init } = {}) {
    const own = key === undefined ? {} : { "X-API-Key": key };
    return fetch(this.origin + path, { ...init, headers: { ...own, ...headers } });
  }

  /** Takes the limit off the key, so that tests may send any number of requests. */
  async unlimited({ id, key }) {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify({ rateLimit: 0 });
    const reply = await this.fetch(`/api/keys/${id}`, key, { method: "PATCH", headers, body });
    assert.equal(reply.status, 200, await reply.text());
  }

  async stop(signal = "SIGTERM") {
    this.child.kill(signal);
    return this.exited;
  }
}

/** A database and a Redis of a test file's own, with servers on them. */
export class Database {
  #lender;
  #servers = [];
  #projects = 0;

  static async lent() {
    const database = new Database();
    database.#lender = spawn(LENDER, { stdio: ["pipe", "pipe", "pipe"] });
    Object.assign(database, await lineMatching(database.#lender, JSON.parse));
    return database;
  }

  /** A server on the database; several of them are replicas of one. */
  async serve(variables = {}) {
    const server = await HttpServer.start("/", { DATABASE_URL: this.database, REDIS_URL: this.redis, ...variables });
    this.#servers.push(server);
    return server;
  }

  /** Runs one of the operator's commands. */
  async operate(...args) {
    const env = { ...BASE, DATABASE_URL: this.operator, REDIS_URL: this.redis };
    const { stdout } = await promisify(execFile)(BINARY, [...args, "--json"], { env });
    return JSON.parse(stdout);
  }

  /** A project of its own, and the key of its owner, without a rate limit. */
  async project() {
    this.#projects += 1;
    const name = `project-${this.#projects}`;
    const made = await this.operate("bootstrap", "--user", `owner-of-${name}`, "--project", name);
    await this.#servers[0].unlimited(made.key);
    return { slug: name, user: made.user.name, ...made.key };
  }

  /** Runs SQL as the owner of the tables; returns the output of psql. */
  async sql(text) {
    const { stdout } = await promisify(execFile)("psql", [this.operator, "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", text]);
    return stdout.trim();
  }

  /** Keeps everybody from the documents until the function that it returns is called. */
  async holdDocuments() {
    const psql = spawn("psql", [this.operator, "-XqAt", "-v", "ON_ERROR_STOP=1"], { stdio: ["pipe", "pipe", "pipe"] });
    psql.stdin.write("BEGIN; LOCK TABLE documents; SELECT 'held';\n");
    await lineMatching(psql, (line) => (line === "held" ? true : undefined));
    const closed = new Promise((resolve) => psql.once("close", resolve));
    return async () => {
      if (!psql.stdin.writableEnded) psql.stdin.end("COMMIT;\n");
      await closed;
    };
  }

  /** Waits until so many requests wait for the documents that are held. */
  async waitingForDocuments(count = 1) {
    const waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'documents'::regclass";
    await until(async () => Number(await this.sql(waiting)) >= count, "a request that waits for the documents");
  }

  async giveBack() {
    for (const server of this.#servers) await server.stop("SIGKILL");
    this.#lender.stdin.end();
    await new Promise((resolve) => this.#lender.once("close", resolve));
  }
}
