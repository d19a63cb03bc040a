use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::graph::ids::observation_id;

const DAY: i64 = MILLISECONDS_OF_A_DAY;

fn checked(from: Option<&str>, until: Option<&str>, expires: Option<&str>) -> Result<Validity, String> {
    let text = |given: Option<&str>| given.map(str::to_owned);
    let draft = Validity {
        valid_from: text(from),
        valid_until: text(until),
        expires_at: text(expires),
        supersedes: Vec::new(),
    };
    draft.checked().map_err(|error| error.to_string())
}

#[test]
fn a_day_is_included_and_a_time_is_not() {
    let day = checked(None, Some("2026-11-22"), None).unwrap();
    assert_eq!(day.ends_at(), instant("2026-11-23T00:00:00Z"));
    let time = checked(None, Some("2026-11-22T10:00:00+01:00"), None).unwrap();
    assert_eq!(time.valid_until.as_deref(), Some("2026-11-22T09:00:00.000Z"));
    assert_eq!(time.ends_at(), instant("2026-11-22T09:00:00Z"));
    let both = checked(Some("2026-11-22"), Some("2026-12-31"), Some("2026-11-22")).unwrap();
    assert_eq!(both.ends_at().zip(both.starts_at()).map(|(end, start)| end - start), Some(DAY));
    assert_eq!(checked(Some(" "), Some(""), None).unwrap(), Validity::default());
}

#[rstest]
#[case(Some("tomorrow"), None, None, "validFrom `tomorrow` is neither RFC 3339")]
#[case(None, Some("2026-02-30"), None, "validUntil `2026-02-30`")]
#[case(None, None, Some("22.11.2026"), "expiresAt `22.11.2026`")]
#[case(
    Some("2026-11-23"),
    Some("2026-11-22"),
    None,
    "validFrom `2026-11-23` is not before validUntil `2026-11-22`"
)]
#[case(Some("2026-11-23"), None, Some("2026-11-22"), "is not before expiresAt")]
#[case(
    Some("2026-11-22T10:00:00Z"),
    Some("2026-11-22T10:00:00Z"),
    None,
    "give an earlier validFrom or a later validUntil"
)]
fn wrong_bounds_are_refused_with_what_to_do(
    #[case] from: Option<&str>,
    #[case] until: Option<&str>,
    #[case] expires: Option<&str>,
    #[case] reason: &str,
) {
    let refused = checked(from, until, expires).unwrap_err();
    assert!(refused.contains(reason), "{refused}");
}

#[test]
fn replaced_facts_are_bounded_and_named_once() {
    let draft = |ids: Vec<String>| Validity { supersedes: ids, ..Validity::default() }.checked();
    assert_eq!(draft(vec![" a ".into(), "a".into()]).unwrap().supersedes, ["a"]);
    assert!(draft(vec![" ".into()]).unwrap_err().to_string().contains("empty fact"));
    assert!(draft((0..21).map(|n| n.to_string()).collect()).unwrap_err().to_string().contains("at most 20"));
    assert!(draft(vec!["x".repeat(70_000)]).unwrap_err().to_string().contains("give the id"));
}

#[test]
fn a_moment_of_the_past_is_a_time_or_the_end_of_a_day() {
    let day = FactView::as_of("2026-11-22").unwrap();
    assert!(day.is_past && day.knows("2026-11-22T23:59:59.999Z") && !day.knows("2026-11-23"));
    let time = FactView::as_of("2026-11-22T10:00:00Z").unwrap();
    assert!(time.knows("2026-11-22T10:00:00Z") && !time.knows("2026-11-22T10:00:00.001Z"));
    assert!(FactView::as_of("last week").unwrap_err().to_string().contains("asOf `last week`"));
}

/// The n-th fact of `ent_x`: recorded on day `recorded`, with bounds in days, and the facts that it replaces.
fn fact(n: usize, recorded: i64, from: Option<i64>, until: Option<i64>, supersedes: &[usize]) -> Observation {
    let stamp = |day: i64| format!("2026-01-{:02}", day + 1);
    let (text, timestamp) = (format!("fact {n}"), stamp(recorded));
    Observation {
        id: id(n),
        entity_id: "ent_x".to_owned(),
        text,
        source: None,
        timestamp,
        author: None,
        validity: Validity {
            valid_from: from.map(stamp),
            valid_until: until.map(stamp),
            expires_at: None,
            supersedes: supersedes.iter().map(|n| id(*n)).collect(),
        }
        .stored(),
    }
}

fn id(n: usize) -> String {
    observation_id("ent_x", &n.to_string(), "")
}

fn at(day: i64) -> i64 {
    instant("2026-01-01").unwrap() + day * DAY + DAY / 2
}

fn endings_of(facts: &[Observation], at: i64) -> Endings<'_> {
    Endings::of(facts, at, |id| facts.iter().find(|fact| fact.id == id))
}

#[test]
fn a_text_with_other_bounds_replaces_the_former_ones_at_once() {
    let again = Observation { text: "fact 1".to_owned(), ..fact(2, 4, Some(10), None, &[1, 0]) };
    let begins_later = [fact(0, 0, None, None, &[]), fact(1, 3, Some(5), None, &[0]), again];
    for (day, ended) in [(3, [false, false]), (4, [false, true]), (6, [false, true]), (10, [true, true])] {
        let endings = endings_of(&begins_later, at(day));
        let of = |n: usize| endings.get(&begins_later[n]).is_some();
        assert_eq!([of(0), of(1)], ended, "{day}");
        assert!(!of(2), "{day}");
    }
    let ending = endings_of(&begins_later, at(12)).get(&begins_later[0]).cloned().unwrap();
    assert_eq!(ending, Ending { at: instant("2026-01-11").unwrap(), superseded_by: Some(id(2)) });
    // What had replaced a fact already did so from its own beginning on.
    let again = Observation { text: "fact 1".to_owned(), ..fact(2, 8, None, Some(20), &[1, 0]) };
    let begun = [fact(0, 0, None, None, &[]), fact(1, 3, Some(5), None, &[0]), again];
    let ending = endings_of(&begun, at(9)).get(&begun[0]).cloned().unwrap();
    assert_eq!(ending, Ending { at: instant("2026-01-06").unwrap(), superseded_by: Some(id(1)) });
}

#[test]
fn a_replaced_fact_ends_when_its_successor_is_recorded_and_holds() {
    let facts = [fact(0, 0, None, None, &[]), fact(1, 3, Some(5), None, &[0])];
    for (day, ended) in [(2, false), (4, false), (5, true), (9, true)] {
        let endings = endings_of(&facts, at(day));
        assert_eq!(endings.get(&facts[0]).is_some(), ended, "{day}");
        assert_eq!(endings.get(&facts[1]), None);
    }
    let ending = endings_of(&facts, at(9)).get(&facts[0]).cloned().unwrap();
    assert_eq!(ending, Ending { at: instant("2026-01-06").unwrap(), superseded_by: Some(id(1)) });
    // Without its successor it holds again.
    assert!(endings_of(&facts[..1], at(9)).is_empty());
    let foreign = Observation { entity_id: "ent_y".to_owned(), ..facts[0].clone() };
    assert_eq!(endings_of(&facts, at(9)).get(&foreign), None);
}

proptest! {
    /// The rule in words: a fact has ended if its own end has come, or a fact that names it is recorded and holds.
    #[test]
    fn endings_are_those_of_the_rule(
        facts in proptest::collection::vec(
            (0..20_i64, proptest::option::of(0..20_i64), proptest::option::of(0..20_i64), proptest::collection::vec(0..8_usize, 0..3)), 1..8),
        day in 0..22_i64,
    ) {
        let built: Vec<Observation> = facts.iter().enumerate()
            .map(|(n, (recorded, from, until, replaced))| fact(n, *recorded, *from, *until, replaced)).collect();
        let endings = endings_of(&built, at(day));
        for (n, (_, _, until, _)) in facts.iter().enumerate() {
            let by_itself = until.is_some_and(|until| until < day);
            let by_another = facts.iter().enumerate().any(|(m, (recorded, from, _, replaced))| {
                m != n && replaced.contains(&n) && *recorded <= day && from.is_none_or(|from| from <= day)
            });
            prop_assert_eq!(endings.get(&built[n]).is_some(), by_itself || by_another, "fact {} on day {}", n, day);
        }
    }
}
