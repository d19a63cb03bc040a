//! Calls of tools that are counted for the owners of a project.

use jiff::{SignedDuration, Timestamp, ToSpan};
use memory_bank_core::caller::{Caller, Role};
use memory_bank_core::clock::{Clock, SystemClock};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::{KeyHash, ProjectAdministration};
use memory_bank_core::store::{CallCounts, CallLog, CallStep, KeyCalls, StepLength};

use crate::support::Bench;

const SOME: CallCounts = CallCounts { calls: 7, failures: 2, tokens: 1234, times: [1, 1, 1, 1, 1, 1] };

fn calls_of(caller: &Caller, hour: Timestamp, counts: CallCounts) -> KeyCalls {
    KeyCalls { proof: caller.proof.unwrap(), hour, counts }
}

fn start_of(step: SignedDuration, at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second().div_euclid(step.as_secs()) * step.as_secs()).unwrap()
}

async fn seen(bench: &Bench, caller: &Caller, step: StepLength, days: i64) -> Vec<CallStep> {
    let since = SystemClock.now() - SignedDuration::from_hours(24 * days);
    bench.database.calls(caller, step, since).await.unwrap()
}

#[tokio::test]
async fn calls_of_all_members_add_up_by_the_hour_and_the_day_and_belong_to_the_project_of_the_key() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.tenant("alice", "one").await, bench.tenant("bob", "two").await);
    let eve = bench.member("eve", "one", Role::Viewer).await;
    let now = SystemClock.now();
    let unknown = KeyCalls { proof: KeyHash::of(b"a guess"), hour: now, counts: SOME };
    bench
        .database
        .add_calls(&[
            calls_of(&alice, now, SOME),
            unknown,
            calls_of(&eve, now, SOME),
            calls_of(&bob, now, SOME),
        ])
        .await
        .unwrap();
    bench.database.add_calls(&[calls_of(&alice, now, SOME)]).await.unwrap();
    bench.database.add_calls(&[]).await.unwrap();
    let three = CallCounts { calls: 21, failures: 6, tokens: 3702, times: [3; 6] };
    let hour = CallStep { at: start_of(SignedDuration::from_hours(1), now), counts: three };
    assert_eq!(seen(&bench, &alice, StepLength::Hour, 1).await, [hour]);
    let day = CallStep { at: start_of(SignedDuration::from_hours(24), now), counts: three };
    assert_eq!(seen(&bench, &alice, StepLength::Day, 30).await, [day]);
    let theirs = CallStep { counts: SOME, ..hour };
    assert_eq!(seen(&bench, &bob, StepLength::Hour, 1).await, [theirs]);
    let refused = bench.database.calls(&eve, StepLength::Hour, now).await;
    assert!(matches!(refused, Err(StoreError::Denied)), "{refused:?}");
    let forged = Caller { project: bob.project, ..alice.clone() };
    let refused = bench.database.calls(&forged, StepLength::Hour, now).await;
    assert!(matches!(refused, Err(StoreError::KeyInvalid)), "{refused:?}");
}

#[tokio::test]
async fn other_hours_than_those_of_today_and_numbers_beyond_their_bounds_are_not_stored() {
    let bench = Bench::new().await;
    let alice = bench.tenant("alice", "one").await;
    let now = SystemClock.now();
    let many = CallCounts { calls: u64::MAX, failures: 2_000_000_000, ..SOME };
    bench
        .database
        .add_calls(&[
            calls_of(&alice, now - 25.hours(), SOME),
            calls_of(&alice, now + 2.hours(), SOME),
            calls_of(&alice, now, many),
        ])
        .await
        .unwrap();
    let steps = seen(&bench, &alice, StepLength::Hour, 400).await;
    let counts = CallCounts { calls: 1_000_000_000, failures: 1_000_000_000, ..SOME };
    assert_eq!(steps.iter().map(|step| step.counts).collect::<Vec<_>>(), [counts]);
}

#[tokio::test]
async fn a_row_that_is_full_stops_no_calls_of_others() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.tenant("alice", "one").await, bench.tenant("bob", "two").await);
    let now = SystemClock.now();
    bench.database.add_calls(&[calls_of(&alice, now, SOME)]).await.unwrap();
    bench
        .test
        .psql("UPDATE app.call_hours SET calls = 9223372036854775807 - 3, up_to_3000 = 9223372036854775807");
    // The hour before makes the day overflow, too.
    bench.test.psql("INSERT INTO app.call_hours SELECT project_id, hour - interval '1 hour', calls, 0, 0, 0, 0, 0, 0, 0, 0 FROM app.call_hours");
    bench.database.add_calls(&[calls_of(&alice, now, SOME), calls_of(&bob, now, SOME)]).await.unwrap();
    let most = u64::try_from(i64::MAX).unwrap();
    let hours = seen(&bench, &alice, StepLength::Hour, 1).await;
    let counts = hours.last().unwrap().counts;
    assert_eq!((counts.calls, counts.failures, counts.times[5]), (most, 4, most));
    let days: Vec<u64> =
        seen(&bench, &alice, StepLength::Day, 2).await.iter().map(|day| day.counts.calls).collect();
    assert!(days.iter().all(|calls| *calls >= most - 3), "{days:?}");
    assert_eq!(seen(&bench, &bob, StepLength::Hour, 1).await[0].counts, SOME);
}

#[tokio::test]
async fn hours_older_than_400_days_are_deleted_with_the_next_calls_of_their_project() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.tenant("alice", "one").await, bench.tenant("bob", "two").await);
    bench.test.psql(
        "INSERT INTO app.call_hours SELECT p.id, now() - interval '401 days' - i * interval '1 hour', 1, 0, 0, 0, 0, 0, 0, 0, 0 \
         FROM projects p, generate_series(1, 600) i",
    );
    let left = |caller: &Caller| {
        bench.test.psql(&format!(
            "SELECT count(*) FROM app.call_hours WHERE project_id = '{}' AND hour < now() - interval '400 days'",
            caller.project.0
        ))
    };
    bench.database.add_calls(&[calls_of(&alice, SystemClock.now(), SOME)]).await.unwrap();
    assert_eq!((left(&alice), left(&bob)), ("100".to_owned(), "600".to_owned()));
    bench.database.add_calls(&[calls_of(&alice, SystemClock.now(), SOME)]).await.unwrap();
    assert_eq!(left(&alice), "0");
}

#[tokio::test]
async fn two_servers_that_write_at_once_lose_no_call() {
    let bench = Bench::new().await;
    let (alice, bob) = (bench.tenant("alice", "one").await, bench.tenant("bob", "two").await);
    let now = SystemClock.now();
    let (there, back) = (
        [calls_of(&alice, now, SOME), calls_of(&bob, now, SOME)],
        [calls_of(&bob, now, SOME), calls_of(&alice, now, SOME)],
    );
    for _ in 0..20 {
        let (one, other) = tokio::join!(bench.database.add_calls(&there), bench.database.add_calls(&back));
        one.and(other).unwrap();
    }
    for caller in [&alice, &bob] {
        let steps = seen(&bench, caller, StepLength::Day, 2).await;
        assert_eq!(steps.iter().map(|step| step.counts.calls).sum::<u64>(), 280);
    }
}
