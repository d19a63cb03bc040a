//! Arguments of a tool: described once, and shown to clients as JSON Schema. `arguments.rs` accepts and checks them.
//!
//! Schemas are simple, since some clients drop a tool with a complex one: every property has one type, there are no
//! unions, no references and no objects with free keys, and the depth is bounded.

use serde_json::{Map, Value, json};

/// The type of an argument.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Text of any length up to a document's.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Shown as one of these words; the handler answers other words with the error that clients know.
    KnownWord(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A whole number between two bounds, both included; the upper one is shown only if it is below `u32::MAX`.
    Whole(u32, u32),
    /// A whole number that is moved into its bounds instead of being refused.
    Clamped(u32, u32),
    /// A list of texts.
    Texts,
    /// An object with free keys; shown as text, since some clients drop a tool with such an object. Both are
    /// accepted.
    Free,
    /// An object with these members.
    Object(&'static [Argument]),
    /// A list of objects with these members.
    Objects(&'static [Argument]),
    /// Shown as a text; an object with free keys is accepted, too.
    TextOrFree,
    /// `true` or `false`, as shown; the names of lists are accepted, too.
    Clear,
}

/// One argument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Argument {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Required, with the error if it is missing or (unless `may_be_empty`) empty.
    pub(crate) required: Option<&'static str>,
    pub(crate) may_be_empty: bool,
    /// Whether an empty text has a meaning; otherwise an optional empty argument counts as missing.
    pub(crate) keeps_empty: bool,
    /// Synonyms that clients use, in lower case and without separators; they are not shown.
    pub(crate) other_names: &'static [&'static str],
    /// Shown to the model only if the name is not clear; every word costs tokens.
    pub(crate) description: &'static str,
    /// Accepted and not shown, because models hardly ever need it.
    pub(crate) unlisted: bool,
    /// Whether a list of texts, of which there is mostly one, is shown as a text.
    pub(crate) shown_as_text: bool,
}

/// A required argument; `missing` is the error that clients of the TypeScript server know.
pub(crate) const fn required(name: &'static str, kind: Kind, missing: &'static str) -> Argument {
    Argument {
        name,
        kind,
        required: Some(missing),
        may_be_empty: false,
        keeps_empty: true,
        other_names: &[],
        description: "",
        unlisted: false,
        shown_as_text: false,
    }
}

/// An optional argument.
pub(crate) const fn optional(name: &'static str, kind: Kind) -> Argument {
    Argument {
        name,
        kind,
        required: None,
        may_be_empty: true,
        keeps_empty: false,
        other_names: &[],
        description: "",
        unlisted: false,
        shown_as_text: false,
    }
}

impl Argument {
    /// Allows an empty text.
    pub(crate) const fn or_empty(self) -> Self {
        Self { may_be_empty: true, ..self }
    }

    /// Passes an empty text on: as content, or because the handler must distinguish it from a missing value.
    pub(crate) const fn keeping_empty(self) -> Self {
        Self { keeps_empty: true, ..self }
    }

    /// Accepts these other names, too.
    pub(crate) const fn or_called(self, other_names: &'static [&'static str]) -> Self {
        Self { other_names, ..self }
    }

    /// Accepts it without showing it.
    pub(crate) const fn unlisted(self) -> Self {
        Self { unlisted: true, ..self }
    }

    /// Shows a list of texts as one text, which is shorter; both are accepted.
    pub(crate) const fn shown_as_text(self) -> Self {
        Self { shown_as_text: true, ..self }
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
    let shown = arguments.iter().filter(|argument| !argument.unlisted);
    let properties: Map<String, Value> =
        shown.map(|argument| (argument.name.to_owned(), property_schema(argument))).collect();
    schema.insert("properties".into(), Value::Object(properties));
    let required: Vec<&str> = arguments
        .iter()
        .filter(|argument| argument.required.is_some())
        .map(|argument| argument.name)
        .collect();
    if !required.is_empty() {
        schema.insert("required".into(), json!(required));
    }
    // No `additionalProperties`: google-genai cannot convert one that is `false`, and those who need it add it where there
    // are properties.
    schema
}

fn property_schema(argument: &Argument) -> Value {
    let mut schema = match argument.kind {
        Kind::Text | Kind::Free | Kind::TextOrFree => json!({"type": "string"}),
        Kind::Word(words) | Kind::KnownWord(words) => json!({"type": "string", "enum": words}),
        Kind::Flag | Kind::Clear => json!({"type": "boolean"}),
        Kind::Whole(least, u32::MAX) => json!({"type": "integer", "minimum": least}),
        Kind::Whole(least, most) | Kind::Clamped(least, most) => {
            json!({"type": "integer", "minimum": least, "maximum": most})
        }
        Kind::Texts if argument.shown_as_text => json!({"type": "string"}),
        Kind::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Kind::Object(members) => Value::Object(object_schema(members)),
        Kind::Objects(members) => json!({"type": "array", "items": object_schema(members)}),
    };
    if !argument.description.is_empty()
        && let Some(object) = schema.as_object_mut()
    {
        object.insert("description".into(), json!(argument.description));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::super::TOOLS;
    use super::*;

    const ARGUMENTS: &[Argument] = &[
        required("name", Kind::Text, "Name not specified"),
        optional("limit", Kind::Whole(1, 20)),
        optional("kind", Kind::Word(&["a", "b"])),
        optional("tags", Kind::Texts),
        optional("items", Kind::Objects(&[required("id", Kind::Text, "")])),
        optional("depth", Kind::Clamped(1, 2)),
        optional("attrs", Kind::Free).about("JSON object"),
        optional("source", Kind::TextOrFree),
    ];

    #[test]
    fn the_schema_shows_types_words_and_bounds() {
        assert_eq!(
            Value::Object(object_schema(ARGUMENTS)),
            json!({"type": "object", "properties": {
                "name": {"type": "string"},
                "limit": {"type": "integer", "minimum": 1, "maximum": 20},
                "kind": {"type": "string", "enum": ["a", "b"]},
                "tags": {"type": "array", "items": {"type": "string"}},
                "items": {"type": "array", "items": {"type": "object",
                    "properties": {"id": {"type": "string"}}, "required": ["id"]}},
                "depth": {"type": "integer", "minimum": 1, "maximum": 2},
                "attrs": {"type": "string", "description": "JSON object"}, "source": {"type": "string"}},
                "required": ["name"]})
        );
    }

    /// The deepest level that clients accept: the arguments, a list in them, its items, and their members.
    const DEPTH: usize = 4;

    /// The parts of a schema that a client would not accept, each with its path.
    fn faults(schema: &Value, path: &str, depth: usize) -> Vec<String> {
        let Some(members) = schema.as_object() else { return vec![format!("{path} is not an object")] };
        let known = ["type", "properties", "required", "items", "enum", "minimum", "maximum", "description"];
        let mut faults: Vec<String> = members
            .keys()
            .filter(|key| !known.contains(&key.as_str()))
            .map(|key| format!("{path} has `{key}`"))
            .collect();
        if depth > DEPTH {
            faults.push(format!("{path} is deeper than {DEPTH}"));
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => {
                // Neither a tool without arguments, nor an object without members within one: for some clients such an
                // object takes anything, which they cannot express.
                let properties = schema.get("properties").and_then(Value::as_object);
                if properties.is_none_or(Map::is_empty) {
                    faults.push(format!("{path} is an object without properties"));
                }
                for (name, property) in properties.into_iter().flatten() {
                    faults.extend(self::faults(property, &format!("{path}.{name}"), depth + 1));
                }
            }
            Some("array") => match schema.get("items") {
                Some(items) => faults.extend(self::faults(items, &format!("{path}[]"), depth + 1)),
                None => faults.push(format!("{path} is an array without items")),
            },
            Some("string" | "integer" | "boolean") => {}
            other => faults.push(format!("{path} has the type {other:?}")),
        }
        let words = schema.get("enum").and_then(Value::as_array);
        if words.is_some_and(|words| words.is_empty() || !words.iter().all(Value::is_string)) {
            faults.push(format!("{path} has an enum of something else than texts"));
        }
        faults
    }

    #[test]
    fn every_tool_schema_is_accepted_by_every_client() {
        let whole = TOOLS.iter().map(|tool| (tool.name, Value::Object(object_schema(tool.arguments))));
        let shown = TOOLS.iter().map(|tool| {
            (tool.name, Value::Object(super::super::listing::describe(tool).input_schema.as_ref().clone()))
        });
        let faults: Vec<String> =
            whole.chain(shown).flat_map(|(name, schema)| faults(&schema, name, 1)).collect();
        assert!(faults.is_empty(), "{faults:#?}");
    }

    #[test]
    fn a_schema_that_a_client_does_not_accept_is_found() {
        for schema in [
            json!({"enum": ["a"]}),
            json!({"type": ["string", "object"]}),
            json!({"anyOf": [{"type": "string"}]}),
            json!({"$ref": "#/x"}),
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false}),
            json!({"type": "object"}),
            json!({"type": "array"}),
            json!({"type": "array", "items": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}}),
        ] {
            assert!(
                !faults(&json!({"type": "object", "properties": {"x": schema}}), "x", 1).is_empty(),
                "{schema}"
            );
        }
    }
}
