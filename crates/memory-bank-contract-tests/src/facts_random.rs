//! Facts that end, in random order: every view follows the rule.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use std::collections::BTreeSet;

use memory_bank_core::graph::{FactView, Validity};
use memory_bank_core::limits;
use memory_bank_core::store::ObservationDraft;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use crate::Project;
use crate::facts::{entity, named, search, texts};

/// One random fact: the day on which it is recorded, its bounds in days, and which earlier facts it replaces.
type RandomFact = (u32, Option<u32>, Option<u32>, Vec<usize>);

fn random_facts() -> impl Strategy<Value = Vec<RandomFact>> {
    let day = 1..15_u32;
    let fact = (
        day.clone(),
        proptest::option::weighted(0.3, day.clone()),
        proptest::option::weighted(0.3, day),
        proptest::collection::vec(any::<prop::sample::Index>(), 0..3),
    );
    proptest::collection::vec(fact, 1..10).prop_map(|facts| {
        let mut built: Vec<RandomFact> = Vec::new();
        for (recorded, from, until, replaced) in facts {
            let until = until.map(|until| from.map_or(until, |from| until.max(from)));
            let replaced = if built.is_empty() {
                Vec::new()
            } else {
                replaced.iter().map(|index| index.index(built.len())).collect()
            };
            built.push((recorded, from, until, replaced));
        }
        built
    })
}

/// The facts that each fact replaces: those that it names, and those that these replace.
fn replaced_by_each(facts: &[RandomFact]) -> Vec<BTreeSet<usize>> {
    let mut all: Vec<BTreeSet<usize>> = Vec::new();
    for (.., named) in facts {
        all.push(named.iter().flat_map(|one| all[*one].iter().copied().chain([*one])).collect());
    }
    all
}

/// The kept facts that hold at the end of a day or later, and those that have ended, as the bank knew them on that day.
fn rule(
    facts: &[RandomFact],
    kept: &BTreeSet<usize>,
    day: u32,
    with_ended: bool,
) -> (BTreeSet<usize>, usize) {
    let begins = |number: usize| facts[number].1.map_or(facts[number].0, |from| from.max(facts[number].0));
    let replaced_by = replaced_by_each(facts);
    let (mut holding, mut ended) = (BTreeSet::new(), 0);
    for number in kept.iter().copied().filter(|number| facts[*number].0 <= day) {
        let fact = &facts[number];
        let replaced =
            kept.iter().any(|other| begins(*other) <= day && replaced_by[*other].contains(&number));
        if fact.2.is_some_and(|until| until < day) || replaced {
            ended += 1;
            if !with_ended {
                continue;
            }
        }
        holding.insert(number);
    }
    (holding, if with_ended { 0 } else { ended })
}

pub async fn views_of_random_facts_follow_the_rule(p: Project) {
    let mut runner = TestRunner::new(Config { cases: 1, ..Config::default() });
    for case in 0..12 {
        let facts = random_facts().new_tree(&mut runner).unwrap().current();
        let name = format!("entity {case}");
        entity(&p, &name).await;
        let mut ids: Vec<String> = Vec::new();
        for (number, (recorded, from, until, replaced)) in facts.iter().enumerate() {
            let day = |day: &u32| format!("2100-01-{day:02}");
            let validity = Validity {
                valid_from: from.as_ref().map(day),
                valid_until: until.as_ref().map(day),
                expires_at: None,
                supersedes: replaced.iter().map(|one| ids[*one].clone()).collect(),
            };
            let timestamp = Some(day(recorded));
            let draft =
                ObservationDraft { text: format!("fact {number}"), source: None, timestamp, validity };
            let added = p.bank.add_observation(&p.caller, &named(&name), draft).await.unwrap();
            ids.push(added.observation.id);
        }
        let kept: BTreeSet<usize> = (0..facts.len()).collect();
        check_views(&p, &name, &facts, &kept).await;
        // What a deleted fact replaced is still replaced by those that replaced the deleted one.
        let deleted = case % facts.len();
        p.bank.delete_observation(&p.caller, &ids[deleted], None).await.unwrap();
        let kept: BTreeSet<usize> = kept.into_iter().filter(|number| *number != deleted).collect();
        check_views(&p, &name, &facts, &kept).await;
    }
}

/// Checks all views of the facts of an entity of which only `kept` are left.
async fn check_views(p: &Project, name: &str, facts: &[RandomFact], kept: &BTreeSet<usize>) {
    for (day, with_ended) in (0..16).flat_map(|day| [(day, false), (day, true)]) {
        let (holding, ended) = rule(facts, kept, day, with_ended);
        let view = FactView::as_of(&format!("2100-01-{:02}T12:00:00Z", day.max(1))).unwrap();
        let view = if day == 0 { FactView::as_of("2099-12-31").unwrap() } else { view };
        let view = view.with_ended(with_ended);
        let opened = p.other.open(&p.caller, &[named(name)], 0, limits::REPLY_BYTES, view).await.unwrap();
        let right: BTreeSet<String> = holding.iter().map(|number| format!("fact {number}")).collect();
        assert_eq!(texts(&opened.observations), right, "day {day}, {facts:?}");
        assert_eq!(opened.ended_left, ended, "day {day}, {facts:?}");
        let found = search(p, Some("fact"), view).await;
        let own = found.observations.iter().filter(|one| one.entity_name == name);
        assert_eq!(texts(own.map(|one| &one.observation)), right, "day {day}, {facts:?}");
    }
}
