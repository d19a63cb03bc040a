//! Bounds of a request's members that are repeated in its reply, or stored.

use std::fmt;
use std::marker::PhantomData;

use memory_bank_core::document::json_bytes;
use memory_bank_core::limits;
use rmcp::model::RequestId;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::mcp::message::member;

/// A member that is too long. `id` is that of the request, if it can be repeated.
#[derive(Debug)]
pub(crate) struct TooLong<'a> {
    pub(crate) text: String,
    pub(crate) id: Option<&'a Value>,
}

/// The error for a request with an invalid id.
pub(crate) const INVALID_ID: &str =
    "the `id` of a request must be a string or a whole number; send a notification without `id`";

/// Whether a value can be the id of a request, and be repeated in its reply.
pub(crate) fn is_id(id: &Value) -> bool {
    RequestId::deserialize(id).is_ok()
}

/// The members of a message that have a bound, as paths, and their bounds in bytes of JSON.
const BOUNDED_MEMBERS: [(&[&str], &str, usize); 6] = [
    (&["params", "_meta", "progressToken"], "the progress token", limits::REQUEST_ID_BYTES),
    (&["method"], "the method", limits::REQUEST_ID_BYTES),
    (&["params", "name"], "`params.name`", limits::REQUEST_ID_BYTES),
    (&["params", "protocolVersion"], "`params.protocolVersion`", limits::REQUEST_ID_BYTES),
    (&["params", "cursor"], "`params.cursor`", limits::URI_BYTES),
    (&["params", "uri"], "`params.uri`", limits::URI_BYTES),
];

/// Refuses a message with a member that is too long, or with an invalid id.
pub(crate) fn check(message: &Value) -> Result<(), TooLong<'_>> {
    let id = message.get("id");
    if let Some(id) = id {
        let bytes = length(id);
        if bytes > limits::REQUEST_ID_BYTES {
            let text = too_long("the id of the request", bytes, limits::REQUEST_ID_BYTES);
            return Err(TooLong { text, id: None });
        }
    }
    for (path, name, most) in BOUNDED_MEMBERS {
        let bytes = member(message, path).map(length).unwrap_or_default();
        if bytes > most {
            return Err(TooLong { text: too_long(name, bytes, most), id: id.filter(|id| is_id(id)) });
        }
    }
    Ok(())
}

/// The bounded members of a message that is still text; the rest is skipped.
pub(crate) fn bounded_members(text: &str) -> Option<Value> {
    let members: Members = serde_json::from_str(text).ok()?;
    let params = members.params.0;
    Some(json!({"id": members.id, "method": members.method, "params": {
        "_meta": {"progressToken": params.meta.0.progress_token}, "name": params.name,
        "protocolVersion": params.protocol_version, "cursor": params.cursor, "uri": params.uri,
    }}))
}

#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    method: Value,
    #[serde(default)]
    params: Lenient<Params>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Params {
    #[serde(rename = "_meta")]
    meta: Lenient<Meta>,
    name: Value,
    protocol_version: Value,
    cursor: Value,
    uri: Value,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    progress_token: Value,
}

/// A value of another type has no length.
#[derive(Default)]
struct Lenient<T>(T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectOrNothing(PhantomData))
    }
}

struct ObjectOrNothing<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for ObjectOrNothing<T> {
    type Value = Lenient<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Lenient<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Lenient)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Lenient<T>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Lenient::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Lenient<T>, E> {
        Ok(Lenient::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Lenient<T>, E> {
        Ok(Lenient::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Lenient<T>, E> {
        Ok(Lenient::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Lenient<T>, E> {
        Ok(Lenient::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Lenient<T>, E> {
        Ok(Lenient::default())
    }

    fn visit_unit<E>(self) -> Result<Lenient<T>, E> {
        Ok(Lenient::default())
    }
}

fn too_long(name: &str, bytes: usize, most: usize) -> String {
    format!("{name} is {bytes} bytes long, at most {most} are allowed; send a shorter one")
}

fn length(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 0,
        Value::Number(_) => 24,
        Value::String(text) => json_bytes(text) + 2,
        other => other.to_string().len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_text_or_a_whole_number() {
        for id in [json!("a"), json!(""), json!("1.5"), json!(0), json!(-1), json!(i64::MAX), json!(1.0)] {
            assert!(is_id(&id), "{id}");
        }
        for id in [
            json!(null),
            json!(true),
            json!({}),
            json!({"id": 1}),
            json!([]),
            json!([1]),
            json!(1.5),
            json!(-0.5),
            json!(u64::MAX),
            json!(1e300),
        ] {
            assert!(!is_id(&id), "{id}");
        }
    }

    #[test]
    fn bounded_members_are_found_in_a_text_as_in_a_value() {
        let long = "x".repeat(limits::URI_BYTES);
        for message in [
            json!({"id": long, "method": "ping"}),
            json!({"id": 1, "method": long}),
            json!({"id": 1, "method": "ping", "params": {"_meta": {"progressToken": long}}}),
            json!({"id": 1, "method": "ping", "params": {"name": long, "arguments": {"a": [1]}}}),
            json!({"id": 1, "method": "ping", "params": {"uri": long}}),
            json!({"id": 1, "method": "ping", "params": {"cursor": long}}),
            json!({"id": 1, "method": "initialize", "params": {"protocolVersion": long}}),
        ] {
            assert!(check(&message).is_err(), "{message}");
            assert!(check(&bounded_members(&message.to_string()).unwrap()).is_err(), "{message}");
        }
        for message in [
            json!({"id": "x".repeat(254), "method": "ping", "params": [1, long]}),
            json!({"id": 1.5, "method": "ping", "params": {"_meta": 7, "arguments": {"name": long, "uri": long}}}),
            json!({"id": null, "method": "ping", "params": "x"}),
        ] {
            assert!(check(&message).is_ok(), "{message}");
            assert!(check(&bounded_members(&message.to_string()).unwrap()).is_ok(), "{message}");
        }
    }
}
