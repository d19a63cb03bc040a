//! Settings from the environment. An invalid value is an error with the variable, its value (never a password) and
//! the allowed values. The table of variables is in `variables`.

pub(crate) mod command_variables;
mod error;
mod issuer;
mod login;
mod openid;
mod read;
mod standbys;
mod variables;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcetera::BaseStrategy as _;
use memory_bank_core::search::IndexBudget;
use memory_bank_folder::StateFolder;
use memory_bank_postgres::PoolerMode;
use memory_bank_server::http::HttpConfig;
use memory_bank_server::mcp::{ToolOptions, Toolset};
use tracing_subscriber::filter::Targets;

pub(crate) use error::ConfigError;
pub(crate) use read::{Read, environment};
use read::{boolean, invalid, list, non_blank, number, secret, text_file, url_kind, value};
use variables::{
    ADDRESS_CONNECTIONS, ADDRESS_LIMIT, ALL_REPLY_BYTES, ALLOWED_HOSTS, ALLOWED_ORIGINS, AUDIT_RETENTION,
    CLIENT_DOCUMENTS, CONNECTIONS, DATABASE_URL, DRAIN_DELAY, EMBEDDINGS, EMBEDDINGS_KEY, EMBEDDINGS_MODEL,
    HISTORY_RETENTION, HOST, INDEX_MEMORY, INDEX_MEMORY_PER_PROJECT, JSON_RESPONSE, KEEP_ALIVE,
    KEY_REPLY_BYTES, KEYED_ADDRESS_LIMIT, LOG, METRICS, OTLP_ENDPOINT, POOLER, PORT, PROJECT_EVENTS,
    PROVIDER, PROXY_HOPS, PUBLIC_URL, QUOTA, READ_ONLY, REDIS_PREFIX, REDIS_URL, REPLY_BYTES, RETENTION,
    ROOT_CERTIFICATE, SERVER_DATABASE_URL, SESSION_EVENTS, SESSIONS, SESSIONS_OF_KEY, STATE_DIR, STREAMS,
    SUPABASE_URL, TOOLS, TRANSPORT,
};
pub(crate) use variables::{VARIABLES, Variable};

const MIB: u64 = 1024 * 1024;
/// How a URL of Redis begins: one server, the primary that Sentinels name, or a cluster; with TLS or without.
const REDIS_SCHEMES: [&str; 6] =
    ["redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"];
/// The default of `REDIS_URL` with a database.
const DEFAULT_REDIS_URL: &str = "redis://redis:6379";
/// The default address with a database.
const ALL_ADDRESSES: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
/// The default address with a folder.
const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// The settings of an HTTP server.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Settings of the HTTP side.
    pub(crate) http: HttpConfig,
    /// The database, unless a folder is served.
    pub(crate) database: Option<DatabaseSettings>,
    /// Redis, if there is one.
    pub(crate) redis: Option<RedisSettings>,
}

/// The database's settings.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DatabaseSettings {
    /// The provider.
    pub(crate) provider: Provider,
    /// The connection string; a secret.
    pub(crate) url: String,
    /// The most connections.
    pub(crate) connections: usize,
    /// The memory for search indexes.
    pub(crate) index_memory: IndexBudget,
    /// The quota of projects without their own, in bytes; 0 = unlimited.
    pub(crate) default_quota: u64,
    /// How many days versions of documents are stored; 0 = no history.
    pub(crate) history_days: u32,
    /// Whether the connections lead through a transaction pooler.
    pub(crate) pooler: PoolerMode,
    /// The connection strings of standbys that answer reads; secrets.
    pub(crate) standby_urls: Vec<String>,
    /// Authorities to trust beside the system's.
    pub(crate) root_certificate: Option<PathBuf>,
    /// The variable that contains the connection string.
    pub(crate) variable: &'static str,
}

impl fmt::Debug for DatabaseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, connections, default_quota, pooler, standby_urls, root_certificate, .. } = self;
        f.debug_struct("DatabaseSettings")
            .field("provider", provider)
            .field("connections", connections)
            .field("default_quota", default_quota)
            .field("pooler", pooler)
            .field("standbys", &standby_urls.len())
            .field("root_certificate", root_certificate)
            .finish_non_exhaustive()
    }
}

/// The provider of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    /// A PostgreSQL server.
    Postgres,
    /// Supabase, whose schema is never changed automatically.
    Supabase,
}

/// Redis' settings.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RedisSettings {
    /// The connection string; a secret.
    pub(crate) url: String,
    /// The prefix of every key.
    pub(crate) prefix: String,
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Whether the environment selects HTTP.
///
/// # Errors
/// `MCP_TRANSPORT` has another value.
pub(crate) fn selects_http(read: Read<'_>) -> Result<bool, ConfigError> {
    match value(&TRANSPORT, read).to_ascii_lowercase().as_str() {
        "stdio" => Ok(false),
        "http" => Ok(true),
        _ => Err(invalid(&TRANSPORT, read)),
    }
}

/// The folder for state outside of projects, from the command line or the environment, or the default; `None` without
/// a home directory.
///
/// # Errors
/// The path is not absolute: another start would use another folder.
pub(crate) fn state_folder(flag: Option<&Path>, read: Read<'_>) -> Result<Option<StateFolder>, ConfigError> {
    if let Some(path) = flag {
        // A path on the command line is relative to the current folder.
        return Ok(std::path::absolute(path).ok().map(StateFolder::new));
    }
    if let Some(path) = non_blank(&STATE_DIR, read).map(PathBuf::from) {
        return if path.is_absolute() {
            Ok(Some(StateFolder::new(path)))
        } else {
            Err(invalid(&STATE_DIR, read))
        };
    }
    let Ok(places) = etcetera::base_strategy::choose_native_strategy() else { return Ok(None) };
    let base = places.state_dir().unwrap_or_else(|| places.data_dir());
    Ok(base.is_absolute().then(|| StateFolder::new(base.join("memory-bank-mcp"))))
}

/// The tools to list, and read-only mode, from the command line or the environment. Either can set read-only mode.
///
/// # Errors
/// A variable is invalid.
pub(crate) fn tool_options(
    toolset: Option<&Toolset>,
    read_only: bool,
    read: Read<'_>,
) -> Result<ToolOptions, ConfigError> {
    let default_toolset = value(&TOOLS, read).parse().map_err(|_| invalid(&TOOLS, read))?;
    let read_only = boolean(&READ_ONLY, read)? || read_only;
    let toolset = toolset.cloned().unwrap_or(default_toolset);
    Ok(ToolOptions { toolset, read_only, ..ToolOptions::default() })
}

/// The endpoint for traces, if any.
///
/// # Errors
/// The variable is not a URL.
pub(crate) fn traces(read: Read<'_>) -> Result<Option<String>, ConfigError> {
    let Some(url) = non_blank(&OTLP_ENDPOINT, read) else { return Ok(None) };
    let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    if host.is_some_and(|host| !host.is_empty() && url.parse::<http::Uri>().is_ok()) {
        Ok(Some(url))
    } else {
        Err(invalid(&OTLP_ENDPOINT, read))
    }
}

/// The log filter of the environment.
///
/// # Errors
/// `RUST_LOG` is invalid.
pub(crate) fn log_filter(read: Read<'_>) -> Result<Option<Targets>, ConfigError> {
    let Some(text) = non_blank(&LOG, read) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| invalid(&LOG, read))
}

/// The connection string of servers, for the command that creates their role.
///
/// # Errors
/// The variable is invalid or missing.
pub(crate) fn server_database_url(read: Read<'_>) -> Result<String, ConfigError> {
    let reason = "`--server-password-file` creates the role that it names";
    let missing =
        ConfigError::Missing { name: SERVER_DATABASE_URL.name, takes: SERVER_DATABASE_URL.takes, reason };
    let (_, url) = secret(&SERVER_DATABASE_URL, read)?.ok_or(missing)?;
    Ok(url)
}

/// The embedder's settings.
pub(crate) struct EmbeddingSettings {
    /// `local:` and a folder, or a URL.
    pub(crate) place: String,
    /// The model of a service.
    pub(crate) model: Option<String>,
    /// The key of a service; a secret.
    pub(crate) key: Option<String>,
}

/// The embedder, if one is configured.
///
/// # Errors
/// A variable is invalid.
pub(crate) fn embeddings(read: Read<'_>) -> Result<Option<EmbeddingSettings>, ConfigError> {
    let Some(place) = non_blank(&EMBEDDINGS, read) else { return Ok(None) };
    let is_folder = place.strip_prefix("local:").is_some_and(|dir| !dir.is_empty());
    if !is_folder && !place.starts_with("http://") && !place.starts_with("https://") {
        let takes = EMBEDDINGS.takes;
        return Err(ConfigError::InvalidSecret {
            name: EMBEDDINGS.name.to_owned(),
            kind: url_kind(&place),
            takes,
        });
    }
    let model = non_blank(&EMBEDDINGS_MODEL, read);
    if model.as_ref().is_some_and(|model| model.len() > 200) {
        return Err(invalid(&EMBEDDINGS_MODEL, read));
    }
    let key = secret(&EMBEDDINGS_KEY, read)?.map(|(_, key)| key);
    Ok(Some(EmbeddingSettings { place, model, key }))
}

impl Settings {
    /// Reads and checks all variables that a server needs; those of embeddings, of the log and of the owner's
    /// connection have readers of their own.
    ///
    /// # Errors
    /// The first invalid one.
    pub(crate) fn read(read: Read<'_>) -> Result<Self, ConfigError> {
        selects_http(read)?;
        traces(read)?;
        state_folder(None, read)?;
        let database = database(read)?;
        let redis = redis(read, database.is_some())?;
        let host: IpAddr = match (non_blank(&HOST, read).as_deref(), &database) {
            // By default a folder is not served to the network.
            (None, None) | (Some("localhost"), _) => LOOPBACK,
            (None, Some(_)) => ALL_ADDRESSES,
            (Some(text), _) => text.parse().map_err(|_| invalid(&HOST, read))?,
        };
        let hops = number(&PROXY_HOPS, read, 0, 16)?;
        let address_limit: u32 = number(&ADDRESS_LIMIT, read, 0, 1_000_000)?;
        let keyed_address_limit = match non_blank(&KEYED_ADDRESS_LIMIT, read) {
            Some(_) => number(&KEYED_ADDRESS_LIMIT, read, 0, 1_000_000)?,
            None if address_limit == 0 => 0,
            None => address_limit.max(1200),
        };
        let connections_per_address = match non_blank(&ADDRESS_CONNECTIONS, read) {
            Some(_) => number(&ADDRESS_CONNECTIONS, read, 1, 10_000)?,
            None if hops == 0 => 256,
            None => 5000,
        };
        let port: u16 = value(&PORT, read).parse().map_err(|_| invalid(&PORT, read))?;
        let http = HttpConfig {
            listen: SocketAddr::new(host, port),
            json_response: boolean(&JSON_RESPONSE, read)?,
            allowed_hosts: hosts(read)?,
            allowed_origins: origins(read)?,
            public_url: public_url(read)?,
            client_documents: boolean(&CLIENT_DOCUMENTS, read)?,
            openid: openid::settings(read)?,
            outside_issuer: issuer::settings(read)?,
            trust_proxy_hops: hops,
            address_limit,
            keyed_address_limit,
            connections_per_address,
            reply_bytes: number(&REPLY_BYTES, read, 16_384, 1_048_576)?,
            reply_bytes_per_key: number(&KEY_REPLY_BYTES, read, 1_048_576, 1_073_741_824)?,
            reply_bytes_total: number(&ALL_REPLY_BYTES, read, 1_048_576, 17_179_869_184)?,
            keep_alive: Duration::from_secs(number(&KEEP_ALIVE, read, 5, 3600)?),
            streams_per_key: number(&STREAMS, read, 1, 10_000)?,
            sessions_per_project: number(&SESSIONS, read, 1, 1_000_000)?,
            sessions_per_key: number(&SESSIONS_OF_KEY, read, 1, 1_000_000)?,
            event_bytes_per_session: number(&SESSION_EVENTS, read, 1_048_576, 1_073_741_824)?,
            event_bytes_per_project: number(&PROJECT_EVENTS, read, 1_048_576, 17_179_869_184)?,
            drain_delay: Duration::from_secs(number(&DRAIN_DELAY, read, 0, 4)?),
            audit_retention: Duration::from_secs(86_400 * number::<u64>(&AUDIT_RETENTION, read, 30, 3650)?),
            metrics: non_blank(&METRICS, read)
                .map(|address| address.parse().map_err(|_| invalid(&METRICS, read)))
                .transpose()?,
            tools: tool_options(None, false, read)?,
            event_retention: Duration::from_secs(3600 * number::<u64>(&RETENTION, read, 1, 720)?),
        };
        Ok(Self { http, database, redis })
    }
}

/// How many days versions of documents are stored; 0 = no history.
pub(crate) fn history_days(read: Read<'_>) -> Result<u32, ConfigError> {
    number(&HISTORY_RETENTION, read, 0, 3650)
}

fn database(read: Read<'_>) -> Result<Option<DatabaseSettings>, ConfigError> {
    let provider = match value(&PROVIDER, read).to_ascii_lowercase().as_str() {
        "postgres" => Provider::Postgres,
        "supabase" => Provider::Supabase,
        _ => return Err(invalid(&PROVIDER, read)),
    };
    let variable = match provider {
        Provider::Postgres => &DATABASE_URL,
        Provider::Supabase => &SUPABASE_URL,
    };
    let connections = match non_blank(&CONNECTIONS, read) {
        Some(_) => number(&CONNECTIONS, read, 1, 1000)?,
        None if provider == Provider::Supabase => 10,
        None => 20,
    };
    let pooler = match value(&POOLER, read).to_ascii_lowercase().as_str() {
        "session" => PoolerMode::Session,
        "transaction" => PoolerMode::Transaction,
        _ => return Err(invalid(&POOLER, read)),
    };
    let index_memory = IndexBudget {
        total: MIB * number::<u64>(&INDEX_MEMORY, read, 64, 1_048_576)?,
        per_project: MIB * number::<u64>(&INDEX_MEMORY_PER_PROJECT, read, 16, 1_048_576)?,
    };
    let history_days = history_days(read)?;
    let default_quota = number(&QUOTA, read, 0, 1_099_511_627_776)?;
    let Some((name, url)) = secret(variable, read)? else {
        let reason = "`DB_PROVIDER` is set";
        if non_blank(&PROVIDER, read).is_some() {
            return Err(ConfigError::Missing { name: variable.name, takes: variable.takes, reason });
        }
        if secret(&SUPABASE_URL, read)?.is_some() {
            let reason = "`SUPABASE_DB_URL` is used only with `DB_PROVIDER=supabase`";
            return Err(ConfigError::Missing { name: PROVIDER.name, takes: PROVIDER.takes, reason });
        }
        return Ok(None);
    };
    // libpq accepts a URL, or a list of `key=value` pairs.
    let is_list = !url.contains("://") && url.contains('=');
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://") || is_list) {
        return Err(ConfigError::InvalidSecret { name, kind: url_kind(&url), takes: variable.takes });
    }
    let url = if provider == Provider::Postgres { login::complete(url, read)? } else { url };
    let standby_urls = standbys::urls(provider, read)?;
    let root_certificate = non_blank(&ROOT_CERTIFICATE, read).map(PathBuf::from);
    if let Some(path) = &root_certificate {
        text_file(ROOT_CERTIFICATE.name, path, ROOT_CERTIFICATE.takes, u64::MAX)?;
    }
    let variable = variable.name;
    Ok(Some(DatabaseSettings {
        provider,
        url,
        connections,
        index_memory,
        default_quota,
        history_days,
        pooler,
        standby_urls,
        root_certificate,
        variable,
    }))
}

/// With a database, Redis is used unless the variable is empty; with a folder only if it is set.
fn redis(read: Read<'_>, has_database: bool) -> Result<Option<RedisSettings>, ConfigError> {
    let prefix = value(&REDIS_PREFIX, read);
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(is_allowed) {
        return Err(invalid(&REDIS_PREFIX, read));
    }
    let (name, url) = match secret(&REDIS_URL, read)? {
        Some(named) => named,
        None if has_database && read(REDIS_URL.name).is_none() => {
            (REDIS_URL.name.to_owned(), DEFAULT_REDIS_URL.to_owned())
        }
        None => return Ok(None),
    };
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    if !scheme.is_some_and(|scheme| REDIS_SCHEMES.contains(&scheme)) {
        return Err(ConfigError::InvalidSecret { name, kind: url_kind(&url), takes: REDIS_URL.takes });
    }
    Ok(Some(RedisSettings { url, prefix }))
}

fn hosts(read: Read<'_>) -> Result<Vec<String>, ConfigError> {
    let hosts = list(&ALLOWED_HOSTS, read);
    if hosts.iter().all(|host| host == "*" || is_host(host)) {
        Ok(hosts)
    } else {
        Err(invalid(&ALLOWED_HOSTS, read))
    }
}

/// A name or an address, with or without a port; an IPv6 address needs brackets.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !text.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let is_name = match name.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        }
    };
    is_name && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn origins(read: Read<'_>) -> Result<Vec<String>, ConfigError> {
    let origins = list(&ALLOWED_ORIGINS, read);
    let is_valid = |origin: &String| {
        let authority = origin.split_once("://").map(|(_, authority)| authority.trim_end_matches('/'));
        origin == "*" || authority.is_some_and(|authority| !authority.is_empty() && !authority.contains('/'))
    };
    if origins.iter().all(is_valid) { Ok(origins) } else { Err(invalid(&ALLOWED_ORIGINS, read)) }
}

fn public_url(read: Read<'_>) -> Result<Option<String>, ConfigError> {
    let Some(url) = non_blank(&PUBLIC_URL, read) else { return Ok(None) };
    let url = url.trim_end_matches('/').to_ascii_lowercase();
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if host.is_some_and(is_host) { Ok(Some(url)) } else { Err(invalid(&PUBLIC_URL, read)) }
}

#[cfg(test)]
mod tests;
