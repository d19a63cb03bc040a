//! Every way creates the same schema, and running it again changes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use memory_bank_postgres::{MIGRATIONS, MigrateError, script_text};
use memory_bank_test_postgres::{DedicatedServer, GUIDE_ROLLBACK, MIGRATOR, SERVER, SUPABASE, TestDatabase};
use tokio_postgres::NoTls;

use crate::support::{Bench, read, write};

#[tokio::test]
async fn psql_and_the_server_create_the_same_schema_and_repeating_changes_nothing() {
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
async fn a_database_created_by_the_init_folder_is_recognised() {
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
async fn the_server_role_sees_applied_migrations() {
    let bench = Bench::new().await;
    let migrations = bench.database.migrations().await.unwrap();
    assert_eq!(migrations.first().map(|one| one.version), Some("001_schema"));
    assert!(migrations.iter().all(|one| one.applied_at.is_some()));
    let empty = TestDatabase::empty();
    let none = bench.open(&empty.url_of(MIGRATOR), 1).migrations().await.unwrap();
    assert!(none.iter().all(|one| one.applied_at.is_none()));
}

#[tokio::test]
async fn migrating_with_the_server_role_names_the_required_role() {
    let bench = Bench::new().await;
    let empty = TestDatabase::empty();
    let refused = bench.open(&empty.url(), 1).migrate().await.unwrap_err();
    assert!(matches!(refused, MigrateError::Denied { version: "001_schema", .. }), "{refused}");
    assert!(refused.to_string().contains("memory-bank-mcp migrate"));
}

/// All objects of a database, one per line; roles belong to the cluster and are not included.
pub(crate) const CONTENTS: &str = "
    WITH spaces AS (SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'),
    facts (fact) AS (
      SELECT 'schema ' || nspname || ' ' || coalesce(nspacl::text, '') FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'
      UNION ALL SELECT 'relation ' || c.oid::regclass || ' ' || coalesce(c.relacl::text, '') FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
      UNION ALL SELECT 'toast ' || count(*) FROM pg_class WHERE relkind = 't'
      UNION ALL SELECT 'type ' || t.oid::regtype FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace
      UNION ALL SELECT 'function ' || p.oid::regprocedure FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace
      UNION ALL SELECT 'operator ' || o.oid::regoperator FROM pg_operator o
      UNION ALL SELECT 'constraint ' || conname FROM pg_constraint
      UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger
      UNION ALL SELECT 'policy ' || polname FROM pg_policy
      UNION ALL SELECT 'event trigger ' || evtname FROM pg_event_trigger
      UNION ALL SELECT 'extension ' || extname FROM pg_extension
      UNION ALL SELECT 'default rights ' || d.defaclrole::regrole || ' ' || d.defaclacl::text FROM pg_default_acl d
      UNION ALL SELECT 'text search ' || cfgname FROM pg_ts_config
      UNION ALL SELECT 'collation ' || collname FROM pg_collation c JOIN spaces s ON s.oid = c.collnamespace WHERE s.nspname <> 'pg_catalog'
      UNION ALL SELECT 'publication ' || pubname FROM pg_publication
      UNION ALL SELECT 'large object ' || oid FROM pg_largeobject_metadata
      UNION ALL SELECT 'setting ' || setconfig::text FROM pg_db_role_setting WHERE setdatabase = (
        SELECT oid FROM pg_database WHERE datname = current_database())
    )
    SELECT fact FROM facts ORDER BY fact";

#[tokio::test]
async fn the_deployment_guide_s_rollback_removes_everything_and_the_scripts_run_again() {
    for role in [MIGRATOR, "postgres", SUPABASE] {
        let around = Bench::new().await;
        let database = if role == SUPABASE { TestDatabase::supabase() } else { TestDatabase::empty() };
        let before = database.psql(CONTENTS);
        for _ in 0..2 {
            database.migrate_with_psql(role);
            assert_eq!(
                database.psql(
                    "SELECT string_agg(version, ' ' ORDER BY applied_at, version) FROM schema_migrations"
                ),
                "001_schema 002_policies 003_functions"
            );
            let server = around.open(&database.url_of(role), 1);
            server.prove_isolation().await.unwrap();
            drop(server);
            database.psql_as(role, GUIDE_ROLLBACK);
            assert_eq!(database.psql(CONTENTS), before, "{role}");
        }
        // In an empty database no object is missing.
        database.psql_as(role, GUIDE_ROLLBACK);
        database.migrate_with_psql(role);
        let bench = Bench::on(database, role);
        let alice = bench.tenant("alice", "one").await;
        write(&bench.bank(), &alice, "a.md", "after the rollback").await.unwrap();
        assert_eq!(read(&bench.bank(), &alice, "a.md").await.as_deref(), Some("after the rollback"));
    }
}

#[tokio::test]
async fn the_rollback_script_removes_everything_and_the_database_can_be_migrated_again() {
    for role in [MIGRATOR, "postgres"] {
        let bench = Bench::new().await;
        let database = TestDatabase::empty();
        let before = database.psql(CONTENTS);
        database.migrate_with_psql(role);
        let confirm = format!("SET memory_bank.confirm_rollback = '{}'", database.name());
        database.roll_back_with_psql(role, &confirm).unwrap();
        assert_eq!(database.psql(CONTENTS), before);
        database.roll_back_with_psql(role, &confirm).unwrap();
        let server = bench.open(&database.url_of(role), 1);
        assert!(!server.migrate().await.unwrap().is_empty());
        server.prove_isolation().await.unwrap();
        // Other databases of this cluster use the roles, so the roles and their members still exist.
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

/// The migrations table of a version before 2.0: nine rows, or the first three without today's tables.
const BEFORE_TWO: [&str; 2] = [
    "INSERT INTO schema_migrations SELECT unnest(ARRAY['004_state_and_backups', '005_graph_changes', '006_audit', \
     '007_files', '008_document_reads', '009_audit_of_restores'])",
    "DROP TABLE app.files",
];

#[tokio::test]
async fn a_database_of_version_1_is_recognised_and_not_changed() {
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
        for script in script_names() {
            let refused = old.run_with_psql(MIGRATOR, &script).unwrap_err();
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
            assert!(entry.file_type().unwrap().is_file(), "{name} is not a regular file");
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// The names of the scripts, in their order.
fn script_names() -> Vec<String> {
    MIGRATIONS.iter().map(|(version, _)| format!("{version}.sql")).collect()
}

#[test]
fn both_script_folders_contain_the_same_three_files() {
    let supabase = scripts("supabase/setup");
    assert_eq!(supabase.keys().cloned().collect::<Vec<_>>(), script_names());
    let mut migrations = scripts("migrations");
    assert!(migrations.remove("rollback.sql").is_some());
    for (name, content) in &supabase {
        assert!(migrations.get(name) == Some(content), "{name} differs: copy migrations/ to supabase/setup/");
    }
    assert_eq!(migrations.len(), supabase.len());
    for (version, sql) in MIGRATIONS {
        assert!(
            migrations[&format!("{version}.sql")] == script_text(sql).unwrap().as_bytes(),
            "{version} embeds another file"
        );
    }
}

#[test]
fn compose_mounts_each_script_and_no_other_file() {
    let compose = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker-compose.yml");
    let compose = std::fs::read_to_string(compose).unwrap();
    let mounts: Vec<&str> =
        compose.lines().map(str::trim).filter(|line| line.contains("/docker-entrypoint-initdb.d")).collect();
    let wanted: Vec<String> = script_names()
        .iter()
        .map(|name| format!("- ./migrations/{name}:/docker-entrypoint-initdb.d/{name}:ro"))
        .collect();
    assert_eq!(mounts, wanted);
}

#[tokio::test]
async fn each_script_can_be_run_again_by_itself() {
    let database = TestDatabase::migrated();
    let before = database.schema();
    let mut names = script_names();
    names.rotate_right(1);
    for script in names {
        database.run_with_psql(MIGRATOR, &script).unwrap();
        assert_eq!(database.schema(), before, "{script} changed something");
    }
}

#[tokio::test]
async fn the_rollback_script_names_the_databases_that_still_use_the_roles() {
    let (one, other) = (TestDatabase::migrated(), TestDatabase::migrated());
    let confirm = format!("SET memory_bank.confirm_rollback = '{}'", one.name());
    let script =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/rollback.sql"));
    let script = script.unwrap();
    // A warning is an error here, so that its text is returned.
    let loud = script.replace("RAISE NOTICE 'roles that stay", "RAISE EXCEPTION 'roles that stay");
    assert_ne!(loud, script);
    let file = std::env::temp_dir().join(format!("{}.sql", one.name()));
    std::fs::write(&file, loud).unwrap();
    let message = one.roll_back_with_psql_file(MIGRATOR, &confirm, file.to_str().unwrap()).unwrap_err();
    std::fs::remove_file(file).unwrap();
    assert!(
        message.contains("app_server, app_user, app_definer") && message.contains(other.name()),
        "{message}"
    );
    one.roll_back_with_psql(MIGRATOR, &confirm).unwrap();
}

/// A role dependency without a database, as PostgreSQL reports it while another database is dropped.
const NAMELESS: &str = "FROM pg_shdepend WHERE classid = 'pg_database'::regclass AND objid = 4294967000";

#[tokio::test]
async fn the_rollback_script_waits_for_a_database_being_dropped() {
    let bench = Bench::new().await;
    let server = DedicatedServer::start();
    let url = server.url_of(MIGRATOR);
    bench.open(&url, 1).migrate().await.unwrap();
    server.query(
        "SET allow_system_table_mods = on;
        INSERT INTO pg_shdepend (dbid, classid, objid, objsubid, refclassid, refobjid, deptype)
        SELECT 0, 'pg_database'::regclass, 4294967000, 0, 'pg_authid'::regclass, oid, 'a'
        FROM pg_roles WHERE rolname = 'app_server'",
    );
    assert_eq!(server.query(&format!("SELECT count(*) {NAMELESS}")), "1");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/rollback.sql");
    let script = std::fs::read_to_string(script).unwrap();
    let rollback = tokio::spawn(async move {
        client.batch_execute("SET memory_bank.confirm_rollback = 'bank'").await?;
        client.batch_execute(&script).await
    });
    let deadline = Instant::now() + Duration::from_secs(30);
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    while !rollback.is_finished() && server.query(waits) != "1" {
        assert!(Instant::now() < deadline, "the script neither waits nor ends");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.query(&format!("SET allow_system_table_mods = on; DELETE {NAMELESS}"));
    rollback.await.unwrap().unwrap();
    let left = "SELECT count(*) FROM pg_roles WHERE rolname IN ('app_server', 'app_user', 'app_definer')";
    assert_eq!(server.query(left), "0");
}
