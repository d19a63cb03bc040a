use std::sync::Arc;

use memory_bank_core::caller::{KeyId, ProjectId, Role, UserId};
use memory_bank_core::clock::{Entropy, SystemClock, SystemEntropy};
use memory_bank_core::store::NoSink;
use memory_bank_test_postgres::TestDatabase;

use super::*;
use crate::database::{DatabaseOptions, Deps};

/// A pool of one connection, so that the next user gets the same connection.
fn bench() -> (TestDatabase, Database, Caller) {
    bench_of(1)
}

fn bench_of(max_connections: usize) -> (TestDatabase, Database, Caller) {
    let test = TestDatabase::migrated();
    let deps =
        Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink: Arc::new(NoSink) };
    let options = DatabaseOptions { url: test.url(), max_connections, ..DatabaseOptions::default() };
    let database = Database::new(&options, deps).unwrap();
    let id = || SystemEntropy.id();
    let hash = KeyHash::of(b"the key of alice");
    let caller = Caller {
        user: UserId(id()),
        project: ProjectId(id()),
        role: Role::Owner,
        scopes: Vec::new(),
        key: Some(KeyId(id())),
        proof: Some(hash),
        user_name: "alice".to_owned(),
        is_read_only: false,
    };
    test.psql(&format!(
        "INSERT INTO users (id, name) VALUES ('{0}', 'alice'); \
         INSERT INTO projects (id, owner_id, name, slug) VALUES ('{1}', '{0}', 'one', 'one'); \
         INSERT INTO memberships VALUES ('{0}', '{1}', 'owner'); \
         INSERT INTO api_keys (id, user_id, project_id, key_hash, key_prefix) VALUES ('{2}', '{0}', '{1}', '\\x{3}', 'mbmcp')",
        caller.user.0,
        caller.project.0,
        caller.key.unwrap().0,
        hash.to_hex()
    ));
    (test, database, caller)
}

/// The context that remains on a connection for its next user: nothing.
async fn is_clean(database: &Database) {
    let connection = database.connection().await.unwrap();
    let left = "SELECT (current_user = session_user)::text || coalesce(current_setting('app.current_user_id', true), '') \
        || coalesce(current_setting('app.current_project_id', true), '') \
        || coalesce(current_setting('app.current_key_id', true), '') \
        || coalesce(current_setting('app.current_key_hash', true), '')";
    let row = connection.query_one(left, &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "true");
}

async fn answers(database: &Database, caller: &Caller) -> bool {
    let rows = database.read(caller, &[Query::new("SELECT current_user = 'app_user'", &[])]).await;
    rows.is_ok_and(|rows| rows[0][0].get::<_, bool>(0))
}

#[tokio::test]
async fn after_a_failure_or_a_cancellation_no_connection_keeps_a_role_or_a_tenant() {
    let (_test, database, caller) = bench();
    assert!(answers(&database, &caller).await);
    is_clean(&database).await;
    assert!(database.read(&caller, &[Query::new("SELECT 1 / 0", &[])]).await.is_err());
    is_clean(&database).await;
    assert!(database.begin(&caller, &[Query::new("SELECT 1 / 0", &[])]).await.is_err());
    is_clean(&database).await;
    let (transaction, _) = database.begin(&caller, &[Query::new("SELECT 1", &[])]).await.unwrap();
    assert!(transaction.commit(&[Query::new("SELECT 1 / 0", &[])]).await.is_err());
    is_clean(&database).await;
    drop(database.begin(&caller, &[Query::new("SELECT 1", &[])]).await.unwrap());
    is_clean(&database).await;
    let sleep = [Query::new("SELECT pg_sleep(15)", &[])];
    let gone = tokio::time::timeout(Duration::from_millis(50), database.read(&caller, &sleep)).await;
    assert!(gone.is_err());
    is_clean(&database).await;
    let gone = tokio::time::timeout(Duration::from_millis(50), database.begin(&caller, &sleep)).await;
    assert!(gone.is_err());
    is_clean(&database).await;
    assert!(answers(&database, &caller).await);
}

#[tokio::test]
async fn a_read_by_function_leaves_no_role_and_no_tenant_however_it_ends() {
    let (_test, database, caller) = bench();
    let paths = vec!["notes.md"];
    let read = "SELECT path FROM app.read_documents($1, $2, $3, $4, $5)";
    assert!(database.read_by_function(&caller, Query::new(read, &[&paths])).await.unwrap().is_empty());
    is_clean(&database).await;
    let fails = "SELECT path, (1 / length(path))::text FROM app.read_documents($1, $2, $3, $4, $5) \
        UNION ALL SELECT '', (1 / length(''))::text";
    assert!(database.read_by_function(&caller, Query::new(fails, &[&paths])).await.is_err());
    is_clean(&database).await;
    let sleeps =
        "SELECT path FROM app.read_documents($1, $2, $3, $4, $5) UNION ALL SELECT pg_sleep(15)::text";
    let values: [Value<'_>; 1] = [&paths];
    let slow = database.read_by_function(&caller, Query::new(sleeps, &values));
    let gone = tokio::time::timeout(Duration::from_millis(50), slow).await;
    assert!(gone.is_err());
    // Nor a running statement, for which the next user would wait.
    tokio::time::timeout(Duration::from_secs(10), is_clean(&database)).await.unwrap();
    assert!(answers(&database, &caller).await);
}

#[tokio::test]
async fn cancelled_reads_keep_their_slots_so_that_the_next_read_uses_another_connection() {
    let (_test, database, caller) = bench_of(2);
    let paths = vec!["notes.md"];
    let read = "SELECT path FROM app.read_documents($1, $2, $3, $4, $5)";
    let sleeps =
        "SELECT path FROM app.read_documents($1, $2, $3, $4, $5) UNION ALL SELECT pg_sleep(15)::text";
    let values: [Value<'_>; 1] = [&paths];
    let sleeper = database.read_by_function(&caller, Query::new(sleeps, &values));
    let sleeper = tokio::time::timeout(Duration::from_secs(12), sleeper);
    let others = async {
        for _ in 0..40 {
            let hasty = database.read_by_function(&caller, Query::new(read, &values));
            let _left = tokio::time::timeout(Duration::from_millis(10), hasty).await;
        }
        let patient = database.read_by_function(&caller, Query::new(read, &values));
        tokio::time::timeout(Duration::from_secs(8), patient).await.unwrap().unwrap();
    };
    tokio::select! {
        biased;
        slept = sleeper => panic!("{slept:?}"),
        () = others => {}
    }
}

#[tokio::test]
async fn a_connection_that_lost_its_statements_or_its_transaction_is_used_once_more_at_most() {
    let (_test, database, caller) = bench();
    let paths = vec!["notes.md"];
    let values: [Value<'_>; 1] = [&paths];
    let read = Query::new("SELECT path FROM app.read_documents($1, $2, $3, $4, $5)", &values);
    let call = Query::new("SELECT 1", &[]);
    for spoil in ["DEALLOCATE ALL", "DISCARD ALL", "BEGIN; SET LOCAL ROLE app_user", "BEGIN; SELECT 1 / 0"] {
        database.read_by_function(&caller, read).await.unwrap();
        database.call(call).await.unwrap();
        let _fails = database.connection().await.unwrap().batch_execute(spoil).await;
        let _may_fail = database.read_by_function(&caller, read).await;
        database.read_by_function(&caller, read).await.unwrap();
        is_clean(&database).await;
    }
    database.call(call).await.unwrap();
    database.connection().await.unwrap().batch_execute("DEALLOCATE ALL").await.unwrap();
    assert!(database.call(call).await.is_err());
    database.call(call).await.unwrap();
}

#[tokio::test]
async fn an_altered_table_breaks_no_connection_with_planned_statements_for_good() {
    let (test, database, caller) = bench();
    let read = [Query::new("SELECT * FROM public.documents", &[])];
    database.read(&caller, &read).await.unwrap();
    let (transaction, _) = database.begin(&caller, &read).await.unwrap();
    transaction.roll_back().await;
    test.psql("ALTER TABLE documents ADD COLUMN one int");
    assert!(database.read(&caller, &read).await.is_err());
    database.read(&caller, &read).await.unwrap();
    test.psql("ALTER TABLE documents ADD COLUMN two int");
    assert!(database.begin(&caller, &read).await.is_err());
    database.read(&caller, &read).await.unwrap();
}

#[tokio::test]
async fn when_begin_fails_the_read_is_discarded_and_the_write_never_sent() {
    let (test, database, caller) = bench();
    for left_open in ["BEGIN; SELECT 1", "BEGIN; SELECT 1 / 0"] {
        let query = [Query::new("SELECT 42", &[])];
        let spoil = async || {
            // This may fail; it only leaves the connection inside a transaction.
            let _ = database.connection().await.unwrap().batch_execute(left_open).await;
        };
        spoil().await;
        assert!(database.read(&caller, &query).await.is_err(), "{left_open}");
        assert!(answers(&database, &caller).await, "the connection was used again");
        if left_open.contains('/') {
            spoil().await;
            assert!(database.begin(&caller, &query).await.is_err(), "{left_open}");
            assert!(answers(&database, &caller).await, "the connection was used again");
        }
    }
    assert_eq!(test.psql("SELECT count(*) FROM documents"), "0");
}
