//! A part of the graph, item by item: reads it, and locks it for a change that is made together with an edit of documents.

use memory_bank_core::caller::Caller;
use memory_bank_core::error::StoreError;
use memory_bank_core::graph::event::Event;
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::store::GraphPart;
use tokio_postgres::Row;
use uuid::Uuid;

use super::rows::{Found, graph_of};
use super::statements::Write;
use super::write::bytes_added;
use crate::bank::PostgresBank;
use crate::column::answer;
use crate::tenant::{Failure, Query, Transaction, Value};

const ENTITIES: &str = "SELECT id, name, entity_type, attrs::text, created_at, updated_at FROM public.graph_entities \
    WHERE project_id = $1 AND id = ANY ($2) ORDER BY seq";
/// [`ENTITIES`] with a lock: every change of an entity, of its observations and of its relations locks it first.
const LOCKED_ENTITIES: &str = "SELECT id, name, entity_type, attrs::text, created_at, updated_at FROM public.graph_entities \
    WHERE project_id = $1 AND id = ANY ($2) ORDER BY seq FOR NO KEY UPDATE";
/// Observations by their ids, one more of each entity of which it matters, and those that replace some of which it matters.
const OBSERVATIONS: &str = "SELECT f.id, f.entity_id, f.content, f.source, f.\"timestamp\", f.bounds FROM ( \
    SELECT o.id, o.entity_id, o.content, o.source::text AS source, o.\"timestamp\", o.bounds::text AS bounds, o.seq FROM public.graph_observations o \
    WHERE o.project_id = $1 AND o.id = ANY ($2) \
    UNION ALL \
    SELECT m.* FROM unnest($3::text[]) AS e (id) CROSS JOIN LATERAL ( \
    SELECT o.id, o.entity_id, o.content, o.source::text, o.\"timestamp\", o.bounds::text, o.seq FROM public.graph_observations o \
    WHERE o.project_id = $1 AND o.entity_id = e.id AND o.id <> ALL ($2) ORDER BY o.seq LIMIT 1) AS m \
    UNION ALL \
    SELECT s.id, s.entity_id, s.content, s.source::text, s.\"timestamp\", s.bounds::text, s.seq FROM public.graph_observations s \
    WHERE s.project_id = $1 AND s.supersedes IS NOT NULL AND s.supersedes && $4 AND s.id <> ALL ($2) AND s.entity_id IN ( \
    SELECT h.entity_id FROM public.graph_observations h WHERE h.project_id = $1 AND h.id = ANY ($4)) \
    ) AS f ORDER BY f.seq";
/// Relations by their ids, and one relation of each given entity.
const RELATIONS: &str = "SELECT f.id, f.from_entity_id, f.to_entity_id, f.relation_type, f.created_at FROM ( \
    SELECT r.id, r.from_entity_id, r.to_entity_id, r.relation_type, r.created_at, r.seq FROM public.graph_relations r \
    WHERE r.project_id = $1 AND r.id = ANY ($2) \
    UNION \
    SELECT m.* FROM unnest($3::text[]) AS e (id) CROSS JOIN LATERAL ( \
    SELECT r.id, r.from_entity_id, r.to_entity_id, r.relation_type, r.created_at, r.seq FROM public.graph_relations r \
    WHERE r.project_id = $1 AND (r.from_entity_id = e.id OR r.to_entity_id = e.id) AND r.id <> ALL ($2) ORDER BY r.seq LIMIT 1) AS m \
    ) AS f ORDER BY f.seq";

/// The ids of a part, as values of statements.
pub(crate) struct PartKeys {
    entities: Vec<String>,
    observations: Vec<String>,
    relations: Vec<String>,
    emptied: Vec<String>,
    holding: Vec<String>,
}

impl PartKeys {
    pub(super) fn of(part: &GraphPart) -> Self {
        let list = |ids: &std::collections::BTreeSet<String>| ids.iter().cloned().collect();
        Self {
            entities: list(&part.entities),
            observations: list(&part.observations),
            relations: list(&part.relations),
            emptied: list(&part.emptied),
            holding: list(&part.holding),
        }
    }

    /// The values of the three statements.
    fn values<'a>(&'a self, project: &'a Uuid) -> ([Value<'a>; 2], [Value<'a>; 4], [Value<'a>; 3]) {
        (
            [project, &self.entities],
            [project, &self.observations, &self.emptied, &self.holding],
            [project, &self.relations, &self.emptied],
        )
    }
}

/// The changes of the graph that an edit of documents makes with it.
pub(crate) struct GraphWrites {
    writes: Vec<Write>,
    /// How many bytes they add.
    pub(crate) added: i64,
}

impl GraphWrites {
    /// These events on this part of the graph.
    pub(crate) fn of(events: &[Event], state: GraphState) -> Result<Self, StoreError> {
        let found = Found { state };
        let writes = events.iter().map(|event| Write::of(event, &found)).collect::<Result<_, _>>()?;
        Ok(Self { writes, added: events.iter().map(|event| bytes_added(event, &found)).sum() })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// The values of each statement.
    pub(crate) fn values<'a>(&'a self, project: &'a Uuid) -> Vec<Vec<Value<'a>>> {
        self.writes.iter().map(|write| write.values(project)).collect()
    }

    /// The statements with these values.
    pub(crate) fn queries<'a>(&self, values: &'a [Vec<Value<'a>>]) -> Vec<Query<'a>> {
        self.writes.iter().zip(values).map(|(write, values)| Query::new(write.sql(), values)).collect()
    }
}

impl PostgresBank {
    /// Reads a part of the graph.
    pub(super) async fn read_part(
        &self,
        caller: &Caller,
        part: &GraphPart,
    ) -> Result<GraphState, StoreError> {
        let keys = PartKeys::of(part);
        let (entities, observations, relations) = keys.values(&caller.project.0);
        let queries = [
            Query::new(ENTITIES, &entities),
            Query::new(OBSERVATIONS, &observations),
            Query::new(RELATIONS, &relations),
        ];
        state_of(&self.database.read(caller, &queries).await?)
    }

    /// Reads and locks a part of the graph in a transaction.
    pub(crate) async fn lock_part(
        &self,
        transaction: &Transaction,
        project: &Uuid,
        keys: &PartKeys,
    ) -> Result<GraphState, Failure> {
        let (entities, observations, relations) = keys.values(project);
        // Each statement sees what is committed when it starts, and nobody changes what belongs to a locked entity.
        let queries = [
            Query::new(LOCKED_ENTITIES, &entities),
            Query::new(OBSERVATIONS, &observations),
            Query::new(RELATIONS, &relations),
        ];
        Ok(state_of(&transaction.read(&queries).await?)?)
    }
}

fn state_of(rows: &[Vec<Row>]) -> Result<GraphState, StoreError> {
    graph_of(answer(rows, 0), answer(rows, 1), answer(rows, 2))
}
