//! The history of the graph: list changes, follow an entity back, bring it back, erase its changes. Every change of the
//! [`GraphStore`](crate::store::GraphStore) adds to it, in the same transaction.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::caller::Caller;
use crate::document::DocumentPath;
use crate::error::{EditError, GraphError, StoreError};
use crate::graph::event::Event;
use crate::graph::history::{
    EntityRestored, EntitySnapshot, GraphChange, GraphChangePage, GraphChangeQuery, Origin,
};
use crate::graph::outline::Outline;
use crate::graph::state::GraphState;
use crate::limits;
use crate::store::{DocumentChange, Editor, EntityRef};

/// An entity as it is now, and its changes after some number.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityChain {
    /// The entity as it is now; without it if it was deleted.
    pub now: EntitySnapshot,
    /// The changes of the entity, its observations and its relations, newest first.
    pub changes: Vec<GraphChange>,
    /// Who is known to have made the change that they follow.
    pub origin: Origin,
}

impl EntityChain {
    /// The numbers of these changes.
    #[must_use]
    pub fn numbers(&self) -> Vec<i64> {
        self.changes.iter().map(|change| change.number).collect()
    }

    /// The entity before all of these changes: as it was after the one that they follow.
    #[must_use]
    pub fn start(&self) -> EntitySnapshot {
        self.now.clone().before(&self.changes)
    }
}

/// How much the graph has, and whether it is as it was at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphSize {
    /// The bytes of which the former graph is made, see [`limits::PAST_GRAPH_BYTES`].
    pub bytes: usize,
    /// Whether the graph is certainly unchanged since then.
    pub is_unchanged: bool,
}

/// The graph as it was at a time.
#[derive(Debug)]
pub struct GraphThen {
    /// The graph.
    pub state: GraphState,
    /// Whether the history has all changes since. Otherwise items may be missing that were deleted since, and others are as they are now.
    pub is_whole: bool,
}

/// The items that a change of the graph may concern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GraphPart {
    /// These entities.
    pub entities: BTreeSet<String>,
    /// These observations.
    pub observations: BTreeSet<String>,
    /// These relations.
    pub relations: BTreeSet<String>,
    /// Entities for which the caller must know whether they have other observations or relations: a part has at least one of each
    /// if there is one.
    pub emptied: BTreeSet<String>,
    /// Observations of which it matters whether they hold: a part has the observations that replace them, too.
    pub holding: BTreeSet<String>,
}

/// Computes the events of a change from a part of the graph and the time, as a store writes it. It may be called more than once,
/// and must only depend on what it is given.
pub type GraphRule<'a> = dyn FnMut(&GraphState, &str) -> Result<Vec<Event>, EditError> + Send + 'a;

/// Changes of the graph of one project.
#[async_trait]
pub trait GraphHistoryStore: Send + Sync {
    /// A page of changes, newest first. A deleted entity is found by the name that it had. Needs the right to read.
    async fn list_graph_changes(
        &self,
        caller: &Caller,
        query: &GraphChangeQuery,
    ) -> Result<GraphChangePage, GraphHistoryError>;

    /// An entity as it is now, and its changes after the one with this number, which must be one of its own (0: all changes). Needs
    /// the right to read.
    async fn entity_chain(
        &self,
        caller: &Caller,
        entity: &EntityRef,
        number: i64,
    ) -> Result<EntityChain, GraphHistoryError>;

    /// Makes an entity what the snapshot has, in one change of the graph. Relations to entities that do not exist stay away.
    /// `made_of`: the numbers of the changes that led to the snapshot.
    ///
    /// # Errors
    /// One of these changes was erased meanwhile ([`StoreError::HistoryErased`]), the caller lacks the right to delete an item that the
    /// snapshot lacks, or the store failed.
    async fn restore_entity(
        &self,
        caller: &Caller,
        target: &EntitySnapshot,
        made_of: &[i64],
    ) -> Result<EntityRestored, GraphError>;

    /// The changes of these items, each given with its entity as [`GraphItem::entity_id`](crate::graph::history::GraphItem::entity_id)
    /// has it, from the one with this number on, newest first. Needs the right to read.
    async fn item_changes(
        &self,
        caller: &Caller,
        items: &[(String, String)],
        from: i64,
    ) -> Result<Vec<GraphChange>, GraphHistoryError>;

    /// A part of the graph as it is now; a store may return more. Needs the right to read.
    async fn graph_part(&self, caller: &Caller, part: &GraphPart) -> Result<GraphState, GraphError>;

    /// The entities and relations of the graph, as they are now or as they were at a time, with the present names. Needs the
    /// right to read. At most [`limits::OUTLINE_ENTITIES`] and [`limits::OUTLINE_RELATIONS`] are returned.
    async fn outline(&self, caller: &Caller, at: Option<Timestamp>) -> Result<Outline, StoreError>;

    /// How much the graph has, and whether it is as it was before this time. Needs the right to read.
    async fn graph_size(&self, caller: &Caller, until: Timestamp) -> Result<GraphSize, StoreError>;

    /// The graph as it was just before a time; `None` if more changed since than [`limits::PAST_GRAPH_BYTES`]. Needs the right to read.
    async fn graph_before(&self, caller: &Caller, until: Timestamp) -> Result<Option<GraphThen>, StoreError>;

    /// Edits documents as [`DocumentStore::edit`](crate::store::DocumentStore::edit) does, and changes the graph by a rule, which is
    /// given at least this part: both or neither. The change of the graph records the context of the edit in the history.
    async fn edit_with_graph(
        &self,
        caller: &Caller,
        paths: &[DocumentPath],
        editor: &mut Editor<'_>,
        part: &GraphPart,
        rule: &mut GraphRule<'_>,
    ) -> Result<Vec<DocumentChange>, EditError>;

    /// Erases the changes of an entity, its observations and its relations; what they are now stays. The audit log records it.
    /// Returns the number of erased changes. Needs the right to administer.
    async fn erase_entity(&self, caller: &Caller, entity: &EntityRef) -> Result<u64, GraphHistoryError>;
}

/// Why a call on the history of the graph was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GraphHistoryError {
    /// The entity has no such change.
    #[error("`{entity}` has no version {number}; the action `list` shows its versions")]
    NoChange {
        /// The entity.
        entity: String,
        /// The requested number.
        number: i64,
    },
    /// There are more later changes than one call follows.
    #[error("`{entity}` has more than {} later versions, or these have more than {} MiB", limits::GRAPH_CHAIN_CHANGES, limits::CHAIN_BYTES >> 20)]
    TooMany {
        /// The entity.
        entity: String,
    },
    /// The items have more changes than one call follows.
    #[error("these have more than {} changes, or these have more than {} MiB; narrow them with `since`, `until` or `entity`", limits::GRAPH_CHAIN_CHANGES, limits::CHAIN_BYTES >> 20)]
    TooManyOfItems,
    /// No entity has or had this name, or several have.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

impl From<StoreError> for GraphHistoryError {
    fn from(error: StoreError) -> Self {
        Self::Graph(error.into())
    }
}
