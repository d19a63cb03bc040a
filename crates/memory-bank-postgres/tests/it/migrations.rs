//! The schema comes to the same end each way, and running it again changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use memory_bank_postgres::MigrateError;
use memory_bank_test_postgres::{MIGRATOR, SERVER, TestDatabase};

use crate::support::Bench;

#[tokio::test]
async fn psql_and_the_server_bring_the_same_schema_and_again_changes_nothing() {
    let bench = Bench::new().await;
    let (by_psql, by_server) = (TestDatabase::empty(), TestDatabase::empty());
    by_psql.migrate_with_psql(MIGRATOR);
    let server = bench.open(&by_server.url_of(MIGRATOR), 2);
    let applied = server.migrate().await.unwrap();
    assert_eq!(applied.len(), server.migrations().await.unwrap().len());
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
    assert_eq!(total, bench.database.migrations().await.unwrap().len());
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
async fn a_role_that_may_only_serve_is_told_who_must_migrate() {
    let bench = Bench::new().await;
    let empty = TestDatabase::empty();
    let refused = bench.open(&empty.url(), 1).migrate().await.unwrap_err();
    assert!(matches!(refused, MigrateError::Denied { version: "001_schema", .. }), "{refused}");
    assert!(refused.to_string().contains("memory-bank-mcp migrate"));
}

/// What is in the database that a new one does not have.
const LEFT: &str = "
    SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
    UNION ALL SELECT nspname FROM pg_namespace WHERE nspname = 'app'
    UNION ALL SELECT x.grantee::regrole::text FROM pg_namespace n, aclexplode(n.nspacl) x
      WHERE n.nspname = 'public' AND x.grantee::regrole::text LIKE 'app%'";

#[tokio::test]
async fn the_rollback_script_leaves_nothing_behind_and_the_database_can_be_migrated_again() {
    for role in [MIGRATOR, "postgres"] {
        let bench = Bench::new().await;
        let database = TestDatabase::empty();
        database.migrate_with_psql(role);
        let confirm = format!("SET memory_bank.confirm_rollback = '{}'", database.name());
        database.roll_back_with_psql(role, &confirm).unwrap();
        assert_eq!(database.psql(LEFT), "");
        database.roll_back_with_psql(role, &confirm).unwrap();
        let server = bench.open(&database.url_of(role), 1);
        assert!(!server.migrate().await.unwrap().is_empty());
        server.prove_isolation().await.unwrap();
        // Other databases of this cluster use the roles, so they are there still and their members with them.
        bench.database.prove_isolation().await.unwrap();
        bench.open(&database.url(), 1).prove_isolation().await.unwrap();
    }
}

#[tokio::test]
async fn the_rollback_script_changes_nothing_unless_the_session_names_the_database() {
    let database = TestDatabase::migrated();
    let before = database.schema();
    // As a container's init folder runs it: it must not end the start with an error either.
    database.roll_back_with_psql(MIGRATOR, "SELECT 1").unwrap();
    assert_eq!(database.schema(), before);
    let refused =
        database.roll_back_with_psql(MIGRATOR, "SET memory_bank.confirm_rollback = 'another'").unwrap_err();
    assert!(refused.contains("nothing was changed"), "{refused}");
    assert_eq!(database.schema(), before);
}

/// What a version before 2.0 left: its nine rows, or its first three without the tables of today.
const BEFORE_TWO: [&str; 2] = [
    "INSERT INTO schema_migrations SELECT unnest(ARRAY['004_state_and_backups', '005_graph_changes', '006_audit', \
     '007_files', '008_document_reads', '009_audit_of_restores'])",
    "DROP TABLE app.files",
];

#[tokio::test]
async fn a_database_from_before_two_is_recognised_and_nothing_in_it_is_changed() {
    let bench = Bench::new().await;
    for made_before in BEFORE_TWO {
        let old = TestDatabase::migrated();
        old.psql(made_before);
        let before = old.schema();
        for role in [MIGRATOR, SERVER] {
            let database = bench.open(&old.url_of(role), 1);
            let refused = database.migrate().await.unwrap_err();
            assert!(matches!(refused, MigrateError::BeforeTwo), "{refused}");
            for words in ["before memory-bank-mcp 2.0", "export", "new database", "import"] {
                assert!(refused.to_string().contains(words), "{refused}");
            }
            assert!(matches!(database.migrations().await.unwrap_err(), MigrateError::BeforeTwo));
        }
        for script in ["001_schema.sql", "002_policies.sql", "003_functions.sql"] {
            let refused = old.run_with_psql(MIGRATOR, script).unwrap_err();
            assert!(refused.contains("before memory-bank-mcp 2.0"), "{refused}");
        }
        assert_eq!(old.schema(), before);
    }
}

/// The names and contents of the scripts in a folder.
fn scripts(folder: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            assert!(entry.file_type().unwrap().is_file(), "{name} is no file of its own");
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn the_two_folders_hold_the_same_three_scripts_as_files() {
    let supabase = scripts("supabase/setup");
    assert_eq!(
        supabase.keys().map(String::as_str).collect::<Vec<_>>(),
        ["001_schema.sql", "002_policies.sql", "003_functions.sql"]
    );
    let mut migrations = scripts("migrations");
    assert!(migrations.remove("rollback.sql").is_some());
    for (name, content) in &supabase {
        assert!(migrations.get(name) == Some(content), "{name} differs: copy migrations/ to supabase/setup/");
    }
    assert_eq!(migrations.len(), supabase.len());
}

#[tokio::test]
async fn each_script_can_be_run_again_by_itself() {
    let database = TestDatabase::migrated();
    let before = database.schema();
    for script in ["003_functions.sql", "001_schema.sql", "002_policies.sql"] {
        database.run_with_psql(MIGRATOR, script).unwrap();
        assert_eq!(database.schema(), before, "{script} changed something");
    }
}
