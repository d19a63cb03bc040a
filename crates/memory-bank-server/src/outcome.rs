//! How requests of MCP end, in one word, for those who count and trace them.

use rmcp::model::{CallToolResponse, ErrorCode, ErrorData};

use crate::mcp::tools::KEY_VOID;

/// How a request of MCP ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did what was asked.
    Ok,
    /// It said no, and what to do.
    Refused,
    /// The request was malformed.
    Malformed,
    /// Nobody waited for it any more.
    Cancelled,
    /// The server failed.
    Failed,
}

impl Outcome {
    /// How a call of a tool ended.
    pub(crate) fn of_call(result: &Result<CallToolResponse, ErrorData>) -> Self {
        match result {
            Ok(CallToolResponse::Complete(result)) if result.is_error == Some(true) => Self::Refused,
            other => Self::of(other),
        }
    }

    /// How any other request ended.
    pub(crate) fn of<T>(result: &Result<T, ErrorData>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            Err(error) if error.code == ErrorCode::INTERNAL_ERROR => Self::Failed,
            Err(error) if error.code == ErrorCode::RESOURCE_NOT_FOUND => Self::Refused,
            // There was no memory for the reply, no connection to the store, or the key is void.
            Err(error) if [ErrorCode(-32050), KEY_VOID].contains(&error.code) => Self::Refused,
            // What the guard answers to those who took a call back.
            Err(error) if error.code == ErrorCode(-32000) => Self::Cancelled,
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
