//! A change of the graph: the rows that it may concern are read and locked in one round trip, the core decides, and a
//! second round trip writes and commits.

use memory_bank_core::caller::{Caller, ProjectId, Right};
use memory_bank_core::clock::iso_millis;
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::graph::event::Event;
use memory_bank_core::graph::{Entity, Observation};
use memory_bank_core::limits;
use memory_bank_core::store::{Change, EntityDeleted, ObservationAdded};
use uuid::Uuid;

use super::keys::{Fact, Facts, Keys, Related};
use super::rows::{Found, graph_of, observation_of, relation_of};
use super::statements::Write;
use crate::bank::PostgresBank;
use crate::column::{answer, column};
use crate::documents::versions::{SET_CHANGE, SettingOfChange};
use crate::history_sources::{SourceColumns, check, queries};
use crate::quota::{StoredBytes, USAGE};
use crate::tenant::{Failure, Query, TRIES, Transaction, Value};

/// The entities of the keys. An array of ids, since no index serves a subquery beside `OR`.
const LOCK_ENTITIES: &str = "SELECT id, name, entity_type, attrs::text, created_at, updated_at \
    FROM public.graph_entities e WHERE project_id = $1 AND (id = ANY ($2) OR name_key = ANY ($3) OR id = ANY (ARRAY( \
    SELECT o.entity_id FROM public.graph_observations o WHERE o.project_id = $1 AND o.id = ANY ($4)))) \
    ORDER BY seq FOR NO KEY UPDATE";
const LOCK_OBSERVATIONS: &str = "SELECT id, entity_id, content, source::text, \"timestamp\", bounds::text \
    FROM public.graph_observations WHERE project_id = $1 AND id = ANY ($2) FOR UPDATE";
const LOCK_RELATIONS: &str = "SELECT r.id, r.from_entity_id, r.to_entity_id, r.relation_type, r.created_at \
    FROM public.graph_relations r WHERE r.project_id = $1 \
    AND r.from_entity_id IN (SELECT id FROM public.graph_entities WHERE project_id = $1 AND (id = ANY ($2) OR name_key = ANY ($3))) \
    AND r.to_entity_id IN (SELECT id FROM public.graph_entities WHERE project_id = $1 AND (id = ANY ($2) OR name_key = ANY ($3))) \
    ORDER BY r.seq FOR UPDATE";
const LOCK_OWN_OBSERVATIONS: &str = "SELECT id, entity_id, content, source::text, \"timestamp\", bounds::text \
    FROM public.graph_observations WHERE project_id = $1 AND entity_id = $2 ORDER BY seq FOR UPDATE";
const LOCK_OWN_RELATIONS: &str = "SELECT id, from_entity_id, to_entity_id, relation_type, created_at \
    FROM public.graph_relations WHERE project_id = $1 AND (from_entity_id = $2 OR to_entity_id = $2) \
    ORDER BY seq FOR UPDATE";

/// The entities' observations that may equal a fact: the first with this text and source, and those whose timestamp
/// it may need, so that two sources of the same text in one millisecond both stay. The entities are locked, so nobody
/// adds to them meanwhile.
const SAME_FACTS: &str = "SELECT f.id, f.entity_id, f.content, f.source, f.\"timestamp\", f.bounds FROM public.graph_entities e \
    CROSS JOIN LATERAL ( \
    (SELECT o.id, o.entity_id, o.content, o.source::text AS source, o.\"timestamp\", o.bounds::text AS bounds, o.seq FROM public.graph_observations o \
    WHERE o.project_id = $1 AND o.entity_id = e.id AND o.content_hash = hashtextextended($4, 0) AND o.content = $4 \
    AND o.source->>'kind' IS NOT DISTINCT FROM $5 AND o.source->>'ref' IS NOT DISTINCT FROM $6 ORDER BY o.seq LIMIT 1) \
    UNION \
    (SELECT o.id, o.entity_id, o.content, o.source::text, o.\"timestamp\", o.bounds::text, o.seq FROM public.graph_observations o \
    WHERE o.project_id = $1 AND o.entity_id = e.id AND o.content_hash = hashtextextended($4, 0) AND o.content = $4 \
    AND (o.at >= $7 OR o.\"timestamp\" = $8) ORDER BY (o.\"timestamp\" = $8) DESC NULLS LAST, o.at, o.seq LIMIT 64) \
    ) AS f WHERE e.project_id = $1 AND (e.id = ANY ($2) OR e.name_key = ANY ($3)) ORDER BY f.seq";

/// Existing facts that equal one of many new ones. Each input row is a new fact with one key of the entity that it may belong to.
const SAME_FACTS_OF_MANY: &str = "SELECT f.id, f.entity_id, f.content, f.source, f.\"timestamp\", f.bounds \
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) \
    AS wanted (id, name, content, kind, ref, at) \
    CROSS JOIN LATERAL ( \
    SELECT e.id FROM public.graph_entities e WHERE e.project_id = $1 AND e.id = wanted.id \
    UNION \
    SELECT e.id FROM public.graph_entities e WHERE e.project_id = $1 AND e.name_key = wanted.name \
    ) AS owner CROSS JOIN LATERAL ( \
    (SELECT o.id, o.entity_id, o.content, o.source::text AS source, o.\"timestamp\", o.bounds::text AS bounds, o.seq FROM public.graph_observations o \
    WHERE o.project_id = $1 AND o.entity_id = owner.id AND o.content_hash = hashtextextended(wanted.content, 0) \
    AND o.content = wanted.content AND o.source->>'kind' IS NOT DISTINCT FROM wanted.kind \
    AND o.source->>'ref' IS NOT DISTINCT FROM wanted.ref ORDER BY o.seq LIMIT 1) \
    UNION \
    (SELECT o.id, o.entity_id, o.content, o.source::text, o.\"timestamp\", o.bounds::text, o.seq FROM public.graph_observations o \
    WHERE o.project_id = $1 AND o.entity_id = owner.id AND o.content_hash = hashtextextended(wanted.content, 0) \
    AND o.content = wanted.content AND (o.at >= $8 OR o.\"timestamp\" = wanted.at) \
    ORDER BY (o.\"timestamp\" = wanted.at) DESC NULLS LAST, o.at, o.seq LIMIT 64) \
    ) AS f ORDER BY f.seq";

/// Facts with which new ones are compared, or that they may replace: the newest of the entities, if they are short enough, and
/// those that are wanted by id or text; and the facts that replaced one of these. `OFFSET 0` makes it look up an id before it
/// asks for the entity, which may have very many.
const RELATED_FACTS: &str = "WITH owner AS ( \
    SELECT e.id FROM public.graph_entities e WHERE e.project_id = $1 AND (e.id = ANY ($2) OR e.name_key = ANY ($3)) \
    ), found AS ( \
    SELECT n.id FROM owner CROSS JOIN LATERAL ( \
    SELECT o.id, o.content FROM public.graph_observations o WHERE o.project_id = $1 AND o.entity_id = owner.id \
    ORDER BY o.at DESC, o.seq DESC LIMIT $4) AS n WHERE octet_length(n.content) <= $5 \
    UNION \
    SELECT w.id FROM unnest($6::text[], $7::text[], $8::text[]) AS wanted (id, name, content) \
    CROSS JOIN LATERAL ( \
    SELECT e.id FROM public.graph_entities e WHERE e.project_id = $1 AND e.id = wanted.id \
    UNION \
    SELECT e.id FROM public.graph_entities e WHERE e.project_id = $1 AND e.name_key = wanted.name \
    ) AS of CROSS JOIN LATERAL ( \
    (SELECT o.id FROM public.graph_observations o WHERE o.project_id = $1 AND o.entity_id = of.id \
    AND o.content_hash = hashtextextended(wanted.content, 0) AND o.content = wanted.content ORDER BY o.seq DESC LIMIT 64) \
    UNION ALL \
    (SELECT p.id FROM (SELECT o.id, o.entity_id FROM public.graph_observations o \
    WHERE o.project_id = $1 AND o.id = wanted.content OFFSET 0) AS p WHERE p.entity_id = of.id) \
    ) AS w) \
    SELECT o.id, o.entity_id, o.content, o.source::text, o.\"timestamp\", o.bounds::text FROM public.graph_observations o \
    WHERE o.project_id = $1 AND o.id IN (SELECT id FROM found UNION ALL \
    SELECT s.id FROM owner JOIN public.graph_observations s ON s.project_id = $1 AND s.entity_id = owner.id \
    WHERE s.supersedes IS NOT NULL AND s.supersedes && (SELECT array_agg(found.id) FROM found)) ORDER BY o.seq";

impl PostgresBank {
    /// Reads and locks the rows of `keys`, lets `decide` compute the change, and writes it. `decide` may run more
    /// than once. An existing fact or relation stays unchanged and is returned.
    pub(super) async fn write_graph<T>(
        &self,
        caller: &Caller,
        keys: &Keys,
        mut decide: impl FnMut(&Found, &str) -> Result<(Vec<Event>, T), GraphError> + Send,
    ) -> Result<T, GraphError>
    where
        T: Stored + Send,
    {
        // The changes decide which right is needed; the policies check it.
        if !caller.may(Right::Write) && !caller.may(Right::Admin) {
            return Err(StoreError::Denied.into());
        }
        for _ in 0..TRIES {
            match self.try_write(caller, keys, &mut decide).await {
                Ok(answer) => return Ok(answer),
                Err(Refusal::Graph(error)) => return Err(error),
                Err(Refusal::Failed(Failure::Store(error))) => return Err(error.into()),
                Err(Refusal::Failed(Failure::Conflict(met))) => {
                    tracing::debug!(met, "a change of the graph conflicted with another one; retrying");
                }
            }
        }
        Err(StoreError::Busy.into())
    }

    async fn try_write<T: Stored + Send>(
        &self,
        caller: &Caller,
        keys: &Keys,
        decide: &mut (impl FnMut(&Found, &str) -> Result<(Vec<Event>, T), GraphError> + Send),
    ) -> Result<T, Refusal> {
        let project = caller.project.0;
        let entities: [Value<'_>; 4] = [&project, &keys.ids, &keys.names, &keys.observations];
        let observations: [Value<'_>; 2] = [&project, &keys.observations];
        let relations: [Value<'_>; 3] = [&project, &keys.ids, &keys.names];
        let sources = SourceColumns::of_changes(&keys.made_of);
        let made_of = sources.values(&project);
        let mut reads = Vec::new();
        // Before any row, as an undo does: in another order the two wait for each other when an erasure waits between them.
        if !keys.made_of.is_empty() {
            reads.extend(queries(&made_of));
        }
        let entities_at = reads.len();
        reads.push(Query::new(LOCK_ENTITIES, &entities));
        let since = self.database.deps.clock.now().as_millisecond();
        let fact: [Value<'_>; 8] = match &keys.fact {
            Some(Fact { text, kind, reference, timestamp }) => {
                [&project, &keys.ids, &keys.names, text, kind, reference, &since, timestamp]
            }
            None => [&project; 8],
        };
        let Facts { ids, names, texts, kinds, references, timestamps } = &keys.facts;
        let facts: [Value<'_>; 8] = [&project, ids, names, texts, kinds, references, timestamps, &since];
        let whole: [Value<'_>; 2] = [&project, &keys.whole];
        let observations_at = reads.len();
        if keys.whole.is_some() {
            reads.push(Query::new(LOCK_OWN_OBSERVATIONS, &whole));
        } else if !keys.observations.is_empty() {
            reads.push(Query::new(LOCK_OBSERVATIONS, &observations));
        } else if keys.fact.is_some() {
            reads.push(Query::new(SAME_FACTS, &fact));
        } else if !texts.is_empty() {
            reads.push(Query::new(SAME_FACTS_OF_MANY, &facts));
        }
        let relations_at = reads.len();
        if keys.whole.is_some() {
            reads.push(Query::new(LOCK_OWN_RELATIONS, &whole));
        } else if keys.relations {
            reads.push(Query::new(LOCK_RELATIONS, &relations));
        }
        let Related { newest, ids, names, wanted } = &keys.related;
        let longest = i32::try_from(limits::COMPARED_BYTES).unwrap_or(i32::MAX);
        let related: [Value<'_>; 8] =
            [&project, &keys.ids, &keys.names, newest, &longest, ids, names, wanted];
        let related_at = reads.len();
        if *newest > 0 {
            reads.push(Query::new(RELATED_FACTS, &related));
        }
        let usage: [Value<'_>; 1] = [&project];
        let usage_at = reads.len();
        reads.push(Query::new(USAGE, &usage));
        let (transaction, rows) = self.database.begin(caller, &reads).await?;
        if !keys.made_of.is_empty()
            && let Err(error) = check(answer(&rows, 1))
        {
            transaction.roll_back().await;
            return Err(Refusal::Graph(error.into()));
        }
        let between = |from: usize, to: usize| if from < to { answer(&rows, from) } else { &[] };
        let (observations, relations) =
            (between(observations_at, relations_at), between(relations_at, related_at));
        let related = between(related_at, usage_at);
        let now = iso_millis(self.database.deps.clock.now());
        let decided = graph_of(answer(&rows, entities_at), observations.iter().chain(related), relations)
            .map_err(GraphError::from)
            .and_then(|state| {
                let found = Found { state };
                decide(&found, &now).map(|decision| (found, decision))
            });
        let (found, (events, decided)) = match decided {
            Ok(decided) => decided,
            Err(error) => {
                transaction.roll_back().await;
                return Err(Refusal::Graph(error));
            }
        };
        if events.is_empty() {
            transaction.roll_back().await;
            return Ok(decided);
        }
        let held = StoredBytes::of(answer(&rows, usage_at))?;
        self.commit_events_within_quota(transaction, project, &held, &found, &events, decided).await
    }

    /// Writes the events and commits, unless the project would exceed its quota.
    async fn commit_events_within_quota<T: Stored + Send>(
        &self,
        transaction: Transaction,
        project: Uuid,
        held: &StoredBytes,
        found: &Found,
        events: &[Event],
        decided: T,
    ) -> Result<T, Refusal> {
        let added = events.iter().map(|event| bytes_added(event, found)).sum();
        if let Err(full) = self.database.admit(held, added) {
            transaction.roll_back().await;
            return Err(Refusal::Graph(GraphError::Invalid(full)));
        }
        let change = SettingOfChange::in_context(self.database.keeps_history, &self.context);
        let decided = commit_events(transaction, project, found, events, decided, &change).await?;
        self.database.deps.sink.changed(ProjectId(project), Change::Graph);
        Ok(decided)
    }
}

/// Writes the events and commits. If the stored rows are the answer, returns them.
async fn commit_events<T: Stored + Send>(
    transaction: Transaction,
    project: Uuid,
    found: &Found,
    events: &[Event],
    decided: T,
    change: &SettingOfChange,
) -> Result<T, Refusal> {
    let writes: Vec<Write> = events.iter().map(|event| Write::of(event, found)).collect::<Result<_, _>>()?;
    let values: Vec<Vec<Value<'_>>> = writes.iter().map(|write| write.values(&project)).collect();
    let mut queries: Vec<Query<'_>> =
        writes.iter().zip(&values).map(|(write, values)| Query::new(write.sql(), values)).collect();
    let id = decided.id().map(str::to_owned);
    let stored: [Value<'_>; 2] = [&project, &id];
    let change: [Value<'_>; 2] = [&change.change, &change.versions];
    queries.insert(0, Query::new(SET_CHANGE, &change));
    let place = if T::BEFORE { 1 } else { queries.len() };
    if let Some(sql) = T::STORED {
        queries.insert(place, Query::new(sql, &stored));
    }
    let rows = transaction.commit(&queries).await?;
    if T::STORED.is_some()
        && let Some(row) = rows.get(place).and_then(|rows| rows.first())
    {
        return Ok(T::of(row, decided)?);
    }
    Ok(decided)
}

/// Estimates the bytes that a change adds, as the triggers count them.
pub(super) fn bytes_added(event: &Event, found: &Found) -> i64 {
    /// The overhead of a row.
    const ROW_OVERHEAD_BYTES: usize = 200;
    let json = |value: Option<usize>| value.unwrap_or_default();
    let entity = |entity: &Entity| {
        ROW_OVERHEAD_BYTES
            + 2 * entity.name.len()
            + json(
                entity
                    .attrs
                    .as_ref()
                    .and_then(|attrs| serde_json::to_string(attrs).ok())
                    .map(|text| text.len()),
            )
    };
    let (after, before) = match event {
        Event::EntityUpsert { entity: new, .. } => {
            (entity(new), found.state.entity(&new.id).map(entity).unwrap_or_default())
        }
        Event::ObservationAdd { observation, .. } => {
            (ROW_OVERHEAD_BYTES + observation.text.len() + observation.validity().bytes(), 0)
        }
        Event::RelationAdd { relation, .. } => (ROW_OVERHEAD_BYTES + relation.relation_type.len(), 0),
        _ => (0, 0),
    };
    i64::try_from(after).unwrap_or(i64::MAX) - i64::try_from(before).unwrap_or(i64::MAX)
}

/// Why an attempt failed.
pub(super) enum Refusal {
    Graph(GraphError),
    Failed(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Failed(Failure::Store(error))
    }
}

/// The rows that a change returns. If two callers add the same fact or relation, both get the stored one.
pub(super) trait Stored: Sized {
    /// The statement that reads the stored rows, by project and id.
    const STORED: Option<&'static str> = None;
    /// Whether they are read before the change, in the same transaction.
    const BEFORE: bool = false;

    /// The id to read.
    fn id(&self) -> Option<&str> {
        None
    }

    /// The stored rows.
    fn of(_row: &tokio_postgres::Row, planned: Self) -> Result<Self, StoreError> {
        Ok(planned)
    }
}

impl Stored for Entity {}

impl Stored for EntityDeleted {
    const STORED: Option<&'static str> = Some(
        "SELECT (SELECT count(*) FROM public.graph_observations WHERE project_id = $1 AND entity_id = $2), \
         (SELECT count(*) FROM public.graph_relations WHERE project_id = $1 AND (from_entity_id = $2 OR to_entity_id = $2))",
    );
    const BEFORE: bool = true;

    fn id(&self) -> Option<&str> {
        Some(&self.entity.id)
    }

    fn of(row: &tokio_postgres::Row, planned: Self) -> Result<Self, StoreError> {
        let count = |at| column::<i64>(row, at).map(|count| usize::try_from(count).unwrap_or(0));
        Ok(Self { observations: count(0)?, relations: count(1)?, ..planned })
    }
}

impl Stored for Observation {}
impl Stored for memory_bank_core::graph::history::EntityRestored {}
impl Stored for memory_bank_core::store::BatchApplied {}
impl Stored for memory_bank_core::store::RelationRemoved {}
impl Stored for memory_bank_core::store::PointerAdded {}

impl Stored for ObservationAdded {
    const STORED: Option<&'static str> = Some(
        "SELECT id, entity_id, content, source::text, \"timestamp\", bounds::text FROM public.graph_observations \
         WHERE project_id = $1 AND id = $2",
    );

    fn id(&self) -> Option<&str> {
        Some(&self.observation.id)
    }

    fn of(row: &tokio_postgres::Row, planned: Self) -> Result<Self, StoreError> {
        Ok(Self { observation: observation_of(row)?, ..planned })
    }
}

impl Stored for memory_bank_core::graph::Relation {
    const STORED: Option<&'static str> = Some(
        "SELECT id, from_entity_id, to_entity_id, relation_type, created_at FROM public.graph_relations \
         WHERE project_id = $1 AND id = $2",
    );

    fn id(&self) -> Option<&str> {
        Some(&self.id)
    }

    fn of(row: &tokio_postgres::Row, _planned: Self) -> Result<Self, StoreError> {
        relation_of(row)
    }
}

/// The event that puts an entity.
pub(super) fn upsert(entity: &Entity, now: &str) -> Event {
    Event::EntityUpsert { entity: entity.clone(), ts: now.to_owned() }
}

/// The event that adds a fact.
pub(super) fn add(observation: &Observation) -> Event {
    Event::ObservationAdd { observation: observation.clone(), ts: observation.timestamp.clone() }
}
