//! The Model Context Protocol: one handler for every transport.

pub(crate) mod call_params;
mod completions;
mod frame;
pub(crate) mod handler;
mod instructions;
mod prompts;
pub(crate) mod repeated_members;
pub(crate) mod request_bounds;
pub(crate) mod resources;
pub(crate) mod rights;
pub mod stdio;
pub(crate) mod subscriptions;
pub(crate) mod surrogates;
mod tool_options;
pub(crate) mod tools;

pub use handler::MemoryBankHandler;
pub use tool_options::{ToolOptions, Toolset, UnknownToolset};

use serde_json::Value;

/// Whether a message reads the bank's content and changes nothing: its reply may be large.
pub(crate) fn reads_from_bank(message: &Value) -> bool {
    match message.get("method").and_then(Value::as_str) {
        Some("resources/read" | "prompts/get") => true,
        Some("tools/call") => {
            message.pointer("/params/name").and_then(Value::as_str).is_some_and(tools::reads_only)
        }
        _ => false,
    }
}
