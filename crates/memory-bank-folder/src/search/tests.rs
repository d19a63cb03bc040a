//! Searches in a folder while files, graph and other banks change.

use std::time::Duration;

use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::document::DocumentPath;
use memory_bank_core::limits;
use memory_bank_core::search::{IndexBudget, Query};
use memory_bank_core::store::{DocumentStore, EntityDraft, EntityRef, GraphStore, NoSink, ObservationDraft};
use tempfile::TempDir;

use super::*;
use crate::bank::Deps;

fn bank() -> (TempDir, FolderBank) {
    let temp = TempDir::new().unwrap();
    let path = temp.path().join("memory-bank");
    std::fs::create_dir_all(&path).unwrap();
    let deps =
        Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink: Arc::new(NoSink) };
    let bank = FolderBank::new(path, temp.path().to_owned(), deps);
    (temp, bank)
}

fn me() -> Caller {
    Caller::local("me")
}

fn wanted(query: &str) -> DocumentSearch {
    DocumentSearch {
        query: Query::parse(query).unwrap(),
        files: Vec::new(),
        limit: 20,
        case_sensitive: false,
        days: (None, None),
        holding_at: None,
    }
}

async fn lines(bank: &FolderBank, query: &str) -> Vec<(String, usize)> {
    let found = bank.search_documents(&me(), &wanted(query)).await.unwrap();
    found.hits.into_iter().map(|hit| (hit.file, hit.line)).collect()
}

async fn entities(bank: &FolderBank, query: &str) -> Vec<String> {
    let query = Some(Query::parse(query).unwrap());
    let found = bank
        .search_graph(
            &me(),
            &GraphSearch {
                query,
                limit: 10,
                depth: 0,
                bytes: limits::REPLY_BYTES,
                skip: memory_bank_core::store::Skip::default(),
                view: memory_bank_core::graph::FactView::ALL,
            },
        )
        .await
        .unwrap();
    found.entities.into_iter().map(|found| found.entity.name).collect()
}

#[tokio::test]
async fn the_index_follows_changes_by_an_editor() {
    let (_temp, bank) = bank();
    let file = bank.path().join("notes.md");
    std::fs::write(&file, "alpha one\n").unwrap();
    assert_eq!(lines(&bank, "alpha").await, [("notes.md".to_owned(), 1)]);
    // The same size within the same tick of the clock.
    std::fs::write(&file, "beta two!\n").unwrap();
    assert_eq!(lines(&bank, "alpha").await, []);
    assert_eq!(lines(&bank, "beta").await, [("notes.md".to_owned(), 1)]);
    std::fs::rename(&file, bank.path().join("other.md")).unwrap();
    assert_eq!(lines(&bank, "beta").await, [("other.md".to_owned(), 1)]);
    std::fs::remove_file(bank.path().join("other.md")).unwrap();
    assert_eq!(lines(&bank, "beta").await, []);
}

#[tokio::test]
async fn a_write_through_the_store_is_found_at_once() {
    let (_temp, bank) = bank();
    let path = DocumentPath::parse("notes.md").unwrap();
    for word in ["first", "second"] {
        let paths = [path.clone()];
        bank.edit(&me(), &paths, &mut |drafts| drafts.set(&path, format!("{word} thing\n"))).await.unwrap();
        assert_eq!(lines(&bank, word).await, [("notes.md".to_owned(), 1)]);
    }
    assert_eq!(lines(&bank, "first").await, []);
}

#[tokio::test]
async fn every_document_is_searched_and_unsearchable_ones_are_named() {
    let (_temp, bank) = bank();
    std::fs::write(bank.path().join("progress.md"), "- beta one\n").unwrap();
    std::fs::write(bank.path().join("Extra Notes.md"), "- beta two\n").unwrap();
    std::fs::write(bank.path().join("data.json"), "{\"beta\": \"here\"}\n").unwrap();
    std::fs::create_dir(bank.path().join("folder.md")).unwrap();
    let found = bank.search_documents(&me(), &wanted("beta")).await.unwrap();
    assert_eq!(found.searched, ["progress.md", "Extra Notes.md", "data.json"]);
    assert_eq!(found.hits.len(), 3);
    assert_eq!(found.hits[0].file, "progress.md");
    assert_eq!(found.skipped.len(), 1);
    assert_eq!(found.skipped[0].file, "folder.md");
}

#[tokio::test]
async fn names_that_are_refused_or_missing_are_skipped() {
    let (_temp, bank) = bank();
    std::fs::write(bank.path().join("my-notes.md"), "- beta here\n").unwrap();
    let files = ["myNotes.md", "../x.md", "gone.md"].map(str::to_owned).to_vec();
    let found = bank.search_documents(&me(), &DocumentSearch { files, ..wanted("beta") }).await.unwrap();
    assert_eq!(found.searched, ["myNotes.md"]);
    assert_eq!(found.hits[0].file, "my-notes.md");
    let skipped: Vec<&str> = found.skipped.iter().map(|skipped| skipped.file.as_str()).collect();
    assert_eq!(skipped, ["../x.md", "gone.md"]);
}

#[tokio::test]
async fn the_index_follows_the_graph() {
    let (_temp, bank) = bank();
    std::fs::write(bank.path().join("progress.md"), "# Progress\n").unwrap();
    let draft =
        |name: &str| EntityDraft { name: name.to_owned(), entity_type: "service".to_owned(), attrs: None };
    bank.upsert_entity(&me(), draft("Gateway")).await.unwrap();
    assert_eq!(entities(&bank, "gateway").await, ["Gateway"]);
    let fact = ObservationDraft { text: "routes are cached".to_owned(), ..ObservationDraft::default() };
    let gateway = EntityRef("Gateway".to_owned());
    let fact = bank.add_observation(&me(), &gateway, fact).await.unwrap().observation;
    assert_eq!(entities(&bank, "are routes cached").await, ["Gateway"]);
    bank.delete_observation(&me(), &fact.id, None).await.unwrap();
    assert!(entities(&bank, "are routes cached").await.is_empty());
    bank.delete_entity(&me(), &gateway).await.unwrap();
    assert!(entities(&bank, "gateway").await.is_empty());
}

/// Keeps the index from being changed until a test opens it. It opens by itself after [`Self::BOUND`], since a build that
/// blocks the only thread of a runtime blocks the test, too.
struct Gate {
    opened: std::sync::mpsc::Sender<()>,
    thread: std::thread::JoinHandle<bool>,
}

impl Gate {
    const BOUND: Duration = Duration::from_secs(60);

    async fn close(search: &FolderSearch) -> Self {
        let indexed = Arc::clone(&search.indexed);
        let (opened, is_opened) = std::sync::mpsc::channel();
        let (closed, is_closed) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let held = indexed.read();
            closed.send(()).unwrap();
            let in_time = is_opened.recv_timeout(Self::BOUND).is_ok();
            drop(held);
            in_time
        });
        is_closed.await.unwrap();
        Self { opened, thread }
    }

    /// Whether the test opened it, rather than the bound.
    fn open(self) -> bool {
        let _the_bound_was_first = self.opened.send(());
        self.thread.join().unwrap()
    }
}

#[tokio::test]
async fn other_calls_are_answered_while_the_index_is_built_on_one_thread() {
    let (_temp, mut bank) = bank();
    bank.search.wait = Duration::from_secs(3600);
    let log = "- the albatross met the parser of a region far away\n".repeat(8 * 1024);
    for number in 0..4 {
        std::fs::write(bank.path().join(format!("log-{number}.md")), &log).unwrap();
    }
    std::fs::write(bank.path().join("notes.md"), "a pelican\n").unwrap();
    let bank = Arc::new(bank);
    let notes = DocumentPath::parse("notes.md").unwrap();
    let read = async || bank.read(&me(), std::slice::from_ref(&notes)).await.unwrap();
    let mut gate = Gate::close(&bank.search).await;
    let searching = tokio::spawn({
        let bank = Arc::clone(&bank);
        async move { lines(&bank, "albatross").await.len() }
    });
    let mut held_up = 0;
    while !searching.is_finished() {
        // A writer that waits lets no more readers in: then the build is at the gate.
        if bank.search.indexed.try_read().is_some() {
            read().await;
            continue;
        }
        for _ in 0..3 {
            read().await;
        }
        held_up += 1;
        assert!(gate.open(), "the build of the index blocked the runtime");
        gate = Gate::close(&bank.search).await;
    }
    assert!(gate.open(), "the build of the index blocked the runtime");
    assert!(held_up > 0, "the build was never at the gate");
    // All lines have the same text.
    assert_eq!(searching.await.unwrap(), 1);
}

#[tokio::test]
async fn a_search_that_waits_too_long_reports_that_the_index_is_being_built() {
    let (_temp, mut bank) = bank();
    bank.search.wait = Duration::from_millis(50);
    std::fs::write(bank.path().join("notes.md"), "alpha\n").unwrap();
    let building = Arc::clone(&bank.search.turn).lock_owned().await;
    let refused = bank.search_documents(&me(), &wanted("alpha")).await;
    let Err(error @ StoreError::IndexBuilding { seconds: 1 }) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().ends_with("try again in 1 s"), "{error}");
    drop(building);
    bank.search.wait = folder_search::INDEX_TIMEOUT;
    assert_eq!(lines(&bank, "alpha").await.len(), 1);
}

#[tokio::test]
async fn a_large_graph_is_indexed_in_parts_and_followed_afterwards() {
    let (_temp, bank) = bank();
    std::fs::create_dir(bank.path().join("graph")).unwrap();
    let time = "2026-01-01T00:00:00.000Z";
    let first =
        "{\"type\":\"memory_bank_graph\",\"source\":\"memory-bank-mcp\",\"version\":\"1\"}\n".to_owned();
    let log = (0..1200).fold(first, |log, number| {
        let entity = format!(
            "{{\"id\":\"ent_{number}\",\"name\":\"Service {number}\",\"entityType\":\"service\",\
             \"createdAt\":\"{time}\",\"updatedAt\":\"{time}\"}}"
        );
        log + &format!("{{\"type\":\"entity_upsert\",\"entity\":{entity},\"ts\":\"{time}\"}}\n")
    });
    std::fs::write(bank.path().join("graph/graph.jsonl"), log).unwrap();
    for number in [0, 499, 500, 1199] {
        let name = format!("Service {number}");
        assert_eq!(entities(&bank, &name).await.first(), Some(&name));
    }
    let draft = EntityDraft { name: "Station 7".to_owned(), entity_type: "place".to_owned(), attrs: None };
    bank.upsert_entity(&me(), draft).await.unwrap();
    assert_eq!(entities(&bank, "station").await, ["Station 7"]);
}

const MIB: u64 = 1024 * 1024;

/// A bank with a number of documents of a quarter of a mebibyte, and a small core document.
fn large_bank(documents: usize, indexes: &Arc<FolderIndexes>) -> (TempDir, FolderBank) {
    let (temp, bank) = bank();
    let log = "- the albatross met the parser of a region far away\n".repeat(5 * 1024);
    let logs = (0..documents).map(|number| (format!("log-{number}.md"), log.as_str()));
    for (name, text) in logs.chain([("progress.md".to_owned(), "- a pelican\n")]) {
        let path = bank.path().join(name);
        std::fs::write(&path, text).unwrap();
        // Files that were written just before would be read again.
        let long_ago = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    }
    (temp, bank.sharing(indexes))
}

#[tokio::test]
async fn a_bank_that_is_too_large_is_searched_as_far_as_it_fits_and_is_not_read_again() {
    let budget = IndexBudget { total: 64 * MIB, per_project: 4 * MIB };
    let indexes = Arc::new(FolderIndexes::new(budget, Duration::from_secs(3600)));
    let (_temp, bank) = large_bank(8, &indexes);
    for round in 0..2 {
        let found = bank.search_documents(&me(), &wanted("albatross pelican")).await.unwrap();
        assert!(found.searched.contains(&"progress.md".to_owned()), "{:?}", found.searched);
        assert!((2..8).contains(&found.searched.len()), "{:?}", found.searched);
        assert_eq!(found.searched.len() + found.skipped.len(), 9);
        for skipped in &found.skipped {
            assert!(skipped.reason.contains("may take 4 MiB"), "{skipped:?}");
        }
        assert!(indexes.used_bytes() <= 4 * MIB + 3 * MIB, "{}", indexes.used_bytes());
        // Omitted documents are not read, and indexed ones are not read again.
        let read = bank.search.progress.total();
        assert_eq!(read == 0, round == 1, "{read} bytes were read in round {round}");
    }
    // Once it is smaller, all of it is searched.
    for number in 1..8 {
        std::fs::remove_file(bank.path().join(format!("log-{number}.md"))).unwrap();
    }
    let found = bank.search_documents(&me(), &wanted("albatross")).await.unwrap();
    assert_eq!((found.searched.len(), found.skipped.len()), (2, 0));
}

#[tokio::test]
async fn a_core_document_that_changes_in_a_bank_at_the_bound_stays_in_the_index() {
    let budget = IndexBudget { total: 64 * MIB, per_project: 4 * MIB };
    let indexes = Arc::new(FolderIndexes::new(budget, Duration::from_secs(3600)));
    let (_temp, bank) = large_bank(8, &indexes);
    let found = bank.search_documents(&me(), &wanted("pelican")).await.unwrap();
    assert_eq!((found.hits.len(), found.skipped.is_empty()), (1, false));
    for word in ["heron", "crane"] {
        std::fs::write(bank.path().join("progress.md"), format!("- a {word}\n")).unwrap();
        assert_eq!(lines(&bank, word).await, [("progress.md".to_owned(), 1)]);
    }
}

#[tokio::test]
async fn the_banks_of_a_process_share_the_memory_and_one_in_use_is_not_evicted() {
    let budget = IndexBudget { total: 12 * MIB, per_project: 12 * MIB };
    let in_use = Arc::new(FolderIndexes::new(budget, Duration::from_secs(3600)));
    let ((_one, first), (_two, second)) = (large_bank(4, &in_use), large_bank(4, &in_use));
    let searched =
        async |bank: &FolderBank| bank.search_documents(&me(), &wanted("albatross pelican")).await.unwrap();
    assert_eq!(searched(&first).await.searched.len(), 5);
    let refused = searched(&second).await;
    assert!(
        refused.skipped.iter().any(|one| one.reason.contains("together they may take 12 MiB")),
        "{refused:?}"
    );
    assert!(in_use.used_bytes() <= 12 * MIB, "{}", in_use.used_bytes());
    assert_eq!(searched(&first).await.searched.len(), 5);

    // A bank without recent searches is evicted.
    let idle = Arc::new(FolderIndexes::new(budget, Duration::ZERO));
    let ((_one, first), (_two, second)) = (large_bank(4, &idle), large_bank(4, &idle));
    for bank in [&first, &second, &first] {
        let found = searched(bank).await;
        assert_eq!((found.searched.len(), found.skipped.len()), (5, 0));
        assert!(idle.used_bytes() <= 12 * MIB, "{}", idle.used_bytes());
    }
}

#[tokio::test]
async fn a_damaged_graph_does_not_hide_the_documents() {
    let (_temp, bank) = bank();
    std::fs::write(bank.path().join("progress.md"), "- beta here\n").unwrap();
    std::fs::create_dir(bank.path().join("graph")).unwrap();
    std::fs::write(bank.path().join("graph/graph.jsonl"), "{\"type\":\"foreign\"}\n").unwrap();
    assert_eq!(lines(&bank, "beta").await, [("progress.md".to_owned(), 1)]);
}
