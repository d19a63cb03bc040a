//! A project with its canaries, and the personas that call: keys of its members.

use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::harness::random::Random;

/// The number of letters that all canaries of a project share.
pub(crate) const MARK: usize = 12;
/// The ids of a kind that are kept: the oldest, and the newest up to `MAX_IDS` in all.
const OLDEST_IDS: usize = 12;
const MAX_IDS: usize = 64;

/// The kind of place that a canary is planted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CanaryLocation {
    Text,
    FileName,
    Entity,
    Attribute,
    Client,
    Label,
}

impl CanaryLocation {
    pub(crate) const ALL: [Self; 6] =
        [Self::Text, Self::FileName, Self::Entity, Self::Attribute, Self::Client, Self::Label];

    pub(crate) fn character(self) -> char {
        match self {
            Self::Text => 't',
            Self::FileName => 'f',
            Self::Entity => 'e',
            Self::Attribute => 'a',
            Self::Client => 'c',
            Self::Label => 'l',
        }
    }
}

/// A kind of id or name that a call can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    File,
    EntityName,
    EntityId,
    Observation,
    Relation,
    Backup,
    Session,
    Thinking,
    Event,
    Cursor,
    Etag,
    KeyId,
    RequestId,
}

/// A project.
pub(crate) struct Tenant {
    pub(crate) slug: &'static str,
    /// The prefix of every canary of the project.
    pub(crate) mark: String,
    planted: AtomicU64,
    things: Mutex<BTreeMap<Kind, VecDeque<String>>>,
}

impl Tenant {
    pub(crate) fn new(slug: &'static str, random: &mut Random) -> Self {
        let mark = random.letters(MARK);
        Self { slug, mark, planted: AtomicU64::new(0), things: Mutex::default() }
    }

    /// A new canary.
    pub(crate) fn canary(&self, location: CanaryLocation) -> String {
        let number = self.planted.fetch_add(1, Ordering::Relaxed);
        format!("{}{}{number:07}", self.mark, location.character())
    }

    /// Remembers an id or a name.
    pub(crate) fn learn(&self, kind: Kind, thing: &str) {
        let mut things = locked(&self.things);
        let known = things.entry(kind).or_default();
        if known.iter().any(|other| other == thing) {
            return;
        }
        if known.len() == MAX_IDS {
            known.remove(OLDEST_IDS);
        }
        known.push_back(thing.to_owned());
    }

    /// A random id or name. The other project gets none with a canary in it: a canary that it sends itself would
    /// be mistaken for a leak.
    pub(crate) fn thing(&self, kind: Kind, outside: bool, random: &mut Random) -> Option<String> {
        let things = locked(&self.things);
        let known: Vec<&String> =
            things.get(&kind)?.iter().filter(|thing| !outside || !thing.contains(&self.mark)).collect();
        if known.is_empty() {
            return None;
        }
        Some((*random.pick(&known)).clone())
    }

    /// Whether the project has, or had, this id or name.
    pub(crate) fn knows(&self, kind: Kind, thing: &str) -> bool {
        locked(&self.things).get(&kind).is_some_and(|known| known.iter().any(|other| other == thing))
    }

    pub(crate) fn forget(&self, kind: Kind, thing: &str) {
        if let Some(known) = locked(&self.things).get_mut(&kind) {
            known.retain(|other| other != thing);
        }
    }
}

/// The rights of a key at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) reads: bool,
    /// Whether a revocation was acknowledged.
    pub(crate) void: bool,
    /// Counts changes, so that calls during a change are recognised.
    generation: u64,
}

/// A key of a member.
pub(crate) struct Persona {
    pub(crate) name: String,
    /// The index of the project.
    pub(crate) tenant: usize,
    pub(crate) key: String,
    pub(crate) key_id: String,
    /// Whether it has all rights in the project.
    pub(crate) is_owner: bool,
    /// Whether the scopes allow `admin`, with which labels of keys may be seen.
    pub(crate) administers: bool,
    access: Mutex<Access>,
    /// The canaries that this key has sent.
    sent: Mutex<HashSet<String>>,
    sessions: Mutex<VecDeque<String>>,
}

/// The number of sessions of a key.
const SESSIONS: usize = 3;

impl Persona {
    pub(crate) fn new(name: String, tenant: usize, key: String, key_id: String, scopes: &str) -> Self {
        let all = scopes.is_empty();
        let access = Access { reads: all || scopes.contains("read"), void: false, generation: 0 };
        Self {
            is_owner: false,
            administers: all || scopes.contains("admin"),
            name,
            tenant,
            key,
            key_id,
            access: Mutex::new(access),
            sent: Mutex::default(),
            sessions: Mutex::default(),
        }
    }

    pub(crate) fn access(&self) -> Access {
        *locked(&self.access)
    }

    /// Records new rights. Call it after the acknowledgement if rights are taken, before the request if rights are given.
    pub(crate) fn change(&self, reads: bool, void: bool) {
        let mut access = locked(&self.access);
        *access = Access { reads, void, generation: access.generation + 1 };
    }

    pub(crate) fn note_sent(&self, canaries: impl Iterator<Item = String>) {
        locked(&self.sent).extend(canaries);
    }

    pub(crate) fn has_sent(&self, canary: &str) -> bool {
        locked(&self.sent).contains(canary)
    }

    pub(crate) fn session(&self, random: &mut Random) -> Option<String> {
        let sessions = locked(&self.sessions);
        (!sessions.is_empty()).then(|| sessions[random.below(sessions.len())].clone())
    }

    pub(crate) fn has_session(&self) -> bool {
        !locked(&self.sessions).is_empty()
    }

    pub(crate) fn opened(&self, session: String) {
        locked(&self.sessions).push_back(session);
    }

    /// A session to end, so that the project's quota is not used up.
    pub(crate) fn session_too_many(&self) -> Option<String> {
        let mut sessions = locked(&self.sessions);
        if sessions.len() > SESSIONS { sessions.pop_front() } else { None }
    }

    pub(crate) fn closed(&self, session: &str) {
        locked(&self.sessions).retain(|other| other != session);
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}
