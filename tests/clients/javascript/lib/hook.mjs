// The binary as an agent's hook: it reads the event from standard input and writes the answer to standard output.

import { spawn } from "node:child_process";
import { access, mkdir, readdir, utimes } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { execFile } from "node:child_process";
import { emptyFolder, serverOn, write } from "./project.mjs";
import { BINARY } from "./server.mjs";

const run = promisify(execFile);

/** An agent's machine: a project in a repository, and a home of its own. */
export class Machine {
  static async start(t, { git = true } = {}) {
    const machine = new Machine();
    machine.root = await emptyFolder(t);
    machine.project = join(machine.root, "project");
    machine.state = join(machine.root, "state");
    await mkdir(machine.project);
    if (git) {
      await machine.git("init", "-q", "-b", "main");
      await machine.git("commit", "-q", "--allow-empty", "-m", "begin");
    }
    return machine;
  }

  git(...args) {
    const own = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"];
    return run("git", [...own, ...args], { cwd: this.project, env: { PATH: process.env.PATH, HOME: this.root } });
  }

  /** Sends an event; the answer is in `answer`, or undefined. A debug build on a busy machine has more time than an agent gives. */
  async hook(event, input, { args = [], env = {}, raw, cwd = this.project } = {}) {
    const child = spawn(BINARY, ["hook", event, ...args], {
      cwd,
      stdio: "pipe",
      env: {
        PATH: process.env.PATH,
        HOME: this.root,
        MEMORY_BANK_STATE_DIR: this.state,
        MEMORY_BANK_HOOK_TIMEOUT_MS: "10000",
        ...env,
      },
    });
    const got = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"]) {
      child[name].setEncoding("utf8").on("data", (text) => (got[name] += text));
    }
    child.stdin.on("error", () => {});
    child.stdin.end(raw ?? JSON.stringify({ hook_event_name: event, cwd: this.project, session_id: "s1", ...input }));
    got.code = await new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", resolve);
    });
    got.answer = got.stdout.trim() === "" ? undefined : JSON.parse(got.stdout);
    got.context =
      got.answer?.hookSpecificOutput?.additionalContext ?? got.answer?.additional_context ?? got.answer?.additionalContext;
    return got;
  }
}

/** Where the records of sessions are in a project. */
export const RECORDS = "memory-bank/session-records.md";

/** A text that looks like a secret. */
export const KEY = ["AKIA", "IOSFODNN7EXAMPLE"].join("");

export const exists = (path) =>
  access(path).then(
    () => true,
    () => false,
  );

/** A machine whose project has a bank with some content. */
export async function withBank(t, options) {
  const machine = await Machine.start(t, options);
  const server = await serverOn(machine.project, t, [], { env: { MEMORY_BANK_STATE_DIR: machine.state } });
  await server.ok("initialize_memory_bank", { path: machine.project });
  await server.ok("update_active_context", { tasks: ["finish the refunds"], nextSteps: ["deploy to staging"] });
  await server.ok("log_decision", {
    title: "Round invoices half-even",
    context: "The ledger of the bank rounds so.",
    decision: "Invoices are rounded half-even in the ledger module.",
  });
  await server.ok("track_progress", { action: "Webhooks", description: "webhook retries use exponential backoff" });
  machine.server = server;
  // Existing files are older than the session, at any resolution of the disk's clock.
  const bank = join(machine.project, "memory-bank");
  const old = new Date(Date.now() - 60_000);
  for (const name of await readdir(bank)) await utimes(join(bank, name), old, old);
  return machine;
}

/** A commit of one file. */
export const work = async (machine, name = "src.rs", subject = "add refunds") => {
  await write(join(machine.project, name), "x");
  await machine.git("add", name);
  await machine.git("commit", "-q", "-m", subject);
};
