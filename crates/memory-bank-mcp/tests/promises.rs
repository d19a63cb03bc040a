//! `SECURITY.md`, `docs/security.md` and `docs/deployment-guide.md` name a test for each claim. This checks that every named test
//! exists.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly; the lints know test functions only"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use rstest::rstest;

/// The first lines of tables of guarantees and of threats.
const HEADINGS: [&str; 2] =
    ["| Guarantee | Test |", "| Threat | What holds against it | Shown by, among others |"];
/// The maximum number of lines between a test's attribute and its name, such as cases of a table.
const LINES_BEFORE: usize = 40;

/// A file of the repository: its path and its text.
type Source = (PathBuf, String);

#[rstest]
#[case("docs/security.md", 30)]
#[case("docs/deployment-guide.md", 30)]
#[case("SECURITY.md", 15)]
fn every_claim_in_the_documentation_names_an_existing_test(#[case] name: &str, #[case] at_least: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join(name)).unwrap();
    let mut sources = Vec::new();
    for folder in ["crates", "tests"] {
        collect(&root.join(folder), &mut sources);
    }
    let promises = promises(&page);
    assert!(promises.len() > at_least, "{} promises: was the table's heading changed?", promises.len());
    let wrong: Vec<String> = promises.iter().filter_map(|row| fault(row, &sources)).collect();
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}

/// The rows of all tables of promises.
fn promises(page: &str) -> Vec<&str> {
    let mut rows = Vec::new();
    let mut lines = page.lines();
    while lines.by_ref().any(|line| HEADINGS.contains(&line)) {
        rows.extend(lines.by_ref().skip(1).take_while(|line| line.starts_with('|')));
    }
    rows
}

/// The fault of a row: it names no test, or a missing one.
fn fault(row: &str, sources: &[Source]) -> Option<String> {
    let reference = Regex::new(r"`([\w./-]+\.(?:rs|py|mjs))::([^`]+)`").unwrap();
    let shown = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
    let mut named = 0;
    for found in reference.captures_iter(shown) {
        named += 1;
        let (path, test) = (&found[1], &found[2]);
        let files: Vec<&Source> = sources.iter().filter(|(file, _)| file.ends_with(path)).collect();
        match files.as_slice() {
            [] => return Some(format!("there is no file `{path}`")),
            [(_, text)] if is_test(path, text, test) => {}
            [_] => return Some(format!("`{path}` has no test `{test}`")),
            _ => return Some(format!("several files are called `{path}`: name the folder, too")),
        }
    }
    (named == 0).then(|| format!("no test is named: {row}"))
}

/// Whether a file has this test.
fn is_test(path: &str, text: &str, test: &str) -> bool {
    if path.ends_with(".py") {
        return Regex::new(&format!(r"(?m)^(async )?def {}\(", regex::escape(test))).unwrap().is_match(text);
    }
    if path.ends_with(".mjs") {
        return text.contains(&format!("test(\"{test}\"")) || text.contains(&format!("test('{test}'"));
    }
    let name = Regex::new(&format!(r"^\s*(pub )?(async )?fn {}\(", regex::escape(test))).unwrap();
    let attribute = Regex::new(r"^\s*#\[(tokio::)?test\b|^\s*#\[rstest\b|^\s*proptest! \{").unwrap();
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().enumerate().any(|(at, line)| {
        // Back to the end of the item before.
        let before = lines[at.saturating_sub(LINES_BEFORE)..at].iter().rev();
        name.is_match(line) && before.take_while(|line| **line != "}").any(|line| attribute.is_match(line))
    })
}

/// The sources below a folder, without installed packages and build results.
fn collect(folder: &Path, sources: &mut Vec<Source>) {
    let unwanted = BTreeSet::from(["node_modules", ".venv", "target", "__pycache__"]);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !unwanted.contains(name.as_str()) {
                collect(&path, sources);
            }
        } else if [".rs", ".py", ".mjs"].iter().any(|end| name.ends_with(end)) {
            sources.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn a_claim_without_a_test_is_reported() {
    let text = "#[test]\nfn it_holds() {\n}\n\nfn helper() {\n}\n".to_owned();
    let sources = [(PathBuf::from("/x/a/one.rs"), text.clone()), (PathBuf::from("/x/b/one.rs"), text)];
    let page =
        "# Security\n\n| Guarantee | Test |\n|---|---|\n| a | `a/one.rs::it_holds` |\n| b | – |\n\nEnd\n";
    let rows = promises(page);
    assert_eq!(rows.len(), 2);
    assert_eq!(fault(rows[0], &sources), None);
    assert!(fault(rows[1], &sources).unwrap().contains("no test is named"));
    for (named, wrong) in [
        ("a/one.rs::it_held", "has no test"),
        ("a/one.rs::helper", "has no test"),
        ("two.rs::it_holds", "no file"),
        ("one.rs::it_holds", "several files"),
    ] {
        let row = format!("| a | `a/one.rs::it_holds`, `{named}` |");
        assert!(fault(&row, &sources).unwrap().contains(wrong), "{named}");
    }
}
