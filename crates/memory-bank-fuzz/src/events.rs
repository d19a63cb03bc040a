//! Streams of events by the rules of the HTML standard, section 9.2 (<https://html.spec.whatwg.org/multipage/server-sent-events.html>),
//! written from its text and not from our code, and what our server writes of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// An event that a client gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// The id that it names itself; the standard keeps the one before it otherwise.
    pub(crate) id: Option<String>,
    /// Its lines of data.
    pub(crate) data: String,
}

/// The events of a stream. A line ends with a line feed, a carriage return, or both; an event without an empty line behind it is
/// incomplete and dropped, and so is one without a line of data.
pub(crate) fn events_of(stream: &str) -> Vec<Event> {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let lines = stream.replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut id, mut data) = (Vec::new(), None, String::new());
    for line in lines.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        if line.is_empty() {
            let (id, data) = (id.take(), std::mem::take(&mut data));
            if let Some(data) = data.strip_suffix('\n') {
                events.push(Event { id, data: data.to_owned() });
            }
            continue;
        }
        // A comment has an empty name.
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                data.push_str(value);
                data.push('\n');
            }
            "id" if !value.contains('\0') => id = Some(value.to_owned()),
            _ => {}
        }
    }
    events
}

/// The lines that our server writes, beside comments and empty ones.
const FIELDS: [&str; 3] = ["id: ", "data: ", "retry: "];

/// Panics where a stream has not the form in which our server writes it. The last event may be incomplete in one that the reader has
/// left.
pub(crate) fn check_written(stream: &[u8], is_whole: bool) {
    let end = stream.windows(2).rposition(|two| two == b"\n\n").map_or(0, |at| at + 2);
    assert!(!is_whole || end == stream.len(), "a whole stream ends with an event");
    let text = std::str::from_utf8(stream.get(..end).unwrap_or_default()).expect("a stream is UTF-8");
    assert!(!text.contains('\r'), "a carriage return ends a line of its own: {text:?}");
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with(':')) {
        assert!(FIELDS.iter().any(|field| line.starts_with(field)), "a line is a field: {line:?}");
    }
    let events = events_of(text);
    for Event { id, data } in &events {
        // Such an event tells only from where a client may resume.
        let is_place = data.is_empty() && id.is_some();
        assert!(is_place || serde_json::from_str::<Value>(data).is_ok(), "the data is one value: {data:?}");
    }
    let ids: Vec<&str> = events.iter().filter_map(|event| event.id.as_deref()).collect();
    check_ids(&ids);
}

/// An id is the name of a stream and a place in it, or the place alone. Places rise, but for the one behind the highest number, which a
/// client may name as its last.
fn check_ids(ids: &[&str]) {
    let mut known = BTreeSet::new();
    let mut last: BTreeMap<&str, u32> = BTreeMap::new();
    for id in ids {
        assert!(known.insert(*id), "two events have the id {id}: {ids:?}");
        let (stream, place) = id.rsplit_once('-').unwrap_or(("", *id));
        let Ok(place) = place.parse::<u32>() else { continue };
        if let Some(before) = last.insert(stream, place) {
            assert!(before < place || before == u32::MAX, "{id} comes too late: {ids:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn events_are_those_of_the_standard() {
        let event = |id: Option<&str>, data: &str| Event { id: id.map(str::to_owned), data: data.to_owned() };
        let stream =
            "\u{feff}: c\r\n\rid: 1\rdata: a\ndata\ndata:  b\r\n\r\nid: 2\n\nretry: 1\ndata: \n\ndata: cut\n";
        assert_eq!(events_of(stream), [event(Some("1"), "a\n\n b"), event(None, "")]);
    }

    #[test]
    fn a_stream_that_is_not_written_so_is_refused() {
        let holds = |stream: &'static str| catch_unwind(|| check_written(stream.as_bytes(), true)).is_ok();
        assert!(holds(": alive\n\nid: s-0\nretry: 3000\ndata: \n\nid: s-1\ndata: {}\n\nretry: 1\n\n"));
        assert!(holds("id: s-4294967295\ndata: {}\n\nid: s-0\ndata: {}\n\nid: t-0\ndata: {}\n\n"));
        for stream in [
            "data: {}\n",
            "data: {}\r\n\n",
            "data: {} {}\n\n",
            "data: {\n\n",
            "data: \n\n",
            "{}\n\n",
            "id: s-1\ndata: {}\n\nid: s-1\ndata: {}\n\n",
            "id: s-2\ndata: {}\n\nid: s-1\ndata: {}\n\n",
        ] {
            assert!(!holds(stream), "{stream:?}");
        }
    }
}
