//! The schema is removed from the database of a running server and restored.

use std::fs::File;
use std::process::Stdio;

use memory_bank_test_postgres::{GUIDE_ROLLBACK, MIGRATOR, TestDatabase};
use serde_json::json;
use tempfile::TempDir;

use crate::client::{Server, until};
use crate::database::{key_of, operate};
use crate::replica_set::health;
use crate::write_load::Load;

/// Runs a file, again after a deadlock with a running statement.
fn roll_back(run: impl Fn() -> Result<(), String>) {
    for _ in 0..20 {
        match run() {
            Ok(()) => return,
            Err(reason) => assert!(reason.contains("deadlock detected"), "{reason}"),
        }
    }
    panic!("the rollback was the one to end each time");
}

fn emptied_and_filled_again(roll: impl Fn(&TestDatabase) -> Result<(), String>) {
    let database = TestDatabase::migrated();
    let bootstrap = ["bootstrap", "--user", "alice", "--project", "atlas"];
    operate(&database, &bootstrap).unwrap();
    let arguments = ["keys", "create", "--user", "alice", "--project", "atlas", "--rate-limit", "1000000"];
    let fast = |database: &TestDatabase| key_of(&operate(database, &arguments).unwrap());
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let url = database.url();
    let variables =
        [("DATABASE_URL", url.as_str()), ("MCP_HOST", "127.0.0.1"), ("RATE_LIMIT_IP_PER_MINUTE", "0")];
    let stderr = Stdio::from(File::create(&log).unwrap());
    let mut server = Server::start_with(TempDir::new().unwrap(), stderr, &variables);
    server.key = fast(&database);
    let session = server.initialize();
    Load::run(&[&server], &session, |load| {
        load.await_more();
        roll_back(|| roll(&database));
        until("503 of /health", || server.send_bare("GET", "/health", &[], "").status == 503);
        let message = health(&server);
        assert_eq!((&message["status"], &message["db"]), (&json!("error"), &json!("error")), "{message}");
        assert!(message["message"].as_str().unwrap().contains("memory-bank-mcp migrate"), "{message}");
        assert_eq!(server.send_bare("GET", "/health/ready", &[], "").status, 503);
        load.await_refusals();
        // A removed schema never makes a valid key look invalid.
        assert!(load.refused.lock().iter().all(|(status, _)| *status != 401));
    });
    let logged = || std::fs::read_to_string(&log).unwrap();
    assert!(
        logged().contains("the schema is gone") && logged().contains("memory-bank-mcp migrate"),
        "{}",
        logged()
    );
    assert_eq!(logged().matches("the schema is gone").count(), 1, "it is noted once");
    operate(&database, &["migrate"]).unwrap();
    until("the server to be well again", || health(&server)["db"] == json!("ok"));
    assert!(logged().contains("the schema is back"), "{}", logged());
    operate(&database, &bootstrap).unwrap();
    server.key = fast(&database);
    let session = server.initialize();
    Load::run(&[&server], &session, Load::await_more).check(&server, &session);
}

#[test]
fn a_server_reports_the_schema_removed_by_the_deployment_guide_s_rollback_and_recovers() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("rollback.sql");
    std::fs::write(&file, GUIDE_ROLLBACK).unwrap();
    emptied_and_filled_again(|database| database.run_with_psql(MIGRATOR, file.to_str().unwrap()));
}

#[test]
fn a_server_reports_the_schema_removed_by_the_rollback_script_and_recovers() {
    emptied_and_filled_again(|database| {
        let confirm = format!("SET memory_bank.confirm_rollback = '{}'", database.name());
        database.roll_back_with_psql(MIGRATOR, &confirm)
    });
}
