//! Import of the file of the reference memory server, and commands that change a bank in read-only mode.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use crate::client::command;
use crate::transfer::{atlas, files, import, over_stdio};

/// The file of the reference memory server.
const MEMORY: &str = concat!(
    r#"{"type":"entity","name":"Auth","entityType":"service","observations":["uses JWT","in Rust"]}"#,
    "\n",
    r#"{"type":"entity","name":"Postgres","entityType":"database","observations":["version 18"]}"#,
    "\n",
    r#"{"type":"relation","from":"Auth","to":"Postgres","relationType":"reads from"}"#,
    "\n"
);

#[test]
fn a_file_of_the_reference_memory_server_is_imported_into_a_project() {
    let (database, place) = (atlas(), TempDir::new().unwrap());
    let file = place.path().join("memory.json");
    fs::write(&file, MEMORY).unwrap();
    let tried = import(&database, &file, &["--dry-run"]).unwrap();
    assert_eq!((&tried["moved"]["entities"], &tried["moved"]["observations"]), (&json!(2), &json!(3)));
    import(&database, &file, &[]).unwrap();
    // An item added twice exists once.
    import(&database, &file, &["--merge"]).unwrap();
    let counts =
        "SELECT (SELECT count(*) FROM graph_entities) || ' ' || (SELECT count(*) FROM graph_relations)";
    assert_eq!(database.psql(counts), "2 1");
    fs::write(&file, format!("{MEMORY}nonsense\n")).unwrap();
    let refused = import(&database, &file, &["--replace"]).unwrap_err();
    assert!(refused.contains("line 4"), "{refused}");
    for text in ["", "{}", "# Notes\n"] {
        fs::write(&file, text).unwrap();
        let refused = import(&database, &file, &["--replace"]).unwrap_err();
        assert!(refused.contains("reference memory server"), "{refused}");
    }
    assert_eq!(database.psql(counts), "2 1");
}

#[test]
fn a_file_of_the_reference_memory_server_is_offered_and_imported_into_a_folder() {
    let place = TempDir::new().unwrap();
    fs::create_dir(place.path().join("memory-bank")).unwrap();
    fs::write(place.path().join("memory-bank/progress.md"), "# Progress\n").unwrap();
    let search = || {
        let calls =
            [("graph_search", json!({"query": "Auth"})), ("graph_open_nodes", json!({"nodes": ["Auth"]}))];
        over_stdio(place.path(), &calls)
    };
    assert!(search().iter().all(|text| !text.contains("import --from")));
    fs::write(place.path().join("memory.json"), MEMORY).unwrap();
    for text in search() {
        assert!(text.contains("import --from memory.json"), "{text}");
    }
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_memory-bank-mcp"))
            .args(arguments)
            .current_dir(place.path())
            .env_clear()
            .env("HOME", place.path().join("home"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), text + &String::from_utf8_lossy(&output.stderr))
    };
    let (done, text) = run(&["import", "--from", "memory.json", "--dry-run"]);
    assert!(done && text.contains("dry run") && !place.path().join("memory-bank/graph").exists(), "{text}");
    let (done, text) = run(&["import", "--from", "memory.json"]);
    assert!(
        done && text.contains("2 entities, 3 observations (0 were there already), 1 relations"),
        "{text}"
    );
    let (done, text) = run(&["import", "--from", "memory.json"]);
    assert!(done && text.contains("0 observations (3 were there already)"), "{text}");
    let found = search();
    assert!(found[1].contains("uses JWT") && !found[1].contains("import --from"), "{}", found[1]);
    // A folder can be imported into a database only.
    let (done, text) = run(&["import", "--from", "."]);
    assert!(!done && text.contains("--project"), "{text}");
    // Like the log, it is named by its kind.
    fs::write(place.path().join("memory-bank/graph/graph.jsonl"), MEMORY).unwrap();
    let text = &search()[1];
    assert!(text.contains("reference memory server") && text.contains("import --from"), "{text}");
}

#[test]
fn commands_that_change_a_bank_are_refused_when_read_only() {
    let place = TempDir::new().unwrap();
    fs::create_dir(place.path().join("memory-bank")).unwrap();
    fs::write(place.path().join("memory-bank/progress.md"), "# Progress\n").unwrap();
    fs::write(place.path().join("memory.json"), MEMORY).unwrap();
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = command(&place, variables).args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let before = files(place.path());
    for (flag, variables) in [(&["--read-only"][..], &[][..]), (&[], &[("MEMORY_BANK_READ_ONLY", "1")])] {
        for arguments in [
            &["import", "--from", "memory.json"][..],
            &["import", "--from", "memory.json", "--project", "atlas"],
            &["restore", "--project", "atlas", "--from", "x.zip"],
            &["export", "--project", "atlas", "--to", ".", "--replace"],
        ] {
            let (done, text) = run(&[flag, arguments].concat(), variables);
            assert!(
                !done && text.contains("read-only") && text.contains(arguments[0]),
                "{arguments:?}: {text}"
            );
        }
        assert_eq!(files(place.path()), before);
        let dry = ["import", "--from", "memory.json", "--dry-run"];
        assert!(run(&[flag, &dry[..]].concat(), variables).0);
    }
    assert!(!place.path().join("memory-bank/graph").exists());
    assert!(run(&["import", "--from", "memory.json"], &[]).0);
    assert!(place.path().join("memory-bank/graph").exists());
}
