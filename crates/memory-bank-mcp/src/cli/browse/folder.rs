//! The bank of a folder, with its tools in this process.

use std::sync::Arc;

use anyhow::{Context, bail};
use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::document::DocumentEntry;
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::graph::history::{GraphChangeQuery, GraphSubject};
use memory_bank_core::history::{Subject, VersionQuery};
use memory_bank_core::store::{
    Bank, DigestVisits, MemoryStateStore, NoSink, SessionState, StateStore as _, Workspace,
};
use memory_bank_folder::{Deps, FolderOptions, FolderWorkspace, RememberedStateStore, StateFolder};
use memory_bank_server::hub::Hub;
use memory_bank_server::mcp::MemoryBankHandler;
use memory_bank_server::services::{Replies, Services};
use memory_bank_vectors::MakerOptions;
use serde_json::{Map, Value};

use super::arguments::BrowseCommand;
use crate::cli::options::GlobalOptions;
use crate::{config, embedder};

/// The most bytes of a reply: a document comes whole.
const REPLY_BYTES: usize = 256 * 1024 * 1024;

/// How many of the documents that changed last may be the user's own last change.
const OWN_DOCUMENTS: usize = 6;

/// A folder's bank.
pub(super) struct FolderBank {
    tools: MemoryBankHandler,
}

impl FolderBank {
    /// Opens the bank of the command line; it may be missing if the command creates it. Other processes may have it open; a search
    /// counts the meaning if `EMBEDDINGS` is set, and makes no vectors.
    pub(super) async fn open(global: &GlobalOptions, command: &BrowseCommand) -> anyhow::Result<Self> {
        let searches = matches!(command, BrowseCommand::Search { .. });
        let creates = matches!(command, BrowseCommand::Init { .. });
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let state = config::state_folder(global.state_dir.as_deref(), &config::environment)?;
        let options = FolderOptions {
            path: global.path.clone(),
            folder: Some(global.folder.clone()),
            working_directory: std::env::current_dir().context("the current folder cannot be used")?,
            home: std::env::home_dir(),
            watch: false,
            shows_paths: true,
            follow_links: global.follow_links,
            state: state.clone(),
        };
        let deps = Deps { clock: clock.clone(), entropy: entropy.clone(), sink: Arc::new(NoSink) };
        let workspace =
            FolderWorkspace::start(options, deps).await.context("the project folder cannot be used")?;
        let options = global.tool_options()?;
        workspace.set_history(config::history_days(&config::environment)?, options.read_only);
        let caller = Caller::local(global.username.clone());
        let visits = match workspace.bank(&caller, None).await {
            Ok(bank) if command.shows_news() => visits(&*bank, &caller, state).await?,
            Ok(_) => DigestVisits::default(),
            Err(WorkspaceError::NoBank) if creates => DigestVisits::default(),
            Err(WorkspaceError::NoBank) => bail!(
                "there is no memory bank in `{}`; create it with `memory-bank-mcp init`, or name another project with `--path`, or a server \
                 with `--url`",
                global.project()?.display()
            ),
            Err(error) => return Err(error.into()),
        };
        let embedder = if searches { embedder::for_server()? } else { None };
        if let Some(embedder) = &embedder {
            workspace.set_embedder(Arc::clone(embedder), MakerOptions::default(), true);
        }
        let services = Services {
            workspace: Arc::new(workspace),
            // A digest shown here does not count as a session: the assistant's next digest shows the same changes.
            state: Arc::new(MemoryStateStore::with_initial(SessionState {
                visits,
                ..SessionState::default()
            })),
            hub: Arc::new(Hub::new()),
            clock,
            entropy,
            replies: Replies::of_bytes(REPLY_BYTES),
            embedder,
        };
        let tools = MemoryBankHandler::new(services, caller).with_tools(options);
        Ok(Self { tools })
    }

    pub(super) async fn call(&self, tool: &str, arguments: Map<String, Value>) -> anyhow::Result<Value> {
        self.tools.call_in_process(tool, arguments).await.map_err(|error| anyhow::anyhow!("{error}"))
    }
}

/// The visits of assistants of this user, which a digest here compares with and does not change. If they have never read this bank's
/// digest, the user was last here at the last own change.
async fn visits(
    bank: &dyn Bank,
    caller: &Caller,
    state: Option<StateFolder>,
) -> anyhow::Result<DigestVisits> {
    let known = RememberedStateStore::new(SessionState::default(), state);
    let mut visits = known.load(caller).await?.visits;
    let place = bank.location();
    if visits.last_read(&place).is_none()
        && let Some(at) = last_own_change(bank, caller).await?
    {
        visits.note(&place, at);
    }
    Ok(visits)
}

/// When this user last changed something, as far as the history knows.
async fn last_own_change(bank: &dyn Bank, caller: &Caller) -> anyhow::Result<Option<Timestamp>> {
    let by = Some(caller.user_name.clone());
    let documents = VersionQuery {
        subject: Subject::Project,
        since: None,
        until: None,
        by: by.clone(),
        after: None,
        limit: 1,
    };
    let versions = bank.list_versions(caller, &documents).await?.versions;
    let graph = GraphChangeQuery { by, ..GraphChangeQuery::newest(GraphSubject::Project, 1) };
    let changes = bank.list_graph_changes(caller, &graph).await?.changes;
    // A file is written shortly after the time of its version.
    let (present, authors) = bank.list_with_authors(caller, OWN_DOCUMENTS).await?;
    let is_own = |entry: &&DocumentEntry| authors.get(&entry.name) == Some(&caller.user_name);
    let written = present.iter().filter(is_own).map(|entry| entry.updated_at);
    let changed = versions.iter().map(|version| version.at).chain(changes.iter().map(|change| change.at));
    Ok(written.chain(changed).max())
}
