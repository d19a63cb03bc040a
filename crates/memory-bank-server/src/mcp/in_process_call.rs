//! Calls a tool within this process, without a transport: for commands at a shell, which use the tools of assistants.

use serde_json::{Map, Value};

use crate::mcp::handler::MemoryBankHandler;

/// A call failed for another reason than a refusal of the tool, which is a result.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InProcessCallError(String);

impl MemoryBankHandler {
    /// The result of a tool, in the form that MCP gives it.
    ///
    /// # Errors
    /// The tool does not exist, or an internal error.
    pub async fn call_in_process(
        &self,
        tool: &str,
        arguments: Map<String, Value>,
    ) -> Result<Value, InProcessCallError> {
        let result = self.run_tool(tool, Some(arguments)).await;
        let result = result.map_err(|error| InProcessCallError(error.message.into_owned()))?;
        serde_json::to_value(result).map_err(|error| InProcessCallError(error.to_string()))
    }
}
