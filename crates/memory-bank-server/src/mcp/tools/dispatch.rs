//! Runs a call: finds the row, checks the right, normalises the arguments, selects the bank, and bounds the reply.

use std::sync::Arc;

use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::history::ChangeContext;
use memory_bank_core::store::Bank;
use rmcp::model::{CallToolResult, ContentBlock, ErrorData};
use serde_json::{Map, Value};

use crate::mcp::rights;
use crate::mcp::tools::graph::reference;
use crate::mcp::tools::lookup::lists_backups;
use crate::mcp::tools::reply::{Failure, NO_BANK_FOR_GRAPH, Reply, into_result};
use crate::mcp::tools::schema::Argument;
use crate::mcp::tools::table::TOOLS;
use crate::mcp::tools::tool::{BankNeed, Call, ToolSpec};
use crate::mcp::tools::{aliases, arguments, blind, bounded, ignored, lookup};
use crate::services::Services;

/// Runs a tool by its name or by an older name.
///
/// # Errors
/// The tool does not exist, or an internal error. A refusal by a tool, also of its arguments, is a result with
/// `isError`.
pub(crate) async fn call(
    services: &Services,
    caller: &Arc<Caller>,
    session: Option<&str>,
    name: &str,
    arguments: Option<Map<String, Value>>,
) -> Result<CallToolResult, ErrorData> {
    let fault = services.entropy.id();
    let mut arguments = arguments.unwrap_or_default();
    let alias = aliases::find(name);
    let Some(spec) = lookup::find(name) else { return into_result(Err(unknown(name)), fault) };
    let only_lists = caller.may(Right::Read) && lists_backups(name, Some(&arguments));
    if !caller.may(spec.right) && !only_lists {
        let text = format!("you may not call {name}: {}", rights::lacking(caller, spec.right));
        return into_result(Err(Failure::NotAllowed(text)), fault);
    }
    let ignored_names = match prepared(spec, alias, &mut arguments) {
        Ok(ignored_names) => ignored_names,
        Err(text) => return into_result(Err(Failure::Malformed(text)), fault),
    };
    let is_longer_requested = bounded::requests_longer_reply(&arguments);
    let needs_given = alias.is_some() || !caller.may(Right::Read);
    let given = if needs_given { arguments.clone() } else { Map::new() };
    let context = ChangeContext { session: session.map(str::to_owned), ..ChangeContext::of_tool(spec.name) };
    let outcome = run(services, caller, context, spec, arguments, ignored_names.clone()).await;
    let outcome = blind::visible_to(caller, spec.name, spec.without_read, &given, outcome);
    let outcome = match alias {
        Some(alias) => outcome.and_then(|reply| (alias.reply)(&given, reply)),
        None => outcome,
    };
    let outcome = if is_longer_requested { outcome } else { bounded::bounded(outcome) };
    let beside = ignored::beside_a_document(&outcome, &ignored_names);
    let outcome = match ignored::noted(outcome, &ignored_names) {
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

/// The data of a reply, for programs that do the same without MCP: the history names no tool for what they change. The caller's right
/// was checked.
pub(crate) async fn data(
    services: &Services,
    caller: &Arc<Caller>,
    name: &str,
    mut arguments: Map<String, Value>,
) -> Result<Value, Failure> {
    let Some(spec) = lookup::find(name) else { return Err(unknown(name)) };
    let ignored_names = prepared(spec, None, &mut arguments).map_err(Failure::Malformed)?;
    let reply = run(services, caller, ChangeContext::default(), spec, arguments, ignored_names).await?;
    services.replies.need(reply.text.len().saturating_mul(4)).await?;
    Ok(reply.structured)
}

/// The reply to a call of a tool that changes something, in read-only mode.
pub(crate) fn refused_as_read_only(name: &str) -> CallToolResult {
    let name = lookup::find(name).map(|tool| tool.name).unwrap_or_default();
    let text = format!(
        "`{name}` changes the memory bank, which is served read-only: {}; nothing was changed",
        rights::READ_ONLY
    );
    CallToolResult::error(vec![ContentBlock::text(text)])
}

/// Normalises the arguments of a call by the tool's row. Returns the names of unknown ones.
fn prepared(
    spec: &ToolSpec,
    alias: Option<&aliases::Alias>,
    arguments: &mut Map<String, Value>,
) -> Result<Vec<String>, String> {
    let mut ignored_names = Vec::new();
    if let Some(alias) = alias {
        let known: Vec<Argument> = alias.own.iter().chain(spec.arguments).copied().collect();
        ignored_names = arguments::spell(&known, arguments, spec.unknown())?;
        *arguments = (alias.arguments)(std::mem::take(arguments))?;
    }
    if spec.name == "graph_batch" {
        reference::translate(arguments);
    }
    ignored_names.extend(arguments::prepare(spec.arguments, arguments, spec.unknown())?);
    Ok(ignored_names)
}

fn unknown(name: &str) -> Failure {
    let short: String = name.chars().take(100).collect();
    Failure::UnknownTool(format!("Unknown tool: {short}. tools/list shows the tools there are."))
}

async fn run(
    services: &Services,
    caller: &Arc<Caller>,
    context: ChangeContext,
    spec: &ToolSpec,
    mut arguments: Map<String, Value>,
    ignored_names: Vec<String>,
) -> Result<Reply, Failure> {
    let bank = match spec.bank {
        BankNeed::None => {
            arguments::check(spec.arguments, &mut arguments).map_err(Failure::Malformed)?;
            None
        }
        BankNeed::BeforeArguments(no_bank) => {
            let store = arguments.get("storeId").and_then(Value::as_str).map(str::to_owned);
            let bank = find_bank(services, caller, store.as_deref(), no_bank).await?;
            arguments::check(spec.arguments, &mut arguments).map_err(Failure::Malformed)?;
            Some(bank)
        }
        BankNeed::AfterArguments(no_bank) => {
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
        ignored_names,
        tools: TOOLS,
        bank: bank.map(|bank| bank.in_context(&context)),
        context,
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
        WorkspaceError::NoBank => Failure::unquoted(no_bank),
        WorkspaceError::UnknownStore(_) => {
            Failure::unquoted(format!("{error}; list_stores shows the known ones"))
        }
        WorkspaceError::NotABank => {
            Failure::unquoted(format!("the store has no memory bank any more. {NO_BANK_FOR_GRAPH}"))
        }
        other => other.into(),
    })
}
