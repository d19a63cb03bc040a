//! Events that were sent to a session, stored for replay.

use parking_lot::Mutex;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::caller::{Caller, ProjectId, Rights, UserId};
use crate::error::StoreError;
use crate::identity::KeyHash;
use crate::store::SessionId;

/// Identifies an event by its stream and its position there, from 1. Position 0 is the start of the stream. Written
/// as `<32 hexadecimal digits>-<number>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId {
    /// The stream: the reply to one request.
    pub stream: Uuid,
    /// The position in the stream.
    pub place: u32,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.stream.simple(), self.place)
    }
}

/// The text is not the id of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not the id of an event")]
pub struct NotAnEvent;

impl FromStr for EventId {
    type Err = NotAnEvent;

    fn from_str(text: &str) -> Result<Self, NotAnEvent> {
        let (stream, place) = text.split_once('-').ok_or(NotAnEvent)?;
        let stream = Uuid::try_parse(stream).map_err(|_| NotAnEvent)?;
        Ok(Self { stream, place: place.parse().map_err(|_| NotAnEvent)? })
    }
}

/// An event to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub id: EventId,
    /// The session it was sent to.
    pub session: SessionId,
    /// The user who may fetch it.
    pub user: UserId,
    /// The project.
    pub project: ProjectId,
    /// The hash of the request's key; `None` in events that were read.
    pub proof: Option<KeyHash>,
    /// The rights that are needed to see the message: the user of the session may have keys with fewer rights than
    /// the one of the request.
    pub needs: Rights,
    /// The JSON-RPC message, on one line.
    pub message: String,
    /// Whether it is the last of its stream.
    pub last: bool,
    /// When it was created.
    pub at: Timestamp,
}

/// The owner of events that are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventOwner {
    /// The user of the session.
    pub user: UserId,
    /// The project.
    pub project: ProjectId,
    /// One session of the project, or all.
    pub session: Option<SessionId>,
}

/// Stores events.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Stores waiting events of any tenants in one statement. Events of deleted sessions are skipped. Events need not
    /// survive a crash of the database.
    async fn append(&self, events: &[Event]) -> Result<(), StoreError>;

    /// The events of the caller's session that follow `after` in its stream, in order, at most `limit`. Events that
    /// need rights which the caller lacks are omitted.
    async fn after(
        &self,
        caller: &Caller,
        session: SessionId,
        after: EventId,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError>;

    /// Deletes the oldest events of a session or a project until they take at most `most` bytes. `proof` is the hash
    /// of a key that added some of them. Returns false if another replica does it.
    async fn trim(&self, owner: EventOwner, proof: Option<KeyHash>, most: usize) -> Result<bool, StoreError>;
}

/// The most bytes of messages in memory; the oldest are deleted first.
const CAPACITY_BYTES: usize = 64 * 1024 * 1024;
/// Overhead of an event beside its message, in bytes.
const OVERHEAD_BYTES: usize = 200;

/// Stores events in memory, for a server without a database.
#[derive(Debug, Default)]
pub struct MemoryEventStore {
    stored_events: Mutex<StoredEvents>,
}

#[derive(Debug, Default)]
struct StoredEvents {
    streams: HashMap<Uuid, Vec<Event>>,
    oldest_first: VecDeque<EventId>,
    bytes: usize,
}

impl StoredEvents {
    fn keep(&mut self, event: &Event) {
        self.bytes += event.message.len() + OVERHEAD_BYTES;
        self.oldest_first.push_back(event.id);
        self.streams.entry(event.id.stream).or_default().push(event.clone());
        while self.bytes > CAPACITY_BYTES {
            let Some(oldest) = self.oldest_first.pop_front() else { return };
            self.drop_event(oldest);
        }
    }

    fn drop_event(&mut self, id: EventId) {
        let Some(stream) = self.streams.get_mut(&id.stream) else { return };
        if let Some(at) = stream.iter().position(|event| event.id == id) {
            self.bytes -= stream.remove(at).message.len() + OVERHEAD_BYTES;
        }
        if stream.is_empty() {
            self.streams.remove(&id.stream);
        }
    }

    fn trim(&mut self, owner: EventOwner, most: usize) {
        let mut bytes = 0;
        let mut dropped = HashSet::new();
        for id in self.oldest_first.iter().rev() {
            let event =
                self.streams.get(&id.stream).and_then(|stream| stream.iter().find(|event| event.id == *id));
            let counts = |event: &&Event| {
                event.project == owner.project && owner.session.is_none_or(|session| event.session == session)
            };
            if let Some(event) = event.filter(counts) {
                bytes += event.message.len() + OVERHEAD_BYTES;
                if bytes > most {
                    dropped.insert(*id);
                }
            }
        }
        self.oldest_first.retain(|id| !dropped.contains(id));
        for id in dropped {
            self.drop_event(id);
        }
    }
}

#[async_trait]
impl EventStore for MemoryEventStore {
    async fn append(&self, events: &[Event]) -> Result<(), StoreError> {
        let mut stored_events = self.stored_events.lock();
        for event in events {
            stored_events.keep(event);
        }
        Ok(())
    }

    async fn after(
        &self,
        caller: &Caller,
        session: SessionId,
        after: EventId,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let stored_events = self.stored_events.lock();
        let rights = caller.rights();
        let stream = stored_events.streams.get(&after.stream).map(Vec::as_slice).unwrap_or_default();
        let is_after = |event: &&Event| {
            event.session == session
                && caller.owns(event.user, event.project)
                && event.needs.are_within(rights)
                && event.id.place > after.place
        };
        Ok(stream.iter().filter(is_after).take(limit).cloned().collect())
    }

    async fn trim(
        &self,
        owner: EventOwner,
        _proof: Option<KeyHash>,
        most: usize,
    ) -> Result<bool, StoreError> {
        self.stored_events.lock().trim(owner, most);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::caller::Right;

    #[test]
    fn an_id_round_trips_and_other_texts_are_refused() {
        let id = EventId { stream: Uuid::from_u128(7), place: 3 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["0", "", "x-1", "00000000000000000000000000000007-x"] {
            assert_eq!(text.parse::<EventId>(), Err(NotAnEvent), "{text}");
        }
    }

    /// Runs a future of the memory store, which never waits.
    fn now<T>(future: impl Future<Output = T>) -> T {
        let mut context = Context::from_waker(Waker::noop());
        match pin!(future).poll(&mut context) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("the memory waits"),
        }
    }

    #[test]
    fn an_event_is_hidden_from_callers_without_its_rights() {
        let store = MemoryEventStore::default();
        let mut caller = Caller::local("alice");
        let stream = Uuid::from_u128(1);
        let event = |place, needs| Event {
            id: EventId { stream, place },
            session: SessionId(Uuid::nil()),
            user: caller.user,
            project: caller.project,
            proof: None,
            needs,
            message: "{}".to_owned(),
            last: false,
            at: Timestamp::UNIX_EPOCH,
        };
        let read = Rights::NONE.with(Right::Read);
        let stored_events = [
            event(1, Rights::NONE),
            event(2, read),
            event(3, read.with(Right::Write)),
            event(4, Rights::ALL),
        ];
        now(store.append(&stored_events)).unwrap();
        for (scopes, seen) in [
            (vec![], vec![1, 2, 3, 4]),
            (vec![Right::Read], vec![1, 2]),
            (vec![Right::Write, Right::Admin], vec![1]),
            (vec![Right::Read, Right::Write], vec![1, 2, 3]),
        ] {
            caller.scopes = scopes;
            let start = EventId { stream, place: 0 };
            let found = now(store.after(&caller, SessionId(Uuid::nil()), start, 10)).unwrap();
            let places: Vec<u32> = found.iter().map(|event| event.id.place).collect();
            assert_eq!(places, seen, "{:?}", caller.scopes);
        }
    }

    #[test]
    fn trimming_deletes_the_oldest_events_of_one_session_only() {
        let mut stored_events = StoredEvents::default();
        let event = |session: u128, place| Event {
            id: EventId { stream: Uuid::from_u128(session * 100 + u128::from(place)), place },
            session: SessionId(Uuid::from_u128(session)),
            user: UserId(Uuid::nil()),
            project: ProjectId(Uuid::nil()),
            needs: Rights::NONE,
            proof: None,
            message: "x".repeat(1000),
            last: true,
            at: Timestamp::UNIX_EPOCH,
        };
        for place in 1..=10 {
            stored_events.keep(&event(1, place));
            stored_events.keep(&event(2, place));
        }
        let owner = EventOwner {
            user: UserId(Uuid::nil()),
            project: ProjectId(Uuid::nil()),
            session: Some(SessionId(Uuid::from_u128(1))),
        };
        stored_events.trim(owner, 3 * (1000 + OVERHEAD_BYTES));
        let left = |session: u128| {
            (1..=10u32)
                .filter(|place| {
                    stored_events.streams.contains_key(&Uuid::from_u128(session * 100 + u128::from(*place)))
                })
                .collect::<Vec<_>>()
        };
        assert_eq!((left(1), left(2).len()), (vec![8, 9, 10], 10));
        assert_eq!(stored_events.bytes, 13 * (1000 + OVERHEAD_BYTES));
        stored_events.trim(EventOwner { session: None, ..owner }, 4 * (1000 + OVERHEAD_BYTES));
        assert_eq!(
            (stored_events.streams.len(), stored_events.oldest_first.len(), stored_events.bytes),
            (4, 4, 4 * (1000 + OVERHEAD_BYTES))
        );
    }

    #[test]
    fn the_oldest_events_in_memory_are_deleted_first() {
        let mut stored_events = StoredEvents::default();
        let event = |place| Event {
            id: EventId { stream: Uuid::from_u128(u128::from(place)), place },
            session: SessionId(Uuid::nil()),
            user: UserId(Uuid::nil()),
            project: ProjectId(Uuid::nil()),
            proof: None,
            needs: Rights::NONE,
            message: "x".repeat(CAPACITY_BYTES / 4),
            last: true,
            at: Timestamp::UNIX_EPOCH,
        };
        for place in 1..=5 {
            stored_events.keep(&event(place));
        }
        assert!(stored_events.bytes <= CAPACITY_BYTES);
        assert!(!stored_events.streams.contains_key(&Uuid::from_u128(1)));
        assert!(stored_events.streams.contains_key(&Uuid::from_u128(5)));
    }
}
