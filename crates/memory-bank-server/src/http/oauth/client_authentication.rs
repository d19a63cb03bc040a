//! Which client sends a request to the token endpoint, and whether it has authenticated itself (`private_key_jwt`).

use std::net::IpAddr;
use std::time::Duration;

use axum::response::Response;
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{ClientKeys, KeyHash, OAuthStore};
use url::Url;

use crate::http::oauth::attempts::DocumentGate;
use crate::http::oauth::expiry::after;
use crate::http::oauth::form::Form;
use crate::http::oauth::issuer::Assertion;
use crate::http::oauth::issuer::signature::{PublicKey, key_set};
use crate::http::oauth::reply::{ErrorCode, error, unavailable};
use crate::http::oauth::{ServerUrl, document_address};
use crate::http::shared::Shared;

/// The type of an assertion that is a JWT.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The client of a request.
pub(super) struct Requester {
    pub(super) client_id: String,
    /// Whether it has authenticated itself.
    pub(super) is_authentic: bool,
}

/// Where a request came to, and from where.
pub(super) struct TokenRequestContext<'a> {
    pub(super) shared: &'a Shared,
    pub(super) store: &'a dyn OAuthStore,
    pub(super) server: &'a ServerUrl,
    pub(super) address: Option<IpAddr>,
}

impl TokenRequestContext<'_> {
    /// The client of a request. One without an assertion names itself only, and one with an assertion must be right.
    ///
    /// # Errors
    /// The reply to a request whose client cannot be accepted.
    pub(super) async fn requester(&self, form: &Form) -> Result<Requester, Response> {
        let named = form.get("client_id");
        let text = match (form.get("client_assertion"), form.get("client_assertion_type")) {
            (None, None) => {
                let client_id = named.map(str::to_owned);
                return client_id
                    .map(|client_id| Requester { client_id, is_authentic: false })
                    .ok_or_else(|| error(ErrorCode::InvalidRequest, "`client_id` is missing"));
            }
            (Some(text), Some(JWT_BEARER)) => text,
            _ => return Err(invalid("`client_assertion_type` takes the type of a JWT, with an assertion")),
        };
        let assertion = Assertion::read(text).map_err(invalid)?;
        let client_id = assertion.client_id().unwrap_or_default().to_owned();
        if named.is_some_and(|named| named != client_id) {
            return Err(invalid("`client_id` is not the client of the assertion"));
        }
        let token_endpoint = self.server.path("/oauth/token");
        let audience = |audience: &str| audience == self.server.issuer() || audience == token_endpoint;
        let now = self.shared.services.clock.now();
        let verified = assertion.check(&client_id, audience, now).map_err(invalid)?;
        let keys = self.keys(&client_id, assertion.key_id()).await?;
        if !assertion.is_signed_by(&keys) {
            return Err(invalid("the assertion is not signed with a key of the client"));
        }
        let hash = proof_hash(&client_id, &verified.id);
        let until = after(now, verified.valid_for);
        match self.store.use_assertion(&client_id, &hash, until).await {
            Ok(true) => Ok(Requester { client_id, is_authentic: true }),
            Ok(false) => Err(invalid("the assertion was used before, or the client sends too many")),
            Err(failure) => Err(unavailable(&failure)),
        }
    }

    /// The reply if the user let in a client that authenticates itself, and this one did not.
    ///
    /// # Errors
    /// The reply.
    pub(super) async fn expect_authentic(&self, who: &Requester, secret: &KeyHash) -> Result<(), Response> {
        if who.is_authentic {
            return Ok(());
        }
        match self.store.demands_assertion(secret).await {
            Ok(false) => Ok(()),
            Ok(true) => Err(invalid("this client must send `client_assertion`")),
            Err(failure) => Err(unavailable(&failure)),
        }
    }

    /// The keys of a client with this id, or all of them.
    async fn keys(&self, client_id: &str, key_id: Option<&str>) -> Result<Vec<PublicKey>, Response> {
        let gate = DocumentGate { shared: self.shared, address: self.address };
        let documents = &self.shared.client_documents;
        let keys = match document_address::address(client_id) {
            Some(address) => documents.get(&address, &gate).await.map_err(retry)?.keys.clone(),
            None => {
                let client = self.store.client(client_id).await;
                let client = client.map_err(|failure: StoreError| unavailable(&failure))?;
                client.and_then(|client| client.keys)
            }
        };
        match keys {
            Some(ClientKeys::Set(text)) => Ok(key_set(text.as_bytes()).unwrap_or_default()),
            Some(ClientKeys::Address(address)) => {
                let address = Url::parse(&address).map_err(|_| invalid("the client has no keys"))?;
                documents.keys(&address, key_id, &gate).await.map_err(retry)
            }
            None => Err(invalid("the client is not known here, or has no keys")),
        }
    }
}

/// The stored form of a used assertion. The length keeps two clients apart.
fn proof_hash(client_id: &str, id: &str) -> KeyHash {
    KeyHash::of(format!("{} {client_id} {id}", client_id.len()).as_bytes())
}

fn invalid(text: &str) -> Response {
    error(ErrorCode::InvalidClient, text)
}

/// The reply while the keys of a client cannot be fetched. The client keeps its token, and tries again.
fn retry(why: &'static str) -> Response {
    const RETRY: Duration = Duration::from_secs(30);
    let seconds = u32::try_from(RETRY.as_secs()).unwrap_or(30);
    crate::http::reply::with_retry_after(error(ErrorCode::TemporarilyUnavailable, why), seconds)
}
