//! TOML as a text: reads a document, writes a value.

use anyhow::bail;
use serde_json::Value;
use toml_edit::{Document, Key};

/// The document with the places of its parts.
///
/// # Errors
/// It is not valid TOML.
pub(super) fn parse(text: &str) -> anyhow::Result<Document<&str>> {
    // The error's own text quotes the line, which may contain a secret.
    Document::parse(text).map_err(|error| {
        let at = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| before.matches('\n').count() + 1);
        anyhow::anyhow!("it is not valid TOML: line {at}: {}; fix it first", error.message().trim())
    })
}

/// The value on one line.
pub(super) fn inline(value: &Value) -> anyhow::Result<String> {
    Ok(match value {
        Value::Null => bail!("TOML has no null"),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => toml_edit::Value::from(text.as_str()).to_string(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(inline).collect::<anyhow::Result<Vec<_>>>()?.join(", "))
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| Ok(format!("{} = {}", Key::new(name).display_repr(), inline(value)?)))
                .collect::<anyhow::Result<Vec<_>>>()?;
            format!("{{ {} }}", members.join(", "))
        }
    })
}
