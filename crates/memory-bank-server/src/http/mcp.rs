//! `/mcp`: requests of clients with a session, and of clients of the 2026-07-28 protocol, which has none.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use http::header::ACCEPT;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde_json::Value;

use crate::http::accept::Accepted;
use crate::http::auth::Authenticated;
use crate::http::config::{CALL_BYTES, READING_CALL_BYTES};
use crate::http::content_type::{is_event_stream, is_json};
use crate::http::incoming::{self, Incoming};
use crate::http::metrics::Limit;
use crate::http::probe::Health;
use crate::http::protocol::{
    REMOVED_METHODS, SESSION, SESSIONLESS, is_sessionless, names_sessionless_version,
};
use crate::http::reply::{self, INVALID_REQUEST, METHOD_NOT_FOUND, TRANSPORT_ERROR};
use crate::http::reply_budget::{self, ConnectionId, Holder};
use crate::http::request_context::RequestContext;
use crate::http::request_id::RequestId;
use crate::http::session_requests::no_such_session;
use crate::http::shared::Shared;
use crate::http::{admission, body, notification_stream, oauth, requested_tools, sessions, sse_reply};
use crate::mcp::message::{method, needs_health_check, reads_from_bank};
use crate::mcp::{ToolOptions, apps};
use crate::reply_memory::ReplyMemory;

const EVENTS: &str = "text/event-stream";
const BOTH_FORMS: &str = "application/json, text/event-stream";

/// `POST /mcp`
pub(crate) async fn post(
    State(shared): State<Arc<Shared>>,
    Extension(who): Extension<Authenticated>,
    Extension(RequestId(request)): Extension<RequestId>,
    http_request: Request,
) -> Response {
    let (mut parts, body) = http_request.into_parts();
    let holder = Holder { key: who.caller.key, connection: parts.extensions.get().copied() };
    let needed = CALL_BYTES.saturating_add(body::memory_for(&body));
    let memory = match shared.replies.reserve(holder, needed).await {
        Ok(memory) => memory,
        Err(full) => {
            shared.metrics.limit_reached(Limit::Replies);
            return reply_budget::refusal(full, None);
        }
    };
    let tools = match requested_tools::of(&shared.config.tools, &parts.uri, &parts.headers) {
        Ok(tools) => tools,
        Err(text) => return reply::rpc_error(StatusCode::BAD_REQUEST, None, INVALID_REQUEST, &text),
    };
    let mut context = RequestContext { shared, who, request, memory: Some(memory), tools };
    let Incoming { message, body, is_response } = match context.receive(&parts.headers, body, needed).await {
        Ok(incoming) => incoming,
        Err(response) => return response,
    };
    let accepted = Accepted::of(&parts.headers);
    // Notifications and responses have no reply, so the accepted form does not matter.
    let Some(accepted) =
        accepted.or_else(|| message.get("id").is_none_or(|_| is_response).then(Accepted::anything))
    else {
        return not_acceptable(message.get("id"), BOTH_FORMS);
    };
    parts.headers.insert(ACCEPT, HeaderValue::from_static(BOTH_FORMS));
    if let Some(right) = oauth::missing_right(&context.who, &message) {
        return oauth::insufficient_scope(message.get("id"), &context.who.caller, right);
    }
    if needs_health_check(&message) && context.shared.database.health().await == Health::Error {
        return reply::unreachable(message.get("id"), context.request);
    }
    if is_sessionless(&parts.headers, &message) {
        return context.without_session(parts, body, &message, accepted).await;
    }
    let as_events = accepted.wants_events(context.shared.config.json_response);
    if method(&message) == Some("initialize") {
        return context.initialize(parts, body, &message, as_events).await;
    }
    let session = match context.session(&parts.headers).await {
        Ok(session) => session,
        Err(response) => return response,
    };
    context.tools.read_only |= sessions::is_read_only(&session);
    context.tools.apps = apps::are_shown_by_stored(&session.metadata);
    context.in_session(parts, body, message, session, as_events).await
}

/// `GET /mcp`: a session's stream of notifications, or the replay of missed events.
pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Extension(who): Extension<Authenticated>,
    Extension(RequestId(request)): Extension<RequestId>,
    uri: Uri,
    connection: Option<Extension<ConnectionId>>,
    headers: HeaderMap,
) -> Response {
    let tools = match requested_tools::of(&shared.config.tools, &uri, &headers) {
        Ok(tools) => tools,
        Err(text) => return reply::rpc_error(StatusCode::BAD_REQUEST, None, INVALID_REQUEST, &text),
    };
    let mut context = RequestContext { shared, who, request, memory: None, tools };
    if names_sessionless_version(&headers) {
        return reply::method_not_allowed("POST");
    }
    // A browser that opens the address does not ask for a stream; the client must accept one.
    if !headers.contains_key(ACCEPT) || !Accepted::of(&headers).is_some_and(|accepted| accepted.events) {
        return not_acceptable(None, EVENTS);
    }
    let session = match context.session(&headers).await {
        Ok(session) => session,
        Err(response) => return response,
    };
    context.tools.read_only |= sessions::is_read_only(&session);
    // A stream reads nothing from the store, so verify the key first.
    if let Err(error) = admission::proven(&context.shared, &context.who).await {
        return context.refused(None, &error);
    }
    let last =
        headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|id| id.parse().ok());
    notification_stream::open(context, session, last, connection.map(|Extension(id)| id))
}

/// `DELETE /mcp`: ends a session.
pub(crate) async fn delete(
    State(shared): State<Arc<Shared>>,
    Extension(who): Extension<Authenticated>,
    Extension(RequestId(request)): Extension<RequestId>,
    headers: HeaderMap,
) -> Response {
    let context = RequestContext { shared, who, request, memory: None, tools: ToolOptions::default() };
    if names_sessionless_version(&headers) {
        return reply::method_not_allowed("POST");
    }
    let session = match context.session(&headers).await {
        Ok(session) => session,
        Err(response) => return response,
    };
    match context.shared.sessions.end(&context.who.caller, session.id).await {
        Ok(true) => {
            context.shared.metrics.session_ended();
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(false) => no_such_session(None),
        Err(error) => context.failed(None, &error).await,
    }
}

impl RequestContext {
    /// Reads and checks a message; one that reads from the bank gets more memory.
    async fn receive(&self, headers: &HeaderMap, body: Body, reserved: usize) -> Result<Incoming, Response> {
        if !is_json(headers) {
            let text = "send `Content-Type: application/json`";
            return Err(reply::rpc_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, TRANSPORT_ERROR, text));
        }
        let incoming = incoming::parse(body::read(body).await?).map_err(|response| *response)?;
        if reads_from_bank(&incoming.message)
            && let Some(memory) = &self.memory
            && let Err(full) = memory.need(reserved.saturating_add(READING_CALL_BYTES)).await
        {
            self.shared.metrics.limit_reached(Limit::Replies);
            return Err(reply_budget::refusal(full, incoming.message.get("id")));
        }
        Ok(incoming)
    }

    /// A request of the protocol without sessions.
    async fn without_session(
        &mut self,
        parts: Parts,
        body: Bytes,
        message: &Value,
        accepted: Accepted,
    ) -> Response {
        if let Some(removed) = method(message).filter(|method| REMOVED_METHODS.contains(method)) {
            let text = format!("`{removed}` is not a method of {SESSIONLESS}");
            return reply::rpc_error(StatusCode::NOT_FOUND, message.get("id"), METHOD_NOT_FOUND, &text);
        }
        // A session id has no effect here, except that the session may be read-only.
        if parts.headers.contains_key(SESSION) {
            self.tools.read_only |= match self.session(&parts.headers).await {
                Ok(session) => sessions::is_read_only(&session),
                Err(response) if response.status() == StatusCode::NOT_FOUND => false,
                Err(response) => return response,
            };
        }
        if method(message) == Some("subscriptions/listen") && !accepted.events {
            return not_acceptable(message.get("id"), EVENTS);
        }
        let response = self.call(parts, body, message).await;
        if !is_event_stream(&response) {
            let as_event = !accepted.json && response.status() == StatusCode::OK;
            return if as_event { sse_reply::as_one_event(response) } else { response };
        }
        if let Err(error) = admission::proven(&self.shared, &self.who).await {
            return self.refused(message.get("id"), &error);
        }
        // It counts as one of the key's streams and ends with the key; a stream without end ends with the server,
        // too.
        let Some(slot) = self.shared.slots.take(self.who.counted_as) else {
            return self.too_many_streams(message.get("id"));
        };
        let is_subscription = method(message) == Some("subscriptions/listen");
        response.map(|body| {
            let stream = notification_stream::while_authorized(
                Arc::clone(&self.shared),
                self.who.clone(),
                is_subscription,
                body,
            );
            Body::from_stream(stream.map(move |chunk| {
                let _open = &slot;
                chunk
            }))
        })
    }
}

fn not_acceptable(id: Option<&Value>, accept: &str) -> Response {
    let text = format!("send `Accept: {accept}`");
    reply::rpc_error(StatusCode::NOT_ACCEPTABLE, id, TRANSPORT_ERROR, &text)
}
