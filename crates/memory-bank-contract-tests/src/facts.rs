//! Facts that end: bounds, replaced facts, and what replies show of them.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use std::collections::BTreeSet;

use futures::future::join_all;
use memory_bank_core::error::GraphError;
use memory_bank_core::graph::history::{GraphChangeQuery, GraphSubject, ItemChange, render};
use memory_bank_core::graph::similar::Likeness;
use memory_bank_core::graph::timestamp::instant;
use memory_bank_core::graph::{FactView, Observation, Validity};
use memory_bank_core::limits;
use memory_bank_core::search::Query;
use memory_bank_core::store::{
    BatchObservation, EntityDraft, EntityRef, GraphBatch, GraphFound, GraphSearch, ObservationAdded,
    ObservationDraft, PointerDraft, Skip, Subgraph,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use crate::Project;

fn named(name: &str) -> EntityRef {
    EntityRef(name.into())
}

fn draft(text: &str) -> ObservationDraft {
    ObservationDraft { text: text.into(), ..ObservationDraft::default() }
}

fn replacing(text: &str, replaced: &[&str]) -> ObservationDraft {
    let supersedes = replaced.iter().map(|one| (*one).to_owned()).collect();
    ObservationDraft { validity: Validity { supersedes, ..Validity::default() }, ..draft(text) }
}

fn until(text: &str, valid_until: &str) -> ObservationDraft {
    let validity = Validity { valid_until: Some(valid_until.into()), ..Validity::default() };
    ObservationDraft { validity, ..draft(text) }
}

async fn entity(p: &Project, name: &str) {
    let draft = EntityDraft { name: name.into(), entity_type: "service".into(), attrs: None };
    p.bank.upsert_entity(&p.caller, draft).await.unwrap();
}

async fn add(p: &Project, draft: ObservationDraft) -> ObservationAdded {
    p.bank.add_observation(&p.caller, &named("Api"), draft).await.unwrap()
}

async fn refused(p: &Project, draft: ObservationDraft) -> String {
    p.bank.add_observation(&p.caller, &named("Api"), draft).await.unwrap_err().to_string()
}

/// Now, as far as these tests are concerned.
fn now() -> FactView {
    FactView::now("2099-01-01T00:00:00Z".parse().unwrap())
}

async fn open(p: &Project, view: FactView) -> Subgraph {
    p.other.open(&p.caller, &[named("Api")], 1, limits::REPLY_BYTES, view).await.unwrap()
}

async fn search(p: &Project, query: Option<&str>, view: FactView) -> GraphFound {
    let query = query.map(|query| Query::parse(query).unwrap());
    let (bytes, skip) = (limits::REPLY_BYTES, Skip::default());
    let wanted = GraphSearch { query, limit: 100, depth: 1, bytes, skip, view };
    p.other.search_graph(&p.caller, &wanted).await.unwrap()
}

fn texts<'a>(facts: impl IntoIterator<Item = &'a Observation>) -> BTreeSet<String> {
    facts.into_iter().map(|fact| fact.text.clone()).collect()
}

/// The texts that every way of reading shows, which must agree, and how many are left out.
async fn shown(p: &Project, view: FactView) -> (Vec<String>, usize) {
    let opened = open(p, view).await;
    let found = search(p, None, view).await;
    let by_words = search(p, Some("fact"), view).await;
    let here = texts(&opened.observations);
    assert_eq!(here, texts(found.observations.iter().map(|one| &one.observation)), "{view:?}");
    assert_eq!(here, texts(by_words.observations.iter().map(|one| &one.observation)), "{view:?}");
    if let Some(entity) = found.entities.first() {
        assert_eq!(entity.observation_count, here.len(), "{view:?}");
        assert!(texts(&entity.observations).is_subset(&here), "{view:?}");
    }
    assert_eq!(
        [opened.ended_left, found.ended_left, by_words.ended_left],
        [opened.ended_left; 3],
        "{view:?}"
    );
    (here.into_iter().collect(), opened.ended_left)
}

pub async fn a_fact_that_ends_is_left_out_and_stays_in_the_graph(p: Project) {
    entity(&p, "Api").await;
    let ended = add(&p, until("fact one", "2026-01-31")).await.observation;
    add(&p, draft("fact two")).await;
    let expired = ObservationDraft {
        validity: Validity { expires_at: Some("2026-02-01T10:00:00+01:00".into()), ..Validity::default() },
        ..draft("fact three")
    };
    let expired = add(&p, expired).await.observation;
    assert_eq!(expired.validity().expires_at.as_deref(), Some("2026-02-01T09:00:00.000Z"));
    add(&p, until("fact four", "2199-12-31")).await;
    assert_eq!(shown(&p, now()).await, (vec!["fact four".into(), "fact two".into()], 2));
    let all = now().with_ended(true);
    assert_eq!(shown(&p, all).await.0.len(), 4);
    assert_eq!(shown(&p, all).await.1, 0);
    for endings in [open(&p, all).await.endings, search(&p, None, all).await.endings] {
        assert_eq!(endings.len(), 2);
        assert_eq!(Some(endings[&ended.id].at), instant("2026-02-01"));
        assert_eq!(endings[&ended.id].superseded_by, None);
        assert_eq!(Some(endings[&expired.id].at), instant("2026-02-01T09:00:00Z"));
    }
    let export = p.other.export(&p.caller).await.unwrap();
    assert_eq!(export.observations.len(), 4);
    assert_eq!(export.observations[0].validity().valid_until.as_deref(), Some("2026-01-31"));
    assert!(export.observations[1].validity.is_none());
    assert_eq!(p.other.stats(&p.caller).await.unwrap().observation_count, 4);
}

pub async fn a_fact_is_replaced_by_id_or_text_and_holds_again_without_its_successor(p: Project) {
    entity(&p, "Api").await;
    entity(&p, "Other").await;
    let first = add(&p, draft("fact: the port is 80")).await.observation;
    let second = add(&p, replacing("fact: the port is 8080", &[&first.id])).await;
    assert_eq!(second.observation.validity().supersedes, std::slice::from_ref(&first.id));
    assert_eq!(second.superseded.iter().map(|one| &one.id).collect::<Vec<_>>(), [&first.id]);
    assert!(second.similar.is_empty() && !second.existed);
    let third = add(&p, replacing("fact: the port is 443", &[" fact: the port is 8080 "])).await;
    assert_eq!(third.superseded[0].id, second.observation.id);
    assert_eq!(shown(&p, now()).await, (vec!["fact: the port is 443".into()], 2));
    let endings = open(&p, now().with_ended(true)).await.endings;
    assert_eq!(endings[&first.id].superseded_by.as_ref(), Some(&second.observation.id));
    // The same call again changes nothing, although what it replaces has ended.
    let again = add(&p, replacing("fact: the port is 443", &["fact: the port is 8080"])).await;
    assert!(again.existed && again.observation == third.observation);
    assert_eq!(p.bank.stats(&p.caller).await.unwrap().observation_count, 3);
    // A fact that holds again is a new one.
    let back = add(&p, replacing("fact: the port is 80", &[&third.observation.id])).await;
    assert!(!back.existed && back.observation.id != first.id);
    assert_eq!(shown(&p, now()).await, (vec!["fact: the port is 80".into()], 3));
    p.bank.delete_observation(&p.caller, &back.observation.id, None).await.unwrap();
    p.bank.delete_observation(&p.caller, &third.observation.id, None).await.unwrap();
    assert_eq!(shown(&p, now()).await, (vec!["fact: the port is 8080".into()], 1));
    // Names of no fact, or of a fact of another entity, change nothing.
    let foreign = p.bank.add_observation(&p.caller, &named("Other"), draft("elsewhere")).await.unwrap();
    for name in ["the port", "obs_AAAAAAAAAAAA", &foreign.observation.id] {
        let reason = refused(&p, replacing("fact: the port is 1", &[name])).await;
        assert!(reason.contains("supersedes names") && reason.contains("graph_open_nodes"), "{reason}");
    }
    assert!(refused(&p, until("fact five", "soon")).await.contains("validUntil `soon`"));
    assert_eq!(p.bank.stats(&p.caller).await.unwrap().observation_count, 3);
}

pub async fn a_fact_stays_replaced_if_the_one_between_is_deleted(p: Project) {
    entity(&p, "Api").await;
    let first = add(&p, draft("fact: version 1")).await.observation;
    let second = add(&p, replacing("fact: version 2", &[&first.id])).await.observation;
    let third = add(&p, replacing("fact: version 3", &[&second.id])).await;
    assert_eq!(third.observation.validity().supersedes, [second.id.clone(), first.id.clone()]);
    assert_eq!(third.superseded.iter().map(|one| &one.id).collect::<Vec<_>>(), [&second.id]);
    p.bank.delete_observation(&p.caller, &second.id, None).await.unwrap();
    assert_eq!(shown(&p, now()).await, (vec!["fact: version 3".into()], 1));
    let endings = open(&p, now().with_ended(true)).await.endings;
    assert_eq!(endings[&first.id].superseded_by.as_ref(), Some(&third.observation.id));
    // Each holds again without its successors, and the first one without all of them.
    let fourth = add(&p, replacing("fact: version 4", &[&third.observation.id])).await.observation;
    p.bank.delete_observation(&p.caller, &fourth.id, None).await.unwrap();
    assert_eq!(shown(&p, now()).await, (vec!["fact: version 3".into()], 1));
    p.bank.delete_observation(&p.caller, &third.observation.id, None).await.unwrap();
    assert_eq!(shown(&p, now()).await, (vec!["fact: version 1".into()], 0));
}

pub async fn words_of_an_ended_fact_find_nothing(p: Project) {
    entity(&p, "Api").await;
    add(&p, draft("fact one")).await;
    add(&p, until("uses the zork parser", "2026-01-31")).await;
    add(&p, draft("fact two")).await;
    for query in ["zork library", "zork", "zork parser"] {
        let found = search(&p, Some(query), now()).await;
        let names: Vec<&str> = found.entities.iter().map(|one| one.entity.name.as_str()).collect();
        assert!(names.is_empty() && found.observations.is_empty(), "{query}: {names:?}");
        assert_eq!(found.ended_left, 1, "{query}");
        let all = search(&p, Some(query), now().with_ended(true)).await;
        assert_eq!(all.entities.len(), 1, "{query}");
    }
}

pub async fn other_bounds_replace_the_former_ones_also_if_they_begin_later(p: Project) {
    entity(&p, "Api").await;
    let from = |text: &str, day: &str| ObservationDraft {
        validity: Validity { valid_from: Some(day.into()), ..Validity::default() },
        ..draft(text)
    };
    let first = add(&p, draft("fact one")).await.observation;
    let mut next = from("fact two", "2150-12-01");
    next.validity.supersedes = vec![first.id.clone()];
    let second = add(&p, next).await.observation;
    let later = add(&p, from("fact two", "2150-12-10")).await.observation;
    assert_eq!(later.validity().supersedes, [second.id.clone(), first.id.clone()]);
    assert_eq!(shown(&p, now()).await, (vec!["fact one".into(), "fact two".into()], 1));
    let opened = open(&p, now()).await.observations;
    assert!(opened.iter().all(|fact| fact.id != second.id), "{opened:?}");
    for (day, right, ended) in
        [("2150-11-30", "fact one", 0), ("2150-12-05", "fact one", 1), ("2150-12-10", "fact two", 2)]
    {
        let (texts, left) = shown(&p, FactView::as_of(day).unwrap()).await;
        assert_eq!((texts.join(", ").as_str(), left), (right, ended), "{day}");
    }
    // Without the new bounds those before hold again.
    p.bank.delete_observation(&p.caller, &later.id, None).await.unwrap();
    assert_eq!(shown(&p, FactView::as_of("2150-12-05").unwrap()).await, (vec!["fact two".into()], 1));
}

pub async fn other_bounds_of_a_repeated_fact_replace_it(p: Project) {
    entity(&p, "Api").await;
    let plain = add(&p, draft("fact one")).await.observation;
    let bounded = add(&p, until("fact one", "2026-01-31")).await;
    assert!(!bounded.existed);
    assert_eq!(bounded.observation.validity().supersedes, std::slice::from_ref(&plain.id));
    assert_eq!(shown(&p, now()).await, (Vec::new(), 2));
    // Neither holds now, so that the text is a new fact.
    let again = add(&p, until("fact one", "2199-01-31")).await;
    assert!(!again.existed && again.superseded.is_empty());
    assert!(add(&p, until("fact one", "2199-01-31")).await.existed);
    assert!(add(&p, draft("fact one")).await.existed);
    assert_eq!(shown(&p, now()).await, (vec!["fact one".into()], 2));
    // A time names one fact, which has its own bounds.
    let at = |draft: ObservationDraft| ObservationDraft { timestamp: Some("2026-01-01".into()), ..draft };
    assert!(!add(&p, at(draft("fact two"))).await.existed);
    assert!(add(&p, at(draft("fact two"))).await.existed);
    assert!(refused(&p, at(until("fact two", "2027-01-01"))).await.contains("leave out `timestamp`"));
    // A pointer that was replaced is added again.
    p.write("notes.md", "# Notes\n").await;
    let pointer = || PointerDraft { path: "notes.md".into(), heading: None, note: None };
    let pointed = p.bank.add_pointer(&p.caller, &named("Api"), pointer()).await.unwrap();
    assert!(p.bank.add_pointer(&p.caller, &named("Api"), pointer()).await.unwrap().existed);
    add(&p, replacing("fact three", &[&pointed.observation.id])).await;
    assert!(!p.bank.add_pointer(&p.caller, &named("Api"), pointer()).await.unwrap().existed);
}

pub async fn a_view_of_the_past_shows_what_was_known_then(p: Project) {
    entity(&p, "Api").await;
    let at = |draft: ObservationDraft, timestamp: &str| ObservationDraft {
        timestamp: Some(timestamp.into()),
        ..draft
    };
    let first = add(&p, at(draft("fact one"), "2100-01-01T12:00:00Z")).await.observation;
    add(&p, at(replacing("fact two", &[&first.id]), "2100-01-03T12:00:00Z")).await;
    let later = Validity { valid_from: Some("2100-01-06".into()), ..Validity::default() };
    add(&p, ObservationDraft { validity: later, ..at(draft("fact three"), "2100-01-02") }).await;
    add(&p, at(until("fact four", "2100-01-04"), "2100-01-01")).await;
    for (day, right, ended) in [
        ("2099-12-31", "", 0),
        ("2100-01-01", "fact four, fact one", 0),
        ("2100-01-03T11:59:59Z", "fact four, fact one", 0),
        ("2100-01-03", "fact four, fact two", 1),
        ("2100-01-04", "fact four, fact two", 1),
        ("2100-01-05", "fact two", 2),
        ("2100-01-06", "fact three, fact two", 2),
    ] {
        let view = FactView::as_of(day).unwrap();
        let (texts, left) = shown(&p, view).await;
        assert_eq!((texts.join(", ").as_str(), left), (right, ended), "{day}");
    }
    let with_ended = FactView::as_of("2100-01-05").unwrap().with_ended(true);
    assert_eq!(shown(&p, with_ended).await.0, ["fact four", "fact one", "fact two"]);
    // Before the entity was created, there was nothing.
    let before = FactView::as_of("2001-01-01").unwrap();
    assert!(open(&p, before).await.entities.is_empty());
    assert!(search(&p, Some("api"), before).await.entities.is_empty());
    // A fact that will hold is shown now.
    let now = FactView::now("2100-01-02T00:00:00Z".parse().unwrap());
    assert!(shown(&p, now).await.0.contains(&"fact three".to_owned()));
}

pub async fn similar_facts_that_hold_are_named(p: Project) {
    entity(&p, "Api").await;
    let known = add(&p, draft("The timeout is 30 seconds")).await.observation;
    let added = add(&p, draft("The timeout is 60 seconds")).await;
    assert_eq!(added.similar.len(), 1);
    assert_eq!((&added.similar[0].id, added.similar[0].likeness), (&known.id, Likeness::Contradicts));
    let repeated = add(&p, draft("the timeout is: 60 seconds")).await;
    assert_eq!(repeated.similar[0].likeness, Likeness::Repeats);
    assert_eq!(repeated.similar[0].id, added.observation.id);
    let replaced = [&known.id, &added.observation.id, &repeated.observation.id].map(String::as_str);
    assert!(add(&p, replacing("The timeout is 90 seconds", &replaced)).await.similar.is_empty());
    // Those have ended, and other entities do not count.
    let last = add(&p, draft("The timeout is 120 seconds")).await;
    assert_eq!(
        last.similar.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(),
        ["The timeout is 90 seconds"]
    );
    entity(&p, "Other").await;
    let other = BatchObservation { entity: named("Other"), draft: draft("The timeout is 5 seconds") };
    let contrary = BatchObservation { entity: named("Other"), draft: draft("The timeout is 6 seconds") };
    let batch = GraphBatch { observations: vec![other, contrary.clone(), contrary], ..GraphBatch::default() };
    let applied = p.bank.apply_batch(&p.caller, batch).await.unwrap().observations;
    assert!(applied[0].similar.is_empty() && applied[2].existed && applied[2].similar.is_empty());
    assert_eq!(applied[1].similar[0].id, applied[0].observation.id);
    // Of many facts only the newest are compared.
    for number in 0..limits::COMPARED_FACTS {
        add(&p, draft(&format!("unrelated {number}"))).await;
    }
    assert!(add(&p, draft("The timeout is 150 seconds")).await.similar.is_empty());
}

pub async fn a_batch_replaces_facts_of_its_own_and_existing_ones(p: Project) {
    entity(&p, "Api").await;
    let known = add(&p, draft("fact zero")).await.observation;
    let about = |draft: ObservationDraft| BatchObservation { entity: named("Api"), draft };
    let batch = || GraphBatch {
        observations: vec![
            about(draft("fact one")),
            about(replacing("fact two", &["fact one", &known.id])),
            about(until("fact three", "2026-01-01")),
        ],
        ..GraphBatch::default()
    };
    let applied = p.bank.apply_batch(&p.caller, batch()).await.unwrap().observations;
    let own = &applied[0].observation.id;
    assert_eq!(applied[1].observation.validity().supersedes, [own.clone(), known.id.clone()]);
    assert_eq!(shown(&p, now()).await, (vec!["fact two".into()], 3));
    let wrong = GraphBatch {
        observations: vec![about(draft("fact five")), about(replacing("fact six", &["fact seven"]))],
        ..GraphBatch::default()
    };
    let refused = p.bank.apply_batch(&p.caller, wrong).await;
    assert!(
        matches!(&refused, Err(GraphError::InBatch { at, .. }) if at == "`observations[1]`"),
        "{refused:?}"
    );
    assert_eq!(p.bank.stats(&p.caller).await.unwrap().observation_count, 4);
}

pub async fn of_concurrent_successors_each_is_stored(p: Project) {
    entity(&p, "Api").await;
    let known = add(&p, draft("fact zero")).await.observation;
    let calls = (0..12).map(|number| {
        let (bank, caller) = (if number % 2 == 0 { &p.bank } else { &p.other }, &p.caller);
        let draft = replacing(&format!("fact of writer {}", number / 2), &[&known.id]);
        async move { bank.add_observation(caller, &named("Api"), draft).await.unwrap().existed }
    });
    let existed = join_all(calls).await.into_iter().filter(|existed| *existed).count();
    assert_eq!(existed, 6);
    let (texts, left) = shown(&p, now()).await;
    assert_eq!((texts.len(), left), (6, 1));
}

pub async fn history_and_restore_keep_bounds(p: Project) {
    entity(&p, "Api").await;
    let first = add(&p, draft("fact one")).await.observation;
    let bounded = ObservationDraft {
        validity: Validity { supersedes: vec![first.id.clone()], ..until("", "2199-01-31").validity },
        ..draft("fact two")
    };
    let second = add(&p, bounded).await.observation;
    let list = GraphChangeQuery::newest(GraphSubject::Entity(named("Api")), 10);
    let changes = p.other.list_graph_changes(&p.caller, &list).await.unwrap().changes;
    assert_eq!(changes.len(), 3);
    assert!(changes.iter().all(|change| change.change == ItemChange::Created));
    p.bank.delete_observation(&p.caller, &second.id, None).await.unwrap();
    assert_eq!(shown(&p, now()).await.0, ["fact one"]);
    let was = p.other.entity_chain(&p.caller, &named("Api"), changes[0].number).await.unwrap().start();
    assert_eq!(was.observations(), [&first, &second]);
    let text = render(&was);
    assert!(text.contains("fact two [until 2199-01-31, replaces \"fact one\"]"), "{text}");
    p.bank.restore_entity(&p.caller, &was).await.unwrap();
    assert_eq!(shown(&p, now()).await, (vec!["fact two".into()], 1));
    assert_eq!(p.other.export(&p.caller).await.unwrap().observations.pop().unwrap(), second);
}

pub async fn a_backup_keeps_bounds(p: Project) {
    entity(&p, "Api").await;
    let first = add(&p, draft("fact one")).await.observation;
    add(&p, replacing("fact two", &[&first.id])).await;
    add(&p, until("fact three", "2026-01-31")).await;
    let before = p.bank.export(&p.caller).await.unwrap();
    let backup = p.bank.create_backup(&p.caller, None).await.unwrap();
    p.bank.delete_entity(&p.caller, &named("Api")).await.unwrap();
    p.bank.restore_backup(&p.caller, &backup.id, false).await.unwrap();
    assert_eq!(p.other.export(&p.caller).await.unwrap(), before);
    assert_eq!(shown(&p, now()).await, (vec!["fact two".into()], 2));
}

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

/// The kept facts that hold at the end of a day, and those that have ended, as the bank knew them on that day.
fn rule(
    facts: &[RandomFact],
    kept: &BTreeSet<usize>,
    day: u32,
    with_ended: bool,
) -> (BTreeSet<usize>, usize) {
    let begins = |number: usize| facts[number].1.map_or(facts[number].0, |from| from.max(facts[number].0));
    let replaced_by = replaced_by_each(facts);
    let (mut holding, mut ended) = (BTreeSet::new(), 0);
    for number in kept.iter().copied().filter(|number| begins(*number) <= day) {
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
