// Hooks on hostile input: repositories, events, surroundings. Whatever comes, a hook exits with 0, prints an answer of at most 500
// tokens or nothing, and ends within its time.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { chmod, mkdir, readdir, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { encode as encodeCl100k } from "gpt-tokenizer/encoding/cl100k_base";
import { encode } from "gpt-tokenizer/encoding/o200k_base";
import { promisify } from "node:util";
import { Machine } from "./lib/hook.mjs";
import { read, serverOn, write } from "./lib/project.mjs";
import { BINARY } from "./lib/server.mjs";

const run = promisify(execFile);
const EVENTS = ["SessionStart", "UserPromptSubmit", "PostToolUse", "PreCompact", "Stop", "SessionEnd"];
const RECORDS = "memory-bank/session-records.md";
/** The time of a hook here, and far more than a busy machine takes to start a program: a hook that hangs takes for ever. */
const TIMEOUT_MS = 300;
const START_MS = 60_000;

async function withBank(t) {
  const machine = await Machine.start(t);
  machine.server = await serverOn(machine.project, t, [], { env: { MEMORY_BANK_STATE_DIR: machine.state } });
  await machine.server.ok("initialize_memory_bank", { path: machine.project });
  await machine.server.ok("update_active_context", { tasks: ["finish the refunds"] });
  return machine;
}

/** Every event ends well: exit code 0, an answer in JSON or nothing, within the bounds of tokens. */
async function sendAll(machine, input = {}, options = {}) {
  const answers = [];
  for (const event of EVENTS) {
    const all = { source: "startup", prompt: "how are the refunds and the zebra handled?", tool_name: "Bash", ...input };
    const got = await machine.hook(event, all, options);
    assert.equal(got.code, 0, `${event}: ${got.stderr}`);
    // Four characters are a token at most in these texts.
    assert.ok((got.context ?? "").length < 2200, `${event}: ${got.context?.length}`);
    assert.doesNotMatch(got.stderr, /panicked|RUST_BACKTRACE/, event);
    answers.push(got);
  }
  return answers;
}

test("events of any shape are answered or ignored", async (t) => {
  const machine = await withBank(t);
  const deep = (open, close, depth) => `${open.repeat(depth)}${close.repeat(depth)}`;
  const raws = [
    "", " ", "null", "1", "[]", '"text"', "{", "{}", "{}{}", "\0", "\uFEFF{}", '{"a":1', "{'a':1}",
    deep("[", "]", 100_000),
    `{"prompt":${deep('{"a":', "}", 1).replace("}", `${deep("[", "]", 50_000)}}`)}}`,
    JSON.stringify({ session_id: 5, cwd: [], prompt: {}, source: 7, tool_name: null, hook_event_name: true }),
    JSON.stringify({ session_id: "x".repeat(100_000), cwd: "\0", prompt: "\u0000\u001b[2J" }),
    JSON.stringify({ session_id: "a\nb\u001b]0;x\u0007", cwd: "relative/../..", transcript_path: "/dev/zero" }),
    JSON.stringify({ cwd: "/proc/self/mem", session_id: "../../x" }),
    JSON.stringify({ cwd: join(machine.project, "a".repeat(5000)), session_id: "long" }),
    '{"session_id":"\\ud800","prompt":"\\udfff refunds"}',
    '{"prompt":"a","prompt":"b"}',
    Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]),
    Buffer.concat([Buffer.from('{"session_id":"s","prompt":"'), Buffer.from([0xc3, 0x28, 0xf0, 0x9f]), Buffer.from('"}')]),
  ];
  for (const raw of raws) {
    for (const event of ["SessionStart", "UserPromptSubmit", "Stop"]) {
      const got = await machine.hook(event, {}, { raw });
      assert.equal(got.code, 0, `${event} ${String(raw).slice(0, 60)}: ${got.stderr}`);
      assert.doesNotMatch(got.stderr, /panicked/, String(raw).slice(0, 60));
    }
  }
  const files = await readdir(join(machine.state, "hooks"));
  assert.ok(files.every((name) => /^[0-9a-f]{24}\.(json|lock|due)$/.test(name)), files.join());
});

test("an event of a hundred megabytes is not read to its end and costs little memory", async (t) => {
  const machine = await withBank(t);
  const child = spawn("/bin/sh", ["-c", `ulimit -v 3000000; exec "$0" hook UserPromptSubmit`, BINARY], {
    cwd: machine.project,
    env: { PATH: process.env.PATH, HOME: machine.root, MEMORY_BANK_STATE_DIR: machine.state, MEMORY_BANK_HOOK_TIMEOUT_MS: "10000" },
    stdio: "pipe",
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
  child.stdin.on("error", () => {});
  const part = Buffer.alloc(1024 * 1024, "x");
  child.stdin.write('{"prompt":"');
  for (let number = 0; number < 100; number += 1) child.stdin.write(part);
  child.stdin.end('"}');
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.equal(code, 0, stderr);
  assert.match(stderr, /more than 33554432 bytes/);
});

test("a prompt of many megabytes, and one of many words, are answered within the bounds", async (t) => {
  const machine = await withBank(t);
  for (const prompt of ["refunds ".repeat(400_000), "é".repeat(1_000_000), "```".repeat(300_000), "\n".repeat(2_000_000), '"'.repeat(500_000)]) {
    const got = await machine.hook("UserPromptSubmit", { prompt, session_id: "large" });
    assert.deepEqual([got.code, got.stderr], [0, ""]);
  }
});

test("a bank of pipes, links, folders, huge and broken files neither holds up nor fails", async (t) => {
  const machine = await Machine.start(t);
  const bank = join(machine.project, "memory-bank");
  await mkdir(join(bank, "graph"), { recursive: true });
  await mkdir(join(bank, ".mbmcp"), { recursive: true });
  for (const name of ["progress.md", "graph/graph.jsonl", "graph/graph.snapshot.json", ".mbmcp/lock", ".mbmcp/journal"]) {
    await run("mkfifo", [join(bank, name)]);
  }
  await symlink("/etc/passwd", join(bank, "product-context.md"));
  await symlink("/dev/zero", join(bank, "notes.md"));
  await symlink(".", join(bank, "loop"));
  await mkdir(join(bank, "decision-log.md"));
  await writeFile(join(bank, "active-context.md"), `# Active Context\n\n## Current Tasks\n- finish the refunds\n${"- zebra \n".repeat(100_000)}`);
  await writeFile(join(bank, "binary.md"), Buffer.alloc(1024 * 1024, 0xff));
  await writeFile(join(bank, "one-line.md"), "zebra ".repeat(1_000_000));
  await symlink("/etc/shadow", join(bank, "session-records.md"));
  for (const event of EVENTS) {
    const began = Date.now();
    const input = { source: "startup", prompt: "how are the refunds and the zebra handled?", tool_name: "x" };
    const got = await machine.hook(event, input, { env: { MEMORY_BANK_HOOK_TIMEOUT_MS: String(TIMEOUT_MS) } });
    assert.equal(got.code, 0, `${event}: ${got.stderr}`);
    assert.ok(Date.now() - began < TIMEOUT_MS + START_MS, `${event} took ${Date.now() - began} ms`);
    assert.doesNotMatch(got.stdout, /root:/, event);
    assert.doesNotMatch(got.stderr, /panicked/, event);
  }
});

test("a line of a hundred kilobytes neither silences a prompt nor shows a part of a secret", async (t) => {
  const machine = await withBank(t);
  const key = ["ghp_", "a1B2c3D4e5".repeat(4)].join("");
  const long = `- the gearbox backoff is exponential ${key} ${"filler ".repeat(20_000)}`;
  await write(join(machine.project, "memory-bank/notes.md"), `# Notes\n${long}\n${"y".repeat(200_000)}\n`);
  const got = await machine.hook("UserPromptSubmit", { prompt: "how is the gearbox backoff?" });
  assert.match(got.context, /gearbox backoff is exponential \[masked\]/);
  assert.doesNotMatch(got.context, /a1B2/);
});

test("a text in any script has at most 500 tokens", async (t) => {
  const machine = await withBank(t);
  const texts = [
    "결제 모듈의 환불 기능을 마치고 세션 저장소를 옮겼다",
    "완벽하게 쀍뛟뿳쮋 환불",
    "갈퐤틨맸챨묘뇸쿜랤 갈쐜뮨괬끠땤뾸먀룀",
    "霴鄀礀缀舀砀帀一琀汀簀幀玀帀鉀鬀鬸鴠蔀鼀挀錀罀耀鐀桀",
    "用户登录后会话保存在缓存中，部署时不会丢失，迁移脚本必须可以重复运行",
    "Исправлена утечка памяти при экспорте отчётов, следующий шаг: развёртывание",
    "להשלים את פונקציית ההחזר במודול התשלום ולהעביר את ההפעלות",
    "Төлем модулінің қайтару функциясын аяқтау және сессияларды көшіру",
    "Rückerstattungen werden kaufmännisch gerundet und vom Zahlungsdienst bestätigt",
    "Viimeistele maksumoduulin hyvitystoiminto ja siirrä istunnot ennen käyttöönottoa",
    "決済モジュールの返金機能を完成させる",
    "भुगतान मॉड्यूल की धनवापसी सुविधा पूरी करें",
    "ทำฟังก์ชันคืนเงินของโมดูลการชำระเงินให้เสร็จ",
    "أكمل وظيفة رد الأموال في وحدة الدفع",
    "Ολοκλήρωση της λειτουργίας επιστροφής χρημάτων",
    "የክፍያ ሞጁሉን የገንዘብ ተመላሽ ተግባር ያጠናቅቁ",
    "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ᎤᏙᎯᏳᎯ ᏣᎳᎩ",
    "Ｐａｙｍｅｎｔ ｍｏｄｕｌｅ ｉｓ ｄｏｎｅ",
    "👩‍👩‍👧‍👦🏳️‍🌈👍🏽🎉🚀✅❌🔥",
    "𐐀𐐁𐐂𐐃𐐄 𒀀𒀁𒀂 𓀀𓀁𓀂",
    "ꀀꀁꀂ ꀃꀄ ꔀꔁ ꯀꯁ ᥐᥑᥒ ᬅᬆ",
    "Завершить возврат средств в модуле оплаты",
    "השלימו את פונקציית ההחזר של מודול התשלומים",
    "பணம் திரும்பப் பெறும் செயல்பாட்டை முடிக்கவும்",
    "გადახდის მოდულის დაბრუნების ფუნქცია დაასრულეთ",
    "Ավարտել վճարման մոդուլի վերադարձի գործառույթը",
    "បញ្ចប់មុខងារសងប្រាក់នៃម៉ូឌុលទូទាត់",
    "ငွေပြန်အမ်းခြင်း လုပ်ဆောင်ချက်ကို ပြီးအောင်လုပ်ပါ",
    "གླ་རིན་ཕྱིར་སློག་བྱེད་ལས་མཇུག་བསྒྲིལ།",
    "ᠲᠥᠯᠪᠦᠷᠢ ᠪᠤᠴᠠᠭᠠᠬᠤ ᠠᠵᠢᠯ",
    "ᚠᚢᚦᚨᚱᚲ ᚷᚹᚺᚾᛁᛃ ᛈᛇᛉᛊ",
    "下一步计划：完成支付模块的退款功能",
    "Hoàn thành chức năng hoàn tiền của mô-đun thanh toán",
    "z\u0301\u0302\u0303a\u0308\u0323o\u0332\u0334 e\u0301\u0327",
    "\ue000\ue001\uf8ff \u{f0000}\u{10fffd}",
    "∑∫√≈≠≤≥ ∀x∈ℝ ⟨a|b⟩ ⊕⊗ ⢨⢩ ⦨⦩",
    "8374 9283 ".repeat(12),
    "1 2 3 44 555 6666 77777 ".repeat(4),
  ];
  for (const text of texts) {
    const many = (what) => Array.from({ length: 12 }, (_, number) => `${what} ${number} ${text.repeat(3)}`);
    await machine.server.ok("update_active_context", { tasks: many("a"), issues: many("b"), nextSteps: many("c") });
    const { context } = await machine.hook("SessionStart", { source: "startup", session_id: text });
    assert.ok(context.includes("Open tasks"), text);
    for (const tokens of [encode(context).length, encodeCl100k(context).length]) {
      assert.ok(tokens <= 500, `${tokens} tokens: ${text}`);
    }
  }
});

test("a document that is too long for the digest is named in place of it", async (t) => {
  const machine = await withBank(t);
  const text = `# Active Context\n\n## Ongoing Tasks\n\n${"- a task with several words in it\n".repeat(90_000)}`;
  await write(join(machine.project, "memory-bank/active-context.md"), text);
  const got = await machine.hook("SessionStart", { source: "startup" });
  assert.match(got.context, /active-context.md is left out: it has 3061 KB/);
});

test("a wrong option in front of the command is no refusal either", async (t) => {
  const machine = await withBank(t);
  for (const args of [["--nope"], ["--nope=1"], ["-Z"], ["--nope", "value"], ["--nope", "--path", machine.project], ["--path", machine.project, "--nope"]]) {
    const got = await run(BINARY, [...args, "hook", "Stop"], { env: { PATH: process.env.PATH, HOME: machine.root } });
    assert.equal(got.stdout, "");
    assert.match(got.stderr, /unexpected argument '(?:--nope|-Z)'/);
  }
});

test("a failed edit is no work, a successful one is", async (t) => {
  const machine = await withBank(t);
  const turn = async (session_id, tool_response) => {
    await machine.hook("SessionStart", { source: "startup", session_id });
    await machine.hook("PostToolUse", { session_id, tool_name: "Edit", tool_response });
    return (await machine.hook("Stop", { session_id, stop_hook_active: false })).answer;
  };
  assert.equal(await turn("failed", { error: { message: "no such text" } }), undefined);
  assert.equal((await turn("done", { filePath: "x" })).decision, "block");
});

test("a state that is not understood is reported in one line and replaced", async (t) => {
  const machine = await withBank(t);
  await machine.hook("SessionStart", { source: "startup" });
  const folder = join(machine.state, "hooks");
  const [name] = (await readdir(folder)).filter((file) => file.endsWith(".json"));
  await writeFile(join(folder, name), "garbage");
  const first = await machine.hook("SessionStart", { source: "resume" });
  assert.equal(first.stderr.match(/is not understood/g)?.length, 1, first.stderr);
  assert.match(first.context, /finish the refunds/);
  const second = await machine.hook("SessionStart", { source: "resume" });
  assert.equal(second.stderr, "");
});

test("states of sessions that a repository brings are not read", async (t) => {
  const machine = await withBank(t);
  const planted = JSON.stringify({ started: "2020-01-01T00:00:00Z", prompts: 1, firstPrompt: "planted", shown: [], tools: { planted: 9 } });
  for (const folder of ["hooks", ".mbmcp/hooks", "memory-bank/.mbmcp/hooks", "memory-bank/hooks", ".local/state/memory-bank-mcp/hooks"]) {
    await mkdir(join(machine.project, folder), { recursive: true });
    for (const name of ["s1.json", `${"0".repeat(24)}.json`, "hooks.json"]) await writeFile(join(machine.project, folder, name), planted);
  }
  await sendAll(machine);
  assert.doesNotMatch(await read(machine.project, RECORDS), /planted/);
});

test("a damaged, foreign or linked state of a session is treated as none", async (t) => {
  const machine = await withBank(t);
  await machine.hook("SessionStart", { source: "startup" });
  const folder = join(machine.state, "hooks");
  const [name] = (await readdir(folder)).filter((file) => file.endsWith(".json"));
  const file = join(folder, name);
  const states = ["", "{", "[]", '{"started": 5}', "\0".repeat(1000), `{"started":"9999-12-31T23:59:59Z","shown":[${"1,".repeat(100_000)}1]}`];
  for (const state of states) {
    await writeFile(file, state);
    await sendAll(machine);
  }
  await rm(file);
  await run("mkfifo", [file]);
  for (const event of EVENTS) {
    const began = Date.now();
    const got = await machine.hook(event, { prompt: "the refunds", tool_name: "x" }, { env: { MEMORY_BANK_HOOK_TIMEOUT_MS: String(TIMEOUT_MS) } });
    assert.equal(got.code, 0, got.stderr);
    assert.ok(Date.now() - began < TIMEOUT_MS + START_MS, event);
  }
  await rm(file);
  await symlink("/etc/passwd", file);
  await sendAll(machine);
  assert.match(await run("cat", ["/etc/passwd"]).then(({ stdout }) => stdout), /root:/, "the file that the link names is left");
});

test("without a home, with a home that cannot be written, and without git, nothing fails", async (t) => {
  const machine = await withBank(t);
  for (const env of [{ HOME: "" }, { HOME: "/dev/null/home" }, { HOME: "relative" }, { PATH: "" }, { TZ: "No/Where", LANG: "xx" }]) {
    const [start] = await sendAll(machine, { session_id: JSON.stringify(env) }, { env: { MEMORY_BANK_STATE_DIR: "", ...env } });
    assert.match(start.context ?? start.stderr, /finish the refunds/, JSON.stringify(env));
  }
  const readOnly = join(machine.root, "read-only");
  await mkdir(readOnly);
  await writeFile(join(readOnly, "file"), "");
  await chmod(readOnly, 0o500);
  // For root, a folder below a file is what cannot be made.
  for (const state of [join(readOnly, "state"), join(readOnly, "file", "state"), "/dev/null", "/proc/nothing"]) {
    const answers = await sendAll(machine, { session_id: state }, { env: { MEMORY_BANK_STATE_DIR: state } });
    assert.equal(answers[0].code, 0);
    assert.match(answers[0].context ?? answers[0].stderr, /finish the refunds/, state);
  }
  await chmod(readOnly, 0o700);
  // A folder that is gone while the agent works in it.
  const gone = join(machine.root, "gone");
  await mkdir(gone);
  const script = `cd "$1" && rmdir "$1" && exec "$0" hook SessionStart`;
  const child = spawn("/bin/sh", ["-c", script, BINARY, gone], { env: { HOME: machine.root, PATH: process.env.PATH }, stdio: "pipe" });
  child.stdin.end("{}");
  assert.equal(await new Promise((resolve) => child.on("close", resolve)), 0);
});

test("a clock that jumps neither records twice nor forgets the session", async (t) => {
  const machine = await withBank(t);
  await machine.hook("SessionStart", { source: "startup" });
  const folder = join(machine.state, "hooks");
  const [name] = (await readdir(folder)).filter((file) => file.endsWith(".json"));
  for (const started of ["2035-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "-009999-01-01T00:00:00Z"]) {
    const state = JSON.parse(await read(folder, name));
    await writeFile(join(folder, name), JSON.stringify({ ...state, started }));
    await sendAll(machine);
  }
  // Documents from the future.
  const future = new Date("2090-01-01");
  for (const file of await readdir(join(machine.project, "memory-bank"))) await utimes(join(machine.project, "memory-bank", file), future, future);
  await sendAll(machine);
  assert.equal((await read(machine.project, RECORDS)).match(/session `/g).length, 1);
});

test("names in a repository with line ends, escapes and marks stay on one line of the record", async (t) => {
  const machine = await withBank(t);
  await machine.hook("SessionStart", { source: "startup" });
  const names = ["a\nb.rs", "c\u001b[31m.rs", "`d`.rs", "e\u202ef.rs", "# g.rs", "<!-- h.rs", "x".repeat(250)];
  for (const name of names) await writeFile(join(machine.project, name), "x");
  await machine.git("add", "-A");
  await machine.git("commit", "-q", "-m", "subject\u001b[2J with `marks` <!-- and\u202e more");
  await machine.git("checkout", "-q", "-b", "br`anch<!--");
  await machine.hook("PostToolUse", { tool_name: "a`b\n## c\u001b" });
  const answers = await sendAll(machine);
  const text = await read(machine.project, RECORDS);
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u202e]/);
  assert.doesNotMatch(text, /<!-- (and|h)/);
  assert.equal(text.match(/session `/g).length, 1, text);
  const compacted = await machine.hook("SessionStart", { source: "compact" });
  // eslint-disable-next-line no-control-regex
  for (const { context } of [...answers, compacted]) assert.doesNotMatch(context ?? "", /[\u001b\u202e]/);
});

test("broken repositories are read as far as they can be", async (t) => {
  const machine = await withBank(t);
  const git = join(machine.project, ".git");
  const breaks = [
    () => writeFile(join(git, "HEAD"), "ref: ../../../../etc/passwd\n"),
    () => writeFile(join(git, "HEAD"), "x".repeat(5_000_000)),
    () => writeFile(join(git, "HEAD"), Buffer.alloc(64, 0xff)),
    () => rm(join(git, "HEAD")).then(() => run("mkfifo", [join(git, "HEAD")])),
    () => rm(join(git, "HEAD")).then(() => symlink("/dev/zero", join(git, "HEAD"))),
    () => writeFile(join(git, "index"), Buffer.concat([Buffer.from("DIRC\0\0\0\x02\xff\xff\xff\xff", "latin1"), Buffer.alloc(100)])),
    () => rm(git, { recursive: true }).then(() => writeFile(git, `gitdir: ${"../".repeat(50)}dev\n`)),
    () => writeFile(git, "gitdir: .git\n"),
  ];
  for (const [number, breakIt] of breaks.entries()) {
    await breakIt();
    for (const event of EVENTS) {
      const began = Date.now();
      const input = { source: "compact", prompt: "the refunds", tool_name: "x", session_id: `broken-${number}` };
      const got = await machine.hook(event, input, { env: { MEMORY_BANK_HOOK_TIMEOUT_MS: String(TIMEOUT_MS) } });
      assert.equal(got.code, 0, `${number} ${event}: ${got.stderr}`);
      assert.ok(Date.now() - began < TIMEOUT_MS + START_MS, `${number} ${event}`);
      assert.doesNotMatch(got.stdout + got.stderr, /root:|panicked/);
    }
  }
});
