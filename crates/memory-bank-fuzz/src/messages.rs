//! Messages of a client over stdio, on a bank in a folder of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::store::SessionState;
use memory_bank_folder::{Deps, FolderOptions, FolderWorkspace, RememberedStateStore};
use memory_bank_server::hub::Hub;
use memory_bank_server::mcp::{ToolOptions, stdio};
use memory_bank_server::services::{Replies, Services};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_util::sync::CancellationToken;

/// How long a server may take for one input.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The bytes that a client may leave unread.
const PIPE_BYTES: usize = 1024 * 1024;
const VERSION: &str = "2025-06-18";
/// The id of the call whose reply is looked at.
const CALL: u64 = 2;

/// The lines of a client, as bytes.
pub(crate) fn messages(data: &[u8]) {
    let mut lines = data.to_vec();
    lines.push(b'\n');
    let replies = served(&lines);
    check(&replies);
}

/// The parameters of a call, as JSON: a tool and its arguments.
pub(crate) fn arguments(data: &[u8]) {
    let Ok(call) = serde_json::from_slice::<Value>(data) else { return };
    if !call.get("name").is_some_and(Value::is_string) {
        return;
    }
    let mut lines = hello();
    lines.extend(request(CALL, "tools/call", &call));
    let replies = served(&lines);
    let answers = replies.iter().filter(|reply| reply.get("id") == Some(&json!(CALL)));
    assert_eq!(answers.count(), 1, "a call has one reply");
    check(&replies);
}

fn request(id: u64, method: &str, params: &Value) -> Vec<u8> {
    let mut line =
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// The beginning of a session with a bank.
fn hello() -> Vec<u8> {
    let client = json!({"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "fuzz", "version": "1"}});
    let mut lines = request(0, "initialize", &client);
    lines.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
    lines.extend(request(
        1,
        "tools/call",
        &json!({"name": "initialize_memory_bank", "arguments": {"path": "."}}),
    ));
    lines
}

/// No reply says that the server itself has failed.
fn check(replies: &[Value]) {
    for reply in replies {
        assert_eq!(reply.get("jsonrpc"), Some(&json!("2.0")), "{reply}");
        let code = reply.pointer("/error/code").and_then(Value::as_i64);
        assert_ne!(code, Some(-32603), "{reply}");
    }
}

/// What a server replies to these lines, each a JSON value.
fn served(lines: &[u8]) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let output = runtime.block_on(async {
        tokio::time::timeout(TIMEOUT, session(folder.path(), lines)).await.expect("the server ends in time")
    });
    runtime.shutdown_timeout(TIMEOUT);
    let replies = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    replies.map(|line| serde_json::from_slice(line).expect("a reply is JSON")).collect()
}

async fn session(project: &Path, lines: &[u8]) -> Vec<u8> {
    let services = services(project).await;
    let (mut client_out, server_in) = duplex(PIPE_BYTES);
    let (server_out, mut client_in) = duplex(PIPE_BYTES);
    let caller = Caller::local("user");
    let shutdown = CancellationToken::new();
    let serving = stdio::serve_on(server_out, server_in, services, caller, ToolOptions::default(), shutdown);
    let sending = async move {
        client_out.write_all(lines).await.expect("the server reads");
        drop(client_out);
    };
    let reading = async move {
        let mut replies = Vec::new();
        client_in.read_to_end(&mut replies).await.expect("the server writes");
        replies
    };
    let (served, (), replies) = tokio::join!(serving, sending, reading);
    served.expect("the service has not panicked");
    replies
}

async fn services(project: &Path) -> Services {
    let hub = Arc::new(Hub::new());
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let options = FolderOptions {
        path: None,
        folder: None,
        working_directory: project.to_path_buf(),
        home: None,
        watch: false,
        shows_paths: true,
        follow_links: false,
        state: None,
    };
    let deps = Deps { clock: clock.clone(), entropy: entropy.clone(), sink: hub.clone() };
    let workspace = FolderWorkspace::start(options, deps).await.expect("an empty project");
    Services {
        workspace: Arc::new(workspace),
        state: Arc::new(RememberedStateStore::new(SessionState::default(), None)),
        hub,
        clock,
        entropy,
        replies: Replies::default(),
        embedder: None,
    }
}
