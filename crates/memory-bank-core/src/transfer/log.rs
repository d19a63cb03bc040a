//! Reads the graph's log as a state and unknown lines, and converts times to the form of a database.

use jiff::Timestamp;

use super::NotTransferable;
use crate::clock::iso_millis;
use crate::graph::event::{Line, MARKER, read_line};
use crate::graph::state::GraphState;
use crate::graph::timestamp::instant;

/// The path of the log in a bank.
pub(super) const LOG_PATH: &str = "graph/graph.jsonl";

/// Folds a log. A last line without a line end counts, too.
pub(super) fn read_log(bytes: &[u8]) -> Result<(GraphState, Vec<Vec<u8>>), NotTransferable> {
    let (mut state, mut unknown, mut marked) = (GraphState::default(), Vec::new(), false);
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let last = bytes.split(|byte| *byte == b'\n').count();
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        match read_line(line) {
            Line::Blank => {}
            Line::Marker => marked = true,
            // The process ended while it wrote the first line of the log.
            _ if !marked && at + 1 == last && MARKER.as_bytes().starts_with(line) => {}
            _ if !marked => {
                return Err(NotTransferable(format!(
                    "`{LOG_PATH}`: line {} should be the marker `{MARKER}`; correct it or move the file away",
                    at + 1
                )));
            }
            Line::Event(event) => state.apply(event),
            Line::SnapshotWritten => {}
            Line::Unknown(_) => unknown.push(line.to_vec()),
        }
    }
    Ok((state, unknown))
}

/// A time of the graph as databases store it: in milliseconds, between the years 1 and 9999.
#[must_use]
pub fn moment(text: &str) -> Timestamp {
    const FIRST_MILLIS: i64 = -62_135_596_800_000;
    const LAST_MILLIS: i64 = 253_402_207_200_000;
    let millis = instant(text).unwrap_or_default().clamp(FIRST_MILLIS, LAST_MILLIS);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The spelling of a time that was stored in a database.
pub(super) fn database_spelling(text: &str) -> String {
    iso_millis(moment(text))
}
