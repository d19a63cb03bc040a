//! The schema comes to the same end each way, and running it again changes nothing.

use memory_bank_test_postgres::{MIGRATOR, TestDatabase};

use crate::support::Bench;

#[tokio::test]
async fn psql_and_the_server_bring_the_same_schema_and_again_changes_nothing() {
    let bench = Bench::new().await;
    let (by_psql, by_server) = (TestDatabase::empty(), TestDatabase::empty());
    by_psql.migrate_with_psql(MIGRATOR);
    let server = bench.open(&by_server.url_of(MIGRATOR), 2);
    let applied = server.migrate().await.unwrap();
    assert_eq!(applied.len(), 5);
    assert_eq!(by_psql.schema(), by_server.schema());
    let before = by_psql.schema();
    by_psql.migrate_with_psql(MIGRATOR);
    assert_eq!(by_psql.schema(), before);
    assert_eq!(server.migrate().await.unwrap(), Vec::<&str>::new());
}

#[tokio::test]
async fn a_database_that_an_init_folder_filled_as_superuser_is_recognised() {
    let bench = Bench::new().await;
    let filled = TestDatabase::empty();
    filled.migrate_with_psql("postgres");
    let server = bench.open(&filled.url_of("postgres"), 1);
    assert_eq!(server.migrate().await.unwrap(), Vec::<&str>::new());
    assert!(server.migrations().await.unwrap().iter().all(|one| one.applied_at.is_some()));
    server.prove_isolation().await.unwrap();
    bench.open(&filled.url(), 1).prove_isolation().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_together_migrate_once() {
    let bench = Bench::new().await;
    let empty = TestDatabase::empty();
    let replicas: Vec<_> = (0..4).map(|_| bench.open(&empty.url_of(MIGRATOR), 1)).collect();
    let applied = futures::future::join_all(replicas.iter().map(|one| one.migrate())).await;
    let total: usize = applied.into_iter().map(|one| one.unwrap().len()).sum();
    assert_eq!(total, 5);
}

#[tokio::test]
async fn the_serving_role_sees_what_is_applied() {
    let bench = Bench::new().await;
    let migrations = bench.database.migrations().await.unwrap();
    assert_eq!(migrations.first().map(|one| one.version), Some("001_schema"));
    assert!(migrations.iter().all(|one| one.applied_at.is_some()));
    let empty = TestDatabase::empty();
    let none = bench.open(&empty.url_of(MIGRATOR), 1).migrations().await.unwrap();
    assert!(none.iter().all(|one| one.applied_at.is_none()));
}

#[tokio::test]
async fn dropping_as_the_guide_says_leaves_a_database_that_can_be_migrated_again() {
    let bench = Bench::new().await;
    let database = TestDatabase::migrated();
    database.psql(
        "BEGIN; DROP TABLE IF EXISTS mcp_events CASCADE; DROP TABLE IF EXISTS sessions CASCADE;
         DROP TABLE IF EXISTS graph_relations CASCADE; DROP TABLE IF EXISTS graph_observations CASCADE;
         DROP TABLE IF EXISTS graph_entities CASCADE; DROP TABLE IF EXISTS documents CASCADE;
         DROP TABLE IF EXISTS api_keys CASCADE; DROP TABLE IF EXISTS memberships CASCADE;
         DROP TABLE IF EXISTS projects CASCADE; DROP TABLE IF EXISTS users CASCADE;
         DROP TABLE IF EXISTS schema_migrations CASCADE; DROP TYPE IF EXISTS project_role CASCADE;
         DROP SCHEMA IF EXISTS app CASCADE; COMMIT",
    );
    let server = bench.open(&database.url_of(MIGRATOR), 1);
    assert_eq!(server.migrate().await.unwrap().len(), 5);
    server.prove_isolation().await.unwrap();
}
