//! Builds the services and the parts of a server from the settings: on a folder, or on a database. This module must not
//! know a command.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use memory_bank_core::caller::{Caller, KeyId};
use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::identity::{Environment, KeyDirectory, KeyStore, NewKey, PlainKey};
use memory_bank_core::limiter::{Limiter, MemoryLimiter};
use memory_bank_core::store::{ChangeSink, MemoryEventStore, MemorySessionStore, SessionState, SessionStore};
use memory_bank_folder::{Deps, FolderKeys, FolderOptions, FolderWorkspace, RememberedStateStore};
use memory_bank_postgres::{Database, PoolUse, PostgresWorkspace, StandbyUse};
use memory_bank_server::http::{
    Absent, DEFAULT_RATE_LIMIT, HistoryCleanUp, HttpConfig, LocalConsole, Parts, PinnedWorkspace, PoolState,
    ReadStorage, Redis, StandbyState, StorageState,
};
use memory_bank_server::hub::Hub;
use memory_bank_server::services::{Replies, Services};
use memory_bank_vectors::MakerOptions;

use crate::cli::options::GlobalOptions;
use crate::cli::output::print_line;
use crate::config::{self, DatabaseSettings, RedisSettings, Settings};
use crate::database;
use crate::database_probe::DatabaseProbe;
use crate::embedder::{self, VectorStore};
use crate::sha256::sha256_hex;

/// The parts of an HTTP server on the database of the settings, or on the folder of the command line; and the store
/// whose vectors are made in the background.
pub(crate) async fn http_parts(
    global: &GlobalOptions,
    settings: Settings,
) -> anyhow::Result<(Parts, VectorStore)> {
    match settings.database.clone() {
        Some(database) => Box::pin(database_parts(settings, &database)).await,
        None => folder_parts(global, settings).await,
    }
}

/// Services on the local folder that the command line names, and the store whose vectors are made in the background.
///
/// With `redis`, other servers are notified of changes, too. With `over_http`, paths of the host are neither shown nor
/// accepted.
pub(crate) async fn folder_services(
    global: &GlobalOptions,
    redis: Option<&Redis>,
    over_http: bool,
) -> anyhow::Result<(Services, VectorStore)> {
    let hub = Arc::new(Hub::new());
    let sink = change_sink(&hub, redis);
    let clock = Arc::new(SystemClock);
    let entropy = Arc::new(SystemEntropy);
    let state_folder = config::state_folder(global.state_dir.as_deref(), &config::environment)?;
    let options = FolderOptions {
        path: global.path.clone(),
        folder: Some(global.folder.clone()),
        working_directory: std::env::current_dir().context("the current folder cannot be used")?,
        home: std::env::home_dir(),
        watch: true,
        // Over HTTP a client may be anywhere.
        shows_paths: !over_http,
        follow_links: global.follow_links,
        state: state_folder.clone(),
    };
    let deps = Deps { clock: clock.clone(), entropy: entropy.clone(), sink };
    let workspace =
        FolderWorkspace::start(options, deps).await.context("the project folder cannot be used")?;
    let workspace = Arc::new(workspace);
    let options = global.tool_options()?;
    workspace.set_history(config::history_days(&config::environment)?, options.read_only);
    let embedder = embedder::for_server()?;
    if let Some(embedder) = &embedder {
        workspace.set_embedder(Arc::clone(embedder), MakerOptions::default(), options.read_only);
    }
    let initial = SessionState { mode: global.mode, ..SessionState::default() };
    let state = RememberedStateStore::new(initial, state_folder);
    let replies = Replies::default();
    let services = Services {
        workspace: workspace.clone(),
        state: Arc::new(state),
        hub,
        clock,
        entropy,
        replies,
        embedder,
    };
    Ok((services, VectorStore::Folder(workspace)))
}

/// A server on a database, which stores everything.
async fn database_parts(
    settings: Settings,
    database_settings: &DatabaseSettings,
) -> anyhow::Result<(Parts, VectorStore)> {
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let redis = settings.redis.as_ref().map(|redis| open_redis(redis, &redis.prefix)).transpose()?;
    let hub = Arc::new(Hub::new());
    let sink = change_sink(&hub, redis.as_ref());
    let database = database::connect_to_serve(database_settings, sink).await?;
    // Reports those that are left out, and delays no start.
    let standbys = database.clone();
    tokio::spawn(async move { standbys.check_standbys().await });
    let embedder = embedder::for_server()?;
    let database = match &embedder {
        Some(embedder) => {
            embedder::warm_up(Arc::clone(embedder));
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
    let parts = Parts {
        services,
        config: settings.http,
        directory: store.clone(),
        keys: store.clone(),
        administration: Some(store.clone()),
        oauth: Some(store.clone()),
        local_console: None,
        key_cache: redis.as_ref().map(Redis::keys),
        sessions: cached_sessions(store.clone(), redis.as_ref()),
        audit: Some(store.clone()),
        call_log: Some(store.clone()),
        text_index: Some(store.clone()),
        history: clean_up_of(database_settings, &store),
        events: store,
        limiter: limiter(redis.as_ref()),
        storage: Some(storage_reader(database.clone(), vectors.clone())),
        database: Arc::new(DatabaseProbe::new(database)),
        redis,
    };
    Ok((parts, vectors))
}

fn clean_up_of(settings: &DatabaseSettings, store: &Arc<Database>) -> Option<HistoryCleanUp> {
    let keep = Duration::from_secs(86_400 * u64::from(settings.history_days));
    (settings.history_days > 0).then(|| HistoryCleanUp { store: store.clone(), keep })
}

/// A server on a folder, with everything else in memory. Redis is used if it is set, with a key prefix for this folder.
async fn folder_parts(global: &GlobalOptions, settings: Settings) -> anyhow::Result<(Parts, VectorStore)> {
    let project = global.project()?;
    ensure!(
        project.is_dir(),
        "there is no folder `{}`; create it, or set another one with `--path`",
        project.display()
    );
    let state = global.state_folder()?;
    let redis = match &settings.redis {
        Some(settings) => {
            let folder: String = sha256_hex(project.to_string_lossy().as_bytes()).chars().take(16).collect();
            Some(open_redis(settings, &format!("{}:{folder}", settings.prefix))?)
        }
        None => None,
    };
    let (services, vectors) = folder_services(global, redis.as_ref(), true).await?;
    let keys = FolderKeys::open(&project, &global.folder, &global.username, &state)
        .context("the API keys cannot be used")?;
    tracing::info!("the API keys are stored in `{}`", keys.path().display());
    let keys = Arc::new(keys);
    if keys.is_empty() {
        create_first_key(&keys, &services).await?;
    }
    let folder = ServedFolder { project: &project, services, vectors, redis };
    Ok(folder.parts(settings.http, keys.clone(), keys, None))
}

/// A server of the console alone, for the user of this computer: no API key opens it.
pub(crate) async fn console_parts(
    global: &GlobalOptions,
    settings: Settings,
) -> anyhow::Result<(Parts, VectorStore, Arc<LocalConsole>)> {
    let project = global.project()?;
    let state = global.state_folder()?;
    let (services, vectors) = folder_services(global, None, true).await?;
    let console = LocalConsole::new(&global.username, Arc::clone(&services.clock));
    let console = Arc::new(match project.file_name() {
        Some(name) => console.of_project(name.to_string_lossy()),
        None => console,
    });
    if let Err(error) = services.workspace.bank(&Caller::local(global.username.clone()), None).await {
        bail!(
            "there is no console to open in `{}`: {error}; `memory-bank-mcp init` creates a bank",
            project.display()
        );
    }
    let keys = FolderKeys::open(&project, &global.folder, &global.username, &state)
        .context("the API keys cannot be used")?;
    let folder = ServedFolder { project: &project, services, vectors, redis: None };
    let local = Some(Arc::clone(&console));
    let (parts, vectors) = folder.parts(settings.http, console.clone(), Arc::new(keys), local);
    Ok((parts, vectors, console))
}

/// A folder, and the services that work on it.
struct ServedFolder<'a> {
    project: &'a Path,
    services: Services,
    vectors: VectorStore,
    redis: Option<Redis>,
}

impl ServedFolder<'_> {
    fn parts(
        self,
        config: HttpConfig,
        directory: Arc<dyn KeyDirectory>,
        keys: Arc<dyn KeyStore>,
        local_console: Option<Arc<LocalConsole>>,
    ) -> (Parts, VectorStore) {
        let Self { project, services, vectors, redis } = self;
        let pinned =
            PinnedWorkspace::new(Arc::clone(&services.workspace), project.to_string_lossy().into_owned());
        let folder_vectors = vectors.clone();
        let parts = Parts {
            services: Services { workspace: Arc::new(pinned), ..services },
            config,
            directory,
            keys,
            administration: None,
            oauth: None,
            local_console,
            key_cache: redis.as_ref().map(Redis::keys),
            sessions: cached_sessions(Arc::new(MemorySessionStore::default()), redis.as_ref()),
            audit: None,
            call_log: None,
            text_index: None,
            history: None,
            events: Arc::new(MemoryEventStore::default()),
            limiter: limiter(redis.as_ref()),
            database: Arc::new(Absent),
            storage: Some(Box::new(move || StorageState {
                vectors: folder_vectors.state(),
                ..StorageState::default()
            })),
            redis,
        };
        (parts, vectors)
    }
}

/// Creates the first key of a folder and prints it once, unless another server has created one.
async fn create_first_key(keys: &FolderKeys, services: &Services) -> anyhow::Result<()> {
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
    if !keys.create_first(&key).await.context("the first API key cannot be stored")? {
        return Ok(());
    }
    print_line(&format!("API key (shown this once): {}", plain.expose()))
}

/// Redis, with this prefix of all keys.
fn open_redis(settings: &RedisSettings, prefix: &str) -> anyhow::Result<Redis> {
    Ok(Redis::new(&settings.url, prefix, Arc::new(SystemClock), Arc::new(SystemEntropy))?)
}

/// The receiver of committed changes: the hub, and through Redis the other servers.
fn change_sink(hub: &Arc<Hub>, redis: Option<&Redis>) -> Arc<dyn ChangeSink> {
    redis.map_or_else(|| hub.clone() as Arc<dyn ChangeSink>, |redis| redis.sink(hub.clone()))
}

/// Sessions, with Redis as a cache.
fn cached_sessions(sessions: Arc<dyn SessionStore>, redis: Option<&Redis>) -> Arc<dyn SessionStore> {
    match redis {
        Some(redis) => redis.sessions(sessions),
        None => sessions,
    }
}

/// The rate limiter: shared through Redis, or in memory.
fn limiter(redis: Option<&Redis>) -> Arc<dyn Limiter> {
    let started = Instant::now();
    redis.map_or_else(
        || Arc::new(MemoryLimiter::new(move || started.elapsed())) as Arc<dyn Limiter>,
        Redis::limiter,
    )
}

/// A reader of the figures of a database's pool and index.
fn storage_reader(database: Database, vectors: VectorStore) -> ReadStorage {
    Box::new(move || {
        let PoolUse { max, in_use, idle, waiting } = database.pool_use();
        StorageState {
            quota_refusals: Some(database.quota_refusals()),
            vectors: vectors.state(),
            pool: Some(PoolState { max, in_use, idle, waiting }),
            standbys: database.standby_use().into_iter().map(state_of).collect(),
            index: Some(database.index_use()),
        }
    })
}

fn state_of(standby: StandbyUse) -> StandbyState {
    let StandbyUse { name, reads, is_serving } = standby;
    StandbyState { name, reads, is_serving }
}
