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
use crate::http::config::{CALL_WAIT, KEEP_ALIVE};
use crate::http::invalidation::Invalidation;
use crate::http::mcp::{RequestContext, too_many_streams};
use crate::http::metrics::Limit;
use crate::http::reply::TRANSPORT_ERROR;
use crate::http::reply_budget::{ConnectionId, Holder, accounted};
use crate::http::shared::Shared;
use crate::http::shared_lists;
use crate::http::sse::{ALIVE, Slot, frame, opening};
use crate::http::sse_reply::{event_stream, own_stream, understands_opening};
use crate::mcp::subscriptions;

/// Memory for an event that is fetched again and sent: the event and its frame.
const REPLAYED_BYTES: usize = 2 * 1024 * 1024;
/// The first interval at which a resumed stream polls for the rest of a reply; it grows.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// The longest interval.
const LOOK_AT_LEAST: Duration = Duration::from_secs(2);
/// How much the clocks of two servers may differ.
const SKEW: Duration = Duration::from_secs(5);
/// How often a stream verifies its session and its key, independent of invalidations.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Opens a stream for a session; `last` is the client's last event.
pub(crate) fn open(
    context: RequestContext,
    session: Arc<SessionRecord>,
    last: Option<EventId>,
    connection: Option<ConnectionId>,
) -> Response {
    let Some(slot) = context.shared.slots.take(context.who.caller.key) else {
        return too_many_streams(&context.shared, None);
    };
    let (out, receiver) = mpsc::channel(16);
    let own = EventId { stream: own_stream(session.id), place: 0 };
    let place = last.filter(|last| last.stream == own.stream).map_or(0, |last| last.place);
    // Subscribe before reading, so that no change is missed.
    let news = context.shared.services.hub.subscribe();
    let signals = context.shared.signals.subscribe();
    let live = Live { context, session, own: EventId { place, ..own }, out, connection, _slot: slot };
    tokio::spawn(live.run(last, news, signals));
    let texts =
        futures::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    event_stream(Body::from_stream(texts.map(Ok::<_, std::convert::Infallible>)))
}

struct Live {
    context: RequestContext,
    session: Arc<SessionRecord>,
    own: EventId,
    out: mpsc::Sender<Bytes>,
    connection: Option<ConnectionId>,
    _slot: Slot,
}

/// The client, the session or the key is gone.
struct Over;

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
    (CALL_WAIT + SKEW).saturating_sub(now.saturating_sub(began)).min(CALL_WAIT + SKEW)
}

/// The message for a client that resumes a reply whose rest is gone. Clients take it for the reply that they wait
/// for, whatever its id.
fn gone(after: EventId) -> String {
    let text = "the reply is not kept any more; the call may have been carried out: read what it was to change, or call again";
    let error = json!({"code": TRANSPORT_ERROR, "message": text, "data": {"reason": "replay_gone"}});
    json!({"jsonrpc": "2.0", "id": after.to_string(), "error": error}).to_string()
}

impl Live {
    async fn run(
        mut self,
        last: Option<EventId>,
        news: Receiver<(ProjectId, Change)>,
        signals: Receiver<Invalidation>,
    ) {
        let closing = self.context.shared.closing.clone();
        let out = self.out.clone();
        tokio::select! {
            Over = self.send_changes(last, news, signals) => {}
            () = out.closed() => {}
            () = closing.cancelled() => {}
        }
    }

    async fn send_changes(
        &mut self,
        last: Option<EventId>,
        mut news: Receiver<(ProjectId, Change)>,
        mut signals: Receiver<Invalidation>,
    ) -> Over {
        let understands = understands_opening(&self.session.protocol_version);
        let now = Instant::now();
        let mut replay = last.filter(|last| last.stream != self.own.stream).map(|named| Replay {
            named,
            from: named,
            until: now + time_left(named, self.context.shared.services.clock.now()),
            next: now,
            pause: LOOK_AGAIN,
        });
        let begun = if understands && replay.is_none() {
            self.send(opening(self.own)).await
        } else {
            self.send(ALIVE.to_owned()).await
        };
        // Stored events are subject to the key's current rights, whatever this process caches.
        if begun.is_err() || replay.is_some() && self.still_welcome().await.is_err() {
            return Over;
        }
        // Notifications are not stored. A client that resumes the session's own stream may have missed some, as may a
        // client that got no id to resume from.
        let comes_back = match last {
            Some(last) => last.stream == self.own.stream,
            None => !understands && !self.session.subscriptions.is_empty(),
        };
        if comes_back && self.all_may_have_changed().await.is_err() {
            return Over;
        }
        // Send stored events before new ones; a due timer may still let notifications pass.
        if self.check_again(&mut replay).await.is_err() {
            return Over;
        }
        let mut alive = tokio::time::interval(KEEP_ALIVE);
        alive.reset();
        let mut ask = tokio::time::interval(ASK_AGAIN);
        ask.reset();
        loop {
            let look = replay.as_ref().map_or(now, |replay| replay.next);
            // Keep the order: process a subscription before the notification that it is for.
            let happened = tokio::select! {
                biased;
                signal = signals.recv() => self.signalled(&signal).await,
                () = tokio::time::sleep_until(look), if replay.is_some() => self.check_again(&mut replay).await,
                item = news.recv() => self.heard(item).await,
                _ = alive.tick() => self.send(ALIVE.to_owned()).await,
                _ = ask.tick() => self.still_welcome().await,
            };
            if let Err(over) = happened {
                return over;
            }
        }
    }

    /// Sends the new events of a reply, and schedules the next poll. When no more can come, it reports that.
    async fn check_again(&mut self, replay: &mut Option<Replay>) -> Result<(), Over> {
        let Some(Replay { named, from, until, pause, .. }) = *replay else { return Ok(()) };
        *replay = match self.replay(named, from).await? {
            Replayed::Whole => None,
            Replayed::UpTo(from) if Instant::now() < until => {
                let next = Instant::now() + pause;
                Some(Replay { named, from, until, next, pause: (pause * 2).min(LOOK_AT_LEAST) })
            }
            Replayed::UpTo(from) => {
                self.send(frame(None, &gone(from))).await?;
                None
            }
        };
        Ok(())
    }

    /// Sends the events after a given one.
    async fn replay(&mut self, named: EventId, from: EventId) -> Result<Replayed, Over> {
        let holder = Holder { key: self.context.who.caller.key, connection: self.connection };
        // A reply may have the largest length.
        let Ok(memory) = self.context.shared.replies.reserve(holder, REPLAYED_BYTES).await else {
            self.context.shared.metrics.hit(Limit::Replies);
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
                return Err(Over);
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
            self.out.send(text).await.map_err(|_| Over)?;
            self.context.shared.metrics.event_replayed();
            if event.last {
                return Ok(Replayed::Whole);
            }
        }
        Ok(Replayed::UpTo(reached))
    }

    async fn heard(&mut self, item: Result<(ProjectId, Change), RecvError>) -> Result<(), Over> {
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
            Ok(_) => self.all_may_have_changed().await,
            Err(RecvError::Closed) => Err(Over),
        }
    }

    async fn signalled(&self, signal: &Result<Invalidation, RecvError>) -> Result<(), Over> {
        match signal {
            Ok(Invalidation::SessionChanged { session, ended }) if *session == self.session.id => {
                self.context.shared.sessions.forget(*session);
                if *ended { Err(Over) } else { Ok(()) }
            }
            signal => {
                if matches!(signal, Ok(Invalidation::NewsMissed) | Err(RecvError::Lagged(_))) {
                    self.context.shared.sessions.forget(self.session.id);
                    self.subscriptions().await?;
                }
                let stays = still_welcome(&self.context.shared, &self.context.who, signal).await;
                if stays { Ok(()) } else { Err(Over) }
            }
        }
    }

    /// Whether session and key are still valid. The check also keeps the session alive.
    async fn still_welcome(&self) -> Result<(), Over> {
        self.subscriptions().await?;
        if self.context.shared.auth.unchanged(&self.context.who).await == Some(false) {
            Err(Over)
        } else {
            Ok(())
        }
    }

    async fn all_may_have_changed(&mut self) -> Result<(), Over> {
        self.context.shared.sessions.forget(self.session.id);
        for uri in self.subscriptions().await? {
            self.updated(&uri).await?;
        }
        self.list_changed().await
    }

    /// The session's current subscriptions.
    async fn subscriptions(&self) -> Result<BTreeSet<String>, Over> {
        match self.context.shared.sessions.find(&self.context.who.caller, self.session.id).await {
            Ok(Some(session)) => Ok(session.subscriptions.clone()),
            Ok(None) | Err(StoreError::KeyInvalid) => Err(Over),
            Err(error) => {
                tracing::warn!(request.id = %self.context.request, %error, "a session could not be read");
                Ok(self.session.subscriptions.clone())
            }
        }
    }

    async fn updated(&mut self, uri: &str) -> Result<(), Over> {
        self.notify(
            &json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}}),
        )
        .await
    }

    async fn list_changed(&mut self) -> Result<(), Over> {
        self.notify(&json!({"jsonrpc": "2.0", "method": "notifications/resources/list_changed"})).await
    }

    async fn notify(&mut self, message: &serde_json::Value) -> Result<(), Over> {
        // Notifications contain names of documents, so the key must be allowed to read.
        if !self.context.who.caller.may(Right::Read) {
            return Ok(());
        }
        // The client may have named any id; nothing of this stream is stored, so ids may restart.
        self.own.place = self.own.place.wrapping_add(1);
        self.send(frame(Some(self.own), &message.to_string())).await
    }

    async fn send(&self, text: String) -> Result<(), Over> {
        self.out.send(Bytes::from(text)).await.map_err(|_| Over)
    }
}

/// The body of an event stream. It ends when the key loses rights and, if `with_server`, when the server shuts down.
/// While the key is looked up, nothing is sent.
pub(crate) fn while_welcome(
    shared: Arc<Shared>,
    who: Authenticated,
    with_server: bool,
    body: Body,
) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send {
    let signals = shared.signals.subscribe();
    let mut ask = tokio::time::interval(ASK_AGAIN);
    ask.reset();
    futures::stream::unfold(
        (signals, ask, body.into_data_stream()),
        move |(mut signals, mut ask, mut body)| {
            let (shared, who) = (Arc::clone(&shared), who.clone());
            async move {
                loop {
                    let signal = tokio::select! {
                        biased;
                        signal = signals.recv() => signal,
                        _ = ask.tick() => Ok(Invalidation::NewsMissed),
                        () = shared.closing.cancelled(), if with_server => return None,
                        chunk = body.next() => return Some((chunk?, (signals, ask, body))),
                    };
                    if !still_welcome(&shared, &who, &signal).await {
                        return None;
                    }
                }
            }
        },
    )
}

/// Whether a stream of this key continues after an invalidation. After a change of its key it continues only if the
/// key can be looked up and has no relevant change.
async fn still_welcome(
    shared: &Shared,
    who: &Authenticated,
    signal: &Result<Invalidation, RecvError>,
) -> bool {
    match signal {
        Ok(Invalidation::KeyChanged { hash, revoked }) => {
            let own = who.caller.key.map(|key| key.0);
            if revoked.is_some() && *revoked == own {
                return false;
            }
            *hash != who.hash.to_hex() || shared.auth.unchanged(who).await == Some(true)
        }
        Ok(Invalidation::NewsMissed) | Err(RecvError::Lagged(_)) => {
            shared.auth.forget(&who.hash);
            shared.auth.unchanged(who).await != Some(false)
        }
        Err(RecvError::Closed) => false,
        Ok(_) => true,
    }
}
