//! Updates the index of a folder, in slices that are bounded in bytes and entities, so that writers of the graph and
//! other calls get their turn in between. It continues after the search that requested it was answered.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use memory_bank_core::document::core_rank;
use memory_bank_core::error::StoreError;
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::search::{IndexBudget, TextSize};
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::{FolderSearch, Followed, is_searched};
use crate::bank::FolderBank;
use crate::dir::{BankDir, FolderEntry, Root};
use crate::graph::FolderGraph;
use crate::lock::blocking;

/// How long a search waits for the index. A user's own folder is worth a longer wait than a server's project.
pub(super) const WAIT: Duration = Duration::from_secs(10);
/// The most files and bytes that are read and taken in at a time; a larger file comes alone.
const SLICE_FILES: usize = 200;
const SLICE_BYTES: u64 = 1024 * 1024;
/// The most entities that are taken in at a time.
const SLICE_ENTITIES: usize = 500;
/// Bytes of text that are indexed per second, before any measurement.
const FIRST_SPEED: u64 = 4 * 1024 * 1024;

/// How far the index is, in bytes.
#[derive(Debug, Default)]
pub(super) struct Progress {
    total: AtomicU64,
    done: AtomicU64,
    millis: AtomicU64,
}

impl Progress {
    fn begin(&self, bytes: u64) {
        self.total.store(bytes, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
        self.millis.store(0, Ordering::Relaxed);
    }

    /// How many bytes were to be read the last time.
    #[cfg(test)]
    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    fn advance(&self, bytes: u64, took: Duration) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        self.millis.fetch_add(u64::try_from(took.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// In how many seconds the whole is expected.
    fn seconds_left(&self) -> u64 {
        let done = self.done.load(Ordering::Relaxed);
        let left = self.total.load(Ordering::Relaxed).saturating_sub(done);
        let millis = match self.millis.load(Ordering::Relaxed) {
            0 => left.saturating_mul(1000) / FIRST_SPEED,
            millis => left.saturating_mul(millis) / done.max(1),
        };
        millis / 1000 + 1
    }
}

/// What is done in one slice.
type Slice = Vec<FolderEntry>;

impl FolderBank {
    /// Indexes the changes of files and, if requested, of the graph since the last search.
    ///
    /// # Errors
    /// [`StoreError::IndexBuilding`] if it takes longer than a search waits; it continues then.
    pub(super) async fn bring_search_up_to_date(&self, with_graph: bool) -> Result<(), StoreError> {
        let deadline = tokio::time::Instant::now() + self.search.wait;
        let building = || StoreError::IndexBuilding { seconds: self.search.progress.seconds_left() };
        let turn = timeout_at(deadline, Arc::clone(&self.search.turn).lock_owned());
        let turn = turn.await.map_err(|_| building())?;
        let follower = Follower {
            search: self.search.clone(),
            graph: self.graph.clone(),
            root: self.root().clone(),
            now: self.surroundings().clock.now(),
        };
        self.search.indexes.searched(&self.search.followed);
        let (report, reported) = oneshot::channel();
        tokio::spawn(async move {
            let outcome = follower.run(with_graph).await;
            drop(turn);
            let _nobody_waits = report.send(outcome);
        });
        match timeout_at(deadline, reported).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => {
                Err(StoreError::Unavailable("the search index was lost while it was built".to_owned()))
            }
            Err(_) => Err(building()),
        }
    }
}

#[derive(Clone)]
pub(super) struct Follower {
    pub(super) search: FolderSearch,
    pub(super) graph: FolderGraph,
    pub(super) root: Root,
    pub(super) now: Timestamp,
}

impl Follower {
    pub(super) async fn run(&self, with_graph: bool) -> Result<(), StoreError> {
        for slice in self.in_turn(Self::plan).await? {
            let bytes = slice.iter().map(|entry| entry.stamp.bytes).sum();
            let began = Instant::now();
            self.in_turn(move |follower, dir| follower.take_files(dir, &slice)).await?;
            self.search.progress.advance(bytes, began.elapsed());
        }
        if !with_graph {
            return Ok(());
        }
        if let Some((generation, ids)) = self.in_turn(Self::plan_graph).await? {
            for ids in ids.chunks(SLICE_ENTITIES) {
                let ids = ids.to_vec();
                self.in_turn(move |follower, dir| follower.take_entities(dir, &ids)).await?;
            }
            self.in_turn(move |follower, dir| {
                follower.graph.with_view(dir, |view| {
                    let mut followed = follower.search.followed.write();
                    followed.index.follow_graph(view.state(), Some(generation));
                    followed.graph = Some(view.state().generation());
                    followed.index.compact();
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
        let follower = self.clone();
        blocking(move || {
            let dir = follower.root.open().map_err(StoreError::io("cannot open the memory bank"))?;
            work(&follower, &dir)
        })
        .await
    }

    /// Forgets what is gone, and names the files to be read, the core documents first. What does not fit in is left out
    /// from the end.
    fn plan(&self, dir: &BankDir) -> Result<Vec<Slice>, StoreError> {
        let entries = dir.walk().map_err(StoreError::io("cannot list the memory bank"))?;
        let mut entries: Vec<FolderEntry> = entries.into_iter().filter(is_searched).collect();
        if self.search.followed.read().is_current(&entries) {
            return Ok(Vec::new());
        }
        let mut followed = self.search.followed.write();
        let present: HashSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let gone: Vec<String> =
            followed.files.keys().filter(|name| !present.contains(name.as_str())).cloned().collect();
        for name in gone {
            followed.forget(&name);
        }
        followed.skipped.clear();
        entries.sort_by_cached_key(|entry| (core_rank(&entry.name), entry.name.clone()));
        let budget = self.search.indexes.budget();
        let mut size = TextSize::default();
        let (mut slices, mut slice, mut bytes): (Vec<Slice>, Slice, u64) = (Vec::new(), Slice::new(), 0);
        for entry in entries {
            size.documents += 1;
            size.document_bytes = size.document_bytes.saturating_add(entry.stamp.bytes);
            if size.index_bytes() > budget.per_project {
                followed.skip(entry.name, too_large(budget));
            } else if !followed.knows(&entry) {
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

    fn take_files(&self, dir: &BankDir, slice: &[FolderEntry]) -> Result<(), StoreError> {
        let mut followed = self.search.followed.write();
        let budget = self.search.indexes.budget();
        for entry in slice {
            // What is in the index already only changes there.
            if !followed.files.contains_key(&entry.name) {
                let expected = followed.index.bytes().saturating_add(expected_bytes(entry));
                if followed.index.bytes() > budget.per_project {
                    followed.skip(entry.name.clone(), too_large(budget));
                    continue;
                }
                if !self.search.indexes.account(&mut followed.share, expected) {
                    followed.skip(entry.name.clone(), no_room(budget));
                    continue;
                }
            }
            followed.take(dir, entry, self.now)?;
        }
        let bytes = followed.index.bytes();
        // What was taken in is there, whatever was expected of it.
        let _grown = self.search.indexes.account(&mut followed.share, bytes);
        Ok(())
    }

    /// The entities to be taken in when the graph cannot be followed by its changes, and the generation that they have;
    /// none when it can, which is done then.
    fn plan_graph(&self, dir: &BankDir) -> Result<Option<(u64, Vec<String>)>, StoreError> {
        self.graph.with_view(dir, |view| {
            let graph = view.state();
            let generation = graph.generation();
            let known = self.search.followed.read().graph;
            if known.is_some_and(|known| graph.changes_since(known).is_some()) {
                self.search.follow_graph(graph);
                return Ok(None);
            }
            let followed = self.search.followed.read();
            let mut ids: HashSet<&str> = graph.entities().map(|entity| entity.id.as_str()).collect();
            ids.extend(graph.observations().map(|observation| observation.entity_id.as_str()));
            ids.extend(followed.index.entities());
            Ok(Some((generation, ids.into_iter().map(str::to_owned).collect())))
        })
    }

    fn take_entities(&self, dir: &BankDir, ids: &[String]) -> Result<(), StoreError> {
        self.graph.with_view(dir, |view| {
            let mut followed = self.search.followed.write();
            let budget = self.search.indexes.budget();
            let texts = self.search.progress.total.load(Ordering::Relaxed);
            let bytes = followed.index.bytes();
            budget.check(bytes, texts)?;
            if !self.search.indexes.account(&mut followed.share, bytes) {
                return Err(StoreError::SearchBusy { seconds: 60 });
            }
            followed.index.follow_entities(view.state(), ids.iter().map(String::as_str));
            Ok(())
        })
    }
}

impl FolderSearch {
    /// Takes in what changed in the graph, if that can be told.
    pub(super) fn follow_graph(&self, graph: &GraphState) {
        let generation = graph.generation();
        let known = self.followed.read().graph;
        if known == Some(generation) {
            return;
        }
        let mut followed = self.followed.write();
        // Another search may have been here meanwhile, with a later state even.
        if followed.graph.is_none_or(|known| known < generation) {
            let since = followed.graph;
            followed.index.follow_graph(graph, since);
            followed.graph = Some(generation);
        }
    }
}

impl Followed {
    fn is_current(&self, entries: &[FolderEntry]) -> bool {
        self.files.len() + self.skipped.len() == entries.len()
            && entries.iter().all(|entry| self.knows(entry))
            && self.skipped.is_empty()
    }
}

/// About what a file will take in the index.
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
