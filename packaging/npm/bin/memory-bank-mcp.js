#!/usr/bin/env node
// Starts the program that the package of this system brings. Standard input and output, signals and the exit code are the
// program's own. Nothing is downloaded, and nothing runs at installation.
"use strict";

const { spawn } = require("node:child_process");

const PACKAGES = {
  "darwin arm64": "@diazstg/memory-bank-mcp-darwin-arm64",
  "darwin x64": "@diazstg/memory-bank-mcp-darwin-x64",
  "linux arm64": "@diazstg/memory-bank-mcp-linux-arm64",
  "linux x64": "@diazstg/memory-bank-mcp-linux-x64",
  "win32 x64": "@diazstg/memory-bank-mcp-win32-x64",
};
const REPOSITORY = "https://github.com/diaz3618/memory-bank-mcp";

function fail(text) {
  process.stderr.write(`memory-bank-mcp: ${text}\n`);
  process.exit(1);
}

function program() {
  const system = `${process.platform} ${process.arch}`;
  // A 64-bit Windows on ARM runs programs for x64.
  const name = PACKAGES[system] ?? (system === "win32 arm64" ? PACKAGES["win32 x64"] : undefined);
  if (name === undefined) {
    fail(`there is no build for ${system}; build it from its source, see ${REPOSITORY}`);
  }
  try {
    return require.resolve(`${name}/bin/memory-bank-mcp${process.platform === "win32" ? ".exe" : ""}`);
  } catch {
    return fail(
      `the package \`${name}\` is missing, which holds the program for ${system}. It is an optional dependency: install ` +
        "again without `--omit=optional` or `--no-optional`, and on this system, not with a `node_modules` from another one",
    );
  }
}

const child = spawn(program(), process.argv.slice(2), { stdio: "inherit", windowsHide: true });
const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGBREAK"];
for (const signal of signals) {
  try {
    process.on(signal, () => child.kill(signal));
  } catch {
    // Not every system has each of them.
  }
}
child.on("error", (error) => fail(`the program cannot be started: ${error.message}`));
child.on("exit", (code, signal) => {
  if (signal === null) {
    process.exit(code);
  }
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
