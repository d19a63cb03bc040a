//! A database as Supabase sets one up, and poolers in front of a database.

use memory_bank_core::caller::Caller;
use memory_bank_core::error::StoreError;
use memory_bank_core::store::DocumentStore;
use memory_bank_postgres::{Cause, ConnectError, DatabaseOptions, Pooling, PostgresBank, TrustOptions};
use memory_bank_test_postgres::{PgBouncer, SERVER, SUPABASE, TestDatabase};

use crate::support::{Bench, read, write};

/// The files in supabase/setup, in their order.
fn scripts() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../supabase/setup");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

fn set_up() -> TestDatabase {
    let database = TestDatabase::supabase();
    database.psql_as(SUPABASE, &scripts().join("\n"));
    database
}

#[tokio::test]
async fn psql_sql_editor_and_server_create_the_same_schema_on_supabase() {
    let (by_psql, by_editor, by_server) =
        (TestDatabase::supabase(), TestDatabase::supabase(), TestDatabase::supabase());
    for script in scripts() {
        by_psql.psql_as(SUPABASE, &script);
    }
    by_editor.psql_as(SUPABASE, &scripts().join("\n"));
    let server = Bench::on(by_server, SUPABASE);
    let applied = server.database.migrate().await.unwrap();
    assert_eq!(applied.len(), scripts().len());
    let wanted = server.test.schema();
    assert_eq!(by_psql.schema(), wanted);
    assert_eq!(by_editor.schema(), wanted);
    by_editor.psql_as(SUPABASE, &scripts().join("\n"));
    assert_eq!(by_editor.schema(), wanted, "running them again changed something");
    assert_eq!(server.database.migrate().await.unwrap(), Vec::<&str>::new());
}

/// The rights of the API roles on our objects, one per line.
const RIGHTS: &str = "
    WITH roles (r) AS (VALUES ('anon'), ('authenticated'), ('service_role')),
    ours AS (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'app'))
    SELECT r || ' ' || p || ' ' || c.oid::regclass FROM roles, pg_class c JOIN ours ON ours.oid = c.relnamespace,
      unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p
    WHERE c.relkind IN ('r', 'v', 'm', 'p') AND has_table_privilege(r, c.oid, p)
    UNION ALL SELECT r || ' ' || p || ' columns of ' || c.oid::regclass
    FROM roles, pg_class c JOIN ours ON ours.oid = c.relnamespace, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) p
    WHERE c.relkind IN ('r', 'v', 'm', 'p') AND has_any_column_privilege(r, c.oid, p)
    UNION ALL SELECT r || ' ' || p || ' ' || c.oid::regclass
    FROM roles, pg_class c JOIN ours ON ours.oid = c.relnamespace, unnest(ARRAY['SELECT', 'USAGE', 'UPDATE']) p
    WHERE c.relkind = 'S' AND has_sequence_privilege(r, c.oid, p)
    UNION ALL SELECT r || ' calls ' || f.oid::regprocedure FROM roles, pg_proc f JOIN ours ON ours.oid = f.pronamespace
    WHERE has_function_privilege(r, f.oid, 'EXECUTE') AND has_schema_privilege(r, f.pronamespace, 'USAGE')
    UNION ALL SELECT r || ' uses schema app' FROM roles WHERE has_schema_privilege(r, 'app', 'USAGE')";

#[tokio::test]
async fn the_roles_of_the_supabase_api_have_no_rights_on_our_schema() {
    let bench = Bench::on(set_up(), SUPABASE);
    let alice = bench.tenant("alice", "one").await;
    write(&bench.bank(), &alice, "secret.md", "a secret").await.unwrap();
    assert_eq!(bench.test.psql(RIGHTS), "");
    let tables = "SELECT string_agg(c.oid::regclass::text, ' ') FROM pg_class c WHERE relkind IN ('r', 'p') \
        AND relnamespace IN ('public'::regnamespace, 'app'::regnamespace)";
    let tables = bench.test.psql(tables);
    assert!(tables.split(' ').count() >= 15, "{tables}");
    for role in ["anon", "authenticated", "service_role"] {
        for table in tables.split(' ') {
            bench.test.psql(&format!(
                "DO $$ BEGIN SET LOCAL ROLE {role}; PERFORM FROM {table}; RAISE 'read'; \
                 EXCEPTION WHEN insufficient_privilege THEN NULL; END $$"
            ));
        }
    }
    assert!(bench.database.diagnose().await.unwrap().foreign_rights.is_empty());
}

#[tokio::test]
async fn a_right_granted_to_the_api_is_found_and_the_script_revokes_it() {
    let bench = Bench::on(set_up(), SUPABASE);
    bench.test.psql("GRANT SELECT ON public.documents TO anon; GRANT USAGE ON SEQUENCE public.mcp_events_id_seq TO PUBLIC");
    let found = bench.database.diagnose().await.unwrap().foreign_rights.join("; ");
    assert!(found.contains("anon may SELECT on documents"), "{found}");
    assert!(found.contains("everybody may USAGE on mcp_events_id_seq"), "{found}");
    bench.test.psql_as(SUPABASE, &scripts()[1]);
    assert!(bench.database.diagnose().await.unwrap().foreign_rights.is_empty());
    assert_eq!(bench.test.psql(RIGHTS), "");
}

#[test]
fn after_the_first_script_alone_the_api_sees_no_row() {
    let database = TestDatabase::supabase();
    database.psql_as(SUPABASE, &scripts()[0]);
    database.psql("INSERT INTO public.users (name) VALUES ('alice')");
    let seen = database.psql("SET ROLE anon; SELECT count(*) FROM public.users");
    assert_eq!(seen.lines().last(), Some("0"));
}

#[tokio::test]
async fn a_login_role_with_bypassrls_still_isolates_projects() {
    let bench = Bench::on(set_up(), SUPABASE);
    let diagnosis = bench.database.diagnose().await.unwrap();
    assert!(diagnosis.bypasses_rls && !diagnosis.superuser && diagnosis.login == SUPABASE);
    bench.database.prove_isolation().await.unwrap();
    let (alice, bob) = (bench.tenant("alice", "one").await, bench.tenant("bob", "two").await);
    let bank = bench.bank();
    write(&bank, &alice, "secret.md", "alice's").await.unwrap();
    assert_eq!(read(&bank, &alice, "secret.md").await.as_deref(), Some("alice's"));
    let forged = Caller { project: alice.project, ..bob.clone() };
    assert_eq!(read(&bank, &bob, "secret.md").await, None);
    assert!(bank.list(&bob).await.unwrap().is_empty());
    assert!(matches!(bank.list(&forged).await, Err(StoreError::KeyInvalid)));
    assert!(write(&bank, &forged, "mine.md", "x").await.is_err());
}

#[tokio::test]
async fn tables_of_another_program_are_neither_used_nor_changed() {
    let database = TestDatabase::supabase();
    database.psql_as(SUPABASE, "CREATE TABLE public.users (id uuid PRIMARY KEY, name text, email text)");
    let bench = Bench::on(database, SUPABASE);
    let refused = bench.database.migrate().await.unwrap_err().to_string();
    assert!(refused.contains("tables of another program: users"), "{refused}");
    assert_eq!(bench.test.psql("SELECT to_regclass('public.projects') IS NULL"), "t");
    assert_eq!(bench.test.psql("SELECT has_table_privilege('anon', 'public.users', 'SELECT')"), "t");
}

#[tokio::test]
async fn everything_works_through_a_session_pooler() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let pooler = PgBouncer::start(&bench.test, "session");
    let database = bench.open(&pooler.url_of(&bench.test, SERVER), 4);
    assert_eq!(database.pooling().await.unwrap(), Pooling::Session);
    database.prove_isolation().await.unwrap();
    let bank = PostgresBank::new(database, "demo".to_owned());
    write(&bank, &alice, "a.md", "through the pooler").await.unwrap();
    assert_eq!(read(&bank, &alice, "a.md").await.as_deref(), Some("through the pooler"));
}

#[tokio::test]
async fn a_direct_connection_keeps_its_session() {
    let bench = Bench::new().await;
    assert_eq!(bench.database.pooling().await.unwrap(), Pooling::Session);
}

#[tokio::test]
async fn a_transaction_pooler_is_recognised_by_its_behaviour() {
    let bench = Bench::new().await;
    for (mode, sessions) in [("transaction", 20), ("transaction", 1), ("statement", 20)] {
        let pooler = PgBouncer::start_with(&bench.test, mode, sessions);
        let database = bench.open(&pooler.url_of(&bench.test, SERVER), 4);
        for _ in 0..3 {
            let refused = database.pooling().await.unwrap_err();
            assert!(matches!(refused, ConnectError::TransactionPooler { .. }), "{mode}: {refused}");
            assert!(refused.to_string().contains("take the session pooler"), "{refused}");
        }
    }
}

#[tokio::test]
async fn a_busy_transaction_pooler_is_recognised() {
    let bench = Bench::new().await;
    let pooler = PgBouncer::start(&bench.test, "transaction");
    let url = pooler.url_of(&bench.test, SERVER);
    let (one, other) = (bench.open(&url, 1), bench.open(&url, 1));
    let busy = async {
        for _ in 0..50 {
            let _unproved = one.prove_isolation().await;
        }
    };
    let recognised = async {
        for _ in 0..10 {
            let refused = other.pooling().await;
            assert!(matches!(refused, Err(ConnectError::TransactionPooler { .. })), "{refused:?}");
        }
    };
    futures::future::join(busy, recognised).await;
}

#[tokio::test]
async fn causes_of_failed_connections_are_distinguished() {
    let bench = Bench::new().await;
    let cause = async |url: &str| match bench.open(url, 1).ping().await.unwrap_err() {
        ConnectError::Unreachable(unreachable) => unreachable.cause,
        other => panic!("{other}"),
    };
    let good = bench.test.url();
    let port = format!(":{}/", bench.test.port());
    assert_eq!(cause(&good.replace(&port, ":1/")).await, Cause::Refused);
    assert_eq!(cause(&good.replace("127.0.0.1", "nowhere.invalid")).await, Cause::UnknownHost);
    assert_eq!(cause(&good.replace(bench.test.name(), "nothing")).await, Cause::NoDatabase);
    assert_eq!(cause(&good.replace(SERVER, "nobody_of_this_name")).await, Cause::Authentication);
    let tls = bench.test.url_of(memory_bank_test_postgres::TLS_ONLY);
    assert_eq!(cause(&tls).await, Cause::TlsNeeded);
    assert_eq!(cause(&good.replace("disable", "verify-full")).await, Cause::Tls);
}

#[tokio::test]
async fn additional_certificate_authorities_are_trusted() {
    let bench = Bench::new().await;
    let trusting = |root: Option<&std::path::Path>, verify: bool| {
        let url = bench.test.url().replace("?sslmode=disable", "");
        let trust = TrustOptions { verify, root_certificate: root.map(std::path::Path::to_owned) };
        bench.open_with(&DatabaseOptions { url, max_connections: 1, trust, ..DatabaseOptions::default() })
    };
    let trusted = trusting(Some(bench.test.authority()), false);
    trusted.ping().await.unwrap();
    assert!(trusted.diagnose().await.unwrap().encrypted);
    let error = trusting(None, true).ping().await.unwrap_err();
    assert!(matches!(&error, ConnectError::Unreachable(why) if why.cause == Cause::Tls), "{error}");
}
