//! Checks of texts from a caller, before they become part of a document.

use crate::document::roles::is_placeholder;
use crate::error::EditError;
use crate::limits;

/// A single line, which may be empty: control characters, line breaks included, become blanks, and the ends are
/// trimmed.
///
/// # Errors
/// It is longer than [`limits::LINE_BYTES`].
pub(super) fn line(name: &str, text: &str) -> Result<String, EditError> {
    within(name, text, limits::LINE_BYTES)?;
    let broken = |character: char| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    let pieces = text.split(broken).map(str::trim).filter(|piece| !piece.is_empty());
    Ok(pieces.collect::<Vec<_>>().join(" "))
}

/// A single line that is not empty.
///
/// # Errors
/// It is blank or too long.
pub(super) fn written_line(name: &str, text: &str) -> Result<String, EditError> {
    let line = line(name, text)?;
    if line.is_empty() {
        return Err(EditError::Refused(format!("`{name}` is empty; give a text")));
    }
    Ok(line)
}

/// The lines of a list without blank ones.
///
/// # Errors
/// There are more than [`limits::LIST_ITEMS`], or one is too long.
pub(super) fn lines(name: &str, items: &[String]) -> Result<Vec<String>, EditError> {
    if items.len() > limits::LIST_ITEMS {
        return Err(EditError::Refused(format!(
            "`{name}` has {} items, at most {} are allowed; split the call",
            items.len(),
            limits::LIST_ITEMS
        )));
    }
    let mut kept = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let item = line(&format!("{name}[{index}]"), item)?;
        if !item.is_empty() {
            kept.push(item);
        }
    }
    Ok(kept)
}

/// The items of a list that is written: as [`lines`], but a placeholder is an error.
///
/// # Errors
/// As [`lines`]; or an item is only a placeholder, which readers omit.
pub(super) fn items(name: &str, items: &[String]) -> Result<Vec<String>, EditError> {
    let items = lines(name, items)?;
    match items.iter().find(|item| is_placeholder(item)) {
        Some(item) => Err(EditError::Refused(format!(
            "`{name}`: `{item}` is a placeholder, which tools do not show; give the real text, or `clear` to empty a list"
        ))),
        None => Ok(items),
    }
}

/// A text of several lines; blank lines at its ends are dropped, line endings are `\n`.
///
/// # Errors
/// It is longer than [`limits::TEXT_BYTES`].
pub(super) fn text(name: &str, text: &str) -> Result<String, EditError> {
    within(name, text, limits::TEXT_BYTES)?;
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    Ok(text.trim_matches('\n').trim_end().to_owned())
}

fn within(name: &str, text: &str, limit: usize) -> Result<(), EditError> {
    if text.len() > limit {
        return Err(EditError::Refused(format!(
            "`{name}` is {} bytes long, at most {limit} are allowed; shorten it",
            text.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_become_single_blanks() {
        assert_eq!(line("note", " a\r\n\r\n## b\u{2028}c\td ").unwrap(), "a ## b c d");
    }

    #[test]
    fn an_exceeded_bound_is_named_with_its_argument() {
        let error = lines("tasks", &["x".repeat(limits::LINE_BYTES + 1)]).unwrap_err().to_string();
        assert!(error.contains("`tasks[0]`") && error.contains("8192"), "{error}");
        let error = lines("tasks", &vec![String::new(); limits::LIST_ITEMS + 1]).unwrap_err().to_string();
        assert!(error.contains("`tasks`") && error.contains("500"), "{error}");
    }
}
