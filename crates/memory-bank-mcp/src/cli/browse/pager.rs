//! Writes output: through a pager on a terminal, else to standard output. A reader that closes the pipe early does not cause an error.

use std::io::{ErrorKind, Write};
use std::process::{Child, Command, Stdio};

use anyhow::Context;

use super::screen::View;
use crate::cli::output::print_bytes;

/// The pager without `PAGER`: it ends by itself if the text fits the screen, and shows colours.
const DEFAULT_PAGER: &str = "less -FRX";

/// Shows a text; waits until the pager is left.
pub(super) fn show(text: &str, view: View) -> anyhow::Result<()> {
    let Some(mut pager) = pager(view).and_then(|command| start(&command)) else { return print(text) };
    if let Some(mut input) = pager.stdin.take() {
        ignore_closed_pipe(input.write_all(text.as_bytes())).context("the pager cannot be written to")?;
    }
    let status = pager.wait().context("the pager cannot be waited for")?;
    // The shell found no such program, or may not run it.
    if matches!(status.code(), Some(126 | 127)) { print(text) } else { Ok(()) }
}

/// Prints to standard output.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    print_bytes(text.as_bytes())
}

fn ignore_closed_pipe(outcome: std::io::Result<()>) -> std::io::Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// The command of the pager, if there is to be one.
fn pager(view: View) -> Option<String> {
    if !view.pages {
        return None;
    }
    match std::env::var("PAGER") {
        Ok(command) if command.trim().is_empty() || command.trim() == "cat" => None,
        Ok(command) => Some(command),
        Err(_) => Some(DEFAULT_PAGER.to_owned()),
    }
}

/// Starts the pager; none if it cannot be started, so that the text is printed.
fn start(command: &str) -> Option<Child> {
    const SHELL_SYNTAX: [char; 14] = ['"', '\'', '\\', '$', '`', '|', '&', ';', '<', '>', '(', ')', '*', '='];
    let mut process = if cfg!(unix) && command.contains(SHELL_SYNTAX) {
        // The user's own variable, with the shell's syntax in it.
        let mut shell = Command::new("sh");
        shell.args(["-c", command]);
        shell
    } else {
        let mut words = command.split_whitespace();
        let mut program = Command::new(words.next()?);
        program.args(words);
        program
    };
    if std::env::var_os("LESS").is_none() {
        process.env("LESS", "FRX");
    }
    process.stdin(Stdio::piped()).spawn().ok()
}
