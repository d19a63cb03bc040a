//! The statements that make the graph of a project that of a backup. Rows that both have stay untouched, so that the history has the
//! changes of a restore alone, and an undo of it has little to take back.

use crate::tenant::{Query, Value};

/// The statements in the order in which they run; `put` are project and backup. What depends on an entity goes before it, and comes back
/// after it.
pub(super) fn put_graph<'a>(put: &'a [Value<'a>]) -> [Query<'a>; 8] {
    [
        Query::new(JOIN_BY_HASH, &[]),
        Query::new(CLEAR_RELATIONS, put),
        Query::new(CLEAR_OBSERVATIONS, put),
        Query::new(CLEAR_ENTITIES, put),
        Query::new(JOIN_AS_PLANNED, &[]),
        Query::new(PUT_ENTITIES, put),
        Query::new(PUT_OBSERVATIONS, put),
        Query::new(PUT_RELATIONS, put),
    ]
}

/// A plan for all values expects few rows, and would read all of the backup for each row of the graph.
const JOIN_BY_HASH: &str = "SELECT set_config('enable_nestloop', 'off', true)";
const JOIN_AS_PLANNED: &str = "SELECT set_config('enable_nestloop', 'on', true)";

const CLEAR_RELATIONS: &str = "WITH differing AS (\
      SELECT o.id FROM public.graph_relations o WHERE o.project_id = $1 AND NOT EXISTS (\
        SELECT FROM app.backup_items i, LATERAL json_populate_record(NULL::public.graph_relations, i.item) r \
        WHERE i.project_id = $1 AND i.backup_id = $2 AND i.kind = 'relation' AND i.key = o.id \
        AND (r.from_entity_id, r.to_entity_id, r.relation_type, r.created_at) \
          IS NOT DISTINCT FROM (o.from_entity_id, o.to_entity_id, o.relation_type, o.created_at))), \
    gone AS (DELETE FROM public.graph_relations o USING differing d WHERE o.project_id = $1 AND o.id = d.id RETURNING 1) \
    SELECT app.must_be((SELECT count(*) FROM gone), (SELECT count(*) FROM differing))";
const CLEAR_OBSERVATIONS: &str = "WITH differing AS (\
      SELECT o.id FROM public.graph_observations o WHERE o.project_id = $1 AND NOT EXISTS (\
        SELECT FROM app.backup_items i, LATERAL json_populate_record(NULL::public.graph_observations, i.item) r \
        WHERE i.project_id = $1 AND i.backup_id = $2 AND i.kind = 'observation' AND i.key = o.id \
        AND (r.entity_id, r.content, r.source::text, r.\"timestamp\", r.created_at, r.bounds::text) \
          IS NOT DISTINCT FROM (o.entity_id, o.content, o.source::text, o.\"timestamp\", o.created_at, o.bounds::text))), \
    gone AS (DELETE FROM public.graph_observations o USING differing d WHERE o.project_id = $1 AND o.id = d.id RETURNING 1) \
    SELECT app.must_be((SELECT count(*) FROM gone), (SELECT count(*) FROM differing))";
const CLEAR_ENTITIES: &str = "WITH differing AS (\
      SELECT o.id FROM public.graph_entities o WHERE o.project_id = $1 AND NOT EXISTS (\
        SELECT FROM app.backup_items i \
        WHERE i.project_id = $1 AND i.backup_id = $2 AND i.kind = 'entity' AND i.key = o.id)), \
    gone AS (DELETE FROM public.graph_entities o USING differing d WHERE o.project_id = $1 AND o.id = d.id RETURNING 1) \
    SELECT app.must_be((SELECT count(*) FROM gone), (SELECT count(*) FROM differing))";
const PUT_ENTITIES: &str = "INSERT INTO public.graph_entities AS o \
    (project_id, id, seq, name, name_key, entity_type, attrs, created_at, updated_at) \
    SELECT $1, r.id, r.seq, r.name, r.name_key, r.entity_type, r.attrs, r.created_at, r.updated_at \
    FROM app.backup_items i, LATERAL json_populate_record(NULL::public.graph_entities, i.item) r \
    WHERE i.project_id = $1 AND i.backup_id = $2 AND i.kind = 'entity' \
    ON CONFLICT (project_id, id) DO UPDATE SET name = excluded.name, name_key = excluded.name_key, \
    entity_type = excluded.entity_type, attrs = excluded.attrs, created_at = excluded.created_at, updated_at = excluded.updated_at \
    WHERE (o.name, o.entity_type, o.attrs::text, o.created_at, o.updated_at) \
      IS DISTINCT FROM (excluded.name, excluded.entity_type, excluded.attrs::text, excluded.created_at, excluded.updated_at)";
const PUT_OBSERVATIONS: &str = "INSERT INTO public.graph_observations \
    (project_id, id, entity_id, seq, content, source, \"timestamp\", at, created_at, bounds, starts_at, ends_at, supersedes) \
    SELECT $1, r.id, r.entity_id, r.seq, r.content, r.source, r.\"timestamp\", r.at, r.created_at, \
    r.bounds, r.starts_at, r.ends_at, r.supersedes \
    FROM app.backup_items i, LATERAL json_populate_record(NULL::public.graph_observations, i.item) r \
    WHERE i.project_id = $1 AND i.backup_id = $2 AND i.kind = 'observation' ON CONFLICT (project_id, id) DO NOTHING";
const PUT_RELATIONS: &str = "INSERT INTO public.graph_relations \
    (project_id, id, from_entity_id, to_entity_id, seq, relation_type, created_at) \
    SELECT $1, r.id, r.from_entity_id, r.to_entity_id, r.seq, r.relation_type, r.created_at \
    FROM app.backup_items i, LATERAL json_populate_record(NULL::public.graph_relations, i.item) r \
    WHERE i.project_id = $1 AND i.backup_id = $2 AND i.kind = 'relation' ON CONFLICT (project_id, id) DO NOTHING";
