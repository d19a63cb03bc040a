//! Answers to events, each in the form of its agent. The sources of the forms are in `agent.rs`.
//!
//! An agent that has no place for a text gets none: Cursor takes nothing beside a prompt, but beside the result of a tool; Gemini CLI
//! discards the agent's answer if a hook at its end blocks it, and after the end of a session no agent reads.

use memory_bank_core::hooks::reminder_for_people;
use serde_json::{Value, json};

use super::agent::{Agent, Event, HookInput};

/// The answer of a hook.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Answer {
    /// Nothing.
    #[default]
    Silence,
    /// A text for the model's context.
    Context(String),
    /// A reminder for the model.
    Reminder(String),
}

/// Whether the agent takes a text for the model beside this event.
pub(crate) fn takes_context(agent: Agent, event: Event) -> bool {
    match event {
        Event::SessionStart(_) => true,
        Event::Prompt => agent != Agent::Cursor,
        // The other agents take the same text earlier.
        Event::Tool => agent == Agent::Cursor,
        _ => false,
    }
}

/// Whether a reminder at this event reaches the model.
pub(crate) fn reminds_model(agent: Agent, event: Event) -> bool {
    event == Event::Stop && agent != Agent::GeminiCli
        || event == Event::Compaction && agent == Agent::Opencode
}

/// The JSON that the agent takes; none for silence.
pub(crate) fn to_json(input: &HookInput, answer: Answer) -> Option<Value> {
    let (agent, event) = (input.agent, input.event);
    match answer {
        Answer::Silence => None,
        Answer::Context(text) if takes_context(agent, event) => Some(match agent {
            Agent::ClaudeCode | Agent::Codex | Agent::GeminiCli => {
                json!({"hookSpecificOutput": {"hookEventName": input.event_name, "additionalContext": text}})
            }
            Agent::Cursor => json!({"additional_context": text}),
            Agent::CopilotCli => json!({"additionalContext": text}),
            Agent::Opencode => json!({"context": text}),
        }),
        Answer::Reminder(text) if reminds_model(agent, event) => Some(match agent {
            Agent::Cursor => json!({"followup_message": text}),
            Agent::Opencode => json!({"reminder": text}),
            _ => json!({"decision": "block", "reason": text}),
        }),
        Answer::Reminder(_) if event == Event::Compaction => match agent {
            Agent::Cursor => Some(json!({"user_message": reminder_for_people()})),
            Agent::CopilotCli => None,
            _ => Some(json!({"systemMessage": reminder_for_people()})),
        },
        Answer::Reminder(_) if event == Event::SessionEnd && agent == Agent::GeminiCli => {
            Some(json!({"systemMessage": reminder_for_people()}))
        }
        Answer::Context(_) | Answer::Reminder(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::agent::Source;
    use super::*;

    fn input(agent: Agent, event: Event, name: &str) -> HookInput {
        HookInput {
            agent,
            event_name: name.to_owned(),
            event,
            session: "a".to_owned(),
            folder: None,
            prompt: None,
            tool: None,
            call: None,
            fingerprint: 0,
            has_failed: false,
            is_forced: false,
            is_nested: false,
        }
    }

    const START: Event = Event::SessionStart(Source::Startup);

    #[rstest]
    #[case(Agent::ClaudeCode, "SessionStart", json!({"hookSpecificOutput": {"hookEventName": "SessionStart", "additionalContext": "x"}}))]
    #[case(Agent::Codex, "SessionStart", json!({"hookSpecificOutput": {"hookEventName": "SessionStart", "additionalContext": "x"}}))]
    #[case(Agent::GeminiCli, "SessionStart", json!({"hookSpecificOutput": {"hookEventName": "SessionStart", "additionalContext": "x"}}))]
    #[case(Agent::Cursor, "sessionStart", json!({"additional_context": "x"}))]
    #[case(Agent::CopilotCli, "sessionStart", json!({"additionalContext": "x"}))]
    #[case(Agent::Opencode, "SessionStart", json!({"context": "x"}))]
    fn the_context_of_a_start_has_the_form_of_its_agent(
        #[case] agent: Agent,
        #[case] name: &str,
        #[case] expected: Value,
    ) {
        assert_eq!(to_json(&input(agent, START, name), Answer::Context("x".to_owned())), Some(expected));
    }

    #[rstest]
    #[case(Agent::ClaudeCode, Event::Stop, Some(json!({"decision": "block", "reason": "x"})))]
    #[case(Agent::Codex, Event::Stop, Some(json!({"decision": "block", "reason": "x"})))]
    #[case(Agent::CopilotCli, Event::Stop, Some(json!({"decision": "block", "reason": "x"})))]
    #[case(Agent::Cursor, Event::Stop, Some(json!({"followup_message": "x"})))]
    #[case(Agent::GeminiCli, Event::Stop, None)]
    #[case(Agent::ClaudeCode, Event::SessionEnd, None)]
    #[case(Agent::CopilotCli, Event::Compaction, None)]
    fn a_reminder_is_given_where_the_agent_takes_one(
        #[case] agent: Agent,
        #[case] event: Event,
        #[case] expected: Option<Value>,
    ) {
        assert_eq!(to_json(&input(agent, event, "e"), Answer::Reminder("x".to_owned())), expected);
    }

    #[test]
    fn no_answer_stops_an_agent_before_it_compacts_or_takes_a_prompt() {
        for agent in Agent::ALL {
            for event in [Event::Compaction, Event::Prompt, Event::SessionEnd, Event::Tool, START] {
                for answer in [Answer::Context("x".to_owned()), Answer::Reminder("x".to_owned())] {
                    let json = to_json(&input(agent, event, "e"), answer).unwrap_or_default();
                    assert!(json.get("decision").is_none() && json.get("continue").is_none(), "{json}");
                }
            }
        }
        assert_eq!(to_json(&input(Agent::Cursor, Event::Prompt, "e"), Answer::Context("x".to_owned())), None);
    }
}
