// Project folders for tests: empty, fresh, or a copy of a folder that the TypeScript server wrote.

import { cp, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Server } from "./server.mjs";

const FIXTURES = fileURLToPath(new URL("../../../fixtures/", import.meta.url));

export const CORE_FILES = [
  "product-context.md",
  "active-context.md",
  "progress.md",
  "decision-log.md",
  "system-patterns.md",
];

/** A folder that goes away with the test `t`. */
export async function emptyFolder(t) {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "memory-bank-")));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  return folder;
}

/** A copy of a fixture, with the paths in its `stores.json` put right. */
export async function copyOf(fixture, t) {
  const folder = await emptyFolder(t);
  const project = join(folder, "shop");
  await cp(join(FIXTURES, fixture), project, { recursive: true });
  const registry = join(project, "stores.json");
  const text = await readFile(registry, "utf8").catch(() => undefined);
  if (text !== undefined) {
    await mkdir(join(folder, "handbook"));
    await writeFile(registry, text.replaceAll("/home/alice/", `${folder}/`));
  }
  return project;
}

/** A server on the copy of a fixture; it is ended, if the test did not, when the test ends. */
export async function serverOn(project, t, args = [], options = {}) {
  const server = await Server.start(project, args, options);
  t.after(() => server.kill());
  return server;
}

/** A server on a new, initialised bank. */
export async function freshBank(t, args = [], options = {}) {
  const project = await emptyFolder(t);
  const server = await serverOn(project, t, args, options);
  await server.ok("initialize_memory_bank", { path: project });
  return { server, project, bank: join(project, "memory-bank") };
}

export const read = (...path) => readFile(join(...path), "utf8");
export const write = (path, text) => writeFile(path, text);
