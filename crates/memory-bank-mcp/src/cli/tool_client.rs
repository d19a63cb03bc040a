//! Calls tools of a server over HTTP: one request per call, without a session. Every wait and every reply is bounded.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use memory_bank_core::identity::PlainKey;
use memory_bank_server::http::response_in_events;
use serde_json::{Map, Value, json};

use crate::cli::http_client::{self, HttpClient};

/// Time-out of one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest reply that is read, in bytes.
const REPLY_BYTES: usize = 32 * 1024 * 1024;
/// The version of the protocol: the first without sessions.
const PROTOCOL_VERSION: &str = "2026-07-28";
/// How much of an unexpected reply is quoted, in characters.
const QUOTED_CHARS: usize = 300;

/// A server, and the key of a project on it.
pub(crate) struct ToolClient {
    url: String,
    key: Option<PlainKey>,
    client: HttpClient,
}

impl ToolClient {
    /// A client of the server at this address. Nothing is sent yet.
    pub(crate) fn new(url: String, key: Option<PlainKey>) -> anyhow::Result<Self> {
        let client = http_client::for_address(&url)?;
        Ok(Self { url, key, client })
    }

    /// The result of a tool, in the form that MCP gives it.
    ///
    /// # Errors
    /// The server cannot be reached, refuses the key or the call, or does not reply with a message of MCP.
    pub(crate) async fn call(&self, tool: &str, arguments: Map<String, Value>) -> anyhow::Result<Value> {
        self.request("tools/call", Some(tool), json!({ "name": tool, "arguments": arguments })).await
    }

    /// The names of the tools that the server lists for the key.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) async fn tools(&self) -> anyhow::Result<Vec<String>> {
        let result = self.request("tools/list", None, json!({})).await?;
        let tools = result.get("tools").and_then(Value::as_array).context("the server lists no tools")?;
        Ok(tools.iter().filter_map(|tool| tool.get("name")?.as_str().map(str::to_owned)).collect())
    }

    async fn request(&self, method: &str, name: Option<&str>, mut params: Value) -> anyhow::Result<Value> {
        if let Some(members) = params.as_object_mut() {
            let about = json!({
                "io.modelcontextprotocol/protocolVersion": PROTOCOL_VERSION,
                "io.modelcontextprotocol/clientInfo": {
                    "name": env!("CARGO_PKG_NAME"),
                    "version": env!("CARGO_PKG_VERSION"),
                },
                "io.modelcontextprotocol/clientCapabilities": {},
            });
            members.insert("_meta".to_owned(), about);
        }
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut request = Request::post(&self.url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", PROTOCOL_VERSION)
            .header("mcp-method", method);
        if let Some(name) = name {
            request = request.header("mcp-name", name);
        }
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key.expose());
        }
        let request = request.body(Full::from(body.to_string()))?;
        let replied = tokio::time::timeout(CALL_TIMEOUT, exchange(&self.client, request)).await;
        let (status, headers, body) = match replied {
            Ok(replied) => replied.with_context(|| format!("`{}` cannot be reached", self.url))?,
            Err(_) => bail!("`{}` did not reply within {} s", self.url, CALL_TIMEOUT.as_secs()),
        };
        self.result(status, &headers, &body)
    }

    /// The result in a reply, or the error in it.
    fn result(&self, status: StatusCode, headers: &HeaderMap, body: &str) -> anyhow::Result<Value> {
        let is_stream = headers
            .get("content-type")
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.starts_with("text/event-stream"));
        let message = if is_stream { response_in_events(body) } else { serde_json::from_str(body).ok() };
        let message = message.unwrap_or_default();
        if let Some(result) = message.get("result").filter(|_| status == StatusCode::OK) {
            return Ok(result.clone());
        }
        let reason = message
            .pointer("/error/message")
            .or_else(|| message.get("error"))
            .and_then(Value::as_str)
            .map_or_else(|| body.chars().take(QUOTED_CHARS).collect(), str::to_owned);
        match status {
            StatusCode::OK => bail!("{reason}"),
            StatusCode::UNAUTHORIZED if self.key.is_none() => bail!(
                "`{}` requires an API key; set `MEMORY_BANK_API_KEY`, or name a file with `--key-file`",
                self.url
            ),
            StatusCode::UNAUTHORIZED => bail!("`{}` refuses the API key: {reason}", self.url),
            StatusCode::TOO_MANY_REQUESTS => {
                let wait = headers.get("retry-after").and_then(|wait| wait.to_str().ok());
                let wait = wait.map_or_else(|| "later".to_owned(), |wait| format!("in {wait} s"));
                bail!("`{}` takes no more requests at the moment; try again {wait}: {reason}", self.url)
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => bail!(
                "`{}` is not the address of a memory bank: it replies {}; the address ends in `/mcp` by default",
                self.url,
                status.as_u16()
            ),
            status => bail!("`{}` replies {}: {reason}", self.url, status.as_u16()),
        }
    }
}

async fn exchange(
    client: &HttpClient,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(StatusCode, HeaderMap, String)> {
    let response = client.request(request).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = Limited::new(response.into_body(), REPLY_BYTES).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the reply breaks off: {error}"))?.to_bytes();
    Ok((status, headers, String::from_utf8_lossy(&body).into_owned()))
}
