//! What owners change of their own project, also at the same moment as others.

use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use memory_bank_core::caller::{Caller, Role, UserId};
use memory_bank_core::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{
    AdminError, Administration, KeyStore, NewKey, NewUser, ProjectAdministration,
};
use memory_bank_test_postgres::MIGRATOR;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

use crate::support::{Bench, new_key};

fn user(name: &str) -> NewUser {
    NewUser { id: UserId(SystemEntropy.id()), name: name.to_owned(), email: None }
}

/// A transaction that holds the members of the project.
async fn holder(bench: &Bench, sql: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(&bench.test.url_of("postgres"), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&format!("BEGIN; {sql}")).await.unwrap();
    client
}

/// Waits until a number of statements wait for a lock; a task that ends instead does not wait for it.
async fn until_waiting<T>(holder: &Client, number: i64, task: &JoinHandle<T>) {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while holder.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) < number && !task.is_finished() {
        holder.batch_execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

const LOCK: &str = "SELECT FROM projects WHERE slug = 'demo' FOR NO KEY UPDATE";

fn swap(promoted: &Caller, demoted: &Caller) -> String {
    format!(
        "UPDATE memberships SET role = 'owner' WHERE user_id = '{}'; UPDATE memberships SET role = 'editor' WHERE user_id = '{}'; \
         COMMIT",
        promoted.user.0, demoted.user.0
    )
}

#[tokio::test]
async fn a_member_who_becomes_the_only_owner_meanwhile_is_neither_removed_nor_demoted() {
    for by_owner in [false, true] {
        for removes in [false, true] {
            let bench = Bench::new().await;
            let alice = bench.tenant("alice", "demo").await;
            let eve = bench.member("eve", "demo", Role::Owner).await;
            let bob = bench.member("bob", "demo", Role::Editor).await;
            let lock = holder(&bench, LOCK).await;
            let (database, owner) = (bench.database.clone(), bench.owner.clone());
            let change = tokio::spawn(async move {
                match (by_owner, removes) {
                    (false, false) => owner.set_member("demo", "bob", Role::Viewer).await.map(drop),
                    (false, true) => owner.remove_member("demo", "bob").await.map(drop),
                    (true, false) => database.change_member(&eve, "bob", Role::Viewer).await.map(drop),
                    (true, true) => database.end_membership(&eve, "bob").await.map(drop),
                }
            });
            until_waiting(&lock, 1, &change).await;
            bench.test.psql("UPDATE memberships m SET role = 'editor' FROM users u WHERE u.id = m.user_id AND u.name = 'eve'");
            lock.batch_execute(&swap(&bob, &alice)).await.unwrap();
            let refused = change.await.unwrap();
            let expected = if by_owner {
                // The caller lost its role meanwhile.
                matches!(refused, Err(AdminError::Store(StoreError::Denied)))
            } else {
                matches!(&refused, Err(AdminError::Refused(why)) if why.contains("last owner"))
            };
            assert!(expected, "{by_owner} {removes}: {refused:?}");
            let owners = "SELECT count(*) FROM memberships WHERE role = 'owner'";
            assert_eq!(bench.test.psql(owners), "1");
        }
    }
}

#[tokio::test]
async fn a_member_who_is_removed_meanwhile_does_not_come_back() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    bench.member("bob", "demo", Role::Viewer).await;
    let bob = "user_id = (SELECT id FROM users WHERE name = 'bob')";
    // Also one that does not wait for changes of members, as a mapping.
    for sql in [LOCK.to_owned(), format!("SELECT FROM memberships WHERE {bob} FOR UPDATE")] {
        bench.owner.set_member("demo", "bob", Role::Viewer).await.unwrap();
        let lock = holder(&bench, &sql).await;
        let (database, alice) = (bench.database.clone(), alice.clone());
        let change = tokio::spawn(async move { database.change_member(&alice, "bob", Role::Editor).await });
        until_waiting(&lock, 1, &change).await;
        lock.batch_execute(&format!("DELETE FROM memberships WHERE {bob}; COMMIT")).await.unwrap();
        let gone = change.await.unwrap();
        assert!(matches!(gone, Err(AdminError::NotFound { kind: "member", .. })), "{gone:?}");
        assert_eq!(bench.test.psql("SELECT count(*) FROM memberships"), "1");
    }
}

#[tokio::test]
async fn an_owner_and_an_operator_who_invite_at_once_do_not_block_each_other() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let names =
        holder(&bench, "SELECT pg_advisory_xact_lock(hashtextextended('memory-bank-mcp bootstrap', 0))")
            .await;
    let owner = bench.owner.clone();
    let first =
        tokio::spawn(
            async move { owner.invite_member("demo", &user("bob"), Role::Editor, &new_key().1).await },
        );
    until_waiting(&names, 1, &first).await;
    let database = bench.database.clone();
    let second =
        tokio::spawn(async move { database.invite(&alice, &user("eve"), Role::Editor, &new_key().1).await });
    until_waiting(&names, 2, &second).await;
    names.batch_execute("COMMIT").await.unwrap();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_deadlock_and_a_failed_serialization_are_reported_as_busy() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    bench.member("bob", "demo", Role::Viewer).await;
    for code in ["40P01", "40001"] {
        bench.test.psql_as(
            "postgres",
            &format!(
                "CREATE OR REPLACE FUNCTION public.fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$; \
                 CREATE OR REPLACE TRIGGER fails BEFORE UPDATE ON memberships EXECUTE FUNCTION public.fails()"
            ),
        );
        let busy = bench.database.change_member(&alice, "bob", Role::Editor).await;
        assert!(matches!(busy, Err(AdminError::Store(StoreError::Busy))), "{code}: {busy:?}");
    }
}

#[tokio::test]
async fn a_name_that_looks_like_another_one_is_refused_and_made_unique_for_a_provider() {
    let bench = Bench::new().await;
    let alice = bench.tenant("Alice Groß", "demo").await;
    for name in [
        "alice gross",
        "ALICE GROSS",
        "Alice  Groß",
        "\u{ff21}lice Groß",
        "Alice\u{a0}Groß",
        "ali\u{200b}ce",
        "\u{202e}ecila",
        "a\u{2028}b",
        "\u{430}lice",
        "Al\u{3b9}ce",
        "a\u{1b}b",
        "una (login.example.com)",
        "una (login.example.com) 0191e2a4-0000-7000-8000-000000000000",
    ] {
        for made in [
            bench.owner.create_user(&user(name)).await.map(drop),
            bench.owner.invite_member("demo", &user(name), Role::Viewer, &new_key().1).await.map(drop),
            bench.database.invite(&alice, &user(name), Role::Viewer, &new_key().1).await.map(drop),
        ] {
            assert!(matches!(made, Err(AdminError::Refused(_))), "{name:?}: {made:?}");
        }
    }
    for name in ["Алиса", "Νίκος", "bob (of the north)", "alicia"] {
        bench.owner.create_user(&user(name)).await.unwrap();
    }
    assert_eq!(bench.test.psql("SELECT count(*) FROM users"), "5");
}

#[tokio::test]
async fn a_key_ends_no_later_than_the_key_that_made_it() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    // A whole second, so that seconds of the database, which rounds, compare.
    let soon = Timestamp::from_second((SystemClock.now() + 24.hours()).as_second()).unwrap();
    let (plain, key) = new_key();
    KeyStore::create(&bench.database, &alice, &NewKey { expires_at: Some(soon), ..key }).await.unwrap();
    let expiring = bench.authenticated(&plain).await;
    let second = |at: Option<Timestamp>| at.map(|at| at.as_second());
    let stored = |key: &NewKey| {
        bench.test.psql(&format!(
            "SELECT extract(epoch FROM expires_at)::bigint FROM api_keys WHERE id = '{}'",
            key.id.0
        ))
    };
    let late = Some(soon + 24.hours());
    for (wished, expected) in
        [(None, Some(soon)), (late, Some(soon)), (Some(soon - 1.hour()), Some(soon - 1.hour()))]
    {
        let key = NewKey { expires_at: wished, ..new_key().1 };
        let made = KeyStore::create(&bench.database, &expiring, &key).await.unwrap();
        assert_eq!(second(made.expires_at), second(expected));
        assert_eq!(Some(stored(&key)), second(expected).map(|at| at.to_string()));
    }
    let key = NewKey { expires_at: late, ..new_key().1 };
    let (_, invited) = bench.database.invite(&expiring, &user("bob"), Role::Viewer, &key).await.unwrap();
    assert_eq!(second(invited.expires_at), second(Some(soon)));
    assert_eq!(stored(&key), soon.as_second().to_string());
    // A rotation of another key, and of itself, which renews it.
    let (_, other) = new_key();
    KeyStore::create(&bench.database, &alice, &other).await.unwrap();
    let new = NewKey { expires_at: late, ..new_key().1 };
    let (rotated, _) = bench.database.rotate(&expiring, other.id, &new).await.unwrap().unwrap();
    assert_eq!(second(rotated.expires_at), second(Some(soon)));
    assert_eq!(stored(&new), soon.as_second().to_string());
    let new = NewKey { expires_at: late, ..new_key().1 };
    let (renewed, _) = bench.database.rotate(&expiring, expiring.key.unwrap(), &new).await.unwrap().unwrap();
    assert_eq!(second(renewed.expires_at), second(late));
    // Without an expiry there is no bound, and an operator has none.
    let free = NewKey { expires_at: late, ..new_key().1 };
    assert_eq!(KeyStore::create(&bench.database, &alice, &free).await.unwrap().expires_at, late);
    assert_eq!(bench.owner.create_key("demo", "alice", &new_key().1).await.unwrap().expires_at, None);
}

#[tokio::test]
async fn a_key_that_replaces_an_invitation_is_for_the_own_project_and_a_member_who_has_used_nothing() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "demo").await;
    let eve = bench.tenant("eve", "other").await;
    let editor = bench.member("edgar", "demo", Role::Editor).await;
    let replace = async |caller: &Caller, name: &str| {
        bench
            .database
            .replace_invitation(caller, name, &new_key().1)
            .await
            .map(|(made, void)| (made.id, void))
    };
    let first = new_key().1;
    bench.database.invite(&alice, &user("bob"), Role::Viewer, &first).await.unwrap();
    for caller in [&editor, &Caller { role: Role::Owner, ..editor.clone() }, &eve] {
        let refused = replace(caller, "bob").await;
        let is_right = match &refused {
            Err(AdminError::Store(StoreError::Denied)) => caller.user == editor.user,
            Err(AdminError::NotFound { kind: "member", .. }) => caller.user == eve.user,
            _ => false,
        };
        assert!(is_right, "{}: {refused:?}", caller.user_name);
    }
    let (made, void) = replace(&alice, "bob").await.unwrap();
    assert_eq!(void.iter().map(|key| key.record.id).collect::<Vec<_>>(), [first.id]);
    let active = "SELECT string_agg(k.id::text, ' ') FROM api_keys k JOIN users u ON u.id = k.user_id \
                  WHERE u.name = 'bob' AND k.revoked_at IS NULL";
    assert_eq!(bench.test.psql(active), made.0.to_string());
    // Of the caller, of one who has used a key, and of one who belongs to another project, too.
    bench.test.psql("UPDATE api_keys SET last_used_at = now() WHERE revoked_at IS NULL AND user_id = (SELECT id FROM users WHERE name = 'bob')");
    bench.owner.set_member("demo", "eve", Role::Viewer).await.unwrap();
    // Of one who has signed in, and of one whom an operator made.
    for name in ["carol", "dora"] {
        bench.database.invite(&alice, &user(name), Role::Viewer, &new_key().1).await.unwrap();
    }
    bench.test.psql("SELECT app.note_sign_in(id) FROM users WHERE name = 'carol'");
    replace(&alice, "dora").await.unwrap();
    // Of one whom another owner invited, of one to whom an operator gave a key, and of one who was removed and whom an operator
    // made a member again.
    let olga = bench.member("olga", "demo", Role::Owner).await;
    for name in ["fay", "gina"] {
        bench.database.invite(&alice, &user(name), Role::Viewer, &new_key().1).await.unwrap();
    }
    let refused = replace(&olga, "fay").await;
    assert!(matches!(&refused, Err(AdminError::Refused(_))), "{refused:?}");
    bench.owner.create_key("demo", "fay", &new_key().1).await.unwrap();
    bench.database.end_membership(&alice, "gina").await.unwrap();
    bench.owner.set_member("demo", "gina", Role::Viewer).await.unwrap();
    let listed = bench.database.members_of(&alice, None, 50).await.unwrap();
    let open: Vec<_> = listed.iter().filter(|one| one.is_own_open_invitation).collect();
    assert_eq!(open.iter().map(|one| one.member.user.name.as_str()).collect::<Vec<_>>(), ["dora"]);
    assert!(
        bench
            .database
            .members_of(&olga, None, 50)
            .await
            .unwrap()
            .iter()
            .all(|one| !one.is_own_open_invitation)
    );
    for name in ["alice", "bob", "eve", "carol", "edgar", "fay", "gina"] {
        let refused = replace(&alice, name).await;
        assert!(
            matches!(&refused, Err(AdminError::Refused(why)) if why.contains("used nothing yet")),
            "{refused:?}"
        );
    }
    assert_eq!(bench.test.psql(active), made.0.to_string());
}

#[tokio::test]
async fn a_removal_that_the_database_ends_by_a_deadlock_is_done_again() {
    let bench = Bench::new().await;
    bench.tenant("alice", "demo").await;
    bench.member("bob", "demo", Role::Editor).await;
    // The removal looks for a deadlock first, and is the one that ends; not so soon that the other could come after it.
    let database = bench.test.name();
    bench.test.psql(&format!("ALTER DATABASE {database} SET deadlock_timeout = '3s'"));
    let wait = "SET LOCAL deadlock_timeout = '1min'; SELECT FROM users WHERE name = 'bob' FOR KEY SHARE";
    let other = holder(&bench, wait).await;
    let owner = bench.open(&bench.test.url_of(MIGRATOR), 1);
    let removal = tokio::spawn(async move { owner.remove_user("bob").await });
    let watch = holder(&bench, "SELECT 1").await;
    until_waiting(&watch, 1, &removal).await;
    // The removal waits for the user, and this for a key that the removal has changed.
    let use_of_key =
        "UPDATE api_keys SET last_used_at = now() WHERE user_id = (SELECT id FROM users WHERE name = 'bob')";
    let used = tokio::spawn(async move { other.batch_execute(&format!("{use_of_key}; COMMIT")).await });
    until_waiting(&watch, 2, &used).await;
    assert!(!used.is_finished() && !removal.is_finished(), "each waits for the other");
    used.await.unwrap().unwrap();
    removal.await.unwrap().unwrap();
}
