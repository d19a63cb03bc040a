//! Plans an observation beside those that an entity has: it exists already, or is added and may replace others.

use std::collections::BTreeMap;

use crate::error::GraphError;
use crate::graph::ids::observation_id;
use crate::graph::rules::ObservationPlan;
use crate::graph::similar::similar_facts;
use crate::graph::state::GraphState;
use crate::graph::timestamp::{self, instant};
use crate::graph::{Endings, Observation, Validity};
use crate::limits;
use crate::store::ObservationAdded;

/// The ids of these facts and the newest of those that they replaced, which stay replaced if one of these facts is deleted.
fn with_former(replaced: &[&Observation], own: &str) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    let direct = replaced.iter().map(|fact| &fact.id);
    let most = replaced.len() + limits::SUPERSEDED_FACTS;
    for id in direct.chain(replaced.iter().flat_map(|fact| &fact.validity().supersedes)) {
        if ids.len() < most && id != own && !ids.contains(id) {
            ids.push(id.clone());
        }
    }
    ids
}

/// The known facts of an entity: graphs with a part of them each, in the order of storage.
struct Known<'a> {
    graphs: &'a [&'a GraphState],
    entity_id: &'a str,
    endings: Endings<'a>,
}

impl<'a> Known<'a> {
    fn observation(&self, id: &str) -> Option<&'a Observation> {
        self.graphs.iter().find_map(|graph| graph.observation(id))
    }

    /// The newest fact that replaced these before, by the id of the replaced one, unless it is replaced now, too.
    fn replaced_before(&self, replaced: &[&Observation]) -> BTreeMap<String, String> {
        let is_replaced = |id: &str| replaced.iter().any(|fact| fact.id == id);
        let mut already = BTreeMap::new();
        for by in self.graphs.iter().flat_map(|graph| graph.bounded_of(self.entity_id)) {
            for id in by.validity().supersedes.iter().filter(|id| is_replaced(id) && !is_replaced(&by.id)) {
                already.insert(id.clone(), by.id.clone());
            }
        }
        already
    }

    fn holds(&self, fact: &Observation) -> bool {
        self.endings.get(fact).is_none()
    }

    /// The facts that these words of a caller name: one by its id, or those with exactly this text that hold; if none does, the
    /// last one.
    fn named(&self, given: &str) -> Result<Vec<&'a Observation>, GraphError> {
        if let Some(fact) = self.observation(given).filter(|fact| fact.entity_id == self.entity_id) {
            return Ok(vec![fact]);
        }
        let same: Vec<&Observation> = self
            .graphs
            .iter()
            .flat_map(|graph| graph.observations_of(self.entity_id))
            .filter(|fact| fact.text == given)
            .collect();
        let holding: Vec<&Observation> = same.iter().copied().filter(|fact| self.holds(fact)).collect();
        match (holding.is_empty(), same.last()) {
            (false, _) => Ok(holding),
            (true, Some(last)) => Ok(vec![last]),
            (true, None) => Err(GraphError::Invalid(format!(
                "supersedes names `{}`, which this entity has no fact of; give the id or the exact text of one of its facts, as \
                 graph_open_nodes shows them",
                given.chars().take(limits::ECHO_CHARS).collect::<String>()
            ))),
        }
    }
}

impl ObservationPlan {
    /// The observation of this entity: the existing one, or the one to add. Without a given time, an observation with
    /// the same text and source that holds exists already; the first stored one is returned. With a given time, only one with
    /// the same text and time is the same. Other bounds than those of the existing one make a new one, which replaces it.
    ///
    /// `known` are graphs of which each has a part of the entity's facts, in the order of storage.
    ///
    /// # Errors
    /// A fact that it should replace does not exist, or it exists with this time and other bounds.
    pub fn apply(
        &self,
        entity_id: &str,
        known: &[&GraphState],
        now: &str,
    ) -> Result<ObservationAdded, GraphError> {
        let moment = instant(now).unwrap_or(i64::MAX);
        let bounded = known.iter().flat_map(|graph| graph.bounded_of(entity_id));
        let find = |id: &str| known.iter().find_map(|graph| graph.observation(id));
        let endings = Endings::of(bounded, moment, find);
        let known = Known { graphs: known, entity_id, endings };
        let mut replaced: Vec<&Observation> = Vec::new();
        for given in &self.validity.supersedes {
            for fact in known.named(given)? {
                if replaced.iter().all(|known| known.id != fact.id) {
                    replaced.push(fact);
                }
            }
        }
        if self.timestamp.is_none() {
            let mut same = known
                .graphs
                .iter()
                .flat_map(|graph| graph.same_facts(entity_id, &self.text, self.source.as_ref()));
            if let Some(existing) = same.find(|fact| known.holds(fact)) {
                if self.is_covered_by(existing, &replaced) {
                    return Ok(ObservationAdded::existing(existing));
                }
                if replaced.iter().all(|known| known.id != existing.id) {
                    replaced.push(existing);
                }
            }
        }
        self.added(&known, &replaced, now)
    }

    fn added(
        &self,
        known: &Known<'_>,
        replaced: &[&Observation],
        now: &str,
    ) -> Result<ObservationAdded, GraphError> {
        let mut at = self.timestamp.clone().unwrap_or_else(|| now.to_owned());
        loop {
            let id = observation_id(known.entity_id, &self.text, &at);
            let taken = known.observation(&id);
            if let (Some(existing), Some(given)) = (taken, &self.timestamp) {
                if self.is_covered_by(existing, replaced) {
                    return Ok(ObservationAdded::existing(existing));
                }
                return Err(GraphError::Invalid(format!(
                    "this fact exists with the timestamp `{given}` and other bounds; leave out `timestamp`, so that it is \
                     written anew and replaces the existing one"
                )));
            }
            // The same text from another source in the same millisecond is another observation, so it gets the next
            // millisecond.
            if let (Some(existing), true) = (taken, self.timestamp.is_none()) {
                match timestamp::next_millisecond(&at) {
                    Some(later) => at = later,
                    None => return Ok(ObservationAdded::existing(existing)),
                }
                continue;
            }
            let supersedes = with_former(replaced, &id);
            let observation = Observation {
                id,
                entity_id: known.entity_id.to_owned(),
                text: self.text.clone(),
                source: self.source.clone(),
                timestamp: at,
                author: self.author.clone(),
                validity: Validity { supersedes, ..self.validity.clone() }.stored(),
            };
            let newest = known
                .graphs
                .iter()
                .rev()
                .flat_map(|graph| graph.observations_of(known.entity_id).rev().take(self.compared));
            let others = newest
                .take(self.compared)
                .filter(|fact| known.holds(fact) && !observation.validity().supersedes.contains(&fact.id));
            return Ok(ObservationAdded {
                similar: similar_facts(&self.text, others),
                superseded: replaced.iter().copied().cloned().collect(),
                already: known.replaced_before(replaced),
                observation,
                existed: false,
            });
        }
    }

    /// Whether an existing fact has the bounds that are wanted, and replaces what it should.
    fn is_covered_by(&self, existing: &Observation, replaced: &[&Observation]) -> bool {
        let times = |validity: &Validity| {
            (validity.valid_from.clone(), validity.valid_until.clone(), validity.expires_at.clone())
        };
        let replaces = |fact: &&&Observation| {
            fact.id != existing.id && !existing.validity().supersedes.contains(&fact.id)
        };
        self.validity.is_empty()
            || (times(&self.validity) == times(existing.validity())
                && !replaced.iter().any(|fact| replaces(&fact)))
    }
}

impl ObservationAdded {
    /// An observation that existed already.
    fn existing(observation: &Observation) -> Self {
        Self {
            observation: observation.clone(),
            existed: true,
            superseded: Vec::new(),
            already: BTreeMap::new(),
            similar: Vec::new(),
        }
    }
}
