//! Search within one project. The ranking is [`crate::search`]'s; a store keeps its index and returns the results.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::caller::Caller;
use crate::compact_sort::CompactSort as _;
use crate::document::{DocumentPath, core_rank, is_leftover};
use crate::error::{GraphError, StoreError};
use crate::graph::{Ending, Entity, FactView, Observation, Relation};
use crate::limits;
use crate::search::{
    DenseCount, DocumentHits, DocumentQuery, Index, LineHit, MatchedIn, MentionSearch, Mentions, Query,
};

/// A search in documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentSearch {
    /// The words and phrases.
    pub query: Query,
    /// The names to search, as requested; empty = all documents.
    pub files: Vec<String>,
    /// The most hits to return.
    pub limit: usize,
    /// Whether a hit must contain a word of the query in the same letter case.
    pub case_sensitive: bool,
    /// The first and the last day of hits, in UTC, by the date of the entry or section, else by the last change of
    /// the document.
    pub days: (Option<Date>, Option<Date>),
    /// The moment at which decisions must hold, in milliseconds since 1970; `None` finds ended ones, too.
    pub holding_at: Option<i64>,
}

/// The documents of a store, for a search.
pub trait SearchedDocuments {
    /// The names of the searched documents.
    fn names(&self) -> impl Iterator<Item = &str>;

    /// Whether there is a searched document of exactly this name.
    fn contains(&self, name: &str) -> bool;

    /// The documents that cannot be searched, with the reasons.
    fn unreadable(&self) -> impl Iterator<Item = (&str, &str)>;

    /// The reason if the document of exactly this name cannot be searched.
    fn why_unreadable(&self, name: &str) -> Option<&str>;
}

impl DocumentSearch {
    /// Searches the documents of a store in its index.
    pub fn run(&self, index: &Index, documents: &impl SearchedDocuments) -> DocumentsFound {
        let (mut searched, mut files, mut skipped): (Vec<&str>, Vec<String>, Vec<(&str, String)>) =
            Default::default();
        if self.files.is_empty() {
            searched = documents.names().collect();
            searched.compact_sort_by_key(|name| (core_rank(name), *name));
        } else {
            for requested in &self.files {
                match stored_name(documents, requested) {
                    Ok(stored) => {
                        searched.push(requested);
                        files.push(stored);
                    }
                    Err(reason) => skipped.push((requested, reason)),
                }
            }
        }
        let found = index.search_documents(&DocumentQuery {
            query: self.query.clone(),
            files: (!self.files.is_empty()).then_some(files),
            limit: self.limit,
            case_sensitive: self.case_sensitive,
            days: self.days,
            holding_at: self.holding_at,
        });
        let unreadable = documents.unreadable().filter(|_| self.files.is_empty());
        let skipped = skipped.iter().map(|(name, reason)| (*name, reason.as_str()));
        DocumentsFound::new(found, searched, skipped.chain(unreadable))
    }
}

/// The name under which a document is stored, or the reason why it is not searched.
fn stored_name(documents: &impl SearchedDocuments, requested: &str) -> Result<String, String> {
    let path = DocumentPath::parse(requested).map_err(|error| error.to_string())?;
    let spelling = path.existing_spelling(|name| documents.contains(name));
    if let Some(name) = spelling.or_else(|| path.find(documents.names()).map(str::to_owned)) {
        return Ok(name);
    }
    if is_leftover(requested) {
        return Err("what editors and sync tools leave behind is not searched".to_owned());
    }
    let spellings = path.spellings();
    let why = spellings.iter().find_map(|name| documents.why_unreadable(name));
    Err(why.unwrap_or("there is no such document").to_owned())
}

/// The results in documents, best first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DocumentsFound {
    /// The lines.
    pub hits: Vec<LineHit>,
    /// Whether there are more than the limit allowed.
    pub more: bool,
    /// The searched names: as requested, or all documents, the core documents first; at most [`limits::NAMES_BYTES`]
    /// of them.
    pub searched: Vec<String>,
    /// How many more were searched.
    pub searched_left: usize,
    /// The names that were not searched, within the same bound.
    pub skipped: Vec<SkippedDocument>,
    /// How many more were not searched.
    pub skipped_left: usize,
    /// Quoted phrases that occur nowhere, so their words were searched.
    pub missing_phrases: Vec<String>,
    /// Words that occur nowhere, so similar ones were searched.
    pub unknown_words: Vec<String>,
    /// How many passages with words of the query are left out, since their decisions have ended.
    pub ended: usize,
    /// How many vectors exist; `None` for a query without a vector, or while no model is set.
    pub meaning: Option<DenseCount>,
}

impl DocumentsFound {
    /// The results with the names of searched and skipped documents, within their bounds.
    pub fn new<'a>(
        found: DocumentHits,
        searched: impl IntoIterator<Item = &'a str>,
        skipped: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let DocumentHits { hits, more, missing_phrases, unknown_words, ended, meaning } = found;
        let mut found =
            Self { hits, more, missing_phrases, unknown_words, ended, meaning, ..Self::default() };
        let mut room = limits::NAMES_BYTES;
        for name in searched {
            if takes(&mut room, name.len()) {
                found.searched.push(name.to_owned());
            } else {
                found.searched_left += 1;
            }
        }
        let mut room = limits::NAMES_BYTES;
        for (file, reason) in skipped {
            if takes(&mut room, file.len() + reason.len()) {
                found.skipped.push(SkippedDocument { file: file.to_owned(), reason: reason.to_owned() });
            } else {
                found.skipped_left += 1;
            }
        }
        found
    }
}

/// Subtracts an item from the room; returns whether it fits. After the first one that does not fit, no other fits.
fn takes(room: &mut usize, bytes: usize) -> bool {
    /// The bytes of quotes, indentation and line ends.
    const OVERHEAD_BYTES: usize = 16;
    let left = room.checked_sub(bytes + OVERHEAD_BYTES);
    *room = left.unwrap_or_default();
    left.is_some()
}

/// A document that was not searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedDocument {
    /// The name as requested, or as stored.
    pub file: String,
    /// Why, without a path of the host.
    pub reason: String,
}

/// A search in the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphSearch {
    /// The words; `None` = everything, in storage order.
    pub query: Option<Query>,
    /// The most entities, and the most observations, to return.
    pub limit: usize,
    /// How many rounds of neighbours to add; 0 = none. At most [`crate::limits::NEIGHBOURS`] of them come.
    pub depth: u32,
    /// The most bytes that are loaded: entities and relations take at most half of them each, observations at most
    /// all.
    pub bytes: usize,
    /// How many results are skipped.
    pub skip: Skip,
    /// Which facts are found and shown.
    pub view: FactView,
}

/// How many results of a search of the graph were in earlier replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Skip {
    /// Entities; neighbours do not count.
    pub entities: usize,
    /// Observations.
    pub observations: usize,
}

/// The results in the graph.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GraphFound {
    /// The results, best first.
    pub entities: Vec<EntityFound>,
    /// Its neighbours, nearest first; with score 0.
    pub neighbours: Vec<EntityFound>,
    /// The matching observations, best first.
    pub observations: Vec<ObservationFound>,
    /// The relations that touch the results, and those among the neighbours; at most
    /// [`crate::limits::RELATIONS_FOUND`].
    pub relations: Vec<RelationFound>,
    /// Whether there are more entities, observations, neighbours or relations than the limits allowed.
    pub more: bool,
    /// Whether there are more entities or observations than the limit allowed.
    pub more_hits: bool,
    /// How many of the entities and neighbours did not fit into the bytes.
    pub entities_left: usize,
    /// How many of the observations.
    pub observations_left: usize,
    /// How many of the relations.
    pub relations_left: usize,
    /// The ends of observations that are shown although they have ended, by id.
    pub endings: HashMap<String, Ending>,
    /// How many observations are not shown since they have ended: those that match, and others of these entities.
    pub ended_left: usize,
}

/// An entity that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityFound {
    /// The entity.
    pub entity: Entity,
    /// From 0 to 100; comparable within one reply only.
    pub score: f64,
    /// Where it was found.
    pub matched_in: Vec<MatchedIn>,
    /// Its matching observations, best first; without matches, the newest. All, newest first, if an entity was
    /// requested by its exact name. At most a quarter of the loaded bytes.
    pub observations: Vec<Observation>,
    /// How many observations it has that the view shows.
    pub observation_count: usize,
    /// How many relations it has.
    pub relation_count: usize,
}

/// An observation that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservationFound {
    /// The observation.
    pub observation: Observation,
    /// The name of its entity, or the id if the entity is missing.
    pub entity_name: String,
    /// From 0 to 100.
    pub score: f64,
}

/// A relation with the names of its ends, or the id of a missing entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationFound {
    /// The relation.
    pub relation: Relation,
    /// The name it starts from.
    pub from_name: String,
    /// The name it leads to.
    pub to_name: String,
}

/// Search of one project.
#[async_trait]
pub trait SearchStore: Send + Sync {
    /// Finds lines in the current documents.
    async fn search_documents(
        &self,
        caller: &Caller,
        request: &DocumentSearch,
    ) -> Result<DocumentsFound, StoreError>;

    /// Finds the current documents that contain a name.
    async fn mentions(&self, caller: &Caller, request: &MentionSearch) -> Result<Mentions, StoreError>;

    /// Finds entities and observations.
    async fn search_graph(&self, caller: &Caller, request: &GraphSearch) -> Result<GraphFound, GraphError>;
}
