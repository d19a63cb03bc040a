//! A service with OpenAI's interface for embeddings: bounded in time and bytes, behind a circuit breaker.

use parking_lot::Mutex;
use std::fmt;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::limits;
use memory_bank_core::search::{DIMENSIONS, EmbedError, Embedder, ModelId, Vector};
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;
use tokio::sync::{OnceCell, Semaphore};

/// The most passages of one request.
const MAX_BATCH: usize = 32;
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes of a reply: a batch of the longest vectors, as decimal figures.
const MAX_REPLY_BYTES: usize = MAX_BATCH * DIMENSIONS * 28 + 64 * 1024;
/// The most requests in flight, and the most of them with passages.
const MAX_REQUESTS: usize = 8;
const MAX_PASSAGE_REQUESTS: usize = 2;
/// Time-out of the vector of a query, since a search waits for it.
const QUERY_TIMEOUT: Duration = Duration::from_millis(limits::SERVICE_VECTOR_WAIT_MS);
/// Failures in a row after which the breaker opens, each time for longer. Late queries have a breaker of their own: a slow
/// service still makes vectors of passages.
const FAILURES_TO_OPEN: u32 = 3;
const MIN_PAUSE: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(300);

/// The address of the service, and its settings.
pub struct EndpointOptions {
    /// Its address, with or without `/v1/embeddings`.
    pub url: String,
    /// The name of the model.
    pub model: String,
    /// The key, if it wants one.
    pub key: Option<String>,
}

/// Why a service cannot be used as it is set. No text holds the address or the key.
#[derive(Debug, Error)]
pub enum EndpointError {
    /// The address is invalid.
    #[error("the address of the service is not `http://host…` or `https://host…` without user and password")]
    Address,
    /// The key is invalid.
    #[error("the key has characters that no header may hold")]
    Key,
    /// The authorities of the system cannot be read.
    #[error("no certificate authorities were found on this system: {0}")]
    Authorities(String),
}

/// A service.
pub struct Endpoint {
    uri: Uri,
    model: String,
    authorization: Option<header::HeaderValue>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    requests: Semaphore,
    passages: Semaphore,
    id: OnceCell<ModelId>,
    breaker: Mutex<Breaker>,
    slow_queries: Mutex<Breaker>,
}

/// Counts failures in a row.
#[derive(Default)]
struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    /// For how long the breaker stays open, if it is. Afterwards one request tries the service; the others are refused for
    /// `trial`.
    fn open_for(&mut self, trial: Duration) -> Option<Duration> {
        let until = self.open_until?;
        let now = Instant::now();
        let open_for = until.checked_duration_since(now).filter(|open_for| !open_for.is_zero());
        if open_for.is_none() {
            self.open_until = now.checked_add(trial);
        }
        open_for
    }

    fn record(&mut self, worked: bool) {
        if worked {
            *self = Self::default();
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if let Some(more) = self.failures.checked_sub(FAILURES_TO_OPEN) {
            let pause = MIN_PAUSE.saturating_mul(1 << more.min(10)).min(MAX_PAUSE);
            self.open_until = Instant::now().checked_add(pause);
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("model", &self.model).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Reply {
    data: Vec<Embedded>,
}

#[derive(Deserialize)]
struct Embedded {
    index: usize,
    embedding: Vec<f32>,
}

impl Endpoint {
    /// A service; the first request is sent when it is first needed.
    ///
    /// # Errors
    /// [`EndpointError`] if the address or the key cannot be used.
    pub fn new(options: EndpointOptions) -> Result<Self, EndpointError> {
        let uri = address(&options.url).ok_or(EndpointError::Address)?;
        let authorization = match options.key {
            None => None,
            Some(key) => {
                let mut value =
                    header::HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| EndpointError::Key)?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let connector = hyper_rustls::HttpsConnectorBuilder::new();
        let connector = if uri.scheme_str() == Some("http") {
            connector.with_tls_config(tls(rustls::RootCertStore::empty())?)
        } else {
            let found = rustls_native_certs::load_native_certs();
            let mut roots = rustls::RootCertStore::empty();
            if roots.add_parsable_certificates(found.certs).0 == 0 {
                let why =
                    found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
                return Err(EndpointError::Authorities(why));
            }
            connector.with_tls_config(tls(roots)?)
        };
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(Duration::from_secs(5)));
        let connector = connector.https_or_http().enable_http1().wrap_connector(http);
        Ok(Self {
            uri,
            model: options.model,
            authorization,
            client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(4).build(connector),
            requests: Semaphore::new(MAX_REQUESTS),
            passages: Semaphore::new(MAX_PASSAGE_REQUESTS),
            id: OnceCell::new(),
            breaker: Mutex::default(),
            slow_queries: Mutex::default(),
        })
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vector>, EmbedError> {
        self.check_breaker()?;
        let closed = |_| EmbedError::Permanent("the service was closed".to_owned());
        let _turn = self.requests.acquire().await.map_err(closed)?;
        let answered = match tokio::time::timeout(REQUEST_TIMEOUT, self.request_vectors(texts)).await {
            Ok(answered) => answered,
            Err(_) => Err(temporary(&format!("did not answer in {} s", REQUEST_TIMEOUT.as_secs()))),
        };
        // A refused text is not a failure of the service; otherwise one client with such texts would disable search by meaning
        // for all others.
        self.breaker.lock().record(answered.is_ok());
        let vectors = answered??;
        let dimension = vectors.first().map(Vector::dimension).unwrap_or_default();
        let id = self
            .id
            .get_or_try_init(|| async {
                ModelId::new(&self.model, dimension, &[self.uri.to_string().as_bytes()])
            })
            .await
            .map_err(|error| permanent(&error.to_string()))?;
        if vectors.iter().any(|vector| vector.dimension() != id.dimension()) {
            return Err(permanent("gives vectors of different dimensions"));
        }
        Ok(vectors)
    }

    /// Requests vectors from the service. The inner error concerns these texts only.
    async fn request_vectors(&self, texts: &[String]) -> Result<Result<Vec<Vector>, EmbedError>, EmbedError> {
        let body = json!({"model": self.model, "input": texts, "encoding_format": "float"}).to_string();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.uri.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json");
        if let Some(value) = &self.authorization {
            request = request.header(header::AUTHORIZATION, value.clone());
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| permanent("cannot be reached with these settings"))?;
        let reply = self.client.request(request).await.map_err(|_| temporary("cannot be reached"))?;
        let status = reply.status();
        if !status.is_success() {
            let text = format!("answers {}", status.as_u16());
            let may_pass = status.is_server_error()
                || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
            let is_about_texts = matches!(
                status,
                StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY
            );
            return match (is_about_texts, may_pass) {
                (true, _) => Ok(Err(permanent(&text))),
                (_, true) => Err(temporary(&text)),
                _ => Err(permanent(&text)),
            };
        }
        let body = Limited::new(reply.into_body(), MAX_REPLY_BYTES).collect().await;
        let body = body.map_err(|_| temporary("broke off, or sent too much"))?.to_bytes();
        let reply: Reply =
            serde_json::from_slice(&body).map_err(|_| permanent("answers without embeddings"))?;
        let mut data = reply.data;
        data.compact_sort_by_key(|one| one.index);
        let is_whole = data.len() == texts.len() && data.iter().enumerate().all(|(at, one)| at == one.index);
        if !is_whole {
            return Err(permanent("answers with another number of embeddings"));
        }
        let vector =
            |one: &Embedded| Vector::of(&one.embedding).map_err(|error| permanent(&format!("gives {error}")));
        Ok(data.iter().map(vector).collect())
    }

    fn check_breaker(&self) -> Result<(), EmbedError> {
        refuse_while(self.breaker.lock().open_for(REQUEST_TIMEOUT), "failed")
    }
}

fn refuse_while(open_for: Option<Duration>, why: &str) -> Result<(), EmbedError> {
    match open_for {
        Some(open_for) => {
            let seconds = open_for.as_secs().saturating_add(1);
            Err(temporary(&format!("{why}; it is tried again in {seconds} s")))
        }
        None => Ok(()),
    }
}

fn tls(roots: rustls::RootCertStore) -> Result<rustls::ClientConfig, EndpointError> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| EndpointError::Authorities(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn address(text: &str) -> Option<Uri> {
    let mut url = url::Url::parse(text.trim()).ok()?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.host().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    if !is_plain {
        return None;
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if !path.ends_with("/embeddings") {
        let rest = if path.ends_with("/v1") { "/embeddings" } else { "/v1/embeddings" };
        url.set_path(&format!("{path}{rest}"));
    }
    url.as_str().parse().ok()
}

fn temporary(what: &str) -> EmbedError {
    EmbedError::Temporary(format!("the embeddings service {what}"))
}

fn permanent(what: &str) -> EmbedError {
    EmbedError::Permanent(format!("the embeddings service {what}"))
}

#[async_trait]
impl Embedder for Endpoint {
    async fn model(&self) -> Result<ModelId, EmbedError> {
        if self.id.get().is_none() {
            self.embed(&["dimension".to_owned()]).await?;
        }
        self.id.get().cloned().ok_or_else(|| permanent("was not reached yet"))
    }

    fn batch(&self) -> usize {
        MAX_BATCH
    }

    async fn passages(&self, texts: Vec<String>) -> Result<Vec<Vector>, EmbedError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        if texts.len() > MAX_BATCH {
            return Err(permanent(&format!("takes {MAX_BATCH} passages in one call")));
        }
        let closed = |_| permanent("was closed");
        let _turn = self.passages.acquire().await.map_err(closed)?;
        self.embed(&texts).await
    }

    async fn query(&self, text: &str) -> Result<Vector, EmbedError> {
        refuse_while(self.slow_queries.lock().open_for(QUERY_TIMEOUT), "is too slow for queries")?;
        let texts = [text.to_owned()];
        let embedded = tokio::time::timeout(QUERY_TIMEOUT, self.embed(&texts)).await;
        // Immediate failures are counted with all requests.
        self.slow_queries.lock().record(embedded.is_ok());
        let late = |_| temporary(&format!("did not answer in {} ms", QUERY_TIMEOUT.as_millis()));
        embedded.map_err(late)??.pop().ok_or_else(|| permanent("gives no vector"))
    }

    fn query_wait(&self) -> Duration {
        // A little more, so that this time-out comes first and its error is reported.
        QUERY_TIMEOUT + Duration::from_millis(50)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A server that gives this answer to each request, and returns the requests.
    async fn serve(
        status: &'static str,
        body: &'static str,
    ) -> (String, tokio::sync::mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, receiver) = tokio::sync::mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (mut request, mut piece) = (String::new(), [0; 4096]);
                loop {
                    let read = stream.read(&mut piece).await.unwrap();
                    request.push_str(&String::from_utf8_lossy(&piece[..read]));
                    if read == 0 || request.trim_end().ends_with('}') {
                        break;
                    }
                }
                let head = format!(
                    "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(body.as_bytes()).await.unwrap();
                let _full = sender.try_send(request);
            }
        });
        (format!("http://{address}"), receiver)
    }

    fn endpoint(url: String) -> Endpoint {
        Endpoint::new(EndpointOptions { url, model: "small".to_owned(), key: Some("k-1234".to_owned()) })
            .unwrap()
    }

    #[tokio::test]
    async fn passages_are_returned_in_order_and_the_key_is_sent() {
        let body = r#"{"data": [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0]}]}"#;
        let (url, mut requests) = serve("200 OK", body).await;
        let endpoint = endpoint(url);
        let vectors = endpoint.passages(vec!["a".to_owned(), "b".to_owned()]).await.unwrap();
        assert!(vectors[0].cosine(&Vector::of(&[1.0, 0.0]).unwrap()) > 0.9);
        let request = requests.recv().await.unwrap();
        assert!(
            request.starts_with("POST /v1/embeddings ") && request.contains("Bearer k-1234"),
            "{request}"
        );
        assert!(request.contains(r#""model":"small""#));
        assert_eq!(endpoint.model().await.unwrap().dimension(), 2);
        assert!(!format!("{endpoint:?}").contains("k-1234"));
    }

    #[tokio::test]
    async fn a_service_that_fails_repeatedly_gets_no_requests_for_a_while() {
        let (url, mut requests) = serve("503 Service Unavailable", "{}").await;
        let endpoint = endpoint(url);
        for _ in 0..FAILURES_TO_OPEN {
            let error = endpoint.query("x").await.unwrap_err();
            assert!(error.is_temporary() && error.to_string().contains("503"), "{error}");
            requests.recv().await.unwrap();
        }
        let error = endpoint.query("x").await.unwrap_err();
        assert!(error.to_string().contains("tried again in"), "{error}");
        assert!(requests.try_recv().is_err());
    }

    #[tokio::test]
    async fn refused_texts_do_not_disable_the_service() {
        let (url, mut requests) = serve("400 Bad Request", "{}").await;
        let endpoint = endpoint(url);
        for _ in 0..3 * FAILURES_TO_OPEN {
            let error = endpoint.query("x").await.unwrap_err();
            assert!(!error.is_temporary() && error.to_string().contains("400"), "{error}");
            requests.recv().await.unwrap();
        }
    }

    #[tokio::test]
    async fn queries_do_not_wait_for_a_slow_service_that_still_serves_passages() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let is_slow = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let (slow, ordering) = (std::sync::Arc::clone(&is_slow), std::sync::atomic::Ordering::SeqCst);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let slow = std::sync::Arc::clone(&slow);
                tokio::spawn(async move {
                    let mut piece = [0; 4096];
                    let _read = stream.read(&mut piece).await;
                    if slow.load(ordering) {
                        tokio::time::sleep(QUERY_TIMEOUT + Duration::from_millis(500)).await;
                    }
                    let body = r#"{"data": [{"index": 0, "embedding": [1, 0]}]}"#;
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    let _written = stream.write_all(head.as_bytes()).await;
                });
            }
        });
        let endpoint = endpoint(url);
        for _ in 0..FAILURES_TO_OPEN {
            let error = endpoint.query("x").await.unwrap_err();
            assert!(error.is_temporary() && error.to_string().contains("in 1000 ms"), "{error}");
        }
        let error = endpoint.query("x").await.unwrap_err();
        assert!(error.to_string().contains("too slow for queries; it is tried again in"), "{error}");
        endpoint.passages(vec!["a".to_owned()]).await.unwrap();
        // After the pause one query tries it, and the others do not wait for that.
        endpoint.slow_queries.lock().open_until = Some(Instant::now());
        is_slow.store(true, ordering);
        let (first, second) = tokio::join!(endpoint.query("x"), endpoint.query("x"));
        assert!(first.unwrap_err().to_string().contains("in 1000 ms"));
        assert!(second.unwrap_err().to_string().contains("tried again"));
        endpoint.slow_queries.lock().open_until = Some(Instant::now());
        is_slow.store(false, ordering);
        for _ in 0..2 {
            endpoint.query("x").await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_wrong_key_or_reply_is_permanent() {
        for (status, body, why) in [
            ("401 Unauthorized", "{}", "401"),
            ("200 OK", "[]", "without embeddings"),
            ("200 OK", r#"{"data": []}"#, "another number"),
            ("200 OK", r#"{"data": [{"index": 0, "embedding": []}]}"#, "gives a vector has"),
        ] {
            let error = endpoint(serve(status, body).await.0).query("x").await.unwrap_err();
            assert!(!error.is_temporary() && error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn addresses_are_completed_and_those_with_secrets_refused() {
        let of = |text: &str| address(text).map(|uri| uri.to_string());
        assert_eq!(of("http://h:1").as_deref(), Some("http://h:1/v1/embeddings"));
        assert_eq!(of("https://h/v1/").as_deref(), Some("https://h/v1/embeddings"));
        assert_eq!(of("https://h/x/embeddings").as_deref(), Some("https://h/x/embeddings"));
        for bad in ["ftp://h", "http://u:p@h", "h", ""] {
            assert_eq!(of(bad), None);
        }
    }
}
