//! `add-decision`: records a decision.

use std::io::Read;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::arguments::DecisionArguments;
use super::bank::CommandBank;
use super::command_output::CommandOutput;
use super::screen::{Screen, Style};

/// The longest text on standard input; the tool has its own bounds.
const INPUT_BYTES: u64 = 1024 * 1024;

/// Records it.
pub(super) async fn run(
    bank: &CommandBank,
    decision: &DecisionArguments,
    mut screen: Screen,
) -> anyhow::Result<CommandOutput> {
    let text = match decision.decision.as_str() {
        "-" => tokio::task::spawn_blocking(from_stdin).await.context("standard input was not read")??,
        text => text.to_owned(),
    };
    let some = |list: &[String]| if list.is_empty() { Value::Null } else { json!(list) };
    let arguments = json!({
        "title": decision.title,
        "context": decision.context,
        "decision": text,
        "alternatives": some(&decision.alternatives),
        "consequences": some(&decision.consequences),
        "validFrom": decision.valid_from,
        "validUntil": decision.valid_until,
        "expiresAt": decision.expires_at,
        "supersedes": some(&decision.supersedes),
    });
    let data = bank.call("log_decision", arguments).await?;
    let message = data.get("message").and_then(Value::as_str).unwrap_or("Decision logged.");
    screen.line(Style::Plain, message);
    Ok(CommandOutput::new(data, screen))
}

fn from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(INPUT_BYTES + 1).read_to_string(&mut text);
    let bytes = read.context("standard input is not text")?;
    ensure!(u64::try_from(bytes)? <= INPUT_BYTES, "standard input has more than {INPUT_BYTES} bytes");
    Ok(text.trim().to_owned())
}
