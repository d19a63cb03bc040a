//! Tools. Only [`table`] names them; a family's file has its handlers: typed arguments in, typed reply out, no rules
//! of their own.

mod aliases;
mod arguments;
mod backups;
mod blind;
mod bounded;
mod bundle;
mod context;
mod cursor;
mod digest;
mod documents;
mod examples;
mod graph;
mod ignored;
mod lenient;
mod modes;
mod part;
mod progress;
mod reference;
mod reply;
mod room;
mod schema;
mod search;
mod table;
mod thinking;
mod workspace;

use std::pin::Pin;
use std::sync::Arc;

use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::store::Bank;
use rmcp::model::{CallToolResult, ContentBlock, ErrorData, JsonObject, Tool, ToolAnnotations};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use self::arguments::Unknown;
pub(crate) use self::blind::WithoutRead;
pub(crate) use self::lenient::unrepeated;
use self::reply::{Failure, NO_BANK_C, Reply, into_result};
pub(crate) use self::room::{LISTING_BYTES, reading_bytes};
use self::schema::{Argument, object_schema};
pub(crate) use self::table::{CORE_TOOLS, TOOLS};
use crate::mcp::rights;
use crate::mcp::tool_options::Toolset;
use crate::services::Services;

/// One row of the table.
pub(crate) struct ToolSpec {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Tells a model when to use the tool.
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

/// Whether a tool needs a bank, when it is looked up, and the error without one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BankNeed {
    /// The tool needs none, or looks it up itself.
    None,
    /// Looked up before the arguments are checked.
    First(&'static str),
    /// Looked up after the arguments were checked.
    Then(&'static str),
}

impl ToolSpec {
    /// The treatment of an unknown argument. A misspelt one must not make a call delete or overwrite more than
    /// intended, so it is refused if something may be lost or if an etag was given.
    fn unknown(&self) -> Unknown {
        let guards = self.arguments.iter().any(|argument| argument.name == "ifMatchEtag");
        if self.hints.may_destroy || guards { Unknown::Refused } else { Unknown::LeftAside }
    }
}

/// A call that is passed to a handler.
pub(crate) struct Call {
    pub(crate) caller: Arc<Caller>,
    pub(crate) services: Services,
    pub(crate) arguments: Map<String, Value>,
    /// The names of unknown arguments.
    pub(crate) left_aside: Vec<String>,
    bank: Option<Arc<dyn Bank>>,
}

type Outcome = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send>>;

/// Runs a call.
pub(crate) type Handler = fn(Call) -> Outcome;

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
        Err(Failure::Own(format!("this key may not {what}: {}", rights::lacking(&self.caller, Right::Read))))
    }

    /// Requires the right to write, for a tool with another right that may change content.
    pub(crate) fn must_change(&self, what: &str) -> Result<(), Failure> {
        if self.caller.may(Right::Write) {
            return Ok(());
        }
        Err(Failure::Own(format!(
            "you may not {what}: the memory bank is served read-only here, or {}",
            rights::lacking(&self.caller, Right::Write)
        )))
    }

    /// The typed arguments. They were checked against the row's description.
    pub(crate) fn parse<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let arguments = Value::Object(std::mem::take(&mut self.arguments));
        serde_json::from_value(arguments).map_err(|error| Failure::Malformed(error.to_string()))
    }
}

/// The tools of the toolset that this caller may call, for `tools/list`.
pub(crate) fn list(caller: &Caller, toolset: &Toolset) -> Vec<Tool> {
    let listed = |tool: &&ToolSpec| caller.may(tool.right) && toolset.shows(tool.name, tool.family);
    TOOLS.iter().filter(listed).map(describe).collect()
}

/// The reply to a call of a tool that changes something, in read-only mode.
pub(crate) fn refused_as_read_only(name: &str) -> CallToolResult {
    let name = known_name(name).unwrap_or_default();
    let text = format!(
        "`{name}` changes the memory bank, which is served read-only here; nothing was changed. To change it, connect \
         without `readonly` to a server without `--read-only`"
    );
    CallToolResult::error(vec![ContentBlock::text(text)])
}

/// The tool's name, also for an older name.
pub(crate) fn known_name(name: &str) -> Option<&'static str> {
    let name = aliases::find(name).map_or(name, |alias| alias.tool);
    TOOLS.iter().map(|tool| tool.name).find(|known| *known == name)
}

/// The name of a tool in metrics and traces.
pub(crate) fn label(name: &str) -> &'static str {
    known_name(name).unwrap_or("other")
}

/// The right that a call of this name needs.
pub(crate) fn right_of(name: &str, arguments: Option<&Map<String, Value>>) -> Option<Right> {
    let known = known_name(name)?;
    let right = TOOLS.iter().find(|tool| tool.name == known).map(|tool| tool.right)?;
    Some(if lists_backups(name, arguments) { Right::Read } else { right })
}

/// Whether a call only lists backups. Creating one checks its right again.
fn lists_backups(name: &str, arguments: Option<&Map<String, Value>>) -> bool {
    let is_true = |value: &Value| match value {
        Value::Bool(flag) => *flag,
        Value::String(text) => text.trim().eq_ignore_ascii_case("true"),
        _ => false,
    };
    let list_only = ["listOnly", "list_only"].iter().find_map(|name| arguments?.get(*name));
    name == "list_backups" || name == "create_backup" && list_only.is_some_and(is_true)
}

/// Whether a tool only reads.
pub(crate) fn reads_only(name: &str) -> bool {
    let name = aliases::find(name).map_or(name, |alias| alias.tool);
    TOOLS.iter().any(|tool| tool.name == name && tool.hints.reads_only)
}

/// Whether a call of this tool can be answered without the store: tools without a bank, and unknown names.
pub(crate) fn may_spare_the_store(name: &str) -> bool {
    let name = aliases::find(name).map_or(name, |alias| alias.tool);
    TOOLS.iter().find(|tool| tool.name == name).is_none_or(|tool| matches!(tool.bank, BankNeed::None))
}

/// A tool as listed for clients. Every conversation pays for every word, so defaults are omitted: default hints,
/// hints without effect, a title that repeats the name, minimums of zero or one, a maximum that nobody reaches.
fn describe(spec: &ToolSpec) -> Tool {
    let is_listed = |argument: &&Argument| !table::UNLISTED.contains(&argument.name);
    let mut shown: Vec<Argument> = spec.arguments.iter().filter(is_listed).copied().collect();
    // For some clients an object without properties is one that takes anything, which they cannot express.
    if shown.is_empty() {
        shown = spec.arguments.to_vec();
    }
    let mut schema = Value::Object(object_schema(&shown));
    make_lean(&mut schema);
    let Value::Object(schema): Value = schema else {
        return Tool::new(spec.name, spec.description, JsonObject::new());
    };
    let hints = if spec.hints.reads_only {
        ToolAnnotations::new().read_only(true)
    } else {
        let hints = ToolAnnotations::new().destructive(spec.hints.may_destroy).open_world(false);
        if spec.hints.idempotent { hints.idempotent(true) } else { hints }
    };
    Tool::new(spec.name, spec.description, schema).with_annotations(hints)
}

/// Removes redundant parts of a schema.
fn make_lean(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    if object.get("minimum").and_then(Value::as_u64).is_some_and(|least| least <= 1) {
        object.shift_remove("minimum");
    }
    if object.get("maximum").and_then(Value::as_u64).is_some_and(|most| most >= 1000) {
        object.shift_remove("maximum");
    }
    if let Some(members) = object.get_mut("properties").and_then(Value::as_object_mut) {
        members.values_mut().for_each(make_lean);
    }
    if let Some(items) = object.get_mut("items") {
        make_lean(items);
    }
}

/// Runs a tool by its name or by an older name.
///
/// # Errors
/// The tool does not exist, or an internal error. A refusal by a tool, also of its arguments, is a result with
/// `isError`.
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
    let only_lists = caller.may(Right::Read) && lists_backups(name, Some(&arguments));
    if !caller.may(spec.right) && !only_lists {
        let text = format!("this key may not call {name}: {}", rights::lacking(caller, spec.right));
        return into_result(Err(Failure::Own(text)), fault);
    }
    let left_aside = match prepared(spec, alias, &mut arguments) {
        Ok(left_aside) => left_aside,
        Err(text) => return into_result(Err(Failure::Malformed(text)), fault),
    };
    let asks_for_more = bounded::asks_for_more(&arguments);
    let needs_given = alias.is_some() || !caller.may(Right::Read);
    let given = if needs_given { arguments.clone() } else { Map::new() };
    let outcome = run(services, caller, spec, arguments, left_aside.clone()).await;
    let outcome = blind::seen_by(caller, spec.name, spec.without_read, &given, outcome);
    let outcome = match alias {
        Some(alias) => outcome.and_then(|reply| (alias.reply)(&given, reply)),
        None => outcome,
    };
    let outcome = if asks_for_more { outcome } else { bounded::bounded(outcome) };
    let beside = ignored::beside_a_document(&outcome, &left_aside);
    let outcome = match ignored::noted(outcome, &left_aside) {
        // The text, the data beside it, and both as they go over the wire.
        Ok(reply) => match services.replies.need(reply.text.len().saturating_mul(4)).await {
            Ok(()) => Ok(reply),
            Err(full) => Err(full.into()),
        },
        failed => failed,
    };
    let mut result = into_result(outcome, fault)?;
    result.content.extend(beside.map(ContentBlock::text));
    Ok(result)
}

/// Normalises the arguments of a call by the tool's row. Returns the names of unknown ones.
fn prepared(
    spec: &ToolSpec,
    alias: Option<&aliases::Alias>,
    arguments: &mut Map<String, Value>,
) -> Result<Vec<String>, String> {
    let mut left_aside = Vec::new();
    if let Some(alias) = alias {
        let known: Vec<Argument> = alias.own.iter().chain(spec.arguments).copied().collect();
        left_aside = arguments::spell(&known, arguments, spec.unknown())?;
        *arguments = (alias.arguments)(std::mem::take(arguments))?;
    }
    if spec.name == "graph_batch" {
        reference::translate(arguments);
    }
    left_aside.extend(arguments::prepare(spec.arguments, arguments, spec.unknown())?);
    Ok(left_aside)
}

fn unknown(name: &str) -> Failure {
    let short: String = name.chars().take(100).collect();
    Failure::UnknownTool(format!("Unknown tool: {short}. tools/list shows the tools there are."))
}

async fn run(
    services: &Services,
    caller: &Arc<Caller>,
    spec: &ToolSpec,
    mut arguments: Map<String, Value>,
    left_aside: Vec<String>,
) -> Result<Reply, Failure> {
    let bank = match spec.bank {
        BankNeed::None => {
            arguments::check(spec.arguments, &mut arguments).map_err(Failure::Malformed)?;
            None
        }
        BankNeed::First(no_bank) => {
            let store = arguments.get("storeId").and_then(Value::as_str).map(str::to_owned);
            let bank = find_bank(services, caller, store.as_deref(), no_bank).await?;
            arguments::check(spec.arguments, &mut arguments).map_err(Failure::Malformed)?;
            Some(bank)
        }
        BankNeed::Then(no_bank) => {
            arguments::check(spec.arguments, &mut arguments).map_err(Failure::Malformed)?;
            let store = match arguments.shift_remove("storeId") {
                Some(Value::String(store)) => Some(store),
                _ => None,
            };
            Some(find_bank(services, caller, store.as_deref(), no_bank).await?)
        }
    };
    (spec.handler)(Call {
        caller: Arc::clone(caller),
        services: services.clone(),
        arguments,
        left_aside,
        bank,
    })
    .await
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
