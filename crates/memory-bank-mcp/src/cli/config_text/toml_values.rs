//! Entries in TOML that are values: `NAME = { … }`, or in a section that is one: `SECTION = { NAME = { … } }`. TOML extends neither by
//! a header.

use std::ops::Range;

use serde_json::Value;
use toml_edit::{InlineTable, Key};

use super::splice::splice;
use super::toml_syntax::{inline, parse};

/// Writes the entry as a value; `None` where neither it nor the section is one.
pub(super) fn put_value(
    text: &str,
    section: &str,
    name: &str,
    entry: &Value,
) -> anyhow::Result<Option<String>> {
    let document = parse(text)?;
    let Some(servers) = document.get(section) else { return Ok(None) };
    let present = servers.as_table_like().and_then(|servers| servers.get(name));
    if let Some(present) = present {
        let span = present.as_value().filter(|value| !is_dotted(value)).and_then(toml_edit::Value::span);
        let entry = inline(entry)?;
        return Ok(span.map(|span| splice(text, &[(span.start, span.end, entry)])));
    }
    let Some(list) = servers.as_inline_table() else { return Ok(None) };
    let Some(span) = list.span() else { return Ok(None) };
    let entry = format!("{} = {}", Key::new(name).display_repr(), inline(entry)?);
    let mut at = span.start + 1;
    let mut added = format!(" {entry}");
    for (_, value) in list {
        let Some(span) = value_span(value) else { return Ok(None) };
        if span.end > at {
            at = span.end;
            added = format!(", {entry}");
        }
    }
    if list.is_empty() && text.get(at..).is_some_and(|rest| rest.starts_with('}')) {
        added.push(' ');
    }
    Ok(Some(splice(text, &[(at, at, added)])))
}

/// The text without the value of this name in the section; `None` where it cannot be taken out.
pub(super) fn remove_value(text: &str, section: &InlineTable, name: &str) -> Option<String> {
    let mut items = Vec::new();
    let mut own = None;
    for (known, value) in section {
        let span = section.key(known)?.span()?.start..value_span(value)?.end;
        if known == name && !is_dotted(value) {
            own = Some(span.clone());
        }
        items.push(span);
    }
    let own = own?;
    let before = items.iter().filter(|item| item.end <= own.start).max_by_key(|item| item.end);
    let after = items.iter().filter(|item| item.start >= own.end).min_by_key(|item| item.start);
    // With its comma.
    let range = match (before, after) {
        (Some(before), _) => before.end..own.end,
        (None, Some(after)) => own.start..after.start,
        (None, None) => own,
    };
    Some(splice(text, &[(range.start, range.end, String::new())]))
}

/// The span of a value, and of all values in a table of dotted keys, which need not be beside each other.
pub(super) fn value_span(value: &toml_edit::Value) -> Option<Range<usize>> {
    let toml_edit::Value::InlineTable(table) = value else { return value.span() };
    if !table.is_dotted() {
        return value.span();
    }
    let spans = table.iter().map(|(_, value)| value_span(value)).collect::<Option<Vec<_>>>()?;
    let start = spans.iter().map(|span| span.start).min()?;
    Some(start..spans.iter().map(|span| span.end).max()?)
}

fn is_dotted(value: &toml_edit::Value) -> bool {
    value.as_inline_table().is_some_and(InlineTable::is_dotted)
}

#[cfg(test)]
mod tests {
    use super::super::toml::{find, put, remove};
    use super::*;
    use serde_json::json;

    const SECTION: &str = "mcp_servers";
    const NAME: &str = "memory-bank";

    fn entry() -> Value {
        json!({ "command": "m", "args": ["--path", "/a \"b\""] })
    }

    #[test]
    fn an_entry_is_added_to_a_section_that_is_a_value_and_removed_again() {
        for (before, after) in [
            ("mcp_servers = {}\n", "mcp_servers = { NEW }\n"),
            ("mcp_servers = { }", "mcp_servers = { NEW }"),
            (
                "mcp_servers = { o = { command = \"x\" } } # mine\r\n[t]\r\na = 1\r\n",
                "mcp_servers = { o = { command = \"x\" }, NEW } # mine\r\n[t]\r\na = 1\r\n",
            ),
            (
                "mcp_servers={o.command=\"x\",o.env.A=\"1\"}\n",
                "mcp_servers={o.command=\"x\",o.env.A=\"1\", NEW}\n",
            ),
        ] {
            let written = put(before, SECTION, NAME, &entry()).unwrap();
            let value = inline(&entry()).unwrap();
            assert_eq!(written, after.replace("NEW", &format!("memory-bank = {value}")));
            assert_eq!(find(&written, SECTION, NAME).unwrap(), Some(entry()));
            if before.contains(" o = ") {
                assert_eq!(remove(&written, SECTION, NAME).unwrap(), before);
            }
        }
    }

    #[test]
    fn an_entry_that_is_a_value_or_has_dotted_keys_is_replaced_and_removed() {
        for (before, without) in [
            (
                "[mcp_servers]\nmemory-bank = { command = \"x\" } # old\nz = { command = \"y\" } # kept\n\n[t]\na = 1\n",
                "[mcp_servers]\nz = { command = \"y\" } # kept\n\n[t]\na = 1\n",
            ),
            (
                "mcp_servers = { memory-bank = { command = \"x\" }, z = { command = \"y\" } }\n",
                "mcp_servers = { z = { command = \"y\" } }\n",
            ),
            (
                "a = 1\n\nmcp_servers.memory-bank.command = \"x\"\nmcp_servers.memory-bank.args = [\n]\n\nmcp_servers.z.command = \"y\"\n",
                "a = 1\n\n\nmcp_servers.z.command = \"y\"\n",
            ),
            (
                "[mcp_servers]\nmemory-bank.command = \"x\"\nz.command = \"y\"\n\n[mcp_servers.memory-bank.env]\nA = \"1\"\n",
                "[mcp_servers]\nz.command = \"y\"\n",
            ),
            ("[mcp_servers]\nmemory-bank = \"x\"\nz = 1\n", "[mcp_servers]\nz = 1\n"),
            ("[[mcp_servers.memory-bank]]\na = 1\n\n[mcp_servers.z]\n", "\n[mcp_servers.z]\n"),
        ] {
            assert_eq!(remove(before, SECTION, NAME).unwrap(), without);
            let replaced = put(before, SECTION, NAME, &entry()).unwrap();
            assert_eq!(find(&replaced, SECTION, NAME).unwrap(), Some(entry()), "{replaced}");
            let others = |text: &str| find(text, SECTION, "z").unwrap();
            assert_eq!(others(&replaced), others(before), "{replaced}");
            assert_eq!(others(&remove(&replaced, SECTION, NAME).unwrap()), others(before), "{replaced}");
        }
    }

    #[test]
    fn an_entry_of_dotted_keys_in_a_section_that_is_a_value_is_left_to_the_user() {
        let text = "mcp_servers = { memory-bank.command = \"x\", z = 1, memory-bank.args = [] }\n";
        for error in
            [remove(text, SECTION, NAME).unwrap_err(), put(text, SECTION, NAME, &entry()).unwrap_err()]
        {
            assert!(error.to_string().contains("by hand"), "{error}");
        }
    }
}
