//! Output of commands: tables for people, JSON for programs.

use std::fmt;
use std::io::{ErrorKind, Write};

use anyhow::Context;
use memory_bank_core::unicode::misleads_on_terminal;
use serde_json::Value;

/// The notice that is shown with a key.
pub(crate) const KEY_SHOWN_ONCE: &str = "Keep the key now: it is not stored and cannot be shown again.";

/// The form of the output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// As JSON, for programs.
    pub(crate) json: bool,
}

impl Output {
    /// Prints the data, or the text for people.
    pub(crate) fn show(self, data: &Value, text: &str) -> anyhow::Result<()> {
        if self.json { print_line(&data.to_string()) } else { print_text(text) }
    }
}

/// Prints a line to standard output, which is free if no client speaks MCP over it.
pub(crate) fn print_line(text: &str) -> anyhow::Result<()> {
    print_bytes(format!("{}\n", text.trim_end()).as_bytes())
}

/// Writes to standard output. A reader that closes the pipe early causes no error.
pub(crate) fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        _ => Ok(()),
    }
}

/// Prints a text of several lines to standard output. Parts of it may come from anybody, so it is escaped.
pub(crate) fn print_text(text: &str) -> anyhow::Result<()> {
    print_line(&escaped_text(text))
}

/// Prints a text of several lines to standard error, escaped as by [`print_text`].
pub(crate) fn print_stderr(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stderr().lock();
    writeln!(out, "{}", escaped_text(text)).context("standard error is closed")
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row. Labels and names come from users, so characters that move the cursor, start a line or change the
    /// direction of text are escaped.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.into_iter().map(|cell| escaped_line(&cell)).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |at: usize| self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
        for row in &self.rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// The text with all control characters but line ends escaped: files that commands read, and errors about them, may come
/// from anybody.
pub(crate) fn escaped_text(text: &str) -> String {
    text.split('\n').map(escaped_line).collect::<Vec<_>>().join("\n")
}

fn escaped_line(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    for character in line.chars() {
        if character.is_control() || misleads_on_terminal(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_add_a_row_or_move_the_cursor() {
        let mut table = Table::new(&["LABEL"]);
        table.row(vec!["\u{1b}[2Ja\nroot \u{202e}b".to_owned()]);
        let shown = table.to_string();
        assert_eq!(shown, "LABEL\n\\u{1b}[2Ja\\u{a}root \\u{202e}b\n");
    }

    #[test]
    fn a_text_keeps_its_lines_and_nothing_else_that_moves_the_cursor() {
        assert_eq!(escaped_text("one\ntwo \u{1b}]0;x\u{7}\n"), "one\ntwo \\u{1b}]0;x\\u{7}\n");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["A", "LONG"]);
        table.row(vec!["wide".to_owned(), "x".to_owned()]);
        assert_eq!(table.to_string(), "A     LONG\nwide  x\n");
    }
}
