//! Normalises values as models send them: lists and objects as JSON text, numbers and flags as text, one text for a
//! list, words in any case. A value is converted only if it cannot mean anything else; an ambiguous value stays
//! unchanged, and the following check refuses it. A text argument is never converted.

use memory_bank_core::limits;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::schema::Kind;

/// Converts a value to the type of its argument, if its meaning is unambiguous.
pub(super) fn coerce(kind: Kind, value: &mut Value) {
    let plain = match (kind, &*value) {
        (Kind::Word(words) | Kind::KnownWord(words), Value::String(text)) => {
            word(words, text).map(|word| Value::String(word.to_owned()))
        }
        (Kind::Flag, Value::String(text)) => flag(text),
        (Kind::Clear, Value::String(text)) => flag(text).or_else(|| parsed(text).filter(Value::is_array)),
        (Kind::Whole(..) | Kind::Clamped(..), Value::String(text)) => {
            text.trim().parse::<Number>().ok().map(Value::Number)
        }
        (Kind::Texts, Value::String(text)) => texts(text),
        (Kind::Free | Kind::Object(_), Value::String(text)) => parsed(text).filter(Value::is_object),
        (Kind::TextOrFree, Value::String(text)) => source(text),
        (Kind::Objects(_), _) => objects(value),
        _ => None,
    };
    if let Some(plain) = plain {
        *value = plain;
    }
}

/// The listed word that a text means: in any case, with other separators or surrounding blanks. Synonyms are not
/// guessed.
fn word(words: &[&'static str], text: &str) -> Option<&'static str> {
    /// No listed word is longer.
    const MAX_WORD_BYTES: usize = 64;
    if text.len() > MAX_WORD_BYTES {
        return None;
    }
    let folded = text.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    words.iter().copied().find(|word| *word == folded)
}

fn flag(text: &str) -> Option<Value> {
    let text = text.trim();
    [("true", true), ("false", false)]
        .into_iter()
        .find(|(word, _)| text.eq_ignore_ascii_case(word))
        .map(|(_, flag)| Value::Bool(flag))
}

/// A list of texts that was sent as one text: as JSON, or as its only item. Text that begins like a quoted list and
/// is not JSON is neither.
fn texts(text: &str) -> Option<Value> {
    let trimmed = text.trim();
    if let Some(list) = parsed(trimmed).filter(Value::is_array) {
        return Some(list);
    }
    let inside = trimmed.strip_prefix('[').map(str::trim_start);
    let broken = inside.is_some_and(|inside| inside.starts_with(['"', '\'', '{']));
    let empty = trimmed.is_empty();
    (!broken && !empty).then(|| Value::Array(vec![Value::String(text.to_owned())]))
}

/// A list of objects that was sent as JSON text, as its only item, or with items that are JSON text.
fn objects(value: &Value) -> Option<Value> {
    let mut list = match value {
        Value::String(text) => match parsed(text)? {
            Value::Array(items) => items,
            object @ Value::Object(_) => vec![object],
            _ => return None,
        },
        Value::Object(_) => vec![value.clone()],
        Value::Array(items) if items.iter().any(Value::is_string) => items.clone(),
        _ => return None,
    };
    for item in &mut list {
        if let Some(object) = item.as_str().and_then(parsed).filter(Value::is_object) {
            *item = object;
        }
    }
    Some(Value::Array(list))
}

/// An object that was sent as JSON text where text is allowed as well: only one with the members of a source is
/// converted.
fn source(text: &str) -> Option<Value> {
    let object = parsed(text)?;
    let members = object.as_object()?;
    let is_source =
        members.contains_key("kind") && members.keys().all(|key| matches!(key.as_str(), "kind" | "ref"));
    is_source.then_some(object)
}

/// A list or an object as JSON text. One with a repeated member is ambiguous and not converted.
fn parsed(text: &str) -> Option<Value> {
    let text = text.trim();
    if !text.starts_with(['[', '{']) || text.len() > limits::DOCUMENT_BYTES.saturating_mul(4) {
        return None;
    }
    unrepeated(text).ok()
}

/// JSON text without repeated members.
///
/// # Errors
/// It is not valid.
pub(crate) fn unrepeated(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str::<Unique>(text).map(|unique| unique.0)
}

/// Why a text that looks like a list or an object is not converted.
pub(super) fn why_not_json(text: &str) -> Option<String> {
    let text = text.trim();
    text.starts_with(['[', '{']).then_some(())?;
    unrepeated(text).err().map(|error| error.to_string())
}

/// JSON in which no object has a repeated member.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
        let mut object = Map::new();
        while let Some((key, Unique(value))) = map.next_entry::<String, Unique>()? {
            if object.insert(key, value).is_some() {
                return Err(de::Error::custom("a member is given twice"));
            }
        }
        Ok(Unique(Value::Object(object)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Unique(Value::Array(list)))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Unique, E> {
        Ok(Unique(Value::Bool(flag)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Unique, E> {
        Ok(Unique(Value::from(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Unique, E> {
        Ok(Unique(Value::from(number)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Unique, E> {
        Ok(Unique(Value::from(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Unique, E> {
        Ok(Unique(Value::String(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique(Value::Null))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn coerced(kind: Kind, mut value: Value) -> Value {
        coerce(kind, &mut value);
        value
    }

    const WORDS: Kind = Kind::Word(&["feature", "fix", "insert_after"]);

    #[test]
    fn lists_and_objects_are_read_from_json_text() {
        for (text, list) in [
            (r#"["a","b"]"#, json!(["a", "b"])),
            (" [ \"a\" ]\n", json!(["a"])),
            ("[]", json!([])),
            // As a real list of numbers would be: the check refuses it by its item.
            ("[1]", json!([1])),
            (r#"["a \"b\"","[x] c"]"#, json!(["a \"b\"", "[x] c"])),
        ] {
            assert_eq!(coerced(Kind::Texts, json!(text)), list, "{text}");
        }
        assert_eq!(coerced(Kind::Free, json!(r#"{"a":null,"b":[1]}"#)), json!({"a": null, "b": [1]}));
        assert_eq!(coerced(Kind::Object(&[]), json!(" {} ")), json!({}));
        let items = json!([{"op": "append"}]);
        for given in [
            json!(r#"[{"op":"append"}]"#),
            json!(r#"{"op":"append"}"#),
            json!({"op": "append"}),
            json!([r#"{"op":"append"}"#]),
        ] {
            assert_eq!(coerced(Kind::Objects(&[]), given.clone()), items, "{given}");
        }
        assert_eq!(coerced(Kind::Clear, json!(r#"["issues"]"#)), json!(["issues"]));
    }

    #[test]
    fn a_text_is_the_only_item_of_a_list_unless_it_is_a_broken_list() {
        for text in [
            "write the tests",
            "[x] do it",
            "[ ] do it",
            "[WIP] fix [a bug]",
            "[link](https://example.org)",
            "a, b",
            "{a}",
            "null",
            "5",
            "\"quoted\"",
            " padded ",
            "- a\n- b",
            "[",
            "[]x",
        ] {
            assert_eq!(coerced(Kind::Texts, json!(text)), json!([text]));
        }
        for text in
            ["['a', 'b']", r#"["a", "b""#, r#"["a" "b"]"#, r#"[{"a":1]"#, r#"[{"a":1,"a":2}]"#, "", "  "]
        {
            assert_eq!(coerced(Kind::Texts, json!(text)), json!(text));
        }
    }

    #[test]
    fn an_argument_of_type_text_stays_text() {
        for text in [r#"{"a":1}"#, "[1,2]", "true", "5", "null", ""] {
            assert_eq!(coerced(Kind::Text, json!(text)), json!(text));
        }
        for text in [r#"{"a":1}"#, r#"["kind"]"#, r#"{"kind":"tool","more":1}"#, "{kind}", "review"] {
            assert_eq!(coerced(Kind::TextOrFree, json!(text)), json!(text));
        }
        let source = json!({"kind": "tool", "ref": "x"});
        assert_eq!(coerced(Kind::TextOrFree, json!(source.to_string())), source);
    }

    #[test]
    fn numbers_flags_and_words_are_read_from_unambiguous_text() {
        for (text, number) in
            [("5", json!(5)), (" 5 ", json!(5)), ("-1", json!(-1)), ("3.0", json!(3.0)), ("1e3", json!(1e3))]
        {
            assert_eq!(coerced(Kind::Whole(1, 9), json!(text)), number, "{text}");
        }
        for text in [
            "",
            "five",
            "5 results",
            "0x10",
            "1_000",
            "1,000",
            "05",
            "+5",
            "NaN",
            "∞",
            "５",
            "5\u{0}",
            "true",
        ] {
            assert_eq!(coerced(Kind::Whole(1, 9), json!(text)), json!(text));
        }
        for (text, flag) in
            [("true", true), ("True", true), (" true ", true), ("FALSE", false), ("false\n", false)]
        {
            assert_eq!(coerced(Kind::Flag, json!(text)), json!(flag));
            assert_eq!(coerced(Kind::Clear, json!(text)), json!(flag));
        }
        for value in
            [json!("yes"), json!("1"), json!(1), json!(0), json!("tru"), json!("on"), json!("issues")]
        {
            assert_eq!(coerced(Kind::Flag, value.clone()), value);
            assert_eq!(coerced(Kind::Clear, value.clone()), value);
        }
        for (text, word) in [
            ("Feature", "feature"),
            ("FIX", "fix"),
            (" fix ", "fix"),
            ("Insert-After", "insert_after"),
            ("insert after", "insert_after"),
        ] {
            assert_eq!(coerced(WORDS, json!(text)), json!(word));
        }
        for text in ["bugfix", "fixx", "feat", "", "ﬁx", "fix\u{200b}", &"fix ".repeat(100)] {
            assert_eq!(coerced(WORDS, json!(text)), json!(text));
        }
    }

    #[test]
    fn json_text_with_a_duplicate_member_is_not_parsed() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":{"b":1,"b":2}}"#, r#"{"a":1,"\u0061":2}"#] {
            assert_eq!(coerced(Kind::Free, json!(text)), json!(text));
            assert!(why_not_json(text).unwrap().contains("given twice"));
        }
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(coerced(Kind::Objects(&[]), json!(deep)), json!(deep));
    }
}
