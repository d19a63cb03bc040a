//! Search: the core's index, kept in memory for the projects that are searched, and proved anew at every search.
//!
//! Each search first asks the database, in the caller's name and under row-level security, which documents there are
//! with which etags and at which version the graph stands. A caller who may not read gets nothing, whatever is in
//! memory; everyone else is answered from exactly the texts that were named, since what differs is read first. So a
//! search costs one round trip, and one more after a change. The ranking is the folder's to the last digit, because it
//! is the same code.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::caller::{Caller, ProjectId, Right};
use memory_bank_core::document::{CORE_DOCUMENTS, DocumentPath};
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::graph::event::Event;
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::limits;
use memory_bank_core::search::{DocumentQuery, Index, search_graph};
use memory_bank_core::store::{
    DocumentSearch, DocumentsFound, GraphFound, GraphSearch, SearchStore, SkippedDocument,
};
use tokio::sync::RwLock;
use tokio_postgres::Row;

use crate::bank::PostgresBank;
use crate::column::{answer, column};
use crate::graph::{entity_of, graph_of, observation_of, relation_of};
use crate::tenant::{Query, Value};

/// How many projects are kept ready to be searched, and how many bytes of memory all of them may take.
const PROJECTS: usize = 256;
const BYTES: u64 = 512 * 1024 * 1024;
/// The most documents whose texts are fetched at a time.
const FETCH: usize = 200;
/// The most changes of the graph that are followed one by one.
const FOLLOWED: i64 = 1500;

const READABLE: &str = "SELECT app.readable_project() IS NOT NULL, \
    coalesce((SELECT version FROM app.graph_versions WHERE project_id = $1), 0)";
const ETAGS: &str = "SELECT path, etag, octet_length(content)::bigint, updated_at FROM public.documents WHERE project_id = $1";
const TEXTS: &str =
    "SELECT path, content, etag, updated_at FROM public.documents WHERE project_id = $1 AND path = ANY ($2)";
const CHANGES: &str =
    "SELECT DISTINCT kind, id FROM app.graph_changes WHERE project_id = $1 AND version > $2";
const VERSION: &str = "SELECT coalesce((SELECT version FROM app.graph_versions WHERE project_id = $1), 0)";
const ENTITIES: &str = "SELECT id, name, entity_type, attrs::text, created_at, updated_at FROM public.graph_entities \
    WHERE project_id = $1 AND ($2::text[] IS NULL OR id = ANY ($2)) ORDER BY seq";
const OBSERVATIONS: &str = "SELECT id, entity_id, content, source::text, \"timestamp\" FROM public.graph_observations \
    WHERE project_id = $1 AND ($2::text[] IS NULL OR id = ANY ($2)) ORDER BY seq";
const RELATIONS: &str = "SELECT id, from_entity_id, to_entity_id, relation_type, created_at FROM public.graph_relations \
    WHERE project_id = $1 AND ($2::text[] IS NULL OR id = ANY ($2)) ORDER BY seq";

#[async_trait]
impl SearchStore for PostgresBank {
    async fn search_documents(
        &self,
        caller: &Caller,
        wanted: &DocumentSearch,
    ) -> Result<DocumentsFound, StoreError> {
        match self.followed(caller).await? {
            Some(followed) => {
                let followed = followed.read_owned().await;
                let wanted = wanted.clone();
                computed(move || followed.search(&wanted)).await
            }
            None => Ok(DocumentsFound::default()),
        }
    }

    async fn search_graph(&self, caller: &Caller, wanted: &GraphSearch) -> Result<GraphFound, GraphError> {
        match self.followed(caller).await? {
            Some(followed) => {
                let followed = followed.read_owned().await;
                let wanted = wanted.clone();
                Ok(computed(move || search_graph(&followed.graph, &followed.index, &wanted)).await?)
            }
            None => Ok(GraphFound::default()),
        }
    }
}

/// Ranking is work for a processor, not for a task that others wait behind.
async fn computed<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// A document as the database names it now.
struct Named {
    etag: String,
    bytes: u64,
}

impl PostgresBank {
    /// The caller's project, ready to be searched as it is now; none if the caller may not read it.
    async fn followed(&self, caller: &Caller) -> Result<Option<Arc<RwLock<Followed>>>, StoreError> {
        let project: [Value<'_>; 1] = [&caller.project.0];
        let rows = self
            .database
            .read(caller, &[Query::new(READABLE, &project), Query::new(ETAGS, &project)])
            .await?;
        let Some(first) = answer(&rows, 0).first() else { return Ok(None) };
        if !column::<bool>(first, 0)? {
            return Ok(None);
        }
        let version: i64 = column(first, 1)?;
        let named = named(answer(&rows, 1))?;
        let followed = self.database.indexes.of(caller.project);
        if !followed.read().await.is_current(&named, version) {
            let mut followed = followed.write().await;
            // Another search may have been here meanwhile.
            if !followed.is_current(&named, version) {
                self.follow_documents(caller, &mut followed, &named).await?;
                if followed.version != Some(version) {
                    self.follow_graph(caller, &mut followed).await?;
                }
                self.database.indexes.weigh(caller.project, followed.bytes());
            }
        }
        Ok(Some(followed))
    }

    /// The names of entities that come closest to what was asked for, as a folder's graph gives them.
    pub(crate) async fn suggestions(&self, caller: &Caller, asked: &str) -> Result<Vec<String>, StoreError> {
        // Whoever may only write is told that there is no such entity, and not which ones there are.
        if !caller.may(Right::Read) {
            return Ok(Vec::new());
        }
        match self.followed(caller).await? {
            Some(followed) => Ok(followed.read().await.graph.suggestions(asked)),
            None => Ok(Vec::new()),
        }
    }

    async fn follow_documents(
        &self,
        caller: &Caller,
        followed: &mut Followed,
        named: &HashMap<String, Named>,
    ) -> Result<(), StoreError> {
        let gone: Vec<String> =
            followed.documents.keys().filter(|name| !named.contains_key(*name)).cloned().collect();
        for name in gone {
            followed.index.remove_document(&name);
            followed.documents.remove(&name);
        }
        let mut order: Vec<(&String, &Named)> = named.iter().collect();
        // What does not fit in is left out from the end, and the core documents come first.
        order.sort_by_cached_key(|(name, _)| (core_rank(name), (*name).clone()));
        let mut bytes = 0_u64;
        let mut wanted: Vec<&String> = Vec::new();
        followed.skipped.clear();
        for (name, document) in order {
            bytes = bytes.saturating_add(document.bytes);
            if bytes > limits::SEARCHED_BYTES {
                let reason = "the memory bank is too large to be searched as a whole".to_owned();
                followed.skipped.push(SkippedDocument { file: name.clone(), reason });
                followed.index.remove_document(name);
                followed.documents.remove(name);
            } else if followed.documents.get(name) != Some(&document.etag) {
                wanted.push(name);
            }
        }
        for names in wanted.chunks(FETCH) {
            let values: [Value<'_>; 2] = [&caller.project.0, &names];
            let rows = self.database.read(caller, &[Query::new(TEXTS, &values)]).await?;
            for row in answer(&rows, 0) {
                let name: String = column(row, 0)?;
                let Ok(path) = DocumentPath::parse(&name) else { continue };
                let (text, etag): (&str, String) = (column(row, 1)?, column(row, 2)?);
                followed.index.put_document(&path, text, column::<Timestamp>(row, 3)?);
                followed.documents.insert(name, etag);
            }
        }
        Ok(())
    }

    async fn follow_graph(&self, caller: &Caller, followed: &mut Followed) -> Result<(), StoreError> {
        let project = caller.project.0;
        let since = followed.version.unwrap_or_default();
        let values: [Value<'_>; 2] = [&project, &since];
        let rows = self
            .database
            .read(caller, &[Query::new(VERSION, &[&project]), Query::new(CHANGES, &values)])
            .await?;
        let version: i64 = answer(&rows, 0).first().map_or(Ok(0), |row| column(row, 0))?;
        if followed.version.is_none() || version - since > FOLLOWED || version < since {
            return self.read_graph(caller, followed).await;
        }
        let mut changed: HashMap<String, Vec<String>> = HashMap::new();
        for row in answer(&rows, 1) {
            changed.entry(column(row, 0)?).or_default().push(column(row, 1)?);
        }
        let mut of = |kind: &str| changed.remove(kind).unwrap_or_default();
        let (entities, observations, relations) = (of("entity"), of("observation"), of("relation"));
        let (e, o, r): ([Value<'_>; 2], [Value<'_>; 2], [Value<'_>; 2]) =
            ([&project, &entities], [&project, &observations], [&project, &relations]);
        let queries = [Query::new(ENTITIES, &e), Query::new(OBSERVATIONS, &o), Query::new(RELATIONS, &r)];
        let rows = self.database.read(caller, &queries).await?;
        let generation = followed.graph.generation();
        followed.forget_missing(&rows, &entities, &observations, &relations)?;
        for row in answer(&rows, 0) {
            followed.graph.apply(Event::EntityUpsert { entity: entity_of(row)?, ts: String::new() });
        }
        for row in answer(&rows, 1) {
            let observation = observation_of(row)?;
            followed.graph.apply(Event::ObservationAdd { observation, ts: String::new() });
        }
        for row in answer(&rows, 2) {
            followed.graph.apply(Event::RelationAdd { relation: relation_of(row)?, ts: String::new() });
        }
        let Followed { index, graph, .. } = followed;
        index.follow_graph(graph, Some(generation));
        followed.version = Some(version);
        Ok(())
    }

    /// Reads all of the graph, with the version at which it stands.
    async fn read_graph(&self, caller: &Caller, followed: &mut Followed) -> Result<(), StoreError> {
        let (project, all): (_, Option<Vec<String>>) = (caller.project.0, None);
        let values: [Value<'_>; 2] = [&project, &all];
        let version: [Value<'_>; 1] = [&project];
        let rows = self
            .database
            .read(
                caller,
                &[
                    Query::new(ENTITIES, &values),
                    Query::new(OBSERVATIONS, &values),
                    Query::new(RELATIONS, &values),
                    Query::new(VERSION, &version),
                ],
            )
            .await?;
        let graph = graph_of(answer(&rows, 0), answer(&rows, 1), answer(&rows, 2))?;
        followed.index.follow_graph(&graph, None);
        followed.row_bytes = graph.bytes() / rows_of(&graph).max(1);
        followed.graph = graph;
        followed.version = Some(answer(&rows, 3).first().map_or(Ok(0), |row| column(row, 0))?);
        Ok(())
    }
}

/// One project as far as it was taken in.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    index: Index,
    graph: GraphState,
    /// The version of the graph that was taken in.
    version: Option<i64>,
    /// The etags of the documents that were taken in, by name.
    documents: HashMap<String, String>,
    skipped: Vec<SkippedDocument>,
    /// What a row of the graph took when all of it was read.
    row_bytes: u64,
}

/// What a row of a graph takes that was empty when it was read.
const ROW_BYTES: u64 = 700;

fn rows_of(graph: &GraphState) -> u64 {
    let stats = graph.stats();
    (stats.entity_count + stats.observation_count + stats.relation_count) as u64
}

impl Followed {
    /// About how many bytes of memory this takes: postings, tables and texts of the index, and the graph.
    fn bytes(&self) -> u64 {
        let row = if self.row_bytes == 0 { ROW_BYTES } else { self.row_bytes };
        self.index.bytes() + rows_of(&self.graph) * row
    }

    fn is_current(&self, named: &HashMap<String, Named>, version: i64) -> bool {
        // A version ahead of the one asked for was read after it.
        self.version.is_some_and(|known| known >= version)
            && self.documents.len() + self.skipped.len() == named.len()
            && self.documents.iter().all(|(name, etag)| named.get(name).is_some_and(|now| now.etag == *etag))
    }

    /// Takes away what was changed and is not there any more.
    fn forget_missing(
        &mut self,
        rows: &[Vec<Row>],
        entities: &[String],
        observations: &[String],
        relations: &[String],
    ) -> Result<(), StoreError> {
        let present = |at: usize| {
            answer(rows, at).iter().map(|row| column::<String>(row, 0)).collect::<Result<HashSet<_>, _>>()
        };
        let (with_entities, with_observations, with_relations) = (present(0)?, present(1)?, present(2)?);
        let ts = String::new;
        for id in relations.iter().filter(|id| !with_relations.contains(*id)) {
            if let Some(relation) = self.graph.relation(id).cloned() {
                let (from_id, to_id) = (relation.from_id, relation.to_id);
                let relation_type = relation.relation_type;
                self.graph.apply(Event::RelationRemove { from_id, to_id, relation_type, ts: ts() });
            }
        }
        for id in observations.iter().filter(|id| !with_observations.contains(*id)) {
            let (observation_id, entity_id) = (id.clone(), String::new());
            self.graph.apply(Event::ObservationDelete { entity_id, observation_id, ts: ts() });
        }
        for id in entities.iter().filter(|id| !with_entities.contains(*id)) {
            self.graph.apply(Event::EntityDelete { entity_id: id.clone(), ts: ts() });
        }
        Ok(())
    }

    fn search(&self, wanted: &DocumentSearch) -> DocumentsFound {
        let mut skipped = Vec::new();
        let (searched, files) = if wanted.files.is_empty() {
            let mut names: Vec<String> = self.documents.keys().cloned().collect();
            names.sort_by_cached_key(|name| (core_rank(name), name.clone()));
            skipped.extend(self.skipped.iter().cloned());
            (names, None)
        } else {
            let (mut searched, mut files) = (Vec::new(), Vec::new());
            for asked in &wanted.files {
                match self.stored_name(asked) {
                    Ok(stored) => {
                        searched.push(asked.clone());
                        files.push(stored);
                    }
                    Err(reason) => skipped.push(SkippedDocument { file: asked.clone(), reason }),
                }
            }
            (searched, Some(files))
        };
        let found = self.index.search_documents(&DocumentQuery {
            query: wanted.query.clone(),
            files,
            limit: wanted.limit,
            case_sensitive: wanted.case_sensitive,
        });
        DocumentsFound { hits: found.hits, more: found.more, searched, skipped }
    }

    /// The name under which a document is stored: as asked for, or the canonical one.
    fn stored_name(&self, asked: &str) -> Result<String, String> {
        let path = DocumentPath::parse(asked).map_err(|error| error.to_string())?;
        let canonical = path.canonical();
        for name in [path.as_str(), canonical.as_str()] {
            if self.documents.contains_key(name) {
                return Ok(name.to_owned());
            }
            if let Some(skipped) = self.skipped.iter().find(|skipped| skipped.file == name) {
                return Err(skipped.reason.clone());
            }
        }
        Err("there is no such document".to_owned())
    }
}

fn named(rows: &[Row]) -> Result<HashMap<String, Named>, StoreError> {
    rows.iter()
        .map(|row| {
            let bytes = u64::try_from(column::<i64>(row, 2)?).unwrap_or_default();
            Ok((column(row, 0)?, Named { etag: column(row, 1)?, bytes }))
        })
        .collect()
}

fn core_rank(name: &str) -> usize {
    CORE_DOCUMENTS.iter().position(|core| *core == name).unwrap_or(CORE_DOCUMENTS.len())
}

/// The projects that are kept ready to be searched; those searched longest ago go first.
#[derive(Debug, Default)]
pub(crate) struct Indexes(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    projects: HashMap<ProjectId, Entry>,
    uses: u64,
}

#[derive(Debug, Default)]
struct Entry {
    followed: Arc<RwLock<Followed>>,
    bytes: u64,
    used: u64,
}

impl Indexes {
    fn of(&self, project: ProjectId) -> Arc<RwLock<Followed>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let used = kept.uses;
        let entry = kept.projects.entry(project).or_default();
        entry.used = used;
        Arc::clone(&entry.followed)
    }

    /// How many projects are kept, and how many bytes of text.
    pub(crate) fn held(&self) -> (usize, u64) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.projects.len(), kept.projects.values().map(|entry| entry.bytes).sum())
    }

    /// Notes how large a project is, and lets go of others until all fit in.
    fn weigh(&self, project: ProjectId, bytes: u64) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = kept.projects.get_mut(&project) {
            entry.bytes = bytes;
        }
        while kept.projects.len() > 1
            && (kept.projects.len() > PROJECTS
                || kept.projects.values().map(|entry| entry.bytes).sum::<u64>() > BYTES)
        {
            let oldest =
                kept.projects.iter().filter(|(id, _)| **id != project).min_by_key(|(_, one)| one.used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else { return };
            kept.projects.remove(&oldest);
        }
    }
}
