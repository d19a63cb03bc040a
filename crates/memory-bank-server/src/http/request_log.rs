//! The outermost layer: a request id, the check of host and origin, security headers, and one log line per request.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONNECTION, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use tracing::Instrument;
use tracing::field::Empty;
use uuid::Uuid;

use crate::http::auth::presented;
use crate::http::client_address::client_address;
use crate::http::origin::{Admitted, Refused};
use crate::http::request_id::RequestId;
use crate::http::routes::{method_name, needs_key, route_name};
use crate::http::shared::Shared;
use crate::http::unread_body::with_rest;
use crate::http::{admission, api, oauth, reply};
use crate::telemetry;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Marks a reply that says itself how long it may be kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnCaching;

/// Headers of every reply.
const FIXED_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("x-xss-protection"), HeaderValue::from_static("0")),
    (REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

pub(crate) async fn layer(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = shared.services.entropy.id();
    request.extensions_mut().insert(RequestId(id));
    let has_connections = request.version() <= Version::HTTP_11;
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let address = client_address(&request, shared.config.trust_proxy_hops);
    let route = route_name(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
    let (refused, page) = match check_host(&shared, &request, route) {
        HostCheck::Passed => (None, None),
        HostCheck::Failed(refused) => (Some(refused), None),
        HostCheck::NeedsKey => {
            let (key, own_url) = (presented(request.headers()), shared.oauth_url(&request));
            let has_key = admission::has_good_key(&shared, key, own_url.as_ref(), address).await;
            ((!has_key).then_some(Refused::Host), oauth::on_unknown_host(&shared, route, &method))
        }
    };
    // Use the highest level, so that the id is logged at every log level.
    let span = tracing::error_span!("request", request.id = %id, otel.name = Empty, otel.kind = Empty);
    let verb = method_name(&method);
    telemetry::begin_request(&span, request.headers(), verb, route);
    let (parts, body) = request.into_parts();
    let (body, rest) = with_rest(&parts.headers, body);
    let request = Request::from_parts(parts, body);
    let mut response = match refused {
        Some(refused) => {
            drop(request);
            shared.metrics.refused(refused);
            let refusal = match admission::refusal_without_key(&shared, address).await {
                Some(refusal) => refusal,
                None => page.unwrap_or_else(|| reply::error(StatusCode::FORBIDDEN, refused.text())),
            };
            if path.starts_with(api::root::ROOT) { api::problem_of(refusal).await } else { refusal }
        }
        // Routes that need a key count by themselves, and monitoring is always answered.
        None if path.starts_with("/health") || needs_key(route, &method) => {
            next.run(request).instrument(span.clone()).await
        }
        None => match admission::refusal_without_key(&shared, address).await {
            Some(refusal) => {
                drop(request);
                refusal
            }
            None => next.run(request).instrument(span.clone()).await,
        },
    };
    let status = response.status().as_u16();
    let took = began.elapsed();
    shared.metrics.answered(route, verb, status, took);
    telemetry::end_request(&span, status);
    let milliseconds = took.as_secs_f64() * 1000.0;
    span.in_scope(|| {
        if status >= 500 {
            tracing::warn!(http.method = %method, http.path = path, http.status = status, milliseconds, "answered");
        } else {
            tracing::debug!(http.method = %method, http.path = path, http.status = status, milliseconds, "answered");
        }
    });
    let keeps_caching = response.extensions().get::<OwnCaching>().is_some();
    set_headers(response.headers_mut(), id, keeps_caching);
    let is_read = match rest {
        Some(rest) => rest.read().await,
        None => true,
    };
    // Proxies and clients reuse connections; one to an ending server is useless, and so is one that ends with this reply.
    if has_connections && (!is_read || shared.shutdown.is_cancelled()) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Sets the headers of every reply.
fn set_headers(headers: &mut HeaderMap, id: Uuid, keeps_caching: bool) {
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(X_REQUEST_ID, id);
    }
    for (name, value) in FIXED_HEADERS {
        // A page that leads elsewhere has a stricter policy of its own, and so have the files of the console.
        let is_own = name == REFERRER_POLICY || (name == CACHE_CONTROL && keeps_caching);
        if !is_own || !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
}

enum HostCheck {
    Passed,
    /// Passed with a valid key only.
    NeedsKey,
    Failed(Refused),
}

/// Whether a request is admitted by host. An unknown host needs a valid key; routes that need one check it
/// themselves, and preflight requests have none.
fn check_host(shared: &Shared, request: &Request, route: &str) -> HostCheck {
    if request.uri().path().starts_with("/health") {
        return HostCheck::Passed;
    }
    let method = request.method();
    match shared.origins.check(request) {
        Err(refused) => HostCheck::Failed(refused),
        Ok(Admitted::Known) => HostCheck::Passed,
        Ok(Admitted::WithKey) if needs_key(route, method) => HostCheck::Passed,
        Ok(Admitted::WithKey) if method == Method::OPTIONS && shared.origins.lists_page_of(request) => {
            HostCheck::Passed
        }
        Ok(Admitted::WithKey) => HostCheck::NeedsKey,
    }
}
