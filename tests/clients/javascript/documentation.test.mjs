// The documentation: its links lead somewhere, the commands and flags that it names exist, and the transcript and the list of
// tools in the README are those of the binary.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import test from "node:test";
import { emptyFolder, freshBank } from "./lib/project.mjs";
import { BINARY, ENVIRONMENT } from "./lib/server.mjs";

const ROOT = resolve(import.meta.dirname, "../../..");
const PAGES = [".", "docs", "docs/decisions", "bench", "bench/results"]
  .flatMap((folder) => readdirSync(join(ROOT, folder)).map((name) => join(folder, name)))
  .filter((name) => name.endsWith(".md"));
const page = (name) => readFileSync(join(ROOT, name), "utf8");

/** A page without its code, where brackets are not links. */
const prose = (text) => text.replace(/^ *```.*?^ *```$/gms, "").replace(/`[^`\n]*`/g, "code");

/** The anchors of a page's headings, as GitHub makes them. */
function anchors(text) {
  const seen = new Map();
  return new Set(
    [...text.replace(/^ *```.*?^ *```$/gms, "").matchAll(/^#+ (.*)$/gm)].map(([, heading]) => {
      const slug = heading.toLowerCase().replace(/[^\p{L}\p{N}\p{M} _-]/gu, "").replaceAll(" ", "-");
      const count = seen.get(slug) ?? 0;
      seen.set(slug, count + 1);
      return count ? `${slug}-${count}` : slug;
    }),
  );
}

function brokenLinks(name, text) {
  return [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target).filter((target) => {
    if (/^(https?|mailto):/.test(target)) return false;
    const [path, anchor] = target.split("#");
    const file = path === "" ? join(ROOT, name) : join(ROOT, dirname(name), path);
    if (relative(ROOT, file).startsWith("..") || !existsSync(file)) return true;
    return anchor !== undefined && !(statSync(file).isFile() && anchors(readFileSync(file, "utf8")).has(anchor));
  });
}

test("every link of the documentation leads to a file, and to a heading of it", () => {
  assert.ok(PAGES.length > 40, `${PAGES.length} pages`);
  assert.deepEqual(brokenLinks("README.md", "[a](docs/none.md) [b](README.md#none) [c](https://example.com)"), ["docs/none.md", "README.md#none"]);
  const broken = PAGES.flatMap((name) => brokenLinks(name, page(name)).map((target) => `${name}: ${target}`));
  assert.deepEqual(broken, []);
});

const helps = new Map();

/** The help of a command, by its words; undefined if there is no such command. */
function help(words) {
  const key = words.join(" ");
  if (!helps.has(key)) {
    const found = words.length === 0 || (help(words.slice(0, -1)) ?? "").includes(`\n  ${words.at(-1)} `);
    helps.set(key, found ? execFileSync(BINARY, [...words, "--help"], { encoding: "utf8", env: ENVIRONMENT }) : undefined);
  }
  return helps.get(key);
}

/** The code of a page, by lines: blocks, indented lines and spans. */
const code = (text) => [
  ...[...text.matchAll(/^```\w*\n(.*?)^```$/gms)].flatMap(([, block]) => block.split("\n")),
  ...text.split("\n").filter((line) => line.startsWith("    ")),
  ...[...text.matchAll(/`([^`\n]+)`/g)].map(([, span]) => span),
];

/** The words that follow the name of the program, up to the end of the command; `-p` of cargo names the package. */
const calls = (text) =>
  code(text)
    .flatMap((line) => [...line.matchAll(/(?:^|(?<!-p)\s)(?:@diazstg\/)?memory-bank-mcp((?: [^\s|&;#<>]+)+)/g)])
    .map(([, rest]) => rest.trim().split(" "));

/** The error in a call: an unknown command, or a flag that its help lacks. */
function fault(words) {
  const command = [];
  const isCommand = (word) => /^[a-z][a-z-]*$/.test(word) && (command.length === 0 || /\n {2}help /.test(help(command)));
  while (words.length > 0 && isCommand(words[0])) {
    const next = [...command, words[0]];
    if (help(next) === undefined) return `no command \`${next.join(" ")}\``;
    command.push(words.shift());
  }
  const flag = words.map((word) => word.match(/^\[?(--[a-z][a-z-]*)/)?.[1]).find((one) => one && !help(command).includes(one));
  return flag && `\`${command.join(" ")}\` has no flag \`${flag}\``;
}

test("the commands and flags that the documentation names exist", () => {
  assert.match(fault(["serv"]), /no command/);
  assert.match(fault(["keys", "creat"]), /no command/);
  assert.match(fault(["setup", "--writ"]), /no flag/);
  assert.equal(fault(["setup", "--client", "zed", "--yes"]), undefined);
  let count = 0;
  const faults = PAGES.filter((name) => !name.startsWith("docs/decisions/")).flatMap((name) =>
    calls(page(name)).map((words) => {
      count += 1;
      const found = fault(words);
      return found && `${name}: ${found}`;
    }));
  assert.deepEqual(faults.filter(Boolean), []);
  assert.ok(count > 60, `${count} calls`);
});

test("the README lists the tools that a client gets", async (t) => {
  const { server } = await freshBank(t);
  const { tools } = await server.request("tools/list");
  const section = page("README.md").match(/^## Tools\n(.*?)\n\n`--tools/ms)[1];
  const named = [...section.matchAll(/`([a-z_]+)`/g)].map(([, name]) => name);
  assert.deepEqual(named.sort(), tools.map((tool) => tool.name).sort());
});

test("the tools answer as in the transcript of the README", async (t) => {
  const { server } = await freshBank(t);
  const lines = page("README.md").match(/^```text\n(.*?)^```$/ms)[1].trimEnd().split("\n");
  assert.equal(lines.length, 6);
  let reply;
  for (const line of lines) {
    const [, who, text] = line.match(/^(?:\w{3})? +(you|assistant|memory) +(.*)$/);
    const call = text.match(/^([a-z_]+) (\{.*\})$/);
    if (who === "assistant" && call) {
      reply = (await server.ok(call[1], JSON.parse(call[2]))).text;
    } else if (who === "memory") {
      // Omissions are marked; the remaining text is in the reply, in this order.
      let from = 0;
      for (const part of text.split("…").map((one) => one.trim()).filter(Boolean)) {
        const at = reply.indexOf(part, from);
        assert.notEqual(at, -1, `\`${part}\` in ${reply}`);
        from = at + part.length;
      }
      if (!text.includes("…")) assert.equal(reply, text);
      reply = undefined;
    }
  }
});
