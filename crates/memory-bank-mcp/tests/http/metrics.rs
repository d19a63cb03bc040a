//! Metrics, read like Prometheus reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;
use std::time::Instant;

use memory_bank_test_postgres::{TestDatabase, TestRedis};
use serde_json::json;

use crate::client::{JSON, Server, TIMEOUT, call, request, signal, until};
use crate::database::{key_of, operate};

const ON: (&str, &str) = ("METRICS_ADDR", "127.0.0.1:0");

/// The scraped series with their values, and the types of their families.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    pub(crate) series: BTreeMap<String, f64>,
    pub(crate) types: BTreeMap<String, String>,
}

impl Scrape {
    pub(crate) fn of(server: &Server) -> Self {
        let address = server.metrics.as_deref().unwrap();
        let reply = request(address, "GET", "/metrics", &[("Accept", "application/openmetrics-text")], "");
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert!(
            reply.header("content-type").unwrap().starts_with("application/openmetrics-text; version=1.0.0")
        );
        Self::parse(&reply.body)
    }

    /// Reads OpenMetrics strictly: every sample belongs to an announced family, and no sample is repeated.
    fn parse(text: &str) -> Self {
        let mut scrape = Self::default();
        let mut lines = text.lines();
        assert_eq!(lines.next_back(), Some("# EOF"));
        let mut family = String::new();
        for line in lines {
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words.as_slice() {
                ["#", "HELP", name, _] | ["#", "TYPE", name, _] | ["#", "UNIT", name, _] => {
                    assert!(name.starts_with("memory_bank_"), "{line}");
                    if words[1] == "TYPE" {
                        let before = scrape.types.insert((*name).to_owned(), words[3].to_owned());
                        assert_eq!(before, None, "{line}");
                    }
                    (*name).clone_into(&mut family);
                }
                _ => {
                    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
                    let suffix = series.split('{').next().unwrap().strip_prefix(&family);
                    let fits = match scrape.types[&family].as_str() {
                        "counter" => suffix == Some("_total"),
                        "gauge" => suffix == Some(""),
                        "histogram" => matches!(suffix, Some("_bucket" | "_sum" | "_count")),
                        other => panic!("{other}"),
                    };
                    assert!(fits, "{line} in {family}");
                    let value: f64 = value.parse().unwrap();
                    assert_eq!(scrape.series.insert(series.to_owned(), value), None, "{line}");
                }
            }
        }
        scrape
    }

    fn value(&self, series: &str) -> f64 {
        self.series.get(&format!("memory_bank_{series}")).copied().unwrap_or_default()
    }

    /// All values of labels.
    fn labels(&self) -> BTreeSet<(String, String)> {
        let mut labels = BTreeSet::new();
        for series in self.series.keys() {
            let Some((_, rest)) = series.split_once('{') else { continue };
            for pair in rest.trim_end_matches('}').split("\",") {
                let (name, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("{series}"));
                labels.insert((name.to_owned(), value.trim_end_matches('"').to_owned()));
            }
        }
        labels
    }
}

/// Waits until a series has risen by as much as this since the first scrape.
fn rises(server: &Server, before: &Scrape, series: &str, by: f64) {
    let began = Instant::now();
    loop {
        let now = Scrape::of(server);
        let risen = now.value(series) - before.value(series);
        if (risen - by).abs() < 1e-9 {
            return;
        }
        assert!(began.elapsed() < TIMEOUT, "{series} rose by {risen}, not by {by}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn without_the_variable_no_metrics_are_served() {
    let server = Server::start(&[]);
    assert_eq!(server.metrics, None);
    assert_eq!(server.send("GET", "/metrics", &[], "").status, 404);
}

#[test]
fn the_metrics_listener_serves_only_metrics_and_stops_with_the_server() {
    let mut server = Server::start(&[ON]);
    let address = server.metrics.clone().unwrap();
    assert_eq!(request(&address, "GET", "/mcp", &[], "").status, 404);
    assert_eq!(request(&address, "POST", "/metrics", &[], "").status, 405);
    let open = TcpStream::connect(&address).unwrap();
    assert_eq!(server.terminate().0, Some(0));
    drop(open);
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn requests_are_counted_by_route_method_and_status_and_timed() {
    let server = Server::start(&[ON]);
    let before = Scrape::of(&server);
    server.send_bare("GET", "/health/live", &[], "");
    server.send("GET", "/api/keys", &[], "");
    server.send("DELETE", "/api/keys/17", &[], "");
    server.send("GET", "/nowhere", &[], "");
    server.send_bare("GET", "/health", &[("Host", "evil.example")], "");
    server.send_bare("GET", "/api/keys", &[("Host", "evil.example")], "");
    for (series, by) in [
        ("http_requests_total{route=\"/health/live\",method=\"GET\",status=\"200\"}", 1.0),
        ("http_requests_total{route=\"/api/keys\",method=\"GET\",status=\"200\"}", 1.0),
        ("http_requests_total{route=\"/api/keys\",method=\"GET\",status=\"403\"}", 1.0),
        ("http_requests_total{route=\"/api/keys/{id}\",method=\"DELETE\",status=\"404\"}", 1.0),
        ("http_requests_total{route=\"other\",method=\"GET\",status=\"404\"}", 1.0),
        ("http_request_duration_seconds_count{route=\"/api/keys\"}", 2.0),
        ("http_request_duration_seconds_bucket{le=\"+Inf\",route=\"/api/keys\"}", 2.0),
        ("origin_refusals_total{kind=\"host\"}", 1.0),
    ] {
        rises(&server, &before, series, by);
    }
}

#[test]
fn calls_are_counted_by_tool_and_outcome_and_aliases_under_their_tool() {
    let server = Server::start(&[ON]);
    let session = server.initialize();
    let before = Scrape::of(&server);
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    server.call(&session, "read_memory_bank_file", &json!({"filename": "missing.md"}));
    server.post(Some(&session), &call(3, "read_memory_bank_file", &json!({"filename": 7})));
    server.post(Some(&session), &call(4, "no_such_tool", &json!({})));
    server.post(Some(&session), &json!({"jsonrpc": "2.0", "id": 5, "method": "tools/list"}));
    server.post(Some(&session), &json!({"jsonrpc": "2.0", "id": 6, "method": "made/up"}));
    for (series, by) in [
        ("tool_calls_total{tool=\"initialize_memory_bank\",outcome=\"ok\"}", 1.0),
        ("tool_calls_total{tool=\"read_memory_bank_file\",outcome=\"refused\"}", 2.0),
        ("tool_calls_total{tool=\"other\",outcome=\"malformed\"}", 1.0),
        ("tool_call_duration_seconds_count{tool=\"read_memory_bank_file\"}", 2.0),
        ("mcp_requests_total{method=\"tools/call\",outcome=\"ok\"}", 1.0),
        ("mcp_requests_total{method=\"tools/list\",outcome=\"ok\"}", 1.0),
        ("mcp_requests_total{method=\"other\",outcome=\"malformed\"}", 1.0),
    ] {
        rises(&server, &before, series, by);
    }
}

#[test]
fn sessions_streams_and_events_are_counted() {
    let server = Server::start(&[ON, ("MAX_STREAMS_PER_KEY", "1"), ("MAX_SESSIONS_PER_PROJECT", "1")]);
    let before = Scrape::of(&server);
    let session = server.initialize();
    let reply = server.post(Some(&session), &call(5, "get_instructions", &json!({})));
    let opening = reply.events()[0].0.replace("-1", "-0");
    let mut stream = server.listen(&session, Some(&opening));
    stream.next().unwrap();
    rises(&server, &before, "streams_open", 1.0);
    rises(&server, &before, "sessions_opened_total", 1.0);
    rises(&server, &before, "sessions_cached", 1.0);
    rises(&server, &before, "events_stored_total", 2.0);
    rises(&server, &before, "events_replayed_total", 1.0);
    let refused = [("Accept", "text/event-stream"), ("Mcp-Session-Id", session.as_str())];
    assert_eq!(server.send("GET", "/mcp", &refused, "").status, 429);
    rises(&server, &before, "limits_hit_total{limit=\"streams\"}", 1.0);
    assert_eq!(server.post(None, &crate::client::handshake("2025-11-25")).status, 503);
    rises(&server, &before, "limits_hit_total{limit=\"sessions\"}", 1.0);
    assert_eq!(server.send("DELETE", "/mcp", &[("Mcp-Session-Id", &session)], "").status, 204);
    rises(&server, &before, "sessions_ended_total", 1.0);
    while stream.next().is_some() {}
    rises(&server, &before, "streams_open", 0.0);
}

#[test]
fn requests_over_a_limit_are_counted() {
    let server = Server::start(&[ON, ("RATE_LIMIT_IP_PER_MINUTE", "3")]);
    let before = Scrape::of(&server);
    let large = "x".repeat(1024 * 1024 + 1);
    let length = [JSON, ("X-Forwarded-For", "192.0.2.7")];
    assert_eq!(server.send("POST", "/api/keys", &length, &large).status, 413);
    rises(&server, &before, "limits_hit_total{limit=\"body\"}", 1.0);
    let narrow =
        server.send("POST", "/api/keys", &[JSON, ("X-Forwarded-For", "192.0.2.8")], "{\"rateLimit\":1}");
    let key = narrow.json()["key"].as_str().unwrap().to_owned();
    for address in ["192.0.2.10", "192.0.2.11"] {
        server.send_bare("GET", "/api/keys", &[("X-API-Key", &key), ("X-Forwarded-For", address)], "");
    }
    rises(&server, &before, "limits_hit_total{limit=\"key\"}", 1.0);
    for _ in 0..4 {
        server.send_bare("GET", "/api/keys", &[("X-Forwarded-For", "192.0.2.9")], "");
    }
    rises(&server, &before, "limits_hit_total{limit=\"address\"}", 1.0);
}

/// A server of a database beside Redis, which has every figure there is.
pub(crate) fn with_database_and_redis(database: &TestDatabase, redis: &TestRedis) -> Server {
    let made = operate(database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let mut server = Server::start(&[
        ON,
        ("DATABASE_URL", &database.url()),
        ("REDIS_URL", &redis.url()),
        ("MCP_HOST", "127.0.0.1"),
        ("RATE_LIMIT_IP_PER_MINUTE", "0"),
        // Metrics of standbys exist only with one; this one is a primary, which answers nothing as a standby.
        ("DATABASE_REPLICA_URLS", &database.url()),
        // Metrics of vectors exist only with a model; this server has none.
        ("EMBEDDINGS", "http://127.0.0.1:9/v1"),
        ("EMBEDDINGS_MODEL", "none"),
    ]);
    key_of(&made["key"]).clone_into(&mut server.key);
    server
}

#[test]
fn failed_attempts_are_counted_by_kind() {
    let (database, redis) = (TestDatabase::migrated(), TestRedis::start());
    let server = with_database_and_redis(&database, &redis);
    let fresh = || server.send("POST", "/api/keys", &[JSON], "{}").json();
    let (revoked, expired) = (fresh(), fresh());
    server.send("DELETE", &format!("/api/keys/{}", revoked["id"].as_str().unwrap()), &[], "");
    database.psql(&format!(
        "UPDATE api_keys SET expires_at = now() - interval '1 hour' WHERE id = '{}'",
        expired["id"].as_str().unwrap()
    ));
    let before = Scrape::of(&server);
    let unknown = format!("mbmcp_live_{}", "x".repeat(32));
    let keys = [None, Some("nonsense"), Some(&*unknown), revoked["key"].as_str(), expired["key"].as_str()];
    for key in keys {
        let headers: Vec<(&str, &str)> = key.map(|key| ("X-API-Key", key)).into_iter().collect();
        assert_eq!(server.send_bare("GET", "/api/keys", &headers, "").status, 401);
    }
    for kind in ["missing", "malformed", "unknown", "revoked", "expired"] {
        rises(&server, &before, &format!("auth_failures_total{{kind=\"{kind}\"}}"), 1.0);
    }
}

#[test]
fn database_redis_index_and_process_metrics_are_exported() {
    let (database, redis) = (TestDatabase::migrated(), TestRedis::start());
    let server = with_database_and_redis(&database, &redis);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    server.call(&session, "search_memory_bank", &json!({"query": "progress"}));
    let scrape = Scrape::of(&server);
    for series in ["db_up", "redis_up", "search_index_projects"] {
        assert_eq!(scrape.value(series), 1.0, "{series}");
    }
    for series in [
        "db_connections{state=\"idle\"}",
        "db_connections_max",
        "redis_calls_total{result=\"ok\"}",
        "search_index_bytes",
        "search_index_max_bytes",
        "search_index_events_total{event=\"built\"}",
        "uptime_seconds",
        "resident_memory_bytes",
        "http_connections",
    ] {
        if series != "http_connections" {
            assert!(scrape.value(series) > 0.0, "{series}");
        }
        assert!(scrape.series.contains_key(&format!("memory_bank_{series}")), "{series}");
    }
    assert_eq!(scrape.value("redis_breaker_open"), 0.0);
    assert_eq!(scrape.value("search_index_building"), 0.0);
    for reason in ["building", "too_large", "busy"] {
        assert_eq!(scrape.value(&format!("search_index_refusals_total{{reason=\"{reason}\"}}")), 0.0);
    }
    let version = format!("build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(scrape.value(&version), 1.0);

    drop(redis);
    for _ in 0..5 {
        server.send("GET", "/api/keys", &[], "");
    }
    let began = Instant::now();
    loop {
        let now = Scrape::of(&server);
        if now.value("redis_up") == 0.0 && now.value("redis_calls_total{result=\"failed\"}") > 0.0 {
            break;
        }
        assert!(began.elapsed() < TIMEOUT, "{now:?}");
    }
}

#[test]
fn a_key_that_cannot_be_looked_up_is_counted_as_unavailable() {
    let (database, redis) = (TestDatabase::migrated(), TestRedis::start());
    let server = with_database_and_redis(&database, &redis);
    let before = Scrape::of(&server);
    database.psql("REVOKE EXECUTE ON FUNCTION app.authenticate(bytea) FROM app_server");
    let key = format!("mbmcp_live_{}", "u".repeat(32));
    assert_eq!(server.send_bare("GET", "/api/keys", &[("X-API-Key", &key)], "").status, 503);
    rises(&server, &before, "auth_failures_total{kind=\"unavailable\"}", 1.0);
    rises(&server, &before, "auth_failures_total{kind=\"unknown\"}", 0.0);
}

#[test]
fn events_that_cannot_be_stored_are_counted_as_lost() {
    let (database, redis) = (TestDatabase::migrated(), TestRedis::start());
    let server = with_database_and_redis(&database, &redis);
    let session = server.initialize();
    let before = Scrape::of(&server);
    database.psql(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'full'; END $$; \
         CREATE TRIGGER refuse BEFORE INSERT ON public.mcp_events FOR EACH ROW EXECUTE FUNCTION public.refuse()",
    );
    let answered = server.post(Some(&session), &call(5, "get_instructions", &json!({})));
    assert_eq!(answered.message()["id"], json!(5), "the client is answered all the same");
    let began = Instant::now();
    loop {
        let now = Scrape::of(&server);
        let risen = |series: &str| now.value(series) - before.value(series);
        if risen("events_lost_total") > 0.0 {
            assert_eq!(risen("events_stored_total"), 0.0);
            break;
        }
        assert!(began.elapsed() < TIMEOUT, "no event was counted as lost");
    }
}

#[test]
fn the_circuit_breaker_and_skipped_requests_are_exported_while_redis_hangs() {
    let (database, redis) = (TestDatabase::migrated(), TestRedis::start());
    let server = with_database_and_redis(&database, &redis);
    server.send("GET", "/api/keys", &[], "");
    assert_eq!(Scrape::of(&server).value("redis_breaker_open"), 0.0);
    signal(redis.process(), "-STOP");
    until("an open breaker", || {
        server.send("GET", "/api/keys", &[], "");
        let now = Scrape::of(&server);
        now.value("redis_breaker_open") == 1.0
            && now.value("redis_calls_total{result=\"skipped\"}") > 0.0
            && now.value("redis_calls_total{result=\"failed\"}") > 0.0
    });
    signal(redis.process(), "-CONT");
    until("a closed breaker", || {
        server.send("GET", "/api/keys", &[], "");
        let now = Scrape::of(&server);
        now.value("redis_breaker_open") == 0.0 && now.value("redis_up") == 1.0
    });
}

#[test]
fn no_label_contains_client_input() {
    let server = Server::start(&[ON, ("RATE_LIMIT_IP_PER_MINUTE", "0")]);
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let file = json!({"filename": "canary.md", "content": "canary"});
    server.call(&session, "write_memory_bank_file", &file);
    server.post(Some(&session), &call(2, "canary\"} 1\n# EOF", &json!({"canary": "canary"})));
    server.post(Some(&session), &json!({"jsonrpc": "2.0", "id": 6, "method": "canary/canary"}));
    for path in ["/canary", "/api/keys/canary", "/mcp/canary", "/health?canary=1", "/%7Bcanary%7D"] {
        server.send("CANARY", path, &[("Host", "canary"), ("Origin", "http://canary")], "");
        server.send("GET", path, &[("X-API-Key", "canary"), ("Mcp-Session-Id", "canary")], "");
    }
    let known: BTreeSet<String> = server
        .post(Some(&session), &json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list"}))
        .message()["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect();
    let routes = ["/mcp", "/api/keys", "/api/keys/{id}", "/api/keys/{id}/rotate", "/health", "/health/live"];
    for (name, value) in Scrape::of(&server).labels() {
        let fits = match name.as_str() {
            "tool" => known.contains(&value) || value == "other",
            "route" => routes.contains(&&*value) || value == "other",
            "status" => value.parse::<u16>().is_ok_and(|status| (100..600).contains(&status)),
            "le" => value.parse::<f64>().is_ok(),
            "version" => value == env!("CARGO_PKG_VERSION"),
            "method" | "outcome" | "kind" | "limit" | "state" | "result" => !value.contains("anary"),
            _ => false,
        };
        assert!(fits, "{name}={value}");
        assert!(!value.to_lowercase().contains("canary"), "{name}={value}");
    }
}
