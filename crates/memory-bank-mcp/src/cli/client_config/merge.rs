//! Merges one entry into JSON with comments; everything else stays, byte for byte. Text only, no files.

use anyhow::{Context, bail};
use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};
use serde_json::Value;

/// The result of a merge.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Merged {
    /// The entry existed unchanged.
    Same,
    /// The entry is new; the whole text.
    Added(String),
    /// The entry was replaced; the whole text.
    Replaced(String),
}

/// Puts `entry` under `section` as `name`, and `input` into the list `inputs`.
///
/// # Errors
///
/// If the text is no JSON with comments, if what should be an object or a list is none, or if an entry of that name says
/// something else and `force` is not given.
pub(super) fn merge(
    text: &str,
    section: &str,
    name: &str,
    entry: &Value,
    input: Option<&Value>,
    force: bool,
) -> anyhow::Result<Merged> {
    // The parser does not accept a byte order mark, which Windows programs write.
    let (mark, body) = text.strip_prefix('\u{feff}').map_or(("", text), |rest| ("\u{feff}", rest));
    let body = if body.trim().is_empty() { "{}\n" } else { body };
    let root = CstRootNode::parse(body, &ParseOptions::default())
        .map_err(|error| anyhow::anyhow!("it is no JSON: {error}; mend it first"))?;
    let top = root.object_value_or_create().context("its outermost value is no object; mend it first")?;
    only_one(&top, section)?;
    let servers = top
        .object_value_or_create(section)
        .with_context(|| format!("its member `{section}` is no object; mend it first"))?;
    only_one(&servers, name)?;

    let mut changed = false;
    if let Some(input) = input {
        let inputs =
            top.array_value_or_create("inputs").context("its member `inputs` is no list; mend it first")?;
        let is_there = inputs
            .elements()
            .iter()
            .any(|element| element.to_serde_value().is_some_and(|value| value.get("id") == input.get("id")));
        if !is_there {
            inputs.ensure_multiline();
            inputs.append(as_input(input));
            changed = true;
        }
    }
    let mut replaced = false;
    match servers.get(name) {
        None => {
            servers.append(name, as_input(entry));
            changed = true;
        }
        Some(present) if present.value().and_then(|value| value.to_serde_value()).as_ref() == Some(entry) => {
        }
        Some(present) if force => {
            present.set_value(as_input(entry));
            replaced = true;
        }
        Some(_) => bail!(
            "it has an entry `{name}` that says something else; give the new one another `--name`, or replace it with `--force`"
        ),
    }
    let whole = || format!("{mark}{root}");
    Ok(match (replaced, changed) {
        (true, _) => Merged::Replaced(whole()),
        (false, true) => Merged::Added(whole()),
        (false, false) => Merged::Same,
    })
}

/// A repeated name is ambiguous: clients take the last, parsers the first.
fn only_one(object: &CstObject, name: &str) -> anyhow::Result<()> {
    let times = object
        .properties()
        .iter()
        .filter(|property| property.decoded_name().as_deref() == Some(name))
        .count();
    if times > 1 {
        bail!("its member `{name}` stands {times} times; mend it first");
    }
    Ok(())
}

fn as_input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(value) => CstInputValue::Bool(*value),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(as_input).collect()),
        Value::Object(members) => CstInputValue::Object(
            members.iter().map(|(name, value)| (name.clone(), as_input(value))).collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry() -> Value {
        json!({ "command": "memory-bank-mcp", "args": ["--path", "/a \"b\"\\c"] })
    }

    fn merged(text: &str) -> anyhow::Result<Merged> {
        merge(text, "mcpServers", "memory-bank", &entry(), None, false)
    }

    #[test]
    fn an_empty_file_gets_the_entry_and_nothing_else() {
        let Ok(Merged::Added(text)) = merged("") else { panic!("not added") };
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value, json!({ "mcpServers": { "memory-bank": entry() } }));
        assert!(text.ends_with("}\n"));
    }

    #[test]
    fn everything_else_stays_byte_for_byte() {
        let before = "\u{feff}{\r\n\t// mine\r\n\t\"theme\" : \"dark\", /* odd  spaces */\r\n\t\"mcpServers\": {\r\n\t\t\"other\": { \"command\": \"x\", }, // keep\r\n\t},\r\n}\r\n";
        let Ok(Merged::Added(after)) = merged(before) else { panic!("not added") };
        let same = before.bytes().zip(after.bytes()).take_while(|(one, other)| one == other).count();
        let rest = before.bytes().skip(same).collect::<Vec<_>>();
        assert!(after.as_bytes().ends_with(&rest), "more than one place changed: {after:?}");
        assert!(after.contains("\"memory-bank\""), "{after:?}");
        assert!(!after.replace("\r\n", "").contains('\n'), "line ends are mixed: {after:?}");
    }

    #[test]
    fn a_second_merge_changes_nothing() {
        let Ok(Merged::Added(text)) = merged("{ \"a\": 1 }") else { panic!("not added") };
        assert_eq!(merged(&text).unwrap(), Merged::Same);
    }

    #[test]
    fn an_entry_that_says_something_else_is_replaced_on_demand_only() {
        let text = "{\"mcpServers\": {\"memory-bank\": {\"command\": \"old\"}, \"b\": 1}}";
        assert!(merged(text).unwrap_err().to_string().contains("--force"));
        let Merged::Replaced(after) = merge(text, "mcpServers", "memory-bank", &entry(), None, true).unwrap()
        else {
            panic!("not replaced")
        };
        let value: Value = serde_json::from_str(&after).unwrap();
        assert_eq!(value, json!({ "mcpServers": { "memory-bank": entry(), "b": 1 } }));
    }

    #[test]
    fn what_cannot_be_merged_is_refused() {
        for text in
            ["{", "[1]", "{\"mcpServers\": []}", "{\"mcpServers\": {}, \"mcpServers\": {\"x\": 1}}", "{} {}"]
        {
            assert!(merged(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_input_is_added_once() {
        let input = json!({ "id": "key", "type": "promptString" });
        let text = "{\"inputs\": [{\"id\": \"other\"}]}";
        let Merged::Added(after) = merge(text, "servers", "m", &entry(), Some(&input), false).unwrap() else {
            panic!("not added")
        };
        let value: Value = serde_json::from_str(&after).unwrap();
        assert_eq!(value["inputs"], json!([{ "id": "other" }, input]));
        assert_eq!(merge(&after, "servers", "m", &entry(), Some(&input), false).unwrap(), Merged::Same);
    }
}
