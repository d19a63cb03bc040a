//! Arguments of a tool: described once, shown to clients as JSON Schema, and enforced.

use memory_bank_core::limits;
use serde_json::{Map, Number, Value, json};

/// What one argument takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Text of any length up to a document's.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Shown as one of these words; the handler answers another one in the words that clients know.
    KnownWord(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A whole number between two bounds, both included; the upper one is shown only if it is below `u32::MAX`.
    Whole(u32, u32),
    /// A whole number that is moved into its bounds instead of being refused.
    Clamped(u32, u32),
    /// A list of texts.
    Texts,
    /// An object with free keys.
    Free,
    /// An object with these members.
    Object(&'static [Argument]),
    /// A list of objects with these members.
    Objects(&'static [Argument]),
    /// A text, or an object with free keys.
    TextOrFree,
    /// `true` or `false`, as shown; the names of lists are taken, too.
    Clear,
}

/// One argument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Argument {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Required, and with which error when it is missing or (unless `may_be_empty`) an empty text.
    pub(crate) required: Option<&'static str>,
    pub(crate) may_be_empty: bool,
    /// Whether an empty text says something; otherwise an optional argument that is one counts as left out.
    pub(crate) keeps_empty: bool,
    /// Said to the model only where the name does not say it; every word costs tokens.
    pub(crate) description: &'static str,
}

/// A required argument; `missing` is the error that clients of the original know.
pub(crate) const fn required(name: &'static str, kind: Kind, missing: &'static str) -> Argument {
    Argument { name, kind, required: Some(missing), may_be_empty: false, keeps_empty: true, description: "" }
}

/// An argument that may be left out.
pub(crate) const fn optional(name: &'static str, kind: Kind) -> Argument {
    Argument { name, kind, required: None, may_be_empty: true, keeps_empty: false, description: "" }
}

impl Argument {
    /// Lets an empty text pass.
    pub(crate) const fn or_empty(self) -> Self {
        Self { may_be_empty: true, ..self }
    }

    /// Hands an empty text on: as content, or because the handler must tell it from a value that was left out.
    pub(crate) const fn keeping_empty(self) -> Self {
        Self { keeps_empty: true, ..self }
    }

    /// Whether this value stands for none. Clients that must send every argument send an empty text.
    fn is_left_out(&self, value: &Value) -> bool {
        if let (Kind::Object(members), None, Value::Object(object)) = (self.kind, self.required, value) {
            return is_blank(members, object);
        }
        let Value::String(text) = value else { return false };
        let free = matches!(self.kind, Kind::Text | Kind::TextOrFree | Kind::KnownWord(_));
        !self.keeps_empty && (text.is_empty() || !free && text.trim().is_empty())
    }

    /// Adds a description.
    pub(crate) const fn about(self, description: &'static str) -> Self {
        Self { description, ..self }
    }
}

/// The JSON Schema of an object with these members.
pub(crate) fn object_schema(arguments: &[Argument]) -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("type".into(), json!("object"));
    let properties: Map<String, Value> =
        arguments.iter().map(|argument| (argument.name.to_owned(), property_schema(argument))).collect();
    schema.insert("properties".into(), Value::Object(properties));
    let required: Vec<&str> = arguments
        .iter()
        .filter(|argument| argument.required.is_some())
        .map(|argument| argument.name)
        .collect();
    if !required.is_empty() {
        schema.insert("required".into(), json!(required));
    }
    schema.insert("additionalProperties".into(), json!(false));
    schema
}

fn property_schema(argument: &Argument) -> Value {
    let mut schema = match argument.kind {
        Kind::Text => json!({"type": "string"}),
        Kind::Word(words) | Kind::KnownWord(words) => json!({"enum": words}),
        Kind::Flag | Kind::Clear => json!({"type": "boolean"}),
        Kind::Whole(least, u32::MAX) => json!({"type": "integer", "minimum": least}),
        Kind::Whole(least, most) | Kind::Clamped(least, most) => {
            json!({"type": "integer", "minimum": least, "maximum": most})
        }
        Kind::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Kind::Free => json!({"type": "object"}),
        Kind::Object(members) => Value::Object(object_schema(members)),
        Kind::Objects(members) => json!({"type": "array", "items": object_schema(members)}),
        Kind::TextOrFree => json!({"type": ["string", "object"]}),
    };
    if !argument.description.is_empty()
        && let Some(object) = schema.as_object_mut()
    {
        object.insert("description".into(), json!(argument.description));
    }
    schema
}

/// Checks arguments against their description and drops members that are `null`, which means "left out", and optional
/// ones that are an empty text.
///
/// # Errors
/// Names the argument, what it takes and what came.
pub(crate) fn check(arguments: &[Argument], given: &mut Map<String, Value>) -> Result<(), String> {
    check_object(arguments, given, "")
}

fn check_object(arguments: &[Argument], given: &mut Map<String, Value>, at: &str) -> Result<(), String> {
    given.retain(|_, value| !value.is_null());
    if let Some(unknown) =
        given.keys().find(|key| !arguments.iter().any(|argument| argument.name == key.as_str()))
    {
        let known: Vec<String> = arguments.iter().map(|argument| format!("`{}`", argument.name)).collect();
        let takes = if known.is_empty() { "no arguments".to_owned() } else { known.join(", ") };
        return Err(format!("unknown argument `{at}{unknown}`; known are: {takes}"));
    }
    given.retain(|name, value| {
        !arguments.iter().any(|argument| argument.name == name.as_str() && argument.is_left_out(value))
    });
    for argument in arguments {
        match given.get_mut(argument.name) {
            None => {
                if let Some(missing) = argument.required {
                    return Err(said_or_named(missing, at, argument.name));
                }
            }
            Some(value) => {
                if !argument.may_be_empty
                    && let Some(missing) = argument.required
                    && is_empty(value)
                {
                    return Err(said_or_named(missing, at, argument.name));
                }
                check_value(argument.kind, value, &format!("{at}{}", argument.name))?;
            }
        }
    }
    Ok(())
}

/// Whether an object has every member that it needs, and none of them says anything; a word from a list says nothing
/// alone. One that lacks a member was meant, and is named as incomplete.
fn is_blank(members: &[Argument], object: &Map<String, Value>) -> bool {
    let complete = members.iter().all(|member| member.required.is_none() || object.contains_key(member.name));
    let says_nothing = |(name, value): (&String, &Value)| {
        let member = members.iter().find(|member| member.name == name.as_str());
        value.is_null()
            || is_empty(value)
            || member.is_some_and(|member| match member.kind {
                Kind::Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
                Kind::Flag | Kind::Clear => value == &Value::Bool(false),
                _ => false,
            })
    };
    complete && object.iter().all(says_nothing)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn said_or_named(missing: &str, at: &str, name: &str) -> String {
    if missing.is_empty() { format!("`{at}{name}` is required") } else { missing.to_owned() }
}

fn check_value(kind: Kind, value: &mut Value, at: &str) -> Result<(), String> {
    let wanted = match (kind, &mut *value) {
        (Kind::Text | Kind::TextOrFree | Kind::KnownWord(_), Value::String(text)) => {
            return bounded(text, at);
        }
        (Kind::Word(words), Value::String(word)) if words.contains(&word.as_str()) => return Ok(()),
        (Kind::Flag | Kind::Clear, Value::Bool(_)) | (Kind::Free | Kind::TextOrFree, Value::Object(_)) => {
            return Ok(());
        }
        (Kind::Whole(least, most), Value::Number(number)) => match whole(number) {
            Some(number) if (i64::from(least)..=i64::from(most)).contains(&number) => {
                *value = json!(number);
                return Ok(());
            }
            _ => range(least, most),
        },
        (Kind::Clamped(least, most), Value::Number(number)) => match whole(number) {
            Some(number) => {
                *value = json!(number.clamp(least.into(), most.into()));
                return Ok(());
            }
            None => range(least, most),
        },
        (Kind::Texts | Kind::Clear, Value::Array(items)) => {
            count(items.len(), at)?;
            for (index, item) in items.iter().enumerate() {
                match item {
                    Value::String(text) => bounded(text, &format!("{at}[{index}]"))?,
                    other => return Err(mistyped(&format!("{at}[{index}]"), "a string", other)),
                }
            }
            return Ok(());
        }
        (Kind::Object(members), Value::Object(object)) => {
            return check_object(members, object, &format!("{at}."));
        }
        (Kind::Objects(members), Value::Array(items)) => {
            count(items.len(), at)?;
            for (index, item) in items.iter_mut().enumerate() {
                match item {
                    Value::Object(object) => check_object(members, object, &format!("{at}[{index}]."))?,
                    other => return Err(mistyped(&format!("{at}[{index}]"), "an object", other)),
                }
            }
            return Ok(());
        }
        (Kind::Text, _) => "a string".to_owned(),
        (Kind::Word(words) | Kind::KnownWord(words), _) => format!("one of {}", words.join(", ")),
        (Kind::Flag | Kind::Clear, _) => "true or false".to_owned(),
        (Kind::Whole(least, most) | Kind::Clamped(least, most), _) => range(least, most),
        (Kind::Texts, _) => "an array of strings".to_owned(),
        (Kind::Free | Kind::Object(_), _) => "an object".to_owned(),
        (Kind::Objects(_), _) => "an array of objects".to_owned(),
        (Kind::TextOrFree, _) => "a string or an object".to_owned(),
    };
    Err(mistyped(at, &wanted, value))
}

/// The number, if it is whole; `3.0` is.
fn whole(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let text = number.to_string();
        text.strip_suffix(".0").and_then(|whole| whole.parse().ok())
    })
}

fn range(least: u32, most: u32) -> String {
    if most == u32::MAX {
        format!("a whole number of at least {least}")
    } else {
        format!("a whole number from {least} to {most}")
    }
}

fn mistyped(at: &str, wanted: &str, got: &Value) -> String {
    let got = match got {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => got.to_string(),
        Value::String(text) => {
            let short: String = text.chars().take(40).collect();
            format!("the string {short:?}")
        }
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    format!("`{at}` must be {wanted}, got {got}")
}

fn bounded(text: &str, at: &str) -> Result<(), String> {
    if text.len() > limits::DOCUMENT_BYTES {
        return Err(format!(
            "`{at}` is {} bytes long, at most {} are allowed",
            text.len(),
            limits::DOCUMENT_BYTES
        ));
    }
    Ok(())
}

fn count(items: usize, at: &str) -> Result<(), String> {
    if items > limits::LIST_ITEMS {
        return Err(format!("`{at}` has {items} items, at most {} are allowed", limits::LIST_ITEMS));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGUMENTS: &[Argument] = &[
        required("name", Kind::Text, "Name not specified"),
        required("context", Kind::Text, "").or_empty(),
        optional("limit", Kind::Whole(1, 20)),
        optional("kind", Kind::Word(&["a", "b"])),
        optional("tags", Kind::Texts),
        optional("items", Kind::Objects(&[required("id", Kind::Text, "")])),
        optional("depth", Kind::Clamped(1, 2)),
    ];

    fn checked(mut given: Value) -> Result<Value, String> {
        check(ARGUMENTS, given.as_object_mut().unwrap())?;
        Ok(given)
    }

    #[test]
    fn the_schema_shows_types_words_and_bounds() {
        assert_eq!(
            Value::Object(object_schema(ARGUMENTS)),
            json!({"type": "object", "properties": {
                "name": {"type": "string"}, "context": {"type": "string"},
                "limit": {"type": "integer", "minimum": 1, "maximum": 20}, "kind": {"enum": ["a", "b"]},
                "tags": {"type": "array", "items": {"type": "string"}},
                "items": {"type": "array", "items": {"type": "object",
                    "properties": {"id": {"type": "string"}}, "required": ["id"], "additionalProperties": false}},
                "depth": {"type": "integer", "minimum": 1, "maximum": 2}},
                "required": ["name", "context"], "additionalProperties": false})
        );
    }

    #[test]
    fn a_missing_or_empty_required_argument_is_named_as_clients_know_it() {
        assert_eq!(checked(json!({"context": ""})).unwrap_err(), "Name not specified");
        assert_eq!(checked(json!({"name": "", "context": ""})).unwrap_err(), "Name not specified");
        assert_eq!(checked(json!({"name": "x"})).unwrap_err(), "`context` is required");
    }

    #[test]
    fn null_means_left_out_and_whole_floats_are_whole() {
        assert_eq!(
            checked(json!({"name": "x", "context": "", "tags": null, "limit": 3.0})).unwrap(),
            json!({"name": "x", "context": "", "limit": 3})
        );
    }

    #[test]
    fn an_empty_text_for_an_optional_argument_means_left_out() {
        for empty in ["limit", "kind", "tags", "items", "depth"] {
            let mut given = json!({"name": "x", "context": ""});
            given[empty] = json!("");
            assert_eq!(checked(given), Ok(json!({"name": "x", "context": ""})), "{empty}");
        }
        let arguments = [optional("a", Kind::Text), optional("b", Kind::Text).keeping_empty()];
        let mut given = json!({"a": "", "b": ""});
        check(&arguments, given.as_object_mut().unwrap()).unwrap();
        assert_eq!(given, json!({"b": ""}));
        let mut blank = json!({"a": " "});
        check(&arguments, blank.as_object_mut().unwrap()).unwrap();
        assert_eq!(blank, json!({"a": " "}), "a text of blanks is a text");
    }

    #[test]
    fn clamped_numbers_are_moved_into_their_bounds() {
        let depth = |depth: Value| {
            checked(json!({"name": "x", "context": "", "depth": depth})).map(|v| v["depth"].clone())
        };
        assert_eq!(depth(json!(-1)), Ok(json!(1)));
        assert_eq!(depth(json!(7)), Ok(json!(2)));
        assert!(depth(json!(1.5)).is_err());
    }

    #[test]
    fn d37_wrong_types_are_named_with_what_came() {
        let error = |member: &str, value: Value| {
            let mut given = json!({"name": "x", "context": ""});
            given[member] = value;
            checked(given).unwrap_err()
        };
        assert_eq!(error("tags", json!("abc")), "`tags` must be an array of strings, got the string \"abc\"");
        assert_eq!(error("tags", json!([1])), "`tags[0]` must be a string, got 1");
        assert_eq!(error("limit", json!(0)), "`limit` must be a whole number from 1 to 20, got 0");
        assert_eq!(error("limit", json!(-1)), "`limit` must be a whole number from 1 to 20, got -1");
        assert_eq!(error("limit", json!(1.5)), "`limit` must be a whole number from 1 to 20, got 1.5");
        assert_eq!(
            error("limit", json!("2")),
            "`limit` must be a whole number from 1 to 20, got the string \"2\""
        );
        assert_eq!(error("kind", json!("c")), "`kind` must be one of a, b, got the string \"c\"");
        assert_eq!(error("items", json!([{}])), "`items[0].id` is required");
        assert_eq!(error("items", json!([null])), "`items[0]` must be an object, got null");
        assert!(error("budget", json!(1)).starts_with("unknown argument `budget`; known are: `name`"));
    }
}
