//! `/api/history`: the former versions of documents and entities of the key's project, for programs without MCP.

pub(crate) mod bodies;
pub(crate) mod entity;
mod graph_change_details;
pub(crate) mod merged;
pub(crate) mod proposals;

use std::sync::Arc;

use axum::response::Response;
use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::document::{DocumentPath, unified_diff_within};
use memory_bank_core::history::{Subject, VersionPosition, VersionQuery, VersionText, moment};
use memory_bank_core::limits;
use memory_bank_core::store::{Bank, HISTORY_IS_OFF, HistoryError, ReadOutcome};
use memory_bank_core::unicode::has_null;
use uuid::Uuid;

use self::bodies::{
    AnyDifference, DiffVersions, Difference, ListVersions, ListedVersion, ShowVersion, ShownVersion,
    VersionList, VersionView, VersionWithText,
};
use crate::http::reply::Failure;
use crate::http::rest_request::{QueryParameters, Refusal, RestRequest, decoded, encoded};

/// The bytes of a list.
const LIST_BYTES: usize = 256 * 1024;
/// The longest difference, in characters.
const DIFF_CHARS: usize = limits::REPLY_BYTES;

/// Lists versions, newest first: of documents those of one, a session, a user, or all, also with those of the graph; or those of an entity.
#[utoipa::path(get, path = "/api/history", tag = "history", params(ListVersions), responses(
    (status = 200, body = VersionList),
    (status = 400, body = Failure, description = "the query is malformed"),
    (status = 401, body = Failure), (status = 403, body = Failure),
    (status = 404, body = Failure, description = "there is no such document, entity or page"),
    (status = 429, body = Failure), (status = 503, body = Failure)))]
pub(crate) async fn list(
    request: RestRequest,
    QueryParameters(query): QueryParameters<ListVersions>,
) -> Response {
    let bytes = match (&query.entity, query.include_graph) {
        (Some(_), _) => entity::list_bytes(query.limit()),
        (None, true) => LIST_BYTES + entity::list_bytes(query.limit()),
        (None, false) => LIST_BYTES,
    };
    request.answer(bytes, list_of(&request, query)).await
}

/// Shows a version with its text.
#[utoipa::path(get, path = "/api/history/show", tag = "history", params(ShowVersion), responses(
    (status = 200, body = ShownVersion),
    (status = 400, body = Failure, description = "the query is malformed"),
    (status = 401, body = Failure), (status = 403, body = Failure),
    (status = 404, body = Failure, description = "there is no such document, entity or version"),
    (status = 429, body = Failure), (status = 503, body = Failure)))]
pub(crate) async fn show(
    request: RestRequest,
    QueryParameters(query): QueryParameters<ShowVersion>,
) -> Response {
    request.answer(bytes_for(query.entity.as_ref()), text_of(&request, query)).await
}

/// Compares a version with another one, or with the present text.
#[utoipa::path(get, path = "/api/history/diff", tag = "history", params(DiffVersions), responses(
    (status = 200, body = AnyDifference),
    (status = 400, body = Failure, description = "the query is malformed"),
    (status = 401, body = Failure), (status = 403, body = Failure),
    (status = 404, body = Failure, description = "there is no such document, entity or version"),
    (status = 429, body = Failure), (status = 503, body = Failure)))]
pub(crate) async fn diff(
    request: RestRequest,
    QueryParameters(query): QueryParameters<DiffVersions>,
) -> Response {
    request.answer(bytes_for(query.entity.as_ref()), diff_of(&request, query)).await
}

/// Why a version is not there; without a history, that is the reason.
fn missing(bank: &Arc<dyn Bank>, error: impl Into<Refusal>) -> Refusal {
    match error.into() {
        Refusal::NotFound(text) if !bank.keeps_history() => {
            Refusal::NotFound(format!("{text}; {HISTORY_IS_OFF}"))
        }
        other => other,
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

/// The bytes of the texts that are compared or shown.
fn bytes_for(entity: Option<&String>) -> usize {
    if entity.is_some() { entity::CHAIN_BYTES } else { 4 * limits::DOCUMENT_BYTES }
}

async fn list_of(request: &RestRequest, query: ListVersions) -> Result<VersionList, Refusal> {
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
        (Some(name), None) if query.include_former => Subject::Name(document(name)?),
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
    if query.include_graph && query.filename.is_none() {
        let versions = VersionQuery { subject, since, until, by, after: None, limit };
        return merged::list(request, versions, query.cursor.as_deref()).await;
    }
    let query = VersionQuery {
        subject,
        since,
        until,
        by,
        after: query.cursor.as_deref().map(decoded::<VersionPosition>).transpose()?,
        limit,
    };
    let page =
        bank.list_versions(&request.who.caller, &query).await.map_err(|error| missing(&bank, error))?;
    let next_cursor = page.next.as_ref().map(encoded).transpose()?;
    let versions = page.versions.iter().map(|version| VersionView::in_page(version, &page));
    let versions = versions.map(ListedVersion::Document).collect();
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

async fn text_of(request: &RestRequest, query: ShowVersion) -> Result<ShownVersion, Refusal> {
    let bank = request.bank().await?;
    let path = match named(query.filename.as_ref(), query.entity.as_ref())? {
        Shown::Document(path) => path,
        Shown::Entity(name) => return entity::show(request, &name, &query).await.map(ShownVersion::Entity),
    };
    let found =
        version_of(&bank, &request.who.caller, (&path, query.document_id.as_ref()), query.version).await;
    let VersionText { version, text } = found?;
    Ok(ShownVersion::Document(VersionWithText { version: VersionView::of(&version), text }))
}

async fn diff_of(request: &RestRequest, query: DiffVersions) -> Result<AnyDifference, Refusal> {
    let bank = request.bank().await?;
    let caller = &request.who.caller;
    let path = match named(query.filename.as_ref(), query.entity.as_ref())? {
        Shown::Document(path) => path,
        Shown::Entity(name) => return entity::diff(request, &name, &query).await.map(AnyDifference::Entity),
    };
    let text = async |number: u32| {
        version_of(&bank, caller, (&path, query.document_id.as_ref()), number).await.map(|found| found.text)
    };
    let old = text(query.version).await?;
    let new = match query.with {
        Some(with) => text(with).await?,
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

/// A version of the document that has this name or had it last, or of the one with this id.
async fn version_of(
    bank: &Arc<dyn Bank>,
    caller: &Caller,
    (path, document): (&DocumentPath, Option<&String>),
    number: u32,
) -> Result<VersionText, Refusal> {
    let found = match document {
        Some(document) => bank.read_version_of(caller, document, path, number.into()).await,
        None => bank.read_version(caller, path, number.into()).await,
    };
    found.map_err(|error| missing(bank, error))
}

/// A document by its name, also without `.md`, as the tool takes it. No document has a name that cannot be one.
fn document(name: &str) -> Result<DocumentPath, Refusal> {
    DocumentPath::parse(name)
        .or_else(|error| DocumentPath::parse(&format!("{name}.md")).map_err(|_| error))
        .map_err(|error| Refusal::NotFound(error.to_string()))
}

pub(crate) fn time(name: &str, text: Option<&str>, is_end: bool) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let at = moment(text, is_end);
    at.map(Some).ok_or_else(|| Refusal::Malformed(format!("`{name}` takes a day or a time, as in RFC 3339")))
}
