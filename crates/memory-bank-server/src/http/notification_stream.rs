//! The stream on which a session receives notifications. It ends with the client, the session, the key or the server.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use jiff::Timestamp;
use memory_bank_core::caller::{ProjectId, Right};
use memory_bank_core::error::StoreError;
use memory_bank_core::store::{Change, EventId, SessionRecord};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::http::auth::Authenticated;
use crate::http::config::{CALL_TIMEOUT, STREAM_KEEP_ALIVE};
use crate::http::invalidation::Invalidation;
use crate::http::metrics::Limit;
use crate::http::protocol::accepts_empty_events;
use crate::http::reply::TRANSPORT_ERROR;
use crate::http::reply_budget::{ConnectionId, Holder, accounted};
use crate::http::request_context::RequestContext;
use crate::http::shared::Shared;
use crate::http::shared_lists;
use crate::http::sse::{KEEP_ALIVE_COMMENT, Slot, frame, opening};
use crate::http::sse_reply::{event_stream, own_stream};
use crate::mcp::subscriptions;

/// Memory for an event that is fetched again and sent: the event and its frame.
const REPLAYED_BYTES: usize = 2 * 1024 * 1024;
/// The first interval at which a resumed stream polls for the rest of a reply; it grows.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The longest interval.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// How much the clocks of two servers may differ.
const SKEW: Duration = Duration::from_secs(5);
/// How often a stream verifies its session and its key, independent of invalidations.
const VERIFY_EVERY: Duration = Duration::from_secs(60);

/// Opens a stream for a session; `last` is the client's last event.
pub(crate) fn open(
    context: RequestContext,
    session: Arc<SessionRecord>,
    last: Option<EventId>,
    connection: Option<ConnectionId>,
) -> Response {
    let Some(slot) = context.shared.slots.take(context.who.counted_as) else {
        return context.too_many_streams(None);
    };
    let (out, receiver) = mpsc::channel(16);
    let own = EventId { stream: own_stream(session.id), place: 0 };
    let place = last.filter(|last| last.stream == own.stream).map_or(0, |last| last.place);
    // Subscribe before reading, so that no change is missed.
    let changes = context.shared.services.hub.subscribe();
    let invalidations = context.shared.invalidations.subscribe();
    let stream =
        NotificationStream { context, session, own: EventId { place, ..own }, out, connection, _slot: slot };
    tokio::spawn(stream.run(last, changes, invalidations));
    let texts =
        futures::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    event_stream(Body::from_stream(texts.map(Ok::<_, std::convert::Infallible>)))
}

struct NotificationStream {
    context: RequestContext,
    session: Arc<SessionRecord>,
    own: EventId,
    out: mpsc::Sender<Bytes>,
    connection: Option<ConnectionId>,
    _slot: Slot,
}

/// The client, the session or the key is gone.
struct Ended;

/// A resumed reply that was incomplete at the last poll.
struct Replay {
    /// The event that the client named.
    named: EventId,
    from: EventId,
    /// After this time no server continues the reply.
    until: Instant,
    next: Instant,
    pause: Duration,
}

/// The progress of a resumed reply.
enum Replayed {
    Whole,
    UpTo(EventId),
}

/// How long a reply may still be in flight; none for the id of a stream that this server did not create.
fn time_left(id: EventId, now: Timestamp) -> Duration {
    let began = id.stream.get_timestamp().map(|began| began.to_unix());
    let Some((seconds, nanoseconds)) = began else { return Duration::ZERO };
    let began = Duration::new(seconds, nanoseconds);
    let now = u64::try_from(now.as_millisecond()).map_or(Duration::ZERO, Duration::from_millis);
    (CALL_TIMEOUT + SKEW).saturating_sub(now.saturating_sub(began)).min(CALL_TIMEOUT + SKEW)
}

/// The message for a client that resumes a reply whose rest is gone. Clients take it for the reply that they wait
/// for, under any id.
fn reply_gone(after: EventId) -> String {
    let text = "the reply is not kept any more; the call may have been carried out: read what it was to change, or call again";
    let error = json!({"code": TRANSPORT_ERROR, "message": text, "data": {"reason": "replay_gone"}});
    json!({"jsonrpc": "2.0", "id": after.to_string(), "error": error}).to_string()
}

impl NotificationStream {
    async fn run(
        mut self,
        last: Option<EventId>,
        changes: Receiver<(ProjectId, Change)>,
        invalidations: Receiver<Invalidation>,
    ) {
        let closing = self.context.shared.closing.clone();
        let out = self.out.clone();
        tokio::select! {
            Ended = self.send_changes(last, changes, invalidations) => {}
            () = out.closed() => {}
            () = closing.cancelled() => {}
        }
    }

    async fn send_changes(
        &mut self,
        last: Option<EventId>,
        mut changes: Receiver<(ProjectId, Change)>,
        mut invalidations: Receiver<Invalidation>,
    ) -> Ended {
        let understands = accepts_empty_events(&self.session.protocol_version);
        let now = Instant::now();
        let mut replay = last.filter(|last| last.stream != self.own.stream).map(|named| Replay {
            named,
            from: named,
            until: now + time_left(named, self.context.shared.services.clock.now()),
            next: now,
            pause: POLL_INTERVAL,
        });
        let begun = if understands && replay.is_none() {
            self.send(opening(self.own)).await
        } else {
            self.send(KEEP_ALIVE_COMMENT.to_owned()).await
        };
        // Stored events are subject to the key's current rights, not to those that this process has cached.
        if begun.is_err() || replay.is_some() && self.still_authorized().await.is_err() {
            return Ended;
        }
        // Notifications are not stored. A client that resumes the session's own stream may have missed some, as may a
        // client that got no id to resume from.
        let comes_back = match last {
            Some(last) => last.stream == self.own.stream,
            None => !understands && !self.session.subscriptions.is_empty(),
        };
        if comes_back && self.all_may_have_changed().await.is_err() {
            return Ended;
        }
        // Send stored events before new ones; a due timer may still let notifications pass.
        if self.check_again(&mut replay).await.is_err() {
            return Ended;
        }
        let mut alive = tokio::time::interval(STREAM_KEEP_ALIVE);
        alive.reset();
        let mut verify = tokio::time::interval(VERIFY_EVERY);
        verify.reset();
        loop {
            let next_poll = replay.as_ref().map_or(now, |replay| replay.next);
            // Keep the order: process a subscription before the notification that it is for.
            let outcome = tokio::select! {
                biased;
                invalidation = invalidations.recv() => self.on_invalidation(&invalidation).await,
                () = tokio::time::sleep_until(next_poll), if replay.is_some() => self.check_again(&mut replay).await,
                item = changes.recv() => self.on_change(item).await,
                _ = alive.tick() => self.send(KEEP_ALIVE_COMMENT.to_owned()).await,
                _ = verify.tick() => self.still_authorized().await,
            };
            if let Err(ended) = outcome {
                return ended;
            }
        }
    }

    /// Sends the new events of a reply, and schedules the next poll. When no more can come, it reports that.
    async fn check_again(&mut self, replay: &mut Option<Replay>) -> Result<(), Ended> {
        let Some(Replay { named, from, until, pause, .. }) = *replay else { return Ok(()) };
        *replay = match self.replay(named, from).await? {
            Replayed::Whole => None,
            Replayed::UpTo(from) if Instant::now() < until => {
                let next = Instant::now() + pause;
                Some(Replay { named, from, until, next, pause: (pause * 2).min(MAX_POLL_INTERVAL) })
            }
            Replayed::UpTo(from) => {
                self.send(frame(None, &reply_gone(from))).await?;
                None
            }
        };
        Ok(())
    }

    /// Sends the events after a given one.
    async fn replay(&mut self, named: EventId, from: EventId) -> Result<Replayed, Ended> {
        let holder = Holder { key: self.context.who.caller.key, connection: self.connection };
        // A reply may have the largest length.
        let Ok(memory) = self.context.shared.replies.reserve(holder, REPLAYED_BYTES).await else {
            self.context.shared.metrics.limit_reached(Limit::Replies);
            return Ok(Replayed::UpTo(from));
        };
        // The event that the client named may have been the last one.
        let named_too = named == from && from.place > 0;
        let after = EventId { place: from.place.saturating_sub(u32::from(named_too)), ..from };
        let found = self.context.shared.events.after(&self.context.who.caller, self.session.id, after).await;
        let events = match found {
            Ok(events) => events,
            Err(error) => {
                tracing::warn!(request.id = %self.context.request, %error, "events could not be read for a replay");
                return Err(Ended);
            }
        };
        let mut reached = from;
        for event in events {
            if event.id == named {
                if event.last {
                    return Ok(Replayed::Whole);
                }
                continue;
            }
            reached = event.id;
            let message = match shared_lists::parse(&event.message) {
                Some(reference) => shared_lists::resolve(&self.context, &self.session, &reference).await,
                None => event.message,
            };
            let text = accounted(frame(Some(event.id), &message), &memory);
            self.out.send(text).await.map_err(|_| Ended)?;
            self.context.shared.metrics.event_replayed();
            if event.last {
                return Ok(Replayed::Whole);
            }
        }
        Ok(Replayed::UpTo(reached))
    }

    async fn on_change(&mut self, item: Result<(ProjectId, Change), RecvError>) -> Result<(), Ended> {
        match item {
            Ok((_, Change::Missed)) | Err(RecvError::Lagged(_)) => self.all_may_have_changed().await,
            Ok((project, _)) if project != self.session.project => Ok(()),
            Ok((_, Change::Updated(path))) => {
                let subscriptions = self.subscriptions().await?;
                for uri in subscriptions.iter().filter(|uri| subscriptions::names(uri, &path)) {
                    self.updated(uri).await?;
                }
                Ok(())
            }
            Ok((_, Change::List)) => self.list_changed().await,
            // No resource shows the graph.
            Ok((_, Change::Graph)) => Ok(()),
            Ok(_) => self.all_may_have_changed().await,
            Err(RecvError::Closed) => Err(Ended),
        }
    }

    async fn on_invalidation(&self, invalidation: &Result<Invalidation, RecvError>) -> Result<(), Ended> {
        match invalidation {
            Ok(Invalidation::SessionChanged { session, ended }) if *session == self.session.id => {
                self.context.shared.sessions.forget(*session);
                if *ended { Err(Ended) } else { Ok(()) }
            }
            invalidation => {
                if matches!(invalidation, Ok(Invalidation::MessagesMissed) | Err(RecvError::Lagged(_))) {
                    self.context.shared.sessions.forget(self.session.id);
                    self.subscriptions().await?;
                }
                let stays = still_authorized(&self.context.shared, &self.context.who, invalidation).await;
                if stays { Ok(()) } else { Err(Ended) }
            }
        }
    }

    /// Whether session and key are still valid. The check also keeps the session alive.
    async fn still_authorized(&self) -> Result<(), Ended> {
        self.subscriptions().await?;
        if self.context.shared.auth.unchanged(&self.context.who).await == Some(false) {
            Err(Ended)
        } else {
            Ok(())
        }
    }

    async fn all_may_have_changed(&mut self) -> Result<(), Ended> {
        self.context.shared.sessions.forget(self.session.id);
        for uri in self.subscriptions().await? {
            self.updated(&uri).await?;
        }
        self.list_changed().await
    }

    /// The session's current subscriptions.
    async fn subscriptions(&self) -> Result<BTreeSet<String>, Ended> {
        match self.context.shared.sessions.find(&self.context.who.caller, self.session.id).await {
            Ok(Some(session)) => Ok(session.subscriptions.clone()),
            Ok(None) | Err(StoreError::KeyInvalid) => Err(Ended),
            Err(error) => {
                tracing::warn!(request.id = %self.context.request, %error, "a session could not be read");
                Ok(self.session.subscriptions.clone())
            }
        }
    }

    async fn updated(&mut self, uri: &str) -> Result<(), Ended> {
        self.notify(
            &json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}}),
        )
        .await
    }

    async fn list_changed(&mut self) -> Result<(), Ended> {
        self.notify(&json!({"jsonrpc": "2.0", "method": "notifications/resources/list_changed"})).await
    }

    async fn notify(&mut self, message: &serde_json::Value) -> Result<(), Ended> {
        // Notifications contain names of documents, so the key must be allowed to read.
        if !self.context.who.caller.may(Right::Read) {
            return Ok(());
        }
        // The client may have named any id; nothing of this stream is stored, so ids may restart.
        self.own.place = self.own.place.wrapping_add(1);
        self.send(frame(Some(self.own), &message.to_string())).await
    }

    async fn send(&self, text: String) -> Result<(), Ended> {
        self.out.send(Bytes::from(text)).await.map_err(|_| Ended)
    }
}

/// The body of an event stream. It ends when the key loses rights and, if `with_server`, when the server shuts down.
/// While the key is looked up, nothing is sent.
pub(crate) fn while_authorized(
    shared: Arc<Shared>,
    who: Authenticated,
    with_server: bool,
    body: Body,
) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send {
    let invalidations = shared.invalidations.subscribe();
    let mut verify = tokio::time::interval(VERIFY_EVERY);
    verify.reset();
    futures::stream::unfold(
        (invalidations, verify, body.into_data_stream()),
        move |(mut invalidations, mut verify, mut body)| {
            let (shared, who) = (Arc::clone(&shared), who.clone());
            async move {
                loop {
                    let invalidation = tokio::select! {
                        biased;
                        invalidation = invalidations.recv() => invalidation,
                        _ = verify.tick() => Ok(Invalidation::MessagesMissed),
                        () = shared.closing.cancelled(), if with_server => return None,
                        chunk = body.next() => return Some((chunk?, (invalidations, verify, body))),
                    };
                    if !still_authorized(&shared, &who, &invalidation).await {
                        return None;
                    }
                }
            }
        },
    )
}

/// Whether a stream of this key continues after an invalidation. After a change of its key it continues only if the
/// key can be looked up and has no relevant change.
async fn still_authorized(
    shared: &Shared,
    who: &Authenticated,
    invalidation: &Result<Invalidation, RecvError>,
) -> bool {
    match invalidation {
        Ok(Invalidation::KeyChanged { hash, revoked }) => {
            let own = who.caller.key.map(|key| key.0);
            if revoked.is_some() && *revoked == own {
                return false;
            }
            *hash != who.hash.to_hex() || shared.auth.unchanged(who).await == Some(true)
        }
        Ok(Invalidation::MessagesMissed) | Err(RecvError::Lagged(_)) => {
            shared.auth.forget(&who.hash);
            shared.auth.unchanged(who).await != Some(false)
        }
        Err(RecvError::Closed) => false,
        Ok(_) => true,
    }
}
