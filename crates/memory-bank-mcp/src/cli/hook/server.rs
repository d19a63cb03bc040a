//! A bank on a server over HTTP: calls of tools in the protocol without sessions. It must not know what a call is for.

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use memory_bank_core::identity::PlainKey;
use serde_json::{Value, json};

/// The protocol without sessions.
const VERSION: &str = "2026-07-28";
/// The longest reply that is read, in bytes.
const REPLY: usize = 1024 * 1024;

/// A server, and the key of a project on it.
pub(super) struct Server {
    url: String,
    key: PlainKey,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Server {
    /// The server at this address. Nothing is sent yet.
    pub(super) fn new(url: &str, key: PlainKey) -> anyhow::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        // Loading all authorities takes long, and plain HTTP needs none.
        if url.starts_with("https:") {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Ok(Self { url: url.to_owned(), key, client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// Calls a tool: the text of its reply, or of its refusal.
    pub(super) async fn call(&self, tool: &str, arguments: Value) -> anyhow::Result<Result<String, String>> {
        let message = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments, "_meta": {
                "io.modelcontextprotocol/protocolVersion": VERSION,
                "io.modelcontextprotocol/clientInfo": {"name": "memory-bank-mcp hook", "version": env!("CARGO_PKG_VERSION")},
                "io.modelcontextprotocol/clientCapabilities": {},
            }},
        });
        let request = Request::post(&self.url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", VERSION)
            .header("mcp-method", "tools/call")
            .header("mcp-name", tool)
            .header("x-api-key", self.key.expose())
            .body(Full::from(message.to_string()))?;
        let response = self.client.request(request).await.context("the server cannot be reached")?;
        let status = response.status();
        let body = Limited::new(response.into_body(), REPLY).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the reply breaks off: {error}"))?.to_bytes();
        let text = String::from_utf8_lossy(&body);
        if status != StatusCode::OK {
            bail!("the server answers {}", status.as_u16());
        }
        let reply = parse(&text).context("the reply is not a message of MCP")?;
        if let Some(error) = reply.pointer("/error/message").and_then(Value::as_str) {
            return Ok(Err(error.to_owned()));
        }
        let text =
            reply.pointer("/result/content/0/text").and_then(Value::as_str).unwrap_or_default().to_owned();
        let is_error = reply.pointer("/result/isError").and_then(Value::as_bool).unwrap_or(false);
        Ok(if is_error { Err(text) } else { Ok(text) })
    }
}

/// The message in a body: JSON, or the last event with data.
fn parse(body: &str) -> Option<Value> {
    if let Ok(message) = serde_json::from_str(body) {
        return Some(message);
    }
    let mut data =
        body.lines().filter_map(|line| line.strip_prefix("data:")).filter(|data| !data.trim().is_empty());
    serde_json::from_str(data.next_back()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_json_or_an_event() {
        let message = json!({"id": 1});
        assert_eq!(parse("{\"id\":1}"), Some(message.clone()));
        assert_eq!(parse("id: 4\ndata: \n\nevent: message\ndata: {\"id\":1}\n\n"), Some(message));
        assert_eq!(parse("<html>"), None);
    }
}
