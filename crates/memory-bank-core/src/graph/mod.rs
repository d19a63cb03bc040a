//! The knowledge graph: entities, observations on them, and directed relations between them.
//!
//! All rules are free of I/O. A store with a log folds it into a [`state::GraphState`]; a store with rows uses the
//! same plans of [`rules`] on the rows that it has read.

pub mod batch;
pub(crate) mod bounded;
pub mod compact;
pub mod event;
pub(crate) mod facts;
pub mod history;
pub mod ids;
pub mod naming;
pub mod outline;
pub mod picture;
pub mod pointers;
pub mod query;
pub mod rules;
pub mod similar;
pub mod state;
pub mod timestamp;
pub mod validity;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::words::word_enum;

pub use validity::{Ending, Endings, FactView, Validity};

/// A node, identified by its normalised name and type (docs/file-format.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entity {
    /// `ent_…`
    pub id: String,
    /// The last spelling given.
    pub name: String,
    /// Its type.
    pub entity_type: String,
    /// Free attributes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attrs: Option<Map<String, Value>>,
    /// ISO 8601, as stored.
    pub created_at: String,
    /// ISO 8601, as stored.
    pub updated_at: String,
}

/// One fact about an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// `obs_…`
    pub id: String,
    /// The entity it belongs to.
    pub entity_id: String,
    /// The fact.
    pub text: String,
    /// Where it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ObservationSource>,
    /// When it was made, exactly as stored.
    pub timestamp: String,
    /// Its author; `None` for observations of earlier versions and other programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// From when until when it holds, and what it replaces; `None` for most facts.
    #[serde(flatten)]
    pub validity: Option<Box<Validity>>,
}

impl Observation {
    /// From when until when it holds, and what it replaces.
    #[must_use]
    pub fn validity(&self) -> &Validity {
        static NONE: Validity = Validity::NONE;
        self.validity.as_deref().unwrap_or(&NONE)
    }
}

/// Where an observation comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservationSource {
    /// How it was made.
    pub kind: SourceKind,
    /// A free reference.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

word_enum! {
    /// The kinds of sources of an observation.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum SourceKind {
        /// A person wrote it.
        Manual = "manual",
        /// A tool wrote it.
        Tool = "tool",
        /// It was imported.
        Import = "import",
        /// An agent wrote it.
        Agent = "agent",
    }
}

/// A directed edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Relation {
    /// `rel_…`
    pub id: String,
    /// The entity it starts from.
    pub from_id: String,
    /// The entity it leads to.
    pub to_id: String,
    /// Its type, in the first spelling given.
    pub relation_type: String,
    /// ISO 8601, as stored.
    pub created_at: String,
}
