//! Where Redis is: one server, the primary that Sentinels name, or a cluster. This module must not know what is stored there.

use std::time::Duration;

use futures::future::join_all;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisFuture, RedisResult, Value};

/// Time-out of one command.
pub(super) const COMMAND_TIMEOUT: Duration = Duration::from_millis(50);
/// Time-out of a connection attempt. It runs in the background; commands do not wait for it.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time-out of one node or Sentinel. All are asked at once, so that a silent one delays nobody.
pub(super) const NODE_TIMEOUT: Duration = Duration::from_millis(500);
/// Time-out of a connection attempt to a cluster, which connects to several nodes.
pub(super) const CLUSTER_TIMEOUT: Duration = Duration::from_secs(5);
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
    Sentinels(Sentinels),
    /// A cluster, and each of the nodes that the URL names.
    Cluster(ClusterClient, Vec<Client>),
}

/// Sentinels, which name the primary.
pub(super) struct Sentinels {
    sentinels: Vec<Client>,
    /// The name that they have for the primary.
    name: String,
    /// The URL of the primary before and after its address.
    around: (String, String),
}

impl Sentinels {
    /// The primary, and the number of its fail-over: what the Sentinel knows that has seen the latest one.
    ///
    /// # Errors
    /// No Sentinel answers, or none knows the name. The error of the last one.
    pub(super) async fn primary(&self) -> RedisResult<(Client, u64)> {
        let mut command = redis::cmd("SENTINEL");
        command.arg("MASTER").arg(&self.name);
        let mut found: Option<(u64, String)> = None;
        let mut failed = None;
        for reply in ask_all::<Vec<String>>(&self.sentinels, &command).await {
            let fields = match reply {
                Ok(fields) => fields,
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            };
            let field = |name: &str| {
                let mut pairs = fields.chunks_exact(2);
                pairs.find_map(|pair| (pair.first()? == name).then(|| pair.get(1))?).map(String::as_str)
            };
            let (Some(host), Some(port)) = (field("ip"), field("port")) else { continue };
            let epoch = field("config-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or_default();
            if found.as_ref().is_none_or(|(known, _)| epoch > *known) {
                let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
                found = Some((epoch, format!("{}{host}:{port}{}", self.around.0, self.around.1)));
            }
        }
        let Some((epoch, url)) = found else { return Err(failed.unwrap_or_else(silent)) };
        Ok((Client::open(url)?, epoch))
    }
}

/// The state of a cluster as a node sees it.
pub(super) struct Membership {
    /// Whether the node is part of a cluster that serves.
    pub(super) is_whole: bool,
    /// The number of the latest fail-over that it knows.
    pub(super) epoch: u64,
}

/// What each node says about its cluster.
pub(super) async fn memberships(nodes: &[Client]) -> Vec<RedisResult<Membership>> {
    let mut command = redis::cmd("CLUSTER");
    command.arg("INFO");
    let replies = ask_all::<String>(nodes, &command).await.into_iter();
    let membership = |info: String| {
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        Membership {
            is_whole: field("cluster_state:") == Some("ok"),
            epoch: field("cluster_current_epoch:").and_then(|epoch| epoch.parse().ok()).unwrap_or_default(),
        }
    };
    replies.map(|reply| reply.map(membership)).collect()
}

/// Asks all at once, each over a connection of its own.
async fn ask_all<T: FromRedisValue>(nodes: &[Client], command: &Cmd) -> Vec<RedisResult<T>> {
    join_all(nodes.iter().map(async |node| {
        let asked = async { command.query_async(&mut connect(node).await?).await };
        tokio::time::timeout(NODE_TIMEOUT, asked).await.unwrap_or_else(|_| Err(silent()))
    }))
    .await
}

async fn connect(node: &Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(NODE_TIMEOUT))
        .set_response_timeout(Some(NODE_TIMEOUT));
    node.get_multiplexed_async_connection_with_config(&config).await
}

/// The error of a server that says nothing.
pub(super) fn silent() -> redis::RedisError {
    (redis::ErrorKind::Io, "no answer in time").into()
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
        if !user.is_empty() && password.is_none() {
            return Err(RedisError("it has a user for the Sentinels and no password"));
        }
        let sentinel_login = password.map(|password| format!("{user}:{password}@")).unwrap_or_default();
        Ok(Self { login, sentinel_login, hosts, path })
    }

    /// The URL of each server.
    fn urls(&self, is_encrypted: bool, login: &str, port: u16) -> Vec<String> {
        let scheme = if is_encrypted { "rediss" } else { "redis" };
        let has_port =
            |host: &str| host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
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
        let (name, database) = self.path.split_once('/').unwrap_or((self.path, ""));
        if name.is_empty() {
            return Err(RedisError("it lacks the name of the primary"));
        }
        let scheme = if is_encrypted { "rediss" } else { "redis" };
        let around = (format!("{scheme}://{}", self.login), format!("/{database}"));
        Client::open(format!("{}primary:1{}", around.0, around.1))
            .map_err(|_| RedisError("its user, password or database cannot be read"))?;
        let sentinels = self.urls(is_encrypted, &self.sentinel_login, SENTINEL_PORT);
        let sentinels = clients(&sentinels, "one of its Sentinels cannot be read")?;
        Ok(Place::Sentinels(Sentinels { sentinels, name: name.to_owned(), around }))
    }

    fn cluster(&self, is_encrypted: bool) -> Result<Place, RedisError> {
        if !self.path.is_empty() || !self.sentinel_login.is_empty() {
            return Err(RedisError("a cluster has no name, no database of its own and no Sentinel"));
        }
        let urls = self.urls(is_encrypted, self.login, PORT);
        let nodes = clients(&urls, "one of its servers cannot be read")?;
        // A command has no time for more than one more attempt.
        let client = ClusterClient::builder(urls)
            .retries(1)
            // All commands wait while a node is connected to.
            .connection_timeout(COMMAND_TIMEOUT * 2)
            .response_timeout(COMMAND_TIMEOUT)
            .build()
            .map_err(|_| RedisError::UNUSABLE)?;
        Ok(Place::Cluster(client, nodes))
    }
}

fn clients(urls: &[String], unreadable: &'static str) -> Result<Vec<Client>, RedisError> {
    let clients = urls.iter().map(|url| Client::open(url.as_str()));
    clients.collect::<RedisResult<_>>().map_err(|_| RedisError(unreadable))
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

impl Connection {
    /// Sends a command to any server: in a cluster to one that has keys, by chance.
    pub(super) async fn send_to_any(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command).await,
            Self::Cluster(connection) => {
                let any = RoutingInfo::SingleNode(SingleNodeRoutingInfo::RandomPrimary);
                connection.route_command(command.clone(), any).await
            }
        }
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
            ("redis+sentinel://one/bank?sentinel_username=x", "refused"),
            ("redis+cluster://one/3", "refused"),
            ("redis+other://one", "refused"),
            ("http://one", "refused"),
        ] {
            assert_eq!(kind(url), expected, "{url}");
        }
    }

    #[test]
    fn no_error_shows_a_part_of_the_url() {
        for url in ["redis+sentinel://u:secret@one", "redis+cluster://u:secret@one/secret", "secret://secret"]
        {
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
