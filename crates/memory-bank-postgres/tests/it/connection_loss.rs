//! Connections that break and clients that go away.

use std::time::Duration;

use memory_bank_core::store::{DocumentStore, Drafts};

use crate::support::{Bench, path, read, write};

#[tokio::test]
async fn the_pool_recovers_from_terminated_connections() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    write(&bank, &caller, "a.md", "kept").await.unwrap();
    bench.test.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(read(&bank, &caller, "a.md").await.as_deref(), Some("kept"));
    write(&bank, &caller, "a.md", "and changed").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnected_client_leaves_no_transaction_and_no_lock() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    write(&bank, &caller, "a.md", "before").await.unwrap();
    let (holder, holding) = (bank.clone(), caller.clone());
    let (begun, holds) = tokio::sync::oneshot::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let slow = tokio::spawn(async move {
        let (name, mut begun) = (path("a.md"), Some(begun));
        let mut editor = |drafts: &mut Drafts| {
            begun.take().map(|begun| begun.send(()));
            // The thread may be the one that drives all timers.
            let wait = || released.lock().unwrap().recv_timeout(Duration::from_secs(10));
            tokio::task::block_in_place(wait).unwrap();
            drafts.set(&name, "slow".to_owned())
        };
        holder.edit(&holding, std::slice::from_ref(&name), &mut editor).await.map(drop)
    });
    holds.await.unwrap();
    let gone = tokio::time::timeout(Duration::from_millis(100), write(&bank, &caller, "a.md", "gone")).await;
    assert!(gone.is_err(), "the edit waits for the slow one");
    release.send(()).unwrap();
    slow.await.unwrap().unwrap();
    tokio::time::timeout(Duration::from_secs(5), write(&bank, &caller, "a.md", "after"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read(&bank, &caller, "a.md").await.as_deref(), Some("after"));
    let open = bench.test.psql(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
    );
    assert_eq!(open, "0");
}

#[tokio::test]
async fn an_unreachable_database_is_reported_without_the_password() {
    let bench = Bench::new().await;
    let nowhere = bench.open("postgres://u:secret@127.0.0.1:1/d", 1);
    let error = nowhere.ping().await.unwrap_err().to_string();
    assert!(error.contains("cannot be reached") && !error.contains("secret"), "{error}");
}
