//! Import, export, backup and restore by the binary, between folders, a real database and backup files.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use memory_bank_test_postgres::TestDatabase;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{call, command};
use crate::database::operate;

/// The longest wait for the index of a large project.
const INDEX_TIMEOUT: Duration = Duration::from_secs(120);

const MARKER: &str = r#"{"type":"memory_bank_graph","source":"memory-bank-mcp","version":"1"}"#;

/// A project with unusual files, names and texts.
pub(crate) fn odd_project(facts: usize) -> TempDir {
    let project = TempDir::new().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = project.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    put("memory-bank/progress.md", b"# Progress\r\n\r\n- one\r\n- two, without a final line end");
    put("memory-bank/bom.md", b"\xef\xbb\xbf# With a mark\n");
    put("memory-bank/latin.md", b"caf\xe9\n\xff\xfe\n- x\n");
    put("memory-bank/empty.md", b"");
    put("memory-bank/Große Übersicht.md", "ä\u{2028}\u{0}".replace('\0', "").as_bytes());
    put("memory-bank/camelCase.md", b"kept under its name");
    put("memory-bank/data.json", b"{\"b\": 1, \"a\": [1.50]}");
    put("memory-bank/large.md", "0123456789abcdef".repeat(65_536).as_bytes());
    put("memory-bank/sub/notes/deep.md", b"deep\r\n");
    put("memory-bank/sub/picture.png", b"\x89PNG\0\0\xff");
    put("memory-bank/README.txt", b"not a document");
    put(".mcprules-debug", b"mode: debug\nmode_triggers:\n  debug: []\n# mine\n");
    let mut log = format!("{MARKER}\n");
    log.push_str(r#"{"type":"entity_upsert","entity":{"id":"ent_AAAA0001","name":"Rust  Lang","entityType":"Lang","attrs":{"z":1,"a":{"y":[1.5,null],"b":"x"}},"createdAt":"2020","updatedAt":"2026-11-22T09:30:07+02:00"},"ts":"2026"}"#);
    log.push('\n');
    log.push_str(r#"{"type":"entity_upsert","entity":{"id":"ent_AAAA0002","name":"Axum","entityType":"lib","createdAt":"2026-01-01T00:00:00.000Z","updatedAt":"2026-01-01T00:00:00.123Z"},"ts":"2026"}"#);
    log.push('\n');
    log.push_str(r#"{"type":"relation_add","relation":{"id":"rel_AAAA0001","fromId":"ent_AAAA0002","toId":"ent_AAAA0001","relationType":"Written-In","createdAt":"March 7, 2021"},"ts":"2026"}"#);
    log.push('\n');
    log.push_str(r#"{"type":"observation_add","observation":{"id":"obs_STRAY001","entityId":"ent_GONE0001","text":"of nobody","timestamp":"2020-01-01"},"ts":"2026"}"#);
    log.push('\n');
    log.push_str("{\"type\":\"from_the_future\",\"x\":1}\n");
    for n in 0..facts {
        log.push_str(&format!(
            r#"{{"type":"observation_add","observation":{{"id":"obs_{n:08}","entityId":"ent_AAAA0001","text":"fact {n} \"quoted\"\n","source":{{"kind":"agent","ref":"run {n}"}},"timestamp":"2026-01-01T00:00:00.{:03}Z"}},"ts":"2026"}}"#,
            n % 1000
        ));
        log.push('\n');
    }
    put("memory-bank/graph/graph.jsonl", log.as_bytes());
    let backup = BACKUP;
    put(&format!("{backup}/progress.md"), b"older\r\n");
    put(&format!("{backup}/latin.md"), b"\xe9");
    put(
        &format!("{backup}/graph/graph.jsonl"),
        log.lines().take(3).collect::<Vec<_>>().join("\n").as_bytes(),
    );
    project
}

/// All files below a folder, without derived and internal ones.
pub(crate) fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let derived = ["graph.snapshot.json", "graph.index.json", "graph.md", "graph.jsonl"];
            if path.is_dir() {
                if !name.ends_with(".mbmcp") {
                    folders.push(path);
                }
            } else if !name.ends_with("backups/.gitignore")
                && !derived.iter().any(|derived| name.ends_with(&format!("graph/{derived}")))
            {
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// The backup of [`odd_project`].
const BACKUP: &str = "memory-bank-backup-2026-11-20T10-00-00-000Z";

/// The exported path of a file of [`odd_project`]: backups go into the bank's `backups` folder.
fn below_bank(name: &str) -> String {
    match name.strip_prefix(BACKUP) {
        Some(inner) => format!("memory-bank/backups/{BACKUP}{inner}"),
        None => name.to_owned(),
    }
}

/// The files of [`odd_project`] as an export has them.
pub(crate) fn exported(root: &Path) -> BTreeMap<String, Vec<u8>> {
    files(root).into_iter().map(|(name, bytes)| (below_bank(&name), bytes)).collect()
}

/// The contents of a graph log: rows by id, and unknown lines.
fn fold(log: &Path) -> (BTreeMap<String, String>, Vec<String>) {
    let (mut rows, mut odd) = (BTreeMap::new(), Vec::new());
    for line in fs::read_to_string(log).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        match ["entity", "observation", "relation"].iter().find_map(|kind| event.get(kind)) {
            Some(row) => {
                rows.insert(row["id"].as_str().unwrap().to_owned(), row.to_string());
            }
            None if event["type"] == "from_the_future" => odd.push(line.to_owned()),
            None => {}
        }
    }
    (rows, odd)
}

pub(crate) fn atlas() -> TestDatabase {
    let database = TestDatabase::migrated();
    operate(&database, &["bootstrap", "--user", "alice", "--project", "atlas"]).unwrap();
    database
}

pub(crate) fn import(database: &TestDatabase, from: &Path, more: &[&str]) -> Result<Value, String> {
    let mut arguments = vec!["import", "--from", from.to_str().unwrap(), "--project", "atlas"];
    arguments.extend(more);
    operate(database, &arguments)
}

fn export(database: &TestDatabase, to: &Path, more: &[&str]) -> Result<Value, String> {
    let mut arguments = vec!["export", "--project", "atlas", "--to", to.to_str().unwrap()];
    arguments.extend(more);
    operate(database, &arguments)
}

/// Calls tools over stdio in this project, and gives the texts of the replies.
pub(crate) fn over_stdio(project: &Path, calls: &[(&str, Value)]) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let mut server = command(&folder, &[])
        .args(["--path", project.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = server.stdin.take().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-06-18",
        "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    writeln!(input, "{hello}").unwrap();
    lines.next().unwrap().unwrap();
    writeln!(input, "{}", json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).unwrap();
    let mut texts = Vec::new();
    let mut ids = 1_u32..;
    let mut send = |tool: &str, arguments: &Value| {
        let id = ids.next().unwrap();
        writeln!(input, "{}", call(id, tool, arguments)).unwrap();
        // The server may send notifications in between.
        let reply = lines
            .by_ref()
            .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
            .find(|message| message["id"] == id)
            .unwrap();
        reply["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned()
    };
    let deadline = Instant::now() + INDEX_TIMEOUT;
    for (tool, arguments) in calls {
        let text = loop {
            let text = send(tool, arguments);
            // Repeats a request like a client that has to retry.
            if !text.contains("is being built; try again") {
                break text;
            }
            assert!(Instant::now() < deadline, "{text}");
            std::thread::sleep(Duration::from_millis(200));
        };
        texts.push(text);
    }
    drop(input);
    server.wait().unwrap();
    texts
}

#[test]
fn a_project_is_imported_and_exported_unchanged() {
    let (database, project) = (atlas(), odd_project(10_000));
    let before = files(project.path());
    let tried = import(&database, &project.path().join("memory-bank"), &["--dry-run"]).unwrap();
    assert_eq!((&tried["dryRun"], &tried["moved"]["observations"]), (&json!(true), &json!(10_001)));
    let done = import(&database, &project.path().join("memory-bank"), &[]).unwrap();
    assert_eq!(done["documents"], json!({"added": 9, "changed": 0, "unchanged": 0, "removed": 0}));
    assert_eq!((&done["backups"], &done["snapshot"]), (&json!(1), &Value::Null));
    assert_eq!(files(project.path()), before, "an import changes nothing in the folder");

    let back = TempDir::new().unwrap();
    let shown = export(&database, &back.path().join("project"), &["--dry-run"]).unwrap();
    assert_eq!(shown["moved"], tried["moved"]);
    assert!(!back.path().join("project").exists());
    export(&database, &back.path().join("project"), &[]).unwrap();
    let project_back = back.path().join("project");
    assert_eq!(files(&project_back), exported(project.path()));
    for folder in ["memory-bank", BACKUP] {
        let log = |root: &Path, folder: &str| fold(&root.join(folder).join("graph/graph.jsonl"));
        assert_eq!(log(&project_back, &below_bank(folder)), log(project.path(), folder));
    }
    let left: Vec<PathBuf> =
        fs::read_dir(&project_back).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left.len(), 2, "{left:?}");

    let message = over_stdio(
        &project_back,
        &[
            ("read_memory_bank_file", json!({"filename": "progress.md"})),
            ("graph_search", json!({"query": "Rust Lang"})),
            ("search_memory_bank", json!({"query": "fact 9999"})),
        ],
    );
    assert!(message[0].contains("- two, without a final line end"), "{}", message[0]);
    assert!(message[1].contains("ent_AAAA0001"), "{}", message[1]);
}

#[test]
fn an_import_into_a_project_with_data_is_refused_merged_or_replaces_with_a_snapshot() {
    let (database, first) = (atlas(), odd_project(3));
    import(&database, first.path(), &[]).unwrap();
    let second = TempDir::new().unwrap();
    fs::create_dir(second.path().join("memory-bank")).unwrap();
    fs::write(second.path().join("memory-bank/progress.md"), "new").unwrap();
    fs::write(second.path().join("memory-bank/extra.md"), "extra").unwrap();

    let refused = import(&database, second.path(), &[]).unwrap_err();
    assert!(refused.contains("--merge") && refused.contains("9 documents"), "{refused}");
    let merged = import(&database, second.path(), &["--merge"]).unwrap();
    assert_eq!(merged["documents"], json!({"added": 1, "changed": 1, "unchanged": 0, "removed": 0}));
    let snapshot = merged["snapshot"].as_str().unwrap().to_owned();

    let replaced = import(&database, second.path(), &["--replace"]).unwrap();
    assert_eq!(replaced["documents"], json!({"added": 0, "changed": 0, "unchanged": 2, "removed": 8}));
    let back = TempDir::new().unwrap();
    export(&database, &back.path().join("p"), &[]).unwrap();
    let now = files(&back.path().join("p"));
    assert_eq!(now.get("memory-bank/progress.md").unwrap(), b"new");
    // Nothing is left of the graph but its history, which is beside the log.
    let log = fs::read_to_string(back.path().join("p/memory-bank/graph/graph.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 2, "{log}");
    // The first snapshot is the first project, bytes and graph.
    let before = files(first.path());
    for (name, bytes) in
        before.iter().filter_map(|(name, bytes)| Some((name.strip_prefix("memory-bank/")?, bytes)))
    {
        assert_eq!(now.get(&format!("memory-bank/backups/{snapshot}/{name}")), Some(bytes), "{name}");
    }
    let log = |path: &Path| fold(&path.join("graph/graph.jsonl"));
    assert_eq!(
        log(&back.path().join("p/memory-bank/backups").join(&snapshot)),
        log(&first.path().join("memory-bank"))
    );
}

#[test]
fn folder_names_and_other_spellings_survive_import_and_export() {
    let (database, project) = (atlas(), TempDir::new().unwrap());
    let put = |name: &str, text: &str| {
        let path = project.path().join("memory-bank").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("cafe\u{301}/nai\u{308}ve.md", "decomposed");
    put("README.md", "in capitals");
    put("con.md", "a device");
    put("adr/0001 (conflicted copy).md", "left");
    // Backups below the bank come along like those beside it.
    put("backups/memory-bank-backup-2026-11-20T11-00-00-000Z/adr/0001.md", "older");
    let done = import(&database, project.path(), &[]).unwrap();
    assert_eq!((&done["documents"]["added"], &done["backups"]), (&json!(4), &json!(1)));
    assert_eq!(
        database.psql("SELECT string_agg(path, ',' ORDER BY path) FROM documents"),
        "README.md,adr/0001 (conflicted copy).md,caf\u{e9}/na\u{ef}ve.md,con.md"
    );
    let back = TempDir::new().unwrap();
    export(&database, &back.path().join("p"), &[]).unwrap();
    let now = files(&back.path().join("p"));
    let text = |name: &str| String::from_utf8(now[&format!("memory-bank/{name}")].clone()).unwrap();
    assert_eq!(text("caf\u{e9}/na\u{ef}ve.md"), "decomposed");
    assert_eq!(text("README.md"), "in capitals");
    assert_eq!(text("con.md"), "a device");
    assert_eq!(text("backups/memory-bank-backup-2026-11-20T11-00-00-000Z/adr/0001.md"), "older");
    // Two files with one name in a database are reported before anything is written.
    put("caf\u{e9}/na\u{ef}ve.md", "composed");
    let refused = import(&database, project.path(), &["--replace"]).unwrap_err();
    assert!(refused.contains("is there twice"), "{refused}");
}

#[test]
fn files_that_the_database_cannot_store_are_named_before_anything_is_written() {
    let (database, project) = (atlas(), odd_project(1));
    fs::write(project.path().join("memory-bank/zero.md"), b"a\0b").unwrap();
    let refused = import(&database, project.path(), &[]).unwrap_err();
    assert!(refused.contains("zero.md") && refused.contains("null byte"), "{refused}");
    assert_eq!(database.psql("SELECT count(*) FROM documents"), "0");
    fs::remove_file(project.path().join("memory-bank/zero.md")).unwrap();
    // A backup that cannot be stored rolls the whole import back.
    fs::write(project.path().join("memory-bank-backup-2026-11-20T10-00-00-000Z/zero.md"), b"a\0b").unwrap();
    let refused = import(&database, project.path(), &[]).unwrap_err();
    assert!(refused.contains("zero.md") && refused.contains("memory-bank-backup-"), "{refused}");
    assert_eq!(database.psql("SELECT count(*) FROM documents"), "0");
    std::os::unix::fs::symlink("/etc/passwd", project.path().join("memory-bank/link.md")).unwrap();
    assert!(import(&database, project.path(), &["--no-backups"]).unwrap_err().contains("link.md"));
}

#[test]
fn an_export_overwrites_only_on_request_and_keeps_the_replaced_files() {
    let (database, project) = (atlas(), odd_project(1));
    import(&database, project.path(), &["--no-backups"]).unwrap();
    let place = TempDir::new().unwrap();
    let bank = place.path().join("memory-bank");
    fs::create_dir(&bank).unwrap();
    fs::write(bank.join("mine.md"), "mine").unwrap();
    let backup = bank.join("backups/memory-bank-backup-2026-11-20T11-00-00-000Z");
    fs::create_dir_all(&backup).unwrap();
    fs::write(backup.join("mine.md"), "older").unwrap();
    let refused = export(&database, &bank, &[]).unwrap_err();
    assert!(refused.contains("not empty") && refused.contains("--replace"), "{refused}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    fs::write(place.path().join(".mcprules-debug"), "theirs").unwrap();
    let done = export(&database, &bank, &["--replace"]).unwrap();
    assert_eq!(done["kept"], json!([".mcprules-debug"]));
    assert_eq!(fs::read_to_string(place.path().join(".mcprules-debug")).unwrap(), "theirs");
    let aside = PathBuf::from(done["movedAside"].as_str().unwrap());
    assert_eq!(fs::read_to_string(aside.join("mine.md")).unwrap(), "mine");
    // The backups of the previous bank stay with the new one.
    let own_file = "backups/memory-bank-backup-2026-11-20T11-00-00-000Z/mine.md";
    assert_eq!(fs::read_to_string(bank.join(own_file)).unwrap(), "older");
    assert!(over_stdio(place.path(), &[("list_memory_bank_files", json!({}))])[0].contains("latin.md"));
}

#[test]
fn pipes_and_endless_files_at_the_target_do_not_block_an_export() {
    let (database, project) = (atlas(), odd_project(1));
    import(&database, project.path(), &["--no-backups"]).unwrap();
    for there in ["mkfifo .mcprules-debug", "ln -s /dev/zero .mcprules-debug"] {
        let place = TempDir::new().unwrap();
        let made = std::process::Command::new("sh").args(["-c", there]).current_dir(place.path()).status();
        assert!(made.unwrap().success());
        let done = export(&database, place.path(), &["--replace"]).unwrap();
        assert_eq!(done["kept"], json!([".mcprules-debug"]), "{there}");
    }
}

#[test]
fn a_backup_file_restores_a_project_and_a_damaged_or_newer_one_changes_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let (database, project) = (atlas(), odd_project(20));
    import(&database, project.path(), &[]).unwrap();
    let place = TempDir::new().unwrap();
    let file = place.path().join("atlas.zip");
    let backup = ["backup", "--project", "atlas", "--to", file.to_str().unwrap()];
    operate(&database, &backup).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    assert!(operate(&database, &backup).unwrap_err().contains("exists already"));

    let restore = |file: &Path| {
        operate(&database, &["restore", "--project", "atlas", "--from", file.to_str().unwrap()])
    };
    database.psql("DELETE FROM documents; DELETE FROM graph_entities; DELETE FROM app.files");
    let whole = fs::read(&file).unwrap();
    let broken = place.path().join("broken.zip");
    for (what, bytes) in [
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("changed", {
            // The changed bit is in the content of a file, since some header bits are never read.
            let mut bytes = whole.clone();
            let name = b"memory-bank/large.md";
            let begin = bytes.windows(name.len()).position(|some| some == name).unwrap() + name.len();
            bytes[begin + 200] ^= 0x40;
            bytes
        }),
        ("other", b"hello".to_vec()),
    ] {
        fs::write(&broken, bytes).unwrap();
        let refused = restore(&broken).unwrap_err();
        assert!(refused.contains("damaged") || refused.contains("manifest"), "{what}: {refused}");
    }
    assert_eq!(database.psql("SELECT count(*) FROM documents"), "0");
    let done = restore(&file).unwrap();
    assert_eq!(done["documents"]["added"], json!(9));
    // Into another, empty database as well.
    let other = atlas();
    operate(&other, &["restore", "--project", "atlas", "--from", file.to_str().unwrap()]).unwrap();
    for database in [&database, &other] {
        let back = TempDir::new().unwrap();
        export(database, &back.path().join("p"), &[]).unwrap();
        assert_eq!(files(&back.path().join("p")), exported(project.path()));
        let log = |root: &Path| fold(&root.join("memory-bank/graph/graph.jsonl"));
        assert_eq!(log(&back.path().join("p")), log(project.path()));
    }
}

#[test]
fn a_pipe_is_refused_as_a_backup_file_without_waiting() {
    let (database, place) = (atlas(), TempDir::new().unwrap());
    let pipe = place.path().join("atlas.zip");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let refused =
        operate(&database, &["restore", "--project", "atlas", "--from", pipe.to_str().unwrap()]).unwrap_err();
    assert!(refused.contains("is not a file of at most"), "{refused}");
}

#[test]
fn a_transfer_requires_a_member_with_the_right_role() {
    let (database, project) = (atlas(), odd_project(1));
    operate(&database, &["users", "create", "bob"]).unwrap();
    assert!(import(&database, project.path(), &["--user", "bob"]).unwrap_err().contains("not a member"));
    operate(&database, &["members", "add", "--project", "atlas", "--user", "bob", "--role", "viewer"])
        .unwrap();
    assert!(import(&database, project.path(), &["--user", "bob"]).unwrap_err().contains("higher role"));
    operate(&database, &["members", "add", "--project", "atlas", "--user", "bob", "--role", "editor"])
        .unwrap();
    import(&database, project.path(), &["--user", "bob"]).unwrap();
    assert!(
        import(&database, project.path(), &["--user", "bob", "--replace"])
            .unwrap_err()
            .contains("higher role")
    );
    assert!(
        operate(&database, &["export", "--project", "none", "--to", "x"]).unwrap_err().contains("no project")
    );
}
