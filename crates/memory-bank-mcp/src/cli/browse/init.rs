//! `init`: creates a bank.

use serde_json::{Value, json};

use super::bank::CommandBank;
use super::command_output::CommandOutput;
use super::screen::{Screen, Style};
use crate::cli::options::GlobalOptions;
use crate::cli::setup::installed;

/// Creates the bank of this project; what is there already stays.
pub(super) async fn run(
    bank: &CommandBank,
    global: &GlobalOptions,
    mut screen: Screen,
) -> anyhow::Result<CommandOutput> {
    let path = match bank {
        CommandBank::Folder(_) => global.project()?.display().to_string(),
        // The key names the project.
        CommandBank::Server(_) => ".".to_owned(),
    };
    let data = bank.call("initialize_memory_bank", json!({ "path": path })).await?;
    let names = |name: &str| -> Vec<&str> {
        data.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let (created, place) = (names("created"), data.get("path").and_then(Value::as_str).unwrap_or_default());
    if created.is_empty() {
        screen.line(Style::Plain, &format!("The memory bank is there already, and complete: {place}"));
    } else {
        screen.line(Style::Plain, &format!("The memory bank is ready: {place}"));
        screen.line(Style::Plain, &format!("Created: {}", created.join(", ")));
    }
    for (name, heading) in [("outside", "Created beside it"), ("warnings", "Not done")] {
        if !names(name).is_empty() {
            screen.line(Style::Alert, &format!("{heading}: {}", names(name).join(", ")));
        }
    }
    if let Some(notice) = data.get("notice").and_then(Value::as_str) {
        screen.line(Style::Alert, notice);
    }
    let next = if installed::has_agents(global)? {
        "Next: your assistants are connected; `memory-bank-mcp status` and `digest` show what is in it."
    } else {
        "Next: `memory-bank-mcp setup` connects your assistants; `memory-bank-mcp status` and `digest` show what is in it."
    };
    screen.gap().line(Style::Plain, next);
    Ok(CommandOutput::new(data, screen))
}
