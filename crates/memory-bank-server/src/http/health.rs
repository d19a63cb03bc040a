//! Whether the server, its database and its Redis are well. No key is asked for.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use crate::http::reply;
use crate::http::shared::{Health, Probe, Shared};

/// How long a part may take to say that it is well.
const PROBE_WAIT: Duration = Duration::from_secs(2);

/// `GET /health`: 503 without the database, `degraded` without Redis.
pub(crate) async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let (database, redis) = tokio::join!(asked(&*shared.database), asked(&*shared.redis));
    let (status, word) = match (database, redis) {
        (Health::Error, _) => (StatusCode::SERVICE_UNAVAILABLE, "error"),
        (_, Health::Error) => (StatusCode::OK, "degraded"),
        _ => (StatusCode::OK, "ok"),
    };
    let uptime = (shared.started.elapsed().as_secs_f64() * 100.0).round() / 100.0;
    let body = json!({"status": word, "db": text(database), "redis": text(redis), "uptime": uptime});
    reply::json(status, &body)
}

/// `GET /health/live`: the process answers.
pub(crate) async fn live() -> Response {
    reply::json(StatusCode::OK, &json!({"status": "ok"}))
}

/// `GET /health/ready`: requests can be served; not so while the server ends or is without its database.
pub(crate) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let ready = !shared.shutdown.is_cancelled() && asked(&*shared.database).await != Health::Error;
    if ready {
        reply::json(StatusCode::OK, &json!({"status": "ok"}))
    } else {
        reply::json(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "error"}))
    }
}

pub(crate) async fn asked(probe: &dyn Probe) -> Health {
    tokio::time::timeout(PROBE_WAIT, probe.health()).await.unwrap_or(Health::Error)
}

fn text(health: Health) -> &'static str {
    match health {
        Health::Ok => "ok",
        Health::Error => "error",
        Health::NotConfigured => "not configured",
    }
}
