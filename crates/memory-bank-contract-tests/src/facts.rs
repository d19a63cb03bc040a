//! Facts that end: bounds, replaced facts, and what replies show of them.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use std::collections::BTreeSet;

use futures::future::join_all;
use memory_bank_core::error::GraphError;
use memory_bank_core::graph::history::{GraphChangeQuery, GraphSubject, ItemChange, render};
use memory_bank_core::graph::similar::Similarity;
use memory_bank_core::graph::timestamp::instant;
use memory_bank_core::graph::{FactView, Observation, Validity};
use memory_bank_core::limits;
use memory_bank_core::search::Query;
use memory_bank_core::store::{
    BatchObservation, EntityDraft, EntityRef, GraphBatch, GraphFound, GraphSearch, ObservationAdded,
    ObservationDraft, PointerDraft, Skip, Subgraph,
};

use crate::Project;

pub(crate) fn named(name: &str) -> EntityRef {
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

pub(crate) async fn entity(p: &Project, name: &str) {
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

pub(crate) async fn search(p: &Project, query: Option<&str>, view: FactView) -> GraphFound {
    let query = query.map(|query| Query::parse(query).unwrap());
    let (bytes, skip) = (limits::REPLY_BYTES, Skip::default());
    let wanted = GraphSearch { query, limit: 100, depth: 1, bytes, skip, view };
    p.other.search_graph(&p.caller, &wanted).await.unwrap()
}

pub(crate) fn texts<'a>(facts: impl IntoIterator<Item = &'a Observation>) -> BTreeSet<String> {
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
    if !view.is_past {
        let holding_at = (!view.with_ended).then_some(view.at);
        let summary = p.other.summary(&p.caller, holding_at).await.unwrap().unwrap();
        let facts = |list: &[(String, String, usize)]| {
            list.iter().find(|(name, ..)| name == "Api").map(|(.., facts)| *facts)
        };
        assert_eq!(facts(&summary.busiest), Some(here.len()), "{view:?}");
        assert_eq!(facts(&summary.recent), Some(here.len()), "{view:?}");
        let of_all: usize = found.entities.iter().map(|one| one.observation_count).sum();
        assert_eq!(summary.stats.observation_count, of_all, "{view:?}");
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
    for (day, right, ended) in [
        ("2150-11-30", "fact one, fact two", 1),
        ("2150-12-05", "fact one, fact two", 1),
        ("2150-12-10", "fact two", 2),
    ] {
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
        ("2100-01-03T11:59:59Z", "fact four, fact one, fact three", 0),
        ("2100-01-03", "fact four, fact three, fact two", 1),
        ("2100-01-04", "fact four, fact three, fact two", 1),
        ("2100-01-05", "fact three, fact two", 2),
        ("2100-01-06", "fact three, fact two", 2),
    ] {
        let view = FactView::as_of(day).unwrap();
        let (texts, left) = shown(&p, view).await;
        assert_eq!((texts.join(", ").as_str(), left), (right, ended), "{day}");
    }
    let with_ended = FactView::as_of("2100-01-05").unwrap().with_ended(true);
    assert_eq!(shown(&p, with_ended).await.0, ["fact four", "fact one", "fact three", "fact two"]);
    // Before the entity was created, there was nothing.
    let before = FactView::as_of("2001-01-01").unwrap();
    assert!(open(&p, before).await.entities.is_empty());
    assert!(search(&p, Some("api"), before).await.entities.is_empty());
    // A fact that will hold is shown now, and with the same time as `asOf`.
    for view in [
        FactView::now("2100-01-02T00:00:00Z".parse().unwrap()),
        FactView::as_of("2100-01-02T00:00:00Z").unwrap(),
    ] {
        assert!(shown(&p, view).await.0.contains(&"fact three".to_owned()), "{view:?}");
    }
}

pub async fn similar_facts_that_hold_are_named(p: Project) {
    entity(&p, "Api").await;
    let known = add(&p, draft("The timeout is 30 seconds")).await.observation;
    let added = add(&p, draft("The timeout is 60 seconds")).await;
    assert_eq!(added.similar.len(), 1);
    assert_eq!((&added.similar[0].id, added.similar[0].similarity), (&known.id, Similarity::Contradicts));
    let repeated = add(&p, draft("the timeout is: 60 seconds")).await;
    assert_eq!(repeated.similar[0].similarity, Similarity::Repeats);
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
        async move { bank.add_observation(caller, &named("Api"), draft).await.unwrap() }
    });
    let (existed, added): (Vec<_>, Vec<_>) = join_all(calls).await.into_iter().partition(|one| one.existed);
    assert_eq!((existed.len(), added.len()), (6, 6));
    // One was first. Each other one names the one before it as the fact that had replaced the known one already.
    let already: Vec<Option<&String>> = added.iter().map(|one| one.already.get(&known.id)).collect();
    let ids: BTreeSet<&String> = added.iter().map(|one| &one.observation.id).collect();
    assert_eq!(already.iter().filter(|by| by.is_none()).count(), 1, "{already:?}");
    assert_eq!(already.iter().flatten().collect::<BTreeSet<_>>().len(), 5, "{already:?}");
    assert!(already.iter().flatten().all(|by| ids.contains(by)), "{already:?}");
    // A fact that replaces the former successors, too, has nobody before it.
    let mut all: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    all.push(&known.id);
    let last = add(&p, replacing("fact of all", &all)).await;
    assert!(last.already.is_empty(), "{:?}", last.already);
    p.bank.delete_observation(&p.caller, &last.observation.id, None).await.unwrap();
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
    p.bank.restore_entity(&p.caller, &was, &[]).await.unwrap();
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

pub async fn times_of_years_that_cannot_be_kept_are_refused(p: Project) {
    entity(&p, "Api").await;
    let times = [
        "0000-12-31",
        "0000-01-01T00:00:00Z",
        "-0001-01-01",
        "-000001-01-01T00:00:00Z",
        "-1",
        "0",
        "0001-01-01T00:00:00+01:00",
        "10000-01-01",
        "+010000-01-01T00:00:00Z",
        "99999-01-01",
        "9999-12-31T23:59:59-01:00",
    ];
    for time in times {
        let some = || Some(time.to_owned());
        let bounds = [
            ("validFrom", Validity { valid_from: some(), ..Validity::default() }),
            ("validUntil", Validity { valid_until: some(), ..Validity::default() }),
            ("expiresAt", Validity { expires_at: some(), ..Validity::default() }),
        ];
        for (name, validity) in bounds {
            let why = refused(&p, ObservationDraft { validity, ..draft("a fact") }).await;
            assert!(why.contains(&format!("{name} `{time}`")) && why.contains("0001 to 9999"), "{why}");
        }
        let why = refused(&p, ObservationDraft { timestamp: some(), ..draft("a fact") }).await;
        assert!(why.contains("0001 to 9999"), "{why}");
        let why = FactView::as_of(time).unwrap_err().to_string();
        assert!(why.contains("asOf") && why.contains("0001 to 9999"), "{why}");
    }
    assert!(open(&p, FactView::ALL).await.observations.is_empty());
    // The first and the last day can be kept, and mean what they say.
    add(&p, until("the first day", "0001-01-01")).await;
    add(&p, until("the year 49", "0049-05-05")).await;
    let last = ["9999-12-31", "9999-12-31T23:59:59.999Z", "9999-12-31T11:00:00-12:00"];
    for time in last {
        add(&p, until(&format!("until {time}"), time)).await;
        let from = Validity { valid_from: Some(time.into()), ..Validity::default() };
        add(&p, ObservationDraft { validity: from, ..draft(&format!("from {time}")) }).await;
    }
    let all: BTreeSet<String> =
        last.iter().flat_map(|time| [format!("until {time}"), format!("from {time}")]).collect();
    assert_eq!(texts(&open(&p, now()).await.observations), all);
    // Those that end at a time of that day have ended then; those that begin later are known.
    for (time, shown) in [
        ("9999-12-30", 6),
        ("9999-12-31T23:29:59.999+00:30", 6),
        ("9999-12-31T11:00:00-12:00", 5),
        ("9999-12-31T23:59:59.999Z", 4),
        ("9999-12-31", 4),
    ] {
        let opened = open(&p, FactView::as_of(time).unwrap()).await;
        assert_eq!(opened.observations.len(), shown, "{time}: {:?}", texts(&opened.observations));
    }
    assert!(open(&p, FactView::as_of("0001-01-01").unwrap()).await.entities.is_empty());
}
