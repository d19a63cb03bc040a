//! A client that sends many requests at once, again and again: a caller so fast that servers lease it requests of its limit
//! (`docs/decisions/0045-leased-requests.md`). It never reaches the limit, so a refusal is a failure.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::clients::Shared;
use crate::load::Connection;
use crate::servers::Redis;
use memory_bank_simulation::random::Random;

/// The requests of a burst, each on a connection of its own.
const AT_ONCE: usize = 32;
/// Between the beginnings of two bursts. A server leases to a caller that sent at least eight requests in the 100 ms before, or in the interval
/// that ended within the last 100 ms: with 200 ms or more between bursts there would be no lease. A lease holds for 100 ms, so that between
/// bursts what is left of it is given back.
const EVERY: Duration = Duration::from_millis(150);
/// So many bursts in a row are for one server: its leases are its own.
const AT_ONE_SERVER: usize = 40;
/// How long a reply may take, and how long before a request is sent again.
const LONGEST: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Lists the documents of the project of this key in bursts until the end.
pub async fn work(key: String, shared: Shared, until: Instant, patience: Duration) {
    let (key, end, mut bursts) = (Arc::new(key), shared.end(), 0);
    let mut random = Random::new(u64::MAX);
    while Instant::now() < until && !end.load(Ordering::Relaxed) {
        let Ok(address) = shared.address(&mut random) else { return };
        let mut open: Vec<Option<Connection>> = (0..AT_ONCE).map(|_| None).collect();
        for _ in 0..AT_ONE_SERVER {
            if Instant::now() >= until || end.load(Ordering::Relaxed) {
                return;
            }
            let began = Instant::now();
            let mut burst = JoinSet::new();
            for connection in open.drain(..) {
                bursts += 1;
                let asker = Asker { key: Arc::clone(&key), shared: shared.clone(), patience };
                burst.spawn(asker.ask(connection, address, Random::new(bursts)));
            }
            while let Some(done) = burst.join_next().await {
                open.push(done.unwrap_or_default());
            }
            // The server is ending.
            if open.iter().any(Option::is_none) {
                break;
            }
            tokio::time::sleep(EVERY.saturating_sub(began.elapsed())).await;
        }
    }
}

struct Asker {
    key: Arc<String>,
    shared: Shared,
    patience: Duration,
}

impl Asker {
    /// Sends one request, again elsewhere if its server is gone. Returns the connection to the server of the burst.
    async fn ask(
        self,
        mut connection: Option<Connection>,
        mut address: std::net::SocketAddr,
        mut random: Random,
    ) -> Option<Connection> {
        let (began, at_first) = (Instant::now(), address);
        loop {
            let tried = Instant::now();
            match self.once(connection.take(), address).await {
                Ok(open) => {
                    self.shared.counted(|counts| {
                        counts.calls += 1;
                        counts.in_bursts += 1;
                    });
                    return (address == at_first).then_some(open);
                }
                Err(error) => {
                    let text = format!("{error:#}");
                    // A refusal, by the limiter too, is one at every server.
                    if text.starts_with("HTTP/1.1 4") || began.elapsed() > self.patience {
                        self.shared.failed("a request of a burst", &error);
                        return None;
                    }
                    self.shared.sent_again(text.split("\r\n\r\n").nth(1).unwrap_or(&text), tried.elapsed());
                }
            }
            tokio::time::sleep(PAUSE).await;
            address = self.shared.address(&mut random).unwrap_or(address);
        }
    }

    async fn once(
        &self,
        connection: Option<Connection>,
        address: std::net::SocketAddr,
    ) -> anyhow::Result<Connection> {
        let mut connection = match connection {
            Some(open) => open,
            None => Connection::open(address).await?,
        };
        let request =
            format!("GET /api/v1/documents HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {}\r\n\r\n", self.key);
        tokio::time::timeout(LONGEST, connection.ask(request.as_bytes())).await??;
        Ok(connection)
    }
}

/// How many requests of leases are in the windows of keys: of a single request only number 1 is there.
pub fn leased(redis: &Redis) -> anyhow::Result<usize> {
    let mut found = 0;
    for window in redis.ask(&["KEYS", "*:ratelimit:key:*"])?.lines() {
        let entries = redis.ask(&["ZRANGE", window, "0", "-1"])?;
        found += entries.lines().filter(|entry| !entry.ends_with(":1")).count();
    }
    Ok(found)
}
