//! Entries in TOML. An entry is a table with a header of its own, added at the end, or a value where the servers are written as
//! one; positions come from a parser.

use anyhow::Context;
use memory_bank_core::compact_sort::CompactSort as _;
use serde_json::{Map, Value};
use toml_edit::{Item, Key, Table};

use super::splice::splice;
use super::toml_syntax::{inline, parse};
use super::toml_values::{put_value, remove_value, value_span};

/// The entry of this name.
pub(super) fn find(text: &str, section: &str, name: &str) -> anyhow::Result<Option<Value>> {
    let document = parse(text)?;
    let Some(servers) = document.get(section) else { return Ok(None) };
    let servers =
        servers.as_table_like().with_context(|| format!("its `{section}` is not a table; fix it first"))?;
    Ok(servers.get(name).map(as_json))
}

fn as_json(item: &Item) -> Value {
    let of_table = |table: &dyn toml_edit::TableLike| {
        Value::Object(
            table.iter().map(|(name, item)| (name.to_owned(), as_json(item))).collect::<Map<_, _>>(),
        )
    };
    match item {
        Item::None => Value::Null,
        Item::Table(table) => of_table(table),
        Item::ArrayOfTables(tables) => Value::Array(tables.iter().map(|table| of_table(table)).collect()),
        Item::Value(value) => match value {
            toml_edit::Value::String(text) => Value::String(text.value().clone()),
            toml_edit::Value::Integer(number) => Value::from(*number.value()),
            toml_edit::Value::Float(number) => Value::from(*number.value()),
            toml_edit::Value::Boolean(value) => Value::Bool(*value.value()),
            toml_edit::Value::Datetime(time) => Value::String(time.to_string()),
            toml_edit::Value::Array(items) => {
                Value::Array(items.iter().map(|value| as_json(&Item::Value(value.clone()))).collect())
            }
            toml_edit::Value::InlineTable(table) => of_table(table),
        },
    }
}

/// Puts the entry where one of that name is, if that is possible, or else at the end.
pub(super) fn put(text: &str, section: &str, name: &str, entry: &Value) -> anyhow::Result<String> {
    for put_in_place in [put_members, put_value] {
        if let Some(changed) = put_in_place(text, section, name, entry)?
            && find(&changed, section, name).is_ok_and(|found| found.as_ref() == Some(entry))
        {
            return Ok(changed);
        }
    }
    let mut text =
        if find(text, section, name)?.is_some() { remove(text, section, name)? } else { text.to_owned() };
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    if !text.is_empty() && !text.ends_with('\n') {
        text += newline;
    }
    if !text.is_empty() {
        text += newline;
    }
    for line in lines(section, name, entry)? {
        text += &line;
        text += newline;
    }
    parse(&text).with_context(|| {
        format!("no table can be added to `{section}` in its present form; write its servers as `[{section}.NAME]`, then try again")
    })?;
    Ok(text)
}

/// Changes the lines that differ, so that comments between them stay. None where the entry is not a table with a line for each
/// value that differs.
fn put_members(text: &str, section: &str, name: &str, entry: &Value) -> anyhow::Result<Option<String>> {
    let document = parse(text)?;
    let servers = document.get(section).and_then(Item::as_table_like);
    let table = servers.and_then(|servers| servers.get(name)).and_then(Item::as_table);
    let (Some(table), Some(new_entry)) = (table, entry.as_object()) else { return Ok(None) };
    let Some(header) = table.span().filter(|_| !table.is_implicit() && !table.is_dotted()) else {
        return Ok(None);
    };
    let line_end =
        |at: usize| text.get(at..).and_then(|rest| rest.find('\n')).map(|newline| at + newline + 1);
    let mut edits = Vec::new();
    let mut last = header.end;
    for (member, item) in table {
        let is_same = new_entry.get(member) == Some(&as_json(item));
        let Some(span) = item.as_value().and_then(toml_edit::Value::span) else {
            // A table of its own below this one.
            if is_same { continue } else { return Ok(None) }
        };
        last = last.max(span.end);
        match (new_entry.get(member), table.key(member).and_then(Key::span)) {
            _ if is_same => {}
            (Some(value), _) => edits.push((span.start, span.end, inline(value)?)),
            (None, Some(key)) => {
                let start =
                    text.get(..key.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
                edits.push((start, line_end(span.end).unwrap_or(text.len()), String::new()));
            }
            (None, None) => return Ok(None),
        }
    }
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut added = String::new();
    for (member, value) in new_entry.iter().filter(|(member, _)| !table.contains_key(member)) {
        added += &format!("{} = {}{newline}", Key::new(member).display_repr(), inline(value)?);
    }
    match line_end(last) {
        Some(at) => edits.push((at, at, added)),
        None => edits.push((text.len(), text.len(), format!("{newline}{added}"))),
    }
    edits.compact_sort_by_key(|(start, end, _)| (*start, *end));
    Ok(Some(splice(text, &edits)))
}

/// The entry as a table.
fn lines(section: &str, name: &str, entry: &Value) -> anyhow::Result<Vec<String>> {
    let mut lines = vec![format!("[{section}.{name}]")];
    for (member, value) in entry.as_object().context("the entry is not an object")? {
        lines.push(format!("{} = {}", Key::new(member).display_repr(), inline(value)?));
    }
    Ok(lines)
}

/// Removes the table of the entry, with its subtables.
pub(super) fn remove(text: &str, section: &str, name: &str) -> anyhow::Result<String> {
    let by_hand =
        || format!("`{name}` is not a table with the header `[{section}.{name}]`; remove it by hand");
    let document = parse(text)?;
    let Some(servers) = document.get(section).and_then(Item::as_table_like) else {
        return Ok(text.to_owned());
    };
    let Some(item) = servers.get(name) else { return Ok(text.to_owned()) };
    if let Some(list) = document.get(section).and_then(Item::as_inline_table) {
        return remove_value(text, list, name).with_context(by_hand);
    }
    let mut spans = Vec::new();
    item_spans(servers.key(name), item, &mut spans).with_context(by_hand)?;
    spans.sort_unstable();
    let mut result = String::with_capacity(text.len());
    let mut at = 0;
    for (start, end) in spans {
        let is_header = text.get(start..).is_some_and(|rest| rest.starts_with('['));
        let start = text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
        let end =
            text.get(end..).and_then(|rest| rest.find('\n')).map_or(text.len(), |newline| end + newline + 1);
        result.push_str(text.get(at..start).unwrap_or_default());
        at = end.max(at);
        // The blank line before a header was added with it.
        let blank = ["\r\n\r\n", "\n\n"].iter().find(|blank| is_header && result.ends_with(**blank));
        if let Some(blank) = blank {
            result.truncate(result.len() - blank.len() / 2);
        }
    }
    result.push_str(text.get(at..).unwrap_or_default());
    Ok(result)
}

/// The spans of an item: of a table with a header from the header to the end of its last value, of others from the key to the end
/// of the value.
fn item_spans(key: Option<&Key>, item: &Item, spans: &mut Vec<(usize, usize)>) -> Option<()> {
    match item {
        Item::None => Some(()),
        Item::Value(value) => {
            spans.push((key?.span()?.start, value_span(value)?.end));
            Some(())
        }
        Item::Table(table) => table_spans(table, spans),
        Item::ArrayOfTables(list) => list.iter().try_for_each(|table| table_spans(table, spans)),
    }
}

fn table_spans(table: &Table, spans: &mut Vec<(usize, usize)>) -> Option<()> {
    // A table that is implicit or of dotted keys has no header.
    if !table.is_implicit() && !table.is_dotted() {
        let header = table.span()?;
        spans.push((header.start, header.end));
    }
    table.iter().try_for_each(|(name, item)| item_spans(table.key(name), item, spans))
}
