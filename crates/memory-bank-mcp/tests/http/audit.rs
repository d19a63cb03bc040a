//! The audit log end to end: actions over HTTP and by operators, as `audit list` shows them.

use memory_bank_test_postgres::TestDatabase;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{JSON, command};
use crate::database::{key_of, operate, serve};

/// The audit entries of a project, oldest first.
fn audit_log(database: &TestDatabase, more: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["audit", "list", "--project", "atlas"];
    arguments.extend(more);
    let mut entries = operate(database, &arguments).unwrap()["entries"].as_array().unwrap().clone();
    entries.reverse();
    entries
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect()
}

#[test]
fn the_audit_log_lists_actor_action_and_target_of_every_event() {
    let database = TestDatabase::migrated();
    let made = operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let mut server = serve(&database, &key_of(&made["key"]));
    let begun = audit_log(&database, &[]).len();

    let fresh = server.send("POST", "/api/keys", &[JSON], "{\"label\":\"second\"}").json();
    let id = fresh["id"].as_str().unwrap();
    let elsewhere = [("X-API-Key", fresh["key"].as_str().unwrap()), ("X-Forwarded-For", "192.0.2.44")];
    assert_eq!(server.send_bare("GET", "/api/keys", &elsewhere, "").status, 200);
    assert_eq!(server.send("DELETE", &format!("/api/keys/{id}"), &[], "").status, 200);

    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let backup = server.call(&session, "create_backup", &json!({}));
    let is_of_id = |one: &char| one.is_ascii_alphanumeric() || *one == '-';
    let (_, rest) = backup.split_once("memory-bank-backup-").unwrap_or_else(|| panic!("{backup}"));
    let backup = format!("memory-bank-backup-{}", rest.chars().take_while(is_of_id).collect::<String>());
    let plan = json!({"filename": "plan.md", "content": "x"});
    server.call(&session, "write_memory_bank_file", &plan);
    server.call(&session, "delete_memory_bank_file", &json!({"filename": "plan.md"}));
    server.call(&session, "restore_backup", &json!({"backupId": backup}));
    operate(&database, &["users", "create", "bob"]).unwrap();
    for role in ["viewer", "editor"] {
        let add = ["members", "add", "--project", "atlas", "--user", "bob", "--role", role];
        operate(&database, &add).unwrap();
    }
    // Addresses are recorded in groups, at the latest on shutdown.
    server.terminate();

    let entries = audit_log(&database, &[]).split_off(begun);
    let of = |action: &str| -> Vec<&Value> {
        entries.iter().filter(|entry| entry["action"] == json!(action)).collect()
    };
    let one = |action: &str| -> &Value {
        let found = of(action);
        assert_eq!(found.len(), 1, "{action} in {:?}", actions(&entries));
        found[0]
    };
    for action in ["key.created", "key.revoked"] {
        assert_eq!((&one(action)["subject"], &one(action)["user"]["name"]), (&json!(id), &json!("alice")));
        assert_eq!(one(action)["keyId"], made["key"]["id"]);
    }
    let from: Vec<&Value> =
        of("key.used_from_new_address").into_iter().map(|entry| &entry["address"]).collect();
    assert!(from.contains(&&json!("192.0.2.44")) && from.contains(&&json!("127.0.0.1")), "{from:?}");
    assert_eq!(one("documents.deleted")["detail"]["names"], json!(["plan.md"]));
    assert_eq!(one("backup.restored")["subject"], json!(backup));
    assert_eq!(one("member.added")["detail"]["role"], json!("viewer"));
    let changed = one("member.role_changed");
    assert_eq!(
        (&changed["detail"], changed["login"].is_string()),
        (&json!({"role": "editor", "before": "viewer"}), true)
    );
    let whole = json!(entries).to_string();
    assert!(!whole.contains(fresh["key"].as_str().unwrap()) && !whole.contains(&server.key));
}

#[test]
fn the_audit_command_filters_by_number_time_and_project_and_prints_a_table() {
    let database = TestDatabase::migrated();
    operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    operate(&database, &["bootstrap", "--user", "bob", "--project", "borealis"]).unwrap();
    assert_eq!(actions(&audit_log(&database, &[])), ["project.created", "member.added", "key.created"]);
    assert_eq!(actions(&audit_log(&database, &["--limit", "1"])), ["key.created"]);
    assert_eq!(audit_log(&database, &["--since", "1h"]).len(), 3);
    assert_eq!(audit_log(&database, &["--since", "2100-01-01T00:00:00Z"]), [Value::Null; 0]);
    let all = operate(&database, &["audit", "list"]).unwrap();
    assert_eq!(all["total"], json!(8), "users belong to no project: {all}");
    let unknown = operate(&database, &["audit", "list", "--project", "none"]).unwrap_err();
    assert!(unknown.contains("none"), "{unknown}");

    let (folder, url) = (TempDir::new().unwrap(), database.url_of(memory_bank_test_postgres::MIGRATOR));
    let variables = [("DATABASE_URL", url.as_str()), ("REDIS_URL", "")];
    let output = command(&folder, &variables).args(["audit", "list", "--project", "atlas"]).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("WHEN") && lines[0].contains("ACTION"), "{table}");
    assert_eq!(lines.len(), 4, "{table}");
    assert!(lines[1].contains("key.created") && lines[1].contains("(login role)"), "{table}");
}

#[test]
fn the_server_role_cannot_change_the_audit_log_directly() {
    let database = TestDatabase::migrated();
    operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    let before = audit_log(&database, &[]);
    for sql in [
        "INSERT INTO app.audit_log (at, action) VALUES (now(), 'user.created')",
        "UPDATE app.audit_log SET action = 'key.created'",
        "DELETE FROM app.audit_log",
        "TRUNCATE app.audit_log",
        "ALTER TABLE app.audit_log DISABLE ROW LEVEL SECURITY",
        "DROP TABLE app.audit_log",
    ] {
        let tried = format!(
            "DO $$ BEGIN SET LOCAL ROLE {}; {sql}; RAISE EXCEPTION 'it was done'; \
             EXCEPTION WHEN insufficient_privilege THEN NULL; END $$",
            memory_bank_test_postgres::SERVER
        );
        database.psql(&tried);
    }
    assert_eq!(audit_log(&database, &[]), before);
}
