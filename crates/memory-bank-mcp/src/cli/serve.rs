//! `serve`: MCP over Streamable HTTP, of a folder or of a database.

use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use async_trait::async_trait;
use memory_bank_core::caller::KeyId;
use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::identity::{Environment, KeyHash, NewKey, PlainKey};
use memory_bank_core::limiter::{Limiter, MemoryLimiter};
use memory_bank_core::store::{ChangeSink, MemoryEventStore, MemorySessionStore, SessionStore};
use memory_bank_folder::{FolderKeys, StateFolder, project_of};
use memory_bank_postgres::{Database, PoolUse, PostgresWorkspace, SchemaState};
use memory_bank_server::http::{
    Absent, DEFAULT_RATE_LIMIT, Health, IndexState, Parts, PinnedWorkspace, PoolState, Probe, ReadStorage,
    Redis, Server, StorageState,
};
use memory_bank_server::hub::Hub;
use memory_bank_server::services::{Replies, Services};
use memory_bank_vectors::MakerOptions;
use tokio_util::sync::CancellationToken;

use crate::cli::Cli;
use crate::cli::output::say;
use crate::config::{self, DatabaseSettings, RedisSettings, Settings};
use crate::embedder::VectorStore;
use crate::{database, lifecycle};

/// Serves until the process is told to end.
pub(crate) async fn run(cli: &Cli, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut settings = Settings::read(&config::environment)?;
    settings.http.tools = config::tool_options(cli.tools.as_ref(), cli.read_only, &config::environment)?;
    let parts = async {
        match settings.database.clone() {
            Some(database) => database_parts(settings, &database).await,
            None => folder_parts(cli, settings).await,
        }
    };
    // A start that waits for its database must not outlast the signal to end.
    let (parts, vectors) = tokio::select! {
        parts = parts => parts?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let server = Server::bind(parts, shutdown)
        .await
        .context("the server cannot listen (`MCP_HOST`, `MCP_PORT`, `METRICS_ADDR`)")?;
    let address = server.address().context("the server does not know where it listens")?;
    if let Some(address) = server.metrics_address().context("the server does not know where it listens")? {
        say(&format!("Metrics on http://{address}/metrics"))?;
    }
    tracing::info!(http.address = %address, "listening");
    say(&format!("Listening on http://{address}/mcp"))?;
    server.serve().await;
    vectors.stop().await;
    Ok(())
}

/// A database, with everything in it.
async fn database_parts(
    settings: Settings,
    wanted: &DatabaseSettings,
) -> anyhow::Result<(Parts, VectorStore)> {
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let redis = match &settings.redis {
        Some(RedisSettings { url, prefix }) => Some(Redis::new(url, prefix, clock.clone(), entropy.clone())?),
        None => None,
    };
    let hub = Arc::new(Hub::new());
    let sink =
        redis.as_ref().map_or_else(|| hub.clone() as Arc<dyn ChangeSink>, |redis| redis.sink(hub.clone()));
    let database = database::reach(wanted, sink).await?;
    database::make_ready(&database, wanted.provider).await?;
    let embedder = crate::embedder::embedder()?;
    let database = match &embedder {
        Some(embedder) => {
            crate::embedder::warm_up(Arc::clone(embedder));
            database.with_embedder(Arc::clone(embedder), MakerOptions::default())
        }
        None => database,
    };
    let vectors = VectorStore::Database(database.clone());
    let store = Arc::new(database.clone());
    let services = Services {
        workspace: Arc::new(PostgresWorkspace::new(database.clone())),
        state: store.clone(),
        hub,
        clock,
        entropy,
        replies: Replies::default(),
        embedder,
    };
    let began = Instant::now();
    let sessions: Arc<dyn SessionStore> = store.clone();
    let parts = Parts {
        services,
        config: settings.http,
        directory: store.clone(),
        keys: store.clone(),
        key_cache: redis.as_ref().map(Redis::keys),
        sessions: redis
            .as_ref()
            .map_or_else(|| Arc::clone(&sessions), |redis| redis.sessions(Arc::clone(&sessions))),
        audit: Some(store.clone()),
        text_index: Some(store.clone()),
        events: store,
        limiter: redis.as_ref().map_or_else(
            || Arc::new(MemoryLimiter::new(move || began.elapsed())) as Arc<dyn Limiter>,
            Redis::limiter,
        ),
        storage: Some(storage(database.clone(), vectors.clone())),
        database: Arc::new(DatabaseProbe::new(database)),
        redis,
    };
    Ok((parts, vectors))
}

/// Reads the figures of a database's pool and index.
fn storage(database: Database, vectors: VectorStore) -> ReadStorage {
    Box::new(move || {
        let PoolUse { max, in_use, idle, waiting } = database.pool_use();
        let index = database.index_use();
        StorageState {
            quota_refusals: Some(database.quota_refusals()),
            vectors: vectors.state(),
            pool: Some(PoolState { max, in_use, idle, waiting }),
            index: Some(IndexState {
                projects: index.projects,
                bytes: index.bytes,
                max_bytes: index.max_bytes,
                building: index.building,
                built: index.built,
                evicted: index.evicted,
                answered_building: index.answered_building,
                refused_too_large: index.refused_too_large,
                refused_busy: index.refused_busy,
            }),
        }
    })
}

/// How long the database may take to answer a ping. Shorter than a whole probe may take.
const DATABASE_ANSWER: Duration = Duration::from_millis(1200);
/// Time-out of the check of the schema, including the wait for a connection.
const SCHEMA_ANSWER: Duration = Duration::from_millis(600);
/// How long a check of the schema is valid; until then, replies to other calls show that the database is up.
const SCHEMA_KNOWN_FOR: Duration = Duration::from_secs(5);

/// Checks whether the database answers and has its schema, and logs changes.
struct DatabaseProbe {
    database: Database,
    whole: AtomicBool,
    /// The time of the last successful check.
    seen: Mutex<Option<Instant>>,
}

impl DatabaseProbe {
    fn new(database: Database) -> Self {
        Self { database, whole: AtomicBool::new(true), seen: Mutex::default() }
    }

    /// The error in the schema.
    async fn problem(&self, state: SchemaState) -> Option<String> {
        match state {
            // Check isolation again, as at the start: it may be another schema.
            SchemaState::Whole if !self.whole.load(Ordering::Relaxed) => {
                self.database.prove_isolation().await.err().map(|error| error.to_string())
            }
            SchemaState::Whole => None,
            SchemaState::Missing(name) => Some(format!(
                "the schema is gone: `{name}` is missing from the database; run `memory-bank-mcp migrate`"
            )),
            SchemaState::Denied => Some(
                "the login role may not use the schema, whose roles were made anew: GRANT app_server TO it"
                    .to_owned(),
            ),
        }
    }
}

#[async_trait]
impl Probe for DatabaseProbe {
    async fn health(&self) -> Health {
        if !self.database.is_alive(DATABASE_ANSWER).await {
            return Health::Error;
        }
        let state = match tokio::time::timeout(SCHEMA_ANSWER, self.database.schema_state()).await {
            Ok(Ok(state)) => state,
            Ok(Err(_)) => return Health::Error,
            // All connections are in use: busy, with an unchanged schema.
            Err(_) if self.whole.load(Ordering::Relaxed) => return Health::Ok,
            Err(_) => return Health::SchemaMissing,
        };
        let problem = self.problem(state).await;
        *self.seen.lock() = Some(Instant::now());
        match problem {
            None => {
                if !self.whole.swap(true, Ordering::Relaxed) {
                    tracing::info!("the schema is back; requests are served again");
                }
                Health::Ok
            }
            Some(problem) => {
                if self.whole.swap(false, Ordering::Relaxed) {
                    tracing::error!("{problem}");
                }
                Health::SchemaMissing
            }
        }
    }

    fn is_doubtful(&self) -> bool {
        self.database.has_lost_connections()
    }

    fn has_answered_within(&self, time: Duration) -> bool {
        let seen = *self.seen.lock();
        self.whole.load(Ordering::Relaxed)
            && seen.is_some_and(|at| at.elapsed() < SCHEMA_KNOWN_FOR)
            && self.database.has_answered_within(time)
    }
}

/// A folder, with everything else in memory. Redis is used when it is named, under keys of this folder's own.
async fn folder_parts(cli: &Cli, settings: Settings) -> anyhow::Result<(Parts, VectorStore)> {
    let project = project(cli)?;
    ensure!(
        project.is_dir(),
        "there is no folder `{}`; create it, or set another one with `--path`",
        project.display()
    );
    let state = state_folder(cli)?;
    let redis = match &settings.redis {
        Some(RedisSettings { url, prefix }) => {
            let folder: String =
                KeyHash::of(project.to_string_lossy().as_bytes()).to_hex().chars().take(16).collect();
            let prefix = format!("{prefix}:{folder}");
            Some(Redis::new(url, &prefix, Arc::new(SystemClock), Arc::new(SystemEntropy))?)
        }
        None => None,
    };
    let (services, vectors) = lifecycle::folder_services(cli, redis.as_ref(), true).await?;
    let keys = FolderKeys::open(&project, &cli.folder, &cli.username, &state)
        .context("the API keys cannot be used")?;
    tracing::info!("the API keys are kept in `{}`", keys.path().display());
    let keys = Arc::new(keys);
    if keys.is_empty() {
        first_key(&keys, &services).await?;
    }
    let pinned =
        PinnedWorkspace::new(Arc::clone(&services.workspace), project.to_string_lossy().into_owned());
    let sessions: Arc<dyn SessionStore> = Arc::new(MemorySessionStore::default());
    let began = Instant::now();
    let of_folder = vectors.clone();
    let parts = Parts {
        services: Services { workspace: Arc::new(pinned), ..services },
        config: settings.http,
        directory: keys.clone(),
        keys,
        key_cache: redis.as_ref().map(Redis::keys),
        sessions: redis
            .as_ref()
            .map_or_else(|| Arc::clone(&sessions), |redis| redis.sessions(Arc::clone(&sessions))),
        audit: None,
        text_index: None,
        events: Arc::new(MemoryEventStore::default()),
        limiter: redis.as_ref().map_or_else(
            || Arc::new(MemoryLimiter::new(move || began.elapsed())) as Arc<dyn Limiter>,
            Redis::limiter,
        ),
        database: Arc::new(Absent),
        storage: Some(Box::new(move || StorageState {
            vectors: of_folder.state(),
            ..StorageState::default()
        })),
        redis,
    };
    Ok((parts, vectors))
}

/// Creates the first key of a folder and prints it once, unless another server was faster.
async fn first_key(keys: &FolderKeys, services: &Services) -> anyhow::Result<()> {
    let plain = PlainKey::generate(Environment::Live, &*services.entropy);
    let key = NewKey {
        id: KeyId(services.entropy.id()),
        hash: plain.hash(),
        prefix: plain.prefix(),
        label: Some("first".to_owned()),
        scopes: Vec::new(),
        rate_limit: DEFAULT_RATE_LIMIT,
        expires_at: None,
        created_at: services.clock.now(),
    };
    if !keys.create_first(&key).await.context("the first API key cannot be kept")? {
        return Ok(());
    }
    say(&format!("API key (shown this once): {}", plain.expose()))
}

/// The project folder.
pub(crate) fn project(cli: &Cli) -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir().context("the current folder cannot be used")?;
    project_of(cli.path.as_deref(), &cli.folder, &here, std::env::home_dir())
        .context("the project folder cannot be used")
}

/// The folder for state outside of it.
pub(crate) fn state_folder(cli: &Cli) -> anyhow::Result<StateFolder> {
    config::state_folder(cli.state_dir.as_deref(), &config::environment)?.context(
        "there is no home folder to keep the API keys in; set `HOME`, or name a folder with `--state-dir` or \
         `MEMORY_BANK_STATE_DIR`",
    )
}
