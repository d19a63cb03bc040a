//! Leases: parts of a large limit that a server takes from Redis at once. Whatever several servers do at the same time, a limit holds to
//! the request, and requests that were taken and not used are given back.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use memory_bank_core::caller::KeyId;
use memory_bank_core::clock::{Entropy as _, SystemClock, SystemEntropy};
use memory_bank_core::limiter::{Admission, Limiter, Origin, Verdict, WINDOW};
use memory_bank_server::http::Redis as Client;

use tokio::task::JoinHandle;

use crate::client::{TIMEOUT, until};
use crate::redis::Redis;
use crate::redis_groups::{Cluster, cli};

/// The limiter of a server.
fn limiter(url: &str) -> Arc<dyn Limiter> {
    Client::new(url, "leases", Arc::new(SystemClock), Arc::new(SystemEntropy)).unwrap().limiter()
}

/// A key at an address that nobody used before, with these limits.
fn caller(key: u32, address: u32) -> Admission {
    let id = SystemEntropy.id();
    let [.., a, b, c] = id.into_bytes();
    Admission {
        key: Some((KeyId(id), key)),
        address: Some((IpAddr::V4(Ipv4Addr::new(10, a, b, c)), address)),
        origin: Origin::Keyed,
    }
}

/// The windows of a caller.
fn windows(caller: &Admission) -> [String; 2] {
    let (key, _) = caller.key.unwrap();
    let (address, _) = caller.address.unwrap();
    [format!("leases:ratelimit:key:{}", key.0), format!("leases:ratelimit:ip-with-key:{address}")]
}

/// How many requests count in a window.
fn counted(port: u16, window: &str) -> usize {
    cli(port, &["-c", "ZCARD", window]).trim().parse().unwrap()
}

/// The times from which on the requests of a window count, in microseconds since 1970; the first one first.
fn times(port: u16, window: &str) -> Vec<u128> {
    let entries = cli(port, &["-c", "ZRANGE", window, "0", "-1", "WITHSCORES"]);
    entries.lines().skip(1).step_by(2).map(|score| score.parse().unwrap()).collect()
}

/// How many scripts a Redis ran.
fn scripts(redis: &Redis) -> usize {
    let statistics = redis.run("INFO commandstats");
    let line = statistics.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap_or_default();
    let number = |name: &str| -> usize {
        let of = line.split([':', ',']).filter_map(|part| part.split_once('='));
        of.filter(|(found, _)| *found == name).map(|(_, number)| number.parse::<usize>().unwrap()).sum()
    };
    // The first one fails, until the script is loaded.
    number("calls") - number("failed_calls")
}

/// Whether Redis decided: it has 50 ms, which a busy machine may take. Then the request passes and counts nowhere, or in a cluster in
/// one of its windows.
fn is_decided(verdict: &Verdict) -> bool {
    let counted = [verdict.key, verdict.address].into_iter().flatten();
    counted.filter(|state| state.remaining < state.limit).count() == 2
}

/// Sends requests of a caller to servers in turn, from many tasks at once. Returns when each admitted one was sent, in microseconds
/// since 1970, in order; and how many Redis did not decide.
async fn send(
    servers: &[Arc<dyn Limiter>],
    caller: Admission,
    tasks: usize,
    each: usize,
) -> (Vec<u128>, usize) {
    let senders = (0..tasks).map(|task| {
        let server = Arc::clone(&servers[task % servers.len()]);
        tokio::spawn(async move {
            let mut sent = Vec::new();
            for _ in 0..each {
                let at = now_in_micros();
                sent.push((at, server.admit(caller).await));
            }
            sent
        })
    });
    let senders: Vec<_> = senders.collect();
    let mut admitted = Vec::new();
    let mut undecided = 0;
    for sender in senders {
        for (at, verdict) in sender.await.unwrap() {
            if !is_decided(&verdict) {
                undecided += 1;
            } else if verdict.admitted {
                admitted.push(at);
            }
        }
    }
    admitted.sort_unstable();
    (admitted, undecided)
}

/// Repeats a round until Redis has decided about each of its requests, and the round has shown what it is for.
async fn until_decided(mut round: impl AsyncFnMut() -> Option<()>) {
    let began = Instant::now();
    while round().await.is_none() {
        assert!(began.elapsed() < TIMEOUT * 2, "no round has succeeded");
    }
}

/// For how long requests of a lease may be used, and how often a caller is found to be busy.
const HOLD: Duration = Duration::from_millis(100);
/// Longer than any lease is held.
const AFTER_LEASES: Duration = Duration::from_millis(300);

/// Sends requests of a caller with a large limit to two servers at once, then more than the limit allows.
async fn limit_holds(servers: &[Arc<dyn Limiter>], port: u16) -> Option<()> {
    const LIMIT: usize = 4096;
    let began = Instant::now();
    let caller = caller(u32::try_from(LIMIT).unwrap(), 1_000_000);
    // Two bursts, so that the second one has leases from its beginning.
    let (mut sent, undecided) = send(servers, caller, 8, 100).await;
    tokio::time::sleep(HOLD).await;
    let (more, undecided_later) = send(servers, caller, 24, 100).await;
    sent.extend(more);
    if undecided + undecided_later > 0 {
        return None;
    }
    assert_eq!(sent.len(), 3200, "the limit allows all");
    sent.sort_unstable();
    let [window, _] = windows(&caller);
    if !cli(port, &["-c", "ZRANGE", &window, "0", "-1"]).lines().any(|entry| entry.ends_with(":2")) {
        // Without a lease the round shows nothing.
        return None;
    }
    // What a server took and did not use is given back, in both windows.
    for window in windows(&caller) {
        until("what was not used", || counted(port, &window) == sent.len());
        // A request that is used later than it was counted must count until a minute after its use.
        let counts_from = times(port, &window);
        assert!(sent.iter().zip(&counts_from).all(|(sent, from)| sent <= from), "{window}");
        // The window lives as long as each of its requests counts.
        let last = counts_from.last().unwrap() + WINDOW.as_micros();
        let lives: u128 = cli(port, &["-c", "PTTL", &window]).trim().parse().unwrap();
        assert!(now_in_micros() + lives * 1000 + 50_000 >= last, "{window} ends too early");
    }
    let mut admitted = sent.len();
    while admitted < LIMIT {
        let (more, undecided) = send(servers, caller, 8, 150).await;
        admitted += more.len();
        if undecided > 0 || began.elapsed() > WINDOW / 2 {
            return None;
        }
        assert!(admitted <= LIMIT, "{admitted}");
        // The other server may have held the last ones.
        tokio::time::sleep(AFTER_LEASES).await;
    }
    let (more, _) = send(servers, caller, 4, 10).await;
    assert!(more.is_empty() || began.elapsed() > WINDOW / 2, "{more:?}");
    Some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_limit_of_two_servers_holds_to_the_request() {
    let redis = Redis::start();
    let servers = [limiter(&redis.url()), limiter(&redis.url())];
    until_decided(async || limit_holds(&servers, redis.0.port()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_limit_holds_to_the_request_in_a_cluster() {
    let cluster = Cluster::start(3);
    let nodes: Vec<String> = cluster.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let url = format!("redis+cluster://{}", nodes.join(","));
    let servers = [limiter(&url), limiter(&url)];
    until_decided(async || limit_holds(&servers, cluster.ports[0]).await).await;
}

/// The scripts that a caller with a large limit needs for 4,000 requests, once it is known to be busy; `None` if Redis did not decide
/// about each of them.
async fn scripts_of_a_busy_caller(
    redis: &Redis,
    server: &[Arc<dyn Limiter>],
    caller: Admission,
) -> Option<usize> {
    let (_, undecided_before) = send(server, caller, 4, 500).await;
    tokio::time::sleep(HOLD).await;
    let before = scripts(redis);
    let (admitted, undecided) = send(server, caller, 4, 1000).await;
    let needed = scripts(redis) - before;
    (undecided + undecided_before == 0 && admitted.len() == 4000).then_some(needed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_caller_asks_redis_for_few_of_its_requests() {
    let redis = Redis::start();
    let server = [limiter(&redis.url())];
    let mut rounds = Vec::new();
    until_decided(async || {
        let caller = caller(1_000_000, 1_000_000);
        let needed = scripts_of_a_busy_caller(&redis, &server, caller).await?;
        for window in windows(&caller) {
            until("what was not used", || counted(redis.0.port(), &window) == 6000);
        }
        rounds.push(needed);
        // On a busy machine a caller may have pauses, after which it is not known to be busy.
        (needed < 500).then_some(())
    })
    .await;
    println!("scripts for 4,000 requests: {rounds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_limit_is_asked_for_each_request() {
    let redis = Redis::start();
    let servers = [limiter(&redis.url()), limiter(&redis.url())];
    until_decided(async || {
        let before = scripts(&redis);
        // The limit of an address by default, and that of the key is large.
        let caller = caller(1_000_000, 1200);
        let (admitted, undecided) = send(&servers, caller, 10, 130).await;
        assert!(admitted.len() <= 1200, "{}", admitted.len());
        if undecided > 0 {
            return None;
        }
        assert_eq!((admitted.len(), scripts(&redis) - before), (1200, 1300));
        Some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_leases_of_a_window_together_are_a_small_part_of_what_is_left() {
    let redis = Redis::start();
    let server = limiter(&redis.url());
    until_decided(async || {
        // Ten keys behind one address, all of them busy; of its limit 8,000 are left, and a 128th of that is 62.
        let one = caller(1_000_000, 40_000);
        let [_, address] = windows(&one);
        let fill = "local t = redis.call('TIME') for number = 1, 32000 do \
                    redis.call('ZADD', KEYS[1], t[1] * 1000000, 'used:' .. number) end";
        cli(redis.0.port(), &["EVAL", fill, "1", &address]);
        let keys = (0..10).map(|_| Admission { address: one.address, ..caller(1_000_000, 1) });
        let senders: Vec<_> = keys
            .map(|key| {
                let server = [Arc::clone(&server)];
                tokio::spawn(async move {
                    let (_, undecided) = send(&server, key, 1, 50).await;
                    tokio::time::sleep(HOLD).await;
                    undecided + send(&server, key, 1, 400).await.1
                })
            })
            .collect();
        let leased = "local t = redis.call('TIME') local now = string.format('(%.0f', t[1] * 1000000 + t[2]) \
                      return redis.call('ZCOUNT', KEYS[1], now, '+inf')";
        let mut most = 0;
        let mut is_over = false;
        while !is_over {
            is_over = senders.iter().all(JoinHandle::is_finished);
            let count = cli(redis.0.port(), &["EVAL", leased, "1", &address]);
            most = most.max(count.trim().parse().unwrap());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for sender in senders {
            if sender.await.unwrap() > 0 {
                return None;
            }
        }
        assert!(most <= 8000 / 128, "{most} requests are leased");
        (most > 0).then_some(())
    })
    .await;
}

fn now_in_micros() -> u128 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros()
}

/// Four tasks that send requests of a caller without a pause.
struct Sending {
    is_over: Arc<AtomicBool>,
    senders: Vec<JoinHandle<(usize, usize)>>,
}

impl Sending {
    fn start(server: &[Arc<dyn Limiter>; 1], caller: Admission) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let senders = (0..4).map(|_| {
            let (server, is_over) = (server.clone(), Arc::clone(&is_over));
            tokio::spawn(async move {
                let (mut admitted, mut undecided) = (0, 0);
                while !is_over.load(Ordering::Relaxed) {
                    let sent = send(&server, caller, 1, 10).await;
                    assert_eq!(sent.0.len() + sent.1, 10, "the limit allows all");
                    (admitted, undecided) = (admitted + sent.0.len(), undecided + sent.1);
                }
                (admitted, undecided)
            })
        });
        let senders = senders.collect();
        Self { is_over, senders }
    }

    /// How many requests Redis admitted, and how many it did not decide.
    async fn end(self) -> (usize, usize) {
        self.is_over.store(true, Ordering::Relaxed);
        let (mut admitted, mut undecided) = (0, 0);
        for sender in self.senders {
            let sent = sender.await.unwrap();
            (admitted, undecided) = (admitted + sent.0, undecided + sent.1);
        }
        (admitted, undecided)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_redis_refuses_nobody_and_the_next_one_has_leases_again() {
    let redis = Redis::start();
    let port = redis.0.port();
    let server = [limiter(&redis.url())];
    let caller = caller(1_000_000, 1_000_000);
    let sending = Sending::start(&server, caller);
    tokio::time::sleep(HOLD * 5).await;
    redis.signal("-KILL");
    drop(redis);
    tokio::time::sleep(HOLD * 5).await;
    let redis = Redis::start_on(port);
    let [window, _] = windows(&caller);
    until("requests that count", || counted(port, &window) > 0);
    let (admitted, undecided) = sending.end().await;
    assert!(undecided > 0, "there was no Redis");
    // The next Redis has none of those that the former one counted; and what was taken and not used is given back.
    tokio::time::sleep(AFTER_LEASES).await;
    assert!(counted(port, &window) < admitted, "{} of {admitted}", counted(port, &window));
    until_decided(async || {
        let needed = scripts_of_a_busy_caller(&redis, &server, caller).await?;
        (needed < 500).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_counted_without_an_answer_is_given_back_and_leases_are_taken_again() {
    let redis = Redis::start();
    let server = [limiter(&redis.url())];
    let caller = caller(1_000_000, 1_000_000);
    let [window, _] = windows(&caller);
    let sending = Sending::start(&server, caller);
    tokio::time::sleep(HOLD * 5).await;
    redis.signal("-STOP");
    tokio::time::sleep(Duration::from_millis(250)).await;
    redis.signal("-CONT");
    let (admitted, undecided) = sending.end().await;
    assert!(undecided > 0, "Redis was silent");
    // The few requests that were sent and not answered may count; a lease of 64 does not. By itself it would end after a minute.
    let began = Instant::now();
    while counted(redis.0.port(), &window) > admitted + 32 {
        assert!(began.elapsed() < WINDOW / 2, "{} for {admitted}", counted(redis.0.port(), &window));
        tokio::time::sleep(HOLD).await;
    }
    until_decided(async || {
        let needed = scripts_of_a_busy_caller(&redis, &server, caller).await?;
        (needed < 500).then_some(())
    })
    .await;
}
