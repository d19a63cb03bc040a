//! The state of agents' sessions between the calls of a hook, in the user's state folder: a repository cannot bring any. One
//! small file a session, named by a hash, so that an id from outside is never a path. This module must not know its content.

use std::io::{self, Read, Seek, Write};
use std::time::{Duration, Instant};

use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::identity::KeyHash;

use crate::dir::{BankDir, DRAFT_LIFETIME, FileRead};
use crate::state_folder::{StateFolder, check_owner};

const STATES_FOLDER: &str = "hooks";
const SETTINGS_FILE: &str = "hooks.json";
/// The most bytes of the settings.
const MAX_SETTINGS_BYTES: u64 = 16 * 1024;
/// The ends of the names of a session's files: its state, its lock with its claims, and a record that is not in its bank yet.
const STATE_END: &str = ".json";
const LOCK_END: &str = ".lock";
const DUE_END: &str = ".due";
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
    /// run one after the other. The disk is not waited for, which took a quarter of a hook's time: a session does not survive a crash of
    /// the system.
    ///
    /// # Errors
    /// The folder cannot be written, or another call has the lock for too long.
    pub fn update(
        &self,
        name: &str,
        change: impl FnOnce(Option<Vec<u8>>) -> Option<Vec<u8>>,
    ) -> io::Result<()> {
        let (dir, _lock) = self.locked(name)?;
        let before = stored(&dir, name);
        let Some(after) = change(before) else { return Ok(()) };
        check_length(&after)?;
        dir.replace_beside_without_flush(&file(name), &after)
    }

    /// Stores what is to be written into a bank at the end of a session, until [`Self::settle`]: a hook may end before it is written.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn set_due(&self, name: &str, due: &[u8]) -> io::Result<()> {
        check_length(due)?;
        let (dir, _lock) = self.locked(name)?;
        dir.replace_beside(&due_file(name), due)
    }

    /// What is to be written yet, with the names of its sessions.
    ///
    /// # Errors
    /// The folder cannot be read, or belongs to somebody else.
    pub fn due(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let Some(dir) = self.folder.open_existing(STATES_FOLDER)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for file in dir.names()?.filter(|file| file.ends_with(DUE_END)).take(MAX_SESSIONS) {
            if let Ok(FileRead::Found(due, _)) = dir.read_up_to(&file, MAX_STATE_BYTES)
                && let Some(name) = file.strip_suffix(DUE_END)
            {
                found.push((name.to_owned(), due));
            }
        }
        Ok(found)
    }

    /// Forgets what was to be written, unless it is something else by now.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn settle(&self, name: &str, written: &[u8]) -> io::Result<()> {
        let (dir, _lock) = self.locked(name)?;
        let file = due_file(name);
        match dir.read_up_to(&file, MAX_STATE_BYTES) {
            Ok(FileRead::Found(due, _)) if due == written => dir.remove(&file),
            _ => Ok(()),
        }
    }

    /// Whether nobody has claimed this event of a session in the last two seconds; it is claimed then.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn claim(&self, name: &str, event: u64, now_ms: i64) -> io::Result<bool> {
        let mut is_new = true;
        self.change_claims(name, |claims| {
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
        self.change_claims(name, |claims| claims.retain(|claim| claim.session != name))
    }

    /// The claims are in the file of the lock, and not flushed: after a crash of the system no agent waits for its hooks.
    fn change_claims(&self, name: &str, change: impl FnOnce(&mut Vec<Claim>)) -> io::Result<()> {
        let (_dir, mut lock) = self.locked(name)?;
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

    /// The folder, with the lock of the session. Sessions do not wait for each other: many agents may work at the same time.
    fn locked(&self, name: &str) -> io::Result<(BankDir, std::fs::File)> {
        let dir = self.folder.open(STATES_FOLDER)?;
        let lock = dir.open_lock(&lock_file(name))?;
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

    /// Removes sessions without an event for long, the longest idle of too many, their locks, and what killed hooks left.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn forget_idle(&self, now_seconds: i64) -> io::Result<()> {
        let Some(dir) = self.folder.open_existing(STATES_FOLDER)? else { return Ok(()) };
        let at = |name: &str| Some(dir.stamp_itself(name)?.updated_at().as_second());
        let ends = [STATE_END, DUE_END, LOCK_END, ".tmp"];
        let mut found = ends.map(|end| (end, Vec::new()));
        for name in dir.names()? {
            let of_its_kind = found.iter_mut().find(|(end, _)| name.ends_with(end));
            if let Some((_, files)) = of_its_kind.filter(|(_, files)| files.len() < 10 * MAX_SESSIONS) {
                files.extend(at(&name).map(|at| (at, name)));
            }
        }
        let [(_, mut states), (_, mut due), (_, locks), (_, drafts)] = found;
        let is_left = |at: i64| now_seconds.saturating_sub(at) > DRAFT_LIFETIME.as_secs().cast_signed();
        let mut removed = Vec::new();
        for files in [&mut states, &mut due] {
            files.compact_sort_by(|a, b| b.cmp(a));
            let is_idle = |at: i64| now_seconds.saturating_sub(at) > IDLE_SESSION_SECS;
            let kept = files.partition_point(|(at, _)| !is_idle(*at)).min(MAX_SESSIONS);
            removed.extend(files.drain(kept..).map(|(_, name)| name));
        }
        // A lock is used as long as its session has a state.
        let has_state = |lock: &str| {
            let state = lock.strip_suffix(LOCK_END).map(file);
            states.iter().any(|(_, kept)| Some(kept) == state.as_ref())
        };
        let unused = locks.into_iter().filter(|(_, lock)| !has_state(lock));
        removed.extend(unused.chain(drafts).filter(|(at, _)| is_left(*at)).map(|(_, name)| name));
        dir.remove_all(removed.iter().map(String::as_str))
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
    format!("{name}{STATE_END}")
}

fn due_file(name: &str) -> String {
    format!("{name}{DUE_END}")
}

fn lock_file(name: &str) -> String {
    format!("{name}{LOCK_END}")
}

fn check_length(content: &[u8]) -> io::Result<()> {
    if content.len() as u64 > MAX_STATE_BYTES {
        return Err(io::Error::other(format!("the state has more than {MAX_STATE_BYTES} bytes")));
    }
    Ok(())
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
    fn sessions_do_not_wait_for_each_other() {
        let temp = tempfile::tempdir().unwrap();
        let sessions = HookSessions::new(StateFolder::new(temp.path().to_owned()));
        let names: Vec<String> = (0..40).map(|number| HookSessions::name("a", &number.to_string())).collect();
        let (first, others) = names.split_first().unwrap();
        // The lock of the first one is held all the time.
        let changed = sessions.update(first, |_| {
            for (number, name) in others.iter().enumerate() {
                sessions.update(name, |_| Some(b"1".to_vec())).unwrap();
                assert!(sessions.claim(name, 7, 0).unwrap(), "{number}");
            }
            Some(b"1".to_vec())
        });
        changed.unwrap();
        assert!(others.iter().all(|name| sessions.load(name).unwrap().is_some()));
    }

    #[test]
    fn what_is_due_is_kept_until_it_is_settled() {
        let temp = tempfile::tempdir().unwrap();
        let sessions = HookSessions::new(StateFolder::new(temp.path().to_owned()));
        assert_eq!(sessions.due().unwrap(), []);
        sessions.set_due("a", b"1").unwrap();
        sessions.settle("b", b"1").unwrap();
        sessions.set_due("a", b"2").unwrap();
        sessions.settle("a", b"1").unwrap();
        assert_eq!(sessions.due().unwrap(), [("a".to_owned(), b"2".to_vec())], "it was replaced meanwhile");
        sessions.settle("a", b"2").unwrap();
        assert_eq!(sessions.due().unwrap(), []);
        assert!(sessions.set_due("a", &vec![0; 70_000]).is_err());
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
        std::fs::write(temp.path().join(STATES_FOLDER).join(lock_file("a")), b"\xff no claims\na 5").unwrap();
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
    fn a_folder_in_the_place_of_a_state_keeps_no_other() {
        let temp = tempfile::tempdir().unwrap();
        let sessions = HookSessions::new(StateFolder::new(temp.path().to_owned()));
        sessions.update("quiet", |_| Some(b"{}".to_vec())).unwrap();
        for end in [STATE_END, DUE_END, LOCK_END] {
            std::fs::create_dir(temp.path().join(STATES_FOLDER).join(format!("folder{end}"))).unwrap();
        }
        sessions.forget_idle(i64::MAX).unwrap_err();
        assert_eq!(sessions.load("quiet").unwrap(), None);
    }

    #[test]
    fn quiet_sessions_are_forgotten() {
        let temp = tempfile::tempdir().unwrap();
        let sessions = HookSessions::new(StateFolder::new(temp.path().to_owned()));
        for number in 0..MAX_SESSIONS + 5 {
            sessions.update(&HookSessions::name("a", &number.to_string()), |_| Some(b"{}".to_vec())).unwrap();
        }
        let files = || std::fs::read_dir(temp.path().join(STATES_FOLDER)).unwrap();
        let is_lock = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(LOCK_END);
        let count = || files().filter(|entry| !is_lock(&entry.as_ref().unwrap().file_name())).count();
        sessions.forget_idle(0).unwrap();
        assert_eq!(count(), MAX_SESSIONS);
        assert_eq!(files().count(), 2 * MAX_SESSIONS + 5, "a lock may be used at this moment");
        std::fs::write(temp.path().join(STATES_FOLDER).join(".abc.json.1-1.tmp"), b"{").unwrap();
        sessions.forget_idle(0).unwrap();
        assert_eq!(count(), MAX_SESSIONS + 1, "it may be one of a hook that runs");
        let now = files().next().unwrap().unwrap().metadata().unwrap().modified().unwrap();
        let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        sessions.forget_idle(i64::try_from(now).unwrap() + 1_000).unwrap();
        assert_eq!(files().count(), 2 * MAX_SESSIONS, "the lock of a kept session is kept");
        sessions.forget_idle(i64::MAX).unwrap();
        assert_eq!(files().count(), 0);
    }
}
