//! The last notified state of each document, so that a change is notified once, whether the call that made it or the
//! watcher sees it first.

use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use memory_bank_core::caller::ProjectId;
use memory_bank_core::document::{DocumentPath, Etag};
use memory_bank_core::store::{Change, ChangeSink};

/// The last notified state of the documents.
pub(crate) struct ChangeNotifier {
    sink: Arc<dyn ChangeSink>,
    notified: Mutex<Notified>,
}

#[derive(Default)]
struct Notified {
    etags: HashMap<DocumentPath, Option<Etag>>,
    /// All names; `None` before the first check.
    names: Option<BTreeSet<String>>,
}

impl std::fmt::Debug for ChangeNotifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeNotifier").finish_non_exhaustive()
    }
}

impl ChangeNotifier {
    pub(crate) fn new(sink: Arc<dyn ChangeSink>) -> Self {
        Self { sink, notified: Mutex::default() }
    }

    /// Records content that was served; a reader need not be notified of it.
    pub(crate) fn record_served(&self, path: &DocumentPath, etag: &Etag) {
        self.locked().etags.entry(path.clone()).or_insert_with(|| Some(etag.clone()));
    }

    /// Notifies that a document has this content now (`None`: it was deleted), unless that was notified already.
    pub(crate) fn notify_document(&self, project: ProjectId, path: &DocumentPath, etag: Option<&Etag>) {
        let before = self.locked().etags.insert(path.clone(), etag.cloned());
        if before.as_ref().map(Option::as_ref) != Some(etag) {
            self.sink.changed(project, Change::Updated(path.clone()));
        }
    }

    /// Records that the current call created or deleted a document; the caller sends [`Change::List`] itself.
    pub(crate) fn record_name(&self, name: &DocumentPath, exists: bool) {
        if let Some(names) = &mut self.locked().names {
            if exists {
                names.insert(name.as_str().to_owned());
            } else {
                names.remove(name.as_str());
            }
        }
    }

    /// Notifies that documents were created or deleted.
    pub(crate) fn notify_list(&self, project: ProjectId) {
        self.sink.changed(project, Change::List);
    }

    /// Compares the names in the folder with the known ones, notifies of differences, and returns the created and
    /// deleted names.
    pub(crate) fn compare_names(&self, project: ProjectId, now: &BTreeSet<String>) -> Vec<String> {
        let before = self.locked().names.replace(now.clone());
        let Some(before) = before.filter(|before| before != now) else { return Vec::new() };
        self.notify_list(project);
        before.symmetric_difference(now).cloned().collect()
    }

    /// The documents that were notified or served.
    pub(crate) fn known_documents(&self) -> Vec<String> {
        self.locked().etags.keys().map(|path| path.as_str().to_owned()).collect()
    }

    fn locked(&self) -> parking_lot::MutexGuard<'_, Notified> {
        self.notified.lock()
    }
}
