//! Plain calls of tools are made without the SDK's service, and are answered as the service answers them. A member that the service
//! ignores makes it answer.

use std::fs::File;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{JSON, MCP_ACCEPT, Reply, Server, call};

const VERSIONS: [&str; 5] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];

/// A server that logs each request that the SDK's service answers.
struct Logged {
    server: Server,
    log: TempDir,
}

impl Logged {
    fn start(variables: &[(&str, &str)]) -> Self {
        let log = TempDir::new().unwrap();
        let file = File::create(log.path().join("log")).unwrap();
        let mut all = vec![("RUST_LOG", "warn,memory_bank_server=debug"), ("RATE_LIMIT_IP_PER_MINUTE", "0")];
        all.extend(variables);
        let mut server = Server::start_with(TempDir::new().unwrap(), file.into(), &all);
        let roomy = json!({"scopes": ["read", "write"], "rateLimit": 100_000}).to_string();
        server.key =
            server.send("POST", "/api/keys", &[JSON], &roomy).json()["key"].as_str().unwrap().to_owned();
        Self { server, log }
    }

    /// How many requests the service answered.
    fn of_service(&self) -> usize {
        std::fs::read_to_string(self.log.path().join("log"))
            .unwrap()
            .matches("the SDK's service answers")
            .count()
    }
}

/// Sends a call of a version; without a session if the version has none.
fn send(server: &Server, version: &str, session: Option<&str>, message: &Value) -> Reply {
    let mut message = message.clone();
    let name = message["params"]["name"].as_str().unwrap_or_default().to_owned();
    let mut headers = vec![JSON, MCP_ACCEPT, ("MCP-Protocol-Version", version)];
    match session {
        Some(session) => headers.push(("Mcp-Session-Id", session)),
        None => {
            headers.extend([("Mcp-Method", "tools/call"), ("Mcp-Name", name.as_str())]);
            message["params"]["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": version,
                "io.modelcontextprotocol/clientCapabilities": {}});
        }
    }
    server.send("POST", "/mcp", &headers, &message.to_string())
}

/// What a client sees of a reply; ids of faults, times and ids of requests differ from one reply to the next.
fn seen(reply: &Reply) -> (u16, Vec<&str>, Value) {
    let mut names: Vec<_> = reply.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    (reply.status, names, reply.message())
}

#[test]
fn a_plain_call_is_answered_as_the_service_answers_it() {
    for mode in ["true", "false"] {
        let logged = Logged::start(&[("MCP_JSON_RESPONSE", mode)]);
        let server = &logged.server;
        let session = server.initialize();
        server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
        let long = "Ä line of \"text\" with 😀\n".repeat(500);
        server.call(&session, "write_memory_bank_file", &json!({"filename": "long.md", "content": long}));
        let calls = [
            call(1, "list_memory_bank_files", &json!({})),
            call(2, "read_memory_bank_file", &json!({"filename": "progress.md"})),
            call(3, "read_memory_bank_file", &json!({"filename": "long.md"})),
            call(4, "read_memory_bank_file", &json!({"filename": "missing.md"})),
            call(5, "read_memory_bank_file", &json!({"filename": "../outside.md"})),
            call(6, "read_memory_bank_file", &json!({})),
            call(7, "read_memory_bank_file", &json!({"filename": 7, "unknown": true})),
            call(8, "graph_search", &json!({"query": "nothing"})),
            call(9, "no_such_tool", &json!({})),
            json!({"jsonrpc": "2.0", "id": "as text", "method": "tools/call", "params": {"name": "list_memory_bank_files"}}),
            json!({"jsonrpc": "2.0", "id": "", "method": "tools/call",
                "params": {"name": "list_memory_bank_files", "arguments": null}}),
            json!({"jsonrpc": "2.0", "id": -7, "method": "tools/call", "params": {"name": "", "arguments": {}}}),
        ];
        for version in VERSIONS {
            let session = (version != "2026-07-28").then_some(session.as_str());
            for plain in &calls {
                let mut beside = plain.clone();
                beside["extra"] = json!(true);
                let before = logged.of_service();
                let direct = send(server, version, session, plain);
                assert_eq!(logged.of_service(), before, "{version} {plain}");
                let of_service = send(server, version, session, &beside);
                assert_eq!(logged.of_service(), before + 1, "{version} {beside}");
                assert_eq!(seen(&direct), seen(&of_service), "{version} {plain}");
                assert_eq!((direct.status, &direct.message()["id"]), (200, &plain["id"]), "{}", direct.body);
            }
        }
    }
}
