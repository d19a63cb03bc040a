//! The threads that build and search indexes: few, so that the processors are left to others, and used in turn. This
//! module must not know the work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use memory_bank_core::error::StoreError;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// How many searches may wait for a thread, in total and per project.
const MAX_WAITING: usize = 256;
const MAX_WAITING_OF_PROJECT: usize = 64;

/// Queues the work of a project, so that one project's searches do not delay all others.
#[derive(Debug)]
pub(crate) struct ProjectQueue {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

#[derive(Debug)]
pub(crate) struct Workers {
    builders: Arc<Semaphore>,
    searchers: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// The number of search threads.
    width: usize,
}

impl Default for Workers {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let builders = Arc::new(Semaphore::new((cores / 2).max(1)));
        let width = cores.max(2);
        let searchers = Arc::new(Semaphore::new(width));
        Self { builders, searchers, waiting: AtomicUsize::default(), width }
    }
}

impl Workers {
    /// The lane of one project: it uses at most half of the threads.
    pub(crate) fn lane(&self) -> ProjectQueue {
        let turns = Arc::new(Semaphore::new((self.width / 2).max(1)));
        ProjectQueue { turns, waiting: AtomicUsize::default() }
    }

    /// Runs one slice of a build. Slices of all builds take turns.
    pub(crate) async fn build<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = Arc::clone(&self.builders).acquire_owned().await.map_err(ended)?;
        spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
        .map_err(ended)
    }

    /// Runs one search.
    pub(crate) async fn search<T: Send + 'static>(
        &self,
        lane: &ProjectQueue,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let _of_all = Waiting::enter(&self.waiting, MAX_WAITING)?;
        let _of_project = Waiting::enter(&lane.waiting, MAX_WAITING_OF_PROJECT)?;
        let own = Arc::clone(&lane.turns).acquire_owned().await.map_err(ended)?;
        let turn = Arc::clone(&self.searchers).acquire_owned().await.map_err(ended)?;
        spawn_blocking(move || {
            let done = work();
            drop((turn, own));
            done
        })
        .await
        .map_err(ended)
    }
}

fn ended(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("the work on a search index ended early: {error}"))
}

/// A place in the queue or on a thread.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize, most: usize) -> Result<Self, StoreError> {
        let place = Self(count);
        if count.fetch_add(1, Ordering::Relaxed) < most {
            Ok(place)
        } else {
            Err(StoreError::SearchBusy { seconds: 1 })
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_project_cannot_fill_the_queue_of_all() {
        let workers = Workers::default();
        let (busy, calm) = (workers.lane(), workers.lane());
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = std::sync::Mutex::new(held);
        let held = Arc::new(held);
        let block = || {
            let held = Arc::clone(&held);
            move || {
                let _until_the_other_end_is_gone = held.lock().unwrap().recv();
            }
        };
        let mut blocked: Vec<_> =
            (0..MAX_WAITING_OF_PROJECT).map(|_| Box::pin(workers.search(&busy, block()))).collect();
        for one in &mut blocked {
            assert!(futures::poll!(one).is_pending());
        }
        let refused = workers.search(&busy, || ()).await;
        assert!(matches!(refused, Err(StoreError::SearchBusy { .. })), "{refused:?}");
        assert_eq!(workers.search(&calm, || 7).await.unwrap(), 7);
        drop(release);
        for one in blocked {
            one.await.unwrap();
        }
        assert_eq!(workers.search(&busy, || 7).await.unwrap(), 7);
    }
}
