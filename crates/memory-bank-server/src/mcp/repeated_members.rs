//! Detects repeated members in messages. JSON allows them, and parsers differ in which one they take; the effect must
//! not depend on that.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, json};

/// How many characters of a name are shown.
const MAX_NAME_CHARS: usize = 60;

/// A repeated member.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Repeated {
    /// A member of the arguments of a call, at any level.
    Argument(String),
    /// A member of the message itself or of its `params`.
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

/// Parses JSON, and finds the repeated members of a message in the same pass. Like every parser of `serde_json`, it
/// keeps the last of repeated members.
///
/// # Errors
/// The text is not JSON.
pub(crate) fn parse(text: &[u8]) -> Result<(Value, Repetitions), serde_json::Error> {
    let mut found = Repetitions::default();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value =
        Visit::<true> { level: MessageLevel::Message, found: &mut found }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok((value, found))
}

/// The first repeated member of a message that is valid JSON: the message itself before its arguments.
pub(crate) fn find_repeated(text: &[u8], is_tool_call: bool) -> Option<Repeated> {
    scan(text, MessageLevel::Message).of_message(is_tool_call)
}

/// The repeated argument in JSON text.
pub(crate) fn find_repeated_argument(text: &str) -> Option<String> {
    scan(text.as_bytes(), MessageLevel::Arguments).argument
}

/// Replaces a call's arguments by the JSON text with the repeated argument: the handler refuses the call with
/// [`argument_text`], as if the client had sent text.
pub(crate) fn mark_repeated(message: &mut Value, name: &str) {
    let name = Value::from(name);
    if let Some(Value::Object(params)) = message.get_mut("params") {
        params.insert("arguments".to_owned(), json!(format!("{{{name}:0,{name}:0}}")));
    }
}

/// The first repeated names of each kind.
#[derive(Default)]
pub(crate) struct Repetitions {
    member: Option<String>,
    argument: Option<String>,
}

impl Repetitions {
    /// The repeated member to refuse. Only calls of tools have arguments that count.
    pub(crate) fn of_message(self, is_tool_call: bool) -> Option<Repeated> {
        let argument = self.argument.filter(|_| is_tool_call);
        self.member.map(Repeated::Member).or(argument.map(Repeated::Argument))
    }
}

fn scan(text: &[u8], level: MessageLevel) -> Repetitions {
    let mut found = Repetitions::default();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    // Invalid JSON is refused elsewhere.
    let _ended = Visit::<false> { level, found: &mut found }.deserialize(&mut deserializer);
    found
}

#[derive(Clone, Copy)]
enum MessageLevel {
    Message,
    Params,
    Arguments,
}

/// Reads any JSON and keeps the first repeated names; builds the value if `BUILD`, or else null.
struct Visit<'a, const BUILD: bool> {
    level: MessageLevel,
    found: &'a mut Repetitions,
}

impl<'de, const BUILD: bool> DeserializeSeed<'de> for Visit<'_, BUILD> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, const BUILD: bool> Visitor<'de> for Visit<'_, BUILD> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let inner = match (self.level, name.as_str()) {
                (MessageLevel::Message, "params") => Some(MessageLevel::Params),
                (MessageLevel::Params, "arguments") | (MessageLevel::Arguments, _) => {
                    Some(MessageLevel::Arguments)
                }
                _ => None,
            };
            if members.contains_key(&name) {
                let first = match self.level {
                    MessageLevel::Arguments => &mut self.found.argument,
                    MessageLevel::Message | MessageLevel::Params => &mut self.found.member,
                };
                first.get_or_insert_with(|| {
                    name.chars().filter(|character| !character.is_control()).take(MAX_NAME_CHARS).collect()
                });
            }
            let value = match inner {
                Some(level) => map.next_value_seed(Visit::<BUILD> { level, found: &mut *self.found })?,
                None if BUILD => map.next_value()?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                    Value::Null
                }
            };
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) =
            items.next_element_seed(Visit::<BUILD> { level: self.level, found: &mut *self.found })?
        {
            if BUILD {
                values.push(value);
            }
        }
        Ok(Value::Array(values))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(if BUILD { Value::String(value.to_owned()) } else { Value::Null })
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(params: &str) -> Option<Repeated> {
        let text = format!("{{\"id\":1,\"params\":{{{params}}},\"method\":\"tools/call\"}}");
        let found = find_repeated(text.as_bytes(), true);
        let (value, in_one_pass) = parse(text.as_bytes()).unwrap();
        assert_eq!(value, serde_json::from_str::<Value>(&text).unwrap());
        assert_eq!(in_one_pass.of_message(true), found, "{params}");
        found
    }

    #[test]
    fn a_duplicate_member_is_named_at_any_level() {
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
        let prompt = br#"{"method":"prompts/get","params":{"arguments":{"a":1,"a":2}}}"#;
        assert_eq!(find_repeated(prompt, false), None);
        assert_eq!(parse(prompt).unwrap().1.of_message(false), None);
    }

    #[test]
    fn a_message_is_parsed_like_serde_json_and_refused_with_the_same_text() {
        for text in [
            r#"{"a":[1,-2,1.5,1e400,"\u00e4\ud83d\ude00",null,true,{"b":{}}],"params":{"arguments":{"a":[{"x":[]}]}}}"#,
            r#"{"n":18446744073709551615,"m":-9223372036854775808,"f":0.1,"z":-0.0}"#,
            "[1,{\"a\":2}]",
            "17",
            "",
            "{\"a\":1",
            "{\"a\":1} x",
            "{\"a\" 1}",
            "[1,]",
            "\"\\ud800\"",
            "nul",
        ] {
            let expected =
                serde_json::from_slice::<Value>(text.as_bytes()).map_err(|error| error.to_string());
            let parsed = parse(text.as_bytes()).map(|(value, _)| value).map_err(|error| error.to_string());
            assert_eq!(parsed, expected, "{text}");
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let expected = serde_json::from_str::<Value>(&deep).unwrap_err().to_string();
        assert_eq!(parse(deep.as_bytes()).err().unwrap().to_string(), expected);
        let not_text = b"{\"a\":\"\xff\"}";
        let expected = serde_json::from_slice::<Value>(not_text).unwrap_err().to_string();
        assert_eq!(parse(not_text).err().unwrap().to_string(), expected);
    }

    #[test]
    fn a_marked_message_still_names_the_duplicate_argument() {
        for name in ["description", "a \"quoted\" \\ name", ""] {
            let mut message = json!({"params": {"name": "x", "arguments": {name: 1}}});
            mark_repeated(&mut message, name);
            let text = message["params"]["arguments"].as_str().unwrap();
            assert_eq!(find_repeated_argument(text).as_deref(), Some(name));
        }
        assert_eq!(find_repeated_argument("{\"a\":{\"a\":1}}"), None);
    }
}
