//! A client so fast that servers lease it requests (`docs/decisions/0045-leased-requests.md`), which faults then meet: leases that are held,
//! taken and given back while Redis is killed, cut off or cannot be asked.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::recorder::Recorder;
use crate::harness::random::Random;
use crate::harness::redis::command_at;
use crate::harness::tool_call::limited;
use crate::harness::wire::{Connection, Request};

/// The requests of a burst, one after the other: more than 100 ms of them, since a lease needs eight requests in the 100 ms before it.
const BURST: usize = 64;
/// Between two bursts: longer than the 100 ms for which a lease holds, so that what is left of it is given back.
const PAUSE: Duration = Duration::from_millis(150);

/// Reads a document in bursts at random servers until the round is over. What it reads is not recorded, but a refusal is.
pub(crate) fn hurry(
    recorder: &Recorder,
    (addresses, key): (&[String], &str),
    patience: Duration,
    random: &mut Random,
) {
    let read = Request {
        method: "GET",
        path: format!("/api/v1/document?filename={}", recorder.log(0)),
        patience: Some(patience),
        ..Request::default()
    };
    while !recorder.is_over() {
        let (address, mut connection) = (random.pick(addresses), Connection::default());
        for _ in 0..BURST {
            let answer = connection.exchange(address, key, &read);
            if let Some(reply) = limited(&answer) {
                return recorder.note_limited(reply);
            }
            // A server that is gone is not called all the time.
            if recorder.is_over() || answer.status == 0 {
                break;
            }
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether the window of a key has requests of a lease that were used: of a single request only number 1 is there.
pub(crate) fn has_leased(redis: Ipv4Addr, port: u16) -> bool {
    let ask = |words: &[&str]| command_at(redis, port, words).unwrap_or_default();
    let entries = |window: &String| ask(&["ZREVRANGE", window, "0", "511"]);
    let windows = ask(&["KEYS", "*:ratelimit:key:*"]);
    windows.iter().flat_map(entries).any(|entry| entry.ends_with(":2"))
}
