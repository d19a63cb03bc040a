//! The graph as rows. Rows are folded into the core's own graph, so that names, plans and sub-graphs follow the same
//! rules as in the folder store; this module decides only which rows a query needs, and how a change is written.

mod former;
mod history;
mod keys;
#[macro_use]
mod open;
mod outline;
mod part;
pub(crate) mod rows;
mod statements;
mod write;

use async_trait::async_trait;
use memory_bank_core::caller::Caller;
use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::graph::batch::BatchPlan;
use memory_bank_core::graph::event::Event;
use memory_bank_core::graph::ids::normalise;
use memory_bank_core::graph::naming::Lookup;
use memory_bank_core::graph::pointers::PointerPlan;
use memory_bank_core::graph::rules::{EntityPlan, ObservationPlan, check_owner, plan_relation};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::graph::{Entity, FactView, Observation, Relation};
use memory_bank_core::store::{
    BatchApplied, Compacted, EntityDeleted, EntityDraft, EntityRef, GraphBatch, GraphStats, GraphStore,
    GraphSummary, ObservationAdded, ObservationDraft, PointerAdded, PointerDraft, RelationRemoved, Subgraph,
};

use self::keys::Keys;
pub(crate) use self::part::{GraphWrites, PartKeys};
use self::rows::graph_of;
use self::write::{add, upsert};
use crate::bank::PostgresBank;
use crate::column::{answer, column, count};
use crate::tenant::{Query, Value};

const ALL_ENTITIES: &str = "SELECT id, name, entity_type, attrs::text, created_at, updated_at \
    FROM public.graph_entities WHERE project_id = $1 ORDER BY seq";
const ALL_OBSERVATIONS: &str = "SELECT id, entity_id, content, source::text, \"timestamp\", bounds::text \
    FROM public.graph_observations WHERE project_id = $1 ORDER BY seq";
const ALL_RELATIONS: &str = "SELECT id, from_entity_id, to_entity_id, relation_type, created_at \
    FROM public.graph_relations WHERE project_id = $1 ORDER BY seq";

const COUNTS: &str = "SELECT (SELECT count(*) FROM public.graph_entities WHERE project_id = $1), \
    (SELECT count(*) FROM public.graph_observations WHERE project_id = $1), \
    (SELECT count(*) FROM public.graph_relations WHERE project_id = $1)";
const TYPES: &str = "SELECT entity_type, count(*) FROM public.graph_entities WHERE project_id = $1 \
    GROUP BY entity_type ORDER BY count(*) DESC, min(seq) LIMIT 5";
/// The entities with the most relations and observations, and the most recently changed ones, with their ranks in
/// both. Observations that have ended at the moment `$2` are not counted; the last column is the number of ended observations of the project.
const BUSIEST: &str = concat!(
    "WITH nearest AS (SELECT id FROM public.graph_entities WHERE project_id = $1)",
    replaced_facts!("$2"),
    ", ended AS (SELECT entity_id, count(*) AS count FROM (SELECT entity_id, id FROM public.graph_observations \
    WHERE project_id = $1 AND ends_at <= $2 UNION SELECT entity_id, id FROM replaced) AS one GROUP BY entity_id), \
    o AS (SELECT entity_id, count(*) AS count, max(at) AS last FROM public.graph_observations \
    WHERE project_id = $1 GROUP BY entity_id), \
    ends AS (SELECT from_entity_id AS id, created_at FROM public.graph_relations WHERE project_id = $1 \
    UNION ALL SELECT to_entity_id, created_at FROM public.graph_relations \
    WHERE project_id = $1 AND to_entity_id <> from_entity_id), \
    r AS (SELECT id, count(*) AS count, max(created_at) AS last FROM ends GROUP BY id), \
    e AS (SELECT e.name, e.entity_type, e.seq, coalesce(o.count, 0) - coalesce(ended.count, 0) AS facts, \
    coalesce(o.count, 0) - coalesce(ended.count, 0) + coalesce(r.count, 0) AS links, \
    greatest((extract(epoch FROM greatest(e.updated_at, r.last)) * 1000)::bigint, o.last) AS touched \
    FROM public.graph_entities e LEFT JOIN o ON o.entity_id = e.id LEFT JOIN r ON r.id = e.id \
    LEFT JOIN ended ON ended.entity_id = e.id WHERE e.project_id = $1), \
    ranked AS (SELECT name, entity_type, facts, row_number() OVER (ORDER BY links DESC, touched DESC, seq DESC) AS busy, \
    row_number() OVER (ORDER BY touched DESC, seq DESC) AS late FROM e) \
    SELECT name, entity_type, facts, busy, late, (SELECT coalesce(sum(count), 0) FROM ended)::bigint \
    FROM ranked WHERE busy <= 5 OR late <= 5"
);
const PREFIXED: &str = "SELECT name FROM public.graph_entities WHERE project_id = $1 AND name_key >= $2 \
    AND starts_with(name_key, $2) GROUP BY name_key, name ORDER BY name_key, min(seq) LIMIT $3";

/// The five with the lowest rank, in its order.
fn first_five<T>(mut ranked: Vec<(i64, T)>) -> Vec<T> {
    ranked.compact_sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().take(5).map(|(_, one)| one).collect()
}

#[async_trait]
impl GraphStore for PostgresBank {
    async fn upsert_entity(&self, caller: &Caller, draft: EntityDraft) -> Result<Entity, GraphError> {
        let plan = EntityPlan::new(draft)?;
        let keys = Keys::default().id(&plan.id);
        self.write_graph(caller, &keys, |found, now| {
            let existing = found.state.entity(&plan.id).cloned();
            let entity = plan.clone().apply(existing.as_ref(), now)?;
            Ok((vec![upsert(&entity, now)], entity))
        })
        .await
    }

    async fn add_observation(
        &self,
        caller: &Caller,
        entity: &EntityRef,
        draft: ObservationDraft,
    ) -> Result<ObservationAdded, GraphError> {
        let plan = ObservationPlan::new(draft).map(|plan| plan.signed(&caller.author()));
        let mut keys = Keys::default().lookup(&Lookup::of(entity));
        if let Ok(plan) = &plan {
            keys = keys.fact(plan).related(&Lookup::of(entity), plan);
        }
        let added = self
            .write_graph(caller, &keys, |found, now| {
                let owner = found.state.resolve(entity)?;
                let plan = plan.as_ref().map_err(invalid)?;
                let observed = plan.apply(&owner.id, &[&found.state], now)?;
                let events = if observed.existed { Vec::new() } else { vec![add(&observed.observation)] };
                Ok((events, observed))
            })
            .await;
        self.with_suggestions(caller, added).await
    }

    async fn link(
        &self,
        caller: &Caller,
        from: &EntityRef,
        relation_type: &str,
        to: &EntityRef,
    ) -> Result<Relation, GraphError> {
        let keys = Keys::default().lookup(&Lookup::of(from)).lookup(&Lookup::of(to));
        let linked = self
            .write_graph(caller, &keys, |found, now| {
                let (from, to) = (found.state.resolve(from)?, found.state.resolve(to)?);
                let relation = plan_relation(&from.id, relation_type, &to.id, now)?;
                let event = Event::RelationAdd { relation: relation.clone(), ts: now.to_owned() };
                Ok((vec![event], relation))
            })
            .await;
        self.with_suggestions(caller, linked).await
    }

    async fn apply_batch(&self, caller: &Caller, batch: GraphBatch) -> Result<BatchApplied, GraphError> {
        let plan = BatchPlan::new(batch)?.signed(&caller.author());
        let mut keys = Keys::default().relations();
        for entity in &plan.entities {
            keys = keys.id(&entity.id);
        }
        for (entity, observation) in &plan.observations {
            let lookup = Lookup::of(entity);
            keys = keys.fact_of(&lookup, observation).related(&lookup, observation).lookup(&lookup);
        }
        for relation in &plan.relations {
            keys = keys.lookup(&Lookup::of(&relation.from)).lookup(&Lookup::of(&relation.to));
        }
        let applied = self.write_graph(caller, &keys, |found, now| plan.apply(&found.state, now)).await;
        self.with_suggestions(caller, applied).await
    }

    async fn unlink(
        &self,
        caller: &Caller,
        from: &EntityRef,
        relation_type: &str,
        to: &EntityRef,
    ) -> Result<RelationRemoved, GraphError> {
        let keys = Keys::default().lookup(&Lookup::of(from)).lookup(&Lookup::of(to)).relations();
        let unlinked = self
            .write_graph(caller, &keys, |found, now| {
                let (from, to) = (found.state.resolve(from)?, found.state.resolve(to)?);
                let Relation { id, from_id, to_id, relation_type, .. } =
                    plan_relation(&from.id, relation_type, &to.id, now)?;
                let removed = found.state.relation(&id).is_some();
                let answer = RelationRemoved { from_id: from_id.clone(), to_id: to_id.clone(), removed };
                let event = Event::RelationRemove { from_id, to_id, relation_type, ts: now.to_owned() };
                Ok((if removed { vec![event] } else { Vec::new() }, answer))
            })
            .await;
        self.with_suggestions(caller, unlinked).await
    }

    async fn delete_entity(&self, caller: &Caller, entity: &EntityRef) -> Result<EntityDeleted, GraphError> {
        let keys = Keys::default().lookup(&Lookup::of(entity));
        let deleted = self
            .write_graph(caller, &keys, |found, now| {
                let entity = found.state.resolve(entity)?.clone();
                let event = Event::EntityDelete { entity_id: entity.id.clone(), ts: now.to_owned() };
                // The statement before the deletion counts them.
                Ok((vec![event], EntityDeleted { entity, observations: 0, relations: 0 }))
            })
            .await;
        self.with_suggestions(caller, deleted).await
    }

    async fn delete_observation(
        &self,
        caller: &Caller,
        id: &str,
        owner: Option<&EntityRef>,
    ) -> Result<Observation, GraphError> {
        let mut keys = Keys::default().observation(id);
        if let Some(owner) = owner {
            keys = keys.lookup(&Lookup::of(owner));
        }
        let deleted = self
            .write_graph(caller, &keys, |found, now| {
                let Some(observation) = found.state.observation(id).cloned() else {
                    return Err(GraphError::ObservationNotFound(id.to_owned()));
                };
                if let Some(owner) = owner {
                    let named = found.state.resolve(owner)?;
                    check_owner(&observation, named, found.state.name_or_id(&observation.entity_id))?;
                }
                let event = Event::ObservationDelete {
                    entity_id: observation.entity_id.clone(),
                    observation_id: observation.id.clone(),
                    ts: now.to_owned(),
                };
                Ok((vec![event], observation))
            })
            .await;
        self.with_suggestions(caller, deleted).await
    }

    async fn add_pointer(
        &self,
        caller: &Caller,
        entity: &EntityRef,
        pointer: PointerDraft,
    ) -> Result<PointerAdded, GraphError> {
        let plan = PointerPlan::new(&pointer).map(|plan| plan.signed(&caller.author()));
        let mut keys = Keys::default().lookup(&Lookup::of(entity));
        if let Ok(plan) = &plan {
            keys = keys.fact(&plan.observation).related(&Lookup::of(entity), &plan.observation);
        }
        let pointed = self
            .write_graph(caller, &keys, |found, now| {
                let entity = found.state.resolve(entity)?;
                let pointed = plan.as_ref().map_err(invalid)?.apply(entity, &found.state, now)?;
                let mut events = Vec::new();
                if pointed.entity != *entity {
                    events.push(upsert(&pointed.entity, now));
                }
                if !pointed.existed {
                    events.push(add(&pointed.observation));
                }
                Ok((events, pointed))
            })
            .await;
        self.with_suggestions(caller, pointed).await
    }

    async fn open(
        &self,
        caller: &Caller,
        nodes: &[EntityRef],
        depth: u32,
        bytes: usize,
        view: FactView,
    ) -> Result<Subgraph, GraphError> {
        self.opened(caller, nodes, depth, bytes, view).await
    }

    async fn export(&self, caller: &Caller) -> Result<Subgraph, GraphError> {
        Ok(self.whole_graph(caller).await?.export())
    }

    async fn stats(&self, caller: &Caller) -> Result<GraphStats, GraphError> {
        let rows = self.database.read(caller, &[Query::new(COUNTS, &[&caller.project.0])]).await?;
        Ok(counts(&rows)?)
    }

    async fn summary(
        &self,
        caller: &Caller,
        holding_at: Option<i64>,
    ) -> Result<Option<GraphSummary>, GraphError> {
        let values: [Value<'_>; 2] = [&caller.project.0, &holding_at];
        let [counted, types] = [COUNTS, TYPES].map(|sql| Query::new(sql, &values[..1]));
        let rows = self.database.read(caller, &[counted, types, Query::new(BUSIEST, &values)]).await?;
        let mut stats = counts(&rows)?;
        if stats.entity_count == 0 {
            return Ok(None);
        }
        let types = answer(&rows, 1)
            .iter()
            .map(|row| Ok((column(row, 0)?, count(column(row, 1)?))))
            .collect::<Result<_, StoreError>>()?;
        let (mut busiest, mut recent) = (Vec::new(), Vec::new());
        if let Some(row) = answer(&rows, 2).first() {
            stats.observation_count = stats.observation_count.saturating_sub(count(column(row, 5)?));
        }
        for row in answer(&rows, 2) {
            let entity: (String, String, usize) = (column(row, 0)?, column(row, 1)?, count(column(row, 2)?));
            let (busy, late): (i64, i64) = (column(row, 3)?, column(row, 4)?);
            busiest.push((busy, entity.clone()));
            recent.push((late, entity));
        }
        Ok(Some(GraphSummary { stats, types, busiest: first_five(busiest), recent: first_five(recent) }))
    }

    async fn names(&self, caller: &Caller, prefix: &str, limit: usize) -> Result<Vec<String>, GraphError> {
        let prefix = normalise(prefix);
        if prefix.contains('\0') {
            return Ok(Vec::new());
        }
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let values: [Value<'_>; 3] = [&caller.project.0, &prefix, &most];
        let query = Query::new(PREFIXED, &values);
        let rows = self.database.read(caller, &[query]).await?;
        Ok(answer(&rows, 0).iter().map(|row| column(row, 0)).collect::<Result<_, _>>()?)
    }

    /// Nothing is derived here but the search index, which follows the rows by itself.
    async fn rebuild(&self, caller: &Caller) -> Result<GraphStats, GraphError> {
        self.counts_for_upkeep(caller).await
    }

    /// Rows have no history to compact.
    async fn compact(&self, caller: &Caller) -> Result<Compacted, GraphError> {
        let stats = self.counts_for_upkeep(caller).await?;
        let rows = stats.entity_count + stats.observation_count + stats.relation_count;
        Ok(Compacted { before: rows, after: rows })
    }
}

impl PostgresBank {
    /// All of it, in storage order.
    pub(crate) async fn whole_graph(&self, caller: &Caller) -> Result<GraphState, StoreError> {
        let values: [Value<'_>; 1] = [&caller.project.0];
        let queries = [ALL_ENTITIES, ALL_OBSERVATIONS, ALL_RELATIONS].map(|sql| Query::new(sql, &values));
        let rows = self.database.read(caller, &queries).await?;
        graph_of(answer(&rows, 0), answer(&rows, 1), answer(&rows, 2))
    }

    /// Counts as an edit: maintenance is for keys that may write, even if they may not read.
    async fn counts_for_upkeep(&self, caller: &Caller) -> Result<GraphStats, GraphError> {
        let values: [Value<'_>; 1] = [&caller.project.0];
        let query = Query::new(COUNTS, &values);
        let (transaction, rows) = self.database.begin(caller, &[query]).await.map_err(StoreError::from)?;
        transaction.roll_back().await;
        Ok(counts(&rows)?)
    }

    /// Only matching rows were read, so similar names are looked up if there was no match.
    async fn with_suggestions<T>(
        &self,
        caller: &Caller,
        result: Result<T, GraphError>,
    ) -> Result<T, GraphError> {
        let (at, requested) = match result {
            Err(GraphError::EntityNotFound { name: requested, .. }) => (None, requested),
            Err(GraphError::InBatch { at, error }) => match *error {
                GraphError::EntityNotFound { name: requested, .. } => (Some(at), requested),
                other => return Err(GraphError::InBatch { at, error: Box::new(other) }),
            },
            other => return other,
        };
        let suggestions = self.suggestions(caller, &requested).await?;
        let error = GraphError::EntityNotFound { name: requested, suggestions };
        Err(match at {
            Some(at) => GraphError::InBatch { at, error: Box::new(error) },
            None => error,
        })
    }
}

/// The errors in the arguments; repeated if the work is tried again.
fn invalid(error: &GraphError) -> GraphError {
    GraphError::Invalid(error.to_string())
}

fn counts(rows: &[Vec<tokio_postgres::Row>]) -> Result<GraphStats, StoreError> {
    let Some(row) = answer(rows, 0).first() else { return Ok(GraphStats::default()) };
    Ok(GraphStats {
        entity_count: count(column(row, 0)?),
        observation_count: count(column(row, 1)?),
        relation_count: count(column(row, 2)?),
    })
}
