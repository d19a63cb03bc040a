// Runs the protocol's own conformance suite against a server and evaluates its results.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { glob } from "node:fs/promises";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { emptyFolder, read } from "./project.mjs";

const SUITE = fileURLToPath(new URL("../../node_modules/@modelcontextprotocol/conformance/dist/index.js", import.meta.url));
const WITH_KEY = new URL("with_key.mjs", import.meta.url).href;

/** The checks of the suite, by scenario. `chosen` are its own arguments; only HTTP needs the key. */
export async function checked(t, { url, key, version, chosen }) {
  const output = await emptyFolder(t);
  const args = [SUITE, "server", "--url", url, "--spec-version", version, "-o", output, ...chosen];
  const keyed = key === undefined ? [] : ["--import", WITH_KEY];
  const options = { env: { ...process.env, MEMORY_BANK_KEY: key }, maxBuffer: 100 * 1024 * 1024 };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [...keyed, ...args], options).catch(
    (failure) => failure,
  );
  const scenarios = new Map();
  for await (const file of glob("**/checks.json", { cwd: output })) {
    const [, scenario] = file.split(sep).at(-2).match(/^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$/);
    scenarios.set(scenario, JSON.parse(await read(join(output, file))));
  }
  assert.ok(scenarios.size > 0, `the suite made no check: ${stdout}\n${stderr}`);
  return scenarios;
}

/** No check of a scenario may fail, except those of `waived`; warnings are printed. */
export function judge(t, checks, waived = []) {
  const counted = checks.filter(({ id }) => !waived.includes(id));
  for (const check of counted.filter(({ status }) => status === "WARNING")) {
    t.diagnostic(`note: ${t.name} warns: ${check.id}: ${check.errorMessage}`);
  }
  const described = (check) => `${check.id}: ${check.errorMessage} ${JSON.stringify(check.details ?? {}).slice(0, 1500)}`;
  assert.deepEqual(counted.filter(({ status }) => status === "FAILURE").map(described), []);
  assert.ok(counted.some(({ status }) => status === "SUCCESS"));
}
