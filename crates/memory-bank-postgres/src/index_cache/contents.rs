//! One project in memory: the index, the graph, and what they were made from. This module reads nothing and waits for
//! nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use memory_bank_core::document::{DocumentPath, core_rank};
use memory_bank_core::error::StoreError;
use memory_bank_core::graph::event::Event;
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::search::{Index, IndexMemory, MemoryShare};
use memory_bank_core::store::SearchedDocuments;
use tokio::runtime::Handle;
use tokio_postgres::Row;

use crate::column::{answer, column};
use crate::graph::rows::{entity_of, observation_of, relation_of};

/// From this size on an index is dropped on its own thread.
const MIN_SLOW_DROP_BYTES: u64 = 1024 * 1024;
/// The assumed size of a row of a graph that was empty when it was read.
const DEFAULT_ROW_BYTES: u64 = 700;

/// A document's row in the inventory.
#[derive(Debug)]
pub(crate) struct DocumentVersion {
    pub(crate) etag: String,
    pub(crate) bytes: u64,
}

/// The current state of a project, as the database reports it to a caller.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// The time of the query: it includes everything that was committed before.
    pub(crate) at: Instant,
    pub(crate) documents: HashMap<String, DocumentVersion>,
    /// The version of the graph.
    pub(crate) version: i64,
}

/// One project, as far as it was loaded.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) index: Index,
    pub(crate) graph: GraphState,
    /// The version of the graph that was loaded; none before all of it was.
    pub(crate) version: Option<i64>,
    /// The etags and sizes of the loaded documents, by name.
    pub(crate) documents: HashMap<String, DocumentVersion>,
    /// The average size of a row when the whole graph was loaded.
    row_bytes: u64,
    /// The last inventory that was loaded.
    pub(crate) as_of: Option<Instant>,
    /// Whether a slice began and did not end, so that the contents are unreliable.
    pub(crate) is_torn: bool,
    /// Whether the stored vectors were loaded.
    pub(crate) has_stored_vectors: bool,
    pub(crate) share: MemoryShare,
}

impl Contents {
    pub(crate) fn empty(memory: &Arc<IndexMemory>) -> Self {
        Self {
            index: Index::default(),
            graph: GraphState::default(),
            version: None,
            documents: HashMap::new(),
            row_bytes: 0,
            as_of: None,
            is_torn: false,
            has_stored_vectors: false,
            share: MemoryShare::none(memory),
        }
    }

    /// The estimated memory in bytes: postings, tables and texts of the index, and the graph.
    pub(crate) fn bytes(&self) -> u64 {
        let row = if self.row_bytes == 0 { DEFAULT_ROW_BYTES } else { self.row_bytes };
        self.index.bytes() + self.rows() * row
    }

    /// How many units and rows there are.
    pub(crate) fn units(&self) -> u64 {
        self.index.units()
    }

    fn rows(&self) -> u64 {
        let stats = self.graph.stats();
        (stats.entity_count + stats.observation_count + stats.relation_count) as u64
    }

    /// Measures the size of the whole graph again.
    pub(crate) fn weigh_graph(&mut self) {
        self.row_bytes = self.graph.bytes() / self.rows().max(1);
    }

    /// Whether the contents match the inventory, or something later.
    pub(crate) fn is_current(&self, inventory: &Inventory) -> bool {
        // A later version was read after this inventory.
        !self.is_torn
            && self.version.is_some_and(|known| known >= inventory.version)
            && self.documents.len() == inventory.documents.len()
            && self
                .documents
                .iter()
                .all(|(name, known)| inventory.documents.get(name).is_some_and(|now| now.etag == known.etag))
    }

    /// Whether the contents include everything that was committed before this time.
    pub(crate) fn has_all_before(&self, moment: Instant) -> bool {
        !self.is_torn && self.version.is_some() && self.as_of.is_some_and(|as_of| as_of >= moment)
    }

    /// Removes missing documents and returns the names of those to read, the core documents first.
    pub(crate) fn differing(&mut self, inventory: &Inventory) -> Vec<(String, u64)> {
        let removed: Vec<String> =
            self.documents.keys().filter(|name| !inventory.documents.contains_key(*name)).cloned().collect();
        for name in removed {
            self.index.remove_document(&name);
            self.documents.remove(&name);
        }
        let known = |name: &String| self.documents.get(name).map(|known| known.etag.as_str());
        let mut differing: Vec<(String, u64)> = inventory
            .documents
            .iter()
            .filter(|(name, now)| known(name) != Some(now.etag.as_str()))
            .map(|(name, now)| (name.clone(), now.bytes))
            .collect();
        differing.sort_by_cached_key(|(name, _)| (core_rank(name), name.clone()));
        differing
    }

    /// Loads rows of `path, content, etag, updated_at`.
    pub(crate) fn put_documents(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        for row in rows {
            let name: String = column(row, 0)?;
            let Ok(path) = DocumentPath::parse(&name) else { continue };
            let (text, etag): (&str, String) = (column(row, 1)?, column(row, 2)?);
            self.index.put_document(&path, text, column::<Timestamp>(row, 3)?);
            self.documents.insert(name, DocumentVersion { etag, bytes: text.len() as u64 });
        }
        Ok(())
    }

    /// Applies changes of the graph: the changed ids, and the rows that exist.
    pub(crate) fn put_changes(&mut self, changed: &Changed, rows: &[Vec<Row>]) -> Result<(), StoreError> {
        let generation = self.graph.generation();
        self.forget_missing(changed, rows)?;
        for row in answer(rows, 0) {
            self.graph.apply(Event::EntityUpsert { entity: entity_of(row)?, ts: String::new() });
        }
        for row in answer(rows, 1) {
            let observation = observation_of(row)?;
            self.graph.apply(Event::ObservationAdd { observation, ts: String::new() });
        }
        for row in answer(rows, 2) {
            self.graph.apply(Event::RelationAdd { relation: relation_of(row)?, ts: String::new() });
        }
        self.index.follow_graph(&self.graph, Some(generation));
        Ok(())
    }

    /// Removes changed rows that do not exist any more.
    fn forget_missing(&mut self, changed: &Changed, rows: &[Vec<Row>]) -> Result<(), StoreError> {
        let present = |at: usize| {
            answer(rows, at).iter().map(|row| column::<String>(row, 0)).collect::<Result<HashSet<_>, _>>()
        };
        let (entities, observations, relations) = (present(0)?, present(1)?, present(2)?);
        let ts = String::new;
        for id in changed.relations.iter().filter(|id| !relations.contains(*id)) {
            if let Some(relation) = self.graph.relation(id).cloned() {
                let (from_id, to_id) = (relation.from_id, relation.to_id);
                let relation_type = relation.relation_type;
                self.graph.apply(Event::RelationRemove { from_id, to_id, relation_type, ts: ts() });
            }
        }
        for id in changed.observations.iter().filter(|id| !observations.contains(*id)) {
            let (observation_id, entity_id) = (id.clone(), String::new());
            self.graph.apply(Event::ObservationDelete { entity_id, observation_id, ts: ts() });
        }
        for id in changed.entities.iter().filter(|id| !entities.contains(*id)) {
            self.graph.apply(Event::EntityDelete { entity_id: id.clone(), ts: ts() });
        }
        Ok(())
    }
}

impl SearchedDocuments for Contents {
    fn names(&self) -> impl Iterator<Item = &str> {
        self.documents.keys().map(String::as_str)
    }

    fn contains(&self, name: &str) -> bool {
        self.documents.contains_key(name)
    }

    fn unreadable(&self) -> impl Iterator<Item = (&str, &str)> {
        std::iter::empty()
    }

    fn why_unreadable(&self, _name: &str) -> Option<&str> {
        None
    }
}

/// Freeing hundreds of megabytes is slow, so it must not block a thread that others wait for.
impl Drop for Contents {
    fn drop(&mut self) {
        let (index, graph) = (std::mem::take(&mut self.index), std::mem::take(&mut self.graph));
        let nothing = MemoryShare::none(self.share.memory());
        let share = std::mem::replace(&mut self.share, nothing);
        if share.bytes() < MIN_SLOW_DROP_BYTES {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || {
                drop((index, graph));
                drop(share);
            });
        }
    }
}

/// The ids of changed rows.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub(crate) entities: Vec<String>,
    pub(crate) observations: Vec<String>,
    pub(crate) relations: Vec<String>,
}
