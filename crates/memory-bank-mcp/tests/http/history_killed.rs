//! A server on PostgreSQL that is killed between edits, renamings, deletions and restores: each acknowledged change has its version, and
//! no version is there twice or half.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use memory_bank_test_postgres::TestDatabase;
use serde_json::{Value, json};

use crate::client::{JSON, MCP_ACCEPT, Server, TIMEOUT, call, structured, write_request};
use crate::database::operate;
use crate::replica_set::{key, replica};

const WRITERS: usize = 3;
/// How long the server works before each kill, in milliseconds.
const KILLED_AFTER: [u64; 3] = [170, 310, 230];

/// How many changes of all writers are acknowledged before each kill, at least: so many that there are some of each kind.
const ENOUGH: usize = 15 * WRITERS;

/// A change, and the version that it makes.
#[derive(Debug, Clone, PartialEq)]
struct Change {
    kind: &'static str,
    name: String,
    text: Option<String>,
}

/// One document through all of its names, as its writer knows it.
struct Writer {
    number: usize,
    /// The changes in their order, and whether each was acknowledged.
    changes: Vec<(Change, bool)>,
    /// How many documents' names and texts were made.
    made: usize,
}

/// Calls a tool; none if the server was gone before the whole reply came.
fn try_call(address: &str, key: &str, session: &str, tool: &str, arguments: &Value) -> Option<Value> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let headers = [MCP_ACCEPT, JSON, ("X-API-Key", key), ("Mcp-Session-Id", session)];
    let message = call(7, tool, arguments).to_string();
    write_request(&mut stream, address, "POST", "/mcp", &headers, &message);
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    let (head, body) = reply.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 200"), "{reply}");
    let reply: Value = serde_json::from_str(body).ok()?;
    assert_ne!(reply["result"]["isError"], true, "{tool} {arguments}: {reply}");
    Some(structured(&reply))
}

impl Writer {
    fn new_name(&mut self) -> String {
        self.made += 1;
        format!("of-{}/{}.md", self.number, self.made)
    }

    /// The versions of the document, oldest first.
    fn versions(&self, server: &Server, session: &str) -> Vec<Value> {
        let Some((last, _)) = self.changes.last() else { return Vec::new() };
        // An unacknowledged renaming may not have been made.
        let names = self.changes.iter().rev().map(|(change, _)| &change.name);
        let is_renaming = last.kind == "renamed";
        let mut found = Vec::new();
        for name in names.take(if is_renaming { 2 } else { 1 }) {
            let mut arguments = json!({"filename": name, "limit": 200});
            loop {
                let reply = server.post(Some(session), &call(7, "history", &arguments)).message();
                if reply["result"]["isError"] == true {
                    break;
                }
                let page = structured(&reply);
                found.extend(page["versions"].as_array().unwrap().iter().map(|version| {
                    let mut version = version.clone();
                    let is_listed = version["filename"].is_string();
                    version["filename"] = if is_listed { version["filename"].clone() } else { json!(name) };
                    version
                }));
                match page["nextCursor"].as_str() {
                    Some(cursor) => arguments["cursor"] = json!(cursor),
                    None => break,
                }
            }
            if !found.is_empty() {
                break;
            }
        }
        found.reverse();
        found
    }

    /// Checks the versions against the changes, and forgets the changes that were not made.
    fn check(&mut self, server: &Server, session: &str) -> usize {
        let versions = self.versions(server, session);
        let mut shown = Vec::new();
        for (place, version) in versions.iter().enumerate() {
            assert_eq!(version["version"], json!(place + 1), "numbers have a gap: {versions:?}");
            let show = json!({"action": "show", "filename": version["filename"], "version": place + 1});
            let reply = server.post(Some(session), &call(7, "history", &show)).message();
            assert_ne!(reply["result"]["isError"], true, "{version} cannot be read: {reply}");
            let text = structured(&reply)["text"].as_str().map(str::to_owned);
            assert_eq!(text.is_none(), version["kind"] == "deleted", "{version}");
            shown.push((version["kind"].as_str().unwrap().to_owned(), version["filename"].clone(), text));
        }
        let mut made = Vec::new();
        let mut rest = shown.iter().peekable();
        for (change, is_acknowledged) in &self.changes {
            let is_made = rest.peek().is_some_and(|(kind, name, text)| {
                kind == change.kind && *name == change.name && *text == change.text
            });
            assert!(is_made || !is_acknowledged, "{change:?} is lost: {:?}", rest.peek());
            if is_made {
                rest.next();
                made.push((change.clone(), true));
            }
        }
        assert_eq!(rest.next(), None, "a version of no change");
        self.changes = made;
        versions.len()
    }

    /// The next change, and the call that makes it.
    fn next(&mut self) -> (Change, &'static str, Value) {
        let text = |made: usize| format!("# Text\n\n{}- entry {made} é\n", "- line\n".repeat(made % 40));
        let Some((last, _)) = self.changes.last().cloned() else {
            let name = self.new_name();
            return self.write("created", name, text(1));
        };
        let turn = self.changes.len() % 7;
        match (last.text, turn) {
            (None, 0..=3) => {
                // The first version that has a text is another than the last one.
                let first = self.changes[0].0.clone();
                let arguments = json!({"action": "restore", "filename": last.name, "version": 1});
                (Change { kind: "restored", name: last.name, ..first }, "history", arguments)
            }
            (None, _) => {
                self.made += 1;
                self.write("created", last.name, text(self.made))
            }
            (Some(_), 2) => {
                let arguments = json!({"filename": last.name});
                (
                    Change { kind: "deleted", name: last.name, text: None },
                    "delete_memory_bank_file",
                    arguments,
                )
            }
            (Some(now), 5) => {
                let to = self.new_name();
                let arguments = json!({"filename": last.name, "newFilename": to});
                (Change { kind: "renamed", name: to, text: Some(now) }, "rename_memory_bank_file", arguments)
            }
            (Some(_), _) => {
                self.made += 1;
                self.write("changed", last.name, text(self.made))
            }
        }
    }

    fn write(&self, kind: &'static str, name: String, text: String) -> (Change, &'static str, Value) {
        let arguments = json!({"filename": name, "content": text});
        (Change { kind, name, text: Some(text) }, "write_memory_bank_file", arguments)
    }

    /// Makes changes until the server is gone, and counts those that it acknowledges.
    fn work(&mut self, address: &str, key: &str, session: &str, acknowledged: &AtomicUsize) {
        loop {
            let (change, tool, arguments) = self.next();
            let is_acknowledged = try_call(address, key, session, tool, &arguments).is_some();
            acknowledged.fetch_add(usize::from(is_acknowledged), Relaxed);
            self.changes.push((change, is_acknowledged));
            if !is_acknowledged {
                return;
            }
        }
    }
}

#[test]
fn after_each_kill_every_acknowledged_change_has_its_version_and_none_is_half() {
    let database = TestDatabase::migrated();
    operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let (url, key) = (database.url(), key(&database));
    let serve = || replica(&url, "", &key, &[("MCP_JSON_RESPONSE", "true")]);
    let mut writers: Vec<Writer> =
        (0..WRITERS).map(|number| Writer { number, changes: Vec::new(), made: 0 }).collect();
    let mut server = serve();
    let mut session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let before = database.psql("SELECT count(*) FROM app.document_versions").trim().parse::<usize>().unwrap();
    for moment in KILLED_AFTER {
        let (address, key) = (server.address.clone(), server.key.clone());
        let acknowledged = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for writer in &mut writers {
                let (address, key, session, acknowledged) = (&address, &key, &session, &acknowledged);
                scope.spawn(move || writer.work(address, key, session, acknowledged));
            }
            std::thread::sleep(Duration::from_millis(moment));
            // A slow machine needs longer for changes of all kinds.
            let began = Instant::now();
            while acknowledged.load(Relaxed) < ENOUGH && began.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(5));
            }
            server.process.kill().unwrap();
            server.process.wait().unwrap();
        });
        server = serve();
        session = server.initialize();
        let versions: usize = writers.iter_mut().map(|writer| writer.check(&server, &session)).sum();
        let stored =
            database.psql("SELECT count(*) FROM app.document_versions").trim().parse::<usize>().unwrap();
        assert_eq!(stored - before, versions, "rows of no document");
    }
    let kinds: BTreeSet<&str> =
        writers.iter().flat_map(|writer| &writer.changes).map(|(change, _)| change.kind).collect();
    let expected = ["changed", "created", "deleted", "renamed", "restored"];
    assert_eq!(kinds, BTreeSet::from(expected));
}
