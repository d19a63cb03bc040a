//! `/api/keys`: owners manage their keys of the key's project.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};
use memory_bank_core::caller::{Caller, KeyId, Right};
use memory_bank_core::clock::iso_millis;
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{
    Environment, KeyChange, KeyError, KeyRecord, KeyStatus, NewKey, PlainKey, Revoked,
};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::admission;
use crate::http::auth::Authenticated;
use crate::http::invalidation::Invalidation;
use crate::http::mcp::read;
use crate::http::reply;
use crate::http::request_log::RequestId;
use crate::http::shared::Shared;
use crate::mcp::tools::UNREACHABLE_RETRY;

/// Requests per minute by default.
pub const DEFAULT_RATE_LIMIT: u32 = 60;
const MOST_REQUESTS: u32 = 1_000_000;
const LABEL_CHARS: usize = 200;
const MOST_DAYS: u32 = 3650;
const WARNING: &str = "Keep this key now: it is not stored and cannot be shown again";

/// A right that a key may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    Read,
    Write,
    Admin,
}

impl From<Scope> for Right {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Read => Self::Read,
            Scope::Write => Self::Write,
            Scope::Admin => Self::Admin,
        }
    }
}

impl From<Right> for Scope {
    fn from(right: Right) -> Self {
        match right {
            Right::Read => Self::Read,
            Right::Write => Self::Write,
            Right::Admin => Self::Admin,
        }
    }
}

/// The purpose of a key.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyEnvironment {
    #[default]
    Live,
    Test,
}

/// A key to make.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct CreateKey {
    /// A name for it.
    #[schema(max_length = 200)]
    label: Option<String>,
    /// Its purpose; `live` when absent.
    environment: Option<KeyEnvironment>,
    /// After how many days it expires; never when absent.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 3650)]
    expires_in_days: Option<u32>,
    /// Its rights; everything that the role grants when absent or empty.
    scopes: Option<Vec<Scope>>,
    /// Requests per minute; 60 when absent, 0 = unlimited.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 1_000_000)]
    rate_limit: Option<u32>,
}

/// Changes of a key; absent members do not change.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct UpdateKey {
    /// Another name; `null` removes it.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 200)]
    label: Option<Option<String>>,
    /// Its rights.
    scopes: Option<Vec<Scope>>,
    /// Requests per minute; 0 = unlimited.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 1_000_000)]
    rate_limit: Option<u32>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A whole number in any notation: in JSON and its schemas `3.0` is the integer 3.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(deserializer)? else { return Ok(None) };
    let written = number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string());
    let parsed =
        written.parse().map_err(|_| D::Error::custom(format!("`{number}` is no whole number in bounds")));
    parsed.map(Some)
}

/// Which keys to list.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ListKeys {
    /// Whether revoked keys are listed too.
    include_revoked: bool,
}

/// A key, without the key itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyView {
    id: Uuid,
    /// The first 12 characters.
    prefix: String,
    #[schema(required)]
    label: Option<String>,
    scopes: Vec<Scope>,
    /// Requests per minute; 0 = unlimited.
    rate_limit: u32,
    #[schema(required)]
    last_used_at: Option<String>,
    #[schema(required)]
    expires_at: Option<String>,
    created_at: String,
    #[schema(required)]
    revoked_at: Option<String>,
    /// `active`, `revoked` or `expired`.
    #[schema(value_type = String)]
    status: KeyStatus,
}

/// Keys, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyList {
    keys: Vec<KeyView>,
    total: usize,
}

/// A new key. It is shown only once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreatedKey {
    id: Uuid,
    /// The key itself.
    key: String,
    prefix: String,
    #[schema(required)]
    label: Option<String>,
    scopes: Vec<Scope>,
    rate_limit: u32,
    #[schema(required)]
    expires_at: Option<String>,
    created_at: String,
    /// A notice that the key is shown only once.
    warning: String,
}

/// A key was revoked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevokedKey {
    message: String,
    id: Uuid,
}

/// Why a request failed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Failure {
    error: String,
}

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
    let Ok(Query(wanted)) = query else {
        return reply::error(StatusCode::BAD_REQUEST, "`includeRevoked` takes `true` or `false`");
    };
    if !who.caller.may(Right::Admin) {
        return forbidden();
    }
    match shared.keys.list(&who.caller, wanted.include_revoked).await {
        Ok(keys) => {
            let now = shared.services.clock.now();
            let keys: Vec<KeyView> = keys.into_iter().map(|key| view(key, now)).collect();
            answer(StatusCode::OK, &KeyList { total: keys.len(), keys })
        }
        Err(error) => fault(&shared, &who, request, &error).await,
    }
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
    headers: HeaderMap,
    body: Body,
) -> Response {
    if !who.caller.may(Right::Admin) {
        return forbidden();
    }
    let wanted: CreateKey = match parsed(&headers, body).await {
        Ok(wanted) => wanted.unwrap_or_default(),
        Err(response) => return response,
    };
    if let Some(response) = refused(
        &who.caller,
        wanted.label.as_deref(),
        Some(wanted.scopes.as_deref().unwrap_or_default()),
        wanted.rate_limit,
    ) {
        return response;
    }
    if wanted.expires_in_days.is_some_and(|days| days == 0 || days > MOST_DAYS) {
        return reply::error(StatusCode::BAD_REQUEST, "`expiresInDays` takes 1 to 3650");
    }
    let environment = match wanted.environment.unwrap_or_default() {
        KeyEnvironment::Live => Environment::Live,
        KeyEnvironment::Test => Environment::Test,
    };
    let (plain, mut key) = new_key(&shared, environment);
    key.label = wanted.label;
    key.scopes = rights(wanted.scopes.unwrap_or_default());
    key.rate_limit = wanted.rate_limit.unwrap_or(DEFAULT_RATE_LIMIT);
    let life = wanted.expires_in_days.map(|days| SignedDuration::from_hours(24 * i64::from(days)));
    key.expires_at = life.and_then(|life| key.created_at.checked_add(life).ok());
    match shared.keys.create(&who.caller, &key).await {
        Ok(record) => created(&plain, record),
        Err(error) => refused_key(&shared, &who, request, &error).await,
    }
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
    headers: HeaderMap,
    body: Body,
) -> Response {
    if !who.caller.may(Right::Admin) {
        return forbidden();
    }
    let wanted: UpdateKey = match parsed(&headers, body).await {
        Ok(Some(wanted)) => wanted,
        Ok(None) => return reply::error(StatusCode::BAD_REQUEST, "the body must be a JSON object"),
        Err(response) => return response,
    };
    let label = wanted.label.as_ref().and_then(Option::as_deref);
    if let Some(response) = refused(&who.caller, label, wanted.scopes.as_deref(), wanted.rate_limit) {
        return response;
    }
    let Some(id) = key_id(&id) else { return no_such_key() };
    let change =
        KeyChange { label: wanted.label, scopes: wanted.scopes.map(rights), rate_limit: wanted.rate_limit };
    match shared.keys.update(&who.caller, id, &change).await {
        Ok(Some(Revoked { record, hash })) => {
            shared.auth.forget_everywhere(&hash).await;
            shared.signals.send(Invalidation::key_changed(&hash, None)).await;
            answer(StatusCode::OK, &view(record, shared.services.clock.now()))
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
    let (plain, mut key) = new_key(&shared, old.environment());
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

/// Applies a revocation at once, here and on other replicas.
async fn void(shared: &Shared, revoked: &Revoked) {
    shared.auth.forget_everywhere(&revoked.hash).await;
    shared.signals.send(Invalidation::key_changed(&revoked.hash, Some(revoked.record.id.0))).await;
}

fn new_key(shared: &Shared, environment: Environment) -> (PlainKey, NewKey) {
    let plain = PlainKey::generate(environment, &*shared.services.entropy);
    let key = NewKey {
        id: KeyId(shared.services.entropy.id()),
        hash: plain.hash(),
        prefix: plain.prefix(),
        label: None,
        scopes: Vec::new(),
        rate_limit: DEFAULT_RATE_LIMIT,
        expires_at: None,
        created_at: shared.services.clock.now(),
    };
    (plain, key)
}

/// Why values are refused, if they are. A key never gets more rights than the key that creates it.
fn refused(
    caller: &Caller,
    label: Option<&str>,
    scopes: Option<&[Scope]>,
    limit: Option<u32>,
) -> Option<Response> {
    if label.is_some_and(|label| label.chars().count() > LABEL_CHARS) {
        return Some(reply::error(StatusCode::BAD_REQUEST, "`label` takes at most 200 characters"));
    }
    if limit.is_some_and(|limit| limit > MOST_REQUESTS) {
        return Some(reply::error(StatusCode::BAD_REQUEST, "`rateLimit` takes 0 to 1000000"));
    }
    let more = |scopes: &[Scope]| {
        scopes.is_empty() || scopes.iter().any(|scope| !caller.scopes.contains(&(*scope).into()))
    };
    if !caller.scopes.is_empty() && scopes.is_some_and(more) {
        return Some(reply::error(StatusCode::FORBIDDEN, "a key cannot give more scopes than it has itself"));
    }
    None
}

/// The body, if there is one.
async fn parsed<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<Option<T>, Response> {
    let body = read(body).await?;
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if body.is_empty() {
        return Ok(None);
    }
    if !named.split(';').next().is_some_and(|named| named.trim().eq_ignore_ascii_case("application/json")) {
        return Err(reply::error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send `Content-Type: application/json`",
        ));
    }
    let text = std::str::from_utf8(&body).unwrap_or_default().trim_start();
    if !text.starts_with('{') {
        return Err(reply::error(StatusCode::BAD_REQUEST, "the body must be a JSON object"));
    }
    serde_json::from_slice(&body)
        .map(Some)
        .map_err(|error| reply::error(StatusCode::BAD_REQUEST, &format!("the body cannot be used: {error}")))
}

fn view(key: KeyRecord, now: Timestamp) -> KeyView {
    KeyView {
        id: key.id.0,
        status: key.status(now),
        prefix: key.prefix,
        label: key.label,
        scopes: key.scopes.into_iter().map(Scope::from).collect(),
        rate_limit: key.rate_limit,
        last_used_at: key.last_used_at.map(iso_millis),
        expires_at: key.expires_at.map(iso_millis),
        created_at: iso_millis(key.created_at),
        revoked_at: key.revoked_at.map(iso_millis),
    }
}

fn created(plain: &PlainKey, record: KeyRecord) -> Response {
    let body = CreatedKey {
        id: record.id.0,
        key: plain.expose().to_owned(),
        prefix: record.prefix,
        label: record.label,
        scopes: record.scopes.into_iter().map(Scope::from).collect(),
        rate_limit: record.rate_limit,
        expires_at: record.expires_at.map(iso_millis),
        created_at: iso_millis(record.created_at),
        warning: WARNING.to_owned(),
    };
    answer(StatusCode::CREATED, &body)
}

fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_value(body) {
        Ok(body) => reply::json(status, &body),
        Err(_) => reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the server failed"),
    }
}

fn rights(scopes: Vec<Scope>) -> Vec<Right> {
    let mut rights: Vec<Right> = scopes.into_iter().map(Right::from).collect();
    rights.sort_unstable();
    rights.dedup();
    rights
}

fn key_id(text: &str) -> Option<KeyId> {
    Uuid::try_parse(text).ok().map(KeyId)
}

fn forbidden() -> Response {
    reply::error(
        StatusCode::FORBIDDEN,
        "This key may not do that: it takes an owner's key with the scope `admin`",
    )
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

async fn fault(
    shared: &Shared,
    who: &Authenticated,
    RequestId(request): RequestId,
    error: &StoreError,
) -> Response {
    if matches!(error, StoreError::KeyInvalid) {
        return admission::unauthorized(&admission::void(shared, who).await);
    }
    if matches!(error, StoreError::Denied) {
        // The role or scopes changed since they were cached.
        shared.auth.forget_everywhere(&who.hash).await;
        return forbidden();
    }
    tracing::error!(request.id = %request, %error, "keys could not be read or changed");
    if matches!(error, StoreError::Unreachable(_) | StoreError::Overloaded) {
        let text = "The server cannot reach its database at the moment; try again";
        let response = reply::error(StatusCode::SERVICE_UNAVAILABLE, text);
        return reply::with_retry_after(response, UNREACHABLE_RETRY);
    }
    let text = format!("internal error; see the server log for the request id {request}");
    reply::json(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": text}))
}
