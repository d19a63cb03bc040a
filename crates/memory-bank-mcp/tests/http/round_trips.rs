//! The cost of a request on a warm server: round trips to PostgreSQL, counted by a proxy, and commands to Redis, as
//! `MONITOR` reports them. The numbers must not grow unnoticed.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use memory_bank_test_postgres::proxy::CountingProxy;
use memory_bank_test_postgres::{SERVER, TestDatabase};
use serde_json::{Value, json};

use crate::client::{JSON, MCP_ACCEPT, Server, TIMEOUT, call};
use crate::database::{key_of, operate};
use crate::oauth::browser::connect;
use crate::oauth::fake_issuer::{Issuer, Signer};
use crate::redis::Redis;

/// The number of measurements of each case. The least counts: the server records uses of keys and keeps connections alive now
/// and then, which may add to a measurement and never takes from it.
const TIMES: usize = 7;

/// A server whose database and Redis record their queries.
struct Watched {
    server: Server,
    proxy: CountingProxy,
    monitor: Monitor,
    redis: Redis,
    database: TestDatabase,
}

/// The commands of Redis clients, from `MONITOR`, without those inside scripts.
struct Monitor(BufReader<TcpStream>);

impl Monitor {
    fn of(redis: &Redis) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", redis.0.port())).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut lines = BufReader::new(stream);
        let mut ok = String::new();
        lines.read_line(&mut ok).unwrap();
        assert_eq!(ok.trim(), "+OK");
        Self(lines)
    }

    /// The commands up to the one that holds this word, without that one.
    fn until(&mut self, word: &str) -> Vec<String> {
        let mut commands = Vec::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("Redis closed the monitor");
            // +1700000000.000000 [0 127.0.0.1:50000] "GET" "key"
            let Some((from, command)) = line.split_once("] ") else { continue };
            if command.contains(word) {
                return commands;
            }
            if !from.ends_with("lua") {
                let name = command.split('"').nth(1).unwrap_or_default();
                commands.push(name.to_ascii_uppercase());
            }
        }
    }
}

impl Watched {
    /// The same, opened with an access token of OAuth.
    fn start_with_token(json: bool) -> Self {
        let mut watched = Self::start(json);
        let token = connect(&watched.server, &watched.database, "alice", "read write").access;
        watched.database.psql("UPDATE api_keys SET rate_limit = 100000 WHERE grant_id IS NOT NULL");
        watched.server.key = token;
        watched
    }

    /// The same, with a token of an outside issuer.
    fn start_with_outside_token() -> Self {
        let signer = Signer::new("key");
        let issuer = Issuer::start(&[&signer]);
        let mut watched = Self::start_with(false, &[("OAUTH_ISSUER", &issuer.address)]);
        watched.database.psql(&format!(
            "INSERT INTO app.issuers (issuer) VALUES ('{0}'); INSERT INTO app.identities (issuer, subject, user_id) \
             SELECT '{0}', 'u1', id FROM users",
            issuer.address
        ));
        let resource = format!("http://{}/mcp", watched.server.address);
        watched.server.key = signer.token(&issuer.claims("u1", &resource));
        watched.stateless("get_memory_bank_status", &json!({}));
        watched.database.psql("UPDATE api_keys SET rate_limit = 100000 WHERE grant_id IS NOT NULL");
        watched
    }

    fn start(json: bool) -> Self {
        Self::start_with(json, &[])
    }

    fn start_with(json: bool, more: &[(&str, &str)]) -> Self {
        let database = TestDatabase::migrated();
        let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
        let arguments = ["keys", "create", "--user", "alice", "--project", "atlas", "--rate-limit", "100000"];
        let key = key_of(&operate(&database, &arguments).unwrap());
        assert!(made["key"]["key"].is_string());
        let (proxy, redis) = (CountingProxy::to(database.port()), Redis::start());
        let url =
            format!("postgres://{SERVER}@127.0.0.1:{}/{}?sslmode=disable", proxy.port(), database.name());
        let redis_url = redis.url();
        let mut variables = vec![
            ("DATABASE_URL", url.as_str()),
            ("MCP_HOST", "127.0.0.1"),
            // Statements are prepared once a connection, so with one connection a second call is warm.
            ("DB_MAX_CONNECTIONS", "1"),
            ("REDIS_URL", redis_url.as_str()),
            ("RATE_LIMIT_IP_PER_MINUTE", "100000"),
            ("MCP_JSON_RESPONSE", if json { "true" } else { "false" }),
        ];
        variables.extend(more);
        let mut server = Server::start(&variables);
        key.clone_into(&mut server.key);
        let monitor = Monitor::of(&redis);
        let watched = Self { server, proxy, monitor, redis, database };
        watched.wait_for_clean_ups();
        watched
    }

    /// A server begins with clean-ups, whose statements would count.
    fn wait_for_clean_ups(&self) {
        let quiet = (0..100).any(|_| {
            self.proxy.take();
            std::thread::sleep(Duration::from_millis(500));
            self.proxy.take() == 0
        });
        assert!(quiet, "the clean-ups do not end");
    }

    /// Calls a tool without a session.
    fn stateless(&self, tool: &str, arguments: &Value) -> Value {
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {}});
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments, "_meta": meta}});
        let headers = [
            JSON,
            MCP_ACCEPT,
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", "tools/call"),
            ("Mcp-Name", tool),
        ];
        let reply = self.server.send("POST", "/mcp", &headers, &message.to_string());
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
        reply.json()
    }

    /// The cost of one call. With `last`, its last command comes after the reply.
    fn cost(&mut self, last: Option<&str>, mut work: impl FnMut(&Self, usize)) -> (usize, Vec<String>) {
        let mut costs = Vec::new();
        for round in 0..=TIMES {
            let begin = format!("begin-{round}");
            self.redis.run(&format!("ECHO {begin}"));
            self.monitor.until(&begin);
            self.proxy.take();
            work(self, round);
            let trips = self.proxy.take();
            let mut commands = Vec::new();
            if let Some(last) = last {
                commands = self.monitor.until(last);
                commands.push(last.to_owned());
            }
            let end = format!("end-{round}");
            self.redis.run(&format!("ECHO {end}"));
            commands.extend(self.monitor.until(&end));
            // The watching connection is not counted.
            commands.retain(|command| command != "QUIT");
            costs.push((trips, commands));
        }
        // The first one warms up.
        costs.into_iter().skip(1).min_by_key(|(trips, commands)| (*trips, commands.len())).unwrap()
    }
}

fn commands(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn succeeded(reply: &Value) {
    assert_eq!(reply["result"]["isError"], json!(false), "{reply}");
}

#[test]
fn a_read_takes_one_round_trip_to_redis_and_postgresql_and_an_edit_two_to_postgresql() {
    for mut watched in
        [Watched::start(false), Watched::start_with_token(false), Watched::start_with_outside_token()]
    {
        counts_of_reads_and_edits(&mut watched);
    }
}

/// A token costs what a key costs.
fn counts_of_reads_and_edits(watched: &mut Watched) {
    watched.stateless("initialize_memory_bank", &json!({"path": "."}));
    let read = |watched: &Watched, tool: &str, arguments: &Value| {
        succeeded(&watched.stateless(tool, arguments));
    };
    let reads = [
        ("read_memory_bank_file", json!({"filename": "progress.md"})),
        ("list_memory_bank_files", json!({})),
        ("search_memory_bank", json!({"query": "progress"})),
        ("graph_search", json!({"query": "nothing"})),
    ];
    for (tool, arguments) in reads {
        let cost = watched.cost(None, |watched, _| read(watched, tool, &arguments));
        assert_eq!(cost, (1, commands(&["EVALSHA"])), "{tool}");
    }
    let written = watched.cost(Some("PUBLISH"), |watched, round| {
        let arguments = json!({"filename": "progress.md", "content": format!("# Progress\n\n{round}\n")});
        succeeded(&watched.stateless("write_memory_bank_file", &arguments));
    });
    assert_eq!(written, (2, commands(&["EVALSHA", "PUBLISH"])));
}

#[test]
fn storing_a_reply_for_replay_takes_one_more_round_trip() {
    for (json, token, trips) in [(true, false, 1), (false, false, 2), (true, true, 1), (false, true, 2)] {
        let mut watched = if token { Watched::start_with_token(json) } else { Watched::start(json) };
        watched.stateless("initialize_memory_bank", &json!({"path": "."}));
        let session = watched.server.initialize();
        let cost = watched.cost(None, |watched, _| {
            let message = call(7, "read_memory_bank_file", &json!({"filename": "progress.md"}));
            succeeded(&watched.server.post(Some(&session), &message).message());
        });
        assert_eq!(cost, (trips, commands(&["EVALSHA"])), "JSON replies: {json}");
    }
}
