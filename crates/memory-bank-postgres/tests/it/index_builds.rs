//! Index builds do not affect others: other calls are answered meanwhile, memory is bounded, and callers without read
//! learn nothing of a build. A lock on a table that only a build reads pauses a build.

use std::time::{Duration, Instant};

use memory_bank_core::caller::{Caller, Role};
use memory_bank_core::clock::{Clock, SystemClock};
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::identity::Administration;
use memory_bank_core::search::{IndexBudget, Query};
use memory_bank_core::store::{
    DocumentSearch, DocumentsFound, EntityRef, GraphStore, ObservationDraft, SearchStore,
};
use memory_bank_postgres::{Database, PostgresBank, SearchOptions};
use tokio_postgres::{Client, NoTls};

use crate::support::{Bench, read, write};

const MIB: u64 = 1024 * 1024;
/// The longest wait for a condition.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The longest wait for a turn: the longest time that an index stays, and the build after it.
const TURN_TIMEOUT: Duration = Duration::from_secs(240);

fn wanted(text: &str) -> DocumentSearch {
    DocumentSearch {
        query: Query::parse(text).unwrap(),
        files: Vec::new(),
        limit: 10,
        case_sensitive: false,
        days: (None, None),
        holding_at: None,
    }
}

async fn search(bank: &PostgresBank, caller: &Caller, text: &str) -> Result<DocumentsFound, StoreError> {
    bank.search_documents(caller, &wanted(text)).await
}

/// Searches until it is neither too early nor too busy.
async fn found(bank: &PostgresBank, caller: &Caller, text: &str) -> usize {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match search(bank, caller, text).await {
            Ok(found) => return found.hits.len(),
            Err(StoreError::IndexBuilding { .. } | StoreError::SearchBusy { .. } | StoreError::Busy)
                if Instant::now() < deadline =>
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} never happened");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn prose(bytes: usize, word: &str) -> String {
    let mut text = String::from("# Log\n\n");
    for number in 0.. {
        if text.len() >= bytes {
            return text;
        }
        text.push_str(&format!(
            "- the {word} number {} met the parser of region {}\n",
            number % 1000,
            number % 97
        ));
    }
    text
}

/// A lock that every build of an index meets, and no other call.
struct Gate(Client);

impl Gate {
    async fn close(bench: &Bench) -> Self {
        let (client, connection) =
            tokio_postgres::connect(&bench.test.url_of("postgres"), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
            .batch_execute("BEGIN; LOCK TABLE public.graph_relations IN ACCESS EXCLUSIVE MODE")
            .await
            .unwrap();
        Self(client)
    }

    async fn open(self) {
        self.0.batch_execute("ROLLBACK").await.unwrap();
    }
}

fn with_memory(bench: &Bench, total: u64, per_project: u64) -> (Database, PostgresBank) {
    let memory = IndexBudget { total, per_project };
    let database = bench.another().with_search(&SearchOptions { memory });
    (database.clone(), PostgresBank::new(database, "demo".into()))
}

#[tokio::test]
async fn other_calls_are_answered_while_an_index_is_built_on_one_thread() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.tenant("alice", "demo").await, bench.tenant("bob", "other").await);
    let bank = bench.bank();
    for number in 0..4 {
        write(&bank, &alice, &format!("log-{number}.md"), &prose(256 * 1024, "albatross")).await.unwrap();
    }
    write(&bank, &bob, "a.md", "pelican").await.unwrap();
    let building = tokio::spawn({
        let (bank, alice) = (bank.clone(), alice.clone());
        async move { found(&bank, &alice, "albatross").await }
    });
    let mut answered = 0;
    while !building.is_finished() {
        assert_eq!(read(&bank, &bob, "a.md").await.unwrap(), "pelican");
        answered += 1;
    }
    assert_eq!(building.await.unwrap(), 10);
    // A build that holds the thread lets a few through, between its own reads.
    assert!(answered >= 20, "{answered} calls were answered while the index was built");
}

#[tokio::test]
async fn a_search_that_waits_too_long_times_out_and_the_build_continues() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let (database, bank) = (bench.database.clone(), bench.bank());
    write(&bank, &alice, "a.md", "an albatross").await.unwrap();
    let gate = Gate::close(&bench).await;
    let (first, second) =
        tokio::join!(search(&bank, &alice, "albatross"), search(&bank, &alice, "albatross"));
    for answer in [first, second] {
        let Err(error @ StoreError::IndexBuilding { seconds: 1.. }) = answer else { panic!("{answer:?}") };
        assert!(error.to_string().contains("is being built; try again in"), "{error}");
    }
    assert_eq!((database.index_use().building, database.index_use().answered_building), (1, 2));
    assert_eq!(read(&bank, &alice, "a.md").await.unwrap(), "an albatross");
    gate.open().await;
    until("the build", || database.index_use().built == 1).await;
    assert_eq!(found(&bank, &alice, "albatross").await, 1);
    assert_eq!(database.index_use().built, 1, "it was built once, for all");
}

#[tokio::test]
async fn a_key_revoked_while_waiting_for_a_build_gets_nothing() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let bob = bench.member("bob", "demo", Role::Viewer).await;
    let eve = bench.tenant("eve", "other").await;
    let bank = bench.bank();
    write(&bank, &alice, "a.md", "an albatross").await.unwrap();
    let gate = Gate::close(&bench).await;
    let spawn = |caller: &Caller| {
        let (bank, caller) = (bank.clone(), caller.clone());
        tokio::spawn(async move { search(&bank, &caller, "albatross").await })
    };
    let first = spawn(&alice);
    until("the build", || bench.database.index_use().building == 1).await;
    let waiting = spawn(&bob);
    bench.owner.revoke_key(bob.key.unwrap(), SystemClock.now()).await.unwrap();
    // A refused caller is refused at once and does not learn of the build.
    let refused = search(&bank, &bob, "albatross").await;
    assert!(matches!(refused, Err(StoreError::KeyInvalid)), "{refused:?}");
    // Her key, in a project that is not hers.
    let posing = Caller { project: alice.project, ..eve.clone() };
    let refused = search(&bank, &posing, "albatross").await;
    assert!(matches!(refused, Err(StoreError::KeyInvalid | StoreError::Denied)), "{refused:?}");
    gate.open().await;
    let waited = waiting.await.unwrap();
    assert!(matches!(waited, Err(StoreError::KeyInvalid | StoreError::IndexBuilding { .. })), "{waited:?}");
    let _built_or_told_to_wait = first.await.unwrap();
    assert_eq!(found(&bank, &alice, "albatross").await, 1);
    let refused = search(&bank, &bob, "albatross").await;
    assert!(matches!(refused, Err(StoreError::KeyInvalid)), "{refused:?}");
}

#[tokio::test]
async fn a_build_started_with_a_revoked_key_is_restarted_by_a_waiting_search() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let bob = bench.member("bob", "demo", Role::Viewer).await;
    let bank = bench.bank();
    write(&bank, &alice, "a.md", "an albatross").await.unwrap();
    let gate = Gate::close(&bench).await;
    let first = tokio::spawn({
        let (bank, bob) = (bank.clone(), bob.clone());
        async move { search(&bank, &bob, "albatross").await }
    });
    until("the build", || bench.database.index_use().building == 1).await;
    bench.owner.revoke_key(bob.key.unwrap(), SystemClock.now()).await.unwrap();
    let waiting = tokio::spawn({
        let (bank, alice) = (bank.clone(), alice.clone());
        async move { found(&bank, &alice, "albatross").await }
    });
    gate.open().await;
    assert_eq!(waiting.await.unwrap(), 1);
    let first = first.await.unwrap();
    assert!(matches!(first, Err(StoreError::KeyInvalid | StoreError::IndexBuilding { .. })), "{first:?}");
}

#[tokio::test]
async fn a_project_that_is_too_large_is_refused_with_its_size_and_not_read() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.tenant("alice", "demo").await, bench.tenant("bob", "other").await);
    let (database, bank) = with_memory(&bench, 64 * MIB, MIB);
    write(&bank, &alice, "a.md", &prose(512 * 1024, "albatross")).await.unwrap();
    write(&bank, &bob, "a.md", "a pelican").await.unwrap();
    for _ in 0..2 {
        let refused = search(&bank, &alice, "albatross").await;
        let Err(error @ StoreError::IndexTooLarge { allowed_mib: 1, total_mib: 64, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert!(error.to_string().contains("a project may have 1 MiB"), "{error}");
    }
    assert_eq!(found(&bank, &bob, "pelican").await, 1);
    let used = database.index_use();
    assert_eq!((used.built, used.refused_too_large, used.building), (1, 2, 0));
    // A name that is almost right is still reported as missing.
    let fact = ObservationDraft { text: "flies".into(), ..ObservationDraft::default() };
    let missing = bank.add_observation(&alice, &EntityRef("Albatros".into()), fact).await;
    assert!(matches!(missing, Err(GraphError::EntityNotFound { .. })), "{missing:?}");
    // Once it is smaller, it is searched.
    write(&bank, &alice, "a.md", "an albatross").await.unwrap();
    assert_eq!(found(&bank, &alice, "albatross").await, 1);
}

#[tokio::test]
async fn a_build_stops_at_the_memory_bound() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let (database, bank) = with_memory(&bench, 64 * MIB, 4 * MIB);
    // Four bytes a unit, which takes some two hundred.
    for number in 0..4 {
        write(&bank, &alice, &format!("{number}.md"), &"- a\n".repeat(32 * 1024)).await.unwrap();
    }
    for _ in 0..2 {
        let deadline = Instant::now() + TIMEOUT;
        let refused = loop {
            match search(&bank, &alice, "a").await {
                Err(StoreError::IndexBuilding { .. }) if Instant::now() < deadline => {}
                answer => break answer,
            }
        };
        assert!(matches!(refused, Err(StoreError::IndexTooLarge { .. })), "{refused:?}");
    }
    until("the memory", || database.index_use().bytes == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_large_projects_do_not_evict_each_other_at_every_search() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.tenant("alice", "demo").await, bench.tenant("bob", "other").await);
    let (database, bank) = with_memory(&bench, 46 * MIB, 30 * MIB);
    for caller in [&alice, &bob] {
        for number in 0..2 {
            write(&bank, caller, &format!("{number}.md"), &prose(1_048_476, "albatross")).await.unwrap();
        }
    }
    assert_eq!(found(&bank, &alice, "albatross").await, 10);
    let evicted = |database: &Database| database.index_use().evicted;
    // Until the first has had its time, the second is answered at once, and the first is served.
    let refused = search(&bank, &bob, "albatross").await;
    let Err(error @ StoreError::SearchBusy { seconds: 1.. }) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("try again in"), "{error}");
    assert_eq!(evicted(&database), 0);
    assert_eq!(search(&bank, &alice, "albatross").await.unwrap().hits.len(), 10);
    // Its time comes, though the first is searched on.
    let deadline = Instant::now() + TURN_TIMEOUT;
    while search(&bank, &bob, "albatross").await.is_err() {
        assert!(Instant::now() < deadline, "the second project is never searched");
        let used = database.index_use();
        assert!(used.bytes <= used.max_bytes, "{used:?}");
        let _refused_once_the_other_s_turn_has_come = search(&bank, &alice, "albatross").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let used = database.index_use();
    assert!(used.evicted >= 1 && used.built <= used.evicted + 2, "{used:?}");
}

#[tokio::test]
async fn searches_after_many_small_changes_share_one_refresh() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let (writer, bank) = (bench.bank(), PostgresBank::new(bench.another(), "demo".into()));
    for round in 0..10 {
        let word = format!("word{round}x");
        write(&writer, &alice, "a.md", &format!("- {word}\n")).await.unwrap();
        let searches = futures::future::join_all((0..8).map(|_| found(&bank, &alice, &word))).await;
        assert_eq!(searches, [1; 8]);
    }
}
