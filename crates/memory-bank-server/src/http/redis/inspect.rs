//! Facts about a Redis, for diagnosis by an operator.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError as Failure, ServerErrorKind};

use crate::http::redis::Redis;

/// Time-out of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time-out of a reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it is asked whether a primary is known.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// How often the round trip is measured.
const ROUND_TRIPS: usize = 5;

/// The facts that were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisFacts {
    /// The server's version, such as `7.2.4`.
    pub version: String,
    /// Its first number; 0 if unknown.
    pub major: u32,
    /// Whether it is a read-only replica.
    pub replica: bool,
    /// Its memory limit in bytes; 0 = unlimited.
    pub max_memory: u64,
    /// The memory in use, in bytes.
    pub used_memory: u64,
    /// The eviction policy, such as `allkeys-lru`.
    pub policy: String,
    /// Number of keys evicted since it started.
    pub evicted_keys: u64,
    /// The median of several round trips.
    pub round_trip: Duration,
}

/// Why Redis cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisFault {
    /// Nothing listens there, or the host is unknown.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It does not answer.
    #[error("it does not answer within {} s", REPLY_TIMEOUT.as_secs())]
    Silent,
    /// The password is wrong or missing.
    #[error("it asks for another user or password")]
    Authentication,
    /// The user may not do this.
    #[error("its user lacks rights: {0}")]
    NoRights(String),
    /// Something else.
    #[error("{0}")]
    Other(String),
}

impl Redis {
    /// Reads the facts over a connection of its own. Takes a few seconds at most.
    ///
    /// # Errors
    /// Redis cannot be used.
    pub async fn inspect(&self) -> Result<RedisFacts, RedisFault> {
        let whole = CONNECT_TIMEOUT + REPLY_TIMEOUT + REPLY_TIMEOUT;
        tokio::time::timeout(whole, self.check()).await.unwrap_or(Err(RedisFault::Silent))
    }

    async fn check(&self) -> Result<RedisFacts, RedisFault> {
        let (node, mut connection) = self.inspected().await?;
        if self.link.is_cluster() {
            let info = redis::cmd("CLUSTER").arg("INFO").query_async::<String>(&mut connection).await;
            if !info.map_err(fault)?.contains("cluster_state:ok") {
                return Err(RedisFault::Other("it is no whole cluster (`CLUSTER INFO`)".to_owned()));
            }
        }
        let mut rounds = Vec::with_capacity(ROUND_TRIPS);
        for _ in 0..ROUND_TRIPS {
            let began = Instant::now();
            redis::cmd("PING").query_async::<String>(&mut connection).await.map_err(fault)?;
            rounds.push(began.elapsed());
        }
        rounds.sort_unstable();
        let info = redis::cmd("INFO").query_async::<String>(&mut connection).await.map_err(fault)?;
        let round_trip = rounds.get(ROUND_TRIPS / 2).copied().unwrap_or_default();
        self.check_channels(&node, &mut connection).await?;
        let facts = facts(&info);
        // A node of a cluster passes commands on, also if it is a replica.
        let replica = facts.replica && !self.link.is_cluster();
        Ok(RedisFacts { round_trip, replica, ..facts })
    }
}

impl Redis {
    /// Whether the user may publish, and listen to the messages of other servers. An ACL compares patterns as texts.
    async fn check_channels(
        &self,
        node: &Client,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), RedisFault> {
        let key = |part, of| self.link.key(part, of);
        let (news, all, own) = (key("news", "*"), key("signals", "all"), key("signals", "doctor"));
        let check = async {
            redis::cmd("PUBLISH").arg(&own).arg("").query_async::<i64>(connection).await?;
            let mut listener = node.get_async_pubsub().await?;
            listener.psubscribe(&news).await?;
            listener.subscribe(&[&all, &own]).await
        };
        match tokio::time::timeout(REPLY_TIMEOUT, check).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(match fault(error) {
                RedisFault::NoRights(why) => RedisFault::NoRights(format!(
                    "{why}; it needs the commands PUBLISH, SUBSCRIBE and PSUBSCRIBE, and the channels `&{news}` and `&{}` (ACL SETUSER)",
                    key("signals", "*")
                )),
                other => other,
            }),
            Err(_) => Err(RedisFault::Silent),
        }
    }

    /// A connection to the one server, to the primary that Sentinels name, or to a node of a cluster.
    async fn inspected(&self) -> Result<(Client, MultiplexedConnection), RedisFault> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(REPLY_TIMEOUT));
        let began = Instant::now();
        let unknown = || {
            let why = self.link.why_unknown().unwrap_or_else(|| "no answer yet".to_owned());
            RedisFault::Unreachable(format!("the Sentinels name no primary: {why}"))
        };
        let mut failed = None;
        while began.elapsed() < CONNECT_TIMEOUT {
            for node in self.link.nodes() {
                match node.get_multiplexed_async_connection_with_config(&config).await {
                    Ok(connection) => return Ok((node, connection)),
                    Err(error) => failed = Some(fault(error)),
                }
            }
            if !self.link.nodes().is_empty() {
                break;
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
        Err(failed.unwrap_or_else(unknown))
    }
}

/// Parses the reply of INFO.
fn facts(info: &str) -> RedisFacts {
    let value = |name: &str| {
        let found = info.lines().find_map(|line| line.split_once(':').filter(|(known, _)| *known == name));
        found.map(|(_, value)| value.trim()).unwrap_or_default()
    };
    let number = |name: &str| value(name).parse().unwrap_or_default();
    let version = value("redis_version");
    RedisFacts {
        version: version.to_owned(),
        major: version.split('.').next().and_then(|first| first.parse().ok()).unwrap_or_default(),
        replica: value("role") == "slave",
        max_memory: number("maxmemory"),
        used_memory: number("used_memory"),
        policy: value("maxmemory_policy").to_owned(),
        evicted_keys: number("evicted_keys"),
        round_trip: Duration::ZERO,
    }
}

/// Classifies a failure. The texts contain addresses, but no password.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn fault(error: Failure) -> RedisFault {
    match error.kind() {
        ErrorKind::AuthenticationFailed => RedisFault::Authentication,
        ErrorKind::Server(ServerErrorKind::NoPerm) => RedisFault::NoRights(error.to_string()),
        _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS")) => RedisFault::Authentication,
        _ if error.is_timeout() => RedisFault::Silent,
        ErrorKind::Io => RedisFault::Unreachable(error.to_string()),
        _ => RedisFault::Other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_info_are_read_and_missing_ones_are_zero() {
        let info = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\nmaxmemory:134217728\r\n\
            maxmemory_policy:allkeys-lru\r\nevicted_keys:12\r\n";
        let facts = facts(info);
        assert_eq!((facts.version.as_str(), facts.major, facts.replica), ("7.0.15", 7, false));
        assert_eq!((facts.max_memory, facts.evicted_keys, facts.used_memory), (134_217_728, 12, 0));
        assert_eq!(facts.policy, "allkeys-lru");
    }
}
