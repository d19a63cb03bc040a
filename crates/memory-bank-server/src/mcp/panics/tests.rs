use std::sync::Arc;

use async_trait::async_trait;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::mode::Mode;
use memory_bank_core::store::{
    Bank, Initialized, MemoryStateStore, ModeRules, RegisteredStore, SelectTarget, SelectedStore, StoreKind,
    StoreList, Workspace,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, duplex};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::hub::Hub;
use crate::mcp::{ToolOptions, stdio};
use crate::services::{Replies, Services};

#[tokio::test]
async fn a_panic_becomes_an_error_that_names_its_log_line_and_not_the_cause() {
    let panics = async { panic!("secret") };
    let error = caught::<()>("resources/read", &SystemEntropy, panics).await.unwrap_err();
    assert!(error.message.starts_with("internal error; see the server log for the id "), "{error:?}");
    assert!(!error.message.contains("secret"), "{error:?}");
}

/// A workspace whose every method panics.
struct Broken;

#[async_trait]
impl Workspace for Broken {
    async fn bank(&self, _: &Caller, _: Option<&str>) -> Result<Arc<dyn Bank>, WorkspaceError> {
        panic!("secret")
    }

    async fn initialize(&self, _: &Caller, _: &str, _: bool) -> Result<Initialized, WorkspaceError> {
        panic!("secret")
    }

    async fn set_path(&self, _: &Caller, _: Option<&str>) -> Result<String, WorkspaceError> {
        panic!("secret")
    }

    async fn stores(&self, _: &Caller) -> Result<StoreList, WorkspaceError> {
        panic!("secret")
    }

    async fn select(&self, _: &Caller, _: SelectTarget) -> Result<SelectedStore, WorkspaceError> {
        panic!("secret")
    }

    async fn register(
        &self,
        _: &Caller,
        _: &str,
        _: &str,
        _: StoreKind,
    ) -> Result<RegisteredStore, WorkspaceError> {
        panic!("secret")
    }

    async fn unregister(&self, _: &Caller, _: &str) -> Result<bool, WorkspaceError> {
        panic!("secret")
    }

    async fn mode_rules(&self, _: &Caller, _: Mode) -> Result<ModeRules, WorkspaceError> {
        panic!("secret")
    }

    fn configuration(&self, _: &Caller, _: bool) -> Value {
        panic!("secret")
    }
}

#[tokio::test]
async fn over_stdio_each_request_that_panics_is_answered() {
    let services = Services {
        workspace: Arc::new(Broken),
        state: Arc::new(MemoryStateStore::default()),
        hub: Arc::new(Hub::new()),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        replies: Replies::default(),
        embedder: None,
    };
    let requests = [
        json!({"method": "tools/call", "params": {"name": "list_stores"}}),
        json!({"method": "resources/list"}),
        json!({"method": "resources/read", "params": {"uri": "memory-bank://progress"}}),
        json!({"method": "prompts/get", "params": {"name": "start_session"}}),
    ];
    let mut input = String::new();
    for (id, request) in requests.iter().enumerate() {
        let mut message = request.clone();
        message["jsonrpc"] = json!("2.0");
        message["id"] = json!(id);
        input.push_str(&format!("{message}\n"));
    }
    let (output, theirs) = duplex(64 * 1024);
    let input = std::io::Cursor::new(input.into_bytes());
    let caller = Caller::local("alice");
    let options = ToolOptions::default();
    let served =
        tokio::spawn(stdio::serve_on(output, input, services, caller, options, CancellationToken::new()));
    let mut lines = BufReader::new(theirs).lines();
    let mut panicked = 0;
    for _ in &requests {
        let line = lines.next_line().await.unwrap().unwrap();
        assert!(!line.contains("secret"), "{line}");
        panicked += usize::from(line.contains("internal error; see the server log"));
    }
    assert!(panicked >= 2, "no request reached the workspace");
    served.await.unwrap().unwrap();
}
