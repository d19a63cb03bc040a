//! `/health`: the health of the server, its database and its Redis, for monitoring. No key is needed.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use crate::http::probe::Health;
use crate::http::reply;
use crate::http::shared::Shared;

/// Added to `/health` when the database lost its schema. The log names the missing table.
pub(crate) const SCHEMA_MISSING: &str =
    "the database has no usable schema of this server; run `memory-bank-mcp migrate`";

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

pub(crate) fn text(health: Health) -> &'static str {
    match health {
        Health::Ok => "ok",
        Health::Error | Health::SchemaMissing => "error",
        Health::NotConfigured => "not configured",
    }
}
