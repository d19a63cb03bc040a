//! The stream on which a session hears of changes. It ends when the client, the session, the key or the server does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use futures::StreamExt;
use memory_bank_core::caller::{KeyId, ProjectId};
use memory_bank_core::error::StoreError;
use memory_bank_core::store::{Change, EventId, SessionRecord};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::http::answers::{event_stream, own_stream, understands_opening};
use crate::http::config::{CALL_WAIT, KEEP_ALIVE};
use crate::http::mcp::{Asked, too_many_streams};
use crate::http::signals::Signal;
use crate::http::streams::{ALIVE, Slot, frame, opening};
use crate::mcp::subscriptions;

/// How often a resumed stream looks for the rest of an answer that is still being made.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Opens a stream for a session; `last` is the last event that the client has.
pub(crate) fn open(asked: Asked, session: Arc<SessionRecord>, last: Option<EventId>) -> Response {
    let Some(slot) = asked.shared.slots.take(asked.who.caller.key) else {
        return too_many_streams(&asked.shared, None);
    };
    let (out, receiver) = mpsc::channel(16);
    let own = EventId { stream: own_stream(session.id), place: 0 };
    let place = last.filter(|last| last.stream == own.stream).map_or(0, |last| last.place);
    // Subscribed before anything is read, so that nothing falls in between.
    let news = asked.shared.services.hub.subscribe();
    let signals = asked.shared.signals.subscribe();
    let live = Live { asked, session, own: EventId { place, ..own }, out, _slot: slot };
    tokio::spawn(live.run(last, news, signals));
    let texts =
        futures::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    event_stream(Body::from_stream(texts.map(Ok::<_, std::convert::Infallible>)))
}

struct Live {
    asked: Asked,
    session: Arc<SessionRecord>,
    own: EventId,
    out: mpsc::Sender<String>,
    _slot: Slot,
}

/// The client, the session or the key is gone.
struct Over;

impl Live {
    async fn run(
        mut self,
        last: Option<EventId>,
        news: Receiver<(ProjectId, Change)>,
        signals: Receiver<Signal>,
    ) {
        let shutdown = self.asked.shared.shutdown.clone();
        let out = self.out.clone();
        tokio::select! {
            Over = self.tell(last, news, signals) => {}
            () = out.closed() => {}
            () = shutdown.cancelled() => {}
        }
    }

    async fn tell(
        &mut self,
        last: Option<EventId>,
        mut news: Receiver<(ProjectId, Change)>,
        mut signals: Receiver<Signal>,
    ) -> Over {
        let mut replay = match last {
            Some(last) if last.stream != self.own.stream => Some((last, Instant::now() + CALL_WAIT)),
            _ => None,
        };
        let begun = if understands_opening(&self.session.protocol_version) && replay.is_none() {
            self.send(opening(self.own)).await
        } else {
            self.send(ALIVE.to_owned()).await
        };
        if begun.is_err() {
            return Over;
        }
        // Whoever comes back to the session's own stream may have missed news.
        if last.is_some_and(|last| last.stream == self.own.stream)
            && self.all_may_have_changed().await.is_err()
        {
            return Over;
        }
        if let Some((from, until)) = replay {
            match self.replay(from).await {
                Ok(rest) => replay = rest.map(|rest| (rest, until)),
                Err(over) => return over,
            }
        }
        let mut alive = tokio::time::interval(KEEP_ALIVE);
        alive.reset();
        loop {
            let happened = tokio::select! {
                item = news.recv() => self.heard(item).await,
                signal = signals.recv() => self.signalled(&signal),
                _ = alive.tick() => self.send(ALIVE.to_owned()).await,
                () = tokio::time::sleep(LOOK_AGAIN), if replay.is_some() => {
                    match replay {
                        Some((from, until)) if Instant::now() < until => match self.replay(from).await {
                            Ok(rest) => { replay = rest.map(|rest| (rest, until)); Ok(()) }
                            Err(over) => Err(over),
                        },
                        _ => { replay = None; Ok(()) }
                    }
                }
            };
            if let Err(over) = happened {
                return over;
            }
        }
    }

    /// Sends what followed an event, and returns from where to go on if the answer is not complete.
    async fn replay(&mut self, from: EventId) -> Result<Option<EventId>, Over> {
        let found = self.asked.shared.events.after(&self.asked.who.caller, self.session.id, from).await;
        let events = match found {
            Ok(events) => events,
            Err(error) => {
                tracing::warn!(request.id = %self.asked.request, %error, "events could not be read for a replay");
                return Err(Over);
            }
        };
        let mut reached = from;
        for event in events {
            reached = event.id;
            self.send(frame(Some(event.id), &event.message)).await?;
            self.asked.shared.metrics.event_replayed();
            if event.last {
                return Ok(None);
            }
        }
        Ok(Some(reached))
    }

    async fn heard(&mut self, item: Result<(ProjectId, Change), RecvError>) -> Result<(), Over> {
        match item {
            Ok((_, Change::Missed)) => self.all_may_have_changed().await,
            Ok((project, _)) if project != self.session.project => Ok(()),
            Ok((_, Change::Updated(path))) => {
                let subscriptions = self.subscriptions().await?;
                for uri in subscriptions.iter().filter(|uri| subscriptions::names(uri, &path)) {
                    self.updated(uri).await?;
                }
                Ok(())
            }
            Ok((_, Change::List)) => self.list_changed().await,
            Ok(_) | Err(RecvError::Lagged(_)) => self.all_may_have_changed().await,
            Err(RecvError::Closed) => Err(Over),
        }
    }

    fn signalled(&self, signal: &Result<Signal, RecvError>) -> Result<(), Over> {
        let own_key = self.asked.who.caller.key.map(|key| key.0);
        match signal {
            Ok(Signal::SessionChanged { session, ended: true }) if *session == self.session.id => Err(Over),
            Ok(Signal::KeyChanged { revoked: Some(key), .. }) if Some(*key) == own_key => Err(Over),
            Err(RecvError::Closed) => Err(Over),
            _ => Ok(()),
        }
    }

    async fn all_may_have_changed(&mut self) -> Result<(), Over> {
        for uri in self.subscriptions().await? {
            self.updated(&uri).await?;
        }
        self.list_changed().await
    }

    /// The session's subscriptions as they are now.
    async fn subscriptions(&self) -> Result<BTreeSet<String>, Over> {
        match self.asked.shared.sessions.find(&self.asked.who.caller, self.session.id).await {
            Ok(Some(session)) => Ok(session.subscriptions.clone()),
            Ok(None) | Err(StoreError::KeyVoid) => Err(Over),
            Err(error) => {
                tracing::warn!(request.id = %self.asked.request, %error, "a session could not be read");
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
        self.own.place += 1;
        self.send(frame(Some(self.own), &message.to_string())).await
    }

    async fn send(&self, text: String) -> Result<(), Over> {
        self.out.send(text).await.map_err(|_| Over)
    }
}

/// Waits until a key is revoked.
pub(crate) async fn key_revoked(mut signals: Receiver<Signal>, key: Option<KeyId>) {
    loop {
        match signals.recv().await {
            Ok(Signal::KeyChanged { revoked: Some(revoked), .. }) if Some(KeyId(revoked)) == key => return,
            Err(RecvError::Closed) => return,
            _ => {}
        }
    }
}
