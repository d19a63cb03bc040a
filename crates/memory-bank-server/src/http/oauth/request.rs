//! An authorization request: the parameters with which a client sends a browser here, checked.

use memory_bank_core::caller::Rights;
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::Client;
use url::Url;

use crate::http::oauth::attempts::DocumentGate;
use crate::http::oauth::challenge::FIRST_RIGHTS;
use crate::http::oauth::form::Form;
use crate::http::oauth::page_request::PageRequest;
use crate::http::oauth::reply::ErrorCode;
use crate::http::oauth::{ServerUrl, document_address, pkce, redirect_uri, scopes};

/// A valid request.
#[derive(Debug, Clone)]
pub(super) struct AuthorizationRequest {
    pub(super) client_id: String,
    pub(super) client: Client,
    pub(super) redirect_uri: Url,
    /// The redirect URI as the client wrote it, which the exchange must repeat.
    pub(super) redirect_text: String,
    pub(super) challenge: [u8; 32],
    pub(super) state: Option<String>,
    /// The rights that the client requests.
    pub(super) rights: Rights,
}

/// Why a request is refused.
#[derive(Debug)]
pub(super) enum Invalid {
    /// The client or its redirect URI is unknown, so that nothing may be sent there. Has the reason.
    Untrusted(String),
    /// The client made a mistake; has the address that reports it to the client.
    Client { back: Url, why: String },
    /// The store failed.
    Store(StoreError),
}

impl AuthorizationRequest {
    /// Reads a request.
    pub(super) async fn read(page: &PageRequest, form: &Form) -> Result<Self, Invalid> {
        let server = &page.server;
        let client_id =
            form.get("client_id").ok_or_else(|| Invalid::Untrusted("`client_id` is missing".to_owned()))?;
        let client = client_of(client_id, page).await?;
        let (redirect_text, redirect_uri) = destination(&client, form.get("redirect_uri"))
            .map_err(|why| Invalid::Untrusted(why.to_owned()))?;
        let state = form.get("state").map(str::to_owned);
        let invalid = |code: ErrorCode, why: &str| Invalid::Client {
            back: answer(
                &redirect_uri,
                server,
                state.as_deref(),
                &[("error", code.as_str()), ("error_description", why)],
            ),
            why: why.to_owned(),
        };
        if form.get("response_type") != Some("code") {
            return Err(invalid(ErrorCode::UnsupportedResponseType, "response_type takes code"));
        }
        if form.get("request").is_some() || form.get("request_uri").is_some() {
            return Err(invalid(ErrorCode::InvalidRequest, "request objects are not supported"));
        }
        if form.get("response_mode").is_some_and(|mode| mode != "query") {
            return Err(invalid(ErrorCode::InvalidRequest, "response_mode takes query"));
        }
        let challenge =
            form.get("code_challenge").filter(|_| form.get("code_challenge_method") == Some("S256"));
        let Some(challenge) = challenge.and_then(pkce::challenge) else {
            return Err(invalid(
                ErrorCode::InvalidRequest,
                "PKCE is required: code_challenge with code_challenge_method=S256",
            ));
        };
        if form.get("resource").is_some_and(|resource| !server.accepts_resource(resource)) {
            return Err(invalid(ErrorCode::InvalidTarget, "resource is not this server"));
        }
        let rights = form.get("scope").map(scopes::parse).filter(|rights| *rights != Rights::NONE);
        Ok(Self {
            client_id: client_id.to_owned(),
            rights: rights.unwrap_or(FIRST_RIGHTS),
            redirect_text,
            client,
            redirect_uri,
            challenge,
            state,
        })
    }

    /// The address that gives the client its answer.
    pub(super) fn answer(&self, server: &ServerUrl, parameters: &[(&str, &str)]) -> Url {
        answer(&self.redirect_uri, server, self.state.as_deref(), parameters)
    }
}

/// The client of an id.
async fn client_of(client_id: &str, page: &PageRequest) -> Result<Client, Invalid> {
    // The name and the redirect URIs in a document are those of who controls its address.
    if let Some(address) = document_address::address(client_id) {
        let gate = DocumentGate { shared: &page.shared, address: page.address };
        let known = page.shared.client_documents.get(&address, &gate).await;
        return known.map(|client| Client::clone(&client)).map_err(|why| Invalid::Untrusted(why.to_owned()));
    }
    let known = page.store.client(client_id).await.map_err(Invalid::Store)?;
    known.ok_or_else(|| {
        let why = "this client is not registered here (any more); connect it again, so that it registers";
        Invalid::Untrusted(why.to_owned())
    })
}

/// Where the answer goes: the presented redirect URI, if it is one of the client's, or its only one.
fn destination(client: &Client, presented: Option<&str>) -> Result<(String, Url), &'static str> {
    let known = client.redirect_uris.as_slice();
    let text = match (presented, known) {
        (Some(wanted), _) => known.iter().any(|known| redirect_uri::matches(known, wanted)).then_some(wanted),
        (None, [only]) => Some(only.as_str()),
        (None, _) => None,
    };
    let text = text.ok_or("`redirect_uri` is not one of this client's")?;
    let uri = redirect_uri::parse(text).ok_or("`redirect_uri` cannot be used")?;
    Ok((text.to_owned(), uri))
}

/// Every answer names its issuer, so that a client that uses several servers cannot mix them up (RFC 9207).
fn answer(to: &Url, server: &ServerUrl, state: Option<&str>, parameters: &[(&str, &str)]) -> Url {
    let mut url = to.clone();
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(parameters);
        if let Some(state) = state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", server.issuer());
    }
    url
}
