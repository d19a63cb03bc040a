//! Sliding windows in Redis: one script decides about key and address together, by the clock of Redis and in one
//! round trip.

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

#[async_trait]
impl Limiter for RedisLimiter {
    async fn admit(&self, request: Admission) -> Verdict {
        let mut call = self.script.prepare_invoke();
        call.arg(u64::try_from(WINDOW.as_micros()).unwrap_or(u64::MAX))
            .arg(self.entropy.id().simple().to_string());
        if let Some((key, limit)) = request.key {
            call.key(self.link.key("ratelimit", format_args!("key:{}", key.0))).arg(limit);
        }
        if let Some((address, limit)) = request.address {
            let of = match request.origin {
                Origin::Keyed => "ip-with-key",
                Origin::Unkeyed => "ip",
                Origin::Attempt(attempt) => attempt.as_str(),
            };
            call.key(self.link.key("ratelimit", format_args!("{of}:{address}"))).arg(limit);
        }
        let reply: Option<Vec<u64>> = self.link.with(async |manager| call.invoke_async(manager).await).await;
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
