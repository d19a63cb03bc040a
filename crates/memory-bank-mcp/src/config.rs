//! What the environment says. Every variable has its default here; a value that cannot be used is an error that names
//! the variable, what it holds and what it takes.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use memory_bank_server::http::HttpConfig;

/// The settings of a server of HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where to listen, how to answer, whom to let in.
    pub(crate) http: HttpConfig,
    /// The database, unless a folder is served.
    pub(crate) database: Option<DatabaseSettings>,
    /// Redis, if there is one.
    pub(crate) redis: Option<RedisSettings>,
}

/// How to reach PostgreSQL.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DatabaseSettings {
    /// Who runs it.
    pub(crate) provider: Provider,
    /// The connection string; a secret.
    pub(crate) url: String,
    /// The most connections.
    pub(crate) connections: usize,
}

impl fmt::Debug for DatabaseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, connections, .. } = self;
        f.debug_struct("DatabaseSettings")
            .field("provider", provider)
            .field("connections", connections)
            .finish()
    }
}

/// Who runs the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    /// A PostgreSQL of one's own.
    Postgres,
    /// Supabase, whose schema is never changed unasked.
    Supabase,
}

/// How to reach Redis.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RedisSettings {
    /// The connection string; a secret.
    pub(crate) url: String,
    /// What every key begins with.
    pub(crate) prefix: String,
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// A variable that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The value is wrong.
    #[error("`{name}` is `{got}`; it takes {takes}")]
    Wrong {
        /// The variable.
        name: &'static str,
        /// What it holds.
        got: String,
        /// What it takes.
        takes: &'static str,
    },
    /// A secret value is wrong; it is not shown.
    #[error("`{name}` cannot be used (its value is not shown); it takes {takes}")]
    WrongSecret {
        /// The variable.
        name: &'static str,
        /// What it takes.
        takes: &'static str,
    },
    /// A variable is missing.
    #[error("`{name}` is not set; it takes {takes}, since {reason}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What it takes.
        takes: &'static str,
        /// Why it is needed.
        reason: &'static str,
    },
}

/// One variable, as the reference in the documentation lists it.
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    pub(crate) takes: &'static str,
}

macro_rules! variables {
    ($($constant:ident = $name:literal, $default:literal, $takes:literal;)*) => {
        $(const $constant: Variable = Variable { name: $name, default: $default, takes: $takes };)*
        /// All variables that the server reads.
        #[cfg(test)]
        pub(crate) const VARIABLES: &[&Variable] = &[$(&$constant),*];
    };
}

variables! {
    TRANSPORT = "MCP_TRANSPORT", "stdio", "`stdio` or `http`";
    PORT = "MCP_PORT", "3100", "a port, from 0 to 65535; 0 = any that is free";
    HOST = "MCP_HOST", "0.0.0.0", "the IP address to listen on, such as 127.0.0.1, 0.0.0.0 or ::";
    JSON_RESPONSE = "MCP_JSON_RESPONSE", "false", "`true` (replies in JSON) or `false` (streams of events)";
    PROVIDER = "DB_PROVIDER", "postgres", "`postgres` or `supabase`";
    DATABASE_URL = "DATABASE_URL", "", "a connection string, postgresql://user:password@host:port/database";
    SUPABASE_URL = "SUPABASE_DB_URL", "", "the connection string of the session pooler, postgresql://…";
    CONNECTIONS = "DB_MAX_CONNECTIONS", "", "a number from 1 to 1000";
    REDIS_URL = "REDIS_URL", "redis://redis:6379", "a URL, redis://host:port or rediss://host:port; empty = none";
    REDIS_PREFIX = "REDIS_KEY_PREFIX", "mbmcp", "1 to 64 letters, digits, `-`, `_`, `.` or `:`";
    ADDRESS_LIMIT = "RATE_LIMIT_IP_PER_MINUTE", "120", "a number from 0 to 1000000; 0 = unlimited";
    PROXY_HOPS = "TRUST_PROXY_HOPS", "1", "a number from 0 to 16; 0 = the address of the connection counts";
    HOSTS = "ALLOWED_HOSTS", "", "host names with or without a port, separated by commas, or `*`; empty = this machine";
    ORIGINS = "ALLOWED_ORIGINS", "", "origins such as https://app.example, separated by commas, or `*`; empty = none";
    RETENTION = "EVENT_RETENTION_HOURS", "24", "a number from 1 to 720";
    STREAMS = "MAX_STREAMS_PER_KEY", "32", "a number from 1 to 10000";
    SESSIONS = "MAX_SESSIONS_PER_PROJECT", "1000", "a number from 1 to 1000000";
}

/// Reads variables; handed in, so that tests need not touch the environment.
pub(crate) type Read<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Whether the environment asks for HTTP.
///
/// # Errors
/// `MCP_TRANSPORT` holds another word.
pub(crate) fn wants_http(read: Read<'_>) -> Result<bool, ConfigError> {
    match value(&TRANSPORT, read).to_ascii_lowercase().as_str() {
        "stdio" => Ok(false),
        "http" => Ok(true),
        _ => Err(wrong(&TRANSPORT, read)),
    }
}

impl Settings {
    /// Reads and checks all variables.
    ///
    /// # Errors
    /// The first one that cannot be used.
    pub(crate) fn read(read: Read<'_>) -> Result<Self, ConfigError> {
        let database = database(read)?;
        let redis = redis(read, database.is_some())?;
        let host: IpAddr = match (set(&HOST, read), &database) {
            // A folder is one's own: it is not offered to the network unasked.
            (None, None) => IpAddr::from([127, 0, 0, 1]),
            _ => match value(&HOST, read).as_str() {
                "localhost" => IpAddr::from([127, 0, 0, 1]),
                text => text.parse().map_err(|_| wrong(&HOST, read))?,
            },
        };
        let port: u16 = value(&PORT, read).parse().map_err(|_| wrong(&PORT, read))?;
        let http = HttpConfig {
            listen: SocketAddr::new(host, port),
            json_response: truth(&JSON_RESPONSE, read)?,
            allowed_hosts: hosts(read)?,
            allowed_origins: origins(read)?,
            trust_proxy_hops: number(&PROXY_HOPS, read, 0, 16)?,
            address_limit: number(&ADDRESS_LIMIT, read, 0, 1_000_000)?,
            streams_per_key: number(&STREAMS, read, 1, 10_000)?,
            sessions_per_project: number(&SESSIONS, read, 1, 1_000_000)?,
            event_retention: Duration::from_secs(3600 * number::<u64>(&RETENTION, read, 1, 720)?),
        };
        Ok(Self { http, database, redis })
    }
}

fn database(read: Read<'_>) -> Result<Option<DatabaseSettings>, ConfigError> {
    let provider = match value(&PROVIDER, read).to_ascii_lowercase().as_str() {
        "postgres" => Provider::Postgres,
        "supabase" => Provider::Supabase,
        _ => return Err(wrong(&PROVIDER, read)),
    };
    let variable = match provider {
        Provider::Postgres => &DATABASE_URL,
        Provider::Supabase => &SUPABASE_URL,
    };
    let connections = match set(&CONNECTIONS, read) {
        Some(_) => number(&CONNECTIONS, read, 1, 1000)?,
        None if provider == Provider::Supabase => 10,
        None => 20,
    };
    let Some(url) = set(variable, read) else {
        if set(&PROVIDER, read).is_none() {
            return Ok(None);
        }
        let reason = "`DB_PROVIDER` asks for a database";
        return Err(ConfigError::Missing { name: variable.name, takes: variable.takes, reason });
    };
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err(ConfigError::WrongSecret { name: variable.name, takes: variable.takes });
    }
    Ok(Some(DatabaseSettings { provider, url, connections }))
}

/// Beside a database there is Redis unless the variable is empty; beside a folder only when it is set.
fn redis(read: Read<'_>, has_database: bool) -> Result<Option<RedisSettings>, ConfigError> {
    let prefix = value(&REDIS_PREFIX, read);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(fits) {
        return Err(wrong(&REDIS_PREFIX, read));
    }
    let url = match read(REDIS_URL.name) {
        None if has_database => REDIS_URL.default.to_owned(),
        None => return Ok(None),
        Some(url) => url.trim().to_owned(),
    };
    if url.is_empty() {
        return Ok(None);
    }
    if !(url.starts_with("redis://") || url.starts_with("rediss://")) {
        return Err(ConfigError::WrongSecret { name: REDIS_URL.name, takes: REDIS_URL.takes });
    }
    Ok(Some(RedisSettings { url, prefix }))
}

fn hosts(read: Read<'_>) -> Result<Vec<String>, ConfigError> {
    let hosts = list(&HOSTS, read);
    let fits = |host: &String| !host.contains(['/', ' ', '@', '\\']);
    if hosts.iter().all(fits) { Ok(hosts) } else { Err(wrong(&HOSTS, read)) }
}

fn origins(read: Read<'_>) -> Result<Vec<String>, ConfigError> {
    let origins = list(&ORIGINS, read);
    let fits = |origin: &String| {
        let authority = origin.split_once("://").map(|(_, authority)| authority.trim_end_matches('/'));
        origin == "*" || authority.is_some_and(|authority| !authority.is_empty() && !authority.contains('/'))
    };
    if origins.iter().all(fits) { Ok(origins) } else { Err(wrong(&ORIGINS, read)) }
}

/// A variable that is set and not blank.
fn set(variable: &Variable, read: Read<'_>) -> Option<String> {
    read(variable.name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn value(variable: &Variable, read: Read<'_>) -> String {
    set(variable, read).unwrap_or_else(|| variable.default.to_owned())
}

fn wrong(variable: &Variable, read: Read<'_>) -> ConfigError {
    ConfigError::Wrong { name: variable.name, got: value(variable, read), takes: variable.takes }
}

fn truth(variable: &Variable, read: Read<'_>) -> Result<bool, ConfigError> {
    match value(variable, read).to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(wrong(variable, read)),
    }
}

fn number<T>(variable: &Variable, read: Read<'_>, least: T, most: T) -> Result<T, ConfigError>
where
    T: std::str::FromStr + PartialOrd + Copy,
{
    match value(variable, read).parse::<T>() {
        Ok(number) if number >= least && number <= most => Ok(number),
        _ => Err(wrong(variable, read)),
    }
}

fn list(variable: &Variable, read: Read<'_>) -> Vec<String> {
    value(variable, read)
        .split(',')
        .map(|item| item.trim().to_owned())
        .filter(|item| !item.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let pairs: Vec<(String, String)> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::read(&|name| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
    }

    #[test]
    fn without_a_database_a_folder_is_served_to_this_machine() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.http.listen.to_string(), "127.0.0.1:3100");
        assert!(settings.database.is_none() && settings.redis.is_none());
        assert!(!settings.http.json_response);
        assert_eq!((settings.http.address_limit, settings.http.trust_proxy_hops), (120, 1));
        assert_eq!(settings.http.event_retention, Duration::from_secs(24 * 3600));
    }

    #[test]
    fn with_a_database_the_guide_s_defaults_hold() {
        let settings = read(&[("DATABASE_URL", "postgresql://a:b@c/d")]).unwrap();
        assert_eq!(settings.http.listen.to_string(), "0.0.0.0:3100");
        assert_eq!(settings.database.map(|database| database.connections), Some(20));
        let redis = settings.redis.unwrap();
        assert_eq!((redis.url.as_str(), redis.prefix.as_str()), ("redis://redis:6379", "mbmcp"));
        let supabase = [("DB_PROVIDER", "supabase"), ("SUPABASE_DB_URL", "postgresql://a:b@c/d")];
        assert_eq!(read(&supabase).unwrap().database.map(|database| database.connections), Some(10));
    }

    #[rstest]
    #[case("MCP_PORT", "99999")]
    #[case("MCP_PORT", "http")]
    #[case("MCP_HOST", "nowhere")]
    #[case("MCP_JSON_RESPONSE", "perhaps")]
    #[case("DB_PROVIDER", "mysql")]
    #[case("REDIS_KEY_PREFIX", "a b")]
    #[case("RATE_LIMIT_IP_PER_MINUTE", "-1")]
    #[case("TRUST_PROXY_HOPS", "17")]
    #[case("ALLOWED_HOSTS", "https://a/b")]
    #[case("ALLOWED_ORIGINS", "app.example")]
    #[case("EVENT_RETENTION_HOURS", "0")]
    #[case("MAX_STREAMS_PER_KEY", "0")]
    #[case("MAX_SESSIONS_PER_PROJECT", "none")]
    fn a_wrong_value_is_named_with_what_it_takes(#[case] name: &'static str, #[case] value: &str) {
        let variable = VARIABLES.iter().find(|variable| variable.name == name).unwrap();
        let error = read(&[(name, value)]).unwrap_err();
        assert_eq!(error, ConfigError::Wrong { name, got: value.to_owned(), takes: variable.takes });
        assert!(error.to_string().contains(name) && error.to_string().contains(value));
    }

    #[test]
    fn a_provider_without_a_connection_string_is_an_error() {
        for (provider, variable) in [("postgres", "DATABASE_URL"), ("supabase", "SUPABASE_DB_URL")] {
            let error = read(&[("DB_PROVIDER", provider)]).unwrap_err();
            assert!(matches!(error, ConfigError::Missing { name, .. } if name == variable), "{error}");
        }
    }

    #[test]
    fn a_connection_string_is_never_shown() {
        let error = read(&[("DATABASE_URL", "mysql://u:secret@h/d")]).unwrap_err();
        assert!(!error.to_string().contains("secret") && error.to_string().contains("DATABASE_URL"));
        let settings =
            read(&[("DATABASE_URL", "postgresql://u:secret@h/d"), ("REDIS_URL", "redis://:secret@h")]);
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn the_transport_is_one_of_two_words() {
        assert_eq!(wants_http(&|_| None), Ok(false));
        assert_eq!(wants_http(&|_| Some("http".to_owned())), Ok(true));
        assert!(wants_http(&|_| Some("sse".to_owned())).unwrap_err().to_string().contains("MCP_TRANSPORT"));
    }
}
