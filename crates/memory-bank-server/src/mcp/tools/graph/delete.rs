//! Deletes nodes and facts.

use memory_bank_core::caller::Right;
use memory_bank_core::store::EntityRef;
use serde::Deserialize;
use serde_json::json;

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::STORE_ID;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::schema::{Kind, optional};
use crate::mcp::tools::tool::{Call, Family, GRAPH, REPLACES, ToolSpec, boxed};

pub(crate) const GRAPH_DELETE_ENTITY: ToolSpec = ToolSpec {
    name: "graph_delete_entity",
    title: "Delete from graph",
    description: "Delete a node, or one fact by observationId.",
    family: Family::Graph,
    right: Right::Admin,
    without_read: WithoutRead::Members(&[]),
    hints: REPLACES,
    bank: GRAPH,
    arguments: &[
        optional("entity", Kind::Text),
        optional("observationId", Kind::Text).keeping_empty(),
        STORE_ID,
    ],
    handler: boxed!(graph_delete_entity),
};

/// Deletes an entity with its facts, or one fact.
async fn graph_delete_entity(mut call: Call) -> Result<Reply, Failure> {
    let Delete { entity, observation_id } = call.parse()?;
    let entity = entity.filter(|entity| !entity.is_empty());
    // An empty id may be a lost id of an observation; do not delete the whole entity then.
    if entity.is_some() && observation_id.as_deref().is_some_and(|id| id.trim().is_empty()) {
        return Err(Failure::message(
            "`observationId` is empty; give the id of the fact to delete, or leave it out to delete the whole node; \
             nothing was deleted",
        ));
    }
    let bank = call.bank()?;
    match (entity, observation_id.filter(|id| !id.is_empty())) {
        (entity, Some(id)) => {
            let owner = entity.map(EntityRef);
            let observation = bank
                .delete_observation(&call.caller, &id, owner.as_ref())
                .await
                .map_err(|error| Failure::from(error).while_doing("Failed to delete observation"))?;
            Reply::json(&json!({
                "success": true,
                "message": format!("Observation \"{id}\" deleted."),
                "deleted": {"id": observation.id, "entityId": observation.entity_id},
                "removed": {"items": [observation.text]},
            }))
        }
        (Some(entity), None) => {
            let deleted = bank
                .delete_entity(&call.caller, &EntityRef(entity.clone()))
                .await
                .map_err(|error| Failure::from(error).while_doing("Failed to delete entity"))?;
            let gone = &deleted.entity;
            Reply::json(&json!({
                "success": true,
                "message": format!("Entity \"{entity}\" deleted."),
                "deleted": {
                    "id": gone.id,
                    "name": gone.name,
                    "entityType": gone.entity_type,
                    "observationCount": deleted.observations,
                    "relationCount": deleted.relations,
                },
            }))
        }
        (None, None) => Err(Failure::Malformed(
            "`entity` or `observationId` is required, for example {\"entity\":\"Order Service\"}".into(),
        )),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delete {
    entity: Option<String>,
    observation_id: Option<String>,
}
