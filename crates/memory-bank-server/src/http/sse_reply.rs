//! Replies of a session as event streams: each event is stored before it is sent, so that a client can resume the
//! stream after its connection broke.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use jiff::Timestamp;
use memory_bank_core::caller::Rights;
use memory_bank_core::store::{Event, EventId, SessionId, SessionRecord};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tracing::Instrument;
use uuid::{Builder, Uuid};

use crate::http::admission;
use crate::http::auth::AuthError;
use crate::http::config::STREAM_KEEP_ALIVE;
use crate::http::content_type::is_event_stream;
use crate::http::in_flight::Call;
use crate::http::protocol::accepts_empty_events;
use crate::http::reply;
use crate::http::reply_budget::{accounted, bytes_while_sent};
use crate::http::request_context::RequestContext;
use crate::http::shared_lists;
use crate::http::sse::{KEEP_ALIVE_COMMENT, frame, opening};
use crate::mcp::message;

/// How long to wait for a reply before the key is verified and the stream begins without it. Most replies are ready
/// at once, are sent in one piece, and need no verification.
const WHOLE_REPLY_TIMEOUT: Duration = Duration::from_millis(500);
/// The event stream that answers one request.
struct ReplyStream {
    context: RequestContext,
    session: SessionId,
    /// The rights that are needed to fetch the reply again.
    needs: Rights,
    last: EventId,
}

impl ReplyStream {
    fn new(context: RequestContext, session: SessionId, needs: Rights) -> Self {
        let services = &context.shared.services;
        let stream = stream_id(services.clock.now(), services.entropy.id());
        Self { context, session, needs, last: EventId { stream, place: 0 } }
    }

    fn event(&self, message: String, last: bool) -> Event {
        let caller = &self.context.who.caller;
        Event {
            id: self.last,
            session: self.session,
            user: caller.user,
            project: caller.project,
            proof: caller.proof,
            needs: self.needs,
            message,
            last,
            at: self.context.shared.services.clock.now(),
        }
    }

    /// Stores a message and returns its frame. If it cannot be stored, it is sent without an id.
    async fn store(&mut self, message: String, last: bool) -> String {
        self.store_as(None, message, last).await
    }

    /// Like [`Self::store`], but stores `reference` in place of the message, if given.
    async fn store_as(&mut self, reference: Option<String>, text: String, last: bool) -> String {
        self.last.place += 1;
        let event = self.event(reference.unwrap_or_else(|| text.clone()), last);
        let id = event.id;
        // The message, its copy for the store and its frame, until the event is stored.
        let copies = event.message.len().saturating_mul(2).saturating_add(text.len().saturating_mul(2));
        if let Some(memory) = &self.context.memory {
            memory.settle(bytes_while_sent(copies));
        }
        let mut stored = self.context.shared.events.append(event).await;
        if !stored && last {
            // Report at once to a client that resumes that the reply is gone.
            stored = self.context.shared.events.append(self.event(reply_not_stored(&text), last)).await;
        }
        let frame = frame(stored.then_some(id), &text);
        if let Some(memory) = &self.context.memory {
            memory.settle(bytes_while_sent(frame.len()));
        }
        frame
    }
}

/// The id of a stream: the time at which it began, which bounds how long the call may be in flight, and random bits.
fn stream_id(now: Timestamp, chance: Uuid) -> Uuid {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    let bytes = chance.into_bytes();
    // Six of the middle bits of a random id are fixed.
    let [a, b, c, d, e, f, _, _, _, g, h, i, j, ..] = bytes;
    Builder::from_unix_timestamp_millis(millis, &[a, b, c, d, e, f, g, h, i, j]).into_uuid()
}

/// The message that is stored in place of a reply that is too long, or does not fit.
fn reply_not_stored(reply: &str) -> String {
    #[derive(Deserialize)]
    struct Reply {
        id: Option<Value>,
    }
    let id = serde_json::from_str(reply).ok().and_then(|Reply { id }| id);
    let text = "the call was answered, but its reply was not kept; read what it was to change, or call again to read";
    let error = json!({"code": reply::TRANSPORT_ERROR, "message": text, "data": {"reason": "replay_gone"}});
    json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string()
}

/// Sends a reply that is already known.
pub(crate) async fn one_event(
    context: &RequestContext,
    session: SessionId,
    version: &str,
    needs: Rights,
    answer: &Value,
) -> Response {
    let mut stream = ReplyStream::new(context.clone(), session, needs);
    let start = start(&stream, version);
    let message = stream.store(answer.to_string(), true).await;
    event_stream(Body::from(start + &message))
}

/// Sends the reply of a call. The call continues when the client is gone, and its reply is stored.
pub(crate) async fn as_events(
    context: RequestContext,
    parts: Parts,
    body: Bytes,
    message: Value,
    session: Arc<SessionRecord>,
    call: Call,
) -> Response {
    let (sender, mut receiver) = mpsc::channel(4);
    let memory = context.memory.clone();
    let bytes = move |text: String| match &memory {
        Some(memory) => accounted(text, memory),
        None => Bytes::from(text),
    };
    let needs = message::rights_of_reply(&context.who.caller, &message);
    let id = message.get("id").cloned().unwrap_or(Value::Null);
    let (shared, who) = (Arc::clone(&context.shared), context.who.clone());
    let answer = ReplyStream::new(context, session.id, needs);
    let start = start(&answer, &session.protocol_version);
    let running = answer.context.shared.running.clone();
    running.spawn(run(answer, parts, body, message, call, sender).in_current_span());
    let mut ready = start;
    let first = match tokio::time::timeout(WHOLE_REPLY_TIMEOUT, receiver.recv()).await {
        Ok(part) => Some(part),
        // The status depends on the key, so wait until the database has verified it.
        Err(_) => tokio::select! {
            part = receiver.recv() => Some(part),
            good = shared.auth.proven_together(&who) => match good {
                Some(true) => None,
                Some(false) => match admission::void(&shared, &who).await {
                    AuthError::Unavailable(_) => Some(receiver.recv().await),
                    error => return admission::unauthorized(&error),
                },
                None => Some(receiver.recv().await),
            },
        },
    };
    match first {
        Some(Some(Part::Refused { status, headers, text })) => return refusal(status, headers, bytes(text)),
        Some(Some(Part::Last(text))) => return event_stream(Body::from(bytes(ready + &text))),
        Some(Some(Part::More(text))) => ready += &text,
        Some(None) => return event_stream(Body::from(ready)),
        None => {}
    }
    let rest = futures::stream::unfold(Some((receiver, id)), async |state| {
        let (mut receiver, id) = state?;
        match tokio::time::timeout(STREAM_KEEP_ALIVE, receiver.recv()).await {
            Ok(Some(Part::More(text))) => Some((text, Some((receiver, id)))),
            Ok(Some(Part::Last(text))) => Some((text, None)),
            // Headers are already sent; report the error as an event.
            Ok(Some(Part::Refused { text, .. })) => Some((frame(None, &as_message(&id, text)), None)),
            Ok(None) => None,
            Err(_) => Some((KEEP_ALIVE_COMMENT.to_owned(), Some((receiver, id)))),
        }
    });
    let texts = futures::stream::once(async move { ready }).chain(rest);
    event_stream(Body::from_stream(texts.map(move |text| Ok::<_, std::convert::Infallible>(bytes(text)))))
}

enum Part {
    /// The request was refused before it became a call, or failed inside the server: a JSON-RPC error.
    Refused {
        status: StatusCode,
        headers: HeaderMap,
        text: String,
    },
    More(String),
    Last(String),
}

async fn run(
    mut answer: ReplyStream,
    parts: Parts,
    body: Bytes,
    message: Value,
    call: Call,
    out: mpsc::Sender<Part>,
) {
    let context = answer.context.clone();
    let _expected = context.shared.events.expect();
    let response = tokio::select! {
        response = context.call(parts, body, &message) => response,
        () = call.cancelled.cancelled() => return,
    };
    // Do not stop when the client disconnects: it may return for the reply.
    if is_event_stream(&response) {
        let mut messages = Messages::new(response.into_body());
        while let Some(message) = messages.next().await {
            let last = is_answer(&message);
            let text = answer.store(message, last).await;
            let _ = out.send(if last { Part::Last(text) } else { Part::More(text) }).await;
        }
        return;
    }
    let (status, headers) = (response.status(), response.headers().clone());
    let text = match response.into_body().collect().await {
        // The SDK serializes JSON, which is UTF-8 already.
        Ok(body) => String::from_utf8(body.to_bytes().into())
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        Err(_) => return,
    };
    if status != StatusCode::OK {
        let id = message.get("id").cloned().unwrap_or(Value::Null);
        let _ = out.send(Part::Refused { status, headers, text: text.clone() }).await;
        answer.store(as_message(&id, text), true).await;
        return;
    }
    let text = answer.store_as(shared_lists::reference(&message, &text, &context.tools), text, true).await;
    let _ = out.send(Part::Last(text)).await;
}

/// A refusal before the status is sent.
fn refusal(status: StatusCode, headers: HeaderMap, text: Bytes) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A refusal as a JSON-RPC message, the only content that an event may have.
fn as_message(id: &Value, text: String) -> String {
    let refused = serde_json::from_str::<Value>(&text).unwrap_or_default();
    if refused.get("jsonrpc").is_some() {
        return text;
    }
    let message = refused.get("error").and_then(Value::as_str).unwrap_or("the request was refused");
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": reply::TRANSPORT_ERROR, "message": message}})
        .to_string()
}

/// The message of a JSON reply.
pub(crate) async fn json_of(response: Response) -> Result<Value, Response> {
    let body = response.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    let value = body.ok().and_then(|body| serde_json::from_slice(&body).ok());
    value.ok_or_else(|| reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the server failed"))
}

/// A reply as an event stream.
pub(crate) fn event_stream(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// A JSON reply as the only event of a stream that cannot be resumed.
pub(crate) fn as_one_event(response: Response) -> Response {
    let piece =
        |text: &'static str| futures::stream::once(async move { Ok(Bytes::from_static(text.as_bytes())) });
    let body = response.into_body().into_data_stream();
    event_stream(Body::from_stream(piece("data: ").chain(body).chain(piece("\n\n"))))
}

/// The first event of a stream: the id from which to resume, for clients that accept it.
fn start(answer: &ReplyStream, version: &str) -> String {
    if accepts_empty_events(version) { opening(answer.last) } else { String::new() }
}

fn is_answer(message: &str) -> bool {
    serde_json::from_str::<Value>(message).is_ok_and(|message| message.get("method").is_none())
}

/// Reads messages from an event stream of the SDK: one data line each.
struct Messages {
    body: axum::body::BodyDataStream,
    read: Vec<u8>,
}

impl Messages {
    fn new(body: Body) -> Self {
        Self { body: body.into_data_stream(), read: Vec::new() }
    }

    async fn next(&mut self) -> Option<String> {
        loop {
            while let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                let data = line.strip_prefix("data:").map(str::trim).filter(|data| !data.is_empty());
                if let Some(data) = data {
                    return Some(data.to_owned());
                }
            }
            let chunk = self.body.next().await?.ok()?;
            self.read.extend_from_slice(&chunk);
        }
    }
}

/// A session's notification stream has the id of the session, which distinguishes it from replies.
pub(crate) fn own_stream(session: SessionId) -> Uuid {
    session.0
}
