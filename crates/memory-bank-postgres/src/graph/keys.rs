//! The rows that a change of the graph may concern, as the values of its first round trip.

use memory_bank_core::graph::naming::Lookup;
use memory_bank_core::graph::rules::ObservationPlan;

/// The rows that a change may concern.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    pub(super) ids: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) observations: Vec<String>,
    pub(super) relations: bool,
    /// An entity whose observations and relations are all meant.
    pub(super) whole: Option<String>,
    pub(super) fact: Option<Fact>,
    pub(super) facts: Facts,
    pub(super) related: Related,
    /// The changes of which the change is made, by their numbers.
    pub(super) made_of: Vec<i64>,
}

/// Facts that a new one is compared with or may replace: the newest of the entities, and those that are named by id or text.
#[derive(Debug, Clone, Default)]
pub(super) struct Related {
    /// How many of the newest facts of each entity; 0 if none are needed.
    pub(super) newest: i64,
    pub(super) ids: Vec<Option<String>>,
    pub(super) names: Vec<Option<String>>,
    pub(super) wanted: Vec<String>,
}

/// Facts that may exist already, as columns: a row for each key of the entity that a fact may belong to.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) ids: Vec<Option<String>>,
    pub(super) names: Vec<Option<String>>,
    pub(super) texts: Vec<String>,
    pub(super) kinds: Vec<Option<&'static str>>,
    pub(super) references: Vec<Option<String>>,
    pub(super) timestamps: Vec<Option<String>>,
}

/// A fact that may exist already.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub(super) text: String,
    pub(super) kind: Option<&'static str>,
    pub(super) reference: Option<String>,
    pub(super) timestamp: Option<String>,
}

impl Keys {
    /// The entity with this id.
    pub(super) fn id(mut self, id: &str) -> Self {
        self.ids.push(id.to_owned());
        self
    }

    /// The entities that a word may mean. No name contains a null character, and no statement can contain one.
    pub(super) fn lookup(mut self, lookup: &Lookup) -> Self {
        let storable = |text: &&String| !text.is_empty() && !text.contains('\0');
        self.ids.extend(Some(&lookup.id).filter(storable).cloned());
        self.names.extend(Some(&lookup.name).filter(storable).cloned());
        self.names.extend(lookup.typed.iter().map(|(name, _)| name).filter(storable).cloned());
        self
    }

    /// This observation, with its entity.
    pub(super) fn observation(mut self, id: &str) -> Self {
        if !id.contains('\0') {
            self.observations.push(id.to_owned());
        }
        self
    }

    /// The entities' observations that may equal this fact.
    pub(super) fn fact(mut self, plan: &ObservationPlan) -> Self {
        let source = plan.source.as_ref();
        self.fact = Some(Fact {
            text: plan.text.clone(),
            kind: source.map(|source| source.kind.as_str()),
            reference: source.and_then(|source| source.reference.clone()),
            timestamp: plan.timestamp().map(str::to_owned),
        });
        self
    }

    /// The observations of the entities that a word may mean that may equal this fact; one of many.
    pub(super) fn fact_of(mut self, lookup: &Lookup, plan: &ObservationPlan) -> Self {
        let source = plan.source.as_ref();
        for (id, name) in owners_of(lookup) {
            self.facts.ids.push(id);
            self.facts.names.push(name);
            self.facts.texts.push(plan.text.clone());
            self.facts.kinds.push(source.map(|source| source.kind.as_str()));
            self.facts.references.push(source.and_then(|source| source.reference.clone()));
            self.facts.timestamps.push(plan.timestamp().map(str::to_owned));
        }
        self
    }

    /// The facts of the entities that a word may mean with which this one is compared, and those that it names.
    pub(super) fn related(mut self, lookup: &Lookup, plan: &ObservationPlan) -> Self {
        self.related.newest = i64::try_from(plan.compared()).unwrap_or(i64::MAX);
        for wanted in std::iter::once(&plan.text).chain(&plan.validity.supersedes) {
            for (id, name) in owners_of(lookup) {
                self.related.ids.push(id);
                self.related.names.push(name);
                self.related.wanted.push(wanted.clone());
            }
        }
        self
    }

    /// All observations and relations of this entity, too.
    pub(super) fn whole(mut self, id: &str) -> Self {
        self.whole = Some(id.to_owned());
        self
    }

    /// The relations among the entities, too.
    pub(super) fn relations(mut self) -> Self {
        self.relations = true;
        self
    }
}

/// The ids and names of entities that a word may mean, one of the two each.
fn owners_of(lookup: &Lookup) -> impl Iterator<Item = (Option<String>, Option<String>)> {
    let storable = |text: &&String| !text.is_empty() && !text.contains('\0');
    let names = [Some(&lookup.name), lookup.typed.as_ref().map(|(name, _)| name)];
    let names = names.into_iter().flatten().filter(storable).map(|name| (None, Some(name.clone())));
    let ids = Some(&lookup.id).filter(storable).map(|id| (Some(id.clone()), None));
    ids.into_iter().chain(names)
}
