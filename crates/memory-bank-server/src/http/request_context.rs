//! The context of an admitted request: its caller, id, memory and tool options, and how it calls the MCP handler.
//!
//! The SDK's stateless service interprets each message but plain calls of tools (`direct_call`). This module must not know routes or sessions.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use memory_bank_core::caller::Caller;
use memory_bank_core::document::estimated_tokens;
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::KeyHash;
use rmcp::model::CallToolResult;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;
use uuid::Uuid;

use crate::http::auth::{AuthError, Authenticated, KeyState};
use crate::http::call_outcome::{self, CallOutcome};
use crate::http::config::{BODY_BYTES, CALL_TIMEOUT};
use crate::http::content_type::{is_event_stream, is_json};
use crate::http::direct_call::{DirectCall, DirectReply};
use crate::http::metrics::Limit;
use crate::http::probe::Health;
use crate::http::protocol::SESSION;
use crate::http::reply::{self, INTERNAL_ERROR, INVALID_REQUEST, TRANSPORT_ERROR};
use crate::http::reply_budget::{self, Reservation, accounted};
use crate::http::shared::Shared;
use crate::http::{admission, unavailable};
use crate::mcp::message;
use crate::mcp::{MemoryBankHandler, ObservedHandler, Observer, ToolOptions};
use crate::outcome::Outcome;
use crate::reply_memory::ReplyMemory;

/// After how long a call checks whether the store still answers, and how often it checks again.
const LOSS_CHECK: Duration = Duration::from_secs(3);

/// Counts the calls of a caller for operators, and for the owners of its project.
struct CallObserver {
    shared: Arc<Shared>,
    /// The hash of the caller's key.
    proof: KeyHash,
}

impl Observer for CallObserver {
    fn request_answered(&self, method: &'static str, outcome: Outcome) {
        self.shared.metrics.request_answered(method, outcome);
    }

    fn tool_answered(
        &self,
        tool: &'static str,
        outcome: Outcome,
        took: Duration,
        reply: Option<&CallToolResult>,
    ) {
        self.shared.metrics.tool_answered(tool, outcome, took);
        if outcome == Outcome::Cancelled || !self.shared.call_counters.counts() {
            return;
        }
        let texts = reply.iter().flat_map(|reply| &reply.content).filter_map(|content| content.as_text());
        let tokens: usize = texts.map(|text| estimated_tokens(&text.text)).sum();
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let tokens = u64::try_from(tokens).unwrap_or(u64::MAX);
        self.shared.call_counters.add(&self.proof, outcome != Outcome::Ok, took, tokens);
    }
}

/// The answer to a request.
enum Answer {
    /// The reply to a call of a tool.
    OfCall(DirectReply),
    /// A response of the SDK's service.
    OfService(Response),
}

/// Passes a request to the SDK's stateless service.
async fn of_service(
    handler: impl Fn() -> ObservedHandler<MemoryBankHandler> + Send + Sync + 'static,
    parts: Parts,
    body: Bytes,
) -> Response {
    tracing::debug!("the SDK's service answers");
    let config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(BODY_BYTES);
    let sessions = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(handler()), sessions, config);
    service.handle(Request::from_parts(parts, Full::new(body))).await.map(Body::new)
}

/// The context of an admitted request.
#[derive(Clone)]
pub(crate) struct RequestContext {
    pub(crate) shared: Arc<Shared>,
    pub(crate) who: Authenticated,
    pub(crate) request: Uuid,
    /// The memory for the reply; none for a stream of notifications and for a reply without a body.
    pub(crate) memory: Option<Arc<Reservation>>,
    /// Tool options of the server and the request.
    pub(crate) tools: ToolOptions,
}

impl RequestContext {
    /// Answers one request: a plain call of a tool here, anything else by the SDK's stateless service.
    pub(crate) async fn call(&self, parts: Parts, body: Bytes, message: &Value) -> Response {
        let id = message.get("id");
        let handler = self.handler(&parts.headers);
        let needs = message::rights_of_reply(&self.who.caller, message);
        // On the heap: each layer and each task that takes a future over copies it with all that it awaits.
        let answer = Box::pin(async {
            let Some(call) = DirectCall::of(&parts.headers, message) else {
                return Ok::<_, serde_json::Error>(Answer::OfService(
                    Box::pin(of_service(handler, parts, body)).await,
                ));
            };
            Ok(Answer::OfCall(call.answer(&handler()).await?))
        });
        let answered = tokio::select! {
            answered = tokio::time::timeout(CALL_TIMEOUT, answer) => answered,
            () = self.storage_lost() => return reply::unreachable(id, self.request),
        };
        let Ok(answer) = answered else {
            let text = format!("the call took longer than {} s and was stopped", CALL_TIMEOUT.as_secs());
            return reply::rpc_error(StatusCode::OK, id, INTERNAL_ERROR, &text);
        };
        match self.shared.auth.state_after_call(&self.who, needs).await {
            KeyState::Sufficient => match answer {
                Ok(Answer::OfCall(DirectReply { response, has_succeeded: true })) => {
                    self.accounted(response).await
                }
                Ok(Answer::OfCall(DirectReply { response, .. }) | Answer::OfService(response)) => {
                    self.accounted(self.as_json(response, id).await).await
                }
                Err(error) => self.fault(id, &format!("a reply cannot be written: {error}")),
            },
            KeyState::Void(error) => {
                self.shared.metrics.auth_failed(&error);
                admission::unauthorized(&error)
            }
            KeyState::FewerRights => {
                let text = "the rights of this key or token changed during the call, so its reply is not shown; it may have been \
                            carried out";
                reply::rpc_error(StatusCode::FORBIDDEN, id, INVALID_REQUEST, text)
            }
        }
    }

    /// Makes handlers for the caller, the session that the headers name, and the memory of this request.
    fn handler(
        &self,
        headers: &HeaderMap,
    ) -> impl Fn() -> ObservedHandler<MemoryBankHandler> + Clone + Send + Sync + 'static {
        let mut services = self.shared.services.clone();
        services.replies.memory = self.memory.clone().map(|memory| memory as Arc<dyn ReplyMemory>);
        let caller = Arc::clone(&self.who.caller);
        let tools = self.tools.clone();
        let session = headers.get(SESSION).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let observer = Arc::new(CallObserver { shared: Arc::clone(&self.shared), proof: self.who.hash });
        let span = tracing::Span::current();
        move || {
            let handler = MemoryBankHandler::new(services.clone(), Caller::clone(&caller));
            let handler = handler.with_tools(tools.clone()).with_session(session.clone());
            ObservedHandler::new(handler, observer.clone(), span.clone())
        }
    }

    /// Returns when a call has waited for long and the store does not answer: a hanging database ends no connection.
    async fn storage_lost(&self) {
        loop {
            tokio::time::sleep(LOSS_CHECK).await;
            if self.shared.database.health().await == Health::Error {
                // A single failure may be a coincidence.
                tokio::time::sleep(LOSS_CHECK).await;
                if self.shared.database.health().await == Health::Error {
                    return;
                }
            }
        }
    }

    /// Attaches the memory for the reply to its bytes, so that it is released when the client has received them.
    async fn accounted(&self, response: Response) -> Response {
        let Some(memory) = self.memory.as_ref().filter(|_| !is_event_stream(&response)) else {
            return response;
        };
        let (parts, body) = response.into_parts();
        let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
            return reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the server failed");
        };
        if parts.status == StatusCode::SERVICE_UNAVAILABLE || parts.status == StatusCode::TOO_MANY_REQUESTS {
            // A busy store sends its own retry time.
            if !call_outcome::is_about_store(&body) {
                self.shared.metrics.limit_reached(Limit::Replies);
            }
        }
        memory.settle(reply_budget::bytes_while_sent(body.len()));
        Response::from_parts(parts, Body::from(accounted(body, memory)))
    }

    /// The SDK refuses some requests in plain text. Send JSON instead, without internal details.
    async fn as_json(&self, response: Response, id: Option<&Value>) -> Response {
        let status = response.status();
        if status == StatusCode::OK && is_json(response.headers()) {
            let (response, outcome) = call_outcome::inspect(response).await;
            match outcome {
                CallOutcome::KeyInvalid => {
                    let error = admission::void(&self.shared, &self.who).await;
                    return self.refused(id, &error);
                }
                CallOutcome::Denied => self.shared.auth.forget_everywhere(&self.who.hash).await,
                // A refusal that needs no store must not hide that the store is unreachable.
                CallOutcome::Error if self.shared.database.health().await == Health::Error => {
                    return reply::unreachable(id, self.request);
                }
                CallOutcome::Error | CallOutcome::Success => {}
            }
            return response;
        }
        if status.is_success() || is_json(response.headers()) {
            return response;
        }
        let text =
            Limited::new(response.into_body(), 4096).collect().await.map(http_body_util::Collected::to_bytes);
        let text = text.ok().and_then(|text| String::from_utf8(text.to_vec()).ok()).unwrap_or_default();
        if status.is_server_error() {
            return self.fault(id, &text);
        }
        // The content type was checked before, so the message has the wrong shape.
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            return reply::rpc_error(StatusCode::BAD_REQUEST, id, INVALID_REQUEST, &text);
        }
        reply::rpc_error(status, id, TRANSPORT_ERROR, &text)
    }

    /// If a store rejects a cached key, the key is at fault; evict the cached identity. Everything else is the
    /// server's fault.
    pub(crate) async fn failed(&self, id: Option<&Value>, error: &StoreError) -> Response {
        match error {
            StoreError::KeyInvalid => self.refused(id, &admission::void(&self.shared, &self.who).await),
            StoreError::Denied => {
                self.shared.auth.forget_everywhere(&self.who.hash).await;
                reply::rpc_error(StatusCode::FORBIDDEN, id, INVALID_REQUEST, &error.to_string())
            }
            StoreError::Unreachable(_) | StoreError::Overloaded => {
                unavailable::reply_to(id, self.request, error)
            }
            error => self.fault(id, &error.to_string()),
        }
    }

    /// The reply to a request whose key is void or cannot be verified.
    pub(crate) fn refused(&self, id: Option<&Value>, error: &AuthError) -> Response {
        match error {
            AuthError::Unavailable(error) => unavailable::reply_to(id, self.request, error),
            error => admission::unauthorized(error),
        }
    }

    /// An internal error: the log has the detail, the client gets the id of the log line.
    pub(crate) fn fault(&self, id: Option<&Value>, detail: &str) -> Response {
        tracing::error!(request.id = %self.request, detail, "a request failed inside the server");
        let text = format!("internal error; see the server log for the request id {}", self.request);
        reply::rpc_error(StatusCode::INTERNAL_SERVER_ERROR, id, INTERNAL_ERROR, &text)
    }

    /// The reply to a key that has as many open streams as it may have.
    pub(crate) fn too_many_streams(&self, id: Option<&Value>) -> Response {
        self.shared.metrics.limit_reached(Limit::Streams);
        let text = "this key or token has as many open streams as it may have; close one first";
        reply::rpc_error(StatusCode::TOO_MANY_REQUESTS, id, TRANSPORT_ERROR, text)
    }
}
