//! Records all writes and compares them with the contents of the bank.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::harness::random::Random;
use crate::harness::tool_call::Outcome;

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
    /// A fact that ends and replaces another one.
    Replacement,
    /// A list item that moves into the archive of its document.
    Archive,
    /// Two facts that say nearly the same, which a proposal of `maintain` replaces by one.
    Fold,
}

pub(crate) const KINDS: [Kind; 8] = [
    Kind::Progress,
    Kind::Observation,
    Kind::Append,
    Kind::Edit,
    Kind::Batch,
    Kind::Replacement,
    Kind::Archive,
    Kind::Fold,
];

/// The known state of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Acknowledged,
    /// Refused because of its etag: it must not be there.
    Conflict,
    /// It is there, but whether its last step was made is open.
    Written,
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
        Kind::Replacement => server(
            "graph_add_observation",
            json!({"entity": "Hub", "text": marker, "supersedes": REPLACED, "validUntil": UNTIL}),
        ),
        Kind::Archive => {
            let Outcome::Done(_) = server("edit_memory_bank_file", append("work.md", "Items", marker)) else {
                return Some(Status::Unknown);
            };
            let edit = json!({"op": "archive", "match": marker});
            let edit = json!({"filename": "work.md", "edits": [edit]});
            return Some(last_step(&server("edit_memory_bank_file", edit)));
        }
        Kind::Fold => return Some(fold(marker, server)),
    };
    Some(match outcome {
        Outcome::Done(_) => Status::Acknowledged,
        Outcome::Refused(text) if kind == Kind::Edit && text.contains("ETAG_MISMATCH") => Status::Conflict,
        Outcome::Refused(_) | Outcome::Unknown | Outcome::Limited(_) => Status::Unknown,
    })
}

/// The status of a write by the outcome of its last step.
fn last_step(outcome: &Outcome) -> Status {
    if matches!(outcome, Outcome::Done(_)) { Status::Acknowledged } else { Status::Written }
}

/// Adds an entity with two facts that say nearly the same, and applies the proposal to fold them.
fn fold(marker: &str, server: &mut dyn FnMut(&str, Value) -> Outcome) -> Status {
    let fact = |text| json!({"entity": marker, "text": text});
    let batch = json!({
        "entities": [{"name": marker, "entityType": FOLDED}],
        "observations": FOLDED_FACTS.map(fact),
    });
    let Outcome::Done(_) = server("graph_batch", batch) else { return Status::Unknown };
    let Outcome::Done(listed) = server("maintain", json!({})) else { return Status::Written };
    let listed = listed["content"][0]["text"].as_str().unwrap_or_default();
    let listed: Value = serde_json::from_str(listed).unwrap_or_default();
    let is_own = |proposal: &&Value| proposal["about"] == marker && proposal["kind"] == "nearDuplicate";
    let Some(own) = listed["proposals"].as_array().and_then(|all| all.iter().find(is_own)) else {
        return Status::Written;
    };
    last_step(&server("maintain", json!({"apply": [own["id"]]})))
}

/// The fact that others replace, and until when these hold.
const REPLACED: &str = "the fact that is replaced";
const UNTIL: &str = "2999-01-01";
/// The type of entities whose facts are folded, and these facts.
const FOLDED: &str = "folded";
const FOLDED_FACTS: [&str; 2] = [
    "The service stores all its sessions in the database of the project",
    "The service stores its sessions in the database of the project",
];

fn append(filename: &str, heading: &str, marker: &str) -> Value {
    let edit = json!({"op": "append", "heading": heading, "text": format!("- {marker}\n")});
    json!({"filename": filename, "edits": [edit]})
}

/// The calls that prepare a bank.
pub(crate) fn setup_calls() -> [(&'static str, Value); 6] {
    [
        ("initialize_memory_bank", json!({"path": "."})),
        ("graph_upsert_entity", json!({"name": "Hub", "entityType": "thing"})),
        ("graph_add_observation", json!({"entity": "Hub", "text": REPLACED})),
        ("write_memory_bank_file", json!({"filename": "work.md", "content": "# Work\n\n## Items\n"})),
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

/// The contents of a bank.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// The documents by path.
    pub(crate) documents: BTreeMap<String, String>,
    /// The observations, with the members of the log of a folder, and the name and type of their entity.
    pub(crate) facts: Vec<Fact>,
}

/// An observation.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fact {
    pub(crate) id: String,
    pub(crate) entity: String,
    pub(crate) entity_type: String,
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) valid_until: Option<String>,
    #[serde(default)]
    pub(crate) supersedes: Vec<String>,
}

impl Contents {
    /// The texts by place, in each of which a marker is looked for.
    fn places(&self) -> BTreeMap<String, String> {
        let mut places = self.documents.clone();
        if let Some(work) = places.get("work.md").cloned()
            && let Some((items, archive)) = work.split_once("\n## Archive\n")
        {
            places.insert("work.md".to_owned(), items.to_owned());
            places.insert("work.md, archive".to_owned(), archive.to_owned());
        }
        let replaced = self.facts.iter().find(|fact| fact.text == REPLACED).map(|fact| fact.id.clone());
        let mut folded: BTreeMap<&str, Vec<&Fact>> = BTreeMap::new();
        let mut add = |place: &str, text: &str| {
            let known = places.entry(place.to_owned()).or_default();
            known.push_str(text);
            known.push('\n');
        };
        for fact in &self.facts {
            if fact.entity_type == FOLDED {
                folded.entry(&fact.entity).or_default().push(fact);
                continue;
            }
            add("graph", &fact.text);
            let replaces = fact.supersedes.iter().any(|id| Some(id) == replaced.as_ref());
            match (replaces, fact.valid_until.as_deref() == Some(UNTIL)) {
                (true, true) => add("graph, replacing", &fact.text),
                (false, false) => {}
                _ => add("graph, marked in part", &fact.text),
            }
        }
        for (entity, facts) in folded {
            add(fold_state(&facts), entity);
        }
        places
    }
}

/// Whether facts were folded: nothing else than both facts, or both and one that replaces both.
fn fold_state(facts: &[&Fact]) -> &'static str {
    let (by, both): (Vec<&Fact>, Vec<&Fact>) = facts.iter().partition(|fact| !fact.supersedes.is_empty());
    let are_whole =
        FOLDED_FACTS.iter().all(|text| both.iter().filter(|fact| fact.text == *text).count() == 1);
    match by.as_slice() {
        [] if are_whole && both.len() == 2 => "to be folded",
        [one] if are_whole && both.iter().all(|fact| one.supersedes.contains(&fact.id)) => "folded",
        _ => "folded in part",
    }
}

impl Ledger {
    pub(crate) fn note(&mut self, marker: String, kind: Kind, status: Status) {
        self.writes.insert(marker, (kind, status));
    }

    /// Compares the writes with the contents of the bank.
    ///
    /// # Errors
    /// A write that is lost, doubled, partial, or there although it was refused.
    pub(crate) fn check(&self, contents: &Contents) -> Result<Counts, String> {
        let places = contents.places();
        let found = markers(&places);
        if let Some(stranger) = found.keys().find(|marker| !self.writes.contains_key(*marker)) {
            return Err(format!("{stranger} was never written"));
        }
        let mut counts = Counts::default();
        for (marker, (kind, status)) in &self.writes {
            let (times, done) = occurrences(*kind, marker, found.get(marker).unwrap_or(&Vec::new()))?;
            match (status, times, done) {
                (Status::Acknowledged, 1, 1) => *counts.acknowledged.entry(*kind).or_default() += 1,
                (Status::Conflict, 0, 0) => counts.conflicts += 1,
                (Status::Written, 1, 0 | 1) | (Status::Unknown, 0 | 1, 0 | 1) => {
                    counts.unknown += 1;
                    counts.kept += done;
                }
                _ => {
                    return Err(format!(
                        "{marker} ({kind:?}, {status:?}) is there {times} times, {done} of them complete"
                    ));
                }
            }
        }
        Ok(counts)
    }
}

/// The places of each marker, one for each occurrence.
fn markers(contents: &BTreeMap<String, String>) -> BTreeMap<String, Vec<&str>> {
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (place, text) in contents {
        for (at, _) in text.match_indices("marker0") {
            let marker = text.get(at..at + 14).filter(|marker| marker.ends_with('z'));
            found.entry(marker.unwrap_or("a truncated marker").to_owned()).or_default().push(place);
        }
    }
    found
}

/// The number of copies of a write, and how many of them have its last step.
fn occurrences(kind: Kind, marker: &str, places: &[&str]) -> Result<(usize, usize), String> {
    let at = |begins: &str| places.iter().filter(|place| place.starts_with(begins)).count();
    let parts = match kind {
        Kind::Progress => vec![at("progress"), at("active-context.md")],
        Kind::Observation => vec![places.iter().filter(|place| **place == "graph").count()],
        Kind::Replacement => {
            vec![places.iter().filter(|place| **place == "graph").count(), at("graph, replacing")]
        }
        Kind::Archive | Kind::Fold => {
            let (all, last) = if kind == Kind::Archive {
                (at("work.md"), at("work.md, archive"))
            } else {
                (at("folded") + at("to be folded"), places.iter().filter(|place| **place == "folded").count())
            };
            if all != places.len() || places.contains(&"folded in part") {
                return Err(format!("{marker} ({kind:?}) is where it does not belong: {places:?}"));
            }
            return Ok((all, last));
        }
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
    Ok((parts[0], parts[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: &str = "marker0000001z";

    fn checked(kind: Kind, status: Status, contents: &[(&str, &str)]) -> Result<Counts, String> {
        let mut ledger = Ledger::default();
        ledger.note(MARKER.to_owned(), kind, status);
        let documents = contents.iter().map(|(place, text)| ((*place).to_owned(), (*text).to_owned()));
        ledger.check(&Contents { documents: documents.collect(), facts: Vec::new() })
    }

    fn checked_facts(kind: Kind, status: Status, facts: &[(&str, &str, &[&str])]) -> Result<Counts, String> {
        let mut ledger = Ledger::default();
        ledger.note(MARKER.to_owned(), kind, status);
        let facts = facts.iter().map(|(id, text, supersedes)| Fact {
            id: (*id).to_owned(),
            text: (*text).to_owned(),
            entity: MARKER.to_owned(),
            entity_type: if kind == Kind::Fold { FOLDED } else { "thing" }.to_owned(),
            valid_until: id.starts_with("until").then(|| UNTIL.to_owned()),
            supersedes: supersedes.iter().map(|id| (*id).to_owned()).collect(),
        });
        ledger.check(&Contents { facts: facts.collect(), ..Contents::default() })
    }

    #[test]
    fn facts_that_are_marked_in_part_and_halves_of_folds_are_detected() {
        let old: (&str, &str, &[&str]) = ("old", REPLACED, &[]);
        let whole =
            checked_facts(Kind::Replacement, Status::Acknowledged, &[old, ("until", MARKER, &["old"])]);
        assert_eq!(whole.unwrap().acknowledged[&Kind::Replacement], 1);
        for (id, supersedes) in [("until", &[][..]), ("new", &["old"][..]), ("new", &[][..])] {
            checked_facts(Kind::Replacement, Status::Unknown, &[old, (id, MARKER, supersedes)]).unwrap_err();
        }
        checked_facts(Kind::Replacement, Status::Acknowledged, &[old]).unwrap_err();
        let [one, two] = FOLDED_FACTS;
        let both: [(&str, &str, &[&str]); 2] = [("1", one, &[]), ("2", two, &[])];
        let folded = [both[0], both[1], ("3", one, &["1", "2"])];
        checked_facts(Kind::Fold, Status::Acknowledged, &folded).unwrap();
        checked_facts(Kind::Fold, Status::Acknowledged, &both).unwrap_err();
        checked_facts(Kind::Fold, Status::Written, &both).unwrap();
        checked_facts(Kind::Fold, Status::Written, &[]).unwrap_err();
        checked_facts(Kind::Fold, Status::Unknown, &[]).unwrap();
        let twice = [folded[0], folded[1], folded[2], ("4", one, &["1", "2"])];
        let half = [both[0], both[1], ("3", one, &["1"])];
        for wrong in [&twice[..], &half[..], &both[..1], &folded[1..]] {
            checked_facts(Kind::Fold, Status::Unknown, wrong).unwrap_err();
        }
    }

    #[test]
    fn an_archived_item_that_is_lost_or_doubled_is_detected() {
        let work =
            |items: &str, archive: &str| format!("# Work\n\n## Items\n{items}\n## Archive\n{archive}\n");
        let check = |status, text: &str| checked(Kind::Archive, status, &[("work.md", text)]);
        check(Status::Acknowledged, &work("", MARKER)).unwrap();
        check(Status::Written, &work(MARKER, "")).unwrap();
        check(Status::Acknowledged, &work(MARKER, "")).unwrap_err();
        check(Status::Written, &work("", "")).unwrap_err();
        check(Status::Unknown, &work(MARKER, MARKER)).unwrap_err();
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
        checked(Kind::Observation, Status::Acknowledged, &[("log.md", "marker0000002z")]).unwrap_err();
        checked(Kind::Observation, Status::Acknowledged, &[]).unwrap_err();
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
