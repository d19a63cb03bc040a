//! Streams of events as our client reads them, which waits for one response.

use memory_bank_server::http::response_in_events;
use serde_json::Value;

use crate::events::events_of;
use crate::input::lone_as_feeds;

/// The bytes of a stream.
pub(crate) fn event_streams(data: &[u8]) {
    let stream = String::from_utf8_lossy(data);
    if let Some(found) = response_in_events(&stream) {
        assert!(is_response(&found), "what is found is a response: {found}");
        assert!(values(&found) <= stream.len(), "a response has no more values than bytes came");
    }
    // The streams that it is made for: whole ones, without a mark of the byte order, and a carriage return ends no line alone.
    let whole = format!("{}\n\n", lone_as_feeds(stream.trim_start_matches('\u{feff}')));
    let events = events_of(&whole);
    let mut messages =
        events.iter().rev().filter_map(|event| serde_json::from_str::<Value>(&event.data).ok());
    let last = messages.find(is_response);
    assert_eq!(response_in_events(&whole), last, "the last response of the standard's events in {whole:?}");
}

fn is_response(message: &Value) -> bool {
    message.get("result").is_some() || message.get("error").is_some()
}

/// How many values it is made of, itself included.
fn values(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(values).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(values).sum::<usize>(),
        _ => 1,
    }
}
