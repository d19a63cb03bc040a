//! `history`, `diff` and `blame`: former versions of documents and entities, what changed between them, and who wrote each line.

use serde_json::{Value, json};

use super::arguments::{DiffArguments, HistoryArguments};
use super::bank::CommandBank;
use super::command_output::CommandOutput;
use super::history_call;
use super::screen::{Screen, Style};

/// The most characters of what a change of the graph was about.
pub(super) const ABOUT_CHARS: usize = 60;

/// The characters of a session's id that a list shows, which tell its sessions apart: an id begins with its time.
const SESSION_CHARS: usize = 13;

/// Lists versions, or shows the text of one.
pub(super) async fn history(
    bank: &CommandBank,
    history: &HistoryArguments,
    mut screen: Screen,
) -> anyhow::Result<CommandOutput> {
    if let (Some(document), Some(version)) = (&history.document, history.show) {
        let mut arguments = json!({"action": "show", "version": version});
        if let (Some(id), Some(members)) = (&history.document_id, arguments.as_object_mut()) {
            members.insert("documentId".to_owned(), json!(id));
        }
        return show(bank, about(arguments, Some(document), history.entity), screen).await;
    }
    let most = usize::try_from(history.limit).unwrap_or(usize::MAX);
    let arguments = json!({"since": history.since, "until": history.until, "by": history.by});
    let mut arguments = about(arguments, history.document.as_deref(), history.entity);
    let mut versions: Vec<Value> = Vec::new();
    let mut note = None;
    while versions.len() < most {
        let mut page = history_call::call(bank, arguments.clone()).await?;
        note = page.get("note").cloned();
        if let Some(Value::Array(more)) = page.get_mut("versions") {
            versions.append(more);
        }
        match (page.get("nextCursor"), arguments.as_object_mut()) {
            (Some(cursor), Some(arguments)) => arguments.insert("cursor".to_owned(), cursor.clone()),
            _ => break,
        };
    }
    versions.truncate(most);
    for version in &versions {
        let at = text(version, "at");
        let number = version.get("version").and_then(Value::as_i64).unwrap_or_default();
        screen.put(Style::Date, at.get(..16).unwrap_or(at)).put(Style::Strong, &format!("  {number:>5}  "));
        let member = |name: &str| version.get(name).and_then(Value::as_str);
        let name = member("filename").or_else(|| member("entity")).or(history.document.as_deref());
        screen.put(Style::Name, name.unwrap_or_default());
        if let Some(about) = ["observation", "relation", "type"].into_iter().find_map(member) {
            let about: String = about.chars().take(ABOUT_CHARS).collect();
            screen.put(Style::Dim, &format!(" ({})", about.replace('\n', " ")));
        }
        let former = text(version, "formerName");
        if !former.is_empty() {
            screen.put(Style::Dim, &format!(" (before: {former})"));
        }
        let id = text(version, "documentId");
        if !id.is_empty() {
            screen.put(Style::Dim, &format!(" (a former document, {id})"));
        }
        let is_deleted = version.get("deleted").is_some_and(|deleted| deleted == true);
        let deleted = if is_deleted { ", deleted" } else { "" };
        screen.put(Style::Plain, &format!("  {}{deleted}", text(version, "kind")));
        let session = text(version, "session").get(..SESSION_CHARS).map(|id| format!(", session {id}…"));
        screen.line(Style::Dim, &format!("  {}{}", by(version), session.unwrap_or_default()));
    }
    if screen.is_empty() {
        screen.line(Style::Dim, "No version is recorded.");
    }
    let mut data = json!({"versions": versions});
    if let (Some(note), Some(members)) = (note, data.as_object_mut()) {
        screen.line(Style::Dim, note.as_str().unwrap_or_default());
        members.insert("note".to_owned(), note);
    }
    Ok(CommandOutput::new(data, screen))
}

async fn show(bank: &CommandBank, mut arguments: Value, mut screen: Screen) -> anyhow::Result<CommandOutput> {
    let mut all = history_call::call(bank, arguments.clone()).await?;
    let mut whole = text(&all, "text").to_owned();
    let mut cursor = all.get("nextCursor").cloned();
    while let (Some(next), Some(arguments)) = (cursor.take(), arguments.as_object_mut()) {
        arguments.insert("cursor".to_owned(), next);
        let page = history_call::call(bank, Value::Object(arguments.clone())).await?;
        whole.push_str(text(&page, "text"));
        cursor = page.get("nextCursor").cloned();
    }
    if screen.view().is_terminal {
        screen.block(Style::Plain, "", &whole);
    } else {
        screen.unchanged(&whole);
    }
    if let Some(object) = all.as_object_mut() {
        for name in ["nextCursor", "fromLine", "lines"] {
            object.shift_remove(name);
        }
        object.insert("text".to_owned(), json!(whole));
    }
    Ok(CommandOutput::new(all, screen))
}

/// The difference between a version and another, or what is there now.
pub(super) async fn diff(
    bank: &CommandBank,
    diff: &DiffArguments,
    mut screen: Screen,
) -> anyhow::Result<CommandOutput> {
    let arguments = json!({"action": "diff", "version": diff.version, "with": diff.with});
    let arguments = about(arguments, Some(&diff.document), diff.entity);
    let data = history_call::call(bank, arguments).await?;
    // A long reply is text only.
    let lines = data.get("diff").or_else(|| data.get("message")).and_then(Value::as_str).unwrap_or_default();
    for line in lines.lines() {
        let style = match line.chars().next() {
            Some('+') => Style::Strong,
            Some('-') => Style::Alert,
            Some('@') => Style::Dim,
            _ => Style::Plain,
        };
        screen.line(style, line);
    }
    Ok(CommandOutput::new(data, screen))
}

/// Who made a version, and with which tool. The author of an imported version is a claim of its source.
fn by(version: &Value) -> String {
    let is_imported = version.get("imported").is_some_and(|imported| imported == true);
    let imported = if is_imported { "imported" } else { "" };
    let parts = [text(version, "by"), text(version, "tool"), imported, text(version, "origin")];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// Each line with the version that wrote it.
pub(super) async fn blame(
    bank: &CommandBank,
    document: &str,
    mut screen: Screen,
) -> anyhow::Result<CommandOutput> {
    let arguments = json!({"action": "blame", "filename": with_extension(document)});
    let data = history_call::call_all(bank, arguments, &["ranges"]).await?;
    let ranges = data.get("ranges").and_then(Value::as_array).cloned().unwrap_or_default();
    let width = ranges.iter().map(|range| by(range).chars().count()).max().unwrap_or_default();
    for range in &ranges {
        let number = range.get("version").and_then(Value::as_i64);
        let (number, at) = match number {
            Some(number) => (number.to_string(), text(range, "at")),
            None => ("-".to_owned(), ""),
        };
        let at = at.get(..16).unwrap_or(at);
        let lines = range.get("text").or_else(|| range.get("textPart")).and_then(Value::as_str);
        for line in lines.unwrap_or_default().lines() {
            screen.put(Style::Strong, &format!("{number:>5}  ")).put(Style::Date, &format!("{at:16}"));
            screen.put(Style::Dim, &format!("  {:width$}  ", by(range))).line(Style::Plain, line);
        }
    }
    let note = text(&data, "note");
    if !note.is_empty() {
        screen.line(Style::Dim, note);
    }
    if screen.is_empty() {
        screen.line(Style::Dim, "The document has no lines.");
    }
    Ok(CommandOutput::new(data, screen))
}

/// The arguments with the name of a document or an entity.
pub(super) fn about(mut arguments: Value, name: Option<&str>, is_entity: bool) -> Value {
    if let (Some(name), Some(members)) = (name, arguments.as_object_mut()) {
        let (member, name) =
            if is_entity { ("entity", name.to_owned()) } else { ("filename", with_extension(name)) };
        members.insert(member.to_owned(), json!(name));
    }
    arguments
}

/// The name of a document; `.md` may be left out.
fn with_extension(name: &str) -> String {
    let has_one = [".md", ".json"].iter().any(|extension| name.to_ascii_lowercase().ends_with(extension));
    if has_one { name.to_owned() } else { format!("{name}.md") }
}

pub(super) fn text<'v>(data: &'v Value, name: &str) -> &'v str {
    data.get(name).and_then(Value::as_str).unwrap_or_default()
}
