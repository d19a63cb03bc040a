//! The times at which codes and tokens expire.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A time after another; at the end of time the same.
pub(super) fn after(now: Timestamp, life: Duration) -> Timestamp {
    SignedDuration::try_from(life).ok().and_then(|life| now.checked_add(life).ok()).unwrap_or(now)
}
