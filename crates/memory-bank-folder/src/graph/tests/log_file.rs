//! Logs that are torn, edited, damaged or large.

use super::*;

#[tokio::test]
async fn a_torn_last_line_loses_nothing_else_and_the_next_append_survives() {
    let (_temp, bank) = bank();
    upsert(&bank, "Before").await;
    append_raw(&bank, TORN);
    assert_eq!(names(&bank).await, ["Before"]);
    upsert(&bank, "After").await;
    assert_eq!(names(&bank).await, ["Before", "After"]);
    assert_eq!(afresh(&bank).await.entities.len(), 2);
    assert!(text(&bank).contains(&format!("{TORN}\n")));
}

#[tokio::test]
async fn a_log_cut_at_any_byte_keeps_its_whole_lines_and_takes_the_next_event() {
    let (_temp, whole) = bank();
    upsert(&whole, "A").await;
    upsert(&whole, "B").await;
    let log = text(&whole);
    let ends: Vec<usize> = log.match_indices('\n').map(|(at, _)| at).collect();
    for cut in 0..=log.len() {
        let (_temp, bank) = bank();
        write_log(&bank, &log.as_bytes()[..cut]);
        // A complete line counts, with or without its line feed.
        let expected: Vec<&str> = [(1, "A"), (2, "B")]
            .into_iter()
            .filter(|(line, _)| cut >= ends[*line])
            .map(|(_, name)| name)
            .collect();
        assert_eq!(names(&bank).await, expected, "cut at {cut}");
        upsert(&bank, "New").await;
        assert_eq!(names(&bank).await, [&expected[..], &["New"]].concat(), "after an append, cut at {cut}");
        assert_eq!(names(&open(bank.path())).await, names(&bank).await, "read anew, cut at {cut}");
        assert_eq!(text(&bank).lines().next(), Some(MARKER), "cut at {cut}");
    }
}

#[tokio::test]
async fn a_log_of_the_typescript_server_is_read_and_compacted_without_loss() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/original-project/memory-bank/graph/graph.jsonl");
    let (_temp, bank) = bank();
    write_log(&bank, std::fs::read(fixture).unwrap());
    let before = bank.export(&me()).await.unwrap();
    assert_eq!((before.entities.len(), before.relations.len()), (6, 2));
    let orphan = before.observations.iter().any(|one| before.entities.iter().all(|e| e.id != one.entity_id));
    assert!(orphan);
    assert!(before.observations.iter().any(|one| one.timestamp == "March 7, 2021"));
    bank.compact(&me()).await.unwrap();
    assert_eq!(afresh(&bank).await, before);
}

#[tokio::test]
async fn an_edited_log_takes_precedence_and_damaged_derived_files_are_not_read() {
    let (_temp, bank) = bank();
    upsert(&bank, "Rust").await;
    bank.rebuild(&me()).await.unwrap();
    std::fs::write(bank.path().join("graph/graph.snapshot.json"), r#"{"junk":1}"#).unwrap();
    let edited = text(&bank).replace(r#""name":"Rust""#, r#""name":"Dust""#);
    std::thread::sleep(Duration::from_millis(20));
    write_log(&bank, &edited);
    assert_eq!(names(&bank).await, ["Dust"]);
    assert_eq!(afresh(&bank).await.entities[0].name, "Dust");
    bank.rebuild(&me()).await.unwrap();
    let snapshot = std::fs::read_to_string(bank.path().join("graph/graph.snapshot.json")).unwrap();
    assert!(snapshot.contains(r#""name": "Dust""#));
}

#[tokio::test]
async fn a_foreign_or_missing_marker_is_reported_with_its_line_and_the_file_is_not_changed() {
    let event = r#"{"type":"entity_upsert","entity":{"id":"ent_1","name":"n","entityType":"t","createdAt":"1","updatedAt":"1"},"ts":"1"}"#;
    let foreign = r#"{"type":"memory_bank_graph","source":"other","version":"1"}"#;
    let newer = MARKER.replace(r#""1""#, r#""2""#);
    for (log, line) in [
        (format!("{foreign}\n{event}\n"), "line 1"),
        (format!("\n\n{newer}\n"), "line 3"),
        (format!("{event}\n"), "line 1"),
        ("half a".to_owned(), "line 1"),
    ] {
        let (_temp, bank) = bank();
        write_log(&bank, &log);
        let is_told = |error: GraphError| match error {
            GraphError::Store(StoreError::Damaged { what, detail }) => {
                what == "graph/graph.jsonl" && detail.starts_with(line)
            }
            _ => false,
        };
        assert!(is_told(bank.stats(&me()).await.unwrap_err()));
        assert!(is_told(bank.upsert_entity(&me(), draft("N", &Value::Null)).await.unwrap_err()));
        assert!(is_told(bank.compact(&me()).await.unwrap_err()));
        assert!(is_told(bank.rebuild(&me()).await.unwrap_err()));
        assert_eq!(text(&bank), log);
        write_log(&bank, format!("{MARKER}\n{event}\n"));
        assert_eq!(names(&bank).await, ["n"]);
    }
}

#[tokio::test]
async fn a_running_server_detects_a_marker_that_became_foreign() {
    let (_temp, bank) = bank();
    upsert(&bank, "A").await;
    let log = text(&bank);
    write_log(&bank, log.replace("memory-bank-mcp", "another"));
    assert!(bank.stats(&me()).await.is_err());
    write_log(&bank, &log);
    assert_eq!(names(&bank).await, ["A"]);
}

#[tokio::test]
async fn an_append_neither_reads_nor_writes_existing_lines() {
    let (_temp, bank) = bank();
    let id = upsert(&bank, "A").await;
    let line = |n: usize| {
        format!(
            r#"{{"type":"observation_add","observation":{{"id":"obs_{n:08}","entityId":"{id}","text":"fact {n}","timestamp":"2026"}},"ts":"2026"}}"#
        )
    };
    let many: Vec<String> = (0..20_000).map(line).collect();
    append_raw(&bank, &(many.join("\n") + "\n"));
    assert_eq!(bank.stats(&me()).await.unwrap().observation_count, 20_000);
    // Were the log read or written again, this line in its middle would be noticed.
    let size = std::fs::metadata(log_of(&bank)).unwrap().len();
    spoil(&log_of(&bank), size / 2);
    for n in 0..20 {
        bank.add_observation(&me(), &named("A"), fact(&format!("new {n}"))).await.unwrap();
    }
    assert_eq!(bank.stats(&me()).await.unwrap().observation_count, 20_020);
    let grown = std::fs::metadata(log_of(&bank)).unwrap().len() - size;
    assert!(grown < 20 * 400, "{grown} bytes for twenty facts");
    assert!(!bank.path().join("graph/graph.snapshot.json").exists());
    assert!(open(bank.path()).stats(&me()).await.unwrap().observation_count < 20_020);
}

/// Overwrites a byte and puts the file's time back.
fn spoil(path: &Path, at: u64) {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(b"\n{\n").unwrap();
    file.set_modified(modified).unwrap();
}

#[tokio::test]
async fn logs_of_editors_are_read_whatever_their_line_ends() {
    let (_temp, bank) = bank();
    upsert(&bank, "A").await;
    upsert(&bank, "B").await;
    let log = text(&bank);
    for form in [
        log.replace('\n', "\r\n"),
        log.trim_end().to_owned(),
        format!("\u{feff}{log}"),
        log.replace('\n', "\n\n"),
        format!("\n{MARKER}\n{log}"),
    ] {
        write_log(&bank, &form);
        assert_eq!(names(&bank).await, ["A", "B"], "{form:?}");
        upsert(&bank, "C").await;
        assert_eq!(names(&bank).await, ["A", "B", "C"], "{form:?}");
        assert_eq!(afresh(&bank).await.entities.len(), 3, "{form:?}");
        assert!(text(&bank).starts_with(form.trim_end()), "{form:?}");
    }
}

#[tokio::test]
async fn a_log_that_an_editor_extended_elsewhere_is_read_again() {
    let (_temp, bank) = bank();
    upsert(&bank, "Rust").await;
    upsert(&bank, "Axum").await;
    let edited = text(&bank).replace(r#""name":"Rust""#, r#""name":"Rust, the language""#);
    write_log(&bank, &edited);
    assert_eq!(names(&bank).await, ["Rust, the language", "Axum"]);
}

#[tokio::test]
async fn a_line_that_grew_after_it_was_read_as_complete_is_not_accepted() {
    let (_temp, bank) = bank();
    upsert(&bank, "A").await;
    let whole = text(&bank);
    write_log(&bank, whole.trim_end());
    assert_eq!(names(&bank).await, ["A"]);
    append_raw(&bank, "glued\n");
    assert!(names(&bank).await.is_empty());
}
