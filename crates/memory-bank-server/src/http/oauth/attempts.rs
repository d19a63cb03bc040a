//! Bounds of requests that anybody can make and that cost or reveal something: registrations, and attempts to sign in.
//! They count in this process, beside the limit of all requests without a key.

use std::net::IpAddr;

use axum::response::Response;
use http::StatusCode;
use memory_bank_core::limiter::{Admission, Limiter, MemoryLimiter, Origin};

use crate::http::addresses::network;
use crate::http::reply;
use crate::http::shared::Shared;

/// Per minute and address.
const MOST: u32 = 10;

/// The kind of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Registration,
    SignIn,
}

/// The counters.
pub(crate) struct Attempts {
    registrations: MemoryLimiter,
    sign_ins: MemoryLimiter,
}

impl Attempts {
    pub(crate) fn new(registrations: MemoryLimiter, sign_ins: MemoryLimiter) -> Self {
        Self { registrations, sign_ins }
    }
}

/// The reply if an address has made too many attempts.
pub(super) async fn refusal(shared: &Shared, kind: Kind, address: Option<IpAddr>) -> Option<Response> {
    // Without a limit for requests without a key there is none here either.
    let address = address.map(network).filter(|_| shared.config.address_limit > 0)?;
    let limiter = match kind {
        Kind::Registration => &shared.attempts.registrations,
        Kind::SignIn => &shared.attempts.sign_ins,
    };
    let admission = Admission { key: None, address: Some((address, MOST)), origin: Origin::Unkeyed };
    let verdict = limiter.admit(admission).await;
    if verdict.admitted {
        return None;
    }
    shared.metrics.rate_limited(&verdict);
    let seconds = verdict.tightest().map_or(60, |window| window.reset.as_secs() + 1);
    let response = reply::error(StatusCode::TOO_MANY_REQUESTS, "Too many requests");
    Some(reply::with_retry_after(response, u32::try_from(seconds).unwrap_or(60)))
}
