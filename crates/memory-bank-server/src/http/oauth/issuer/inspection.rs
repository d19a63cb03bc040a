//! Whether the issuers of the settings can be used, for `doctor`. What the server itself needs is checked by its own code;
//! the rest is what a provider's metadata rule out, and what a user would else notice when a sign-in fails.
//!
//! No secret is sent: metadata and keys are public.

use serde_json::{Map, Value};
use url::Url;

use crate::http::oauth::issuer::fetch::Web;
use crate::http::oauth::issuer::provider_metadata::Discovery;
use crate::http::oauth::issuer::published_keys::PublishedKeys;
use crate::http::oauth::issuer::signature::Algorithm;
use crate::http::oauth::issuer::{IssuerSettings, OpenIdSettings, strict_json};

/// What an issuer of the settings answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerFacts {
    /// The address of its keys.
    pub keys_address: String,
    /// How many of its keys can be used.
    pub usable_keys: usize,
    /// What its metadata rule out, although sign-ins need it; empty for an issuer of tokens.
    pub lacks: Vec<String>,
}

impl IssuerSettings {
    /// What the authorization server answers.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub async fn inspect(&self) -> Result<IssuerFacts, String> {
        let address = self.keys.as_deref().and_then(|address| Url::parse(address).ok());
        let keys = PublishedKeys::new(self.issuer.clone(), address, Box::<Web>::default());
        let (keys_address, usable_keys) = keys.inspect().await?;
        Ok(IssuerFacts { keys_address, usable_keys, lacks: Vec::new() })
    }
}

impl OpenIdSettings {
    /// What the provider answers.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub async fn inspect(&self) -> Result<IssuerFacts, String> {
        let discovery = Discovery::new(self.issuer.clone());
        let text = discovery.fetch(&Web::default()).await?;
        discovery.read(&text)?;
        let metadata = strict_json::object(&text).unwrap_or_default();
        let lacks = lacks(&metadata, &self.scopes);
        let keys = PublishedKeys::new(self.issuer.clone(), None, Box::<Web>::default());
        let (keys_address, usable_keys) = keys.inspect().await?;
        Ok(IssuerFacts { keys_address, usable_keys, lacks })
    }
}

/// What metadata rule out, as `member: value`. A member that is absent rules nothing out: many providers leave out what
/// they support.
fn lacks(metadata: &Map<String, Value>, scopes: &str) -> Vec<String> {
    let rules_out = |member: &str, accepted: &[&str]| {
        let listed = metadata.get(member)?.as_array()?;
        let has_one = listed.iter().filter_map(Value::as_str).any(|value| accepted.contains(&value));
        (!has_one).then(|| format!("`{member}`: {}", accepted.join(" or ")))
    };
    let mut lacks: Vec<String> = [
        rules_out("response_types_supported", &["code"]),
        rules_out("response_modes_supported", &["query"]),
        rules_out("grant_types_supported", &["authorization_code"]),
        rules_out("code_challenge_methods_supported", &["S256"]),
        rules_out("token_endpoint_auth_methods_supported", &["client_secret_basic", "client_secret_post"]),
        rules_out("id_token_signing_alg_values_supported", &Algorithm::NAMES),
    ]
    .into_iter()
    .flatten()
    .collect();
    lacks.extend(scopes.split_whitespace().filter_map(|scope| rules_out("scopes_supported", &[scope])));
    lacks
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lacks_of(metadata: &Value) -> Vec<String> {
        lacks(metadata.as_object().unwrap(), "openid email")
    }

    #[test]
    fn metadata_that_leave_out_what_they_support_rule_nothing_out() {
        assert_eq!(lacks_of(&json!({})), Vec::<String>::new());
        let all = json!({
            "response_types_supported": ["id_token", "code"],
            "response_modes_supported": ["form_post", "query"],
            "grant_types_supported": ["authorization_code"],
            "code_challenge_methods_supported": ["plain", "S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "id_token_signing_alg_values_supported": ["HS256", "RS256"],
            "scopes_supported": ["openid", "email"],
        });
        assert_eq!(lacks_of(&all), Vec::<String>::new());
    }

    #[test]
    fn each_thing_that_metadata_rule_out_is_named() {
        for (member, value, expected) in [
            ("response_types_supported", json!(["id_token", "code id_token"]), "code"),
            ("response_modes_supported", json!(["form_post"]), "query"),
            ("grant_types_supported", json!(["implicit"]), "authorization_code"),
            ("code_challenge_methods_supported", json!(["plain"]), "S256"),
            ("token_endpoint_auth_methods_supported", json!(["private_key_jwt"]), "client_secret_post"),
            ("id_token_signing_alg_values_supported", json!(["HS256", "none"]), "RS256"),
            ("scopes_supported", json!(["openid"]), "email"),
        ] {
            let found = lacks_of(&json!({member: value}));
            assert!(
                found.len() == 1 && found[0].contains(member) && found[0].contains(expected),
                "{member}: {found:?}"
            );
        }
    }
}
