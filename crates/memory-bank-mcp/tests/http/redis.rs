//! State that servers share through Redis, and operation without it. Redis is real, on its own port.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use memory_bank_test_postgres::{Link, TestDatabase, TestRedis};
use serde_json::json;
use tempfile::TempDir;

use crate::client::{JSON, Server, TIMEOUT, call};
use crate::database::{key_of, operate};

/// A Redis that a test sends commands and signals to.
pub(crate) struct Redis(pub(crate) TestRedis);

impl Redis {
    pub(crate) fn start() -> Self {
        Self(TestRedis::start())
    }

    pub(crate) fn start_on(port: u16) -> Self {
        Self(TestRedis::start_on(port))
    }

    pub(crate) fn url(&self) -> String {
        self.0.url()
    }

    /// Sends a command and returns the raw reply.
    pub(crate) fn run(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.0.port())).unwrap();
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    }

    /// The keys that hold this word.
    pub(crate) fn keys(&self, word: &str) -> Vec<String> {
        self.run(&format!("KEYS *{word}*"))
            .lines()
            .filter(|line| line.contains(word))
            .map(str::to_owned)
            .collect()
    }

    /// The names of so many cached API keys. A server stores none while Redis answers late, and looks a key up again only when
    /// its own cache has expired, so the request that looks it up is repeated.
    pub(crate) fn cached_keys(&self, count: usize, request: impl Fn()) -> Vec<String> {
        let began = Instant::now();
        loop {
            request();
            for _ in 0..20 {
                let names = self.keys("apikey");
                if names.len() == count {
                    return names;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            assert!(began.elapsed() < TIMEOUT, "Redis has {:?}", self.keys("apikey"));
        }
    }

    /// The name of the only cached API key.
    pub(crate) fn cached_key(&self, request: impl Fn()) -> String {
        self.cached_keys(1, request).remove(0)
    }

    pub(crate) fn signal(&self, signal: &str) {
        assert!(
            Command::new("kill").args([signal, &self.0.process().to_string()]).status().unwrap().success()
        );
    }
}

fn health(server: &Server) -> serde_json::Value {
    server.send_bare("GET", "/health", &[], "").json()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < TIMEOUT, "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn keys_are_cached_by_hash_for_five_minutes_and_evicted_when_revoked() {
    let redis = Redis::start();
    let server = Server::start(&[("REDIS_URL", &redis.url()), ("REDIS_KEY_PREFIX", "t")]);
    // The first command waits for no connection that is slow to come about.
    until("Redis", || health(&server)["redis"] == json!("ok"));
    let made = server.send("POST", "/api/keys", &[JSON], "{}").json();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let named = [("X-API-Key", key)];
    let cached = redis.cached_keys(2, || {
        assert_eq!(server.send("GET", "/api/keys", &[], "").status, 200);
        assert_eq!(server.send_bare("GET", "/api/keys", &named, "").status, 200);
    });
    assert!(cached.iter().all(|name| name.starts_with("t:") && !name.contains("mbmcp_")));
    let left: i64 = redis
        .run(&format!("TTL {}", cached[0]))
        .lines()
        .next()
        .unwrap()
        .trim_start_matches(':')
        .parse()
        .unwrap();
    assert!((1..=300).contains(&left), "{left}");
    assert_eq!(server.send("DELETE", &format!("/api/keys/{id}"), &[], "").status, 200);
    assert_eq!(redis.keys("apikey").len(), 1);
    assert_eq!(server.send_bare("GET", "/api/keys", &named, "").status, 401);
}

/// A firewall that has forgotten a connection neither passes nor refuses anything.
#[test]
fn a_connection_that_became_silent_is_replaced() {
    let redis = Redis::start();
    let link = Link::to(redis.0.port());
    let url = format!("redis://127.0.0.1:{}", link.port());
    let server = Server::start(&[("REDIS_URL", &url)]);
    until("Redis", || health(&server)["redis"] == json!("ok"));
    link.cut();
    until("the outage", || health(&server)["redis"] == json!("error"));
    link.mend();
    until("Redis again", || health(&server)["redis"] == json!("ok"));
}

#[test]
fn an_unreadable_cache_entry_is_a_miss() {
    let redis = Redis::start();
    let url = redis.url();
    let mut server = Server::start(&[("REDIS_URL", &url)]);
    let name = redis.cached_key(|| assert_eq!(server.send("GET", "/api/keys", &[], "").status, 200));
    redis.run(&format!("SET {name} nonsense"));
    let take = |place: &mut TempDir| std::mem::replace(place, TempDir::new().unwrap());
    let (key, folder, state) = (server.key.clone(), take(&mut server.folder), take(&mut server.state));
    drop(server);
    let mut again = Server::start_again(folder, state, &[("REDIS_URL", &url)]);
    again.key = key;
    // The first command waits for no connection that is slow to come about.
    until("Redis", || health(&again)["redis"] == json!("ok"));
    assert_eq!(again.send("GET", "/api/keys", &[], "").status, 200);
    until("the end of what cannot be read", || !redis.run(&format!("GET {name}")).contains("nonsense"));
}

#[test]
fn a_cache_entry_without_a_key_grants_no_operator_rights() {
    let redis = Redis::start();
    let url = redis.url();
    let mut server = Server::start(&[("REDIS_URL", &url)]);
    let made = server.send("POST", "/api/keys", &[JSON], &json!({"scopes": ["read"]}).to_string()).json();
    let reader = [("X-API-Key", made["key"].as_str().unwrap()), JSON];
    redis.run("FLUSHALL");
    let name =
        redis.cached_key(|| assert_eq!(server.send_bare("POST", "/api/keys", &reader, "{}").status, 403));
    let reply = redis.run(&format!("GET {name}"));
    let cached = reply.lines().find(|line| line.starts_with('{')).unwrap();
    let mut cached: serde_json::Value = serde_json::from_str(cached).unwrap();
    cached["identity"]["key"] = json!(null);
    cached["identity"]["scopes"] = json!([]);
    assert!(redis.run(&format!("SET {name} '{cached}'")).starts_with("+OK"));
    let take = |place: &mut TempDir| std::mem::replace(place, TempDir::new().unwrap());
    let (folder, state) = (take(&mut server.folder), take(&mut server.state));
    drop(server);
    let again = Server::start_again(folder, state, &[("REDIS_URL", &url)]);
    assert_eq!(again.send_bare("POST", "/api/keys", &reader, "{}").status, 403);
}

#[test]
fn a_session_survives_the_server_that_opened_it() {
    let redis = Redis::start();
    let url = redis.url();
    let mut server = Server::start(&[("REDIS_URL", &url)]);
    let session = server.initialize();
    let take = |place: &mut TempDir| std::mem::replace(place, TempDir::new().unwrap());
    let (key, folder, state) = (server.key.clone(), take(&mut server.folder), take(&mut server.state));
    drop(server);
    let mut again = Server::start_again(folder, state, &[("REDIS_URL", &url)]);
    again.key = key;
    let reply = again.post(Some(&session), &call(2, "get_instructions", &json!({})));
    assert_eq!(reply.status, 200, "{}", reply.body);
}

#[test]
fn the_sliding_windows_of_the_rate_limiter_are_in_redis() {
    let redis = Redis::start();
    let server = Server::start(&[("REDIS_URL", &redis.url()), ("RATE_LIMIT_IP_PER_MINUTE", "0")]);
    let made = server.send("POST", "/api/keys", &[JSON], &json!({"rateLimit": 3}).to_string()).json();
    let key = made["key"].as_str().unwrap();
    let send = || server.send_bare("GET", "/api/keys", &[("X-API-Key", key)], "");
    let replies: Vec<_> = (0..5).map(|_| send()).collect();
    assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [200, 200, 200, 429, 429]);
    assert_eq!(replies[4].header("x-ratelimit-remaining"), Some("0"));
    let wait: u64 = replies[4].header("retry-after").unwrap().parse().unwrap();
    assert!((50..=60).contains(&wait), "{wait}");
    let window =
        redis.keys("ratelimit:key").into_iter().find(|name| name.contains(made["id"].as_str().unwrap()));
    let count = redis.run(&format!("ZCARD {}", window.unwrap()));
    assert!(count.starts_with(":3"), "a refused request was counted: {count}");
}

#[test]
fn without_redis_requests_pass_and_a_warning_is_logged() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("redis://127.0.0.1:{free}");
    let server = Server::start(&[("REDIS_URL", &url), ("RATE_LIMIT_IP_PER_MINUTE", "1")]);
    for _ in 0..5 {
        assert_eq!(server.send("GET", "/api/keys", &[], "").status, 200);
    }
    // Requests without a good key have a limit in the process, too.
    let guess = || server.send_bare("GET", "/api/keys", &[], "").status;
    assert_eq!([guess(), guess()], [401, 429]);
    let message = health(&server);
    assert_eq!((&message["status"], &message["redis"]), (&json!("degraded"), &json!("error")));
    let redis = Redis::start_on(free);
    until("Redis", || health(&server)["redis"] == json!("ok"));
    drop(redis);
    until("the report that Redis is gone", || health(&server)["redis"] == json!("error"));
    assert_eq!(server.send("GET", "/api/keys", &[], "").status, 200);
}

#[test]
fn a_hanging_redis_delays_requests_little_and_recovers() {
    let redis = Redis::start();
    let server = Server::start(&[("REDIS_URL", &redis.url()), ("RATE_LIMIT_IP_PER_MINUTE", "0")]);
    assert_eq!(server.send("GET", "/api/keys", &[], "").status, 200);
    redis.signal("-STOP");
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let one = Instant::now();
        assert_eq!(server.send("GET", "/api/keys", &[], "").status, 200);
        slowest = slowest.max(one.elapsed());
    }
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    redis.signal("-CONT");
    until("Redis", || health(&server)["status"] == json!("ok"));
}

/// The commands that reach a Redis from now on, until it ends.
fn monitored(redis: &Redis) -> std::thread::JoinHandle<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", redis.0.port())).unwrap();
    stream.write_all(b"MONITOR\r\n").unwrap();
    let mut begun = [0; 5];
    stream.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"+OK\r\n");
    std::thread::spawn(move || {
        let mut seen = Vec::new();
        // It ends with the process, also by a reset.
        let _end = stream.read_to_end(&mut seen);
        String::from_utf8_lossy(&seen).into_owned()
    })
}

#[test]
fn redis_gets_no_key_and_no_text_of_a_document() {
    const TEXT: &str = "zirconium-canary";
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let redis = Redis::start();
    let mut server = Server::start(&[
        ("DATABASE_URL", &database.url()),
        ("REDIS_URL", &redis.url()),
        ("MCP_HOST", "127.0.0.1"),
    ]);
    key_of(&made["key"]).clone_into(&mut server.key);
    let seen = monitored(&redis);
    let session = server.initialize();
    let stream = server.listen(&session, None);
    server.subscribe(&session, "memory-bank://plan");
    for (tool, arguments) in [
        ("initialize_memory_bank", json!({"path": "."})),
        ("write_memory_bank_file", json!({"filename": "plan.md", "content": format!("# Plan\n\n{TEXT}\n")})),
        ("read_memory_bank_file", json!({"filename": "plan.md"})),
        ("search_memory_bank", json!({"query": TEXT})),
        ("graph_upsert_entity", json!({"name": TEXT, "entityType": "word"})),
        ("graph_add_observation", json!({"entity": TEXT, "text": format!("{TEXT} is a word")})),
    ] {
        let reply = server.post(Some(&session), &call(7, tool, &arguments)).message();
        assert_ne!(reply["result"]["isError"], true, "{tool}: {reply}");
    }
    let guess = "mbmcp_live_0123456789abcdefghijklmnopqrstuv";
    assert_eq!(server.send_bare("GET", "/api/keys", &[("X-API-Key", guess)], "").status, 401);
    // A server stores nothing while Redis answers late.
    until("entries of requests and of the key", || {
        assert_eq!(server.send("GET", "/api/keys", &[], "").status, 200);
        ["ratelimit", "apikey"].iter().all(|word| !redis.keys(word).is_empty())
    });
    drop(stream);
    let key = server.key.clone();
    drop(server);
    drop(redis);
    let seen = seen.join().unwrap();
    for expected in ["\"SET\"", "PUBLISH", "ratelimit", "apikey"] {
        assert!(seen.contains(expected), "{expected} was expected: {seen}");
    }
    for secret in [key.as_str(), "mbmcp_live_", TEXT] {
        assert!(!seen.contains(secret), "{secret} reached Redis: {seen}");
    }
}
