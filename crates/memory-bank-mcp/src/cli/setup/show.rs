//! Shows a change as a diff without secrets: users' files contain keys of other servers, and other people read terminals and
//! build logs.

use std::collections::HashSet;

use serde_json::Value;
use similar::TextDiff;

use super::masks;
use crate::cli::config_text::Format;

/// Unchanged lines around a change.
const CONTEXT_LINES: usize = 2;
/// The longest line in characters; longer ones are cut.
const LINE_CHARS: usize = 160;

/// The change from `before` to `after`. Only names, and the strings in `ours`, are shown.
pub(super) fn diff(before: &str, after: &str, format: Format, ours: &Value) -> String {
    let mut known = HashSet::new();
    collect_strings(ours, &mut known);
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
            let mut letters = line.map_or("", String::as_str).chars();
            let cut: String = letters.by_ref().take(LINE_CHARS).collect();
            let rest = if letters.next().is_some() { " …" } else { "" };
            shown += &format!("{}{cut}{rest}\n", change.tag());
        }
    }
    shown
}

/// A file that has nothing but text of this program.
pub(super) fn own_file(text: &str) -> String {
    text.lines().map(|line| format!("+{}\n", line.chars().take(LINE_CHARS).collect::<String>())).collect()
}

/// The command line or the address of an entry, for a prompt.
pub(super) fn launch(entry: &Value) -> String {
    match masks::masked_words(&crate::cli::clients::launch(entry)) {
        line if line.is_empty() => "nothing".to_owned(),
        line => line.chars().take(LINE_CHARS).collect(),
    }
}

fn collect_strings(value: &Value, known: &mut HashSet<String>) {
    match value {
        Value::String(text) => {
            known.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| collect_strings(item, known)),
        Value::Object(members) => members.values().for_each(|value| collect_strings(value, known)),
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
