//! Shows a change as a diff without secrets: users' files contain keys of other servers, and other people read terminals and
//! build logs.

use std::collections::HashSet;

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::masks;
use crate::cli::config_text::Format;

/// Unchanged lines around a change.
const CONTEXT_LINES: usize = 2;
/// The longest unchanged line in characters; longer ones are cut.
const LINE_CHARS: usize = 160;
/// The longest changed line in characters: long enough for all that is written into a file of one line.
const CHANGED_LINE_CHARS: usize = 8_000;

/// The change from `before` to `after`. Only names, and the strings and numbers in `ours`, are shown.
pub(super) fn diff(before: &str, after: &str, format: Format, ours: &Value) -> String {
    let mut known = HashSet::new();
    collect_texts(ours, &mut known);
    let (old, new) =
        (masks::masked_lines(before, format, &known), masks::masked_lines(after, format, &known));
    let (before, after): (Vec<_>, Vec<_>) =
        (before.split_inclusive('\n').collect(), after.split_inclusive('\n').collect());
    let diff = TextDiff::from_slices(&before, &after);
    let mut shown = String::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT_LINES).iter_hunks() {
        shown += &format!("{}\n", hunk.header());
        for change in hunk.iter_changes() {
            let line = match (change.new_index(), change.old_index()) {
                (Some(at), _) => new.get(at),
                (None, at) => at.and_then(|at| old.get(at)),
            };
            let length = if change.tag() == ChangeTag::Equal { LINE_CHARS } else { CHANGED_LINE_CHARS };
            shown += &format!("{}{}\n", change.tag(), cut(line.map_or("", String::as_str), length));
        }
    }
    shown
}

/// A line of at most this length, with blanks for tabs, which a terminal shows at another width.
fn cut(line: &str, length: usize) -> String {
    let mut letters = line.chars();
    let cut: String = letters.by_ref().take(length).collect();
    let rest = if letters.next().is_some() { " …" } else { "" };
    format!("{}{rest}", cut.replace('\t', "    "))
}

/// A file that has nothing but text of this program.
pub(super) fn own_file(text: &str) -> String {
    text.lines().map(|line| format!("+{}\n", cut(line, CHANGED_LINE_CHARS))).collect()
}

/// The command line or the address of an entry, for a prompt.
pub(super) fn launch(entry: &Value) -> String {
    match masks::masked_words(&crate::cli::clients::launch(entry)) {
        line if line.is_empty() => "nothing".to_owned(),
        line => line.chars().take(LINE_CHARS).collect(),
    }
}

/// All strings and numbers in a value.
fn collect_texts(value: &Value, known: &mut HashSet<String>) {
    match value {
        Value::Number(number) => {
            known.insert(number.to_string());
        }
        Value::String(text) => {
            known.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, known)),
        Value::Object(members) => members.values().for_each(|value| collect_texts(value, known)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_and_texts_of_others_are_not_shown() {
        let before = "{\n  \"env\": { \"TOKEN\": \"ghp_secret\", \"N\": 1 },\n  \"a\": [\"secret\\\" one\", \"x\"]\n}\n";
        let key = format!("mbmcp_live_{}", "k".repeat(32));
        let entry = json!({ "command": "memory-bank-mcp", "headers": { "X-API-Key": key } });
        let ours = serde_json::to_string(&entry).unwrap();
        let after = before.replace("\n}", &format!(",\n  \"memory-bank\": {ours}\n}}"));
        let shown = diff(before, &after, Format::Json, &entry);
        assert!(shown.contains("+  \"memory-bank\": {\"command\":\"memory-bank-mcp\""), "{shown}");
        assert!(shown.contains("\"TOKEN\": \"…\"") && shown.contains("mbmcp_live_…"), "{shown}");
        assert!(!shown.contains("secret") && !shown.contains("kkkk"), "{shown}");
    }

    #[test]
    fn numbers_of_ours_and_whole_lines_are_shown_and_those_of_others_are_not() {
        let others = format!("{{\"n\": 77, \"a\": [{}]}}", vec!["\"x\""; 60].join(", "));
        let ours = json!({ "timeout": 12, "command": "memory-bank-mcp" });
        let after = others.replace("]}", &format!(", {ours}]}}"));
        let shown = diff(&others, &after, Format::Json, &ours);
        assert!(shown.contains("\"timeout\":12"), "{shown}");
        assert!(!shown.contains("77"), "{shown}");
        assert!(diff("", "\t1\n", Format::Json, &json!(1)).contains("+    1\n"));
    }

    #[test]
    fn texts_of_others_in_toml_are_not_shown() {
        let before =
            "[mcp_servers.\"a b\"]\nargs = [\"secret\"]\nenv = { TOKEN = 'secret' }\ntext = \"\"\"secret\n";
        let shown = diff(before, &format!("{before}x = 1\n"), Format::Toml, &json!({}));
        assert!(!shown.contains("\"secret") && !shown.contains("'secret"), "{shown}");
        assert!(
            diff(before, &before.replace("secret", "other"), Format::Toml, &json!({}))
                .contains("[mcp_servers.\"a b\"]")
        );
    }

    #[test]
    fn a_file_of_one_long_line_is_cut() {
        let before = format!("{{\"a\": \"{}\"}}", "s".repeat(9_000));
        let shown = diff(&before, &before.replace('}', ", \"b\": 1}"), Format::Json, &json!({}));
        assert!(shown.len() < 600 && !shown.contains("sss"), "{shown}");
    }
}
