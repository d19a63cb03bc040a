//! `/api/v1/documents` and `/api/v1/document`: the documents of a bank.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::response::Response;
use http::HeaderMap;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::{
    Document, DocumentEntry, DocumentPath, NO_DOCUMENT, is_leftover, write_document,
};
use memory_bank_core::error::{EditError, StoreError};
use memory_bank_core::history::ChangeContext;
use memory_bank_core::limits;
use memory_bank_core::store::{Drafts, ReadOutcome};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::api::queries::{ListDocuments, ReadDocument, WriteDocument};
use crate::http::body::{memory_for, read_object};
use crate::http::config::CALL_BYTES;
use crate::http::rest_request::{Refusal, RestRequest, decoded, encoded, malformed};
use crate::mcp::reading::LISTING_BYTES;
use crate::services::Services;

/// The documents of a page, if the request names no number.
const LISTED: u32 = 500;
/// For how many of the documents that changed last the list names who changed them.
const AUTHORS: usize = 200;
/// The bytes of a request that writes, beside those of its body: the text, and the present one.
const WRITE_BYTES: usize = 4 * limits::DOCUMENT_BYTES;
/// The bytes of a reply before the length of the document is known.
const READ_BYTES: usize = 64 * 1024;

/// A document in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedDocument {
    /// Its name, with its folders.
    name: String,
    bytes: u64,
    #[schema(format = DateTime)]
    updated_at: String,
    /// The user who changed it last, as far as the history knows, of the 200 that changed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    updated_by: Option<String>,
    /// `true` if an editor or a program for synchronisation has left it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    is_leftover: Option<bool>,
}

/// Documents, by name.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DocumentList {
    documents: Vec<ListedDocument>,
    /// For the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A document that was written.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DocumentWritten {
    /// The name under which it is stored.
    name: String,
    /// Of the new text.
    etag: String,
}

/// A document with its text.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DocumentView {
    /// The name under which it is stored.
    name: String,
    text: String,
    /// Of the text, as tools name it.
    etag: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl DocumentView {
    fn of(document: Document) -> Self {
        Self {
            name: document.path.as_str().to_owned(),
            etag: document.etag.as_str().to_owned(),
            updated_at: iso_millis(document.updated_at),
            text: document.content,
        }
    }
}

/// Lists the documents of the project by name.
#[utoipa::path(get, path = "/api/v1/documents", tag = "documents", params(ListDocuments), responses(
    (status = 200, body = DocumentList),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such page"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    request: RestRequest,
    query: Result<Query<ListDocuments>, QueryRejection>,
) -> Response {
    match query {
        Ok(Query(query)) => request.answer(LISTING_BYTES, list_of(&request, query)).await,
        Err(_) => malformed(),
    }
}

/// Reads a document.
#[utoipa::path(get, path = "/api/v1/document", tag = "documents", params(ReadDocument), responses(
    (status = 200, body = DocumentView),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such document"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn read(
    request: RestRequest,
    query: Result<Query<ReadDocument>, QueryRejection>,
) -> Response {
    match query {
        Ok(Query(query)) => {
            request.answer_within(READ_BYTES, |services| document_of(&request, query, services)).await
        }
        Err(_) => malformed(),
    }
}

/// Replaces a document, if it still is the one of the etag; or creates one, without an etag.
#[utoipa::path(put, path = "/api/v1/document", tag = "documents", params(ReadDocument), request_body = WriteDocument, responses(
    (status = 200, body = DocumentWritten),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query or the body is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such document"),
    (status = 409, body = Problem, content_type = "application/problem+json",
        description = "the document has another etag, exists already, or a rule is against its name or text"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
    (status = 415, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn write(
    request: RestRequest,
    query: Result<Query<ReadDocument>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Ok(Query(query)) = query else { return malformed() };
    let needed = CALL_BYTES.saturating_add(memory_for(&body));
    let (request, headers) = (&request, &headers);
    request
        .answer_to_write(needed, |services| async move {
            let wanted = read_object::<WriteDocument>(headers, body).await?;
            let wanted = wanted.ok_or_else(|| {
                let text = "the body must be a JSON object with `text`";
                Refusal::Malformed(text.to_owned())
            })?;
            services.replies.need(needed.saturating_add(WRITE_BYTES)).await?;
            written(request, query, wanted).await
        })
        .await
}

async fn written(
    request: &RestRequest,
    query: ReadDocument,
    WriteDocument { text, etag }: WriteDocument,
) -> Result<DocumentWritten, Refusal> {
    let path = DocumentPath::parse(&query.filename).map_err(|error| Refusal::Conflict(error.to_string()))?;
    let expected = etag.as_deref().unwrap_or(NO_DOCUMENT);
    let mut etag = None;
    let mut edit = |drafts: &mut Drafts| {
        drafts.set_context(&ChangeContext::default());
        etag = Some(write_document(drafts, &path, &text, Some(expected))?.etag);
        Ok(())
    };
    let bank = request.bank().await?;
    let changes = bank.edit(&request.who.caller, std::slice::from_ref(&path), &mut edit).await?;
    let name = changes.first().map_or(path.as_str(), |change| change.path.as_str()).to_owned();
    let etag = etag.ok_or_else(|| StoreError::Unavailable("the store did not run the edit".to_owned()))?;
    Ok(DocumentWritten { name, etag: etag.as_str().to_owned() })
}

impl From<EditError> for Refusal {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Store(error @ StoreError::TooLarge { .. }) => Self::Conflict(error.to_string()),
            EditError::Store(error @ (StoreError::Busy | StoreError::ChangedMeanwhile)) => {
                Self::Busy(error.to_string())
            }
            EditError::Store(error) => Self::Store(error),
            EditError::NotFound(_) => Self::NotFound(error.to_string()),
            EditError::EtagMismatch { .. } => {
                let text = "the document has changed since it was read, or exists already; read it again";
                Self::Conflict(text.to_owned())
            }
            other => Self::Conflict(other.to_string()),
        }
    }
}

async fn list_of(request: &RestRequest, query: ListDocuments) -> Result<DocumentList, Refusal> {
    let after = query.cursor.as_deref().map(decoded::<String>).transpose()?;
    let bank = request.bank().await?;
    let (entries, authors) = bank.list_with_authors(&request.who.caller, AUTHORS).await?;
    let mut following = entries
        .into_iter()
        .filter(|entry| entry.path.is_some())
        .filter(|entry| after.as_ref().is_none_or(|after| entry.name > *after));
    let limit = usize::try_from(query.limit.unwrap_or(LISTED)).unwrap_or(usize::MAX);
    let documents: Vec<ListedDocument> =
        following.by_ref().take(limit).map(|entry| entry_of(entry, &authors)).collect();
    let is_last = following.next().is_none();
    let next_cursor = match documents.last() {
        Some(last) if !is_last => Some(encoded(&last.name)?),
        _ => None,
    };
    Ok(DocumentList { documents, next_cursor })
}

fn entry_of(entry: DocumentEntry, authors: &BTreeMap<String, String>) -> ListedDocument {
    ListedDocument {
        bytes: entry.bytes,
        updated_at: iso_millis(entry.updated_at),
        updated_by: authors.get(&entry.name).cloned(),
        is_leftover: is_leftover(&entry.name).then_some(true),
        name: entry.name,
    }
}

async fn document_of(
    request: &RestRequest,
    query: ReadDocument,
    services: Services,
) -> Result<DocumentView, Refusal> {
    let path = DocumentPath::parse(&query.filename).map_err(|error| Refusal::NotFound(error.to_string()))?;
    match request.bank().await?.read(&request.who.caller, &[path]).await?.pop() {
        Some(ReadOutcome::Found(document)) => {
            // The text, the reply, and the reply as it is sent.
            services.replies.need(document.content.len().saturating_mul(4)).await?;
            Ok(DocumentView::of(document))
        }
        Some(ReadOutcome::Unreadable(reason)) => Err(Refusal::NotFound(reason)),
        _ => Err(Refusal::NotFound("there is no such document; /api/v1/documents lists them".to_owned())),
    }
}
