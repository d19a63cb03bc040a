//! The input and the form of a pack of context.

use std::collections::HashMap;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::search::index::MatchedIn;
use crate::store::{DocumentsFound, GraphFound};

/// The bounds of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetedBounds {
    /// The ceiling of the whole reply, in characters.
    pub max_chars: usize,
    /// The most documents to take excerpts from.
    pub max_files: usize,
    /// Whether core documents go before others that are worth the same.
    pub prefer_core: bool,
}

/// The input of the pack.
#[derive(Debug, Clone, Copy)]
pub struct Material<'a> {
    /// The question.
    pub query: &'a str,
    /// The digest, cut to its share already.
    pub digest: &'a str,
    /// Results in the graph.
    pub graph: &'a GraphFound,
    /// Results in documents.
    pub documents: &'a DocumentsFound,
    /// The texts of the documents that could be read, by the path of their pointer.
    pub texts: &'a HashMap<String, String>,
}

/// A document that is worth reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContextPointer {
    /// The document.
    pub path: String,
    /// A heading in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heading_hint: Option<String>,
    /// The reason.
    pub reason: String,
    /// The entity that points to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_id: Option<String>,
}

/// The reply.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetedContext {
    /// The question; a long one is cut.
    pub query: String,
    /// The digest.
    pub digest: DigestPart,
    /// The graph's part.
    pub graph: GraphPart,
    /// Pointers to documents about it.
    pub pointers: Vec<ContextPointer>,
    /// The excerpts.
    pub excerpts: Vec<Excerpt>,
    /// The size.
    pub budget: Budget,
}

/// The digest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct DigestPart {
    /// Plain text.
    pub text: String,
    /// Its characters.
    pub chars: usize,
}

/// The graph's part.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct GraphPart {
    /// The entities that were found, best first.
    pub hits: Vec<GraphHit>,
    /// Details, the most informative first.
    pub opened: Opened,
}

/// An entity that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GraphHit {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its type.
    pub entity_type: String,
    /// From 0 to 100.
    #[serde(serialize_with = "whole_if_possible")]
    pub score: f64,
    /// Where it was found.
    pub matched_in: Vec<MatchedIn>,
}

/// Details of the graph.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Opened {
    /// The hits, then their neighbours.
    pub entities: Vec<OpenedEntity>,
    /// Matching observations first, then the newest of each hit.
    pub observations: Vec<OpenedObservation>,
    /// Relations that touch the hits.
    pub relations: Vec<OpenedRelation>,
}

/// An entity.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenedEntity {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its type.
    pub entity_type: String,
    /// Its attributes, if there was room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attrs: Option<Map<String, Value>>,
}

/// An observation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenedObservation {
    /// Its id.
    pub id: String,
    /// The entity it belongs to.
    pub entity_id: String,
    /// The text; cut if it did not fit.
    pub text: String,
    /// The time of the fact.
    pub timestamp: String,
}

/// A relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenedRelation {
    /// The entity it starts from.
    pub from_id: String,
    /// The entity it leads to.
    pub to_id: String,
    /// Its type.
    pub relation_type: String,
}

/// A part of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// The document.
    pub path: String,
    /// The text.
    pub excerpt: String,
    /// Its characters.
    pub chars: usize,
    /// Why this part.
    pub rationale: String,
}

/// The size of the reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// The ceiling.
    pub max_chars: usize,
    /// The characters of the reply as JSON.
    pub used_chars: usize,
    /// Whether anything was omitted or cut.
    pub truncated: bool,
    /// The omissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// Writes a score as 100 instead of 100.0, as the TypeScript server does. For `serialize_with`.
///
/// # Errors
/// The serializer's.
#[expect(clippy::cast_possible_truncation, reason = "scores lie between 0 and 100")]
pub fn whole_if_possible<S: Serializer>(score: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if score.fract() == 0.0 {
        serializer.serialize_i64(*score as i64)
    } else {
        serializer.serialize_f64(*score)
    }
}
