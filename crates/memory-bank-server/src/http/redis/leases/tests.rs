use std::net::{IpAddr, Ipv4Addr};

use memory_bank_core::caller::KeyId;
use memory_bank_core::limiter::Origin;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn request(key: u32, address: u32) -> Admission {
    Admission {
        key: Some((KeyId(Uuid::nil()), key)),
        address: Some((IpAddr::V4(Ipv4Addr::LOCALHOST), address)),
        origin: Origin::Keyed,
    }
}

fn lease(request: &Admission, asked: Instant, granted: u32) -> Lease {
    let state = |limit| WindowState { limit, remaining: 1000, reset: WINDOW };
    let (key, address) = (request.key.map(|(_, key)| state(key)), request.address.map(|(_, of)| state(of)));
    let verdict = Verdict { admitted: granted > 0, key, address };
    Lease { entry: format!("{granted}"), asked, verdict, granted, used: 0 }
}

fn unused(lease: &Lease) -> Unused {
    Unused { entry: lease.entry.clone(), numbers: 1..=lease.granted, asked: lease.asked }
}

/// So many requests in one interval, without leases; returns the beginning of the next one.
fn arrive(leases: &Leases, request: &Admission, count: u32, from: Instant) -> Instant {
    for _ in 0..count {
        assert_eq!(leases.next(request, from).verdict, None);
    }
    from + HOLD
}

#[test]
fn small_limits_have_no_leases() {
    let (leases, now) = (Leases::default(), Instant::now());
    for (key, address) in [(60, 1_000_000), (1_000_000, 1200), (2047, 2048)] {
        let later = arrive(&leases, &request(key, address), 100, now);
        assert_eq!(leases.next(&request(key, address), later), Decision::default());
    }
    assert!(leases.callers.lock().is_empty());
}

#[test]
fn a_lease_has_half_the_requests_of_its_time_and_no_more_than_the_limits_allow() {
    for (arrived, address, size) in [
        (7, 1_000_000, None),
        (8, 1_000_000, Some(4)),
        (60, 1_000_000, Some(30)),
        (1000, 1_000_000, Some(64)),
        (1000, 4096, Some(4)),
    ] {
        let (leases, now) = (Leases::default(), Instant::now());
        let caller = request(1_000_000, address);
        let next = arrive(&leases, &caller, arrived, now);
        assert_eq!(leases.next(&caller, next).lease, size, "{arrived} {address}");
        assert_eq!(leases.next(&caller, next).lease, None, "Redis is asked already");
    }
    // Requests before a pause say nothing about those after it.
    let (leases, now) = (Leases::default(), Instant::now());
    let caller = request(1_000_000, 1_000_000);
    let next = arrive(&leases, &caller, 1000, now);
    assert_eq!(leases.next(&caller, next + HOLD).lease, None);
}

#[test]
fn the_next_lease_is_taken_when_half_is_used() {
    let (leases, now) = (Leases::default(), Instant::now());
    let busy = request(1_000_000, 1_000_000);
    let now = arrive(&leases, &busy, 100, now);
    assert_eq!(leases.next(&busy, now).lease, Some(50));
    leases.keep(&busy, lease(&busy, now, 50));
    let taken: Vec<Option<u32>> = (0..25).map(|_| leases.next(&busy, now).lease).collect();
    assert!(taken.iter().take(24).all(Option::is_none), "{taken:?}");
    assert_eq!(taken.last(), Some(&Some(50)));
    leases.keep(&busy, lease(&busy, now, 50));
    let left: u32 =
        leases.callers.lock().values().flat_map(|held| &held.leases).map(|lease| lease.left(now)).sum();
    assert_eq!(left, 75, "a caller never has more than one and a half");
    assert!((0..75).all(|_| leases.next(&busy, now).verdict.is_some()));
    assert_eq!(leases.next(&busy, now).verdict, None);
}

#[test]
fn each_request_of_a_lease_has_the_state_after_it() {
    let (leases, now) = (Leases::default(), Instant::now());
    let busy = request(1_000_000, 1002);
    let wide = request(1_000_000, 1_000_000);
    let now = arrive(&leases, &wide, 100, now);
    leases.next(&wide, now);
    leases.keep(&wide, lease(&busy, now, 3));
    let later = now + Duration::from_millis(40);
    let states: Vec<_> = (0..3).map(|_| leases.next(&wide, later).verdict.unwrap()).collect();
    let remaining = |of: fn(&Verdict) -> Option<WindowState>| -> Vec<u32> {
        states.iter().map(|verdict| of(verdict).unwrap().remaining).collect()
    };
    assert_eq!(remaining(|verdict| verdict.key), [1002, 1001, 1000]);
    assert!(states.iter().all(|verdict| {
        verdict.tightest().unwrap().reset == WINDOW.saturating_sub(Duration::from_millis(40))
    }));
    // A window that did not answer has its whole limit left, not more.
    assert!(states.iter().all(|verdict| verdict.address.unwrap().remaining <= 1002));
}

#[test]
fn callers_beyond_the_bound_have_no_leases() {
    let (leases, now) = (Leases::default(), Instant::now());
    let of = |number: usize| Admission {
        key: Some((KeyId(Uuid::from_u128(number as u128)), 1_000_000)),
        address: None,
        origin: Origin::Keyed,
    };
    for number in 0..MAX_CALLERS {
        assert!(leases.next(&of(number), now).is_first);
    }
    assert_eq!(leases.next(&of(MAX_CALLERS), now), Decision::default());
    for number in 0..MAX_CALLERS {
        assert_eq!(leases.end(&of(number), now).again, Some(now + HOLD), "it sends requests");
        assert_eq!(leases.end(&of(number), now + HOLD).again, None);
    }
    assert!(leases.callers.lock().is_empty());
    assert!(leases.next(&of(MAX_CALLERS), now).is_first);
}

#[test]
fn at_the_end_of_a_limit_redis_is_not_asked_twice_for_each_request() {
    let (leases, now) = (Leases::default(), Instant::now());
    let busy = request(1_000_000, 1_000_000);
    let now = arrive(&leases, &busy, 100, now);
    for answers in [true, false] {
        let mut taken = 0;
        for _ in 0..100 {
            if let Some(size) = leases.next(&busy, now).lease {
                taken += 1;
                let lost = lease(&busy, now, size);
                if answers {
                    leases.keep(&busy, lease(&busy, now, 0));
                } else {
                    leases.abandon(&busy, unused(&lost));
                }
            }
        }
        assert_eq!(taken, 1);
        leases.end(&busy, now);
    }
}

#[test]
fn while_redis_takes_nothing_back_no_lease_is_taken() {
    let (leases, now) = (Leases::default(), Instant::now());
    let busy = request(1_000_000, 1_000_000);
    let mut now = arrive(&leases, &busy, 100, now);
    let lost = unused(&lease(&busy, now, leases.next(&busy, now).lease.unwrap()));
    leases.abandon(&busy, lost.clone());
    for _ in 0..50 {
        let look = leases.end(&busy, now);
        assert_eq!(look.unused.iter().collect::<Vec<_>>(), [&lost]);
        now = arrive(&leases, &busy, 50, now);
        assert_eq!(leases.next(&busy, now).lease, None, "Redis may be silent still");
        leases.keep_unused(&busy, lost.clone(), now);
        assert_eq!(leases.next(&busy, now).lease, None);
    }
    assert_eq!(leases.end(&busy, now).unused.len(), 1);
    leases.end(&busy, now);
    assert!(leases.next(&busy, now).lease.is_some(), "Redis has answered");
}

#[test]
fn a_lease_that_comes_while_redis_takes_nothing_back_is_the_last_one() {
    let (leases, now) = (Leases::default(), Instant::now());
    let busy = request(1_000_000, 1_000_000);
    let now = arrive(&leases, &busy, 100, now);
    let size = leases.next(&busy, now).lease.unwrap();
    // A node of a cluster granted all, and the other one less; or an older lease was given back in vain.
    leases.keep_unused(&busy, unused(&lease(&busy, now, 2)), now);
    leases.keep(&busy, lease(&busy, now, size));
    for _ in 0..size {
        let decision = leases.next(&busy, now);
        assert!(decision.verdict.is_some() && decision.lease.is_none(), "{decision:?}");
    }
    assert_eq!(leases.next(&busy, now).lease, None);
    assert_eq!(leases.end(&busy, now).unused.len(), 1);
    leases.end(&busy, now);
    assert!(leases.next(&busy, now).lease.is_some(), "Redis has answered");
}

#[test]
fn a_caller_is_not_forgotten_while_redis_is_asked_or_has_entries_of_it() {
    let (leases, now) = (Leases::default(), Instant::now());
    let busy = request(1_000_000, 1_000_000);
    let now = arrive(&leases, &busy, 100, now);
    let size = leases.next(&busy, now).lease.unwrap();
    let later = now + HOLD * 5;
    for _ in 0..3 {
        assert_eq!(leases.end(&busy, later).again, Some(later + HOLD));
    }
    let lost = unused(&lease(&busy, now, size));
    leases.abandon(&busy, lost.clone());
    for _ in 0..3 {
        let look = leases.end(&busy, later);
        assert_eq!((look.unused, look.again), (VecDeque::from([lost.clone()]), Some(later + HOLD)));
        leases.keep_unused(&busy, lost.clone(), later);
    }
    // The entries expire by themselves.
    leases.end(&busy, later);
    leases.keep_unused(&busy, lost, now + WINDOW);
    assert_eq!(leases.end(&busy, later).again, None);
}

proptest! {
    /// Each request that Redis has counted is used once, within the time of its lease, or given back; and each look comes within
    /// 100 ms.
    #[test]
    fn all_requests_of_a_lease_are_used_in_time_or_given_back(
        gaps in prop::collection::vec((0u64..30, 0u64..40), 1..400), delay in 0u64..150,
    ) {
        let (leases, start) = (Leases::default(), Instant::now());
        let busy = request(1_000_000, 1_000_000);
        let mut now = start;
        let (mut granted, mut used, mut given_back) = (0, 0, 0);
        let mut coming: Option<(Instant, Lease)> = None;
        let mut look_at = start + HOLD;
        for (gap, burst) in gaps {
            now += Duration::from_millis(gap);
            if coming.as_ref().is_some_and(|(arrives, _)| *arrives <= now)
                && let Some((_, lease)) = coming.take()
            {
                leases.keep(&busy, lease);
            }
            for _ in 0..burst {
                let valid: u32 = leases.callers.lock().get(&busy).map_or(0, |held| {
                    held.leases.iter().filter(|lease| now < lease.asked + HOLD).map(|lease| lease.granted - lease.used).sum()
                });
                let decision = leases.next(&busy, now);
                prop_assert_eq!(decision.verdict.is_some(), valid > 0);
                used += u32::from(decision.verdict.is_some());
                if decision.is_first {
                    look_at = now + HOLD;
                }
                if let Some(size) = decision.lease {
                    prop_assert!(coming.is_none() && (4..=MOST).contains(&size));
                    granted += size;
                    coming = Some((now + Duration::from_millis(delay), lease(&busy, now, size)));
                }
            }
            if look_at <= now {
                let look = leases.end(&busy, now);
                given_back += look.unused.iter().map(|unused| unused.numbers.clone().map(|_| 1).sum::<u32>()).sum::<u32>();
                look_at = look.again.unwrap_or(now + WINDOW);
                prop_assert!(look.again.is_none_or(|again| again > now && again <= now + HOLD));
            }
        }
        if let Some((_, lease)) = coming {
            leases.keep(&busy, lease);
        }
        let look = leases.end(&busy, now + HOLD * 2);
        given_back += look.unused.iter().map(|unused| unused.numbers.clone().map(|_| 1).sum::<u32>()).sum::<u32>();
        prop_assert_eq!(granted, used + given_back);
    }
}
