//! A tool: its row in the table, and a call of it.

use std::pin::Pin;
use std::sync::Arc;

use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::history::ChangeContext;
use memory_bank_core::store::Bank;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::mcp::rights;
use crate::mcp::tools::arguments::Unknown;
use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::reply::{
    Failure, NO_BANK_FOR_CONTEXT, NO_BANK_FOR_DOCUMENTS, NO_BANK_FOR_GRAPH, Reply,
};
use crate::mcp::tools::schema::Argument;
use crate::services::Services;

/// One row of the table.
pub(crate) struct ToolSpec {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Describes to a model when to use the tool.
    pub(crate) description: &'static str,
    /// Groups the tools in `get_instructions`.
    pub(crate) family: Family,
    /// The right that a caller needs.
    pub(crate) right: Right,
    /// The reply to a caller with that right who may not read.
    pub(crate) without_read: WithoutRead,
    pub(crate) hints: Hints,
    pub(crate) bank: BankNeed,
    pub(crate) arguments: &'static [Argument],
    pub(crate) handler: Handler,
}

/// Groups of tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Workspace,
    Documents,
    Progress,
    Context,
    Graph,
    Modes,
    Thinking,
    Backups,
}

/// Hints for clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hints {
    pub(crate) reads_only: bool,
    pub(crate) may_destroy: bool,
    pub(crate) idempotent: bool,
}

/// Reads only.
pub(crate) const READS: Hints = Hints { reads_only: true, may_destroy: false, idempotent: true };

/// Adds; calling it again adds again.
pub(crate) const ADDS: Hints = Hints { reads_only: false, may_destroy: false, idempotent: false };

/// Sets something to a state; nothing is lost, calling it again changes nothing.
pub(crate) const SETS: Hints = Hints { reads_only: false, may_destroy: false, idempotent: true };

/// May overwrite or delete; calling it again changes nothing more.
pub(crate) const REPLACES: Hints = Hints { reads_only: false, may_destroy: true, idempotent: true };

/// May overwrite or delete, and calling it again does more.
pub(crate) const CHANGES: Hints = Hints { reads_only: false, may_destroy: true, idempotent: false };

/// Whether a tool needs a bank, when it is looked up, and the error without one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BankNeed {
    /// The tool needs none, or looks it up itself.
    None,
    /// Looked up before the arguments are checked.
    BeforeArguments(&'static str),
    /// Looked up after the arguments were checked.
    AfterArguments(&'static str),
}

pub(crate) const FILES: BankNeed = BankNeed::BeforeArguments(NO_BANK_FOR_DOCUMENTS);

pub(crate) const BANK: BankNeed = BankNeed::AfterArguments(NO_BANK_FOR_CONTEXT);

pub(crate) const GRAPH: BankNeed = BankNeed::AfterArguments(NO_BANK_FOR_GRAPH);

impl ToolSpec {
    /// The treatment of an unknown argument. A misspelt one must not make a call delete or overwrite more than
    /// intended, so it is refused if something may be lost or if an etag was given.
    pub(crate) fn unknown(&self) -> Unknown {
        let guards = self.arguments.iter().any(|argument| argument.name == "ifMatchEtag");
        if self.hints.may_destroy || guards { Unknown::Refused } else { Unknown::Ignored }
    }
}

/// A call that is passed to a handler.
pub(crate) struct Call {
    pub(crate) caller: Arc<Caller>,
    pub(crate) services: Services,
    pub(crate) arguments: Map<String, Value>,
    /// The names of unknown arguments.
    pub(crate) ignored_names: Vec<String>,
    /// The table of tools, for the one that describes them.
    pub(crate) tools: &'static [ToolSpec],
    pub(crate) bank: Option<Arc<dyn Bank>>,
    /// What the versions of this call's edits record.
    pub(crate) context: ChangeContext,
}

type Outcome = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send>>;

/// Runs a call.
pub(crate) type Handler = fn(Call) -> Outcome;

/// The handler of a row.
macro_rules! boxed {
    ($handler:path) => {{
        const HANDLER: $crate::mcp::tools::tool::Handler = |call| Box::pin($handler(call));
        HANDLER
    }};
}
pub(crate) use boxed;

impl Call {
    /// The bank, for tools whose row requires one.
    pub(crate) fn bank(&self) -> Result<Arc<dyn Bank>, Failure> {
        self.bank
            .clone()
            .ok_or_else(|| Failure::Internal("a tool uses a bank that its row does not ask for".into()))
    }

    /// Requires the right to read, for a tool with another right that shows or compares content.
    pub(crate) fn must_read(&self, what: &str) -> Result<(), Failure> {
        if self.caller.may(Right::Read) {
            return Ok(());
        }
        Err(Failure::NotAllowed(format!(
            "you may not {what}: {}",
            rights::lacking(&self.caller, Right::Read)
        )))
    }

    /// Requires the right to write, for a tool with another right that may change content.
    pub(crate) fn must_change(&self, what: &str) -> Result<(), Failure> {
        if self.caller.may(Right::Write) {
            return Ok(());
        }
        Err(Failure::NotAllowed(format!(
            "you may not {what}: {}",
            rights::lacking(&self.caller, Right::Write)
        )))
    }

    /// The typed arguments. They were checked against the row's description.
    pub(crate) fn parse<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let arguments = Value::Object(std::mem::take(&mut self.arguments));
        serde_json::from_value(arguments).map_err(|error| Failure::Malformed(error.to_string()))
    }
}
