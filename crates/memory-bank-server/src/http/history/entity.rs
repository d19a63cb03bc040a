//! The history of an entity of the graph over REST, and its bodies.

use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::unified_diff_within;
use memory_bank_core::error::GraphError;
use memory_bank_core::graph::history::{
    EntitySnapshot, GraphChange, GraphChangeQuery, GraphItem, GraphSubject, Origin, render, summary,
    summary_of,
};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::graph::{Entity, Observation};
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, EntityChain, EntityRef, GraphHistoryError, GraphPart};
use serde::Serialize;
use utoipa::ToSchema;

use super::bodies::{DiffVersions, Difference, ShowVersion, VersionList, VersionView, VersionWithText};
use super::{DIFF_CHARS, missing};
use crate::http::rest_request::{Refusal, RestRequest, decoded, encoded};

/// The most characters of what a change was about.
const ABOUT_CHARS: usize = 300;
/// The bytes of the changes of an entity with the items before and after them.
pub(super) const CHAIN_BYTES: usize = 3 * limits::CHAIN_BYTES;

/// The bytes of a list of so many changes: the items before and after each.
pub(super) fn list_bytes(limit: usize) -> usize {
    2 * limit * limits::OBSERVATION_BYTES
}

/// A version in a list: of a document, or of an entity, an observation or a relation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ListedVersion {
    /// Of a document.
    Document(VersionView),
    /// Of the graph.
    Graph(GraphVersionView),
}

/// A change of an entity, an observation or a relation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GraphVersionView {
    /// The name of the entity, or of the source of a relation.
    entity: String,
    /// Its id; an undo takes it as `entity`.
    entity_id: String,
    version: i64,
    #[schema(format = DateTime)]
    at: String,
    /// `created`, `changed` or `deleted`.
    kind: String,
    /// The text of an observation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    observation: Option<String>,
    /// The type of a relation, and the entity that it leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    relation: Option<String>,
    /// The type of an entity, and its attributes.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    entity_type: Option<String>,
    /// The text of the observation that it replaced, if another one did and is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    replaces: Option<String>,
    /// `true` if the change created an entity that has observations or relations now: an undo of this change alone leaves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    in_use: Option<bool>,
    /// Until when an observation holds. One that ends with its own record is how a fact is ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    valid_until: Option<String>,
    /// The name of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    by: Option<String>,
    /// The first characters of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tool: Option<String>,
    /// `true` if the change came with an import or a restore: `by` is then as the source named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    imported: Option<bool>,
    /// `true` if an undo made the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    undo: Option<bool>,
    /// `foreign` if the change came with the folder and nobody here wrote it, `outside` if something outside of the server made it later;
    /// absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    origin: Option<String>,
}

fn marked(origin: Origin) -> Option<String> {
    (origin != Origin::Own).then(|| origin.as_str().to_owned())
}

/// What a list shows beside its changes: facts that were replaced, and whether entities have something now.
pub(super) struct Beside(GraphState);

impl Beside {
    pub(super) async fn of(
        bank: &dyn Bank,
        caller: &Caller,
        changes: &[GraphChange],
    ) -> Result<Self, Refusal> {
        let mut part = GraphPart::default();
        for change in changes.iter().filter(|change| change.before.is_none()) {
            match &change.after {
                Some(GraphItem::Observation(fact)) => part.observations.extend(replaced(fact).cloned()),
                Some(GraphItem::Entity(entity)) => {
                    part.entities.insert(entity.id.clone());
                    part.emptied.insert(entity.id.clone());
                }
                _ => {}
            }
        }
        if part == GraphPart::default() {
            return Ok(Self(GraphState::default()));
        }
        Ok(Self(bank.graph_part(caller, &part).await.map_err(GraphHistoryError::from)?))
    }

    fn text_replaced_by(&self, change: &GraphChange) -> Option<String> {
        let Some(GraphItem::Observation(fact)) = &change.after else { return None };
        let former = self.0.observation(replaced(fact).filter(|_| change.before.is_none())?)?;
        let former = GraphItem::Observation(former.clone());
        Some(summary_of(&former, None, ABOUT_CHARS))
    }

    fn is_in_use(&self, change: &GraphChange) -> bool {
        let Some(GraphItem::Entity(Entity { id, .. })) = &change.after else { return false };
        let has_something =
            || self.0.observations_of(id).next().is_some() || self.0.relations_of(id).next().is_some();
        change.before.is_none() && has_something()
    }
}

/// The id of the fact that a fact replaced: the first one is what its author named.
fn replaced(fact: &Observation) -> Option<&String> {
    fact.validity().supersedes.first()
}

impl GraphVersionView {
    pub(super) fn of(change: &GraphChange, beside: &Beside) -> Self {
        let about = Some(summary(change, ABOUT_CHARS));
        let (observation, relation, entity_type) = match change.item() {
            Some(GraphItem::Observation(_)) => (about, None, None),
            Some(GraphItem::Relation(_)) => (None, about, None),
            _ => (None, None, about),
        };
        let entity = change.entity.as_deref().or_else(|| change.item().map(GraphItem::entity_id));
        Self {
            entity: entity.unwrap_or_default().to_owned(),
            entity_id: change.item().map(GraphItem::entity_id).unwrap_or_default().to_owned(),
            version: change.number,
            at: iso_millis(change.at),
            kind: change.change.as_str().to_owned(),
            observation,
            relation,
            entity_type,
            replaces: beside.text_replaced_by(change),
            in_use: beside.is_in_use(change).then_some(true),
            valid_until: match change.item() {
                Some(GraphItem::Observation(fact)) => fact.validity().valid_until.clone(),
                _ => None,
            },
            by: change.author.clone(),
            key: change.key_prefix.clone(),
            session: change.session.clone(),
            tool: change.tool.clone(),
            imported: change.imported.then_some(true),
            undo: change.undoes.is_some().then_some(true),
            origin: marked(change.origin),
        }
    }
}

/// A version with its text: of a document, or of an entity.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ShownVersion {
    /// Of a document.
    Document(VersionWithText),
    /// Of an entity.
    Entity(EntityAtVersion),
}

/// An entity as it was after a change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntityAtVersion {
    entity: String,
    id: String,
    version: u32,
    /// Lines: name and type, attributes, observations, relations. `null` if the entity did not exist.
    #[schema(required)]
    text: Option<String>,
    /// As in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    origin: Option<String>,
}

/// The difference of two texts of a document or an entity.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum AnyDifference {
    /// Of a document.
    Document(Difference),
    /// Of an entity.
    Entity(EntityDifference),
}

/// The difference of an entity after a change and after another one, or now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntityDifference {
    entity: String,
    version: u32,
    /// The other version; absent if it is the present.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    with: Option<u32>,
    /// Unified, cut at 262,144 characters; empty if nothing differs.
    diff: String,
    /// Of the change `version`, as in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    origin: Option<String>,
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
    let beside = Beside::of(bank.as_ref(), &request.who.caller, &page.changes).await?;
    let versions = page.changes.iter().map(|change| GraphVersionView::of(change, &beside));
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
