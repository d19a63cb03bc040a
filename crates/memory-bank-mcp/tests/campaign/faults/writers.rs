//! Several who write at once until they are stopped.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::ledger::{Fate, Ledger, Outcome, next, write};
use crate::harness::random::Random;

/// How long writes may fail to be acknowledged.
const PATIENCE: Duration = Duration::from_secs(60);

/// What writers of one bank share.
#[derive(Default)]
pub(crate) struct Writers {
    pub(crate) ledger: Mutex<Ledger>,
    numbers: AtomicU64,
    acknowledged: AtomicUsize,
    stopped: AtomicBool,
}

impl Writers {
    /// To be called before the writers of a round begin.
    pub(crate) fn begin(&self) {
        self.stopped.store(false, Ordering::SeqCst);
    }

    /// Writes until stopped.
    pub(crate) fn write(&self, random: &mut Random, mut server: impl FnMut(&str, Value) -> Outcome) {
        while !self.stopped.load(Ordering::SeqCst) {
            let (kind, marker) = next(random, self.numbers.fetch_add(1, Ordering::SeqCst));
            let Some(fate) = write(kind, &marker, &mut server) else { continue };
            self.ledger.lock().unwrap().note(marker, kind, fate);
            match fate {
                Fate::Acknowledged => {
                    self.acknowledged.fetch_add(1, Ordering::SeqCst);
                }
                Fate::Conflict => {}
                // Whoever is away is not asked all the time.
                Fate::Unknown => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Waits until some more writes were acknowledged.
    pub(crate) fn await_more(&self, more: usize) {
        let (began, before) = (Instant::now(), self.acknowledged.load(Ordering::SeqCst));
        while self.acknowledged.load(Ordering::SeqCst) < before + more {
            assert!(began.elapsed() < PATIENCE, "no write was acknowledged any more");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets writers go on while something happens, and stops them afterwards, however that ended.
    pub(crate) fn while_they_write(&self, happens: impl FnOnce()) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(happens));
        self.stopped.store(true, Ordering::SeqCst);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }
}
