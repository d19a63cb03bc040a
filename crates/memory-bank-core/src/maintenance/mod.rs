//! Proposals to fold what a bank has gathered: repeated facts, ended facts, entities of one name, repeated entries of documents,
//! records of old sessions. No model is asked. A proposal is a pure function of the graph or of one document, and its id is derived
//! from the content that it concerns, so an id is void as soon as that content changes.

mod entries;
mod facts;
mod merge;
mod names;

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::document::DocumentPath;
use crate::error::EditError;
use crate::graph::event::Event;
use crate::graph::ids::derive;
use crate::graph::state::GraphState;
use crate::graph::timestamp::instant;
use crate::graph::{Entity, Observation, Relation};
use crate::store::GraphPart;
use crate::words::word_enum;

pub use entries::{fold_document, of_document};

/// The age in days after which facts and session records are old.
pub const OLD_DAYS: i32 = 30;
/// The most comparisons of two facts in one call.
const COMPARISONS: usize = 20_000;
/// The most of them for one entity, so that others get some, too.
const COMPARISONS_PER_ENTITY: usize = 2000;
/// The most characters of a text that a proposal quotes.
const QUOTED_CHARS: usize = 90;

word_enum! {
    /// What a proposal is about, in the order of a list.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum ProposalKind {
        /// Facts of one entity with the same text.
        Duplicate = "duplicate",
        /// Facts of one entity that say nearly the same.
        NearDuplicate = "nearDuplicate",
        /// Facts that ended long ago.
        Ended = "ended",
        /// Entities whose names differ by case, accents or plural.
        SameName = "sameName",
        /// An entry that a list of a document has twice.
        DuplicateEntry = "duplicateEntry",
        /// Records of old sessions.
        OldSessions = "oldSessions",
        /// Facts of one entity that differ in a number, a name or a negation. It is only shown.
        Contradiction = "contradiction",
    }
}

/// Something that can be folded.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Derived from the content that it concerns.
    pub id: String,
    /// Its subject.
    pub kind: ProposalKind,
    /// The name of the entity or of the document.
    pub about: String,
    /// Why, in one line.
    pub why: String,
    /// What it would change, in one line.
    pub change: String,
    /// The change; `None` if it is for a person to decide.
    pub fold: Option<Fold>,
}

/// What carries a proposal out.
#[derive(Debug, Clone, PartialEq)]
pub enum Fold {
    /// A change of the graph.
    Graph(GraphFold),
    /// A change of this document, which [`fold_document`] computes.
    Document(DocumentPath),
}

/// A change of the graph, and the items that it was computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphFold {
    precondition: Precondition,
    step: Step,
}

/// Items that must be what they were. The entities of the observations must exist.
#[derive(Debug, Clone, Default, PartialEq)]
struct Precondition {
    entities: Vec<Entity>,
    observations: Vec<Observation>,
    relations: Vec<Relation>,
    /// An entity that must have no other observations and relations than these.
    whole: Option<String>,
    /// An entity that must exist.
    present: Option<String>,
    /// Whether none of the observations may have ended.
    holds: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// These observations go.
    Remove(BTreeSet<String>),
    /// The fact is written again, and replaces both.
    Replace { stays: String, goes: String },
    /// What belongs to the first entity moves to the second one.
    Merge { from: String, into: String },
}

/// The proposals for a graph.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GraphProposals {
    /// The proposals.
    pub proposals: Vec<Proposal>,
    /// Whether there were more facts than one call compares.
    pub is_partial: bool,
}

/// The proposals for a graph at this time.
#[must_use]
pub fn of_graph(graph: &GraphState, now: Timestamp) -> GraphProposals {
    let (mut proposals, mut comparisons) = (names::same_names(graph), COMPARISONS);
    let mut is_partial = false;
    for entity in graph.entities() {
        is_partial |= facts::of_entity(graph, entity, now, &mut comparisons, &mut proposals);
    }
    GraphProposals { proposals, is_partial }
}

impl Proposal {
    fn new(kind: ProposalKind, about: &str, precondition: &[&str]) -> Self {
        let parts: Vec<&str> = [kind.as_str()].into_iter().chain(precondition.iter().copied()).collect();
        Self {
            id: derive("fold_", &parts),
            kind,
            about: about.to_owned(),
            why: String::new(),
            change: String::new(),
            fold: None,
        }
    }

    /// The items of the graph that it changes. Two proposals that share some cannot be carried out together.
    #[must_use]
    pub fn touches(&self) -> BTreeSet<&str> {
        match &self.fold {
            Some(Fold::Graph(fold)) => fold.touches(),
            Some(Fold::Document(_)) | None => BTreeSet::new(),
        }
    }
}

impl GraphFold {
    fn touches(&self) -> BTreeSet<&str> {
        match &self.step {
            Step::Remove(ids) => ids.iter().map(String::as_str).collect(),
            Step::Replace { stays, goes } => [stays.as_str(), goes.as_str()].into(),
            Step::Merge { from, .. } => {
                let facts = self.precondition.observations.iter().map(|fact| fact.id.as_str());
                facts.chain([from.as_str()]).collect()
            }
        }
    }

    /// Whether it deletes facts or an entity, which not everybody may.
    #[must_use]
    pub fn deletes(&self) -> bool {
        !matches!(self.step, Step::Replace { .. })
    }

    /// What it needs to know of the graph.
    #[must_use]
    pub fn part(&self) -> GraphPart {
        let Precondition { entities, observations, relations, whole, present, .. } = &self.precondition;
        let mut part = GraphPart::default();
        part.entities.extend(entities.iter().map(|entity| entity.id.clone()));
        part.entities.extend(observations.iter().map(|fact| fact.entity_id.clone()));
        part.entities.extend(present.clone());
        for relation in relations {
            part.entities.extend([relation.from_id.clone(), relation.to_id.clone()]);
        }
        part.observations.extend(observations.iter().map(|fact| fact.id.clone()));
        part.relations.extend(relations.iter().map(|relation| relation.id.clone()));
        if let Step::Merge { from, into } = &self.step {
            // What moves may exist at the other entity already.
            let moved = merge::moved_ids(&self.precondition, from, into);
            part.observations.extend(moved.observations);
            part.relations.extend(moved.relations);
        }
        part.emptied.extend(whole.clone());
        if self.precondition.holds {
            part.holding.extend(observations.iter().map(|fact| fact.id.clone()));
        }
        part
    }

    /// The events of the change by this author, on a graph that has at least [`Self::part`]; `None` if its items have changed since the
    /// proposal was computed.
    ///
    /// # Errors
    /// A rule of the graph refuses the change.
    pub fn events(
        &self,
        graph: &GraphState,
        author: &str,
        now: &str,
    ) -> Result<Option<Vec<Event>>, EditError> {
        // A fact that was replaced meanwhile is not replaced again, and no reason to remove another one.
        if !self.precondition.is_in(graph)
            || self.precondition.holds && !self.precondition.holds_in(graph, now)
        {
            return Ok(None);
        }
        match &self.step {
            Step::Remove(ids) => Ok(Some(self.removals(ids, now))),
            Step::Replace { stays, goes } => facts::replacement(graph, stays, goes, author, now).map(Some),
            Step::Merge { from, into } => merge::events(&self.precondition, graph, from, into, now),
        }
    }

    fn removals(&self, ids: &BTreeSet<String>, now: &str) -> Vec<Event> {
        let gone = self.precondition.observations.iter().filter(|fact| ids.contains(&fact.id));
        gone.map(|fact| Event::ObservationDelete {
            entity_id: fact.entity_id.clone(),
            observation_id: fact.id.clone(),
            ts: now.to_owned(),
        })
        .collect()
    }
}

impl Precondition {
    /// Whether none of the facts has ended, as far as this graph shows it.
    fn holds_in(&self, graph: &GraphState, now: &str) -> bool {
        let at = instant(now).unwrap_or(i64::MAX);
        self.observations.iter().all(|fact| graph.endings_of(&fact.entity_id, at).get(fact).is_none())
    }

    fn is_in(&self, graph: &GraphState) -> bool {
        let same = |known: Option<&Observation>, fact: &Observation| {
            known.is_some_and(|known| Observation { author: fact.author.clone(), ..known.clone() } == *fact)
        };
        let is_whole = self.whole.as_ref().is_none_or(|id| {
            let has_fact = |fact: &Observation| self.observations.iter().any(|known| known.id == fact.id);
            let has_relation = |one: &Relation| self.relations.iter().any(|known| known.id == one.id);
            graph.observations_of(id).all(has_fact) && graph.relations_of(id).all(has_relation)
        });
        is_whole
            && self.present.as_ref().is_none_or(|id| graph.entity(id).is_some())
            && self.entities.iter().all(|entity| graph.entity(&entity.id) == Some(entity))
            && self.observations.iter().all(|fact| {
                same(graph.observation(&fact.id), fact) && graph.entity(&fact.entity_id).is_some()
            })
            && self.relations.iter().all(|relation| graph.relation(&relation.id) == Some(relation))
    }
}

/// A text in one line, quoted and cut.
fn quoted(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= QUOTED_CHARS {
        return format!("`{line}`");
    }
    let cut: String = line.chars().take(QUOTED_CHARS - 1).collect();
    format!("`{}…`", cut.trim_end())
}

#[cfg(test)]
mod tests;
