//! `log`: what was done or decided, the newest first, as the digest finds it in any layout of documents.

use serde_json::{Value, json};

use super::bank::CommandBank;
use super::command_output::CommandOutput;
use super::digest;
use super::screen::{Screen, Style};

/// The largest digest, so that entries are not shortened.
const MAX_TOKENS: u32 = 20_000;

/// The newest entries.
pub(super) async fn run(
    bank: &CommandBank,
    entries: u32,
    decisions: bool,
    mut screen: Screen,
) -> anyhow::Result<CommandOutput> {
    let (progress, decided) = if decisions { (0, entries) } else { (entries, 0) };
    let arguments = json!({
        "maxProgressEntries": progress,
        "maxDecisions": decided,
        "maxTokens": MAX_TOKENS,
    });
    let data = bank.call("get_context_digest", arguments).await?;
    let found = data.get("digest").cloned().unwrap_or_default();
    if decisions {
        digest::decisions(&mut screen, &found);
    } else {
        let lines = found.get("recentProgress").and_then(Value::as_array);
        for line in lines.into_iter().flatten().filter_map(Value::as_str) {
            digest::entry(&mut screen, line);
        }
    }
    if screen.is_empty() {
        screen.line(
            Style::Dim,
            if decisions { "No decision is recorded." } else { "No progress is recorded." },
        );
    }
    digest::notes(&mut screen, data.get("metadata").unwrap_or(&Value::Null));
    Ok(CommandOutput::new(entries_of(&found, decisions), screen))
}

/// The entries for programs: `{"entries": [{"date", "text"}]}`, or those of decisions as the digest has them.
fn entries_of(found: &Value, decisions: bool) -> Value {
    if decisions {
        return json!({ "decisions": found.get("recentDecisions").cloned().unwrap_or_else(|| json!([])) });
    }
    let lines = found.get("recentProgress").and_then(Value::as_array);
    let entries = lines.into_iter().flatten().filter_map(Value::as_str).map(|line| {
        let (date, text) = digest::split_date(line.trim_start_matches("- "));
        json!({ "date": Some(date).filter(|date| !date.is_empty()), "text": text })
    });
    json!({ "entries": entries.collect::<Vec<_>>() })
}
