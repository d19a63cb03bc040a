//! `GET /api/v1/audit`: the audit log of the project, for owners.

use axum::response::Response;
use jiff::Timestamp;
use memory_bank_core::caller::Right;
use memory_bank_core::clock::{in_years, iso_millis};
use memory_bank_core::store::AuditEntry;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::api::Problem;
use crate::http::api::queries::ListPage;
use crate::http::rest_request::{QueryParameters, RestRequest, page};

/// Actions whose rows name documents or entities: a key without `read` gets them without the names.
const NAMING_CONTENT: [&str; 3] = ["documents.deleted", "entities.deleted", "history.erased"];

/// The position in the log that a cursor contains.
#[derive(Serialize, Deserialize)]
struct AuditCursor(#[serde(deserialize_with = "in_years")] Timestamp, i64);

/// A row of the log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditRow {
    id: i64,
    #[schema(format = DateTime)]
    at: String,
    /// Such as `key.revoked`.
    action: String,
    /// The name of the user in whose name it was done, if there is one who still exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<String>,
    /// The id of the key or grant that was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key_id: Option<Uuid>,
    /// The login role, if an operator did it on the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    login: Option<String>,
    /// The object: an id or a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    subject: Option<String>,
    /// The address from which a key or session was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    address: Option<String>,
    /// Further members, by the kind of action.
    #[schema(value_type = Object)]
    detail: Value,
}

impl AuditRow {
    fn of(mut entry: AuditEntry, may_read: bool) -> Self {
        if !may_read && NAMING_CONTENT.contains(&entry.action.as_str()) {
            entry.subject = None;
            if let Some(members) = entry.detail.as_object_mut() {
                members.retain(|_, value| value.is_number());
            }
        }
        Self {
            id: entry.id,
            at: iso_millis(entry.at),
            action: entry.action,
            user: entry.user_name,
            key_id: entry.key.map(|key| key.0),
            login: entry.login,
            subject: entry.subject,
            address: entry.address,
            detail: entry.detail,
        }
    }
}

/// Rows of the log, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditRows {
    rows: Vec<AuditRow>,
    /// For the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// Shows who administered, deleted and restored, and from where keys were used.
#[utoipa::path(get, path = "/api/v1/audit", tag = "administration", operation_id = "list_audit", params(ListPage), responses(
    (status = 200, body = AuditRows),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "the caller is no owner, or administers nothing with this key or token"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "a folder has one user, or there is no such page"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    request: RestRequest,
    QueryParameters(query): QueryParameters<ListPage>,
) -> Response {
    let caller = &request.who.caller;
    request
        .answer_to_owner(|administration| async move {
            let cursor = |entry: &AuditEntry| AuditCursor(entry.at, entry.id);
            let entries = async |before: Option<AuditCursor>, most| {
                administration.audit_log(caller, before.map(|AuditCursor(at, id)| (at, id)), most).await
            };
            let (entries, next_cursor) =
                page((query.cursor.as_deref(), query.limit), cursor, entries).await?;
            let may_read = caller.may(Right::Read);
            let rows = entries.into_iter().map(|entry| AuditRow::of(entry, may_read)).collect();
            Ok(AuditRows { rows, next_cursor })
        })
        .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(action: &str) -> AuditEntry {
        AuditEntry {
            id: 1,
            at: Timestamp::UNIX_EPOCH,
            action: action.to_owned(),
            project: None,
            user_name: Some("ana".to_owned()),
            user: None,
            key: None,
            login: None,
            subject: Some("plan.md".to_owned()),
            address: None,
            detail: json!({ "count": 1, "names": ["plan.md"] }),
        }
    }

    #[test]
    fn names_of_content_are_shown_only_to_who_may_read() {
        for action in NAMING_CONTENT {
            let row = AuditRow::of(entry(action), false);
            assert_eq!((row.subject, row.detail), (None, json!({ "count": 1 })), "{action}");
            assert_eq!(AuditRow::of(entry(action), true).subject.as_deref(), Some("plan.md"));
        }
        assert_eq!(AuditRow::of(entry("key.revoked"), false).subject.as_deref(), Some("plan.md"));
    }
}
