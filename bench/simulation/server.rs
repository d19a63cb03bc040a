//! The server in this process, spoken to as a client does: one JSON-RPC message a line.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{Clock, SystemEntropy};
use memory_bank_core::store::{MemoryStateStore, SessionState};
use memory_bank_folder::{Deps, FolderOptions, FolderWorkspace};
use memory_bank_server::hub::Hub;
use memory_bank_server::mcp::{ToolOptions, stdio};
use memory_bank_server::services::{Replies, Services};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
use tokio_util::sync::CancellationToken;

const BUFFER: usize = 1024 * 1024;

/// A client's end of the connection.
pub(crate) struct Connection {
    input: DuplexStream,
    output: BufReader<DuplexStream>,
    id: u64,
}

impl Connection {
    pub(crate) async fn open(folder: &Path, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let hub = Arc::new(Hub::new());
        let entropy = Arc::new(SystemEntropy);
        let options = FolderOptions {
            path: Some(folder.to_string_lossy().into_owned()),
            folder: None,
            working_directory: folder.to_owned(),
            home: None,
            watch: false,
            shows_paths: true,
            follow_links: false,
            state: None,
        };
        let deps = Deps { clock: clock.clone(), entropy: entropy.clone(), sink: hub.clone() };
        let workspace = FolderWorkspace::start(options, deps).await.context("the folder cannot be used")?;
        let state = MemoryStateStore::with_initial(SessionState::default());
        let services = Services {
            workspace: Arc::new(workspace),
            state: Arc::new(state),
            hub,
            clock,
            entropy,
            replies: Replies::default(),
            embedder: None,
        };
        let (input, theirs_in) = duplex(BUFFER);
        let (theirs_out, output) = duplex(BUFFER);
        let caller = Caller::local("eve");
        let shutdown = CancellationToken::new();
        tokio::spawn(stdio::serve_on(
            theirs_out,
            theirs_in,
            services,
            caller,
            ToolOptions::default(),
            shutdown,
        ));
        let mut connection = Self { input, output: BufReader::new(output), id: 0 };
        let client = json!({"protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "simulation", "version": "1"}});
        connection.request("initialize", client).await?;
        connection.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await?;
        Ok(connection)
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn request(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.id += 1;
        let id = self.id;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await?;
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).await? == 0 {
                bail!("the server ended");
            }
            let mut message: Value = serde_json::from_str(&line)?;
            if message.get("id") != Some(&json!(id)) {
                continue;
            }
            if let Some(error) = message.get("error") {
                bail!("{method}: {error}");
            }
            return Ok(message.get_mut("result").map(Value::take).unwrap_or_default());
        }
    }

    async fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        self.input.write_all(format!("{message}\n").as_bytes()).await?;
        Ok(())
    }
}
