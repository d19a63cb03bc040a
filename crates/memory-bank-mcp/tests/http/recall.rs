//! `bench recall`, run as people run it: on a bank with questions, through the program itself.

use serde_json::Value;
use tempfile::TempDir;

use crate::client::command;

fn bank(folder: &TempDir, questions: &str) {
    let bank = folder.path().join("set/memory-bank");
    std::fs::create_dir_all(&bank).unwrap();
    std::fs::write(
        bank.join("notes.md"),
        "# Notes\n\n- Anna moved to Bergen\n- Ben sold the boat\n- the roof leaks\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("set/questions.json"), questions).unwrap();
}

#[test]
fn the_recall_command_measures_custom_documents_and_questions() {
    let folder = TempDir::new().unwrap();
    bank(
        &folder,
        r#"[{"question": "Where did Anna move?", "answers": [{"file": "notes.md", "line": 3}]},
            {"question": "What was sold by Ben?", "answers": [{"file": "notes.md", "text": "sold the boat"}]},
            {"question": "unrelated zebra", "answers": [{"file": "notes.md", "line": 5}]}]"#,
    );
    let before = std::fs::read_dir(folder.path().join("set/memory-bank")).unwrap().count();
    let output =
        command(&folder, &[]).args(["--json", "bench", "recall", "set", "--missed"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let measured: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(measured["questions"], 3);
    let share = |at: &str| measured["recall"][at].as_f64().unwrap();
    assert!((share("1") - 2.0 / 3.0).abs() < 1e-9, "{measured}");
    assert_eq!(measured["missed"], serde_json::json!(["unrelated zebra"]));
    assert!(measured["replyCharacters"].as_f64().unwrap() > 100.0);
    assert!(measured["latencyMs"]["p95"].as_f64().unwrap() > 0.0);
    assert_eq!(std::fs::read_dir(folder.path().join("set/memory-bank")).unwrap().count(), before);
}

#[test]
fn an_answer_missing_from_the_documents_is_an_error_and_not_a_miss() {
    let folder = TempDir::new().unwrap();
    bank(&folder, r#"[{"question": "q", "answers": [{"file": "notes.md", "text": "no such text"}]}]"#);
    let output = command(&folder, &[]).args(["bench", "recall", "set"]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("no line of `notes.md` contains the text"), "{error}");
}
