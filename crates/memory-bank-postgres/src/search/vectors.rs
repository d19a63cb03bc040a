//! The vectors of a project in the database: loaded into its index, made as the last caller who searched or wrote,
//! and stored by functions that check the right. Between two batches only a claim is held, which other replicas see.
//!
//! Only a project whose index is in memory has vectors. They are evicted with the index and count against its memory.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use memory_bank_core::caller::{Caller, ProjectId, Right};
use memory_bank_core::error::StoreError;
use memory_bank_core::search::{DenseCount, Embedder, ModelId, Passage, UnitHash, Vector, VectorGap};
use memory_bank_vectors::{Maker, MakerOptions, PROJECT_PASSAGES, Progress, VectorProject, VectorUse};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::bank::PostgresBank;
use crate::column::{answer, column};
use crate::database::Database;
use crate::index_cache::Project;
use crate::index_cache::contents::Contents;
use crate::tenant::{Query, Value, proof_of};
use crate::vector_maker::VectorMaker;

/// How many stored vectors are read at a time, and stored or deleted with one call.
const PAGE_VECTORS: usize = 1000;
/// The most vectors of removed texts that are deleted after one load.
const MAX_PRUNED: usize = 10_000;
/// For how many seconds a claim is valid.
const CLAIM_SECONDS: i32 = 120;
/// The overhead of a vector.
const VECTOR_OVERHEAD_BYTES: u64 = 96;

const STORED_PAGE: &str = "SELECT unit, vector FROM app.vectors WHERE project_id = $1 AND model = $2 AND unit > $3 \
    ORDER BY unit LIMIT 1000";
const STORED: &str =
    "SELECT unit, vector FROM app.vectors WHERE project_id = $1 AND model = $2 AND unit = ANY ($3)";
const CLAIM: &str = "SELECT app.claim_vectors($1, $2, $3, $4, $5, $6, $7, $8)";
const PUT: &str = "SELECT app.put_vectors($1, $2, $3, $4, $5, $6, $7)";
const PRUNE: &str = "SELECT app.prune_vectors($1, $2, $3, $4, $5, $6)";

/// The stored vectors of a project and one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVectors {
    /// The project.
    pub slug: String,
    /// The model's name.
    pub model: String,
    /// The key of its vectors.
    pub model_key: Vec<u8>,
    /// Their number.
    pub vectors: i64,
    /// The bytes of one, without its row.
    pub width: i32,
    /// Whether a replica is making more of them.
    pub is_being_made: bool,
}

impl Database {
    /// Enables vectors for projects that are searched or changed.
    #[must_use]
    pub fn with_embedder(mut self, embedder: Arc<dyn Embedder>, options: MakerOptions) -> Self {
        let holder = self.deps.entropy.id();
        self.vectors = Some(VectorMaker { maker: Maker::new(embedder, options), holder });
        self
    }

    /// The work since the start; `None` without a model.
    #[must_use]
    pub fn vector_use(&self) -> Option<VectorUse> {
        self.vectors.as_ref().map(|vectors| vectors.maker.usage())
    }

    /// How far the vectors of the projects are that are in memory, as they were counted when each was last worked on.
    #[must_use]
    pub fn vectors_in_memory(&self) -> DenseCount {
        self.indexes.dense_count()
    }

    /// The key by which the vectors of this model are stored.
    #[must_use]
    pub fn model_key(model: &ModelId) -> Vec<u8> {
        key_of(model)
    }

    /// Makes no more vectors; waits at most so long for the batch that is under way.
    pub async fn stop_vectors(&self, wait: Duration) {
        if let Some(vectors) = &self.vectors {
            vectors.maker.stop(wait).await;
        }
    }

    /// The stored vectors by project. For the schema's owner.
    ///
    /// # Errors
    /// The query fails, or is refused.
    pub async fn stored_vectors(&self) -> Result<Vec<StoredVectors>, StoreError> {
        const SQL: &str = "SELECT slug, name, model, vectors, width, is_held FROM app.list_vectors()";
        let rows = self.call(Query::new(SQL, &[])).await.map_err(StoreError::from)?;
        let stored = |row: &Row| {
            Ok(StoredVectors {
                slug: column(row, 0)?,
                model: column(row, 1)?,
                model_key: column(row, 2)?,
                vectors: column(row, 3)?,
                width: column(row, 4)?,
                is_being_made: column(row, 5)?,
            })
        };
        rows.iter().map(stored).collect()
    }

    /// Deletes the vectors of a project, some thousand at a time, and returns their number. For the schema's owner.
    ///
    /// # Errors
    /// The project does not exist, or the query is refused.
    pub async fn forget_vectors(&self, slug: &str) -> Result<i64, StoreError> {
        let mut all = 0;
        loop {
            let rows = self.call(Query::new("SELECT app.forget_vectors($1)", &[&slug])).await;
            let rows = rows.map_err(StoreError::from)?;
            let removed: i64 = rows.first().map_or(Ok(0), |row| column(row, 0))?;
            if removed == 0 {
                return Ok(all);
            }
            all += removed;
        }
    }
}

impl PostgresBank {
    /// Requests the missing vectors of the caller's project, if a model is set and the project is in memory.
    pub(crate) fn request_vectors(&self, caller: &Caller) {
        let Some(vectors) = &self.database.vectors else { return };
        let may = caller.may(Right::Read) && caller.proof.is_some();
        if may && self.database.indexes.cached_project(caller.project).is_some() {
            let home = Home { bank: self.clone(), caller: caller.clone(), holder: vectors.holder };
            vectors.maker.request(&caller.project.0.to_string(), Arc::new(home));
        }
    }
}

/// One project, for one caller.
struct Home {
    bank: PostgresBank,
    caller: Caller,
    holder: Uuid,
}

/// The key by which a model's vectors are stored.
fn key_of(model: &ModelId) -> Vec<u8> {
    UnitHash::of(&model.to_string()).as_bytes().to_vec()
}

impl Home {
    fn database(&self) -> &Database {
        &self.bank.database
    }

    fn project(&self) -> Option<Arc<Project>> {
        let id: ProjectId = self.caller.project;
        self.database().indexes.cached_project(id)
    }

    /// Changes the contents on a worker thread.
    async fn change<T: Send + 'static>(
        &self,
        project: &Arc<Project>,
        work: impl FnOnce(&Project, &mut Contents) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut guard = Arc::clone(&project.contents).write_owned().await;
        let project = Arc::clone(project);
        self.database().indexes.workers.build(move || work(&project, &mut guard)).await
    }

    async fn claim(&self, model: &ModelId, seconds: i32) -> Result<bool, StoreError> {
        let (user, project) = (self.caller.user.0, self.caller.project.0);
        let (proof, key, width) = (proof_of(self.caller.proof.as_ref()), key_of(model), width_of(model));
        let name = if model.name().is_empty() { "unnamed" } else { model.name() };
        let values: [Value<'_>; 8] = [&proof, &user, &project, &key, &name, &width, &self.holder, &seconds];
        let rows = self.database().call(Query::new(CLAIM, &values)).await.map_err(StoreError::from)?;
        rows.first().map_or(Ok(false), |row| column(row, 0))
    }

    /// Loads stored vectors, and returns those of removed texts.
    async fn load(
        &self,
        model: &ModelId,
        project: &Arc<Project>,
    ) -> Result<Result<Vec<Vec<u8>>, Progress>, StoreError> {
        let passages: HashSet<UnitHash> = project.contents.read().await.index.passage_hashes().collect();
        let (key, mut last, mut unused) = (key_of(model), Vec::<u8>::new(), Vec::new());
        loop {
            let values: [Value<'_>; 3] = [&self.caller.project.0, &key, &last];
            let rows = self.database().read(&self.caller, &[Query::new(STORED_PAGE, &values)]).await?;
            let Some(end) = answer(&rows, 0).last() else { break };
            last = column(end, 0)?;
            let mut known = Vec::new();
            for row in answer(&rows, 0) {
                match stored_vector(row, model)? {
                    Some((hash, vector)) if passages.contains(&hash) => known.push((hash, vector)),
                    _ if unused.len() < MAX_PRUNED => unused.push(column(row, 0)?),
                    _ => {}
                }
            }
            if let Some(refused) = self.put(model, project, known).await? {
                return Ok(Err(refused));
            }
        }
        project.contents.write().await.has_stored_vectors = true;
        Ok(Ok(unused))
    }

    /// Adds vectors to the index, if there is memory for them.
    async fn put(
        &self,
        model: &ModelId,
        project: &Arc<Project>,
        vectors: Vec<(UnitHash, Vector)>,
    ) -> Result<Option<Progress>, StoreError> {
        if vectors.is_empty() {
            return Ok(None);
        }
        let (model, budget) = (model.clone(), self.database().indexes.budget());
        self.change(project, move |project, contents| {
            let each = model.dimension() as u64 + VECTOR_OVERHEAD_BYTES;
            // Vectors are allocated by the thousand.
            let more = each * (vectors.len() as u64 + 1024);
            let needed = contents.bytes().saturating_add(more);
            let most = contents.share.bytes().max(needed);
            if budget.check(needed, 0).is_err() || !project.resize(contents, most) {
                contents.index.set_vector_gap(Some(VectorGap::NoMemory));
                return Some(Progress::Refused(
                    "there is no room for its vectors in `SEARCH_INDEX_MEMORY`".to_owned(),
                ));
            }
            contents.index.put_vectors(&model, vectors.iter().map(|(hash, vector)| (*hash, vector)));
            let bytes = contents.bytes();
            let _less_than_before = project.resize(contents, bytes);
            None
        })
        .await
    }

    async fn prune(&self, model: &ModelId, unused: &[Vec<u8>]) -> Result<(), StoreError> {
        let (user, project) = (self.caller.user.0, self.caller.project.0);
        let (proof, key) = (proof_of(self.caller.proof.as_ref()), key_of(model));
        let none: &[Vec<u8>] = &[];
        for units in unused.chunks(PAGE_VECTORS).chain(std::iter::once(none)) {
            let values: [Value<'_>; 6] = [&proof, &user, &project, &key, &self.holder, &units];
            self.database().call(Query::new(PRUNE, &values)).await.map_err(StoreError::from)?;
        }
        Ok(())
    }
}

#[async_trait]
impl VectorProject for Home {
    async fn open(&self, model: &ModelId) -> Result<Progress, StoreError> {
        match self.bank.try_searched(&self.caller, Arc::new(|_: &Contents| ())).await {
            Ok(Some(())) => {}
            Ok(None) => return Ok(Progress::Gone),
            Err(StoreError::IndexTooLarge { .. }) => {
                return Ok(Progress::Refused("its index is too large".to_owned()));
            }
            Err(error) if error.is_about_the_index() => return Ok(Progress::Later),
            Err(error) => return Err(error),
        }
        let Some(project) = self.project() else { return Ok(Progress::Gone) };
        let target_model = model.clone();
        let is_small = self
            .change(&project, move |_, contents| {
                if contents.index.model() != Some(&target_model) {
                    contents.has_stored_vectors = false;
                    if contents.index.units() <= PROJECT_PASSAGES as u64 {
                        contents.index.set_model(Some(&target_model));
                    }
                }
                let is_small = contents.index.model().is_some()
                    && contents.index.dense_count().passages <= PROJECT_PASSAGES;
                if !is_small {
                    contents.index.set_model(None);
                }
                contents.index.set_vector_gap((!is_small).then_some(VectorGap::TooManyPassages));
                is_small
            })
            .await?;
        if !is_small {
            return Ok(Progress::Refused(format!("it has more than {PROJECT_PASSAGES} passages")));
        }
        let mut unused = Vec::new();
        if !project.contents.read().await.has_stored_vectors {
            match self.load(model, &project).await? {
                Ok(found) => unused = found,
                Err(refused) => return Ok(refused),
            }
        }
        let count = self.count().await;
        if count.vectors >= count.passages && unused.is_empty() {
            return Ok(Progress::Ready);
        }
        if !self.claim(model, CLAIM_SECONDS).await? {
            return Ok(Progress::Later);
        }
        self.prune(model, &unused).await?;
        Ok(Progress::Ready)
    }

    async fn count(&self) -> DenseCount {
        match self.project() {
            Some(project) => {
                let count = project.contents.read().await.index.dense_count();
                project.note_dense_count(count);
                count
            }
            None => DenseCount::default(),
        }
    }

    async fn missing(
        &self,
        model: &ModelId,
        most: usize,
        bytes: usize,
        skipped: &HashSet<UnitHash>,
    ) -> Result<Vec<Passage>, StoreError> {
        // Load the vectors that another replica stored meanwhile; there are fewer each time.
        for _ in 0..PROJECT_PASSAGES {
            let Some(project) = self.project() else { return Ok(Vec::new()) };
            let guard = Arc::clone(&project.contents).read_owned().await;
            let skipped = skipped.clone();
            let passages = self
                .database()
                .indexes
                .workers
                .build(move || guard.index.without_vector(most, bytes, |hash| skipped.contains(&hash)))
                .await?;
            if passages.is_empty() {
                return Ok(passages);
            }
            let units: Vec<Vec<u8>> = passages.iter().map(|one| one.hash.as_bytes().to_vec()).collect();
            let key = key_of(model);
            let values: [Value<'_>; 3] = [&self.caller.project.0, &key, &units];
            let rows = self.database().read(&self.caller, &[Query::new(STORED, &values)]).await?;
            let mut known = Vec::new();
            for row in answer(&rows, 0) {
                known.extend(stored_vector(row, model)?);
            }
            if known.is_empty() {
                return Ok(passages);
            }
            if self.put(model, &project, known).await?.is_some() {
                return Ok(Vec::new());
            }
        }
        Ok(Vec::new())
    }

    async fn keep(&self, model: &ModelId, made: Vec<(UnitHash, Vector)>) -> Result<Progress, StoreError> {
        let Some(memory) = self.project() else { return Ok(Progress::Gone) };
        let (user, project) = (self.caller.user.0, self.caller.project.0);
        let (proof, key) = (proof_of(self.caller.proof.as_ref()), key_of(model));
        let units: Vec<Vec<u8>> = made.iter().map(|(hash, _)| hash.as_bytes().to_vec()).collect();
        let vectors: Vec<Vec<u8>> = made.iter().map(|(_, vector)| vector.to_bytes()).collect();
        let values: [Value<'_>; 7] = [&proof, &user, &project, &key, &self.holder, &units, &vectors];
        let rows = self.database().call(Query::new(PUT, &values)).await.map_err(StoreError::from)?;
        let stored: Option<i64> = rows.first().map_or(Ok(None), |row| column(row, 0))?;
        let refused = self.put(model, &memory, made).await?;
        Ok(match stored {
            None => Progress::Later,
            Some(_) => refused.unwrap_or(Progress::Ready),
        })
    }

    async fn close(&self, model: &ModelId) {
        // A claim that is not released expires.
        if let Err(error) = self.claim(model, 0).await {
            tracing::debug!(%error, "the claim to make vectors was not released");
        }
    }
}

/// Parses a row of `unit, vector`; `None` if it does not fit this model.
fn stored_vector(row: &Row, model: &ModelId) -> Result<Option<(UnitHash, Vector)>, StoreError> {
    let (unit, bytes): (&[u8], &[u8]) = (column(row, 0)?, column(row, 1)?);
    let vector = Vector::from_bytes(bytes).ok().filter(|vector| vector.dimension() == model.dimension());
    let hash = <[u8; 16]>::try_from(unit).ok().map(UnitHash::from_bytes);
    Ok(hash.zip(vector))
}

/// The bytes of a stored vector.
fn width_of(model: &ModelId) -> i32 {
    i32::try_from(model.dimension() + 4).unwrap_or(i32::MAX)
}
