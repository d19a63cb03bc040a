//! Sessions of the handshake era: a session is a row, not a task, so that any replica can serve any session.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::caller::{Caller, ProjectId, UserId};
use crate::error::StoreError;
use crate::identity::KeyHash;

/// Identifies a session. Random (UUID version 4), since whoever knows it and holds a key of its user may use it.
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

/// What is kept of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionRecord {
    /// Its id.
    pub id: SessionId,
    /// Who opened it.
    pub user: UserId,
    /// In which project.
    pub project: ProjectId,
    /// The protocol version that was agreed upon.
    pub protocol_version: String,
    /// Name and version of the client, as it gave them.
    pub client: Value,
    /// What else the handshake said (the client's capabilities).
    pub metadata: Value,
    /// The resources that the session is subscribed to, at most [`crate::limits::SUBSCRIPTIONS`].
    pub subscriptions: BTreeSet<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was used last, within a minute.
    pub last_seen: Timestamp,
    /// From then on it does not exist.
    pub expires_at: Timestamp,
}

/// Why a session was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// There are as many as a project may have.
    #[error(
        "the project has {0} open sessions, which is as many as it may have; close one or wait until it expires"
    )]
    TooMany(usize),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A session was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionUse {
    /// Which.
    pub session: SessionId,
    /// The hash of the key that used it.
    pub proof: Option<KeyHash>,
    /// When it was used last.
    pub at: Timestamp,
    /// Until when it lives now.
    pub expires_at: Timestamp,
}

/// Keeps sessions. For a caller, the sessions of another user or project do not exist, and neither do expired ones.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Opens a session of the caller; `most` is how many a project may have.
    async fn open(&self, caller: &Caller, session: &SessionRecord, most: usize) -> Result<(), SessionError>;

    /// The caller's session of this id.
    async fn find(
        &self,
        caller: &Caller,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<SessionRecord>, StoreError>;

    /// Adds a subscription, or takes one away, and returns the session as it is then. Adding beyond
    /// [`crate::limits::SUBSCRIPTIONS`] changes nothing.
    async fn subscribe(
        &self,
        caller: &Caller,
        id: SessionId,
        uri: &str,
        subscribed: bool,
    ) -> Result<Option<SessionRecord>, StoreError>;

    /// Ends a session of the caller and drops its events; false if there was none.
    async fn end(&self, caller: &Caller, id: SessionId) -> Result<bool, StoreError>;

    /// Notes that sessions were used, of any tenant, many at once; unknown ones are passed over.
    async fn note_uses(&self, uses: &[SessionUse]) -> Result<(), StoreError>;

    /// Drops sessions that expired before `now` with their events, and events stored before `events_before`: at most
    /// `limit` of each. Returns how many rows went; 0 also when another replica is at it.
    async fn clean_up(
        &self,
        now: Timestamp,
        events_before: Timestamp,
        limit: usize,
    ) -> Result<usize, StoreError>;
}

/// Keeps sessions in memory, for a server without a database.
#[derive(Debug, Default)]
pub struct MemorySessionStore {
    sessions: Mutex<HashMap<SessionId, SessionRecord>>,
}

impl MemorySessionStore {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<SessionId, SessionRecord>) -> T) -> T {
        work(&mut self.sessions.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn belongs(session: &SessionRecord, caller: &Caller) -> bool {
    session.user == caller.user && session.project == caller.project
}

#[async_trait]
impl SessionStore for MemorySessionStore {
    async fn open(&self, caller: &Caller, session: &SessionRecord, most: usize) -> Result<(), SessionError> {
        self.with(|sessions| {
            let now = session.created_at;
            let open = |other: &&SessionRecord| other.project == caller.project && other.expires_at > now;
            if sessions.values().filter(open).count() >= most {
                return Err(SessionError::TooMany(most));
            }
            sessions.insert(session.id, session.clone());
            Ok(())
        })
    }

    async fn find(
        &self,
        caller: &Caller,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<SessionRecord>, StoreError> {
        Ok(self.with(|sessions| {
            let session = sessions.get(&id)?;
            (belongs(session, caller) && session.expires_at > now).then(|| session.clone())
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
            let session = sessions.get_mut(&id).filter(|session| belongs(session, caller))?;
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
            let ours = sessions.get(&id).is_some_and(|session| belongs(session, caller));
            ours && sessions.remove(&id).is_some()
        }))
    }

    async fn note_uses(&self, uses: &[SessionUse]) -> Result<(), StoreError> {
        self.with(|sessions| {
            for used in uses {
                if let Some(session) = sessions.get_mut(&used.session)
                    && session.last_seen < used.at
                {
                    session.last_seen = used.at;
                    session.expires_at = used.expires_at;
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
                .filter(|session| session.expires_at <= now)
                .map(|s| s.id)
                .take(limit)
                .collect();
            for id in &expired {
                sessions.remove(id);
            }
            expired.len()
        }))
    }
}
