//! Sessions and events on PostgreSQL.

use std::collections::BTreeSet;

use jiff::{Timestamp, ToSpan};
use memory_bank_core::caller::{Caller, Right, Rights, Role};
use memory_bank_core::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::Administration;
use memory_bank_core::store::{
    Event, EventId, EventStore, SessionError, SessionId, SessionLimits, SessionRecord, SessionStore,
    SessionUse,
};
use serde_json::json;

use crate::support::Bench;

fn now() -> Timestamp {
    Timestamp::from_millisecond(SystemClock.now().as_millisecond()).unwrap()
}

fn session(caller: &Caller) -> SessionRecord {
    let opened_at = now();
    SessionRecord {
        id: SessionId(SystemEntropy.id()),
        user: caller.user,
        project: caller.project,
        protocol_version: "2025-11-25".into(),
        client: json!({"name": "a client", "version": "1"}),
        metadata: json!({"capabilities": {"roots": {}}}),
        subscriptions: BTreeSet::new(),
        created_at: opened_at,
        last_seen: opened_at,
        expires_at: opened_at + 24.hours(),
    }
}

/// The number of sessions in a project, with any key.
fn limits(per_project: usize) -> SessionLimits {
    SessionLimits { per_project, per_key: 1000, idle_before: now() - 1.hour() }
}

fn event(caller: &Caller, session: &SessionRecord, place: u32, message: &str) -> Event {
    Event {
        id: EventId { stream: session.id.0, place },
        session: session.id,
        user: session.user,
        project: session.project,
        proof: caller.proof,
        needs: Rights::NONE,
        message: message.to_owned(),
        last: place == 3,
        at: now(),
    }
}

#[tokio::test]
async fn only_its_owner_finds_a_session_on_any_replica() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let colleague = bench.member("carol", "one", Role::Owner).await;
    let bob = bench.tenant("bob", "two").await;
    let opened = session(&alice);
    bench.database.open(&alice, &opened, limits(10)).await.unwrap();
    let other = bench.another();
    assert_eq!(SessionStore::find(&other, &alice, opened.id, now()).await.unwrap(), Some(opened.clone()));
    let forged = Caller { project: alice.project, ..bob.clone() };
    assert!(matches!(
        SessionStore::find(&other, &forged, opened.id, now()).await,
        Err(StoreError::KeyInvalid)
    ));
    assert!(matches!(other.end(&forged, opened.id).await, Err(StoreError::KeyInvalid)));
    assert!(matches!(
        other.subscribe(&forged, opened.id, "memory-bank://x", true).await,
        Err(StoreError::KeyInvalid)
    ));
    for stranger in [&colleague, &bob] {
        assert_eq!(SessionStore::find(&other, stranger, opened.id, now()).await.unwrap(), None);
        assert!(!other.end(stranger, opened.id).await.unwrap());
        assert_eq!(other.subscribe(stranger, opened.id, "memory-bank://x", true).await.unwrap(), None);
    }
    assert_eq!(SessionStore::find(&other, &alice, opened.id, now() + 25.hours()).await.unwrap(), None);
    assert!(other.end(&alice, opened.id).await.unwrap());
    assert_eq!(SessionStore::find(&bench.database, &alice, opened.id, now()).await.unwrap(), None);
}

#[tokio::test]
async fn client_info_is_stored_also_with_a_null_character() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let odd = SessionRecord { client: json!({"na\0me": "a\0b"}), ..session(&alice) };
    bench.database.open(&alice, &odd, limits(10)).await.unwrap();
    let found = SessionStore::find(&bench.database, &alice, odd.id, now()).await.unwrap().unwrap();
    assert_eq!(found.client, json!({"na\u{fffd}me": "a\u{fffd}b"}));
}

#[tokio::test]
async fn the_number_of_sessions_of_a_project_is_limited() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    for _ in 0..2 {
        bench.database.open(&alice, &session(&alice), limits(2)).await.unwrap();
    }
    let refused = bench.database.open(&alice, &session(&alice), limits(2)).await;
    assert!(matches!(refused, Err(SessionError::TooMany(2))), "{refused:?}");
}

#[tokio::test]
async fn a_removed_member_gets_the_reason_and_not_a_limit_error() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let bob = bench.member("bob", "one", Role::Viewer).await;
    bench.database.open(&alice, &session(&alice), limits(1)).await.unwrap();
    let full = bench.database.open(&bob, &session(&bob), limits(1)).await;
    assert!(matches!(full, Err(SessionError::TooMany(1))), "{full:?}");
    // Only the membership is deleted; the commands also revoke the keys.
    bench.test.psql(&format!("DELETE FROM memberships WHERE user_id = '{}'", bob.user.0));
    for most in [1, 10] {
        let refused = bench.database.open(&bob, &session(&bob), limits(most)).await;
        assert!(matches!(refused, Err(SessionError::Store(StoreError::Denied))), "{refused:?}");
    }
    bench.owner.revoke_key(bob.key.unwrap(), now()).await.unwrap();
    let refused = bench.database.open(&bob, &session(&bob), limits(10)).await;
    assert!(matches!(refused, Err(SessionError::Store(StoreError::KeyInvalid))), "{refused:?}");
}

#[tokio::test]
async fn subscriptions_are_stored_once_and_removed() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let opened = session(&alice);
    bench.database.open(&alice, &opened, limits(10)).await.unwrap();
    for _ in 0..2 {
        let stored = bench.database.subscribe(&alice, opened.id, "u", true).await.unwrap().unwrap();
        assert_eq!(stored.subscriptions, BTreeSet::from(["u".to_owned()]));
    }
    let stored = bench.database.subscribe(&alice, opened.id, "u", false).await.unwrap().unwrap();
    assert!(stored.subscriptions.is_empty());
}

#[tokio::test]
async fn the_last_use_is_recorded_and_never_moved_back() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let opened = session(&alice);
    bench.database.open(&alice, &opened, limits(10)).await.unwrap();
    let used = |at: Timestamp| SessionUse {
        session: opened.id,
        proof: alice.proof,
        key: alice.key,
        at,
        expires_at: at + 24.hours(),
    };
    let later = opened.last_seen + 1.hour();
    SessionStore::record_uses(&bench.database, &[used(later)]).await.unwrap();
    SessionStore::record_uses(&bench.database, &[used(opened.last_seen - 1.hour())]).await.unwrap();
    let found = SessionStore::find(&bench.database, &alice, opened.id, now()).await.unwrap().unwrap();
    assert_eq!((found.last_seen, found.expires_at), (later, later + 24.hours()));
}

#[tokio::test]
async fn events_are_replayed_in_order_only_to_their_owner() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let bob = bench.tenant("bob", "two").await;
    let (hers, his) = (session(&alice), session(&bob));
    bench.database.open(&alice, &hers, limits(10)).await.unwrap();
    bench.database.open(&bob, &his, limits(10)).await.unwrap();
    let nul = r#"{"jsonrpc":"2.0","id":1,"result":{"text":"a\u0000b"}}"#;
    let plain = r#"{"jsonrpc":"2.0","id":2,"result":{"text":"ä \\u0000"}}"#;
    let half = r#"{"result": {"text":"\ud800", "text":1e999999}, "jsonrpc":"2.0"}"#;
    let events = [
        event(&alice, &hers, 2, plain),
        event(&alice, &hers, 1, nul),
        event(&bob, &his, 1, "{}"),
        event(&alice, &hers, 3, half),
    ];
    bench.database.append(&events).await.unwrap();
    let start = EventId { stream: hers.id.0, place: 0 };
    let replayed = bench.another().after(&alice, hers.id, start, 10).await.unwrap();
    assert_eq!(replayed.iter().map(|event| event.id.place).collect::<Vec<_>>(), [1, 2, 3]);
    for (stored, sent) in replayed.iter().zip([nul, plain, half]) {
        assert_eq!(stored.message, sent, "as it was sent");
    }
    assert!(replayed[2].last && !replayed[0].last);
    let second = EventId { place: 1, ..start };
    assert_eq!(bench.database.after(&alice, hers.id, second, 1).await.unwrap().len(), 1);
    assert!(bench.database.after(&bob, hers.id, start, 10).await.unwrap().is_empty());
    let forged = Caller { project: alice.project, ..bob.clone() };
    assert!(matches!(bench.database.after(&forged, hers.id, start, 10).await, Err(StoreError::KeyInvalid)));
}

#[tokio::test]
async fn an_event_is_hidden_from_a_key_without_its_required_right() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let hers = session(&alice);
    bench.database.open(&alice, &hers, limits(10)).await.unwrap();
    let read = Rights::NONE.with(Right::Read);
    let events = [(1, Rights::NONE), (2, read), (3, read.with(Right::Write)), (4, Rights::ALL)]
        .map(|(place, needs)| Event { needs, ..event(&alice, &hers, place, "{}") });
    bench.database.append(&events).await.unwrap();
    let start = EventId { stream: hers.id.0, place: 0 };
    for (scopes, seen) in [
        (vec![], vec![1, 2, 3, 4]),
        (vec![Right::Read], vec![1, 2]),
        (vec![Right::Write], vec![1]),
        (vec![Right::Admin], vec![1]),
        (vec![Right::Write, Right::Admin], vec![1]),
        (vec![Right::Read, Right::Write], vec![1, 2, 3]),
    ] {
        let key = bench.with_scopes(&alice, scopes.clone()).await;
        // The database checks the key, independent of the caches of servers.
        for cached in [scopes.clone(), vec![]] {
            let caller = Caller { scopes: cached, ..key.clone() };
            let found = bench.database.after(&caller, hers.id, start, 10).await.unwrap();
            let places: Vec<u32> = found.iter().map(|event| event.id.place).collect();
            assert_eq!(places, seen, "{scopes:?}");
            assert!(found.iter().zip(&events).all(|(found, stored)| found.needs == stored.needs));
        }
    }
    // The same applies after the role with the right was revoked.
    bench.member("carol", "one", Role::Owner).await;
    bench.owner.set_member("one", "alice", Role::Viewer).await.unwrap();
    let found = bench.database.after(&alice, hers.id, start, 10).await.unwrap();
    assert_eq!(found.iter().map(|event| event.id.place).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn events_of_missing_or_foreign_sessions_are_skipped() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let bob = bench.tenant("bob", "two").await;
    let hers = session(&alice);
    bench.database.open(&alice, &hers, limits(10)).await.unwrap();
    let smuggled = Event { user: bob.user, project: bob.project, ..event(&alice, &hers, 1, "{}") };
    bench.database.append(&[smuggled, event(&alice, &session(&alice), 1, "{}")]).await.unwrap();
    assert_eq!(bench.test.psql("SELECT count(*) FROM mcp_events"), "0");
    // Events of one place differ if their times do.
    let repeated = event(&alice, &hers, 1, "{}");
    bench.database.append(&[repeated.clone(), repeated.clone()]).await.unwrap();
    assert_eq!(bench.test.psql("SELECT count(*) FROM mcp_events"), "1");
    // Others of its group are stored.
    let others = [event(&alice, &hers, 2, "{}"), repeated, event(&alice, &hers, 3, "{}")];
    bench.database.append(&others).await.unwrap();
    assert_eq!(
        bench.test.psql("SELECT string_agg(place::text, ' ' ORDER BY place) FROM mcp_events"),
        "1 2 3"
    );
    bench.database.end(&alice, hers.id).await.unwrap();
    assert_eq!(bench.test.psql("SELECT count(*) FROM mcp_events"), "0");
}

#[tokio::test]
async fn a_session_of_another_project_with_the_same_id_changes_nothing_for_events() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let bob = bench.tenant("bob", "two").await;
    let hers = session(&alice);
    let his = SessionRecord { id: hers.id, ..session(&bob) };
    for (caller, opened) in [(&alice, &hers), (&bob, &his)] {
        bench.database.open(caller, opened, limits(10)).await.unwrap();
    }
    bench.database.append(&[event(&alice, &hers, 1, "{}"), event(&bob, &his, 2, "{}")]).await.unwrap();
    let stored = "SELECT string_agg(place::text, ' ' ORDER BY place) FROM mcp_events";
    assert_eq!(bench.test.psql(stored), "1 2");
}

#[tokio::test]
async fn storing_an_event_reads_no_other_sessions_and_keys() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let hers = session(&alice);
    bench.database.open(&alice, &hers, limits(10)).await.unwrap();
    bench.test.psql(&format!(
        "INSERT INTO sessions (id, user_id, project_id) SELECT gen_random_uuid(), '{0}', '{1}' FROM generate_series(1, 5000); \
         INSERT INTO api_keys (user_id, project_id, key_hash, key_prefix) \
         SELECT '{0}', '{1}', sha256(i::text::bytea), 'mbmcp_live_x' FROM generate_series(1, 5000) i",
        alice.user.0, alice.project.0
    ));
    bench.test.psql("ANALYZE sessions");
    bench.test.psql("ANALYZE api_keys");
    let append = format!(
        "app.append_events(ARRAY['\\x{}'::bytea], ARRAY['{}'::uuid], ARRAY[gen_random_uuid()], ARRAY[1], ARRAY[true], \
         ARRAY['{}'::uuid], ARRAY['{}'::uuid], ARRAY['{{}}'], ARRAY[now()], ARRAY[0::smallint])",
        alice.proof.unwrap().to_hex(),
        hers.id.0,
        alice.user.0,
        alice.project.0
    );
    // The counts of the session itself, which are exact.
    let read = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables \
        WHERE relname IN ('sessions', 'api_keys')";
    let found = bench.test.psql(&format!("BEGIN; SELECT {append}; {read}; COMMIT"));
    let rows: u64 = found.lines().last().unwrap().parse().unwrap();
    assert!(rows <= 4, "{found}");
    assert_eq!(bench.test.psql("SELECT count(*) FROM mcp_events"), "1");
}

#[tokio::test]
async fn the_oldest_events_of_a_session_or_project_are_removed_without_temporary_files() {
    // Half a megabyte is kept in any case. A message of this length, which does not compress, is stored in the row.
    const KEPT: usize = 524_288;
    const STORED: usize = 1800;
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let carol = bench.member("carol", "one", Role::Editor).await;
    let bob = bench.tenant("bob", "two").await;
    let (first, second, hers, his) = (session(&alice), session(&alice), session(&carol), session(&bob));
    let message = || -> String {
        let ids = std::iter::repeat_with(|| SystemEntropy.id().simple().to_string());
        ids.take(STORED / 32 + 1).collect::<String>().chars().take(STORED).collect()
    };
    for (caller, opened, count) in
        [(&alice, &first, 3000), (&carol, &hers, 400), (&alice, &second, 400), (&bob, &his, 400)]
    {
        bench.database.open(caller, opened, limits(10)).await.unwrap();
        for from in (1..=count).step_by(200) {
            let group: Vec<Event> =
                (from..from + 200).map(|place| event(caller, opened, place, &message())).collect();
            bench.database.append(&group).await.unwrap();
        }
    }
    // By alice. To sort the messages themselves takes more than the memory of a sort.
    let trim = |session: Option<&SessionRecord>| -> usize {
        let session = session.map_or_else(|| "NULL".to_owned(), |session| format!("'{}'", session.id.0));
        let (proof, user, project) = (alice.proof.unwrap().to_hex(), alice.user.0, alice.project.0);
        let call = format!("SELECT app.trim_events('\\x{proof}', '{user}', '{project}', {session}, 0)");
        let found = bench.test.psql(&format!("SET temp_file_limit = 0; SET work_mem = '512kB'; {call}"));
        found.trim().parse().unwrap()
    };
    // The number of events and the newest one; there is no gap between them.
    let stored = |session: &SessionRecord| -> (usize, usize) {
        let found = bench.test.psql(&format!(
            "SELECT count(*), coalesce(max(place), 0), coalesce(max(place) - min(place) + 1, 0) FROM mcp_events \
             WHERE session_id = '{}'",
            session.id.0
        ));
        let numbers: Vec<usize> = found.trim().split('|').map(|number| number.parse().unwrap()).collect();
        assert_eq!(numbers[0], numbers[2], "a gap: {found}");
        (numbers[0], numbers[1])
    };
    // A message has a few bytes around it.
    let most = KEPT / (STORED + 200);
    let is_about_most = |count: usize| (most - 25..=most).contains(&count);

    assert_eq!((trim(Some(&his)), trim(Some(&hers))), (0, 0), "sessions of others");
    assert_eq!(
        [&first, &hers, &second, &his].map(stored),
        [(3000, 3000), (400, 400), (400, 400), (400, 400)]
    );
    let removed = trim(Some(&first));
    let (left, newest) = stored(&first);
    assert!(
        is_about_most(left) && newest == 3000 && removed == 3000 - left,
        "{removed}, {left} up to {newest}"
    );
    assert_eq!([&hers, &second, &his].map(stored), [(400, 400); 3]);
    assert_eq!(trim(Some(&first)), 0);
    // The newest of the project are of the second session.
    let removed = trim(None);
    let (kept, newest) = stored(&second);
    assert!(is_about_most(kept) && newest == 400, "{kept} up to {newest}");
    assert_eq!(removed, left + 400 + 400 - kept);
    assert_eq!([&first, &hers, &his].map(stored), [(0, 0), (0, 0), (400, 400)]);
}

#[tokio::test]
async fn old_sessions_and_events_are_removed_in_small_batches_by_one_replica_at_a_time() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let live = session(&alice);
    bench.database.open(&alice, &live, limits(100)).await.unwrap();
    for _ in 0..3 {
        let old =
            SessionRecord { expires_at: now() - 1.hour(), created_at: now() - 25.hours(), ..session(&alice) };
        bench.database.open(&alice, &old, limits(100)).await.unwrap();
    }
    let aged = |place| Event { at: now() - 25.hours(), ..event(&alice, &live, place, "{}") };
    bench.database.append(&[aged(1), aged(2), event(&alice, &live, 4, "{}")]).await.unwrap();
    let clean = async |database: &memory_bank_postgres::Database, limit| {
        database.clean_up(now(), now() - 24.hours(), limit).await.unwrap()
    };
    assert_eq!(clean(&bench.database, 2).await, 4);
    assert_eq!(clean(&bench.another(), 2).await, 1);
    assert_eq!(clean(&bench.database, 2).await, 0);
    assert_eq!(
        bench.test.psql("SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM mcp_events)"),
        "1|1"
    );
}
