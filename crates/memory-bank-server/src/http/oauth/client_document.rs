//! A client that is known by the address of a document about it (Client ID Metadata Documents): which addresses may be
//! fetched, and what the document must contain.

use memory_bank_core::identity::Client;
use serde::Deserialize;
use url::Url;

use crate::http::oauth::client_keys::{Authentication, PRIVATE_KEY_JWT};
use crate::http::oauth::names::clean_name;
use crate::http::oauth::redirect_uri;

/// The most redirect URIs of a client.
const MAX_URIS: usize = 50;

/// The members of a document that are read.
#[derive(Deserialize)]
struct Document {
    client_id: String,
    client_name: String,
    redirect_uris: Vec<String>,
    #[serde(flatten)]
    authentication: Authentication,
    #[serde(default)]
    client_secret: Option<serde_json::Value>,
}

/// Reads a document that was fetched from an address.
///
/// # Errors
/// Why the client cannot be used, for its user.
pub(super) fn parse(address: &Url, text: &[u8]) -> Result<Client, &'static str> {
    let document: Document = serde_json::from_slice(text)
        .map_err(|_| "the application's document lacks `client_id`, `client_name` or `redirect_uris`")?;
    if document.client_id != address.as_str() {
        return Err("the application's document is about another application");
    }
    let method = document.authentication.token_endpoint_auth_method.as_deref();
    if document.client_secret.is_some() || !matches!(method, None | Some("none" | PRIVATE_KEY_JWT)) {
        return Err(
            "the application wants to prove itself with a secret, which this server does not support",
        );
    }
    let keys = document.authentication.keys();
    let keys = keys.map_err(|_| "the application's document has no keys that can be used")?;
    let uris = document.redirect_uris;
    if uris.is_empty() || uris.len() > MAX_URIS || uris.iter().any(|uri| redirect_uri::parse(uri).is_none()) {
        return Err("the application's document has a redirect URI that cannot be used");
    }
    let name = clean_name(&document.client_name).ok_or("the application's document has no name")?;
    Ok(Client { name, redirect_uris: uris, by_operator: false, keys })
}

#[cfg(test)]
mod tests {
    use memory_bank_core::identity::ClientKeys;

    use super::*;
    use crate::http::oauth::document_address::address;

    #[test]
    fn a_document_is_about_its_own_address_and_of_a_public_client() {
        let url = address("https://client.example/m").unwrap();
        let read = |text: &str| parse(&url, text.as_bytes());
        let good = r#"{"client_id": "https://client.example/m", "client_name": "C", "redirect_uris": ["https://client.example/cb"]"#;
        let client = read(&format!("{good}}}")).unwrap();
        assert_eq!((client.name.as_str(), client.by_operator), ("C", false));
        assert!(read(&format!(r#"{good}, "token_endpoint_auth_method": "none"}}"#)).is_ok());
        let keys =
            r#""token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://client.example/k""#;
        let address = ClientKeys::Address("https://client.example/k".to_owned());
        assert_eq!(read(&format!("{good}, {keys}}}")).unwrap().keys, Some(address));
        for text in [
            format!(r#"{good}, "token_endpoint_auth_method": "private_key_jwt"}}"#),
            format!("{good}, {}}}", keys.replace("https", "http")),
            format!(r#"{good}, "token_endpoint_auth_method": "client_secret_basic"}}"#),
            format!(r#"{good}, "client_secret": "x"}}"#),
            format!("{}}}", good.replace("/m\"", "/other\"")),
            format!("{}}}", good.replace("https://client.example/cb", "http://evil.example/cb")),
            format!("{}}}", good.replace("[\"https://client.example/cb\"]", "[]")),
            format!("{}}}", good.replace("\"C\"", "\"\\u200b\"")),
            "{}".to_owned(),
            "[]".to_owned(),
            String::new(),
        ] {
            assert!(read(&text).is_err(), "{text}");
        }
    }
}
