//! Masks the text of a file that other programs also write: only names, and the text that `setup` itself writes, are shown.
//! It must not know agents.
//!
//! Files of agents contain keys of other servers, in strings, numbers, comments and arguments, and printed text gets into
//! build logs and chats.

use std::collections::HashSet;

use memory_bank_core::secrets::{OWN_KEY_PREFIX, has_secret_name};

use crate::cli::config_text::Format;

/// The placeholder of hidden text.
const HIDDEN: &str = "…";
/// From this length on, a word of letters and digits is taken for a secret.
const MIXED_SECRET_LENGTH: usize = 20;
/// From this length on, every word that is not a path is taken for a secret.
const ANY_SECRET_LENGTH: usize = 40;
/// Parts of names whose values may be secrets, in lower case. Arguments are hidden sooner than texts are.
const MORE_SECRET_NAMES: [&str; 3] = ["key", "auth", "header"];

/// The lines of the text, with all but names and `known` strings and numbers hidden. Their number is that of the text.
pub(super) fn masked_lines(text: &str, format: Format, known: &HashSet<String>) -> Vec<String> {
    let mut masked =
        Masked { text, format, known, at: 0, depth: 0, shown: String::with_capacity(text.len()) };
    while masked.step() {}
    masked.shown.split('\n').map(|line| line.trim_end_matches('\r').to_owned()).collect()
}

/// Reads a text token by token.
struct Masked<'a> {
    text: &'a str,
    format: Format,
    known: &'a HashSet<String>,
    at: usize,
    /// The number of open brackets.
    depth: usize,
    shown: String,
}

impl<'a> Masked<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Reads one token; returns whether there was one.
    fn step(&mut self) -> bool {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return false };
        let is_json = self.format == Format::Json;
        if is_json && rest.starts_with("//") || !is_json && first == '#' {
            let length = rest.find('\n').unwrap_or(rest.len());
            self.hide(length, if is_json { "// …" } else { "# …" });
        } else if is_json && rest.starts_with("/*") {
            self.hide(rest.find("*/").map_or(rest.len(), |end| end + 2), "/* … */");
        } else if first == '"' || first == '\'' && !is_json {
            self.quoted();
        } else if !is_json
            && first == '['
            && self.depth == 0
            && self.starts_line()
            && header_end(rest).is_some()
        {
            let length = header_end(rest).unwrap_or(rest.len());
            self.shown += &without_keys(rest.get(..length).unwrap_or_default());
            self.at += length;
        } else if first.is_whitespace() || "{}[],:=".contains(first) {
            match first {
                '{' | '[' => self.depth += 1,
                '}' | ']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            self.shown.push(first);
            self.at += first.len_utf8();
        } else {
            self.bare();
        }
        true
    }

    /// Whether only blanks precede this position on its line.
    fn starts_line(&self) -> bool {
        let before = self.text.get(..self.at).unwrap_or_default();
        before.rsplit('\n').next().is_none_or(|line| line.trim().is_empty())
    }

    /// Replaces the next bytes by `shown` and their line breaks.
    fn hide(&mut self, length: usize, shown: &str) {
        let hidden = self.rest().get(..length).unwrap_or_default();
        self.shown += shown;
        self.shown.extend(hidden.chars().filter(|character| *character == '\n'));
        self.at += length;
    }

    fn quoted(&mut self) {
        let rest = self.rest();
        let Some((inner, length)) = quoted_text(rest, self.format) else {
            return self.hide(rest.len(), "\"…");
        };
        let raw = rest.get(..length).unwrap_or_default();
        let is_known = match serde_json::from_str::<String>(raw) {
            Ok(text) => self.known.contains(&text),
            // A literal text of TOML.
            Err(_) => raw.starts_with('\'') && self.known.contains(inner),
        };
        if is_known || self.is_name(rest.get(length..).unwrap_or_default()) {
            self.shown += &without_keys(raw);
            self.at += length;
        } else {
            self.hide(length, "\"…\"");
        }
    }

    fn bare(&mut self) {
        let rest = self.rest();
        let is_end = |character: char| character.is_whitespace() || "{}[],:=\"'#".contains(character);
        let length = rest
            .find(is_end)
            .filter(|end| *end > 0)
            .unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
        let word = rest.get(..length).unwrap_or_default();
        let is_name = self.format == Format::Toml && self.is_name(rest.get(length..).unwrap_or_default());
        if is_name || self.known.contains(word) || matches!(word, "true" | "false" | "null") {
            self.shown += &without_keys(word);
            self.at += length;
        } else {
            self.hide(length, HIDDEN);
        }
    }

    /// Whether a token is a name, according to the text after it.
    fn is_name(&self, after: &str) -> bool {
        match self.format {
            Format::Json => after.trim_start().starts_with(':'),
            Format::Toml => after.trim_start_matches([' ', '\t']).starts_with(['=', '.', '"', '\'']),
        }
    }
}

/// The length of a TOML header, such as `[mcp_servers."a b"]`.
fn header_end(rest: &str) -> Option<usize> {
    let open = rest.len() - rest.trim_start_matches('[').len();
    let mut at = open;
    loop {
        let left = rest.get(at..)?;
        match left.chars().next()? {
            '"' | '\'' => at += quoted_text(left, Format::Toml)?.1,
            ']' => return Some(at + 1),
            '\n' => return None,
            character => at += character.len_utf8(),
        }
    }
}

/// The text between the quotation marks at the beginning, and the length including them.
fn quoted_text(quoted: &str, format: Format) -> Option<(&str, usize)> {
    let mark = quoted.get(..1)?;
    let triple = mark.repeat(3);
    if format == Format::Toml && quoted.starts_with(&triple) {
        let mut at = 3;
        loop {
            let rest = quoted.get(at..)?;
            if rest.starts_with(&triple) {
                // The text itself may end with up to two marks.
                let more = rest
                    .bytes()
                    .skip(3)
                    .take(2)
                    .take_while(|byte| mark.as_bytes().first() == Some(byte))
                    .count();
                return Some((quoted.get(3..at + more)?, at + more + 3));
            }
            let escape = usize::from(mark == "\"" && rest.starts_with('\\'));
            at += rest.chars().take(1 + escape).map(char::len_utf8).sum::<usize>().max(1);
        }
    }
    let mut escaped = false;
    for (at, character) in quoted.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' if mark == "\"" => escaped = true,
            character if mark.starts_with(character) => return Some((quoted.get(1..at)?, at + 1)),
            _ => {}
        }
    }
    None
}

/// The command line of an entry, without arguments that look like secrets.
pub(super) fn masked_words(words: &[String]) -> String {
    let mut shown = Vec::new();
    let mut is_secret = false;
    for (at, word) in words.iter().enumerate() {
        shown.push(match word {
            _ if is_secret && !word.starts_with('-') => HIDDEN.to_owned(),
            word if at == 0 && masked_url(word).is_none() => without_keys(word),
            word => masked_argument(word),
        });
        is_secret = word == "-H" || word.starts_with('-') && names_a_secret(word);
    }
    shown.join(" ")
}

fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    has_secret_name(&name) || MORE_SECRET_NAMES.iter().any(|part| name.contains(part))
}

fn masked_argument(word: &str) -> String {
    if let Some(shown) = masked_url(word) {
        return shown;
    }
    let is_name = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    let name =
        word.get(..word.find(|character| !is_name(character)).unwrap_or(word.len())).unwrap_or_default();
    let after = word.get(name.len()..).unwrap_or_default();
    if !name.is_empty()
        && (after.starts_with('=') || after.starts_with(':') && (name.contains('-') || names_a_secret(name)))
    {
        return format!("{name}{}{HIDDEN}", after.get(..1).unwrap_or_default());
    }
    if word.trim().contains(char::is_whitespace) {
        // The argument is a command line itself.
        return masked_words(&word.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    }
    if is_opaque(word) { HIDDEN.to_owned() } else { without_keys(word) }
}

/// An address without user, password, query and secrets in its path.
fn masked_url(word: &str) -> Option<String> {
    let url = url::Url::parse(word).ok().filter(|_| word.contains("://"))?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path: Vec<_> =
        url.path().split('/').map(|part| if is_opaque(part) { HIDDEN } else { part }).collect();
    let query = if url.query().is_some() { "?…" } else { "" };
    let address =
        format!("{}://{}{port}{}{query}", url.scheme(), url.host_str().unwrap_or_default(), path.join("/"));
    Some(without_keys(&address))
}

fn is_opaque(word: &str) -> bool {
    let is_path = word.contains(['/', '\\', '@']);
    let has = |kind: fn(&char) -> bool| word.chars().any(|character| kind(&character));
    let is_mixed = has(char::is_ascii_digit) && has(char::is_ascii_alphabetic) && !word.contains('.');
    !is_path
        && !word.starts_with('-')
        && (word.len() >= MIXED_SECRET_LENGTH && is_mixed || word.len() >= ANY_SECRET_LENGTH)
}

/// The text with API keys of this server shortened.
fn without_keys(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(OWN_KEY_PREFIX) {
        let (before, key) = rest.split_at(start);
        let end = key
            .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
            .unwrap_or(key.len());
        let prefix: String = key.chars().take(11).collect();
        shown += &format!("{before}{prefix}…");
        rest = key.get(end..).unwrap_or_default();
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, format: Format) -> String {
        masked_lines(text, format, &HashSet::from(["ours".to_owned()])).join("\n")
    }

    #[test]
    fn comments_numbers_and_texts_of_json_are_hidden() {
        let text = "{ // sk-1\n  \"a\": \"sk-2\", /* sk-3\n sk-4 */ \"n\" : 4711,\n  \"b\": [\"ours\", true, \"sk\\\" 5\"]\n}\n";
        assert_eq!(
            shown(text, Format::Json),
            "{ // …\n  \"a\": \"…\", /* … */\n \"n\" : …,\n  \"b\": [\"ours\", true, \"…\"]\n}\n"
        );
    }

    #[test]
    fn comments_numbers_and_texts_of_toml_are_hidden_also_over_lines() {
        let text = "# sk-1\n[a.\"b c\"] # sk-2\nk.x = \"\"\"\nsk-3 = 1\n\"\"\"\nl = ['sk-4', \"ours\"]\nm = [\n  \"sk-5\",\n  [4711]\n]\nd = 1979-05-27 # sk\nq.\"r\" = '''sk''''\n[[t]]\n";
        assert_eq!(
            shown(text, Format::Toml),
            "# …\n[a.\"b c\"] # …\nk.x = \"…\"\n\n\nl = [\"…\", \"ours\"]\nm = [\n  \"…\",\n  […]\n]\nd = … # …\nq.\"r\" = \"…\"\n[[t]]\n"
        );
    }

    #[test]
    fn hiding_secrets_keeps_the_number_of_lines() {
        for text in
            ["", "\n", "a = \"\"\"\nb\n", "[\n\"x\"]\n", "/*\n\n", "\"\n\n", "[\"", "é\n'", "[a\n[\"b\"]\r\n"]
        {
            for format in [Format::Json, Format::Toml] {
                assert_eq!(
                    masked_lines(text, format, &HashSet::new()).len(),
                    text.split('\n').count(),
                    "{text:?}"
                );
            }
        }
    }

    #[test]
    fn secrets_among_arguments_are_hidden() {
        let shown =
            |line: &[&str]| masked_words(&line.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            shown(&["npx", "-y", "@diazstg/memory-bank-mcp", "--path", "/a b"]),
            "npx -y @diazstg/memory-bank-mcp --path /a b"
        );
        assert_eq!(
            shown(&["x", "--api-key", "sk-1", "-H", "X: sk", "TOKEN=sk-2", "X-Key:sk"]),
            "x --api-key … -H … TOKEN=… X-Key:…"
        );
        assert_eq!(shown(&["sh", "-c", "a --token sk-1 b"]), "sh -c a --token … b");
        assert_eq!(shown(&["https://me:sk@h:1/s/0123456789abcdefghij0/mcp?key=sk"]), "https://h:1/s/…/mcp?…");
        assert_eq!(shown(&["x", "ghp_0123456789abcdefghij"]), "x …");
    }
}
