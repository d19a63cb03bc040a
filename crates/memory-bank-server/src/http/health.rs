//! Health of the server, its database and its Redis. No key is needed, so concurrent requests share one check.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::http::reply;
use crate::http::shared::{Health, Probe, Shared};

/// How long a check may take.
const PROBE_WAIT: Duration = Duration::from_secs(2);
/// How long a result is reused.
const KEPT: Duration = Duration::from_secs(1);

/// Added to `/health` when the database lost its schema. The log names the missing table.
const SCHEMA_MISSING: &str =
    "the database has no usable schema of this server; run `memory-bank-mcp migrate`";

/// A dependency that is checked by one request at a time, and at most once a second.
#[derive(Clone)]
pub(crate) struct SharedProbe {
    probe: Arc<dyn Probe>,
    last: Arc<Mutex<Option<(Instant, Health)>>>,
}

impl SharedProbe {
    pub(crate) fn new(probe: Arc<dyn Probe>) -> Self {
        Self { probe, last: Arc::default() }
    }

    /// The health of the dependency, at most one second old.
    pub(crate) async fn health(&self) -> Health {
        let mut last = Arc::clone(&self.last).lock_owned().await;
        let known = last.filter(|(at, _)| at.elapsed() < KEPT).map(|(_, health)| health);
        if known == Some(Health::Error) {
            return Health::Error;
        }
        if !self.probe.is_doubtful() {
            if let Some(health) = known {
                return health;
            }
            if self.probe.has_answered_within(KEPT) {
                return Health::Ok;
            }
        }
        let probe = Arc::clone(&self.probe);
        // The check continues without its requester, so that disconnects cause no further checks.
        let asked = tokio::spawn(async move {
            let health = tokio::time::timeout(PROBE_WAIT, probe.health()).await.unwrap_or(Health::Error);
            *last = Some((Instant::now(), health));
            health
        });
        asked.await.unwrap_or(Health::Error)
    }
}

impl fmt::Debug for SharedProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedProbe").finish_non_exhaustive()
    }
}

/// `GET /health`: 503 without the database, `degraded` without Redis.
pub(crate) async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let (database, redis) = tokio::join!(shared.database.health(), shared.redis.health());
    let (status, word) = match (database, redis) {
        (Health::Error | Health::SchemaMissing, _) => (StatusCode::SERVICE_UNAVAILABLE, "error"),
        (_, Health::Error) => (StatusCode::OK, "degraded"),
        _ => (StatusCode::OK, "ok"),
    };
    let uptime = (shared.started.elapsed().as_secs_f64() * 100.0).round() / 100.0;
    let mut body = json!({"status": word, "db": text(database), "redis": text(redis), "uptime": uptime});
    if let (Health::SchemaMissing, Some(members)) = (database, body.as_object_mut()) {
        members.insert("message".to_owned(), json!(SCHEMA_MISSING));
    }
    reply::json(status, &body)
}

/// `GET /health/live`: the process answers.
pub(crate) async fn live() -> Response {
    reply::json(StatusCode::OK, &json!({"status": "ok"}))
}

/// `GET /health/ready`: whether to send requests to this server. Not ready while it shuts down or has no database.
pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let well = matches!(shared.database.health().await, Health::Ok | Health::NotConfigured);
    let ready = well && !shared.shutdown.is_cancelled();
    if ready {
        reply::json(StatusCode::OK, &json!({"status": "ok"}))
    } else {
        reply::json(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "error"}))
    }
}

fn text(health: Health) -> &'static str {
    match health {
        Health::Ok => "ok",
        Health::Error | Health::SchemaMissing => "error",
        Health::NotConfigured => "not configured",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use futures::future::join_all;

    use super::*;

    /// Counts the checks; never answers the second one.
    #[derive(Default)]
    struct Counted(AtomicUsize);

    #[async_trait]
    impl Probe for Counted {
        async fn health(&self) -> Health {
            if self.0.fetch_add(1, Ordering::Relaxed) == 1 {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            Health::Ok
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_who_ask_at_once_and_go_away_ask_the_part_once_a_second() {
        let part = Arc::new(Counted::default());
        let probe = SharedProbe::new(part.clone());
        let all = join_all((0..1000).map(|_| probe.health())).await;
        assert!(all.iter().all(|health| *health == Health::Ok));
        assert_eq!(part.0.load(Ordering::Relaxed), 1);
        tokio::time::advance(KEPT).await;
        // No requester waits for the result, and there is no check for each of them.
        for _ in 0..100 {
            let gone = tokio::time::timeout(Duration::from_millis(5), probe.health()).await;
            assert!(gone.is_err());
        }
        assert_eq!(part.0.load(Ordering::Relaxed), 2);
        // A dependency that does not answer is unhealthy, and is checked again afterwards.
        assert_eq!(probe.health().await, Health::Error);
        tokio::time::advance(KEPT).await;
        assert_eq!(probe.health().await, Health::Ok);
    }
}
