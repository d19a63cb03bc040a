//! The text of an event as JSON: only the members that [`super::agent`] reads, so that nothing in the others can make an event
//! unreadable: neither their depth nor their numbers nor their length.

use std::fmt;

use memory_bank_server::mcp::replace_lone_surrogates;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The members of an event that are read.
const MEMBERS: [&str; 30] = [
    "agentId",
    "agent_id",
    "conversation_id",
    "cursor_version",
    "cwd",
    "error",
    "hook_event_name",
    "loop_count",
    "prompt",
    "sessionID",
    "sessionId",
    "session_id",
    "source",
    "status",
    "stop_hook_active",
    "toolCallId",
    "tool_call_id",
    "toolUseId",
    "tool_use_id",
    "timestamp",
    "toolName",
    "toolResult",
    "tool_name",
    "tool_output",
    "tool_response",
    "tool_result",
    "toolOutput",
    "trigger",
    "turn_id",
    "workspace_roots",
];
/// How deep values of these are read; deeper ones are `null`.
const DEPTH: usize = 3;
/// The most items of a list that are read.
const ITEMS: usize = 16;

/// The event.
///
/// # Errors
/// It is not a JSON object.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    if let Some(text) = utf16(bytes) {
        return read(replace_lone_surrogates(&text).as_bytes());
    }
    // Programs of Windows begin texts with a mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // A cut text of JavaScript has half of a surrogate pair at its end, and a file name may not be UTF-8.
    let repaired = || replace_lone_surrogates(&String::from_utf8_lossy(bytes));
    read(bytes).or_else(|why| {
        let repaired = repaired();
        read(repaired.as_bytes()).or_else(|_| read(&without_names_of_numbers(&repaired))).map_err(|_| why)
    })
}

/// The text with `null` for `NaN`, `Infinity` and `undefined`, which some programs write for a value.
fn without_names_of_numbers(text: &str) -> Vec<u8> {
    const NAMES: [&[u8]; 4] = [b"NaN", b"-Infinity", b"Infinity", b"undefined"];
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    let (mut is_text, mut is_escaped) = (false, false);
    while let Some((byte, behind)) = rest.split_first() {
        let name = if is_text { None } else { NAMES.iter().find_map(|name| rest.strip_prefix(*name)) };
        if let Some(behind) = name {
            out.extend_from_slice(b"null");
            rest = behind;
            continue;
        }
        is_text ^= *byte == b'"' && !is_escaped;
        is_escaped = is_text && *byte == b'\\' && !is_escaped;
        out.push(*byte);
        rest = behind;
    }
    out
}

fn read(bytes: &[u8]) -> Result<Value, String> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    // What follows the object does not belong to it.
    let value = Part { depth: 0 }.deserialize(&mut reader);
    let value = value.map_err(|error| format!("the event is not JSON: {error}"))?;
    if value.is_object() { Ok(value) } else { Err("the event is not a JSON object".to_owned()) }
}

/// The text, if it is UTF-16: with a mark, or with every second byte of the first character empty.
fn utf16(bytes: &[u8]) -> Option<String> {
    let (bytes, is_little) = match bytes {
        [0xff, 0xfe, rest @ ..] => (rest, true),
        [0xfe, 0xff, rest @ ..] => (rest, false),
        [b'{', 0, ..] => (bytes, true),
        [0, b'{', ..] => (bytes, false),
        _ => return None,
    };
    let unit = |pair: [u8; 2]| if is_little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) };
    let units: Vec<u16> = bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok()).map(unit).collect();
    Some(String::from_utf16_lossy(&units))
}

/// A value at a depth of the event.
struct Part {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Part {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > DEPTH {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| Value::Null);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while list.len() < ITEMS
            && let Some(item) = items.next_element_seed(Part { depth: self.depth + 1 })?
        {
            list.push(item);
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if self.depth > 0 && object.len() < ITEMS || MEMBERS.contains(&name.as_str()) {
                let value = members.next_value_seed(Part { depth: self.depth + 1 })?;
                object.insert(name, value);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with_member(value: &str) -> Value {
        parse(format!(r#"{{"session_id": "a", "tool_input": {value}, "prompt": "why"}}"#).as_bytes()).unwrap()
    }

    #[test]
    fn no_other_member_makes_an_event_unreadable() {
        let expected = json!({"session_id": "a", "prompt": "why"});
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let deep_object = format!("{}1{}", r#"{"a":"#.repeat(50_000), "}".repeat(50_000));
        for value in [
            "1e999",
            "-1e999",
            "123456789012345678901234567890",
            "NaN",
            r#"[NaN, -Infinity, {"a": undefined, "NaN \" NaN": Infinity}]"#,
            &deep,
            &deep_object,
        ] {
            assert_eq!(with_member(value), expected);
        }
        let long = format!("\"{}\"", "x".repeat(20 * 1024 * 1024));
        assert_eq!(with_member(&long), expected);
    }

    #[test]
    fn what_follows_the_object_is_passed_over_and_texts_keep_their_words() {
        for behind in ["x", "}", " NaN", "\n{\"session_id\": \"b\"}", "\0\0"] {
            let event = format!(r#"{{"session_id": "a"}}{behind}"#);
            assert_eq!(parse(event.as_bytes()).unwrap(), json!({"session_id": "a"}), "{behind:?}");
        }
        let event = r#"{"x": NaN, "prompt": "is NaN \" undefined"}"#;
        assert_eq!(parse(event.as_bytes()).unwrap(), json!({"prompt": "is NaN \" undefined"}));
    }

    #[test]
    fn a_deep_value_of_a_member_that_is_read_is_cut() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        let value = parse(format!(r#"{{"session_id": "a", "tool_response": {deep}}}"#).as_bytes()).unwrap();
        assert_eq!(value, json!({"session_id": "a", "tool_response": [[[null]]]}));
    }

    #[test]
    fn every_encoding_of_unicode_is_read() {
        let text = r#"{"session_id": "ä𝄞"}"#;
        let units: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            [b"\xff\xfe", &little[..]].concat(),
            [b"\xfe\xff", &big[..]].concat(),
            little,
            big,
        ] {
            assert_eq!(parse(&bytes).unwrap(), json!({"session_id": "ä𝄞"}));
        }
    }

    #[test]
    fn texts_that_are_not_objects_are_refused() {
        for bytes in [&b""[..], b"x", b"[]", b"null", b"{", b"\xff\xfe", b"\xff\xfex", b"\0{"] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
    }
}
