//! Replies and failures of tools.

use memory_bank_core::error::{EditError, GraphError, StoreError, WorkspaceError};
use memory_bank_core::limits;
use memory_bank_core::store::BackupError;
use rmcp::model::{CallToolResult, ContentBlock, ErrorData};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::mcp::errors::{internal, key_void, no_memory, overloaded, unreachable};
use crate::reply_memory::NoMemory;

/// The text when a document tool finds no bank.
pub(crate) const NO_BANK_FOR_DOCUMENTS: &str =
    "Memory Bank not found. Use initialize_memory_bank to create one.";
/// The text when a context or progress tool finds no bank.
pub(crate) const NO_BANK_FOR_CONTEXT: &str =
    "Memory Bank not initialized. Use set_memory_bank_path or initialize_memory_bank first.";
/// The text when a graph tool finds no bank.
pub(crate) const NO_BANK_FOR_GRAPH: &str = "Memory Bank not initialized. Use initialize_memory_bank first.";

/// A tool's success: the text that clients of the TypeScript server parse, and the same as data.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) text: String,
    pub(crate) structured: Value,
}

impl Reply {
    /// A reply whose text is compact JSON, because a model pays for every blank.
    pub(crate) fn json(data: &impl Serialize) -> Result<Self, Failure> {
        let structured = serde_json::to_value(data).map_err(|error| Failure::Internal(error.to_string()))?;
        Ok(Self { text: structured.to_string(), structured })
    }

    /// A reply with a text, and the same as data.
    pub(crate) fn text(text: impl Into<String>, structured: Value) -> Self {
        Self { text: text.into(), structured }
    }

    /// A reply with one sentence only.
    pub(crate) fn sentence(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { structured: json!({"message": text}), text }
    }
}

/// Why a tool call failed.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// The tool refused: an `isError` text, which may quote the bank.
    Message(String),
    /// Like `Message`, quoting nothing but the call itself: also for callers who may not read.
    Unquoted(String),
    /// Like `Unquoted`: the store cannot do it now, and the same call succeeds later.
    Busy(String),
    /// Like `Unquoted`, for a caller who lacks a right.
    NotAllowed(String),
    /// Like `Unquoted`, with a hint from the bank appended.
    Hinted { text: String, hint: String },
    /// The tool refused: an `isError` reply in JSON.
    Data(Value),
    /// Invalid arguments: an `isError` text that quotes nothing but the call itself.
    Malformed(String),
    /// The tool does not exist: a JSON-RPC error -32602.
    UnknownTool(String),
    /// An internal error. The log has the text, the client gets its id.
    Internal(String),
    /// The storage is unreachable. The log has the text.
    Unreachable(String),
    /// The storage has no free connection.
    Overloaded,
    /// The call's key is void: over HTTP the reply is a 401.
    KeyInvalid,
    /// There is no memory for the reply.
    NoMemory(NoMemory),
}

impl Failure {
    /// An `isError` reply in words, which may quote the bank.
    pub(crate) fn message(text: impl Into<String>) -> Self {
        Self::Message(text.into())
    }

    /// An `isError` reply in words that quote nothing but the call itself.
    pub(crate) fn unquoted(text: impl Into<String>) -> Self {
        Self::Unquoted(text.into())
    }

    /// Prefixes the reason with the failed operation, like the TypeScript server; malformed calls and internal errors
    /// stay unchanged.
    pub(crate) fn while_doing(self, what: &str) -> Self {
        match self {
            Self::Message(reason) => Self::Message(format!("{what}: {reason}")),
            Self::Unquoted(reason) => Self::Unquoted(format!("{what}: {reason}")),
            Self::Busy(reason) => Self::Busy(format!("{what}: {reason}")),
            Self::NotAllowed(reason) => Self::NotAllowed(format!("{what}: {reason}")),
            Self::Hinted { text, hint } => Self::Hinted { text: format!("{what}: {text}"), hint },
            other => other,
        }
    }
}

impl From<NoMemory> for Failure {
    fn from(full: NoMemory) -> Self {
        Self::NoMemory(full)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(detail) => Self::Internal(detail),
            StoreError::Unreachable(detail) => Self::Unreachable(detail),
            StoreError::Overloaded => Self::Overloaded,
            StoreError::KeyInvalid => Self::KeyInvalid,
            StoreError::Busy | StoreError::ChangedMeanwhile => Self::Busy(error.to_string()),
            error if error.is_about_the_index() => Self::Busy(error.to_string()),
            StoreError::Denied => Self::NotAllowed(error.to_string()),
            other => Self::Message(other.to_string()),
        }
    }
}

impl From<EditError> for Failure {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Store(error) => error.into(),
            EditError::NotFound(_) | EditError::Exists(_) => Self::Unquoted(error.to_string()),
            other => Self::Message(other.to_string()),
        }
    }
}

impl From<GraphError> for Failure {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Store(error) => error.into(),
            GraphError::EntityNotFound { ref suggestions, .. }
            | GraphError::EntitiesNotFound { ref suggestions, .. }
                if !suggestions.is_empty() =>
            {
                Self::Hinted {
                    text: error.to_string(),
                    hint: format!(". Did you mean: {}?", suggestions.join(", ")),
                }
            }
            GraphError::InBatch { at, error } => {
                Self::from(*error).while_doing(&format!("{at}, so nothing was changed"))
            }
            GraphError::EntityNotFound { .. }
            | GraphError::EntitiesNotFound { .. }
            | GraphError::ObservationNotFound(_) => Self::Unquoted(error.to_string()),
            other => Self::Message(other.to_string()),
        }
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Store(error) => error.into(),
            BackupError::NotFound(_) => Self::Unquoted(error.to_string()),
            other => Self::Message(other.to_string()),
        }
    }
}

impl From<WorkspaceError> for Failure {
    fn from(error: WorkspaceError) -> Self {
        match error {
            WorkspaceError::Store(error) => error.into(),
            // The location of a bank, not its content.
            other => Self::Unquoted(other.to_string()),
        }
    }
}

/// Turns the outcome into a result of the protocol. `fault` identifies an internal error in the reply and in the log.
pub(crate) fn into_result(outcome: Result<Reply, Failure>, fault: Uuid) -> Result<CallToolResult, ErrorData> {
    match outcome {
        Ok(reply) => {
            let mut result = CallToolResult::success(vec![ContentBlock::text(reply.text)]);
            attach(&mut result, reply.structured);
            Ok(result)
        }
        Err(
            Failure::Message(text)
            | Failure::Unquoted(text)
            | Failure::Busy(text)
            | Failure::NotAllowed(text)
            | Failure::Malformed(text),
        ) => Ok(CallToolResult::error(vec![ContentBlock::text(text)])),
        Err(Failure::Hinted { text, hint }) => {
            Ok(CallToolResult::error(vec![ContentBlock::text(text + &hint)]))
        }
        Err(Failure::Data(data)) => {
            let mut result = CallToolResult::error(vec![ContentBlock::text(data.to_string())]);
            attach(&mut result, data);
            Ok(result)
        }
        Err(Failure::UnknownTool(text)) => Err(ErrorData::invalid_params(text, None)),
        Err(Failure::Internal(detail)) => Err(internal(&detail, fault)),
        Err(Failure::Unreachable(detail)) => Err(unreachable(&detail, fault)),
        Err(Failure::Overloaded) => Err(overloaded()),
        Err(Failure::KeyInvalid) => Err(key_void()),
        Err(Failure::NoMemory(full)) => Err(no_memory(full)),
    }
}

/// Adds the data to a small text. Many clients pass both to the model, so a long reply has its text only; no tool
/// declares an output schema, which would promise the data with every reply.
fn attach(result: &mut CallToolResult, data: Value) {
    let text = result.content.iter().filter_map(|block| block.as_text()).map(|block| block.text.len());
    let small = text.sum::<usize>() < limits::STRUCTURED_BYTES;
    if small && data.to_string().len() < limits::STRUCTURED_BYTES {
        result.structured_content = Some(data);
    }
}
