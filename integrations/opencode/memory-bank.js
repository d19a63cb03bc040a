// The hooks of memory-bank-mcp for opencode: put this file into `~/.config/opencode/plugins/`, or `.opencode/plugins/` of a project.
//
// opencode has no hooks that run a program, so this plugin does: it sends each event to `memory-bank-mcp hook` in the form of
// Claude Code's, and puts the answer where opencode takes it (https://opencode.ai/docs/plugins). It never fails and never waits
// for longer than the program does.

import { spawn } from "node:child_process";

const PROGRAM = process.env.MEMORY_BANK_MCP ?? "memory-bank-mcp";
const OPTIONS = [];
/** How long the program may take, in milliseconds. */
const TIMEOUT_MS = 2000;

/** The answer of the program; nothing if there is none. */
function runHook(event, input, directory) {
  return new Promise((resolve) => {
    let text = "";
    const done = () => {
      clearTimeout(timer);
      try {
        resolve(text.trim() === "" ? {} : JSON.parse(text));
      } catch {
        resolve({});
      }
    };
    const child = spawn(PROGRAM, ["hook", event, "--agent", "opencode", ...OPTIONS], { cwd: directory, stdio: ["pipe", "pipe", "ignore"] });
    const timer = setTimeout(() => child.kill(), TIMEOUT_MS);
    child.on("error", done);
    child.on("close", done);
    child.stdin.on("error", () => {});
    child.stdout.setEncoding("utf8").on("data", (part) => (text += part));
    child.stdin.end(JSON.stringify({ hook_event_name: event, cwd: directory, ...input }));
  });
}

const textOf = (parts) =>
  (parts ?? [])
    .filter((part) => part.type === "text" && !part.synthetic)
    .map((part) => part.text)
    .join("\n");

/** Adds a text that opencode shows to the model and not to the person; whether the prompt has a place for it. */
function addPart(output, sessionID, text) {
  const last = output.parts?.at(-1);
  const messageID = output.message?.id ?? last?.messageID;
  if (!text || !messageID || typeof last?.id !== "string") return false;
  // The parts of a message are in the order of their ids.
  output.parts.push({ id: `${last.id}m`, sessionID, messageID, type: "text", text, synthetic: true });
  return true;
}

export const MemoryBank = async ({ directory }) => {
  /** The texts for the system prompt, by session: the digest, and what could not be put beside a prompt. */
  const contexts = new Map();
  /** The sessions of subagents, with the sessions that they work for. */
  const parents = new Map();
  const begin = async (sessionID, source) => {
    const { context } = await runHook("SessionStart", { session_id: sessionID, source }, directory);
    contexts.set(sessionID, { ...contexts.get(sessionID), start: context, prompt: undefined });
  };
  return {
    "chat.message": async (input, output) => {
      if (parents.has(input.sessionID)) return;
      if (!contexts.has(input.sessionID)) await begin(input.sessionID, "startup");
      const answer = await runHook("UserPromptSubmit", { session_id: input.sessionID, prompt: textOf(output.parts) }, directory);
      const context = contexts.get(input.sessionID);
      const text = [answer.context, context.reminder].filter(Boolean).join("\n\n");
      context.reminder = undefined;
      // Beside the prompt it stays in the conversation; in the system prompt it is there for one turn.
      context.prompt = addPart(output, input.sessionID, text) ? undefined : text;
    },
    "experimental.chat.system.transform": async (input, output) => {
      const context = contexts.get(input.sessionID);
      for (const text of [context?.start, context?.prompt]) {
        if (text) output.system.push(text);
      }
    },
    "tool.execute.after": async (input) => {
      const session_id = parents.get(input.sessionID) ?? input.sessionID;
      await runHook("PostToolUse", { session_id, tool_name: input.tool }, directory);
    },
    "experimental.session.compacting": async (input, output) => {
      const { reminder } = await runHook("PreCompact", { session_id: input.sessionID }, directory);
      if (reminder) output.context.push(reminder);
    },
    event: async ({ event }) => {
      const sessionID = event.properties?.sessionID ?? event.properties?.info?.id;
      const parentID = event.properties?.info?.parentID;
      if (event.type.startsWith("session.") && sessionID && parentID) parents.set(sessionID, parents.get(parentID) ?? parentID);
      if (event.type === "session.deleted") parents.delete(sessionID);
      if (!sessionID || !contexts.has(sessionID)) return;
      if (event.type === "session.idle") {
        // A reminder cannot be given at the end of a turn without starting another one: it goes into the next prompt.
        const { reminder } = await runHook("Stop", { session_id: sessionID }, directory);
        if (reminder) contexts.get(sessionID).reminder = reminder;
      } else if (event.type === "session.compacted") {
        await begin(sessionID, "compact");
      } else if (event.type === "session.deleted") {
        await runHook("SessionEnd", { session_id: sessionID }, directory);
        contexts.delete(sessionID);
      }
    },
  };
};
