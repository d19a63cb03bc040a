//! The bank of a folder, with its tools in this process.

use std::sync::Arc;

use anyhow::{Context, bail};
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::store::{MemoryStateStore, NoSink, SessionState, Workspace};
use memory_bank_folder::{Deps, FolderOptions, FolderWorkspace};
use memory_bank_server::hub::Hub;
use memory_bank_server::mcp::MemoryBankHandler;
use memory_bank_server::services::{Replies, Services};
use memory_bank_vectors::MakerOptions;
use serde_json::{Map, Value};

use crate::cli::options::GlobalOptions;
use crate::{config, embedder};

/// The most bytes of a reply: a document comes whole.
const REPLY_BYTES: usize = 256 * 1024 * 1024;

/// A folder's bank.
pub(super) struct FolderBank {
    tools: MemoryBankHandler,
}

impl FolderBank {
    /// Opens the bank of the command line; it may be missing if the command `creates` it. Other processes may have it open; a search
    /// counts the meaning if `EMBEDDINGS` is set, and makes no vectors.
    pub(super) async fn open(global: &GlobalOptions, searches: bool, creates: bool) -> anyhow::Result<Self> {
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let options = FolderOptions {
            path: global.path.clone(),
            folder: Some(global.folder.clone()),
            working_directory: std::env::current_dir().context("the current folder cannot be used")?,
            home: std::env::home_dir(),
            watch: false,
            shows_paths: true,
            follow_links: global.follow_links,
            state: config::state_folder(global.state_dir.as_deref(), &config::environment)?,
        };
        let deps = Deps { clock: clock.clone(), entropy: entropy.clone(), sink: Arc::new(NoSink) };
        let workspace =
            FolderWorkspace::start(options, deps).await.context("the project folder cannot be used")?;
        let options = global.tool_options()?;
        workspace.set_history(config::history_days(&config::environment)?, options.read_only);
        let caller = Caller::local(global.username.clone());
        match workspace.bank(&caller, None).await {
            Ok(_) => {}
            Err(WorkspaceError::NoBank) if creates => {}
            Err(WorkspaceError::NoBank) => bail!(
                "there is no memory bank in `{}`; create it with `memory-bank-mcp init`, or name another project with `--path`, or a server \
                 with `--url`",
                global.project()?.display()
            ),
            Err(error) => return Err(error.into()),
        }
        let embedder = if searches { embedder::for_server()? } else { None };
        if let Some(embedder) = &embedder {
            workspace.set_embedder(Arc::clone(embedder), MakerOptions::default(), true);
        }
        let services = Services {
            workspace: Arc::new(workspace),
            // A digest shown here does not count as a session: the assistant's next digest shows the same changes.
            state: Arc::new(MemoryStateStore::with_initial(SessionState::default())),
            hub: Arc::new(Hub::new()),
            clock,
            entropy,
            replies: Replies { bytes: REPLY_BYTES, memory: None },
            embedder,
        };
        let tools = MemoryBankHandler::new(services, caller).with_tools(options);
        Ok(Self { tools })
    }

    pub(super) async fn call(&self, tool: &str, arguments: Map<String, Value>) -> anyhow::Result<Value> {
        self.tools.call_directly(tool, arguments).await.map_err(|error| anyhow::anyhow!("{error}"))
    }
}
