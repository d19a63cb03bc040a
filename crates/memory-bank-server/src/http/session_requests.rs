//! Requests of clients with a session: `initialize`, subscriptions, notifications and calls.
//!
//! A session is a row, and nothing of it is kept in this process.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use memory_bank_core::caller::{Right, Rights};
use memory_bank_core::limits;
use memory_bank_core::store::{SessionError, SessionId, SessionRecord};
use serde_json::{Value, json};

use crate::http::config::HANDSHAKE_BYTES;
use crate::http::invalidation::Invalidation;
use crate::http::metrics::Limit;
use crate::http::protocol::{SESSION, VERSION};
use crate::http::reply::{self, INVALID_REQUEST, SESSION_NOT_FOUND, TRANSPORT_ERROR};
use crate::http::request_context::RequestContext;
use crate::http::sse_reply;
use crate::mcp::message::{self, member, method};
use crate::mcp::{resources, rights};

impl RequestContext {
    /// The session that the headers name, if it belongs to the caller.
    pub(crate) async fn session(&self, headers: &HeaderMap) -> Result<Arc<SessionRecord>, Response> {
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

    pub(crate) async fn initialize(
        &self,
        parts: Parts,
        body: Bytes,
        message: &Value,
        as_events: bool,
    ) -> Response {
        // The client's description of itself is stored with the session, here and in the stores.
        let introduced = ["clientInfo", "capabilities"].map(|part| member(message, &["params", part]));
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
        let version = member(&answer, &["result", "protocolVersion"]).and_then(Value::as_str);
        let Some(version) = version else { return reply::json(StatusCode::OK, &answer) };
        let nothing = Value::Null;
        let params = message.get("params").unwrap_or(&nothing);
        let opened = self.shared.sessions.open(&self.who.caller, params, version, self.tools.read_only).await;
        let session = match opened {
            Ok(session) => session,
            Err(error) => return self.not_opened(message.get("id"), &error).await,
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

    /// The reply when a session could not be opened.
    async fn not_opened(&self, id: Option<&Value>, error: &SessionError) -> Response {
        let (limit, status) = match error {
            SessionError::TooMany(_) => (Limit::Sessions, StatusCode::SERVICE_UNAVAILABLE),
            SessionError::TooManyOfKey(_) => (Limit::SessionsOfKey, StatusCode::TOO_MANY_REQUESTS),
            SessionError::Store(error) => return self.failed(id, error).await,
            _ => return self.fault(id, &error.to_string()),
        };
        self.shared.metrics.limit_reached(limit);
        reply::rpc_error(status, id, TRANSPORT_ERROR, &error.to_string())
    }

    pub(crate) async fn in_session(
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
                let needs = message::rights_of_reply(&self.who.caller, &message);
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
                member(message, &["params", "requestId"])
        {
            // All replicas receive the cancellation, and keep it for calls that register late.
            let request = request.to_string();
            // A session belongs to a user, whose keys may have different rights: a key cancels only its own calls.
            let key = self.who.caller.key.map(|key| key.0);
            if request.len() <= limits::REQUEST_ID_BYTES {
                self.shared
                    .invalidations
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
        let Some(uri) = member(message, &["params", "uri"]).and_then(Value::as_str) else {
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
}

pub(crate) fn no_such_session(id: Option<&Value>) -> Response {
    reply::rpc_error(StatusCode::NOT_FOUND, id, SESSION_NOT_FOUND, "Session not found; initialize a new one")
}
