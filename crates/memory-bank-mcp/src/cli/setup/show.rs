//! Shows a change as a diff, with nothing secret in it: users' files contain keys of other servers, and terminals and logs of
//! builds are read by others.

use std::collections::HashSet;

use serde_json::Value;
use similar::TextDiff;

/// Unchanged lines around a change.
const CONTEXT: usize = 2;
/// Longer lines are cut, in characters.
const LINE: usize = 160;

/// The change from `before` to `after`; of texts, only names and those of `ours` are shown.
pub(super) fn diff(before: &str, after: &str, ours: &Value) -> String {
    let mut known = HashSet::new();
    texts(ours, &mut known);
    let diff = TextDiff::from_lines(before, after);
    let mut shown = String::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        shown += &format!("{}\n", hunk.header());
        for change in hunk.iter_changes() {
            let line = masked(change.value().trim_end_matches(['\r', '\n']), &known);
            let mut letters = line.chars();
            let cut: String = letters.by_ref().take(LINE).collect();
            let rest = if letters.next().is_some() { " …" } else { "" };
            shown += &format!("{}{cut}{rest}\n", change.tag());
        }
    }
    shown
}

/// What an entry starts or reaches, for a question about it.
pub(super) fn launch(entry: &Value) -> String {
    let words = crate::cli::clients::launch(entry);
    let words: Vec<_> = words.iter().map(|word| without_keys(word)).collect();
    match words.join(" ") {
        line if line.is_empty() => "nothing".to_owned(),
        line => line.chars().take(LINE).collect(),
    }
}

fn texts(value: &Value, known: &mut HashSet<String>) {
    match value {
        Value::String(text) => {
            known.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, known)),
        Value::Object(members) => members.values().for_each(|value| texts(value, known)),
        _ => {}
    }
}

/// The line with every text in quotation marks masked, unless it is a name or known.
fn masked(line: &str, known: &HashSet<String>) -> String {
    let mut shown = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(['"', '\'']) {
        let (before, quoted) = rest.split_at(start);
        shown += before;
        let Some((text, length)) = quoted_text(quoted) else {
            // It goes on in the next line, or is an apostrophe.
            shown += "…";
            return shown;
        };
        let after = quoted.get(length..).unwrap_or_default();
        let is_name = after.trim_start().starts_with([':', '=', ']', '.']) && !text.contains("mbmcp_");
        let raw = quoted.get(..length).unwrap_or_default();
        let is_known = match serde_json::from_str::<String>(raw) {
            Ok(text) => known.contains(&text),
            // A literal text of TOML.
            Err(_) => raw.starts_with('\'') && known.contains(text),
        };
        if is_name && !is_list_end(before, after) || is_known {
            shown += &without_keys(raw);
        } else {
            shown += "\"…\"";
        }
        rest = after;
    }
    shown + rest
}

/// A `]` ends a header of TOML, where names are, and lists, where values are.
fn is_list_end(before: &str, after: &str) -> bool {
    after.trim_start().starts_with(']') && !before.trim_start().starts_with('[') && !before.ends_with('.')
}

/// The text in the quotation marks at the begin, and the length with them.
fn quoted_text(quoted: &str) -> Option<(&str, usize)> {
    let mark = quoted.chars().next()?;
    let mut escaped = false;
    for (at, letter) in quoted.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' if mark == '"' => escaped = true,
            letter if letter == mark => return Some((quoted.get(1..at)?, at + 1)),
            _ => {}
        }
    }
    None
}

/// The text with API keys of this server shortened.
fn without_keys(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("mbmcp_") {
        let (before, key) = rest.split_at(start);
        let end =
            key.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(key.len());
        let kept: String = key.chars().take(11).collect();
        shown += &format!("{before}{kept}…");
        rest = key.get(end..).unwrap_or_default();
    }
    shown + rest
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
        let shown = diff(before, &after, &entry);
        assert!(shown.contains("+  \"memory-bank\": {\"command\":\"memory-bank-mcp\""), "{shown}");
        assert!(shown.contains("\"TOKEN\": \"…\"") && shown.contains("mbmcp_live_…"), "{shown}");
        assert!(!shown.contains("secret") && !shown.contains("kkkk"), "{shown}");
    }

    #[test]
    fn texts_of_others_in_toml_are_not_shown() {
        let before =
            "[mcp_servers.\"a b\"]\nargs = [\"secret\"]\nenv = { TOKEN = 'secret' }\ntext = \"\"\"secret\n";
        let shown = diff(before, &format!("{before}x = 1\n"), &json!({}));
        assert!(!shown.contains("\"secret") && !shown.contains("'secret"), "{shown}");
        assert!(
            diff(before, &before.replace("secret", "other"), &json!({})).contains("[mcp_servers.\"a b\"]")
        );
    }

    #[test]
    fn a_file_of_one_long_line_is_cut() {
        let before = format!("{{\"a\": \"{}\"}}", "s".repeat(9_000));
        let shown = diff(&before, &before.replace('}', ", \"b\": 1}"), &json!({}));
        assert!(shown.len() < 600 && !shown.contains("sss"), "{shown}");
    }
}
