//! `/api/maintain`: what can be folded in the key's project, as the tool `maintain` lists it. It changes nothing.

use axum::response::Response;
use memory_bank_core::error::{EditError, GraphError};
use memory_bank_core::limits;
use memory_bank_core::maintenance::Proposal;
use memory_bank_core::store::{MaintainError, Survey};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::reply::Failure;
use crate::http::rest_request::{Refusal, RestRequest};
use crate::mcp::reading;
use crate::services::Services;

/// Lists what can be folded: repeated and ended facts, entities of one name, repeated entries, old session records.
#[utoipa::path(get, path = "/api/maintain", tag = "history", responses(
    (status = 200, body = ProposalList),
    (status = 401, body = Failure), (status = 403, body = Failure),
    (status = 404, body = Failure, description = "there is no memory bank"),
    (status = 429, body = Failure), (status = 503, body = Failure)))]
pub(crate) async fn list(request: RestRequest) -> Response {
    let found = |services: Services| found(&request, services);
    request.answer_within(limits::MAINTENANCE_BYTES, found).await
}

async fn found(request: &RestRequest, services: Services) -> Result<ProposalList, Refusal> {
    let bank = request.bank().await?;
    let found =
        reading::survey(&services, &request.who.caller, bank.as_ref()).await.map_err(
            |error| match error {
                MaintainError::Edit(EditError::Store(error))
                | MaintainError::Graph(GraphError::Store(error)) => Refusal::Store(error),
                other => Refusal::NotFound(other.to_string()),
            },
        )?;
    Ok(ProposalList::of(&found))
}

/// What can be folded.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProposalList {
    proposals: Vec<ProposalView>,
    /// How many proposals there are beside these.
    more: usize,
    /// The parts that were not examined, in words.
    not_examined: Vec<String>,
}

/// Something that can be folded.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProposalView {
    /// Derived from the content that it concerns; the tool `maintain` applies it.
    id: String,
    /// `duplicate`, `nearDuplicate`, `ended`, `sameName`, `duplicateEntry`, `oldSessions` or `contradiction`.
    kind: String,
    /// The entity or the document.
    about: String,
    /// Why, in a line.
    why: String,
    /// What it would change, in a line.
    change: String,
    /// Whether it cannot be applied and is for a person to decide.
    only_shown: bool,
}

impl ProposalList {
    fn of(found: &Survey) -> Self {
        let view = |proposal: &Proposal| ProposalView {
            id: proposal.id.clone(),
            kind: proposal.kind.as_str().to_owned(),
            about: proposal.about.clone(),
            why: proposal.why.clone(),
            change: proposal.change.clone(),
            only_shown: proposal.fold.is_none(),
        };
        Self {
            proposals: found.proposals.iter().take(limits::PROPOSALS).map(view).collect(),
            more: found.proposals.len().saturating_sub(limits::PROPOSALS),
            not_examined: found.not_examined.clone(),
        }
    }
}
