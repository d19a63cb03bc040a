//! The commands for people on a terminal: colours, the pager, and texts that try to control it.

use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::browse::{ATTACK, bank, write};
use crate::client::command;

/// The bytes that a terminal receives from a command.
fn on_terminal(folder: &TempDir, words: &str, variables: &[(&str, &str)]) -> String {
    let program = env!("CARGO_BIN_EXE_memory-bank-mcp");
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &format!("{program} {words}"), "/dev/null"])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", folder.path())
        .env("TERM", "xterm-256color")
        .env("PAGER", "cat")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("`script` of util-linux");
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

/// The escape sequences in a text.
fn escapes(text: &str) -> Vec<String> {
    let ends = |character: char| character.is_ascii_alphabetic() || character == '\u{7}';
    text.split('\u{1b}')
        .skip(1)
        .map(|rest| rest.chars().take(1 + rest.find(ends).unwrap_or(rest.len())).collect())
        .collect()
}

const ALL: [&str; 8] = [
    "list",
    "show notes.md",
    "show notes.md --heading First",
    "search words",
    "digest",
    "log",
    "status",
    "log --decisions",
];

#[test]
fn a_document_cannot_control_the_terminal() {
    let folder = bank();
    let bank = folder.path().join("memory-bank");
    write(&bank, "evil \u{1b}[2J\u{202e}.md", "x\n");
    write(
        &bank,
        "progress.md",
        &format!("# Progress\n\n## Update History\n\n- [2026-11-21 10:00:00] - Did: {ATTACK}\n"),
    );
    write(&bank, "decision-log.md", &format!("# D\n\n## Title {ATTACK}\n- **Decision:** words {ATTACK}\n"));
    let is_colour = |escape: &String| {
        escape.starts_with('[') && escape.ends_with('m') && escape.len() <= 5
            || escape == "[1;34m"
            || escape == "[1;31m"
    };
    for words in ALL {
        let text = on_terminal(&folder, words, &[]);
        let found = escapes(&text);
        assert!(!found.is_empty(), "{words}: no colours in {text:?}");
        assert!(found.iter().all(is_colour), "{words}: {found:?}");
        assert!(
            !text.contains(['\u{7}', '\u{8}', '\u{9b}', '\u{202e}', '\u{202c}', '\u{feff}']),
            "{words}: {text:?}"
        );
    }
    // A document's own colour is not the program's.
    let shown = on_terminal(&folder, "show notes.md", &[]);
    assert!(shown.contains("\\u{1b}[31mred\\u{1b}]0;owned\\u{7}"), "{shown:?}");
}

#[test]
fn no_color_and_dumb_terminals_switch_colours_off_and_texts_are_still_neutralised() {
    let folder = bank();
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        for words in ALL {
            let text = on_terminal(&folder, words, &[variable]);
            assert!(
                !text.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{7}']),
                "{variable:?} {words}: {text:?}"
            );
        }
    }
    assert!(on_terminal(&folder, "list", &[("NO_COLOR", "")]).contains('\u{1b}'), "an empty NO_COLOR counts");
}

#[test]
fn long_output_goes_through_the_pager_on_a_terminal_only() {
    let folder = bank();
    let pager = "sed 's/^/paged: /'";
    let text = on_terminal(&folder, "list --names", &[("PAGER", pager), ("NO_COLOR", "1")]);
    assert_eq!(text.replace('\r', ""), "paged: decision-log.md\npaged: notes.md\npaged: progress.md\n");
    for (words, variable) in [
        ("list --names --no-pager", pager),
        ("list --names", "a-pager-that-does-not-exist"),
        ("list --names", ""),
    ] {
        let text = on_terminal(&folder, words, &[("PAGER", variable), ("NO_COLOR", "1")]);
        assert_eq!(
            text.replace('\r', ""),
            "decision-log.md\nnotes.md\nprogress.md\n",
            "{words}, {variable:?}"
        );
    }
    // Leaving the pager early does not cause an error.
    on_terminal(&folder, "show progress.md", &[("PAGER", "true")]);
    let piped = command(&folder, &[("PAGER", pager)]).args(["list", "--names"]).output().unwrap();
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), "decision-log.md\nnotes.md\nprogress.md\n");
}
