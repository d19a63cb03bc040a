//! `status`: where the bank is, and whether it is complete.

use serde_json::{Value, json};

use super::bank::CommandBank;
use super::command_output::CommandOutput;
use super::screen::{Screen, Style, moment};

/// The state of the bank.
pub(super) async fn run(bank: &CommandBank, mut screen: Screen) -> anyhow::Result<CommandOutput> {
    let data = bank.call("get_memory_bank_status", json!({})).await?;
    let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default();
    let names = |name: &str| -> Vec<&str> {
        data.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let left = data.pointer("/remaining/files").and_then(Value::as_u64).unwrap_or_default();
    let count = u64::try_from(names("files").len()).unwrap_or(u64::MAX).saturating_add(left);
    let missing = names("missingCoreFiles");
    row(&mut screen, "Bank").line(Style::Name, text("path"));
    row(&mut screen, "Documents").line(Style::Plain, &count.to_string());
    if missing.is_empty() {
        row(&mut screen, "Core").line(Style::Plain, "complete");
    } else {
        row(&mut screen, "Core").line(Style::Alert, &format!("missing: {}", missing.join(", ")));
    }
    if !text("lastUpdated").is_empty() {
        row(&mut screen, "Changed").line(Style::Date, &format!("{} UTC", moment(text("lastUpdated"))));
    }
    if !text("notice").is_empty() {
        screen.gap().line(Style::Alert, text("notice"));
    }
    Ok(CommandOutput::new(data, screen))
}

fn row<'s>(screen: &'s mut Screen, name: &str) -> &'s mut Screen {
    screen.column(Style::Dim, name, 11)
}
