//! Puts one entry into the text of a client's file, and takes it out again; everything else stays, byte for byte. Text
//! only: it must not know files or clients.

mod json;
mod json_layout;
mod toml;

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

/// Where an entry is in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot<'a> {
    pub(crate) format: Format,
    /// The member that contains servers by name.
    pub(crate) section: &'a str,
    /// The server's name.
    pub(crate) name: &'a str,
}

/// What is taken out beside an entry.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Emptied<'a> {
    /// The section, if nothing is left in it.
    pub(crate) section: bool,
    /// The prompt of this id, if nothing refers to it.
    pub(crate) input: Option<&'a str>,
}

/// The byte order mark that programs on Windows write, and the text after it.
fn without_mark(text: &str) -> (&str, &str) {
    text.strip_prefix('\u{feff}').map_or(("", text), |rest| ("\u{feff}", rest))
}

/// The entry that the file has, if it has one.
///
/// # Errors
/// The text cannot be parsed, or what contains servers is something else.
pub(crate) fn find(text: &str, spot: Spot<'_>) -> anyhow::Result<Option<Value>> {
    let body = without_mark(text).1;
    match spot.format {
        Format::Json => json::find(body, spot.section, spot.name),
        Format::Toml => toml::find(body, spot.section, spot.name),
    }
}

/// Whether the file has the member that contains servers.
///
/// # Errors
/// As with [`find`].
pub(crate) fn has_section(text: &str, spot: Spot<'_>) -> anyhow::Result<bool> {
    let body = without_mark(text).1;
    match spot.format {
        Format::Json => json::has_section(body, spot.section),
        // A table of servers has no text of its own that could be left.
        Format::Toml => Ok(true),
    }
}

/// The text with the entry, and with `input` in its list `inputs`. An entry of that name is replaced.
///
/// # Errors
/// As with [`find`]; or the text has a form to which nothing can be added.
pub(crate) fn put(
    text: &str,
    spot: Spot<'_>,
    entry: &Value,
    input: Option<&Value>,
) -> anyhow::Result<String> {
    let (mark, body) = without_mark(text);
    let changed = match spot.format {
        Format::Json => {
            let body = json::put(body, spot.section, spot.name, entry)?;
            match input {
                Some(input) => json::put_input(&body, input)?,
                None => body,
            }
        }
        Format::Toml => toml::put(body, spot.section, spot.name, entry)?,
    };
    // What clients will read is checked, not only how it was made.
    if find(&changed, spot)?.as_ref() != Some(entry) {
        bail!("the entry cannot be added to it; add it by hand, as `client-config` prints it");
    }
    Ok(format!("{mark}{changed}"))
}

/// The text without the entry.
///
/// # Errors
/// As with [`find`]; or the entry is written in a form that cannot be taken out.
pub(crate) fn take(text: &str, spot: Spot<'_>, emptied: Emptied<'_>) -> anyhow::Result<String> {
    let (mark, body) = without_mark(text);
    let changed = match spot.format {
        Format::Json => {
            let body = json::take(body, spot.section, spot.name, emptied.section)?;
            match emptied.input {
                Some(id) => json::take_input(&body, id)?,
                None => body,
            }
        }
        Format::Toml => toml::take(body, spot.section, spot.name)?,
    };
    if find(&changed, spot)?.is_some() {
        bail!("the entry cannot be taken out of it; remove it by hand");
    }
    Ok(format!("{mark}{changed}"))
}

/// Whether nothing is left, but the name of the schema, which opencode adds to its file.
pub(crate) fn is_empty(text: &str, format: Format) -> bool {
    let body = without_mark(text).1;
    match format {
        // Comments are something, and are no JSON.
        Format::Json => match serde_json::from_str::<Value>(body) {
            Ok(Value::Object(members)) => members.keys().all(|name| name == "$schema"),
            _ => body.trim().is_empty(),
        },
        Format::Toml => body.trim().is_empty(),
    }
}

/// The parts of `after` without which it is `before`; none if more than additions separate them.
///
/// With them the original comes back byte for byte.
pub(crate) fn additions(before: &str, after: &str) -> Option<Vec<Range<usize>>> {
    let (old, new) = (before.as_bytes(), after.as_bytes());
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(one, other)| one == other).count();
    let end = new.len().checked_sub(tail)?;
    let mut rest = old.iter().take(old.len().saturating_sub(tail)).peekable();
    let mut added: Vec<Range<usize>> = Vec::new();
    for (at, byte) in new.iter().enumerate().take(end) {
        if rest.next_if(|wanted| *wanted == byte).is_some() {
            continue;
        }
        match added.last_mut() {
            Some(last) if last.end == at => last.end = at + 1,
            _ => added.push(at..at + 1),
        }
    }
    rest.next().is_none().then_some(added)
}

/// `after` without these parts.
pub(crate) fn without(after: &str, added: &[Range<usize>]) -> Option<String> {
    let kept: Vec<u8> = after
        .bytes()
        .enumerate()
        .filter(|(at, _)| !added.iter().any(|range| range.contains(at)))
        .map(|(_, byte)| byte)
        .collect();
    String::from_utf8(kept).ok()
}

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod tests;
