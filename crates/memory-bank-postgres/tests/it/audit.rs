//! The audit log: its entries, its immutability and its retention.

use jiff::{SignedDuration, Timestamp};
use memory_bank_core::caller::{Caller, Role};
use memory_bank_core::clock::{Clock, SystemClock};
use memory_bank_core::identity::{Administration, KeyDirectory, KeyStore, KeyUse};
use memory_bank_core::store::AuditEntry;
use memory_bank_core::store::{
    AddressUse, AuditLog, BackupStore, DocumentStore, Drafts, EntityDraft, EntityRef, GraphStore,
};
use memory_bank_postgres::OperatorAction;
use serde_json::json;

use crate::support::{Bench, new_key, path, write};

async fn log(bench: &Bench, project: &str) -> Vec<AuditEntry> {
    let mut entries = bench.owner.audit(Some(project), None, 1000).await.unwrap();
    entries.reverse();
    entries
}

async fn actions(bench: &Bench, project: &str) -> Vec<String> {
    log(bench, project).await.into_iter().map(|entry| entry.action).collect()
}

async fn last(bench: &Bench, project: &str) -> AuditEntry {
    log(bench, project).await.pop().unwrap()
}

fn in_name_of(caller: &Caller, sql: &str) -> String {
    format!(
        "BEGIN; SET LOCAL app.current_user_id = '{}'; SET LOCAL app.current_project_id = '{}'; \
         SET LOCAL ROLE app_user; {sql}; COMMIT",
        caller.user.0, caller.project.0
    )
}

#[tokio::test]
async fn accounts_members_and_keys_are_audited_with_the_login_role_that_created_them() {
    let bench = Bench::new().await;
    bench.tenant("alice", "demo").await;
    bench.member("bob", "demo", Role::Viewer).await;
    bench.owner.set_member("demo", "bob", Role::Viewer).await.unwrap();
    bench.owner.set_member("demo", "bob", Role::Editor).await.unwrap();
    bench.owner.remove_member("demo", "bob").await.unwrap();
    let recorded = actions(&bench, "demo").await;
    assert_eq!(
        recorded,
        [
            "project.created",
            "member.added",
            "key.created",
            "member.added",
            "key.created",
            "member.role_changed",
            "member.removed",
            "key.revoked"
        ]
    );
    let entries = log(&bench, "demo").await;
    assert!(entries.iter().all(|entry| entry.login.is_some() && entry.user.is_none()));
    assert_eq!(entries[5].detail, json!({"role": "editor", "before": "viewer"}));
    let users = bench.owner.audit(None, None, 1000).await.unwrap();
    assert_eq!(users.iter().filter(|entry| entry.action == "user.created").count(), 2);
}

#[tokio::test]
async fn key_changes_by_an_owner_are_audited_under_its_name() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let (_, key) = new_key();
    KeyStore::create(&bench.database, &alice, &key).await.unwrap();
    let change = memory_bank_core::identity::KeyChange { label: None, scopes: None, rate_limit: Some(5) };
    KeyStore::update(&bench.database, &alice, key.id, &change).await.unwrap();
    let (plain, next) = new_key();
    KeyStore::rotate(&bench.database, &alice, key.id, &next).await.unwrap();
    KeyStore::revoke(&bench.database, &alice, next.id, SystemClock.now()).await.unwrap();
    let (_, third) = new_key();
    KeyStore::create(&bench.database, &alice, &third).await.unwrap();
    let entries = log(&bench, "demo").await.split_off(3);
    let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(
        actions,
        ["key.created", "key.changed", "key.revoked", "key.rotated", "key.revoked", "key.created"]
    );
    assert!(entries.iter().all(|entry| entry.user == Some(alice.user) && entry.key == alice.key));
    assert_eq!(entries[3].detail["replaces"], json!(key.id.0));
    let all = bench.test.psql("SELECT string_agg(l::text, '') FROM app.audit_log l");
    assert!(!all.contains(plain.expose()) && !all.contains(&plain.hash().to_hex()));
}

#[tokio::test]
async fn a_rotation_by_an_operator_records_the_replaced_key() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let (_, next) = new_key();
    bench.owner.rotate_key(alice.key.unwrap(), &next).await.unwrap();
    let entry = last(&bench, "demo").await;
    assert_eq!(entry.action, "key.rotated");
    assert_eq!(
        (entry.subject, &entry.detail["replaces"]),
        (Some(next.id.0.to_string()), &json!(alice.key.map(|key| key.0)))
    );
}

#[tokio::test]
async fn recording_the_use_of_a_key_is_not_audited_as_a_change() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let before = actions(&bench, "demo").await;
    let used = KeyUse { key: alice.key.unwrap(), proof: alice.proof.unwrap(), at: SystemClock.now() };
    KeyDirectory::record_uses(&bench.database, &[used]).await.unwrap();
    assert_eq!(actions(&bench, "demo").await, before);
}

#[tokio::test]
async fn deletions_and_restores_are_audited_and_ordinary_writes_are_not() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    let before = actions(&bench, "demo").await.len();
    for text in ["one", "two"] {
        write(&bank, &alice, "a.md", text).await.unwrap();
    }
    let draft = EntityDraft { name: "thing".into(), entity_type: "t".into(), attrs: None };
    bank.upsert_entity(&alice, draft).await.unwrap();
    let backup = bank.create_backup(&alice, None).await.unwrap();
    assert_eq!(actions(&bench, "demo").await.len(), before);

    let name = path("a.md");
    let mut delete = |drafts: &mut Drafts| drafts.delete(&name);
    bank.edit(&alice, std::slice::from_ref(&name), &mut delete).await.unwrap();
    let entry = last(&bench, "demo").await;
    assert_eq!((entry.action.as_str(), entry.subject.as_deref()), ("documents.deleted", Some("a.md")));
    assert_eq!(entry.detail, json!({"count": 1, "names": ["a.md"]}));
    assert_eq!((entry.user, entry.key), (Some(alice.user), alice.key));
    bank.delete_entity(&alice, &EntityRef("thing".into())).await.unwrap();
    assert_eq!(last(&bench, "demo").await.action, "entities.deleted");
    bank.restore_backup(&alice, &backup.id, true).await.unwrap();
    let entry = last(&bench, "demo").await;
    assert_eq!((entry.action.as_str(), entry.subject), ("backup.restored", Some(backup.id.clone())));
    // A second restore takes the graph away to put it back; that is one event.
    let count = actions(&bench, "demo").await.len();
    bank.restore_backup(&alice, &backup.id, false).await.unwrap();
    assert_eq!(actions(&bench, "demo").await.len(), count + 1);
}

#[tokio::test]
async fn a_refused_action_is_not_audited() {
    let bench = Bench::new().await;
    bench.tenant("alice", "demo").await;
    let editor = Caller { role: Role::Owner, ..bench.member("edgar", "demo", Role::Editor).await };
    let bank = bench.bank();
    write(&bank, &editor, "a.md", "text").await.unwrap();
    let before = actions(&bench, "demo").await;
    let name = path("a.md");
    let mut delete = |drafts: &mut Drafts| drafts.delete(&name);
    bank.edit(&editor, std::slice::from_ref(&name), &mut delete).await.unwrap_err();
    let (_, key) = new_key();
    KeyStore::create(&bench.database, &editor, &key).await.unwrap_err();
    assert_eq!(actions(&bench, "demo").await, before);
}

#[tokio::test]
async fn owners_read_the_audit_log_and_only_the_table_owner_can_change_it() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let bob = bench.tenant("bob", "two").await;
    let viewer = bench.member("vera", "one", Role::Viewer).await;
    let count = |caller: &Caller| bench.test.psql(&in_name_of(caller, "SELECT count(*) FROM app.audit_log"));
    assert_ne!(count(&alice), "0");
    assert_eq!(count(&viewer), "0");
    assert_eq!(count(&Caller { project: bob.project, ..alice.clone() }), "0");
    for role in ["app_user", "app_server", memory_bank_test_postgres::SERVER] {
        for right in ["INSERT", "UPDATE", "DELETE", "TRUNCATE"] {
            let may = format!("SELECT has_table_privilege('{role}', 'app.audit_log', '{right}')");
            assert_eq!(bench.test.psql(&may), "f", "{role} may {right}");
        }
    }
    // Even the functions' role, which has no login, cannot change rows or delete recent ones.
    let may = "SELECT has_table_privilege('app_definer', 'app.audit_log', 'UPDATE') \
        OR has_any_column_privilege('app_definer', 'app.audit_log', 'UPDATE')";
    assert_eq!(bench.test.psql(may), "f");
    bench.test.psql("BEGIN; SET LOCAL ROLE app_definer; DELETE FROM app.audit_log; COMMIT");
    assert_ne!(count(&alice), "0");
    // Neither the owner of the table, unless it lifts row-level security first.
    let owner = memory_bank_test_postgres::MIGRATOR;
    let sql = format!(
        "BEGIN; SET LOCAL ROLE {owner}; UPDATE app.audit_log SET action = 'key.created'; \
         DELETE FROM app.audit_log; COMMIT"
    );
    bench.test.psql(&sql);
    assert_ne!(count(&alice), "0");
    assert_ne!(bench.test.psql("SELECT count(*) FROM app.audit_log WHERE action <> 'key.created'"), "0");
}

#[tokio::test]
async fn a_tenant_can_record_only_actions_that_its_role_allows() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let viewer = bench.member("vera", "demo", Role::Viewer).await;
    let note = |caller: &Caller, action: &str| {
        let sql = format!(
            "DO $$ BEGIN PERFORM app.note_audit('{action}', 's', '{{}}'); EXCEPTION WHEN OTHERS THEN NULL; END $$"
        );
        bench.test.psql(&in_name_of(caller, &sql));
    };
    let before = actions(&bench, "demo").await.len();
    note(&viewer, "backup.restored");
    note(&viewer, "bank.imported");
    note(&viewer, "key.created");
    note(&alice, "member.removed");
    assert_eq!(actions(&bench, "demo").await.len(), before);
    note(&viewer, "bank.exported");
    note(&alice, "bank.imported");
    assert_eq!(actions(&bench, "demo").await.len(), before + 2);
}

#[tokio::test]
async fn the_first_use_of_a_key_at_an_address_is_audited_up_to_a_limit() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let used = |address: String| AddressUse {
        key: alice.key.unwrap(),
        proof: alice.proof.unwrap(),
        address: address.parse().unwrap(),
        at: SystemClock.now(),
    };
    let address_entries = async || {
        let entries = log(&bench, "demo").await;
        entries.into_iter().filter(|entry| entry.action == "key.used_from_new_address").collect::<Vec<_>>()
    };
    for _ in 0..2 {
        let uses = [used("192.0.2.1".into()), used("192.0.2.1".into()), used("2001:db8::".into())];
        bench.database.record_addresses(&uses).await.unwrap();
    }
    let entries = address_entries().await;
    let addresses: Vec<&str> = entries.iter().filter_map(|entry| entry.address.as_deref()).collect();
    assert_eq!(addresses.len(), 2);
    assert!(addresses.contains(&"192.0.2.1") && addresses.contains(&"2001:db8::"));
    assert!(entries.iter().all(|entry| entry.key == alice.key && entry.user == Some(alice.user)));
    let many: Vec<AddressUse> = (0..500).map(|n| used(format!("10.0.{}.{}", n / 250, n % 250))).collect();
    for uses in many.chunks(100) {
        bench.database.record_addresses(uses).await.unwrap();
    }
    assert_eq!(address_entries().await.len(), 200);
}

#[tokio::test]
async fn old_audit_rows_are_deleted_in_batches_and_recent_ones_never() {
    let bench = Bench::new().await;
    bench.tenant("alice", "demo").await;
    bench.test.psql(
        "INSERT INTO app.audit_log (at, action) SELECT now() - interval '400 days', 'user.created' \
         FROM generate_series(1, 5)",
    );
    let before = bench.test.psql("SELECT count(*) FROM app.audit_log").parse::<usize>().unwrap();
    let year: Timestamp = SystemClock.now() - SignedDuration::from_hours(24 * 365);
    assert_eq!(bench.database.forget_before(year, 3).await.unwrap(), 3);
    assert_eq!(bench.database.forget_before(year, 3).await.unwrap(), 2);
    let everything = SystemClock.now() + SignedDuration::from_hours(24);
    assert_eq!(bench.database.forget_before(everything, 100).await.unwrap(), 0);
    let after = bench.test.psql("SELECT count(*) FROM app.audit_log").parse::<usize>().unwrap();
    assert_eq!(after, before - 5);
}

#[tokio::test]
async fn an_operator_command_lists_the_log_of_a_project() {
    let bench = Bench::new().await;
    bench.tenant("alice", "demo").await;
    let detail = json!({"documents": 3});
    bench.owner.note_audit("demo", OperatorAction::Imported, Some("./bank"), &detail).await.unwrap();
    let entry = last(&bench, "demo").await;
    assert_eq!((entry.action.as_str(), entry.subject.as_deref()), ("bank.imported", Some("./bank")));
    assert_eq!(entry.detail, detail);
    assert!(bench.owner.note_audit("nowhere", OperatorAction::Exported, None, &detail).await.is_err());
    assert!(bench.owner.audit(Some("nowhere"), None, 1).await.is_err());
    let since = SystemClock.now() + SignedDuration::from_secs(60);
    assert!(bench.owner.audit(Some("demo"), Some(since), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_act_that_is_rolled_back_is_not_audited() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    write(&bench.bank(), &alice, "a.md", "one").await.unwrap();
    let before = actions(&bench, "demo").await;
    let delete = in_name_of(&alice, "DELETE FROM public.documents WHERE path = 'a.md'");
    let count = "SELECT count(*) FROM public.documents";
    bench.test.psql(&delete.replace("COMMIT", "ROLLBACK"));
    assert_eq!((bench.test.psql(count).trim(), actions(&bench, "demo").await), ("1", before.clone()));
    bench.test.psql(&delete);
    assert_eq!(bench.test.psql(count).trim(), "0");
    assert_eq!(actions(&bench, "demo").await[before.len()..], ["documents.deleted"]);
}
