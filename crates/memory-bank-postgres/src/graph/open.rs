//! The neighbourhood of some entities, as much as a reply can hold: the database selects the rows, so that a hub
//! costs the server no more than a leaf.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::graph::ids::entity_id;
use memory_bank_core::graph::naming::Lookup;
use memory_bank_core::graph::timestamp::instant;
use memory_bank_core::graph::{Ending, Entity, FactView, Observation};
use memory_bank_core::store::{EntityRef, Subgraph};
use tokio_postgres::Row;

use super::keys::Keys;
use super::rows::{entity_of, graph_of, observation_of, relation_of};
use crate::bank::PostgresBank;
use crate::column::{answer, column, count};
use crate::tenant::{Query, Value};

/// The entities that a name may mean: those with the id, and the first of each name. More than one entity of a name
/// is ambiguous already, and a type is part of the id.
const CANDIDATES: &str = "SELECT id, name, entity_type, NULL::text, created_at, updated_at, found FROM (
    SELECT e.id, e.name, e.entity_type, e.created_at, e.updated_at, e.seq, count(*) OVER () AS found,
      row_number() OVER (PARTITION BY e.name_key ORDER BY e.seq) AS nth
    FROM public.graph_entities e
    WHERE e.project_id = $1 AND (e.id = ANY ($2) OR e.name_key = ANY ($3))
  ) AS e WHERE nth <= 20 OR id = ANY ($2) ORDER BY seq";

/// Reachable rows, over relations in both directions, with the fewest steps. The selection contains the number of
/// all; the first row is always selected, so that the number is known. Of a moment in the past, `known`, only what was stored
/// until then counts.
macro_rules! reach {
    ($select:literal) => {
        concat!(
            "WITH RECURSIVE reach (id, depth) AS (
               SELECT e.id, 0 FROM public.graph_entities e
               WHERE e.project_id = $1 AND (e.id = ANY ($2) OR e.name_key = ANY ($3))
                 AND ($5::timestamptz IS NULL OR e.created_at <= $5)
             UNION
               SELECT next.id, reach.depth + 1 FROM reach, LATERAL (
                 SELECT r.to_entity_id AS id FROM public.graph_relations r
                 WHERE r.project_id = $1 AND r.from_entity_id = reach.id AND ($5 IS NULL OR r.created_at <= $5)
                 UNION ALL
                 SELECT r.from_entity_id FROM public.graph_relations r
                 WHERE r.project_id = $1 AND r.to_entity_id = reach.id AND ($5 IS NULL OR r.created_at <= $5)
               ) AS next
               WHERE reach.depth < $4
             ), nearest AS (
               SELECT reach.id, min(reach.depth) AS depth FROM reach
               JOIN public.graph_entities e ON e.project_id = $1 AND e.id = reach.id
               WHERE $5 IS NULL OR e.created_at <= $5 GROUP BY reach.id
             ) ",
            $select
        )
    };
}

const REACHED_ENTITIES: &str = reach!(
    "SELECT id, name, entity_type, attrs, created_at, updated_at, found FROM (
       SELECT e.id, e.name, e.entity_type, e.attrs::text AS attrs, e.created_at, e.updated_at, e.seq,
         count(*) OVER () AS found, row_number() OVER nearness AS nth,
         sum(256 + octet_length(e.id) + octet_length(e.name) + octet_length(e.entity_type)
           + coalesce(octet_length(e.attrs::text), 0)) OVER nearness AS length
       FROM public.graph_entities e JOIN nearest USING (id) WHERE e.project_id = $1
       WINDOW nearness AS (ORDER BY nearest.depth, e.seq)
     ) AS e WHERE length <= $6 OR nth = 1 ORDER BY seq"
);
/// The replaced facts of the entities `nearest`, each with the first fact that had replaced it at a moment. A text that was written
/// again with other bounds replaces the former ones when it is recorded. What these replaced is void if the later ones have not
/// begun, or were recorded before these began. The rule is the one of [`memory_bank_core::graph::Endings`].
///
/// `OFFSET 0` makes the database look up a fact by its id. Without it the plan uses the index of the entity, and reads all facts of a hub
/// for each fact that replaces one. `voided`, `former` and `around` are JSON objects that are made once: the planner does not know how
/// many rows such a part has, and would join two of them by comparing each row with each.
macro_rules! replaced_facts {
    ($at:literal) => {
        concat!(
            ", link AS (
               SELECT s.entity_id, s.id AS by, s.seq, s.at AS recorded, greatest(s.at, s.starts_at) AS begins,
                 t.id, t.at AS former_at, s.content = t.content AS again
               FROM nearest JOIN public.graph_observations s ON s.entity_id = nearest.id
               CROSS JOIN LATERAL unnest(s.supersedes) AS named (id)
               CROSS JOIN LATERAL (
                 SELECT o.id, o.entity_id, o.at, o.content FROM public.graph_observations o
                 WHERE o.project_id = $1 AND o.id = named.id OFFSET 0
               ) AS t
               WHERE s.project_id = $1 AND s.supersedes IS NOT NULL AND t.entity_id = s.entity_id AND t.id <> s.id
             ), voided AS (
               SELECT jsonb_object_agg(id, since) AS since FROM (
                 SELECT later.id, CASE WHEN bool_or(later.begins > ",
            $at,
            ") THEN -9223372036854775808 ELSE min(later.recorded) END AS since
                 FROM link AS later WHERE later.again AND later.recorded <= ",
            $at,
            " GROUP BY later.id
               ) AS later
             ), replaced AS (
               SELECT DISTINCT ON (link.entity_id, link.id) link.entity_id, link.id, link.former_at, ending.at, link.by
               FROM link CROSS JOIN LATERAL (SELECT CASE WHEN link.again THEN link.recorded ELSE link.begins END AS at) AS ending
               WHERE ending.at <= ",
            $at,
            " AND (link.again
                 OR (link.begins >= ((SELECT since FROM voided) ->> link.by)::bigint) IS NOT TRUE)
               ORDER BY link.entity_id, link.id, ending.at, link.seq
             ) "
        )
    };
}

macro_rules! replaced {
    ($at:literal, $select:literal) => {
        concat!(reach!(""), replaced_facts!($at), $select)
    };
}
/// The reached facts that were known at the moment `$7`, each with its end if it has ended then: its own, or the
/// beginning of a fact that replaced it. Without `$8` those that have ended are left out. Each fact counts at least 256 bytes, so only as
/// many are read as can be returned; `stock` counts the facts of each entity, and of those before it.
const REACHED_OBSERVATIONS: &str = replaced!(
    "$7",
    ", former AS (
       SELECT jsonb_object_agg(id, jsonb_build_array(at, by)) AS facts FROM replaced
     ), stock AS (
       SELECT *, sum(facts) OVER () AS found, sum(facts) OVER (ORDER BY depth, seq) - facts AS nearer FROM (
         SELECT id, min(depth) AS depth, min(seq) AS seq, sum(facts) AS facts FROM (
           SELECT e.id, nearest.depth, e.seq, stored.facts
           FROM nearest JOIN public.graph_entities e ON e.project_id = $1 AND e.id = nearest.id
           CROSS JOIN LATERAL (
             SELECT count(*) AS facts FROM public.graph_observations o WHERE o.project_id = $1 AND o.entity_id = nearest.id
               AND o.at <= CASE WHEN $5 IS NULL THEN 9223372036854775807 ELSE $7 END
           ) AS stored
         UNION ALL
           SELECT entity_id, NULL, NULL, -1 FROM (
             SELECT o.entity_id, o.id FROM nearest JOIN public.graph_observations o ON o.entity_id = nearest.id
             WHERE NOT $8 AND o.project_id = $1 AND o.ends_at <= $7 AND ($5 IS NULL OR o.at <= $7)
           UNION
             SELECT entity_id, id FROM replaced WHERE NOT $8 AND ($5 IS NULL OR former_at <= $7)
           ) AS ended
         ) AS entity GROUP BY id
       ) AS entity
     ), fact AS (
       SELECT o.*, stock.depth, stock.seq AS entity_seq, stock.found, (o.replaced ->> 0)::bigint AS replaced_at
       FROM stock CROSS JOIN LATERAL (
         SELECT o.id, o.entity_id, o.content, o.source::text AS source, o.\"timestamp\", o.bounds::text AS bounds, o.at, o.seq,
           o.ends_at, (SELECT facts FROM former) -> o.id AS replaced
         FROM public.graph_observations o
         WHERE o.project_id = $1 AND o.entity_id = stock.id
           AND o.at <= CASE WHEN $5 IS NULL THEN 9223372036854775807 ELSE $7 END
           AND ($8 OR (o.ends_at <= $7) IS NOT TRUE AND jsonb_exists((SELECT facts FROM former), o.id) IS NOT TRUE)
         ORDER BY o.at DESC, o.seq DESC LIMIT $6::bigint / 256 + 1 - stock.nearer
       ) AS o
       WHERE stock.nearer <= $6::bigint / 256
     ) SELECT id, entity_id, content, source, \"timestamp\", bounds, found::bigint AS found,
       CASE WHEN is_over THEN ends_at ELSE replaced_at END AS ended_at,
       CASE WHEN is_over THEN NULL ELSE replaced ->> 1 END AS ended_by
     FROM (
       SELECT fact.*, ends_at <= $7 AND (replaced_at IS NULL OR ends_at <= replaced_at) AS is_over,
         row_number() OVER nearness AS nth,
         sum(256 + octet_length(content) + coalesce(octet_length(source), 0) + coalesce(octet_length(bounds), 0))
           OVER nearness AS length
       FROM fact
       WINDOW nearness AS (ORDER BY depth, entity_seq, at DESC, seq DESC)
     ) AS o WHERE length <= $6 OR nth = 1 ORDER BY seq"
);
/// The number of reached facts that were known and had ended at the moment `$6`.
const REACHED_ENDED: &str = replaced!(
    "$6",
    "SELECT count(*) FROM (
       SELECT o.id FROM nearest JOIN public.graph_observations o ON o.entity_id = nearest.id
       WHERE o.project_id = $1 AND o.ends_at <= $6 AND ($5 IS NULL OR o.at IS NULL OR o.at <= $6)
     UNION
       SELECT replaced.id FROM replaced WHERE $5 IS NULL OR replaced.former_at IS NULL OR replaced.former_at <= $6
     ) AS ended"
);
const REACHED_RELATIONS: &str = reach!(
    ", around AS (
       SELECT jsonb_object_agg(id, depth) AS depths FROM nearest
     ), joined AS MATERIALIZED (
       SELECT r.id, r.seq, least(nearest.depth, ((SELECT depths FROM around) ->> r.to_entity_id)::int) AS depth
       FROM nearest JOIN public.graph_relations r ON r.from_entity_id = nearest.id
       WHERE r.project_id = $1 AND ($5 IS NULL OR r.created_at <= $5)
         AND jsonb_exists((SELECT depths FROM around), r.to_entity_id)
     ) SELECT r.id, r.from_entity_id, r.to_entity_id, r.relation_type, r.created_at, r.found, f.name, t.name FROM (
       SELECT r.id, r.from_entity_id, r.to_entity_id, r.relation_type, r.created_at, r.seq,
         (SELECT count(*) FROM joined) AS found, row_number() OVER nearness AS nth,
         sum(256 + octet_length(r.from_entity_id) + octet_length(r.to_entity_id) + octet_length(r.relation_type))
           OVER nearness AS length
       FROM (SELECT id, depth FROM joined ORDER BY depth, seq LIMIT $6::bigint / 256 + 1) AS nearer
       JOIN public.graph_relations r ON r.project_id = $1 AND r.id = nearer.id
       WINDOW nearness AS (ORDER BY nearer.depth, r.seq)
     ) AS r
     JOIN public.graph_entities f ON f.project_id = $1 AND f.id = r.from_entity_id
     JOIN public.graph_entities t ON t.project_id = $1 AND t.id = r.to_entity_id
     WHERE r.length <= $6 OR r.nth = 1 ORDER BY r.seq"
);

/// Where the neighbourhood starts, and how much of it is loaded.
struct NeighbourhoodQuery<'a> {
    ids: &'a [String],
    names: &'a [String],
    depth: u32,
    bytes: usize,
    view: FactView,
}

impl PostgresBank {
    /// The entities, with their neighbourhood.
    pub(super) async fn opened(
        &self,
        caller: &Caller,
        nodes: &[EntityRef],
        depth: u32,
        bytes: usize,
        view: FactView,
    ) -> Result<Subgraph, GraphError> {
        let mut keys = Keys::default();
        for node in nodes {
            let lookup = Lookup::of(node);
            if let Some((name, entity_type)) = &lookup.typed {
                keys = keys.id(&entity_id(name, entity_type));
            }
            keys = keys.lookup(&lookup);
        }
        keys.ids.retain(|id| !id.contains('\0'));
        let around = NeighbourhoodQuery { ids: &keys.ids, names: &keys.names, depth, bytes, view };
        let rows = self.reached(caller, &around).await?;
        let candidates = graph_of(answer(&rows, 0), &[], &[])?;
        let meant = candidates.resolve_all(nodes)?;
        let mut ids: Vec<String> = meant.into_iter().map(|entity| entity.id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        // A name with a type may have matched entities of the name alone, which are not meant.
        if found(answer(&rows, 0), 6)? == ids.len() {
            return Ok(subgraph(&rows)?);
        }
        let rows = self.reached(caller, &NeighbourhoodQuery { ids: &ids, names: &[], ..around }).await?;
        Ok(subgraph(&rows)?)
    }

    async fn reached(
        &self,
        caller: &Caller,
        around: &NeighbourhoodQuery<'_>,
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let bytes = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
        let (half, all) = (bytes(around.bytes / 2), bytes(around.bytes));
        let depth = i32::try_from(around.depth.min(100)).unwrap_or(100);
        let start: [Value<'_>; 3] = [&caller.project.0, &around.ids, &around.names];
        let [project, ids, names] = start;
        let FactView { at, is_past, with_ended } = around.view;
        let known = is_past.then(|| Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX));
        let into_half: [Value<'_>; 6] = [project, ids, names, &depth, &known, &half];
        let facts: [Value<'_>; 8] = [project, ids, names, &depth, &known, &all, &at, &with_ended];
        let ended: [Value<'_>; 6] = [project, ids, names, &depth, &known, &at];
        let mut queries = vec![
            Query::new(CANDIDATES, &start),
            Query::new(REACHED_ENTITIES, &into_half),
            Query::new(REACHED_OBSERVATIONS, &facts),
            Query::new(REACHED_RELATIONS, &into_half),
        ];
        if !with_ended {
            queries.push(Query::new(REACHED_ENDED, &ended));
        }
        self.database.read(caller, &queries).await
    }
}

fn subgraph(rows: &[Vec<Row>]) -> Result<Subgraph, StoreError> {
    let [entities, observations, relations] = [1, 2, 3].map(|at| answer(rows, at));
    let mut names = HashMap::new();
    for row in relations {
        names.insert(column(row, 1)?, column(row, 6)?);
        names.insert(column(row, 2)?, column(row, 7)?);
    }
    let loaded: Vec<Entity> = entities.iter().map(entity_of).collect::<Result<_, _>>()?;
    let mut endings = HashMap::new();
    for row in observations {
        if let Some(at) = column::<Option<i64>>(row, 7)? {
            endings.insert(column(row, 0)?, Ending { at, superseded_by: column(row, 8)? });
        }
    }
    let ended = answer(rows, 4).first().map_or(Ok(0), |row| column::<i64>(row, 0))?;
    Ok(Subgraph {
        names,
        endings,
        ended_left: count(ended),
        entities_left: found(entities, 6)?.saturating_sub(entities.len()),
        observations_left: found(observations, 6)?.saturating_sub(observations.len()),
        relations_left: found(relations, 5)?.saturating_sub(relations.len()),
        observations: by_entity(&loaded, observations.iter().map(observation_of).collect::<Result<_, _>>()?),
        relations: relations.iter().map(relation_of).collect::<Result<_, _>>()?,
        entities: loaded,
    })
}

/// The number of rows from which these were selected.
fn found(rows: &[Row], place: usize) -> Result<usize, StoreError> {
    Ok(count(rows.first().map_or(Ok(0), |row| column(row, place))?))
}

/// Observations in storage order, sorted by entity, newest first.
fn by_entity(entities: &[Entity], mut observations: Vec<Observation>) -> Vec<Observation> {
    let places: HashMap<&str, usize> = entities.iter().map(|entity| entity.id.as_str()).zip(0..).collect();
    observations.reverse();
    observations.sort_by_cached_key(|one| {
        let place = places.get(one.entity_id.as_str()).copied();
        let left_out = place.is_none().then(|| one.entity_id.clone());
        (place.is_none(), place, left_out, Reverse(instant(&one.timestamp)))
    });
    observations
}
