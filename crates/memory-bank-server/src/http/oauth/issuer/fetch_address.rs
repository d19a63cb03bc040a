//! Which addresses may be fetched.

use url::{Host, Url};

/// Whether a document may be fetched: nobody on the way can change it.
pub(super) fn may_fetch(address: &Url) -> bool {
    let plain = address.username().is_empty() && address.password().is_none() && address.fragment().is_none();
    plain && (address.scheme() == "https" && address.has_host() || is_plain_here(address))
}

/// Whether an address is of this machine, without encryption.
pub(super) fn is_plain_here(address: &Url) -> bool {
    address.scheme() == "http"
        && match address.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_come_over_https_or_from_this_machine() {
        let may = |address: &str| may_fetch(&Url::parse(address).unwrap());
        for address in [
            "https://login.example.com/keys",
            "http://localhost:8080/k",
            "http://127.0.0.1/k",
            "http://[::1]:1/k",
        ] {
            assert!(may(address), "{address}");
        }
        for address in [
            "http://login.example.com/keys",
            "http://10.0.0.1/keys",
            "http://localhost.example.com/k",
            "https://user:secret@login.example.com/keys",
            "file:///etc/passwd",
            "ftp://localhost/k",
            "data:application/json,{}",
        ] {
            assert!(!may(address), "{address}");
        }
    }
}
