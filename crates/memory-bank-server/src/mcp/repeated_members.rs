//! Detects repeated members in messages. JSON allows them, and parsers differ in which one they take; the effect must
//! not depend on that.

use std::collections::HashSet;
use std::fmt;

use serde::Deserializer;
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

/// How many characters of a name are shown.
const SHOWN: usize = 60;

/// A repeated member.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Repeated {
    /// Of the arguments of a call, at any level.
    Argument(String),
    /// Of the message itself or of its `params`.
    Member(String),
}

/// The error for a member of the message.
pub(crate) fn member_text(name: &str) -> String {
    format!("the message gives `{name}` twice; give it once. Nothing was done")
}

/// The error for an argument.
pub(crate) fn argument_text(name: &str) -> String {
    format!("`arguments` gives `{name}` twice; give it once. Nothing was done")
}

/// The first repeated member of a message that is valid JSON: the message itself before its arguments.
pub(crate) fn find_repeated(text: &[u8], is_tool_call: bool) -> Option<Repeated> {
    scan(text, Place::Message { is_tool_call })
}

/// The repeated argument in JSON text.
pub(crate) fn find_repeated_argument(text: &str) -> Option<String> {
    match scan(text.as_bytes(), Place::Arguments)? {
        Repeated::Argument(name) | Repeated::Member(name) => Some(name),
    }
}

/// Replaces a call's arguments by the JSON text with the repeated argument: the handler refuses the call with
/// [`argument_text`], as if the client had sent text.
pub(crate) fn mark_repeated(message: &mut Value, name: &str) {
    let name = Value::from(name);
    if let Some(Value::Object(params)) = message.get_mut("params") {
        params.insert("arguments".to_owned(), json!(format!("{{{name}:0,{name}:0}}")));
    }
}

fn scan(text: &[u8], place: Place) -> Option<Repeated> {
    let mut found = None;
    // Invalid JSON is refused elsewhere.
    let _ended =
        Scan { place, found: &mut found }.deserialize(&mut serde_json::Deserializer::from_slice(text));
    found
}

#[derive(Clone, Copy)]
enum Place {
    Message { is_tool_call: bool },
    Params { is_tool_call: bool },
    Arguments,
}

/// Parses any JSON and keeps only the first repeated name.
struct Scan<'a> {
    place: Place,
    found: &'a mut Option<Repeated>,
}

impl<'de> DeserializeSeed<'de> for Scan<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scan<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let inner = match (self.place, name.as_str()) {
                (Place::Message { is_tool_call }, "params") => Some(Place::Params { is_tool_call }),
                (Place::Params { is_tool_call: true }, "arguments") | (Place::Arguments, _) => {
                    Some(Place::Arguments)
                }
                _ => None,
            };
            if names.contains(&name) {
                let shown = name.chars().filter(|letter| !letter.is_control()).take(SHOWN).collect();
                if !matches!(self.place, Place::Arguments) {
                    *self.found = Some(Repeated::Member(shown));
                    return Err(de::Error::custom("a member is given twice"));
                }
                self.found.get_or_insert(Repeated::Argument(shown));
            }
            names.insert(name);
            match inner {
                Some(place) => map.next_value_seed(Scan { place, found: &mut *self.found })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Scan { place: self.place, found: &mut *self.found })?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(params: &str) -> Option<Repeated> {
        find_repeated(
            format!("{{\"id\":1,\"params\":{{{params}}},\"method\":\"tools/call\"}}").as_bytes(),
            true,
        )
    }

    #[test]
    fn a_member_that_is_given_twice_is_named_at_any_level() {
        let argument = |name: &str| Some(Repeated::Argument(name.to_owned()));
        let member = |name: &str| Some(Repeated::Member(name.to_owned()));
        for (params, repeated) in [
            (r#""name":"x","arguments":{"a":1,"a":1}"#, argument("a")),
            (r#""name":"x","arguments":{"a":1,"\u0061":2,"b":1,"b":2}"#, argument("a")),
            (r#""name":"x","arguments":{"a":{"b":[{"c":1,"c":null}]}}"#, argument("c")),
            (r#""name":"x","arguments":{},"arguments":{"a":1}"#, member("arguments")),
            (r#""name":"x","arguments":{"a":1,"a":1},"name":"y""#, member("name")),
            (r#""name":"x""#, None),
            (r#""name":"x","arguments":null,"_meta":{"a":1,"a":1}"#, None),
            (r#""name":"x","arguments":{"a":{"a":1},"b":[{"a":1.5},{"a":true}],"A":-1}"#, None),
            (r#""name":"x","arguments":"{\"a\":1,\"a\":1}""#, None),
            (r#""name":"x","arguments":[]"#, None),
        ] {
            assert_eq!(found(params), repeated, "{params}");
        }
        let ping = br#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#;
        assert_eq!(find_repeated(ping, false), member("id"));
    }

    #[test]
    fn what_is_marked_names_the_argument_again() {
        for name in ["description", "a \"quoted\" \\ name", ""] {
            let mut message = json!({"params": {"name": "x", "arguments": {name: 1}}});
            mark_repeated(&mut message, name);
            let text = message["params"]["arguments"].as_str().unwrap();
            assert_eq!(find_repeated_argument(text).as_deref(), Some(name));
        }
        assert_eq!(find_repeated_argument("{\"a\":{\"a\":1}}"), None);
    }
}
