// `setup` on files as careless people and programs leave them: it writes into each and takes its entry out again, or it changes
// nothing and names the reason; whatever else a file has stays as it is, byte for byte.

import assert from "node:assert/strict";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import test from "node:test";
import * as machines from "./lib/setup.mjs";

/** The file of each client with JSON, and the member of its servers. */
const JSON_FILES = {
  "claude-code": [".claude.json", "mcpServers"],
  "claude-desktop": [".config/Claude/claude_desktop_config.json", "mcpServers"],
  cursor: [".cursor/mcp.json", "mcpServers"],
  vscode: ["shop/.vscode/mcp.json", "servers"],
  cline: [`${machines.GLOBAL}/saoudrizwan.claude-dev/settings/cline_mcp_settings.json`, "mcpServers"],
  roo: [`${machines.GLOBAL}/rooveterinaryinc.roo-cline/settings/mcp_settings.json`, "mcpServers"],
  windsurf: [".codeium/windsurf/mcp_config.json", "mcpServers"],
  gemini: [".gemini/settings.json", "mcpServers"],
  copilot: [".copilot/mcp-config.json", "mcpServers"],
  opencode: [".config/opencode/opencode.json", "mcp"],
  zed: [".config/zed/settings.json", "context_servers"],
};
const TOML_FILES = { codex: [".codex/config.toml", "mcp_servers"] };

const other = '{"command": "x", "args": ["a"]}';

/** Texts that get the entry; `S` is the member of servers. The marks of `x` are changed by another program in between. */
const JSON_TEXTS = {
  "only a byte order mark": "\uFEFF",
  "only blanks": "  \r\n\r\n",
  "only comments": "// mine\n/* too */",
  "a byte order mark and line ends of Windows": `\uFEFF{\r\n\t"a": 1,\r\n\t"S": {\r\n\t\t"o": ${other}\r\n\t}\r\n}\r\n`,
  "mixed line ends": `{\r\n  "a": 1,\n  "S": {\n    "o": ${other}\r\n  }\n}\r\n`,
  "line ends of old Macs": `{\r  "a": 1,\r  "S": {\r    "o": ${other}\r  }\r}\r`,
  "comments and trailing commas": `// top\n{\n  // mine\n  "S": {\n    "o": ${other}, // o\n    /* "p": {}, */\n  }, // end\n} // tail`,
  "no line end": `{"S":{"o":${other}}}`,
  "members without an order of lines": `{ "a": 1\n, "S": { "o": ${other}\n , "p": ${other} }\n}`,
  "brackets on lines of their own": `{\n\t"S":\n\t{\n\t\t"o":\n\t\t${other}\n\t}\n}`,
  "doubled members elsewhere": `{\n  "a": 1,\n  "a": 2,\n  "S": {\n    "o": ${other},\n    "o": ${other}\n  }\n}\n`,
  "a name with escapes": `{"\\u0053": 1, "${"S"}": {"\\u006f": ${other}}}`,
  "half of an emoji": `{\n  "history": ["cut \\ud83d", "\\ude00"],\n  "S": {\n    "o": ${other}\n  }\n}\n`,
  "numbers that no program can hold": `{\n  "n": [1234567890123456789.50e400, -0, 1E5],\n  "S": {\n    "o": ${other}\n  }\n}\n`,
  "blanks that are none in JSON": `{"t": "\u2028\t", "S": {"o": ${other}}}\u00a0`,
  "names of prototypes": `{\n  "__proto__": {"constructor": 1},\n  "": 0,\n  "S": {\n    "": ${other}\n  }\n}\n`,
  "many levels": `{"deep": ${"[".repeat(300)}${"]".repeat(300)}, "S": {"o": ${other}}}`,
};

/** Texts that stay as they are, with the reason. */
const JSON_REFUSED = {
  "another outermost value": ["[]", /is not an object/],
  null: ["null\n", /is not an object/],
  "servers in a list": ['{"S": []}', /`S` is not an object/],
  "no servers": ['{"S": null}', /`S` is not an object/],
  "servers twice": ['{"S": {}, "S": {"a": 1}}', /`S` occurs 2 times/],
  "our name twice": [`{"S": {"memory-bank": ${other}, "memory-bank": ${other}}}`, /`memory-bank` occurs 2 times/],
  "our name for another server": [`{"S": {"memory-bank": ${other}}}`, /has an entry `memory-bank` that starts `x a`.*--replace/],
  "our name for nothing": ['{"S": {"memory-bank": null}}', /has an entry `memory-bank`/],
  "two values": ["{}{}", /not valid JSON/],
  "a missing comma": ['{"a": 1 "b": 2}', /not valid JSON/],
  "JSON 5": ["{a: 1, 'b': 2}", /not valid JSON/],
  "marks of a merge": ["<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> b\n", /not valid JSON/],
  "text behind a zero byte": ['{"a": 1}\0', /not valid JSON/],
  "too many levels": [`{"a": ${"[".repeat(100_000)}`, /not valid JSON/],
  "another encoding": [Buffer.from("\uFEFF{}", "utf16le"), /cannot be read as text/],
};

const TOML_TEXTS = {
  "only a byte order mark": "\uFEFF",
  "no line end": "a = 'x'",
  "line ends of Windows": "\uFEFFa = 1\r\n[mcp_servers.o]\r\ncommand = 'x'\r\n",
  "an inline table of servers": 'mcp_servers = { o = { command = "x" } } # mine\n\n[t]\na = 1\n',
  "an inline table without servers": "mcp_servers = {}\n[t]\na = 'x'\n",
  "servers as inline tables": '[mcp_servers]\no = { command = "x" } # mine\n\n[z]\na = 1\n',
  "dotted keys": 'mcp_servers.o.command = "x"\n\n[z]\na = 1\n',
  "dotted keys in an inline table": "mcp_servers = {o.command='x',o.args=[]}\n",
  "a text that looks like our table": 'a = """\n[mcp_servers.memory-bank]\n"""\nb = "x"\n',
  "comments and blanks at the end": "[mcp_servers.o]\ncommand = 'x' # c\n# tail\n   \n\n\n",
  "tables without an order": "[mcp_servers.o.env]\nA = 'x'\n[z]\n[mcp_servers.o]\ncommand = 'x'\n",
};

const TOML_REFUSED = {
  "another type": ["mcp_servers = 1\n", /`mcp_servers` is not a table/],
  "a list of servers": ["[[mcp_servers]]\na = 1\n", /`mcp_servers` is not a table/],
  "a table twice": ["[mcp_servers.a]\ncommand = 'x'\n[mcp_servers.a]\n", /not valid TOML/],
  JSON: ['{"a": 1}', /not valid TOML/],
  "too many levels": [`a = ${"[".repeat(100_000)}`, /not valid TOML/],
  "another encoding": [Buffer.from("a = 'é'\n", "latin1"), /cannot be read as text/],
};

/** Texts in which our name is that of another server, and without it. */
const TOML_FOREIGN = {
  "a table": ['[mcp_servers.memory-bank]\ncommand = "x"\n\n[mcp_servers.memory-bank.env]\nA = "1"\n\n[z]\na = 1\n', "[z]\na = 1\n"],
  "a quoted name": ["[ mcp_servers . 'memory-bank' ] # c\ncommand = 'x'\n[z]\n", "[z]\n"],
  "an inline table": ['[mcp_servers]\nmemory-bank = { command = "x" } # c\no = 1\n', "[mcp_servers]\no = 1\n"],
  "an inline table in another": ['mcp_servers = { memory-bank = { command = "x" }, o = {} }\n', "mcp_servers = { o = {} }\n"],
  "dotted keys": ['a = 1\nmcp_servers.memory-bank.command = "x"\nmcp_servers.memory-bank.args = []\n[z]\n', "a = 1\n[z]\n"],
};

const newHome = async (t) => (await machines.newHome(t)).home;

async function setup(home, args) {
  const { code, stdout, stderr } = await machines.setup({ home, project: join(home, "shop") }, args);
  return { code, text: stdout + stderr };
}

const written = (text, section) => (typeof text === "string" ? Buffer.from(text.replaceAll('"S"', `"${section}"`)) : text);

/** Gives each file its text in this form; the text by the file. */
async function place(home, files, text) {
  const texts = new Map();
  for (const [name, section] of Object.values(files)) {
    const file = join(home, name);
    await mkdir(dirname(file), { recursive: true });
    texts.set(file, written(text, section));
    await writeFile(file, texts.get(file));
  }
  return texts;
}

const clients = (files) => Object.keys(files).flatMap((client) => ["--client", client]);

for (const [format, files, texts] of [["JSON", JSON_FILES, JSON_TEXTS], ["TOML", TOML_FILES, TOML_TEXTS]]) {
  for (const [form, text] of Object.entries(texts)) {
    test(`a file of each client with ${form} gets the entry and is restored (${format})`, async (t) => {
      const home = await newHome(t);
      const before = await place(home, files, text);
      const done = await setup(home, ["--yes", ...clients(files)]);
      assert.equal(done.code, 0, done.text);
      for (const [file, old] of before) {
        const now = await readFile(file);
        assert.match(now.toString(), /memory-bank/, file);
        assert.ok(now.length > old.length, file);
      }
      const removed = await setup(home, ["--remove", "--yes"]);
      assert.equal(removed.code, 0, removed.text);
      for (const [file, old] of before) {
        assert.deepEqual(await readFile(file), old, file);
      }
    });
  }
}

/** A text that another program writes with other values, at the same places. */
const changed = (buffer) => Buffer.from(buffer.toString().replaceAll(/(["'])x\1/g, "$1changed$1"));

for (const [format, files, texts] of [["JSON", JSON_FILES, JSON_TEXTS], ["TOML", TOML_FILES, TOML_TEXTS]]) {
  test(`files that another program changed after setup lose the entry and nothing else (${format})`, async (t) => {
    for (const [form, text] of Object.entries(texts)) {
      // Where the text has no value that can be changed, it has nothing to lose.
      if (!/["']x["']/.test(text)) continue;
      const home = await newHome(t);
      const before = await place(home, files, text);
      assert.equal((await setup(home, ["--yes", ...clients(files)])).code, 0, form);
      for (const file of before.keys()) {
        await writeFile(file, changed(await readFile(file)));
      }
      const removed = await setup(home, ["--remove", "--yes"]);
      assert.equal(removed.code, 0, removed.text);
      for (const [file, old] of before) {
        // Blanks of an empty table and a line end that was missing are known only as long as nothing is changed.
        const exact = (buffer) => buffer.toString().replace(/\{ *\}/, "{}").replace(/([^\n])$/, (end) => (files === TOML_FILES ? `${end}\n` : end));
        assert.equal(exact(await readFile(file)), exact(changed(old)), `${form}: ${file}`);
      }
    }
  });
}

for (const [format, files, texts] of [["JSON", JSON_FILES, JSON_REFUSED], ["TOML", TOML_FILES, TOML_REFUSED]]) {
  test(`files that cannot take the entry stay, with the reason (${format})`, async (t) => {
    for (const [form, [text, reason]] of Object.entries(texts)) {
      const home = await newHome(t);
      const before = await place(home, files, text);
      const { code, text: output } = await setup(home, ["--yes", ...clients(files)]);
      assert.equal(code, 1, `${form}: ${output}`);
      for (const [client, [name, section]] of Object.entries(files)) {
        const file = join(home, name);
        assert.deepEqual(await readFile(file), before.get(file), `${form}: ${client}`);
        const line = output.split("\n").find((candidate) => candidate.includes(`${name}: nothing was changed`));
        assert.match(line ?? output, new RegExp(reason.source.replace("`S`", `\`${section}\``)), `${form}: ${client}`);
      }
      assert.equal((await setup(home, ["--remove", "--yes"])).code, 0, form);
    }
  });
}

test("an entry of another server in TOML is replaced on request in each form, and given back or, without its copy, only ours removed", async (t) => {
  for (const [form, [text, without]] of Object.entries(TOML_FOREIGN)) {
    const home = await newHome(t);
    const [file] = (await place(home, TOML_FILES, text)).keys();
    const refused = await setup(home, ["--yes", "--client", "codex"]);
    assert.equal(refused.code, 1, form);
    assert.match(refused.text, /nothing was changed: it has an entry `memory-bank` that starts `x`.*--replace/, form);
    assert.equal(await readFile(file, "utf8"), text, form);
    const replace = async () => {
      const replaced = await setup(home, ["--yes", "--replace", "--client", "codex"]);
      assert.equal(replaced.code, 0, replaced.text);
    };
    const remove = async () => {
      assert.equal((await setup(home, ["--remove", "--yes"])).code, 0, form);
      return readFile(file, "utf8");
    };
    await replace();
    assert.equal(await remove(), text, form);
    await replace();
    await writeFile(file, `# another program was here\n${await readFile(file, "utf8")}`);
    const changed = await remove();
    assert.match(changed, /^# another program was here\n/, form);
    const again = await setup(home, ["--yes", "--client", "codex"]);
    assert.match(again.text, /it has an entry `memory-bank` that starts `x`/, `${form}: ${changed}`);
    await writeFile(file, text);
    await replace();
    await rm(join(home, ".local/state/memory-bank-mcp/replaced"), { recursive: true });
    assert.equal((await remove()).trim(), without.trim(), form);
  }
});
