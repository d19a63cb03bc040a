//! OAuth: the server as a resource that tokens open, and as the authorization server that issues them.
//!
//! To everything else a token is a key (`auth`). This module must not know what a tool does with the bank.

mod attempts;
mod authorize;
mod challenge;
mod clean_up;
mod client_authentication;
mod client_document;
mod client_fetch;
mod client_keys;
mod consent_page;
pub(crate) mod console_session;
mod cookie;
mod document_address;
mod expiry;
mod first_sight;
mod first_sights;
mod form;
mod grants;
pub(crate) mod issuer;
mod metadata;
mod names;
mod network;
pub(crate) mod openid;
mod own_address;
mod page;
mod page_request;
mod pkce;
mod public_address;
mod redirect_uri;
mod register;
mod reply;
mod request;
mod routes;
mod scopes;
mod server_url;
mod token;

pub(crate) use self::challenge::FIRST_RIGHTS;
pub(crate) use self::challenge::{
    Challenge, complete as complete_challenge, insufficient_scope, missing_right,
};
pub(crate) use self::clean_up::clean_up;
pub(crate) use self::client_fetch::ClientDocuments;
pub(crate) use self::first_sight::{FirstSight, first_sight};
pub(crate) use self::first_sights::FirstSights;
pub(crate) use self::issuer::OpenIdProvider;
pub use self::issuer::{IssuerFacts, IssuerSettings, OpenIdSettings};
pub(crate) use self::network::Internet;
pub use self::own_address::{OwnAddressFault, inspect_public_url};
pub(crate) use self::page_request::{console_page_refusal, on_unknown_host};
pub(crate) use self::routes::routes;
pub(crate) use self::server_url::ServerUrl;
pub(crate) use self::token::{evict, evict_tokens_of};

/// The reply to a token on a route for keys: a key that a token made would outlive what its user can take back.
pub(crate) const NOT_FOR_TOKENS: &str =
    "a token of OAuth cannot manage keys; send an API key in `X-API-Key` or `Authorization: Bearer`";

/// Whether a client may have this redirect URI.
#[must_use]
pub fn is_redirect_uri(text: &str) -> bool {
    redirect_uri::parse(text).is_some()
}
