//! Checks whether a dependency of the server is healthy. Concurrent requests share one check.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long a check may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a result is reused.
const REUSE_FOR: Duration = Duration::from_secs(1);

/// The health of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    Ok,
    /// It does not answer.
    Error,
    /// It answers, but the server's data is missing, or may not be used.
    SchemaMissing,
    /// It is not configured.
    NotConfigured,
}

/// Checks the health of a dependency. Must answer within two seconds.
#[async_trait]
pub trait Probe: Send + Sync {
    /// The current health.
    async fn health(&self) -> Health;

    /// Whether an event since the last call makes an earlier result doubtful, such as a closed connection. Must be
    /// cheap.
    fn is_doubtful(&self) -> bool {
        false
    }

    /// Whether the dependency has answered anything within this period, so that no check is needed.
    fn has_answered_within(&self, _time: Duration) -> bool {
        false
    }
}

/// The probe of a dependency that is not configured.
#[derive(Debug, Clone, Copy, Default)]
pub struct Absent;

#[async_trait]
impl Probe for Absent {
    async fn health(&self) -> Health {
        Health::NotConfigured
    }
}

/// A dependency that is checked by one request at a time, and at most once a second.
#[derive(Clone)]
pub(crate) struct SharedProbe {
    probe: Arc<dyn Probe>,
    last: Arc<Mutex<Option<(Instant, Health)>>>,
}

impl SharedProbe {
    pub(crate) fn new(probe: Arc<dyn Probe>) -> Self {
        Self { probe, last: Arc::default() }
    }

    /// The health of the dependency, at most one second old.
    pub(crate) async fn health(&self) -> Health {
        let mut last = Arc::clone(&self.last).lock_owned().await;
        let known = last.filter(|(at, _)| at.elapsed() < REUSE_FOR).map(|(_, health)| health);
        if known == Some(Health::Error) {
            return Health::Error;
        }
        if !self.probe.is_doubtful() {
            if let Some(health) = known {
                return health;
            }
            if self.probe.has_answered_within(REUSE_FOR) {
                return Health::Ok;
            }
        }
        let probe = Arc::clone(&self.probe);
        // The check continues without its requester, so that disconnects cause no further checks.
        let check = tokio::spawn(async move {
            let health = tokio::time::timeout(PROBE_TIMEOUT, probe.health()).await.unwrap_or(Health::Error);
            *last = Some((Instant::now(), health));
            health
        });
        check.await.unwrap_or(Health::Error)
    }
}

impl fmt::Debug for SharedProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedProbe").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;

    use super::*;

    /// Counts the checks; never answers the second one.
    #[derive(Default)]
    struct Counted(AtomicUsize);

    #[async_trait]
    impl Probe for Counted {
        async fn health(&self) -> Health {
            if self.0.fetch_add(1, Ordering::Relaxed) == 1 {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            Health::Ok
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_concurrent_requests_cause_one_check_a_second() {
        let part = Arc::new(Counted::default());
        let probe = SharedProbe::new(part.clone());
        let all = join_all((0..1000).map(|_| probe.health())).await;
        assert!(all.iter().all(|health| *health == Health::Ok));
        assert_eq!(part.0.load(Ordering::Relaxed), 1);
        tokio::time::advance(REUSE_FOR).await;
        // No requester waits for the result, and not each of them causes a check.
        for _ in 0..100 {
            let cancelled = tokio::time::timeout(Duration::from_millis(5), probe.health()).await;
            assert!(cancelled.is_err());
        }
        assert_eq!(part.0.load(Ordering::Relaxed), 2);
        // A dependency that does not answer is unhealthy, and is checked again afterwards.
        assert_eq!(probe.health().await, Health::Error);
        tokio::time::advance(REUSE_FOR).await;
        assert_eq!(probe.health().await, Health::Ok);
    }
}
