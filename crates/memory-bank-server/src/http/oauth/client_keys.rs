//! The public keys of clients that authenticate themselves (`private_key_jwt`), as their metadata names them.

use memory_bank_core::identity::ClientKeys;
use serde::Deserialize;
use serde_json::Value;

use crate::http::oauth::document_address;
use crate::http::oauth::issuer::signature::key_set;

/// The only method of authentication beside none.
pub(super) const PRIVATE_KEY_JWT: &str = "private_key_jwt";
/// The longest set of keys in metadata, in bytes.
const LONGEST: usize = 16 * 1024;

/// The members of a private or symmetric key (RFC 7518, 6).
const SECRET_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// What a client's metadata says about its authentication.
#[derive(Deserialize, Default)]
pub(super) struct Authentication {
    #[serde(default)]
    pub(super) token_endpoint_auth_method: Option<String>,
    #[serde(default)]
    jwks: Option<Value>,
    #[serde(default)]
    jwks_uri: Option<String>,
}

impl Authentication {
    /// The keys of a client that authenticates itself with them; none of other clients.
    ///
    /// # Errors
    /// Why the keys cannot be used.
    pub(super) fn keys(&self) -> Result<Option<ClientKeys>, &'static str> {
        if self.token_endpoint_auth_method.as_deref() != Some(PRIVATE_KEY_JWT) {
            return Ok(None);
        }
        match (&self.jwks, &self.jwks_uri) {
            (Some(set), None) => {
                let text = set.to_string();
                if text.len() > LONGEST || contains_secret(set) {
                    return Err("`jwks` takes a short set of public keys");
                }
                let usable = key_set(text.as_bytes()).is_some_and(|keys| !keys.is_empty());
                let keys = usable.then_some(ClientKeys::Set(text));
                keys.map(Some).ok_or("`jwks` has no key with a `kid` that can be used")
            }
            (None, Some(address)) => {
                let address = document_address::address(address).ok_or("`jwks_uri` cannot be used")?;
                Ok(Some(ClientKeys::Address(address.into())))
            }
            _ => Err("`private_key_jwt` needs either `jwks` or `jwks_uri`"),
        }
    }
}

/// Whether a set has a private key or a shared secret, which nobody but the client may have.
fn contains_secret(set: &Value) -> bool {
    let keys = set.get("keys").and_then(Value::as_array);
    let is_secret = |key: &Value| SECRET_MEMBERS.iter().any(|name| key.get(name).is_some());
    keys.is_some_and(|keys| keys.iter().any(is_secret))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(metadata: Value) -> Result<Option<ClientKeys>, &'static str> {
        serde_json::from_value::<Authentication>(metadata).unwrap().keys()
    }

    #[test]
    fn a_client_has_one_usable_source_of_public_keys() {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let with = |more: &Value| {
            let mut metadata = more.clone();
            metadata["token_endpoint_auth_method"] = json!(PRIVATE_KEY_JWT);
            keys(metadata)
        };
        assert!(matches!(with(&json!({"jwks": {"keys": [key]}})), Ok(Some(ClientKeys::Set(_)))));
        let address = with(&json!({"jwks_uri": "https://client.example/jwks"})).unwrap();
        assert_eq!(address, Some(ClientKeys::Address("https://client.example/jwks".to_owned())));
        assert_eq!(keys(json!({"jwks": {"keys": [key]}})), Ok(None));
        let (mut private, mut nameless) = (key.clone(), key.clone());
        private["d"] = json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
        nameless["kid"] = json!("");
        let mut factors = key.clone();
        factors["p"] = json!("AQAB");
        let secret = json!({"kty": "oct", "kid": "1", "k": "c2VjcmV0"});
        for metadata in [
            json!({}),
            json!({"jwks": {"keys": [key]}, "jwks_uri": "https://client.example/jwks"}),
            json!({"jwks": {"keys": []}}),
            json!({"jwks": {"keys": [private]}}),
            json!({"jwks": {"keys": [factors]}}),
            json!({"jwks": {"keys": [key, secret]}}),
            json!({"jwks": {"keys": [nameless]}}),
            json!({"jwks": [key]}),
            json!({"jwks": {"keys": [key], "x": "x".repeat(LONGEST)}}),
            json!({"jwks_uri": "http://client.example/jwks"}),
            json!({"jwks_uri": "https://127.0.0.1/jwks"}),
            json!({"jwks_uri": "https://[::ffff:127.0.0.1]/jwks"}),
            json!({"jwks_uri": "https://2130706433/jwks"}),
            json!({"jwks_uri": "https://localhost/jwks"}),
        ] {
            assert!(with(&metadata).is_err(), "{metadata}");
        }
    }
}
