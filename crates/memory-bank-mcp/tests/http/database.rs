//! The server of a database, and the operator's commands: a real PostgreSQL, a database for each test.

use memory_bank_test_postgres::{MIGRATOR, TestDatabase};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{JSON, Server, call, command};

/// Runs one of the operator's commands and returns its output.
pub(crate) fn operate(database: &TestDatabase, arguments: &[&str]) -> Result<Value, String> {
    // Operators own the database; the server's own role may not make users.
    operate_at(&database.url_of(MIGRATOR), arguments)
}

pub(crate) fn operate_at(url: &str, arguments: &[&str]) -> Result<Value, String> {
    let folder = TempDir::new().unwrap();
    let variables = [("DATABASE_URL", url), ("REDIS_URL", "")];
    let output = command(&folder, &variables).args(arguments).arg("--json").output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap())
}

pub(crate) fn key_of(made: &Value) -> String {
    made["key"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

pub(crate) fn serve(database: &TestDatabase, key: &str) -> Server {
    serve_through(&database.url(), key)
}

/// A server that reaches its database by this connection string.
pub(crate) fn serve_through(url: &str, key: &str) -> Server {
    let mut server = Server::start(&[
        ("DATABASE_URL", url),
        ("REDIS_URL", ""),
        ("MCP_HOST", "127.0.0.1"),
        ("RATE_LIMIT_IP_PER_MINUTE", "0"),
    ]);
    key.clone_into(&mut server.key);
    server
}

#[test]
fn migrate_and_bootstrap_print_json_for_programs() {
    let database = TestDatabase::empty();
    let status = operate(&database, &["migrate", "--status"]).unwrap();
    assert!(status["migrations"].as_array().unwrap().iter().all(|one| one["appliedAt"].is_null()));
    assert!(!operate(&database, &["migrate"]).unwrap()["applied"].as_array().unwrap().is_empty());
    assert_eq!(operate(&database, &["migrate"]).unwrap(), json!({"applied": []}));

    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    assert_eq!((&made["user"]["name"], &made["project"]["slug"]), (&json!("alice"), &json!("atlas")));
    let mut members: Vec<&str> = made["key"].as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["createdAt", "expiresAt", "id", "key", "label", "prefix", "rateLimit", "scopes"]);
    let again = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    assert_eq!((&again["user"], &again["project"]), (&made["user"], &made["project"]));
    assert_ne!(again["key"]["key"], made["key"]["key"]);
}

#[test]
fn every_command_refuses_a_database_of_version_1_unchanged() {
    let database = TestDatabase::migrated();
    database.psql("INSERT INTO schema_migrations VALUES ('009_audit_of_restores')");
    let before = database.schema();
    let folder = TempDir::new().unwrap();
    let to = folder.path().join("out").display().to_string();
    for arguments in [
        vec!["migrate"],
        vec!["migrate", "--status"],
        vec!["bootstrap", "--user", "alice", "--project", "atlas"],
        vec!["keys", "list", "--project", "atlas"],
        vec!["export", "--project", "atlas", "--to", &to],
        vec!["serve", "--transport", "http"],
        vec!["doctor"],
    ] {
        let url = database.url_of(MIGRATOR);
        let variables = [("DATABASE_URL", url.as_str()), ("REDIS_URL", "")];
        let ended = command(&folder, &variables).args(&arguments).output().unwrap();
        let message = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
        assert!(!ended.status.success(), "{arguments:?}: {message}");
        for words in ["made before memory-bank-mcp 2.0", "export", "a new database", "import"] {
            assert!(message.contains(words), "{arguments:?}: {message}");
        }
    }
    assert_eq!(database.schema(), before);
    assert_eq!(database.psql("SELECT count(*) FROM users"), "0");
}

#[test]
fn no_key_is_created_on_an_incomplete_schema() {
    let database = TestDatabase::migrated();
    database.psql("DELETE FROM schema_migrations WHERE version = '003_functions'");
    let refused = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap_err();
    assert!(refused.contains("003_functions") && refused.contains("memory-bank-mcp migrate"), "{refused}");
    assert_eq!(database.psql("SELECT count(*) FROM api_keys"), "0");
}

#[test]
fn the_operator_manages_users_projects_members_and_keys() {
    let database = TestDatabase::migrated();
    operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    operate(&database, &["users", "create", "bob", "--email", "bob@example.org"]).unwrap();
    operate(&database, &["projects", "create", "borealis", "--owner", "bob", "--name", "Borealis"]).unwrap();
    operate(&database, &["members", "add", "--project", "atlas", "--user", "bob", "--role", "viewer"])
        .unwrap();
    let members = operate(&database, &["members", "list", "--project", "atlas"]).unwrap();
    assert_eq!(members["members"].as_array().unwrap().len(), 2);
    let made = operate(
        &database,
        &[
            "keys",
            "create",
            "--user",
            "bob",
            "--project",
            "atlas",
            "--env",
            "test",
            "--scopes",
            "read",
            "--rate-limit",
            "7",
            "--expires-days",
            "3",
            "--label",
            "ci",
        ],
    )
    .unwrap();
    assert!(key_of(&made).starts_with("mbmcp_test_"));
    assert_eq!(
        (&made["rateLimit"], &made["scopes"], &made["label"]),
        (&json!(7), &json!(["read"]), &json!("ci"))
    );
    let id = made["id"].as_str().unwrap();
    let rotated = operate(&database, &["keys", "rotate", id]).unwrap();
    assert_eq!(rotated["rateLimit"], json!(7));
    operate(&database, &["keys", "revoke", rotated["id"].as_str().unwrap()]).unwrap();
    assert_eq!(operate(&database, &["keys", "list", "--project", "atlas"]).unwrap()["total"], json!(1));
    assert_eq!(
        operate(&database, &["keys", "list", "--project", "atlas", "--all"]).unwrap()["total"],
        json!(3)
    );
    assert!(operate(&database, &["users", "create", "bob"]).unwrap_err().contains("exists already"));
    assert!(operate(&database, &["keys", "create", "--user", "carol", "--project", "atlas"]).is_err());
}

#[test]
fn a_project_is_served_only_to_its_own_keys() {
    let database = TestDatabase::migrated();
    let alice = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let bob = operate(&database, &["bootstrap", "--user", "bob", "--project", "borealis"]).unwrap();
    let mut server = serve(&database, &key_of(&alice["key"]));
    assert_eq!(server.send_bare("GET", "/health", &[], "").json()["db"], json!("ok"));
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    server.call(
        &session,
        "write_memory_bank_file",
        &json!({"filename": "plan.md", "content": "secret plan"}),
    );
    assert!(
        server
            .call(&session, "read_memory_bank_file", &json!({"filename": "plan.md"}))
            .contains("secret plan")
    );

    server.key = key_of(&bob["key"]);
    let foreign = server.post(Some(&session), &call(2, "list_memory_bank_files", &json!({})));
    assert_eq!(foreign.status, 404);
    assert_eq!(server.send("DELETE", "/mcp", &[("Mcp-Session-Id", &session)], "").status, 404);
    let own = server.initialize();
    server.call(&own, "initialize_memory_bank", &json!({"path": "."}));
    assert!(!server.call(&own, "list_memory_bank_files", &json!({})).contains("plan.md"));
    let searched = server.call(&own, "search_memory_bank", &json!({"query": "secret plan"}));
    assert!(searched.contains("\"totalResults\":0"), "{searched}");
}

#[test]
fn a_session_and_its_missed_replies_survive_a_server_restart() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let first = serve(&database, &key_of(&made["key"]));
    let session = first.initialize();
    first.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let reply = first.post(Some(&session), &call(5, "get_instructions", &json!({})));
    let before = reply.events()[0].0.replace("-1", "-0");
    drop(first);
    let second = serve(&database, &key_of(&made["key"]));
    assert!(second.call(&session, "list_memory_bank_files", &json!({})).contains("progress.md"));
    assert_eq!(second.listen(&session, Some(&before)).next().unwrap(), reply.message());
}

#[test]
fn a_viewer_reads_and_does_not_write_or_manage_keys() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    operate(&database, &["users", "create", "bob"]).unwrap();
    operate(&database, &["members", "add", "--project", "atlas", "--user", "bob", "--role", "viewer"])
        .unwrap();
    let bob = operate(&database, &["keys", "create", "--user", "bob", "--project", "atlas"]).unwrap();
    let mut server = serve(&database, &key_of(&made["key"]));
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    server.key = key_of(&bob);
    let session = server.initialize();
    assert!(server.call(&session, "list_memory_bank_files", &json!({})).contains("progress.md"));
    let write = call(3, "write_memory_bank_file", &json!({"filename": "a.md", "content": "x"}));
    let refused = server.post(Some(&session), &write).message();
    assert!(refused["error"].is_object() || refused["result"]["isError"] == json!(true), "{refused}");
    assert_eq!(server.send("POST", "/api/keys", &[JSON], "{}").status, 403);
    let tools = json!({"jsonrpc": "2.0", "id": 4, "method": "tools/list"});
    let listed = server.post(Some(&session), &tools).message().to_string();
    assert!(listed.contains("read_memory_bank_file") && !listed.contains("\"write_memory_bank_file\""));
}

#[test]
fn keys_managed_over_http_are_revoked_at_once() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let server = serve(&database, &key_of(&made["key"]));
    let fresh = server.send("POST", "/api/keys", &[JSON], "{\"label\":\"second\"}");
    assert_eq!(fresh.status, 201, "{}", fresh.body);
    let fresh = fresh.json();
    let named = [("X-API-Key", fresh["key"].as_str().unwrap())];
    assert_eq!(server.send_bare("GET", "/api/keys", &named, "").status, 200);
    let path = format!("/api/keys/{}", fresh["id"].as_str().unwrap());
    assert_eq!(server.send("PATCH", &path, &[JSON], "{\"rateLimit\":9}").json()["rateLimit"], json!(9));
    let rotated = server.send("POST", &format!("{path}/rotate"), &[], "");
    assert_eq!(rotated.status, 201, "{}", rotated.body);
    let refused = server.send_bare("GET", "/api/keys", &named, "");
    assert_eq!((refused.status, refused.json()), (401, json!({"error": "API key has been revoked"})));
}

#[test]
fn an_expired_key_gets_401_with_the_reason() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let expiring = operate(
        &database,
        &["keys", "create", "--user", "alice", "--project", "atlas", "--expires-days", "1"],
    )
    .unwrap();
    let id = expiring["id"].as_str().unwrap();
    database.psql(&format!("UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = '{id}'"));
    let server = serve(&database, &key_of(&made["key"]));
    let refused = server.send_bare("GET", "/api/keys", &[("X-API-Key", &key_of(&expiring))], "");
    assert_eq!(refused.status, 401);
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.contains("error_description=\"API key has expired\""), "{challenge}");
    assert_eq!(refused.json(), json!({"error": "API key has expired"}));
}
