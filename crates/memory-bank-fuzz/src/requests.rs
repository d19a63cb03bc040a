//! Requests over HTTP to a server on a database: MCP, the REST interface, OAuth, the console's session, and streams.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use memory_bank_core::caller::{KeyId, ProjectId, UserId};
use memory_bank_core::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use memory_bank_core::identity::{Administration, Environment, NewKey, NewProject, NewUser, PlainKey};
use memory_bank_core::limiter::MemoryLimiter;
use memory_bank_core::store::NoSink;
use memory_bank_postgres::{Database, DatabaseOptions, Deps, PostgresWorkspace};
use memory_bank_server::http::{Absent, HttpConfig, Parts, Server};
use memory_bank_server::hub::Hub;
use memory_bank_server::mcp::ToolOptions;
use memory_bank_server::services::{Replies, Services};
use memory_bank_test_postgres::{MIGRATOR, TestDatabase};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// In an input it is replaced by a valid key.
const KEY: &str = "@KEY@";
/// The only host that the server answers for.
const HOST: &str = "fuzz.example";
/// How long a reply may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long the next piece of a stream is waited for, which has no end.
const NEXT_PIECE: Duration = Duration::from_millis(50);
/// The most bytes of a reply that are read.
const REPLY_BYTES: usize = 4 * 1024 * 1024;
/// More than any fuzzing sends.
const NO_LIMIT: u32 = 1_000_000_000;

/// A server with two projects, each with a document that contains a text of its own.
struct Fixture {
    address: SocketAddr,
    key: String,
    /// In the project that the key opens.
    own: String,
    /// In the project that no input can open.
    foreign: String,
    _database: TestDatabase,
}

/// One request: a head, an empty line, a body. The length of the body is set here, so that every request is complete.
pub(crate) fn requests(data: &[u8]) {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    let fixture = FIXTURE.get_or_init(start);
    let Some(request) = Request::of(data, &fixture.key) else { return };
    let reply = String::from_utf8_lossy(&exchange(fixture.address, &request)).into_owned();
    assert!(!reply.contains(&fixture.foreign), "the reply has a text of another project: {reply}");
    let has_key = data.windows(KEY.len()).any(|part| part == KEY.as_bytes());
    assert!(
        has_key || !reply.contains(&fixture.own),
        "a reply without a key has a text of the project: {reply}"
    );
    assert!(!reply.starts_with("HTTP/1.1 500"), "{reply}");
    assert!(!reply.contains("\"code\":-32603"), "{reply}");
}

/// A request as it is sent.
struct Request {
    bytes: Vec<u8>,
    is_head: bool,
}

impl Request {
    fn of(data: &[u8], key: &str) -> Option<Self> {
        static CLIENT: AtomicU32 = AtomicU32::new(0);
        let end = data.windows(2).position(|pair| pair == b"\n\n");
        let (head, body) = match end {
            Some(end) => (data.get(..end)?, data.get(end + 2..)?),
            None => (data, &[][..]),
        };
        let body = replaced(body, key);
        let mut lines =
            head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let first = lines.next().filter(|line| !line.is_empty() && !line.starts_with(b"PRI "))?;
        let mut bytes = replaced(first, key);
        for line in lines.filter(|line| !sets_length(line)) {
            bytes.extend_from_slice(b"\r\n");
            bytes.extend(replaced(line, key));
        }
        // Each input has an address of its own, so that no limit of an address is reached.
        let [_, a, b, c] = CLIENT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let own = format!("\r\nX-Forwarded-For: 10.{a}.{b}.{c}\r\nContent-Length: {}\r\n\r\n", body.len());
        bytes.extend_from_slice(own.as_bytes());
        bytes.extend(body);
        Some(Self { bytes, is_head: first.starts_with(b"HEAD ") })
    }
}

/// Whether a line sets the length of the body, or the address of the client.
fn sets_length(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default().to_ascii_lowercase();
    let name = name.trim_ascii();
    [&b"content-length"[..], b"transfer-encoding", b"x-forwarded-for", b""].contains(&name)
}

fn replaced(part: &[u8], key: &str) -> Vec<u8> {
    let mut text = Vec::with_capacity(part.len());
    let mut rest = part;
    while let Some(at) = rest.windows(KEY.len()).position(|window| window == KEY.as_bytes()) {
        let (before, after) = rest.split_at(at);
        text.extend_from_slice(before);
        text.extend_from_slice(key.as_bytes());
        rest = after.get(KEY.len()..).unwrap_or_default();
    }
    text.extend_from_slice(rest);
    text
}

/// Sends a request, and reads its reply: to its end, or of a stream what comes at once.
fn exchange(address: SocketAddr, request: &Request) -> Vec<u8> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).expect("the server listens");
    stream.set_nodelay(true).expect("an option of a socket");
    // A server may refuse a request before it has read all of it.
    if stream.write_all(&request.bytes).is_err() {
        return Vec::new();
    }
    let began = Instant::now();
    let mut reply = Vec::new();
    loop {
        assert!(began.elapsed() < TIMEOUT, "the reply takes more than {} s", TIMEOUT.as_secs());
        let remaining = remaining(&reply, request.is_head);
        if remaining == Remaining::Nothing || reply.len() > REPLY_BYTES {
            return reply;
        }
        let patience = if remaining == Remaining::Stream { NEXT_PIECE } else { TIMEOUT };
        stream.set_read_timeout(Some(patience)).expect("an option of a socket");
        let mut piece = [0; 16 * 1024];
        match stream.read(&mut piece) {
            Ok(0) => return reply,
            Ok(read) => reply.extend_from_slice(piece.get(..read).unwrap_or_default()),
            Err(error) if remaining == Remaining::Stream && is_timeout(error.kind()) => return reply,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return reply,
            // A signal of the process, such as the clock of the fuzzer.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("no reply: {error}"),
        }
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// What of a reply is yet to come.
#[derive(Debug, PartialEq, Eq)]
enum Remaining {
    Nothing,
    Something,
    /// Nobody knows: it ends when the server ends it.
    Stream,
}

fn remaining(reply: &[u8], is_head: bool) -> Remaining {
    let Some(end) = reply.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Remaining::Something;
    };
    let (head, body) = (reply.get(..end).unwrap_or_default(), reply.get(end + 4..).unwrap_or_default());
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    if head.starts_with("http/1.1 100") {
        return remaining(body, is_head);
    }
    if is_head || head.starts_with("http/1.1 204") || head.starts_with("http/1.1 304") {
        return Remaining::Nothing;
    }
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    match length {
        Some(length) if body.len() >= length => Remaining::Nothing,
        Some(_) => Remaining::Something,
        None if body.ends_with(b"0\r\n\r\n") => Remaining::Nothing,
        None => Remaining::Stream,
    }
}

/// Starts the server, which runs until the process ends.
fn start() -> Fixture {
    let database = TestDatabase::migrated();
    let (sender, receiver) = std::sync::mpsc::channel();
    let (url, owner_url) = (database.url(), database.url_of(MIGRATOR));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let keys = [tenant(&owner_url, "own").await, tenant(&owner_url, "foreign").await];
            let server = Server::bind(parts(&url), CancellationToken::new()).await.expect("a free port");
            sender.send((server.address().expect("an address"), keys)).expect("the fixture waits");
            server.serve().await;
        });
    });
    let (address, [key, other]) = receiver.recv_timeout(TIMEOUT).expect("the server starts");
    let (own, foreign) = (canary(), canary());
    plant(address, &key, &own);
    plant(address, &other, &foreign);
    Fixture { address, key, own, foreign, _database: database }
}

fn canary() -> String {
    format!("canary-{}", SystemEntropy.id().simple())
}

/// Writes a document with this text.
fn plant(address: SocketAddr, key: &str, text: &str) {
    let body = json!({"text": format!("# Progress\n\n{text}\n")});
    let request = format!(
        "PUT /api/v1/document?filename=progress.md HTTP/1.1\nHost: {HOST}\nAuthorization: Bearer {key}\n\
         Content-Type: application/json\n\n{body}"
    );
    let request = Request::of(request.as_bytes(), key).expect("a request");
    let reply = String::from_utf8(exchange(address, &request)).expect("a text");
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}

fn open(url: &str, connections: usize) -> Database {
    let options =
        DatabaseOptions { url: url.to_owned(), max_connections: connections, ..DatabaseOptions::default() };
    let deps =
        Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink: Arc::new(NoSink) };
    Database::new(&options, deps).expect("a connection string")
}

/// A project with an owner of the same name, and the owner's key.
async fn tenant(owner_url: &str, name: &str) -> String {
    let id = || SystemEntropy.id();
    let plain = PlainKey::generate(Environment::Live, &SystemEntropy);
    let key = NewKey {
        id: KeyId(id()),
        hash: plain.hash(),
        prefix: plain.prefix(),
        label: None,
        scopes: Vec::new(),
        rate_limit: NO_LIMIT,
        expires_at: None,
        created_at: SystemClock.now(),
    };
    let user = NewUser { id: UserId(id()), name: name.to_owned(), email: None };
    let project = NewProject { id: ProjectId(id()), slug: name.to_owned(), name: name.to_owned() };
    open(owner_url, 2).bootstrap(&user, &project, &key).await.expect("an empty database");
    plain.expose().to_owned()
}

fn parts(url: &str) -> Parts {
    let store = Arc::new(open(url, 8));
    let began = Instant::now();
    Parts {
        services: Services {
            workspace: Arc::new(PostgresWorkspace::new((*store).clone())),
            state: store.clone(),
            hub: Arc::new(Hub::new()),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            replies: Replies::default(),
            embedder: None,
        },
        config: config(),
        directory: store.clone(),
        keys: store.clone(),
        administration: Some(store.clone()),
        oauth: Some(store.clone()),
        local_console: None,
        key_cache: None,
        sessions: store.clone(),
        audit: Some(store.clone()),
        call_log: Some(store.clone()),
        text_index: Some(store.clone()),
        history: None,
        events: store,
        limiter: Arc::new(MemoryLimiter::new(move || began.elapsed())),
        storage: None,
        database: Arc::new(Absent),
        redis: None,
    }
}

fn config() -> HttpConfig {
    const MANY: usize = 10_000;
    HttpConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        json_response: false,
        allowed_hosts: vec![HOST.to_owned()],
        public_url: Some(format!("https://{HOST}")),
        client_documents: false,
        openid: None,
        outside_issuer: None,
        allowed_origins: Vec::new(),
        trust_proxy_hops: 1,
        address_limit: 0,
        keyed_address_limit: 0,
        reply_bytes: 256 * 1024,
        reply_bytes_per_key: 64 * 1024 * 1024,
        reply_bytes_total: 256 * 1024 * 1024,
        connections_per_address: MANY,
        keep_alive: Duration::from_secs(60),
        streams_per_key: MANY,
        sessions_per_project: MANY,
        sessions_per_key: MANY,
        event_bytes_per_session: 1024 * 1024,
        event_bytes_per_project: 16 * 1024 * 1024,
        audit_retention: Duration::from_secs(86_400),
        metrics: None,
        drain_delay: Duration::ZERO,
        event_retention: Duration::from_secs(3600),
        tools: ToolOptions::default(),
    }
}
