//! Fetches the documents about clients. Strangers choose the addresses, so the server must not become their way into
//! its own network: a name is resolved once, all of its addresses must be public, the connection goes to one of those
//! addresses, no redirect is followed, and time, bytes and number are bounded.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use memory_bank_core::identity::Client;
use quick_cache::sync::Cache;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use url::{Position, Url};

use crate::http::oauth::client_document;
use crate::http::oauth::issuer::signature::{PublicKey, key_set};
use crate::http::oauth::public_address::is_public;

/// How long a document may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest document, in bytes.
const LONGEST: usize = 64 * 1024;
/// How many documents are fetched at a time.
const AT_ONCE: usize = 8;
/// How many documents are cached.
const CACHED: usize = 1000;
/// How long a document is cached: as long as its response asks for, within these bounds.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);
/// The longest time for which keys are cached, so that a key that its client has removed is not accepted for long.
const LONGEST_LIFE_OF_KEYS: Duration = Duration::from_secs(3600);
const USUAL_LIFE: Duration = Duration::from_secs(600);
/// How long a failure is cached.
const FAILURE_LIFE: Duration = Duration::from_secs(30);

/// A connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The network that documents are fetched from. A test brings its own; the server has one, and no setting changes it.
#[async_trait]
pub(crate) trait Network: Send + Sync {
    /// The addresses of a name.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;

    /// A connection to exactly this address, encrypted for this name.
    async fn connect(&self, address: SocketAddr, host: &str) -> io::Result<Box<dyn Stream>>;
}

/// Decides whether a document that is not cached may be fetched.
#[async_trait]
pub(crate) trait Gate: Send + Sync {
    /// Counts a fetch; `false` if there were too many.
    async fn admits(&self) -> bool;
}

/// Documents about clients.
pub(crate) struct ClientDocuments {
    /// None where documents are not fetched.
    network: Option<Arc<dyn Network>>,
    clients: Cache<String, Cached<Client>>,
    /// The keys of clients that authenticate themselves.
    keys: Cache<String, Cached<Vec<PublicKey>>>,
    running: Semaphore,
}

struct Cached<T> {
    document: Result<Arc<T>, &'static str>,
    fetched_at: Instant,
    life: Duration,
}

impl<T> Clone for Cached<T> {
    fn clone(&self) -> Self {
        Self { document: self.document.clone(), fetched_at: self.fetched_at, life: self.life }
    }
}

impl ClientDocuments {
    pub(crate) fn new(network: Option<Arc<dyn Network>>) -> Self {
        let running = Semaphore::new(AT_ONCE);
        Self { network, clients: Cache::new(CACHED), keys: Cache::new(CACHED), running }
    }

    /// The client of an address. `gate` decides whether the document may be fetched if it is not cached.
    ///
    /// # Errors
    /// Why there is none, for its user.
    pub(crate) async fn get(&self, address: &Url, gate: &dyn Gate) -> Result<Arc<Client>, &'static str> {
        self.document(&self.clients, address, LONGEST_LIFE, gate, client_document::parse).await
    }

    /// The keys with an id of the set at an address; usually one. A set without the id is fetched again, at most once in
    /// a minute. Without an id these are all keys, and the set is at most a minute old.
    ///
    /// # Errors
    /// Why there is no set.
    pub(crate) async fn keys(
        &self,
        address: &Url,
        id: Option<&str>,
        gate: &dyn Gate,
    ) -> Result<Vec<PublicKey>, &'static str> {
        let read = |_: &Url, text: &[u8]| key_set(text).ok_or("the application's keys cannot be read");
        let Some(id) = id else {
            return Ok(self.document(&self.keys, address, SHORTEST_LIFE, gate, read).await?.to_vec());
        };
        let mut found = Vec::new();
        for longest in [LONGEST_LIFE_OF_KEYS, SHORTEST_LIFE] {
            let set = self.document(&self.keys, address, longest, gate, read).await?;
            found = set.iter().filter(|key| key.id() == id).cloned().collect();
            if !found.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    /// A document, from the cache if it is not older than `longest`.
    async fn document<T>(
        &self,
        cache: &Cache<String, Cached<T>>,
        address: &Url,
        longest: Duration,
        gate: &dyn Gate,
        read: fn(&Url, &[u8]) -> Result<T, &'static str>,
    ) -> Result<Arc<T>, &'static str> {
        const TOO_MANY: &str = "too many applications are looked up at the moment; try again";
        let Some(network) = &self.network else {
            return Err(
                "this server fetches no documents about applications; connect the application again, so that it registers itself",
            );
        };
        if let Some(known) = cache.get(address.as_str())
            && known.fetched_at.elapsed() < known.life.min(longest)
        {
            return known.document;
        }
        if !gate.admits().await {
            return Err(TOO_MANY);
        }
        let Ok(_running) = self.running.try_acquire() else { return Err(TOO_MANY) };
        let fetched = tokio::time::timeout(PATIENCE, fetch(&**network, address)).await;
        let fetched = fetched.unwrap_or(Err("the application's document did not arrive in time"));
        let read = fetched.and_then(|(text, life)| Ok((Arc::new(read(address, &text)?), life)));
        let (document, life) = match read {
            Ok((document, life)) => (Ok(document), life),
            Err(why) => (Err(why), FAILURE_LIFE),
        };
        let cached = Cached { document: document.clone(), fetched_at: Instant::now(), life };
        cache.insert(address.as_str().to_owned(), cached);
        document
    }
}

async fn fetch(network: &dyn Network, address: &Url) -> Result<(Bytes, Duration), &'static str> {
    const UNREACHABLE: &str = "the application's document could not be fetched from the internet; if this server cannot reach the internet, ask its \
                       operator to set OAUTH_CLIENT_DOCUMENTS=false, and connect again";
    let (host, port) = address.host_str().zip(address.port_or_known_default()).ok_or(UNREACHABLE)?;
    let found = network.resolve(host, port).await.map_err(|_| UNREACHABLE)?;
    // One private address among public ones is a trick.
    if found.iter().any(|address| !is_public(address.ip())) {
        // Nothing may show a stranger which names exist inside.
        return Err(UNREACHABLE);
    }
    let to = *found.first().ok_or(UNREACHABLE)?;
    let stream = network.connect(to, host).await.map_err(|_| UNREACHABLE)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|_| UNREACHABLE)?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(&address[Position::BeforePath..])
        .header(HOST, &address[Position::BeforeHost..Position::AfterPort])
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("memory-bank-mcp/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|_| UNREACHABLE)?;
    let response = sender.send_request(request).await.map_err(|_| UNREACHABLE)?;
    if response.status() != StatusCode::OK || !is_json(response.headers()) {
        return Err("the application's document is not there, or not JSON");
    }
    let life = life(response.headers());
    let body = Limited::new(response.into_body(), LONGEST).collect().await;
    let body = body.map_err(|_| "the application's document is too long")?.to_bytes();
    Ok((body, life))
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"))
}

fn life(headers: &HeaderMap) -> Duration {
    let text = headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let words: Vec<&str> = text.split(',').map(str::trim).collect();
    if words.iter().any(|word| matches!(*word, "no-store" | "no-cache")) {
        return SHORTEST_LIFE;
    }
    let seconds = words.iter().find_map(|word| word.strip_prefix("max-age=")?.parse().ok());
    seconds.map_or(USUAL_LIFE, Duration::from_secs).clamp(SHORTEST_LIFE, LONGEST_LIFE)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A network with these names; every address answers with this text.
    struct Fake {
        names: HashMap<&'static str, Vec<&'static str>>,
        answer: String,
        connected: AtomicUsize,
    }

    #[async_trait]
    impl Network for Fake {
        async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            let found = self.names.get(host).ok_or(io::ErrorKind::NotFound)?;
            Ok(found.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).collect())
        }

        async fn connect(&self, address: SocketAddr, _host: &str) -> io::Result<Box<dyn Stream>> {
            assert!(is_public(address.ip()), "{address} was connected to");
            self.connected.fetch_add(1, Ordering::SeqCst);
            let (here, mut there) = tokio::io::duplex(1024);
            let answer = self.answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 512];
                let _read = there.read(&mut request).await;
                let _written = there.write_all(answer.as_bytes()).await;
                std::future::pending::<()>().await;
            });
            Ok(Box::new(here))
        }
    }

    struct Door(bool);

    #[async_trait]
    impl Gate for Door {
        async fn admits(&self) -> bool {
            self.0
        }
    }

    const ADDRESS: &str = "https://client.example/m";

    fn fake(answer: String) -> Arc<Fake> {
        let names = HashMap::from([
            ("client.example", vec!["93.184.215.14"]),
            ("inside.example", vec!["10.0.0.1"]),
            ("loop.example", vec!["127.0.0.1"]),
            ("mapped.example", vec!["::ffff:127.0.0.1"]),
            ("link.example", vec!["169.254.169.254"]),
            ("mixed.example", vec!["93.184.215.14", "192.168.0.1"]),
            ("none.example", vec![]),
        ]);
        Arc::new(Fake { names, answer, connected: AtomicUsize::new(0) })
    }

    fn answer(head: &str, body: &str) -> String {
        format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    fn document() -> String {
        format!(
            r#"{{"client_id": "{ADDRESS}", "client_name": "C", "redirect_uris": ["https://client.example/cb"]}}"#
        )
    }

    async fn get(network: Arc<Fake>, address: &str) -> Result<Arc<Client>, &'static str> {
        ClientDocuments::new(Some(network)).get(&Url::parse(address).unwrap(), &Door(true)).await
    }

    #[tokio::test]
    async fn a_document_is_fetched_once() {
        let network = fake(answer("200 OK\r\ncontent-type: application/json", &document()));
        let documents = ClientDocuments::new(Some(network.clone()));
        for _ in 0..3 {
            let client = documents.get(&Url::parse(ADDRESS).unwrap(), &Door(true)).await.unwrap();
            assert_eq!(client.name, "C");
        }
        assert_eq!(network.connected.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn nothing_but_the_internet_is_connected_to() {
        for host in ["inside", "loop", "mapped", "link", "mixed", "none", "unknown"] {
            let network = fake(answer("200 OK\r\ncontent-type: application/json", &document()));
            let refused = get(network.clone(), &format!("https://{host}.example/m")).await;
            assert!(refused.is_err(), "{host}");
            assert_eq!(network.connected.load(Ordering::SeqCst), 0, "{host}");
        }
    }

    #[tokio::test]
    async fn a_document_that_is_known_is_not_counted() {
        let network = fake(answer("200 OK\r\ncontent-type: application/json", &document()));
        let documents = ClientDocuments::new(Some(network.clone()));
        let address = Url::parse(ADDRESS).unwrap();
        assert!(documents.get(&address, &Door(false)).await.err().unwrap().contains("too many"));
        assert_eq!(network.connected.load(Ordering::SeqCst), 0);
        documents.get(&address, &Door(true)).await.unwrap();
        documents.get(&address, &Door(false)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_fetched_as_a_document_is_and_again_for_an_unknown_id_once_in_a_minute() {
        let set = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        let network = fake(answer("200 OK\r\ncontent-type: application/jwk-set+json", set));
        let documents = ClientDocuments::new(Some(network.clone()));
        let at = |host: &str| Url::parse(&format!("https://{host}.example/m")).unwrap();
        let count = async |host: &str, id: &str| {
            documents.keys(&at(host), Some(id), &Door(true)).await.map(|keys| keys.len())
        };
        for _ in 0..3 {
            assert_eq!((count("client", "1").await, count("client", "2").await), (Ok(1), Ok(0)));
        }
        assert_eq!(network.connected.load(Ordering::SeqCst), 1);
        tokio::time::advance(SHORTEST_LIFE).await;
        assert_eq!((count("client", "2").await, count("client", "2").await), (Ok(0), Ok(0)));
        assert_eq!(network.connected.load(Ordering::SeqCst), 2);
        let all = documents.keys(&at("client"), None, &Door(true)).await;
        assert_eq!((all.map(|keys| keys.len()), network.connected.load(Ordering::SeqCst)), (Ok(1), 2));
        tokio::time::advance(SHORTEST_LIFE).await;
        assert!(documents.keys(&at("client"), None, &Door(false)).await.is_err(), "a minute is over");
        for host in ["inside", "loop", "mapped", "link", "mixed"] {
            assert!(count(host, "1").await.is_err(), "{host}");
        }
        assert_eq!(network.connected.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_server_that_fetches_no_documents_says_so() {
        let refused = ClientDocuments::new(None).get(&Url::parse(ADDRESS).unwrap(), &Door(true)).await;
        assert!(refused.err().unwrap().contains("registers itself"));
    }

    #[tokio::test]
    async fn redirects_other_types_and_long_documents_are_refused() {
        let long = format!("{}{}", document(), " ".repeat(LONGEST));
        for text in [
            answer("302 Found\r\nlocation: https://inside.example/m", ""),
            answer("404 Not Found\r\ncontent-type: application/json", &document()),
            answer("200 OK\r\ncontent-type: text/html", &document()),
            answer("200 OK\r\ncontent-type: application/json", &long),
            "nonsense".to_owned(),
        ] {
            let network = fake(text.clone());
            assert!(get(network.clone(), ADDRESS).await.is_err(), "{text:.80}");
            assert_eq!(network.connected.load(Ordering::SeqCst), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_not_waited_for() {
        let refused = get(fake(String::new()), ADDRESS).await;
        assert_eq!(refused.err(), Some("the application's document did not arrive in time"));
    }

    #[test]
    fn a_document_is_cached_within_bounds() {
        let of = |text: &'static str| life(&HeaderMap::from_iter([(CACHE_CONTROL, text.parse().unwrap())]));
        assert_eq!(of("public, max-age=3600"), Duration::from_secs(3600));
        assert_eq!(of("max-age=0"), SHORTEST_LIFE);
        assert_eq!(of("no-store"), SHORTEST_LIFE);
        assert_eq!(of("max-age=99999999"), LONGEST_LIFE);
        assert_eq!(of("max-age=x"), USUAL_LIFE);
    }
}
