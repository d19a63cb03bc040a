//! Keys in the catalog, and partitions of the events: created ahead, dropped when old, and not readable by name.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, ToSpan};
use memory_bank_core::clock::{Clock, SystemClock};
use memory_bank_core::store::SessionStore;
use memory_bank_postgres::{SERVER_TABLES, TENANT_TABLES};
use memory_bank_test_postgres::{MIGRATOR, SERVER};

use crate::isolation::two_tenants;
use crate::support::{Bench, query_as_login};

/// Tables whose key does not contain the project: accounts, and the list of projects.
const GLOBAL: [&str; 2] = ["public.users", "public.projects"];
/// The one unique constraint of a tenant's table that holds no project: a key is found by its hash.
const NOT_OF_A_PROJECT: [&str; 1] = ["api_keys_key_hash_key"];

fn named(tables: &[&str]) -> String {
    tables.iter().map(|name| format!("'{name}'::regclass")).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn every_key_of_a_tenant_table_contains_the_project() {
    let bench = Bench::new().await;
    let tenant: Vec<&str> = TENANT_TABLES.into_iter().filter(|name| !GLOBAL.contains(name)).collect();
    let every = [TENANT_TABLES.as_slice(), SERVER_TABLES.as_slice()].concat();
    let (tenant, all, global) = (named(&tenant), named(&every), named(&GLOBAL));
    let listed = format!(
        "SELECT string_agg(c.oid::regclass::text, ' ') FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition \
         AND c.relnamespace IN ('public'::regnamespace, 'app'::regnamespace) AND c.oid NOT IN ({all}) \
         AND c.oid <> 'public.schema_migrations'::regclass"
    );
    assert_eq!(bench.test.psql(&listed), "", "tables that TENANT_TABLES does not name");
    let project = "(SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = t AND a.attname = 'project_id' AND a.attnotnull)";
    let without =
        format!("SELECT t::regclass FROM unnest(ARRAY[{tenant}]::oid[]) AS t WHERE {project} IS NULL");
    assert_eq!(bench.test.psql(&without), "", "tables without a project");
    let keyless = format!(
        "SELECT t::regclass FROM unnest(ARRAY[{tenant}]::oid[]) AS t WHERE NOT EXISTS (SELECT FROM pg_index i \
         WHERE i.indrelid = t AND i.indisprimary)"
    );
    assert_eq!(bench.test.psql(&keyless), "", "tables without a primary key");
    let unique = format!(
        "SELECT i.indexrelid::regclass FROM unnest(ARRAY[{tenant}]::oid[]) AS t JOIN pg_index i ON i.indrelid = t \
         WHERE (i.indisunique OR i.indisexclusion) AND {project} <> ALL (i.indkey[0:i.indnkeyatts - 1])"
    );
    assert_eq!(bench.test.psql(&unique), NOT_OF_A_PROJECT.join("\n"), "unique over all projects");
    // A foreign key to a tenant table contains the project at the same position on both sides.
    let foreign = format!(
        "SELECT c.conrelid::regclass || ' ' || c.conname FROM unnest(ARRAY[{tenant}]::oid[]) AS t \
         JOIN pg_constraint c ON c.conrelid = t AND c.contype = 'f' WHERE c.confrelid NOT IN ({global}) AND NOT EXISTS ( \
           SELECT FROM unnest(c.conkey, c.confkey) AS k (here, there) JOIN pg_attribute a ON a.attrelid = c.confrelid \
           AND a.attnum = k.there WHERE k.here = {project} AND a.attname = 'project_id')"
    );
    assert_eq!(bench.test.psql(&foreign), "", "foreign keys without the project");
}

#[tokio::test]
async fn the_key_check_finds_a_table_without_the_project() {
    let bench = Bench::new().await;
    bench.test.psql("ALTER TABLE documents DROP CONSTRAINT documents_pkey, ADD PRIMARY KEY (id)");
    let unique = "SELECT count(*) FROM pg_index i WHERE i.indrelid = 'documents'::regclass AND i.indisunique AND \
        (SELECT attnum FROM pg_attribute WHERE attrelid = 'documents'::regclass AND attname = 'project_id') \
        <> ALL (i.indkey[0:i.indnkeyatts - 1])";
    assert_eq!(bench.test.psql(unique), "1");
}

/// The partitions but the default one, with the hours that each is wide, oldest first.
fn partitions(bench: &Bench) -> Vec<String> {
    let sql = "SELECT tab FROM app.event_partitions() ORDER BY begins";
    bench.test.psql(sql).lines().map(str::to_owned).collect()
}

/// A partition of this age in hours, and an event in it for each session.
fn aged(bench: &Bench, hours: i64) {
    bench.test.psql(&format!(
        "SET ROLE app_definer; CREATE TABLE app.mcp_events_aged{hours} (LIKE public.mcp_events INCLUDING DEFAULTS \
         INCLUDING CONSTRAINTS); ALTER TABLE app.mcp_events_aged{hours} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
         DO $$ BEGIN EXECUTE format('ALTER TABLE public.mcp_events ATTACH PARTITION app.mcp_events_aged{hours} \
           FOR VALUES FROM (%L) TO (%L)', date_trunc('hour', now()) - interval '{hours} hours', \
           date_trunc('hour', now()) - interval '{} hours'); END $$; RESET ROLE; \
         INSERT INTO mcp_events (session_id, stream_id, place, user_id, project_id, message, created_at) \
         SELECT id, id, {hours}, user_id, project_id, '{{}}', date_trunc('hour', now()) - interval '{hours} hours' FROM sessions",
        hours - 1
    ));
}

fn now() -> Timestamp {
    SystemClock.now()
}

async fn clean_once(bench: &Bench) {
    bench.database.clean_up(now(), now() - 24.hours(), 500).await.unwrap();
}

/// How many of this hour and the next three have a partition.
const COVERED: &str = "SELECT count(*) FROM generate_series(0, 3) AS h WHERE EXISTS (SELECT FROM app.event_partitions() p \
    WHERE p.begins <= now() + h * interval '1 hour' AND p.ends > now() + h * interval '1 hour')";

/// Cleans up until nothing is left to do. A round that meets a lock leaves the rest to the next one, and autovacuum holds one
/// now and then. This hour has no partition if the default one has events of it.
async fn clean(bench: &Bench) {
    let left = format!(
        "SELECT ({COVERED}) < 4 - (EXISTS (SELECT FROM app.mcp_events_default))::int \
         OR EXISTS (SELECT FROM app.event_partitions() WHERE ends <= now() - interval '24 hours')"
    );
    for _ in 0..100 {
        clean_once(bench).await;
        if bench.test.psql(&left) == "f" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("partitions are missing or too old after 100 rounds: {:?}", partitions(bench));
}

#[tokio::test]
async fn partitions_are_created_ahead_without_rights_of_the_login_role() {
    let bench = Bench::new().await;
    clean(&bench).await;
    assert_eq!(bench.test.psql(COVERED), "4");
    for partition in partitions(&bench) {
        bench.test.psql(&format!("DROP TABLE {partition}"));
    }
    clean(&bench).await;
    assert_eq!(bench.test.psql(COVERED), "4");
    let before = partitions(&bench);
    clean(&bench).await;
    assert_eq!(partitions(&bench), before, "made twice");
    let may = format!(
        "SELECT has_schema_privilege('{SERVER}', 'app', 'CREATE') OR has_schema_privilege('{SERVER}', 'public', 'CREATE') \
         OR pg_has_role('{SERVER}', 'app_definer', 'MEMBER') OR has_schema_privilege('app_definer', 'public', 'CREATE')"
    );
    assert_eq!(bench.test.psql(&may), "f");
    assert_eq!(
        bench.test.psql("SELECT count(*) FROM mcp_events"),
        "0",
        "the query of the deployment guide reads the partitioned table"
    );
}

#[tokio::test]
async fn events_are_stored_in_the_partition_of_their_time_or_in_the_default_one() {
    let (bench, ..) = two_tenants().await;
    clean(&bench).await;
    let place = "SELECT string_agg(DISTINCT (tableoid::regclass)::text, ' ') FROM mcp_events";
    let default = "SELECT count(*) FROM app.mcp_events_default";
    assert_eq!(bench.test.psql(default), "0", "{}", bench.test.psql(place));
    for partition in partitions(&bench) {
        bench.test.psql(&format!("DROP TABLE {partition}"));
    }
    let event = "INSERT INTO mcp_events (session_id, stream_id, place, user_id, project_id, message) \
        SELECT id, id, 9, user_id, project_id, '{}' FROM sessions";
    bench.test.psql(event);
    assert_eq!(bench.test.psql(default), "2");
    // Rows in the default partition stay there; later hours get partitions, and no row is lost or duplicated.
    clean(&bench).await;
    assert_eq!(bench.test.psql(default), "2");
    assert!(partitions(&bench).len() >= 3);
    assert_eq!(bench.test.psql("SELECT count(*), min(created_at) = max(created_at) FROM mcp_events"), "2|t");
}

#[tokio::test]
async fn old_partitions_are_dropped_and_recent_events_stay() {
    let (bench, ..) = two_tenants().await;
    for hours in [3, 20, 27, 40] {
        aged(&bench, hours);
    }
    clean(&bench).await;
    let left =
        bench.test.psql("SELECT string_agg(DISTINCT place::text, ' ' ORDER BY place::text) FROM mcp_events");
    assert_eq!(left, "1 20 3");
    assert!(!partitions(&bench).iter().any(|name| name.ends_with("aged27") || name.ends_with("aged40")));
    // By the database's clock: nothing is dropped before its hour is over, also if the login role requests it.
    let client = bench.open(&bench.test.url_of(SERVER), 1);
    client
        .clean_up(now() + SignedDuration::from_hours(9999), now() + SignedDuration::from_hours(9999), 1)
        .await
        .unwrap();
    let left =
        bench.test.psql("SELECT count(*) FROM mcp_events WHERE created_at > now() - interval '1 hour'");
    assert_eq!(left, "2");
}

#[tokio::test]
async fn a_server_with_a_fast_clock_drops_no_recent_partition() {
    let (bench, ..) = two_tenants().await;
    for hours in [20, 27] {
        aged(&bench, hours);
    }
    let ahead = now() + 24.hours();
    bench.database.clean_up(ahead, ahead - 24.hours(), 500).await.unwrap();
    let names = partitions(&bench);
    assert!(names.iter().any(|name| name.ends_with("aged20")), "{names:?}");
    assert!(!names.iter().any(|name| name.ends_with("aged27")), "{names:?}");
    assert_eq!(bench.test.psql("SELECT app.drop_event_partition(now())"), "app.mcp_events_aged20");
}

#[tokio::test]
async fn a_partition_locked_by_a_reader_blocks_no_writer_and_is_dropped_later() {
    let (bench, alice, _) = two_tenants().await;
    aged(&bench, 40);
    let (mut client, connection) =
        tokio_postgres::connect(&bench.test.url_of("postgres"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let reader = client.transaction().await.unwrap();
    reader.batch_execute("SELECT count(*) FROM mcp_events").await.unwrap();
    // The clean-up gives up its locks, and does the rest of its work.
    clean_once(&bench).await;
    assert!(partitions(&bench).iter().any(|name| name.ends_with("aged40")));
    let insert = format!(
        "SET lock_timeout = '5s'; INSERT INTO mcp_events (session_id, stream_id, place, user_id, project_id, message) \
         SELECT id, id, 7, user_id, project_id, '{{}}' FROM sessions WHERE project_id = '{}'",
        alice.project.0
    );
    bench.test.psql(&insert);
    drop(reader);
    drop(client);
    let mut tries = 0;
    while partitions(&bench).iter().any(|name| name.ends_with("aged40")) {
        clean(&bench).await;
        tries += 1;
        assert!(tries < 100);
    }
    assert_eq!(bench.test.psql("SELECT count(*) FROM mcp_events WHERE place = 7"), "1");
}

#[tokio::test]
async fn partitions_that_a_lock_prevents_are_made_in_the_next_round() {
    let bench = Bench::new().await;
    for partition in partitions(&bench) {
        bench.test.psql(&format!("DROP TABLE {partition}"));
    }
    let (mut client, connection) =
        tokio_postgres::connect(&bench.test.url_of("postgres"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let vacuum = client.transaction().await.unwrap();
    vacuum.batch_execute("LOCK app.mcp_events_default IN SHARE UPDATE EXCLUSIVE MODE").await.unwrap();
    clean_once(&bench).await;
    assert_eq!(bench.test.psql(COVERED), "0");
    drop(vacuum);
    drop(client);
    clean(&bench).await;
    assert_eq!(bench.test.psql(COVERED), "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_cleanups_create_and_drop_each_partition_once() {
    let (bench, ..) = two_tenants().await;
    for partition in partitions(&bench) {
        bench.test.psql(&format!("DROP TABLE {partition}"));
    }
    for hours in [30, 31, 32, 33] {
        aged(&bench, hours);
    }
    let replicas: Vec<_> = (0..4).map(|_| bench.another()).collect();
    for _ in 0..3 {
        let cleaned = futures::future::join_all(
            replicas.iter().map(|replica| replica.clean_up(now(), now() - 24.hours(), 500)),
        );
        for outcome in cleaned.await {
            outcome.unwrap();
        }
    }
    clean(&bench).await;
    let overlaps = "SELECT count(*) FROM app.event_partitions() a JOIN app.event_partitions() b \
        ON a.tab <> b.tab AND a.begins < b.ends AND b.begins < a.ends";
    assert_eq!(bench.test.psql(overlaps), "0");
    let old = "SELECT count(*) FROM app.event_partitions() WHERE ends < now() - interval '25 hours'";
    assert_eq!(bench.test.psql(old), "0");
    assert!(partitions(&bench).len() >= 4);
}

#[tokio::test]
async fn a_partition_cannot_be_read_directly() {
    let (bench, ..) = two_tenants().await;
    clean(&bench).await;
    let mut all = partitions(&bench);
    all.push("app.mcp_events_default".to_owned());
    for partition in &all {
        for role in ["app_user", "app_server", SERVER] {
            let may = format!(
                "SELECT has_table_privilege('{role}', '{partition}', 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')"
            );
            assert_eq!(bench.test.psql(&may), "f", "{partition} {role}");
        }
        let forced = format!(
            "SELECT relrowsecurity AND relforcerowsecurity AND relowner = 'app_definer'::regrole FROM pg_class \
             WHERE oid = '{partition}'::regclass"
        );
        assert_eq!(bench.test.psql(&forced), "t", "{partition}");
    }
    // The schema's owner cannot read it either: the policies admit only the functions.
    let rows = "BEGIN; SET LOCAL ROLE app_definer; SELECT count(*) FROM pg_policy p JOIN pg_inherits i ON i.inhrelid = p.polrelid \
        WHERE i.inhparent = 'public.mcp_events'::regclass AND p.polroles <> ARRAY['app_definer'::regrole::oid]; COMMIT";
    assert_eq!(bench.test.psql(rows), "0");
}

#[tokio::test]
async fn the_isolation_check_finds_a_readable_partition() {
    let bench = Bench::new().await;
    clean(&bench).await;
    let partition = partitions(&bench).remove(0);
    for (open, words, close) in [
        ("NO FORCE ROW LEVEL SECURITY", "lacks forced row-level security", "FORCE ROW LEVEL SECURITY"),
        ("DISABLE ROW LEVEL SECURITY", "lacks forced row-level security", "ENABLE ROW LEVEL SECURITY"),
    ] {
        bench.test.psql(&format!("ALTER TABLE {partition} {open}"));
        assert!(bench.refusal().await.contains(words), "{open}");
        bench.test.psql(&format!("ALTER TABLE {partition} {close}"));
    }
    for role in ["app_user", "app_server", SERVER] {
        bench.test.psql(&format!("GRANT SELECT (message) ON {partition} TO {role}"));
        assert!(bench.refusal().await.contains("by its own name"), "{role}");
        bench.test.psql(&format!("REVOKE SELECT (message) ON {partition} FROM {role}"));
    }
    bench.test.psql(&format!(
        "GRANT SELECT ON {partition} TO PUBLIC; ALTER TABLE {partition} NO FORCE ROW LEVEL SECURITY"
    ));
    assert!(bench.refusal().await.contains("lacks forced"));
    // The script mends it.
    bench.test.run_with_psql(MIGRATOR, "002_policies.sql").unwrap();
    bench.database.prove_isolation().await.unwrap();
}

#[tokio::test]
async fn the_login_role_makes_changes_and_drops_no_table_of_the_schemas() {
    let bench = Bench::new().await;
    for sql in [
        "CREATE TABLE app.x ()",
        "CREATE TABLE public.x ()",
        "CREATE VIEW app.x AS SELECT 1",
        "DROP TABLE public.documents",
        "ALTER TABLE public.documents DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE public.documents NO FORCE ROW LEVEL SECURITY",
        "TRUNCATE public.documents",
        "CREATE TRIGGER x BEFORE INSERT ON public.documents EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "DROP POLICY functions_select ON public.documents",
    ] {
        let done = query_as_login(&bench, sql).await;
        assert!(done.as_ref().is_err_and(|error| error.starts_with("42501")), "{sql}: {done:?}");
    }
}
