//! What an undo does with the graph: each entity, observation and relation follows its own changes back; what depends on something
//! that stays, stays, too.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{FormerEntity, ItemReason, LeftItem, MAX_NAMED, UndoError, UndoReport, UndoRequest, UndoneItem};
use crate::caller::{Caller, Right};
use crate::error::GraphError;
use crate::graph::event::Event;
use crate::graph::history::{
    GraphChange, GraphChangeQuery, GraphItem, GraphSubject, ItemChange, ItemObstacle, ItemTakenBack,
    is_same_item, take_back_item,
};
use crate::graph::state::GraphState;
use crate::graph::{Endings, Entity, Relation};
use crate::history::HistorySource;
use crate::limits;
use crate::store::{Bank, EntityRef, GraphHistoryError, GraphPart};

/// For how many entities that others use these others are looked up.
const MAX_LOOKED_UP: usize = 20;
/// How long a database may take to delete what belongs to an entity: each of its changes has its own time.
const DELETED_WITHIN: SignedDuration = SignedDuration::from_secs(1);
/// How many of the newest changes of such an entity are searched for others.
const LOOKED_AT: usize = 50;

/// What an undo does with the graph.
#[derive(Default)]
pub(super) struct GraphPlan {
    items: Vec<Item>,
    resolved: Resolved,
    of_others: usize,
    /// For items that are left, by their place.
    former: BTreeMap<usize, FormerEntity>,
    /// The places of facts that have ended.
    ended: BTreeSet<usize>,
    /// What its rule needs to know of the graph.
    pub(super) part: GraphPart,
}

/// An item with changes of the set.
struct Item {
    id: String,
    /// All its changes since the first of the set, newest first.
    chain: Vec<GraphChange>,
    /// The numbers of those in the set.
    numbers: BTreeSet<i64>,
    taken: Result<ItemTakenBack, ItemObstacle>,
    /// Whether the caller may delete it.
    may_delete: bool,
}

/// What becomes of each item, by its place in the list.
#[derive(Default, PartialEq)]
struct Resolved {
    targets: BTreeMap<usize, Option<GraphItem>>,
    reasons: BTreeMap<usize, ItemReason>,
    unchanged: usize,
    /// Changes of others in entities that are used, one for each author.
    users: BTreeMap<usize, Vec<GraphChange>>,
}

impl GraphPlan {
    /// `versions`: how many versions of documents are in the set.
    pub(super) async fn of(
        bank: &dyn Bank,
        caller: &Caller,
        request: &UndoRequest,
        versions: usize,
    ) -> Result<Self, UndoError> {
        let mut plan = Self::default();
        if request.document.is_some() {
            return Ok(plan);
        }
        let (set, of_others) = changes_of(bank, caller, request, versions).await?;
        plan.of_others = of_others;
        let Some(from) = set.values().filter_map(|(_, numbers)| numbers.first().copied()).min() else {
            return Ok(plan);
        };
        let keys: Vec<(String, String)> =
            set.iter().map(|(id, (entity, _))| (entity.clone(), id.clone())).collect();
        let mut chains: BTreeMap<String, Vec<GraphChange>> = BTreeMap::new();
        for change in bank.item_changes(caller, &keys, from).await? {
            chains.entry(change.id.clone()).or_default().push(change);
        }
        for (id, (_, numbers)) in set {
            let mut chain = chains.remove(&id).unwrap_or_default();
            let oldest = numbers.first().copied().unwrap_or_default();
            chain.retain(|change| change.number >= oldest);
            plan.items.push(Item::of(id, chain, numbers, caller));
        }
        plan.part = part_of(&plan.items);
        let state = bank.graph_part(caller, &plan.part).await?;
        // If it changed since the chains were read, the edit finds that, too, and everything is read anew.
        plan.resolved = resolve(&plan.items, &state).unwrap_or_default();
        if let Some(now) = request.now {
            plan.ended = ended(&plan.items, &state, now);
        }
        plan.name_users(bank, caller).await?;
        plan.name_former(bank, caller, &state).await?;
        Ok(plan)
    }

    /// Looks up which versions bring the entities of items that are left back, and who deleted an entity that such an item needs.
    async fn name_former(
        &mut self,
        bank: &dyn Bank,
        caller: &Caller,
        state: &GraphState,
    ) -> Result<(), UndoError> {
        let reasons: Vec<(usize, ItemReason)> = self
            .resolved
            .reasons
            .iter()
            .take(MAX_LOOKED_UP)
            .map(|(place, reason)| (*place, *reason))
            .collect();
        for (place, reason) in reasons {
            let Some(item) = self.items.get(place) else { continue };
            let Some(shown) = item.chain.iter().find_map(GraphChange::item) else { continue };
            let ends = [Some(shown.entity_id()), shown.other_id()];
            let missing = ends.into_iter().flatten().find(|id| state.entity(id).is_none());
            let missing = missing.filter(|_| reason == ItemReason::NoEntity);
            let entity = missing.unwrap_or_else(|| shown.entity_id());
            let subject = GraphSubject::Entity(EntityRef(entity.to_owned()));
            let after = missing.map_or_else(|| item.numbers.first().copied(), |_| None);
            let query = GraphChangeQuery { after, ..GraphChangeQuery::newest(subject, LOOKED_AT) };
            let changes = match bank.list_graph_changes(caller, &query).await {
                Ok(page) => page.changes,
                // An erased history names nobody.
                Err(GraphHistoryError::Graph(GraphError::EntityNotFound { .. })) => continue,
                Err(error) => return Err(error.into()),
            };
            let deletes = |change: &&GraphChange| change.id == entity && change.change == ItemChange::Deleted;
            let deletion = changes.iter().find(deletes).filter(|_| missing.is_some());
            let before = match deletion {
                Some(deletion) => changes.iter().find(|change| !is_of_deletion(change, deletion)),
                None => changes.first().filter(|change| !deletes(change)),
            };
            let name = before.and_then(|change| name_in(change, entity)).unwrap_or(entity).to_owned();
            let former = before.map(|change| FormerEntity { name, number: change.number });
            let deletion = deletion.cloned();
            self.former.extend(former.map(|former| (place, former)));
            self.resolved.users.extend(deletion.map(|deletion| (place, vec![deletion])));
        }
        Ok(())
    }

    /// Looks up who added what keeps entities from being deleted.
    async fn name_users(&mut self, bank: &dyn Bank, caller: &Caller) -> Result<(), UndoError> {
        let used = self.resolved.reasons.iter().filter(|(_, reason)| **reason == ItemReason::InUse);
        let used: Vec<usize> = used.map(|(place, _)| *place).take(MAX_LOOKED_UP).collect();
        let mine: BTreeSet<i64> = self.items.iter().flat_map(|item| item.numbers.iter().copied()).collect();
        for place in used {
            let Some(item) = self.items.get(place) else { continue };
            let subject = GraphSubject::Entity(EntityRef(item.id.clone()));
            let query = GraphChangeQuery::newest(subject, LOOKED_AT);
            let changes = bank.list_graph_changes(caller, &query).await?.changes;
            let others = one_for_each_author(changes.iter().filter(|change| !mine.contains(&change.number)));
            self.resolved.users.insert(place, others);
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.resolved.targets.is_empty()
    }

    /// The changes of which the plan is made.
    pub(super) fn sources(&self) -> impl Iterator<Item = HistorySource> {
        let items = self.resolved.targets.keys().filter_map(|place| self.items.get(*place));
        let numbers: Vec<i64> = items.flat_map(|item| &item.chain).map(|change| change.number).collect();
        (!numbers.is_empty()).then_some(HistorySource::GraphChanges(numbers)).into_iter()
    }

    /// Adds what it does to the report.
    pub(super) fn report(&self, report: &mut UndoReport) {
        report.unchanged += self.resolved.unchanged;
        report.of_others += self.of_others;
        for (place, item) in self.items.iter().enumerate() {
            let names = |of: fn(&GraphChange) -> Option<&String>| item.chain.iter().find_map(of).cloned();
            let entity = names(|change| change.entity.as_ref());
            let other = names(|change| change.other.as_ref());
            if let Some(target) = self.resolved.targets.get(&place) {
                let was = item.present();
                let change = match (was, target) {
                    (_, None) => ItemChange::Deleted,
                    (None, _) => ItemChange::Created,
                    _ => ItemChange::Changed,
                };
                let changes = item.taken.as_ref().map_or(0, |taken| taken.changes);
                let is_merged = !item.others().is_empty();
                if let Some(shown) = target.as_ref().or(was).cloned() {
                    report.undone_items.push(UndoneItem {
                        item: shown,
                        entity,
                        other,
                        change,
                        changes,
                        is_merged,
                        is_ended: self.ended.contains(&place),
                    });
                }
            } else if let Some(reason) = self.resolved.reasons.get(&place) {
                let mut others = self.resolved.users.get(&place).cloned().unwrap_or_else(|| item.others());
                if others.is_empty() {
                    others.extend(item.chain.first().cloned());
                }
                let former = self.former.get(&place).cloned();
                let shown = item.chain.iter().find_map(GraphChange::item).cloned();
                let id = item.id.clone();
                let reason = *reason;
                report.left_items.push(LeftItem { item: shown, id, entity, other, reason, others, former });
            }
        }
    }

    /// The events on this graph; `None` if it is another one than the plan was made for.
    pub(super) fn events(&self, state: &GraphState, now: &str) -> Option<Vec<Event>> {
        let again = resolve(&self.items, state)?;
        if (&again.targets, &again.reasons) != (&self.resolved.targets, &self.resolved.reasons) {
            return None;
        }
        let ts = || now.to_owned();
        let (mut gone, mut gone_entities) = (Vec::new(), Vec::new());
        let (mut entities, mut added) = (Vec::new(), Vec::new());
        for (place, target) in &self.resolved.targets {
            let was = self.items.get(*place).and_then(Item::present);
            match (was, target) {
                (Some(GraphItem::Entity(was)), None) => {
                    gone_entities.push(Event::EntityDelete { entity_id: was.id.clone(), ts: ts() });
                }
                // An observation cannot be replaced, so one that changes goes, and comes back.
                (Some(GraphItem::Observation(was)), _) => gone.push(Event::ObservationDelete {
                    entity_id: was.entity_id.clone(),
                    observation_id: was.id.clone(),
                    ts: ts(),
                }),
                (Some(GraphItem::Relation(was)), _) => {
                    let Relation { from_id, to_id, relation_type, .. } = was.clone();
                    gone.push(Event::RelationRemove { from_id, to_id, relation_type, ts: ts() });
                }
                (Some(GraphItem::Entity(_)) | None, _) => {}
            }
            match target {
                Some(GraphItem::Entity(entity)) => {
                    let entity = Entity { updated_at: ts(), ..entity.clone() };
                    entities.push(Event::EntityUpsert { entity, ts: ts() });
                }
                Some(GraphItem::Observation(observation)) => {
                    added.push(Event::ObservationAdd { observation: observation.clone(), ts: ts() });
                }
                Some(GraphItem::Relation(relation)) => {
                    added.push(Event::RelationAdd { relation: relation.clone(), ts: ts() });
                }
                None => {}
            }
        }
        // What depends on an entity goes before it, and comes back after it.
        gone.extend(gone_entities);
        gone.extend(entities);
        gone.extend(added);
        Some(gone)
    }
}

impl Item {
    fn of(id: String, chain: Vec<GraphChange>, numbers: BTreeSet<i64>, caller: &Caller) -> Self {
        let taken = take_back_item(&chain, &|change| numbers.contains(&change.number));
        let creation = chain.iter().position(|change| change.before.is_none());
        let life = creation.and_then(|creation| chain.get(..=creation));
        let is_own = life.is_some_and(|life| life.iter().all(|change| change.is_by(&caller.user_name)));
        let is_relation = matches!(chain.first().and_then(GraphChange::item), Some(GraphItem::Relation(_)));
        // The policies of a database have the same rule.
        let may_delete = caller.may(Right::Admin) || is_relation || is_own;
        Self { id, chain, numbers, taken, may_delete }
    }

    /// The item as it is now, by its history.
    fn present(&self) -> Option<&GraphItem> {
        self.chain.first().and_then(|change| change.after.as_ref())
    }

    /// Changes of others since the first of the set, newest first, one for each author.
    fn others(&self) -> Vec<GraphChange> {
        one_for_each_author(self.chain.iter().filter(|change| !self.numbers.contains(&change.number)))
    }

    /// Whether it is what the history leads to.
    fn is_in(&self, state: &GraphState) -> bool {
        match (self.present(), self.chain.iter().find_map(GraphChange::item)) {
            (Some(GraphItem::Entity(entity)), _) => state.entity(&self.id) == Some(entity),
            (Some(GraphItem::Observation(one)), _) => state.observation(&self.id) == Some(one),
            (Some(GraphItem::Relation(relation)), _) => state.relation(&self.id) == Some(relation),
            (None, Some(GraphItem::Entity(_))) => state.entity(&self.id).is_none(),
            (None, Some(GraphItem::Observation(_))) => state.observation(&self.id).is_none(),
            (None, Some(GraphItem::Relation(_))) => state.relation(&self.id).is_none(),
            (None, None) => true,
        }
    }
}

/// Whether a change is the deletion of an entity, or of something that was deleted with it, shortly before or after it.
fn is_of_deletion(change: &GraphChange, deletion: &GraphChange) -> bool {
    let apart = deletion.at.duration_since(change.at).abs();
    change.number >= deletion.number
        || (change.change == ItemChange::Deleted
            && apart <= DELETED_WITHIN
            && change.session == deletion.session)
}

/// The name of an entity, as a change has it.
fn name_in<'c>(change: &'c GraphChange, entity: &str) -> Option<&'c str> {
    let is_own = change.item()?.entity_id() == entity;
    if is_own { change.entity.as_deref() } else { change.other.as_deref() }
}

fn one_for_each_author<'c>(changes: impl Iterator<Item = &'c GraphChange>) -> Vec<GraphChange> {
    let mut named: Vec<GraphChange> = Vec::new();
    for change in changes {
        if named.len() < MAX_NAMED && named.iter().all(|known| known.author != change.author) {
            named.push(change.clone());
        }
    }
    named
}

/// What the items need to know of the graph.
fn part_of(items: &[Item]) -> GraphPart {
    let mut part = GraphPart::default();
    for Item { id, chain, taken, .. } in items {
        match chain.iter().find_map(GraphChange::item) {
            Some(GraphItem::Entity(_)) => {
                part.entities.insert(id.clone());
                if taken.as_ref().is_ok_and(|taken| taken.item.is_none()) {
                    part.emptied.insert(id.clone());
                }
            }
            Some(GraphItem::Observation(observation)) => {
                part.observations.insert(id.clone());
                part.holding.insert(id.clone());
                part.entities.insert(observation.entity_id.clone());
            }
            Some(GraphItem::Relation(relation)) => {
                part.relations.insert(id.clone());
                part.entities.extend([relation.from_id.clone(), relation.to_id.clone()]);
            }
            None => {}
        }
    }
    part
}

/// The places of the facts that have ended.
fn ended(items: &[Item], state: &GraphState, now: Timestamp) -> BTreeSet<usize> {
    let mut endings: BTreeMap<&str, Endings<'_>> = BTreeMap::new();
    let has_ended = |item: &Item| {
        let Some(fact) = state.observation(&item.id) else { return false };
        let of_entity = endings.entry(&fact.entity_id);
        let known = of_entity.or_insert_with(|| state.endings_of(&fact.entity_id, now.as_millisecond()));
        known.get(fact).is_some()
    };
    let found: Vec<bool> = items.iter().map(has_ended).collect();
    found.iter().enumerate().filter(|(_, has_ended)| **has_ended).map(|(place, _)| place).collect()
}

/// What becomes of the items on this graph; `None` if their changes lead to another one.
fn resolve(items: &[Item], state: &GraphState) -> Option<Resolved> {
    let mut resolved = Resolved::default();
    for (place, item) in items.iter().enumerate() {
        if !item.is_in(state) {
            return None;
        }
        let has_all = item.numbers.iter().all(|number| item.chain.iter().any(|one| one.number == *number));
        match &item.taken {
            _ if !has_all => {
                resolved.reasons.insert(place, ItemReason::NoHistory);
            }
            Err(obstacle) => {
                resolved.reasons.insert(place, ItemReason::Obstacle(*obstacle));
            }
            Ok(taken) if is_same_item(taken.item.as_ref(), item.present()) => resolved.unchanged += 1,
            Ok(taken) if taken.item.is_none() && !item.may_delete => {
                resolved.reasons.insert(place, ItemReason::NotOwn);
            }
            Ok(taken) => {
                resolved.targets.insert(place, taken.item.clone());
            }
        }
    }
    while resolved.leave_dependent(items, state) {}
    Some(resolved)
}

impl Resolved {
    /// Leaves entities that have something that stays, and what belongs to entities that do not exist; returns whether there were
    /// some.
    fn leave_dependent(&mut self, items: &[Item], state: &GraphState) -> bool {
        let id_of = |place: &usize| items.get(*place).map(|item| item.id.as_str());
        let gone: BTreeSet<&str> = self
            .targets
            .iter()
            .filter(|(_, target)| target.is_none())
            .filter_map(|(place, _)| id_of(place))
            .collect();
        let there = || self.targets.values().flatten();
        let needed: BTreeSet<&str> = there()
            .filter(|item| !matches!(item, GraphItem::Entity(_)))
            .flat_map(|item| [Some(item.entity_id()), item.other_id()])
            .flatten()
            .collect();
        let back: BTreeSet<&str> =
            there().filter(|item| matches!(item, GraphItem::Entity(_))).map(GraphItem::id).collect();
        let has_what_stays = |id: &str| {
            needed.contains(id)
                || state.observations_of(id).any(|one| !gone.contains(one.id.as_str()))
                || state.relations_of(id).any(|one| !gone.contains(one.id.as_str()))
        };
        let mut left: Vec<(usize, ItemReason)> = Vec::new();
        for (place, target) in &self.targets {
            match target {
                None => {
                    let used = id_of(place).filter(|id| state.entity(id).is_some() && has_what_stays(id));
                    left.extend(used.map(|_| (*place, ItemReason::InUse)));
                }
                Some(GraphItem::Entity(_)) => {}
                Some(item) => {
                    let ends = [Some(item.entity_id()), item.other_id()];
                    // An entity that would go stays, since this needs it.
                    let is_missing = |id: &str| !back.contains(id) && state.entity(id).is_none();
                    if ends.into_iter().flatten().any(is_missing) {
                        left.push((*place, ItemReason::NoEntity));
                    }
                }
            }
        }
        for (place, reason) in &left {
            self.targets.remove(place);
            self.reasons.insert(*place, *reason);
        }
        !left.is_empty()
    }
}

/// The numbers of the changes to take back, by item, each with its entity.
type ChangeSet = BTreeMap<String, (String, BTreeSet<i64>)>;

/// The set, and how many changes are of others, which the caller may not take back.
async fn changes_of(
    bank: &dyn Bank,
    caller: &Caller,
    request: &UndoRequest,
    versions: usize,
) -> Result<(ChangeSet, usize), UndoError> {
    let subject = match (&request.entity, &request.session) {
        (Some(entity), _) => GraphSubject::Entity(entity.clone()),
        (None, Some(session)) => GraphSubject::Session(session.clone()),
        (None, None) => GraphSubject::Project,
    };
    let mut query = GraphChangeQuery {
        since: request.since,
        until: request.until,
        by: request.by.clone(),
        ..GraphChangeQuery::newest(subject, limits::VERSIONS_LISTED)
    };
    let (mut set, mut of_others, mut found) = (ChangeSet::new(), 0, versions);
    let is_meant = |change: &GraphChange| request.session.is_none() || change.session == request.session;
    loop {
        let page = bank.list_graph_changes(caller, &query).await?;
        for change in page.changes.iter().filter(|change| is_meant(change)) {
            if !caller.may(Right::Admin) && !change.is_by(&caller.user_name) {
                of_others += 1;
                continue;
            }
            let Some(item) = change.item() else { continue };
            found += 1;
            let entry = set.entry(change.id.clone());
            entry.or_insert_with(|| (item.entity_id().to_owned(), BTreeSet::new())).1.insert(change.number);
        }
        if found > limits::UNDO_VERSIONS {
            return Err(UndoError::TooMany);
        }
        if page.next.is_none() {
            return Ok((set, of_others));
        }
        query.after = page.next;
    }
}
