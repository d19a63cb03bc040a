//! `/mcp`: requests of clients with a session, and of clients of the 2026-07-28 protocol, which has none.
//!
//! The SDK's stateless service and its handler interpret a request. This module adds sessions: a session is a row,
//! and nothing of it is kept in this process.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use memory_bank_core::caller::{Caller, Right, Rights};
use memory_bank_core::error::StoreError;
use memory_bank_core::limits;
use memory_bank_core::store::{SessionError, SessionId, SessionRecord};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::accept::Accepted;
use crate::http::admission;
use crate::http::auth::{AuthError, Authenticated, Standing};
use crate::http::config::{
    BODY_BYTES, BODY_WAIT, CALL_BYTES, CALL_WAIT, HANDSHAKE_BYTES, READING_CALL_BYTES,
};
use crate::http::guard::Guarded;
use crate::http::invalidation::Invalidation;
use crate::http::metrics::Limit;
use crate::http::reply::{
    self, INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, SERVER_BUSY, SESSION_NOT_FOUND,
    TRANSPORT_ERROR,
};
use crate::http::reply_budget::{self, ConnectionId, Holder, Reservation, accounted};
use crate::http::request_log::RequestId;
use crate::http::shared::{Health, Shared};
use crate::http::{notification_stream, requested_tools, sessions, sse_reply};
use crate::mcp::repeated_members::{Repeated, argument_text, find_repeated, mark_repeated, member_text};
use crate::mcp::request_bounds::{self, TooLong};
use crate::mcp::surrogates::replace_lone_surrogates;
use crate::mcp::tools::KEY_VOID;
use crate::mcp::{MemoryBankHandler, ToolOptions, reads_from_bank, resources, rights, tools};
use crate::services::ReplyMemory;

pub(crate) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The first version without sessions.
const SESSIONLESS: &str = "2026-07-28";
/// Methods that this version removed.
const REMOVED: [&str; 5] =
    ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"];

/// After how long a call checks whether the store still answers, and how often it checks again.
const LOSS_CHECK: Duration = Duration::from_secs(3);

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

/// `POST /mcp`
pub(crate) async fn post(
    State(shared): State<Arc<Shared>>,
    Extension(who): Extension<Authenticated>,
    Extension(RequestId(request)): Extension<RequestId>,
    incoming: Request,
) -> Response {
    let (mut parts, body) = incoming.into_parts();
    let holder = Holder { key: who.caller.key, connection: parts.extensions.get().copied() };
    let body_bytes = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    // The body, and the message parsed from it.
    let needed =
        CALL_BYTES.saturating_add(body_bytes.unwrap_or(BODY_BYTES).min(BODY_BYTES).saturating_mul(2));
    let memory = match shared.replies.reserve(holder, needed).await {
        Ok(memory) => memory,
        Err(full) => {
            shared.metrics.hit(Limit::Replies);
            return reply_budget::refusal(full, None);
        }
    };
    let tools = match requested_tools::of(&shared.config.tools, &parts.uri, &parts.headers) {
        Ok(tools) => tools,
        Err(text) => return reply::rpc_error(StatusCode::BAD_REQUEST, None, INVALID_REQUEST, &text),
    };
    let mut context = RequestContext { shared, who, request, memory: Some(Arc::clone(&memory)), tools };
    if !is_json(&parts.headers) {
        let text = "send `Content-Type: application/json`";
        return reply::rpc_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, TRANSPORT_ERROR, text);
    }
    let body = match read(body).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let (message, body) = match message_of(body) {
        Ok(message) => message,
        Err(error) => {
            let text = format!("the body is not JSON: {error}");
            return reply::rpc_error(StatusCode::BAD_REQUEST, None, PARSE_ERROR, &text);
        }
    };
    if message.is_array() {
        let text = "batches are not supported; send one message a request";
        return reply::rpc_error(StatusCode::BAD_REQUEST, None, INVALID_REQUEST, text);
    }
    let is_response = message.get("method").is_none()
        && (message.get("result").is_some() || message.get("error").is_some());
    if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0")
        || !(is_response || method(&message).is_some())
    {
        let text = "the body is no JSON-RPC 2.0 message: it needs `jsonrpc`: \"2.0\" and a `method`";
        let id = request_bounds::check(&message).is_ok().then(|| message.get("id")).flatten();
        let id = id.filter(|id| request_bounds::is_id(id));
        return reply::rpc_error(StatusCode::BAD_REQUEST, id, INVALID_REQUEST, text);
    }
    if !is_response && message.get("id").is_some_and(|id| !request_bounds::is_id(id)) {
        return reply::rpc_error(StatusCode::BAD_REQUEST, None, INVALID_REQUEST, request_bounds::NO_ID);
    }
    if let Err(TooLong { text, id }) = request_bounds::check(&message) {
        return reply::rpc_error(StatusCode::BAD_REQUEST, id, INVALID_REQUEST, &text);
    }
    let (message, body) = match unrepeated(message, body) {
        Ok(message) => message,
        Err(response) => return *response,
    };
    if reads_from_bank(&message)
        && let Err(full) = memory.need(needed.saturating_add(READING_CALL_BYTES)).await
    {
        context.shared.metrics.hit(Limit::Replies);
        return reply_budget::refusal(full, message.get("id"));
    }
    drop(memory);
    let accepted = Accepted::of(&parts.headers);
    // Notifications and responses have no reply, so the accepted form does not matter.
    let Some(accepted) =
        accepted.or_else(|| message.get("id").is_none_or(|_| is_response).then(Accepted::anything))
    else {
        return not_acceptable(message.get("id"), BOTH_FORMS);
    };
    parts.headers.insert(ACCEPT, HeaderValue::from_static(BOTH_FORMS));
    if may_spare_the_store(&message) && context.shared.database.health().await == Health::Error {
        return reply::unreachable(message.get("id"), context.request);
    }
    if is_sessionless(&parts.headers, &message) {
        if let Some(removed) = method(&message).filter(|method| REMOVED.contains(method)) {
            let text = format!("`{removed}` is no method of {SESSIONLESS}");
            return reply::rpc_error(StatusCode::NOT_FOUND, message.get("id"), METHOD_NOT_FOUND, &text);
        }
        // A session id has no effect here, except that the session may be read-only.
        if parts.headers.contains_key(SESSION) {
            context.tools.read_only |= match context.session(&parts.headers).await {
                Ok(session) => sessions::is_read_only(&session),
                Err(response) if response.status() == StatusCode::NOT_FOUND => false,
                Err(response) => return response,
            };
        }
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
    if version(&headers).is_some_and(|version| version >= SESSIONLESS) {
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
    if version(&headers).is_some_and(|version| version >= SESSIONLESS) {
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
    /// The session that the headers name, if it belongs to the caller.
    async fn session(&self, headers: &HeaderMap) -> Result<Arc<SessionRecord>, Response> {
        let Some(named) = headers.get(SESSION) else {
            let text =
                "the header `Mcp-Session-Id` is missing; `initialize` first and send the id it returns";
            return Err(reply::rpc_error(StatusCode::BAD_REQUEST, None, TRANSPORT_ERROR, text));
        };
        let id: Option<SessionId> = named.to_str().ok().and_then(|text| text.parse().ok());
        let Some(id) = id else { return Err(no_such_session(None)) };
        match self.shared.sessions.find(&self.who.caller, id).await {
            Ok(Some(session)) => Ok(session),
            Ok(None) => Err(no_such_session(None)),
            Err(error) => Err(self.failed(None, &error).await),
        }
    }

    async fn initialize(&self, parts: Parts, body: Bytes, message: &Value, as_events: bool) -> Response {
        // The client's description of itself is stored with the session, here and in the stores.
        let introduced = ["/params/clientInfo", "/params/capabilities"].map(|part| message.pointer(part));
        if introduced.iter().flatten().map(|part| part.to_string().len()).sum::<usize>() > HANDSHAKE_BYTES {
            let text = format!("`clientInfo` and `capabilities` are longer than {HANDSHAKE_BYTES} bytes");
            return reply::rpc_error(StatusCode::BAD_REQUEST, message.get("id"), INVALID_REQUEST, &text);
        }
        let response = self.call(parts, body, message).await;
        if response.status() != StatusCode::OK {
            return response;
        }
        let answer = match sse_reply::json_of(response).await {
            Ok(answer) => answer,
            Err(response) => return response,
        };
        let version = answer.pointer("/result/protocolVersion").and_then(Value::as_str);
        let Some(version) = version else { return reply::json(StatusCode::OK, &answer) };
        let nothing = Value::Null;
        let params = message.get("params").unwrap_or(&nothing);
        let opened = self.shared.sessions.open(&self.who.caller, params, version, self.tools.read_only).await;
        let session = match opened {
            Ok(session) => session,
            Err(error @ SessionError::TooMany(_)) => {
                self.shared.metrics.hit(Limit::Sessions);
                let text = error.to_string();
                return reply::rpc_error(
                    StatusCode::SERVICE_UNAVAILABLE,
                    message.get("id"),
                    TRANSPORT_ERROR,
                    &text,
                );
            }
            Err(error @ SessionError::TooManyOfKey(_)) => {
                self.shared.metrics.hit(Limit::SessionsOfKey);
                let text = error.to_string();
                return reply::rpc_error(
                    StatusCode::TOO_MANY_REQUESTS,
                    message.get("id"),
                    TRANSPORT_ERROR,
                    &text,
                );
            }
            Err(SessionError::Store(error)) => return self.failed(message.get("id"), &error).await,
            Err(error) => return self.fault(message.get("id"), &error.to_string()),
        };
        self.shared.metrics.session_opened();
        let mut response = if as_events {
            sse_reply::one_event(self, session, version, Rights::NONE, &answer).await
        } else {
            reply::json(StatusCode::OK, &answer)
        };
        if let Ok(id) = HeaderValue::from_str(&session.to_string()) {
            response.headers_mut().insert(SESSION, id);
        }
        response
    }

    async fn in_session(
        &self,
        mut parts: Parts,
        body: Bytes,
        message: Value,
        session: Arc<SessionRecord>,
        as_events: bool,
    ) -> Response {
        if !parts.headers.contains_key(VERSION)
            && let Ok(version) = HeaderValue::from_str(&session.protocol_version)
        {
            parts.headers.insert(VERSION, version);
        }
        let Some(id) = message.get("id").filter(|_| method(&message).is_some()) else {
            return self.notified(&message, &session).await;
        };
        let subscribed = match method(&message) {
            Some("resources/subscribe") => Some(true),
            Some("resources/unsubscribe") => Some(false),
            _ => None,
        };
        if let Some(subscribed) = subscribed {
            let answer = match self.subscribe(&message, &session, subscribed).await {
                Ok(answer) => answer,
                Err(response) => return response,
            };
            return if as_events {
                let needs = rights::of_reply(&self.who.caller, &message);
                sse_reply::one_event(self, session.id, &session.protocol_version, needs, &answer).await
            } else {
                reply::json(StatusCode::OK, &answer)
            };
        }
        let call = self.shared.calls.begin(session.id, self.who.caller.key, id.to_string());
        if !as_events {
            return tokio::select! {
                response = self.call(parts, body, &message) => response,
                () = call.cancelled.cancelled() => {
                    reply::rpc_error(StatusCode::OK, Some(id), TRANSPORT_ERROR, "the call was cancelled")
                }
            };
        }
        sse_reply::as_events(self.clone(), parts, body, message, session, call).await
    }

    /// A notification, or a response to a request that the server never sent.
    async fn notified(&self, message: &Value, session: &SessionRecord) -> Response {
        if method(message) == Some("notifications/cancelled")
            && let Some(request @ (Value::String(_) | Value::Number(_))) =
                message.pointer("/params/requestId")
        {
            // All replicas receive the cancellation, and keep it for calls that register late.
            let request = request.to_string();
            // A session belongs to a user, whose keys may have different rights: a key cancels only its own calls.
            let key = self.who.caller.key.map(|key| key.0);
            if request.len() <= limits::REQUEST_ID_BYTES {
                self.shared
                    .signals
                    .send(Invalidation::CallCancelled { session: session.id, key, request })
                    .await;
            }
        }
        StatusCode::ACCEPTED.into_response()
    }

    async fn subscribe(
        &self,
        message: &Value,
        session: &SessionRecord,
        subscribed: bool,
    ) -> Result<Value, Response> {
        let id = message.get("id").unwrap_or(&Value::Null);
        let refused = |code: i32, text: &str| json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}});
        let Some(uri) = message.pointer("/params/uri").and_then(Value::as_str) else {
            return Ok(refused(-32602, "`params.uri` is missing"));
        };
        let allowed = rights::require(&self.who.caller, Right::Read, "resources/subscribe");
        if subscribed && let Err(error) = allowed.and_then(|()| resources::parse(uri)) {
            return Ok(refused(error.code.0, &error.message));
        }
        let changed = self.shared.sessions.subscribe(&self.who.caller, session.id, uri, subscribed).await;
        match changed {
            Ok(Some(session)) if subscribed && !session.subscriptions.contains(uri) => Ok(refused(
                INVALID_REQUEST,
                "there are as many subscriptions as a session may have; end some first",
            )),
            Ok(Some(_)) => Ok(json!({"jsonrpc": "2.0", "id": id, "result": {}})),
            Ok(None) => Err(no_such_session(Some(id))),
            Err(error) => Err(self.failed(Some(id), &error).await),
        }
    }

    async fn without_session(
        &self,
        parts: Parts,
        body: Bytes,
        message: &Value,
        accepted: Accepted,
    ) -> Response {
        if method(message) == Some("subscriptions/listen") && !accepted.events {
            return not_acceptable(message.get("id"), EVENTS);
        }
        let response = self.call(parts, body, message).await;
        if !is_stream(&response) {
            let as_event = !accepted.json && response.status() == StatusCode::OK;
            return if as_event { sse_reply::as_one_event(response) } else { response };
        }
        if let Err(error) = admission::proven(&self.shared, &self.who).await {
            return self.refused(message.get("id"), &error);
        }
        // It counts as one of the key's streams and ends with the key; a stream without end ends with the server,
        // too.
        let Some(slot) = self.shared.slots.take(self.who.caller.key) else {
            return too_many_streams(&self.shared, message.get("id"));
        };
        let stands = method(message) == Some("subscriptions/listen");
        response.map(|body| {
            let stream =
                notification_stream::while_welcome(Arc::clone(&self.shared), self.who.clone(), stands, body);
            Body::from_stream(stream.map(move |chunk| {
                let _open = &slot;
                chunk
            }))
        })
    }

    /// Passes one request to the SDK's stateless service.
    pub(crate) async fn call(&self, parts: Parts, body: Bytes, message: &Value) -> Response {
        let id = message.get("id");
        let mut services = self.shared.services.clone();
        services.replies.memory = self.memory.clone().map(|memory| memory as Arc<dyn ReplyMemory>);
        let caller = Arc::clone(&self.who.caller);
        let (request, tools) = (self.request, self.tools.clone());
        let (metrics, span) = (Arc::clone(&self.shared.metrics), tracing::Span::current());
        let handler = move || {
            let handler = MemoryBankHandler::new(services.clone(), Caller::clone(&caller));
            let handler = handler.with_tools(tools.clone());
            Ok(Guarded::new(handler, request, Arc::clone(&metrics), span.clone()))
        };
        let config = StreamableHttpServerConfig::default()
            .disable_allowed_hosts()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_max_request_body_bytes(BODY_BYTES);
        let service = StreamableHttpService::new(handler, Arc::new(NeverSessionManager::default()), config);
        let request = Request::from_parts(parts, Full::new(body));
        let needs = rights::of_reply(&self.who.caller, message);
        let answered = tokio::select! {
            answered = tokio::time::timeout(CALL_WAIT, service.handle(request)) => answered,
            () = self.storage_lost() => return reply::unreachable(id, self.request),
        };
        let Ok(response) = answered else {
            let text = format!("the call took longer than {} s and was stopped", CALL_WAIT.as_secs());
            return reply::rpc_error(StatusCode::OK, id, INTERNAL_ERROR, &text);
        };
        match self.shared.auth.standing(&self.who, needs).await {
            Standing::Enough => self.accounted(self.in_json(response.map(Body::new), id).await).await,
            Standing::Void(error) => {
                self.shared.metrics.not_let_in(&error);
                admission::unauthorized(&error)
            }
            Standing::Fewer => {
                let text = "the rights of this key changed during the call, so its reply is not shown; it may have been \
                            carried out";
                reply::rpc_error(StatusCode::FORBIDDEN, id, INVALID_REQUEST, text)
            }
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
        let Some(memory) = self.memory.as_ref().filter(|_| !is_stream(&response)) else { return response };
        let (parts, body) = response.into_parts();
        let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
            return reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the server failed");
        };
        if parts.status == StatusCode::SERVICE_UNAVAILABLE || parts.status == StatusCode::TOO_MANY_REQUESTS {
            // A busy store sends its own retry time.
            if !body_is_about_the_store(&body) {
                self.shared.metrics.hit(Limit::Replies);
            }
        }
        memory.settle(reply_budget::kept_bytes(body.len()));
        Response::from_parts(parts, Body::from(accounted(body, memory)))
    }

    /// The SDK refuses some requests in plain text. Send JSON instead, without internal details.
    async fn in_json(&self, response: Response, id: Option<&Value>) -> Response {
        let status = response.status();
        if status == StatusCode::OK && has_type(response.headers(), "application/json") {
            let (response, said) = log_faults(response).await;
            match said {
                Said::KeyInvalid => {
                    let error = admission::void(&self.shared, &self.who).await;
                    return self.refused(id, &error);
                }
                Said::Denied => self.shared.auth.forget_everywhere(&self.who.hash).await,
                // A refusal that needs no store must not hide that the store is unreachable.
                Said::Error if self.shared.database.health().await == Health::Error => {
                    return reply::unreachable(id, self.request);
                }
                Said::Error | Said::Success => {}
            }
            return response;
        }
        if status.is_success() || has_type(response.headers(), "application/json") {
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
    async fn failed(&self, id: Option<&Value>, error: &StoreError) -> Response {
        match error {
            StoreError::KeyInvalid => self.refused(id, &admission::void(&self.shared, &self.who).await),
            StoreError::Denied => {
                self.shared.auth.forget_everywhere(&self.who.hash).await;
                reply::rpc_error(StatusCode::FORBIDDEN, id, INVALID_REQUEST, &error.to_string())
            }
            StoreError::Unreachable(_) | StoreError::Overloaded => unavailable_reply(id, self.request, error),
            error => self.fault(id, &error.to_string()),
        }
    }

    /// The reply to a request whose key is void or cannot be verified.
    fn refused(&self, id: Option<&Value>, error: &AuthError) -> Response {
        match error {
            AuthError::Unavailable(error) => unavailable_reply(id, self.request, error),
            error => admission::unauthorized(error),
        }
    }

    /// An internal error: the log has the detail, the client gets the id of the log line.
    pub(crate) fn fault(&self, id: Option<&Value>, detail: &str) -> Response {
        tracing::error!(request.id = %self.request, detail, "a request failed inside the server");
        let text = format!("internal error; see the server log for the request id {}", self.request);
        reply::rpc_error(StatusCode::INTERNAL_SERVER_ERROR, id, INTERNAL_ERROR, &text)
    }
}

/// Reports an internal error as status 500, for monitoring; the SDK uses 200. Other JSON-RPC errors are client
/// errors. Also reports whether a store rejected the caller: then the cached identity is outdated.
async fn log_faults(response: Response) -> (Response, Said) {
    /// Internal errors are short; longer replies are not parsed.
    const SHORT: u64 = 2048;
    if response.body().size_hint().upper().is_none_or(|length| length > SHORT) {
        return (response, Said::Success);
    }
    let (mut parts, body) = response.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return (reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the server failed"), Said::Success);
    };
    let message = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let code = message.pointer("/error/code").and_then(Value::as_i64);
    if code == Some(i64::from(INTERNAL_ERROR)) {
        parts.status = StatusCode::INTERNAL_SERVER_ERROR;
    }
    if code == Some(i64::from(SERVER_BUSY)) {
        let of_key = message.pointer("/error/data/of") == Some(&json!("key"));
        parts.status = if of_key { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::SERVICE_UNAVAILABLE };
    }
    let is_error = message.pointer("/result/isError").and_then(Value::as_bool) == Some(true);
    let text = message.pointer("/error/message").or_else(|| message.pointer("/result/content/0/text"));
    let denied =
        || text.and_then(Value::as_str).is_some_and(|text| text.ends_with(&StoreError::Denied.to_string()));
    let said = match code {
        Some(code) if code == i64::from(KEY_VOID.0) => Said::KeyInvalid,
        None if !is_error => Said::Success,
        _ if denied() => Said::Denied,
        _ => Said::Error,
    };
    let retry = message.pointer("/error/data/retryAfter").and_then(Value::as_u64);
    let retry = retry.and_then(|seconds| u32::try_from(seconds).ok());
    let response = Response::from_parts(parts, Body::from(body));
    match retry {
        Some(seconds) => (reply::with_retry_after(response, seconds), said),
        None => (response, said),
    }
}

/// The outcome of a call, from its reply in JSON.
enum Said {
    /// The call succeeded.
    Success,
    /// The call failed for a reason of its own.
    Error,
    /// A store rejected the caller: the cached identity is outdated.
    Denied,
    /// The key is void.
    KeyInvalid,
}

fn body_is_about_the_store(body: &Bytes) -> bool {
    let message = serde_json::from_slice::<Value>(body).unwrap_or_default();
    message.pointer("/error/data/of") == Some(&json!("storage"))
}

/// Whether a message can be answered without the store, so that only the health check shows whether to serve it. A
/// cancellation is always accepted.
fn may_spare_the_store(message: &Value) -> bool {
    match method(message) {
        Some("tools/call") => {
            let name = message.pointer("/params/name").and_then(Value::as_str).unwrap_or_default();
            tools::may_spare_the_store(name)
        }
        Some(
            "initialize"
            | "resources/read"
            | "resources/list"
            | "resources/subscribe"
            | "resources/unsubscribe"
            | "notifications/cancelled",
        ) => false,
        _ => true,
    }
}

/// The reply to a request whose key cannot be looked up. Only the id of the body is read.
pub(crate) async fn unavailable(shared: &Shared, request: Request, error: &StoreError) -> Response {
    let RequestId(own) = request.extensions().get().copied().unwrap_or(RequestId(Uuid::nil()));
    tracing::error!(request.id = %own, %error, "keys cannot be looked up");
    let holder = Holder { key: None, connection: request.extensions().get().copied() };
    let is_post = request.method() == Method::POST;
    let body = request.into_body();
    let length = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    let bytes = length.unwrap_or(BODY_BYTES).min(BODY_BYTES);
    // The body, and the message parsed from it.
    let memory = match shared.replies.reserve(holder, bytes.saturating_mul(2)).await {
        Ok(memory) if is_post => memory,
        _ => return unavailable_reply(None, own, error),
    };
    let message = match read(body).await {
        Ok(body) => message_of(body).map(|(message, _)| message).unwrap_or_default(),
        Err(_) => Value::Null,
    };
    let id = request_bounds::check(&message).is_ok().then(|| message.get("id")).flatten();
    let response = unavailable_reply(id.filter(|id| request_bounds::is_id(id)), own, error);
    drop(memory);
    response
}

/// The reply while the store is unreachable or has no free connection; both are temporary.
fn unavailable_reply(id: Option<&Value>, request: Uuid, error: &StoreError) -> Response {
    if matches!(error, StoreError::Overloaded) {
        let text = error.to_string();
        return reply_budget::with_retry(reply::rpc_error(
            StatusCode::SERVICE_UNAVAILABLE,
            id,
            SERVER_BUSY,
            &text,
        ));
    }
    reply::unreachable(id, request)
}

pub(crate) fn too_many_streams(shared: &Shared, id: Option<&Value>) -> Response {
    shared.metrics.hit(Limit::Streams);
    let text = "this key has as many open streams as it may have; close one first";
    reply::rpc_error(StatusCode::TOO_MANY_REQUESTS, id, TRANSPORT_ERROR, text)
}

const EVENTS: &str = "text/event-stream";
const BOTH_FORMS: &str = "application/json, text/event-stream";

fn not_acceptable(id: Option<&Value>, accept: &str) -> Response {
    let text = format!("send `Accept: {accept}`");
    reply::rpc_error(StatusCode::NOT_ACCEPTABLE, id, TRANSPORT_ERROR, &text)
}

fn no_such_session(id: Option<&Value>) -> Response {
    reply::rpc_error(StatusCode::NOT_FOUND, id, SESSION_NOT_FOUND, "Session not found; initialize a new one")
}

/// Reads a body, within the bounds of size and time.
pub(crate) async fn read(body: Body) -> Result<Bytes, Response> {
    match tokio::time::timeout(BODY_WAIT, Limited::new(body, BODY_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let text = format!("the body is longer than {BODY_BYTES} bytes");
            Err(reply::error(StatusCode::PAYLOAD_TOO_LARGE, &text))
        }
        Ok(Err(_)) => Err(reply::error(StatusCode::BAD_REQUEST, "the body did not arrive whole")),
        Err(_) => Err(reply::error(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive")),
    }
}

/// Parses a body, and returns it in a form that the SDK can read: as over stdio, a lone surrogate, which JSON can
/// express and Unicode text cannot, becomes U+FFFD.
fn message_of(body: Bytes) -> Result<(Value, Bytes), serde_json::Error> {
    const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
    let body = if body.starts_with(BYTE_ORDER_MARK) { body.slice(BYTE_ORDER_MARK.len()..) } else { body };
    let error = match serde_json::from_slice(&body) {
        Ok(message) => return Ok((message, body)),
        Err(error) => error,
    };
    let Ok(text) = std::str::from_utf8(&body) else { return Err(error) };
    let repaired = replace_lone_surrogates(text);
    let message = serde_json::from_str(&repaired)?;
    Ok((message, Bytes::from(repaired)))
}

/// Checks a message for repeated members. A call with a repeated argument becomes a call that a reply refuses.
fn unrepeated(mut message: Value, body: Bytes) -> Result<(Value, Bytes), Box<Response>> {
    let refused =
        |id: Option<&Value>, text: &str| reply::rpc_error(StatusCode::BAD_REQUEST, id, INVALID_REQUEST, text);
    match find_repeated(&body, method(&message) == Some("tools/call")) {
        None => Ok((message, body)),
        Some(Repeated::Member(name)) => {
            // With two ids it is unknown for which one the client waits.
            let id = message.get("id").filter(|_| name != "id");
            Err(Box::new(refused(id, &member_text(&name))))
        }
        Some(Repeated::Argument(name)) => {
            mark_repeated(&mut message, &name);
            match serde_json::to_vec(&message) {
                Ok(body) => Ok((message, Bytes::from(body))),
                Err(_) => Err(Box::new(refused(message.get("id"), &argument_text(&name)))),
            }
        }
    }
}

fn method(message: &Value) -> Option<&str> {
    message.get("method").and_then(Value::as_str)
}

fn version(headers: &HeaderMap) -> Option<&str> {
    headers.get(VERSION).and_then(|value| value.to_str().ok())
}

/// Whether a message uses the protocol without sessions, by its header or its own metadata. A client that sends
/// `initialize` may name its newest version in the header; the version in the message decides.
fn is_sessionless(headers: &HeaderMap, message: &Value) -> bool {
    let own = message.pointer("/params/_meta/io.modelcontextprotocol~1protocolVersion");
    match method(message) {
        Some("initialize") => own.and_then(Value::as_str).is_some_and(|version| version >= SESSIONLESS),
        Some("server/discover") => true,
        _ => own.is_some() || version(headers).is_some_and(|version| version >= SESSIONLESS),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    has_type(headers, "application/json")
}

pub(crate) fn is_stream(response: &Response) -> bool {
    has_type(response.headers(), "text/event-stream")
}

fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    named.is_some_and(|named| {
        named.split(';').next().is_some_and(|named| named.trim().eq_ignore_ascii_case(wanted))
    })
}
