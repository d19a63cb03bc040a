//! `/api/v1/graph/picture`: nodes and edges of the graph for a picture, as columns, which are a third of rows.

use axum::response::Response;
use jiff::Timestamp;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::graph::picture::{Picture, PictureEdge, PictureNode};
use memory_bank_core::limits;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::api::queries::DrawGraph;
use crate::http::history::time;
use crate::http::rest_request::{QueryParameters, Refusal, RestRequest};
use crate::services::Services;

/// The bytes of a reply.
const BYTES: usize = 4 * 1024 * 1024;
/// About what the store reads of an entity, and of a relation.
const ENTITY_BYTES: usize = 400;
const RELATION_BYTES: usize = 300;

/// A picture of the graph, without coordinates.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GraphPicture {
    /// Whether the nodes are clusters, because the graph has more entities or relations than a picture.
    is_clustered: bool,
    /// How many entities the graph has at this time.
    entities: u64,
    /// How many relations.
    relations: u64,
    /// How many entities no node contains, for lack of room.
    entities_left: u64,
    /// How many edges are left out, for lack of room.
    edges_left: u64,
    /// Whether the graph has more than the server makes a picture of.
    is_cut: bool,
    /// When the first of its entities was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    first: Option<String>,
    /// The types of nodes.
    types: Vec<String>,
    /// The types of edges.
    relation_types: Vec<String>,
    nodes: PictureNodes,
    edges: PictureEdges,
}

/// The nodes, each at the same index in all lists.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct PictureNodes {
    /// The id of the entity, or of the entity of a cluster that has the most relations.
    ids: Vec<String>,
    /// Its name, of which a long one is cut.
    names: Vec<String>,
    /// The index of its type in `types`.
    types: Vec<u32>,
    /// How many entities it contains, if nodes are clusters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entities: Vec<u32>,
}

/// The edges, each at the same index in all lists.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct PictureEdges {
    /// The index of its source in the lists of nodes.
    from: Vec<u32>,
    /// The index of its target.
    to: Vec<u32>,
    /// The index of its type in `relationTypes`.
    types: Vec<u32>,
    /// How many relations it stands for.
    relations: Vec<u32>,
}

/// Draws the graph, now or as it was: its entities and relations, or clusters of them if there are too many.
#[utoipa::path(get, path = "/api/v1/graph/picture", tag = "graph", operation_id = "draw_graph", params(DrawGraph), responses(
    (status = 200, body = GraphPicture),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such entity at this time"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn picture(
    request: RestRequest,
    QueryParameters(query): QueryParameters<DrawGraph>,
) -> Response {
    request.answer_within(BYTES, |services| drawn(&request, query, services)).await
}

async fn drawn(request: &RestRequest, query: DrawGraph, services: Services) -> Result<GraphPicture, Refusal> {
    let at = time("asOf", query.as_of.as_deref(), true)?;
    let bank = request.bank().await?;
    let stats = bank.stats(&request.who.caller).await.map_err(refused)?;
    let entities = stats.entity_count.min(limits::OUTLINE_ENTITIES).saturating_mul(ENTITY_BYTES);
    let relations = stats.relation_count.min(limits::OUTLINE_RELATIONS).saturating_mul(RELATION_BYTES);
    services.replies.need(BYTES.saturating_add(entities).saturating_add(relations)).await?;
    let outline = bank.outline(&request.who.caller, at).await?;
    // Finding clusters takes the processor for a moment.
    let made = tokio::task::spawn_blocking(move || {
        let picture = Picture::of(&outline, query.cluster.as_deref());
        (picture, outline.first, outline.is_cut)
    });
    let (picture, first, is_cut) =
        made.await.map_err(|error| Refusal::Store(StoreError::Unavailable(error.to_string())))?;
    let missing = || Refusal::NotFound("the graph has no entity of this id at this time".to_owned());
    let picture = picture.ok_or_else(missing)?;
    let first = first.and_then(|first| Timestamp::from_millisecond(first).ok()).map(iso_millis);
    Ok(in_columns(picture, first, is_cut))
}

fn refused(error: GraphError) -> Refusal {
    match error {
        GraphError::Store(error) => Refusal::Store(error),
        other => Refusal::Conflict(other.to_string()),
    }
}

fn in_columns(picture: Picture, first: Option<String>, is_cut: bool) -> GraphPicture {
    let mut nodes = PictureNodes::default();
    for PictureNode { id, name, node_type, entities } in picture.nodes {
        nodes.ids.push(id);
        nodes.names.push(name);
        nodes.types.push(number(node_type));
        if picture.is_clustered {
            nodes.entities.push(number(entities));
        }
    }
    let mut edges = PictureEdges::default();
    for PictureEdge { from, to, edge_type, relations } in picture.edges {
        edges.from.push(number(from));
        edges.to.push(number(to));
        edges.types.push(number(edge_type));
        edges.relations.push(number(relations));
    }
    GraphPicture {
        is_clustered: picture.is_clustered,
        entities: picture.entities as u64,
        relations: picture.relations as u64,
        entities_left: picture.entities_left as u64,
        edges_left: picture.edges_left as u64,
        is_cut,
        first,
        types: picture.types,
        relation_types: picture.relation_types,
        nodes,
        edges,
    }
}

/// An index or a number within the bounds of a picture.
fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
