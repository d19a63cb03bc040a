//! Fetches the documents of the issuer that an operator has named: over https (plain http only from this machine), without
//! redirects, within a time and a length. The address may be of a local network, unlike that of a stranger's document.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;
use url::{Host, Position, Url};

use crate::http::oauth::client_fetch::Stream;
use crate::http::oauth::issuer::fetch_address::{is_plain_here, may_fetch};
use crate::http::oauth::network::connector;

/// How long a document may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest document, in bytes. Keys may come with their certificates.
const LONGEST: usize = 256 * 1024;

/// Where documents come from.
#[async_trait]
pub(super) trait Fetch: Send + Sync {
    /// The document of an address that [`may_fetch`].
    ///
    /// # Errors
    /// Why there is none, for the log.
    async fn get(&self, address: &Url) -> Result<Bytes, String>;
}

/// What is sent beside the address.
#[derive(Default)]
pub(super) struct Message {
    /// The value of `Authorization`; a secret.
    pub(super) authorization: Option<HeaderValue>,
    /// The form; without one the request is `GET`. It may contain a secret.
    pub(super) form: Option<String>,
}

/// The network.
#[derive(Default)]
pub(in crate::http::oauth) struct Web {
    /// The authorities are read when they are first needed.
    tls: OnceCell<TlsConnector>,
}

#[async_trait]
impl Fetch for Web {
    async fn get(&self, address: &Url) -> Result<Bytes, String> {
        match self.read(address).await? {
            (StatusCode::OK, body) => Ok(body),
            (status, _) => Err(format!("it answers with status {}", status.as_u16())),
        }
    }
}

impl Web {
    /// The status and the body of an address that [`may_fetch`].
    ///
    /// # Errors
    /// Why there is none.
    pub(in crate::http::oauth) async fn read(&self, address: &Url) -> Result<(StatusCode, Bytes), String> {
        self.send(address, &Message::default()).await
    }

    /// Sends a message to an address that [`may_fetch`], and gives the status and the body of the answer.
    ///
    /// # Errors
    /// Why there is none, for the log.
    pub(super) async fn send(&self, address: &Url, message: &Message) -> Result<(StatusCode, Bytes), String> {
        if !may_fetch(address) {
            return Err("it has no https".to_owned());
        }
        match tokio::time::timeout(PATIENCE, self.fetch(address, message)).await {
            Ok(fetched) => fetched,
            Err(_) => Err(format!("it did not arrive within {} s", PATIENCE.as_secs())),
        }
    }

    async fn fetch(&self, address: &Url, message: &Message) -> Result<(StatusCode, Bytes), String> {
        let stream = self.connect(address).await.map_err(|error| format!("it cannot be reached: {error}"))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let mut request = Request::get(&address[Position::BeforePath..Position::AfterQuery])
            .header(HOST, &address[Position::BeforeHost..Position::AfterPort])
            .header(ACCEPT, "application/json, application/jwk-set+json")
            .header(USER_AGENT, concat!("memory-bank-mcp/", env!("CARGO_PKG_VERSION")))
            .body(Full::<Bytes>::from(message.form.clone().unwrap_or_default()))
            .map_err(|error| error.to_string())?;
        if message.form.is_some() {
            *request.method_mut() = Method::POST;
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers_mut().insert(CONTENT_TYPE, form);
        }
        if let Some(value) = &message.authorization {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        let body = body.map_err(|_| format!("it is longer than {LONGEST} bytes, or broke off"))?;
        Ok((status, body.to_bytes()))
    }

    async fn connect(&self, address: &Url) -> io::Result<Box<dyn Stream>> {
        let found = resolve(address).await?;
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for to in found {
            if is_plain_here(address) && !to.ip().is_loopback() {
                continue;
            }
            match TcpStream::connect(to).await {
                Ok(stream) if address.scheme() == "http" => return Ok(Box::new(stream)),
                Ok(stream) => {
                    let tls = self.tls.get_or_try_init(|| async { connector() }).await?;
                    let host = address.host_str().unwrap_or_default();
                    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                    let name = ServerName::try_from(host).map_err(io::Error::other)?;
                    return Ok(Box::new(tls.connect(name, stream).await?));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

async fn resolve(address: &Url) -> io::Result<Vec<SocketAddr>> {
    let port = address.port_or_known_default().unwrap_or(443);
    Ok(match address.host() {
        Some(Host::Ipv4(ip)) => vec![(ip, port).into()],
        Some(Host::Ipv6(ip)) => vec![(ip, port).into()],
        Some(Host::Domain(name)) => tokio::net::lookup_host((name, port)).await?.collect(),
        None => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that gives this answer to each request.
    async fn serve(answer: Vec<u8>) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/keys?a=b", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut request = [0; 1024];
                    let _read = stream.read(&mut request).await;
                    let _written = stream.write_all(&answer).await;
                    std::future::pending::<()>().await;
                });
            }
        });
        Url::parse(&address).unwrap()
    }

    fn answer(head: &str, body: &[u8]) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
        text.extend(body);
        text
    }

    #[tokio::test]
    async fn a_document_is_fetched_as_it_is() {
        let address = serve(answer("200 OK", b"{}")).await;
        assert_eq!(Web::default().get(&address).await.as_deref(), Ok(&b"{}"[..]));
    }

    #[tokio::test]
    async fn redirects_errors_and_long_documents_are_refused() {
        let other = serve(answer("200 OK", b"{}")).await;
        let long = vec![b' '; 10 * 1024 * 1024];
        for text in [
            answer(&format!("302 Found\r\nlocation: {other}"), b""),
            answer("301 Moved Permanently\r\nlocation: /keys", b"{}"),
            answer("404 Not Found", b"{}"),
            answer("200 OK", &long),
            b"nonsense".to_vec(),
        ] {
            let address = serve(text).await;
            assert!(Web::default().get(&address).await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_issuer_is_not_waited_for() {
        let address = serve(Vec::new()).await;
        let refused = Web::default().get(&address).await.unwrap_err();
        assert_eq!(refused, "it did not arrive within 5 s");
    }
}
