//! The final bound of a reply's text. Tools that know what to omit respect it themselves; a reply that is long for
//! another reason, such as a repeated argument, is shortened here and contains a note.

use memory_bank_core::limits;
use serde_json::{Map, Value, json};

use super::reply::{Failure, Reply};

/// Arguments that ask for a longer reply.
const LENGTH_ARGUMENTS: [&str; 5] = ["maxChars", "limit", "maxResults", "maxProgressEntries", "maxDecisions"];
/// A shorter text is not cut.
const MIN_CUT_CHARS: usize = 80;
/// Members that a write takes back under the same name, and the name for a part of them: a part must not be written
/// back as the whole.
const PART_NAMES: [(&str, &str); 8] = [
    ("content", "part"),
    ("text", "textPart"),
    ("name", "namePart"),
    ("summary", "summaryPart"),
    ("details", "detailsPart"),
    ("tasks", "tasksPart"),
    ("issues", "issuesPart"),
    ("nextSteps", "nextStepsPart"),
];
/// Shorter attributes need no more space than the note about their omission.
const MIN_OMITTED_ATTRIBUTES_CHARS: usize = 200;
/// The space for the note.
const NOTE_CHARS: usize = 200;

/// Whether a call asks for a longer reply.
pub(super) fn requests_longer_reply(arguments: &Map<String, Value>) -> bool {
    LENGTH_ARGUMENTS
        .iter()
        .any(|name| arguments.get(*name).is_some_and(|value| !value.is_null() && value != ""))
}

/// The outcome with at most [`limits::REPLY_CHARS`] characters.
pub(super) fn bounded(outcome: Result<Reply, Failure>) -> Result<Reply, Failure> {
    match outcome {
        Ok(reply) if is_long(&reply.text) => {
            if reply.text.starts_with('{') && reply.structured.is_object() {
                let mut data = reply.structured;
                shorten(&mut data, limits::REPLY_CHARS - NOTE_CHARS);
                return Reply::json(&data);
            }
            Ok(Reply { text: cut(&reply.text), ..reply })
        }
        Err(Failure::Message(text)) if is_long(&text) => Err(Failure::Message(cut(&text))),
        Err(Failure::Unquoted(text)) if is_long(&text) => Err(Failure::Unquoted(cut(&text))),
        Err(Failure::Busy(text)) if is_long(&text) => Err(Failure::Busy(cut(&text))),
        Err(Failure::NotAllowed(text)) if is_long(&text) => Err(Failure::NotAllowed(cut(&text))),
        Err(Failure::Malformed(text)) if is_long(&text) => Err(Failure::Malformed(cut(&text))),
        Err(Failure::Hinted { text, hint }) if is_long(&text) => {
            Err(Failure::Hinted { text: cut(&text), hint })
        }
        Err(Failure::Data(mut data)) if is_long(&data.to_string()) => {
            shorten(&mut data, limits::REPLY_CHARS - NOTE_CHARS);
            Err(Failure::Data(data))
        }
        other => other,
    }
}

fn is_long(text: &str) -> bool {
    text.len() > limits::REPLY_CHARS && text.chars().count() > limits::REPLY_CHARS
}

fn cut(text: &str) -> String {
    let all = text.chars().count();
    let kept: String = text.chars().take(limits::REPLY_CHARS - NOTE_CHARS).collect();
    format!("{kept}\n… (cut: the whole has {all} characters)")
}

/// Halves the longest text or list until the total fits, and adds a note.
pub(super) fn shorten(data: &mut Value, most: usize) {
    /// More halvings than any reply needs.
    const MAX_HALVINGS: usize = 20_000;
    for _ in 0..MAX_HALVINGS {
        if data.to_string().chars().count() <= most {
            break;
        }
        let longest = longest(data);
        if longest == 0 || !halve(data, longest) {
            break;
        }
    }
    if let Some(object) = data.as_object_mut() {
        object.insert("shortened".into(), json!("long texts and lists were cut to their beginnings"));
    }
}

/// The characters of the longest text, or the length in JSON of the longest list, that can be cut.
fn longest(value: &Value) -> usize {
    match value {
        Value::String(text) => Some(text.chars().count()).filter(|chars| *chars > MIN_CUT_CHARS).unwrap_or(0),
        Value::Array(items) => {
            let own = if items.len() > 1 { items.iter().map(|item| item.to_string().len()).sum() } else { 0 };
            let inner = items.iter().map(longest).max().unwrap_or(0);
            // A list of long texts is cut by its texts first.
            if inner * 4 > own { inner } else { own }
        }
        Value::Object(members) => {
            members.iter().map(|(name, value)| longest_member(name, value)).max().unwrap_or(0)
        }
        _ => 0,
    }
}

/// The longest value within a member of an object. Attributes are shown completely or not at all.
fn longest_member(name: &str, value: &Value) -> usize {
    if name == "attrs" && value.is_object() {
        let chars = value.to_string().chars().count();
        return if chars > MIN_OMITTED_ATTRIBUTES_CHARS { chars } else { 0 };
    }
    longest(value)
}

/// Halves the first text or list of this length, or omits the attributes.
fn halve(value: &mut Value, length: usize) -> bool {
    if longest(value) != length {
        return false;
    }
    match value {
        Value::String(text) => {
            *text = text.chars().take(length / 2).chain(['…']).collect();
            true
        }
        Value::Array(items) => {
            if items.iter_mut().any(|item| halve(item, length)) {
                return true;
            }
            items.truncate(items.len() / 2);
            true
        }
        Value::Object(members) => {
            let name = members
                .iter()
                .find(|(name, value)| longest_member(name, value) == length)
                .map(|(name, _)| name.clone());
            let Some(name) = name else { return false };
            if name == "attrs" && members.get("attrs").is_some_and(Value::is_object) {
                members.shift_remove("attrs");
                members.insert(
                    "attrsLeftOut".to_owned(),
                    json!({"chars": length, "next": format!("graph_open_nodes with maxChars {}", limits::REPLY_BYTES)}),
                );
                return true;
            }
            let is_own = members.get(&name).is_some_and(is_cut_itself);
            if !members.get_mut(&name).is_some_and(|value| halve(value, length)) {
                return false;
            }
            if let Some((_, shown)) = PART_NAMES.iter().find(|(whole, _)| *whole == name && is_own)
                && let Some(part) = members.shift_remove(&name)
            {
                members.insert((*shown).to_owned(), part);
                if name == "content" {
                    members.shift_remove("etag");
                }
            }
            true
        }
        _ => false,
    }
}

/// Whether a value is a text, or a list of texts, so that a part has the kind of its name.
fn is_cut_itself(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(items) => items.iter().all(Value::is_string),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_complete_or_omitted() {
        let small = json!({"a": "b"});
        for attrs in [
            json!({"steps": "v".repeat(40_000)}),
            json!({"list": vec!["x"; 12_000], "deep": {"attrs": {"y": "z".repeat(9000)}}}),
        ] {
            let data = json!({"entity": {"id": "e", "attrs": attrs}, "other": {"attrs": small}});
            let reply = bounded(Reply::json(&data)).unwrap().structured;
            assert!(reply["entity"].get("attrs").is_none(), "{reply}");
            let chars = attrs.to_string().chars().count();
            assert_eq!(reply["entity"]["attrsLeftOut"]["chars"], json!(chars));
            assert!(reply["entity"]["attrsLeftOut"]["next"].as_str().unwrap().contains("maxChars 262144"));
            assert_eq!(reply["other"]["attrs"], small);
        }
    }

    #[test]
    fn values_that_a_write_accepts_are_cut_under_another_name() {
        let data =
            json!({"observations": [{"id": "o", "text": "x".repeat(60_000)}], "tasks": ["y".repeat(30_000)]});
        let reply = bounded(Reply::json(&data)).unwrap().structured;
        assert!(reply["observations"][0].get("text").is_none() && reply.get("tasks").is_none(), "{reply}");
        assert!(reply["observations"][0]["textPart"].is_string() && reply["tasksPart"].is_array());
    }

    fn chars(reply: &Reply) -> usize {
        reply.text.chars().count()
    }

    #[test]
    fn a_long_reply_is_shortened_and_reports_it() {
        for data in [
            json!({"success": true, "observation": {"id": "obs_1", "text": "ö\"".repeat(60_000)}}),
            json!({"success": true, "tasks": vec!["a task"; 9000], "changes": {"added": 1}}),
            json!({"a": vec!["x".repeat(8000); 500], "b": "y".repeat(3000)}),
            json!({"many": (0..5000).map(|n| json!({"id": n, "name": format!("n{n}")})).collect::<Vec<_>>()}),
        ] {
            let reply = bounded(Reply::json(&data)).unwrap();
            assert!(chars(&reply) <= limits::REPLY_CHARS && chars(&reply) > 5000, "{}", chars(&reply));
            assert!(reply.structured["shortened"].is_string());
            assert_eq!(serde_json::from_str::<Value>(&reply.text).unwrap(), reply.structured);
        }
        let text = bounded(Ok(Reply::sentence("é".repeat(90_000)))).unwrap();
        assert!(chars(&text) <= limits::REPLY_CHARS && text.text.contains("90000 characters"));
        let error = bounded(Err(Failure::message("x".repeat(90_000)))).unwrap_err();
        assert!(matches!(error, Failure::Message(text) if text.len() <= limits::REPLY_CHARS));
    }

    #[test]
    fn a_short_reply_is_not_changed() {
        let data = json!({"a": "ö".repeat(limits::REPLY_CHARS - 100)});
        assert_eq!(bounded(Reply::json(&data)).unwrap().structured, data);
    }

    #[test]
    fn a_partial_document_cannot_be_mistaken_for_the_whole() {
        let data = json!({"content": "x".repeat(90_000), "etag": "0123456789abcdef"});
        let reply = bounded(Reply::json(&data)).unwrap();
        assert!(reply.structured.get("content").is_none() && reply.structured.get("etag").is_none());
        assert!(reply.structured["part"].is_string());
    }

    #[test]
    fn only_a_value_requests_a_longer_reply() {
        let arguments = |value: Value| value.as_object().cloned().unwrap();
        assert!(requests_longer_reply(&arguments(json!({"maxChars": 90_000}))));
        assert!(!requests_longer_reply(&arguments(json!({"limit": null, "query": "limit"}))));
    }
}
