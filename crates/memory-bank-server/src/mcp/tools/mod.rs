//! Tools. [`table`] is the one place that names them; a family's file holds its handlers: typed arguments in, typed
//! reply out, no rules of their own.

mod aliases;
mod backups;
mod blind;
mod context;
mod digest;
mod documents;
mod graph;
mod modes;
mod progress;
mod reply;
mod room;
mod schema;
mod search;
mod table;
mod thinking;
mod workspace;

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures::FutureExt;
use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::store::Bank;
use rmcp::model::{CallToolResult, ErrorData, JsonObject, Tool, ToolAnnotations};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub(crate) use self::blind::WithoutRead;
use self::reply::{Failure, NO_BANK_C, Reply, into_result};
pub(crate) use self::reply::{internal, no_memory, store_fault, workspace_fault};
use self::schema::{Argument, object_schema};
pub(crate) use self::table::TOOLS;
use crate::mcp::rights;
use crate::services::Services;

/// One row of the table.
pub(crate) struct ToolSpec {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Tells a model when to use the tool.
    pub(crate) description: &'static str,
    /// Groups the tools in `get_instructions`.
    pub(crate) family: Family,
    /// What the caller must be allowed to do.
    pub(crate) right: Right,
    /// What is answered to a caller who has that right and may not read.
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

/// What a client may assume of a tool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hints {
    pub(crate) reads_only: bool,
    pub(crate) may_destroy: bool,
    pub(crate) idempotent: bool,
}

/// Whether a tool works on a bank, when that is looked for, and what is said when there is none.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BankNeed {
    /// The tool needs none, or finds it itself.
    None,
    /// Looked for before the arguments are checked.
    First(&'static str),
    /// Looked for after the arguments have been checked.
    Then(&'static str),
}

/// A call on its way to a handler.
pub(crate) struct Call {
    pub(crate) caller: Arc<Caller>,
    pub(crate) services: Services,
    pub(crate) arguments: Map<String, Value>,
    bank: Option<Arc<dyn Bank>>,
}

type Outcome = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send>>;

/// Runs a call.
pub(crate) type Handler = fn(Call) -> Outcome;

impl Call {
    /// The bank, for tools whose row says that they need one.
    pub(crate) fn bank(&self) -> Result<Arc<dyn Bank>, Failure> {
        self.bank
            .clone()
            .ok_or_else(|| Failure::Internal("a tool uses a bank that its row does not ask for".into()))
    }

    /// Asks for the right to read, for what a tool that takes another right shows or compares.
    pub(crate) fn must_read(&self, what: &str) -> Result<(), Failure> {
        if self.caller.may(Right::Read) {
            return Ok(());
        }
        Err(Failure::Own(format!("this key may not {what}: {}", rights::lacking(&self.caller, Right::Read))))
    }

    /// The arguments, typed. They have been checked against the row's description.
    pub(crate) fn parse<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let arguments = Value::Object(std::mem::take(&mut self.arguments));
        serde_json::from_value(arguments).map_err(|error| Failure::Malformed(error.to_string()))
    }
}

/// The tools that this caller may call, as `tools/list` shows them.
pub(crate) fn list(caller: &Caller) -> Vec<Tool> {
    TOOLS.iter().filter(|tool| caller.may(tool.right)).map(describe).collect()
}

/// The name of the tool that a client means by this one, which may be one of the older names.
pub(crate) fn known_name(name: &str) -> Option<&'static str> {
    let name = aliases::find(name).map_or(name, |alias| alias.tool);
    TOOLS.iter().map(|tool| tool.name).find(|known| *known == name)
}

/// The right that the tool of this name takes.
pub(crate) fn right_of(name: &str) -> Option<Right> {
    let name = known_name(name)?;
    TOOLS.iter().find(|tool| tool.name == name).map(|tool| tool.right)
}

/// Whether a tool does nothing but read.
pub(crate) fn reads_only(name: &str) -> bool {
    let name = aliases::find(name).map_or(name, |alias| alias.tool);
    TOOLS.iter().any(|tool| tool.name == name && tool.hints.reads_only)
}

fn describe(spec: &ToolSpec) -> Tool {
    let schema: JsonObject = object_schema(spec.arguments);
    let hints = ToolAnnotations::new()
        .read_only(spec.hints.reads_only)
        .destructive(spec.hints.may_destroy)
        .idempotent(spec.hints.idempotent)
        .open_world(false);
    Tool::new(spec.name, spec.description, schema).with_title(spec.title).with_annotations(hints)
}

/// Runs a tool by its name or by one of the older names.
///
/// # Errors
/// A malformed call, or a fault inside. A tool that says no is a result with `isError`.
pub(crate) async fn call(
    services: &Services,
    caller: &Arc<Caller>,
    name: &str,
    arguments: Option<Map<String, Value>>,
) -> Result<CallToolResult, ErrorData> {
    let fault = services.entropy.id();
    let mut arguments = arguments.unwrap_or_default();
    let alias = aliases::find(name);
    let spec = TOOLS.iter().find(|tool| tool.name == alias.map_or(name, |alias| alias.tool));
    let Some(spec) = spec else { return into_result(Err(unknown(name)), fault) };
    if !caller.may(spec.right) {
        let text = format!("this key may not call {name}: {}", rights::lacking(caller, spec.right));
        return into_result(Err(Failure::Own(text)), fault);
    }
    if let Some(alias) = alias {
        match (alias.arguments)(arguments) {
            Ok(translated) => arguments = translated,
            Err(missing) => return into_result(Err(Failure::Malformed(missing)), fault),
        }
    }
    let needs_given = alias.is_some() || !caller.may(Right::Read);
    let given = if needs_given { arguments.clone() } else { Map::new() };
    let run = AssertUnwindSafe(run(services, caller, spec, arguments)).catch_unwind();
    let outcome = match run.await {
        Ok(outcome) => outcome,
        Err(panic) => Err(Failure::Internal(format!("{name} panicked: {}", panic_text(panic.as_ref())))),
    };
    let outcome = blind::seen_by(caller, spec.name, spec.without_read, &given, outcome);
    let outcome = match alias {
        Some(alias) => outcome.and_then(|reply| (alias.reply)(&given, reply)),
        None => outcome,
    };
    let outcome = match outcome {
        // The text, the data beside it, and both as they go over the wire.
        Ok(reply) => match services.replies.need(reply.text.len().saturating_mul(4)).await {
            Ok(()) => Ok(reply),
            Err(full) => Err(full.into()),
        },
        failed => failed,
    };
    into_result(outcome, fault)
}

fn unknown(name: &str) -> Failure {
    let short: String = name.chars().take(100).collect();
    Failure::own(format!("Unknown tool: {short}. tools/list shows the tools there are."))
}

async fn run(
    services: &Services,
    caller: &Arc<Caller>,
    spec: &ToolSpec,
    mut arguments: Map<String, Value>,
) -> Result<Reply, Failure> {
    let bank = match spec.bank {
        BankNeed::None => {
            schema::check(spec.arguments, &mut arguments).map_err(Failure::Malformed)?;
            None
        }
        BankNeed::First(no_bank) => {
            let bank = find_bank(services, caller, None, no_bank).await?;
            schema::check(spec.arguments, &mut arguments).map_err(Failure::Malformed)?;
            Some(bank)
        }
        BankNeed::Then(no_bank) => {
            schema::check(spec.arguments, &mut arguments).map_err(Failure::Malformed)?;
            let store = match arguments.shift_remove("storeId") {
                Some(Value::String(store)) => Some(store),
                _ => None,
            };
            Some(find_bank(services, caller, store.as_deref(), no_bank).await?)
        }
    };
    (spec.handler)(Call { caller: Arc::clone(caller), services: services.clone(), arguments, bank }).await
}

async fn find_bank(
    services: &Services,
    caller: &Caller,
    store: Option<&str>,
    no_bank: &'static str,
) -> Result<Arc<dyn Bank>, Failure> {
    services.workspace.bank(caller, store).await.map_err(|error| match error {
        WorkspaceError::NoBank => Failure::own(no_bank),
        WorkspaceError::UnknownStore(_) => Failure::own(format!("{error}; list_stores shows the known ones")),
        WorkspaceError::NotABank => {
            Failure::own(format!("the store has no memory bank any more. {NO_BANK_C}"))
        }
        other => other.into(),
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("?")
}
