//! The metadata of an OpenID provider (OpenID Connect Discovery), cached.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::http::oauth::issuer::fetch::{Fetch, Web};
use crate::http::oauth::issuer::fetch_address::{is_plain_here, may_fetch};
use crate::http::oauth::issuer::strict_json;

/// How long metadata is used before it is fetched again.
const FRESH: Duration = Duration::from_secs(3600);
/// How long it is used while the provider is out of reach.
const USABLE: Duration = Duration::from_secs(24 * 3600);
/// The most characters of a foreign text that a message shows.
const LONGEST_SHOWN: usize = 200;
/// The shortest time between two fetches.
const INTERVAL: Duration = Duration::from_secs(5);

/// The addresses of a provider, and what differs between providers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProviderMetadata {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) user_info: Option<Url>,
    /// Whether the secret goes into the form instead of `Authorization`.
    pub(super) secret_in_form: bool,
    /// Whether an answer without `iss` is of another provider (RFC 9207).
    pub(super) names_itself: bool,
}

impl ProviderMetadata {
    fn read(issuer: &str, text: &[u8]) -> Result<Self, String> {
        let metadata = strict_json::object(text).ok_or("it is not JSON")?;
        is_about(issuer, &metadata)?;
        let address = |name: &str| address(issuer, &metadata, name);
        let required = |name: &str| address(name)?.ok_or_else(|| format!("it has no `{name}`"));
        let methods = metadata.get("token_endpoint_auth_methods_supported").and_then(Value::as_array);
        let takes = |method: &str| methods.is_some_and(|all| all.iter().any(|known| known == method));
        Ok(Self {
            authorization: required("authorization_endpoint")?,
            token: required("token_endpoint")?,
            user_info: address("userinfo_endpoint")?,
            secret_in_form: !takes("client_secret_basic") && takes("client_secret_post"),
            names_itself: metadata.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
        })
    }
}

/// Whether metadata is about an issuer; an error that names the other one.
pub(super) fn is_about(issuer: &str, metadata: &Map<String, Value>) -> Result<(), String> {
    match metadata.get("issuer").and_then(Value::as_str) {
        Some(named) if named == issuer => Ok(()),
        Some(named) => {
            let shown: String = named.escape_debug().take(LONGEST_SHOWN).collect();
            Err(format!("it is about another issuer, `{shown}`"))
        }
        None => Err("it names no issuer".to_owned()),
    }
}

fn address(issuer: &str, metadata: &Map<String, Value>, name: &str) -> Result<Option<Url>, String> {
    let Some(value) = metadata.get(name) else { return Ok(None) };
    let address = value.as_str().and_then(|text| Url::parse(text).ok()).filter(may_fetch);
    // A provider elsewhere must not lead into this machine.
    let issuer_is_here = Url::parse(issuer).is_ok_and(|issuer| is_plain_here(&issuer));
    let address = address.filter(|address| issuer_is_here || !is_plain_here(address));
    address.map(Some).ok_or_else(|| format!("its `{name}` has no https"))
}

/// The metadata of a provider, fetched when it is needed, by one request at a time.
pub(super) struct Discovery {
    issuer: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: Option<(Arc<ProviderMetadata>, Instant)>,
    tried_at: Option<Instant>,
}

impl Discovery {
    pub(super) fn new(issuer: String) -> Self {
        Self { issuer, state: Mutex::default() }
    }

    /// The metadata; none if the provider is out of reach, which is logged.
    pub(super) async fn get(&self, web: &Web) -> Option<Arc<ProviderMetadata>> {
        let mut state = self.state.lock().await;
        let known = |time: Duration, state: &State| {
            state.known.clone().filter(|(_, at)| at.elapsed() < time).map(|(known, _)| known)
        };
        if let Some(known) = known(FRESH, &state) {
            return Some(known);
        }
        if state.tried_at.is_none_or(|at| at.elapsed() >= INTERVAL) {
            state.tried_at = Some(Instant::now());
            match self.fetch(web).await.and_then(|text| self.read(&text)) {
                Ok(metadata) => state.known = Some((Arc::new(metadata), Instant::now())),
                Err(error) => {
                    tracing::warn!(
                        issuer = self.issuer,
                        error,
                        "the OpenID provider cannot be used; retrying"
                    );
                }
            }
        }
        known(USABLE, &state)
    }

    /// The provider's own words.
    ///
    /// # Errors
    /// They cannot be fetched.
    pub(super) async fn fetch(&self, web: &Web) -> Result<Bytes, String> {
        let address = self.address();
        let url = Url::parse(&address).map_err(|error| format!("`{address}`: {error}"))?;
        web.get(&url).await.map_err(|error| format!("`{address}`: {error}"))
    }

    /// What this server needs of them.
    ///
    /// # Errors
    /// They are not this provider's, or lack something.
    pub(super) fn read(&self, text: &[u8]) -> Result<ProviderMetadata, String> {
        ProviderMetadata::read(&self.issuer, text).map_err(|error| format!("`{}`: {error}", self.address()))
    }

    fn address(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://login.example.com";

    fn read(change: &Value) -> Result<ProviderMetadata, String> {
        let mut metadata = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://login.example.com/auth",
            "token_endpoint": "https://login.example.com/token",
        });
        for (name, value) in change.as_object().unwrap() {
            metadata[name] = value.clone();
        }
        ProviderMetadata::read(ISSUER, metadata.to_string().as_bytes())
    }

    #[test]
    fn metadata_says_where_and_how() {
        let plain = read(&json!({})).unwrap();
        assert_eq!(plain.token.as_str(), "https://login.example.com/token");
        assert!(plain.user_info.is_none() && !plain.secret_in_form && !plain.names_itself);
        let methods =
            |all: Value| read(&json!({"token_endpoint_auth_methods_supported": all})).unwrap().secret_in_form;
        assert!(methods(json!(["client_secret_post", "private_key_jwt"])));
        assert!(!methods(json!(["client_secret_post", "client_secret_basic"])) && !methods(json!([])));
        assert!(read(&json!({"authorization_response_iss_parameter_supported": true})).unwrap().names_itself);
    }

    #[test]
    fn metadata_of_others_or_without_https_is_refused() {
        for change in [
            json!({"issuer": "https://login.example.com/"}),
            json!({"issuer": null}),
            json!({"token_endpoint": "http://login.example.com/token"}),
            json!({"token_endpoint": "http://127.0.0.1/token"}),
            json!({"token_endpoint": "https://user:x@login.example.com/token"}),
            json!({"authorization_endpoint": "javascript:alert(1)"}),
            json!({"authorization_endpoint": 1}),
            json!({"userinfo_endpoint": "http://localhost/me"}),
            json!({"token_endpoint": null}),
        ] {
            assert!(read(&change).is_err(), "{change}");
        }
    }
}
