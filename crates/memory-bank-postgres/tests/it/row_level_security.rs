//! SQL of an attacker with the server's own connection: every table and every way to change it. Only the policies
//! protect the rows.

mod change_claims;
mod graph_import;
mod version_import;

use jiff::ToSpan;
use memory_bank_core::caller::{Caller, Right, Role};
use memory_bank_core::clock::{Clock, SystemClock};
use memory_bank_core::error::{EditError, StoreError};
use memory_bank_core::identity::{KeyDirectory, KeyStore, NewKey};
use memory_bank_core::store::{BackupStore, DocumentStore, EntityRef, GraphStore};
use memory_bank_test_postgres::SERVER;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use memory_bank_postgres::TENANT_TABLES;

use crate::isolation::two_tenants;
use crate::support::{Bench, new_key, path, read, write};

/// The result of a statement: the number of rows, or the error code.
type Outcome = Result<u64, String>;

const DENIED: &str = "42501";
/// The key that was presented does not open the project.
const KEY_VOID: &str = "MB401";

/// Whether a statement touched nothing, or was refused.
fn came_to_nothing(outcome: &Outcome) -> bool {
    matches!(outcome, Ok(0)) || was_refused(outcome)
}

fn was_refused(outcome: &Outcome) -> bool {
    outcome.as_ref().is_err_and(|code| code == DENIED || code == KEY_VOID)
}

/// The server's own login, in a context.
struct Intruder {
    client: Client,
}

impl Intruder {
    async fn new(bench: &Bench) -> Self {
        let (client, connection) = tokio_postgres::connect(&bench.test.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        Self { client }
    }

    /// Tries a statement as `app_user` in this context, and takes it back.
    async fn tries(&self, context: &str, sql: &str) -> Outcome {
        self.client.batch_execute(&format!("BEGIN; {context} SET LOCAL ROLE app_user")).await.unwrap();
        let outcome = self.client.simple_query(sql).await;
        self.client.batch_execute("ROLLBACK").await.unwrap();
        match outcome {
            Ok(messages) => Ok(messages
                .iter()
                .filter_map(|message| match message {
                    SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
                    _ => None,
                })
                .sum()),
            Err(error) => Err(error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned())),
        }
    }
}

fn context(user: &Caller, project: &Caller, key: &Caller) -> String {
    format!(
        "SET LOCAL app.current_user_id = '{}'; SET LOCAL app.current_project_id = '{}'; SET LOCAL app.current_key_id = '{}'; \
         SET LOCAL app.current_key_hash = '{}';",
        user.user.0,
        project.project.0,
        key.key.unwrap().0,
        key.proof.unwrap().to_hex()
    )
}

/// The contexts in which an attacker may try to reach Bob's rows.
fn contexts(alice: &Caller, bob: &Caller) -> Vec<(&'static str, String)> {
    let keyless = |user: &Caller, project: &Caller| {
        format!(
            "SET LOCAL app.current_user_id = '{}'; SET LOCAL app.current_project_id = '{}';",
            user.user.0, project.project.0
        )
    };
    vec![
        ("no context", String::new()),
        ("a user and no project", format!("SET LOCAL app.current_user_id = '{}';", bob.user.0)),
        ("a project and no user", format!("SET LOCAL app.current_project_id = '{}';", bob.project.0)),
        ("her own context", context(alice, alice, alice)),
        ("her own context without a key", keyless(alice, alice)),
        ("a forged project", context(alice, bob, alice)),
        ("a forged project without a key", keyless(alice, bob)),
        ("a forged user", context(bob, alice, alice)),
        ("a forged user and project with her key", context(bob, bob, alice)),
        ("another's key", context(alice, alice, bob)),
    ]
}

fn of_project(table: &str, caller: &Caller) -> String {
    match table {
        "public.users" => format!("id = '{}'", caller.user.0),
        "public.projects" => format!("id = '{}'", caller.project.0),
        _ => format!("project_id = '{}'", caller.project.0),
    }
}

fn tenant_column(table: &str) -> &'static str {
    if matches!(table, "public.users" | "public.projects") { "id" } else { "project_id" }
}

/// A column that a member may change in its own project, so that only the policy keeps it from others; else the tenant column.
fn changed_column(table: &str) -> &'static str {
    match table {
        "public.documents" => "path",
        "public.graph_entities" => "name",
        "public.graph_observations" => "content",
        "public.graph_relations" => "relation_type",
        _ => tenant_column(table),
    }
}

#[tokio::test]
async fn no_context_reads_changes_or_deletes_rows_of_another_project() {
    let (bench, alice, bob) = two_tenants().await;
    let intruder = Intruder::new(&bench).await;
    for (whose, context) in contexts(&alice, &bob) {
        for table in TENANT_TABLES {
            let (theirs, column) = (of_project(table, &bob), changed_column(table));
            let seen = intruder.tries(&context, &format!("SELECT FROM {table} WHERE {theirs}")).await;
            assert!(came_to_nothing(&seen), "SELECT from {table} in {whose}: {seen:?}");
            for sql in [
                format!("UPDATE {table} SET {column} = {column} WHERE {theirs}"),
                format!("DELETE FROM {table} WHERE {theirs}"),
                format!("SELECT FROM {table} WHERE {theirs} FOR UPDATE"),
            ] {
                let outcome = intruder.tries(&context, &sql).await;
                assert!(came_to_nothing(&outcome), "{sql} in {whose}: {outcome:?}");
            }
        }
    }
}

#[tokio::test]
async fn no_context_inserts_or_moves_rows_into_another_project() {
    let (bench, alice, bob) = two_tenants().await;
    let intruder = Intruder::new(&bench).await;
    for (whose, context) in contexts(&alice, &bob) {
        for table in TENANT_TABLES {
            let column = tenant_column(table);
            let target = if table == "public.users" { bob.user.0 } else { bob.project.0 };
            // A row as Alice has it, put among Bob's.
            let row = bench.test.psql(&format!(
                "SELECT to_jsonb(t) || '{{\"{column}\": \"{target}\"}}' FROM {table} t WHERE {} LIMIT 1",
                of_project(table, &alice)
            ));
            // Except generated columns and columns that no tenant may write.
            let columns = bench.test.psql(&format!(
                "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute \
                 WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attname <> 'fts'"
            ));
            let insert = format!(
                "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE \
                 SELECT {columns} FROM jsonb_populate_record(NULL::{table}, $row${row}$row$)"
            );
            let outcome = intruder.tries(&context, &insert).await;
            assert!(was_refused(&outcome), "INSERT into {table} in {whose}: {outcome:?}");
            // A row of hers, moved over to him; where she sees none of hers, none is moved.
            let moving =
                format!("UPDATE {table} SET {column} = '{target}' WHERE {}", of_project(table, &alice));
            let outcome = intruder.tries(&context, &moving).await;
            let hers = whose == "her own context";
            let refused = was_refused(&outcome);
            assert!(refused || (!hers && outcome == Ok(0)), "moving {table} in {whose}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_member_reaches_its_own_rows() {
    let (bench, alice, _) = two_tenants().await;
    let intruder = Intruder::new(&bench).await;
    let own = context(&alice, &alice, &alice);
    for table in TENANT_TABLES {
        let seen = intruder.tries(&own, &format!("SELECT FROM {table}")).await;
        assert!(matches!(seen, Ok(rows) if rows > 0), "{table}: {seen:?}");
    }
    for table in
        ["public.documents", "public.graph_entities", "public.graph_observations", "public.graph_relations"]
    {
        let column = changed_column(table);
        let changed = intruder.tries(&own, &format!("UPDATE {table} SET {column} = {column}")).await;
        assert!(matches!(changed, Ok(rows) if rows > 0), "{table}: {changed:?}");
    }
}

#[tokio::test]
async fn app_user_may_call_only_security_definer_functions_that_check_rights() {
    let (bench, alice, bob) = two_tenants().await;
    let callable = bench.test.psql(
        "SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc WHERE pronamespace = 'app'::regnamespace \
         AND prosecdef AND has_function_privilege('app_user', oid, 'EXECUTE')",
    );
    assert_eq!(
        callable,
        "authors_of current_access document_chain erase_graph_history erase_history graph_item_changes import_graph_changes import_versions key_bound list_graph_changes list_versions note_audit own_key_hash prune_backups replace_own_key restored_project"
    );
    let loose = bench.test.psql(
        "SELECT coalesce(string_agg(proname, ' '), 'none') FROM pg_proc WHERE pronamespace = 'app'::regnamespace \
         AND prosecdef AND (proowner <> 'app_definer'::regrole OR ARRAY(SELECT s FROM unnest(proconfig) AS s \
         WHERE s !~ '^(plan_cache_mode|TimeZone|DateStyle|lock_timeout)=') \
         IS DISTINCT FROM ARRAY['search_path=pg_catalog, pg_temp'])",
    );
    assert_eq!(loose, "none", "functions that anybody could mislead");
    let intruder = Intruder::new(&bench).await;
    let own = context(&alice, &alice, &alice);
    for call in [
        "app.authenticate('\\x00')".to_owned(),
        "app.list_users()".to_owned(),
        "app.list_keys('two', true, now())".to_owned(),
        "app.put_member('two', 'alice', 'owner')".to_owned(),
        format!("app.revoke_key('{}', now())", bob.key.unwrap().0),
        "app.purge(now(), now(), 100)".to_owned(),
        "app.fill_fts(1, 1, interval '1 s')".to_owned(),
        "app.count_stale_fts()".to_owned(),
        "app.note_graph_change()".to_owned(),
        // The function trusts the given identity; only the server may call it.
        format!("app.read_documents('{}', '{}', '', '', '{{}}')", bob.user.0, bob.project.0),
        format!(
            "app.open_documents('{}', '{}', '', '', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}')",
            bob.user.0, bob.project.0
        ),
    ] {
        let outcome = intruder.tries(&own, &format!("SELECT {call}")).await;
        assert_eq!(outcome, Err(DENIED.to_owned()), "{call}");
    }
    bench.test.psql(&format!(
        "INSERT INTO app.backups (project_id, id, created_at) \
         SELECT '{}', 'one of many ' || i, now() FROM generate_series(1, 20) AS i",
        bob.project.0
    ));
    let count = || bench.test.psql("SELECT count(*) FROM app.backups");
    let before = count();
    for (whose, context) in contexts(&alice, &bob) {
        if !whose.starts_with("her own") {
            // Not rolled back, since the test checks the remaining rows.
            let forged =
                format!("BEGIN; {context} SET LOCAL ROLE app_user; SELECT app.prune_backups(0); COMMIT");
            let _refused = intruder.client.batch_execute(&forged).await;
            intruder.client.batch_execute("ROLLBACK").await.unwrap();
        }
    }
    assert_eq!(count(), before);
}

#[tokio::test]
async fn the_search_path_does_not_change_the_policies() {
    let (bench, alice, bob) = two_tenants().await;
    let vera = bench.member("vera", "one", Role::Viewer).await;
    bench.test.psql(
        "CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC; \
         CREATE FUNCTION evil.yes(public.project_role, public.project_role) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'; \
         CREATE OPERATOR evil.= (FUNCTION = evil.yes, LEFTARG = public.project_role, RIGHTARG = public.project_role); \
         CREATE FUNCTION evil.yes(uuid, uuid) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'; \
         CREATE OPERATOR evil.= (FUNCTION = evil.yes, LEFTARG = uuid, RIGHTARG = uuid)",
    );
    let intruder = Intruder::new(&bench).await;
    let shadows = format!(
        "SET LOCAL search_path = evil, pg_temp, pg_catalog, public; \
         CREATE TEMP TABLE memberships (user_id uuid, project_id uuid, role public.project_role) ON COMMIT DROP; \
         GRANT ALL ON memberships TO PUBLIC; \
         INSERT INTO memberships VALUES ('{0}', '{1}', 'owner'), ('{2}', '{3}', 'owner');",
        alice.user.0, bob.project.0, vera.user.0, vera.project.0
    );
    let delete = "DELETE FROM public.documents";
    let as_viewer = format!("{shadows} {}", context(&vera, &vera, &vera));
    assert_eq!(intruder.tries(&as_viewer, delete).await, Ok(0), "a viewer deleted");
    let forged = format!("{shadows} {}", context(&alice, &bob, &alice));
    let read = intruder.tries(&forged, "SELECT FROM public.documents").await;
    assert!(came_to_nothing(&read), "a stranger read: {read:?}");
    let own = context(&alice, &alice, &alice);
    for sql in [
        "CREATE FUNCTION public.current_setting(text, boolean) RETURNS text LANGUAGE sql AS 'SELECT ''x'''",
        "CREATE TABLE app.memberships ()",
        "CREATE SCHEMA mine",
        "ALTER TABLE public.documents DISABLE ROW LEVEL SECURITY",
        "DROP POLICY member_select ON public.documents",
        "SET ROLE app_definer",
        "SET SESSION AUTHORIZATION postgres",
    ] {
        assert_eq!(intruder.tries(&own, sql).await, Err(DENIED.to_owned()), "{sql}");
    }
    let members = format!("SELECT pg_has_role('{SERVER}', 'app_definer', 'MEMBER')");
    assert_eq!(bench.test.psql(&members), "f");
}

#[tokio::test]
async fn a_revoked_or_expired_key_reads_nothing_whatever_the_server_has_cached() {
    let (bench, alice, _) = two_tenants().await;
    let bank = bench.bank();
    let (plain, key) = new_key();
    KeyStore::create(
        &bench.database,
        &alice,
        &NewKey { expires_at: Some(SystemClock.now() + 1.hour()), ..key },
    )
    .await
    .unwrap();
    let cached = bench.authenticated(&plain).await;
    assert!(read(&bank, &cached, "secret.md").await.is_some());
    let refused = async |why: &str| {
        let reading = bank.read(&cached, &[path("secret.md")]).await;
        assert!(matches!(reading, Err(StoreError::KeyInvalid)), "{why}: {reading:?}");
        let writing = write(&bank, &cached, "secret.md", "x").await;
        assert!(matches!(writing, Err(EditError::Store(StoreError::KeyInvalid))), "{why}: {writing:?}");
        assert!(bank.delete_entity(&cached, &EntityRef("a of alice".into())).await.is_err(), "{why}");
        assert!(bank.create_backup(&cached, None).await.is_err(), "{why}");
        assert!(KeyStore::list(&bench.database, &cached, true).await.is_err(), "{why}");
    };
    let id = cached.key.unwrap().0;
    bench
        .test
        .psql(&format!("UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = '{id}'"));
    refused("expired").await;
    bench.test.psql(&format!("UPDATE api_keys SET expires_at = NULL WHERE id = '{id}'"));
    assert!(read(&bank, &cached, "secret.md").await.is_some());
    KeyStore::revoke(&bench.database, &alice, cached.key.unwrap(), SystemClock.now()).await.unwrap().unwrap();
    refused("revoked").await;
    assert_eq!(read(&bank, &alice, "secret.md").await.as_deref(), Some("the secret of alice"));
}

#[tokio::test]
async fn the_database_enforces_the_scopes_of_a_key() {
    let (bench, alice, _) = two_tenants().await;
    let bank = bench.bank();
    let with = async |scopes: Vec<Right>| {
        let (plain, key) = new_key();
        KeyStore::create(&bench.database, &alice, &NewKey { scopes, ..key }).await.unwrap();
        Caller { scopes: Vec::new(), ..bench.authenticated(&plain).await }
    };
    let reader = with(vec![Right::Read]).await;
    assert!(read(&bank, &reader, "secret.md").await.is_some());
    assert!(write(&bank, &reader, "secret.md", "x").await.is_err());
    let writer = with(vec![Right::Read, Right::Write]).await;
    write(&bank, &writer, "new.md", "x").await.unwrap();
    assert!(bank.delete_entity(&writer, &EntityRef("a of alice".into())).await.is_err());
    assert!(KeyStore::create(&bench.database, &writer, &new_key().1).await.is_err());
    let admin = with(vec![Right::Admin]).await;
    bank.delete_entity(&admin, &EntityRef("a of alice".into())).await.unwrap();
}

#[tokio::test]
async fn a_key_can_replace_itself() {
    let (bench, alice, _) = two_tenants().await;
    let (new, next) = new_key();
    KeyStore::rotate(&bench.database, &alice, alice.key.unwrap(), &next).await.unwrap().unwrap();
    assert!(matches!(bench.bank().list(&alice).await, Err(StoreError::KeyInvalid)));
    let identity = KeyDirectory::find(&bench.database, &new.hash()).await.unwrap().unwrap();
    assert!(bench.bank().list(&identity.caller).await.is_ok());
}

const NOTE: &str = "SELECT app.note_audit('bank.imported', 'a folder', '{}'::jsonb)";
