//! Calls of tools over HTTP, and their outcomes.

use std::time::Duration;

use serde_json::{Value, json};

use super::wire::{Answer, Connection, Request};

/// The outcome of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done(Value),
    /// A tool error.
    Refused(String),
    /// No answer, or one that leaves open whether the call took effect.
    Unknown,
    /// The reply of the limiter that refused the call. Campaigns have limits that they do not reach, and a server that does not reach
    /// Redis refuses nobody: it is a fault.
    Limited(String),
}

/// What the limiter said, if it refused a request. Other bounds have the same status and another text: a key may have only so many
/// requests in flight.
pub(crate) fn limited(answer: &Answer) -> Option<String> {
    let is_limited = answer.status == 429 && answer.text().contains("Too many requests");
    is_limited.then(|| format!("{}\n{}", answer.head.trim_end(), answer.text()))
}

/// The outcome that an answer reports.
pub(crate) fn outcome(answer: &Value) -> Outcome {
    let result = &answer["result"];
    let text = || result["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    match result["isError"].as_bool() {
        Some(true) => Outcome::Refused(text()),
        _ if result.is_object() => Outcome::Done(result.clone()),
        _ => Outcome::Unknown,
    }
}

/// Opens a session; `None` if the server is down.
///
/// # Errors
/// The reply of the limiter, if it refused the session.
pub(crate) fn open(address: &str, key: &str) -> Result<Option<String>, String> {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "writer", "version": "1"}}});
    let answer = Connection::exchange_once(address, key, &post(&message));
    match limited(&answer) {
        Some(reply) => Err(reply),
        None => Ok(answer.header("mcp-session-id").map(str::to_owned)),
    }
}

fn post(message: &Value) -> Request {
    let headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("Accept", "application/json, text/event-stream".to_owned()),
    ];
    Request {
        method: "POST",
        path: "/mcp".to_owned(),
        headers,
        body: message.to_string(),
        ..Request::default()
    }
}

/// Calls a tool in a session, or without one.
pub(crate) fn call(
    address: &str,
    key: &str,
    session: Option<&str>,
    tool: &str,
    arguments: &Value,
) -> Outcome {
    call_within(None, address, key, session, tool, arguments)
}

/// The same, by a client that waits this long for the answer.
pub(crate) fn call_within(
    patience: Option<Duration>,
    address: &str,
    key: &str,
    session: Option<&str>,
    tool: &str,
    arguments: &Value,
) -> Outcome {
    let mut params = json!({"name": tool, "arguments": arguments});
    let mut headers = Vec::new();
    match session {
        Some(session) => headers.push(("Mcp-Session-Id", session.to_owned())),
        None => {
            params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "writer", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {}});
            headers.push(("MCP-Protocol-Version", "2026-07-28".to_owned()));
            headers.push(("Mcp-Method", "tools/call".to_owned()));
            headers.push(("Mcp-Name", tool.to_owned()));
        }
    }
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let mut request = post(&message);
    request.headers.extend(headers);
    request.patience = patience;
    let answer = Connection::exchange_once(address, key, &request);
    if let Some(reply) = limited(&answer) {
        return Outcome::Limited(reply);
    }
    if !answer.complete || answer.status != 200 {
        return Outcome::Unknown;
    }
    answer.message().map_or(Outcome::Unknown, |message| outcome(&message))
}
