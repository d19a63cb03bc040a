//! `/api/keys`: owners manage their keys of the key's project.

pub(crate) mod bodies;

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use memory_bank_core::caller::{Caller, KeyId, Right};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{
    KeyChange, KeyError, KeyOptions, KeyRecord, NewKey, PlainKey, Revoked, sorted_rights,
};
use memory_bank_core::limits;
use memory_bank_core::unicode::has_null;
use serde::Serialize;
use uuid::Uuid;

use self::bodies::{CreateKey, CreatedKey, KeyList, KeyView, ListKeys, RevokedKey, Scope, UpdateKey};
use crate::http::auth::Authenticated;
use crate::http::body::read_object_reserved;
use crate::http::config::BODY_BYTES;
use crate::http::invalidation::Invalidation;
use crate::http::oauth;
use crate::http::reply::{self, Failure};
use crate::http::reply_budget::{ConnectionId, Holder};
use crate::http::request_id::RequestId;
use crate::http::shared::Shared;
use crate::http::store_fault;

/// Lists the caller's keys of the project, newest first.
#[utoipa::path(get, path = "/api/keys", tag = "keys",
    params(("includeRevoked" = Option<bool>, Query, description = "Whether revoked keys are listed too")), responses(
    (status = 200, body = KeyList),
    (status = 400, body = Failure, description = "the query is malformed"),
    (status = 401, body = Failure), (status = 403, body = Failure), (status = 429, body = Failure)))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    Extension(who): Extension<Authenticated>,
    Extension(request): Extension<RequestId>,
    query: Result<Query<ListKeys>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Ok(Query(options)) = query else {
        return reply::error(StatusCode::BAD_REQUEST, "`includeRevoked` takes `true` or `false`");
    };
    if !who.caller.may(Right::Admin) {
        return forbidden();
    }
    match shared.keys.list(&who.caller, options.include_revoked).await {
        Ok(mut keys) => {
            let now = shared.services.clock.now();
            let truncated = keys.len() > limits::KEYS_LISTED;
            // The active ones are always listed, however old they are.
            let has_ended =
                |key: &KeyRecord| key.revoked_at.is_some() || key.expires_at.is_some_and(|end| end <= now);
            if let Some(last) = keys.iter().rposition(has_ended).filter(|_| truncated) {
                keys.remove(last);
            }
            let keys: Vec<KeyView> = keys.into_iter().map(|key| KeyView::new(key, now)).collect();
            answer(StatusCode::OK, &KeyList { total: keys.len(), truncated, keys })
        }
        Err(error) => fault(&shared, &who, request, &error).await,
    }
}

/// Who holds the memory of a body.
fn holder(who: &Authenticated, connection: Option<Extension<ConnectionId>>) -> Holder {
    Holder { key: who.caller.key, connection: connection.map(|Extension(id)| id) }
}

/// Creates a key for the caller in the project.
#[utoipa::path(post, path = "/api/keys", tag = "keys", request_body = CreateKey, responses(
    (status = 201, body = CreatedKey),
    (status = 400, body = Failure), (status = 401, body = Failure), (status = 403, body = Failure),
    (status = 409, body = Failure, description = "there are as many keys as a project may have"),
    (status = 413, body = Failure), (status = 415, body = Failure), (status = 429, body = Failure)))]
pub(crate) async fn create(
    State(shared): State<Arc<Shared>>,
    Extension(who): Extension<Authenticated>,
    Extension(request): Extension<RequestId>,
    connection: Option<Extension<ConnectionId>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if !who.caller.may(Right::Admin) {
        return forbidden();
    }
    let holder = holder(&who, connection);
    let options: CreateKey = match read_object_reserved(&shared, holder, &headers, body, BODY_BYTES).await {
        Ok(options) => options.unwrap_or_default(),
        Err(response) => return response,
    };
    let (plain, key) = match key_of(&shared, &who.caller, options) {
        Ok(made) => made,
        Err(response) => return *response,
    };
    match shared.keys.create(&who.caller, &key).await {
        Ok(record) => created(&plain, record),
        Err(error) => refused_key(&shared, &who, request, &error).await,
    }
}

/// A key for these wishes of the caller, if they are allowed.
pub(crate) fn key_of(
    shared: &Shared,
    caller: &Caller,
    options: CreateKey,
) -> Result<(PlainKey, NewKey), Box<Response>> {
    let scopes = Some(options.scopes.as_deref().unwrap_or_default());
    if let Some(response) = refused(caller, options.label.as_deref(), scopes, options.rate_limit) {
        return Err(Box::new(response));
    }
    if options.expires_in_days.is_some_and(|days| days == 0 || days > limits::KEY_LIFETIME_DAYS_MAX) {
        let text = format!("`expiresInDays` takes 1 to {}", limits::KEY_LIFETIME_DAYS_MAX);
        return Err(Box::new(reply::error(StatusCode::BAD_REQUEST, &text)));
    }
    let key_options = KeyOptions {
        environment: options.environment.unwrap_or_default().into(),
        label: options.label,
        scopes: rights(options.scopes.unwrap_or_default()),
        rate_limit: options.rate_limit,
        expires_in_days: options.expires_in_days,
    };
    Ok(new_key(shared, key_options))
}

/// Changes label, scopes or limit of a key.
#[utoipa::path(patch, path = "/api/keys/{id}", tag = "keys", request_body = UpdateKey,
    params(("id" = Uuid, Path, description = "The key")), responses(
    (status = 200, body = KeyView),
    (status = 400, body = Failure), (status = 401, body = Failure), (status = 403, body = Failure),
    (status = 404, body = Failure), (status = 413, body = Failure), (status = 415, body = Failure),
    (status = 429, body = Failure)))]
pub(crate) async fn update(
    State(shared): State<Arc<Shared>>,
    Extension(who): Extension<Authenticated>,
    Extension(request): Extension<RequestId>,
    Path(id): Path<String>,
    connection: Option<Extension<ConnectionId>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if !who.caller.may(Right::Admin) {
        return forbidden();
    }
    let holder = holder(&who, connection);
    let options: UpdateKey = match read_object_reserved(&shared, holder, &headers, body, BODY_BYTES).await {
        Ok(Some(options)) => options,
        Ok(None) => return reply::error(StatusCode::BAD_REQUEST, "the body must be a JSON object"),
        Err(response) => return response,
    };
    let change = match change_of(&who.caller, options) {
        Ok(change) => change,
        Err(response) => return *response,
    };
    let Some(id) = key_id(&id) else { return no_such_key() };
    match shared.keys.update(&who.caller, id, &change).await {
        Ok(Some(changed)) => {
            forget(&shared, &changed).await;
            answer(StatusCode::OK, &KeyView::new(changed.record, shared.services.clock.now()))
        }
        Ok(None) => no_such_key(),
        Err(error) => fault(&shared, &who, request, &error).await,
    }
}

/// Revokes a key, at once.
#[utoipa::path(delete, path = "/api/keys/{id}", tag = "keys", params(("id" = Uuid, Path, description = "The key")),
    responses((status = 200, body = RevokedKey), (status = 401, body = Failure), (status = 403, body = Failure),
    (status = 404, body = Failure), (status = 429, body = Failure)))]
pub(crate) async fn revoke(
    State(shared): State<Arc<Shared>>,
    Extension(who): Extension<Authenticated>,
    Extension(request): Extension<RequestId>,
    Path(id): Path<String>,
) -> Response {
    if !who.caller.may(Right::Admin) {
        return forbidden();
    }
    let Some(id) = key_id(&id) else { return no_such_key() };
    match shared.keys.revoke(&who.caller, id, shared.services.clock.now()).await {
        Ok(Some(revoked)) => {
            void(&shared, &revoked).await;
            answer(StatusCode::OK, &RevokedKey { message: "API key revoked".to_owned(), id: id.0 })
        }
        Ok(None) => no_such_key(),
        Err(error) => fault(&shared, &who, request, &error).await,
    }
}

/// Replaces a key by a new one with the same label, scopes and limit. The old one is revoked in the same step.
#[utoipa::path(post, path = "/api/keys/{id}/rotate", tag = "keys",
    params(("id" = Uuid, Path, description = "The key")), responses((status = 201, body = CreatedKey),
    (status = 401, body = Failure), (status = 403, body = Failure), (status = 404, body = Failure),
    (status = 409, body = Failure), (status = 429, body = Failure)))]
pub(crate) async fn rotate(
    State(shared): State<Arc<Shared>>,
    Extension(who): Extension<Authenticated>,
    Extension(request): Extension<RequestId>,
    Path(id): Path<String>,
) -> Response {
    if !who.caller.may(Right::Admin) {
        return forbidden();
    }
    let Some(id) = key_id(&id) else { return no_such_key() };
    let found = match shared.keys.list(&who.caller, false).await {
        Ok(keys) => keys.into_iter().find(|key| key.id == id),
        Err(error) => return fault(&shared, &who, request, &error).await,
    };
    let Some(old) = found else { return no_such_key() };
    // The caller of a rotation receives the new key, with all its rights.
    let scopes: Vec<Scope> = old.scopes.iter().copied().map(Scope::from).collect();
    if let Some(response) = refused(&who.caller, None, Some(&scopes), None) {
        return response;
    }
    let (plain, mut key) = new_key(&shared, KeyOptions::new(old.environment()));
    key.expires_at = old.renewed_expiry(key.created_at);
    match shared.keys.rotate(&who.caller, id, &key).await {
        Ok(Some((record, revoked))) => {
            void(&shared, &revoked).await;
            created(&plain, record)
        }
        Ok(None) => no_such_key(),
        Err(error) => refused_key(&shared, &who, request, &error).await,
    }
}

/// The change of a key for these wishes of the caller, if they are allowed.
pub(crate) fn change_of(caller: &Caller, options: UpdateKey) -> Result<KeyChange, Box<Response>> {
    let label = options.label.as_ref().and_then(Option::as_deref);
    match refused(caller, label, options.scopes.as_deref(), options.rate_limit) {
        Some(response) => Err(Box::new(response)),
        None => Ok(KeyChange {
            label: options.label,
            scopes: options.scopes.map(rights),
            rate_limit: options.rate_limit,
        }),
    }
}

/// Applies the change of a key at once, here and on other replicas.
pub(crate) async fn forget(shared: &Shared, changed: &Revoked) {
    shared.auth.forget_everywhere(&changed.hash).await;
    shared.invalidations.send(Invalidation::key_changed(&changed.hash, None)).await;
    oauth::evict_tokens_of(shared, &changed.hash).await;
}

/// Applies a revocation at once, here and on other replicas.
pub(crate) async fn void(shared: &Shared, revoked: &Revoked) {
    shared.auth.forget_everywhere(&revoked.hash).await;
    shared.invalidations.send(Invalidation::key_changed(&revoked.hash, Some(revoked.record.id.0))).await;
    oauth::evict_tokens_of(shared, &revoked.hash).await;
}

fn new_key(shared: &Shared, options: KeyOptions) -> (PlainKey, NewKey) {
    NewKey::generate(options, shared.services.clock.now(), &*shared.services.entropy)
}

/// Why values are refused, if they are. A key never gets more rights than the key that creates it.
fn refused(
    caller: &Caller,
    label: Option<&str>,
    scopes: Option<&[Scope]>,
    limit: Option<u32>,
) -> Option<Response> {
    if label.is_some_and(|label| label.chars().count() > limits::KEY_LABEL_CHARS) {
        let text = format!("`label` takes at most {} characters", limits::KEY_LABEL_CHARS);
        return Some(reply::error(StatusCode::BAD_REQUEST, &text));
    }
    if label.is_some_and(has_null) {
        return Some(reply::error(StatusCode::BAD_REQUEST, "`label` takes no null characters"));
    }
    if limit.is_some_and(|limit| limit > limits::KEY_RATE_LIMIT_MAX) {
        let text = format!("`rateLimit` takes 0 to {}", limits::KEY_RATE_LIMIT_MAX);
        return Some(reply::error(StatusCode::BAD_REQUEST, &text));
    }
    let exceed_the_caller = |scopes: &[Scope]| {
        scopes.is_empty() || scopes.iter().any(|scope| !caller.scopes.contains(&(*scope).into()))
    };
    if !caller.scopes.is_empty() && scopes.is_some_and(exceed_the_caller) {
        return Some(reply::error(StatusCode::FORBIDDEN, "a key cannot give more scopes than it has itself"));
    }
    None
}

fn created(plain: &PlainKey, record: KeyRecord) -> Response {
    answer(StatusCode::CREATED, &CreatedKey::new(plain, record))
}

fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_value(body) {
        Ok(body) => reply::json(status, &body),
        Err(_) => reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the server failed"),
    }
}

fn rights(scopes: Vec<Scope>) -> Vec<Right> {
    sorted_rights(scopes.into_iter().map(Right::from).collect())
}

fn key_id(text: &str) -> Option<KeyId> {
    Uuid::try_parse(text).ok().map(KeyId)
}

fn forbidden() -> Response {
    reply::error(StatusCode::FORBIDDEN, "You may not do that: it takes an owner's key with the scope `admin`")
}

fn no_such_key() -> Response {
    reply::error(StatusCode::NOT_FOUND, "API key not found")
}

async fn refused_key(shared: &Shared, who: &Authenticated, request: RequestId, error: &KeyError) -> Response {
    match error {
        KeyError::Store(error) => fault(shared, who, request, error).await,
        _ => reply::error(StatusCode::CONFLICT, &error.to_string()),
    }
}

async fn fault(shared: &Shared, who: &Authenticated, request: RequestId, error: &StoreError) -> Response {
    store_fault::of(shared, who, request, error, "keys could not be read or changed", forbidden).await
}
