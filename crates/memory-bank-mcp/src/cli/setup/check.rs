//! Checks a server as an agent reaches it: its address, and the key. Every wait is bounded.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use memory_bank_core::identity::PlainKey;
use serde_json::json;

use crate::cli::doctor::findings::Findings;

/// Time-out of the request.
const WAIT: Duration = Duration::from_secs(10);
/// The longest reply that is read, in bytes.
const REPLY: usize = 64 * 1024;

/// Opens a session as an agent does.
pub(super) async fn server(url: &str, key: Option<&PlainKey>) -> Findings {
    let mut findings = Findings::default();
    let check = "server";
    let reply = match tokio::time::timeout(WAIT, initialize(url, key)).await {
        Ok(reply) => reply,
        Err(_) => Err(anyhow::anyhow!("no reply within {} s", WAIT.as_secs())),
    };
    match reply {
        Err(error) => findings.error(
            check,
            format!("`{url}` cannot be reached: {error:#}"),
            "check the address, and that the server is running",
        ),
        Ok((StatusCode::OK, _)) => findings.ok(check, format!("`{url}` opens a session")),
        Ok((StatusCode::UNAUTHORIZED, _)) if key.is_none() => {
            findings
                .ok(check, format!("`{url}` answers, and wants a key, which the agents read from elsewhere"));
        }
        Ok((StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, body)) => findings.error(
            check,
            format!("`{url}` refuses the key: {}", shortened(&body)),
            "check the key with `memory-bank-mcp doctor --key FILE` where the server runs",
        ),
        Ok((status, body)) => findings.error(
            check,
            format!("`{url}` answers {}: {}", status.as_u16(), shortened(&body)),
            "check that it is the address of MCP, which ends in `/mcp` by default",
        ),
    }
    findings
}

fn shortened(body: &str) -> String {
    body.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

async fn initialize(url: &str, key: Option<&PlainKey>) -> anyhow::Result<(StatusCode, String)> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
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
    let body = Limited::new(response.into_body(), REPLY).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the reply breaks off: {error}"))?.to_bytes();
    if let Some(session) = session {
        let mut end = Request::delete(url).header("mcp-session-id", session);
        if let Some(key) = key {
            end = end.header("x-api-key", key.expose());
        }
        client.request(end.body(Full::default())?).await.context("the session cannot be ended")?;
    }
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
