//! The console of the one user of a computer, on a folder: a link that works once opens it, and its sessions live in this
//! process. To authentication it is a directory whose only keys are those sessions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{Clock, Entropy};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{KeyDirectory, KeyHash, KeyIdentity, KeyUse, PlainToken, TokenKind};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The most sessions at a time. A further session ends the one that would expire first.
const MOST_SESSIONS: usize = 8;
/// How long a link works.
const LINK_LIFE: Duration = Duration::from_secs(120);

/// A link that was not used yet.
struct Link {
    secret: KeyHash,
    ends: Timestamp,
}

/// Who opens the console of a folder, and with which sessions.
pub struct LocalConsole {
    caller: Caller,
    /// The name of the project; that of the bank's own folder is the same for most projects.
    project: Option<String>,
    clock: Arc<dyn Clock>,
    link: Mutex<Option<Link>>,
    redeemed: Notify,
    sessions: Mutex<HashMap<KeyHash, Timestamp>>,
}

impl LocalConsole {
    /// The console of this user, who has every right.
    #[must_use]
    pub fn new(user_name: &str, clock: Arc<dyn Clock>) -> Self {
        let caller = Caller::local(user_name);
        Self {
            caller,
            project: None,
            clock,
            link: Mutex::default(),
            redeemed: Notify::new(),
            sessions: Mutex::default(),
        }
    }

    /// The console that shows this name of the project.
    #[must_use]
    pub fn of_project(self, name: impl Into<String>) -> Self {
        Self { project: Some(name.into()), ..self }
    }

    /// The name of the project, if it has one.
    pub(crate) fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// The path and fragment of a new link, which works once, for two minutes; an older one does not work any more. Browsers send no
    /// fragment, so the secret is in no request line and in no log.
    #[must_use]
    pub fn link(&self, entropy: &dyn Entropy) -> String {
        let secret = PlainToken::generate(TokenKind::SignIn, entropy);
        let ends = self.clock.now().checked_add(LINK_LIFE).unwrap_or(Timestamp::MAX);
        *self.link.lock() = Some(Link { secret: secret.hash(), ends });
        format!("/app/#open={}", secret.expose())
    }

    /// Waits until the link is used.
    pub async fn redeemed(&self) {
        self.redeemed.notified().await;
    }

    /// Redeems the secret of the link; `true` if it was the right one.
    pub(crate) fn redeem(&self, secret: &PlainToken) -> bool {
        let now = self.clock.now();
        let used = self.link.lock().take_if(|link| link.secret == secret.hash());
        let is_good = used.is_some_and(|link| link.ends > now);
        if is_good {
            self.redeemed.notify_one();
        }
        is_good
    }

    /// Adds a session until this time.
    pub(crate) fn add(&self, session: KeyHash, until: Timestamp) {
        let now = self.clock.now();
        let mut sessions = self.sessions.lock();
        sessions.retain(|_, ends| *ends > now);
        if sessions.len() >= MOST_SESSIONS {
            let first = sessions.iter().min_by_key(|(_, ends)| **ends).map(|(session, _)| *session);
            first.map(|session| sessions.remove(&session));
        }
        sessions.insert(session, until);
    }

    /// Ends a session; whether there was one.
    pub(crate) fn remove(&self, session: &KeyHash) -> bool {
        self.sessions.lock().remove(session).is_some()
    }

    /// The name of the user.
    pub(crate) fn user_name(&self) -> &str {
        &self.caller.user_name
    }

    /// The user.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }
}

#[async_trait]
impl KeyDirectory for LocalConsole {
    async fn find(&self, hash: &KeyHash) -> Result<Option<KeyIdentity>, StoreError> {
        let ends = self.sessions.lock().get(hash).copied();
        Ok(ends.map(|ends| KeyIdentity {
            caller: self.caller.clone(),
            rate_limit: 0,
            expires_at: Some(ends),
            revoked_at: None,
            counted_as: self.caller.key,
        }))
    }

    fn is_local(&self) -> bool {
        true
    }

    async fn record_uses(&self, _uses: &[KeyUse]) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use memory_bank_core::caller::Right;
    use memory_bank_core::clock::{SystemClock, SystemEntropy};

    use super::*;

    fn secret_of(link: &str) -> PlainToken {
        PlainToken::parse(TokenKind::SignIn, link.strip_prefix("/app/#open=").unwrap()).unwrap()
    }

    #[test]
    fn a_link_works_once_and_a_new_one_replaces_it() {
        let console = LocalConsole::new("alice", Arc::new(SystemClock));
        let first = secret_of(&console.link(&SystemEntropy));
        let second = secret_of(&console.link(&SystemEntropy));
        assert!(!console.redeem(&first));
        assert!(console.redeem(&second) && !console.redeem(&second));
    }

    /// A clock that a test sets.
    struct Set(Mutex<Timestamp>);

    impl Clock for Set {
        fn now(&self) -> Timestamp {
            *self.0.lock()
        }
    }

    #[test]
    fn a_link_works_for_two_minutes() {
        let clock = Arc::new(Set(Mutex::new(Timestamp::UNIX_EPOCH)));
        let console = LocalConsole::new("alice", Arc::clone(&clock) as Arc<dyn Clock>);
        for (seconds, works) in [(119, true), (120, false)] {
            let secret = secret_of(&console.link(&SystemEntropy));
            *clock.0.lock() += SignedDuration::from_secs(seconds);
            assert_eq!(console.redeem(&secret), works, "after {seconds} seconds");
        }
    }

    #[tokio::test]
    async fn a_session_reads_until_it_ends_and_their_number_is_bounded() {
        let console = LocalConsole::new("alice", Arc::new(SystemClock));
        let session = |number: usize| KeyHash::of(&number.to_be_bytes());
        let far = SystemClock.now() + SignedDuration::from_hours(1);
        for number in 0..=MOST_SESSIONS {
            let later = SignedDuration::from_secs(i64::try_from(number).unwrap());
            console.add(session(number), far + later);
        }
        assert_eq!(console.find(&session(0)).await.unwrap(), None);
        let identity = console.find(&session(1)).await.unwrap().unwrap();
        assert!(Right::ALL.into_iter().all(|right| identity.caller.may(right)));
        assert!(console.remove(&session(1)) && !console.remove(&session(1)));
        assert_eq!(console.find(&session(1)).await.unwrap(), None);
    }
}
