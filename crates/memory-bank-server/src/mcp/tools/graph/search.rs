//! Finds nodes and facts of the graph.

use std::collections::HashMap;

use memory_bank_core::caller::Right;
use memory_bank_core::error::GraphError;
use memory_bank_core::graph::{Ending, Observation};
use memory_bank_core::search::{MatchedIn, whole_if_possible};
use memory_bank_core::store::{EntityFound, GraphSearch, ObservationFound, RelationFound, Skip};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::mcp::tools::blind::WithoutRead;
use crate::mcp::tools::common_arguments::{AS_OF, CURSOR, INCLUDE_ENDED, STORE_ID, WantedFacts, default_one};
use crate::mcp::tools::cursor::Listing;
use crate::mcp::tools::extra_members::{note_ended, note_ending, note_left, put};
use crate::mcp::tools::past_graph::ViewedGraph;
use crate::mcp::tools::query::parse_query;
use crate::mcp::tools::reply::{Failure, Reply};
use crate::mcp::tools::reply_space::ReplySpace;
use crate::mcp::tools::schema::{Kind, optional, required};
use crate::mcp::tools::tool::{Call, Family, GRAPH, READS, ToolSpec, boxed};

pub(crate) const GRAPH_SEARCH: ToolSpec = ToolSpec {
    name: "graph_search",
    title: "Search graph",
    description: "Find nodes and facts by words; `*` lists all.",
    family: Family::Graph,
    right: Right::Read,
    without_read: WithoutRead::Refused,
    hints: READS,
    bank: GRAPH,
    arguments: &[
        required("query", Kind::Text, "query is required"),
        optional("limit", Kind::Clamped(1, 1000)),
        optional("includeNeighborhood", Kind::Flag),
        optional("neighborhoodDepth", Kind::Clamped(1, 2)),
        CURSOR,
        AS_OF,
        INCLUDE_ENDED,
        STORE_ID,
    ],
    handler: boxed!(graph_search),
};

/// Finds nodes and facts.
async fn graph_search(mut call: Call) -> Result<Reply, Failure> {
    let arguments: SearchGraph = call.parse()?;
    let everything = matches!(arguments.query.trim(), "" | "*");
    let query = if everything { None } else { Some(parse_query(&arguments.query)?) };
    let depth = if arguments.include_neighborhood { arguments.neighborhood_depth } else { 0 };
    let bank = call.bank()?;
    let view = arguments.facts.view(call.services.clock.now())?;
    let request = json!({"query": arguments.query, "depth": depth, "facts": arguments.facts});
    let listing = Listing::new("graph_search", &bank.location(), &request);
    let skip: Skip = listing.position(arguments.cursor.as_deref())?;
    let frame = json!({"query": arguments.query, "entities": [], "observations": [], "relations": []});
    let mut space = ReplySpace::of(&call.services.replies, arguments.limit.map(|_| usize::MAX), &frame);
    // A store estimates the size in memory, which is larger than that in a reply.
    let bytes = space.bytes().saturating_mul(2);
    let _turn = match view.is_past {
        true => Some(call.services.replies.past_turns.turn(call.caller.key).await?),
        false => None,
    };
    // The loaded graph, and the reply made of it.
    call.services.replies.need(bytes.saturating_mul(2)).await?;
    let limit = arguments.limit.unwrap_or(DEFAULT_NODES);
    let failed = |error: GraphError| Failure::from(error).while_doing("Failed to search the graph");
    let graph =
        ViewedGraph::of(bank.as_ref(), &call.caller, view).await.map_err(|error| failed(error.into()))?;
    let request = GraphSearch { query, limit, depth, bytes, skip, view };
    let found = graph.search(&request).await.map_err(failed)?;
    let (found_entities, found_observations) = (found.entities.len(), found.observations.len());
    let importable = match found_entities {
        0 => bank.importable(&call.caller).await,
        _ => None,
    };
    let endings = &found.endings;
    let entities = found.entities.into_iter().chain(found.neighbours).map(|found| entity(found, endings));
    let (entities, entities_left) = space.cut(entities, 2)?;
    let (relations, relations_left) = space.cut(found.relations.iter().map(relation), 2)?;
    let (observations, observations_left) =
        space.cut(found.observations.iter().map(|found| observation(found, endings)), 1)?;
    let mut data = json!({
        "query": arguments.query,
        "entities": entities,
        "observations": observations,
        "relations": relations,
        "truncated": found.more,
    });
    let left = [
        ("entities", entities_left + found.entities_left),
        ("observations", observations_left + found.observations_left),
        ("relations", relations_left + found.relations_left),
    ];
    let after = Skip {
        entities: skip.entities + entities.len().min(found_entities),
        observations: skip.observations + observations.len().min(found_observations),
    };
    let more = found.more_hits || left.iter().take(2).any(|(_, count)| *count > 0);
    let next = if more && after != skip {
        put(&mut data, "nextCursor", json!(listing.cursor(after)?));
        "search on with `nextCursor` as `cursor`, for more words, or with a smaller limit"
    } else {
        "search for more words, or for a part with a smaller limit"
    };
    note_ended(&mut data, found.ended_left);
    graph.put_note(&mut data);
    note_left(&mut data, &left, next);
    if let Some(importable) = importable {
        put(&mut data, "importable", json!(importable));
    }
    Reply::json(&data)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SearchGraph {
    query: String,
    limit: Option<usize>,
    #[serde(default)]
    include_neighborhood: bool,
    #[serde(default = "default_one")]
    neighborhood_depth: u32,
    cursor: Option<String>,
    #[serde(flatten)]
    facts: WantedFacts,
}

/// The default number of nodes.
const DEFAULT_NODES: usize = 10;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundEntity {
    id: String,
    name: String,
    entity_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attrs: Option<Map<String, Value>>,
    observations: Vec<Value>,
    observation_count: usize,
    relation_count: usize,
    #[serde(serialize_with = "whole_if_possible")]
    score: f64,
    matched_in: Vec<MatchedIn>,
}

fn observation(found: &ObservationFound, endings: &HashMap<String, Ending>) -> Value {
    let mut shown = json!({
        "id": found.observation.id,
        "text": found.observation.text,
        "entityId": found.observation.entity_id,
        "entityName": found.entity_name,
        "timestamp": found.observation.timestamp,
    });
    note_bounds(&mut shown, &found.observation, endings);
    shown
}

/// Adds from when until when a fact holds, what it replaces, and its end.
fn note_bounds(shown: &mut Value, fact: &Observation, endings: &HashMap<String, Ending>) {
    if let (Some(shown), Ok(Value::Object(bounds))) =
        (shown.as_object_mut(), serde_json::to_value(fact.validity()))
    {
        shown.extend(bounds);
    }
    note_ending(shown, endings.get(&fact.id));
}

fn relation(found: &RelationFound) -> Value {
    json!({
        "from": found.from_name,
        "to": found.to_name,
        "relationType": found.relation.relation_type,
        "fromId": found.relation.from_id,
        "toId": found.relation.to_id,
    })
}

fn entity(found: EntityFound, endings: &HashMap<String, Ending>) -> FoundEntity {
    let fact = |fact: &Observation| {
        let mut shown = json!({"text": fact.text, "timestamp": fact.timestamp});
        note_bounds(&mut shown, fact, endings);
        shown
    };
    let observations = found.observations.iter().map(fact).collect();
    FoundEntity {
        id: found.entity.id,
        name: found.entity.name,
        entity_type: found.entity.entity_type,
        attrs: found.entity.attrs,
        observations,
        observation_count: found.observation_count,
        relation_count: found.relation_count,
        score: found.score,
        matched_in: found.matched_in,
    }
}
