//! Puts one entry into the text of a client's file, and removes it again; all other text is kept byte for byte. It must not
//! know files or clients.

mod json;
mod json_layout;
mod json_list;
mod json_surrogates;
mod splice;
mod toml;
mod toml_syntax;
mod toml_values;

use std::ops::Range;

use anyhow::bail;
use serde_json::Value;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON, with comments and trailing commas where the client allows them.
    Json,
    /// TOML.
    Toml,
}

/// The location of an entry in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryLocation<'a> {
    pub(crate) format: Format,
    /// The member that contains servers by name.
    pub(crate) section: &'a str,
    /// The member of `projects` that has the section, for an entry of one project.
    pub(crate) project: Option<&'a str>,
    /// The server's name.
    pub(crate) name: &'a str,
}

impl<'a> EntryLocation<'a> {
    /// The names of the members that lead to the section.
    fn path(self) -> Vec<&'a str> {
        match self.project {
            Some(project) => vec!["projects", project, self.section],
            None => vec![self.section],
        }
    }
}

/// What to remove together with an entry.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PruneOptions<'a> {
    /// Whether to remove the section if it is empty.
    pub(crate) empty_section: bool,
    /// The id of a prompt to remove if nothing refers to it.
    pub(crate) unused_input: Option<&'a str>,
}

/// Splits the text after the byte order mark that programs on Windows write.
fn split_byte_order_mark(text: &str) -> (&str, &str) {
    text.strip_prefix('\u{feff}').map_or(("", text), |rest| ("\u{feff}", rest))
}

/// The entry, if the file has it.
///
/// # Errors
/// The text cannot be parsed, or the section of servers is not an object.
pub(crate) fn find(text: &str, location: EntryLocation<'_>) -> anyhow::Result<Option<Value>> {
    let body = split_byte_order_mark(text).1;
    match location.format {
        Format::Json => json::find(body, &location.path(), location.name),
        Format::Toml => toml::find(body, location.section, location.name),
    }
}

/// Whether the file has the member that contains servers.
///
/// # Errors
/// As with [`find`].
pub(crate) fn has_section(text: &str, location: EntryLocation<'_>) -> anyhow::Result<bool> {
    let body = split_byte_order_mark(text).1;
    match location.format {
        Format::Json => json::has_section(body, &location.path()),
        // In TOML, a table of servers without entries has no text.
        Format::Toml => Ok(true),
    }
}

/// The text with the entry, and with `input` in its list `inputs`. An entry of that name is replaced.
///
/// # Errors
/// As with [`find`]; or the entry cannot be added to the text.
pub(crate) fn put(
    text: &str,
    location: EntryLocation<'_>,
    entry: &Value,
    input: Option<&Value>,
) -> anyhow::Result<String> {
    let (mark, body) = split_byte_order_mark(text);
    let changed = match location.format {
        Format::Json => {
            let body = json::put(body, &location.path(), location.name, entry)?;
            match input {
                Some(input) => json::put_input(&body, input)?,
                None => body,
            }
        }
        Format::Toml => toml::put(body, location.section, location.name, entry)?,
    };
    // Check the entry as clients read it.
    if find(&changed, location)?.as_ref() != Some(entry) {
        bail!("the entry cannot be added to it; add it by hand, as `client-config` prints it");
    }
    Ok(format!("{mark}{changed}"))
}

/// The text without the entry.
///
/// # Errors
/// As with [`find`]; or the entry has a form that cannot be removed.
pub(crate) fn remove(
    text: &str,
    location: EntryLocation<'_>,
    prune: PruneOptions<'_>,
) -> anyhow::Result<String> {
    let (mark, body) = split_byte_order_mark(text);
    let changed = match location.format {
        Format::Json => {
            let body = json::remove(body, &location.path(), location.name, prune.empty_section)?;
            match prune.unused_input {
                Some(id) => json::remove_input(&body, id)?,
                None => body,
            }
        }
        Format::Toml => toml::remove(body, location.section, location.name)?,
    };
    if find(&changed, location)?.is_some() {
        bail!("the entry cannot be removed from it; remove it by hand");
    }
    Ok(format!("{mark}{changed}"))
}

/// The value to which these names lead in JSON.
///
/// # Errors
/// As with [`find`].
pub(crate) fn value_at(text: &str, path: &[&str]) -> anyhow::Result<Option<Value>> {
    json_list::value_at(split_byte_order_mark(text).1, path)
}

/// The JSON text with this value at the end of a list; the list is created if it is missing.
///
/// # Errors
/// As with [`find`]; or the member is not a list.
pub(crate) fn append(text: &str, path: &[&str], item: &Value) -> anyhow::Result<String> {
    let (mark, body) = split_byte_order_mark(text);
    let changed = json_list::append(body, path, item)?;
    let list = json_list::value_at(&changed, path)?;
    if list.as_ref().and_then(Value::as_array).and_then(|list| list.last()) != Some(item) {
        bail!("an item cannot be added to its list `{}`; add it by hand", path.join("."));
    }
    Ok(format!("{mark}{changed}"))
}

/// The JSON text with this member; one that is there stays as it is.
///
/// # Errors
/// As with [`find`].
pub(crate) fn put_value(text: &str, path: &[&str], value: &Value) -> anyhow::Result<String> {
    let (mark, body) = split_byte_order_mark(text);
    Ok(format!("{mark}{}", json_list::put_value(body, path, value)?))
}

/// The JSON text without the items of a list that `is_ours` accepts, directly or in the lists `inner` of its items; what
/// becomes empty by it is removed, but for the first `keep` names of the path.
///
/// # Errors
/// As with [`append`].
pub(crate) fn remove_items(
    text: &str,
    path: &[&str],
    inner: &str,
    is_ours: &dyn Fn(&Value) -> bool,
    keep: usize,
) -> anyhow::Result<String> {
    let (mark, body) = split_byte_order_mark(text);
    let changed = json_list::remove_items(body, path, inner, is_ours)?;
    if changed == body {
        return Ok(text.to_owned());
    }
    Ok(format!("{mark}{}", json_list::prune(&changed, path, keep)?))
}

/// Whether the text has no content, apart from the name of the schema that opencode adds to its file.
pub(crate) fn is_empty(text: &str, format: Format) -> bool {
    let body = split_byte_order_mark(text).1;
    match format {
        // Comments count as content: with them, the text is not JSON.
        Format::Json => match serde_json::from_str::<Value>(body) {
            Ok(Value::Object(members)) => members.keys().all(|name| name == "$schema"),
            _ => body.trim().is_empty(),
        },
        Format::Toml => body.trim().is_empty(),
    }
}

/// The ranges of `after` that were added to `before`; `None` if anything else was changed. [`without_ranges`] restores the
/// original byte for byte.
pub(crate) fn additions(before: &str, after: &str) -> Option<Vec<Range<usize>>> {
    let (old, new) = (before.as_bytes(), after.as_bytes());
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(left, right)| left == right).count();
    let end = new.len().checked_sub(tail)?;
    let mut rest = old.iter().take(old.len().saturating_sub(tail)).peekable();
    let mut added: Vec<Range<usize>> = Vec::new();
    for (at, byte) in new.iter().enumerate().take(end) {
        if rest.next_if(|old_byte| *old_byte == byte).is_some() {
            continue;
        }
        match added.last_mut() {
            Some(last) if last.end == at => last.end = at + 1,
            _ => added.push(at..at + 1),
        }
    }
    rest.next().is_none().then_some(added)
}

/// The text without these ranges.
pub(crate) fn without_ranges(text: &str, ranges: &[Range<usize>]) -> Option<String> {
    let rest: Vec<u8> = text
        .bytes()
        .enumerate()
        .filter(|(at, _)| !ranges.iter().any(|range| range.contains(at)))
        .map(|(_, byte)| byte)
        .collect();
    String::from_utf8(rest).ok()
}

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;
