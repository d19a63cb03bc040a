//! Writes a log with the same state in fewer lines: the state, and every unknown line.

use crate::graph::event::{Event, MARKER};
use crate::graph::state::GraphState;

/// The path of the snapshot, relative to the bank; the last line of a compacted log names it.
pub const SNAPSHOT_PATH: &str = "graph/graph.snapshot.json";

/// Writes the compacted log: the marker, the state in storage order, the unknown lines unchanged and in their order,
/// and the closing `snapshot_written`. All events get `ts`. Returns the number of lines.
///
/// # Errors
/// The writer failed.
pub fn write_compacted<'a>(
    state: &GraphState,
    unknown: impl IntoIterator<Item = &'a [u8]>,
    ts: &str,
    out: &mut Vec<u8>,
) -> Result<usize, serde_json::Error> {
    let mut lines = 1;
    out.extend_from_slice(MARKER.as_bytes());
    out.push(b'\n');
    let ts = || ts.to_owned();
    let entities = state.entities().map(|entity| Event::EntityUpsert { entity: entity.clone(), ts: ts() });
    let observations = state
        .observations()
        .map(|observation| Event::ObservationAdd { observation: observation.clone(), ts: ts() });
    let relations =
        state.relations().map(|relation| Event::RelationAdd { relation: relation.clone(), ts: ts() });
    for event in entities.chain(observations).chain(relations) {
        event.write_line(out)?;
        lines += 1;
    }
    for line in unknown {
        out.extend_from_slice(line);
        out.push(b'\n');
        lines += 1;
    }
    let closing = Event::SnapshotWritten {
        snapshot_path: SNAPSHOT_PATH.to_owned(),
        stats: state.type_stats(),
        ts: ts(),
    };
    closing.write_line(out)?;
    Ok(lines + 1)
}
