//! `/api/history`: the former versions of documents and entities of the key's project, for programs without MCP.

mod bodies;
mod entity;
pub(crate) mod proposals;

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::{ExtensionRejection, QueryRejection};
use axum::extract::{FromRequestParts, Query};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::request::Parts;
use jiff::Timestamp;
use memory_bank_core::caller::Right;
use memory_bank_core::document::{DocumentPath, unified_diff_within};
use memory_bank_core::error::{StoreError, WorkspaceError};
use memory_bank_core::history::{Subject, VersionPlace, VersionQuery, VersionText, moment};
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, HistoryError, ReadOutcome};
use memory_bank_core::unicode::has_null;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use self::bodies::{
    DiffVersions, Difference, ListVersions, ShowVersion, VersionList, VersionView, VersionWithText,
};
use self::entity::{AnyDifference, ListedVersion, ShownVersion};
use crate::http::auth::Authenticated;
use crate::http::keys::Failure;
use crate::http::metrics::Limit;
use crate::http::reply_budget::{
    ConnectionId, Holder, Reservation, accounted, bytes_while_sent, plain_refusal,
};
use crate::http::request_id::RequestId;
use crate::http::shared::Shared;
use crate::http::{reply, store_fault};

/// The bytes of a list.
const LIST_BYTES: usize = 256 * 1024;
/// The longest difference, in characters.
const DIFF_CHARS: usize = limits::REPLY_BYTES;

/// Lists versions, newest first: of documents those of one, a session, a user, or all; or those of an entity.
#[utoipa::path(get, path = "/api/history", tag = "history", params(ListVersions), responses(
    (status = 200, body = VersionList),
    (status = 400, body = Failure, description = "the query is malformed"),
    (status = 401, body = Failure), (status = 403, body = Failure),
    (status = 404, body = Failure, description = "there is no such document, entity or page"),
    (status = 429, body = Failure), (status = 503, body = Failure)))]
pub(crate) async fn list(
    request: HistoryRequest,
    query: Result<Query<ListVersions>, QueryRejection>,
) -> Response {
    match query {
        Ok(Query(query)) => {
            let bytes = if query.entity.is_some() { entity::list_bytes(query.limit()) } else { LIST_BYTES };
            request.answer(bytes, list_of(&request, query)).await
        }
        Err(_) => malformed(),
    }
}

/// Shows a version with its text.
#[utoipa::path(get, path = "/api/history/show", tag = "history", params(ShowVersion), responses(
    (status = 200, body = ShownVersion),
    (status = 400, body = Failure, description = "the query is malformed"),
    (status = 401, body = Failure), (status = 403, body = Failure),
    (status = 404, body = Failure, description = "there is no such document, entity or version"),
    (status = 429, body = Failure), (status = 503, body = Failure)))]
pub(crate) async fn show(
    request: HistoryRequest,
    query: Result<Query<ShowVersion>, QueryRejection>,
) -> Response {
    match query {
        Ok(Query(query)) => request.answer(bytes_for(query.entity.as_ref()), text_of(&request, query)).await,
        Err(_) => malformed(),
    }
}

/// Compares a version with another one, or with the present text.
#[utoipa::path(get, path = "/api/history/diff", tag = "history", params(DiffVersions), responses(
    (status = 200, body = AnyDifference),
    (status = 400, body = Failure, description = "the query is malformed"),
    (status = 401, body = Failure), (status = 403, body = Failure),
    (status = 404, body = Failure, description = "there is no such document, entity or version"),
    (status = 429, body = Failure), (status = 503, body = Failure)))]
pub(crate) async fn diff(
    request: HistoryRequest,
    query: Result<Query<DiffVersions>, QueryRejection>,
) -> Response {
    match query {
        Ok(Query(query)) => request.answer(bytes_for(query.entity.as_ref()), diff_of(&request, query)).await,
        Err(_) => malformed(),
    }
}

/// What the routes need of a request.
pub(crate) struct HistoryRequest {
    shared: Arc<Shared>,
    who: Authenticated,
    id: RequestId,
    connection: Option<ConnectionId>,
}

impl FromRequestParts<Arc<Shared>> for HistoryRequest {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, ExtensionRejection> {
        let Extension(who) = Extension::<Authenticated>::from_request_parts(parts, shared).await?;
        let Extension(id) = Extension::<RequestId>::from_request_parts(parts, shared).await?;
        let connection = parts.extensions.get().copied();
        Ok(Self { shared: Arc::clone(shared), who, id, connection })
    }
}

/// Why there is no reply with content.
enum Refusal {
    Malformed(String),
    NotFound(String),
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<HistoryError> for Refusal {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Store(error) => Self::Store(error),
            other => Self::NotFound(other.to_string()),
        }
    }
}

impl HistoryRequest {
    async fn bank(&self) -> Result<Arc<dyn Bank>, Refusal> {
        self.shared.services.workspace.bank(&self.who.caller, None).await.map_err(|error| match error {
            WorkspaceError::Store(error) => Refusal::Store(error),
            other => Refusal::NotFound(other.to_string()),
        })
    }

    /// The reply, for which so many bytes are reserved while it is made.
    async fn answer<T: Serialize>(
        &self,
        bytes: usize,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Response {
        if !self.who.caller.may(Right::Read) {
            return forbidden();
        }
        let holder = Holder { key: self.who.caller.key, connection: self.connection };
        let memory = match self.shared.replies.reserve(holder, bytes).await {
            Ok(memory) => memory,
            Err(full) => {
                self.shared.metrics.limit_reached(Limit::Replies);
                return plain_refusal(full);
            }
        };
        match work.await {
            Ok(body) => sent(&body, &memory),
            Err(Refusal::Malformed(text)) => reply::error(StatusCode::BAD_REQUEST, &text),
            Err(Refusal::NotFound(text)) => reply::error(StatusCode::NOT_FOUND, &text),
            Err(Refusal::Store(error)) => {
                let what = "the history could not be read";
                store_fault::of(&self.shared, &self.who, self.id, &error, what, forbidden).await
            }
        }
    }
}

fn sent(body: &impl Serialize, memory: &Arc<Reservation>) -> Response {
    let Ok(text) = serde_json::to_vec(body) else {
        return reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the server failed");
    };
    memory.settle(bytes_while_sent(text.len()));
    let mut response = reply::json(StatusCode::OK, &serde_json::Value::Null);
    *response.body_mut() = Body::from(accounted(text, memory));
    response
}

/// The bytes of the texts that are compared or shown.
fn bytes_for(entity: Option<&String>) -> usize {
    if entity.is_some() { entity::CHAIN_BYTES } else { 4 * limits::DOCUMENT_BYTES }
}

async fn list_of(request: &HistoryRequest, query: ListVersions) -> Result<VersionList, Refusal> {
    let bank = request.bank().await?;
    if query.filename.is_some() && query.entity.is_some() {
        return Err(one_of_both());
    }
    let (session, by) = match &query.by {
        Some(by) => match by.parse::<Uuid>() {
            Ok(session) => (Some(session), None),
            Err(_) => (None, Some(by.clone())),
        },
        None => (None, None),
    };
    let subject = match (&query.filename, session) {
        (Some(_), Some(_)) => {
            return Err(Refusal::Malformed("give `filename` or a session as `by`, not both".to_owned()));
        }
        (Some(name), None) => Subject::Document(document(name)?),
        (None, Some(session)) => Subject::Session(session.to_string()),
        (None, None) => Subject::Project,
    };
    let (since, until) =
        (time("since", query.since.as_deref(), false)?, time("until", query.until.as_deref(), true)?);
    // No user has such a name, and a database accepts no such text.
    if by.as_deref().is_some_and(has_null) {
        return Ok(VersionList::default());
    }
    let limit = query.limit();
    if let Some(entity) = &query.entity {
        if session.is_some() {
            return Err(Refusal::Malformed("give `entity` or a session as `by`, not both".to_owned()));
        }
        let query = entity::query_of(entity, (since, until), by, query.cursor.as_deref(), limit)?;
        return entity::list(request, &query).await;
    }
    let query = VersionQuery {
        subject,
        since,
        until,
        by,
        after: query.cursor.as_deref().map(decoded::<VersionPlace>).transpose()?,
        limit,
    };
    let page = bank.list_versions(&request.who.caller, &query).await?;
    let next_cursor = page.next.as_ref().map(encoded).transpose()?;
    let versions = page.versions.iter().map(VersionView::of).map(ListedVersion::Document).collect();
    Ok(VersionList { versions, next_cursor })
}

/// What is shown or compared.
enum Shown {
    Document(DocumentPath),
    Entity(String),
}

/// What a request names, which is a document or an entity.
fn named(filename: Option<&String>, entity: Option<&String>) -> Result<Shown, Refusal> {
    match (filename, entity) {
        (Some(name), None) => document(name).map(Shown::Document),
        (None, Some(name)) => Ok(Shown::Entity(name.clone())),
        _ => Err(one_of_both()),
    }
}

/// The description of the routes has no words for "one of both", so such a request is well-formed, and means nothing that exists.
fn one_of_both() -> Refusal {
    Refusal::NotFound("give either `filename` or `entity`".to_owned())
}

async fn text_of(request: &HistoryRequest, query: ShowVersion) -> Result<ShownVersion, Refusal> {
    let bank = request.bank().await?;
    let path = match named(query.filename.as_ref(), query.entity.as_ref())? {
        Shown::Document(path) => path,
        Shown::Entity(name) => return entity::show(request, &name, &query).await.map(ShownVersion::Entity),
    };
    let found = bank.read_version(&request.who.caller, &path, query.version.into()).await?;
    let VersionText { version, text } = found;
    Ok(ShownVersion::Document(VersionWithText { version: VersionView::of(&version), text }))
}

async fn diff_of(request: &HistoryRequest, query: DiffVersions) -> Result<AnyDifference, Refusal> {
    let bank = request.bank().await?;
    let caller = &request.who.caller;
    let path = match named(query.filename.as_ref(), query.entity.as_ref())? {
        Shown::Document(path) => path,
        Shown::Entity(name) => return entity::diff(request, &name, &query).await.map(AnyDifference::Entity),
    };
    let old = bank.read_version(caller, &path, query.version.into()).await?.text;
    let new = match query.with {
        Some(with) => bank.read_version(caller, &path, with.into()).await?.text,
        None => match bank.read(caller, std::slice::from_ref(&path)).await?.pop() {
            Some(ReadOutcome::Found(document)) => Some(document.content),
            Some(ReadOutcome::Unreadable(reason)) => return Err(Refusal::NotFound(reason)),
            _ => None,
        },
    };
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    let diff = unified_diff_within(path.as_str(), &old, &new, DIFF_CHARS);
    let filename = path.as_str().to_owned();
    Ok(AnyDifference::Document(Difference { filename, version: query.version, with: query.with, diff }))
}

/// No document has a name that cannot be one.
fn document(name: &str) -> Result<DocumentPath, Refusal> {
    DocumentPath::parse(name).map_err(|error| Refusal::NotFound(error.to_string()))
}

fn time(name: &str, text: Option<&str>, is_end: bool) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let at = moment(text, is_end);
    at.map(Some).ok_or_else(|| Refusal::Malformed(format!("`{name}` takes a day or a time, as in RFC 3339")))
}

/// A place in a list as a cursor.
fn encoded(place: &impl Serialize) -> Result<String, Refusal> {
    let failed = |error: serde_json::Error| Refusal::Store(StoreError::Unavailable(error.to_string()));
    serde_json::to_vec(place).map(|place| URL_SAFE_NO_PAD.encode(place)).map_err(failed)
}

fn decoded<P: DeserializeOwned>(cursor: &str) -> Result<P, Refusal> {
    let decoded = URL_SAFE_NO_PAD.decode(cursor).ok();
    let place = decoded.and_then(|place| serde_json::from_slice::<P>(&place).ok());
    place.ok_or_else(|| {
        Refusal::NotFound("there is no such page; send the `nextCursor` of the last reply".to_owned())
    })
}

fn malformed() -> Response {
    reply::error(StatusCode::BAD_REQUEST, "the query is malformed; /api/openapi.json describes it")
}

fn forbidden() -> Response {
    reply::error(StatusCode::FORBIDDEN, "You may not do that: it takes the scope `read`")
}
