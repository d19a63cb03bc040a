//! SQL with the server's own login, but without a key or with another one: no tenant data is readable, nothing changes,
//! and the audit log stays correct.

use memory_bank_core::caller::{Caller, Role};
use memory_bank_core::identity::KeyHash;
use memory_bank_postgres::TENANT_TABLES;
use memory_bank_test_postgres::{MIGRATOR, SERVER};
use uuid::Uuid;

use crate::isolation::two_tenants;
use crate::support::{Bench, query_as_login};

/// Runs SQL as the server's login; the error's text if it fails.
pub(crate) async fn as_login(bench: &Bench, sql: &str) -> Result<String, String> {
    let messages = query_as_login(bench, sql).await?;
    let rows = messages.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    Ok(rows.last().unwrap_or_default())
}

/// The settings of a session that claims to be this caller, with this proof.
pub(crate) fn context(caller: &Caller, key: bool, proof: &str) -> String {
    let key = caller.key.filter(|_| key).map(|key| key.0.to_string()).unwrap_or_default();
    format!(
        "SET app.current_user_id = '{}'; SET app.current_project_id = '{}'; SET app.current_key_id = '{key}'; \
         SET app.current_key_hash = '{proof}'; SET app.current_purpose = 'edit'; ",
        caller.user.0, caller.project.0
    )
}

pub(crate) fn shown(caller: &Caller) -> String {
    caller.proof.unwrap().to_hex()
}

#[tokio::test]
async fn without_a_key_the_login_role_reads_no_row_under_any_claimed_identity() {
    let (bench, alice, bob) = two_tenants().await;
    let guess = KeyHash::of(b"a guess").to_hex();
    for (what, context) in [
        ("user and project", context(&alice, false, "")),
        ("user, project and key", context(&alice, true, "")),
        ("a guessed hash", context(&alice, true, &guess)),
        ("another's hash", context(&alice, true, &shown(&bob))),
        ("another's key and hash", context(&Caller { key: bob.key, ..alice.clone() }, true, &shown(&bob))),
        ("a hash without a key", context(&alice, false, &shown(&alice))),
    ] {
        for table in TENANT_TABLES {
            for role in ["SET ROLE app_user", "SET ROLE app_server", "RESET ROLE"] {
                let count = format!("{context} {role}; SELECT count(*) FROM {table}");
                let seen = as_login(&bench, &count).await;
                let nothing = seen.as_ref().is_ok_and(|count| count == "0")
                    || seen.as_ref().is_err_and(|why| why.starts_with("42501") || why.starts_with("MB401"));
                assert!(nothing, "{table} with {what}, {role}: {seen:?}");
            }
        }
    }
    let own = context(&alice, true, &shown(&alice));
    let seen = as_login(&bench, &format!("{own} SET ROLE app_user; SELECT count(*) FROM documents")).await;
    assert_eq!(seen.as_deref(), Ok("1"), "the refusals above mean something");
}

#[tokio::test]
async fn an_edit_requires_its_own_valid_key() {
    let (bench, alice, bob) = two_tenants().await;
    let key = |caller: &Caller| caller.key.unwrap().0.to_string();
    let open = |user: &Caller, project: &Caller, key: &str, proof: &str| {
        format!(
            "BEGIN; SELECT count(*) FROM app.open_documents('{}', '{}', '{key}', '{proof}', \
             ARRAY(SELECT 'd' || i || '.md' FROM generate_series(1, 3) i), '{{}}', '{{}}', '{{}}', '{{}}'); ROLLBACK",
            user.user.0, project.project.0
        )
    };
    let guess = KeyHash::of(b"a guess").to_hex();
    for (what, sql) in [
        ("no key", open(&alice, &alice, "", "")),
        ("a key without its hash", open(&alice, &alice, &key(&alice), "")),
        ("a guessed hash", open(&alice, &alice, &key(&alice), &guess)),
        ("another's hash", open(&alice, &alice, &key(&alice), &shown(&bob))),
        ("another's key", open(&alice, &alice, &key(&bob), &shown(&bob))),
        ("another project", open(&alice, &bob, &key(&alice), &shown(&alice))),
        ("another user", open(&bob, &alice, &key(&alice), &shown(&alice))),
    ] {
        let refused = as_login(&bench, &sql).await;
        let why = refused.as_ref().err().map(String::as_str).unwrap_or_default();
        assert!(why.starts_with("42501") || why.starts_with("MB401"), "{what}: {refused:?}");
    }
    let own = open(&alice, &alice, &key(&alice), &shown(&alice));
    assert_eq!(as_login(&bench, &own).await.as_deref(), Ok("1"), "the refusals above mean something");
    bench.test.psql(&format!("UPDATE api_keys SET revoked_at = now() WHERE id = '{}'", key(&alice)));
    let refused = as_login(&bench, &own).await;
    assert!(refused.as_ref().is_err_and(|why| why.starts_with("MB401")), "{refused:?}");
}

#[tokio::test]
async fn the_login_role_cannot_administer_or_act_without_a_key() {
    let (bench, alice, bob) = two_tenants().await;
    let (a, b) = (alice.user.0, alice.project.0);
    let session = bench.test.psql(&format!("SELECT id FROM sessions WHERE project_id = '{b}'"));
    let stranger = bob.proof.unwrap().to_hex();
    for call in [
        "app.list_users()".to_owned(),
        "app.list_projects()".to_owned(),
        "app.list_members('one')".to_owned(),
        "app.list_keys('one', true, now())".to_owned(),
        format!("app.find_key('{}')", alice.key.unwrap().0),
        "app.put_member('one', 'bob', 'owner')".to_owned(),
        "app.remove_member('one', 'alice')".to_owned(),
        "app.create_user(gen_random_uuid(), 'eve', NULL)".to_owned(),
        "app.create_project(gen_random_uuid(), 'eve', 'eve', 'alice')".to_owned(),
        "app.create_key('one', 'alice', gen_random_uuid(), sha256('x'), 'mbmcp', NULL, '{}', 60, NULL, now())".to_owned(),
        "app.bootstrap(gen_random_uuid(), 'alice', NULL, gen_random_uuid(), 'one', 'one', gen_random_uuid(), \
         sha256('x'), 'mbmcp', NULL, '{}', 60, NULL, now())"
            .to_owned(),
        format!("app.revoke_key('{}', now())", alice.key.unwrap().0),
        format!("app.rotate_key('{}', gen_random_uuid(), sha256('x'), 'p', NULL, now())", alice.key.unwrap().0),
        "app.list_audit(NULL, NULL, 100)".to_owned(),
        "app.set_project_quota('one', 0)".to_owned(),
        "app.list_stored_bytes()".to_owned(),
        "app.list_vectors()".to_owned(),
        "app.forget_vectors('one')".to_owned(),
        format!("app.expect_reader('\\x{stranger}', '{a}', '{b}')"),
        "app.note_operator_audit('one', 'bank.exported', NULL, '{}')".to_owned(),
        "app.audit('key.created', NULL, 'x', '{}')".to_owned(),
        format!("app.proven('\\x{stranger}', '{a}', '{b}')"),
        format!("app.restores('{b}')"),
    ] {
        let outcome = as_login(&bench, &format!("SELECT {call}")).await;
        assert!(outcome.as_ref().is_err_and(|why| why.starts_with("42501")), "{call}: {outcome:?}");
    }
    for proof in ["", &stranger, &KeyHash::of(b"x").to_hex()] {
        for call in [
            format!(
                "app.open_session('\\x{proof}', gen_random_uuid(), '{a}', '{b}', '{{}}', '{{}}', now(), now(), \
                 100, 100, now())"
            ),
            format!(
                "app.subscribe_session('\\x{proof}', '{session}', '{a}', '{b}', 'memory-bank://x', true, 100)"
            ),
            format!(
                "app.claim_vectors('\\x{proof}', '{a}', '{b}', '\\x0011223344556677', 'm', 6, gen_random_uuid(), 60)"
            ),
            format!(
                "app.put_vectors('\\x{proof}', '{a}', '{b}', '\\x0011223344556677', gen_random_uuid(), \
                 ARRAY['\\x8899aabbccddee00'::bytea], ARRAY['\\x0102030405ff'::bytea])"
            ),
            format!(
                "app.prune_vectors('\\x{proof}', '{a}', '{b}', '\\x0011223344556677', gen_random_uuid(), \
                 ARRAY['\\x8899aabbccddeeff'::bytea])"
            ),
            format!("app.trim_events('\\x{proof}', '{a}', '{b}', NULL, 0)"),
            format!("app.close_session('\\x{proof}', '{session}', '{a}', '{b}')"),
        ] {
            let outcome = as_login(&bench, &format!("SELECT {call}")).await;
            assert!(outcome.as_ref().is_err_and(|why| why.starts_with("MB401")), "{call}: {outcome:?}");
        }
        for call in [
            format!("app.touch_keys(ARRAY['\\x{proof}'::bytea], ARRAY['2099-01-01'::timestamptz])"),
            format!(
                "app.touch_sessions(ARRAY['\\x{proof}'::bytea], ARRAY['{session}'::uuid], \
                 ARRAY['2099-01-01'::timestamptz], ARRAY['2099-01-01'::timestamptz])"
            ),
            format!(
                "app.append_events(ARRAY['\\x{proof}'::bytea], ARRAY['{session}'::uuid], ARRAY[gen_random_uuid()], \
                 ARRAY[1], ARRAY[true], ARRAY['{a}'::uuid], ARRAY['{b}'::uuid], ARRAY['{{\"forged\":1}}'], ARRAY[now()], \
                 ARRAY[0::smallint])"
            ),
            format!(
                "app.note_key_addresses(ARRAY['\\x{proof}'::bytea], ARRAY['192.0.2.66'], ARRAY[now()], 10)"
            ),
        ] {
            as_login(&bench, &format!("SELECT {call}")).await.unwrap();
        }
    }
    let touched = format!(
        "SELECT (SELECT count(*) FROM api_keys WHERE project_id = '{b}' AND last_used_at IS NOT NULL), \
         (SELECT count(*) FROM sessions WHERE project_id = '{b}' AND last_seen > now() + interval '1 day'), \
         (SELECT count(*) FROM mcp_events WHERE message::text LIKE '%forged%'), \
         (SELECT count(*) FROM app.audit_log WHERE user_id = '{a}' AND address IS NOT NULL)"
    );
    assert_eq!(bench.test.psql(&touched), "0|0|0|0");
    // No current partition is dropped, at any given time.
    as_login(&bench, "SELECT app.purge('2999-01-01', '2999-01-01', 1000)").await.unwrap();
    assert_eq!(
        bench.test.psql("SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM mcp_events)"),
        "2|2"
    );
}

#[tokio::test]
async fn trigger_functions_cannot_be_used_on_tables_of_the_login_role() {
    let (bench, alice, _) = two_tenants().await;
    let before = bench
        .test
        .psql("SELECT (SELECT count(*) FROM app.audit_log), (SELECT sum(version) FROM app.graph_versions)");
    for function in [
        "audit_user()",
        "audit_project()",
        "audit_membership()",
        "audit_key()",
        "audit_deletion('documents.deleted')",
        "note_graph_change('entity')",
        "guard_key()",
        "note_update()",
    ] {
        let sql = format!(
            "CREATE TEMP TABLE mine (LIKE public.api_keys); \
             CREATE TRIGGER mine AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION app.{function}"
        );
        // As the owner of the temporary table it needs no right on ours to copy its columns.
        let plain = sql.replace("(LIKE public.api_keys)", "(id uuid, user_id uuid, project_id uuid)");
        let outcome = as_login(&bench, &plain).await;
        assert!(outcome.as_ref().is_err_and(|why| why.starts_with("42501")), "{function}: {outcome:?}");
    }
    let after = bench
        .test
        .psql("SELECT (SELECT count(*) FROM app.audit_log), (SELECT sum(version) FROM app.graph_versions)");
    assert_eq!(before, after, "{}", alice.user_name);
}

#[tokio::test]
async fn no_setting_disables_or_falsifies_the_audit_log() {
    let (bench, alice, bob) = two_tenants().await;
    let own = context(&alice, true, &shown(&alice));
    let settings =
        "SET app.audit_restores = 'true'; SET app.audit_revoked = 'x'; SET app.audit_replaces = 'a lie'; ";
    let sql =
        format!("{own} {settings} SET ROLE app_user; DELETE FROM documents; DELETE FROM graph_entities");
    as_login(&bench, &sql).await.unwrap();
    let audited = |action: &str| {
        bench.test.psql(&format!(
            "SELECT count(*) FROM app.audit_log WHERE action = '{action}' AND user_id = '{}' AND key_id = '{}'",
            alice.user.0,
            alice.key.unwrap().0
        ))
    };
    assert_eq!((audited("documents.deleted").as_str(), audited("entities.deleted").as_str()), ("1", "1"));
    let make = format!(
        "{own} {settings} SET ROLE app_user; INSERT INTO api_keys (user_id, project_id, key_hash, key_prefix) \
         VALUES ('{}', '{}', sha256('z'), 'p')",
        alice.user.0, alice.project.0
    );
    as_login(&bench, &make).await.unwrap();
    assert_eq!((audited("key.created").as_str(), audited("key.rotated").as_str()), ("1", "0"));
    // The name of another, whose key was not shown.
    let posing = context(&Caller { key: bob.key, ..alice.clone() }, true, &shown(&bob));
    for note in ["bank.exported", "bank.imported", "backup.restored"] {
        let sql = format!("{posing} SET ROLE app_user; SELECT app.note_audit('{note}', 'x', '{{}}')");
        assert!(as_login(&bench, &sql).await.is_err(), "{note}");
    }
    let editor = bench.member("edgar", "one", Role::Editor).await;
    let own = context(&editor, true, &shown(&editor));
    let restores = format!("{own} SET ROLE app_user; SELECT app.note_audit('backup.restored', 'x', '{{}}')");
    assert!(as_login(&bench, &restores).await.is_err());
}

#[tokio::test]
async fn a_restore_is_recognised_by_its_audit_row_only_in_its_own_transaction() {
    let (bench, alice, _) = two_tenants().await;
    let own = context(&alice, true, &shown(&alice));
    let noted = format!("{own} SET ROLE app_user; SELECT app.note_audit('backup.restored', 'x', '{{}}')");
    as_login(&bench, &noted).await.unwrap();
    as_login(&bench, &format!("{own} SET ROLE app_user; DELETE FROM documents")).await.unwrap();
    let deletions = "SELECT count(*) FROM app.audit_log WHERE action = 'documents.deleted'";
    assert_eq!(bench.test.psql(deletions), "1");
}

#[tokio::test]
async fn the_startup_check_finds_tables_readable_without_a_key() {
    let (bench, ..) = two_tenants().await;
    bench.database.prove_isolation().await.unwrap();
    bench.owner.prove_isolation().await.unwrap();
    bench.test.psql(&format!("GRANT EXECUTE ON FUNCTION app.list_users() TO {SERVER}"));
    assert!(bench.refusal().await.contains("app.list_users()"));
    bench.test.psql(&format!("REVOKE EXECUTE ON FUNCTION app.list_users() FROM {SERVER}"));
    bench.test.psql("GRANT SELECT (key_hash) ON public.api_keys TO app_user");
    assert!(bench.refusal().await.contains("hashes"));
    bench.test.psql("REVOKE SELECT (key_hash) ON public.api_keys FROM app_user");
    bench
        .test
        .psql("CREATE OR REPLACE FUNCTION app.is_operator() RETURNS boolean LANGUAGE sql STABLE RETURN true");
    assert!(bench.refusal().await.contains("without a key"));
    assert!(bench.test.run_with_psql(MIGRATOR, "002_policies.sql").is_ok());
    bench.database.prove_isolation().await.unwrap();
}

#[tokio::test]
async fn a_statement_that_changes_its_own_context_reads_nothing_of_another_user() {
    let (bench, alice, _) = two_tenants().await;
    let edgar = bench.member("edgar", "one", Role::Editor).await;
    let project = alice.project.0;
    bench.test.psql(&format!(
        "INSERT INTO sessions (id, user_id, project_id) VALUES (gen_random_uuid(), '{0}', '{project}'); \
         INSERT INTO app.project_state (user_id, project_id, state) VALUES ('{0}', '{project}', '{{}}'); \
         INSERT INTO mcp_events (session_id, stream_id, place, user_id, project_id, needs, message) \
         VALUES (gen_random_uuid(), gen_random_uuid(), 1, '{0}', '{project}', 0, '{{}}')",
        edgar.user.0
    ));
    let own = format!(
        "{} SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; \
         SET enable_mergejoin = off; SET enable_material = off; SET enable_memoize = off; SET ROLE app_user; ",
        context(&alice, true, &shown(&alice))
    );
    let swap = format!("set_config('app.current_user_id', '{}', true)", edgar.user.0);
    let on_the_way = |type_name: &str, value: &str| {
        format!("(SELECT (CASE WHEN {swap} IS NOT NULL THEN '{value}' END)::{type_name})")
    };
    let hers = format!("user_id = '{}'", edgar.user.0);
    let moment = on_the_way("timestamptz", "-infinity");
    let nobody = "(VALUES ('nobody of this name', false), ('edgar', true)) AS v (name, swaps)";
    let stream =
        bench.test.psql(&format!("SELECT stream_id FROM mcp_events WHERE user_id = '{}'", alice.user.0));
    // No event, an own one under another name, and then all of them: each part of a policy that is computed when it is first needed.
    let steps = format!(
        "(VALUES ('{0}', '{none}'::uuid, '{none}'::uuid), ('{1}', '{stream}', '{stream}'), ('{0}', '{none}', '{last}')) \
         AS s (claimed, low, high)",
        alice.user.0,
        edgar.user.0,
        none = Uuid::nil(),
        last = Uuid::max(),
    );
    for sql in [
        format!("SELECT count(*) FILTER (WHERE {hers}) FROM sessions WHERE expires_at > {moment}"),
        format!("SELECT count(*) FILTER (WHERE {hers}) FROM app.project_state WHERE updated_at > {moment}"),
        format!("SELECT count(*) FILTER (WHERE {hers}) FROM mcp_events WHERE created_at > {moment}"),
        format!(
            "SELECT count(*) FILTER (WHERE {hers}) FROM ( \
               SELECT low, high, set_config('app.current_user_id', claimed, true) AS done FROM {steps} OFFSET 0) AS x \
             CROSS JOIN LATERAL (SELECT e.user_id FROM mcp_events e \
               WHERE x.done IS NOT NULL AND e.stream_id BETWEEN x.low AND x.high OFFSET 0) AS found"
        ),
        format!(
            "SELECT count(*) FROM (SELECT v.name, CASE WHEN v.swaps THEN {swap} END AS done FROM {nobody} OFFSET 0) AS o \
             CROSS JOIN LATERAL (SELECT FROM users u WHERE u.name = o.name AND o.done IS NOT NULL) AS found"
        ),
    ] {
        let seen = as_login(&bench, &format!("{own} {sql}")).await;
        let nothing = seen.as_ref().is_ok_and(|count| count == "0")
            || seen.as_ref().is_err_and(|why| why.starts_with("MB401"));
        assert!(nothing, "{sql}: {seen:?}");
    }
}

#[tokio::test]
async fn a_statement_that_drops_or_changes_its_key_midway_deletes_nothing() {
    let (bench, alice, bob) = two_tenants().await;
    let own = context(&alice, true, &shown(&alice));
    let others = shown(&bob);
    for (name, value) in
        [("app.current_key_hash", ""), ("app.current_key_id", ""), ("app.current_key_hash", others.as_str())]
    {
        let sql = format!(
            "{own} SET ROLE app_user; DELETE FROM documents WHERE set_config('{name}', '{value}', true) IS NOT NULL"
        );
        let outcome = as_login(&bench, &sql).await;
        assert!(outcome.as_ref().is_err_and(|why| why.starts_with("MB401")), "{name} = {value}: {outcome:?}");
    }
    // The whole context of another project, whose key is known.
    let sql = format!(
        "{own} SET ROLE app_user; DELETE FROM documents WHERE \
         set_config('app.current_key_hash', '{others}', true) <> '' AND set_config('app.current_key_id', '{}', true) <> ''",
        bob.key.unwrap().0
    );
    let outcome = as_login(&bench, &sql).await;
    assert!(outcome.as_ref().is_err_and(|why| why.starts_with("MB401")), "{outcome:?}");
    let left =
        bench.test.psql(&format!("SELECT count(*) FROM documents WHERE project_id = '{}'", alice.project.0));
    assert_eq!(left, "1");
    assert_eq!(bench.test.psql("SELECT count(*) FROM app.audit_log WHERE action = 'documents.deleted'"), "0");
}
