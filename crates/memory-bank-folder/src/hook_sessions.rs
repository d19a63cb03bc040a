//! The state of agents' sessions between the calls of a hook, in the user's state folder: a repository cannot bring any. One
//! small file a session, named by a hash, so that an id from outside is never a path. This module must not know its content.

use std::io::{self, Read, Seek, Write};
use std::time::{Duration, Instant};

use memory_bank_core::identity::KeyHash;

use crate::dir::{BankDir, DRAFT_LIFETIME, FileRead};
use crate::state_folder::{StateFolder, check_owner};

const STATES_FOLDER: &str = "hooks";
const SETTINGS_FILE: &str = "hooks.json";
/// The most bytes of the settings.
const MAX_SETTINGS_BYTES: u64 = 16 * 1024;
const LOCK_FILE: &str = "lock";
/// An equal event that comes later than this, in milliseconds, is another one.
const SAME_EVENT_MS: i64 = 2_000;
/// The most events that are claimed at the same time.
const MAX_CLAIMS: usize = 100;
/// The most bytes of one session's state.
const MAX_STATE_BYTES: u64 = 64 * 1024;
/// The most sessions; those without an event for the longest time are removed.
const MAX_SESSIONS: usize = 200;
/// A session without an event for this long is forgotten, in seconds.
const IDLE_SESSION_SECS: i64 = 14 * 24 * 60 * 60;
/// How long a call waits for another one that changes the same state, and how often it tries the lock meanwhile.
const LOCK_TIMEOUT: Duration = Duration::from_millis(200);
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The states of sessions.
#[derive(Debug, Clone)]
pub struct HookSessions {
    folder: StateFolder,
}

impl HookSessions {
    /// In this state folder. It is created when something is stored.
    #[must_use]
    pub fn new(folder: StateFolder) -> Self {
        Self { folder }
    }

    /// A short name for a session, of hexadecimal digits: the same agent and id have the same name.
    #[must_use]
    pub fn name(agent: &str, session: &str) -> String {
        KeyHash::of(format!("{agent}\0{session}").as_bytes()).to_hex().chars().take(24).collect()
    }

    /// The user's settings of hooks, `hooks.json` in the state folder; none if there are none.
    ///
    /// # Errors
    /// The folder cannot be read, or belongs to somebody else.
    pub fn settings(&self) -> io::Result<Option<Vec<u8>>> {
        let dir = match BankDir::open(self.folder.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            dir => dir?,
        };
        check_owner(&dir.metadata()?)?;
        match dir.read_up_to(SETTINGS_FILE, MAX_SETTINGS_BYTES).map_err(io::Error::other)? {
            FileRead::Found(bytes, _) => Ok(Some(bytes)),
            FileRead::Missing => Ok(None),
            FileRead::Unreadable(reason) => {
                Err(io::Error::other(format!("`{SETTINGS_FILE}` cannot be read: {reason}")))
            }
        }
    }

    /// The state of a session; none if nothing is stored.
    ///
    /// # Errors
    /// The folder cannot be read, or belongs to somebody else.
    pub fn load(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(dir) = self.folder.open_existing(STATES_FOLDER)? else { return Ok(None) };
        Ok(stored(&dir, name))
    }

    /// Replaces the state of a session with the result of `change`; nothing is written if that is none. Concurrent calls
    /// run one after the other.
    ///
    /// # Errors
    /// The folder cannot be written, or another call has the lock for too long.
    pub fn update(
        &self,
        name: &str,
        change: impl FnOnce(Option<Vec<u8>>) -> Option<Vec<u8>>,
    ) -> io::Result<()> {
        let (dir, _lock) = self.locked()?;
        let before = stored(&dir, name);
        let Some(after) = change(before) else { return Ok(()) };
        if after.len() as u64 > MAX_STATE_BYTES {
            return Err(io::Error::other(format!("the state has more than {MAX_STATE_BYTES} bytes")));
        }
        dir.replace_beside(&file(name), &after)
    }

    /// Whether nobody has claimed this event of a session in the last two seconds; it is claimed then.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn claim(&self, name: &str, event: u64, now_ms: i64) -> io::Result<bool> {
        let mut is_new = true;
        self.change_claims(|claims| {
            claims.retain(|claim| (now_ms - SAME_EVENT_MS..=now_ms + SAME_EVENT_MS).contains(&claim.at_ms));
            is_new = !claims.iter().any(|claim| claim.session == name && claim.event == event);
            if is_new {
                claims.push(Claim { session: name.to_owned(), event, at_ms: now_ms });
            }
            let surplus = claims.len().saturating_sub(MAX_CLAIMS);
            claims.drain(..surplus);
        })?;
        Ok(is_new)
    }

    /// Forgets the claims of a session.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn forget_claims(&self, name: &str) -> io::Result<()> {
        self.change_claims(|claims| claims.retain(|claim| claim.session != name))
    }

    /// The claims are in the file of the lock, and not flushed: after a crash of the system no agent waits for its hooks.
    fn change_claims(&self, change: impl FnOnce(&mut Vec<Claim>)) -> io::Result<()> {
        let (_dir, mut lock) = self.locked()?;
        let mut text = Vec::new();
        (&lock).take(MAX_STATE_BYTES).read_to_end(&mut text)?;
        let mut claims: Vec<Claim> =
            String::from_utf8_lossy(&text).lines().filter_map(Claim::parse).collect();
        change(&mut claims);
        let text: String = claims.iter().map(Claim::line).collect();
        lock.rewind()?;
        lock.write_all(text.as_bytes())?;
        lock.set_len(text.len() as u64)
    }

    /// The folder, with the lock.
    fn locked(&self) -> io::Result<(BankDir, std::fs::File)> {
        let dir = self.folder.open(STATES_FOLDER)?;
        let lock = dir.open_lock(LOCK_FILE)?;
        let until = Instant::now() + LOCK_TIMEOUT;
        while let Err(error) = lock.try_lock() {
            match error {
                std::fs::TryLockError::Error(error) => return Err(error),
                std::fs::TryLockError::WouldBlock if Instant::now() > until => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "another hook holds the lock"));
                }
                std::fs::TryLockError::WouldBlock => std::thread::sleep(LOCK_POLL_INTERVAL),
            }
        }
        Ok((dir, lock))
    }

    /// Removes sessions without an event for long, the longest idle of too many, and what killed hooks left.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn forget_idle(&self, now_seconds: i64) -> io::Result<()> {
        let Some(dir) = self.folder.open_existing(STATES_FOLDER)? else { return Ok(()) };
        let at = |name: &str| Some(dir.stamp_itself(name)?.updated_at().as_second());
        let (mut known, mut drafts) = (Vec::new(), Vec::new());
        for name in dir.names()? {
            if name.ends_with(".json") && known.len() < 10 * MAX_SESSIONS {
                known.extend(at(&name).map(|at| (at, name)));
            } else if name.ends_with(".tmp") && drafts.len() < 10 * MAX_SESSIONS {
                drafts.extend(at(&name).map(|at| (at, name)));
            }
        }
        for (at, name) in drafts {
            if now_seconds.saturating_sub(at) > DRAFT_LIFETIME.as_secs().cast_signed() {
                dir.remove(&name)?;
            }
        }
        known.sort_unstable_by(|a, b| b.cmp(a));
        for (number, (at, name)) in known.iter().enumerate() {
            if number >= MAX_SESSIONS || now_seconds.saturating_sub(*at) > IDLE_SESSION_SECS {
                dir.remove(name)?;
            }
        }
        Ok(())
    }
}

/// An event that a hook answers.
struct Claim {
    session: String,
    event: u64,
    at_ms: i64,
}

impl Claim {
    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split(' ');
        let session = parts.next()?.to_owned();
        Some(Self { session, event: parts.next()?.parse().ok()?, at_ms: parts.next()?.parse().ok()? })
    }

    fn line(&self) -> String {
        format!("{} {} {}\n", self.session, self.event, self.at_ms)
    }
}

fn file(name: &str) -> String {
    format!("{name}.json")
}

fn stored(dir: &BankDir, name: &str) -> Option<Vec<u8>> {
    match dir.read_up_to(&file(name), MAX_STATE_BYTES) {
        Ok(FileRead::Found(bytes, _)) => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_kept_per_session_and_no_id_is_a_path() {
        let temp = tempfile::tempdir().unwrap();
        let sessions = HookSessions::new(StateFolder::new(temp.path().join("state")));
        let (first, second) =
            (HookSessions::name("a", "../../etc/passwd"), HookSessions::name("b", "../../etc/passwd"));
        assert!(first != second && first.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(sessions.load(&first).unwrap(), None);
        assert!(!temp.path().join("state").exists(), "reading made a folder");
        sessions.update(&first, |before| before.is_none().then(|| b"1".to_vec())).unwrap();
        sessions.update(&first, |before| (before.as_deref() == Some(b"1")).then(|| b"2".to_vec())).unwrap();
        assert_eq!(sessions.load(&first).unwrap().as_deref(), Some(&b"2"[..]));
        assert_eq!(sessions.load(&second).unwrap(), None);
        assert!(sessions.update(&first, |_| Some(vec![0; 70_000])).is_err());
    }

    #[test]
    fn calls_at_the_same_time_lose_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let sessions = HookSessions::new(StateFolder::new(temp.path().to_owned()));
        let name = HookSessions::name("a", "b");
        let add = |before: Option<Vec<u8>>| {
            let mut after = before.unwrap_or_default();
            after.push(b'x');
            Some(after)
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        // A slow machine may exceed the bound of one wait.
                        while sessions.update(&name, add).is_err() {}
                    }
                });
            }
        });
        assert_eq!(sessions.load(&name).unwrap().map(|state| state.len()), Some(40));
    }

    #[test]
    fn an_event_is_claimed_once_within_two_seconds() {
        let temp = tempfile::tempdir().unwrap();
        let sessions = HookSessions::new(StateFolder::new(temp.path().to_owned()));
        let claim = |session: &str, event, at| sessions.claim(session, event, at).unwrap();
        assert!(claim("a", 1, 0) && claim("a", 2, 10) && claim("b", 1, 10));
        assert!(!claim("a", 1, 1_900) && !claim("b", 1, 1_900));
        assert!(claim("a", 1, 2_100) && claim("b", 1, 2_100), "it is another event by then");
        sessions.forget_claims("a").unwrap();
        assert!(claim("a", 1, 2_200) && !claim("b", 1, 2_200));
        (10..1_000).for_each(|event| assert!(claim("a", event, 2_200)));
        assert!(claim("a", 999, -1_000_000), "the clock was set back");
        std::fs::write(temp.path().join(STATES_FOLDER).join(LOCK_FILE), b"\xff no claims\na 5").unwrap();
        assert!(claim("a", 5, 0));
        let sessions = &sessions;
        let won: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| usize::from(sessions.claim("c", 1, 0).unwrap_or(false))))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(won, 1);
    }

    #[test]
    fn quiet_sessions_are_forgotten() {
        let temp = tempfile::tempdir().unwrap();
        let sessions = HookSessions::new(StateFolder::new(temp.path().to_owned()));
        for number in 0..MAX_SESSIONS + 5 {
            sessions.update(&HookSessions::name("a", &number.to_string()), |_| Some(b"{}".to_vec())).unwrap();
        }
        let count = || std::fs::read_dir(temp.path().join(STATES_FOLDER)).unwrap().count() - 1;
        sessions.forget_idle(0).unwrap();
        assert_eq!(count(), MAX_SESSIONS);
        std::fs::write(temp.path().join(STATES_FOLDER).join(".abc.json.1-1.tmp"), b"{").unwrap();
        sessions.forget_idle(0).unwrap();
        assert_eq!(count(), MAX_SESSIONS + 1, "it may be one of a hook that runs");
        sessions.forget_idle(i64::MAX).unwrap();
        assert_eq!(count(), 0);
    }
}
