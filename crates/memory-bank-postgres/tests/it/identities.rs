//! Users of outside issuers: found by issuer and subject alone, created by a mapping, and changed by nothing else.

use memory_bank_core::caller::{Caller, Role};
use memory_bank_core::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use memory_bank_core::identity::{
    AdminError, Administration, IdentityAdministration, KeyHash, Mapped, MappedProject, MappingSource,
    OAuthStore, OutsideRefusal, OutsideSignIn, OutsideUser, OutsideUsers,
};

use crate::support::Bench;

const ISSUER: &str = "https://login.example.com";

fn user(subject: &str, projects: &[(&str, Role)]) -> OutsideUser {
    let projects =
        projects.iter().map(|(slug, role)| MappedProject { slug: (*slug).to_owned(), role: *role });
    OutsideUser {
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
        name: format!("{subject} (login.example.com)"),
        email: Some(format!("{subject}@example.com")),
        mapped: Some(Mapped { source: MappingSource::SignIn, projects: projects.collect() }),
    }
}

struct Login {
    cookie: KeyHash,
    outcome: OutsideSignIn,
}

async fn sign_in(bench: &Bench, user: &OutsideUser) -> Login {
    let cookie = KeyHash::of(SystemEntropy.id().as_bytes());
    let until = SystemClock.now().checked_add(jiff::SignedDuration::from_mins(15)).unwrap();
    let outcome = bench.database.sign_in_outside(user, &cookie, until).await.unwrap();
    Login { cookie, outcome }
}

/// The projects that a user opens after this sign-in.
async fn opens(bench: &Bench, user: &OutsideUser) -> Vec<(String, Role)> {
    let login = sign_in(bench, user).await;
    assert!(matches!(login.outcome, OutsideSignIn::SignedIn { .. }), "{:?}", login.outcome);
    let signed = bench.database.signed_in(&login.cookie).await.unwrap().unwrap();
    signed.projects.into_iter().map(|of| (of.slug, of.role)).collect()
}

async fn refused(bench: &Bench, user: &OutsideUser) -> OutsideRefusal {
    let login = sign_in(bench, user).await;
    assert_eq!(bench.database.signed_in(&login.cookie).await.unwrap(), None);
    match login.outcome {
        OutsideSignIn::Refused(why) => why,
        other => panic!("{other:?}"),
    }
}

/// Two projects of an operator's users, and a trusted issuer.
async fn bench() -> (Bench, Caller) {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "shop").await;
    bench.tenant("alice", "docs").await;
    bench.owner.trust_issuer(ISSUER, true).await.unwrap();
    (bench, alice)
}

fn count(bench: &Bench, table: &str) -> String {
    bench.test.psql(&format!("SELECT count(*) FROM {table}"))
}

#[tokio::test]
async fn a_user_is_created_with_what_the_mapping_gives_and_found_again() {
    let (bench, _) = bench().await;
    let bob = user("bob", &[("shop", Role::Editor), ("missing", Role::Owner)]);
    let first = sign_in(&bench, &bob).await;
    let OutsideSignIn::SignedIn { user_name, is_new, changed } = first.outcome else { panic!() };
    assert_eq!((user_name.as_str(), is_new, changed.len()), ("bob (login.example.com)", true, 0));
    assert_eq!(opens(&bench, &bob).await, [("shop".to_owned(), Role::Editor)]);
    assert_eq!(count(&bench, "users"), "2");
    assert_eq!(
        bench.test.psql("SELECT count(*) FROM users WHERE email IS NOT NULL"),
        "0",
        "no address is taken"
    );
    let actions = "SELECT string_agg(DISTINCT action, ' ' ORDER BY action) FROM app.audit_log WHERE user_id = \
        (SELECT user_id FROM app.identities)";
    assert_eq!(bench.test.psql(actions), "identity.linked identity.mapped member.added user.created");
}

#[tokio::test]
async fn nobody_is_created_for_a_stranger_or_without_a_mapping() {
    let (bench, _) = bench().await;
    assert_eq!(refused(&bench, &user("eve", &[])).await, OutsideRefusal::Unknown);
    assert_eq!(refused(&bench, &user("eve", &[("missing", Role::Owner)])).await, OutsideRefusal::Unknown);
    let unmapped = OutsideUser { mapped: None, ..user("eve", &[]) };
    assert_eq!(refused(&bench, &unmapped).await, OutsideRefusal::Unknown);
    assert_eq!((count(&bench, "users").as_str(), count(&bench, "app.identities").as_str()), ("1", "0"));
}

#[tokio::test]
async fn an_issuer_that_no_operator_trusts_signs_nobody_in() {
    let (bench, _) = bench().await;
    let other = OutsideUser {
        issuer: "https://login.example.com/".to_owned(),
        ..user("bob", &[("shop", Role::Owner)])
    };
    assert_eq!(refused(&bench, &other).await, OutsideRefusal::Untrusted);
    let bob = user("bob", &[("shop", Role::Editor)]);
    opens(&bench, &bob).await;
    bench.owner.trust_issuer(ISSUER, false).await.unwrap();
    assert_eq!(refused(&bench, &bob).await, OutsideRefusal::Untrusted);
    assert!(matches!(bench.owner.trust_issuer(ISSUER, false).await, Err(AdminError::NotFound { .. })));
    assert!(bench.database.trust_issuer(ISSUER, true).await.is_err(), "the server trusts an issuer");
    assert!(
        bench.database.link_identity("alice", ISSUER, "eve").await.is_err(),
        "the server links an identity"
    );
}

#[tokio::test]
async fn nobody_becomes_another_user_by_a_name_or_an_address() {
    let (bench, _) = bench().await;
    // Of an earlier version: now no operator can give such a name. Another letter case looks the same.
    let name = "Bob (login.example.com)";
    bench.test.psql(&format!("INSERT INTO users (name, email) VALUES ('{name}', 'bob@example.com')"));
    bench.owner.set_member("docs", name, Role::Owner).await.unwrap();
    let bob = user("bob", &[("shop", Role::Viewer)]);
    assert_eq!(opens(&bench, &bob).await, [("shop".to_owned(), Role::Viewer)]);
    // The same address and subject at another issuer is another user.
    bench.owner.trust_issuer("https://other.example", true).await.unwrap();
    let other =
        OutsideUser { issuer: "https://other.example".to_owned(), ..user("bob", &[("docs", Role::Viewer)]) };
    assert_eq!(opens(&bench, &other).await, [("docs".to_owned(), Role::Viewer)]);
    assert_eq!(opens(&bench, &bob).await, [("shop".to_owned(), Role::Viewer)]);
    assert_eq!(count(&bench, "users"), "4");
    // A name with letters that look like others gets an id, too.
    let mixed = OutsideUser {
        name: "b\u{43e}b (login.example.com)".to_owned(),
        ..user("mixed", &[("docs", Role::Viewer)])
    };
    opens(&bench, &mixed).await;
    let with_id = "SELECT count(*) FROM users WHERE name ~ ' [(].*[)] [0-9a-f-]{36}$'";
    assert_eq!(bench.test.psql(with_id), "3");
}

#[tokio::test]
async fn a_mapping_takes_back_what_it_gave_with_keys_and_grants() {
    let (bench, _) = bench().await;
    let at = |projects: &[(&str, Role)]| user("bob", projects);
    assert_eq!(opens(&bench, &at(&[("shop", Role::Owner), ("docs", Role::Editor)])).await.len(), 2);
    let (plain, key) = crate::support::new_key();
    bench.owner.create_key("shop", "bob (login.example.com)", &key).await.unwrap();
    let demoted = sign_in(&bench, &at(&[("shop", Role::Viewer)])).await;
    let OutsideSignIn::SignedIn { changed, .. } = demoted.outcome else { panic!() };
    assert_eq!(changed.iter().flat_map(|void| &void.hashes).collect::<Vec<_>>(), [&plain.hash()]);
    assert_eq!(opens(&bench, &at(&[("shop", Role::Viewer)])).await, [("shop".to_owned(), Role::Viewer)]);
    let gone = sign_in(&bench, &at(&[])).await;
    let OutsideSignIn::SignedIn { changed, .. } = gone.outcome else { panic!() };
    assert_eq!(changed.len(), 1);
    assert_eq!(bench.database.signed_in(&gone.cookie).await.unwrap().unwrap().projects, []);
    assert_eq!(bench.test.psql("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL"), "2", "alice's");
    // Back in the group, the user is back in the project, but the key is not.
    assert_eq!(opens(&bench, &at(&[("shop", Role::Viewer)])).await, [("shop".to_owned(), Role::Viewer)]);
    assert_eq!(bench.test.psql("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL"), "2");
}

#[tokio::test]
async fn what_an_operator_did_to_a_membership_stays() {
    let (bench, _) = bench().await;
    let name = "bob (login.example.com)";
    let mapped = user("bob", &[("shop", Role::Editor)]);
    opens(&bench, &mapped).await;
    // Demoted, and added, by hand.
    bench.owner.set_member("shop", name, Role::Viewer).await.unwrap();
    bench.owner.set_member("docs", name, Role::Editor).await.unwrap();
    let by_hand = [("docs".to_owned(), Role::Editor), ("shop".to_owned(), Role::Viewer)];
    assert_eq!(opens(&bench, &mapped).await, by_hand);
    assert_eq!(opens(&bench, &user("bob", &[("docs", Role::Owner)])).await, by_hand);
    assert_eq!(opens(&bench, &user("bob", &[])).await, by_hand);
    // Removed by hand.
    bench.owner.remove_member("shop", name).await.unwrap();
    bench.owner.remove_member("docs", name).await.unwrap();
    assert_eq!(opens(&bench, &user("bob", &[("shop", Role::Editor), ("docs", Role::Editor)])).await, []);
    assert_eq!(opens(&bench, &user("bob", &[])).await, []);
    assert_eq!(opens(&bench, &mapped).await, [], "not put back by leaving and joining the group");
    bench.owner.set_member("shop", name, Role::Viewer).await.unwrap();
    assert_eq!(opens(&bench, &mapped).await, [("shop".to_owned(), Role::Viewer)]);
}

#[tokio::test]
async fn one_mapping_does_not_undo_the_other() {
    let (bench, _) = bench().await;
    opens(&bench, &user("bob", &[("shop", Role::Editor)])).await;
    let token = |projects: &[(&str, Role)]| {
        let mut of_token = user("bob", projects);
        of_token.mapped.as_mut().unwrap().source = MappingSource::Token;
        of_token
    };
    assert_eq!(opens(&bench, &token(&[])).await, [("shop".to_owned(), Role::Editor)]);
    assert_eq!(opens(&bench, &token(&[("shop", Role::Owner)])).await, [("shop".to_owned(), Role::Editor)]);
    assert_eq!(opens(&bench, &user("bob", &[])).await, []);
}

#[tokio::test]
async fn an_owner_by_mapping_is_not_the_last_owner_of_a_project() {
    let (bench, _) = bench().await;
    let bob = user("bob", &[("shop", Role::Owner)]);
    opens(&bench, &bob).await;
    for refused in [
        bench.owner.remove_member("shop", "alice").await.map(|_| ()),
        bench.owner.set_member("shop", "alice", Role::Editor).await.map(|_| ()),
        bench.owner.remove_user("alice").await.map(|_| ()),
    ] {
        assert!(matches!(refused, Err(AdminError::Refused(_))), "{refused:?}");
    }
    // Named by an operator, the user stays the owner.
    bench.owner.set_member("shop", "bob (login.example.com)", Role::Editor).await.unwrap();
    bench.owner.set_member("shop", "bob (login.example.com)", Role::Owner).await.unwrap();
    bench.owner.remove_member("shop", "alice").await.unwrap();
    assert_eq!(opens(&bench, &user("bob", &[])).await, [("shop".to_owned(), Role::Owner)]);
}

#[tokio::test]
async fn a_removed_identity_or_user_is_not_made_again() {
    let (bench, _) = bench().await;
    let (bob, eve) = (user("bob", &[("shop", Role::Editor)]), user("eve", &[("shop", Role::Editor)]));
    let login = sign_in(&bench, &bob).await;
    opens(&bench, &eve).await;
    let known = bench.owner.identities(Some("bob (login.example.com)")).await.unwrap();
    assert_eq!(
        (known.len(), known[0].subject.as_str(), known[0].email.as_deref()),
        (1, "bob", Some("bob@example.com"))
    );
    bench.owner.unlink_identity(known[0].id).await.unwrap();
    assert_eq!(bench.database.signed_in(&login.cookie).await.unwrap(), None, "the sign-in has ended");
    assert_eq!(refused(&bench, &bob).await, OutsideRefusal::Barred);
    bench.owner.remove_user("eve (login.example.com)").await.unwrap();
    assert_eq!(refused(&bench, &eve).await, OutsideRefusal::Barred);
    assert_eq!(count(&bench, "app.identities"), "0");
    bench.owner.allow_identity(ISSUER, "eve").await.unwrap();
    assert_eq!(opens(&bench, &eve).await, [("shop".to_owned(), Role::Editor)]);
    bench.owner.link_identity("alice", ISSUER, "bob").await.unwrap();
    assert_eq!(
        opens(&bench, &bob).await,
        [("docs".to_owned(), Role::Owner), ("shop".to_owned(), Role::Owner)]
    );
    assert!(matches!(
        bench.owner.link_identity("alice", ISSUER, "bob").await,
        Err(AdminError::Exists { kind: "identity", .. })
    ));
}

#[tokio::test]
async fn two_first_sign_ins_at_once_make_one_user() {
    let (bench, _) = bench().await;
    let bob = user("bob", &[("shop", Role::Editor)]);
    let logins = tokio::join!(sign_in(&bench, &bob), sign_in(&bench, &bob), sign_in(&bench, &bob));
    let is_new = |login: Login| matches!(login.outcome, OutsideSignIn::SignedIn { is_new: true, .. });
    assert_eq!(
        [logins.0, logins.1, logins.2].into_iter().filter_map(|login| is_new(login).then_some(())).count(),
        1
    );
    assert_eq!(count(&bench, "users"), "2");
}

#[tokio::test]
async fn a_project_that_is_removed_takes_its_mapped_members_with_it() {
    let (bench, _) = bench().await;
    opens(&bench, &user("bob", &[("shop", Role::Editor)])).await;
    bench.owner.remove_project("shop").await.unwrap();
    assert_eq!(count(&bench, "app.mapped_members"), "0");
    assert_eq!(opens(&bench, &user("bob", &[("shop", Role::Editor)])).await, []);
}
