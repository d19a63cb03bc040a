//! `digest`: the state of the work on one screen.

use serde_json::{Value, json};

use super::arguments::{FactOptions, ended_note};
use super::bank::CommandBank;
use super::command_output::CommandOutput;
use super::markdown;
use super::screen::{Screen, Style};

/// The lists of open items, with their titles.
const OPEN_ITEM_LISTS: [(&str, &str); 4] =
    [("tasks", "Tasks"), ("issues", "Issues"), ("nextSteps", "Next steps"), ("questions", "Questions")];

/// The digest.
pub(super) async fn run(
    bank: &CommandBank,
    tokens: u32,
    facts: &FactOptions,
    mut screen: Screen,
) -> anyhow::Result<CommandOutput> {
    let data = bank.call("get_context_digest", facts.add_to(json!({ "maxTokens": tokens }))).await?;
    let empty = Value::Null;
    let digest = data.get("digest").unwrap_or(&empty);
    let metadata = data.get("metadata").unwrap_or(&empty);
    for (name, title) in [("projectState", "State"), ("focus", "Focus")] {
        if let Some(text) = digest.get(name).and_then(Value::as_str) {
            screen.title(title);
            paragraph(&mut screen, text);
        }
    }
    let open = digest.get("currentContext").unwrap_or(&empty);
    for (name, title) in OPEN_ITEM_LISTS {
        list(&mut screen, title, &texts(open, name), left_out(digest, name));
    }
    let progress = texts(digest, "recentProgress");
    if !progress.is_empty() {
        screen.title("Progress");
        progress.iter().for_each(|line| entry(&mut screen, line));
    }
    decisions(&mut screen, digest);
    if let Some(excerpt) = digest.get("excerpt") {
        let text = |name: &str| excerpt.get(name).and_then(Value::as_str).unwrap_or_default();
        screen.title(text("document"));
        paragraph(&mut screen, text("beginning"));
        paragraph(&mut screen, text("latest"));
    }
    if let Some(graph) = digest.get("graphSummary").and_then(Value::as_str) {
        let mut lines = graph.lines();
        screen.title(lines.next().unwrap_or_default().trim_start_matches(['#', ' ']));
        lines.for_each(|line| item(&mut screen, line));
    }
    list(&mut screen, "Documents", &texts(digest, "documents"), left_out(digest, "documents"));
    if let Some(since) = digest.get("sinceLastSession").and_then(Value::as_str) {
        screen.gap().line(Style::Dim, since);
    }
    notes(&mut screen, metadata);
    Ok(CommandOutput::new(data, screen))
}

/// The decisions of a digest.
pub(super) fn decisions(screen: &mut Screen, digest: &Value) {
    let decisions = digest.get("recentDecisions").and_then(Value::as_array);
    let mut is_first = true;
    for decision in decisions.into_iter().flatten() {
        if std::mem::take(&mut is_first) {
            screen.title("Decisions");
        }
        let text = |name: &str| decision.get(name).and_then(Value::as_str).unwrap_or_default();
        screen.put(Style::Mark, "  • ");
        if !text("date").is_empty() {
            screen.put(Style::Date, text("date")).put(Style::Plain, "  ");
        }
        screen.line(Style::Strong, text("title"));
        screen.block(Style::Plain, "    ", text("summary"));
    }
}

/// Errors and notes of the digest.
pub(super) fn notes(screen: &mut Screen, metadata: &Value) {
    for decision in texts(metadata, "upcoming") {
        screen.gap().line(Style::Dim, &format!("will hold: {decision}"));
    }
    if let Some(ended) =
        ended_note(metadata, "decision has not begun or has", "decisions have not begun or have")
    {
        screen.gap().line(Style::Dim, &ended);
    }
    let warnings = texts(metadata, "warnings");
    if !warnings.is_empty() {
        screen.gap();
    }
    for warning in warnings {
        screen.line(Style::Alert, warning);
    }
    for name in ["asOfNote", "notice"] {
        if let Some(notice) = metadata.get(name).and_then(Value::as_str) {
            screen.gap().line(Style::Alert, notice);
        }
    }
}

/// An entry of a log: `- [2026-11-22 09:30:07] [author] - text`; the date has its own colour.
pub(super) fn entry(screen: &mut Screen, line: &str) {
    let text = line.trim_start_matches("- ");
    screen.put(Style::Mark, "  • ");
    let (date, rest) = split_date(text);
    if !date.is_empty() {
        screen.put(Style::Date, date).put(Style::Plain, "  ");
    }
    let mut lines = rest.lines();
    markdown::put_inline(screen, lines.next().unwrap_or_default());
    screen.end();
    for line in lines {
        screen.put(Style::Plain, "    ");
        markdown::put_inline(screen, line);
        screen.end();
    }
}

/// The date in front of an entry, without its brackets and seconds.
pub(super) fn split_date(text: &str) -> (&str, &str) {
    let (bracketed, inner) = match text.strip_prefix('[') {
        Some(inner) => (true, inner),
        None => (false, text),
    };
    let is_date = |text: &str| {
        text.len() >= 10
            && text.bytes().take(10).enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            })
    };
    if !is_date(inner) {
        return ("", text);
    }
    let end = if bracketed {
        inner.find(']')
    } else {
        inner.find(|character: char| !matches!(character, '0'..='9' | '-'))
    };
    let end = end.unwrap_or(inner.len());
    let (date, rest) = inner.split_at_checked(end).unwrap_or((inner, ""));
    let rest = rest.trim_start_matches([']', ' ', ':']);
    (date, rest.strip_prefix("- ").unwrap_or(rest))
}

fn list(screen: &mut Screen, title: &str, items: &[&str], left_out: u64) {
    if items.is_empty() {
        return;
    }
    screen.title(title);
    items.iter().for_each(|text| item(screen, text));
    if left_out > 0 {
        screen.line(Style::Dim, &format!("    and {left_out} more"));
    }
}

fn item(screen: &mut Screen, text: &str) {
    screen.put(Style::Mark, "  • ");
    markdown::put_inline(screen, text.trim_start_matches("- "));
    screen.end();
}

fn paragraph(screen: &mut Screen, text: &str) {
    for line in text.lines() {
        screen.put(Style::Plain, "  ");
        markdown::put_inline(screen, line);
        screen.end();
    }
}

fn texts<'v>(data: &'v Value, name: &str) -> Vec<&'v str> {
    data.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn left_out(digest: &Value, name: &str) -> u64 {
    digest.pointer(&format!("/leftOut/{name}")).and_then(Value::as_u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_entry_is_found_with_and_without_brackets() {
        assert_eq!(
            split_date("[2026-11-22 09:30:07] [jo] - Did: x"),
            ("2026-11-22 09:30:07", "[jo] - Did: x")
        );
        assert_eq!(split_date("[2026-11-22 09:30:07] - Did: x"), ("2026-11-22 09:30:07", "Did: x"));
        assert_eq!(split_date("2026-11-22: shipped"), ("2026-11-22", "shipped"));
        assert_eq!(split_date("[a] b"), ("", "[a] b"));
        assert_eq!(split_date("2026-11-é"), ("", "2026-11-é"));
    }
}
