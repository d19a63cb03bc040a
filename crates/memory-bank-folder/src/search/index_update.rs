//! Updates the index of a folder, in slices that are bounded in bytes and entities, so that writers of the graph and
//! other calls get their turn in between. It continues after the search that requested it was answered.

use std::collections::HashSet;
use std::time::Instant;

use jiff::Timestamp;
use memory_bank_core::document::core_rank;
use memory_bank_core::error::StoreError;
use memory_bank_core::search::{IndexBudget, TextSize};

use super::folder_index::is_searched;
use super::folder_search::FolderSearch;
use crate::dir::{BankDir, FolderEntry, Root};
use crate::graph::FolderGraph;
use crate::lock::blocking;

/// The most files and bytes that are read and indexed at a time; a larger file is a slice by itself.
const SLICE_FILES: usize = 200;
const SLICE_BYTES: u64 = 1024 * 1024;
/// The most entities that are indexed at a time.
const SLICE_ENTITIES: usize = 500;

/// The files of one slice.
type Slice = Vec<FolderEntry>;

/// Indexes the changes of files and graph for one search.
#[derive(Clone)]
pub(super) struct IndexUpdate {
    pub(super) search: FolderSearch,
    pub(super) graph: FolderGraph,
    pub(super) root: Root,
    pub(super) now: Timestamp,
}

impl IndexUpdate {
    /// Updates the index, with the graph if requested. The caller has the turn of the search.
    ///
    /// # Errors
    /// The bank or its graph cannot be read, or there is no memory for the graph.
    pub(super) async fn run(&self, with_graph: bool) -> Result<(), StoreError> {
        for slice in self.in_turn(Self::plan).await? {
            let bytes = slice.iter().map(|entry| entry.stamp.bytes).sum();
            let began = Instant::now();
            self.in_turn(move |update, dir| update.index_files(dir, &slice)).await?;
            self.search.progress.advance(bytes, began.elapsed());
        }
        if !with_graph {
            return Ok(());
        }
        if let Some((generation, ids)) = self.in_turn(Self::plan_graph).await? {
            for ids in ids.chunks(SLICE_ENTITIES) {
                let ids = ids.to_vec();
                self.in_turn(move |update, dir| update.index_entities(dir, &ids)).await?;
            }
            self.in_turn(move |update, dir| {
                update.graph.with_view(dir, |view| {
                    let mut indexed = update.search.indexed.write();
                    indexed.index.follow_graph(view.state(), Some(generation));
                    indexed.graph = Some(view.state().generation());
                    indexed.index.compact();
                    Ok(())
                })
            })
            .await?;
        }
        Ok(())
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self, &BankDir) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let update = self.clone();
        blocking(move || {
            let dir = update.root.open().map_err(StoreError::io("cannot open the memory bank"))?;
            work(&update, &dir)
        })
        .await
    }

    /// Removes files that are gone, and lists the files to read, the core documents first. Files that do not fit are omitted
    /// from the end.
    fn plan(&self, dir: &BankDir) -> Result<Vec<Slice>, StoreError> {
        let entries = dir.walk().map_err(StoreError::io("cannot list the memory bank"))?;
        let mut entries: Vec<FolderEntry> = entries.into_iter().filter(is_searched).collect();
        if self.search.indexed.read().is_current(&entries) {
            return Ok(Vec::new());
        }
        let mut indexed = self.search.indexed.write();
        let present: HashSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let gone: Vec<String> =
            indexed.files.keys().filter(|name| !present.contains(name.as_str())).cloned().collect();
        let has_new = entries.iter().any(|entry| !indexed.files.contains_key(&entry.name));
        if has_new || !gone.is_empty() {
            self.search.note_names();
        }
        for name in gone {
            indexed.forget(&name);
        }
        indexed.skipped.clear();
        entries.sort_by_cached_key(|entry| (core_rank(&entry.name), entry.name.clone()));
        let budget = self.search.indexes.budget();
        let mut size = TextSize::default();
        let (mut slices, mut slice, mut bytes): (Vec<Slice>, Slice, u64) = (Vec::new(), Slice::new(), 0);
        for entry in entries {
            size.documents += 1;
            size.document_bytes = size.document_bytes.saturating_add(entry.stamp.bytes);
            if size.index_bytes() > budget.per_project {
                indexed.skip(entry.name, too_large(budget));
            } else if !indexed.knows(&entry) {
                let is_full = slice.len() == SLICE_FILES || bytes + entry.stamp.bytes > SLICE_BYTES;
                if is_full && !slice.is_empty() {
                    slices.push(std::mem::take(&mut slice));
                    bytes = 0;
                }
                bytes += entry.stamp.bytes;
                slice.push(entry);
            }
        }
        slices.extend((!slice.is_empty()).then_some(slice));
        let of = |slice: &Slice| slice.iter().map(|entry| entry.stamp.bytes).sum::<u64>();
        self.search.progress.begin(slices.iter().map(of).sum());
        Ok(slices)
    }

    fn index_files(&self, dir: &BankDir, slice: &[FolderEntry]) -> Result<(), StoreError> {
        let mut indexed = self.search.indexed.write();
        let budget = self.search.indexes.budget();
        for entry in slice {
            // A file that is in the index already is only updated.
            if !indexed.files.contains_key(&entry.name) {
                let expected = indexed.index.bytes().saturating_add(expected_bytes(entry));
                if indexed.index.bytes() > budget.per_project {
                    indexed.skip(entry.name.clone(), too_large(budget));
                    continue;
                }
                if !self.search.indexes.account(&mut indexed.share, expected) {
                    indexed.skip(entry.name.clone(), no_room(budget));
                    continue;
                }
            }
            indexed.index_file(dir, entry, self.now)?;
        }
        let bytes = indexed.index.bytes();
        // The index has it already, so its real size counts, not the estimate.
        let _grown = self.search.indexes.account(&mut indexed.share, bytes);
        Ok(())
    }

    /// The entities to be indexed when the graph cannot be indexed change by change, and their generation;
    /// none when it can, and then the changes are indexed here.
    fn plan_graph(&self, dir: &BankDir) -> Result<Option<(u64, Vec<String>)>, StoreError> {
        self.graph.with_view(dir, |view| {
            let graph = view.state();
            let generation = graph.generation();
            let known = self.search.indexed.read().graph;
            if known.is_some_and(|known| graph.changes_since(known).is_some()) {
                self.search.follow_graph(graph);
                return Ok(None);
            }
            let indexed = self.search.indexed.read();
            let mut ids: HashSet<&str> = graph.entities().map(|entity| entity.id.as_str()).collect();
            ids.extend(graph.observations().map(|observation| observation.entity_id.as_str()));
            ids.extend(indexed.index.entities());
            Ok(Some((generation, ids.into_iter().map(str::to_owned).collect())))
        })
    }

    fn index_entities(&self, dir: &BankDir, ids: &[String]) -> Result<(), StoreError> {
        self.graph.with_view(dir, |view| {
            let mut indexed = self.search.indexed.write();
            let budget = self.search.indexes.budget();
            let texts = self.search.progress.total();
            let bytes = indexed.index.bytes();
            budget.check(bytes, texts)?;
            if !self.search.indexes.account(&mut indexed.share, bytes) {
                return Err(StoreError::SearchBusy { seconds: 60 });
            }
            indexed.index.follow_entities(view.state(), ids.iter().map(String::as_str));
            Ok(())
        })
    }
}

/// The approximate memory of a file in the index.
fn expected_bytes(entry: &FolderEntry) -> u64 {
    TextSize { documents: 1, document_bytes: entry.stamp.bytes, ..TextSize::default() }.index_bytes()
}

fn too_large(budget: IndexBudget) -> String {
    format!(
        "the memory bank is too large to be searched as a whole: its index may take {} MiB of memory",
        budget.per_project / (1024 * 1024)
    )
}

fn no_room(budget: IndexBudget) -> String {
    format!(
        "the indexes of other memory banks, which were searched in the last minute, leave no room for it: together they may \
         take {} MiB of memory; search again in a minute",
        budget.total / (1024 * 1024)
    )
}
