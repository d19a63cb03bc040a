//! Properties of adding and removing an entry in JSON, on texts with blanks, comments and commas at all allowed positions.

use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const LOCATION: EntryLocation<'_> =
    EntryLocation { format: Format::Json, section: "mcpServers", project: None, name: "memory-bank" };

/// Makes texts from random numbers.
struct Writer {
    numbers: std::vec::IntoIter<u8>,
    newline: &'static str,
}

impl Writer {
    /// A number below `bound`; zero when the numbers are used up, which ends every list.
    fn below(&mut self, bound: u8) -> u8 {
        self.numbers.next().unwrap_or(0) % bound
    }

    fn gap(&mut self) -> String {
        let mut gap = String::new();
        for _ in 0..self.below(4) {
            match self.below(7) {
                0 => gap += " ",
                1 => gap += self.newline,
                2 => gap += "\t",
                3 => gap += &format!("// c }} , \" {}", self.newline),
                4 => gap += "/* x , { \n */",
                5 => gap += "  ",
                _ => {}
            }
        }
        gap
    }

    fn value(&mut self, depth: u8) -> String {
        match self.below(if depth > 2 { 4 } else { 6 }) {
            0 => "null".to_owned(),
            1 => "\"a,}/*é\"".to_owned(),
            2 => "1".to_owned(),
            3 => "\"\"".to_owned(),
            4 => {
                let items = (0..self.below(3)).map(|_| self.value(depth + 1)).collect();
                self.container('[', items, ']')
            }
            _ => {
                let names = (0..self.below(3)).map(|at| format!("k{at}")).collect();
                self.object(depth, names)
            }
        }
    }

    fn object(&mut self, depth: u8, names: Vec<String>) -> String {
        let mut members = Vec::new();
        for name in names {
            let value = if name == "mcpServers" {
                let servers = (0..self.below(3)).map(|at| format!("s{at}")).collect();
                self.object(depth + 1, servers)
            } else {
                self.value(depth + 1)
            };
            members.push(format!("\"{name}\"{}:{}{value}", self.gap(), self.gap()));
        }
        self.container('{', members, '}')
    }

    fn container(&mut self, open: char, items: Vec<String>, close: char) -> String {
        let count = items.len();
        let mut text = open.to_string();
        for (at, item) in items.into_iter().enumerate() {
            text += &format!("{}{item}{}", self.gap(), self.gap());
            if at + 1 < count || self.below(2) == 0 {
                text += ",";
            }
        }
        text + &self.gap() + &close.to_string()
    }
}

fn value_of(text: &str) -> Option<Value> {
    parse_to_ast(text, &CollectOptions::default(), &ParseOptions::default()).unwrap().value.map(Value::from)
}

proptest! {
    #[test]
    fn an_entry_is_added_to_and_removed_from_any_text(
        numbers in prop::collection::vec(any::<u8>(), 0..200),
        before in 0_usize..3,
        has_section in any::<bool>(),
        crlf in any::<bool>(),
    ) {
        let mut writer = Writer { numbers: numbers.into_iter(), newline: if crlf { "\r\n" } else { "\n" } };
        let mut names: Vec<String> = (0..2).map(|at| format!("t{at}")).collect();
        if has_section {
            names.insert(before, "mcpServers".to_owned());
        }
        let text = format!("{}{}{}", writer.gap(), writer.object(0, names), writer.gap());

        let entry = json!({ "command": "m", "args": ["a"], "env": { "A": "1" } });
        let after = put(&text, LOCATION, &entry, None).unwrap();
        prop_assert_eq!(find(&after, LOCATION).unwrap(), Some(entry));
        let added = additions(&text, &after);
        prop_assert!(added.is_some(), "something is lost: {:?} -> {:?}", text, after);
        prop_assert_eq!(without_ranges(&after, &added.unwrap()), Some(text.clone()));

        let prune = PruneOptions { empty_section: !has_section, unused_input: None };
        let again = remove(&after, LOCATION, prune).unwrap();
        prop_assert_eq!(value_of(&again), value_of(&text), "{:?} -> {:?} -> {:?}", text, after, again);

        let replaced = put(&after, LOCATION, &json!({ "url": "u" }), None).unwrap();
        prop_assert_eq!(value_of(&remove(&replaced, LOCATION, prune).unwrap()), value_of(&text));
    }
}
