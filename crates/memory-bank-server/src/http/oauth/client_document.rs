//! A client that is known by the address of a document about it (Client ID Metadata Documents): which addresses may be
//! fetched, and what the document must contain.

use memory_bank_core::identity::Client;
use serde::Deserialize;
use url::{Host, Url};

use crate::http::oauth::client_keys::{Authentication, PRIVATE_KEY_JWT};
use crate::http::oauth::names::clean_name;
use crate::http::oauth::redirect_uri;

/// The longest address, in bytes.
const LONGEST: usize = 1024;
/// The most redirect URIs of a client.
const MAX_URIS: usize = 50;

/// Reads the address of a document: https, a name, and a path, written as a browser writes it, so that one document
/// has one address.
pub(super) fn address(client_id: &str) -> Option<Url> {
    let url = Url::parse(client_id).ok().filter(|_| client_id.len() <= LONGEST)?;
    let named = matches!(url.host(), Some(Host::Domain(name)) if name.contains('.') && !name.ends_with('.'));
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let fits = url.scheme() == "https" && named && plain && url.path() != "/" && url.as_str() == client_id;
    fits.then_some(url)
}

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

    #[test]
    fn an_address_is_of_the_web_and_written_in_one_way() {
        assert!(address("https://client.example/oauth/metadata.json").is_some());
        assert!(address("https://client.example:8443/m?v=1").is_some());
        for text in [
            "http://client.example/m",
            "https://client.example",
            "https://client.example/",
            "https://Client.example/m",
            "https://client.example:443/m",
            "https://client.example/a/../m",
            "https://client.example/m#x",
            "https://user@client.example/m",
            "https://127.0.0.1/m",
            "https://[::1]/m",
            "https://2130706433/m",
            "https://localhost/m",
            "https://client.example./m",
            "mbmcp_client_0123",
        ] {
            assert!(address(text).is_none(), "{text}");
        }
        assert!(address(&format!("https://client.example/{}", "m".repeat(LONGEST))).is_none());
    }

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
