//! Changes and removals of users, projects and keys by the operator.

use jiff::ToSpan;
use memory_bank_core::caller::{Caller, KeyId, Right, Role, UserId};
use memory_bank_core::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{AdminError, Administration, KeyChange, KeyDirectory, NewUser};
use memory_bank_core::store::DocumentStore;
use memory_bank_postgres::TENANT_TABLES;
use serde_json::json;

use crate::isolation::two_tenants;
use crate::support::{Bench, new_key, path, read};

fn user(name: &str) -> NewUser {
    NewUser { id: UserId(SystemEntropy.id()), name: name.to_owned(), email: None }
}

/// Rows of a tenant in every table, but the audit log, which stays.
fn rows(bench: &Bench, project: &Caller) -> Vec<(&'static str, String)> {
    TENANT_TABLES
        .iter()
        .filter(|table| !matches!(**table, "public.users" | "app.audit_log"))
        .map(|table| {
            let column = if *table == "public.projects" { "id" } else { "project_id" };
            let sql = format!("SELECT count(*) FROM {table} WHERE {column} = '{}'", project.project.0);
            (*table, bench.test.psql(&sql))
        })
        .collect()
}

/// The contents of a project: its documents, graph, backups and files.
fn content(bench: &Bench, project: &Caller) -> Vec<(&'static str, String)> {
    let of_users = [
        "public.memberships",
        "public.api_keys",
        "public.sessions",
        "public.mcp_events",
        "app.project_state",
        "app.oauth_grants",
        "app.oauth_codes",
        "app.oauth_refresh_tokens",
    ];
    rows(bench, project).into_iter().filter(|(table, _)| !of_users.contains(table)).collect()
}

#[tokio::test]
async fn a_removed_project_leaves_nothing_but_the_audit_log_and_no_other_project_changes() {
    let (bench, alice, bob) = two_tenants().await;
    let (others, before) = (rows(&bench, &bob), rows(&bench, &alice));
    assert!(before.iter().all(|(_, count)| count != "0"), "{before:?}");
    let void = bench.owner.remove_project("one").await.unwrap();
    assert_eq!(void.len(), 1);
    assert!(void.iter().all(|key| key.record.revoked_at.is_some() && Some(key.hash) == alice.proof));
    let left: Vec<_> = rows(&bench, &alice).into_iter().filter(|(_, count)| count != "0").collect();
    assert_eq!(left, []);
    assert_eq!(rows(&bench, &bob), others);
    assert_eq!(bench.test.psql("SELECT count(*) FROM users"), "2", "a user is no part of a project");
    assert!(matches!(bench.bank().list(&alice).await, Err(StoreError::KeyInvalid)));
    assert_eq!(read(&bench.bank(), &bob, "secret.md").await.as_deref(), Some("the secret of bob"));
    let log = bench.owner.audit(None, None, 100).await.unwrap();
    let removed = log.iter().find(|entry| entry.action == "project.removed").unwrap();
    assert_eq!((&removed.detail, &removed.project), (&json!({"slug": "one"}), &None));
    assert!(log.iter().any(|entry| entry.action == "documents.deleted"));
    assert!(log.iter().any(|entry| entry.action == "project.created" && entry.detail["slug"] == "one"));
    let gone = bench.owner.remove_project("one").await;
    assert!(matches!(gone, Err(AdminError::NotFound { kind: "project", .. })), "{gone:?}");
    // The name is free again, and the new project has nothing of the old one.
    let again = bench.tenant("alice", "one").await;
    assert!(bench.bank().list(&again).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_removed_user_takes_no_content_along_and_its_keys_are_void_at_once() {
    let (bench, alice, bob) = two_tenants().await;
    let eve = bench.member("eve", "one", Role::Owner).await;
    let guest = bench.member("alice", "two", Role::Editor).await;
    let before = content(&bench, &alice);
    let void = bench.owner.remove_user("alice").await.unwrap();
    let hashes: Vec<_> = void.iter().map(|key| Some(key.hash)).collect();
    assert_eq!(void.len(), 2, "one key of each project");
    assert!(hashes.contains(&alice.proof) && hashes.contains(&guest.proof));
    assert_eq!(content(&bench, &alice), before);
    for former in [&alice, &guest] {
        assert!(matches!(bench.bank().list(former).await, Err(StoreError::KeyInvalid)));
        assert_eq!(KeyDirectory::find(&bench.database, &former.proof.unwrap()).await.unwrap(), None);
    }
    assert_eq!(read(&bench.bank(), &eve, "secret.md").await.as_deref(), Some("the secret of alice"));
    for table in
        ["memberships", "api_keys", "sessions", "mcp_events", "app.project_state", "app.oauth_grants"]
    {
        let of_alice = format!("SELECT count(*) FROM {table} WHERE user_id = '{}'", alice.user.0);
        assert_eq!(bench.test.psql(&of_alice), "0", "{table}");
        let of_bob = format!("SELECT count(*) FROM {table} WHERE user_id = '{}'", bob.user.0);
        assert_ne!(bench.test.psql(&of_bob), "0", "{table}");
    }
    let owner = bench
        .test
        .psql("SELECT u.name FROM projects p JOIN users u ON u.id = p.owner_id WHERE p.slug = 'one'");
    assert_eq!(owner, "eve");
    let log = bench.owner.audit(None, None, 100).await.unwrap();
    let removed = log.iter().find(|entry| entry.action == "user.removed").unwrap();
    assert_eq!(removed.detail, json!({"name": "alice"}));
    assert_eq!(log.iter().filter(|entry| entry.action == "key.revoked").count(), 2);
    assert_eq!(log.iter().filter(|entry| entry.action == "member.removed").count(), 2);
    let gone = bench.owner.remove_user("alice").await;
    assert!(matches!(gone, Err(AdminError::NotFound { kind: "user", .. })), "{gone:?}");
}

#[tokio::test]
async fn the_last_owner_of_a_project_cannot_be_removed() {
    let (bench, alice, _) = two_tenants().await;
    bench.member("eve", "one", Role::Editor).await;
    let before = bench.test.psql("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL");
    let Err(AdminError::Refused(text)) = bench.owner.remove_user("alice").await else {
        panic!("the last owner was removed")
    };
    assert!(text.contains("`alice` is the last owner of `one`"), "{text}");
    assert_eq!(bench.test.psql("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL"), before);
    assert!(bench.bank().list(&alice).await.is_ok());
    bench.owner.remove_user("eve").await.unwrap();
    bench.owner.remove_project("one").await.unwrap();
    bench.owner.remove_user("alice").await.unwrap();
}

#[tokio::test]
async fn two_owners_who_are_removed_at_once_do_not_leave_a_project_without_one() {
    let bench = Bench::new().await;
    for round in 0..5 {
        let project = format!("p{round}");
        bench.tenant(&format!("a{round}"), &project).await;
        bench.member(&format!("b{round}"), &project, Role::Owner).await;
        let (first, second) = (format!("a{round}"), format!("b{round}"));
        let (one, other) = tokio::join!(bench.owner.remove_user(&first), bench.owner.remove_user(&second));
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
        assert_eq!(bench.owner.members(&project).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_renamed_project_keeps_keys_and_content() {
    let (bench, alice, _) = two_tenants().await;
    let before = rows(&bench, &alice);
    let renamed = bench.owner.rename_project("one", "uno").await.unwrap();
    assert_eq!((renamed.slug.as_str(), renamed.name.as_str(), renamed.id), ("uno", "uno", alice.project));
    assert_eq!(rows(&bench, &alice), before);
    assert_eq!(read(&bench.bank(), &alice, "secret.md").await.as_deref(), Some("the secret of alice"));
    let taken = bench.owner.rename_project("uno", "two").await;
    assert!(matches!(taken, Err(AdminError::Exists { kind: "project", .. })), "{taken:?}");
    for wrong in ["", "Uno", "-x", "a/b"] {
        let refused = bench.owner.rename_project("uno", wrong).await;
        assert!(matches!(refused, Err(AdminError::Refused(_))), "{wrong}: {refused:?}");
    }
    let gone = bench.owner.rename_project("one", "x").await;
    assert!(matches!(gone, Err(AdminError::NotFound { kind: "project", .. })), "{gone:?}");
    let log = bench.owner.audit(Some("uno"), None, 100).await.unwrap();
    let entry = log.iter().find(|entry| entry.action == "project.renamed").unwrap();
    assert_eq!(entry.detail, json!({"slug": "uno", "before": "one"}));
}

#[tokio::test]
async fn an_invitation_creates_user_member_and_key_or_nothing() {
    let bench = Bench::new().await;
    bench.tenant("alice", "demo").await;
    let (plain, key) = new_key();
    let invited = bench.owner.invite_member("demo", &user("bob"), Role::Editor, &key).await.unwrap();
    assert!(invited.is_new && invited.user.name == "bob" && invited.key.id == key.id);
    let bob = bench.authenticated(&plain).await;
    assert_eq!((bob.role, bob.user), (Role::Editor, invited.user.id));
    // Once more: another key, the same user.
    let (_, second) = new_key();
    let again = bench.owner.invite_member("demo", &user("bob"), Role::Editor, &second).await.unwrap();
    assert!(!again.is_new && again.user.id == invited.user.id);
    assert_eq!(bench.owner.keys("demo", false).await.unwrap().len(), 3);
    // No invitation changes a role, also not that of the owner.
    for (name, role) in [("bob", Role::Viewer), ("bob", Role::Owner), ("alice", Role::Viewer)] {
        let refused = bench.owner.invite_member("demo", &user(name), role, &new_key().1).await;
        assert!(matches!(refused, Err(AdminError::Refused(_))), "{name}: {refused:?}");
    }
    let missing = bench.owner.invite_member("none", &user("carl"), Role::Viewer, &new_key().1).await;
    assert!(matches!(missing, Err(AdminError::NotFound { kind: "project", .. })), "{missing:?}");
    // A key that exists already fails last: nothing of the invitation stays.
    assert!(bench.owner.invite_member("demo", &user("carl"), Role::Viewer, &second).await.is_err());
    assert_eq!(bench.test.psql("SELECT count(*) FROM users WHERE name = 'carl'"), "0");
    assert_eq!(bench.owner.keys("demo", false).await.unwrap().len(), 3);
    assert_eq!(bench.owner.members("demo").await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_key_is_changed_but_never_lives_longer() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let id = alice.key.unwrap();
    let change = KeyChange {
        label: Some(Some("laptop".to_owned())),
        scopes: Some(vec![Right::Read]),
        rate_limit: Some(7),
    };
    let soon = SystemClock.now() + 48.hours();
    let changed = bench.owner.update_key(id, &change, Some(soon)).await.unwrap();
    let record = &changed.record;
    assert_eq!((record.label.as_deref(), record.rate_limit), (Some("laptop"), 7));
    assert_eq!(record.scopes, [Right::Read]);
    assert_eq!(record.expires_at.map(|at| at.as_second()), Some(soon.as_second()));
    assert_eq!(Some(changed.hash), alice.proof);
    let nothing = KeyChange::default();
    let same = bench.owner.update_key(id, &nothing, None).await.unwrap();
    assert_eq!(same.record, changed.record);
    let Err(AdminError::Refused(text)) = bench.owner.update_key(id, &nothing, Some(soon + 1.hour())).await
    else {
        panic!("the key lives longer")
    };
    assert!(text.contains("an expiry can only move earlier"), "{text}");
    let earlier = bench.owner.update_key(id, &nothing, Some(soon - 1.hour())).await.unwrap();
    assert!(earlier.record.expires_at < Some(soon));
    let all = KeyChange { label: Some(None), scopes: Some(Vec::new()), rate_limit: Some(0) };
    let wide = bench.owner.update_key(id, &all, None).await.unwrap().record;
    assert_eq!((wide.label, wide.scopes, wide.rate_limit), (None, Vec::new(), 0));
    let long = KeyChange { label: Some(Some("x".repeat(2000))), ..KeyChange::default() };
    assert!(matches!(bench.owner.update_key(id, &long, None).await, Err(AdminError::Refused(_))));
    bench.owner.revoke_key(id, SystemClock.now()).await.unwrap();
    for id in [id, KeyId(SystemEntropy.id())] {
        let gone = bench.owner.update_key(id, &nothing, None).await;
        assert!(matches!(gone, Err(AdminError::NotFound { kind: "key", .. })), "{gone:?}");
    }
    let log = bench.owner.audit(Some("demo"), None, 100).await.unwrap();
    let entry = log.iter().find(|entry| entry.action == "key.changed").unwrap();
    assert_eq!(entry.detail["scopes"], json!([]));
}

#[tokio::test]
async fn the_server_role_may_not_administer() {
    let (bench, alice, bob) = two_tenants().await;
    assert!(bench.database.remove_user("bob").await.is_err());
    assert!(bench.database.remove_project("two").await.is_err());
    assert!(bench.database.rename_project("two", "mine").await.is_err());
    assert!(bench.database.update_key(bob.key.unwrap(), &KeyChange::default(), None).await.is_err());
    let invited = bench.database.invite_member("two", &user("alice"), Role::Owner, &new_key().1).await;
    assert!(invited.is_err());
    for call in [
        format!("app.end_sessions('{}', NULL)", bob.user.0),
        "app.remove_project('two')".to_owned(),
        "app.remove_user('bob')".to_owned(),
    ] {
        for role in ["app_user", "app_server"] {
            let signature = call.split('(').next().unwrap();
            let may = format!(
                "SELECT bool_or(has_function_privilege('{role}', oid, 'EXECUTE')) FROM pg_proc \
                 WHERE pronamespace = 'app'::regnamespace AND 'app.' || proname = '{signature}'"
            );
            assert_eq!(bench.test.psql(&may), "f", "{role}: {call}");
        }
    }
    let bank = bench.bank();
    assert!(bank.read(&alice, &[path("secret.md")]).await.is_ok() && bank.list(&bob).await.is_ok());
}
