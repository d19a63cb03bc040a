//! Records all writes and compares them with the contents of the bank.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::harness::random::Random;

/// A kind of write; each leaves its marker in another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// One line in two documents.
    Progress,
    /// A fact in the graph.
    Observation,
    /// The end of a document that all writers share.
    Append,
    /// The same, against an etag.
    Edit,
    /// Three new documents, all or none.
    Batch,
}

pub(crate) const KINDS: [Kind; 5] =
    [Kind::Progress, Kind::Observation, Kind::Append, Kind::Edit, Kind::Batch];

/// The outcome of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done(Value),
    /// A tool error.
    Refused(String),
    /// No answer, or one that leaves open whether the call took effect.
    Unknown,
}

/// The known state of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Acknowledged,
    /// Refused because of its etag: it must not be there.
    Conflict,
    /// It may be there.
    Unknown,
}

/// Makes one write with a marker; `None` if the read before it failed.
pub(crate) fn perform(
    kind: Kind,
    marker: &str,
    server: &mut dyn FnMut(&str, Value) -> Outcome,
) -> Option<Status> {
    let outcome = match kind {
        Kind::Progress => server("track_progress", json!({"action": "did", "description": marker})),
        Kind::Observation => server("graph_add_observation", json!({"entity": "Hub", "text": marker})),
        Kind::Append => server("edit_memory_bank_file", append("log.md", "Log", marker)),
        Kind::Edit => {
            let read = server("read_memory_bank_file", json!({"filename": "shared.md"}));
            let Outcome::Done(found) = read else { return None };
            let text = found["content"][0]["text"].as_str()?;
            let mut edit = append("shared.md", "Shared", marker);
            edit["ifMatchEtag"] = serde_json::from_str::<Value>(text).ok()?["etag"].clone();
            server("edit_memory_bank_file", edit)
        }
        Kind::Batch => {
            let file = |part| json!({"filename": format!("batch-{marker}-{part}.md"), "content": marker});
            let files: Vec<Value> = (0..3).map(file).collect();
            server("batch_write_files", json!({"files": files, "allOrNothing": true}))
        }
    };
    Some(match outcome {
        Outcome::Done(_) => Status::Acknowledged,
        Outcome::Refused(text) if kind == Kind::Edit && text.contains("ETAG_MISMATCH") => Status::Conflict,
        Outcome::Refused(_) | Outcome::Unknown => Status::Unknown,
    })
}

fn append(filename: &str, heading: &str, marker: &str) -> Value {
    let edit = json!({"op": "append", "heading": heading, "text": format!("- {marker}\n")});
    json!({"filename": filename, "edits": [edit]})
}

/// The calls that prepare a bank.
pub(crate) fn setup_calls() -> [(&'static str, Value); 4] {
    [
        ("initialize_memory_bank", json!({"path": "."})),
        ("graph_upsert_entity", json!({"name": "Hub", "entityType": "thing"})),
        ("write_memory_bank_file", json!({"filename": "log.md", "content": "# Log\n"})),
        ("write_memory_bank_file", json!({"filename": "shared.md", "content": "# Shared\n"})),
    ]
}

/// All writes to one bank.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    writes: BTreeMap<String, (Kind, Status)>,
}

/// The number of writes.
#[derive(Debug, Default, Clone)]
pub(crate) struct Counts {
    pub(crate) acknowledged: BTreeMap<Kind, usize>,
    pub(crate) conflicts: usize,
    pub(crate) unknown: usize,
    /// Writes with an unknown outcome that exist.
    pub(crate) kept: usize,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        for (kind, count) in other.acknowledged {
            *self.acknowledged.entry(kind).or_default() += count;
        }
        self.conflicts += other.conflicts;
        self.unknown += other.unknown;
        self.kept += other.kept;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, conflicts, unknown, kept } = self;
        let all: usize = acknowledged.values().sum();
        write!(
            to,
            "{all} writes acknowledged {acknowledged:?}, {conflicts} refused by their etag, {unknown} not answered "
        )?;
        write!(to, "({kept} of them there); 0 lost, 0 doubled, 0 halved")
    }
}

/// A random kind of write, and its marker.
pub(crate) fn next(random: &mut Random, number: u64) -> (Kind, String) {
    (*random.pick(&KINDS), format!("marker{number:07}z"))
}

/// The contents of a bank by path; `graph` has the observations.
pub(crate) type Contents = BTreeMap<String, String>;

impl Ledger {
    pub(crate) fn note(&mut self, marker: String, kind: Kind, status: Status) {
        self.writes.insert(marker, (kind, status));
    }

    /// Compares the writes with the contents of the bank.
    ///
    /// # Errors
    /// A write that is lost, doubled, partial, or there although it was refused.
    pub(crate) fn check(&self, contents: &Contents) -> Result<Counts, String> {
        let found = markers(contents);
        if let Some(stranger) = found.keys().find(|marker| !self.writes.contains_key(*marker)) {
            return Err(format!("{stranger} was never written"));
        }
        let mut counts = Counts::default();
        for (marker, (kind, status)) in &self.writes {
            let times = occurrences(*kind, marker, found.get(marker).unwrap_or(&Vec::new()))?;
            match (status, times) {
                (Status::Acknowledged, 1) => *counts.acknowledged.entry(*kind).or_default() += 1,
                (Status::Conflict, 0) => counts.conflicts += 1,
                (Status::Unknown, 0 | 1) => {
                    counts.unknown += 1;
                    counts.kept += times;
                }
                _ => return Err(format!("{marker} ({kind:?}, {status:?}) is there {times} times")),
            }
        }
        Ok(counts)
    }
}

/// The places of each marker, one for each occurrence.
fn markers(contents: &Contents) -> BTreeMap<String, Vec<&str>> {
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (place, text) in contents {
        for (at, _) in text.match_indices("marker0") {
            let marker = text.get(at..at + 14).filter(|marker| marker.ends_with('z'));
            found.entry(marker.unwrap_or("a truncated marker").to_owned()).or_default().push(place);
        }
    }
    found
}

/// The number of complete copies of a write.
fn occurrences(kind: Kind, marker: &str, places: &[&str]) -> Result<usize, String> {
    let at = |begins: &str| places.iter().filter(|place| place.starts_with(begins)).count();
    let parts = match kind {
        Kind::Progress => vec![at("progress"), at("active-context.md")],
        Kind::Observation => vec![at("graph")],
        Kind::Append => vec![at("log.md")],
        Kind::Edit => vec![at("shared.md")],
        Kind::Batch => (0..3).map(|part| at(&format!("batch-{marker}-{part}.md"))).collect(),
    };
    if parts.iter().sum::<usize>() != places.len() {
        return Err(format!("{marker} ({kind:?}) is where it does not belong: {places:?}"));
    }
    if parts.iter().any(|part| *part != parts[0]) {
        return Err(format!("{marker} ({kind:?}) is there in part: {places:?}"));
    }
    Ok(parts[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: &str = "marker0000001z";

    fn checked(kind: Kind, status: Status, contents: &[(&str, &str)]) -> Result<Counts, String> {
        let mut ledger = Ledger::default();
        ledger.note(MARKER.to_owned(), kind, status);
        ledger
            .check(&contents.iter().map(|(place, text)| ((*place).to_owned(), (*text).to_owned())).collect())
    }

    #[test]
    fn lost_duplicated_partial_and_stale_writes_are_detected() {
        let twice = format!("{MARKER} {MARKER}");
        let parts = [0, 1, 2].map(|part| format!("batch-{MARKER}-{part}.md"));
        checked(Kind::Append, Status::Acknowledged, &[]).unwrap_err();
        checked(Kind::Append, Status::Unknown, &[("log.md", &twice)]).unwrap_err();
        checked(Kind::Append, Status::Unknown, &[("shared.md", MARKER)]).unwrap_err();
        checked(Kind::Append, Status::Acknowledged, &[("log.md", "marker00000"), ("shared.md", MARKER)])
            .unwrap_err();
        checked(Kind::Edit, Status::Conflict, &[("shared.md", MARKER)]).unwrap_err();
        checked(Kind::Progress, Status::Unknown, &[("progress.md", MARKER)]).unwrap_err();
        checked(Kind::Batch, Status::Unknown, &[(&parts[0], MARKER), (&parts[2], MARKER)]).unwrap_err();
        checked(Kind::Observation, Status::Acknowledged, &[("graph", "marker0000002z")]).unwrap_err();
    }

    #[test]
    fn writes_present_once_or_unacknowledged_are_accepted() {
        let whole = [("progress.md", MARKER), ("active-context.md", MARKER)];
        assert_eq!(
            checked(Kind::Progress, Status::Acknowledged, &whole).unwrap().acknowledged[&Kind::Progress],
            1
        );
        assert_eq!(checked(Kind::Progress, Status::Unknown, &whole).unwrap().kept, 1);
        assert_eq!(checked(Kind::Progress, Status::Unknown, &[]).unwrap().kept, 0);
    }
}
