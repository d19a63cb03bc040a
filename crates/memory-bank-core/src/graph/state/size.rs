//! About how many bytes of memory attributes take.

use serde_json::{Map, Value};

/// About how many bytes the members of an object take.
pub(in crate::graph) fn members_bytes(members: &Map<String, Value>) -> usize {
    members.iter().map(|(key, value)| member_bytes(key, value)).sum()
}

/// About how many bytes a member of an object takes: its entry in the table, its key and its value.
fn member_bytes(key: &str, value: &Value) -> usize {
    size_of::<(u64, String, Value)>() + 2 * size_of::<usize>() + key.len() + value_bytes(value)
}

/// The bytes of a value on the heap. The recursion is bounded, since attributes have a bound on their depth.
fn value_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| size_of::<Value>() + value_bytes(item)).sum(),
        Value::Object(members) => members_bytes(members),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
