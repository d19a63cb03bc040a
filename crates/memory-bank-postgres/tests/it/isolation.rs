//! Row-level security and the isolation check hold even if every layer above them fails.

use memory_bank_core::caller::{Caller, ProjectId, Role};
use memory_bank_core::error::{EditError, GraphError, StoreError};
use memory_bank_core::limits::REPLY_BYTES;
use memory_bank_core::search::Query;
use memory_bank_core::store::{
    BackupStore, DocumentSearch, DocumentStore, Drafts, EntityDraft, EntityRef, GraphSearch, GraphStore,
    ObservationDraft, SearchStore, StateStore, Workspace,
};
use memory_bank_postgres::{IsolationError, PostgresWorkspace, SERVER_TABLES, TENANT_TABLES};
use memory_bank_test_postgres::{MIGRATOR, SERVER};

use crate::support::{Bench, path, read, write};

/// A bench with two projects that have rows in every table, and their owners.
pub(crate) async fn two_tenants() -> (Bench, Caller, Caller) {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let bob = bench.tenant("bob", "two").await;
    for caller in [&alice, &bob] {
        let bank = bench.bank();
        write(&bank, caller, "secret.md", &format!("the secret of {}", caller.user_name)).await.unwrap();
        for name in ["a", "b"] {
            let draft = EntityDraft {
                name: format!("{name} of {}", caller.user_name),
                entity_type: "t".into(),
                attrs: None,
            };
            let entity = bank.upsert_entity(caller, draft).await.unwrap();
            let fact = ObservationDraft { text: "a fact".into(), ..ObservationDraft::default() };
            bank.add_observation(caller, &EntityRef(entity.id), fact).await.unwrap();
        }
        let (a, b) = (format!("a of {}", caller.user_name), format!("b of {}", caller.user_name));
        bank.link(caller, &EntityRef(a), "knows", &EntityRef(b)).await.unwrap();
        bank.create_backup(caller, None).await.unwrap();
        bench.database.update(caller, &mut |state| state.umb_active = true).await.unwrap();
        bench.test.psql(&format!(
            "WITH s AS (INSERT INTO sessions (id, user_id, project_id) VALUES (gen_random_uuid(), '{0}', '{1}') RETURNING id) \
             INSERT INTO mcp_events (session_id, stream_id, place, user_id, project_id, message) \
             SELECT id, id, 1, '{0}', '{1}', '{{}}' FROM s",
            caller.user.0, caller.project.0
        ));
    }
    bench.test.psql(
        "INSERT INTO app.files (project_id, kind, path, content) SELECT id, 'file', 'sub/x.png', '\\x00ff' FROM projects",
    );
    bench.test.psql(
        "INSERT INTO app.call_hours SELECT id, date_trunc('hour', now()), 1, 0, 5, 1, 0, 0, 0, 0, 0 FROM projects",
    );
    bench.test.psql(
        "INSERT INTO app.vector_sets (project_id, model, name, width, vectors) \
         SELECT id, '\\x0011223344556677', 'a model', 6, 1 FROM projects; \
         INSERT INTO app.vectors (project_id, model, unit, vector) \
         SELECT id, '\\x0011223344556677', '\\x8899aabbccddeeff', '\\x0102030405ff' FROM projects",
    );
    bench.test.psql(
        "INSERT INTO app.oauth_grants (project_id, id, user_id, client_id, client_name, client_host, scopes, resource) \
         SELECT id, gen_random_uuid(), owner_id, 'https://client.example/c', 'A client', 'client.example', '{read}', \
         'https://memory.example/mcp' FROM projects; \
         INSERT INTO app.oauth_codes (project_id, code_hash, grant_id, redirect_uri, challenge, expires_at) \
         SELECT project_id, sha256(id::text::bytea), id, 'https://client.example/r', sha256('v'), now() + interval '1 minute' \
         FROM app.oauth_grants; \
         INSERT INTO app.oauth_refresh_tokens (project_id, token_hash, grant_id, expires_at) \
         SELECT project_id, sha256(id::text::bytea), id, now() + interval '1 day' FROM app.oauth_grants",
    );
    (bench, alice, bob)
}

/// A key of Alice's that claims to act in Bob's project, as its owner.
fn forged(alice: &Caller, bob: &Caller) -> Caller {
    Caller { project: bob.project, role: Role::Owner, ..alice.clone() }
}

#[tokio::test]
async fn a_forged_project_id_reads_and_writes_nothing() {
    let (bench, alice, bob) = two_tenants().await;
    let (bank, thief) = (bench.bank(), forged(&alice, &bob));
    let refused = bank.read(&thief, &[path("secret.md")]).await;
    assert!(matches!(refused, Err(StoreError::KeyInvalid)), "{refused:?}");
    let refused = bank.list(&thief).await;
    assert!(matches!(refused, Err(StoreError::KeyInvalid)), "{refused:?}");
    assert!(bank.export(&thief).await.is_err());
    assert!(bank.list_backups(&thief, None).await.is_err());
    assert!(bench.database.load(&thief).await.is_err());
    assert!(bank.names(&thief, "a", 10).await.is_err());
    assert!(bank.summary(&thief, None).await.is_err());
    let refused = write(&bank, &thief, "mine.md", "x").await;
    assert!(matches!(refused, Err(EditError::Store(StoreError::KeyInvalid))), "{refused:?}");
    let draft = EntityDraft { name: "x".into(), entity_type: "t".into(), attrs: None };
    let refused = bank.upsert_entity(&thief, draft).await;
    assert!(matches!(refused, Err(GraphError::Store(StoreError::KeyInvalid))), "{refused:?}");
    let refused = bench.database.update(&thief, &mut |state| state.umb_active = true).await;
    assert!(matches!(refused, Err(StoreError::KeyInvalid)), "{refused:?}");
    assert!(bank.create_backup(&thief, None).await.is_err());
    let missing = PostgresWorkspace::new(bench.another()).bank(&thief, None).await;
    assert!(missing.is_err());
    assert_eq!(read(&bank, &bob, "secret.md").await.as_deref(), Some("the secret of bob"));
}

#[tokio::test]
async fn a_search_with_a_forged_project_id_finds_nothing_also_with_a_warm_index() {
    let (bench, alice, bob) = two_tenants().await;
    let (bank, thief) = (bench.bank(), forged(&alice, &bob));
    let wanted = DocumentSearch {
        query: Query::parse("secret").unwrap(),
        files: Vec::new(),
        limit: 10,
        case_sensitive: false,
        days: (None, None),
        holding_at: None,
    };
    assert_eq!(bank.search_documents(&bob, &wanted).await.unwrap().hits.len(), 1);
    let found = bank.search_documents(&thief, &wanted).await;
    assert!(matches!(found, Err(StoreError::KeyInvalid)), "{found:?}");
    let everything = GraphSearch {
        query: None,
        limit: 10,
        depth: 1,
        bytes: REPLY_BYTES,
        skip: memory_bank_core::store::Skip::default(),
        view: memory_bank_core::graph::FactView::ALL,
    };
    assert_eq!(bank.search_graph(&bob, &everything).await.unwrap().entities.len(), 2);
    assert!(bank.search_graph(&thief, &everything).await.is_err());
    assert_eq!(bank.search_documents(&bob, &wanted).await.unwrap().hits.len(), 1);
}

#[tokio::test]
async fn missing_and_foreign_items_get_the_same_answer() {
    let (bench, alice, bob) = two_tenants().await;
    let bank = bench.bank();
    let nowhere = Caller { project: ProjectId(alice.user.0), ..alice.clone() };
    let answers = async |caller: &Caller| {
        let open = bank
            .open(
                caller,
                &[EntityRef("a of bob".into())],
                0,
                REPLY_BYTES,
                memory_bank_core::graph::FactView::ALL,
            )
            .await
            .unwrap_err()
            .to_string();
        let restore = bank
            .restore_backup(caller, "memory-bank-backup-2020-01-01T00-00-00-000Z", false)
            .await
            .unwrap_err()
            .to_string();
        let workspace = PostgresWorkspace::new(bench.another()).bank(caller, None).await.err().unwrap();
        (
            open,
            restore,
            workspace.to_string(),
            write(&bank, caller, "x.md", "").await.unwrap_err().to_string(),
        )
    };
    assert_eq!(answers(&nowhere).await, answers(&forged(&alice, &bob)).await);
}

#[tokio::test]
async fn the_database_refuses_writes_of_a_viewer() {
    let (bench, alice, _) = two_tenants().await;
    let viewer = bench.member("vera", "one", Role::Viewer).await;
    let bank = bench.bank();
    assert_eq!(read(&bank, &viewer, "secret.md").await.as_deref(), Some("the secret of alice"));
    let posing = Caller { role: Role::Owner, ..viewer };
    assert!(matches!(write(&bank, &posing, "new.md", "x").await, Err(EditError::Store(StoreError::Denied))));
    let changed = write(&bank, &posing, "secret.md", "gone").await;
    assert!(changed.is_err(), "{changed:?}");
    assert!(bank.delete_entity(&posing, &EntityRef("a of alice".into())).await.is_err());
    assert!(bank.create_backup(&posing, None).await.is_err());
    let backup = bank.list_backups(&posing, None).await.unwrap().remove(0);
    assert!(bank.restore_backup(&posing, &backup.id, false).await.is_err());
    assert_eq!(read(&bank, &alice, "secret.md").await.as_deref(), Some("the secret of alice"));
    assert_eq!(bank.stats(&alice).await.unwrap().entity_count, 2);
}

#[tokio::test]
async fn the_database_refuses_deletes_of_an_editor_and_allows_renaming() {
    let (bench, alice, _) = two_tenants().await;
    let editor = bench.member("edgar", "one", Role::Editor).await;
    let posing = Caller { role: Role::Owner, ..editor };
    let bank = bench.bank();
    let (old, new) = (path("secret.md"), path("renamed.md"));
    let mut rename = |drafts: &mut Drafts| {
        let text = drafts.text(&old).unwrap_or_default().to_owned();
        drafts.delete(&old)?;
        drafts.set(&new, text)
    };
    bank.edit(&posing, &[old.clone(), new.clone()], &mut rename).await.unwrap();
    let mut delete = |drafts: &mut Drafts| drafts.delete(&new);
    let refused = bank.edit(&posing, std::slice::from_ref(&new), &mut delete).await;
    assert!(matches!(refused, Err(EditError::Store(StoreError::Denied))), "{refused:?}");
    assert!(bank.delete_entity(&posing, &EntityRef("a of alice".into())).await.is_err());
    let (a, b) = (EntityRef("a of alice".into()), EntityRef("b of alice".into()));
    assert!(bank.unlink(&posing, &a, "knows", &b).await.unwrap().removed);
    let backup = bank.list_backups(&posing, None).await.unwrap().remove(0);
    assert!(bank.restore_backup(&posing, &backup.id, false).await.is_err());
    assert_eq!(read(&bank, &alice, "renamed.md").await.as_deref(), Some("the secret of alice"));
    assert_eq!(bank.stats(&alice).await.unwrap().entity_count, 2);
}

#[tokio::test]
async fn without_a_context_no_table_can_be_read_or_written() {
    let (bench, ..) = two_tenants().await;
    for table in TENANT_TABLES {
        let seen =
            bench.test.psql(&format!("BEGIN; SET LOCAL ROLE app_user; SELECT count(*) FROM {table}; COMMIT"));
        assert_eq!(seen, "0", "{table}");
    }
    let policies = bench.test.psql(
        "SELECT count(*) FROM pg_class WHERE relnamespace IN ('public'::regnamespace, 'app'::regnamespace) \
         AND relkind IN ('r', 'p') AND relname <> 'schema_migrations' AND NOT (relrowsecurity AND relforcerowsecurity)",
    );
    assert_eq!(policies, "0");
    let tables = bench.test.psql(
        "SELECT count(*) FROM pg_class WHERE relnamespace IN ('public'::regnamespace, 'app'::regnamespace) \
         AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'schema_migrations'",
    );
    assert_eq!(tables, (TENANT_TABLES.len() + SERVER_TABLES.len()).to_string());
    for table in SERVER_TABLES {
        for role in ["app_user", "app_server", SERVER] {
            let may = format!(
                "SELECT has_table_privilege('{role}', '{table}', 'SELECT, INSERT, UPDATE, DELETE') \
                 OR has_any_column_privilege('{role}', '{table}', 'SELECT, INSERT, UPDATE')"
            );
            assert_eq!(bench.test.psql(&may), "f", "{role} may reach {table}");
        }
    }
}

#[tokio::test]
async fn in_a_context_every_table_shows_only_the_tenant_s_rows() {
    let (bench, alice, bob) = two_tenants().await;
    for table in TENANT_TABLES {
        let foreign = match table {
            "public.users" => format!("id = '{}'", bob.user.0),
            "public.projects" => format!("id = '{}'", bob.project.0),
            _ => format!("project_id = '{}'", bob.project.0),
        };
        let sql = |project: ProjectId, which: &str| {
            format!(
                "BEGIN; SET LOCAL app.current_user_id = '{}'; SET LOCAL app.current_project_id = '{}'; \
                 SET LOCAL ROLE app_user; SELECT count(*) FROM {table} WHERE {which}; COMMIT",
                alice.user.0, project.0
            )
        };
        assert_eq!(bench.test.psql(&sql(alice.project, &foreign)), "0", "{table}");
        assert_eq!(bench.test.psql(&sql(bob.project, "true")), "0", "{table} in a forged project");
        assert_ne!(bench.test.psql(&sql(alice.project, "true")), "0", "{table}");
    }
}

/// The statements of a read are pipelined, and the query is sent before the context is known to have succeeded. Here the
/// login role sees and writes all rows but cannot become app_user, so that a leak would show.
#[tokio::test]
async fn a_context_that_fails_within_a_pipeline_leaks_and_writes_nothing() {
    let (bench, alice, bob) = two_tenants().await;
    let role = format!("all_seeing_{}", bench.test.name());
    bench.test.psql(&format!(
        "CREATE ROLE {role} LOGIN BYPASSRLS; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; \
         GRANT USAGE ON SCHEMA app TO {role}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO {role}"
    ));
    let broken = bench.open(&bench.test.url_of(&role), 2);
    let bank = memory_bank_postgres::PostgresBank::new(broken.clone(), "one".to_owned());
    for caller in [&alice, &bob, &forged(&alice, &bob)] {
        // The server is refused, not the caller.
        assert!(matches!(bank.list(caller).await, Err(StoreError::Unavailable(_))));
        assert!(bank.read(caller, &[path("secret.md")]).await.is_err());
        assert!(write(&bank, caller, "written.md", "x").await.is_err());
        assert!(write(&bank, caller, "secret.md", "x").await.is_err());
        assert!(bank.export(caller).await.is_err());
    }
    assert_eq!(bench.test.psql("SELECT count(*) FROM documents WHERE content = 'x'"), "0");
    let IsolationError::NotIsolated(reason) = broken.prove_isolation().await.unwrap_err() else { panic!() };
    assert!(reason.contains("cannot become app_user"), "{reason}");
    drop((bank, broken));
    bench.test.psql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[tokio::test]
async fn the_isolation_check_passes_for_an_ordinary_role() {
    let bench = Bench::new().await;
    bench.database.prove_isolation().await.unwrap();
    let role = format!("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = '{SERVER}'");
    assert_eq!(bench.test.psql(&role), "f");
    bench.open(&bench.test.url_of(MIGRATOR), 1).prove_isolation().await.unwrap();
    bench.open(&bench.test.url_of("postgres"), 1).prove_isolation().await.unwrap();
}

#[tokio::test]
async fn the_isolation_check_reads_no_whole_table() {
    let (bench, ..) = two_tenants().await;
    for table in TENANT_TABLES {
        let plan = bench.test.psql(&format!(
            "BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL ROLE app_user; \
             EXPLAIN (COSTS OFF) SELECT EXISTS (SELECT FROM {table}); COMMIT"
        ));
        assert!(!plan.contains("Seq Scan"), "{table}: {plan}");
    }
}

#[tokio::test]
async fn the_isolation_check_finds_a_caller_in_the_settings_of_the_database() {
    let (bench, alice, _) = two_tenants().await;
    let set = |name: &str, value: &str| {
        bench.test.psql(&format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {name} = %L', current_database(), '{value}'); END $$"
        ));
    };
    set("app.current_user_id", &alice.user.0.to_string());
    set("app.current_project_id", &alice.project.0.to_string());
    set("app.current_key_id", &alice.key.unwrap().0.to_string());
    set("app.current_key_hash", &alice.proof.unwrap().to_hex());
    set("app.current_purpose", "read");
    let again = bench.open(&bench.test.url_of(SERVER), 2);
    assert!(!again.is_prepared().await);
    let Err(IsolationError::NotIsolated(reason)) = again.prove_isolation().await else { panic!() };
    assert!(reason.contains("without a context"), "{reason}");
}

#[tokio::test]
async fn the_isolation_check_names_each_fault() {
    let bench = Bench::new().await;
    bench.test.psql("ALTER TABLE documents NO FORCE ROW LEVEL SECURITY");
    assert!(bench.refusal().await.contains("`public.documents` lacks forced row-level security"));
    bench.test.psql("ALTER TABLE documents FORCE ROW LEVEL SECURITY");
    bench.tenant("alice", "one").await;
    bench.test.psql("CREATE POLICY open ON users TO app_user USING (true)");
    assert!(bench.refusal().await.contains("without a context"));
    bench.test.psql("DROP POLICY open ON users; GRANT SELECT (id) ON app.oauth_clients TO app_user");
    assert!(bench.refusal().await.contains("`app.oauth_clients` can be reached"));
    bench
        .test
        .psql("REVOKE ALL (id) ON app.oauth_clients FROM app_user; ALTER TABLE app.backups RENAME TO away");
    assert!(bench.refusal().await.contains("`app.backups` is missing"));
}

#[tokio::test]
async fn the_isolation_check_finds_an_open_policy_without_rows_and_for_writing() {
    let bench = Bench::new().await;
    for (table, policy) in [
        ("documents", "FOR SELECT TO app_user USING (true)"),
        ("documents", "FOR DELETE TO app_user USING (project_id IS NOT NULL)"),
        ("graph_entities", "FOR INSERT TO PUBLIC WITH CHECK (true)"),
        (
            "app.project_state",
            "FOR UPDATE TO app_user USING (project_id = (SELECT app.readable_project())) WITH CHECK (true)",
        ),
    ] {
        bench.test.psql(&format!("CREATE POLICY open ON {table} {policy}"));
        assert!(bench.refusal().await.contains("the policy `open`"), "{table} {policy}");
        bench.test.psql(&format!("DROP POLICY open ON {table}"));
    }
    bench.database.prove_isolation().await.unwrap();
}

#[tokio::test]
async fn the_login_role_itself_reads_no_tenant_table() {
    let (bench, ..) = two_tenants().await;
    for table in TENANT_TABLES {
        let may =
            format!("SELECT has_table_privilege('{SERVER}', '{table}', 'SELECT, INSERT, UPDATE, DELETE')");
        assert_eq!(bench.test.psql(&may), "f", "{table}");
    }
    let functions = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'app'::regnamespace AND prosecdef \
        AND has_function_privilege('public', oid, 'EXECUTE')";
    assert_eq!(bench.test.psql(functions), "0");
}
