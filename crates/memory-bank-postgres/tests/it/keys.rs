//! Keys and their administration.

use std::collections::HashSet;

use jiff::{Timestamp, ToSpan};
use memory_bank_core::caller::{KeyId, ProjectId, Right, Role, UserId};
use memory_bank_core::clock::{Entropy, SystemEntropy};
use memory_bank_core::identity::{
    AdminError, Administration, KeyChange, KeyDirectory, KeyHash, KeyStore, KeyUse, NewKey, NewProject,
    NewUser,
};
use memory_bank_core::limits;

use crate::support::{Bench, new_key};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_key_resolves_to_its_caller_and_is_not_stored() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let (plain, key) = new_key();
    let key = NewKey { scopes: vec![Right::Read], rate_limit: 7, label: Some("laptop".into()), ..key };
    bench.owner.create_key("demo", "alice", &key).await.unwrap();
    let identity = KeyDirectory::find(&bench.database, &plain.hash()).await.unwrap().unwrap();
    assert_eq!((identity.caller.user, identity.caller.project), (alice.user, alice.project));
    assert_eq!((identity.caller.role, identity.caller.scopes.as_slice()), (Role::Owner, &[Right::Read][..]));
    assert_eq!((identity.rate_limit, identity.caller.key), (7, Some(key.id)));
    let stored = bench.test.psql("SELECT string_agg(k::text, '') FROM api_keys k");
    assert!(!stored.contains(plain.expose()) && stored.contains(&plain.prefix()));
}

#[tokio::test]
async fn unknown_hashes_and_keys_of_former_members_resolve_to_nobody() {
    let bench = Bench::new().await;
    bench.tenant("alice", "demo").await;
    assert_eq!(KeyDirectory::find(&bench.database, &KeyHash::from_bytes([7; 32])).await.unwrap(), None);
    bench.member("eve", "demo", Role::Editor).await;
    let (plain, key) = new_key();
    bench.owner.create_key("demo", "eve", &key).await.unwrap();
    let void = bench.owner.remove_member("demo", "eve").await.unwrap();
    assert_eq!(void.len(), 2);
    assert!(void.iter().any(|revoked| revoked.hash == plain.hash() && revoked.record.revoked_at.is_some()));
    assert_eq!(KeyDirectory::find(&bench.database, &plain.hash()).await.unwrap(), None);
}

#[tokio::test]
async fn an_owner_manages_its_own_keys() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let other = bench.member("olga", "demo", Role::Owner).await;
    let (_, key) = new_key();
    KeyStore::create(&bench.database, &alice, &key).await.unwrap();
    let change = KeyChange {
        label: Some(Some("renamed".into())),
        scopes: Some(vec![Right::Read]),
        rate_limit: Some(5),
    };
    assert_eq!(KeyStore::update(&bench.database, &other, key.id, &change).await.unwrap(), None);
    let changed = KeyStore::update(&bench.database, &alice, key.id, &change).await.unwrap().unwrap();
    assert_eq!((changed.record.label.as_deref(), changed.record.rate_limit), (Some("renamed"), 5));
    assert_eq!(changed.hash, key.hash);
    let now = at("2026-11-23T00:00:00Z");
    assert_eq!(KeyStore::revoke(&bench.database, &other, key.id, now).await.unwrap(), None);
    assert!(KeyStore::revoke(&bench.database, &alice, key.id, now).await.unwrap().is_some());
    assert_eq!(KeyStore::revoke(&bench.database, &alice, key.id, now).await.unwrap(), None);
    let active = KeyStore::list(&bench.database, &alice, false).await.unwrap();
    let all = KeyStore::list(&bench.database, &alice, true).await.unwrap();
    assert_eq!((active.len(), all.len()), (1, 2));
    assert!(all.iter().any(|one| one.id == key.id && one.revoked_at == Some(now)));
}

#[tokio::test]
async fn long_key_lists_show_valid_and_newest_keys() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    bench.test.psql(&format!(
        "INSERT INTO api_keys (user_id, project_id, key_hash, key_prefix, created_at, expires_at, revoked_at)
         SELECT '{}', '{}', sha256(n::text::bytea), 'mbmcp_live_', now() + n * interval '1 s',
           CASE WHEN n % 2 = 0 THEN now() - interval '1 h' END, CASE WHEN n % 2 = 1 THEN now() END
         FROM generate_series(1, 5000) AS n",
        alice.user.0, alice.project.0
    ));
    for revoked in [false, true] {
        let listed = KeyStore::list(&bench.database, &alice, revoked).await.unwrap();
        assert_eq!(listed.len(), limits::KEYS_LISTED + 1, "one more shows that there are more");
        assert_eq!(listed.last().map(|key| key.id), alice.key, "the one that is good is the oldest");
        assert!(listed.is_sorted_by(|one, next| one.created_at >= next.created_at));
    }
}

#[tokio::test]
async fn the_database_lets_only_owners_create_keys() {
    let bench = Bench::new().await;
    bench.tenant("alice", "demo").await;
    let mut editor = bench.member("edgar", "demo", Role::Editor).await;
    editor.role = Role::Owner;
    let (plain, key) = new_key();
    assert!(KeyStore::create(&bench.database, &editor, &key).await.is_err());
    assert_eq!(KeyDirectory::find(&bench.database, &plain.hash()).await.unwrap(), None);
}

#[tokio::test]
async fn rotation_revokes_a_key_and_creates_an_equal_one() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let (old, key) = new_key();
    let key = NewKey { label: Some("ci".into()), scopes: vec![Right::Write], rate_limit: 9, ..key };
    KeyStore::create(&bench.database, &alice, &key).await.unwrap();
    for by_owner in [true, false] {
        let (new, next) = new_key();
        let known = KeyStore::list(&bench.database, &alice, false).await.unwrap();
        let id = known.iter().find(|one| one.label.as_deref() == Some("ci")).unwrap().id;
        let (record, revoked) = if by_owner {
            KeyStore::rotate(&bench.database, &alice, id, &next).await.unwrap().unwrap()
        } else {
            bench.owner.rotate_key(id, &next).await.unwrap()
        };
        assert_eq!(
            (record.label.as_deref(), record.rate_limit, record.scopes),
            (Some("ci"), 9, vec![Right::Write])
        );
        assert_eq!(revoked.record.id, id);
        let identity = KeyDirectory::find(&bench.database, &new.hash()).await.unwrap().unwrap();
        assert_eq!(identity.revoked_at, None);
    }
    let identity = KeyDirectory::find(&bench.database, &old.hash()).await.unwrap().unwrap();
    assert!(identity.revoked_at.is_some());
}

#[tokio::test]
async fn a_later_use_is_never_replaced_by_an_earlier_one() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let key = alice.key.unwrap();
    let (late, early) = (at("2026-11-23T10:00:00Z"), at("2026-11-23T09:00:00Z"));
    let proof = alice.proof.unwrap();
    let uses = [KeyUse { key, proof, at: late }, KeyUse { key, proof, at: early }];
    KeyDirectory::record_uses(&bench.database, &uses).await.unwrap();
    KeyDirectory::record_uses(&bench.database, &uses[1..]).await.unwrap();
    let listed = KeyStore::list(&bench.database, &alice, false).await.unwrap();
    assert_eq!(listed[0].last_used_at, Some(late));
}

#[tokio::test]
async fn bootstrap_creates_missing_accounts_and_always_a_key() {
    let bench = Bench::new().await;
    let first = bench.tenant("alice", "demo").await;
    let second = bench.tenant("alice", "demo").await;
    assert_eq!((first.user, first.project), (second.user, second.project));
    assert_ne!(first.key, second.key);
    assert_eq!(bench.owner.keys("demo", true).await.unwrap().len(), 2);
    let members = bench.owner.members("demo").await.unwrap();
    assert_eq!((members.len(), members[0].role), (1, Role::Owner));
}

#[tokio::test]
async fn administration_errors_name_missing_duplicate_and_refused_items() {
    let bench = Bench::new().await;
    bench.tenant("alice", "demo").await;
    let user = NewUser { id: UserId(SystemEntropy.id()), name: "alice".into(), email: None };
    let exists = bench.owner.create_user(&user).await.unwrap_err();
    assert!(matches!(exists, AdminError::Exists { kind: "user", ref name } if name == "alice"), "{exists:?}");
    let project =
        |slug: &str| NewProject { id: ProjectId(SystemEntropy.id()), slug: slug.into(), name: slug.into() };
    let missing = bench.owner.create_project(&project("new"), "nobody").await.unwrap_err();
    assert!(
        matches!(missing, AdminError::NotFound { kind: "user", ref name } if name == "nobody"),
        "{missing:?}"
    );
    let taken = bench.owner.create_project(&project("demo"), "alice").await.unwrap_err();
    assert!(matches!(taken, AdminError::Exists { kind: "project", .. }), "{taken:?}");
    let refused = bench.owner.create_project(&project("No Slug"), "alice").await.unwrap_err();
    assert!(matches!(refused, AdminError::Refused(_)), "{refused:?}");
    let (_, key) = new_key();
    let stranger = bench.owner.create_key("nowhere", "alice", &key).await.unwrap_err();
    assert!(matches!(stranger, AdminError::NotFound { kind: "project", .. }), "{stranger:?}");
    let unknown = bench.owner.revoke_key(KeyId(SystemEntropy.id()), Timestamp::UNIX_EPOCH).await.unwrap_err();
    assert!(matches!(unknown, AdminError::NotFound { kind: "key", .. }), "{unknown:?}");
    let last = bench.owner.remove_member("demo", "alice").await.unwrap_err();
    assert!(matches!(last, AdminError::Refused(ref why) if why.contains("last owner")), "{last:?}");
    let lowered = bench.owner.set_member("demo", "alice", Role::Viewer).await.unwrap_err();
    assert!(matches!(lowered, AdminError::Refused(_)), "{lowered:?}");
    let names: HashSet<String> =
        bench.owner.users().await.unwrap().into_iter().map(|user| user.name).collect();
    assert_eq!(names, HashSet::from(["alice".to_owned()]));
    assert_eq!(bench.owner.projects().await.unwrap().len(), 1);
}

#[tokio::test]
async fn revoked_and_expired_keys_are_listed_on_request() {
    let bench = Bench::new().await;
    bench.tenant("alice", "demo").await;
    let (_, key) = new_key();
    let expired = NewKey { expires_at: Some(key.created_at + 1.hour()), ..key };
    bench.owner.create_key("demo", "alice", &expired).await.unwrap();
    let count = async |all| bench.owner.keys("demo", all).await.unwrap().len();
    // The system's clock is later than the hour in which this key was valid.
    let past = bench.test.psql(
        "UPDATE api_keys SET expires_at = now() - interval '1 hour' WHERE expires_at IS NOT NULL RETURNING 1",
    );
    assert_eq!(past, "1");
    assert_eq!((count(false).await, count(true).await), (1, 2));
}
