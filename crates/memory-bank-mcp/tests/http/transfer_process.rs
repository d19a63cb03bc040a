//! Transfers end to end: progress bar, kills, notifications and audit entries.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use memory_bank_test_postgres::{MIGRATOR, TestDatabase};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{command, until};
use crate::database::operate;
use crate::replica_set::{Held, ReplicaSet, await_waiting};
use crate::transfer::{atlas, exported, files, odd_project};

const PROGRESS: &str = "memory-bank://progress";
const UPDATED: &str = "notifications/resources/updated";
const LIST_CHANGED: &str = "notifications/resources/list_changed";

fn text_of(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// An operator's command that a test can watch, kill, or give a Redis.
fn operator(database: &TestDatabase, redis: &str, arguments: &[&str]) -> (TempDir, Command) {
    let folder = TempDir::new().unwrap();
    let url = database.url_of(MIGRATOR);
    let mut command = command(&folder, &[("DATABASE_URL", url.as_str()), ("REDIS_URL", redis)]);
    command.args(arguments);
    (folder, command)
}

fn done(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Starts a command, waits until a held lock stops it, and kills it.
fn killed_midway(database: &TestDatabase, lock: &str, arguments: &[&str]) {
    let held = Held::take(database, lock);
    let (_folder, mut command) = operator(database, "", arguments);
    let mut child: Child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    await_waiting(database, 1);
    child.kill().unwrap();
    child.wait().unwrap();
    drop(held);
}

#[test]
fn imports_and_restores_notify_subscribers_of_running_servers() {
    let replicas = ReplicaSet::new();
    let (first, second) = (replicas.replica(), replicas.replica());
    let session = first.initialize();
    let mut stream = first.listen(&session, None);
    first.subscribe(&session, PROGRESS);
    let mut without_session = second.listen_without_session(&[PROGRESS]);
    let (project, place) = (odd_project(3), TempDir::new().unwrap());
    let (redis, file) = (replicas.redis.as_ref().unwrap().url(), place.path().join("atlas.zip"));
    let moves: [&[&str]; 2] = [
        &["import", "--project", "atlas", "--from", text_of(project.path())],
        &["restore", "--project", "atlas", "--from", text_of(&file)],
    ];
    for arguments in moves {
        done(operator(&replicas.database, &redis, arguments).1);
        for stream in [&mut stream, &mut without_session] {
            stream.await_notification(UPDATED, Some(PROGRESS));
            stream.await_notification(LIST_CHANGED, None);
        }
        if !file.exists() {
            let backup = ["backup", "--project", "atlas", "--to", text_of(&file)];
            operate(&replicas.database, &backup).unwrap();
        }
    }
}

#[test]
fn a_dry_run_notifies_nobody_and_is_not_audited() {
    let replicas = ReplicaSet::new();
    let server = replicas.replica();
    let session = server.initialize();
    server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
    let mut stream = server.listen(&session, None);
    server.subscribe(&session, PROGRESS);
    // The addresses of keys are written from time to time.
    let audit_rows = || {
        replicas
            .database
            .psql("SELECT count(*) FROM app.audit_log WHERE action <> 'key.used_from_new_address'")
    };
    let (before, project) = (audit_rows(), odd_project(1));
    let redis = replicas.redis.as_ref().unwrap().url();
    let arguments =
        ["import", "--project", "atlas", "--from", text_of(project.path()), "--merge", "--dry-run"];
    done(operator(&replicas.database, &redis, &arguments).1);
    assert_eq!(audit_rows(), before);
    // The first notification is of the next write.
    server.call(&session, "write_memory_bank_file", &json!({"filename": "new.md", "content": "x"}));
    assert_eq!(stream.next().unwrap()["method"], json!(LIST_CHANGED));
}

#[test]
fn without_redis_an_import_succeeds_and_reports_that_servers_were_not_notified() {
    let (database, project) = (atlas(), odd_project(1));
    let arguments = ["import", "--project", "atlas", "--from", text_of(project.path())];
    let output = done(operator(&database, "redis://127.0.0.1:1", &arguments).1);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("REDIS_URL") && message.contains("not notified"), "{message}");
}

#[test]
fn files_that_are_not_part_of_the_bank_are_named_and_not_imported() {
    let (database, project) = (atlas(), odd_project(1));
    let bank = project.path().join("memory-bank");
    for name in [".git/config", ".mbmcp/lock", "sub/.hg/store", ".progress.md.1700000000000.tmp"] {
        fs::create_dir_all(bank.join(name).parent().unwrap()).unwrap();
        fs::write(bank.join(name), "x").unwrap();
    }
    let names = [".git", ".mbmcp", ".progress.md.1700000000000.tmp", "sub/.hg"];
    let arguments = ["import", "--project", "atlas", "--from", text_of(project.path()), "--dry-run"];
    assert_eq!(operate(&database, &arguments).unwrap()["leftOut"], json!(names));
    let message = String::from_utf8(done(operator(&database, "", &arguments).1).stdout).unwrap();
    assert!(message.contains(&format!("temporary: {}.", names.join(", "))), "{message}");
    operate(&database, &arguments[..5]).unwrap();
    let backups =
        "SELECT count(*) FROM app.files WHERE path LIKE '%.git%' OR path LIKE '%.hg%' OR path LIKE '%.tmp'";
    assert_eq!(database.psql(backups), "0");
}

#[test]
fn a_killed_import_leaves_nothing_and_can_be_repeated() {
    let (database, project) = (atlas(), odd_project(50));
    let arguments = ["import", "--project", "atlas", "--from", text_of(project.path())];
    killed_midway(&database, "LOCK TABLE public.graph_observations IN ACCESS EXCLUSIVE MODE", &arguments);
    let rows = "SELECT (SELECT count(*) FROM documents) + (SELECT count(*) FROM graph_entities) \
        + (SELECT count(*) FROM app.files) + (SELECT count(*) FROM app.backups) \
        + (SELECT count(*) FROM app.audit_log WHERE action = 'bank.imported')";
    assert_eq!(database.psql(rows), "0");
    assert_eq!(operate(&database, &arguments).unwrap()["documents"]["added"], json!(9));
}

#[test]
fn a_killed_export_leaves_nothing_and_can_be_repeated() {
    let (database, project) = (atlas(), odd_project(5));
    operate(&database, &["import", "--project", "atlas", "--from", text_of(project.path())]).unwrap();
    let place = TempDir::new().unwrap();
    let to = place.path().join("back");
    let arguments = ["export", "--project", "atlas", "--to", text_of(&to)];
    killed_midway(&database, "LOCK TABLE app.backup_items IN ACCESS EXCLUSIVE MODE", &arguments);
    let names = || -> Vec<String> {
        let entries = fs::read_dir(&to).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert!(!to.join("memory-bank").exists());
    assert_eq!(names().len(), 1, "only the staging folder of the export is left: {:?}", names());
    // The same command, without `--replace`, succeeds and removes the leftovers of the first.
    operate(&database, &arguments).unwrap();
    assert!(to.join("memory-bank/progress.md").exists());
    assert!(names().iter().all(|name| !name.starts_with(".memory-bank-export-")), "{:?}", names());
}

#[test]
fn a_killed_backup_leaves_no_file_of_its_name_and_a_restore_names_itself_in_the_history() {
    let (database, project) = (atlas(), odd_project(5));
    operate(&database, &["import", "--project", "atlas", "--from", text_of(project.path())]).unwrap();
    let place = TempDir::new().unwrap();
    let file = place.path().join("atlas.zip");
    let arguments = ["backup", "--project", "atlas", "--to", text_of(&file)];
    // The project is written by then, a backup in it is not.
    killed_midway(&database, "LOCK TABLE app.backup_items IN ACCESS EXCLUSIVE MODE", &arguments);
    let names: Vec<String> = fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(matches!(names.as_slice(), [name] if name.starts_with(".memory-bank-backup-")), "{names:?}");
    operate(&database, &arguments).unwrap();
    let names: Vec<String> = fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["atlas.zip"], "what the first left is removed");
    database.psql("DELETE FROM documents WHERE path = 'progress.md'");
    operate(&database, &["restore", "--project", "atlas", "--from", text_of(&file)]).unwrap();
    let tool =
        "SELECT tool FROM app.document_versions WHERE path = 'progress.md' ORDER BY version DESC LIMIT 1";
    assert_eq!(database.psql(tool), "restore");
}

#[test]
fn a_progress_bar_is_shown_on_terminals_only() {
    let (database, project) = (atlas(), odd_project(3000));
    let place = TempDir::new().unwrap();
    let program = env!("CARGO_BIN_EXE_memory-bank-mcp");
    let (from, to) = (text_of(project.path()), place.path().join("back"));
    let commands = [
        ("importing", "/301", format!("import --project atlas --from {from}")),
        // The import was the first version of each document.
        ("exporting", "/302", format!("export --project atlas --to {}", text_of(&to))),
    ];
    for (what, items, arguments) in &commands {
        let (folder, plain) = operator(&database, "", &[]);
        let mut on_terminal = Command::new("script");
        on_terminal.current_dir(folder.path()).env_clear().env("PATH", "/usr/bin:/bin").env("TERM", "xterm");
        let set = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
        on_terminal.envs(set).args(["-qec", &format!("stty cols 120; {program} {arguments}"), "/dev/null"]);
        let shown = String::from_utf8(done(on_terminal).stdout).unwrap();
        assert!(shown.contains(what) && shown.contains(items), "{shown}");
        assert!(shown.contains("3001 observations"), "{shown}");
    }
    // Elsewhere only the report is printed.
    let arguments: Vec<&str> = vec!["import", "--project", "atlas", "--from", from, "--replace"];
    let output = done(operator(&database, "", &arguments).1);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    // One of its lines counts the changes of the graph that are left out, since the project has its own.
    let report = String::from_utf8(output.stdout).unwrap();
    assert_eq!(report.lines().filter(|line| line.starts_with("History: ")).count(), 1, "{report}");
    assert!(report.lines().count() <= 5, "{report}");
}

#[test]
fn a_restore_is_audited_once_in_its_own_transaction() {
    let (database, project) = (atlas(), odd_project(1));
    operate(&database, &["import", "--project", "atlas", "--from", text_of(project.path())]).unwrap();
    let place = TempDir::new().unwrap();
    let file = place.path().join("atlas.zip");
    operate(&database, &["backup", "--project", "atlas", "--to", text_of(&file)]).unwrap();
    operate(&database, &["restore", "--project", "atlas", "--from", text_of(&file)]).unwrap();
    let log = operate(&database, &["audit", "list", "--project", "atlas", "--limit", "3"]).unwrap();
    let audited: Vec<(&Value, &Value)> = log["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["action"], &entry["subject"]))
        .collect();
    let (imported, from) = (json!("bank.imported"), json!(project.path().file_name().unwrap().to_str()));
    let (restored, backed_up, zip) =
        (json!("project.restored"), json!("project.backed_up"), json!("atlas.zip"));
    assert_eq!(audited, [(&restored, &zip), (&backed_up, &zip), (&imported, &from)]);
    // If the log cannot be written, nothing is restored.
    database.psql("ALTER TABLE app.audit_log ADD CHECK (action <> 'project.restored') NOT VALID");
    database.psql("DELETE FROM documents");
    operate(&database, &["restore", "--project", "atlas", "--from", text_of(&file)]).unwrap_err();
    assert_eq!(database.psql("SELECT count(*) FROM documents"), "0");
    until("the end of the restore", || {
        database.psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"
    });
}

#[test]
fn a_project_survives_the_removal_of_the_schema_in_a_folder_and_in_a_file() {
    let (database, project) = (atlas(), odd_project(5));
    operate(&database, &["import", "--project", "atlas", "--from", text_of(project.path())]).unwrap();
    let place = TempDir::new().unwrap();
    let (folder, file) = (place.path().join("atlas"), place.path().join("atlas.zip"));
    operate(&database, &["export", "--project", "atlas", "--to", text_of(&folder)]).unwrap();
    operate(&database, &["backup", "--project", "atlas", "--to", text_of(&file)]).unwrap();
    let moves: [&[&str]; 2] = [
        &["import", "--project", "atlas", "--from", text_of(&folder)],
        &["restore", "--project", "atlas", "--from", text_of(&file)],
    ];
    for (number, arguments) in moves.iter().enumerate() {
        let confirm = format!("SET memory_bank.confirm_rollback = '{}'", database.name());
        database.roll_back_with_psql(MIGRATOR, &confirm).unwrap();
        assert!(operate(&database, arguments).is_err(), "there is no schema");
        operate(&database, &["migrate"]).unwrap();
        operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
        operate(&database, arguments).unwrap();
        let back = place.path().join(format!("back-{number}"));
        operate(&database, &["export", "--project", "atlas", "--to", text_of(&back)]).unwrap();
        assert_eq!(files(&back), exported(project.path()));
    }
}
