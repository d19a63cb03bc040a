//! The history of the graph as rows, which triggers add (`migrations/003_functions.sql`).

use async_trait::async_trait;
use memory_bank_core::caller::{Caller, KeyId, Right};
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::{EditError, GraphError, StoreError};
use memory_bank_core::graph::history::{
    EntityRestored, EntitySnapshot, GraphChange, GraphChangePage, GraphChangeQuery, GraphItem, GraphSubject,
    ItemChange, Origin, plan_restore,
};
use memory_bank_core::graph::naming::Lookup;
use memory_bank_core::graph::outline::Outline;
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::graph::{Entity, Relation};
use memory_bank_core::history::tool_and_mark;
use memory_bank_core::limits;
use memory_bank_core::store::{
    DocumentChange, Editor, EntityChain, EntityRef, GraphHistoryError, GraphHistoryStore, GraphPart,
    GraphRule, GraphSize, GraphThen,
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::keys::Keys;
use super::part::PartKeys;
use super::rows::{entity_of, item_of, observation_of, relation_of};
use crate::bank::PostgresBank;
use crate::column::{answer, column};
use crate::tenant::{Query, Value};

/// Entities that may be meant, by ids and normalised names.
const PRESENT: &str = "SELECT id, name, entity_type, attrs::text, created_at, updated_at FROM public.graph_entities \
    WHERE project_id = $1 AND (id = ANY ($2) OR name_key = ANY ($3)) ORDER BY seq";
/// Deleted entities that may be meant, by ids and normalised names, in their last state.
const DELETED: &str = "SELECT DISTINCT ON (h.id) h.former::text FROM app.graph_history h \
    WHERE h.project_id = $1 AND h.change = 'deleted' AND h.name_key IS NOT NULL \
    AND (h.name_key = ANY ($3) OR (h.entity_id = ANY ($2) AND h.id = h.entity_id)) ORDER BY h.id, h.number DESC";
const LIST: &str = "SELECT f.number, f.at, f.kind, f.change, f.id, app.graph_name($1, f.entity_id), \
    app.graph_name($1, f.other_id), f.author, f.key_id, f.key_prefix, f.session_id, f.tool, f.former, \
    CASE WHEN f.change <> 'deleted' THEN coalesce(f.later, app.graph_row($1, f.kind, f.id)::text) END, f.imported \
    FROM app.list_graph_changes($2, $3, $4, $5, $6, $7, $8, $9, $10) AS f ORDER BY f.number DESC";
/// The changes of single items, with the columns of a list.
const OF_ITEMS: &str = "SELECT f.number, f.at, f.kind, f.change, f.id, app.graph_name($1, f.entity_id), \
    app.graph_name($1, f.other_id), f.author, f.key_id, f.key_prefix, f.session_id, f.tool, f.former, \
    CASE WHEN f.change <> 'deleted' THEN coalesce(f.later, app.graph_row($1, f.kind, f.id)::text) END, f.imported \
    FROM app.graph_item_changes($2, $3, $4, $5, $6) AS f ORDER BY f.number DESC";
/// How many changes follow a number, whether the entity has the change with this number, and whether that is one that a transfer
/// brought, with its author and tool.
const EXTENT: &str = "SELECT count(*) FILTER (WHERE number > $3), coalesce(bool_or(number = $3), false), \
    coalesce(bool_or(number = $3 AND imported_by IS NOT NULL), false), \
    min(claimed_author) FILTER (WHERE number = $3), min(tool) FILTER (WHERE number = $3) \
    FROM app.graph_history WHERE project_id = $1 AND (entity_id = $2 OR other_id = $2)";
const ENTITY: &str = "SELECT id, name, entity_type, attrs::text, created_at, updated_at FROM public.graph_entities \
    WHERE project_id = $1 AND id = $2";
const OBSERVATIONS: &str = "SELECT id, entity_id, content, source::text, \"timestamp\", bounds::text FROM public.graph_observations \
    WHERE project_id = $1 AND entity_id = $2";
const RELATIONS: &str = "SELECT r.id, r.from_entity_id, r.to_entity_id, r.relation_type, r.created_at, \
    app.graph_name($1, r.from_entity_id), app.graph_name($1, r.to_entity_id) \
    FROM public.graph_relations r WHERE r.project_id = $1 AND (r.from_entity_id = $2 OR r.to_entity_id = $2)";
const ERASE: &str = "SELECT app.erase_graph_history($1)";

#[async_trait]
impl GraphHistoryStore for PostgresBank {
    async fn list_graph_changes(
        &self,
        caller: &Caller,
        query: &GraphChangeQuery,
    ) -> Result<GraphChangePage, GraphHistoryError> {
        let entity = match &query.subject {
            GraphSubject::Entity(entity) => Some(self.entity_named(caller, entity).await?.id),
            _ => None,
        };
        let session = match &query.subject {
            // No session has another form of id.
            GraphSubject::Session(id) => match id.parse::<Uuid>() {
                Ok(id) => Some(id),
                Err(_) => return Ok(GraphChangePage::default()),
            },
            _ => None,
        };
        let limit = query.limit.clamp(1, limits::VERSIONS_LISTED);
        let most = i32::try_from(limit + 1).unwrap_or(i32::MAX);
        // The number of changes bounds their bytes, too.
        let (number, bytes) = (None::<i64>, i64::MAX);
        let values: [Value<'_>; 10] = [
            &caller.project.0,
            &entity,
            &number,
            &session,
            &query.since,
            &query.until,
            &query.by,
            &query.after,
            &most,
            &bytes,
        ];
        let rows = self.database.read(caller, &[Query::new(LIST, &values)]).await?;
        let mut changes: Vec<GraphChange> =
            answer(&rows, 0).iter().map(change_of).collect::<Result<_, _>>()?;
        let is_cut = changes.len() > limit;
        changes.truncate(limit);
        let next = changes.last().map(|change| change.number).filter(|_| is_cut);
        Ok(GraphChangePage { changes, next })
    }

    async fn entity_chain(
        &self,
        caller: &Caller,
        entity: &EntityRef,
        number: i64,
    ) -> Result<EntityChain, GraphHistoryError> {
        let Entity { id, name, .. } = self.entity_named(caller, entity).await?;
        let project = caller.project.0;
        let (text, session, time) = (None::<String>, None::<Uuid>, None::<jiff::Timestamp>);
        let after = None::<i64>;
        let most = i32::try_from(limits::GRAPH_CHAIN_CHANGES).unwrap_or(i32::MAX);
        let bytes = i64::try_from(limits::CHAIN_BYTES).unwrap_or(i64::MAX);
        let list: [Value<'_>; 10] =
            [&project, &id, &number, &session, &time, &time, &text, &after, &most, &bytes];
        let extent: [Value<'_>; 3] = [&project, &id, &number];
        let own: [Value<'_>; 2] = [&project, &id];
        let queries = [
            Query::new(LIST, &list),
            Query::new(EXTENT, &extent),
            Query::new(ENTITY, &own),
            Query::new(OBSERVATIONS, &own),
            Query::new(RELATIONS, &own),
        ];
        let rows = self.database.read(caller, &queries).await?;
        let changes: Vec<GraphChange> = answer(&rows, 0).iter().map(change_of).collect::<Result<_, _>>()?;
        let (later, is_own, origin) = match answer(&rows, 1).first() {
            Some(row) => (column(row, 0)?, column(row, 1)?, origin_at(row)?),
            None => (0, false, Origin::Own),
        };
        let later: i64 = later;
        if number > 0 && !is_own {
            return Err(GraphHistoryError::NoChange { entity: name, number });
        }
        if i64::try_from(changes.len()).is_ok_and(|read| read < later) {
            return Err(GraphHistoryError::TooMany { entity: name });
        }
        let mut names = std::collections::BTreeMap::new();
        let mut items = Vec::new();
        for row in answer(&rows, 2) {
            items.push(GraphItem::Entity(entity_of(row)?));
        }
        for row in answer(&rows, 3) {
            items.push(GraphItem::Observation(observation_of(row)?));
        }
        for row in answer(&rows, 4) {
            let relation = relation_of(row)?;
            for (id, at) in [(&relation.from_id, 5), (&relation.to_id, 6)] {
                if let Some(name) = column::<Option<String>>(row, at)? {
                    names.insert(id.clone(), name);
                }
            }
            items.push(GraphItem::Relation(relation));
        }
        let now = EntitySnapshot::new(&id, items).with_names(names);
        Ok(EntityChain { now, changes, origin })
    }

    async fn restore_entity(
        &self,
        caller: &Caller,
        target: &EntitySnapshot,
        made_of: &[i64],
    ) -> Result<EntityRestored, GraphError> {
        let mut keys = Keys::default().id(&target.id).whole(&target.id);
        keys.made_of = made_of.to_vec();
        for Relation { from_id, to_id, .. } in target.relations() {
            keys = keys.id(from_id).id(to_id);
        }
        self.write_graph(caller, &keys, |found, now| {
            let (events, restored) = plan_restore(&found.state, target, now);
            restored.check(caller)?;
            Ok((events, restored))
        })
        .await
    }

    async fn item_changes(
        &self,
        caller: &Caller,
        items: &[(String, String)],
        from: i64,
    ) -> Result<Vec<GraphChange>, GraphHistoryError> {
        let (entities, ids): (Vec<&str>, Vec<&str>) =
            items.iter().map(|(entity, id)| (entity.as_str(), id.as_str())).unzip();
        let most = i32::try_from(limits::GRAPH_CHAIN_CHANGES + 1).unwrap_or(i32::MAX);
        let bytes = i64::try_from(limits::CHAIN_BYTES).unwrap_or(i64::MAX);
        let values: [Value<'_>; 6] = [&caller.project.0, &entities, &ids, &from, &most, &bytes];
        let rows = self.database.read(caller, &[Query::new(OF_ITEMS, &values)]).await?;
        let changes: Vec<GraphChange> = answer(&rows, 0).iter().map(change_of).collect::<Result<_, _>>()?;
        let former = changes.iter().map(|change| change.before.as_ref().map_or(0, GraphItem::bytes));
        if changes.len() > limits::GRAPH_CHAIN_CHANGES || former.sum::<usize>() > limits::CHAIN_BYTES {
            return Err(GraphHistoryError::TooManyOfItems);
        }
        Ok(changes)
    }

    async fn graph_part(&self, caller: &Caller, part: &GraphPart) -> Result<GraphState, GraphError> {
        Ok(self.read_part(caller, part).await?)
    }

    async fn outline(&self, caller: &Caller, at: Option<jiff::Timestamp>) -> Result<Outline, StoreError> {
        self.read_outline(caller, at).await
    }

    async fn graph_size(&self, caller: &Caller, until: jiff::Timestamp) -> Result<GraphSize, StoreError> {
        self.read_size(caller, until).await
    }

    async fn graph_before(
        &self,
        caller: &Caller,
        until: jiff::Timestamp,
    ) -> Result<Option<GraphThen>, StoreError> {
        self.read_before(caller, until).await
    }

    async fn edit_with_graph(
        &self,
        caller: &Caller,
        paths: &[DocumentPath],
        editor: &mut Editor<'_>,
        part: &GraphPart,
        rule: &mut GraphRule<'_>,
    ) -> Result<Vec<DocumentChange>, EditError> {
        self.edit_and(caller, paths, editor, &PartKeys::of(part), rule).await
    }

    async fn erase_entity(&self, caller: &Caller, entity: &EntityRef) -> Result<u64, GraphHistoryError> {
        if !caller.may(Right::Admin) {
            return Err(StoreError::Denied.into());
        }
        let id = self.entity_named(caller, entity).await?.id;
        let (transaction, _) = self.database.begin(caller, &[]).await.map_err(StoreError::from)?;
        let rows = transaction.commit(&[Query::new(ERASE, &[&id])]).await.map_err(StoreError::from)?;
        let erased: i64 = answer(&rows, 0).first().map_or(Ok(0), |row| column(row, 0))?;
        Ok(u64::try_from(erased).unwrap_or_default())
    }
}

impl PostgresBank {
    /// The entity that a word means, or a deleted one that had this name.
    async fn entity_named(&self, caller: &Caller, entity: &EntityRef) -> Result<Entity, GraphError> {
        let lookup = Lookup::of(entity);
        let keys = Keys::default().lookup(&lookup);
        let values: [Value<'_>; 3] = [&caller.project.0, &keys.ids, &keys.names];
        let queries = [Query::new(PRESENT, &values), Query::new(DELETED, &values)];
        let rows = self.database.read(caller, &queries).await?;
        let present: Vec<Entity> = answer(&rows, 0).iter().map(entity_of).collect::<Result<_, _>>()?;
        let chosen = lookup.choose(&present.iter().collect::<Vec<_>>()).cloned();
        let Err(GraphError::EntityNotFound { name, .. }) = chosen else { return chosen };
        let mut deleted = Vec::new();
        for row in answer(&rows, 1) {
            if let Some(GraphItem::Entity(entity)) = item_of("entity", column(row, 0)?)? {
                deleted.push(entity);
            }
        }
        match lookup.choose(&deleted.iter().collect::<Vec<_>>()) {
            Err(GraphError::EntityNotFound { .. }) => {
                let suggestions = self.suggestions(caller, &name).await?;
                Err(GraphError::EntityNotFound { name, suggestions })
            }
            chosen => chosen.cloned(),
        }
    }
}

/// The origin of a change, from a row of [`EXTENT`].
fn origin_at(row: &Row) -> Result<Origin, StoreError> {
    if !column::<bool>(row, 2)? {
        return Ok(Origin::Own);
    }
    let (author, tool): (Option<&str>, Option<&str>) = (column(row, 3)?, column(row, 4)?);
    Ok(Origin::of_imported(author, tool))
}

/// A row of [`LIST`].
fn change_of(row: &Row) -> Result<GraphChange, StoreError> {
    let kind: &str = column(row, 2)?;
    let word: &str = column(row, 3)?;
    let change = ItemChange::from_word(word).ok_or_else(|| StoreError::Damaged {
        what: "a change of the graph".to_owned(),
        detail: format!("it is `{word}`"),
    })?;
    let stored: Option<&str> = column(row, 11)?;
    let (author, imported): (Option<String>, bool) = (column(row, 7)?, column(row, 14)?);
    let origin = if imported { Origin::of_imported(author.as_deref(), stored) } else { Origin::Own };
    let (tool, undoes) = tool_and_mark(stored.filter(|_| origin != Origin::Outside));
    Ok(GraphChange {
        number: column(row, 0)?,
        at: column(row, 1)?,
        change,
        id: column(row, 4)?,
        entity: column(row, 5)?,
        other: column(row, 6)?,
        origin,
        author,
        key: column::<Option<Uuid>>(row, 8)?.map(KeyId),
        key_prefix: column(row, 9)?,
        session: column::<Option<Uuid>>(row, 10)?.map(|session| session.to_string()),
        tool,
        undoes,
        imported,
        before: item_of(kind, column(row, 12)?)?,
        after: item_of(kind, column(row, 13)?)?,
    })
}
