//! `list` and `show`: the documents of a bank.

use anyhow::bail;
use serde_json::{Map, Value, json};

use super::arguments::PartArguments;
use super::bank::CommandBank;
use super::command_output::CommandOutput;
use super::markdown;
use super::screen::{Screen, Style, moment};

/// The most parts that a document is read in.
const MAX_PARTS: usize = 1000;
/// How often a document that changes during the read is read again.
const READ_ATTEMPTS: usize = 3;
/// How many similar names an error lists.
const MAX_SUGGESTIONS: usize = 5;

/// A document in a list.
pub(super) struct ListedDocument {
    name: String,
    bytes: u64,
    updated_at: String,
}

/// The documents.
pub(super) async fn list(
    bank: &CommandBank,
    names: bool,
    mut screen: Screen,
) -> anyhow::Result<CommandOutput> {
    let data = documents(bank).await?;
    let listed = parse_documents(&data);
    if names {
        for item in &listed {
            screen.line(Style::Plain, &item.name);
        }
        return Ok(CommandOutput::new(data, screen));
    }
    if listed.is_empty() {
        screen.line(Style::Dim, "The memory bank has no documents.");
        return Ok(CommandOutput::new(data, screen));
    }
    let width = |text: &dyn Fn(&ListedDocument) -> usize| listed.iter().map(text).max().unwrap_or(0);
    let name_width = width(&|item| item.name.chars().count()).max(4) + 2;
    let sizes: Vec<String> = listed.iter().map(|item| size(item.bytes)).collect();
    let size_width = sizes.iter().map(String::len).max().unwrap_or(0).max(4);
    screen.column(Style::Dim, "NAME", name_width);
    screen.put(Style::Dim, &format!("{:>size_width$}  ", "SIZE")).line(Style::Dim, "CHANGED (UTC)");
    for (item, size) in listed.iter().zip(&sizes) {
        screen.column(Style::Name, &item.name, name_width);
        screen.put(Style::Plain, &format!("{size:>size_width$}  "));
        screen.line(Style::Date, &moment(&item.updated_at));
    }
    Ok(CommandOutput::new(data, screen))
}

async fn documents(bank: &CommandBank) -> anyhow::Result<Value> {
    let arguments = json!({"details": true, "limit": 10_000});
    bank.call_all("list_memory_bank_files", arguments, &["documents"]).await
}

fn parse_documents(data: &Value) -> Vec<ListedDocument> {
    let text =
        |item: &Value, name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let all = data.get("documents").and_then(Value::as_array);
    all.into_iter()
        .flatten()
        .map(|item| ListedDocument {
            name: text(item, "name"),
            bytes: item.get("bytes").and_then(Value::as_u64).unwrap_or_default(),
            updated_at: text(item, "updatedAt"),
        })
        .collect()
}

/// The part of a document that is shown, and the day or time of which.
type Selected<'a> = (&'a PartArguments, Option<&'a str>);

/// A document, or a part of it. Piped text is unchanged; text on a terminal is neutralised.
pub(super) async fn show(
    bank: &CommandBank,
    name: &str,
    part: Selected<'_>,
    mut screen: Screen,
) -> anyhow::Result<CommandOutput> {
    let data = match read_document(bank, name, part).await {
        Ok(data) => data,
        Err(error) => match other_name(bank, name).await? {
            Name::Exists => return Err(error),
            Name::Meant(meant) => read_document(bank, &meant, part).await?,
            Name::Unknown(text) => bail!(text),
        },
    };
    let text = ["content", "part"].iter().find_map(|name| data.get(*name)).and_then(Value::as_str);
    let text = text.unwrap_or_default();
    if screen.view().is_terminal {
        markdown::put(&mut screen, text);
    } else {
        screen.unchanged(text);
    }
    Ok(CommandOutput::new(data, screen))
}

/// The selected text with all of its parts. A document that changed between two parts is read again.
async fn read_document(bank: &CommandBank, name: &str, part: Selected<'_>) -> anyhow::Result<Value> {
    for _ in 0..READ_ATTEMPTS {
        if let Some(data) = read_parts(bank, name, part).await? {
            return Ok(data);
        }
    }
    bail!("`{name}` is changed again and again while it is read; try again")
}

/// The selected text with all of its parts; none if the document changed between two parts.
async fn read_parts(
    bank: &CommandBank,
    name: &str,
    (part, as_of): Selected<'_>,
) -> anyhow::Result<Option<Value>> {
    let read = async |arguments: Value| bank.call("read_memory_bank_file", arguments).await;
    let arguments = json!({
        "filename": name,
        "heading": part.heading,
        "fromLine": part.from_line,
        "lines": part.lines,
        "tail": part.tail,
        "maxChars": u32::MAX,
        "asOf": as_of,
    });
    let mut data = read(arguments).await?;
    let extent = |data: &Value| (data.get("totalLines").cloned(), data.get("totalChars").cloned());
    let before = extent(&data);
    if let (Some(tail), Some(_)) = (part.tail, data.get("next")) {
        // A part of a tail is its end; read it from its first line on instead.
        let total = data.get("totalLines").and_then(Value::as_u64).unwrap_or_default();
        let from_line = total.saturating_sub(u64::from(tail)).saturating_add(1);
        data = read(json!({"filename": name, "fromLine": from_line, "maxChars": u32::MAX, "asOf": as_of}))
            .await?;
    }
    for _ in 0..MAX_PARTS {
        if extent(&data) != before {
            return Ok(None);
        }
        let Some(next) = data.as_object_mut().and_then(|data| data.shift_remove("next")) else { break };
        let Some(Value::Object(arguments)) = next.get("arguments").cloned() else { break };
        let more = read(Value::Object(arguments)).await?;
        if extent(&more) != before {
            return Ok(None);
        }
        join(&mut data, &more);
    }
    let is_whole =
        part.heading.is_none() && part.from_line.is_none() && part.lines.is_none() && part.tail.is_none();
    if is_whole && let Some(object) = data.as_object_mut() {
        if let Some(text) = object.shift_remove("part") {
            let mut whole = Map::new();
            whole.insert("content".to_owned(), text);
            whole.append(object);
            *object = whole;
        }
        for name in ["headings", "fromLine", "lines"] {
            object.shift_remove(name);
        }
    }
    Ok(Some(data))
}

/// Appends the text of the next part.
fn join(data: &mut Value, more: &Value) {
    let text = |data: &Value| data.get("part").and_then(Value::as_str).unwrap_or_default().to_owned();
    let lines = |data: &Value| data.get("lines").and_then(Value::as_u64).unwrap_or_default();
    let mut joined = text(data);
    // A line that is cut by the end of a part counts once.
    let is_cut = !joined.is_empty() && !joined.ends_with('\n');
    let count = (lines(data) + lines(more)).saturating_sub(u64::from(is_cut));
    joined.push_str(&text(more));
    let Some(object) = data.as_object_mut() else { return };
    object.insert("part".to_owned(), json!(joined));
    object.insert("lines".to_owned(), json!(count));
    if let Some(next) = more.get("next") {
        object.insert("next".to_owned(), next.clone());
    }
}

/// The meaning of a name that cannot be read.
enum Name {
    /// There is a document of this name; the reason is another one.
    Exists,
    /// Exactly one other name is meant.
    Meant(String),
    /// None is; the text has similar names.
    Unknown(String),
}

/// The name without `.md`, or in another case, if it is the only one.
async fn other_name(bank: &CommandBank, name: &str) -> anyhow::Result<Name> {
    let data = documents(bank).await?;
    let listed = parse_documents(&data);
    let given = name.trim_start_matches("./");
    if listed.iter().any(|item| item.name == given) {
        return Ok(Name::Exists);
    }
    let with_end = format!("{given}.md");
    if listed.iter().any(|item| item.name == with_end) {
        return Ok(Name::Meant(with_end));
    }
    let lower = given.to_lowercase();
    let is_meant = |item: &&ListedDocument| {
        let known = item.name.to_lowercase();
        known == lower || known.strip_suffix(".md") == Some(lower.as_str())
    };
    let meant: Vec<&ListedDocument> = listed.iter().filter(is_meant).collect();
    if let [item] = meant.as_slice() {
        return Ok(Name::Meant(item.name.clone()));
    }
    let mut near: Vec<(usize, &str)> = listed
        .iter()
        .filter_map(|item| {
            let known = item.name.to_lowercase();
            let stem = known.strip_suffix(".md").unwrap_or(&known);
            let own = lower.strip_suffix(".md").unwrap_or(&lower);
            let distance =
                if !own.is_empty() && stem.contains(own) { 0 } else { strsim::levenshtein(stem, own) };
            (distance <= own.chars().count() / 2).then_some((distance, item.name.as_str()))
        })
        .collect();
    near.sort_unstable();
    let near: Vec<String> = near.iter().take(MAX_SUGGESTIONS).map(|(_, name)| format!("`{name}`")).collect();
    let hint = if near.is_empty() {
        "`memory-bank-mcp list` shows all documents".to_owned()
    } else {
        format!("similar: {}", near.join(", "))
    };
    Ok(Name::Unknown(format!("there is no document `{name}`; {hint}")))
}

/// A size for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => tenths(bytes, 1000, "KB"),
        _ => tenths(bytes, 1_000_000, "MB"),
    }
}

fn tenths(bytes: u64, unit: u64, name: &str) -> String {
    let tenths = bytes.saturating_mul(10) / unit;
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_in_order_and_lines_counted_once() {
        let mut data = json!({"part": "a\nb", "fromLine": 1, "lines": 2});
        join(&mut data, &json!({"part": "c\nd\n", "fromLine": 2, "lines": 2, "next": {}}));
        assert_eq!(data, json!({"part": "a\nbc\nd\n", "fromLine": 1, "lines": 3, "next": {}}));
    }

    #[test]
    fn sizes_and_moments_are_short() {
        assert_eq!([size(999), size(2150), size(3_000_000)], ["999 B", "2.1 KB", "3.0 MB"]);
        assert_eq!(moment("2026-11-22T09:30:07.045Z"), "2026-11-22 09:30");
    }
}
