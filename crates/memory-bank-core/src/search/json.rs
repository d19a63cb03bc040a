//! Cuts a JSON document into units: a value with its key, and keys of objects and lists as headings. It tolerates
//! malformed JSON, since damaged documents must be searchable, too.

use std::sync::Arc;

use super::unit::{Unit, UnitKind, link_neighbours};

/// Keys below this depth are values of their parent, so that deep nesting costs no more than wide nesting.
const PATH_KEYS: usize = 32;

/// The units of a JSON document. `stem` is its name without the extension.
#[must_use]
pub fn json_units(stem: &str, text: &str) -> Vec<Unit> {
    let mut scan = Scan { units: vec![Unit::of_document(stem)], open: vec![(0, Arc::from([]))], key: None };
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = token_length(rest, first);
        let (token, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        match first {
            '{' | '[' => scan.open(),
            '}' | ']' => scan.close(),
            ',' => scan.key = None,
            '"' if after.trim_start().starts_with(':') => scan.key = Some((plain(token), line)),
            _ if first.is_whitespace() || first == ':' => {}
            _ => scan.value(&plain(token), line),
        }
        line += token.matches('\n').count();
        rest = after;
    }
    let mut units = scan.units;
    link_neighbours(&mut units);
    units
}

struct Scan {
    units: Vec<Unit>,
    /// The open objects and lists: the unit to which their values belong, and the keys down to it.
    open: Vec<(usize, Arc<[String]>)>,
    key: Option<(String, usize)>,
}

impl Scan {
    fn open(&mut self) {
        let (parent, path) = self.place();
        let Some((key, line)) = self.key.take().filter(|_| path.len() < PATH_KEYS) else {
            self.open.push((parent, path));
            return;
        };
        let path: Arc<[String]> = path.iter().cloned().chain([key.clone()]).collect();
        self.open.push((self.units.len(), Arc::clone(&path)));
        self.push(UnitKind::Heading, key, line, 1, path, parent);
    }

    fn close(&mut self) {
        self.key = None;
        if self.open.len() > 1 {
            self.open.pop();
        }
    }

    fn value(&mut self, value: &str, line: usize) {
        let (parent, path) = self.place();
        let (text, first) = match self.key.take() {
            Some((key, first)) => (format!("{key}: {value}"), first),
            None => (value.to_owned(), line),
        };
        self.push(UnitKind::Value, text, first, line + 1 - first, path, parent);
    }

    fn place(&self) -> (usize, Arc<[String]>) {
        self.open.last().cloned().unwrap_or_else(|| (0, Arc::from([])))
    }

    fn push(
        &mut self,
        kind: UnitKind,
        text: String,
        line: usize,
        lines: usize,
        path: Arc<[String]>,
        parent: usize,
    ) {
        let parent = Some(parent);
        self.units.push(Unit { kind, text, line, lines, from: 0, path, parent, previous: None, next: None });
    }
}

/// The length in bytes of the token at the beginning of `rest`.
fn token_length(rest: &str, first: char) -> usize {
    match first {
        '"' => {
            let mut escaped = false;
            let end = rest.char_indices().skip(1).find(|(_, c)| {
                let closes = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                closes
            });
            end.map_or(rest.len(), |(at, _)| at + 1)
        }
        '{' | '}' | '[' | ']' | ',' | ':' => 1,
        c if c.is_whitespace() => c.len_utf8(),
        _ => rest
            .find(|c: char| c.is_whitespace() || matches!(c, '{' | '}' | '[' | ']' | ',' | ':' | '"'))
            .unwrap_or(rest.len()),
    }
}

/// A string without quotes and escapes; other tokens unchanged.
fn plain(token: &str) -> String {
    serde_json::from_str::<String>(token).unwrap_or_else(|_| token.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_found_under_their_keys() {
        let text = "{\n  \"database\": {\n    \"host\": \"db.local\",\n    \"port\": 5432\n  },\n  \"tags\": [\"a\\nb\", true]\n}\n";
        let units = json_units("settings", text);
        let seen: Vec<_> = units
            .iter()
            .map(|unit| (unit.text.as_str(), unit.line, unit.path.join("/"), unit.parent))
            .collect();
        assert_eq!(
            seen,
            [
                ("settings", 1, String::new(), None),
                ("database", 2, "database".to_owned(), Some(0)),
                ("host: db.local", 3, "database".to_owned(), Some(1)),
                ("port: 5432", 4, "database".to_owned(), Some(1)),
                ("tags", 6, "tags".to_owned(), Some(0)),
                ("a\nb", 6, "tags".to_owned(), Some(4)),
                ("true", 6, "tags".to_owned(), Some(4)),
            ]
        );
        assert_eq!((units[2].previous, units[2].next), (None, Some(3)));
    }

    #[test]
    fn malformed_json_is_still_cut() {
        let units = json_units("broken", "{ \"a\": oops, unfinished \"text");
        assert_eq!(
            units.iter().map(|unit| unit.text.as_str()).collect::<Vec<_>>(),
            ["broken", "a: oops", "unfinished", "text"]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_cut_without_end_or_panic(text in "[\\[\\]{}:,\"\\\\a-z0-9\n é]{0,80}") {
            let units = json_units("any", &text);
            prop_assert!(units.iter().all(|unit| unit.line + unit.lines <= text.split('\n').count() + 1));
        }
    }
}
