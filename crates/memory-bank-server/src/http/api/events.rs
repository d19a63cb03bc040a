//! `GET /api/v1/events`: what changes in a bank, as it changes: hints to read again, without content. An event that was missed is not
//! kept; a client that comes back is notified that everything may have changed.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderName, StatusCode};
use memory_bank_core::caller::{ProjectId, Right};
use memory_bank_core::store::Change;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Interval;
use utoipa::ToSchema;

use crate::http::api::Problem;
use crate::http::config::STREAM_KEEP_ALIVE;
use crate::http::metrics::Limit;
use crate::http::notification_stream::while_authorized;
use crate::http::reply;
use crate::http::rest_request::RestRequest;
use crate::http::sse::{KEEP_ALIVE_COMMENT, Slot};
use crate::http::sse_reply::event_stream;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What changed. Each event of the stream has one as its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "change", rename_all = "camelCase")]
pub(crate) enum ChangeEvent {
    /// The text of a document.
    Document {
        /// Its name.
        name: String,
    },
    /// Which documents there are.
    List,
    /// The graph.
    Graph,
    /// Anything: a backup was restored, or events were missed.
    All,
}

/// Sends an event when a document, the list of documents or the graph changes, until the client closes the stream.
#[utoipa::path(get, path = "/api/v1/events", tag = "documents", operation_id = "watch_changes", params(
    ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event, for a client that comes back")), responses(
    (status = 200, body = ChangeEvent, content_type = "text/event-stream", description = "a stream of server-sent events"),
    (status = 401, body = Problem, content_type = "application/problem+json"),
    (status = 403, body = Problem, content_type = "application/problem+json"),
    (status = 429, body = Problem, content_type = "application/problem+json", description = "the key or session has too many open streams"),
    (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn watch(request: RestRequest) -> Response {
    if !request.who.caller.may(Right::Read) {
        return request.may_not(Right::Read);
    }
    if let Err(refusal) = request.proven().await {
        return *refusal;
    }
    let shared = &request.shared;
    let Some(slot) = shared.slots.take(request.who.counted_as) else {
        shared.metrics.limit_reached(Limit::Streams);
        let text = "this key or session has as many open streams as it may have; close one first";
        return reply::error(StatusCode::TOO_MANY_REQUESTS, text);
    };
    let mut alive = tokio::time::interval(STREAM_KEEP_ALIVE);
    alive.reset();
    let watch = Watch {
        project: request.who.caller.project,
        changes: shared.services.hub.subscribe(),
        alive,
        first: Some(request.headers.contains_key(LAST_EVENT_ID)),
        sent: 0,
        _slot: slot,
    };
    let texts = futures::stream::unfold(watch, async |mut watch| Some((watch.next().await?, watch)));
    let body = Body::from_stream(texts.map(Ok::<_, Infallible>));
    let body = while_authorized(Arc::clone(shared), request.who.clone(), true, body);
    event_stream(Body::from_stream(body))
}

/// An open stream.
struct Watch {
    project: ProjectId,
    changes: Receiver<(ProjectId, Change)>,
    alive: Interval,
    /// Before the first text: whether the client comes back.
    first: Option<bool>,
    sent: u64,
    _slot: Slot,
}

impl Watch {
    /// The next piece of the stream; `None` if the server ends.
    async fn next(&mut self) -> Option<Bytes> {
        match self.first.take() {
            Some(true) => return Some(self.event(&ChangeEvent::All)),
            Some(false) => return Some(Bytes::from_static(b"retry: 3000\n\n")),
            None => {}
        }
        loop {
            tokio::select! {
                biased;
                item = self.changes.recv() => match event_of(self.project, item) {
                    Some(Ok(event)) => return Some(self.event(&event)),
                    Some(Err(Closed)) => return None,
                    None => {}
                },
                _ = self.alive.tick() => return Some(Bytes::from_static(KEEP_ALIVE_COMMENT.as_bytes())),
            }
        }
    }

    fn event(&mut self, event: &ChangeEvent) -> Bytes {
        self.sent += 1;
        let data = serde_json::to_string(event).unwrap_or_default();
        Bytes::from(format!("id: {}\ndata: {data}\n\n", self.sent))
    }
}

/// There are no more changes.
struct Closed;

/// The event for a change; none for one of another project.
fn event_of(
    project: ProjectId,
    item: Result<(ProjectId, Change), RecvError>,
) -> Option<Result<ChangeEvent, Closed>> {
    match item {
        Ok((_, Change::Missed)) | Err(RecvError::Lagged(_)) => Some(Ok(ChangeEvent::All)),
        Err(RecvError::Closed) => Some(Err(Closed)),
        Ok((of, _)) if of != project => None,
        Ok((_, Change::Updated(path))) => Some(Ok(ChangeEvent::Document { name: path.as_str().to_owned() })),
        Ok((_, Change::List)) => Some(Ok(ChangeEvent::List)),
        Ok((_, Change::Graph)) => Some(Ok(ChangeEvent::Graph)),
        Ok(_) => Some(Ok(ChangeEvent::All)),
    }
}

#[cfg(test)]
mod tests {
    use memory_bank_core::document::DocumentPath;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_changes_of_the_own_project_are_sent() {
        let [own, other] = [1, 2].map(|number| ProjectId(Uuid::from_u128(number)));
        let event = |of, change| event_of(own, Ok((of, change))).and_then(Result::ok);
        let path = DocumentPath::parse("notes.md").unwrap();
        let document = ChangeEvent::Document { name: "notes.md".to_owned() };
        assert_eq!(event(own, Change::Updated(path.clone())), Some(document));
        assert_eq!(event(own, Change::Graph), Some(ChangeEvent::Graph));
        assert_eq!(event(other, Change::Updated(path)), None);
        assert_eq!(event(other, Change::Whole), None);
        assert_eq!(event(other, Change::Missed), Some(ChangeEvent::All));
        assert!(matches!(event_of(own, Err(RecvError::Lagged(3))), Some(Ok(ChangeEvent::All))));
    }
}
