//! Finds tools by their names, also by older ones, and answers what others must know of them.

use memory_bank_core::caller::Right;
use serde_json::{Map, Value};

use crate::mcp::tools::aliases;
use crate::mcp::tools::table::TOOLS;
use crate::mcp::tools::tool::{BankNeed, ToolSpec};

/// The row of a tool, also by an older name.
pub(crate) fn find(name: &str) -> Option<&'static ToolSpec> {
    let name = aliases::find(name).map_or(name, |alias| alias.tool);
    TOOLS.iter().find(|tool| tool.name == name)
}

/// The name of a tool in metrics and traces.
pub(crate) fn label(name: &str) -> &'static str {
    find(name).map_or("other", |tool| tool.name)
}

/// The right that a call of this name needs.
pub(crate) fn right_of(name: &str, arguments: Option<&Map<String, Value>>) -> Option<Right> {
    let right = find(name)?.right;
    Some(if lists_backups(name, arguments) { Right::Read } else { right })
}

/// Whether a call only lists backups. Creating one checks its right again.
pub(crate) fn lists_backups(name: &str, arguments: Option<&Map<String, Value>>) -> bool {
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
    find(name).is_some_and(|tool| tool.hints.reads_only)
}

/// Whether a call of this tool can be answered without the store: tools without a bank, and unknown names.
pub(crate) fn is_answered_without_store(name: &str) -> bool {
    find(name).is_none_or(|tool| matches!(tool.bank, BankNeed::None))
}
