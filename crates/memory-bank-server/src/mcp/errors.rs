//! JSON-RPC errors of the server, for tools, resources, prompts and transports. Errors that the user can fix are sent;
//! the detail of others is logged, and the client gets the id of the log line.

use memory_bank_core::error::{StoreError, WorkspaceError};
use rmcp::model::{ErrorCode, ErrorData};
use serde_json::json;
use uuid::Uuid;

use crate::reply_memory::NoMemory;

/// The call was cancelled. The SDKs use this code for errors of the transport.
pub(crate) const CANCELLED: ErrorCode = ErrorCode(-32000);
/// The server is busy; try again.
pub(crate) const SERVER_BUSY: ErrorCode = ErrorCode(-32050);
/// The key is void. Only this program creates errors with this code, so no text of a bank can be taken for one.
pub(crate) const KEY_VOID: ErrorCode = ErrorCode(-32051);
/// Seconds until a retry while the storage is unreachable.
pub(crate) const UNREACHABLE_RETRY: u32 = 5;
/// The message while the storage is unreachable.
pub(crate) const UNREACHABLE: &str = "the server cannot reach its storage at the moment; try again in a few seconds. A call \
    that changes something may have been carried out: read before it is repeated";

/// The storage is unreachable: the log gets the detail, the client the time to retry.
pub(crate) fn unreachable(detail: &str, fault: Uuid) -> ErrorData {
    tracing::error!(fault.id = %fault, fault.detail = detail, "the storage cannot be reached");
    let text = format!("{UNREACHABLE} (the log has more under the id {fault})");
    ErrorData::internal_error(text, Some(json!({"retryAfter": UNREACHABLE_RETRY})))
}

/// No connection to the storage became free; over HTTP the status shows it, too.
pub(crate) fn overloaded() -> ErrorData {
    ErrorData::new(
        SERVER_BUSY,
        StoreError::Overloaded.to_string(),
        Some(json!({"retryAfter": 2, "of": "storage"})),
    )
}

pub(crate) fn key_void() -> ErrorData {
    ErrorData::new(KEY_VOID, StoreError::KeyInvalid.to_string(), None)
}

/// There is no memory for a reply; over HTTP the status shows it, too.
pub(crate) fn no_memory(full: NoMemory) -> ErrorData {
    let of = match full {
        NoMemory::Key | NoMemory::PastOfKey => "key",
        NoMemory::Connection => "connection",
        NoMemory::Server | NoMemory::Past => "server",
    };
    ErrorData::new(SERVER_BUSY, full.text(), Some(json!({"retryAfter": 2, "of": of})))
}

/// An internal error: the log gets the detail, the client its id.
pub(crate) fn internal(detail: &str, fault: Uuid) -> ErrorData {
    tracing::error!(fault.id = %fault, fault.detail = detail, "a call failed inside the server");
    ErrorData::internal_error(format!("internal error; see the server log for the id {fault}"), None)
}

/// A store error outside of a tool call, as a JSON-RPC error. Errors that the user can fix are sent, others are
/// logged.
pub(crate) fn store_fault(error: &StoreError, fault: Uuid) -> ErrorData {
    match error {
        StoreError::Unavailable(detail) => internal(detail, fault),
        StoreError::Unreachable(detail) => unreachable(detail, fault),
        StoreError::Overloaded => overloaded(),
        StoreError::KeyInvalid => key_void(),
        StoreError::Denied => ErrorData::invalid_request(error.to_string(), None),
        other => ErrorData::internal_error(other.to_string(), None),
    }
}

/// The error for a bank that cannot be opened.
pub(crate) fn workspace_fault(error: &WorkspaceError, fault: Uuid) -> ErrorData {
    match error {
        WorkspaceError::Store(error) => store_fault(error, fault),
        other => ErrorData::internal_error(other.to_string(), None),
    }
}
