// Runs `setup` in a home of its own, with the files of agents as people and programs write them.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { emptyFolder } from "./project.mjs";
import { BINARY } from "./server.mjs";

export const KEY = `mbmcp_live_${"k".repeat(32)}`;
export const OTHER_KEY = `mbmcp_live_${"q".repeat(32)}`;

/** A home with a project in it. */
export async function newHome(t) {
  const home = await emptyFolder(t);
  const project = join(home, "shop");
  await mkdir(project);
  return { home, project };
}

/** Runs the command; its standard input is not a terminal. */
export async function setup({ home, project }, args, { variables = {}, input = "", program = BINARY } = {}) {
  const running = promisify(execFile)(program, ["setup", ...args], {
    cwd: project,
    env: { HOME: home, PATH: "/usr/bin:/bin", ...variables },
  });
  // A command that ends with an error does not read its input.
  running.child.stdin.on("error", (error) => assert.equal(error.code, "EPIPE"));
  running.child.stdin.end(input);
  const { code = 0, stdout, stderr } = await running.catch((failure) => failure);
  return { code, stdout, stderr };
}

export async function place(file, text, mode = 0o644) {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  await chmod(file, mode);
}

export const read = (file) => readFile(file, "utf8");
export const GLOBAL = ".config/Code/User/globalStorage";

/** The files of agents as people and programs write them. */
export const FILES = {
  "claude-code": [".claude.json", '{\n  "numStartups": 7,\n  "mcpServers": {},\n  "projects": {"/a": {"x": [1,  2]}}\n}'],
  "claude-desktop": [
    ".config/Claude/claude_desktop_config.json",
    '{"mcpServers":{"files":{"command":"npx","args":["-y","files"],"env":{"TOKEN":"secret-of-files"}}}}',
  ],
  cursor: [".cursor/mcp.json", '{\r\n\t"mcpServers": {\r\n\t\t"a": { "url": "https://a/mcp" }\r\n\t}\r\n}\r\n'],
  cline: [`${GLOBAL}/saoudrizwan.claude-dev/settings/cline_mcp_settings.json`, '{\n  "mcpServers": {\n  }\n}\n'],
  roo: [`${GLOBAL}/rooveterinaryinc.roo-cline/settings/mcp_settings.json`, ""],
  windsurf: [".codeium/windsurf/mcp_config.json", '\uFEFF{ "mcpServers": { "a": {"command": "a"} } }'],
  codex: [
    ".codex/config.toml",
    '# my settings\nmodel = "m"   # kept\n\n[mcp_servers.other]\ncommand = "x"\nargs = [\n  "a", # one\n]\n\n[projects."/a"]\ntrust_level = "trusted"\n# the end',
  ],
  gemini: [".gemini/settings.json", '{\n    "security": {\n        "auth": {}\n    }\n}\n'],
  copilot: [".copilot/mcp-config.json", '{"mcpServers": {}}\n'],
  opencode: [".config/opencode/opencode.jsonc", '{\n  // models\n  "model": "m", /* mine */\n}\n'],
  zed: [".config/zed/settings.json", '// Zed settings\n//\n{\n  "theme": "One Dark",\n  // last\n}\n'],
};

/** A home with all of them. */
export async function fullHome(t) {
  const place_ = await newHome(t);
  for (const [name, text] of Object.values(FILES)) {
    await place(join(place_.home, name), text);
  }
  return place_;
}
