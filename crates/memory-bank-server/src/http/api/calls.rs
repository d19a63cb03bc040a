//! `GET /api/v1/calls`: how many tools were called in the project, how long that took and how many tokens it served, for owners.

use axum::response::Response;
use jiff::SignedDuration;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::store::{CALL_TIMES_MS, CallCounts, CallStep, StepLength};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::api::queries::ListCalls;
use crate::http::rest_request::{QueryParameters, RestRequest};

/// So many days are shown by the hour; more by the day.
const DAYS_BY_HOUR: u32 = 14;

/// The calls in a step of time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallsOfStep {
    /// When the step begins.
    #[schema(format = DateTime)]
    at: String,
    calls: u64,
    /// Those that ended with an error.
    failures: u64,
    /// The estimated tokens of the replies.
    tokens: u64,
    /// How many took at most so long as each of `timesMs`, and longer than the one before; the rest took longer.
    times: Vec<u64>,
}

impl CallsOfStep {
    fn of(step: &CallStep) -> Self {
        let CallCounts { calls, failures, tokens, times } = step.counts;
        Self { at: iso_millis(step.at), calls, failures, tokens, times: times.to_vec() }
    }
}

/// Calls of tools, by the hour or the day (UTC).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallChart {
    /// The length of a step, in seconds.
    step_seconds: u32,
    /// Bounds of times, in milliseconds.
    times_ms: Vec<u64>,
    /// Oldest first. Steps without a call are left out.
    steps: Vec<CallsOfStep>,
}

/// Shows the calls of tools of all members over the last days. They are counted up to ten seconds late.
#[utoipa::path(get, path = "/api/v1/calls", tag = "administration", operation_id = "list_calls", params(ListCalls), responses(
    (status = 200, body = CallChart),
    (status = 304, description = "the client has this reply"),
    (status = 400, body = Problem, content_type = "application/problem+json", description = "the query is malformed"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "the caller is no owner, or administers nothing with this key or token"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "a folder counts no calls"),
    (status = 429, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    request: RestRequest,
    QueryParameters(query): QueryParameters<ListCalls>,
) -> Response {
    let caller = &request.who.caller;
    let now = request.shared.services.clock.now();
    let (length, step_seconds) =
        if query.days <= DAYS_BY_HOUR { (StepLength::Hour, 3600) } else { (StepLength::Day, 86400) };
    let since = now - SignedDuration::from_hours(24 * i64::from(query.days));
    request
        .answer_to_owner(|administration| async move {
            let steps = administration.calls(caller, length, since).await?;
            Ok(CallChart {
                step_seconds,
                times_ms: CALL_TIMES_MS.to_vec(),
                steps: steps.iter().map(CallsOfStep::of).collect(),
            })
        })
        .await
}
