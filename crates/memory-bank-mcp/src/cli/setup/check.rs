//! Checks a server as an agent reaches it: its address, and the key. Every wait is bounded.

use std::time::Duration;

use anyhow::Context;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use memory_bank_core::identity::PlainKey;
use serde_json::json;

use crate::cli::doctor::findings::Findings;
use crate::cli::http_client;

/// Time-out of the request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest reply that is read, in bytes.
const REPLY_BYTES: usize = 64 * 1024;

/// Opens a session, like an agent.
pub(super) async fn check_server(url: &str, key: Option<&PlainKey>) -> Findings {
    let mut findings = Findings::default();
    let check = "server";
    let reply = match tokio::time::timeout(REQUEST_TIMEOUT, initialize(url, key)).await {
        Ok(reply) => reply,
        Err(_) => Err(anyhow::anyhow!("no reply within {} s", REQUEST_TIMEOUT.as_secs())),
    };
    match reply {
        Err(error) => findings.error(
            check,
            format!("`{url}` cannot be reached: {error:#}"),
            "check the address, and that the server is running",
        ),
        Ok((StatusCode::OK, _)) => findings.ok(check, format!("`{url}` opens a session")),
        Ok((StatusCode::UNAUTHORIZED, _)) if key.is_none() => {
            findings.ok(
                check,
                format!(
                    "`{url}` answers and requires a key, which the agents read from a variable or a prompt"
                ),
            );
        }
        Ok((StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, body)) => findings.error(
            check,
            format!("`{url}` refuses the key: {}", excerpt(&body)),
            "check the key with `memory-bank-mcp doctor --key FILE` where the server runs",
        ),
        Ok((status, body)) => findings.error(
            check,
            format!("`{url}` answers {}: {}", status.as_u16(), excerpt(&body)),
            "check that this is the address of MCP, which ends in `/mcp` by default",
        ),
    }
    findings
}

fn excerpt(body: &str) -> String {
    body.chars().filter(|character| !character.is_control()).take(200).collect()
}

async fn initialize(url: &str, key: Option<&PlainKey>) -> anyhow::Result<(StatusCode, String)> {
    let client = http_client::new()?;
    let body = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": { "name": "memory-bank-mcp setup", "version": env!("CARGO_PKG_VERSION") },
        },
    });
    let mut request = Request::post(url)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    if let Some(key) = key {
        request = request.header("x-api-key", key.expose());
    }
    let response = client.request(request.body(Full::from(body.to_string()))?).await?;
    let status = response.status();
    let session = response.headers().get("mcp-session-id").cloned();
    let body = Limited::new(response.into_body(), REPLY_BYTES).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the reply was cut off: {error}"))?.to_bytes();
    if let Some(session) = session {
        let mut end = Request::delete(url).header("mcp-session-id", session);
        if let Some(key) = key {
            end = end.header("x-api-key", key.expose());
        }
        client.request(end.body(Full::default())?).await.context("the session cannot be ended")?;
    }
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
