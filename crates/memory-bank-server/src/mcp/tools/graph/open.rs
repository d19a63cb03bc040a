//! Returns nodes with their facts and neighbours.

use std::collections::HashSet;

use memory_bank_core::caller::Right;
use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::graph::{Entity, Observation};
use memory_bank_core::store::EntityRef;
use serde::Deserialize;
use serde_json::json;

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::{
    AS_OF, CURSOR, INCLUDE_ENDED, MAX_CHARS, STORE_ID, WantedFacts, default_one,
};
use crate::mcp::tools::cursor::Listing;
use crate::mcp::tools::extra_members::{note_ended, note_ending, note_left, put};
use crate::mcp::tools::past_graph::ViewedGraph;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::reply_space::ReplySpace;
use crate::mcp::tools::schema::{Kind, optional, required};
use crate::mcp::tools::tool::{Call, Family, GRAPH, READS, ToolSpec, boxed};

pub(crate) const GRAPH_OPEN_NODES: ToolSpec = ToolSpec {
    name: "graph_open_nodes",
    title: "Open nodes",
    description: "Show nodes with all facts and their neighbours.",
    family: Family::Graph,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: READS,
    bank: GRAPH,
    arguments: &[
        required("nodes", Kind::Texts, "nodes array is required"),
        optional("depth", Kind::Clamped(1, 2)),
        CURSOR,
        MAX_CHARS,
        AS_OF,
        INCLUDE_ENDED,
        STORE_ID,
    ],
    handler: boxed!(graph_open_nodes),
};

/// Returns entities with their observations and neighbours.
async fn graph_open_nodes(mut call: Call) -> Result<Reply, Failure> {
    let OpenNodes { nodes, depth, cursor, max_chars, facts } = call.parse()?;
    let view = facts.view(call.services.clock.now())?;
    let bank = call.bank()?;
    let request = json!({"nodes": nodes, "depth": depth, "facts": facts});
    let listing = Listing::new("graph_open_nodes", &bank.location(), &request);
    let passed: Passed = listing.position(cursor.as_deref())?;
    let nodes: Vec<EntityRef> = nodes.into_iter().map(EntityRef).collect();
    // The same amount is loaded for every page, so that all pages belong to one list.
    let bytes = call.services.replies.bytes;
    let _turn = match view.is_past {
        true => Some(call.services.replies.past_turns.turn(call.caller.key).await?),
        false => None,
    };
    // The loaded graph, and the reply made of it.
    call.services.replies.need(bytes.saturating_mul(2)).await?;
    let graph = ViewedGraph::of(bank.as_ref(), &call.caller, view).await?;
    let (mut part, missing) = match graph.open(&nodes, depth, bytes).await {
        Ok(opened) => opened,
        Err(error) => return Err(with_import_hint(error.into(), bank.importable(&call.caller).await)),
    };
    let name_of = |id: &str| part.names.get(id).cloned().unwrap_or_else(|| id.to_owned());
    let relations = part.relations.iter().map(|relation| {
        json!({
            "id": relation.id,
            "fromId": relation.from_id,
            "toId": relation.to_id,
            "from": name_of(&relation.from_id),
            "to": name_of(&relation.to_id),
            "relationType": relation.relation_type,
            "createdAt": relation.created_at,
        })
    });
    let frame = json!({"entities": [], "observations": [], "relations": []});
    let mut space = ReplySpace::of(&call.services.replies, max_chars, &frame);
    let before = passed.0 + passed.1 + passed.2;
    let mut whole = space;
    let is_cut = before + part.entities_left + part.observations_left > 0
        || whole.cut(&part.entities, 2)?.1 + whole.cut(&part.observations, 1)?.1 > 0;
    if is_cut {
        put_requested_first(&mut part.entities, &mut part.observations, &nodes);
    }
    let (entities, entities_left) = space.cut(part.entities.iter().skip(passed.0), 2)?;
    let (relations, relations_left) = space.cut(relations.skip(passed.2), 2)?;
    let observations = part.observations.iter().map(|fact| {
        let mut shown = json!(fact);
        note_ending(&mut shown, part.endings.get(&fact.id));
        shown
    });
    let (observations, observations_left) = space.cut(observations.skip(passed.1), 1)?;
    let after = (passed.0 + entities.len(), passed.1 + observations.len(), passed.2 + relations.len());
    let mut data = json!({"entities": entities, "observations": observations, "relations": relations});
    let more = entities_left + observations_left + relations_left > 0 && after != passed;
    if more && let Some(object) = data.as_object_mut() {
        object.insert("nextCursor".into(), json!(listing.cursor(after)?));
    }
    note_ended(&mut data, part.ended_left);
    if !missing.is_empty() {
        put(&mut data, "missing", json!(missing));
    }
    graph.put_note(&mut data);
    note_left(
        &mut data,
        &[
            ("entities", entities_left + part.entities_left),
            ("observations", observations_left + part.observations_left),
            ("relations", relations_left + part.relations_left),
        ],
        if more {
            "open them on with `nextCursor` as `cursor`, or open fewer nodes; graph_search finds the others by their words"
        } else {
            "open fewer nodes; graph_search finds the others by their words"
        },
    );
    Reply::json(&data)
}

/// Adds to a refusal that the folder has a file with a graph to import, if it has.
fn with_import_hint(failure: Failure, importable: Option<String>) -> Failure {
    match (failure, importable) {
        (Failure::Unquoted(text), Some(importable)) => {
            Failure::Hinted { text, hint: format!(". {importable}") }
        }
        (failure, _) => failure,
    }
}

/// Requested entities and their observations come before those of their neighbours.
fn put_requested_first(entities: &mut [Entity], observations: &mut [Observation], nodes: &[EntityRef]) {
    let is_requested = |entity: &Entity| {
        nodes.iter().any(|node| {
            node.0.trim() == entity.id || node.0.trim().to_lowercase() == entity.name.trim().to_lowercase()
        })
    };
    let requested: HashSet<String> =
        entities.iter().filter(|entity| is_requested(entity)).map(|entity| entity.id.clone()).collect();
    entities.compact_sort_by_key(|entity| !requested.contains(&entity.id));
    observations.compact_sort_by_key(|observation| !requested.contains(&observation.entity_id));
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OpenNodes {
    nodes: Vec<String>,
    #[serde(default = "default_one")]
    depth: u32,
    cursor: Option<String>,
    max_chars: Option<usize>,
    #[serde(flatten)]
    facts: WantedFacts,
}

/// The numbers of entities, observations and relations on previous pages.
type Passed = (usize, usize, usize);
