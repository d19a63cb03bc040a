//! The tools as clients see them in `tools/list`.

use memory_bank_core::caller::Caller;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::Value;

use crate::mcp::apps;
use crate::mcp::tool_options::Toolset;
use crate::mcp::tools::schema::{Argument, object_schema};
use crate::mcp::tools::table::TOOLS;
use crate::mcp::tools::tool::ToolSpec;

/// The tools of the toolset that this caller may call, for `tools/list`; with links to apps for a client that shows them.
pub(crate) fn list(caller: &Caller, toolset: &Toolset, with_apps: bool) -> Vec<Tool> {
    let listed = |tool: &&ToolSpec| caller.may(tool.right) && toolset.shows(tool.name, tool.family);
    let shown = |spec: &ToolSpec| {
        let tool = describe(spec);
        match apps::link(spec.name).filter(|_| with_apps) {
            Some(link) => tool.with_meta(link),
            None => tool,
        }
    };
    TOOLS.iter().filter(listed).map(shown).collect()
}

/// A tool as listed for clients. Every conversation pays for every word, so defaults are omitted: default hints,
/// hints without effect, a title that repeats the name, minimums of zero or one, a maximum that nobody reaches.
pub(crate) fn describe(spec: &ToolSpec) -> Tool {
    let is_listed = |argument: &&Argument| !UNLISTED.contains(&argument.name);
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

/// Arguments that are accepted and not listed, because models hardly ever need them and pay for each.
const UNLISTED: &[&str] = &[
    // The error that asks for it names it.
    "acceptForeign",
    // Replies that leave facts out name `includeEnded`.
    "asOf",
    "backupDir",
    "branchFromThought",
    "branchId",
    "caseSensitive",
    "createPreRestoreBackup",
    "graphDepth",
    "graphLimit",
    "includeEnded",
    "includeEtag",
    "includeEtags",
    "includeSystemPatterns",
    "isRevision",
    "kind",
    "needsMoreThoughts",
    "neighborhoodDepth",
    "preferActiveContext",
    "revisesThought",
    "stopOnError",
    "storeId",
    "umbCommand",
    "verbose",
];

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
