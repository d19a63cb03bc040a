// The binary as an agent's hook: it reads the event from standard input and writes the answer to standard output.

import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { execFile } from "node:child_process";
import { emptyFolder } from "./project.mjs";
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
