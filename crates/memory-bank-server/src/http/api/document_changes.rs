//! Writes, renames and deletes documents: `PUT` and `DELETE /api/v1/document`, `POST /api/v1/document/rename`. The rules are those of the
//! core, by which the tools work, too; each change is a version of the history.

use axum::body::Body;
use axum::response::Response;
use memory_bank_core::caller::Right;
use memory_bank_core::document::{
    DocumentPath, Etag, NO_DOCUMENT, delete_document, rename_document, write_document,
};
use memory_bank_core::error::{EditError, StoreError};
use memory_bank_core::history::ChangeContext;
use memory_bank_core::limits;
use memory_bank_core::store::{DocumentChange, Drafts};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::api::queries::{DeleteDocument, ReadDocument, RenameDocument, WriteDocument};
use crate::http::rest_request::{QueryParameters, Refusal, RestRequest};

/// The bytes of a request that writes, beside those of its body: the text, and the present one.
const WRITE_BYTES: usize = 4 * limits::DOCUMENT_BYTES;
/// The bytes of a request that renames or deletes: the present text, in the document and in the history.
const MOVE_BYTES: usize = 2 * limits::DOCUMENT_BYTES;

/// A document that was written.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DocumentWritten {
    /// The name under which it is stored.
    name: String,
    /// Of its text.
    etag: String,
}

/// A document that was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DocumentDeleted {
    /// The name under which it was stored.
    name: String,
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
    QueryParameters(query): QueryParameters<ReadDocument>,
    body: Body,
) -> Response {
    let work = |wanted, _| written(&request, query, wanted);
    request.answer_to_change(Right::Write, (body, WRITE_BYTES), work).await
}

/// Gives a document another name, if it still is the one of the etag.
#[utoipa::path(post, path = "/api/v1/document/rename", tag = "documents", request_body = RenameDocument, responses(
    (status = 200, body = DocumentWritten),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query or the body is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such document"),
    (status = 409, body = Problem, content_type = "application/problem+json",
        description = "the document has another etag, the new name is taken, or a rule is against it"),
    (status = 413, body = Problem, content_type = "application/problem+json"),
    (status = 415, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn rename(request: RestRequest, body: Body) -> Response {
    request.answer_to_change(Right::Write, (body, MOVE_BYTES), |wanted, _| renamed(&request, wanted)).await
}

/// Deletes a document, if it still is the one of the etag. Its history keeps the text.
#[utoipa::path(delete, path = "/api/v1/document", tag = "documents", params(DeleteDocument), responses(
    (status = 200, body = DocumentDeleted),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such document"),
    (status = 409, body = Problem, content_type = "application/problem+json",
        description = "the document has another etag, or is a core document"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete(
    request: RestRequest,
    QueryParameters(query): QueryParameters<DeleteDocument>,
) -> Response {
    request.answer_to_write(Right::Admin, MOVE_BYTES, |_| deleted(&request, query)).await
}

async fn written(
    request: &RestRequest,
    query: ReadDocument,
    WriteDocument { text, etag }: WriteDocument,
) -> Result<DocumentWritten, Refusal> {
    let path = new_name(&query.filename)?;
    let expected = etag.as_deref().unwrap_or(NO_DOCUMENT);
    let rule = |drafts: &mut Drafts| Ok(write_document(drafts, &path, &text, Some(expected))?.etag);
    let (etag, changes) = changed(request, std::slice::from_ref(&path), rule).await?;
    Ok(DocumentWritten { name: stored_name(changes.first(), &path), etag: etag.as_str().to_owned() })
}

async fn renamed(
    request: &RestRequest,
    RenameDocument { filename, to, etag }: RenameDocument,
) -> Result<DocumentWritten, Refusal> {
    let from = DocumentPath::parse(&filename).map_err(|error| Refusal::NotFound(error.to_string()))?;
    let to = new_name(&to)?;
    let rule = |drafts: &mut Drafts| rename_document(drafts, &from, &to, Some(&etag));
    let ((), changes) = changed(request, &[from.clone(), to.clone()], rule).await?;
    // The text is the same.
    let made = changes.iter().find(|change| change.etag.is_some());
    let etag = made.and_then(|change| change.etag.clone()).unwrap_or_else(|| Etag::claimed(&etag));
    Ok(DocumentWritten { name: stored_name(made, &to), etag: etag.as_str().to_owned() })
}

async fn deleted(
    request: &RestRequest,
    DeleteDocument { filename, etag }: DeleteDocument,
) -> Result<DocumentDeleted, Refusal> {
    let path = DocumentPath::parse(&filename).map_err(|error| Refusal::NotFound(error.to_string()))?;
    let rule = |drafts: &mut Drafts| delete_document(drafts, &path, Some(&etag));
    let (_, changes) = changed(request, std::slice::from_ref(&path), rule).await?;
    Ok(DocumentDeleted { name: stored_name(changes.first(), &path) })
}

/// Runs a rule as one edit. The history names the user, and no tool.
async fn changed<T: Send>(
    request: &RestRequest,
    paths: &[DocumentPath],
    mut rule: impl FnMut(&mut Drafts) -> Result<T, EditError> + Send,
) -> Result<(T, Vec<DocumentChange>), Refusal> {
    let mut outcome = None;
    let mut edit = |drafts: &mut Drafts| {
        drafts.set_context(&ChangeContext::default());
        outcome = Some(rule(drafts)?);
        Ok(())
    };
    let changes = request.bank().await?.edit(&request.who.caller, paths, &mut edit).await?;
    let outcome =
        outcome.ok_or_else(|| StoreError::Unavailable("the store did not run the edit".to_owned()))?;
    Ok((outcome, changes))
}

/// A name that a document gets. Its schema admits more names than the rules of documents, so that one of the others is no malformed
/// request.
fn new_name(name: &str) -> Result<DocumentPath, Refusal> {
    DocumentPath::parse(name).map_err(|error| Refusal::Conflict(error.to_string()))
}

/// The name under which the store has the document.
fn stored_name(change: Option<&DocumentChange>, given: &DocumentPath) -> String {
    change.map_or(given.as_str(), |change| change.path.as_str()).to_owned()
}

impl From<EditError> for Refusal {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Store(error @ (StoreError::TooLarge { .. } | StoreError::HistoryErased)) => {
                Self::Conflict(error.to_string())
            }
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
