// The binary as a child process, with newline-delimited JSON over stdio.
// Knows the transport and JSON-RPC; knows no tool.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const BINARY =
  process.env.MEMORY_BANK_MCP ??
  fileURLToPath(new URL("../../../../target/debug/memory-bank-mcp", import.meta.url));

/** The state folder of the servers of this process; never the host's home. */
export const STATE = mkdtempSync(join(tmpdir(), "memory-bank-state-"));
process.on("exit", () => rmSync(STATE, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));

/** The environment of a test's server: nothing of the host's configuration, and quiet logs. */
export const ENVIRONMENT = {
  PATH: process.env.PATH,
  HOME: "/dev/null/home",
  RUST_LOG: "warn",
  TZ: "Asia/Tokyo",
  MEMORY_BANK_STATE_DIR: STATE,
};

const REPLY_TIMEOUT = 20_000;

/** An error reply of JSON-RPC. */
export class ProtocolError extends Error {
  constructor({ code, message, data }) {
    super(`${code}: ${message}`);
    this.code = code;
    this.data = data;
  }
}

/** The reply of a tool. */
export class ToolReply {
  constructor(result) {
    this.result = result;
    this.isError = result.isError === true;
    this.structured = result.structuredContent;
    assert.equal(result.content?.length, 1, `one content block expected in ${JSON.stringify(result)}`);
    assert.equal(result.content[0].type, "text");
    this.text = result.content[0].text;
  }

  /** The text, parsed as JSON. */
  get json() {
    try {
      return JSON.parse(this.text);
    } catch {
      assert.fail(`the reply is not JSON: ${this.text}`);
    }
  }
}

export class Server {
  #nextId = 1;
  #waiting = new Map();
  #listeners = new Set();
  #rest = "";

  /** Starts the binary in `cwd`; no handshake is made. */
  constructor(cwd, args = [], { env = {}, command = BINARY } = {}) {
    this.child = spawn(command, args, { cwd, env: { ...ENVIRONMENT, ...env }, stdio: "pipe" });
    this.stderr = "";
    this.received = [];
    this.stray = [];
    this.exited = new Promise((resolve, reject) => {
      this.child.once("error", reject);
      this.child.once("close", (code, signal) => {
        for (const { reject: fail, what } of this.#waiting.values()) {
          fail(new Error(`the server ended (${code ?? signal}) before it answered ${what}\n${this.stderr}`));
        }
        this.#waiting.clear();
        resolve({ code, signal });
      });
    });
    this.exited.catch(() => {});
    this.child.stdin.on("error", () => {});
    this.child.stderr.setEncoding("utf8").on("data", (text) => (this.stderr += text));
    this.child.stdout.setEncoding("utf8").on("data", (text) => this.#read(text));
  }

  /** Starts the binary and makes the handshake. */
  static async start(cwd, args = [], options = {}) {
    const server = new Server(cwd, args, options);
    await server.initialize(options.version);
    return server;
  }

  async initialize(protocolVersion = "2025-11-25", capabilities = {}) {
    this.handshake = await this.request("initialize", {
      protocolVersion,
      capabilities,
      clientInfo: { name: "raw-client", version: "1.0.0" },
    });
    this.notify("notifications/initialized");
    return this.handshake;
  }

  #read(text) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop();
    for (const line of lines) {
      let message;
      try {
        message = JSON.parse(line);
      } catch {
        this.stray.push(line);
        continue;
      }
      if (message?.jsonrpc !== "2.0") this.stray.push(line);
      this.received.push(message);
      const waiting = message.method === undefined ? this.#waiting.get(message.id) : undefined;
      if (waiting) {
        this.#waiting.delete(message.id);
        if (message.error) waiting.reject(new ProtocolError(message.error));
        else waiting.resolve(message.result);
      }
      for (const listener of [...this.#listeners]) listener(message);
    }
  }

  /** Writes any text, and a line end. */
  sendLine(text) {
    this.child.stdin.write(`${text}\n`);
  }

  send(message) {
    this.sendLine(JSON.stringify({ jsonrpc: "2.0", ...message }));
  }

  notify(method, params) {
    this.send({ method, params });
  }

  /** Sends a request and gives its result; an error reply is thrown as `ProtocolError`. */
  request(method, params, { id = this.#nextId++, timeout = REPLY_TIMEOUT } = {}) {
    const what = `${method} ${JSON.stringify(params ?? {}).slice(0, 200)}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error(`no answer within ${timeout} ms to ${what}\n${this.stderr}`));
      }, timeout);
      this.#waiting.set(id, {
        what,
        resolve: (value) => (clearTimeout(timer), resolve(value)),
        reject: (error) => (clearTimeout(timer), reject(error)),
      });
      this.send({ id, method, params });
    });
  }

  /** The next message that `wanted` accepts, from now on. */
  next(wanted, timeout = 8_000) {
    return new Promise((resolve, reject) => {
      const listener = (message) => {
        if (!wanted(message)) return;
        clearTimeout(timer);
        this.#listeners.delete(listener);
        resolve(message);
      };
      const timer = setTimeout(() => {
        this.#listeners.delete(listener);
        reject(new Error(`nothing of the kind within ${timeout} ms; last: ${JSON.stringify(this.received.slice(-3))}`));
      }, timeout);
      this.#listeners.add(listener);
    });
  }

  /** Calls a tool; its failure is part of the reply, only a malformed call throws. */
  async tool(name, args = {}) {
    return new ToolReply(await this.request("tools/call", { name, arguments: args }));
  }

  /** Calls a tool that has to succeed. */
  async ok(name, args = {}) {
    const reply = await this.tool(name, args);
    assert.ok(!reply.isError, `${name} ${JSON.stringify(args).slice(0, 300)} failed: ${reply.text}`);
    return reply;
  }

  /** Calls a tool that has to fail with a tool error, and gives its text. */
  async fails(name, args = {}) {
    const reply = await this.tool(name, args);
    assert.ok(reply.isError, `${name} ${JSON.stringify(args).slice(0, 300)} should fail, but: ${reply.text}`);
    return reply.text;
  }

  /** Makes a request that has to be refused with this JSON-RPC error code. */
  async refuses(code, method, params) {
    const error = await this.request(method, params).then(
      (result) => assert.fail(`${method} should be refused, but: ${JSON.stringify(result).slice(0, 500)}`),
      (caught) => caught,
    );
    assert.ok(error instanceof ProtocolError, String(error));
    assert.equal(error.code, code, error.message);
    return error;
  }

  /** Ends the input and waits; asserts a clean end and that stdout carried nothing but protocol. */
  async close() {
    this.child.stdin.end();
    const end = await this.ended();
    assert.deepEqual(end, { code: 0, signal: null }, this.stderr);
    assert.deepEqual(this.stray, [], "stdout carries nothing but protocol");
  }

  /** Waits for the end of the process, however it comes; kills it after the timeout. */
  async ended(timeout = 10_000) {
    const timer = setTimeout(() => this.child.kill("SIGKILL"), timeout);
    const end = await this.exited;
    clearTimeout(timer);
    return end;
  }

  /** Ends the process at once, without a chance to finish anything. */
  async kill() {
    this.child.kill("SIGKILL");
    await this.exited;
  }
}
