//! The slugs of projects, as they were read lately: an operator may rename a project. This module must not know how a slug is
//! read.

use std::sync::Arc;
use std::time::Duration;

use memory_bank_core::caller::ProjectId;
use quick_cache::sync::Cache;
use tokio::time::Instant;

/// The most slugs. A slug that was not used lately is evicted for another one.
const CAPACITY: usize = 100_000;
/// How long a look-up waits for another one of the same project.
const JOIN_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a slug counts after it was read.
const LIFETIME: Duration = Duration::from_secs(300);

/// The slugs of projects that were used lately.
pub(crate) struct Slugs(Cache<ProjectId, Slug>);

/// A slug, and when it was read.
#[derive(Clone)]
struct Slug {
    text: Arc<str>,
    read_at: Instant,
}

impl Slug {
    fn now(text: Arc<str>) -> Self {
        Self { text, read_at: Instant::now() }
    }

    fn is_old(&self) -> bool {
        self.read_at.elapsed() > LIFETIME
    }
}

impl Default for Slugs {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl Slugs {
    /// Adds a slug that was read now.
    pub(crate) fn insert(&self, project: ProjectId, slug: &str) {
        let is_known = |known: Slug| *known.text == *slug && !known.is_old();
        if !self.0.get(&project).is_some_and(is_known) {
            self.0.insert(project, Slug::now(slug.into()));
        }
    }

    /// The slug, if it is known.
    pub(crate) fn get(&self, project: ProjectId) -> Option<Arc<str>> {
        self.0.get(&project).map(|slug| slug.text)
    }

    /// The slug; if it is unknown, one caller loads it and the others wait a moment for that. An error is the loading
    /// caller's own: the next one loads again. Callers who waited in vain load it themselves, so that look-ups of a database
    /// that does not answer do not wait one after the other.
    pub(crate) async fn get_or_load<E>(
        &self,
        project: ProjectId,
        load: impl Future<Output = Result<Arc<str>, E>>,
    ) -> Result<Arc<str>, E> {
        if self.0.get(&project).is_some_and(|slug| slug.is_old()) {
            self.0.remove(&project);
        }
        match tokio::time::timeout(JOIN_TIMEOUT, self.0.get_value_or_guard_async(&project)).await {
            Ok(Ok(slug)) => Ok(slug.text),
            Ok(Err(guard)) => {
                let slug = load.await?;
                // Another caller may have added it meanwhile.
                let _added = guard.insert(Slug::now(Arc::clone(&slug)));
                Ok(slug)
            }
            Err(_) => load.await,
        }
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
    async fn a_failed_or_cancelled_look_up_does_not_affect_another_caller() {
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

    #[tokio::test(start_paused = true)]
    async fn a_slug_is_read_anew_after_a_while_and_replaced_by_a_newer_one() {
        let slugs = Slugs::default();
        let project = project();
        let load = |slug: &'static str| slugs.get_or_load(project, async move { Ok::<_, &str>(slug.into()) });
        assert_eq!(load("atlas").await.as_deref(), Ok("atlas"));
        tokio::time::advance(LIFETIME).await;
        assert_eq!(load("other").await.as_deref(), Ok("atlas"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(load("renamed").await.as_deref(), Ok("renamed"));
        slugs.insert(project, "again");
        assert_eq!(load("other").await.as_deref(), Ok("again"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_does_not_wait_long_for_another_one() {
        let slugs = Slugs::default();
        let project = project();
        let mut stuck = Box::pin(slugs.get_or_load(project, std::future::pending::<Result<_, &str>>()));
        assert!(futures::poll!(&mut stuck).is_pending());
        let own = slugs.get_or_load(project, async { Ok::<_, &str>("atlas".into()) });
        let found = tokio::time::timeout(Duration::from_secs(60), own).await;
        assert_eq!(found.unwrap().as_deref(), Ok("atlas"));
    }
}
