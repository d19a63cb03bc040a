//! The outcome of MCP requests as one word, for metrics and traces.

use rmcp::model::{CallToolResponse, ErrorCode, ErrorData};

use crate::mcp::errors::{CANCELLED, KEY_VOID, SERVER_BUSY};

/// The outcome of an MCP request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It succeeded.
    Ok,
    /// It was refused.
    Refused,
    /// The request was malformed.
    Malformed,
    /// It was cancelled.
    Cancelled,
    /// An internal error.
    Failed,
}

impl Outcome {
    /// The outcome of a tool call.
    pub(crate) fn of_call(result: &Result<CallToolResponse, ErrorData>) -> Self {
        match result {
            Ok(CallToolResponse::Complete(result)) if result.is_error == Some(true) => Self::Refused,
            other => Self::of(other),
        }
    }

    /// The outcome of any other request.
    pub(crate) fn of<T>(result: &Result<T, ErrorData>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            Err(error) if error.code == ErrorCode::INTERNAL_ERROR => Self::Failed,
            Err(error) if error.code == ErrorCode::RESOURCE_NOT_FOUND => Self::Refused,
            // There was no memory for the reply, no connection to the store, or the key is void.
            Err(error) if [SERVER_BUSY, KEY_VOID].contains(&error.code) => Self::Refused,
            Err(error) if error.code == CANCELLED => Self::Cancelled,
            Err(_) => Self::Malformed,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}
