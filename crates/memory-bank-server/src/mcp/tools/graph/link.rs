//! Creates and removes relations.

use memory_bank_core::caller::Right;
use memory_bank_core::error::GraphError;
use memory_bank_core::store::EntityRef;
use serde::Deserialize;
use serde_json::json;

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::STORE_ID;
use crate::mcp::tools::extra_members::did_you_mean;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::schema::{Kind, optional, required};
use crate::mcp::tools::tool::{Call, Family, GRAPH, REPLACES, ToolSpec, boxed};

pub(crate) const GRAPH_LINK_ENTITIES: ToolSpec = ToolSpec {
    name: "graph_link_entities",
    title: "Link entities",
    description: "Relate two nodes, or unlink them.",
    family: Family::Graph,
    right: Right::Write,
    without_read: WithoutRead::Members(&[]),
    hints: REPLACES,
    bank: GRAPH,
    arguments: &[
        required("from", Kind::Text, ""),
        required("relationType", Kind::Text, ""),
        required("to", Kind::Text, ""),
        optional("action", Kind::Word(&["link", "unlink"])),
        STORE_ID,
    ],
    handler: boxed!(graph_link_entities),
};

/// Creates or removes a relation.
async fn graph_link_entities(mut call: Call) -> Result<Reply, Failure> {
    let Link { from, relation_type, to, action } = call.parse()?;
    let bank = call.bank()?;
    let (source, target) = (EntityRef(from.clone()), EntityRef(to.clone()));
    let failed = |error: GraphError| match error {
        GraphError::EntityNotFound { name: missing, suggestions } => {
            let end = if missing == from { "Source" } else { "Target" };
            let text = format!("{end} entity not found: \"{missing}\"");
            Failure::Hinted { text, hint: did_you_mean(&suggestions) }
        }
        other => Failure::from(other).while_doing(match action {
            LinkAction::Link => "Failed to link entities",
            LinkAction::Unlink => "Failed to unlink entities",
        }),
    };
    match action {
        LinkAction::Link => {
            let relation = bank.link(&call.caller, &source, &relation_type, &target).await.map_err(failed)?;
            Reply::json(&json!({"success": true, "relation": relation}))
        }
        LinkAction::Unlink => {
            let unlinked =
                bank.unlink(&call.caller, &source, &relation_type, &target).await.map_err(failed)?;
            Reply::json(&json!({
                "success": true,
                "action": "unlink",
                "from": unlinked.from_id,
                "to": unlinked.to_id,
                "relationType": relation_type,
                "removed": unlinked.removed,
            }))
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    from: String,
    relation_type: String,
    to: String,
    #[serde(default)]
    action: LinkAction,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum LinkAction {
    #[default]
    Link,
    Unlink,
}
