//! Bounds of requests that anybody can make and that cost or reveal something: registrations, attempts to sign in,
//! exchanges of codes and tokens, and fetches of documents. They count for all replicas, beside the limit of all requests
//! without a key; while Redis is down, each replica counts alone.

use std::net::IpAddr;

use async_trait::async_trait;
use axum::response::Response;
use http::StatusCode;
use memory_bank_core::limiter::{Admission, AttemptKind, Limiter, Origin, Verdict};

use crate::http::addresses::network;
use crate::http::oauth::client_fetch::Gate;
use crate::http::oauth::page::problem;
use crate::http::reply;
use crate::http::shared::Shared;

/// The most per minute and address.
const fn most(attempt: AttemptKind) -> u32 {
    match attempt {
        AttemptKind::Registration | AttemptKind::SignIn => 10,
        // Each can make this server send requests to a host that a stranger chooses.
        AttemptKind::Document => 20,
        // A sign-in has two steps that make this server send requests, but nothing can be guessed, and an office has one
        // address.
        AttemptKind::OpenId => 60,
        // A service has many users behind one address, and each of them refreshes a token once an hour.
        AttemptKind::Token => 120,
    }
}

/// The reply if an address has made too many attempts.
pub(super) async fn refusal(
    shared: &Shared,
    attempt: AttemptKind,
    address: Option<IpAddr>,
) -> Option<Response> {
    let seconds = wait(shared, attempt, address).await?;
    let response = reply::error(StatusCode::TOO_MANY_REQUESTS, "Too many requests");
    Some(reply::with_retry_after(response, seconds))
}

/// The refusal as a page for the person at a browser.
pub(super) async fn refusal_page(
    shared: &Shared,
    attempt: AttemptKind,
    address: Option<IpAddr>,
) -> Option<Response> {
    let seconds = wait(shared, attempt, address).await?;
    let unit = if seconds == 1 { "second" } else { "seconds" };
    let text = format!(
        "Somebody at your address has tried to sign in too often. Go back in {seconds} {unit}, and try again."
    );
    let response = problem(StatusCode::TOO_MANY_REQUESTS, "Too many attempts", &text, None);
    Some(reply::with_retry_after(response, seconds))
}

/// Counts an attempt; how many seconds an address must wait if it has made too many.
async fn wait(shared: &Shared, attempt: AttemptKind, address: Option<IpAddr>) -> Option<u32> {
    let verdict = count(shared, attempt, address).await;
    if verdict.admitted {
        return None;
    }
    let seconds = verdict.tightest().map_or(60, |window| window.reset.as_secs() + 1);
    Some(u32::try_from(seconds).unwrap_or(60))
}

/// Counts the fetches of documents that an address causes.
pub(super) struct DocumentGate<'a> {
    pub(super) shared: &'a Shared,
    pub(super) address: Option<IpAddr>,
}

#[async_trait]
impl Gate for DocumentGate<'_> {
    async fn admits(&self) -> bool {
        count(self.shared, AttemptKind::Document, self.address).await.admitted
    }
}

/// Counts an attempt, for all replicas and in this process. An attempt that the other replicas refuse does not count
/// here either, as everywhere a refused request does not count. The local count applies while Redis is down.
async fn count(shared: &Shared, attempt: AttemptKind, address: Option<IpAddr>) -> Verdict {
    // Without a limit for requests without a key there is none here either.
    let Some(address) = address.map(network).filter(|_| shared.config.address_limit > 0) else {
        return Verdict::PASS;
    };
    let address = Some((address, most(attempt)));
    let admission = Admission { key: None, address, origin: Origin::Attempt(attempt) };
    let of_all = shared.limiter.admit(admission).await;
    let verdict = if of_all.admitted { shared.attempts.admit(admission).await } else { of_all };
    if !verdict.admitted {
        shared.metrics.rate_limited(&verdict);
    }
    verdict
}
