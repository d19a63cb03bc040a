//! Rebuilds derived files, compacts the log, and counts.

use memory_bank_core::caller::Right;
use serde::Deserialize;
use serde_json::json;

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::STORE_ID;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::schema::{Kind, required};
use crate::mcp::tools::tool::{Call, Family, GRAPH, REPLACES, ToolSpec, boxed};

pub(crate) const GRAPH_MAINTAIN: ToolSpec = ToolSpec {
    name: "graph_maintain",
    title: "Maintain graph",
    description: "Rebuild derived files, compact the log, or count.",
    family: Family::Graph,
    right: Right::Write,
    without_read: WithoutRead::Members(&["operation"]),
    hints: REPLACES,
    bank: GRAPH,
    arguments: &[
        required("operation", Kind::Word(&["rebuild", "compact", "stats"]), "operation is required"),
        STORE_ID,
    ],
    handler: boxed!(graph_maintain),
};

/// Rebuilds, compacts or counts.
async fn graph_maintain(mut call: Call) -> Result<Reply, Failure> {
    let Maintain { operation } = call.parse()?;
    let bank = call.bank()?;
    match operation {
        Operation::Rebuild => {
            let stats = bank
                .rebuild(&call.caller)
                .await
                .map_err(|error| Failure::from(error).while_doing("Failed to rebuild snapshot"))?;
            Reply::json(&json!({
                "success": true,
                "operation": "rebuild",
                "message": "Graph snapshot rebuilt successfully",
                "stats": stats,
            }))
        }
        Operation::Compact => {
            let compacted = bank
                .compact(&call.caller)
                .await
                .map_err(|error| Failure::from(error).while_doing("Compaction failed"))?;
            Reply::json(&json!({
                "success": true,
                "operation": "compact",
                "message": "Graph event log compacted.",
                "before": compacted.before,
                "after": compacted.after,
            }))
        }
        Operation::Stats => {
            call.must_read("count what the graph holds")?;
            let stats = bank
                .stats(&call.caller)
                .await
                .map_err(|error| Failure::from(error).while_doing("Failed to get snapshot"))?;
            Reply::json(&json!({"success": true, "operation": "stats", "stats": stats}))
        }
    }
}

#[derive(Deserialize)]
struct Maintain {
    operation: Operation,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Rebuild,
    Compact,
    Stats,
}
