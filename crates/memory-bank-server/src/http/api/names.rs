//! `GET /api/v1/document/name`: whether a new document may have a name, before its text is written.

use axum::response::Response;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::store::name_clash;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::api::queries::CheckName;
use crate::http::rest_request::{QueryParameters, Refusal, RestRequest};
use crate::mcp::reading::LISTING_BYTES;

/// What a name means in the bank.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CheckedName {
    /// The name under which the document is stored, or under which a new one would be.
    name: String,
    /// Whether there is such a document.
    exists: bool,
    /// Why no new document may have the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refusal: Option<String>,
}

/// Shows whether there is a document of a name, and else whether a new one may have it, by the rules of writing.
#[utoipa::path(get, path = "/api/v1/document/name", tag = "documents", operation_id = "check_document_name", params(CheckName), responses(
    (status = 200, body = CheckedName),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such bank"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn check(
    request: RestRequest,
    QueryParameters(query): QueryParameters<CheckName>,
) -> Response {
    request.answer(LISTING_BYTES, checked(&request, query)).await
}

async fn checked(request: &RestRequest, CheckName { filename }: CheckName) -> Result<CheckedName, Refusal> {
    let bank = request.bank().await?;
    let path = match DocumentPath::parse(&filename) {
        Ok(path) => path,
        Err(error) => {
            return Ok(CheckedName { name: filename, exists: false, refusal: Some(error.to_string()) });
        }
    };
    let entries = bank.list(&request.who.caller).await?;
    let documents = entries.iter().filter(|entry| entry.path.is_some());
    if let Some(found) = path.find(documents.map(|entry| entry.name.as_str())) {
        return Ok(CheckedName { name: found.to_owned(), exists: true, refusal: None });
    }
    let new = path.canonical();
    let refusal = new.check_new().err().map(|error| error.to_string()).or_else(|| {
        let other = entries.iter().find(|entry| new.clashes_with(&entry.name))?;
        Some(name_clash(&new, &other.name).to_string())
    });
    Ok(CheckedName { name: new.as_str().to_owned(), exists: false, refusal })
}
