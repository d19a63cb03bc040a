//! The slugs of projects, which never change. This module must not know how a slug is read.

use std::sync::Arc;

use memory_bank_core::caller::ProjectId;
use quick_cache::sync::Cache;

/// The most slugs. A slug that was not used lately is evicted for another one.
const CAPACITY: usize = 100_000;

/// The slugs of projects that were used lately.
pub(crate) struct Slugs(Cache<ProjectId, Arc<str>>);

impl Default for Slugs {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl Slugs {
    /// Adds a slug.
    pub(crate) fn insert(&self, project: ProjectId, slug: &str) {
        if self.0.get(&project).is_none() {
            self.0.insert(project, slug.into());
        }
    }

    /// The slug, if it is known.
    pub(crate) fn get(&self, project: ProjectId) -> Option<Arc<str>> {
        self.0.get(&project)
    }

    /// The slug; if it is unknown, one caller loads it and the others wait. An error is the loading caller's own: the
    /// next one loads again.
    pub(crate) async fn get_or_load<E>(
        &self,
        project: ProjectId,
        load: impl Future<Output = Result<Arc<str>, E>>,
    ) -> Result<Arc<str>, E> {
        self.0.get_or_insert_async(&project, load).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use memory_bank_core::clock::{Entropy, SystemEntropy};
    use tokio::sync::Notify;

    use super::*;

    fn project() -> ProjectId {
        ProjectId(SystemEntropy.id())
    }

    #[test]
    fn a_full_cache_evicts_slugs_that_nobody_uses_and_no_others() {
        let slugs = Slugs(Cache::new(100));
        let used = project();
        slugs.insert(used, "used");
        for _ in 0..1000 {
            assert_eq!(slugs.get(used).as_deref(), Some("used"));
            slugs.insert(project(), "once");
        }
        assert!(slugs.0.len() > 50 && slugs.0.len() <= 100, "{}", slugs.0.len());
    }

    #[tokio::test]
    async fn concurrent_look_ups_of_a_slug_load_it_once() {
        let (slugs, loads, go) = (Slugs::default(), AtomicUsize::new(0), Notify::new());
        let project = project();
        let look_up = || {
            slugs.get_or_load(project, async {
                loads.fetch_add(1, Ordering::Relaxed);
                go.notified().await;
                Ok::<_, ()>("atlas".into())
            })
        };
        let mut first = Box::pin(look_up());
        let mut second = Box::pin(look_up());
        assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
        go.notify_one();
        assert_eq!((first.await.as_deref(), second.await.as_deref()), (Ok("atlas"), Ok("atlas")));
        assert_eq!(loads.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_failed_or_cancelled_look_up_is_not_another_caller_s() {
        let (slugs, go) = (Slugs::default(), Notify::new());
        let project = project();
        let mut refused = Box::pin(slugs.get_or_load(project, async {
            go.notified().await;
            Err("its key is void")
        }));
        let mut cancelled = Box::pin(slugs.get_or_load(project, std::future::pending::<Result<_, &str>>()));
        let mut admitted = Box::pin(slugs.get_or_load(project, async { Ok::<_, &str>("atlas".into()) }));
        assert!(futures::poll!(&mut refused).is_pending());
        assert!(futures::poll!(&mut cancelled).is_pending() && futures::poll!(&mut admitted).is_pending());
        go.notify_one();
        assert_eq!(refused.await, Err("its key is void"));
        assert!(futures::poll!(&mut cancelled).is_pending());
        drop(cancelled);
        assert_eq!(admitted.await.as_deref(), Ok("atlas"));
    }
}
