//! Reads of many tenants on few shared connections: rows, roles and errors stay separate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::{Clock, SystemClock};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::Administration;
use memory_bank_core::store::{DocumentStore, Drafts, ReadOutcome};
use memory_bank_postgres::PostgresBank;
use tokio_postgres::NoTls;

use crate::support::{Bench, path, read, write};

/// The bound of a wait that should end soon, on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A bank on a pool of this size, and owners who each have a project with one document that contains its name.
async fn bench_with(connections: usize, tenants: usize) -> (Bench, PostgresBank, Vec<Caller>) {
    let bench = Bench::new().await;
    let database = bench.open(&bench.test.url(), connections);
    let bank = PostgresBank::new(database, "demo".to_owned());
    let mut callers = Vec::new();
    for number in 0..tenants {
        let caller = bench.tenant(&format!("user{number}"), &format!("project{number}")).await;
        write(&bench.bank(), &caller, "same.md", &own(&caller)).await.unwrap();
        callers.push(caller);
    }
    (bench, bank, callers)
}

fn own(caller: &Caller) -> String {
    format!("of {}", caller.project.0)
}

async fn try_read(bank: &PostgresBank, caller: &Caller) -> Result<Option<String>, StoreError> {
    Ok(match bank.read(caller, &[path("same.md")]).await?.remove(0) {
        ReadOutcome::Found(document) => Some(document.content),
        _ => None,
    })
}

/// Ends all connections of the database but the one that does it.
const END_ALL: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// Ends one of them.
const END_ONE: &str = "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity \
    WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1) one";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_tenant_reads_only_its_own_rows_during_connection_losses_and_cancellations() {
    let (bench, bank, callers) = bench_with(6, 10).await;
    let over = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicUsize::new(0));
    let reading = callers.iter().flat_map(|caller| [(caller.clone(), false), (caller.clone(), true)]);
    let tasks = reading.map(|(caller, hasty)| {
        let (bank, over, reads) = (bank.clone(), Arc::clone(&over), Arc::clone(&reads));
        tokio::spawn(async move {
            let mut wait = 0;
            while !over.load(Ordering::Relaxed) {
                if hasty {
                    // Is cancelled at different times of a read.
                    wait = (wait + 137) % 2500;
                }
                let time_out = if hasty { Duration::from_micros(wait) } else { TIMEOUT };
                let answer = tokio::time::timeout(time_out, try_read(&bank, &caller)).await;
                match answer {
                    Ok(Ok(text)) => {
                        assert_eq!(text, Some(own(&caller)), "a read brings the caller's document");
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                    // Its connection was ended.
                    Ok(Err(StoreError::Unreachable(_))) => tokio::task::yield_now().await,
                    Ok(Err(error)) => panic!("{error:?}"),
                    Err(_) => assert!(hasty, "a read is answered"),
                }
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let test = bench.test;
    let killing = tokio::task::spawn_blocking(move || {
        for round in 0..30 {
            test.psql(if round % 5 == 0 { END_ALL } else { END_ONE });
            std::thread::sleep(Duration::from_millis(20));
        }
        test
    });
    let _test = killing.await.unwrap();
    let before = reads.load(Ordering::Relaxed);
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    while reads.load(Ordering::Relaxed) < before + 500 {
        assert!(tokio::time::Instant::now() < deadline, "reads go on when nobody ends connections any more");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    for caller in &callers {
        assert_eq!(try_read(&bank, caller).await.unwrap(), Some(own(caller)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_on_a_terminated_shared_connection_are_retried_on_another() {
    let (bench, bank, callers) = bench_with(4, 10).await;
    // While the table is locked, all reads are in flight.
    let (holder, connection) = tokio_postgres::connect(&bench.test.url_of("postgres"), NoTls).await.unwrap();
    tokio::spawn(connection);
    holder.batch_execute("BEGIN; LOCK TABLE public.documents IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let reading = tokio::spawn({
        let (bank, callers) = (bank.clone(), callers.clone());
        async move { join_all(callers.iter().map(|caller| try_read(&bank, caller))).await }
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    while holder.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) < 2 {
        // A transaction sees the activity as of its first query.
        holder.batch_execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
        assert!(tokio::time::Instant::now() < deadline, "the reads wait for the table");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    holder.batch_execute(&format!("{END_ALL}; COMMIT")).await.unwrap();
    let answers = tokio::time::timeout(TIMEOUT, reading).await.unwrap().unwrap();
    for (answer, caller) in answers.into_iter().zip(&callers) {
        assert_eq!(answer.unwrap(), Some(own(caller)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_one_connection_neither_reads_nor_edits_starve() {
    const LONG: usize = 700 * 1024;
    let (_bench, bank, callers) = bench_with(1, 4).await;
    let names: Vec<_> = (0..5).map(|number| path(&format!("long{number}.md"))).collect();
    for caller in &callers {
        let mut fill = |drafts: &mut Drafts| {
            names.iter().try_for_each(|name| drafts.set(name, "0123456789".repeat(LONG / 10)))
        };
        bank.edit(caller, &names, &mut fill).await.unwrap();
    }
    let over = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicUsize::new(0));
    // Several readers per tenant, so that a read is always in flight.
    let tasks = callers.iter().cycle().take(12).map(|caller| {
        let (bank, caller, names) = (bank.clone(), caller.clone(), names.clone());
        let (over, reads) = (Arc::clone(&over), Arc::clone(&reads));
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                bank.read(&caller, &names).await.expect("a read has its turn");
                reads.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    while reads.load(Ordering::Relaxed) < 10 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for round in 0..2 {
        write(&bank, &callers[0], "same.md", &round.to_string()).await.expect("an edit has its turn");
    }
    over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(read(&bank, &callers[0], "same.md").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_concurrent_reads_use_few_connections_also_after_a_cold_start() {
    let (bench, _, callers) = bench_with(1, 5).await;
    let database = bench.open(&bench.test.url(), 60);
    let bank = PostgresBank::new(database.clone(), "demo".to_owned());
    let reads = (0..100).map(|number| {
        let (bank, caller) = (bank.clone(), callers[number % callers.len()].clone());
        tokio::spawn(async move {
            for _ in 0..10 {
                assert_eq!(try_read(&bank, &caller).await.unwrap(), Some(own(&caller)));
            }
        })
    });
    for read in join_all(reads.collect::<Vec<_>>()).await {
        read.unwrap();
    }
    let used = database.pool_use();
    assert!(used.idle + used.in_use <= 12, "{used:?}");
}

#[tokio::test]
async fn a_revoked_key_reads_nothing_on_a_shared_connection() {
    let (bench, bank, callers) = bench_with(1, 3).await;
    let gone = &callers[0];
    for _ in 0..10 {
        for caller in &callers {
            assert_eq!(try_read(&bank, caller).await.unwrap(), Some(own(caller)));
        }
    }
    bench.owner.revoke_key(gone.key.unwrap(), SystemClock.now()).await.unwrap();
    let answers = join_all((0..9).map(|number| try_read(&bank, &callers[number % 3]))).await;
    for (number, answer) in answers.into_iter().enumerate() {
        match number % 3 {
            0 => assert!(matches!(answer, Err(StoreError::KeyInvalid)), "{answer:?}"),
            other => assert_eq!(answer.unwrap(), Some(own(&callers[other]))),
        }
    }
}

#[tokio::test]
async fn removed_members_and_dropped_policies_apply_at_once_to_prepared_statements() {
    let (bench, bank, callers) = bench_with(1, 2).await;
    let member = bench.member("bob", "project0", memory_bank_core::caller::Role::Viewer).await;
    for _ in 0..10 {
        assert_eq!(try_read(&bank, &member).await.unwrap(), Some(own(&callers[0])));
    }
    bench.owner.remove_member("project0", "bob").await.unwrap();
    let removed = try_read(&bank, &member).await;
    assert!(matches!(removed, Ok(None) | Err(StoreError::KeyInvalid)), "{removed:?}");
    bench.test.psql("DROP POLICY member_select ON documents");
    for caller in &callers {
        assert_eq!(try_read(&bank, caller).await.unwrap(), None, "without a policy there is no row");
    }
    bench.test.psql(
        "CREATE POLICY member_select ON documents FOR SELECT TO app_user USING (project_id = (SELECT app.readable_project()))",
    );
    for caller in &callers {
        assert_eq!(try_read(&bank, caller).await.unwrap(), Some(own(caller)));
    }
}

#[tokio::test]
async fn an_equality_operator_on_the_search_path_does_not_change_reads() {
    let (bench, _, callers) = bench_with(1, 1).await;
    let caller = &callers[0];
    write(&bench.bank(), caller, "other.md", "other").await.unwrap();
    bench.test.psql(
        "CREATE SCHEMA planted; GRANT USAGE ON SCHEMA planted TO PUBLIC; \
         CREATE FUNCTION planted.yes(text, text) RETURNS boolean LANGUAGE sql RETURN true; \
         CREATE FUNCTION planted.yes(uuid, uuid) RETURNS boolean LANGUAGE sql RETURN true; \
         CREATE OPERATOR planted.= (FUNCTION = planted.yes, LEFTARG = text, RIGHTARG = text); \
         CREATE OPERATOR planted.= (FUNCTION = planted.yes, LEFTARG = uuid, RIGHTARG = uuid)",
    );
    let read = format!(
        "SET search_path = planted, pg_catalog; SELECT path FROM app.read_documents('{}', '{}', '{}', '{}', '{{same.md}}')",
        caller.user.0,
        caller.project.0,
        caller.key.unwrap().0,
        caller.proof.unwrap().to_hex()
    );
    assert_eq!(bench.test.psql_as(memory_bank_test_postgres::SERVER, &read), "same.md");
    let open = format!(
        "SET search_path = planted, pg_catalog; SELECT path FROM app.open_documents('{}', '{}', '{}', '{}', '{{same.md}}', \
         '{{same.md}}', '{{same.md}}', '{{}}', '{{}}') WHERE path IS NOT NULL",
        caller.user.0,
        caller.project.0,
        caller.key.unwrap().0,
        caller.proof.unwrap().to_hex()
    );
    assert_eq!(bench.test.psql_as(memory_bank_test_postgres::SERVER, &open), "same.md");
}
