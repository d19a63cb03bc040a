//! Lists that are the same for all clients with the same rights (tools, prompts, templates). They are long and
//! requested often. Replay stores a reference to the list instead of its text, and makes the list again for a client
//! that resumes: on any replica and version, with the current rights of its key and the toolset of the original
//! request.

use axum::extract::Request;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use memory_bank_core::store::SessionRecord;
use serde_json::{Value, json};

use crate::http::protocol::VERSION;
use crate::http::reply::INTERNAL_ERROR;
use crate::http::request_context::RequestContext;
use crate::mcp::message::member;
use crate::mcp::{ToolOptions, Toolset};

/// The lists that do not depend on a project.
const LISTS: [&str; 3] = ["tools/list", "prompts/list", "resources/templates/list"];
/// The members of a reference for options of the request.
const READ_ONLY: &str = "readOnly";
const APPS: &str = "apps";
/// A shorter reply is stored as it is.
const MIN_STORED_BYTES: usize = 512;
/// A longer text is not a reference.
const REFERENCE_BYTES: usize = 1024;

/// The list of a stored reply, and the id of the request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    list: String,
    id: Value,
    tools: ToolOptions,
}

/// The reference to store in place of this reply, if it is such a list.
pub(crate) fn reference(request: &Value, reply: &str, tools: &ToolOptions) -> Option<String> {
    let list = request.get("method")?.as_str().filter(|method| LISTS.contains(method))?;
    let id = request.get("id")?;
    let pages = member(request, &["params", "cursor"]).is_some();
    if pages || reply.len() <= MIN_STORED_BYTES {
        return None;
    }
    let mut stored = json!({"listOf": list, "id": id});
    if let Some(stored) = stored.as_object_mut() {
        if !tools.toolset.is_all() {
            stored.insert("tools".into(), json!(tools.toolset.to_string()));
        }
        for (name, is_set) in [(READ_ONLY, tools.read_only), (APPS, tools.apps)] {
            if is_set {
                stored.insert(name.into(), json!(true));
            }
        }
    }
    Some(stored.to_string())
}

/// Parses a stored reference; a JSON-RPC message is never one.
pub(crate) fn parse(stored: &str) -> Option<Reference> {
    if stored.len() > REFERENCE_BYTES || !stored.contains("listOf") {
        return None;
    }
    let stored: Value = serde_json::from_str(stored).ok()?;
    let list = stored.get("listOf")?.as_str()?.to_owned();
    let id = stored.get("id").cloned()?;
    let toolset = match stored.get("tools") {
        Some(named) => named.as_str()?.parse().ok()?,
        None => Toolset::default(),
    };
    let is_set = |name: &str| stored.get(name) == Some(&json!(true));
    let tools = ToolOptions { toolset, read_only: is_set(READ_ONLY), apps: is_set(APPS) };
    stored.get("jsonrpc").is_none().then_some(Reference { list, id, tools })
}

/// Makes the reply again.
pub(crate) async fn resolve(
    context: &RequestContext,
    session: &SessionRecord,
    reference: &Reference,
) -> String {
    match make(context, session, reference).await {
        Some(reply) => reply,
        None => {
            let text = "this reply is not kept any more; send the request again";
            json!({"jsonrpc": "2.0", "id": reference.id, "error": {"code": INTERNAL_ERROR, "message": text}})
                .to_string()
        }
    }
}

async fn make(context: &RequestContext, session: &SessionRecord, reference: &Reference) -> Option<String> {
    let Reference { list, id, tools } = reference;
    // A newer version may store more lists than this one knows.
    if !LISTS.contains(&list.as_str()) {
        return None;
    }
    // With the options of the original request; current read-only mode applies.
    let read_only = tools.read_only || context.tools.read_only;
    let context = RequestContext { tools: ToolOptions { read_only, ..tools.clone() }, ..context.clone() };
    let message = json!({"jsonrpc": "2.0", "id": id, "method": list});
    let request = Request::builder()
        .method(Method::POST)
        .uri("/mcp")
        .header(HOST, "localhost")
        .header(ACCEPT, "application/json, text/event-stream")
        .header(CONTENT_TYPE, "application/json")
        .header(VERSION, HeaderValue::from_str(&session.protocol_version).ok()?)
        .body(())
        .ok()?;
    let response = context.call(request.into_parts().0, Bytes::from(message.to_string()), &message).await;
    let status = response.status();
    let body = response.into_body().collect().await.ok()?.to_bytes();
    if status != StatusCode::OK {
        let reply = String::from_utf8_lossy(&body);
        tracing::warn!(%status, %reply, list, "a list could not be made again for a replay");
        return None;
    }
    String::from_utf8(body.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core_read_only() -> ToolOptions {
        ToolOptions { toolset: "core,backups".parse().unwrap(), read_only: true, apps: true }
    }

    #[test]
    fn only_a_long_list_becomes_a_reference() {
        let long = "x".repeat(2000);
        let request = |method: &str| json!({"jsonrpc": "2.0", "id": "a\"b", "method": method});
        for list in LISTS {
            for tools in [ToolOptions::default(), core_read_only()] {
                let stored = reference(&request(list), &long, &tools).unwrap();
                assert_eq!(
                    parse(&stored),
                    Some(Reference { list: list.to_owned(), id: json!("a\"b"), tools })
                );
            }
        }
        assert_eq!(reference(&request("tools/list"), "short", &ToolOptions::default()), None);
        assert_eq!(reference(&request("tools/call"), &long, &ToolOptions::default()), None);
        assert_eq!(reference(&request("resources/list"), &long, &ToolOptions::default()), None);
        let page = json!({"id": 1, "method": "tools/list", "params": {"cursor": "x"}});
        assert_eq!(reference(&page, &long, &ToolOptions::default()), None);
    }

    #[test]
    fn a_reply_is_never_read_as_a_reference() {
        for reply in [
            r#"{"jsonrpc":"2.0","id":1,"result":{"listOf":"tools/list","id":1}}"#,
            r#"{"jsonrpc":"2.0","id":1,"listOf":"tools/list"}"#,
            r#"{"listOf":"tools/list"}"#,
            r#""listOf""#,
            "listOf",
            r#"{"listOf":"tools/list","id":1,"tools":"no such"}"#,
        ] {
            assert_eq!(parse(reply), None, "{reply}");
        }
    }
}
