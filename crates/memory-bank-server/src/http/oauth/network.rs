//! The internet, as documents about clients are fetched from it: names by the system's resolver, connections with TLS
//! and the system's authorities.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use crate::http::oauth::client_fetch::{Network, Stream};

/// See the module.
#[derive(Default)]
pub(crate) struct Internet {
    /// The authorities are read when they are first needed.
    tls: OnceCell<TlsConnector>,
}

impl Internet {
    /// The internet, unless the server must not use it.
    pub(crate) fn of(is_used: bool) -> Option<Arc<dyn Network>> {
        is_used.then(|| Arc::new(Self::default()) as Arc<dyn Network>)
    }
}

#[async_trait]
impl Network for Internet {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }

    async fn connect(&self, address: SocketAddr, host: &str) -> io::Result<Box<dyn Stream>> {
        let tls = self.tls.get_or_try_init(|| async { connector() }).await?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = TcpStream::connect(address).await?;
        Ok(Box::new(tls.connect(name, stream).await?))
    }
}

/// TLS with the system's authorities.
pub(super) fn connector() -> io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
