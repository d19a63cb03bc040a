//! Sliding windows in Redis: one script decides about key and address together, by the clock of Redis and in one
//! round trip. In a cluster each window has a script.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use memory_bank_core::clock::Entropy;
use memory_bank_core::limiter::{Admission, Limiter, Origin, Verdict, WINDOW, WindowState};
use redis::Script;

use crate::http::redis::link::Link;

/// For each window: remove expired entries, count, and admit only if every window has room. A refused request counts
/// in none. Returns whether it is admitted, then count and microseconds to the reset of each.
const SCRIPT: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local window = tonumber(ARGV[1])
local admitted = 1
local counts = {}
for at, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now - window))
  counts[at] = redis.call('ZCARD', key)
  if counts[at] >= tonumber(ARGV[at + 2]) then admitted = 0 end
end
local reply = {admitted}
for at, key in ipairs(KEYS) do
  if admitted == 1 then
    redis.call('ZADD', key, string.format('%.0f', now), ARGV[2])
    redis.call('PEXPIRE', key, math.ceil(window / 1000))
    counts[at] = counts[at] + 1
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
    link: Arc<Link>,
    entropy: Arc<dyn Entropy>,
    script: Script,
}

impl RedisLimiter {
    pub(super) fn new(link: Arc<Link>, entropy: Arc<dyn Entropy>) -> Self {
        Self { link, entropy, script: Script::new(SCRIPT) }
    }
}

impl RedisLimiter {
    /// Counts the request in these windows: with their limits, and the name of the request's entry.
    async fn count(&self, windows: &[(String, u32)], entry: &str) -> Option<Vec<u64>> {
        let mut call = self.script.prepare_invoke();
        call.arg(u64::try_from(WINDOW.as_micros()).unwrap_or(u64::MAX)).arg(entry);
        for (window, limit) in windows {
            call.key(window).arg(limit);
        }
        // In a cluster all windows of a script are on one server.
        let (first, _) = windows.first()?;
        self.link.with(first, async |connection| call.invoke_async(connection).await).await
    }

    /// Counts the request in two windows that may be on two servers of a cluster: two scripts, sent together. If one window
    /// has no room, the entry leaves the other one, since a refused request counts in none.
    async fn count_apart(&self, windows: &[(String, u32)], entry: &str) -> Option<Vec<u64>> {
        let [one, other] = windows else { return self.count(windows, entry).await };
        let (first, second) = tokio::join!(
            self.count(std::slice::from_ref(one), entry),
            self.count(std::slice::from_ref(other), entry)
        );
        // The window that cannot be asked refuses nobody, and keeps the other one from nothing.
        let unknown = || vec![1, 0, u64::try_from(WINDOW.as_micros()).unwrap_or(u64::MAX)];
        if first.is_none() && second.is_none() {
            return None;
        }
        let (first, second) = (first.unwrap_or_else(unknown), second.unwrap_or_else(unknown));
        let (admits_first, admits_second) = (first.first() == Some(&1), second.first() == Some(&1));
        if admits_first != admits_second {
            let (window, _) = if admits_first { one } else { other };
            self.link.send::<u64>(window, redis::cmd("ZREM").arg(window).arg(entry)).await;
        }
        let admitted = u64::from(admits_first && admits_second);
        let counts = first.iter().skip(1).chain(second.iter().skip(1));
        Some(std::iter::once(admitted).chain(counts.copied()).collect())
    }
}

#[async_trait]
impl Limiter for RedisLimiter {
    async fn admit(&self, request: Admission) -> Verdict {
        let entry = self.entropy.id().simple().to_string();
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
        let reply = if self.link.is_cluster() {
            self.count_apart(&windows, &entry).await
        } else {
            self.count(&windows, &entry).await
        };
        reply.and_then(|reply| verdict(request, &reply)).unwrap_or(Verdict::PASS)
    }
}

fn verdict(request: Admission, reply: &[u64]) -> Option<Verdict> {
    let (admitted, mut windows) = reply.split_first()?;
    let mut next = |limit: u32| {
        let (window, rest) = windows.split_at_checked(2)?;
        windows = rest;
        let (used, reset) = (u32::try_from(*window.first()?).ok()?, *window.get(1)?);
        Some(WindowState {
            limit,
            remaining: limit.saturating_sub(used),
            reset: Duration::from_micros(reset),
        })
    };
    let key = request.key.and_then(|(_, limit)| next(limit));
    let address = request.address.and_then(|(_, limit)| next(limit));
    Some(Verdict { admitted: *admitted == 1, key, address })
}
