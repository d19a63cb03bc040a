//! Checks Redis: connection, version, memory, eviction policy and latency.

use std::sync::Arc;
use std::time::Duration;

use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_server::http::{Redis, RedisFacts, RedisFault};

use crate::cli::doctor::findings::Findings;
use crate::config::{RedisSettings, Settings};

/// A longer round trip is a warning: the server's time-out for a command is 50 ms.
const SLOW_ROUND_TRIP: Duration = Duration::from_millis(20);

/// Checks Redis, if it is configured.
pub(crate) async fn check(settings: &Settings, findings: &mut Findings) {
    let Some(RedisSettings { url, prefix }) = &settings.redis else {
        if settings.database.is_some() {
            findings.warning(
                "redis",
                "not configured: each server counts limits on its own, and notices changes and revoked keys late",
                "set `REDIS_URL` if more than one server runs",
            );
        }
        return;
    };
    let redis = match Redis::new(url, prefix, Arc::new(SystemClock), Arc::new(SystemEntropy)) {
        Ok(redis) => redis,
        Err(error) => return findings.error("redis", error.to_string(), "correct `REDIS_URL`"),
    };
    match redis.inspect().await {
        Ok(facts) => report_facts(&facts, findings),
        Err(fault) => {
            let advice = match &fault {
                RedisFault::Unreachable(_) => {
                    "correct host and port in `REDIS_URL`, or start Redis (`docker compose ps` shows whether it runs); until then the server runs with reduced function. A single server needs no Redis: set `REDIS_URL` to nothing"
                }
                RedisFault::Silent => {
                    "check its load and firewalls in between; does it need rediss://, with TLS?"
                }
                RedisFault::Authentication => {
                    "set user and password in `REDIS_URL`: redis://user:password@host:port"
                }
                RedisFault::NoRights(_) => "allow the user the server's commands on its keys (ACL SETUSER)",
                _ => "check the log of Redis",
            };
            findings.error("redis", fault.to_string(), advice);
        }
    }
}

fn report_facts(facts: &RedisFacts, findings: &mut Findings) {
    let version = if facts.version.is_empty() { "without a version" } else { &facts.version };
    if facts.major != 0 && facts.major < 6 {
        findings.warning("redis", format!("Redis {version} is old"), "use Redis 7 or later");
    } else {
        findings.ok("redis", format!("Redis {version} answers"));
    }
    if facts.replica {
        findings.error("redis", "it is a read-only replica", "set `REDIS_URL` to the primary");
    }
    let median = format!("{:.1} ms per round trip", facts.round_trip.as_secs_f64() * 1000.0);
    if facts.round_trip > SLOW_ROUND_TRIP {
        findings.warning("redis.latency", median, "run Redis near the server, which waits 50 ms for a reply");
    } else {
        findings.ok("redis.latency", median);
    }
    check_memory(facts, findings);
}

fn check_memory(facts: &RedisFacts, findings: &mut Findings) {
    let mib = |bytes: u64| bytes / (1024 * 1024);
    let RedisFacts { policy, evicted_keys, .. } = facts;
    if facts.max_memory == 0 {
        return findings.ok(
            "redis.memory",
            format!("{} MiB used, no limit set; all entries expire", mib(facts.used_memory)),
        );
    }
    let message =
        format!("{} of {} MiB used, policy {policy}", mib(facts.used_memory), mib(facts.max_memory));
    if policy == "noeviction" {
        findings.warning(
            "redis.memory",
            format!("{message}: full, it refuses writes, and limits are not counted"),
            "CONFIG SET maxmemory-policy allkeys-lru",
        );
    } else if *evicted_keys > 0 {
        findings.warning(
            "redis.memory",
            format!(
                "{message}; {evicted_keys} keys were evicted for lack of memory: limits and sessions are lost early"
            ),
            "raise maxmemory",
        );
    } else {
        findings.ok("redis.memory", message);
    }
}
