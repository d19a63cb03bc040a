//! Collects ids, events, cursors and names from answers, so that later calls can use them.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::tenant::{Kind, Tenant};
use crate::harness::wire::{Answer, Request};

/// The number of bytes of an answer that are searched.
const SEARCHED: usize = 64 * 1024;

/// The pattern of each kind of id.
static SHAPES: LazyLock<Vec<(Kind, Regex)>> = LazyLock::new(|| {
    [
        (Kind::EntityId, r"\b(ent_[0-9A-Za-z_-]{8,})"),
        (Kind::Observation, r"\b(obs_[0-9A-Za-z_-]{8,})"),
        (Kind::Relation, r"\b(rel_[0-9A-Za-z_-]{8,})"),
        (Kind::Backup, r"(memory-bank-backup-[0-9TZ-]+)"),
        (Kind::Event, r"(?m)^id: (\S+)"),
        (Kind::Cursor, r#""nextCursor":"([^"\\]+)"#),
        (Kind::Etag, r#"etag\\?": ?\\?"([0-9a-f]{16})"#),
        (Kind::RequestId, r#""id":(\d+)"#),
    ]
    .map(|(kind, shape)| (kind, Regex::new(shape).unwrap()))
    .into()
});

/// Remembers the ids and names in a call that succeeded.
pub(crate) fn learn(own: &Tenant, request: &Request, answer: &Answer) {
    let body = &answer.body[..answer.body.len().min(SEARCHED)];
    let text = String::from_utf8_lossy(body);
    for (kind, shape) in SHAPES.iter() {
        for found in shape.captures_iter(&text).take(4) {
            own.learn(*kind, &found[1]);
        }
    }
    let Ok(sent) = serde_json::from_str::<Value>(&request.body) else { return };
    let arguments = &sent["params"]["arguments"];
    for (kind, member) in [
        (Kind::File, "filename"),
        (Kind::File, "newFilename"),
        (Kind::EntityName, "name"),
        (Kind::Thinking, "sessionId"),
    ] {
        if let Some(name) = arguments[member].as_str().filter(|name| !name.is_empty()) {
            own.learn(kind, name);
        }
    }
}

/// Forgets names that the server does not know any more, so that later calls use others.
pub(crate) fn unlearn(own: &Tenant, request: &Request, answer: &Answer) {
    let text = answer.text();
    if !["not found", "no such document", "does not exist"].iter().any(|words| text.contains(words)) {
        return;
    }
    let Ok(sent) = serde_json::from_str::<Value>(&request.body) else { return };
    let arguments = sent["params"]["arguments"].as_object().into_iter().flatten();
    for name in arguments.flat_map(|(_, value)| texts(value)) {
        for kind in [Kind::File, Kind::EntityName, Kind::EntityId, Kind::Observation] {
            own.forget(kind, name);
        }
    }
}

/// A text, or the texts of a list.
fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map_or_else(
        || value.as_str().into_iter().collect(),
        |list| list.iter().filter_map(Value::as_str).collect(),
    )
}
