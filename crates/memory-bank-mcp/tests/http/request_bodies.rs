//! Bodies of requests beside `/mcp`: rights and attempts count first, then memory is reserved, and only then a body is read.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use memory_bank_test_postgres::TestDatabase;
use serde_json::{Value, json};

use crate::client::{JSON, Reply, Server};
use crate::database::{key_of, operate};

/// A server of which one key, and all requests without one, may hold a megabyte.
struct Site {
    server: Server,
    database: TestDatabase,
    key: String,
}

impl Site {
    fn new(variables: &[(&str, &str)]) -> Self {
        let database = TestDatabase::migrated();
        let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
        let url = database.url();
        let mut all = vec![
            ("DATABASE_URL", url.as_str()),
            ("REDIS_URL", ""),
            ("MCP_HOST", "127.0.0.1"),
            ("MAX_REPLY_BYTES_PER_KEY", "1048576"),
        ];
        all.extend(variables);
        let server = Server::start(&all);
        Self { server, key: key_of(&made["key"]), database }
    }

    /// The status of the first line, 100 once the server reads the body, which never comes.
    fn stalled(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (TcpStream, u16) {
        let mut stream = self.server.connect();
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nExpect: 100-continue\r\n", self.server.address);
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        (stream, status.unwrap_or_else(|| panic!("{path}: {line:?}")))
    }

    /// How many stalled requests the server reads at a time, and the status of one more.
    fn most(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (usize, u16) {
        let mut held = Vec::new();
        loop {
            let (stream, status) = self.stalled(method, path, headers);
            if status != 100 || held.len() > 100 {
                return (held.len(), status);
            }
            held.push(stream);
        }
    }

    fn session(&self, headers: &[(&str, &str)]) -> Reply {
        self.server.send_bare("GET", "/api/v1/session", headers, "")
    }

    fn sign_in(&self, headers: &[(&str, &str)]) -> (String, String) {
        let body = json!({"secret": self.key}).to_string();
        let reply = self.server.send_bare("POST", "/app/session", &[&[JSON], headers].concat(), &body);
        assert_eq!(reply.status, 200, "{}", reply.body);
        let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        (cookie, reply.json()["token"].as_str().unwrap().to_owned())
    }
}

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const CHUNKED: (&str, &str) = ("Transfer-Encoding", "chunked");

#[test]
fn stalled_bodies_take_no_more_memory_than_is_reserved_for_them() {
    let site = Site::new(&[("RATE_LIMIT_IP_PER_MINUTE", "0")]);
    // Twice the longest body for each, and a megabyte for all.
    assert_eq!(site.most("POST", "/app/session", &[JSON, CHUNKED]), (64, 429));
    assert_eq!(site.most("POST", "/oauth/token", &[FORM, CHUNKED]), (16, 429));
    assert_eq!(site.most("POST", "/oauth/grants", &[FORM, CHUNKED]), (16, 429));
    assert_eq!(site.most("POST", "/oauth/register", &[JSON, CHUNKED]), (8, 429));
    let own = [("X-API-Key", site.key.as_str()), JSON, ("Content-Length", "100000")];
    assert_eq!(site.most("PUT", "/api/v1/document?filename=new.md", &own), (3, 429));
    assert_eq!(site.most("POST", "/api/keys", &own), (5, 429));
}

#[test]
fn a_body_is_not_read_without_the_right_or_after_too_many_attempts_or_if_it_is_too_long() {
    let site = Site::new(&[("RATE_LIMIT_IP_PER_MINUTE", "1000")]);
    let alice = ("X-API-Key", site.key.as_str());
    let made = site.server.send_bare("POST", "/api/keys", &[alice, JSON], "{\"scopes\": [\"read\"]}").json();
    let reader = [("X-API-Key", made["key"].as_str().unwrap()), JSON, ("Content-Length", "1000")];
    assert_eq!(site.stalled("PUT", "/api/v1/document?filename=new.md", &reader).1, 403);
    for (path, kind, most) in [
        ("/app/session", JSON, 8 * 1024),
        ("/oauth/token", FORM, 32 * 1024),
        ("/oauth/sign-in", FORM, 32 * 1024),
        ("/oauth/register", JSON, 64 * 1024),
    ] {
        let reply = site.server.send_bare("POST", path, &[kind], &"x".repeat(100_000));
        assert_eq!(reply.status, 413, "{path}: {}", reply.body);
        let is_page = path == "/oauth/sign-in";
        assert!(is_page || reply.body.contains(&format!("longer than {most} bytes")), "{}", reply.body);
    }
    let attempt = || site.stalled("POST", "/app/session", &[JSON, CHUNKED]).1;
    let statuses: Vec<u16> = (0..12).map(|_| attempt()).collect();
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    assert_eq!(site.stalled("POST", "/oauth/sign-in", &[FORM, CHUNKED]).1, 429);
}

#[test]
fn a_session_ends_with_its_key_and_the_next_one_of_its_browser_and_shows_it_at_once() {
    let site = Site::new(&[("RATE_LIMIT_IP_PER_MINUTE", "0")]);
    site.database.psql("UPDATE api_keys SET expires_at = date_trunc('second', now()) + interval '1 hour'");
    let ends = site.database.psql(
        "SELECT to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') FROM api_keys LIMIT 1",
    );
    let (cookie, token) = site.sign_in(&[]);
    let first = [("Cookie", cookie.as_str()), ("X-Console-Token", token.as_str())];
    let shown: Value = site.session(&first).json();
    assert!(shown["expiresAt"].as_str().unwrap().starts_with(ends.trim()), "{shown} {ends}");

    let (cookie, token) = site.sign_in(&first);
    let second = [("Cookie", cookie.as_str()), ("X-Console-Token", token.as_str())];
    assert_eq!((site.session(&first).status, site.session(&second).status), (401, 200));

    // Another process ends it, which this one is not notified of.
    site.database.psql("UPDATE api_keys SET revoked_at = now() WHERE grant_id IS NOT NULL");
    assert_eq!(site.session(&second).status, 401);
}

/// Reads the head of a reply, and its body by its length.
fn reply_of(stream: &mut BufReader<&TcpStream>) -> (u16, String) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).unwrap(), 0, "the connection ended behind {head:?}");
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    (head.get(9..12).unwrap().parse().unwrap(), head)
}

#[test]
fn a_refusal_before_the_body_came_leaves_the_connection_whole_or_announces_its_end() {
    let site = Site::new(&[("RATE_LIMIT_IP_PER_MINUTE", "0")]);
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    let head = |host: &str, more: &str| {
        format!(
            "POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{more}Content-Length: {}\r\n\r\n",
            body.len()
        )
    };
    let address = site.server.address.to_string();
    // A refusal by the handler, and one before it.
    for (host, status) in [(address.as_str(), 401), ("evil.example", 403)] {
        let stream = site.server.connect();
        let mut reader = BufReader::new(&stream);
        for round in 0..3 {
            (&stream).write_all(head(host, "").as_bytes()).unwrap();
            // Behind the head, as clients send it that write both one after the other.
            std::thread::sleep(Duration::from_millis(100));
            (&stream).write_all(body.as_bytes()).unwrap();
            let (refused, head) = reply_of(&mut reader);
            assert_eq!(refused, status, "round {round}: {head}");
            assert!(!head.contains("connection: close"), "{head}");
        }
        // A body that never comes, and one that the client sends only when it is asked: the connection ends.
        for more in ["", "Expect: 100-continue\r\n"] {
            let stream = site.server.connect();
            (&stream).write_all(head(host, more).as_bytes()).unwrap();
            let mut reader = BufReader::new(&stream);
            let (refused, head) = reply_of(&mut reader);
            assert_eq!(refused, status, "{head}");
            assert!(head.contains("connection: close"), "{head}");
            assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0, "the connection ends");
        }
    }
}
