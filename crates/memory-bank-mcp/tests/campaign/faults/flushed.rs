//! What a folder has when the power fails: before each reply of a change, all that it wrote has been flushed, and all names that it
//! made or removed. The system calls of the program are recorded by strace.

mod system_calls;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use self::system_calls::{Fault, faults};
use crate::harness::stdio::Process;
use crate::harness::tool_call::Outcome;

/// Changes of each kind that a folder makes.
fn changes() -> Vec<(&'static str, Value)> {
    let write =
        |name: &str, text: &str| ("write_memory_bank_file", json!({"filename": name, "content": text}));
    let append = json!([{"op": "append", "heading": "Notes", "text": "- appended"}]);
    vec![
        write("notes.md", "# Notes\n"),
        write("adr/2026/0001.md", "# One\n"),
        write("adr/2026/0002.md", "# Two\n"),
        ("edit_memory_bank_file", json!({"filename": "notes.md", "edits": append})),
        ("rename_memory_bank_file", json!({"filename": "adr/2026/0002.md", "newFilename": "old/0002.md"})),
        ("delete_memory_bank_file", json!({"filename": "adr/2026/0001.md"})),
        (
            "batch_write_files",
            json!({"files": [{"filename": "a.md", "content": "# A\n"}, {"filename": "b/c.md", "content": "# C\n"}]}),
        ),
        ("track_progress", json!({"action": "Flushed", "description": "all of it"})),
        ("update_tasks", json!({"add": ["flush"]})),
        ("log_decision", json!({"title": "Flush", "context": "power", "decision": "before the reply"})),
        (
            "graph_batch",
            json!({
                "entities": [{"name": "Disk", "entityType": "thing"}, {"name": "Power", "entityType": "thing"}],
                "observations": [{"entity": "Disk", "text": "is flushed"}],
                "relations": [{"from": "Disk", "relationType": "needs", "to": "Power"}],
            }),
        ),
        ("graph_add_observation", json!({"entity": "Disk", "text": "forgets"})),
        ("graph_delete_entity", json!({"entity": "Power"})),
        ("graph_maintain", json!({"operation": "compact"})),
        ("create_backup", json!({})),
        ("history", json!({"action": "restore", "filename": "notes.md", "version": 1})),
    ]
}

/// The record of a process that makes all changes in a new bank; the folder of the project.
fn recorded(record: &Path) -> TempDir {
    let temp = TempDir::new().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["--follow-forks", "--quiet=all", "--decode-fds=path", "--string-limit=80"]);
    strace.arg(format!("--trace={}", system_calls::TRACED)).arg("--output").arg(record);
    let mut process = Process::start_under(strace, temp.path(), &[("MEMORY_BANK_STATE_DIR", state(&temp))]);
    for (tool, arguments) in
        [("initialize_memory_bank", json!({"path": temp.path()}))].into_iter().chain(changes())
    {
        let done = process.call(tool, &arguments);
        assert!(matches!(done, Outcome::Done(_)), "{tool}: {done:?}");
    }
    let Outcome::Done(backups) = process.call("create_backup", &json!({"listOnly": true})) else {
        panic!("no backups")
    };
    let backups = backups.to_string();
    let id = backups.split(['"', '\\']).find(|part| part.starts_with("memory-bank-backup-")).unwrap();
    let restore = json!({"backupId": id, "createPreRestoreBackup": true});
    let done = process.call("restore_backup", &restore);
    assert!(matches!(done, Outcome::Done(_)), "{done:?}");
    process.end();
    temp
}

fn state(temp: &TempDir) -> String {
    temp.path().join("state").display().to_string()
}

#[test]
fn every_change_of_a_folder_is_flushed_before_its_reply() {
    if Command::new("strace").arg("-V").output().is_err() {
        assert!(
            std::env::var_os("CI").is_none(),
            "strace is missing; `./scripts/setup databases` installs it"
        );
        eprintln!("skipped: strace is missing");
        return;
    }
    let place = TempDir::new().unwrap();
    let record = place.path().join("record");
    let project = recorded(&record);
    let text = std::fs::read_to_string(&record).unwrap();
    let project = project.path().canonicalize().unwrap();
    let found = faults(&text, &project);
    assert_eq!(found, [], "not flushed before the reply");
    // The same record without a kind of flush shows a fault.
    for flush in ["fsync(", "fdatasync("] {
        let kept: Vec<&str> = text.lines().filter(|line| !line.contains(flush)).collect();
        assert_ne!(faults(&kept.join("\n"), &project), [] as [Fault; 0], "{flush}");
    }
}
