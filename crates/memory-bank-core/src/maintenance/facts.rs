//! Facts of one entity: repeated ones, contrary ones, and those that ended long ago.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{
    COMPARISONS_PER_ENTITY, Fold, GraphFold, OLD_DAYS, Precondition, Proposal, ProposalKind, Step, quoted,
};
use crate::compact_sort::CompactSort as _;
use crate::error::{EditError, StoreError};
use crate::graph::event::Event;
use crate::graph::rules::ObservationPlan;
use crate::graph::similar::Similarity;
use crate::graph::similar::pairs::similar_pairs;
use crate::graph::state::GraphState;
use crate::graph::timestamp::instant;
use crate::graph::{Endings, Entity, Observation, Validity};
use crate::store::ObservationDraft;

/// The most facts that one proposal removes.
const MAX_REMOVED: usize = 200;
/// The most passes that exclude facts from a removal because they alone end others, which would hold again.
const ROUNDS: usize = 20;

/// Adds the proposals for the facts of an entity. Returns whether it had more pairs than comparisons were left.
pub(super) fn of_entity(
    graph: &GraphState,
    entity: &Entity,
    now: Timestamp,
    comparisons: &mut usize,
    proposals: &mut Vec<Proposal>,
) -> bool {
    let at = now.as_millisecond();
    let endings = graph.endings_of(&entity.id, at);
    let mut holding: Vec<&Observation> =
        graph.observations_of(&entity.id).filter(|fact| endings.get(fact).is_none()).collect();
    in_order(&mut holding);
    let holding = without_duplicates(entity, holding, proposals);
    // A fact with times of its own may say nearly the same of another time.
    let timeless: Vec<&Observation> = holding.into_iter().filter(|fact| has_no_times(fact)).collect();
    let allowed = COMPARISONS_PER_ENTITY.min(*comparisons);
    let mut own = allowed;
    if timeless.len() > 1 {
        let mut is_taken = BTreeSet::new();
        for (one, other, similarity) in similar_pairs(&timeless, &mut own) {
            let (Some(older), Some(newer)) = (timeless.get(one), timeless.get(other)) else { continue };
            match similarity {
                Similarity::Contradicts => proposals.push(contradiction(entity, older, newer)),
                // Of three that say the same, two can be folded now.
                Similarity::Repeats if !is_taken.contains(&one) && !is_taken.contains(&other) => {
                    is_taken.extend([one, other]);
                    proposals.push(near_duplicate(entity, older, newer));
                }
                Similarity::Repeats => {}
            }
        }
    }
    *comparisons -= allowed - own;
    proposals.extend(ended(graph, entity, &endings, now));
    own == 0 && timeless.len() > 1
}

/// Sorts facts by time: an undo may have brought them back in another order, and a proposal has the same id then.
fn in_order(facts: &mut [&Observation]) {
    facts.compact_sort_by(|one, other| {
        (instant(&one.timestamp), &one.id).cmp(&(instant(&other.timestamp), &other.id))
    });
}

fn has_no_times(fact: &Observation) -> bool {
    let Validity { valid_from, valid_until, expires_at, .. } = fact.validity();
    valid_from.is_none() && valid_until.is_none() && expires_at.is_none()
}

/// Plans the removal of facts. If others are kept in their place, none of all these may have ended when the plan is applied.
fn remove(kept: &[&Observation], removed: &[&Observation]) -> Fold {
    let observations = kept.iter().chain(removed).map(|fact| (*fact).clone()).collect();
    let precondition = Precondition { observations, holds: !kept.is_empty(), ..Precondition::default() };
    Fold::Graph(GraphFold {
        precondition,
        step: Step::Remove(removed.iter().map(|fact| fact.id.clone()).collect()),
    })
}

/// Proposes to keep the oldest of facts with the same text, and returns the facts that would be left. Facts with bounds or that
/// replace others stay: without them something else would hold.
fn without_duplicates<'g>(
    entity: &Entity,
    facts: Vec<&'g Observation>,
    proposals: &mut Vec<Proposal>,
) -> Vec<&'g Observation> {
    let mut by_text: BTreeMap<&str, Vec<&Observation>> = BTreeMap::new();
    for fact in facts.iter().filter(|fact| fact.validity().is_empty()) {
        by_text.entry(fact.text.as_str()).or_default().push(fact);
    }
    let mut gone: BTreeSet<&str> = BTreeSet::new();
    for (text, same) in by_text {
        let Some((kept, removed)) = same.split_first().filter(|(_, removed)| !removed.is_empty()) else {
            continue;
        };
        let removed = removed.get(..removed.len().min(MAX_REMOVED)).unwrap_or_default();
        gone.extend(removed.iter().map(|fact| fact.id.as_str()));
        let ids: Vec<&str> =
            [&kept.id].into_iter().chain(removed.iter().map(|fact| &fact.id)).map(String::as_str).collect();
        proposals.push(Proposal {
            why: format!("{} facts have the text {}", ids.len(), quoted(text)),
            change: format!(
                "keeps the oldest, of {}; removes {}",
                kept.timestamp,
                counted(removed.len(), "fact")
            ),
            fold: Some(remove(&[kept], removed)),
            ..Proposal::new(ProposalKind::Duplicate, &entity.name, &ids)
        });
    }
    facts.into_iter().filter(|fact| !gone.contains(fact.id.as_str())).collect()
}

/// A number of things in words.
pub(super) fn counted(number: usize, thing: &str) -> String {
    match (number, thing.strip_suffix('y')) {
        (1, _) => format!("1 {thing}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {thing}s"),
    }
}

fn near_duplicate(entity: &Entity, older: &Observation, newer: &Observation) -> Proposal {
    // The one with more words says more; of equal ones, the newer one was written by somebody who knew more.
    let words = |fact: &Observation| fact.text.split_whitespace().count();
    let (stays, goes) = if words(older) > words(newer) { (older, newer) } else { (newer, older) };
    let precondition = Precondition {
        observations: vec![stays.clone(), goes.clone()],
        holds: true,
        ..Precondition::default()
    };
    let step = Step::Replace { stays: stays.id.clone(), goes: goes.id.clone() };
    Proposal {
        why: format!("{} says nearly the same as {}", quoted(&goes.text), quoted(&stays.text)),
        change: format!(
            "writes {} again, which supersedes both; they stay as ended facts",
            quoted(&stays.text)
        ),
        fold: Some(Fold::Graph(GraphFold { precondition, step })),
        ..Proposal::new(ProposalKind::NearDuplicate, &entity.name, &[&stays.id, &goes.id])
    }
}

fn contradiction(entity: &Entity, older: &Observation, newer: &Observation) -> Proposal {
    Proposal {
        why: format!(
            "{} and {} differ in a number, a name or a negation",
            quoted(&older.text),
            quoted(&newer.text)
        ),
        change: format!(
            "none: if one is wrong, write the right one again with graph_add_observation and supersedes `{}` or `{}`",
            older.id, newer.id
        ),
        ..Proposal::new(ProposalKind::Contradiction, &entity.name, &[&older.id, &newer.id])
    }
}

/// The fact is written again, and replaces both.
pub(super) fn replacement(
    graph: &GraphState,
    stays: &str,
    goes: &str,
    author: &str,
    now: &str,
) -> Result<Vec<Event>, EditError> {
    let missing = || {
        EditError::Store(StoreError::Damaged {
            what: "a proposal".into(),
            detail: "a fact is missing".into(),
        })
    };
    let fact = graph.observation(stays).ok_or_else(missing)?;
    let draft = ObservationDraft {
        text: fact.text.clone(),
        source: fact.source.clone(),
        timestamp: None,
        validity: Validity { supersedes: vec![stays.to_owned(), goes.to_owned()], ..Validity::default() },
    };
    let refused = |error: crate::error::GraphError| EditError::Refused(error.to_string());
    let plan = ObservationPlan::new(draft).map_err(refused)?.compared_with(0).signed(author);
    let added = plan.apply(&fact.entity_id, &[graph], now).map_err(refused)?.observation;
    Ok(vec![Event::ObservationAdd { ts: added.timestamp.clone(), observation: added }])
}

/// Proposes to remove the facts that ended long ago, but for those without which others would hold again.
fn ended(graph: &GraphState, entity: &Entity, endings: &Endings<'_>, now: Timestamp) -> Option<Proposal> {
    if endings.is_empty() {
        return None;
    }
    let at = now.as_millisecond();
    let day = now.checked_sub(SignedDuration::from_hours(24 * i64::from(OLD_DAYS))).unwrap_or(now);
    let mut all: Vec<&Observation> =
        graph.observations_of(&entity.id).filter(|fact| endings.get(fact).is_some()).collect();
    in_order(&mut all);
    let is_old =
        |fact: &&&Observation| endings.get(fact).is_some_and(|ending| ending.at < day.as_millisecond());
    let mut removed: Vec<&Observation> = all.iter().filter(is_old).take(MAX_REMOVED).copied().collect();
    for _ in 0..ROUNDS {
        let gone: BTreeSet<&str> = removed.iter().map(|fact| fact.id.as_str()).collect();
        let rest = graph.bounded_of(&entity.id).filter(|fact| !gone.contains(fact.id.as_str()));
        let left = Endings::of(rest, at, |id| graph.observation(id));
        let revived =
            all.iter().filter(|fact| !gone.contains(fact.id.as_str()) && left.get(fact) != endings.get(fact));
        let needed: BTreeSet<&str> =
            revived.filter_map(|fact| endings.get(fact)?.superseded_by.as_deref()).collect();
        if needed.is_empty() {
            let first = removed.first()?;
            let ids: Vec<&str> = removed.iter().map(|fact| fact.id.as_str()).collect();
            return Some(Proposal {
                why: format!(
                    "{} ended more than {OLD_DAYS} days ago, such as {}",
                    counted(removed.len(), "fact"),
                    quoted(&first.text)
                ),
                change: "removes what ended; the history keeps it".to_owned(),
                fold: Some(remove(&[], &removed)),
                ..Proposal::new(ProposalKind::Ended, &entity.name, &ids)
            });
        }
        removed.retain(|fact| !needed.contains(fact.id.as_str()));
    }
    None
}
