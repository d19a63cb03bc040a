//! What was sent to a session, kept so that a client whose connection broke can fetch it again.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::caller::{Caller, ProjectId, Rights, UserId};
use crate::error::StoreError;
use crate::identity::KeyHash;
use crate::store::SessionId;

/// Names an event: the stream it belongs to, and its place there, from 1. Place 0 is the start of the stream, before
/// anything was sent. Written as `<32 hexadecimal digits>-<number>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId {
    /// The stream: the answer to one request.
    pub stream: Uuid,
    /// The place in the stream.
    pub place: u32,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.stream.simple(), self.place)
    }
}

/// The text names no event of ours.
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

/// An event to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub id: EventId,
    /// The session it was sent to.
    pub session: SessionId,
    /// Who may fetch it.
    pub user: UserId,
    /// In which project.
    pub project: ProjectId,
    /// The hash of the key that the request came with; none in what was read back.
    pub proof: Option<KeyHash>,
    /// The rights that it takes to see the message: a session is its user's, whose keys may have fewer rights than the
    /// one that was answered.
    pub needs: Rights,
    /// The JSON-RPC message, on one line.
    pub message: String,
    /// Whether it is the last of its stream.
    pub last: bool,
    /// When it was made.
    pub at: Timestamp,
}

/// Keeps events.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Keeps events of any tenants, all that wait at once, in one statement. An event whose session is gone is passed
    /// over. It need not survive a crash of the database.
    async fn append(&self, events: &[Event]) -> Result<(), StoreError>;

    /// The events of the caller's session that follow `after` in its stream, in order, at most `limit`. Events that
    /// take rights which the caller lacks do not exist for it.
    async fn after(
        &self,
        caller: &Caller,
        session: SessionId,
        after: EventId,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError>;
}

/// How many bytes of messages the memory keeps in all; the oldest go first.
const KEPT_BYTES: usize = 64 * 1024 * 1024;
/// What an event costs beside its message, in bytes.
const OVERHEAD: usize = 200;

/// Keeps events in memory, for a server without a database.
#[derive(Debug, Default)]
pub struct MemoryEventStore {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    streams: HashMap<Uuid, Vec<Event>>,
    oldest_first: VecDeque<EventId>,
    bytes: usize,
}

impl Kept {
    fn keep(&mut self, event: &Event) {
        self.bytes += event.message.len() + OVERHEAD;
        self.oldest_first.push_back(event.id);
        self.streams.entry(event.id.stream).or_default().push(event.clone());
        while self.bytes > KEPT_BYTES {
            let Some(oldest) = self.oldest_first.pop_front() else { return };
            let Some(stream) = self.streams.get_mut(&oldest.stream) else { continue };
            if let Some(at) = stream.iter().position(|event| event.id == oldest) {
                self.bytes -= stream.remove(at).message.len() + OVERHEAD;
            }
            if stream.is_empty() {
                self.streams.remove(&oldest.stream);
            }
        }
    }
}

#[async_trait]
impl EventStore for MemoryEventStore {
    async fn append(&self, events: &[Event]) -> Result<(), StoreError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            kept.keep(event);
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
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let rights = caller.rights();
        let stream = kept.streams.get(&after.stream).map(Vec::as_slice).unwrap_or_default();
        let wanted = |event: &&Event| {
            event.session == session
                && event.user == caller.user
                && event.project == caller.project
                && event.needs.are_within(rights)
                && event.id.place > after.place
        };
        Ok(stream.iter().filter(wanted).take(limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::caller::Right;

    #[test]
    fn an_id_survives_its_text_and_foreign_text_is_none() {
        let id = EventId { stream: Uuid::from_u128(7), place: 3 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["0", "", "x-1", "00000000000000000000000000000007-x"] {
            assert_eq!(text.parse::<EventId>(), Err(NotAnEvent), "{text}");
        }
    }

    /// The memory never waits.
    fn now<T>(future: impl Future<Output = T>) -> T {
        let mut context = Context::from_waker(Waker::noop());
        match pin!(future).poll(&mut context) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("the memory waits"),
        }
    }

    #[test]
    fn an_event_does_not_exist_for_a_caller_who_lacks_a_right_that_it_takes() {
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
        let kept = [
            event(1, Rights::NONE),
            event(2, read),
            event(3, read.with(Right::Write)),
            event(4, Rights::ALL),
        ];
        now(store.append(&kept)).unwrap();
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
    fn memory_forgets_the_oldest_events_first() {
        let mut kept = Kept::default();
        let event = |place| Event {
            id: EventId { stream: Uuid::from_u128(u128::from(place)), place },
            session: SessionId(Uuid::nil()),
            user: UserId(Uuid::nil()),
            project: ProjectId(Uuid::nil()),
            proof: None,
            needs: Rights::NONE,
            message: "x".repeat(KEPT_BYTES / 4),
            last: true,
            at: Timestamp::UNIX_EPOCH,
        };
        for place in 1..=5 {
            kept.keep(&event(place));
        }
        assert!(kept.bytes <= KEPT_BYTES);
        assert!(!kept.streams.contains_key(&Uuid::from_u128(1)));
        assert!(kept.streams.contains_key(&Uuid::from_u128(5)));
    }
}
