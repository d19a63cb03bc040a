//! The HTTP client of commands that reach a server: HTTPS with the system's certificates, and HTTP. It follows no
//! redirection, so that a key is sent to the named host only.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::RootCertStore;

/// A client that sends short bodies.
pub(crate) type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client for any address.
///
/// # Errors
/// TLS cannot be set up.
pub(crate) fn new() -> anyhow::Result<HttpClient> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    with_roots(roots)
}

/// A client for this address. Loading the system's certificates takes long, and plain HTTP needs none.
///
/// # Errors
/// TLS cannot be set up.
pub(crate) fn for_address(url: &str) -> anyhow::Result<HttpClient> {
    if url.starts_with("http:") { with_roots(RootCertStore::empty()) } else { new() }
}

fn with_roots(roots: RootCertStore) -> anyhow::Result<HttpClient> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}
