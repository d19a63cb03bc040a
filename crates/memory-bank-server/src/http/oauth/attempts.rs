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
/// The same for steps of sign-ins with an OpenID provider, of which a sign-in has two: each makes this server send requests,
/// but nothing can be guessed, and an office has one address.
const MOST_STEPS: u32 = 60;

/// The kind of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Registration,
    SignIn,
    OpenId,
}

/// The counters.
pub(crate) struct Attempts {
    registrations: MemoryLimiter,
    sign_ins: MemoryLimiter,
    openid: MemoryLimiter,
}

impl Attempts {
    pub(crate) fn new(limiter: impl Fn() -> MemoryLimiter) -> Self {
        Self { registrations: limiter(), sign_ins: limiter(), openid: limiter() }
    }
}

/// The reply if an address has made too many attempts.
pub(super) async fn refusal(shared: &Shared, kind: Kind, address: Option<IpAddr>) -> Option<Response> {
    // Without a limit for requests without a key there is none here either.
    let address = address.map(network).filter(|_| shared.config.address_limit > 0)?;
    let (limiter, most) = match kind {
        Kind::Registration => (&shared.attempts.registrations, MOST),
        Kind::SignIn => (&shared.attempts.sign_ins, MOST),
        Kind::OpenId => (&shared.attempts.openid, MOST_STEPS),
    };
    let admission = Admission { key: None, address: Some((address, most)), origin: Origin::Unkeyed };
    let verdict = limiter.admit(admission).await;
    if verdict.admitted {
        return None;
    }
    shared.metrics.rate_limited(&verdict);
    let seconds = verdict.tightest().map_or(60, |window| window.reset.as_secs() + 1);
    let response = reply::error(StatusCode::TOO_MANY_REQUESTS, "Too many requests");
    Some(reply::with_retry_after(response, u32::try_from(seconds).unwrap_or(60)))
}
