//! A database behind a pooler that gives each transaction any session: PgBouncer in transaction mode.

use std::sync::Arc;

use futures::future::join_all;
use memory_bank_contract_tests::{Project, RecordedChanges};
use memory_bank_core::caller::{Caller, Role};
use memory_bank_postgres::{Database, Pooling, PostgresBank, PostgresWorkspace};
use memory_bank_test_postgres::{MIGRATOR, PgBouncer, SERVER};
use tokio_postgres::NoTls;

use crate::support::{Bench, read, write};

/// So few sessions that transactions of all callers share them.
const SESSIONS: usize = 4;

/// A project on two pools, whose connections share a pooler's sessions.
pub(crate) async fn fresh() -> Project {
    let changes = Arc::new(RecordedChanges::default());
    let bench = Bench::with_sink(changes.clone()).await;
    let caller = bench.tenant("alice", "demo").await;
    let colleague = bench.member("bob", "demo", Role::Editor).await;
    let pooler = PgBouncer::start_with(&bench.test, "transaction", SESSIONS);
    let url = pooler.url_of(&bench.test, SERVER);
    let first = bench.open_pooled(&url, 8);
    let second = bench.open_pooled(&url, 8);
    Project {
        caller,
        colleague,
        workspace: Arc::new(PostgresWorkspace::new(first.clone())),
        bank: Arc::new(PostgresBank::new(first.clone(), "demo".to_owned())),
        other: Arc::new(PostgresBank::new(second, "demo".to_owned())),
        state: Arc::new(first),
        changes,
        keep: Box::new((bench, pooler)),
    }
}

memory_bank_contract_tests::contract_tests!(crate::transaction_pooler::fresh);

async fn pooled(bench: &Bench, sessions: usize) -> (PgBouncer, Database) {
    let pooler = PgBouncer::start_with(&bench.test, "transaction", sessions);
    let database = bench.open_pooled(&pooler.url_of(&bench.test, SERVER), 8);
    assert_eq!(database.pooling().await.unwrap(), Pooling::Transaction);
    (pooler, database)
}

#[tokio::test]
async fn a_transaction_pooler_serves_when_it_is_asked_for() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let (_pooler, database) = pooled(&bench, SESSIONS).await;
    assert_eq!(database.prepares_statements(), PgBouncer::carries_prepared_statements());
    database.prove_isolation().await.unwrap();
    assert!(database.migrations().await.unwrap().iter().all(|migration| migration.applied_at.is_some()));
    assert_eq!(database.diagnose().await.unwrap().login, SERVER);
    let bank = PostgresBank::new(database, "demo".to_owned());
    write(&bank, &alice, "a.md", "through the pooler").await.unwrap();
    assert_eq!(read(&bank, &alice, "a.md").await.as_deref(), Some("through the pooler"));
}

#[tokio::test]
async fn nothing_is_left_in_the_sessions_of_a_transaction_pooler() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    // The only session, which others get next.
    let (pooler, database) = pooled(&bench, 1).await;
    let (client, connection) =
        tokio_postgres::connect(&pooler.url_of(&bench.test, SERVER), NoTls).await.unwrap();
    tokio::spawn(connection);
    // Statements that the pooler prepares under its own names are its affair.
    let settings = "SELECT name || ' = ' || setting FROM pg_catalog.pg_settings WHERE source = 'session' \
        AND name <> 'application_name' AND setting <> '' \
        UNION ALL SELECT 'statement ' || name FROM pg_catalog.pg_prepared_statements WHERE name NOT LIKE 'PGBOUNCER%' \
        UNION ALL SELECT name || ' = ' || current_setting(name, true) FROM unnest(ARRAY['app.current_user_id', 'app.current_project_id', \
          'app.current_key_hash', 'app.current_key_id', 'app.current_change', 'app.current_purpose', 'app.current_versions']) AS name WHERE coalesce(current_setting(name, true), '') <> '' \
        UNION ALL SELECT 'role ' || current_user WHERE current_user <> session_user \
        UNION ALL SELECT 'lock ' || locktype FROM pg_catalog.pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'";
    let left = async || {
        let found = client.simple_query(settings).await.unwrap();
        let rows = found.into_iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        rows.collect::<Vec<_>>()
    };
    let before = left().await;
    database.prove_isolation().await.unwrap();
    // A server that expects sessions reads the schema before it detects the pooler.
    assert!(bench.open(&pooler.url_of(&bench.test, SERVER), 2).is_prepared().await);
    let bank = PostgresBank::new(database.clone(), "demo".to_owned());
    write(&bank, &alice, "a.md", "one").await.unwrap();
    assert_eq!(read(&bank, &alice, "a.md").await.as_deref(), Some("one"));
    let stranger = Caller { proof: None, ..alice.clone() };
    assert!(write(&bank, &stranger, "a.md", "two").await.is_err());
    assert_eq!(read(&bank, &alice, "a.md").await.as_deref(), Some("one"));
    assert_eq!(left().await, before);
    // In the same session, the role of servers reaches nothing by itself.
    let seen = client.simple_query("SELECT count(*) FROM public.documents").await;
    assert!(seen.is_err(), "{seen:?}");
}

#[tokio::test]
async fn a_database_is_prepared_once_its_schema_is_complete_and_isolates() {
    let bench = Bench::new().await;
    assert!(bench.database.is_prepared().await);
    bench.test.psql("ALTER TABLE public.documents NO FORCE ROW LEVEL SECURITY");
    assert!(!bench.database.is_prepared().await);
    bench.test.psql("ALTER TABLE public.documents FORCE ROW LEVEL SECURITY");
    bench.test.psql("DELETE FROM public.schema_migrations WHERE version LIKE '003%'");
    assert!(!bench.database.is_prepared().await);
    assert!(
        !Bench::on(memory_bank_test_postgres::TestDatabase::supabase(), memory_bank_test_postgres::SUPABASE)
            .database
            .is_prepared()
            .await
    );
}

#[tokio::test]
async fn statements_of_another_program_in_a_session_are_in_nobodys_way() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let pooler = PgBouncer::start_with(&bench.test, "transaction", 1);
    let url = pooler.url_of(&bench.test, SERVER);
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    // The names that the driver gives are `s` and a number.
    if !PgBouncer::carries_prepared_statements() {
        for number in 0..400 {
            client.batch_execute(&format!("PREPARE s{number} AS SELECT 'of another program'")).await.unwrap();
        }
    }
    let database = bench.open_pooled(&url, 4);
    assert_eq!(database.pooling().await.unwrap(), Pooling::Transaction);
    database.prove_isolation().await.unwrap();
    let bank = PostgresBank::new(database, "demo".to_owned());
    write(&bank, &alice, "a.md", "one").await.unwrap();
    assert_eq!(read(&bank, &alice, "a.md").await.as_deref(), Some("one"));
}

#[tokio::test]
async fn callers_that_share_sessions_never_see_each_other() {
    let bench = Bench::new().await;
    let (_pooler, database) = pooled(&bench, 2).await;
    let mut callers = Vec::new();
    for number in 0..6 {
        let project = format!("project-{number}");
        callers.push((bench.tenant(&format!("user-{number}"), &project).await, project));
    }
    let work = callers.iter().enumerate().map(|(number, (caller, project))| {
        let bank = PostgresBank::new(database.clone(), project.clone());
        async move {
            for round in 0..20 {
                let text = format!("of {number} in round {round}");
                write(&bank, caller, "a.md", &text).await.unwrap();
                assert_eq!(read(&bank, caller, "a.md").await, Some(text));
            }
        }
    });
    join_all(work).await;
}

#[tokio::test]
async fn what_needs_a_session_says_so_behind_a_transaction_pooler() {
    let bench = Bench::new().await;
    let pooler = PgBouncer::start(&bench.test, "transaction");
    let owner = bench.open_pooled(&pooler.url_of(&bench.test, MIGRATOR), 2);
    let refused = owner.migrate().await.unwrap_err().to_string();
    assert!(refused.contains("leads to the database itself"), "{refused}");
    let refused = owner.set_server_login("other", "password").await.unwrap_err().to_string();
    assert!(refused.contains("leads to the database itself"), "{refused}");
}
