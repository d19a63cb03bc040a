//! The operator's changes of users, projects and keys, with replicas of the server that have them in their caches.

use std::path::Path;
use std::process::{Output, Stdio};

use memory_bank_test_postgres::{MIGRATOR, TestDatabase};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Server, command, until};
use crate::database::{key_of, operate};
use crate::replica_set::ReplicaSet;

/// Runs one of the operator's commands as it is typed, with the Redis of the replicas.
fn type_command(database: &TestDatabase, redis: &str, words: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    let url = database.url_of(MIGRATOR);
    let variables = [("DATABASE_URL", url.as_str()), ("REDIS_URL", redis)];
    command(&folder, &variables).args(words).stdin(Stdio::null()).output().unwrap()
}

fn redis_of(replicas: &ReplicaSet) -> String {
    format!("redis://127.0.0.1:{}", replicas.redis.as_ref().unwrap().port())
}

fn succeeds(replicas: &ReplicaSet, words: &[&str]) -> String {
    let output = type_command(&replicas.database, &redis_of(replicas), words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The status of a server's reply to this key.
fn status(server: &Server, key: &str) -> u16 {
    server.send_bare("GET", "/api/keys", &[("X-API-Key", key)], "").status
}

fn invite(database: &TestDatabase, user: &str, role: &str, more: &[&str]) -> Value {
    let words = ["members", "invite", "--project", "atlas", "--user", user, "--role", role];
    operate(database, &[&words, more].concat()).unwrap()
}

#[test]
fn an_invited_member_connects_with_the_printed_lines() {
    let replicas = ReplicaSet::new();
    let server = replicas.replica();
    let url = format!("http://{}/mcp", server.address);
    let output = succeeds(
        &replicas,
        &["members", "invite", "--project", "atlas", "--user", "bob", "--role", "editor", "--url", &url],
    );
    let line = output.lines().find(|line| line.trim_start().starts_with("memory-bank-mcp setup")).unwrap();
    assert!(output.contains("bob (created)") && output.contains("atlas, as editor"), "{output}");
    let key = output.lines().find_map(|line| line.strip_prefix("API key  ")).unwrap();
    assert!(!line.contains(key), "the line holds the key: {line}");
    // The line works as it is printed, in bob's project; the key is in the variable that the text names.
    let project = TempDir::new().unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_memory-bank-mcp")).parent().unwrap().to_str().unwrap();
    let home = TempDir::new().unwrap();
    let variables =
        [("HOME", home.path().to_str().unwrap()), ("PATH", programs), ("MEMORY_BANK_API_KEY", key)];
    let words: Vec<&str> = line.split_whitespace().skip(1).chain(["--yes"]).collect();
    let written = command(&project, &variables).args(&words).output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let config = std::fs::read_to_string(project.path().join(".mcp.json")).unwrap();
    assert!(
        config.contains(&url) && config.contains("${MEMORY_BANK_API_KEY}") && !config.contains(key),
        "{config}"
    );
    let hooks = std::fs::read_to_string(project.path().join(".claude/settings.json")).unwrap();
    assert!(hooks.contains("hook SessionStart") && hooks.contains(&url) && !hooks.contains(key), "{hooks}");
    let snippet: Value = serde_json::from_str(&config).unwrap();
    let printed = output.split_once("its file gets:").unwrap().1;
    let mut printed: Value = serde_json::from_str(printed).unwrap();
    // `setup` asks for the tools that an agent needs.
    printed["mcpServers"]["memory-bank"]["url"] = json!(format!("{url}?tools=core"));
    assert_eq!(printed, snippet);
    // With the key bob writes, as an editor.
    let elsewhere = TempDir::new().unwrap();
    let variables = [("MEMORY_BANK_URL", url.as_str()), ("MEMORY_BANK_API_KEY", key)];
    let run = |words: &[&str]| command(&elsewhere, &variables).args(words).output().unwrap();
    let added = run(&["add-decision", "Join", "--decision", "bob joins"]);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let shown = run(&["show", "decision-log"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("bob joins"));
}

#[test]
fn an_invitation_prints_json_for_programs_and_changes_no_role() {
    let database = TestDatabase::migrated();
    operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let made =
        invite(&database, "bob", "viewer", &["--client", "codex", "--scopes", "read", "--rate-limit", "7"]);
    assert_eq!(
        (&made["isNewUser"], &made["role"], &made["project"]),
        (&json!(true), &json!("viewer"), &json!("atlas"))
    );
    assert_eq!((&made["key"]["scopes"], &made["key"]["rateLimit"]), (&json!(["read"]), &json!(7)));
    assert_eq!((&made["client"]["name"], &made["client"]["url"]), (&json!("codex"), &Value::Null));
    assert!(made["client"]["config"].as_str().unwrap().contains("[mcp_servers.memory-bank"), "{made}");
    assert_eq!(invite(&database, "bob", "viewer", &[])["isNewUser"], json!(false));
    let words = ["members", "invite", "--project", "atlas", "--user", "alice", "--role", "viewer"];
    let error = operate(&database, &words).unwrap_err();
    assert!(error.contains("`alice` is a member already, as owner"), "{error}");
    let words = ["members", "invite", "--project", "none", "--user", "carl", "--role", "viewer"];
    assert!(operate(&database, &words).unwrap_err().contains("no project `none`"));
    let users = operate(&database, &["users", "list"]).unwrap();
    assert_eq!(users["users"].as_array().unwrap().len(), 2);
}

#[test]
fn a_removed_user_is_refused_by_every_replica_and_its_work_stays() {
    let replicas = ReplicaSet::new();
    let (first, mut second) = (replicas.replica(), replicas.replica());
    let key = key_of(&invite(&replicas.database, "bob", "editor", &["--rate-limit", "0"])["key"]);
    second.key.clone_from(&key);
    let session = second.initialize();
    second.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    second.call(&session, "write_memory_bank_file", &json!({"filename": "plan.md", "content": "by bob"}));
    let mut stream = second.listen(&session, None);
    let ping = json!({"jsonrpc": "2.0", "id": 3, "method": "ping"});
    let at = |server: &Server| {
        let headers = [
            ("X-API-Key", key.as_str()),
            crate::client::JSON,
            crate::client::MCP_ACCEPT,
            ("Mcp-Session-Id", session.as_str()),
        ];
        server.send_bare("POST", "/mcp", &headers, &ping.to_string()).status
    };
    assert_eq!([at(&first), at(&second)], [200, 200]);
    let text = succeeds(&replicas, &["users", "remove", "bob"]);
    assert!(text.contains("bob is removed; API keys revoked: 1"), "{text}");
    for server in [&first, &second] {
        until("the refusal", || at(server) == 401);
    }
    stream.await_end();
    let session = first.initialize();
    let read = first.call(&session, "read_memory_bank_file", &json!({"filename": "plan.md"}));
    assert!(read.contains("by bob"), "{read}");
    let error = operate(&replicas.database, &["users", "remove", "alice"]).unwrap_err();
    assert!(error.contains("last owner of `atlas`"), "{error}");
    assert!(operate(&replicas.database, &["users", "remove", "bob"]).unwrap_err().contains("no user `bob`"));
}

#[test]
fn a_changed_key_has_its_new_rights_on_every_replica() {
    let replicas = ReplicaSet::new();
    let servers = [replicas.replica(), replicas.replica()];
    let made = operate(
        &replicas.database,
        &["keys", "create", "--user", "alice", "--project", "atlas", "--rate-limit", "0"],
    )
    .unwrap();
    let (key, id) = (key_of(&made), made["id"].as_str().unwrap());
    assert!(servers.iter().all(|server| status(server, &key) == 200));
    let text = succeeds(
        &replicas,
        &["keys", "update", id, "--scopes", "read", "--label", "laptop", "--expires-days", "2"],
    );
    assert!(text.contains("laptop") && text.contains("read") && !text.contains(&key), "{text}");
    for server in &servers {
        until("the new scopes", || status(server, &key) == 403);
    }
    succeeds(&replicas, &["keys", "update", id, "--all-scopes", "--no-label"]);
    for server in &servers {
        until("all scopes", || status(server, &key) == 200);
    }
    let changed = operate(&replicas.database, &["keys", "update", id, "--rate-limit", "9"]).unwrap();
    assert_eq!(
        (&changed["rateLimit"], &changed["label"], &changed["scopes"]),
        (&json!(9), &Value::Null, &json!([]))
    );
    let later = operate(&replicas.database, &["keys", "update", id, "--expires-days", "30"]).unwrap_err();
    assert!(later.contains("an expiry can only move earlier"), "{later}");
    let redis = redis_of(&replicas);
    assert_eq!(
        type_command(&replicas.database, &redis, &["keys", "update", id]).status.code(),
        Some(2),
        "nothing to change"
    );
}

#[test]
fn a_renamed_project_goes_on_under_its_new_name() {
    let replicas = ReplicaSet::new();
    let server = replicas.replica();
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    succeeds(&replicas, &["projects", "rename", "atlas", "globe", "--confirm", "atlas"]);
    let status = || server.call(&session, "get_memory_bank_status", &json!({}));
    until("the new name", || status().contains("\"path\":\"globe\""));
    let listed = operate(&replicas.database, &["keys", "list", "--project", "globe"]).unwrap();
    assert_eq!(listed["total"], json!(2));
    assert!(
        operate(&replicas.database, &["projects", "rename", "atlas", "x", "--confirm", "atlas"])
            .unwrap_err()
            .contains("no project `atlas`")
    );
    assert_eq!(
        type_command(
            &replicas.database,
            "",
            &["projects", "rename", "globe", "Not A Slug", "--confirm", "globe"]
        )
        .status
        .code(),
        Some(2)
    );
}

#[test]
fn a_project_is_removed_only_when_its_name_is_repeated() {
    let replicas = ReplicaSet::new();
    let server = replicas.replica();
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let redis = redis_of(&replicas);
    let refused = |words: &[&str]| {
        let output = type_command(&replicas.database, &redis, &[&["projects", "remove"], words].concat());
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let advice = refused(&["atlas"]);
    assert!(
        advice.contains("--confirm atlas") && advice.contains("backup --project atlas --to atlas.zip"),
        "{advice}"
    );
    refused(&["atlas", "--yes"]);
    refused(&["atlas", "--yes", "--json"]);
    assert!(refused(&["atlas", "--yes", "--confirm", "atlass"]).contains("nothing was removed"));
    refused(&["atlas", "--confirm", ""]);
    assert!(server.call(&session, "list_memory_bank_files", &json!({})).contains("progress.md"));
    succeeds(&replicas, &["projects", "remove", "atlas", "--yes", "--confirm", "atlas"]);
    until("the refusal", || status(&server, &replicas.key) == 401);
    let projects = operate(&replicas.database, &["projects", "list"]).unwrap();
    assert_eq!(projects["projects"], json!([]));
    let audit = operate(&replicas.database, &["audit", "list"]).unwrap();
    let removed =
        audit["entries"].as_array().unwrap().iter().find(|entry| entry["action"] == json!("project.removed"));
    assert_eq!(removed.unwrap()["detail"], json!({"slug": "atlas"}));
    let gone =
        type_command(&replicas.database, &redis, &["projects", "remove", "atlas", "--confirm", "atlas"]);
    assert_eq!(gone.status.code(), Some(1));
}

#[test]
fn the_name_of_a_project_is_typed_on_a_terminal() {
    let database = TestDatabase::migrated();
    operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let answer = |typed: &str| {
        let folder = TempDir::new().unwrap();
        let program = env!("CARGO_BIN_EXE_memory-bank-mcp");
        let mut process = std::process::Command::new("script")
            .args([
                "--quiet",
                "--return",
                "--command",
                &format!("{program} projects remove atlas"),
                "/dev/null",
            ])
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("DATABASE_URL", database.url_of(MIGRATOR))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut process.stdin.take().unwrap(), format!("{typed}\n").as_bytes())
            .unwrap();
        let output = process.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = answer("yes");
    assert!(code == Some(2) && text.contains("nothing was removed"), "{text}");
    assert!(text.contains("members: 1; API keys: 1") && text.contains("backup --project atlas"), "{text}");
    assert_eq!(database.psql("SELECT count(*) FROM projects"), "1");
    let (code, text) = answer("atlas");
    assert!(code == Some(0) && text.contains("The project atlas is removed"), "{text}");
    assert_eq!(database.psql("SELECT count(*) FROM projects"), "0");
}
