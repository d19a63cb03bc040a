// Workers of the console: files of their own, as the policy of the page demands.

import markdownFile from "./markdown/worker?worker&url";
import layoutFile from "./picture/layout_worker?worker&url";

interface Policy {
  createScriptURL(file: string): string;
}

declare global {
  interface Window {
    trustedTypes?: { createPolicy(name: string, rules: Policy): Policy };
  }
}

const FILES = { layout: layoutFile, markdown: markdownFile };

/** Where a browser asks for it, the address of a script is trusted if it is one of these files. */
const policy = window.trustedTypes?.createPolicy("memory-bank-workers", {
  createScriptURL(file) {
    if (!Object.values(FILES).includes(file)) throw new TypeError("no worker of the console");
    return file;
  },
});

export function startWorker(name: keyof typeof FILES): Worker {
  const file = FILES[name];
  return new Worker(policy?.createScriptURL(file) ?? file, { type: "module" });
}
