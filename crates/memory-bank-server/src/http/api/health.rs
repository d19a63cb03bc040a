//! `GET /api/v1/health`: the state of the server, and what the project uses of its limits, for owners.

use axum::response::Response;
use memory_bank_core::limits;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::health::{SCHEMA_MISSING, text};
use crate::http::probe::Health;
use crate::http::rest_request::{Refusal, RestRequest};
use crate::services::Services;

/// From which part of its quota on a project is nearly full, in percent.
const NEARLY_FULL: u64 = 90;

/// The state of the server for this project.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerHealth {
    version: String,
    /// How long the server has been running, in seconds.
    uptime: u64,
    /// `ok`, `error` or `not configured`.
    database: String,
    /// `ok`, `error` or `not configured`.
    redis: String,
    /// Whether the server changes nothing.
    read_only: bool,
    /// How many bytes the project holds; absent for a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    usage: Option<UsageView>,
    limits: LimitsView,
    /// What needs attention, and what to do; empty if all is well.
    findings: Vec<String>,
}

/// How many bytes the project holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageView {
    documents: u64,
    backups: u64,
    /// The graph, and files beside the documents.
    others: u64,
    total: u64,
    /// The most that it may hold; absent if that is unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    quota: Option<u64>,
}

/// Limits of the server.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LimitsView {
    /// Requests of this key or session per minute; 0 = unlimited.
    requests_per_minute: u32,
    /// The longest document, in bytes.
    document_bytes: usize,
    /// Open sessions of MCP per project, and per key.
    sessions_per_project: usize,
    sessions_per_key: usize,
    /// Open event streams per key or session.
    streams_per_key: usize,
    /// Active keys per project.
    keys_per_project: usize,
    /// Members per project that owners add to.
    members_per_project: usize,
    /// How many days the audit log is kept.
    audit_days: u64,
    /// How many days old versions are kept; absent if they are not removed by age.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    history_days: Option<u64>,
}

/// Shows the state of the server, limits and quota.
#[utoipa::path(get, path = "/api/v1/health", tag = "administration", operation_id = "read_health", responses(
    (status = 200, body = ServerHealth),
    (status = 304, description = "the client has this reply"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "the caller is no owner, or administers nothing with this key or token"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn read(request: RestRequest) -> Response {
    request.answer_to_administrator(|_: Services| health_of(&request)).await
}

async fn health_of(request: &RestRequest) -> Result<ServerHealth, Refusal> {
    const DAY: u64 = 86_400;
    let shared = &request.shared;
    let (database, redis) = tokio::join!(shared.database.health(), shared.redis.health());
    let usage = match &shared.administration {
        Some(administration) => Some(administration.usage(&request.who.caller).await?),
        None => None,
    };
    let usage = usage.map(|usage| UsageView {
        documents: usage.documents,
        backups: usage.backups,
        others: usage.others,
        total: usage.total(),
        quota: usage.quota,
    });
    let config = &shared.config;
    Ok(ServerHealth {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime: shared.started.elapsed().as_secs(),
        database: text(database).to_owned(),
        redis: text(redis).to_owned(),
        read_only: config.tools.read_only,
        findings: findings(database, redis, usage.as_ref()),
        usage,
        limits: LimitsView {
            requests_per_minute: request.who.rate_limit,
            document_bytes: limits::DOCUMENT_BYTES,
            sessions_per_project: config.sessions_per_project,
            sessions_per_key: config.sessions_per_key,
            streams_per_key: config.streams_per_key,
            keys_per_project: limits::PROJECT_KEYS,
            members_per_project: limits::PROJECT_MEMBERS,
            audit_days: config.audit_retention.as_secs() / DAY,
            history_days: shared.history.as_ref().map(|history| history.keep.as_secs() / DAY),
        },
    })
}

fn findings(database: Health, redis: Health, usage: Option<&UsageView>) -> Vec<String> {
    let mut found = Vec::new();
    match database {
        Health::Error => found.push(
            "the database does not answer; its operator sees why with `memory-bank-mcp doctor`".to_owned(),
        ),
        Health::SchemaMissing => found.push(SCHEMA_MISSING.to_owned()),
        Health::Ok | Health::NotConfigured => {}
    }
    if redis == Health::Error {
        found.push("Redis does not answer; limits count in each server by itself until it does".to_owned());
    }
    if let Some(UsageView { total, quota: Some(quota), .. }) = usage
        && total.saturating_mul(100) >= quota.saturating_mul(NEARLY_FULL)
    {
        found.push(format!(
            "the project holds {total} of the {quota} bytes of its quota; delete or shorten documents, or ask an operator for a higher quota"
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_attention_is_found() {
        let usage = |total, quota| UsageView { documents: total, backups: 0, others: 0, total, quota };
        assert!(findings(Health::Ok, Health::NotConfigured, Some(&usage(89, Some(100)))).is_empty());
        assert!(findings(Health::NotConfigured, Health::Ok, Some(&usage(u64::MAX, None))).is_empty());
        let all = findings(Health::SchemaMissing, Health::Error, Some(&usage(90, Some(100)))).join("\n");
        for words in ["memory-bank-mcp migrate", "Redis does not answer", "90 of the 100 bytes"] {
            assert!(all.contains(words), "{all}");
        }
        assert!(findings(Health::Error, Health::Ok, None).join("").contains("doctor"));
    }
}
