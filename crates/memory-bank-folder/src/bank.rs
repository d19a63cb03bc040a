//! One bank in one directory: the state that its documents, graph, search and backups share.
//!
//! A process has one [`FolderBank`] per directory, so that every way to the bank (selected, or by store id) uses the
//! same lock and the same caches.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memory_bank_core::clock::{Clock, Entropy};
use memory_bank_core::document::Etag;
use memory_bank_core::history::ChangeContext;
use memory_bank_core::store::{Bank, ChangeSink, RecentContents};

use crate::change_notifier::ChangeNotifier;
use crate::dir::Root;
use crate::graph::FolderGraph;
use crate::history::{FolderHistory, HistorySettings};
use crate::lock::BankLock;
use crate::search::{FolderIndexes, FolderSearch, SealLocation};
use crate::state_folder::StateFolder;

/// Dependencies of a bank.
#[derive(Clone)]
pub struct Deps {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub entropy: Arc<dyn Entropy>,
    /// Receives every committed change.
    pub sink: Arc<dyn ChangeSink>,
}

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deps").finish_non_exhaustive()
    }
}

/// The bank in one directory. The store traits are implemented one a module: `documents`, `backups`, `graph`,
/// `search`; each keeps its own state in a field of its own.
#[derive(Debug, Clone)]
pub struct FolderBank {
    /// Held during every change of a file.
    pub(crate) lock: BankLock,
    deps: Deps,
    /// The last notified state of each document.
    pub(crate) notifier: Arc<ChangeNotifier>,
    /// Contents that were served recently.
    pub(crate) recent_contents: Arc<RecentContents<Etag>>,
    /// The graph, as far as it was read.
    pub(crate) graph: FolderGraph,
    /// The index of documents and graph; empty until the first search.
    pub(crate) search: FolderSearch,
    /// The versions of documents.
    pub(crate) history: FolderHistory,
    /// What the graph's log records beside the user.
    pub(crate) context: Arc<ChangeContext>,
    project: PathBuf,
    shows_paths: bool,
}

impl FolderBank {
    /// The bank in the directory `path`, which belongs to the project at `project` and is not reached through a link
    /// out of it. Touches nothing on disk.
    #[must_use]
    pub fn new(path: PathBuf, project: PathBuf, deps: Deps) -> Self {
        let notifier = Arc::new(ChangeNotifier::new(Arc::clone(&deps.sink)));
        Self {
            lock: BankLock::new(Root::within(&project, path)),
            history: FolderHistory::new(Arc::clone(&deps.entropy)),
            deps,
            notifier,
            recent_contents: Arc::default(),
            graph: FolderGraph::default(),
            search: FolderSearch::default(),
            context: Arc::default(),
            project,
            shows_paths: true,
        }
    }

    /// Follows a link to the bank's folder to any place: only the user who starts the server can allow that.
    #[must_use]
    pub fn following_links(self) -> Self {
        let lock = BankLock::new(Root::anywhere(self.path().to_owned()));
        Self { lock, ..self }
    }

    /// Shares the memory for search indexes with the other banks of the process.
    #[must_use]
    pub(crate) fn sharing(self, indexes: &Arc<FolderIndexes>) -> Self {
        Self { search: self.search.sharing(Arc::clone(indexes)), ..self }
    }

    /// Keeps the history as the other banks of the process do.
    #[must_use]
    pub(crate) fn keeping_history(self, settings: &Arc<HistorySettings>) -> Self {
        Self { history: self.history.with_settings(Arc::clone(settings)), ..self }
    }

    /// Seals versions with the key in the user's state folder, for a bank without a workspace. Without a state folder, versions of
    /// another process are foreign.
    #[must_use]
    pub fn with_state(self, state: StateFolder) -> Self {
        let place = SealLocation { state: Some(state), project: self.project.clone() };
        self.keeping_history(&Arc::new(HistorySettings::with_seal(place)))
    }

    /// Sets for how many days all versions of documents are kept (0: none are added), for a bank without a workspace.
    pub fn set_history(&self, days: u32, is_read_only: bool) {
        self.history.set(days, is_read_only);
    }

    /// Shows and accepts no path of the host: for clients on other machines.
    #[must_use]
    pub fn for_remote_clients(self) -> Self {
        Self { shows_paths: false, ..self }
    }

    /// Whether paths of the host are shown and accepted.
    pub(crate) fn shows_paths(&self) -> bool {
        self.shows_paths
    }

    /// The bank's directory on the host.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.lock.path()
    }

    /// The way to that directory.
    #[must_use]
    pub fn root(&self) -> &Root {
        self.lock.root()
    }

    /// Clock, entropy and sink.
    #[must_use]
    pub fn deps(&self) -> &Deps {
        &self.deps
    }

    /// The directory of the project that the bank belongs to.
    #[must_use]
    pub fn project(&self) -> &Path {
        &self.project
    }
}

impl Bank for FolderBank {
    fn location(&self) -> String {
        if self.shows_paths {
            return self.path().display().to_string();
        }
        self.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn in_context(&self, context: &ChangeContext) -> Arc<dyn Bank> {
        Arc::new(Self { context: Arc::new(context.clone()), ..self.clone() })
    }
}
