//! Sessions of clients with a handshake: a session is a row, not a task, so that any replica can serve any session.

use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::caller::{Caller, KeyId, ProjectId, UserId};
use crate::error::StoreError;
use crate::identity::KeyHash;

/// Identifies a session. Random (UUID version 4), since anybody who knows it and has a key of its user may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SessionId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

/// The stored session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionRecord {
    /// Its id.
    pub id: SessionId,
    /// The user who opened it.
    pub user: UserId,
    /// The project.
    pub project: ProjectId,
    /// The negotiated protocol version.
    pub protocol_version: String,
    /// The name and version of the client, as sent.
    pub client: Value,
    /// Other data of the handshake (the client's capabilities).
    pub metadata: Value,
    /// The subscribed resources, at most [`crate::limits::SUBSCRIPTIONS`].
    pub subscriptions: BTreeSet<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last used, accurate to a minute.
    pub last_seen: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl SessionRecord {
    /// Whether the session belongs to this caller: same user, same project. For others it does not exist. The SQL of stores
    /// implements the same rule.
    #[must_use]
    pub fn belongs_to(&self, caller: &Caller) -> bool {
        caller.owns(self.user, self.project)
    }
}

/// Why a session was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The project has the most sessions that are allowed.
    #[error(
        "the project has {0} open sessions, which is as many as it may have; close one or wait until it expires"
    )]
    TooMany(usize),
    /// The key has the most sessions that are allowed, and none of them is idle.
    #[error(
        "this key or token has {0} open sessions, which is as many as it may have, and used each of them lately; end one, or wait \
         until one has been idle for a few minutes"
    )]
    TooManyOfKey(usize),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The most open sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// The most sessions of one project.
    pub per_project: usize,
    /// The most sessions of one key.
    pub per_key: usize,
    /// A session that was last used before this time is idle: it may be replaced by the next session of its key.
    pub idle_before: Timestamp,
}

/// One use of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionUse {
    /// Which.
    pub session: SessionId,
    /// The hash of the key that used it.
    pub proof: Option<KeyHash>,
    /// The key, to whose limit the session counts from now on.
    pub key: Option<KeyId>,
    /// When it was last used.
    pub at: Timestamp,
    /// When it expires now.
    pub expires_at: Timestamp,
}

/// Stores sessions. For a caller, sessions of other users and projects do not exist, and neither do expired ones.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Opens a session of the caller. At a limit, the oldest idle session of the caller's key ends, never one of
    /// another key; returns the ended session.
    async fn open(
        &self,
        caller: &Caller,
        session: &SessionRecord,
        limits: SessionLimits,
    ) -> Result<Option<SessionId>, SessionError>;

    /// The caller's session with this id.
    async fn find(
        &self,
        caller: &Caller,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<SessionRecord>, StoreError>;

    /// Adds or removes a subscription, and returns the new state of the session. Adding beyond
    /// [`crate::limits::SUBSCRIPTIONS`] changes nothing.
    async fn subscribe(
        &self,
        caller: &Caller,
        id: SessionId,
        uri: &str,
        subscribed: bool,
    ) -> Result<Option<SessionRecord>, StoreError>;

    /// Ends a session of the caller and deletes its events; returns false if it does not exist.
    async fn end(&self, caller: &Caller, id: SessionId) -> Result<bool, StoreError>;

    /// Records uses of many sessions of any tenant; unknown sessions are skipped.
    async fn record_uses(&self, uses: &[SessionUse]) -> Result<(), StoreError>;

    /// Deletes sessions that expired before `now` with their events, and events stored before `events_before`: at
    /// most `limit` of each. Returns the number of deleted rows; 0 also if another replica does it.
    async fn clean_up(
        &self,
        now: Timestamp,
        events_before: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError>;
}

/// Stores sessions in memory, for a server without a database.
#[derive(Debug, Default)]
pub struct MemorySessionStore {
    sessions: Mutex<HashMap<SessionId, Stored>>,
}

/// A session, and the key that last used it.
#[derive(Debug)]
struct Stored {
    session: SessionRecord,
    key: Option<KeyId>,
}

impl MemorySessionStore {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<SessionId, Stored>) -> T) -> T {
        work(&mut self.sessions.lock())
    }
}

#[async_trait]
impl SessionStore for MemorySessionStore {
    async fn open(
        &self,
        caller: &Caller,
        session: &SessionRecord,
        limits: SessionLimits,
    ) -> Result<Option<SessionId>, SessionError> {
        self.with(|sessions| {
            let open = |other: &&Stored| {
                other.session.project == caller.project && other.session.expires_at > session.created_at
            };
            let of_project = sessions.values().filter(open).count();
            let own: Vec<&SessionRecord> = sessions
                .values()
                .filter(open)
                .filter(|other| other.key == caller.key && other.session.belongs_to(caller))
                .map(|other| &other.session)
                .collect();
            let key_full = own.len() >= limits.per_key;
            let mut ended = None;
            if key_full || of_project >= limits.per_project {
                let idle = own.iter().filter(|other| other.last_seen < limits.idle_before);
                ended = idle.min_by_key(|other| other.last_seen).map(|other| other.id);
                match ended {
                    Some(id) => drop(sessions.remove(&id)),
                    None if key_full => return Err(SessionError::TooManyOfKey(limits.per_key)),
                    None => return Err(SessionError::TooMany(limits.per_project)),
                }
            }
            sessions.insert(session.id, Stored { session: session.clone(), key: caller.key });
            Ok(ended)
        })
    }

    async fn find(
        &self,
        caller: &Caller,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<SessionRecord>, StoreError> {
        Ok(self.with(|sessions| {
            let session = &sessions.get(&id)?.session;
            (session.belongs_to(caller) && session.expires_at > now).then(|| session.clone())
        }))
    }

    async fn subscribe(
        &self,
        caller: &Caller,
        id: SessionId,
        uri: &str,
        subscribed: bool,
    ) -> Result<Option<SessionRecord>, StoreError> {
        Ok(self.with(|sessions| {
            let session =
                &mut sessions.get_mut(&id).filter(|stored| stored.session.belongs_to(caller))?.session;
            if !subscribed {
                session.subscriptions.remove(uri);
            } else if session.subscriptions.len() < crate::limits::SUBSCRIPTIONS {
                session.subscriptions.insert(uri.to_owned());
            }
            Some(session.clone())
        }))
    }

    async fn end(&self, caller: &Caller, id: SessionId) -> Result<bool, StoreError> {
        Ok(self.with(|sessions| {
            let ours = sessions.get(&id).is_some_and(|stored| stored.session.belongs_to(caller));
            ours && sessions.remove(&id).is_some()
        }))
    }

    async fn record_uses(&self, uses: &[SessionUse]) -> Result<(), StoreError> {
        self.with(|sessions| {
            for used in uses {
                if let Some(stored) = sessions.get_mut(&used.session)
                    && stored.session.last_seen < used.at
                {
                    stored.session.last_seen = used.at;
                    stored.session.expires_at = used.expires_at;
                    stored.key = used.key;
                }
            }
        });
        Ok(())
    }

    async fn clean_up(
        &self,
        now: Timestamp,
        _events_before: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError> {
        Ok(self.with(|sessions| {
            let expired: Vec<SessionId> = sessions
                .values()
                .filter(|stored| stored.session.expires_at <= now)
                .map(|stored| stored.session.id)
                .take(limit)
                .collect();
            for id in &expired {
                sessions.remove(id);
            }
            expired.len()
        }))
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;
    use crate::caller::Role;

    fn caller(key: u128) -> Caller {
        let key = Some(KeyId(Uuid::from_u128(key)));
        Caller { key, role: Role::Viewer, ..Caller::local("someone") }
    }

    fn session(id: u128, caller: &Caller, last_seen: Timestamp) -> SessionRecord {
        SessionRecord {
            id: SessionId(Uuid::from_u128(id)),
            user: caller.user,
            project: caller.project,
            protocol_version: String::new(),
            client: Value::Null,
            metadata: Value::Null,
            subscriptions: BTreeSet::new(),
            created_at: last_seen,
            last_seen,
            expires_at: last_seen + 24.hours(),
        }
    }

    /// Runs a future of the memory store, which never waits.
    fn at_once<T>(answer: impl Future<Output = T>) -> T {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(answer).poll(&mut context) {
            std::task::Poll::Ready(answer) => answer,
            std::task::Poll::Pending => panic!("memory does not wait"),
        }
    }

    #[test]
    fn only_the_oldest_idle_session_of_the_same_key_is_replaced() {
        let store = MemorySessionStore::default();
        let (one, other) = (caller(1), caller(2));
        let start = Timestamp::UNIX_EPOCH;
        let limits =
            |idle: i64| SessionLimits { per_project: 3, per_key: 2, idle_before: start + idle.minutes() };
        let open = |caller: &Caller, id: u128, minute: i64, idle: i64| {
            at_once(store.open(caller, &session(id, caller, start + minute.minutes()), limits(idle)))
        };
        assert_eq!(open(&other, 1, 0, 0).unwrap(), None);
        assert_eq!(open(&one, 2, 2, 0).unwrap(), None);
        assert_eq!(open(&one, 3, 1, 0).unwrap(), None);
        assert!(matches!(open(&one, 4, 9, 0), Err(SessionError::TooManyOfKey(2))));
        assert!(matches!(open(&other, 4, 9, 0), Err(SessionError::TooMany(3))));
        assert_eq!(open(&one, 4, 9, 9).unwrap(), Some(SessionId(Uuid::from_u128(3))));
        assert_eq!(open(&other, 5, 9, 9).unwrap(), Some(SessionId(Uuid::from_u128(1))));
        assert!(matches!(open(&caller(3), 6, 9, 9), Err(SessionError::TooMany(3))));
    }

    #[test]
    fn a_session_belongs_only_to_its_user_in_its_project() {
        let owner = caller(1);
        let session = session(1, &owner, Timestamp::UNIX_EPOCH);
        assert!(session.belongs_to(&owner) && session.belongs_to(&Caller { key: None, ..owner.clone() }));
        let another_user = Caller { user: UserId(Uuid::from_u128(77)), ..owner.clone() };
        let another_project = Caller { project: ProjectId(Uuid::from_u128(78)), ..owner };
        assert!(!session.belongs_to(&another_user) && !session.belongs_to(&another_project));
    }

    #[test]
    fn a_session_counts_against_the_key_that_used_it_last() {
        let store = MemorySessionStore::default();
        let (one, other) = (caller(1), caller(2));
        let start = Timestamp::UNIX_EPOCH;
        let limits = SessionLimits { per_project: 9, per_key: 1, idle_before: start };
        let opened = session(1, &one, start);
        at_once(store.open(&one, &opened, limits)).unwrap();
        let at = start + 1.hour();
        let used =
            SessionUse { session: opened.id, proof: None, key: other.key, at, expires_at: at + 24.hours() };
        at_once(store.record_uses(&[used])).unwrap();
        let refused = at_once(store.open(&other, &session(2, &other, at), limits));
        assert!(matches!(refused, Err(SessionError::TooManyOfKey(1))));
        assert_eq!(at_once(store.open(&one, &session(3, &one, at), limits)).unwrap(), None);
    }
}
