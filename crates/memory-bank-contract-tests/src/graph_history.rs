//! The history of the graph.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use std::collections::BTreeMap;

use memory_bank_core::caller::Caller;
use memory_bank_core::error::{EditError, GraphError, StoreError};
use memory_bank_core::graph::event::Event;
use memory_bank_core::graph::history::{
    EntitySnapshot, GraphChange, GraphChangeQuery, GraphItem, GraphSubject, ItemChange, render, summary,
};
use memory_bank_core::graph::outline::{OutlineEntity, OutlineRelation};
use memory_bank_core::graph::state::GraphState;
use memory_bank_core::history::{ChangeContext, HistorySource};
use memory_bank_core::store::{
    Drafts, EntityDraft, EntityRef, GraphHistoryError, GraphPart, ObservationDraft,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Project;

fn named(name: &str) -> EntityRef {
    EntityRef(name.into())
}

async fn entity(p: &Project, caller: &Caller, name: &str, attrs: Value) {
    let attrs = attrs.as_object().cloned().filter(|attrs| !attrs.is_empty());
    let draft = EntityDraft { name: name.into(), entity_type: "thing".into(), attrs };
    p.bank.upsert_entity(caller, draft).await.unwrap();
}

async fn fact(p: &Project, caller: &Caller, name: &str, text: &str) -> String {
    let draft = ObservationDraft { text: text.into(), ..ObservationDraft::default() };
    p.bank.add_observation(caller, &named(name), draft).await.unwrap().observation.id
}

async fn changes(p: &Project, subject: GraphSubject) -> Vec<GraphChange> {
    let query = GraphChangeQuery::newest(subject, 200);
    p.other.list_graph_changes(&p.caller, &query).await.unwrap().changes
}

async fn of(p: &Project, name: &str) -> Vec<GraphChange> {
    changes(p, GraphSubject::Entity(named(name))).await
}

/// Each change as a word and what it was about, newest first.
fn words(changes: &[GraphChange]) -> Vec<String> {
    let word = |change: &GraphChange| {
        let kind = match change.item() {
            Some(GraphItem::Entity(_)) => "entity",
            Some(GraphItem::Observation(_)) => "fact",
            Some(GraphItem::Relation(_)) => "link",
            None => "?",
        };
        format!(
            "{} {kind} {}: {}",
            change.change.as_str(),
            change.entity.as_deref().unwrap_or("?"),
            summary(change, 50)
        )
    };
    changes.iter().map(word).collect()
}

async fn at(p: &Project, name: &str, number: i64) -> EntitySnapshot {
    p.other.entity_chain(&p.caller, &named(name), number).await.unwrap().start()
}

fn facts(snapshot: &EntitySnapshot) -> Vec<&str> {
    let mut facts: Vec<&str> = snapshot.observations().iter().map(|one| one.text.as_str()).collect();
    facts.sort_unstable();
    facts
}

pub async fn every_change_of_an_entity_is_listed_with_what_it_was_about(p: Project) {
    entity(&p, &p.caller, "A", json!({"a": 1})).await;
    entity(&p, &p.caller, "B", json!({})).await;
    entity(&p, &p.caller, "A", json!({"b": 2})).await;
    let one = fact(&p, &p.caller, "A", "one").await;
    fact(&p, &p.caller, "B", "other").await;
    p.bank.link(&p.caller, &named("B"), "uses", &named("A")).await.unwrap();
    p.bank.delete_observation(&p.caller, &one, None).await.unwrap();
    p.bank.unlink(&p.caller, &named("B"), "uses", &named("A")).await.unwrap();
    let found = of(&p, "A").await;
    assert_eq!(
        words(&found),
        [
            "deleted link B: uses -> A",
            "deleted fact A: one",
            "created link B: uses -> A",
            "created fact A: one",
            r#"changed entity A: thing {"a":1,"b":2}"#,
            r#"created entity A: thing {"a":1}"#,
        ]
    );
    assert!(found.windows(2).all(|pair| pair[0].number > pair[1].number && pair[0].at >= pair[1].at));
    assert_eq!(changes(&p, GraphSubject::Project).await.len(), 8);
    assert!(found.iter().all(|change| change.author.as_ref() == Some(&p.caller.user_name)));
}

pub async fn a_change_records_tool_and_session_and_lists_are_filtered_and_paged(p: Project) {
    let session = Uuid::from_u128((7 << 76) | (2 << 62) | 5).to_string();
    let context =
        ChangeContext { session: Some(session.clone()), ..ChangeContext::of_tool("graph_upsert_entity") };
    let bank = p.bank.in_context(&context);
    let draft = EntityDraft { name: "A".into(), entity_type: "thing".into(), attrs: None };
    bank.upsert_entity(&p.caller, draft).await.unwrap();
    for number in 0..4 {
        fact(&p, &p.colleague, "A", &number.to_string()).await;
    }
    let of_session = changes(&p, GraphSubject::Session(session.clone())).await;
    assert_eq!(of_session.len(), 1);
    assert_eq!(
        (&of_session[0].tool, &of_session[0].session),
        (&Some("graph_upsert_entity".into()), &Some(session))
    );
    assert_eq!(changes(&p, GraphSubject::Session("none".into())).await, []);
    let all = of(&p, "A").await;
    assert_eq!((all[0].tool.as_ref(), all[0].session.as_ref()), (None, None));
    let query = |by: Option<&str>| GraphChangeQuery {
        by: by.map(str::to_owned),
        ..GraphChangeQuery::newest(GraphSubject::Project, 2)
    };
    let by = p.other.list_graph_changes(&p.caller, &query(Some(&p.caller.user_name))).await.unwrap();
    assert!(!by.changes.is_empty());
    let mut paged = Vec::new();
    let mut next = query(None);
    loop {
        let page = p.other.list_graph_changes(&p.caller, &next).await.unwrap();
        assert!(page.changes.len() <= 2);
        paged.extend(page.changes);
        if page.next.is_none() {
            break;
        }
        next.after = page.next;
    }
    assert_eq!(paged, all);
    let since = GraphChangeQuery { since: Some(all[1].at), ..query(None) };
    assert!(!p.other.list_graph_changes(&p.caller, &since).await.unwrap().changes.is_empty());
    let until = GraphChangeQuery { until: Some(all[4].at), ..query(None) };
    assert_eq!(p.other.list_graph_changes(&p.caller, &until).await.unwrap().changes, []);
}

pub async fn a_deleted_entity_is_found_by_its_name_and_comes_back_as_it_was(p: Project) {
    entity(&p, &p.caller, "Api", json!({"port": 80})).await;
    entity(&p, &p.caller, "Store", json!({})).await;
    fact(&p, &p.caller, "Api", "fast").await;
    fact(&p, &p.caller, "Api", "small").await;
    p.bank.link(&p.caller, &named("Api"), "uses", &named("Store")).await.unwrap();
    let before = of(&p, "Api").await[0].number;
    let was = at(&p, "Api", before).await;
    p.bank.delete_entity(&p.caller, &named("Api")).await.unwrap();
    let deleted = of(&p, "api").await;
    let gone = deleted.iter().filter(|change| change.change == ItemChange::Deleted).count();
    assert_eq!(gone, 4, "{:?}", words(&deleted));
    assert!(at(&p, "Api", deleted[0].number).await.entity().is_none());
    assert_eq!(render(&at(&p, "Api", before).await), render(&was));
    let done = p.bank.restore_entity(&p.caller, &was, &[]).await.unwrap();
    assert_eq!((done.observations_added, done.relations_added, done.entity_changed), (2, 1, true));
    let now = p.other.entity_chain(&p.caller, &named("Api"), 0).await.unwrap().now;
    assert_eq!(render(&now), render(&was));
    // A second restore changes nothing.
    let count = of(&p, "Api").await.len();
    p.bank.restore_entity(&p.caller, &was, &[]).await.unwrap();
    assert_eq!(of(&p, "Api").await.len(), count);
    // A relation to an entity that is gone stays away.
    p.bank.delete_entity(&p.caller, &named("Api")).await.unwrap();
    p.bank.delete_entity(&p.caller, &named("Store")).await.unwrap();
    let done = p.bank.restore_entity(&p.caller, &was, &[]).await.unwrap();
    assert_eq!(done.relations_left, ["uses Store"]);
}

pub async fn an_editor_restores_but_deletes_no_facts_and_an_owner_does(p: Project) {
    entity(&p, &p.colleague, "A", json!({})).await;
    let first = of(&p, "A").await[0].number;
    let was = at(&p, "A", first).await;
    fact(&p, &p.caller, "A", "one").await;
    let refused = p.bank.restore_entity(&p.colleague, &was, &[]).await;
    if !p.colleague.may(memory_bank_core::caller::Right::Admin) {
        assert!(matches!(refused, Err(GraphError::Invalid(_))), "{refused:?}");
        assert_eq!(facts(&p.other.entity_chain(&p.caller, &named("A"), 0).await.unwrap().now), ["one"]);
    }
    p.bank.restore_entity(&p.caller, &was, &[]).await.unwrap();
    assert!(facts(&p.other.entity_chain(&p.caller, &named("A"), 0).await.unwrap().now).is_empty());
}

pub async fn an_erased_history_of_an_entity_is_gone_and_the_entity_stays(p: Project) {
    entity(&p, &p.caller, "A", json!({"secret": "hunter2"})).await;
    entity(&p, &p.caller, "A", json!({"secret": null})).await;
    entity(&p, &p.caller, "B", json!({})).await;
    let secret = fact(&p, &p.caller, "A", "hunter2").await;
    fact(&p, &p.caller, "A", "stays").await;
    p.bank.delete_observation(&p.caller, &secret, None).await.unwrap();
    assert_eq!(p.bank.erase_entity(&p.caller, &named("A")).await.unwrap(), 5);
    let left = format!("{:?}", changes(&p, GraphSubject::Project).await);
    assert!(!left.contains("hunter2"), "{left}");
    assert_eq!(words(&of(&p, "B").await), ["created entity B: thing"]);
    let now = p.other.entity_chain(&p.caller, &named("A"), 0).await.unwrap().now;
    assert_eq!(facts(&now), ["stays"]);
    if !p.colleague.may(memory_bank_core::caller::Right::Admin) {
        assert!(p.bank.erase_entity(&p.colleague, &named("A")).await.is_err());
    }
}

pub async fn nothing_brings_erased_changes_back(p: Project) {
    entity(&p, &p.caller, "A", json!({})).await;
    let secret = fact(&p, &p.caller, "A", "a secret").await;
    let before = of(&p, "A").await[0].number;
    p.bank.delete_observation(&p.caller, &secret, None).await.unwrap();
    let chain = p.bank.entity_chain(&p.caller, &named("A"), before).await.unwrap();
    let made_of = [chain.numbers(), vec![before]].concat();
    p.other.erase_entity(&p.caller, &named("A")).await.unwrap();
    let refused = p.bank.restore_entity(&p.caller, &chain.start(), &made_of).await;
    assert!(matches!(refused, Err(GraphError::Store(StoreError::HistoryErased))), "{refused:?}");
    let mut editor = |drafts: &mut Drafts| {
        let made_of = vec![HistorySource::GraphChanges(made_of.clone())];
        drafts.set_context(&ChangeContext { made_of, ..ChangeContext::default() });
        Ok(())
    };
    let part = GraphPart { entities: [chain.now.id.clone()].into(), ..GraphPart::default() };
    let mut rule = |state: &GraphState, _: &str| {
        assert!(state.entity(&chain.now.id).is_some());
        Ok(vec![Event::EntityDelete { entity_id: chain.now.id.clone(), ts: String::new() }])
    };
    let refused = p.bank.edit_with_graph(&p.caller, &[], &mut editor, &part, &mut rule).await;
    assert!(matches!(refused, Err(EditError::Store(StoreError::HistoryErased))), "{refused:?}");
    let now = p.bank.entity_chain(&p.caller, &named("A"), 0).await.unwrap().now;
    assert!(now.entity().is_some() && facts(&now).is_empty());
}

pub async fn a_restore_at_once_with_an_erasure_comes_before_it_or_not_at_all(p: Project) {
    for round in 0..16 {
        let name = format!("A{round}");
        entity(&p, &p.caller, &name, json!({})).await;
        let secret = fact(&p, &p.caller, &name, "a secret").await;
        let before = of(&p, &name).await[0].number;
        p.bank.delete_observation(&p.caller, &secret, None).await.unwrap();
        let restore = async {
            let Ok(chain) = p.bank.entity_chain(&p.caller, &named(&name), before).await else { return false };
            let made_of = [chain.numbers(), vec![before]].concat();
            p.bank.restore_entity(&p.caller, &chain.start(), &made_of).await.is_ok()
        };
        let erase = async {
            for _ in 0..round % 8 {
                p.other.list(&p.caller).await.unwrap();
            }
            p.other.erase_entity(&p.caller, &named(&name)).await
        };
        let (is_back, erased) = futures::join!(restore, erase);
        erased.unwrap();
        let chain = p.bank.entity_chain(&p.caller, &named(&name), 0).await.unwrap();
        assert_eq!(facts(&chain.now).len(), usize::from(is_back), "{name}");
        assert_eq!(chain.numbers(), [0_i64; 0], "{name}");
    }
}

pub async fn numbers_of_erased_changes_name_no_others(p: Project) {
    let shown = |all: &[GraphChange]| -> Vec<(i64, String)> {
        all.iter().map(|change| (change.number, format!("{:?}", change.item()))).collect()
    };
    for name in ["A", "B", "C", "D"] {
        entity(&p, &p.caller, name, json!({"n": 0})).await;
    }
    for n in 1..4 {
        for name in ["A", "B", "C"] {
            entity(&p, &p.caller, name, json!({"n": n})).await;
            fact(&p, &p.caller, name, &format!("{name} {n}")).await;
        }
        // The deletion of another entity deletes a relation of the erased one, too.
        for other in ["B", "D"] {
            p.bank.link(&p.caller, &named(other), "uses", &named("A")).await.unwrap();
        }
        if n == 2 {
            p.bank.delete_entity(&p.caller, &named("D")).await.unwrap();
            entity(&p, &p.caller, "D", json!({"n": 9})).await;
            p.bank.compact(&p.caller).await.unwrap();
        }
    }
    for erased in ["A", "C"] {
        let gone: Vec<i64> = of(&p, erased).await.iter().map(|change| change.number).collect();
        let before = shown(&changes(&p, GraphSubject::Project).await);
        let kept: Vec<_> = before.iter().filter(|(number, _)| !gone.contains(number)).cloned().collect();
        p.bank.erase_entity(&p.caller, &named(erased)).await.unwrap();
        assert_eq!(shown(&changes(&p, GraphSubject::Project).await), kept, "{erased}");
        entity(&p, &p.caller, erased, json!({"n": 10})).await;
        let newest = of(&p, erased).await;
        let last = before.iter().map(|(number, _)| *number).max().unwrap();
        assert!(newest.iter().all(|change| change.number > last), "{newest:?}");
        for number in gone {
            let missing = p.other.entity_chain(&p.caller, &named(erased), number).await;
            assert!(matches!(missing, Err(GraphHistoryError::NoChange { .. })), "{number}: {missing:?}");
        }
    }
    // What stays is followed back by its numbers.
    let numbers: Vec<i64> = of(&p, "B").await.iter().map(|change| change.number).collect();
    for number in numbers {
        assert!(p.other.entity_chain(&p.caller, &named("B"), number).await.is_ok(), "{number}");
    }
}

pub async fn an_unknown_entity_or_change_is_named(p: Project) {
    entity(&p, &p.caller, "A", json!({})).await;
    entity(&p, &p.caller, "B", json!({})).await;
    let of_b = of(&p, "B").await[0].number;
    let query = GraphChangeQuery::newest(GraphSubject::Entity(named("nobody")), 5);
    let missing = p.bank.list_graph_changes(&p.caller, &query).await;
    assert!(
        matches!(missing, Err(GraphHistoryError::Graph(GraphError::EntityNotFound { .. }))),
        "{missing:?}"
    );
    for number in [of_b, 1_000_000] {
        let missing = p.bank.entity_chain(&p.caller, &named("A"), number).await;
        assert!(matches!(missing, Err(GraphHistoryError::NoChange { .. })), "{missing:?}");
    }
}

/// Changes drawn from a fixed sequence; after each one the entity reads back as a model has it.
pub async fn an_entity_as_it_was_after_each_change_equals_a_model(p: Project) {
    let mut seed: u64 = 0x5eed;
    let mut draw = move |most: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % most
    };
    let names = ["A", "B", "C"];
    // What each entity was after each of its changes: by name, then by number.
    let mut model: BTreeMap<&str, Vec<(i64, String)>> = BTreeMap::new();
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for step in 0..60 {
        let name = names[usize::try_from(draw(3)).unwrap()];
        let other = names[usize::try_from(draw(3)).unwrap()];
        // Errors (an entity that is not there) change nothing.
        match draw(8) {
            0 | 1 => entity(&p, &p.caller, name, json!({"n": step})).await,
            2..=4 => {
                let draft = ObservationDraft { text: format!("fact {step}"), ..ObservationDraft::default() };
                let _ = p.bank.add_observation(&p.caller, &named(name), draft).await;
            }
            5 => {
                let _ = p.bank.link(&p.caller, &named(name), "uses", &named(other)).await;
            }
            6 => {
                if let Ok(chain) = p.bank.entity_chain(&p.caller, &named(name), 0).await
                    && let Some(one) = chain.now.observations().first()
                {
                    p.bank.delete_observation(&p.caller, &one.id, None).await.unwrap();
                }
            }
            _ if draw(3) == 0 => {
                let _ = p.bank.delete_entity(&p.caller, &named(name)).await;
            }
            _ => {}
        }
        for name in names {
            let Ok(chain) = p.other.entity_chain(&p.caller, &named(name), 0).await else { continue };
            let Some(newest) = chain.changes.first() else { continue };
            if known.insert(name, chain.changes.len()) != Some(chain.changes.len()) {
                model.entry(name).or_default().push((newest.number, render(&chain.now)));
            }
            assert_eq!(render(&chain.start()), "", "before its first change {name} did not exist");
        }
    }
    assert!(model.values().map(Vec::len).sum::<usize>() > 30);
    p.bank.compact(&p.caller).await.unwrap();
    for (name, versions) in &model {
        for (number, expected) in versions {
            assert_eq!(render(&at(&p, name, *number).await), *expected, "{name} after {number}");
        }
    }
}

async fn outlined(p: &Project, at: Option<jiff::Timestamp>) -> (Vec<String>, Vec<String>) {
    let outline = p.other.outline(&p.caller, at).await.unwrap();
    let name = |at: usize| outline.entities[at].name.clone();
    let entity = |entity: &OutlineEntity| format!("{} [{}]", entity.name, outline.types[entity.entity_type]);
    let relation = |one: &OutlineRelation| {
        format!("{} {} {}", name(one.from), outline.relation_types[one.relation_type], name(one.to))
    };
    let mut entities: Vec<String> = outline.entities.iter().map(entity).collect();
    let mut relations: Vec<String> = outline.relations.iter().map(relation).collect();
    entities.sort();
    relations.sort();
    (entities, relations)
}

pub async fn the_outline_shows_the_graph_as_it_is_and_as_it_was(p: Project) {
    let ms = jiff::SignedDuration::from_millis;
    // A moment after the last change, and before the next one.
    let now = async || {
        let last = changes(&p, GraphSubject::Project).await[0].at;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        last.checked_add(ms(2)).unwrap()
    };
    entity(&p, &p.caller, "A", json!({"a": 1})).await;
    entity(&p, &p.caller, "B", json!({})).await;
    fact(&p, &p.caller, "A", "one").await;
    p.bank.link(&p.caller, &named("A"), "uses", &named("B")).await.unwrap();
    let both = now().await;
    let first = p.other.outline(&p.caller, None).await.unwrap().first.unwrap();
    let before = jiff::Timestamp::from_millisecond(first - 1).unwrap();
    p.bank.unlink(&p.caller, &named("A"), "uses", &named("B")).await.unwrap();
    let unlinked = now().await;
    let chain = p.bank.entity_chain(&p.caller, &named("B"), 0).await.unwrap();
    p.bank.delete_entity(&p.caller, &named("B")).await.unwrap();
    let alone = now().await;
    p.bank.restore_entity(&p.caller, &chain.now, &[]).await.unwrap();
    entity(&p, &p.caller, "C", json!({})).await;
    p.bank.link(&p.caller, &named("C"), "uses", &named("A")).await.unwrap();
    let shown = |entities: &[&str], relations: &[&str]| {
        let entities = entities.iter().map(|name| format!("{name} [thing]")).collect::<Vec<_>>();
        (entities, relations.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(outlined(&p, None).await, shown(&["A", "B", "C"], &["C uses A"]));
    assert_eq!(outlined(&p, Some(before)).await, shown(&[], &[]));
    assert_eq!(outlined(&p, Some(both)).await, shown(&["A", "B"], &["A uses B"]));
    assert_eq!(outlined(&p, Some(unlinked)).await, shown(&["A", "B"], &[]));
    assert_eq!(outlined(&p, Some(alone)).await, shown(&["A"], &[]));
    let of_all = p.other.outline(&p.caller, Some(before)).await.unwrap().first;
    assert_eq!(of_all, Some(first), "the first entity counts whichever time is asked for");
}

/// The graph just before a time, as lines.
async fn before(p: &Project, until: jiff::Timestamp) -> Vec<String> {
    let then = p.other.graph_before(&p.caller, until).await.unwrap().unwrap();
    assert!(then.is_whole);
    let state = then.state;
    let mut lines: Vec<String> =
        state.entities().map(|one| render(&EntitySnapshot::of(&state, &one.id))).collect();
    lines.sort();
    lines
}

pub async fn the_graph_before_a_time_has_what_was_deleted_since_and_nothing_later(p: Project) {
    let ms = jiff::SignedDuration::from_millis;
    let now = async || {
        let last = changes(&p, GraphSubject::Project).await[0].at;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        last.checked_add(ms(2)).unwrap()
    };
    let shown = async || {
        let state = p.other.graph_before(&p.caller, jiff::Timestamp::MAX).await.unwrap().unwrap().state;
        let mut lines: Vec<String> =
            state.entities().map(|one| render(&EntitySnapshot::of(&state, &one.id))).collect();
        lines.sort();
        lines
    };
    entity(&p, &p.caller, "A", json!({"a": 1})).await;
    let first = changes(&p, GraphSubject::Project).await[0].at.checked_sub(ms(2)).unwrap();
    assert!(before(&p, first).await.is_empty());
    let mut known = vec![(first, Vec::new())];
    let mut note = async || {
        let at = now().await;
        let size = p.other.graph_size(&p.caller, at).await.unwrap();
        assert!(size.bytes > 500, "{size:?}");
        known.push((at, shown().await));
    };
    entity(&p, &p.caller, "B", json!({})).await;
    let one = fact(&p, &p.caller, "A", "one").await;
    fact(&p, &p.caller, "B", "two").await;
    p.bank.link(&p.caller, &named("A"), "uses", &named("B")).await.unwrap();
    note().await;
    entity(&p, &p.caller, "A", json!({"a": 2, "b": [true]})).await;
    p.bank.delete_observation(&p.caller, &one, None).await.unwrap();
    note().await;
    let chain = p.bank.entity_chain(&p.caller, &named("B"), 0).await.unwrap();
    p.bank.delete_entity(&p.caller, &named("B")).await.unwrap();
    note().await;
    p.bank.restore_entity(&p.caller, &chain.now, &[]).await.unwrap();
    note().await;
    let backup = p.bank.create_backup(&p.caller, None).await.unwrap();
    p.bank.delete_entity(&p.caller, &named("A")).await.unwrap();
    entity(&p, &p.caller, "C", json!({})).await;
    note().await;
    p.bank.restore_backup(&p.caller, &backup.id, false).await.unwrap();
    note().await;
    p.bank.compact(&p.caller).await.unwrap();
    fact(&p, &p.caller, "A", "last").await;
    for (at, right) in &known {
        assert_eq!(before(&p, *at).await, *right, "{at}");
    }
    assert!(known[1].1.join("\n").contains("two") && known[3].1.len() == 1, "{known:?}");
}

pub async fn an_erased_history_of_the_graph_does_not_reach_back(p: Project) {
    entity(&p, &p.caller, "A", json!({})).await;
    fact(&p, &p.caller, "A", "one").await;
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let then = changes(&p, GraphSubject::Project).await[0]
        .at
        .checked_add(jiff::SignedDuration::from_millis(2))
        .unwrap();
    entity(&p, &p.caller, "B", json!({})).await;
    fact(&p, &p.caller, "A", "two").await;
    let whole = p.other.graph_before(&p.caller, then).await.unwrap().unwrap();
    assert!(whole.is_whole && whole.state.observations().count() == 1);
    p.bank.erase_entity(&p.caller, &named("A")).await.unwrap();
    let partial = p.other.graph_before(&p.caller, then).await.unwrap().unwrap();
    assert!(!partial.is_whole);
    assert_eq!(partial.state.entities().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["A"]);
}
