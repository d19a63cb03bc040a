// Reporter for `node --test`: one line per failed test with its cause, and the counts at the end.

import { relative } from "node:path";

export default async function* report(events) {
  let passed = 0;
  let failed = 0;
  for await (const { type, data } of events) {
    if (type === "test:diagnostic" && data.message.startsWith("note: ")) {
      yield `${data.message}\n`;
    }
    if ((type !== "test:pass" && type !== "test:fail") || data.details?.type === "suite") continue;
    if (data.skip !== undefined) {
      yield `skipped: ${data.name} (${data.skip})\n`;
    } else if (type === "test:pass") {
      passed += 1;
      if (data.details.duration_ms > 5000) {
        yield `slow: ${data.name} (${Math.round(data.details.duration_ms)} ms)\n`;
      }
    } else {
      failed += 1;
      const cause = data.details?.error?.cause ?? data.details?.error;
      const where = data.file ? `${relative(process.cwd(), data.file)}:${data.line}` : "";
      yield `not ok: ${data.name}  ${where}\n    ${String(cause?.stack ?? cause).split("\n").slice(0, 14).join("\n    ")}\n`;
    }
  }
  yield `# pass ${passed}\n# fail ${failed}\n`;
}
