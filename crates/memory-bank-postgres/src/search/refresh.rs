//! Updates a project in memory, in slices that are bounded in bytes and rows: differences are read as the first
//! caller, and applied on a worker thread. A refresh continues after that caller is answered.
//!
//! Few changes of the graph are followed row by row; if they are many, as after a restore, reading the project again
//! is cheaper.

use std::sync::Arc;
use std::time::Instant;

use memory_bank_core::caller::Caller;
use memory_bank_core::error::StoreError;
use memory_bank_core::graph::event::Event;
use memory_bank_core::graph::{Entity, Observation, Relation};
use memory_bank_core::search::{IndexBudget, TextSize};
use tokio::sync::OwnedRwLockWriteGuard;
use tokio_postgres::Row;

use crate::column::{answer, column};
use crate::database::Database;
use crate::graph::rows::{entity_of, observation_of, relation_of};
use crate::index_cache::Turn;
use crate::index_cache::contents::{Changed, Contents, Inventory};
use crate::tenant::{Query, Value};

/// The most documents and bytes of text per slice. A larger document is a slice of its own.
const SLICE_DOCUMENTS: usize = 200;
const SLICE_BYTES: u64 = 1024 * 1024;
/// The most changed rows of the graph per slice.
const SLICE_CHANGES: usize = 500;
/// The most entities that are indexed at a time.
const SLICE_ENTITIES: usize = 500;
/// The most changed rows that are followed; past them, and past a quarter of all units, the project is read again.
const MAX_FOLLOWED_ROWS: i64 = 20_000;
const MAX_FOLLOWED_SHARE: u64 = 4;
const MIN_FOLLOWED_ROWS: u64 = 1000;
/// The most versions that are followed: changes before the last two thousand are not stored.
const MAX_FOLLOWED_VERSIONS: i64 = 1500;
/// The memory for reading and cutting a slice beside the index, per byte of text, at most [`IndexBudget::BUILD_RESERVE_BYTES`].
const SLICE_MEMORY_PER_BYTE: u64 = 16;
/// From this much text on a refresh queues with the large ones.
const LARGE_BYTES: u64 = 256 * 1024;

const TEXTS: &str =
    "SELECT path, content, etag, updated_at FROM public.documents WHERE project_id = $1 AND path = ANY ($2)";
const VERSION: &str = "SELECT coalesce((SELECT version FROM app.graph_versions WHERE project_id = $1), 0)";
/// Rows and bytes of the whole graph.
const SIZE: &str = "SELECT \
    (SELECT count(*) FROM public.graph_entities WHERE project_id = $1), \
    (SELECT coalesce(sum(octet_length(name) + coalesce(octet_length(attrs::text), 0)), 0)::bigint \
      FROM public.graph_entities WHERE project_id = $1), \
    (SELECT count(*) FROM public.graph_observations WHERE project_id = $1), \
    (SELECT coalesce(sum(octet_length(content)), 0)::bigint FROM public.graph_observations WHERE project_id = $1), \
    (SELECT count(*) FROM public.graph_relations WHERE project_id = $1)";
/// The number of changed rows, up to the useful maximum; and their ids.
const CHANGED_ROWS: &str = "SELECT count(*) FROM (SELECT FROM app.graph_changes \
    WHERE project_id = $1 AND version > $2 LIMIT $3) AS changed";
const CHANGED: &str =
    "SELECT DISTINCT kind, id FROM app.graph_changes WHERE project_id = $1 AND version > $2";
const ENTITIES: &str = "SELECT id, name, entity_type, attrs::text, created_at, updated_at FROM public.graph_entities \
    WHERE project_id = $1 AND id = ANY ($2) ORDER BY seq";
const OBSERVATIONS: &str = "SELECT id, entity_id, content, source::text, \"timestamp\", bounds::text FROM public.graph_observations \
    WHERE project_id = $1 AND id = ANY ($2) ORDER BY seq";
const RELATIONS: &str = "SELECT id, from_entity_id, to_entity_id, relation_type, created_at FROM public.graph_relations \
    WHERE project_id = $1 AND id = ANY ($2) ORDER BY seq";

/// A page of a table in the order of its primary key, after an id: at most a thousand rows, and at most a mebibyte of
/// text plus a row.
macro_rules! page {
    ($columns:literal, $bytes:literal, $table:literal) => {
        concat!(
            "SELECT ",
            $columns,
            ", seq, size FROM (SELECT page.*, sum(size) OVER (ORDER BY id) AS run FROM (SELECT *, ",
            $bytes,
            " AS size FROM public.",
            $table,
            " WHERE project_id = $1 AND id > $2 ORDER BY id LIMIT 1000) AS page) AS page \
             WHERE run - size <= 1048576 ORDER BY id"
        )
    };
}

const ENTITY_PAGE: &str = page!(
    "id, name, entity_type, attrs::text, created_at, updated_at",
    "(octet_length(name) + coalesce(octet_length(attrs::text), 0))::bigint",
    "graph_entities"
);
const OBSERVATION_PAGE: &str = page!(
    "id, entity_id, content, source::text, \"timestamp\", bounds::text",
    "(octet_length(content) + coalesce(octet_length(source::text), 0) + coalesce(octet_length(bounds::text), 0))::bigint",
    "graph_observations"
);
const RELATION_PAGE: &str =
    page!("id, from_entity_id, to_entity_id, relation_type, created_at", "100::bigint", "graph_relations");

type Guard = OwnedRwLockWriteGuard<Contents>;

/// One refresh of one project.
pub(super) struct Refresher {
    pub(super) database: Database,
    pub(super) caller: Caller,
    pub(super) turn: Turn,
}

impl Refresher {
    /// Applies the differences from the inventory.
    pub(super) async fn run(&self, inventory: Inventory) -> Result<(), StoreError> {
        let inventory = Arc::new(inventory);
        let mut guard = Arc::clone(&self.turn.project.contents).write_owned().await;
        if guard.is_torn {
            self.turn.start_over(&mut guard);
        }
        let mut held = Some(guard);
        let outcome = self.steps(&mut held, &inventory).await;
        let mut guard = match held {
            Some(guard) => guard,
            // A slice panicked and dropped the guard.
            None => Arc::clone(&self.turn.project.contents).write_owned().await,
        };
        match &outcome {
            Ok(()) => guard.as_of = Some(inventory.at),
            Err(error) => {
                let has_no_room =
                    matches!(error, StoreError::IndexTooLarge { .. } | StoreError::SearchBusy { .. });
                // Contents that were complete can be followed further; a partial build is useless.
                if has_no_room || guard.is_torn || guard.version.is_none() {
                    self.turn.start_over(&mut guard);
                }
            }
        }
        outcome
    }

    async fn steps(&self, held: &mut Option<Guard>, inventory: &Arc<Inventory>) -> Result<(), StoreError> {
        if let Some(since) = contents(held)?.version {
            let changes = self.changes(since, inventory).await?;
            let contents = contents(held)?;
            let most = (contents.units() / MAX_FOLLOWED_SHARE).max(MIN_FOLLOWED_ROWS);
            if let Some(changes) = changes.filter(|changes| changes.count <= most) {
                let differing = self.differing(held, inventory).await?;
                let bytes = differing.iter().map(|(_, bytes)| bytes).sum();
                self.turn.progress.set_total(bytes);
                let _turn = self.turn_of(bytes).await?;
                let contents = self::contents(held)?;
                let needed = contents.bytes().saturating_add(slice_memory(bytes));
                self.turn.make_room(contents, needed.max(contents.share.bytes())).await?;
                self.put_documents(held, &differing, inventory).await?;
                self.follow(held, changes, inventory).await?;
                return self.settle(held).await;
            }
            self.turn.start_over(contents);
        }
        self.build(held, inventory).await
    }

    /// Reads the whole project.
    async fn build(&self, held: &mut Option<Guard>, inventory: &Arc<Inventory>) -> Result<(), StoreError> {
        let began = Instant::now();
        let values: [Value<'_>; 1] = [&self.caller.project.0];
        let rows = self.read(&[Query::new(VERSION, &values), Query::new(SIZE, &values)]).await?;
        let version = version_of(&rows)?;
        let size = size_of(answer(&rows, 1), inventory)?;
        self.turn.progress.set_total(size.bytes());
        let needed = size.index_bytes();
        if let Err(error) = self.turn.indexes().budget().check(needed, size.bytes()) {
            self.turn.refuse(inventory.document_bytes(), needed, size.bytes());
            return Err(error);
        }
        let _turn = self.turn_of(size.bytes()).await?;
        let room = needed.saturating_add(slice_memory(size.bytes()));
        self.turn.make_room(contents(held)?, room).await?;
        let differing = self.differing(held, inventory).await?;
        self.put_documents(held, &differing, inventory).await?;
        self.put_graph(held, version, &size, inventory).await?;
        // Apply the changes that were made meanwhile.
        let Some(changes) = self.changes(version, inventory).await? else {
            return Err(StoreError::Busy);
        };
        self.follow(held, changes, inventory).await?;
        self.work(held, 0, |contents| {
            contents.index.compact();
            contents.weigh_graph();
            Ok(())
        })
        .await?;
        self.settle(held).await?;
        self.turn.is_built(began.elapsed());
        tracing::debug!(
            texts = size.bytes(),
            estimated = needed,
            bytes = contents(held)?.share.bytes(),
            took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "a search index was built"
        );
        Ok(())
    }

    /// A place among the large refreshes, if this is one.
    async fn turn_of(&self, bytes: u64) -> Result<Option<tokio::sync::SemaphorePermit<'_>>, StoreError> {
        if bytes < LARGE_BYTES {
            return Ok(None);
        }
        let turn = self.turn.indexes().large.acquire().await;
        turn.map(Some).map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    /// Removes missing documents, and returns the names of those to read.
    async fn differing(
        &self,
        held: &mut Option<Guard>,
        inventory: &Arc<Inventory>,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let inventory = Arc::clone(inventory);
        self.work(held, 0, move |contents| Ok(contents.differing(&inventory))).await
    }

    async fn put_documents(
        &self,
        held: &mut Option<Guard>,
        differing: &[(String, u64)],
        inventory: &Inventory,
    ) -> Result<(), StoreError> {
        for slice in slices(differing) {
            let names: Vec<&String> = slice.iter().map(|(name, _)| name).collect();
            let bytes = slice.iter().map(|(_, bytes)| bytes).sum();
            let values: [Value<'_>; 2] = [&self.caller.project.0, &names];
            let rows = self.read(&[Query::new(TEXTS, &values)]).await?;
            self.work(held, bytes, move |contents| contents.put_documents(answer(&rows, 0))).await?;
            self.weigh(held, inventory).await?;
        }
        Ok(())
    }

    /// Reads the whole graph and indexes it.
    async fn put_graph(
        &self,
        held: &mut Option<Guard>,
        version: i64,
        size: &TextSize,
        inventory: &Inventory,
    ) -> Result<(), StoreError> {
        let entities: Vec<(i64, Entity)> = self.pages(ENTITY_PAGE, 6, entity_of).await?;
        let observations: Vec<(i64, Observation)> = self.pages(OBSERVATION_PAGE, 6, observation_of).await?;
        let relations: Vec<(i64, Relation)> = self.pages(RELATION_PAGE, 5, relation_of).await?;
        let ids: Vec<String> = self
            .work(held, 0, move |contents| {
                let ts = String::new;
                for entity in in_order(entities) {
                    contents.graph.apply(Event::EntityUpsert { entity, ts: ts() });
                }
                for observation in in_order(observations) {
                    contents.graph.apply(Event::ObservationAdd { observation, ts: ts() });
                }
                for relation in in_order(relations) {
                    contents.graph.apply(Event::RelationAdd { relation, ts: ts() });
                }
                contents.weigh_graph();
                Ok(contents.graph.entities().map(|entity| entity.id.clone()).collect())
            })
            .await?;
        self.weigh(held, inventory).await?;
        let each = size.row_bytes / (ids.len() as u64).max(1);
        for slice in ids.chunks(SLICE_ENTITIES) {
            let slice = slice.to_vec();
            let bytes = each * slice.len() as u64;
            self.work(held, bytes, move |contents| {
                contents.index.follow_entities(&contents.graph, slice.iter().map(String::as_str));
                Ok(())
            })
            .await?;
            self.weigh(held, inventory).await?;
        }
        contents(held)?.version = Some(version);
        Ok(())
    }

    /// Reads a table page by page. Rows come with their rank in the order of storage.
    async fn pages<T>(
        &self,
        page: &'static str,
        seq: usize,
        row_of: impl Fn(&Row) -> Result<T, StoreError>,
    ) -> Result<Vec<(i64, T)>, StoreError> {
        let mut all = Vec::new();
        let mut last = String::new();
        loop {
            let values: [Value<'_>; 2] = [&self.caller.project.0, &last];
            let rows = self.read(&[Query::new(page, &values)]).await?;
            let rows = answer(&rows, 0);
            let Some(end) = rows.last() else { return Ok(all) };
            last = column(end, 0)?;
            for row in rows {
                all.push((column(row, seq)?, row_of(row)?));
            }
            // Decoding a page takes long, so yield in between.
            tokio::task::yield_now().await;
        }
    }

    /// The changes of the graph since a version; `None` if they are too many to follow.
    async fn changes(&self, since: i64, inventory: &Inventory) -> Result<Option<Changes>, StoreError> {
        let project = self.caller.project.0;
        let most = MAX_FOLLOWED_ROWS + 1;
        let (count, of): ([Value<'_>; 3], [Value<'_>; 1]) = ([&project, &since, &most], [&project]);
        let rows = self.read(&[Query::new(VERSION, &of), Query::new(CHANGED_ROWS, &count)]).await?;
        let version = version_of(&rows)?;
        let count: i64 = answer(&rows, 1).first().map_or(Ok(0), |row| column(row, 0))?;
        let is_known = version >= since.max(inventory.version) && version - since <= MAX_FOLLOWED_VERSIONS;
        if !is_known || count > MAX_FOLLOWED_ROWS {
            return Ok(None);
        }
        let count = u64::try_from(count).unwrap_or_default();
        Ok(Some(Changes { since, count }))
    }

    /// Follows changes of the graph in slices.
    async fn follow(
        &self,
        held: &mut Option<Guard>,
        changes: Changes,
        inventory: &Inventory,
    ) -> Result<(), StoreError> {
        let project = self.caller.project.0;
        let (of, since): ([Value<'_>; 1], [Value<'_>; 2]) = ([&project], [&project, &changes.since]);
        let rows = self.read(&[Query::new(VERSION, &of), Query::new(CHANGED, &since)]).await?;
        let version = version_of(&rows)?;
        let mut changed = Changed::default();
        for row in answer(&rows, 1) {
            let of_kind = match column::<&str>(row, 0)? {
                "entity" => &mut changed.entities,
                "observation" => &mut changed.observations,
                _ => &mut changed.relations,
            };
            of_kind.push(column(row, 1)?);
        }
        drop(rows);
        for slice in changed.slices(SLICE_CHANGES) {
            let (entities, observations, relations): ([Value<'_>; 2], [Value<'_>; 2], [Value<'_>; 2]) =
                ([&project, &slice.entities], [&project, &slice.observations], [&project, &slice.relations]);
            let queries = [
                Query::new(ENTITIES, &entities),
                Query::new(OBSERVATIONS, &observations),
                Query::new(RELATIONS, &relations),
            ];
            let rows = self.read(&queries).await?;
            self.work(held, 0, move |contents| contents.put_changes(&slice, &rows)).await?;
            self.weigh(held, inventory).await?;
        }
        contents(held)?.version = Some(version);
        Ok(())
    }

    /// Releases the working memory.
    async fn settle(&self, held: &mut Option<Guard>) -> Result<(), StoreError> {
        let contents = contents(held)?;
        let bytes = contents.bytes();
        self.turn.make_room(contents, bytes).await
    }

    /// Compares the real size with the reservation.
    async fn weigh(&self, held: &mut Option<Guard>, inventory: &Inventory) -> Result<(), StoreError> {
        let contents = contents(held)?;
        let bytes = contents.bytes();
        let texts = inventory.document_bytes();
        if let Err(error) = self.turn.indexes().budget().check(bytes, texts) {
            self.turn.refuse(texts, bytes, texts);
            return Err(error);
        }
        let needed = bytes.max(contents.share.bytes());
        self.turn.make_room(contents, needed).await
    }

    /// Changes the contents on a worker thread. `bytes` is the size of the text.
    async fn work<T: Send + 'static>(
        &self,
        held: &mut Option<Guard>,
        bytes: u64,
        work: impl FnOnce(&mut Contents) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut guard = held.take().ok_or_else(lost)?;
        let (guard, done, began) = self
            .turn
            .indexes()
            .workers
            .build(move || {
                let began = Instant::now();
                guard.is_torn = true;
                let done = work(&mut guard);
                guard.is_torn = done.is_err();
                (guard, done, began)
            })
            .await?;
        *held = Some(guard);
        self.turn.advance(bytes, began)?;
        done
    }

    async fn read(&self, queries: &[Query<'_>]) -> Result<Vec<Vec<Row>>, StoreError> {
        self.database.read(&self.caller, queries).await
    }
}

/// Changes of the graph that are worth following.
struct Changes {
    since: i64,
    count: u64,
}

impl Changed {
    /// Splits them into parts of at most `most` ids, entities first.
    fn slices(self, most: usize) -> Vec<Self> {
        let part = |ids: &[String]| ids.to_vec();
        let entities = self.entities.chunks(most).map(|ids| Self { entities: part(ids), ..Self::default() });
        let observations =
            self.observations.chunks(most).map(|ids| Self { observations: part(ids), ..Self::default() });
        let relations =
            self.relations.chunks(most).map(|ids| Self { relations: part(ids), ..Self::default() });
        entities.chain(observations).chain(relations).collect()
    }
}

impl Inventory {
    /// The bytes of all documents.
    pub(super) fn document_bytes(&self) -> u64 {
        self.documents.values().map(|one| one.bytes).sum()
    }
}

fn contents(held: &mut Option<Guard>) -> Result<&mut Contents, StoreError> {
    held.as_deref_mut().ok_or_else(lost)
}

fn lost() -> StoreError {
    StoreError::Unavailable("a search index was lost while it was built".to_owned())
}

fn slice_memory(bytes: u64) -> u64 {
    bytes.saturating_mul(SLICE_MEMORY_PER_BYTE).min(IndexBudget::BUILD_RESERVE_BYTES)
}

/// Splits names with their sizes into parts that are bounded in number and bytes.
fn slices(names: &[(String, u64)]) -> Vec<&[(String, u64)]> {
    let mut parts = Vec::new();
    let mut rest = names;
    while !rest.is_empty() {
        let mut bytes = 0_u64;
        let fits = rest.iter().take(SLICE_DOCUMENTS).take_while(|(_, size)| {
            bytes = bytes.saturating_add(*size);
            bytes <= SLICE_BYTES
        });
        let (part, left) = rest.split_at_checked(fits.count().max(1)).unwrap_or((rest, &[]));
        parts.push(part);
        rest = left;
    }
    parts
}

fn in_order<T>(mut rows: Vec<(i64, T)>) -> impl Iterator<Item = T> {
    rows.sort_unstable_by_key(|(seq, _)| *seq);
    rows.into_iter().map(|(_, row)| row)
}

fn version_of(rows: &[Vec<Row>]) -> Result<i64, StoreError> {
    answer(rows, 0).first().map_or(Ok(0), |row| column(row, 0))
}

fn size_of(rows: &[Row], inventory: &Inventory) -> Result<TextSize, StoreError> {
    let row = rows.first().ok_or(StoreError::Denied)?;
    let number = |at: usize| column::<i64>(row, at).map(|number| u64::try_from(number).unwrap_or_default());
    let (entities, entity_bytes) = (number(0)?, number(1)?);
    let (observations, observation_bytes) = (number(2)?, number(3)?);
    let relations = number(4)?;
    Ok(TextSize {
        documents: inventory.documents.len() as u64,
        document_bytes: inventory.document_bytes(),
        rows: entities + observations + relations,
        row_bytes: entity_bytes + observation_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_bounded_in_number_and_bytes_and_contain_everything() {
        let names =
            |sizes: &[u64]| sizes.iter().map(|size| (format!("d{size}.md"), *size)).collect::<Vec<_>>();
        let lengths =
            |names: &[(String, u64)]| slices(names).iter().map(|part| part.len()).collect::<Vec<_>>();
        assert_eq!(lengths(&names(&[SLICE_BYTES + 1, 1, SLICE_BYTES - 1, 1])), [1, 2, 1]);
        assert_eq!(lengths(&names(&vec![1; SLICE_DOCUMENTS + 1])), [SLICE_DOCUMENTS, 1]);
        assert_eq!(lengths(&[]), [0; 0]);
    }
}
