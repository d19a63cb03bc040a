//! Leases of requests. A busy caller with a large limit would need Redis for each request, so the server takes a small part of the limit
//! at once, for a moment (`docs/decisions/0045-leased-requests.md`).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use memory_bank_core::limiter::{Admission, Verdict, WINDOW, WindowState};
use parking_lot::Mutex;

/// How long the requests of a lease may be used.
pub(super) const HOLD: Duration = Duration::from_millis(100);
/// From when on they count in their windows: after the last use, also if a thread stalls for up to 100 ms between the look at the clock and
/// the use. So no minute has more requests than the limit.
pub(super) const COUNTED_AFTER: Duration = Duration::from_millis(200);
/// All leases of a window together have at most this part of the requests that it has left.
pub(super) const SHARE_OF_REST: u32 = 128;
/// A lease has at most this part of a limit, so that a small limit has none.
const SHARE_OF_LIMIT: u32 = 1024;
/// The most requests of a lease. With more, Redis would be asked hardly less.
const MOST: u32 = 64;
/// A caller with fewer requests in [`HOLD`] has no lease: what it would not use costs more than it saves.
const FEWEST: u32 = 8;
/// The most callers with leases. For all others Redis is asked for each request.
const MAX_CALLERS: usize = 4096;
/// The most leases of a caller whose unused requests Redis has not taken back.
const MAX_UNUSED: usize = 16;

/// Requests of a caller (a key at an address) that Redis has counted before they arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    /// The name that its entries in Redis begin with.
    pub(super) entry: String,
    /// When Redis was asked.
    pub(super) asked: Instant,
    /// The state of the windows with all of its requests counted.
    pub(super) verdict: Verdict,
    /// How many requests it has, and how many of them have arrived.
    pub(super) granted: u32,
    pub(super) used: u32,
}

impl Lease {
    fn left(&self, now: Instant) -> u32 {
        if now.duration_since(self.asked) < HOLD { self.granted.saturating_sub(self.used) } else { 0 }
    }

    /// The verdict on the request that arrived last: those after it are not used yet.
    fn verdict_on_latest(&self, now: Instant) -> Verdict {
        let left = self.granted.saturating_sub(self.used);
        let passed = now.duration_since(self.asked);
        let at = |state: WindowState| WindowState {
            remaining: state.remaining.saturating_add(left).min(state.limit),
            reset: state.reset.saturating_sub(passed),
            ..state
        };
        Verdict { key: self.verdict.key.map(at), address: self.verdict.address.map(at), ..self.verdict }
    }
}

/// Entries of a lease that count in Redis and are not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unused {
    pub(super) entry: String,
    /// The numbers behind the name.
    pub(super) numbers: RangeInclusive<u32>,
    /// When Redis was asked for the lease.
    pub(super) asked: Instant,
}

/// How a request is decided.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    /// The verdict, if the request is one of a lease; otherwise Redis is asked for it.
    pub(super) verdict: Option<Verdict>,
    /// The size of the lease that is to be taken now, for the requests that follow.
    pub(super) lease: Option<u32>,
    /// Whether the caller is new here: its leases must be ended ([`Leases::end`]) from now on.
    pub(super) is_first: bool,
}

/// The leases of one caller.
struct Held {
    leases: VecDeque<Lease>,
    /// The size of the last one.
    size: u32,
    /// Whether Redis is being asked for the next one.
    is_asking: bool,
    /// Whether none is taken until the next look: the last one was refused, as at the end of a limit, or Redis does not answer.
    is_refused: bool,
    /// What is to be given back.
    unused: VecDeque<Unused>,
    arrivals: Arrivals,
}

/// How many requests of a caller arrive.
struct Arrivals {
    latest: Instant,
    /// When the present interval of [`HOLD`] began.
    began: Instant,
    count: u32,
    /// The count of the interval before it.
    before: u32,
}

impl Arrivals {
    fn new(now: Instant) -> Self {
        Self { latest: now, began: now, count: 1, before: 0 }
    }

    fn note(&mut self, now: Instant) {
        self.latest = now;
        let passed = now.duration_since(self.began);
        if passed >= HOLD {
            self.before = if passed < HOLD * 2 { self.count } else { 0 };
            (self.began, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
    }
}

impl Held {
    /// Of a caller whose first request has arrived.
    fn new(now: Instant) -> Self {
        Self {
            leases: VecDeque::new(),
            size: 0,
            is_asking: false,
            is_refused: false,
            unused: VecDeque::new(),
            arrivals: Arrivals::new(now),
        }
    }

    /// Uses a request of a lease, if there is one.
    fn take(&mut self, now: Instant) -> Option<Verdict> {
        let first = self.leases.iter_mut().find(|lease| lease.left(now) > 0)?;
        first.used = first.used.saturating_add(1);
        let verdict = first.verdict_on_latest(now);
        self.leases.retain(|lease| lease.used < lease.granted);
        Some(verdict)
    }

    /// The size of the next lease, if it is time to take it: long before the last request of the present one is used, so that no request
    /// waits.
    fn next_size(&self, most: u32, now: Instant) -> Option<u32> {
        let left: u32 = self.leases.iter().map(|lease| lease.left(now)).sum();
        let is_busy = self.arrivals.before >= FEWEST;
        let is_due = is_busy && left <= self.size / 2 && !self.is_asking && !self.is_refused;
        // A lease of half the requests of its time is used up in it.
        is_due.then(|| (self.arrivals.before / 2).min(most))
    }

    fn give_back(&mut self, unused: Unused) {
        if self.unused.len() < MAX_UNUSED {
            self.unused.push_back(unused);
        }
    }
}

/// The result of a look at the leases of a caller.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// What is to be given back.
    pub(super) unused: VecDeque<Unused>,
    /// When to look again; `None` if the caller sends no requests, and is forgotten.
    pub(super) again: Option<Instant>,
}

/// The leases of all callers of this server.
#[derive(Default)]
pub(super) struct Leases {
    callers: Mutex<HashMap<Admission, Held>>,
}

impl Leases {
    /// Decides on a request that arrives now.
    pub(super) fn next(&self, request: &Admission, now: Instant) -> Decision {
        let most = most(request);
        if most < 2 {
            return Decision::default();
        }
        let mut callers = self.callers.lock();
        let is_full = callers.len() >= MAX_CALLERS;
        let held = match callers.entry(*request) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(_) if is_full => return Decision::default(),
            Entry::Vacant(place) => {
                place.insert(Held::new(now));
                return Decision { is_first: true, ..Decision::default() };
            }
        };
        held.arrivals.note(now);
        let verdict = held.take(now);
        let lease = held.next_size(most, now);
        held.is_asking |= lease.is_some();
        Decision { verdict, lease, is_first: false }
    }

    /// Keeps a lease that was to be taken.
    pub(super) fn keep(&self, request: &Admission, lease: Lease) {
        let mut callers = self.callers.lock();
        // A caller is not forgotten while Redis is asked.
        let Some(held) = callers.get_mut(request) else { return };
        held.is_asking = false;
        // What Redis has not taken back while it was asked stays a reason to wait.
        held.is_refused |= lease.granted == 0;
        if lease.granted > 0 {
            held.size = lease.granted;
            held.leases.push_back(lease);
        }
    }

    /// Redis did not answer in time when a lease was to be taken: it may have counted the requests all the same.
    pub(super) fn abandon(&self, request: &Admission, unused: Unused) {
        let mut callers = self.callers.lock();
        let Some(held) = callers.get_mut(request) else { return };
        held.is_asking = false;
        held.is_refused = true;
        held.give_back(unused);
    }

    /// Ends the leases of a caller whose time is over.
    pub(super) fn end(&self, request: &Admission, now: Instant) -> Look {
        let mut callers = self.callers.lock();
        let Some(held) = callers.get_mut(request) else {
            return Look { unused: VecDeque::new(), again: None };
        };
        // While Redis takes nothing back, it is not asked for more.
        let mut unused = std::mem::take(&mut held.unused);
        held.is_refused = !unused.is_empty();
        let (kept, ended): (_, VecDeque<Lease>) =
            held.leases.drain(..).partition(|lease| lease.left(now) > 0);
        held.leases = kept;
        unused.extend(ended.into_iter().map(|lease| Unused {
            entry: lease.entry,
            numbers: lease.used.saturating_add(1)..=lease.granted,
            asked: lease.asked,
        }));
        let is_quiet = now.duration_since(held.arrivals.latest) >= HOLD;
        if is_quiet && held.leases.is_empty() && !held.is_asking && unused.is_empty() {
            callers.remove(request);
            return Look { unused, again: None };
        }
        let ends = held.leases.iter().map(|lease| lease.asked + HOLD);
        Look { unused, again: ends.chain([now + HOLD]).min() }
    }

    /// Redis did not answer when requests were given back: they are given back again, until they do not count any more.
    pub(super) fn keep_unused(&self, request: &Admission, unused: Unused, now: Instant) {
        if now.duration_since(unused.asked) < WINDOW
            && let Some(held) = self.callers.lock().get_mut(request)
        {
            held.is_refused = true;
            held.give_back(unused);
        }
    }
}

/// The largest lease of limits like these. Of a small limit there is none, so that it is exact at any moment.
fn most(request: &Admission) -> u32 {
    let limits = [request.key.map(|(_, limit)| limit), request.address.map(|(_, limit)| limit)];
    limits.into_iter().flatten().map(|limit| limit / SHARE_OF_LIMIT).min().unwrap_or(0).min(MOST)
}

#[cfg(test)]
mod tests;
