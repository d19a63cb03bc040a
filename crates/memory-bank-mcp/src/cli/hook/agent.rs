//! The agents: the names of their events, and the members of what they send. It must not know how an event is answered.
//!
//! The forms are those of the agents' own documentation and sources, as of autumn 2026:
//!
//! - Claude Code: "Hooks reference", <https://code.claude.com/docs/en/hooks>: `session_id`, `cwd`, `hook_event_name`, `source`,
//!   `prompt`, `stop_hook_active`, `tool_name`; `agent_id` in subagents.
//! - Codex: the schemas of its hooks, `codex-rs/hooks/schema/generated/` in <https://github.com/openai/codex>: the same
//!   members.
//! - Gemini CLI: "Hooks reference", <https://geminicli.com/docs/hooks/reference>: the same members, with `BeforeAgent`,
//!   `AfterAgent`, `AfterTool` and `PreCompress`.
//! - Cursor: "Hooks", <https://cursor.com/docs/hooks>: `conversation_id` (`session_id` at start and end), `workspace_roots`,
//!   `prompt`, `loop_count`, `status`, `tool_name`.
//! - Copilot CLI: "Hooks reference", <https://docs.github.com/en/copilot/reference/hooks-reference>: `sessionId`, `cwd`,
//!   `source`, `prompt`, `toolName`, `agentId` in subagents; or the members of Claude Code if the event's name begins with a capital.
//! - opencode: plugins, <https://opencode.ai/docs/plugins>, run in the agent; the plugin in `integrations/opencode` sends the
//!   members of Claude Code.

use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::event_text;

/// An agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agent {
    ClaudeCode,
    Codex,
    GeminiCli,
    Cursor,
    CopilotCli,
    Opencode,
}

impl Agent {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::ClaudeCode, Self::Codex, Self::GeminiCli, Self::Cursor, Self::CopilotCli, Self::Opencode];

    /// The word of `--agent`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::GeminiCli => "gemini-cli",
            Self::Cursor => "cursor",
            Self::CopilotCli => "copilot-cli",
            Self::Opencode => "opencode",
        }
    }

    /// The agent of this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|agent| agent.name() == name)
    }

    /// The agent that sends such an event; Claude Code if nothing shows another one. Copilot CLI runs the hooks of Claude Code's
    /// settings, too, with their names; then its events have a time, and `in_copilot`: its variable is set.
    pub(crate) fn of(event: &str, input: &Value, in_copilot: bool) -> Self {
        let has = |name: &str| input.get(name).is_some();
        if has("conversation_id") || has("cursor_version") {
            Self::Cursor
        } else if has("sessionId") || in_copilot && has("timestamp") && !has("turn_id") {
            Self::CopilotCli
        } else if matches!(event, "BeforeAgent" | "AfterAgent" | "AfterTool" | "PreCompress") {
            Self::GeminiCli
        } else if has("turn_id") {
            Self::Codex
        } else {
            Self::ClaudeCode
        }
    }
}

/// A kind of event, under any name of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A session begins, or goes on after an interruption.
    SessionStart(Source),
    /// A person has sent a prompt.
    Prompt,
    /// A tool was called.
    Tool,
    /// The conversation will be compacted.
    Compaction,
    /// A turn of the agent has ended.
    Stop,
    /// The session has ended.
    SessionEnd,
}

/// How a session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Startup,
    Resume,
    Clear,
    Compact,
}

impl Event {
    /// The event of this name in any agent; none if it is another one.
    pub(crate) fn parse(name: &str, input: &Value) -> Option<Self> {
        Some(match plain_name(name).as_str() {
            "sessionstart" | "sessioncreated" => Self::SessionStart(Source::of(input)),
            "userpromptsubmit"
            | "userpromptsubmitted"
            | "beforesubmitprompt"
            | "beforeagent"
            | "chatmessage" => Self::Prompt,
            "posttooluse" | FAILED_TOOL | "aftertool" | "toolexecuteafter" => Self::Tool,
            "precompact" | "precompress" | "experimentalsessioncompacting" => Self::Compaction,
            "stop" | "agentstop" | "afteragent" | "sessionidle" => Self::Stop,
            // A turn that a person breaks off ends with this event of Codex instead of `Stop`.
            "interrupt" => Self::Stop,
            "sessionend" | "sessiondeleted" => Self::SessionEnd,
            _ => return None,
        })
    }
}

impl Source {
    fn of(input: &Value) -> Self {
        // Gemini CLI called it `trigger` at first.
        let word = text(input, "source").or_else(|| text(input, "trigger")).unwrap_or_default();
        match word {
            "resume" => Self::Resume,
            "clear" => Self::Clear,
            "compact" => Self::Compact,
            _ => Self::Startup,
        }
    }
}

/// The content of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HookInput {
    pub(crate) agent: Agent,
    /// The name that the agent gives the event, for its answer.
    pub(crate) event_name: String,
    pub(crate) event: Event,
    /// The agent's id of the session.
    pub(crate) session: String,
    /// The folder of the session.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) prompt: Option<String>,
    pub(crate) tool: Option<String>,
    /// A fingerprint of the id of the tool's call, if it has one.
    pub(crate) call: Option<u64>,
    /// A fingerprint of the event as the agent sent it.
    pub(crate) fingerprint: u64,
    /// The tool reported an error.
    pub(crate) has_failed: bool,
    /// The turn was itself caused by a hook, or broken off: the agent must not be reminded.
    pub(crate) is_forced: bool,
    /// The event is one of an agent within the agent.
    pub(crate) is_nested: bool,
}

/// The event of a call that failed, of Claude Code, Cursor and Copilot CLI, as [`plain_name`] writes it.
const FAILED_TOOL: &str = "posttoolusefailure";
/// The members with the id of a tool's call.
const CALL_IDS: [&str; 4] = ["tool_use_id", "tool_call_id", "toolCallId", "toolUseId"];
/// Set by Copilot CLI for the commands that it runs.
const COPILOT_VARIABLE: &str = "COPILOT_CLI";
/// The longest id of a session, in bytes.
const SESSION_ID_BYTES: usize = 512;

impl HookInput {
    /// Parses an event.
    ///
    /// # Errors
    /// It is not JSON, not an object, of another kind, or without a session.
    pub(crate) fn parse(event: &str, agent: Option<Agent>, bytes: &[u8]) -> Result<Self, String> {
        let input = event_text::parse(bytes)?;
        let agent =
            agent.unwrap_or_else(|| Agent::of(event, &input, std::env::var_os(COPILOT_VARIABLE).is_some()));
        let parsed = Event::parse(event, &input)
            .ok_or_else(|| format!("`{}` is not an event of a session", shortened(event)))?;
        let session = ["session_id", "sessionId", "conversation_id", "sessionID"]
            .iter()
            .find_map(|name| text(&input, name))
            .filter(|session| session.len() <= SESSION_ID_BYTES)
            .ok_or("the event has no `session_id`")?;
        let roots = input.get("workspace_roots").and_then(Value::as_array);
        let root = roots.and_then(|roots| roots.first()).and_then(Value::as_str);
        let folder = text(&input, "cwd").or(root).map(PathBuf::from).filter(|folder| folder.is_absolute());
        let is = |name: &str| input.get(name).and_then(Value::as_bool).unwrap_or(false);
        let loops = input.get("loop_count").and_then(Value::as_u64).unwrap_or(0);
        let is_broken_off = matches!(text(&input, "status"), Some("aborted" | "error"));
        Ok(Self {
            agent,
            event_name: text(&input, "hook_event_name").unwrap_or(event).to_owned(),
            event: parsed,
            session: session.to_owned(),
            folder,
            prompt: text(&input, "prompt").map(str::to_owned),
            tool: text(&input, "tool_name").or_else(|| text(&input, "toolName")).map(str::to_owned),
            call: CALL_IDS.iter().find_map(|name| text(&input, name)).map(|id| hash(id.as_bytes())),
            fingerprint: hash(&[event.as_bytes(), b"\0", bytes].concat()),
            has_failed: plain_name(event) == FAILED_TOOL || has_failed(&input),
            is_forced: is("stop_hook_active")
                || loops > 0
                || is_broken_off
                || event.eq_ignore_ascii_case("interrupt"),
            is_nested: ["agent_id", "agentId"].iter().any(|name| text(&input, name).is_some()),
        })
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let hash = Sha256::digest(bytes);
    hash.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// The name of an event in small letters, without the signs between its words.
fn plain_name(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// Whether the event of a tool reports an error: `error` of Gemini CLI's result, `resultType` of Copilot CLI's, `is_error` of MCP's,
/// `success` of others, or a text that begins so.
fn has_failed(input: &Value) -> bool {
    let is_set = |value: &Value| !matches!(value, Value::Null | Value::Bool(false)) && value != "";
    let results = ["tool_response", "toolResult", "tool_result", "tool_output", "toolOutput"];
    input.get("error").is_some_and(is_set)
        || results.iter().filter_map(|name| input.get(name)).any(|result| {
            let kind = ["resultType", "result_type"].iter().find_map(|name| text(result, name));
            let is_error =
                ["error", "is_error", "isError"].iter().filter_map(|name| result.get(name)).any(is_set);
            let has_failed_text = result.as_str().is_some_and(|text| {
                let text = text.trim_start().get(..20).unwrap_or(text.trim_start()).to_ascii_lowercase();
                let code = text.strip_prefix("exit code:").map(str::trim_start);
                code.is_some_and(|code| code.starts_with(|digit: char| matches!(digit, '1'..='9' | '-')))
                    || ["error", "failed", "apply_patch verif"].iter().any(|begin| text.starts_with(begin))
            });
            is_error
                || result.get("success") == Some(&Value::Bool(false))
                || kind.is_some_and(|kind| kind != "success")
                || has_failed_text
        })
}

fn text<'v>(input: &'v Value, name: &str) -> Option<&'v str> {
    input.get(name)?.as_str().filter(|text| !text.is_empty())
}

fn shortened(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn parse(event: &str, agent: Option<Agent>, input: &Value) -> HookInput {
        HookInput::parse(event, agent, input.to_string().as_bytes()).unwrap()
    }

    /// Each as its agent's documentation shows it.
    #[rstest]
    #[case("SessionStart", json!({"session_id": "abc123", "transcript_path": "/t.jsonl", "cwd": "/p", "hook_event_name": "SessionStart", "source": "compact", "model": "m"}), Agent::ClaudeCode, Event::SessionStart(Source::Compact))]
    #[case("UserPromptSubmit", json!({"session_id": "abc123", "transcript_path": "/t.jsonl", "cwd": "/p", "permission_mode": "default", "hook_event_name": "UserPromptSubmit", "prompt": "why?"}), Agent::ClaudeCode, Event::Prompt)]
    #[case("PreCompact", json!({"session_id": "abc123", "cwd": "/p", "hook_event_name": "PreCompact", "trigger": "manual", "custom_instructions": null}), Agent::ClaudeCode, Event::Compaction)]
    #[case("Stop", json!({"session_id": "abc123", "cwd": "/p", "hook_event_name": "Stop", "stop_hook_active": false, "last_assistant_message": "done"}), Agent::ClaudeCode, Event::Stop)]
    #[case("SessionEnd", json!({"session_id": "abc123", "cwd": "/p", "hook_event_name": "SessionEnd", "reason": "other"}), Agent::ClaudeCode, Event::SessionEnd)]
    #[case("Stop", json!({"session_id": "abc123", "turn_id": "t", "transcript_path": null, "cwd": "/p", "hook_event_name": "Stop", "model": "m", "permission_mode": "default", "stop_hook_active": false, "last_assistant_message": null}), Agent::Codex, Event::Stop)]
    #[case("BeforeAgent", json!({"session_id": "abc123", "transcript_path": "/t.json", "cwd": "/p", "hook_event_name": "BeforeAgent", "timestamp": "2026-11-27T00:00:00Z", "prompt": "why?"}), Agent::GeminiCli, Event::Prompt)]
    #[case("PreCompress", json!({"session_id": "abc123", "transcript_path": "/t.json", "cwd": "/p", "hook_event_name": "PreCompress", "timestamp": "2026-11-27T00:00:00Z", "trigger": "auto"}), Agent::GeminiCli, Event::Compaction)]
    #[case("beforeSubmitPrompt", json!({"conversation_id": "abc123", "generation_id": "g", "hook_event_name": "beforeSubmitPrompt", "cursor_version": "2", "workspace_roots": ["/p"], "prompt": "why?", "attachments": []}), Agent::Cursor, Event::Prompt)]
    #[case("stop", json!({"conversation_id": "abc123", "hook_event_name": "stop", "workspace_roots": ["/p"], "status": "completed", "loop_count": 0}), Agent::Cursor, Event::Stop)]
    #[case("sessionStart", json!({"sessionId": "abc123", "timestamp": 1, "cwd": "/p", "source": "resume"}), Agent::CopilotCli, Event::SessionStart(Source::Resume))]
    #[case("userPromptSubmitted", json!({"sessionId": "abc123", "timestamp": 1, "cwd": "/p", "prompt": "why?"}), Agent::CopilotCli, Event::Prompt)]
    #[case("agentStop", json!({"sessionId": "abc123", "timestamp": 1, "cwd": "/p", "transcriptPath": "/t", "stopReason": "end_turn"}), Agent::CopilotCli, Event::Stop)]
    fn documented_events_are_understood(
        #[case] name: &str,
        #[case] input: Value,
        #[case] agent: Agent,
        #[case] event: Event,
    ) {
        let parsed = parse(name, None, &input);
        assert_eq!((parsed.agent, parsed.event), (agent, event));
        assert_eq!(
            (parsed.session.as_str(), parsed.folder.as_deref()),
            ("abc123", Some(std::path::Path::new("/p")))
        );
        assert!(!parsed.is_forced && !parsed.is_nested);
        assert_eq!(parsed.prompt.is_some(), event == Event::Prompt);
    }

    #[rstest]
    #[case("Stop", json!({"session_id": "a", "stop_hook_active": true}))]
    #[case("stop", json!({"conversation_id": "a", "status": "completed", "loop_count": 1}))]
    #[case("stop", json!({"conversation_id": "a", "status": "aborted", "loop_count": 0}))]
    fn a_turn_that_a_hook_caused_or_that_was_broken_off_is_forced(#[case] name: &str, #[case] input: Value) {
        assert!(parse(name, None, &input).is_forced);
    }

    #[rstest]
    #[case(json!({"session_id": "a", "agent_id": "b"}))]
    #[case(json!({"sessionId": "a", "agentId": "b"}))]
    fn events_of_subagents_are_nested(#[case] input: Value) {
        assert!(parse("Stop", None, &input).is_nested);
    }

    #[rstest]
    #[case(json!({"tool_response": {"llmContent": "x", "error": {"message": "no such file", "type": "edit"}}}))]
    #[case(json!({"toolResult": {"resultType": "failure", "textResultForLlm": "x"}}))]
    #[case(json!({"tool_result": {"result_type": "denied"}}))]
    #[case(json!({"tool_response": {"success": false}}))]
    #[case(json!({"tool_response": {"content": [], "isError": true}}))]
    #[case(json!({"tool_response": "apply_patch verification failed: no such line"}))]
    #[case(json!({"tool_response": "Error: ä"}))]
    #[case(json!({"tool_response": "Exit code: 2\nno such file"}))]
    #[case(json!({"tool_response": "Exit code: -1"}))]
    #[case(json!({"error": "String not found"}))]
    fn a_failed_call_of_a_tool_is_known_from_its_result(#[case] mut input: Value) {
        input["session_id"] = "a".into();
        assert!(parse("PostToolUse", None, &input).has_failed, "{input}");
    }

    #[rstest]
    #[case(json!({}))]
    #[case(json!({"tool_response": {"llmContent": "x", "error": null}}))]
    #[case(json!({"toolResult": {"resultType": "success"}}))]
    #[case(json!({"tool_response": {"success": true, "filePath": "error.rs"}}))]
    #[case(json!({"tool_response": "Success. Updated the following files:"}))]
    #[case(json!({"error": ""}))]
    #[case(json!({"tool_response": "Exit code: 0\nWall time: 1 seconds"}))]
    fn a_call_of_a_tool_without_an_error_has_not_failed(#[case] mut input: Value) {
        input["session_id"] = "a".into();
        assert!(!parse("PostToolUse", None, &input).has_failed, "{input}");
    }

    #[rstest]
    #[case("PostToolUseFailure", json!({"session_id": "a", "tool_name": "Edit", "error": "no such text"}))]
    #[case("postToolUseFailure", json!({"conversation_id": "a", "tool_name": "Write", "failure_type": "timeout"}))]
    #[case("postToolUseFailure", json!({"sessionId": "a", "timestamp": 1, "toolName": "edit"}))]
    fn an_event_of_a_failed_call_is_one_of_a_tool(#[case] name: &str, #[case] input: Value) {
        let parsed = parse(name, None, &input);
        assert!(parsed.event == Event::Tool && parsed.has_failed && parsed.tool.is_some(), "{parsed:?}");
    }

    #[test]
    fn copilot_is_known_from_its_variable_in_the_form_of_claude_code() {
        let input =
            json!({"session_id": "a", "timestamp": "2026-11-27T00:00:00Z", "hook_event_name": "Stop"});
        assert_eq!(Agent::of("Stop", &input, true), Agent::CopilotCli);
        assert_eq!(Agent::of("Stop", &input, false), Agent::ClaudeCode);
        assert_eq!(Agent::of("Stop", &json!({"session_id": "a"}), true), Agent::ClaudeCode);
    }

    #[test]
    fn an_interrupted_turn_of_codex_ends_without_a_reminder() {
        let input = json!({"session_id": "a", "turn_id": "t", "hook_event_name": "Interrupt"});
        let parsed = parse("Interrupt", None, &input);
        assert_eq!((parsed.agent, parsed.event, parsed.is_forced), (Agent::Codex, Event::Stop, true));
    }

    #[test]
    fn half_a_character_loses_nothing_else() {
        for bytes in [
            &b"{\"session_id\": \"a\", \"prompt\": \"why \\ud83d\"}"[..],
            b"{\"session_id\": \"a\", \"prompt\": \"why \xff\"}",
        ] {
            let prompt = HookInput::parse("UserPromptSubmit", None, bytes).unwrap().prompt;
            assert_eq!(prompt.as_deref(), Some("why \u{fffd}"));
        }
    }

    #[test]
    fn inputs_that_are_not_events_are_refused() {
        for bytes in [&b""[..], b"x", b"[]", b"null", b"{}", b"{\"session_id\": 5}", b"\xff\xfe"] {
            assert!(HookInput::parse("Stop", None, bytes).is_err(), "{bytes:?}");
        }
        assert!(HookInput::parse("Nonsense", None, b"{\"session_id\": \"a\"}").is_err());
        let long = json!({"session_id": "x".repeat(10_000)}).to_string();
        assert!(HookInput::parse("Stop", None, long.as_bytes()).is_err());
        assert!(
            HookInput::parse("stop", None, b"\xef\xbb\xbf{\"session_id\": \"a\", \"cwd\": \"relative\"}")
                .unwrap()
                .folder
                .is_none()
        );
    }
}
