//! `/api/v1/keys`, `/api/v1/key`, `/api/v1/grants` and `/api/v1/grant`: owners see what opens the project, make and change keys of their own, and revoke
//! keys and grants of all members.

use axum::body::Body;
use axum::response::Response;
use jiff::Timestamp;
use memory_bank_core::caller::KeyId;
use memory_bank_core::clock::{in_years, iso_millis};
use memory_bank_core::identity::{GrantRecord, KeyRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::api::Problem;
use crate::http::api::members::scopes_of;
use crate::http::api::queries::{ListMemberKeys, ListPage, WithId};
use crate::http::keys::bodies::{CreateKey, CreatedKey, KeyView, Scope, UpdateKey};
use crate::http::keys::{change_of, forget, key_of, void};
use crate::http::oauth;
use crate::http::rest_request::{QueryParameters, Refusal, RestRequest, page};

/// A key of a member, without the key itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberKey {
    /// The name of the user.
    user: String,
    #[serde(flatten)]
    key: KeyView,
}

/// Keys, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberKeyList {
    keys: Vec<MemberKey>,
    /// For the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// What a member has allowed to an application, or a session of the console.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberGrant {
    id: Uuid,
    /// The name of the user.
    user: String,
    /// The name of the application, as it calls itself.
    client: String,
    /// The host that it is at.
    host: String,
    scopes: Vec<Scope>,
    #[schema(format = DateTime)]
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    last_used_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    expires_at: Option<String>,
    /// Whether it is the session of this request.
    is_own: bool,
}

/// Grants, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberGrantList {
    grants: Vec<MemberGrant>,
    /// For the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// The position in a list that a cursor contains.
#[derive(Serialize, Deserialize)]
struct AccessCursor(#[serde(deserialize_with = "in_years")] Timestamp, Uuid);

/// A key or grant that opens nothing any more.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ended {
    id: Uuid,
}

/// Lists the keys of all members.
#[utoipa::path(get, path = "/api/v1/keys", tag = "administration", operation_id = "list_member_keys", params(ListMemberKeys), responses(
    (status = 200, body = MemberKeyList),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "the caller is no owner, or administers nothing with this key or token"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "a folder has one user, or there is no such page"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_keys(
    request: RestRequest,
    QueryParameters(query): QueryParameters<ListMemberKeys>,
) -> Response {
    let (caller, now) = (&request.who.caller, request.shared.services.clock.now());
    request
        .answer_to_owner(|administration| async move {
            let cursor = |(_, key): &(String, KeyRecord)| AccessCursor(key.created_at, key.id.0);
            let keys = async |before: Option<AccessCursor>, most| {
                let before = before.map(|AccessCursor(at, id)| (at, id));
                administration.keys_of_members(caller, query.include_revoked, before, most).await
            };
            let (keys, next_cursor) = page((query.cursor.as_deref(), query.limit), cursor, keys).await?;
            let view = |(user, key): (String, KeyRecord)| MemberKey { user, key: KeyView::new(key, now) };
            Ok(MemberKeyList { keys: keys.into_iter().map(view).collect(), next_cursor })
        })
        .await
}

/// Makes a key of the caller.
#[utoipa::path(post, path = "/api/v1/keys", tag = "administration", operation_id = "create_own_key", request_body = CreateKey, responses(
    (status = 200, body = CreatedKey),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the body is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "the caller is no owner, or administers nothing with this key or token"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "a folder has one user, or there is no such page"),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "there are as many keys as a project may have"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
    (status = 415, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create_key(request: RestRequest, body: Body) -> Response {
    let (request, caller) = (&request, &request.who.caller);
    request
        .answer_to_owner_with(body, |mut wanted: CreateKey, _| async move {
            // A page asks for a key like its session, which may have fewer rights than the role.
            if request.who.is_console && wanted.scopes.is_none() {
                wanted.scopes = scopes_of(caller);
            }
            let (plain, key) = key_of(&request.shared, caller, wanted).map_err(Refusal::Reply)?;
            let record = request.shared.keys.create(caller, &key).await?;
            Ok(CreatedKey::new(&plain, record))
        })
        .await
}

/// Changes label, scopes or limit of a key of the caller.
#[utoipa::path(patch, path = "/api/v1/key", tag = "administration", operation_id = "change_own_key", params(WithId), request_body = UpdateKey, responses(
    (status = 200, body = KeyView),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query or the body is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "the caller is no owner, or administers nothing with this key or token"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "the caller has no such key"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
    (status = 415, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn change_key(
    request: RestRequest,
    QueryParameters(WithId { id }): QueryParameters<WithId>,
    body: Body,
) -> Response {
    let request = &request;
    request
        .answer_to_owner_with(body, |wanted: UpdateKey, _| async move {
            let change = change_of(&request.who.caller, wanted).map_err(Refusal::Reply)?;
            let changed = request.shared.keys.update(&request.who.caller, KeyId(id), &change).await?;
            let changed = changed.ok_or_else(|| Refusal::NotFound("you have no such key".to_owned()))?;
            forget(&request.shared, &changed).await;
            Ok(KeyView::new(changed.record, request.shared.services.clock.now()))
        })
        .await
}

/// Revokes a key of any member, at once.
#[utoipa::path(delete, path = "/api/v1/key", tag = "administration", operation_id = "revoke_member_key", params(WithId), responses(
    (status = 200, body = Ended),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "the caller is no owner, or administers nothing with this key or token"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such key"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn revoke_key(
    request: RestRequest,
    QueryParameters(WithId { id }): QueryParameters<WithId>,
) -> Response {
    let (request, caller) = (&request, &request.who.caller);
    request
        .answer_to_owner(|administration| async move {
            let now = request.shared.services.clock.now();
            let revoked = administration.revoke_key_of_member(caller, KeyId(id), now).await?;
            void(&request.shared, &revoked).await;
            Ok(Ended { id })
        })
        .await
}

/// Lists what the members have allowed to applications, and the sessions of the console.
#[utoipa::path(get, path = "/api/v1/grants", tag = "administration", operation_id = "list_member_grants", params(ListPage), responses(
    (status = 200, body = MemberGrantList),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "the caller is no owner, or administers nothing with this key or token"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "a folder has one user, or there is no such page"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_grants(
    request: RestRequest,
    QueryParameters(query): QueryParameters<ListPage>,
) -> Response {
    let caller = &request.who.caller;
    request
        .answer_to_owner(|administration| async move {
            let cursor = |one: &GrantRecord| AccessCursor(one.grant.created_at, one.grant.id.0);
            let grants = async |before: Option<AccessCursor>, most| {
                let before = before.map(|AccessCursor(at, id)| (at, id));
                administration.grants_of_members(caller, before, most).await
            };
            let (grants, next_cursor) = page((query.cursor.as_deref(), query.limit), cursor, grants).await?;
            let view = |record: GrantRecord| MemberGrant {
                is_own: caller.key == Some(record.grant.id),
                ..MemberGrant::of(record)
            };
            Ok(MemberGrantList { grants: grants.into_iter().map(view).collect(), next_cursor })
        })
        .await
}

impl MemberGrant {
    fn of(GrantRecord { grant, user_name, .. }: GrantRecord) -> Self {
        Self {
            id: grant.id.0,
            user: user_name,
            client: grant.client_name,
            host: grant.client_host,
            scopes: grant.rights.into_iter().map(Scope::from).collect(),
            created_at: iso_millis(grant.created_at),
            last_used_at: grant.last_used_at.map(iso_millis),
            expires_at: grant.expires_at.map(iso_millis),
            is_own: false,
        }
    }
}

/// Ends a grant of any member, at once.
#[utoipa::path(delete, path = "/api/v1/grant", tag = "administration", operation_id = "revoke_member_grant", params(WithId), responses(
    (status = 200, body = Ended),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "the caller is no owner, or administers nothing with this key or token"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such grant"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn revoke_grant(
    request: RestRequest,
    QueryParameters(WithId { id }): QueryParameters<WithId>,
) -> Response {
    let (request, caller) = (&request, &request.who.caller);
    request
        .answer_to_owner(|administration| async move {
            let void = administration.end_grant_of_member(caller, KeyId(id)).await?;
            oauth::evict(&request.shared, &void).await;
            Ok(Ended { id })
        })
        .await
}
