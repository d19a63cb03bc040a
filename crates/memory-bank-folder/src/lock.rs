//! The lock of a bank, which every change of its files holds, of documents and graph alike.
//!
//! Inside the process it is a fair queue; between processes it is an operating system lock on a file in the bank's
//! internal folder, which the system releases when a process dies. Both waits are bounded. This module must not know
//! what the lock guards.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use memory_bank_core::error::StoreError;
use memory_bank_core::limits;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::dir::{BankDir, INTERNAL, Root};
use crate::journal;

const LOCK_FILE: &str = "lock";

/// The lock of the bank in one directory. Clones are the same lock.
#[derive(Debug, Clone)]
pub struct BankLock {
    root: Root,
    queue: Arc<RwLock<()>>,
    wait: Duration,
    swept: Arc<AtomicBool>,
}

/// The right to change the bank, and the directory to do it. Released when dropped; may move between threads.
#[derive(Debug)]
pub struct WriteGuard {
    dir: BankDir,
    _file: File,
    _queue: OwnedRwLockWriteGuard<()>,
}

/// No process changes the bank while this exists.
#[derive(Debug)]
pub struct ReadGuard {
    dir: BankDir,
    file: Option<File>,
    /// The lock file is replaced by something that cannot be locked; then there is nothing to wait for.
    cannot_lock: bool,
    _queue: OwnedRwLockReadGuard<()>,
}

impl WriteGuard {
    /// The bank's directory.
    #[must_use]
    pub fn dir(&self) -> &BankDir {
        &self.dir
    }
}

impl ReadGuard {
    /// The bank's directory.
    #[must_use]
    pub fn dir(&self) -> &BankDir {
        &self.dir
    }

    /// Whether other processes were excluded all the time. They were not if the first writer ever created the lock
    /// file meanwhile.
    #[must_use]
    pub fn excluded_processes(&self) -> bool {
        self.file.is_some() || self.cannot_lock || !self.dir.exists(&format!("{INTERNAL}/{LOCK_FILE}"))
    }
}

impl BankLock {
    /// The lock of the bank there. All who use the bank in this process share one.
    #[must_use]
    pub fn new(root: Root) -> Self {
        Self::waiting(root, Duration::from_millis(limits::LOCK_WAIT_MS))
    }

    /// The lock with another bound on waiting.
    #[must_use]
    pub fn waiting(root: Root, wait: Duration) -> Self {
        Self { root, queue: Arc::default(), wait, swept: Arc::default() }
    }

    /// The bank's directory on the host.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// The way to the bank's directory.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Waits for the right to change the bank. A missing bank folder is created.
    ///
    /// # Errors
    /// [`StoreError::Busy`] after the bound, or the folder cannot be written.
    pub async fn exclusive(&self) -> Result<WriteGuard, StoreError> {
        let deadline = Instant::now() + self.wait;
        let queue = tokio::time::timeout(self.wait, Arc::clone(&self.queue).write_owned())
            .await
            .map_err(|_| StoreError::Busy)?;
        let (root, swept) = (self.root.clone(), Arc::clone(&self.swept));
        blocking(move || {
            let (dir, file) = lock_exclusive(&root, deadline)?;
            if journal::is_pending(&dir) {
                journal::recover(&dir)?;
            } else if !swept.swap(true, Ordering::Relaxed) {
                // Leftovers of a process that died before its commit.
                dir.discard_all_staged();
            }
            Ok(WriteGuard { dir, _file: file, _queue: queue })
        })
        .await
    }

    /// Waits until no process changes the bank, and prevents changes. Works on a read-only folder. An interrupted change is
    /// completed first.
    ///
    /// # Errors
    /// [`StoreError::Busy`] after the bound, or the folder cannot be opened.
    pub async fn shared(&self) -> Result<ReadGuard, StoreError> {
        let guard = self.shared_as_is().await?;
        if !journal::is_pending(guard.dir()) {
            return Ok(guard);
        }
        drop(guard);
        if let Err(error) = self.exclusive().await {
            // The folder may be read-only; then show its current content.
            tracing::warn!(%error, "reading a memory bank in which a change was interrupted");
        }
        self.shared_as_is().await
    }

    async fn shared_as_is(&self) -> Result<ReadGuard, StoreError> {
        let deadline = Instant::now() + self.wait;
        let queue = tokio::time::timeout(self.wait, Arc::clone(&self.queue).read_owned())
            .await
            .map_err(|_| StoreError::Busy)?;
        let root = self.root.clone();
        blocking(move || {
            let dir = root.open().map_err(StoreError::io("cannot open the memory bank"))?;
            let (file, cannot_lock) = match dir.open_internal(LOCK_FILE, false) {
                Ok(file) => {
                    wait_for(deadline, || file.try_lock_shared())?;
                    (Some(file), false)
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => (None, false),
                Err(error) => {
                    tracing::debug!(%error, "reading without a lock");
                    (None, true)
                }
            };
            Ok(ReadGuard { dir, file, cannot_lock, _queue: queue })
        })
        .await
    }
}

/// Runs blocking work beside the asynchronous tasks. It goes on to its end even if the caller goes away.
///
/// # Errors
/// The result of the work; a panic in it becomes [`StoreError::Unavailable`].
pub async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Unavailable(format!("the work was interrupted: {error}")).into()),
    }
}

fn lock_exclusive(root: &Root, deadline: Instant) -> Result<(BankDir, File), StoreError> {
    loop {
        let dir = root.create().map_err(StoreError::io("cannot open the memory bank"))?;
        let file = dir
            .prepare_internal()
            .and_then(|()| dir.open_internal(LOCK_FILE, true))
            .map_err(StoreError::io(format!("cannot write to the memory bank (its folder `{INTERNAL}`)")))?;
        wait_for(deadline, || file.try_lock())?;
        // The folder, or the lock file, may have been deleted during the wait.
        if dir.is_at(root) && is_current(&dir, &file) {
            return Ok((dir, file));
        }
        if Instant::now() >= deadline {
            return Err(StoreError::Busy);
        }
    }
}

/// Tries to lock until the deadline, at growing intervals.
pub(crate) fn wait_for(
    deadline: Instant,
    mut attempt: impl FnMut() -> Result<(), TryLockError>,
) -> Result<(), StoreError> {
    let mut pause = Duration::from_micros(200);
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(
                    "the file system has no locks: other processes must not write to this memory bank"
                );
                return Ok(());
            }
            Err(TryLockError::Error(error)) => {
                return Err(StoreError::io("cannot lock the memory bank")(error));
            }
        }
        if Instant::now() >= deadline {
            return Err(StoreError::Busy);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

/// Whether the locked file is still the current lock file.
fn is_current(dir: &BankDir, file: &File) -> bool {
    use cap_fs_ext::MetadataExt;
    let locked = cap_std::fs::File::from_std(match file.try_clone() {
        Ok(file) => file,
        Err(_) => return false,
    })
    .metadata();
    let named = dir.stamp(&format!("{INTERNAL}/{LOCK_FILE}"));
    matches!((locked, named), (Ok(locked), Some(named)) if locked.ino() == named.inode)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tempfile::TempDir;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn two_instances_on_one_folder_exclude_each_other() {
        let temp = TempDir::new().unwrap();
        let locks = [0, 1].map(|_| {
            let root = Root::anywhere(temp.path().join("bank"));
            Arc::new(BankLock::waiting(root, Duration::from_secs(120)))
        });
        let inside = Arc::new(AtomicU32::new(0));
        let mut tasks = Vec::new();
        for lock in locks.iter().cycle().take(20) {
            let (lock, inside) = (Arc::clone(lock), Arc::clone(&inside));
            tasks.push(tokio::spawn(async move {
                let guard = lock.exclusive().await.unwrap();
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                tokio::time::sleep(Duration::from_millis(2)).await;
                inside.fetch_sub(1, Ordering::SeqCst);
                drop(guard);
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    }

    #[tokio::test]
    async fn waiting_for_another_holder_has_a_bound() {
        let temp = TempDir::new().unwrap();
        let holder = BankLock::new(Root::anywhere(temp.path().to_owned()));
        let _held = holder.exclusive().await.unwrap();
        let other = BankLock::waiting(Root::anywhere(temp.path().to_owned()), Duration::from_millis(50));
        assert!(matches!(other.exclusive().await, Err(StoreError::Busy)));
        assert!(matches!(other.shared().await, Err(StoreError::Busy)));
    }

    #[tokio::test]
    async fn readers_share_and_need_no_lock_file() {
        let temp = TempDir::new().unwrap();
        let lock = BankLock::new(Root::anywhere(temp.path().to_owned()));
        let first = lock.shared().await.unwrap();
        assert!(first.excluded_processes());
        assert!(!temp.path().join(INTERNAL).exists(), "reading makes nothing");
        drop(first);
        drop(lock.exclusive().await.unwrap());
        let (a, b) = (lock.shared().await.unwrap(), lock.shared().await.unwrap());
        assert!(a.excluded_processes() && b.excluded_processes());
    }

    #[tokio::test]
    async fn a_deleted_folder_is_created_again() {
        let temp = TempDir::new().unwrap();
        let path = temp.path().join("bank");
        let lock = BankLock::new(Root::anywhere(path.clone()));
        drop(lock.exclusive().await.unwrap());
        std::fs::remove_dir_all(&path).unwrap();
        let guard = lock.exclusive().await.unwrap();
        guard.dir().replace("a.md", b"x").unwrap();
        assert!(path.join("a.md").exists());
    }
}
