//! Rate limits of keys and addresses: sliding windows of one minute.
//!
//! [`SlidingWindow`] is the rule; a server keeps the windows in memory, or in Redis, where a script applies the same
//! rule.

use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;

use crate::caller::KeyId;

/// The length of a window.
pub const WINDOW: Duration = Duration::from_secs(60);

/// One request that asks for admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Admission {
    /// The key and its requests per minute, if it is limited.
    pub key: Option<(KeyId, u32)>,
    /// The address and its requests per minute, if it is limited.
    pub address: Option<(IpAddr, u32)>,
    /// The window of the address in which the request counts.
    pub origin: Origin,
}

/// The kind of a request. An address has a window for each: one for requests with a valid key and one for all others,
/// so that guessing keys does not lock out clients behind the same address, and one for each kind of attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The key is valid.
    Keyed,
    /// The key is missing or invalid.
    Unkeyed,
    /// The request needs no key, and costs or reveals something.
    Attempt(AttemptKind),
}

/// The kind of a request that needs no key, and costs or reveals something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptKind {
    /// A client of OAuth registers itself.
    Registration,
    /// A user signs in with a key or a login code.
    SignIn,
    /// A step of a sign-in with an OpenID provider.
    OpenId,
    /// A client exchanges or revokes a code or a token.
    Token,
    /// The server fetches a document for a client.
    Document,
}

impl AttemptKind {
    /// Its name in the keys of a shared store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::SignIn => "sign-in",
            Self::OpenId => "openid",
            Self::Token => "token",
            Self::Document => "document",
        }
    }
}

/// The state of a window after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowState {
    /// The limit.
    pub limit: u32,
    /// How many requests are left.
    pub remaining: u32,
    /// The time until the oldest request leaves the window, so that one more is possible.
    pub reset: Duration,
}

/// The decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request is admitted. Only admitted requests count, in both windows.
    pub admitted: bool,
    /// The key's window; `None` without a limit, or if the limiter failed.
    pub key: Option<WindowState>,
    /// The address's window.
    pub address: Option<WindowState>,
}

impl Verdict {
    /// The verdict of a limiter that failed: the request is admitted.
    pub const PASS: Self = Self { admitted: true, key: None, address: None };

    /// The window that the response headers describe: the one with the fewest requests left; of those, the one that
    /// resets last.
    #[must_use]
    pub fn tightest(&self) -> Option<WindowState> {
        let least = |a: WindowState, b: WindowState| {
            let a_first =
                (a.remaining, std::cmp::Reverse(a.reset)) <= (b.remaining, std::cmp::Reverse(b.reset));
            if a_first { a } else { b }
        };
        match (self.key, self.address) {
            (Some(key), Some(address)) => Some(least(key, address)),
            (key, address) => key.or(address),
        }
    }
}

/// Admits or rejects requests. It does not fail: if its state cannot be read, it admits all.
#[async_trait]
pub trait Limiter: Send + Sync {
    /// Decides on one request by the windows of its key and its address.
    async fn admit(&self, request: Admission) -> Verdict;
}

/// The requests of the last minute. Times are durations since any fixed moment.
#[derive(Debug, Default)]
pub struct SlidingWindow {
    admitted: VecDeque<Duration>,
}

impl SlidingWindow {
    /// Removes entries older than a minute, and returns the state of the window.
    pub fn at(&mut self, now: Duration, limit: u32) -> WindowState {
        while self.admitted.front().is_some_and(|first| *first + WINDOW <= now) {
            self.admitted.pop_front();
        }
        let used = u32::try_from(self.admitted.len()).unwrap_or(u32::MAX);
        let reset = self.admitted.front().map_or(WINDOW, |first| (*first + WINDOW).saturating_sub(now));
        WindowState { limit, remaining: limit.saturating_sub(used), reset }
    }

    /// Counts a request.
    pub fn count(&mut self, now: Duration) {
        self.admitted.push_back(now);
    }

    fn is_empty(&self) -> bool {
        self.admitted.is_empty()
    }
}

/// The most keys and addresses with a window in memory. When exceeded, idle windows are dropped, then all.
const MAX_WINDOWS: usize = 100_000;

/// Keeps the windows in memory, for a server without Redis that runs alone.
pub struct MemoryLimiter {
    elapsed: Box<dyn Fn() -> Duration + Send + Sync>,
    windows: Mutex<Windows>,
}

#[derive(Default)]
struct Windows {
    keys: HashMap<KeyId, SlidingWindow>,
    addresses: HashMap<Origin, HashMap<IpAddr, SlidingWindow>>,
}

impl MemoryLimiter {
    /// A limiter; `elapsed` returns the time since any fixed moment and never decreases.
    pub fn new(elapsed: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { elapsed: Box::new(elapsed), windows: Mutex::default() }
    }
}

#[async_trait]
impl Limiter for MemoryLimiter {
    async fn admit(&self, request: Admission) -> Verdict {
        let now = (self.elapsed)();
        let mut windows = self.windows.lock();
        let Windows { keys, addresses } = &mut *windows;
        let addresses = addresses.entry(request.origin).or_default();
        let key = request.key.map(|(key, limit)| check(keys, key, now, limit));
        let address = request.address.map(|(address, limit)| check(addresses, address, now, limit));
        let admitted = [key, address].iter().flatten().all(|state| state.remaining > 0);
        if !admitted {
            return Verdict { admitted, key, address };
        }
        Verdict {
            admitted,
            key: request.key.map(|(key, limit)| take(keys, key, now, limit)),
            address: request.address.map(|(address, limit)| take(addresses, address, now, limit)),
        }
    }
}

fn check<K: Hash + Eq>(
    windows: &mut HashMap<K, SlidingWindow>,
    key: K,
    now: Duration,
    limit: u32,
) -> WindowState {
    if windows.len() >= MAX_WINDOWS && !windows.contains_key(&key) {
        windows.retain(|_, window| {
            window.at(now, 0);
            !window.is_empty()
        });
        if windows.len() >= MAX_WINDOWS {
            windows.clear();
        }
    }
    windows.entry(key).or_default().at(now, limit)
}

fn take<K: Hash + Eq>(
    windows: &mut HashMap<K, SlidingWindow>,
    key: K,
    now: Duration,
    limit: u32,
) -> WindowState {
    let window = windows.entry(key).or_default();
    window.count(now);
    window.at(now, limit)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    proptest! {
        #[test]
        fn no_minute_ever_holds_more_requests_than_the_limit(
            gaps in prop::collection::vec(0u64..20_000, 1..200), limit in 1u32..20
        ) {
            let mut window = SlidingWindow::default();
            let mut now = Duration::ZERO;
            let mut admitted: Vec<Duration> = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                let state = window.at(now, limit);
                if state.remaining > 0 {
                    window.count(now);
                    admitted.push(now);
                } else {
                    prop_assert!(state.reset > Duration::ZERO && state.reset <= WINDOW);
                }
                let inside = admitted.iter().filter(|at| **at + WINDOW > now).count();
                prop_assert!(inside <= limit as usize);
            }
        }
    }

    #[test]
    fn a_refused_request_counts_in_neither_window() {
        let limiter = MemoryLimiter::new(|| Duration::from_secs(1));
        let request = Admission {
            key: Some((KeyId(Uuid::nil()), 5)),
            address: Some((IpAddr::V4(Ipv4Addr::LOCALHOST), 2)),
            origin: Origin::Keyed,
        };
        let verdicts: Vec<Verdict> = (0..4).map(|_| now(limiter.admit(request))).collect();
        assert_eq!(verdicts.iter().filter(|verdict| verdict.admitted).count(), 2);
        assert_eq!(verdicts[3].key.map(|state| state.remaining), Some(3));
        assert_eq!(verdicts[3].tightest().map(|state| state.limit), Some(2));
    }

    #[test]
    fn requests_without_a_valid_key_do_not_block_those_with_one() {
        let limiter = MemoryLimiter::new(|| Duration::from_secs(1));
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let admit = |origin, limit| {
            now(limiter.admit(Admission { key: None, address: Some((address, limit)), origin })).admitted
        };
        assert_eq!([(); 3].map(|()| admit(Origin::Unkeyed, 2)), [true, true, false]);
        assert_eq!([(); 3].map(|()| admit(Origin::Keyed, 2)), [true, true, false]);
        let token = Origin::Attempt(AttemptKind::Token);
        assert_eq!([(); 3].map(|()| admit(token, 2)), [true, true, false]);
    }

    fn now<T>(future: impl Future<Output = T>) -> T {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(future).as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => value,
            std::task::Poll::Pending => panic!("memory does not wait"),
        }
    }
}
