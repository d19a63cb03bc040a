//! Data that a database stores beside its rows so that a bank is restored unchanged, and checks for data that it
//! cannot store.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::log::database_spelling;
use super::{BankCopy, FileCopy, NotTransferable};
use crate::compact_sort::CompactSort as _;
use crate::document::Etag;
use crate::graph::event::{Event, Line, read_line};
use crate::graph::history::GraphItem;
use crate::graph::ids::normalise;
use crate::graph::state::GraphState;
use crate::graph::{Entity, Observation, Relation};
use crate::limits;
use crate::words::word_enum;

/// The names of the two graph files.
const LINES_FILE: &str = "lines";
const TIMES_FILE: &str = "times";

/// The most problems that one refusal names.
const MAX_NAMED_PROBLEMS: usize = 20;

word_enum! {
    /// The kind of a file of extra data.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum ExtraDataKind {
        /// A file other than a document.
        File = "file",
        /// The bytes of a document that is not UTF-8.
        Bytes = "bytes",
        /// Graph data that rows cannot express.
        Graph = "graph",
        /// The rules file of a mode.
        Rules = "rules",
    }
}

/// One file beside the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraDataFile {
    /// The kind.
    pub kind: ExtraDataKind,
    /// Its path, or the name of the document or mode to which it belongs.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// When it was last written.
    pub modified: Timestamp,
}

/// The original spelling, by id, of times that a database returns in another spelling.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Times {
    entities: BTreeMap<String, [String; 2]>,
    relations: BTreeMap<String, String>,
}

impl BankCopy {
    /// The files of extra data for the rows of this bank. `present` are the existing ones of a bank that this one is merged
    /// into.
    ///
    /// # Errors
    /// The existing files of extra data cannot be read.
    pub fn extra_data_files(
        &self,
        present: &[ExtraDataFile],
        now: Timestamp,
    ) -> Result<Vec<ExtraDataFile>, NotTransferable> {
        let mut extra_data: Vec<ExtraDataFile> = Vec::new();
        for FileCopy { path, bytes, modified } in &self.files {
            extra_data.push(ExtraDataFile {
                kind: ExtraDataKind::File,
                path: path.clone(),
                bytes: bytes.clone(),
                modified: *modified,
            });
        }
        for document in &self.documents {
            if let Some(bytes) = &document.bytes {
                extra_data.push(ExtraDataFile {
                    kind: ExtraDataKind::Bytes,
                    path: document.path.as_str().to_owned(),
                    bytes: bytes.clone(),
                    modified: document.updated_at,
                });
            }
        }
        let graph = |path: &str, bytes| ExtraDataFile {
            kind: ExtraDataKind::Graph,
            path: path.to_owned(),
            bytes,
            modified: now,
        };
        let mut lines: Vec<Vec<u8>> = Vec::new();
        if let Some(known) = graph_file(present, LINES_FILE) {
            lines.extend(
                known.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec),
            );
        }
        for line in self.orphaned_rows()?.into_iter().chain(self.lines.iter().cloned()) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        if !lines.is_empty() {
            extra_data.push(graph(LINES_FILE, lines.join(&b'\n')));
        }
        let mut times = match graph_file(present, TIMES_FILE) {
            Some(known) => read_times(known)?,
            None => Times::default(),
        };
        times.note(&self.graph);
        if !times.entities.is_empty() || !times.relations.is_empty() {
            let text = serde_json::to_vec(&times).map_err(|error| NotTransferable(error.to_string()))?;
            extra_data.push(graph(TIMES_FILE, text));
        }
        Ok(extra_data)
    }

    /// Adds the files of extra data to a bank that was read from rows.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn apply_extra_data_files(&mut self, extra_data: Vec<ExtraDataFile>) -> Result<(), NotTransferable> {
        let mut bytes: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for file in extra_data {
            match (file.kind, file.path.as_str()) {
                (ExtraDataKind::File, _) => {
                    self.files.push(FileCopy { path: file.path, bytes: file.bytes, modified: file.modified });
                }
                (ExtraDataKind::Bytes, _) => {
                    bytes.insert(file.path, file.bytes);
                }
                (ExtraDataKind::Graph, LINES_FILE) => self.take_lines(&file.bytes),
                (ExtraDataKind::Graph, TIMES_FILE) => {
                    read_times(&file.bytes)?.restore_spellings(&mut self.graph);
                }
                (ExtraDataKind::Graph, _) | (ExtraDataKind::Rules, _) => {}
            }
        }
        // A document may have been renamed; then its text identifies its bytes.
        let by_text: BTreeMap<Etag, &Vec<u8>> =
            bytes.values().map(|bytes| (Etag::of(&String::from_utf8_lossy(bytes)), bytes)).collect();
        for document in &mut self.documents {
            if !document.text.contains(char::REPLACEMENT_CHARACTER) {
                continue;
            }
            let own = bytes.get(document.path.as_str());
            document.bytes = own.or_else(|| by_text.get(&Etag::of(&document.text)).copied()).cloned();
        }
        self.move_files_to_documents();
        self.files.compact_sort_by(|a, b| a.path.cmp(&b.path));
        Ok(())
    }

    /// Moves files whose name is now a document's: earlier versions stored files of sub-folders as files, not as
    /// documents.
    fn move_files_to_documents(&mut self) {
        for file in &mut self.files {
            let is_taken = |path: &str| self.documents.iter().any(|document| document.path.as_str() == path);
            if is_taken(&file.path)
                && let Some((stem, extension)) = file.path.rsplit_once('.')
            {
                file.path = format!("{stem} (conflicted copy).{extension}");
            }
        }
    }

    /// Checks that a database can store this bank.
    ///
    /// # Errors
    /// The list of data that it cannot store, with file names.
    pub fn check_for_rows(&self) -> Result<(), NotTransferable> {
        let mut problems: Vec<String> = Vec::new();
        for document in &self.documents {
            if document.text.contains('\0') {
                problems.push(format!("`{}` contains a null byte", document.path));
            }
            if document.text.len() as u64 > limits::READABLE_BYTES {
                let most = limits::READABLE_BYTES;
                problems.push(format!(
                    "`{}` has {} bytes of text, at most {most} are kept",
                    document.path,
                    document.text.len()
                ));
            }
        }
        for file in &self.files {
            if file.bytes.len() as u64 > limits::READABLE_BYTES {
                let most = limits::READABLE_BYTES;
                problems.push(format!(
                    "`{}` has {} bytes, at most {most} are kept",
                    file.path,
                    file.bytes.len()
                ));
            }
        }
        problems.extend(self.graph_problems());
        if problems.is_empty() {
            return Ok(());
        }
        let more = problems.len().saturating_sub(MAX_NAMED_PROBLEMS);
        problems.truncate(MAX_NAMED_PROBLEMS);
        let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
        Err(NotTransferable(format!(
            "a database cannot keep this, and nothing was moved: {}{rest}",
            problems.join("; ")
        )))
    }

    /// The data of the graph that a database cannot store.
    fn graph_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut graph = |what: &str, id: &str, why: Option<&str>| {
            if let Some(why) = why {
                problems.push(format!("graph/graph.jsonl: the {what} `{}` {why}", id.escape_debug()));
            }
        };
        for entity in self.graph.entities() {
            graph("entity", &entity.id, entity_problem(entity));
        }
        for one in self.graph.observations() {
            graph("observation", &one.id, observation_problem(one));
        }
        for one in self.graph.relations() {
            graph("relation", &one.id, relation_problem(one));
        }
        problems
    }

    /// The observations and relations without their entities, as lines of a log.
    fn orphaned_rows(&self) -> Result<Vec<Vec<u8>>, NotTransferable> {
        let is_there = |id: &str| self.graph.entity(id).is_some();
        let facts = self.graph.observations().filter(|one| !is_there(&one.entity_id));
        let facts =
            facts.map(|one| Event::ObservationAdd { observation: one.clone(), ts: one.timestamp.clone() });
        let edges = self.graph.relations().filter(|one| !is_there(&one.from_id) || !is_there(&one.to_id));
        let edges = edges.map(|one| Event::RelationAdd { relation: one.clone(), ts: one.created_at.clone() });
        let mut lines = Vec::new();
        for event in facts.chain(edges) {
            let mut line = Vec::new();
            event.write_line(&mut line).map_err(|error| NotTransferable(error.to_string()))?;
            line.pop();
            lines.push(line);
        }
        Ok(lines)
    }

    fn take_lines(&mut self, bytes: &[u8]) {
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match read_line(line) {
                Line::Event(event @ (Event::ObservationAdd { .. } | Event::RelationAdd { .. })) => {
                    self.graph.apply(event);
                }
                _ => self.lines.push(line.to_vec()),
            }
        }
    }
}

impl Times {
    /// Records the spellings that a database would change.
    fn note(&mut self, graph: &GraphState) {
        for Entity { id, created_at, updated_at, .. } in graph.entities() {
            if database_spelling(created_at) != *created_at || database_spelling(updated_at) != *updated_at {
                self.entities.insert(id.clone(), [created_at.clone(), updated_at.clone()]);
            }
        }
        for Relation { id, created_at, .. } in graph.relations() {
            if database_spelling(created_at) != *created_at {
                self.relations.insert(id.clone(), created_at.clone());
            }
        }
    }

    /// Restores the spellings of times that did not change.
    fn restore_spellings(&self, graph: &mut GraphState) {
        let spelled = |stored: &str, spelling: &str| {
            if database_spelling(spelling) == stored { spelling.to_owned() } else { stored.to_owned() }
        };
        for (id, [created, updated]) in &self.entities {
            if let Some(mut entity) = graph.entity(id).cloned() {
                entity.created_at = spelled(&entity.created_at, created);
                entity.updated_at = spelled(&entity.updated_at, updated);
                graph.apply(Event::EntityUpsert { entity, ts: String::new() });
            }
        }
        for (id, created) in &self.relations {
            if let Some(mut relation) = graph.relation(id).cloned() {
                relation.created_at = spelled(&relation.created_at, created);
                graph.apply(Event::RelationAdd { relation, ts: String::new() });
            }
        }
    }
}

fn graph_file<'a>(extra_data: &'a [ExtraDataFile], name: &str) -> Option<&'a [u8]> {
    let found = extra_data.iter().find(|file| file.kind == ExtraDataKind::Graph && file.path == name)?;
    Some(&found.bytes)
}

fn read_times(bytes: &[u8]) -> Result<Times, NotTransferable> {
    serde_json::from_slice(bytes)
        .map_err(|error| NotTransferable(format!("the times kept of the graph are damaged: {error}")))
}

/// The reason why an entity cannot be a row. Names and ids are indexed, and indexes have a bound on the length.
fn entity_problem(entity: &Entity) -> Option<&'static str> {
    let attrs = entity.attrs.as_ref();
    if attrs.is_some_and(|attrs| attrs.iter().any(|(key, value)| key.contains('\0') || has_null(value))) {
        return Some("has an attribute with a null character");
    }
    labels([&entity.id, &normalise(&entity.name), &entity.entity_type], [&entity.name, &entity.created_at])
}

fn observation_problem(one: &Observation) -> Option<&'static str> {
    let reference = one.source.as_ref().and_then(|source| source.reference.as_deref()).unwrap_or_default();
    if one.validity().supersedes.iter().any(|id| id.contains('\0')) {
        return Some("replaces an id with a null character");
    }
    labels([&one.id, &one.entity_id, &one.timestamp], [&one.text, reference])
        .or_else(|| labels(["", "", ""], [one.author.as_deref().unwrap_or_default(), ""]))
}

fn relation_problem(one: &Relation) -> Option<&'static str> {
    labels([&one.id, &one.from_id, &one.to_id], [&one.relation_type, &one.created_at])
}

/// The reason why an item cannot be a row.
pub(super) fn item_problem(item: &GraphItem) -> Option<&'static str> {
    match item {
        GraphItem::Entity(entity) => entity_problem(entity),
        GraphItem::Observation(observation) => observation_problem(observation),
        GraphItem::Relation(relation) => relation_problem(relation),
    }
}

/// Checks indexed texts and others.
fn labels(short: [&str; 3], long: [&str; 2]) -> Option<&'static str> {
    if short.iter().chain(&long).any(|text| text.contains('\0')) {
        return Some("contains a null character");
    }
    let most = limits::TRANSFER_PATH_BYTES;
    short.iter().any(|text| text.len() > most).then_some("has an id, name or type of more than 1024 bytes")
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_null),
        Value::Object(members) => members.iter().any(|(key, value)| key.contains('\0') || has_null(value)),
        _ => false,
    }
}
