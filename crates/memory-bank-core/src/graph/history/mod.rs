//! The history of the graph: changes of single entities, observations and relations, an entity as it was, and the events
//! that bring it back.

mod difference;
mod former;
mod part;
mod render;
mod restore;
mod snapshot;
mod take_back;

use jiff::Timestamp;

use crate::caller::KeyId;
use crate::graph::state::GraphState;
use crate::graph::{Entity, Observation, Relation};
use crate::history::{ChangeFacts, UndoMark};
use crate::store::EntityRef;
use crate::words::word_enum;

pub use difference::events_between;
pub use former::FormerItems;
pub use render::{render, summary, summary_of};
pub use restore::{EntityRestored, plan_restore};
pub use snapshot::EntitySnapshot;
pub use take_back::{ItemObstacle, ItemTakenBack, is_same_item, take_back_item};

word_enum! {
    /// What happened to an item.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum ItemChange {
        /// It was added.
        Created = "created",
        /// It was replaced.
        Changed = "changed",
        /// It was removed, also with its entity.
        Deleted = "deleted",
    }
}

word_enum! {
    /// Who is known to have made a change.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub enum Origin {
        /// This installation, for its author.
        #[default]
        Own = "own",
        /// Something outside of the server, after this installation had changed the graph. It has no author.
        Outside = "outside",
        /// It came with the folder, and this installation did not write it. It has no author.
        Foreign = "foreign",
    }
}

impl Origin {
    /// The origin of a change that a transfer brought, by its author and its tool: the source names an author of its own changes, and
    /// in the tool's position that something outside changed its graph.
    #[must_use]
    pub fn of_imported(author: Option<&str>, tool: Option<&str>) -> Self {
        match (author, tool) {
            (Some(_), _) => Self::Own,
            (None, Some(tool)) if tool == Self::Outside.as_str() => Self::Outside,
            (None, _) => Self::Foreign,
        }
    }
}

/// An entity, an observation or a relation.
#[derive(Debug, Clone, PartialEq)]
pub enum GraphItem {
    /// An entity.
    Entity(Entity),
    /// An observation.
    Observation(Observation),
    /// A relation.
    Relation(Relation),
}

impl GraphItem {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Entity(entity) => &entity.id,
            Self::Observation(observation) => &observation.id,
            Self::Relation(relation) => &relation.id,
        }
    }

    /// The entity that it belongs to: itself, the owner of an observation, the source of a relation.
    #[must_use]
    pub fn entity_id(&self) -> &str {
        match self {
            Self::Entity(entity) => &entity.id,
            Self::Observation(observation) => &observation.entity_id,
            Self::Relation(relation) => &relation.from_id,
        }
    }

    /// The target of a relation.
    #[must_use]
    pub fn other_id(&self) -> Option<&str> {
        match self {
            Self::Relation(relation) => Some(&relation.to_id),
            _ => None,
        }
    }

    /// About how many bytes of text it has.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Entity(entity) => {
                let attrs = entity.attrs.as_ref().and_then(|attrs| serde_json::to_string(attrs).ok());
                entity.name.len() + attrs.map_or(0, |attrs| attrs.len())
            }
            Self::Observation(observation) => observation.text.len(),
            Self::Relation(relation) => relation.relation_type.len(),
        }
    }

    /// Whether the item is this entity, an observation of it or a relation of it.
    #[must_use]
    pub fn is_of(&self, entity: &str) -> bool {
        self.entity_id() == entity || self.other_id() == Some(entity)
    }
}

impl GraphState {
    /// The entity, observation or relation with this id.
    #[must_use]
    pub fn item(&self, id: &str) -> Option<GraphItem> {
        let entity = || self.entity(id).cloned().map(GraphItem::Entity);
        let observation = || self.observation(id).cloned().map(GraphItem::Observation);
        let relation = || self.relation(id).cloned().map(GraphItem::Relation);
        entity().or_else(observation).or_else(relation)
    }
}

/// One change of an entity, an observation or a relation.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphChange {
    /// Counts the changes of the graph in their order. A number may be missing.
    pub number: i64,
    /// The time of the change.
    pub at: Timestamp,
    /// What happened.
    pub change: ItemChange,
    /// The id of the item.
    pub id: String,
    /// The item before the change; `None` if it was created.
    pub before: Option<GraphItem>,
    /// The item after it; `None` if it was deleted, or the history does not know it.
    pub after: Option<GraphItem>,
    /// The name of its entity, or of the source of a relation.
    pub entity: Option<String>,
    /// The name of the target of a relation.
    pub other: Option<String>,
    /// The name of the user; `None` if it is not known or the user does not exist any more.
    pub author: Option<String>,
    /// The key with which the change was made.
    pub key: Option<KeyId>,
    /// The first characters of that key, if it still exists and the caller may see them.
    pub key_prefix: Option<String>,
    /// The session of the client.
    pub session: Option<String>,
    /// The name of the tool.
    pub tool: Option<String>,
    /// What it took back, if it is of an undo.
    pub undoes: Option<UndoMark>,
    /// Whether it came with a transfer: its author is as the source named it, no user of this store.
    pub imported: bool,
    /// Who is known to have made it.
    pub origin: Origin,
}

impl GraphChange {
    /// Whether a user of this store of that name made the change.
    #[must_use]
    pub fn is_by(&self, user: &str) -> bool {
        !self.imported && self.author.as_deref() == Some(user)
    }

    /// What an undo asks of it.
    #[must_use]
    pub fn facts(&self) -> ChangeFacts<'_> {
        ChangeFacts {
            at: self.at,
            session: self.session.as_deref(),
            author: self.author.as_deref(),
            undoes: self.undoes.as_ref(),
            imported: self.imported,
        }
    }

    /// The item after the change, or before it if it was deleted.
    #[must_use]
    pub fn item(&self) -> Option<&GraphItem> {
        self.after.as_ref().or(self.before.as_ref())
    }
}

/// Whose changes are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GraphSubject {
    /// The whole graph.
    Project,
    /// An entity with its observations and relations, also a deleted one.
    Entity(EntityRef),
    /// The changes of one session of a client.
    Session(String),
}

/// A request for a page of changes, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphChangeQuery {
    /// Whose changes.
    pub subject: GraphSubject,
    /// Only changes of this time or later.
    pub since: Option<Timestamp>,
    /// Only changes before this time.
    pub until: Option<Timestamp>,
    /// Only changes of the user of this name.
    pub by: Option<String>,
    /// Only changes before this number.
    pub after: Option<i64>,
    /// The most changes; more than [`crate::limits::VERSIONS_LISTED`] are not returned.
    pub limit: usize,
}

impl GraphChangeQuery {
    /// Asks for at most `limit` of the newest changes.
    #[must_use]
    pub fn newest(subject: GraphSubject, limit: usize) -> Self {
        Self { subject, since: None, until: None, by: None, after: None, limit }
    }
}

/// A page of changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GraphChangePage {
    /// The changes, newest first.
    pub changes: Vec<GraphChange>,
    /// Where the list continues, see [`GraphChangeQuery::after`]; `None` at its end.
    pub next: Option<i64>,
}
