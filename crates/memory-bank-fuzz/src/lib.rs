//! The fuzz targets: each is a function of the bytes of one input, which panics where a rule does not hold.
//!
//! `fuzz/` has a program of libFuzzer for each of them. The workspace's tests run them on the seeds, on every input that once failed,
//! and on the corpus that long runs have found and that is kept (`tests/corpus.rs`).

mod archives;
mod core_documents;
mod documents;
mod event_streams;
mod events;
mod graph;
mod history;
mod input;
mod messages;
mod names;
mod requests;
mod roles;
mod search;

/// A target: its name, which is that of its folder of inputs, and the function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("section_edits", documents::section_edits),
    ("core_documents", core_documents::core_documents),
    ("rules_files", documents::rules_files),
    ("history_patches", history::patches),
    ("history_lines", history::lines),
    ("graph_log", graph::log),
    ("entity_names", graph::entity_names),
    ("names", names::names),
    ("search_units", search::units),
    ("imports", names::imports),
    ("archives", archives::archives),
    ("messages", messages::messages),
    ("arguments", messages::arguments),
    ("requests", requests::requests),
    ("event_streams", event_streams::event_streams),
];

/// The status of the server's reply to an input of `requests`; none of an input that is not a request, or if the server closed the
/// connection. Panics where a rule does not hold, as the target does.
#[must_use]
pub fn request_status(data: &[u8]) -> Option<u16> {
    requests::status(data)
}

/// The target with this name.
///
/// # Panics
/// There is none.
#[must_use]
pub fn target(name: &str) -> fn(&[u8]) {
    TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .map_or_else(|| panic!("there is no target `{name}`"), |(_, run)| *run)
}
