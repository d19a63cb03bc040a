//! A scripted agent of 20 sessions, once with hooks and once without. The work is the same. The agent writes into the bank by
//! itself in every fifth session, otherwise only after a reminder. The measure is the knowledge of the next session.

use std::path::Path;

use memory_bank_simulation::Simulation;
use serde_json::json;
use tiktoken_rs::CoreBPE;

use crate::{Hooks, text};

const SESSIONS: usize = 20;
/// The agent writes into the bank without a reminder in one of this number of sessions.
const UNPROMPTED_WRITE_INTERVAL: usize = 5;
/// The topics of the sessions.
const TOPICS: [&str; 20] = [
    "invoices",
    "refunds",
    "webhooks",
    "ledger",
    "receipts",
    "currencies",
    "discounts",
    "vouchers",
    "taxes",
    "reminders",
    "exports",
    "imports",
    "audits",
    "sessions",
    "passkeys",
    "quotas",
    "backups",
    "migrations",
    "caches",
    "alerts",
];

/// The results of one run.
#[derive(Default)]
struct Outcome {
    /// Sessions that began with the work of earlier ones.
    informed: usize,
    /// Prompts on an earlier topic that were answered from the bank.
    recalled: usize,
    reminders: usize,
    tokens: usize,
    entries: usize,
    records: usize,
}

pub(crate) async fn compare(program: &Path, tokens: &CoreBPE) -> anyhow::Result<()> {
    let with = run_sessions(program, true, tokens).await?;
    let without = run_sessions(program, false, tokens).await?;
    println!("| after {SESSIONS} sessions of the same work | with hooks | without |\n|---|---:|---:|");
    let row = |what: &str, read: &dyn Fn(&Outcome) -> usize| {
        println!("| {what} | {} | {} |", read(&with), read(&without))
    };
    row("entries of progress", &|outcome| outcome.entries);
    row("records of sessions", &|outcome| outcome.records);
    row("sessions that began with the last topic in the context", &|outcome| outcome.informed);
    row("prompts on an earlier topic that got a line on it", &|outcome| outcome.recalled);
    row("reminders", &|outcome| outcome.reminders);
    row("tokens that hooks added, in all sessions", &|outcome| outcome.tokens);
    Ok(())
}

async fn run_sessions(program: &Path, has_hooks: bool, tokens: &CoreBPE) -> anyhow::Result<Outcome> {
    let place = tempfile::tempdir()?;
    let hooks = Hooks::new(program, place.path());
    hooks.prepare(10)?;
    let mut bank = Simulation::start(hooks.project()).await?;
    let mut outcome = Outcome::default();
    let mut added_tokens = 0;
    for (number, topic) in TOPICS.iter().enumerate().take(SESSIONS) {
        let session = format!("session-{number}");
        let mut send = |event: &str, mut input: serde_json::Value| {
            if !has_hooks {
                return anyhow::Ok(String::new());
            }
            if let Some(members) = input.as_object_mut() {
                members.insert("session_id".to_owned(), json!(session));
            }
            let answer = hooks.send(event, input)?.0;
            added_tokens += tokens.encode_ordinary(text(&answer)).len();
            Ok(text(&answer).to_owned())
        };
        let context = send("SessionStart", json!({"source": "startup"}))?;
        let last = number.checked_sub(1).and_then(|last| TOPICS.get(last));
        let is_informed = last.is_some_and(|last| context.contains(last));
        let earlier = number.checked_sub(7).and_then(|earlier| TOPICS.get(earlier));
        let prompt = format!(
            "build the {topic} module; how did we handle rounding in the {} module?",
            earlier.unwrap_or(topic)
        );
        let answer = send("UserPromptSubmit", json!({"prompt": prompt}))?;
        let is_recalled = earlier.is_some_and(|earlier| answer.contains(earlier));
        let file = format!("src/{topic}.rs");
        std::fs::write(hooks.project().join(&file), format!("// {topic}\n"))?;
        hooks.git(&["add", &file])?;
        hooks.git(&["commit", "-qm", &format!("add the {topic} module")])?;
        send("PostToolUse", json!({"tool_name": "Edit"}))?;
        let mut writes = number % UNPROMPTED_WRITE_INTERVAL == 0;
        if !writes {
            let reminded = send("Stop", json!({"stop_hook_active": false}))?;
            writes = !reminded.is_empty();
            outcome.reminders += usize::from(writes);
        }
        if writes {
            let description = format!("the {topic} module rounds half-even and has its own tests");
            bank.done("track_progress", json!({"action": "Built", "description": description})).await?;
        }
        send("Stop", json!({"stop_hook_active": true}))?;
        send("SessionEnd", json!({"reason": "other"}))?;
        outcome.informed += usize::from(is_informed);
        outcome.recalled += usize::from(is_recalled);
    }
    let read = |name: &str| {
        std::fs::read_to_string(hooks.project().join("memory-bank").join(name)).unwrap_or_default()
    };
    outcome.tokens = added_tokens;
    outcome.entries = read("progress.md").matches("rounds half-even").count();
    outcome.records = read("session-records.md").matches("session `").count();
    Ok(outcome)
}
