//! The graph on disk, changed through the trait of the store: the lines of the log, and the state that follows.

mod log_file;
mod processes;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::graph::ObservationSource;
use memory_bank_core::graph::event::MARKER;
use memory_bank_core::limits::REPLY_BYTES;
use memory_bank_core::store::{
    EntityDraft, EntityRef, GraphStats, GraphStore, NoSink, ObservationDraft, PointerDraft, Subgraph,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bank::{Deps, FolderBank};

const TORN: &str = r#"{"type":"entity_upsert","entity":{"id":"ent_torn"#;
const FUTURE: &str = r#"{"type":"future_event","ts":"2020-01-01"}"#;

fn open(path: &Path) -> Arc<FolderBank> {
    let deps =
        Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink: Arc::new(NoSink) };
    let project = path.parent().unwrap_or(path).to_owned();
    Arc::new(FolderBank::new(path.to_owned(), project, deps))
}

fn bank() -> (TempDir, Arc<FolderBank>) {
    let temp = TempDir::new().unwrap();
    let bank = open(&temp.path().join("memory-bank"));
    std::fs::create_dir_all(bank.path()).unwrap();
    (temp, bank)
}

fn log_of(bank: &FolderBank) -> PathBuf {
    bank.path().join("graph/graph.jsonl")
}

fn text(bank: &FolderBank) -> String {
    std::fs::read_to_string(log_of(bank)).unwrap()
}

fn write_log(bank: &FolderBank, text: impl AsRef<[u8]>) {
    std::fs::create_dir_all(bank.path().join("graph")).unwrap();
    std::fs::write(log_of(bank), text).unwrap();
}

fn append_raw(bank: &FolderBank, more: &str) {
    use std::io::Write;
    std::fs::OpenOptions::new().append(true).open(log_of(bank)).unwrap().write_all(more.as_bytes()).unwrap();
}

fn me() -> Caller {
    Caller::local("alice")
}

fn named(name: &str) -> EntityRef {
    EntityRef(name.to_owned())
}

fn fact(text: &str) -> ObservationDraft {
    ObservationDraft { text: text.to_owned(), ..ObservationDraft::default() }
}

fn draft(name: &str, attrs: &Value) -> EntityDraft {
    EntityDraft { name: name.to_owned(), entity_type: "t".to_owned(), attrs: attrs.as_object().cloned() }
}

async fn upsert(bank: &FolderBank, name: &str) -> String {
    bank.upsert_entity(&me(), draft(name, &Value::Null)).await.unwrap().id
}

async fn names(bank: &FolderBank) -> Vec<String> {
    bank.export(&me()).await.unwrap().entities.into_iter().map(|entity| entity.name).collect()
}

async fn texts(bank: &FolderBank) -> Vec<String> {
    bank.export(&me()).await.unwrap().observations.into_iter().map(|one| one.text).collect()
}

/// The state that a new process reads.
async fn afresh(bank: &FolderBank) -> Subgraph {
    open(bank.path()).export(&me()).await.unwrap()
}

#[tokio::test]
async fn the_first_write_creates_the_log_with_its_marker_and_one_line_per_event() {
    let (_temp, bank) = bank();
    assert_eq!(bank.summary(&me(), None).await.unwrap(), None);
    assert!(!log_of(&bank).exists());
    let id = upsert(&bank, "Rust").await;
    let text = text(&bank);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], MARKER);
    assert!(
        lines[1].starts_with(&format!(r#"{{"type":"entity_upsert","entity":{{"id":"{id}","name":"Rust","#))
    );
    assert_eq!((lines.len(), text.ends_with('\n')), (2, true));
    assert_eq!(bank.summary(&me(), None).await.unwrap().unwrap().stats.entity_count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_first_calls_all_succeed() {
    let (_temp, bank) = bank();
    let other = open(bank.path());
    let calls = (0..30).map(|n| {
        let bank = Arc::clone(if n % 2 == 0 { &bank } else { &other });
        tokio::spawn(async move { bank.upsert_entity(&me(), draft(&format!("e{n}"), &Value::Null)).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert_eq!(names(&bank).await.len(), 30);
    assert_eq!(names(&other).await.len(), 30);
    assert_eq!(text(&bank).matches(MARKER).count(), 1);
}

#[tokio::test]
async fn deleting_by_a_part_of_a_name_or_a_blank_deletes_nothing() {
    let (_temp, bank) = bank();
    let id = upsert(&bank, "Alpha").await;
    for name in ["lph", "   ", "Alph"] {
        assert!(matches!(
            bank.delete_entity(&me(), &named(name)).await,
            Err(GraphError::EntityNotFound { .. })
        ));
    }
    assert_eq!(names(&bank).await, ["Alpha"]);
    assert_eq!(bank.delete_entity(&me(), &named(" ALPHA ")).await.unwrap().entity.id, id);
    assert!(names(&bank).await.is_empty());
}

#[tokio::test]
async fn an_upsert_without_attributes_keeps_them() {
    let (_temp, bank) = bank();
    bank.upsert_entity(&me(), draft("Rust", &json!({"a": 1, "b": 2}))).await.unwrap();
    let created = bank.export(&me()).await.unwrap().entities.remove(0).created_at;
    bank.upsert_entity(&me(), draft("rust", &Value::Null)).await.unwrap();
    bank.upsert_entity(&me(), draft("RUST", &json!({"b": null, "c": 3}))).await.unwrap();
    let entity = afresh(&bank).await.entities.remove(0);
    assert_eq!(json!(entity.attrs), json!({"a": 1, "c": 3}));
    assert_eq!((entity.name.as_str(), entity.created_at), ("RUST", created));
}

#[tokio::test]
async fn compaction_keeps_the_state_and_every_line_that_is_not_understood() {
    let (_temp, bank) = bank();
    for name in ["A", "B", "A"] {
        upsert(&bank, name).await;
        append_raw(&bank, &format!("{FUTURE}\r\n{TORN}\n"));
    }
    bank.add_observation(&me(), &named("A"), fact("one")).await.unwrap();
    bank.link(&me(), &named("A"), "r", &named("B")).await.unwrap();
    let before = bank.export(&me()).await.unwrap();
    let generation = bank.with_graph(|state| state.generation()).unwrap();
    let counts = bank.compact(&me()).await.unwrap();
    assert_eq!((counts.before, counts.after), (12, 12));
    assert_eq!(text(&bank).matches(FUTURE).count(), 3);
    assert_eq!(text(&bank).matches(TORN).count(), 3);
    assert!(text(&bank).trim_end().lines().last().unwrap().starts_with(r#"{"type":"snapshot_written""#));
    assert_eq!(bank.export(&me()).await.unwrap(), before);
    assert_eq!(afresh(&bank).await, before);
    assert_eq!(bank.with_graph(|state| state.generation()).unwrap(), generation);
    assert_eq!(bank.compact(&me()).await.unwrap().after, counts.after);
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_beside_document_pointers_of_another_instance_loses_none() {
    let (_temp, bank) = bank();
    upsert(&bank, "A").await;
    let other = open(bank.path());
    let pointing = tokio::spawn(async move {
        for n in 0..15 {
            let pointer = PointerDraft { path: format!("d{n}.md"), heading: None, note: None };
            other.add_pointer(&me(), &named("A"), pointer).await.unwrap();
        }
    });
    for _ in 0..15 {
        bank.compact(&me()).await.unwrap();
    }
    pointing.await.unwrap();
    assert_eq!(texts(&bank).await.len(), 15);
    let attrs = afresh(&bank).await.entities.remove(0).attrs.unwrap();
    assert_eq!(attrs["docPointers"].as_array().unwrap().len(), 15);
}

#[tokio::test]
async fn a_node_whose_name_looks_like_an_id_can_be_opened_and_unknown_ids_are_reported() {
    let (_temp, bank) = bank();
    upsert(&bank, "ent_fake").await;
    let opened = bank
        .open(&me(), &[named("ent_fake")], 1, REPLY_BYTES, memory_bank_core::graph::FactView::ALL)
        .await
        .unwrap();
    assert_eq!(opened.entities[0].name, "ent_fake");
    match bank
        .open(
            &me(),
            &[named("ent_missing"), named(""), named("ent_fake")],
            1,
            REPLY_BYTES,
            memory_bank_core::graph::FactView::ALL,
        )
        .await
    {
        Err(GraphError::EntitiesNotFound { missing, .. }) => assert_eq!(missing, ["ent_missing", ""]),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn unlinking_trims_the_type_and_reports_whether_a_relation_existed() {
    let (_temp, bank) = bank();
    upsert(&bank, "A").await;
    upsert(&bank, "B").await;
    let first = bank.link(&me(), &named("A"), "Uses", &named("B")).await.unwrap();
    let again = bank.link(&me(), &named("a"), " uses ", &named("b")).await.unwrap();
    assert_eq!(first, again);
    let lines = text(&bank).lines().count();
    let unlink = async || bank.unlink(&me(), &named("A"), "  USES ", &named("B")).await.unwrap().removed;
    assert!(unlink().await);
    assert!(!unlink().await);
    assert_eq!(text(&bank).lines().count(), lines + 1);
    assert_eq!(bank.stats(&me()).await.unwrap().relation_count, 0);
}

#[tokio::test]
async fn an_observation_is_stored_once_with_its_source_and_normalised_timestamp() {
    let (_temp, bank) = bank();
    upsert(&bank, "A").await;
    let draft = || ObservationDraft {
        text: " fact ".to_owned(),
        source: ObservationSource::from_text("docs page"),
        timestamp: Some("2026-11-22T10:00:00+01:00".to_owned()),
        ..ObservationDraft::default()
    };
    let first = bank.add_observation(&me(), &named("A"), draft()).await.unwrap().observation;
    let lines = text(&bank).lines().count();
    let again = bank.add_observation(&me(), &named("A"), draft()).await.unwrap();
    assert_eq!((again.existed, &again.observation), (true, &first));
    assert_eq!(text(&bank).lines().count(), lines);
    assert_eq!((first.text.as_str(), first.timestamp.as_str()), ("fact", "2026-11-22T09:00:00.000Z"));
    assert!(text(&bank).contains(r#""source":{"kind":"manual","ref":"docs page"}"#));
    let odd = ObservationDraft { timestamp: Some("1".to_owned()), ..fact("x") };
    assert!(matches!(bank.add_observation(&me(), &named("A"), odd).await, Err(GraphError::Invalid(_))));
}

#[tokio::test]
async fn a_replayed_session_adds_no_line_to_the_log_and_a_log_with_doubles_keeps_them() {
    let (_temp, bank) = bank();
    upsert(&bank, "A").await;
    let pointer = PointerDraft { path: "a.md".into(), heading: None, note: None };
    for n in 0..50 {
        bank.add_observation(&me(), &named("A"), fact(&format!("fact {n}"))).await.unwrap();
    }
    bank.add_pointer(&me(), &named("A"), pointer.clone()).await.unwrap();
    let log = text(&bank);
    // By this process, and by one that has read the log.
    for replica in [&bank, &open(bank.path())] {
        for n in 0..50 {
            assert!(
                replica
                    .add_observation(&me(), &named("A"), fact(&format!("fact {n}")))
                    .await
                    .unwrap()
                    .existed
            );
        }
        assert!(replica.add_pointer(&me(), &named("A"), pointer.clone()).await.unwrap().existed);
    }
    assert_eq!(text(&bank), log);
    // An earlier version has written the same fact twice; both stay, and it comes no third time.
    let line = log.lines().find(|line| line.contains("fact 7\"")).unwrap();
    let double = line.replacen("\"id\":\"obs_", "\"id\":\"obs_double", 1);
    write_log(&bank, format!("{log}{double}\n"));
    assert!(bank.add_observation(&me(), &named("A"), fact("fact 7")).await.unwrap().existed);
    assert_eq!(texts(&bank).await.iter().filter(|text| *text == "fact 7").count(), 2);
    bank.compact(&me()).await.unwrap();
    assert_eq!(texts(&bank).await.iter().filter(|text| *text == "fact 7").count(), 2);
    assert!(bank.add_observation(&me(), &named("A"), fact("fact 7")).await.unwrap().existed);
}

#[tokio::test]
async fn an_observation_is_deleted_only_for_its_owner() {
    let (_temp, bank) = bank();
    upsert(&bank, "Alpha").await;
    upsert(&bank, "Beta").await;
    let id = bank.add_observation(&me(), &named("Alpha"), fact("one")).await.unwrap().observation.id;
    let beta = named("Beta");
    assert!(matches!(bank.delete_observation(&me(), &id, Some(&beta)).await, Err(GraphError::Invalid(_))));
    assert_eq!(texts(&bank).await, ["one"]);
    assert_eq!(bank.delete_observation(&me(), &id, None).await.unwrap().text, "one");
    assert!(matches!(
        bank.delete_observation(&me(), &id, None).await,
        Err(GraphError::ObservationNotFound(missing)) if missing == id
    ));
}

#[tokio::test]
async fn a_pointer_is_added_to_the_named_node() {
    let (_temp, bank) = bank();
    upsert(&bank, "Auth").await;
    let library = EntityDraft { name: "Auth".into(), entity_type: "library".into(), attrs: None };
    let library = bank.upsert_entity(&me(), library).await.unwrap();
    let pointer = PointerDraft { path: "a.md".into(), heading: Some("H".into()), note: Some("why".into()) };
    assert!(matches!(
        bank.add_pointer(&me(), &named("Auth"), pointer.clone()).await,
        Err(GraphError::Ambiguous { .. })
    ));
    let pointed = bank.add_pointer(&me(), &named("auth [Library]"), pointer).await.unwrap();
    assert_eq!((&pointed.entity.id, &pointed.observation.entity_id), (&library.id, &library.id));
    assert_eq!(afresh(&bank).await.observations[0].text, "DOC: a.md # H — why");
}

#[tokio::test]
async fn the_derived_files_are_refreshed_when_the_graph_is_idle() {
    let (_temp, bank) = bank();
    upsert(&bank, "Rust").await;
    let page = bank.path().join("graph/graph.md");
    assert!(!page.exists());
    for _ in 0..100 {
        if page.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(std::fs::read_to_string(page).unwrap().contains("#### Rust"));
    let index = std::fs::read_to_string(bank.path().join("graph/graph.index.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&index).unwrap()["lastEventLineCount"], 2);
}

#[tokio::test]
async fn a_refresh_does_not_recreate_a_deleted_bank() {
    let (_temp, bank) = bank();
    upsert(&bank, "Rust").await;
    std::fs::remove_dir_all(bank.path()).unwrap();
    tokio::time::sleep(super::folder_graph::QUIET_TIME + Duration::from_millis(500)).await;
    assert!(!bank.path().exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn memory_and_log_agree_after_any_calls(calls in proptest::collection::vec((0..8_u8, 0..4_u8, 0..4_u8), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_temp, bank) = bank();
            let other = open(bank.path());
            for (position, (kind, a, b)) in calls.into_iter().enumerate() {
                let bank = if position % 2 == 0 { &bank } else { &other };
                let (one, two) = (named(&format!("e{a}")), named(&format!("e{b}")));
                // Many calls fail, because they name missing items; they must change nothing.
                match kind {
                    0 | 1 => drop(bank.upsert_entity(&me(), draft(&one.0, &json!({"k": b}))).await),
                    2 | 3 => drop(bank.add_observation(&me(), &one, fact(&format!("f{b}"))).await),
                    4 => drop(bank.link(&me(), &one, "r", &two).await),
                    5 => drop(bank.unlink(&me(), &one, "r", &two).await),
                    6 => drop(bank.delete_entity(&me(), &one).await),
                    _ if b == 0 => drop(bank.compact(&me()).await),
                    _ => append_raw_if_there(bank, FUTURE),
                }
            }
            let expected = afresh(&bank).await;
            prop_assert_eq!(&bank.export(&me()).await.unwrap(), &expected);
            prop_assert_eq!(&other.export(&me()).await.unwrap(), &expected);
            Ok(())
        })?;
    }
}

fn append_raw_if_there(bank: &FolderBank, line: &str) {
    if log_of(bank).exists() {
        append_raw(bank, &format!("{line}\n"));
    }
}

#[tokio::test]
#[ignore = "prints figures; run it in release"]
async fn figures() {
    for size in [100_usize, 100_000] {
        let (_temp, bank) = bank();
        let ids: Vec<String> = {
            let mut ids = Vec::new();
            for n in 0..10 {
                ids.push(upsert(&bank, &format!("e{n}")).await);
            }
            ids
        };
        let mut more = String::new();
        for n in 0..size {
            let id = &ids[n % 10];
            more.push_str(&format!(
                "{{\"type\":\"observation_add\",\"observation\":{{\"id\":\"obs_{n:012}\",\"entityId\":\"{id}\",\"text\":\"fact number {n} says that something happened in the service and was mended\",\"timestamp\":\"2026-11-22T09:30:07.062Z\"}},\"ts\":\"2026-11-22T09:30:07.062Z\"}}\n"
            ));
        }
        append_raw(&bank, &more);
        let fresh = open(bank.path());
        let begun = Instant::now();
        fresh.stats(&me()).await.unwrap();
        println!("{size}: load {:?}", begun.elapsed());
        let begun = Instant::now();
        for n in 0..200 {
            fresh.add_observation(&me(), &named("e1"), fact(&format!("new {n}"))).await.unwrap();
        }
        println!("{size}: append {:?}", begun.elapsed() / 200);
        let begun = Instant::now();
        for _ in 0..1000 {
            fresh.stats(&me()).await.unwrap();
        }
        println!("{size}: stats {:?}", begun.elapsed() / 1000);
        let begun = Instant::now();
        fresh.summary(&me(), None).await.unwrap();
        println!("{size}: summary {:?}", begun.elapsed());
        let begun = Instant::now();
        fresh.rebuild(&me()).await.unwrap();
        println!("{size}: rebuild {:?}", begun.elapsed());
        let begun = Instant::now();
        fresh.compact(&me()).await.unwrap();
        println!("{size}: compact {:?}", begun.elapsed());
    }
}

#[test]
fn a_sparse_log_is_refused_without_reading_it() {
    let (_temp, bank) = bank();
    write_log(&bank, format!("{MARKER}\n"));
    let file = std::fs::OpenOptions::new().write(true).open(log_of(&bank)).unwrap();
    file.set_len(1 << 40).unwrap();
    let (done, answer) = std::sync::mpsc::channel();
    let reader = Arc::clone(&bank);
    std::thread::spawn(move || {
        let dir = crate::dir::BankDir::open(reader.path()).unwrap();
        let _ = done.send(reader.graph.with_view(&dir, |_| Ok::<_, StoreError>(())));
    });
    // A reader that waits for the whole file would need hours on any machine.
    let read = answer.recv_timeout(Duration::from_secs(60)).expect("the log is being read");
    assert!(matches!(read, Err(StoreError::Damaged { detail, .. }) if detail.contains("at most 1073741824")));
    assert_eq!(std::fs::metadata(log_of(&bank)).unwrap().len(), 1 << 40, "it was left as it is");

    // Written lines are shorter than the longest readable line.
    file.set_len(memory_bank_core::limits::GRAPH_LOG_BYTES).unwrap();
    let dir = crate::dir::BankDir::open(bank.path()).unwrap();
    super::log::append(&dir, b"\n".to_vec(), &[], &mut super::Signer::default().for_bank(&dir)).unwrap_err();
    assert_eq!(file.metadata().unwrap().len(), memory_bank_core::limits::GRAPH_LOG_BYTES);
}

#[cfg(unix)]
#[tokio::test]
async fn an_unreachable_graph_is_not_shown_as_empty() {
    let (temp, bank) = bank();
    std::fs::create_dir(temp.path().join("outside")).unwrap();
    std::os::unix::fs::symlink("../outside", bank.path().join("graph")).unwrap();
    bank.export(&me()).await.unwrap_err();
    std::fs::remove_file(bank.path().join("graph")).unwrap();
    std::fs::write(bank.path().join("graph"), "a file").unwrap();
    bank.export(&me()).await.unwrap_err();
    std::fs::remove_file(bank.path().join("graph")).unwrap();
    bank.export(&me()).await.unwrap();
}
