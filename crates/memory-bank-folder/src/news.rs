//! What subscribers were last told of each document, so that a change is told once, whoever saw it first: the call
//! that made it or the watcher of the folder.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use memory_bank_core::caller::ProjectId;
use memory_bank_core::document::{DocumentPath, Etag};
use memory_bank_core::store::{Change, ChangeSink};

/// The last known state of the documents, as told.
pub(crate) struct News {
    sink: Arc<dyn ChangeSink>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    etags: HashMap<DocumentPath, Option<Etag>>,
    /// All names; none before the first look.
    names: Option<BTreeSet<String>>,
}

impl std::fmt::Debug for News {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("News").finish_non_exhaustive()
    }
}

impl News {
    pub(crate) fn new(sink: Arc<dyn ChangeSink>) -> Self {
        Self { sink, told: Mutex::default() }
    }

    /// Notes what a reader was served; what it knows need not be told.
    pub(crate) fn served(&self, path: &DocumentPath, etag: &Etag) {
        self.locked().etags.entry(path.clone()).or_insert_with(|| Some(etag.clone()));
    }

    /// Tells that a document has this content now (`None`: it is gone), unless that was told already.
    pub(crate) fn document(&self, project: ProjectId, path: &DocumentPath, etag: Option<&Etag>) {
        let before = self.locked().etags.insert(path.clone(), etag.cloned());
        if before.as_ref().map(Option::as_ref) != Some(etag) {
            self.sink.changed(project, Change::Updated(path.clone()));
        }
    }

    /// Notes that the call that is under way made or deleted a document; the caller tells [`Change::List`] itself.
    pub(crate) fn name(&self, name: &DocumentPath, exists: bool) {
        if let Some(names) = &mut self.locked().names {
            if exists {
                names.insert(name.as_str().to_owned());
            } else {
                names.remove(name.as_str());
            }
        }
    }

    /// Tells that documents came or went.
    pub(crate) fn list(&self, project: ProjectId) {
        self.sink.changed(project, Change::List);
    }

    /// Compares the names in the folder with those known, tells if they differ, and returns the ones that came or went.
    pub(crate) fn names(&self, project: ProjectId, now: &BTreeSet<String>) -> Vec<String> {
        let before = self.locked().names.replace(now.clone());
        let Some(before) = before.filter(|before| before != now) else { return Vec::new() };
        self.list(project);
        before.symmetric_difference(now).cloned().collect()
    }

    /// The documents of which anything was told or served.
    pub(crate) fn known(&self) -> Vec<String> {
        self.locked().etags.keys().map(|path| path.as_str().to_owned()).collect()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
