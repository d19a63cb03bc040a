//! A call of a tool within the process, for commands that show what a client would be shown. No transport, no session.

use std::sync::Arc;

use memory_bank_core::caller::Caller;
use rmcp::model::CallToolResult;
use serde_json::{Map, Value};

use crate::mcp::tools;
use crate::services::Services;

/// The text of a tool's reply.
///
/// # Errors
/// The text of its refusal, or of an error.
pub async fn call_tool(
    services: &Services,
    caller: &Arc<Caller>,
    name: &str,
    arguments: Map<String, Value>,
) -> Result<String, String> {
    match tools::call(services, caller, name, Some(arguments)).await {
        Ok(result) if result.is_error == Some(true) => Err(text(&result)),
        Ok(result) => Ok(text(&result)),
        Err(error) => Err(error.message.into_owned()),
    }
}

fn text(result: &CallToolResult) -> String {
    let text = result.content.first().and_then(|block| block.as_text());
    text.map(|block| block.text.clone()).unwrap_or_default()
}
