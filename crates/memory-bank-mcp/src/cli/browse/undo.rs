//! `undo`: takes back what one session, or one user since a time, changed in documents and graph.

use serde_json::{Value, json};

use super::arguments::UndoArguments;
use super::bank::CommandBank;
use super::command_output::CommandOutput;
use super::history_call;
use super::screen::{Screen, Style};
use super::versions::{ABOUT_CHARS, about, text};
use crate::cli::usage_error::UsageError;

/// Undoes, or shows what would be done.
pub(super) async fn run(
    bank: &CommandBank,
    undo: &UndoArguments,
    mut screen: Screen,
) -> anyhow::Result<CommandOutput> {
    let by = undo.session.map(|session| session.to_string()).or_else(|| undo.by.clone());
    if by.is_none() {
        return Err(UsageError(
            "whose changes? Give `--session ID`, as `history --json` shows it, or `--by USER --since TIME`"
                .to_owned(),
        )
        .into());
    }
    let arguments = json!({
        "action": "undo",
        "by": by,
        "since": undo.since,
        "until": undo.until,
        "allOrNothing": undo.all_or_nothing,
        "dryRun": !undo.writes(),
    });
    let arguments = about(arguments, undo.document.as_deref(), undo.entity);
    let data = history_call::call(bank, arguments).await?;
    let list = |name: &str| data.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let (undone, left) = (list("undone"), list("left"));
    let is_shown_only = !undo.writes();
    if is_shown_only && !undone.is_empty() {
        screen.line(Style::Strong, "dry run: nothing was changed; it would take back:");
    }
    undone.iter().for_each(|one| put_undone(&mut screen, one, is_shown_only));
    left.iter().for_each(|one| put_left(&mut screen, one, is_shown_only));
    let more = data.get("notShown").and_then(Value::as_u64).unwrap_or_default();
    if more > 0 {
        screen.line(Style::Dim, &format!("and {more} more"));
    }
    if screen.is_empty() {
        screen.line(Style::Dim, "Nothing of these changes is left to be undone.");
    }
    let mut output = CommandOutput::new(data, screen);
    if !undo.yes && !undo.dry_run && !undone.is_empty() {
        output.not_found = Some("nothing was undone yet; repeat the command with `--yes`".to_owned());
    }
    Ok(output)
}

/// A document or an item whose changes are taken back, or would be.
fn put_undone(screen: &mut Screen, one: &Value, is_shown_only: bool) {
    put_name(screen, one);
    let would = if is_shown_only { "would be " } else { "" };
    screen.put(Style::Plain, &format!("  {would}{}", text(one, "change")));
    let former = text(one, "formerName");
    if !former.is_empty() {
        screen.put(Style::Dim, &format!(" (before: {former})"));
    }
    let versions = one.get("versions").and_then(Value::as_u64).unwrap_or_default();
    let noun = if versions == 1 { "version" } else { "versions" };
    let stays = one.get("laterChangesStay").is_some();
    let stays = match (stays, is_shown_only) {
        (false, _) => "",
        (true, false) => ", later changes of others stay",
        (true, true) => ", later changes of others would stay",
    };
    let taken_back = if is_shown_only { "" } else { " taken back" };
    screen.line(Style::Dim, &format!("  {versions} {noun}{taken_back}{stays}"));
}

/// What is left as it is, or would be, with the reason.
fn put_left(screen: &mut Screen, one: &Value, is_shown_only: bool) {
    screen.put(Style::Alert, if is_shown_only { "would be left  " } else { "left  " });
    put_name(screen, one);
    screen.put(Style::Plain, &format!("  {}", text(one, "reason")));
    let by = one.get("changedBy").and_then(Value::as_array).into_iter().flatten();
    let by: Vec<&str> = by.filter_map(Value::as_str).collect();
    screen.line(Style::Dim, &if by.is_empty() { String::new() } else { format!("  {}", by.join(", ")) });
    let advice = text(one, "advice");
    if !advice.is_empty() {
        screen.line(Style::Dim, &format!("  {advice}"));
    }
}

/// The name of a document, or of an entity and what of it is meant.
fn put_name(screen: &mut Screen, one: &Value) {
    let member = |name: &str| one.get(name).and_then(Value::as_str);
    screen.put(Style::Name, member("filename").or_else(|| member("entity")).unwrap_or_default());
    if let Some(about) = ["observation", "relation", "type"].into_iter().find_map(member) {
        let about: String = about.chars().take(ABOUT_CHARS).collect();
        screen.put(Style::Dim, &format!(" ({})", about.replace('\n', " ")));
    }
}
