//! The server of the requests: a database with two projects, and what each of them contains.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
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

use super::issuer::Issuer;
use super::wire::{Reply, Request, TIMEOUT};

/// The only host that the server answers for.
pub(super) const HOST: &str = "fuzz.example";
/// The user of the issuer who is the owner of the project.
pub(super) const SUBJECT: &str = "subject";
/// More than any fuzzing sends.
const NO_LIMIT: u32 = 1_000_000_000;

/// A running server with two projects, each with a document and a fact that contain a text of its own.
pub(super) struct Site {
    address: SocketAddr,
    /// The project that inputs can open.
    pub(super) own: Tenant,
    /// The project that no input can open.
    pub(super) foreign: Tenant,
    /// An outside authorization server, which knows the owner of the project.
    pub(super) issuer: Issuer,
    _database: TestDatabase,
}

/// A project with an owner of the same name.
pub(super) struct Tenant {
    pub(super) project: String,
    pub(super) key: String,
    /// What its documents say, and nothing else.
    pub(super) canary: String,
}

impl Site {
    /// Starts the server, which runs until the process ends.
    pub(super) fn start() -> Self {
        let database = TestDatabase::migrated();
        let issuer = Issuer::start();
        let (sender, receiver) = channel();
        let (url, owner_url, trusted) = (database.url(), database.url_of(MIGRATOR), issuer.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let tenants = [tenant(&owner_url, "own").await, tenant(&owner_url, "foreign").await];
                let server = Server::bind(parts(&url, &trusted), CancellationToken::new());
                let server = server.await.expect("a free port");
                sender.send((server.address().expect("an address"), tenants)).expect("the fixture waits");
                server.serve().await;
            });
        });
        let (address, [own, foreign]) = receiver.recv_timeout(TIMEOUT).expect("the server starts");
        let issued_by = issuer.address();
        database.psql(&format!(
            "INSERT INTO app.issuers (issuer) VALUES ('{issued_by}'); INSERT INTO app.identities (issuer, subject, user_id) \
             SELECT '{issued_by}', '{SUBJECT}', id FROM users WHERE name = 'own'"
        ));
        let site = Self { address, own, foreign, issuer, _database: database };
        for tenant in [&site.own, &site.foreign] {
            site.plant(tenant);
            site.plant_fact(tenant);
        }
        site
    }

    /// Sends a request that has no placeholders.
    pub(super) fn send(&self, text: &str) -> Reply {
        self.exchange(&Request::of(text.as_bytes(), &[]).expect("a request"))
    }

    /// Sends a request.
    pub(super) fn exchange(&self, request: &Request) -> Reply {
        request.send(self.address)
    }

    /// Writes the document with the text of a project; that of an input may have replaced it.
    pub(super) fn plant(&self, tenant: &Tenant) {
        let text = format!("# Progress\n\n{}\n", tenant.canary);
        self.call(tenant, "write_memory_bank_file", &json!({"filename": "progress.md", "content": text}));
    }

    fn plant_fact(&self, tenant: &Tenant) {
        self.call(tenant, "graph_upsert_entity", &json!({"name": "A", "entityType": "service"}));
        self.call(tenant, "graph_add_observation", &json!({"entity": "A", "text": tenant.canary}));
    }

    fn call(&self, tenant: &Tenant, tool: &str, arguments: &serde_json::Value) {
        let params = json!({"name": tool, "arguments": arguments, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "fixture", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }});
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let reply = self.send(&format!(
            "POST /mcp HTTP/1.1\nHost: {HOST}\nAuthorization: Bearer {}\nContent-Type: application/json\n\
             Accept: application/json, text/event-stream\nMCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\n\
             Mcp-Name: {tool}\n\n{message}",
            tenant.key
        ));
        let failed = reply.0.contains("\"isError\":true") || reply.0.contains("\"error\":");
        assert!(reply.status() == Some(200) && !failed, "{tool}: {}", reply.0);
    }
}

fn open(url: &str, connections: usize) -> Database {
    let options =
        DatabaseOptions { url: url.to_owned(), max_connections: connections, ..DatabaseOptions::default() };
    let deps =
        Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink: Arc::new(NoSink) };
    Database::new(&options, deps).expect("a connection string")
}

async fn tenant(owner_url: &str, name: &str) -> Tenant {
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
    open(owner_url, 2).bootstrap(&user, &project, &key).await.expect("no such user or project");
    Tenant {
        project: project.id.0.to_string(),
        key: plain.expose().to_owned(),
        canary: format!("canary-{}", id().simple()),
    }
}

fn parts(url: &str, issuer: &Issuer) -> Parts {
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
        config: config(issuer),
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

fn config(issuer: &Issuer) -> HttpConfig {
    // More than any fuzzing opens.
    const MANY: usize = 100_000_000;
    HttpConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        json_response: false,
        allowed_hosts: vec![HOST.to_owned()],
        public_url: Some(format!("https://{HOST}")),
        client_documents: false,
        openid: None,
        outside_issuer: Some(issuer.settings()),
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
