//! The history of an entity of the graph over REST.

use jiff::Timestamp;
use memory_bank_core::document::unified_diff_within;
use memory_bank_core::error::GraphError;
use memory_bank_core::graph::history::{EntitySnapshot, GraphChangeQuery, GraphSubject, render};
use memory_bank_core::limits;
use memory_bank_core::store::{EntityChain, EntityRef, GraphHistoryError};

use super::bodies::{
    DiffVersions, EntityAtVersion, EntityDifference, GraphVersionView, ListedVersion, ShowVersion,
    VersionList, marked,
};
use super::graph_change_details::ChangeDetails;
use super::{DIFF_CHARS, missing};
use crate::http::rest_request::{Refusal, RestRequest, decoded, encoded};

/// The bytes of the changes of an entity with the items before and after them.
pub(super) const CHAIN_BYTES: usize = 3 * limits::CHAIN_BYTES;

/// The bytes of a list of so many changes: the items before and after each.
pub(super) fn list_bytes(limit: usize) -> usize {
    2 * limit * limits::OBSERVATION_BYTES
}

impl From<GraphHistoryError> for Refusal {
    fn from(error: GraphHistoryError) -> Self {
        match error {
            GraphHistoryError::Graph(GraphError::Store(error)) => Self::Store(error),
            other => Self::NotFound(other.to_string()),
        }
    }
}

/// The query of a list, for one entity.
pub(super) fn query_of(
    entity: &str,
    span: (Option<Timestamp>, Option<Timestamp>),
    by: Option<String>,
    cursor: Option<&str>,
    limit: usize,
) -> Result<GraphChangeQuery, Refusal> {
    let subject = GraphSubject::Entity(EntityRef(entity.to_owned()));
    let after = cursor.map(decoded::<i64>).transpose()?;
    Ok(GraphChangeQuery {
        since: span.0,
        until: span.1,
        by,
        after,
        ..GraphChangeQuery::newest(subject, limit)
    })
}

/// Lists the changes of an entity.
pub(super) async fn list(request: &RestRequest, query: &GraphChangeQuery) -> Result<VersionList, Refusal> {
    let bank = request.bank().await?;
    let page =
        bank.list_graph_changes(&request.who.caller, query).await.map_err(|error| missing(&bank, error))?;
    let details = ChangeDetails::of(bank.as_ref(), &request.who.caller, &page.changes).await?;
    let versions = page.changes.iter().map(|change| GraphVersionView::of(change, &details));
    let versions = versions.map(ListedVersion::Graph).collect();
    Ok(VersionList { versions, next_cursor: page.next.as_ref().map(encoded).transpose()? })
}

/// Shows an entity as it was.
pub(super) async fn show(
    request: &RestRequest,
    entity: &str,
    query: &ShowVersion,
) -> Result<EntityAtVersion, Refusal> {
    let chain = chain(request, entity, query.version).await?;
    let was = chain.start();
    let text = was.entity().map(|_| render(&was));
    let name = was.name_of(&was.id).to_owned();
    Ok(EntityAtVersion {
        entity: name,
        id: was.id,
        version: query.version,
        text,
        origin: marked(chain.origin),
    })
}

/// Compares an entity.
pub(super) async fn diff(
    request: &RestRequest,
    entity: &str,
    query: &DiffVersions,
) -> Result<EntityDifference, Refusal> {
    let old = chain(request, entity, query.version).await?;
    let new = match query.with {
        Some(with) => chain(request, entity, with).await?.start(),
        None => old.now.clone(),
    };
    let was = old.start();
    let name = name_of(&was, &new);
    let diff = unified_diff_within(&name, &render(&was), &render(&new), DIFF_CHARS);
    Ok(EntityDifference {
        entity: name,
        version: query.version,
        with: query.with,
        diff,
        origin: marked(old.origin),
    })
}

fn name_of(was: &EntitySnapshot, new: &EntitySnapshot) -> String {
    let entity = was.entity().or_else(|| new.entity());
    entity.map_or_else(|| was.id.clone(), |entity| entity.name.clone())
}

async fn chain(request: &RestRequest, entity: &str, number: u32) -> Result<EntityChain, Refusal> {
    let entity = EntityRef(entity.to_owned());
    let bank = request.bank().await?;
    let chain = bank.entity_chain(&request.who.caller, &entity, number.into()).await;
    chain.map_err(|error| missing(&bank, error))
}
