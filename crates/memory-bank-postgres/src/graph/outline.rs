//! The outline of the graph: rows without facts and attributes, and those that were deleted since a time.

use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::error::StoreError;
use memory_bank_core::graph::history::GraphItem;
use memory_bank_core::graph::outline::{Outline, OutlineBuilder};
use memory_bank_core::limits;

use super::rows::{entity_of, item_of, relation_of};
use crate::bank::PostgresBank;
use crate::column::{answer, column};
use crate::tenant::{Query, Value};

const ENTITIES: &str = "SELECT id, name, entity_type, NULL::text, created_at, updated_at \
    FROM public.graph_entities WHERE project_id = $1 ORDER BY seq LIMIT $2";
const RELATIONS: &str = "SELECT id, from_entity_id, to_entity_id, relation_type, created_at \
    FROM public.graph_relations WHERE project_id = $1 ORDER BY seq LIMIT $2";
const DELETED_SINCE: &str = "SELECT kind, former::text FROM app.graph_history WHERE project_id = $1 \
    AND change = 'deleted' AND kind <> 'observation' AND at > $2 ORDER BY number LIMIT $3";
/// Items that were deleted before the time and restored after it.
const BROUGHT_BACK: &str = "SELECT d.id FROM app.graph_history d WHERE d.project_id = $1 \
    AND d.change = 'deleted' AND d.kind <> 'observation' AND d.at <= $2 \
    AND NOT EXISTS (SELECT FROM app.graph_history c WHERE c.project_id = $1 AND c.entity_id = d.entity_id \
    AND c.id = d.id AND c.number > d.number AND c.at <= $2) \
    AND EXISTS (SELECT FROM app.graph_history c WHERE c.project_id = $1 AND c.entity_id = d.entity_id \
    AND c.id = d.id AND c.number > d.number AND c.change = 'created') LIMIT $3";

impl PostgresBank {
    /// The entities and relations, now or at a time.
    pub(super) async fn read_outline(
        &self,
        caller: &Caller,
        at: Option<Timestamp>,
    ) -> Result<Outline, StoreError> {
        let project = caller.project.0;
        // One more than there is room for shows that something is left out.
        let [entities, relations] = [limits::OUTLINE_ENTITIES, limits::OUTLINE_RELATIONS]
            .map(|most| i64::try_from(most + 1).unwrap_or(i64::MAX));
        let (of_entities, of_relations): ([Value<'_>; 2], [Value<'_>; 2]) =
            ([&project, &entities], [&project, &relations]);
        let then = at.unwrap_or(Timestamp::MAX);
        let of_history: [Value<'_>; 3] = [&project, &then, &relations];
        let mut queries = vec![Query::new(ENTITIES, &of_entities), Query::new(RELATIONS, &of_relations)];
        if at.is_some() {
            queries.extend([DELETED_SINCE, BROUGHT_BACK].map(|sql| Query::new(sql, &of_history)));
        }
        let rows = self.database.read(caller, &queries).await?;
        let mut builder = OutlineBuilder::at(at.map(Timestamp::as_millisecond));
        for row in answer(&rows, 3) {
            builder.leave_out(column(row, 0)?);
        }
        for row in answer(&rows, 0) {
            builder.entity(&entity_of(row)?);
        }
        for row in answer(&rows, 1) {
            builder.relation(&relation_of(row)?);
        }
        for row in answer(&rows, 2) {
            match item_of(column(row, 0)?, column(row, 1)?)? {
                Some(GraphItem::Entity(entity)) => builder.entity(&entity),
                Some(GraphItem::Relation(relation)) => builder.relation(&relation),
                _ => (),
            }
        }
        Ok(builder.finish())
    }
}
