//! Dense search with a real model, over both transports and on both stores: ranking, storage of vectors across a kill,
//! and no lost results if the model fails.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use memory_bank_test_postgres::TestDatabase;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Server, command, request};
use crate::database::{key_of, operate};

/// How long vectors may take. A build for tests computes slowly, and other tests run beside it.
const TIMEOUT: Duration = Duration::from_secs(150);
const NOTES: &str = "# Yard\n\n- The automobile is parked behind the warehouse\n- Invoices are settled within thirty days\n\
    - The physician recommends eight hours of sleep\n- Rain leaked through the roof in March\n";
/// Shares no word with the line that answers it.
const QUESTION: &str = "where did somebody leave a car";

/// The model that `scripts/setup models` unpacks.
fn model() -> PathBuf {
    let folder = std::env::var_os("MEMORY_BANK_TEST_MODEL").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-models/all-MiniLM-L6-v2"),
        PathBuf::from,
    );
    let folder = folder.canonicalize().unwrap_or(folder);
    assert!(folder.join("model.safetensors").is_file(), "{}: run scripts/setup models", folder.display());
    folder
}

fn local() -> String {
    format!("local:{}", model().display())
}

/// A server over standard input and output; it is killed when dropped.
struct Client {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    last: u64,
}

impl Client {
    fn start(folder: &TempDir, variables: &[(&str, &str)], arguments: &[&str]) -> Self {
        let mut process = command(folder, variables)
            .env("MEMORY_BANK_STATE_DIR", folder.path().join("state"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut server = Self { process, input, output, last: 0 };
        let client = json!({"name": "t", "version": "1"});
        server.request(
            "initialize",
            &json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}),
        );
        writeln!(server.input, "{}", json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .unwrap();
        server
    }

    fn request(&mut self, method: &str, params: &Value) -> Value {
        self.last += 1;
        let message = json!({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params});
        writeln!(self.input, "{message}").unwrap();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the server is gone");
            let reply: Value = serde_json::from_str(&line).unwrap();
            if reply["id"] == self.last {
                return reply["result"].clone();
            }
        }
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> String {
        let reply = self.request("tools/call", &json!({"name": tool, "arguments": arguments}));
        reply["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
    }

    fn search(&mut self, query: &str) -> Value {
        serde_json::from_str(&self.call("search_memory_bank", &json!({"query": query}))).unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _waited = self.process.wait();
    }
}

/// Searches until the meaning of the query counts on all passages, and returns that reply.
fn by_meaning(mut search: impl FnMut() -> Value) -> Value {
    let began = Instant::now();
    loop {
        let reply = search();
        if reply["metadata"]["meaning"] == "used" {
            return reply;
        }
        assert!(began.elapsed() < TIMEOUT, "no vectors came: {}", reply["metadata"]);
        // A key has some hundred requests a minute.
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn is_answered(reply: &Value) {
    let first = &reply["results"][0];
    assert_eq!((&first["file"], &first["line"]), (&json!("yard.md"), &json!(3)), "{reply}");
}

/// A project with an empty bank.
fn project() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("memory-bank")).unwrap();
    std::fs::write(folder.path().join("memory-bank/progress.md"), "# Progress\n").unwrap();
    folder
}

fn write_notes(server: &mut Client) {
    server.call("write_memory_bank_file", &json!({"filename": "yard.md", "content": NOTES}));
}

#[test]
fn a_paraphrase_ranks_first_over_stdio_and_vectors_survive_a_kill() {
    let (folder, place) = (project(), local());
    let mut words = Client::start(&folder, &[], &[]);
    write_notes(&mut words);
    let without = words.search(QUESTION);
    assert_eq!((&without["results"], &without["metadata"]["meaning"]), (&json!([]), &Value::Null));
    drop(words);
    let file = folder.path().join("memory-bank/.mbmcp/vectors");
    assert!(!file.exists(), "without a model nothing is made");

    let mut first = Client::start(&folder, &[("EMBEDDINGS", &place)], &[]);
    is_answered(&by_meaning(|| first.search(QUESTION)));
    let made = std::fs::read(&file).unwrap();
    // Killed, not ended.
    drop(first);
    let mut second = Client::start(&folder, &[("EMBEDDINGS", &place)], &[]);
    is_answered(&by_meaning(|| second.search(QUESTION)));
    assert_eq!(std::fs::read(&file).unwrap(), made, "they are loaded, and none is made again");

    // A changed text gets a new vector, and the old one is not used.
    let changed = NOTES.replace("automobile is parked behind", "ladder leans against");
    second.call("write_memory_bank_file", &json!({"filename": "yard.md", "content": changed}));
    let reply = by_meaning(|| second.search("steps used for climbing"));
    is_answered(&reply);
    assert!(std::fs::read(&file).unwrap().len() > made.len());
}

#[test]
fn a_read_only_server_writes_no_vectors() {
    let folder = project();
    std::fs::write(folder.path().join("memory-bank/yard.md"), NOTES).unwrap();
    let mut server = Client::start(&folder, &[("EMBEDDINGS", &local())], &["--read-only"]);
    is_answered(&by_meaning(|| server.search(QUESTION)));
    let mut names: Vec<_> = std::fs::read_dir(folder.path().join("memory-bank"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(!folder.path().join("memory-bank/.mbmcp/vectors").exists(), "{names:?}");
    assert!(!folder.path().join("memory-bank/.mbmcp/vectors.lock").exists(), "{names:?}");
}

/// Checks the reported state of dense search, and that search by words still works.
fn found_by_words(folder: &TempDir, variables: &[(&str, &str)], held: &str) {
    let mut server = Client::start(folder, variables, &[]);
    let began = Instant::now();
    loop {
        let reply = server.search("automobile");
        is_answered(&reply);
        let meaning = reply["metadata"]["meaning"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned();
        assert!(meaning.starts_with("not used: "), "{meaning}");
        // The first searches may come before the model has been read.
        if meaning.contains(held) {
            return;
        }
        assert!(began.elapsed() < TIMEOUT, "{meaning} does not contain {held}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_missing_failing_or_slow_model_loses_no_result_and_is_reported() {
    let folder = project();
    std::fs::write(folder.path().join("memory-bank/yard.md"), NOTES).unwrap();
    let nowhere = format!("local:{}", folder.path().join("no-model").display());
    found_by_words(&folder, &[("EMBEDDINGS", &nowhere)], "folder of the model cannot be used");

    let broken = TempDir::new().unwrap();
    for entry in std::fs::read_dir(model()).unwrap().map(Result::unwrap) {
        if entry.file_name() != "model.safetensors" {
            std::os::unix::fs::symlink(entry.path(), broken.path().join(entry.file_name())).unwrap();
        }
    }
    std::fs::write(broken.path().join("model.safetensors"), [7; 1000]).unwrap();
    let at = format!("local:{}", broken.path().display());
    found_by_words(&folder, &[("EMBEDDINGS", &at)], "model.safetensors");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let of_service = [("EMBEDDINGS", url.as_str()), ("EMBEDDINGS_MODEL", "m")];
    // It takes connections and never answers.
    found_by_words(&folder, &of_service, "did not answer in 1000 ms");
    drop(listener);
    found_by_words(&folder, &of_service, "not used");
}

fn serve(database: &TestDatabase, key: &str) -> Server {
    let (url, place) = (database.url(), local());
    let mut server = Server::start(&[
        ("DATABASE_URL", &url),
        ("REDIS_URL", ""),
        ("MCP_HOST", "127.0.0.1"),
        ("RATE_LIMIT_IP_PER_MINUTE", "0"),
        ("METRICS_ADDR", "127.0.0.1:0"),
        ("EMBEDDINGS", &place),
    ]);
    key.clone_into(&mut server.key);
    server
}

fn search(server: &Server, session: &str) -> Value {
    serde_json::from_str(&server.call(session, "search_memory_bank", &json!({"query": QUESTION}))).unwrap()
}

fn metric(server: &Server, series: &str) -> f64 {
    let page = request(server.metrics.as_deref().unwrap(), "GET", "/metrics", &[], "").body;
    let value = page.lines().find_map(|line| line.strip_prefix(&format!("memory_bank_{series} ")));
    value.unwrap_or_else(|| panic!("{series} is not in {page}")).parse().unwrap()
}

#[test]
fn a_paraphrase_ranks_first_over_http_only_for_its_own_tenant() {
    let database = TestDatabase::migrated();
    let alice = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let bob = operate(&database, &["bootstrap", "--user", "bob", "--project", "borealis"]).unwrap();
    let (of_alice, of_bob) = (key_of(&alice["key"]), key_of(&bob["key"]));
    let mut server = serve(&database, &of_alice);
    let session = server.initialize();
    server.call(&session, "write_memory_bank_file", &json!({"filename": "yard.md", "content": NOTES}));
    is_answered(&by_meaning(|| search(&server, &session)));
    // The heading and four lines.
    assert_eq!(database.psql("SELECT count(*) FROM app.vectors"), "5");
    assert!((metric(&server, "search_vector_events_total{event=\"made\"}") - 5.0).abs() < 0.1);
    assert!((metric(&server, "search_vectors_in_memory") - 5.0).abs() < 0.1);
    assert!(metric(&server, "search_vectors_bytes") > 5.0 * 384.0);

    // Another tenant with a less similar text.
    of_bob.clone_into(&mut server.key);
    let session_of_bob = server.initialize();
    let other = json!({"filename": "garden.md", "content": "# Garden\n\n- Tomatoes want much sun\n"});
    server.call(&session_of_bob, "write_memory_bank_file", &other);
    let reply = by_meaning(|| search(&server, &session_of_bob));
    assert!(!reply.to_string().contains("automobile") && !reply.to_string().contains("yard"), "{reply}");
    assert_eq!(reply["metadata"]["meaning"], "used");

    let status = operate(&database, &["index", "--status"]).unwrap();
    let counted =
        |at: usize| (status["projects"][at]["project"].clone(), status["projects"][at]["vectors"].clone());
    assert_eq!((counted(0), counted(1)), ((json!("atlas"), json!(5)), (json!("borealis"), json!(2))));

    // Killed, not ended: they are loaded, and none is made again.
    let stored = database.psql("SELECT sum(hashtext(unit::text || vector::text)) FROM app.vectors");
    drop(server);
    let server = serve(&database, &of_alice);
    let session = server.initialize();
    is_answered(&by_meaning(|| search(&server, &session)));
    assert!(metric(&server, "search_vector_events_total{event=\"made\"}").abs() < 0.1);
    let again = database.psql("SELECT sum(hashtext(unit::text || vector::text)) FROM app.vectors");
    assert_eq!(again, stored);

    assert!(operate(&database, &["index", "--rebuild"]).unwrap_err().contains("--project"));
    let forgotten = operate(&database, &["index", "--rebuild", "--project", "atlas"]).unwrap();
    assert_eq!(forgotten, json!({"project": "atlas", "forgotten": 5}));
    assert_eq!(database.psql("SELECT count(*) FROM app.vectors"), "2", "the other project's stay");
    drop(server);
    let server = serve(&database, &of_alice);
    let session = server.initialize();
    is_answered(&by_meaning(|| search(&server, &session)));
    assert_eq!(database.psql("SELECT count(*) FROM app.vectors"), "7", "the next search made them again");
}

/// Runs a command in this folder; returns its exit code, its JSON output and its standard error.
fn run(folder: &TempDir, variables: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, Value, String) {
    let mut variables = variables.to_vec();
    // Vectors are sealed with a key that is kept there.
    let place = folder.path().join("state").display().to_string();
    variables.push(("MEMORY_BANK_STATE_DIR", &place));
    let ended = command(folder, &variables).args(arguments).arg("--json").output().unwrap();
    let printed = serde_json::from_slice(&ended.stdout).unwrap_or_default();
    (ended.status.code(), printed, String::from_utf8(ended.stderr).unwrap())
}

#[test]
fn the_index_command_counts_and_rebuilds_the_vectors_of_a_folder() {
    let (folder, place) = (project(), local());
    std::fs::write(folder.path().join("memory-bank/yard.md"), NOTES).unwrap();
    let with = [("EMBEDDINGS", place.as_str())];

    let (code, _, why) = run(&folder, &[], &["index", "--rebuild"]);
    assert_eq!(code, Some(1));
    assert!(why.contains("`EMBEDDINGS` is not set"), "{why}");
    let (code, without, _) = run(&folder, &[], &["index", "--status"]);
    assert_eq!((code, &without["model"], &without["fileBytes"]), (Some(0), &Value::Null, &json!(0)));
    let (code, none, _) = run(&folder, &with, &["index", "--status"]);
    assert_eq!((code, &none["passages"], &none["vectors"]), (Some(0), &json!(6), &json!(0)));
    assert!(!folder.path().join("memory-bank/.mbmcp/vectors").exists(), "reading the state writes nothing");
    let (code, _, why) = run(&folder, &with, &["index", "--rebuild", "--read-only"]);
    assert_eq!(code, Some(1), "{why}");

    let (code, made, why) = run(&folder, &with, &["index", "--rebuild"]);
    assert_eq!((code, &made["vectors"], &made["stale"]), (Some(0), &json!(6), &json!(0)), "{why}");
    assert_eq!(made["model"], "all-MiniLM-L6-v2");
    std::fs::write(folder.path().join("memory-bank/yard.md"), NOTES.replace("the roof", "a window")).unwrap();
    let (_, changed, _) = run(&folder, &with, &["index", "--status"]);
    assert_eq!((&changed["vectors"], &changed["stale"]), (&json!(5), &json!(1)));
    let (code, doctor, why) = run(&folder, &with, &["doctor"]);
    let of = |check: &str| {
        let findings = doctor["findings"].as_array().unwrap();
        findings
            .iter()
            .find(|one| one["check"] == check)
            .unwrap_or_else(|| panic!("{check}: {doctor} {why}"))
            .clone()
    };
    assert_eq!(code, Some(0), "{doctor}");
    assert!(of("embeddings")["message"].as_str().unwrap().contains("all-MiniLM-L6-v2"));
    let vectors = of("embeddings.vectors");
    assert!(vectors["message"].as_str().unwrap().contains("5 of 6 passages"), "{vectors}");

    let nowhere = [("EMBEDDINGS", "local:/nowhere")];
    let (code, doctor, _) = run(&folder, &nowhere, &["doctor"]);
    assert_eq!(code, Some(1));
    assert!(doctor.to_string().contains("local:/nowhere"), "{doctor}");
    assert_eq!(run(&folder, &nowhere, &["index", "--status"]).0, Some(1));
    assert_eq!(run(&folder, &with, &["index"]).0, Some(2));
    assert_eq!(run(&folder, &with, &["index", "--status", "--rebuild"]).0, Some(2));
}
