//! The log of the graph: read leniently, and the same after a compaction.

use memory_bank_core::graph::compact::write_compacted;
use memory_bank_core::graph::event::{Event, Line, Signature, read_line};
use memory_bank_core::graph::state::GraphState;

use crate::input::texts;

/// When the compaction happens.
const AT: &str = "2026-11-22T09:30:07.062Z";

/// A log of any program.
pub(crate) fn log(data: &[u8]) {
    let (state, unknown) = state_of(data);
    let mut compacted = Vec::new();
    write_compacted(&state, unknown.iter().map(Vec::as_slice), AT, &mut compacted)
        .expect("memory takes every log");
    let (again, kept) = state_of(&compacted);
    assert_eq!(kept, unknown, "a compaction keeps the lines that it does not know");
    assert!(again.entities().eq(state.entities()), "a compaction keeps the entities");
    assert!(again.relations().eq(state.relations()), "a compaction keeps the relations");
    assert!(again.observations().eq(state.observations()), "a compaction keeps the observations");
}

fn state_of(log: &[u8]) -> (GraphState, Vec<Vec<u8>>) {
    let mut state = GraphState::default();
    let mut unknown = Vec::new();
    for line in log.split(|byte| *byte == b'\n') {
        let _ = Signature::of_line(line);
        match read_line(line) {
            Line::Event(event) => {
                check_written(&event);
                state.apply(event);
            }
            Line::Unknown(_) => unknown.push(line.to_vec()),
            Line::Blank | Line::Marker | Line::SnapshotWritten => {}
        }
    }
    (state, unknown)
}

fn check_written(event: &Event) {
    let mut line = Vec::new();
    event.write_line(&mut line).expect("memory takes every line");
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "an event is one line");
    match read_line(line.trim_ascii_end()) {
        Line::Event(read) => assert_eq!(&read, event, "an event is read as it was written"),
        other => panic!("{} was read as {other:?}", String::from_utf8_lossy(&line)),
    }
}

/// Names of entities: the rules that decide which are the same.
pub(crate) fn entity_names(data: &[u8]) {
    use memory_bank_core::graph::ids::{entity_id, normalise, normalise_type};
    for name in texts(data, 16) {
        let normalised = normalise(&name);
        assert_eq!(normalise(&normalised), normalised, "a normalised name stays");
        assert_eq!(normalise_type(&normalise_type(&name)), normalise_type(&name), "a normalised type stays");
        assert_eq!(entity_id(&name, "service"), entity_id(&normalised, "service"), "one name has one id");
    }
}
