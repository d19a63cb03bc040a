//! Where Redis is: one server, the primary that Sentinels name, or a cluster. This module must not know what is stored there.

use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, PubSub};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{Client, Cmd, ErrorKind, IntoConnectionInfo, Pipeline, RedisFuture, RedisResult, TlsMode, Value};

/// Time-out of one command.
pub(super) const COMMAND_TIMEOUT: Duration = Duration::from_millis(50);
/// Time-out of a connection attempt. It runs in the background; commands do not wait for it.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Servers past this many are a mistake.
const MAX_SERVERS: usize = 64;
/// The ports of servers that are named without one.
const SENTINEL_PORT: u16 = 26379;
const PORT: u16 = 6379;

/// `REDIS_URL` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "`REDIS_URL` cannot be used (its value is not shown): {0}. It takes redis://host:port; redis+sentinel://host:port,host:port/NAME, with \
     the name that the Sentinels have for the primary; or redis+cluster://host:port,host:port. With TLS it begins with rediss"
)]
pub struct RedisError(&'static str);

impl RedisError {
    /// The driver refuses it.
    pub(super) const UNUSABLE: Self = Self("no connection can be made with it");
}

/// The servers of a URL.
#[expect(clippy::large_enum_variant, reason = "a process has one or two")]
pub(super) enum Place {
    One(Client),
    /// Sentinels, which name the primary.
    Sentinels(Box<tokio::sync::Mutex<SentinelClient>>),
    /// A cluster, and each of the nodes that the URL names.
    Cluster(ClusterClient, Vec<Client>),
}

impl Place {
    /// Reads a URL.
    ///
    /// # Errors
    /// It has another form.
    pub(super) fn parse(url: &str) -> Result<Self, RedisError> {
        let Some((kind, rest)) = ["redis+", "rediss+"].iter().find_map(|start| {
            let (kind, rest) = url.strip_prefix(start)?.split_once("://")?;
            Some(((start.starts_with("rediss"), kind), rest))
        }) else {
            return Client::open(url).map(Self::One).map_err(|_| RedisError("it is no URL of Redis"));
        };
        let (is_encrypted, kind) = kind;
        let servers = Servers::parse(rest)?;
        match kind {
            "sentinel" => servers.sentinels(is_encrypted),
            "cluster" => servers.cluster(is_encrypted),
            _ => Err(RedisError("after the plus sign it has neither `sentinel` nor `cluster`")),
        }
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(..))
    }
}

/// The parts of a URL with several servers.
struct Servers<'t> {
    /// User and password with their `@`, as in the URL; for the servers, not for Sentinels.
    login: &'t str,
    /// User and password for Sentinels.
    sentinel_login: String,
    hosts: Vec<&'t str>,
    /// What follows the hosts.
    path: &'t str,
}

impl<'t> Servers<'t> {
    fn parse(rest: &'t str) -> Result<Self, RedisError> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, rest) = rest.rfind('@').map_or(("", rest), |at| rest.split_at(at + 1));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts: Vec<&str> = hosts.split(',').map(str::trim).collect();
        if hosts.len() > MAX_SERVERS || hosts.iter().any(|host| host.is_empty()) {
            return Err(RedisError("it names no server, an empty one, or more than 64"));
        }
        let (mut user, mut password) = ("", None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sentinel_username", value)) => user = value,
                Some(("sentinel_password", value)) => password = Some(value),
                _ => {
                    return Err(RedisError(
                        "after its question mark it may have `sentinel_username` and `sentinel_password` only",
                    ));
                }
            }
        }
        let sentinel_login = password.map(|password| format!("{user}:{password}@")).unwrap_or_default();
        Ok(Self { login, sentinel_login, hosts, path })
    }

    /// The URL of each server.
    fn urls(&self, is_encrypted: bool, login: &str, port: u16) -> Vec<String> {
        let scheme = if is_encrypted { "rediss" } else { "redis" };
        let has_port = |host: &str| host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        self.hosts
            .iter()
            .map(|host| {
                if has_port(host) {
                    format!("{scheme}://{login}{host}")
                } else {
                    format!("{scheme}://{login}{host}:{port}")
                }
            })
            .collect()
    }

    fn sentinels(&self, is_encrypted: bool) -> Result<Place, RedisError> {
        let (name, database) = self.path.split_once('/').unwrap_or((self.path, "0"));
        if name.is_empty() {
            return Err(RedisError("it lacks the name of the primary"));
        }
        // The driver reads user, password and database as it reads those of one server.
        let of_primary = format!("redis://{}primary/{database}", self.login);
        let of_primary = of_primary.into_connection_info();
        let of_primary = of_primary.map_err(|_| RedisError("its user, password or database cannot be read"))?;
        let mut node = SentinelNodeConnectionInfo::default()
            .set_redis_connection_info(of_primary.redis_settings().clone());
        if is_encrypted {
            node = node.set_tls_mode(TlsMode::Secure);
        }
        let sentinels = self.urls(is_encrypted, &self.sentinel_login, SENTINEL_PORT);
        SentinelClient::build(sentinels, name, Some(node), SentinelServerType::Master)
            .map(|client| Place::Sentinels(Box::new(tokio::sync::Mutex::new(client))))
            .map_err(|_| RedisError("one of its Sentinels cannot be read"))
    }

    fn cluster(&self, is_encrypted: bool) -> Result<Place, RedisError> {
        if !self.path.is_empty() || !self.sentinel_login.is_empty() {
            return Err(RedisError("a cluster has no name, no database of its own and no Sentinel"));
        }
        let urls = self.urls(is_encrypted, self.login, PORT);
        let unreadable = |_| RedisError("one of its servers cannot be read");
        let nodes = urls.iter().map(|url| Client::open(url.as_str())).collect::<RedisResult<_>>().map_err(unreadable)?;
        // A command has no time for more than one more attempt.
        let client = ClusterClient::builder(urls)
            .retries(1)
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(COMMAND_TIMEOUT)
            .build()
            .map_err(unreadable)?;
        Ok(Place::Cluster(client, nodes))
    }
}

/// A connection to one server, or to a cluster. Cheap to clone.
#[derive(Clone)]
pub(super) enum Connection {
    One(ConnectionManager),
    Cluster(ClusterConnection),
}

impl Connection {
    /// A connection to one server that opens with its first command.
    pub(super) fn lazy(client: &Client) -> RedisResult<Self> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(10))
            .set_max_delay(Duration::from_millis(500))
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(COMMAND_TIMEOUT));
        ConnectionManager::new_lazy_with_config(client.clone(), config).map(Self::One)
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// A connection for messages to the first node that gives one: each node of a cluster has the messages of all.
pub(super) async fn listener(nodes: &[Client]) -> RedisResult<PubSub> {
    let mut failed = (ErrorKind::Io, "no server is known").into();
    for node in nodes {
        match tokio::time::timeout(CONNECT_TIMEOUT / 2, node.get_async_pubsub()).await {
            Ok(Ok(listener)) => return Ok(listener),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = (ErrorKind::Io, "a node does not answer").into(),
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(url: &str) -> &'static str {
        match Place::parse(url) {
            Ok(Place::One(_)) => "one",
            Ok(Place::Sentinels(_)) => "sentinels",
            Ok(Place::Cluster(..)) => "cluster",
            Err(_) => "refused",
        }
    }

    #[test]
    fn urls_name_one_server_the_primary_of_sentinels_or_a_cluster() {
        for (url, expected) in [
            ("redis://127.0.0.1:6379", "one"),
            ("rediss://:secret@redis:6380/2", "one"),
            ("redis+sentinel://one:26379,two,three:26380/bank", "sentinels"),
            ("rediss+sentinel://user:secret@one/bank/3?sentinel_password=other", "sentinels"),
            ("redis+cluster://one:7000,two:7001", "cluster"),
            ("rediss+cluster://user:sec%2Fret@one,two", "cluster"),
            ("redis+sentinel://one:26379", "refused"),
            ("redis+sentinel:///bank", "refused"),
            ("redis+sentinel://one,,two/bank", "refused"),
            ("redis+sentinel://one/bank?password=x", "refused"),
            ("redis+cluster://one/3", "refused"),
            ("redis+other://one", "refused"),
            ("http://one", "refused"),
        ] {
            assert_eq!(kind(url), expected, "{url}");
        }
    }

    #[test]
    fn no_error_shows_a_part_of_the_url() {
        for url in ["redis+sentinel://u:secret@one", "redis+cluster://u:secret@one/secret", "secret://secret"] {
            let Err(error) = Place::parse(url) else { panic!("{url} was taken") };
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn servers_without_a_port_get_the_usual_one() {
        let servers = Servers::parse("u:p@one,two:7000,[::1]:7001/bank").unwrap();
        assert_eq!(
            servers.urls(true, servers.login, PORT),
            ["rediss://u:p@one:6379", "rediss://u:p@two:7000", "rediss://u:p@[::1]:7001"]
        );
    }
}
