//! What a process knows of the tokens of the outside issuer: which it has verified, and which are being looked at.

use std::time::Duration;

use jiff::Timestamp;
use memory_bank_core::identity::KeyHash;
use memory_bank_core::limiter::MemoryLimiter;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::http::auth::{Authenticated, Turns};
use crate::http::oauth::issuer::{IssuerSettings, OutsideIssuer};

/// How long a verification counts in this process.
const VERIFIED_FOR: Duration = Duration::from_secs(600);
/// How many verifications are remembered.
const VERIFIED: usize = 20_000;
/// How long before its end it is renewed.
const RENEWED_BEFORE: Duration = Duration::from_secs(180);

/// The dependencies of tokens of the outside issuer.
pub(crate) struct FirstSights {
    pub(super) issuer: OutsideIssuer,
    /// Counts new rows of a user.
    pub(super) rows: MemoryLimiter,
    /// First sights in flight.
    pub(super) turns: Turns<()>,
    /// When this process verified a token.
    pub(super) verified: Cache<KeyHash, Instant>,
}

impl FirstSights {
    pub(crate) fn new(settings: IssuerSettings, rows: MemoryLimiter) -> Self {
        Self {
            issuer: OutsideIssuer::new(settings),
            rows,
            turns: Turns::default(),
            verified: Cache::new(VERIFIED),
        }
    }

    /// Whether a known token needs no other look: it was verified a while ago, and its row does not end soon.
    pub(crate) fn is_settled(&self, known: &Authenticated, now: Timestamp) -> bool {
        self.verified.get(&known.hash).is_some_and(|at| at.elapsed() < VERIFIED_FOR) && !is_due(known, now)
    }

    /// The issuer, if clients are led to it.
    pub(super) fn listed_issuer(&self) -> Option<&str> {
        let settings = self.issuer.settings();
        settings.is_listed.then_some(settings.issuer.as_str())
    }
}

/// Whether the row of a token ends soon.
pub(super) fn is_due(known: &Authenticated, now: Timestamp) -> bool {
    known
        .expires_at
        .is_some_and(|at| at.duration_since(now).as_secs() < RENEWED_BEFORE.as_secs().cast_signed())
}
