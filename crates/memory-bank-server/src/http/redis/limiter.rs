//! Sliding windows in Redis: one script decides about key and address together, by the clock of Redis and in one
//! round trip. In a cluster each window has a script. For a large limit one script may count several requests ([`Leases`]).

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use memory_bank_core::clock::Entropy;
use memory_bank_core::limiter::{Admission, Limiter, Origin, Verdict, WINDOW, WindowState};
use redis::Script;

use crate::http::redis::leases::{COUNTED_AFTER, HOLD, Lease, Leases, SHARE_OF_REST, Unused};
use crate::http::redis::link::Link;

/// For each window: remove expired entries and count. A single request is admitted if every window has room; a lease gets what is left
/// of the part of the room that leases may have, if that is at least two. A refused request counts in no window. Returns how many are
/// admitted, then count and microseconds to the reset of each window.
const SCRIPT: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local window, entry, wanted = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local counted_after, share = tonumber(ARGV[4]), tonumber(ARGV[5])
local granted = wanted
local counts = {}
for at, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now - window))
  counts[at] = redis.call('ZCARD', key)
  local room = tonumber(ARGV[at + 5]) - counts[at]
  if wanted > 1 then
    local leased = redis.call('ZCOUNT', key, string.format('(%.0f', now), '+inf')
    granted = math.min(granted, math.floor(room / share) - leased)
  elseif room < 1 then
    granted = 0
  end
end
local counts_from = now
if wanted > 1 then
  counts_from = now + counted_after
  if granted < 2 then granted = 0 end
end
local entries = {}
counts_from = string.format('%.0f', counts_from)
for number = 1, granted do
  entries[2 * number - 1] = counts_from
  entries[2 * number] = entry .. ':' .. number
end
local reply = {granted}
for at, key in ipairs(KEYS) do
  if granted > 0 then
    redis.call('ZADD', key, unpack(entries))
    -- An earlier lease may count for longer than a single request.
    redis.call('PEXPIRE', key, math.ceil((window + counted_after) / 1000))
    counts[at] = counts[at] + granted
  end
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  local reset = window
  if first[2] then reset = tonumber(first[2]) + window - now end
  reply[#reply + 1] = counts[at]
  reply[#reply + 1] = math.floor(reset)
end
return reply
";

pub(super) struct RedisLimiter {
    windows: Arc<Windows>,
}

impl RedisLimiter {
    pub(super) fn new(link: Arc<Link>, entropy: Arc<dyn Entropy>) -> Self {
        let script = Script::new(SCRIPT);
        Self { windows: Arc::new(Windows { link, entropy, script, leases: Leases::default() }) }
    }
}

/// The windows in Redis, and the leases of their requests.
struct Windows {
    link: Arc<Link>,
    entropy: Arc<dyn Entropy>,
    script: Script,
    leases: Leases,
}

/// The reply of the script.
struct Reply {
    granted: u32,
    /// Count and microseconds to the reset of each window.
    states: Vec<u64>,
    /// Whether entries that were wanted and not granted may count, since a node of a cluster did not answer.
    is_uncertain: bool,
}

/// What Redis decided about requests.
struct Decided {
    granted: u32,
    verdict: Verdict,
    /// As of [`Reply`].
    is_uncertain: bool,
}

impl Windows {
    /// Counts so many requests in these windows: with their limits, and the name that the entries begin with.
    async fn count(&self, windows: &[(String, u32)], entry: &str, wanted: u32) -> Option<Reply> {
        let mut call = self.script.prepare_invoke();
        call.arg(micros(WINDOW)).arg(entry).arg(wanted).arg(micros(COUNTED_AFTER)).arg(SHARE_OF_REST);
        for (window, limit) in windows {
            call.key(window).arg(limit);
        }
        // In a cluster all windows of a script are on one server.
        let (first, _) = windows.first()?;
        let reply: Vec<u64> =
            self.link.with(first, async |connection| call.invoke_async(connection).await).await?;
        let (granted, states) = reply.split_first()?;
        Some(Reply { granted: u32::try_from(*granted).ok()?, states: states.to_vec(), is_uncertain: false })
    }

    /// Counts requests in two windows that may be on two servers of a cluster: two scripts, sent together. The window with more room
    /// gives back the entries that the other one has no room for, since a refused request counts in none.
    async fn count_apart(&self, windows: &[(String, u32)], entry: &str, wanted: u32) -> Option<Reply> {
        let [one, other] = windows else { return self.count(windows, entry, wanted).await };
        let (first, second) = tokio::join!(
            self.count(std::slice::from_ref(one), entry, wanted),
            self.count(std::slice::from_ref(other), entry, wanted)
        );
        // The window that cannot be asked refuses nobody, and keeps the other one from nothing.
        let unknown = || Reply { granted: wanted, states: vec![0, micros(WINDOW)], is_uncertain: false };
        if first.is_none() && second.is_none() {
            return None;
        }
        let (mut first, mut second) = (first.unwrap_or_else(unknown), second.unwrap_or_else(unknown));
        let granted = first.granted.min(second.granted);
        let mut is_uncertain = false;
        for ((window, _), reply) in [(one, &mut first), (other, &mut second)] {
            let refused = granted.saturating_add(1)..=reply.granted;
            is_uncertain |= !self.remove(window, entry, refused).await;
            if let Some(count) = reply.states.first_mut() {
                *count = count.saturating_sub(u64::from(reply.granted.saturating_sub(granted)));
            }
        }
        Some(Reply { granted, states: [first.states, second.states].concat(), is_uncertain })
    }

    /// Removes entries with these numbers; false if Redis did not answer.
    async fn remove(&self, window: &str, entry: &str, numbers: RangeInclusive<u32>) -> bool {
        if numbers.is_empty() {
            return true;
        }
        let mut removal = redis::cmd("ZREM");
        removal.arg(window);
        for number in numbers {
            removal.arg(format!("{entry}:{number}"));
        }
        self.link.send::<i64>(window, &removal).await.is_some()
    }

    /// Asks Redis for so many requests of a caller, with entries of this name; `None` if it does not answer.
    async fn ask(&self, request: &Admission, wanted: u32, entry: &str) -> Option<Decided> {
        let windows = self.names(request);
        let reply = if self.link.is_cluster() {
            self.count_apart(&windows, entry, wanted).await
        } else {
            self.count(&windows, entry, wanted).await
        }?;
        let verdict = verdict(request, &reply)?;
        Some(Decided { granted: reply.granted, verdict, is_uncertain: reply.is_uncertain })
    }

    fn entry(&self) -> String {
        self.entropy.id().simple().to_string()
    }

    async fn take_lease(&self, request: Admission, wanted: u32) {
        let (asked, entry) = (Instant::now(), self.entry());
        match self.ask(&request, wanted, &entry).await {
            Some(Decided { granted, verdict, is_uncertain }) => {
                if is_uncertain {
                    let numbers = granted.saturating_add(1)..=wanted;
                    self.leases.keep_unused(&request, Unused { entry: entry.clone(), numbers, asked }, asked);
                }
                self.leases.keep(&request, Lease { entry, asked, verdict, granted, used: 0 });
            }
            None => self.leases.abandon(&request, Unused { entry, numbers: 1..=wanted, asked }),
        }
    }

    /// Ends the leases of a caller whose time is over, and gives back what it did not use, until it sends no more requests.
    async fn end_leases(&self, request: Admission) {
        let mut at = Instant::now() + HOLD;
        loop {
            tokio::time::sleep_until(at.into()).await;
            let look = self.leases.end(&request, Instant::now());
            for unused in look.unused {
                if !self.give_back(&request, &unused).await {
                    self.leases.keep_unused(&request, unused, Instant::now());
                }
            }
            let Some(again) = look.again else { return };
            at = again;
        }
    }

    /// False if Redis did not answer for one of the windows.
    async fn give_back(&self, request: &Admission, unused: &Unused) -> bool {
        let mut is_done = true;
        for (window, _) in self.names(request) {
            is_done &= self.remove(&window, &unused.entry, unused.numbers.clone()).await;
        }
        is_done
    }

    /// The windows of a request in Redis, and their limits.
    fn names(&self, request: &Admission) -> Vec<(String, u32)> {
        let mut windows = Vec::with_capacity(2);
        if let Some((key, limit)) = request.key {
            windows.push((self.link.key("ratelimit", format_args!("key:{}", key.0)), limit));
        }
        if let Some((address, limit)) = request.address {
            let of = match request.origin {
                Origin::Keyed => "ip-with-key",
                Origin::Unkeyed => "ip",
                Origin::Attempt(attempt) => attempt.as_str(),
            };
            windows.push((self.link.key("ratelimit", format_args!("{of}:{address}")), limit));
        }
        windows
    }
}

#[async_trait]
impl Limiter for RedisLimiter {
    async fn admit(&self, request: Admission) -> Verdict {
        let decision = self.windows.leases.next(&request, Instant::now());
        if decision.is_first {
            let windows = Arc::clone(&self.windows);
            tokio::spawn(async move { windows.end_leases(request).await });
        }
        // A task of its own: a client that goes away does not end it.
        if let Some(wanted) = decision.lease {
            let windows = Arc::clone(&self.windows);
            tokio::spawn(async move { windows.take_lease(request, wanted).await });
        }
        match decision.verdict {
            Some(verdict) => verdict,
            None => {
                let counted = self.windows.ask(&request, 1, &self.windows.entry()).await;
                counted.map_or(Verdict::PASS, |decided| decided.verdict)
            }
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn verdict(request: &Admission, reply: &Reply) -> Option<Verdict> {
    let mut states = reply.states.chunks_exact(2);
    let mut next = |limit: u32| match states.next()? {
        [used, reset] => Some(WindowState {
            limit,
            remaining: limit.saturating_sub(u32::try_from(*used).ok()?),
            reset: Duration::from_micros(*reset),
        }),
        _ => None,
    };
    let key = request.key.and_then(|(_, limit)| next(limit));
    let address = request.address.and_then(|(_, limit)| next(limit));
    Some(Verdict { admitted: reply.granted > 0, key, address })
}
