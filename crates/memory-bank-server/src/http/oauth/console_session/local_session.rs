//! Sessions of the console of a folder, whose user has opened it with a link: a session lives in this process.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use memory_bank_core::identity::{PlainToken, TokenKind};
use memory_bank_core::limiter::AttemptKind;

use super::credentials::{
    BODY_BYTES, Halves, SESSION_SECONDS, SubmittedCredentials, closed, is_own_page, opened, sessions_of,
};
use crate::http::body::read_object_reserved;
use crate::http::client_address::client_address;
use crate::http::local_console::LocalConsole;
use crate::http::oauth::expiry::after;
use crate::http::oauth::{ServerUrl, attempts};
use crate::http::reply;
use crate::http::reply_budget::Holder;
use crate::http::shared::Shared;

/// Opens a session with the secret of the link.
pub(super) async fn open(shared: &Arc<Shared>, local: &LocalConsole, request: Request) -> Response {
    let Some(server) = own_server(shared, &request) else { return not_of_this_page() };
    let address = client_address(&request, shared.config.trust_proxy_hops);
    if let Some(refusal) = attempts::refusal(shared, AttemptKind::SignIn, address).await {
        return refusal;
    }
    let (parts, body) = request.into_parts();
    let holder = Holder::without_key(&parts.extensions);
    let given: Option<SubmittedCredentials> =
        match read_object_reserved(shared, holder, &parts.headers, body, BODY_BYTES).await {
            Ok(given) => given,
            Err(response) => return response,
        };
    let secret = given.and_then(|given| PlainToken::parse(TokenKind::SignIn, given.secret?.trim()));
    let text = "this link was used already, is older than two minutes, or is not the last one; run `memory-bank-mcp open` again";
    if !secret.is_some_and(|secret| local.redeem(&secret)) {
        return reply::error(StatusCode::UNAUTHORIZED, text);
    }
    let project = match shared.services.workspace.bank(local.caller(), None).await {
        Ok(bank) => local.project().map_or_else(|| bank.location(), str::to_owned),
        Err(error) => return reply::error(StatusCode::NOT_FOUND, &error.to_string()),
    };
    // The browser loses the cookie of its former session.
    for former in sessions_of(&parts.headers, &server).iter().map(Halves::hash) {
        if local.remove(&former) {
            shared.auth.forget_everywhere(&former).await;
        }
    }
    let halves = Halves::generate(&*shared.services.entropy);
    let ends = after(shared.services.clock.now(), Duration::from_secs(u64::from(SESSION_SECONDS)));
    local.add(halves.hash(), ends);
    opened(&server, &halves, local.user_name(), &project)
}

/// Ends a session.
pub(super) async fn close(shared: &Arc<Shared>, local: &LocalConsole, request: Request) -> Response {
    let Some(server) = own_server(shared, &request) else { return not_of_this_page() };
    let mut sessions = sessions_of(request.headers(), &server).into_iter().map(|halves| halves.hash());
    let Some(session) = sessions.find(|session| local.remove(session)) else {
        return reply::error(StatusCode::UNAUTHORIZED, "you are not signed in");
    };
    shared.auth.forget_everywhere(&session).await;
    closed(&server)
}

fn own_server(shared: &Shared, request: &Request) -> Option<ServerUrl> {
    shared.console_url(request).filter(|server| is_own_page(request.headers(), server))
}

fn not_of_this_page() -> Response {
    reply::error(StatusCode::FORBIDDEN, "open the link that `memory-bank-mcp open` prints")
}
