//! Search after a restore that changed tens of thousands of rows with a few statements. Reading these changes with one
//! statement exceeded the statement time-out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use memory_bank_contract_tests::RecordedChanges;
use memory_bank_core::caller::Caller;
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::limits::REPLY_BYTES;
use memory_bank_core::search::Query;
use memory_bank_core::store::{BackupStore, Change, DocumentSearch, GraphSearch, SearchStore};
use memory_bank_postgres::PostgresBank;

use crate::support::{Bench, write};

const ENTITIES: usize = 30_000;
const OBSERVATIONS: usize = 60_000;

fn fill(bench: &Bench, caller: &Caller) {
    let project = caller.project.0;
    bench.test.psql(&format!(
        "INSERT INTO public.graph_entities (project_id, id, name, name_key, entity_type) \
         SELECT '{project}', 'ent_' || md5(n::text), 'Service ' || n, 'service ' || n, 'service' \
         FROM generate_series(1, {ENTITIES}) AS n; \
         INSERT INTO public.graph_observations (project_id, id, entity_id, content, \"timestamp\", at) \
         SELECT '{project}', 'obs_' || md5(n::text), 'ent_' || md5((1 + n % {ENTITIES})::text), \
           'runs on machine ' || n || ' and answers within ' || n % 97 || ' ms', '2026-01-01T00:00:00.000Z', 1767225600000 \
         FROM generate_series(1, {OBSERVATIONS}) AS n"
    ));
}

/// Whether a search shall be repeated: the index is being built, or others keep the workers busy.
fn asks_to_try_again(error: &StoreError) -> bool {
    matches!(error, StoreError::IndexBuilding { .. } | StoreError::SearchBusy { .. })
}

/// Searches again while the error advises it.
async fn again<T, E: std::fmt::Debug>(
    mut search: impl AsyncFnMut() -> Result<T, E>,
    is_building: impl Fn(&E) -> bool,
) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        match search().await {
            Ok(found) => return found,
            Err(error) if is_building(&error) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

async fn entities(bank: &PostgresBank, caller: &Caller, text: &str) -> Vec<String> {
    let wanted = GraphSearch {
        query: Some(Query::parse(text).unwrap()),
        limit: 3,
        depth: 0,
        bytes: REPLY_BYTES,
        skip: memory_bank_core::store::Skip::default(),
        view: memory_bank_core::graph::FactView::ALL,
    };
    let is_building =
        |error: &GraphError| matches!(error, GraphError::Store(error) if asks_to_try_again(error));
    let found = again(async || bank.search_graph(caller, &wanted).await, is_building).await;
    found.entities.into_iter().map(|found| found.entity.name).collect()
}

async fn lines(bank: &PostgresBank, caller: &Caller, text: &str) -> Vec<String> {
    let query = Query::parse(text).unwrap();
    let wanted = DocumentSearch {
        query,
        files: Vec::new(),
        limit: 3,
        case_sensitive: false,
        days: (None, None),
        holding_at: None,
    };
    let is_building = asks_to_try_again;
    let found = again(async || bank.search_documents(caller, &wanted).await, is_building).await;
    found.hits.into_iter().map(|hit| hit.content).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn document_and_graph_search_work_after_a_large_restore() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    write(&bank, &caller, "notes.md", "an albatross\n").await.unwrap();
    fill(&bench, &caller);
    let backup = bank.create_backup(&caller, None).await.unwrap();
    bench.test.psql(&format!("DELETE FROM public.graph_entities WHERE project_id = '{}'", caller.project.0));
    // The server does this by itself after such a change: its statistics are of an empty table.
    bench.test.psql("ANALYZE");
    // From here on the index follows.
    assert_eq!(entities(&bank, &caller, "Service 29999").await, [""; 0]);
    bank.restore_backup(&caller, &backup.id, false).await.unwrap();
    assert_eq!(entities(&bank, &caller, "Service 29999").await.first().unwrap(), "Service 29999");
    assert_eq!(lines(&bank, &caller, "albatross").await, ["an albatross"]);
    // Of a large graph that differs in one row, the restore changes one row. (Each row compared with each would exceed the time-out.)
    let (changes, one) = ("SELECT changes FROM app.graph_versions", "obs_c4ca4238a0b923820dcc509a6f75849b");
    bench.test.psql(&format!("DELETE FROM public.graph_observations WHERE id = '{one}'"));
    let before: usize = bench.test.psql(changes).trim().parse().unwrap();
    bank.restore_backup(&caller, &backup.id, false).await.unwrap();
    assert_eq!(bench.test.psql(changes).trim().parse::<usize>().unwrap(), before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_of_a_backup_or_a_restore_may_take_longer_than_one_of_a_call() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    write(&bank, &caller, "notes.md", "an albatross\n").await.unwrap();
    // The time-out of a call's statements is 20 s.
    bench.test.psql(
        "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(21); RETURN NULL; END';
         CREATE TRIGGER slow_backup AFTER INSERT ON app.backups FOR EACH STATEMENT EXECUTE FUNCTION public.wait();
         CREATE TRIGGER slow_restore AFTER INSERT ON public.graph_relations FOR EACH STATEMENT EXECUTE FUNCTION public.wait()",
    );
    let backup = bank.create_backup(&caller, None).await.unwrap();
    write(&bank, &caller, "notes.md", "nothing\n").await.unwrap();
    bank.restore_backup(&caller, &backup.id, false).await.unwrap();
    assert_eq!(lines(&bank, &caller, "albatross").await, ["an albatross"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_of_many_documents_is_one_change_to_others() {
    let changes = Arc::new(RecordedChanges::default());
    let bench = Bench::with_sink(changes.clone()).await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    for (number, expected) in [(3, vec![Change::Graph]), (200, vec![Change::Whole])] {
        bench.test.psql(&format!(
            "INSERT INTO public.documents (project_id, path, content, etag) \
             SELECT '{}', 'notes-' || n || '.md', 'x', substr(encode(sha256('x'), 'hex'), 1, 16) \
             FROM generate_series(1, {number}) AS n ON CONFLICT DO NOTHING",
            caller.project.0
        ));
        let backup = bank.create_backup(&caller, None).await.unwrap();
        changes.take();
        bank.restore_backup(&caller, &backup.id, false).await.unwrap();
        let mut notified = changes.take();
        let named = notified.iter().filter(|change| matches!(change, Change::Updated(_))).count();
        assert_eq!(named, if number == 3 { 3 } else { 0 }, "{notified:?}");
        notified.retain(|change| !matches!(change, Change::Updated(_)));
        assert_eq!(notified, expected);
    }
}

/// How often PostgreSQL has read the large tables as a whole, and by an index.
fn scans(bench: &Bench) -> (u64, u64) {
    let counts = bench.test.psql(
        "SELECT sum(seq_scan) || ' ' || sum(idx_scan) FROM pg_stat_all_tables WHERE relname IN \
         ('backup_items', 'graph_entities', 'graph_observations')",
    );
    let (whole, by_index) = counts.trim().split_once(' ').unwrap();
    (whole.parse().unwrap(), by_index.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_and_a_restore_read_no_rows_of_other_projects() {
    let bench = Bench::new().await;
    let (large, small) = (bench.tenant("alice", "large").await, bench.tenant("bob", "small").await);
    let bank = bench.bank();
    fill(&bench, &large);
    bank.create_backup(&large, None).await.unwrap();
    write(&bank, &small, "notes.md", "an albatross\n").await.unwrap();
    bench.test.psql("VACUUM ANALYZE");
    let backup = bank.create_backup(&small, None).await.unwrap();
    bank.restore_backup(&small, &backup.id, true).await.unwrap();
    // The sessions' counts arrive within a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = scans(&bench);
    write(&bank, &small, "notes.md", "another\n").await.unwrap();
    let backup = bank.create_backup(&small, None).await.unwrap();
    bank.restore_backup(&small, &backup.id, true).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = scans(&bench);
    assert!(after.1 > before.1, "{before:?} {after:?}");
    assert_eq!(after.0, before.0, "{before:?} {after:?}");
}
