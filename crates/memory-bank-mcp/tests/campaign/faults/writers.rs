//! Writers that run until they are stopped.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::acknowledged_writes::{Ledger, Status, next, perform};
use crate::harness::random::Random;
use crate::harness::tool_call::Outcome;

/// How long to wait for an acknowledged write.
const TIMEOUT: Duration = Duration::from_secs(60);

/// State that the writers of one bank share.
#[derive(Default)]
pub(crate) struct Writers {
    pub(crate) ledger: Mutex<Ledger>,
    numbers: AtomicU64,
    acknowledged: AtomicUsize,
    stopped: AtomicBool,
    /// The first reply of a limiter that refused a request: a fault of the program.
    limited: Mutex<Option<String>>,
}

impl Writers {
    /// Call it before the writers of a round start.
    pub(crate) fn begin(&self) {
        self.stopped.store(false, Ordering::SeqCst);
    }

    /// Writes until stopped.
    pub(crate) fn write(&self, random: &mut Random, mut server: impl FnMut(&str, Value) -> Outcome) {
        while !self.stopped.load(Ordering::SeqCst) {
            let (kind, marker) = next(random, self.numbers.fetch_add(1, Ordering::SeqCst));
            let mut noting = |tool: &str, arguments: Value| {
                let outcome = server(tool, arguments);
                if let Outcome::Limited(reply) = &outcome {
                    self.note_limited(reply.clone());
                }
                outcome
            };
            let Some(status) = perform(kind, &marker, &mut noting) else { continue };
            self.ledger.lock().unwrap().note(marker, kind, status);
            match status {
                Status::Acknowledged => {
                    self.acknowledged.fetch_add(1, Ordering::SeqCst);
                }
                Status::Conflict => {}
                // A server that is down is not called all the time.
                Status::Written | Status::Unknown => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Notes the reply of a limiter that refused a request.
    pub(crate) fn note_limited(&self, reply: String) {
        self.limited.lock().unwrap().get_or_insert(reply);
    }

    /// The first such reply.
    pub(crate) fn limited(&self) -> Option<String> {
        self.limited.lock().unwrap().clone()
    }

    /// Waits until this many more writes were acknowledged.
    pub(crate) fn await_more(&self, more: usize) {
        let (began, before) = (Instant::now(), self.acknowledged.load(Ordering::SeqCst));
        while self.acknowledged.load(Ordering::SeqCst) < before + more {
            assert_eq!(self.limited(), None, "a limiter refused a request below all limits");
            assert!(began.elapsed() < TIMEOUT, "no write was acknowledged any more");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Runs `happens` while the writers write, and stops them afterwards, also after a panic.
    pub(crate) fn while_they_write(&self, happens: impl FnOnce()) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(happens));
        self.stopped.store(true, Ordering::SeqCst);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }
}
