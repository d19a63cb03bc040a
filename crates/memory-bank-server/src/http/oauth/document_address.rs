//! The addresses of documents that clients name, which this server may fetch.

use url::{Host, Url};

/// The longest address, in bytes.
const LONGEST: usize = 1024;

/// Reads the address of a document: https, a name, and a path, written as a browser writes it, so that one document
/// has one address.
pub(super) fn address(client_id: &str) -> Option<Url> {
    let url = Url::parse(client_id).ok().filter(|_| client_id.len() <= LONGEST)?;
    let named = matches!(url.host(), Some(Host::Domain(name)) if name.contains('.') && !name.ends_with('.'));
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let fits = url.scheme() == "https" && named && plain && url.path() != "/" && url.as_str() == client_id;
    fits.then_some(url)
}

#[cfg(test)]
mod tests {
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
}
