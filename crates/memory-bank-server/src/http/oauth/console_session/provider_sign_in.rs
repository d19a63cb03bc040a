//! `/app/openid`: signing in to the console with an OpenID provider. The page sends the browser to the provider, which comes back
//! to `/oauth/openid/callback`, and from there to the page, which finishes the sign-in like one with a code.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use memory_bank_core::identity::{PlainToken, TokenKind};
use memory_bank_core::limiter::AttemptKind;
use serde_json::json;

use super::page_of;
use crate::http::oauth::attempts;
use crate::http::oauth::cookie::{self, Attempt, Purpose};
use crate::http::oauth::openid::CALLBACK;
use crate::http::oauth::page_request::PageRequest;
use crate::http::reply;
use crate::http::shared::Shared;
use crate::mcp::errors::UNREACHABLE_RETRY;

/// `GET /app/openid`: the name of the provider, if there is one, and whether the console shows a folder, which only a link opens.
pub(crate) async fn offer(State(shared): State<Arc<Shared>>) -> Response {
    let provider = shared.openid.as_ref().filter(|_| shared.local_console.is_none());
    reply::json(
        StatusCode::OK,
        &json!({"name": provider.map(|provider| provider.name()), "isFolder": shared.local_console.is_some()}),
    )
}

/// `POST /app/openid`: where the browser goes to sign in. The cookie binds the sign-in to this browser.
pub(crate) async fn begin(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let Some(provider) = shared.openid.clone().filter(|_| shared.local_console.is_none()) else {
        return not_offered();
    };
    let page = match page_of(shared, request) {
        Ok((page, ..)) => page,
        Err(response) => return *response,
    };
    if let Some(refusal) = attempts::refusal(&page.shared, AttemptKind::OpenId, page.address).await {
        return refusal;
    }
    let secret = PlainToken::generate(TokenKind::SignIn, &*page.shared.services.entropy);
    let attempt = Attempt { secret, next: Purpose::Console };
    let Some(to) = provider.begin(&attempt.secret, &page.server.path(CALLBACK), false).await else {
        page.shared.metrics.openid_sign_in("unavailable");
        let text = format!("{} cannot be reached at the moment; try again in a few seconds", provider.name());
        let response = reply::error(StatusCode::SERVICE_UNAVAILABLE, &text);
        return reply::with_retry_after(response, UNREACHABLE_RETRY);
    };
    let mut response = reply::json(StatusCode::OK, &json!({"address": to.as_str()}));
    cookie::set_attempt(&mut response, &page.server, &attempt);
    response
}

impl PageRequest {
    /// The session of a user who has come back from the provider, or the projects to choose from.
    pub(super) async fn continue_sign_in(&self) -> Result<Response, Response> {
        let (cookie, user) = self.signed_in_to_console().await?;
        self.entered(&cookie, user).await
    }
}

fn not_offered() -> Response {
    reply::error(StatusCode::NOT_FOUND, "no OpenID provider is set up here")
}
