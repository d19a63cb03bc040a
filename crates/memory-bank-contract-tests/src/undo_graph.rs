//! Taking changes of the graph back, together with those of documents.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use std::sync::Arc;

use memory_bank_core::caller::Caller;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::EditError;
use memory_bank_core::graph::event::Event;
use memory_bank_core::graph::history::{
    GraphChangeQuery, GraphSubject, ItemChange, ItemObstacle, render, summary_of,
};
use memory_bank_core::graph::{FactView, Validity};
use memory_bank_core::limits;
use memory_bank_core::store::{
    Bank, EntityDraft, EntityRef, GraphPart, ItemReason, LeftItem, ObservationDraft, UndoReport, UndoRequest,
};
use serde_json::{Value, json};

use crate::undo::{context, request, run, session, undo_session, write};
use crate::{Project, path};

pub(crate) fn named(name: &str) -> EntityRef {
    EntityRef(name.into())
}

/// The bank in a session.
pub(crate) fn within(p: &Project, number: u128) -> Arc<dyn Bank> {
    p.bank.in_context(&context(number, "graph"))
}

pub(crate) async fn entity(p: &Project, caller: &Caller, number: u128, name: &str, attrs: Value) {
    let attrs = attrs.as_object().cloned().filter(|attrs| !attrs.is_empty());
    let draft = EntityDraft { name: name.into(), entity_type: "thing".into(), attrs };
    within(p, number).upsert_entity(caller, draft).await.unwrap();
}

pub(crate) async fn fact(p: &Project, caller: &Caller, number: u128, name: &str, text: &str) -> String {
    let draft = ObservationDraft { text: text.into(), ..ObservationDraft::default() };
    within(p, number).add_observation(caller, &named(name), draft).await.unwrap().observation.id
}

pub(crate) async fn link(p: &Project, caller: &Caller, number: u128, from: &str, to: &str) {
    within(p, number).link(caller, &named(from), "uses", &named(to)).await.unwrap();
}

/// The entity as text; `None` if it does not exist.
pub(crate) async fn shown(p: &Project, name: &str) -> Option<String> {
    let chain = p.other.entity_chain(&p.caller, &named(name), 0).await.ok()?;
    chain.now.entity().map(|_| render(&chain.now))
}

fn words(report: &UndoReport) -> Vec<String> {
    let word = |one: &memory_bank_core::store::UndoneItem| {
        format!(
            "{} {}: {}",
            one.change.as_str(),
            one.entity.as_deref().unwrap_or("?"),
            summary_of(&one.item, one.other.as_deref(), 40)
        )
    };
    let mut words: Vec<String> = report.undone_items.iter().map(word).collect();
    words.sort();
    words
}

fn left<'r>(report: &'r UndoReport, about: &str) -> &'r LeftItem {
    let is_it = |one: &&LeftItem| {
        one.item.as_ref().is_some_and(|item| summary_of(item, one.other.as_deref(), 40) == about)
            || one.entity.as_deref() == Some(about)
    };
    report.left_items.iter().find(is_it).unwrap_or_else(|| panic!("{about} is not left: {report:?}"))
}

pub async fn all_that_a_session_changed_in_the_graph_is_taken_back_with_its_documents(p: Project) {
    entity(&p, &p.caller, 1, "A", json!({"port": 80, "host": "a"})).await;
    entity(&p, &p.caller, 1, "B", json!({})).await;
    entity(&p, &p.caller, 1, "C", json!({})).await;
    let old = fact(&p, &p.caller, 1, "A", "old").await;
    fact(&p, &p.caller, 1, "B", "of b").await;
    link(&p, &p.caller, 1, "A", "B").await;
    link(&p, &p.caller, 1, "C", "B").await;
    write(&p, &p.caller, 1, "a.md", "one\n").await;
    let mut before = Vec::new();
    for name in ["A", "B", "C"] {
        before.push(shown(&p, name).await);
    }
    entity(&p, &p.caller, 2, "A", json!({"port": 81, "host": null, "new": true})).await;
    fact(&p, &p.caller, 2, "A", "new").await;
    within(&p, 2).delete_observation(&p.caller, &old, None).await.unwrap();
    within(&p, 2).unlink(&p.caller, &named("A"), "uses", &named("B")).await.unwrap();
    link(&p, &p.caller, 2, "A", "C").await;
    within(&p, 2).delete_entity(&p.caller, &named("B")).await.unwrap();
    entity(&p, &p.caller, 2, "D", json!({})).await;
    fact(&p, &p.caller, 2, "D", "of d").await;
    link(&p, &p.caller, 2, "D", "A").await;
    write(&p, &p.caller, 2, "a.md", "two\n").await;
    let report = undo_session(&p, 2, 3).await;
    assert!(report.is_written && report.left_items.is_empty(), "{report:?}");
    let words = words(&report);
    assert!(words[0].starts_with("changed A: thing"), "{words:?}");
    assert_eq!(
        words[1..],
        [
            "created A: old",
            "created A: uses -> B",
            "created B: of b",
            "created B: thing",
            "created C: uses -> B",
            "deleted A: new",
            "deleted A: uses -> C",
            "deleted D: of d",
            "deleted D: thing",
            "deleted D: uses -> A",
        ]
    );
    assert_eq!(p.text("a.md").await.as_deref(), Some("one\n"));
    for (name, text) in ["A", "B", "C"].iter().zip(&before) {
        assert_eq!(sorted(shown(&p, name).await), sorted(text.clone()), "{name}");
    }
    assert_eq!(shown(&p, "D").await, None);
    let newest = GraphChangeQuery::newest(GraphSubject::Project, 1);
    let newest = p.other.list_graph_changes(&p.caller, &newest).await.unwrap().changes.remove(0);
    assert_eq!((newest.tool.as_deref(), newest.undoes.is_some()), (Some("history"), true));
    // A second undo changes nothing; the undo can be undone, and done again.
    let again = undo_session(&p, 2, 4).await;
    assert_eq!((again.undone_items.len(), again.unchanged, again.is_written), (0, 12, false), "{again:?}");
    assert_eq!(undo_session(&p, 3, 5).await.undone_items.len(), 11);
    assert!(shown(&p, "D").await.unwrap().contains("of d") && shown(&p, "B").await.is_none());
    assert_eq!(p.text("a.md").await.as_deref(), Some("two\n"));
    assert_eq!(undo_session(&p, 2, 6).await.undone_items.len(), 11);
    assert_eq!(sorted(shown(&p, "A").await), sorted(before[0].clone()));
    undo_session(&p, 1, 7).await;
    for name in ["A", "B", "C"] {
        assert_eq!(shown(&p, name).await, None, "{name}");
    }
}

/// The lines in an order that does not depend on when attributes were set.
pub(crate) fn sorted(text: Option<String>) -> Option<Vec<String>> {
    let mut lines: Vec<String> = text?.lines().map(str::to_owned).collect();
    lines.sort();
    Some(lines)
}

pub async fn what_others_changed_in_the_graph_stays_and_is_named(p: Project) {
    entity(&p, &p.caller, 1, "A", json!({"port": 80})).await;
    entity(&p, &p.caller, 1, "B", json!({"port": 80})).await;
    entity(&p, &p.caller, 1, "Gone", json!({})).await;
    link(&p, &p.caller, 1, "A", "Gone").await;
    let mine = fact(&p, &p.caller, 2, "A", "mine").await;
    entity(&p, &p.caller, 2, "A", json!({"port": 81})).await;
    entity(&p, &p.caller, 2, "B", json!({"port": 81})).await;
    within(&p, 2).unlink(&p.caller, &named("A"), "uses", &named("Gone")).await.unwrap();
    entity(&p, &p.colleague, 5, "A", json!({"host": "theirs"})).await;
    entity(&p, &p.colleague, 5, "B", json!({"port": 82})).await;
    within(&p, 6).delete_observation(&p.caller, &mine, None).await.unwrap();
    within(&p, 6).delete_entity(&p.caller, &named("Gone")).await.unwrap();
    let report = undo_session(&p, 2, 3).await;
    let a = shown(&p, "A").await.unwrap();
    assert!(a.contains("port = 80") && a.contains("host = \"theirs\""), "{a}");
    assert!(report.undone_items[0].is_merged && report.undone_items[0].change == ItemChange::Changed);
    let b = left(&report, "B");
    assert_eq!(b.reason, ItemReason::Obstacle(ItemObstacle::ChangedSince));
    assert_eq!(b.others[0].author.as_ref(), Some(&p.colleague.user_name));
    assert!(shown(&p, "B").await.unwrap().contains("port = 82"));
    let link = left(&report, "uses -> Gone");
    assert_eq!(link.reason, ItemReason::NoEntity);
    // The deletion of the entity that it needs, and the version before it.
    let [deletion] = &link.others[..] else { panic!("{link:?}") };
    assert_eq!((deletion.change, deletion.session.as_ref()), (ItemChange::Deleted, Some(&session(6))));
    let number = link.former.as_ref().filter(|former| former.name == "Gone").unwrap().number;
    let was = p.bank.entity_chain(&p.caller, &named("Gone"), number).await.unwrap().start();
    assert!(was.entity().is_some(), "{was:?}");
    let number = b.former.as_ref().filter(|former| former.name == "B").unwrap().number;
    let was = p.bank.entity_chain(&p.caller, &named("B"), number).await.unwrap().start();
    assert!(render(&was).contains("port = 80"), "{was:?}");
    assert_eq!(
        (report.undone_items.len(), report.left_items.len(), report.unchanged),
        (1, 2, 1),
        "{report:?}"
    );
    // What comes back by hand is not taken back by the next undo of others.
    let again = undo_session(&p, 2, 4).await;
    assert_eq!((again.undone_items.len(), again.left_items.len()), (0, 2), "{again:?}");
}

pub async fn an_entity_that_others_use_stays_and_they_are_named(p: Project) {
    entity(&p, &p.caller, 1, "Old", json!({})).await;
    for name in ["Noted", "Linked", "Free"] {
        entity(&p, &p.caller, 2, name, json!({})).await;
        fact(&p, &p.caller, 2, name, &format!("mine of {name}")).await;
    }
    fact(&p, &p.colleague, 5, "Noted", "theirs").await;
    link(&p, &p.colleague, 5, "Old", "Linked").await;
    let report = undo_session(&p, 2, 3).await;
    for name in ["Noted", "Linked"] {
        let one = report.left_items.iter().find(|one| one.entity.as_deref() == Some(name)).unwrap();
        assert_eq!(one.reason, ItemReason::InUse, "{name}");
        assert!(
            one.others.iter().any(|other| other.author.as_ref() == Some(&p.colleague.user_name)),
            "{one:?}"
        );
        assert!(!shown(&p, name).await.unwrap().contains("mine"));
    }
    assert_eq!((report.left_items.len(), report.undone_items.len()), (2, 4), "{report:?}");
    assert!(shown(&p, "Noted").await.unwrap().contains("theirs"));
    assert_eq!(shown(&p, "Free").await, None);
    // When the others' changes are gone, the rest goes, too.
    undo_session(&p, 5, 6).await;
    assert_eq!(undo_session(&p, 2, 7).await.undone_items.len(), 2);
    assert_eq!((shown(&p, "Noted").await, shown(&p, "Linked").await), (None, None));
}

pub async fn nothing_is_written_by_a_dry_run_or_if_an_item_must_be_left(p: Project) {
    entity(&p, &p.caller, 1, "A", json!({"n": 1})).await;
    write(&p, &p.caller, 1, "a.md", "a\n").await;
    entity(&p, &p.caller, 2, "A", json!({"n": 2})).await;
    entity(&p, &p.caller, 2, "B", json!({})).await;
    write(&p, &p.caller, 2, "a.md", "mine\n").await;
    entity(&p, &p.colleague, 3, "A", json!({"n": 3})).await;
    let whole = UndoRequest { all_or_nothing: true, ..request(2, 4) };
    for request in [UndoRequest { dry_run: true, ..request(2, 4) }, whole] {
        let report = run(&p, &p.caller, &request).await;
        let counts = (report.undone.len(), report.undone_items.len(), report.left_items.len());
        assert_eq!((counts, report.is_written), ((1, 1, 1), false), "{report:?}");
        assert_eq!(p.text("a.md").await.as_deref(), Some("mine\n"));
        assert!(shown(&p, "B").await.is_some());
    }
    // One document: its graph stays.
    let one = UndoRequest { document: Some(path("a.md")), ..request(2, 4) };
    assert_eq!(run(&p, &p.caller, &one).await.undone_items.len(), 0);
    assert_eq!((p.text("a.md").await.as_deref(), shown(&p, "B").await.is_some()), (Some("a\n"), true));
    assert!(undo_session(&p, 2, 4).await.is_written);
    assert_eq!(shown(&p, "B").await, None);
}

pub async fn an_editor_takes_back_only_own_items_of_the_graph(p: Project) {
    entity(&p, &p.caller, 1, "Owner", json!({})).await;
    entity(&p, &p.colleague, 2, "Own", json!({})).await;
    let own = fact(&p, &p.colleague, 2, "Own", "own").await;
    fact(&p, &p.colleague, 2, "Owner", "note").await;
    link(&p, &p.colleague, 2, "Own", "Owner").await;
    entity(&p, &p.colleague, 2, "Touched", json!({})).await;
    entity(&p, &p.caller, 3, "Touched", json!({"n": 1})).await;
    entity(&p, &p.caller, 3, "Touched", json!({"n": null})).await;
    let refused = run(&p, &p.colleague, &request(1, 4)).await;
    assert_eq!((refused.of_others, refused.undone_items.len()), (1, 0), "{refused:?}");
    // An editor deletes neither facts nor entities otherwise.
    if !is_folder(&p) {
        within(&p, 2).delete_entity(&p.colleague, &named("Own")).await.unwrap_err();
        within(&p, 2).delete_observation(&p.colleague, &own, None).await.unwrap_err();
    }
    let report = run(&p, &p.colleague, &request(2, 4)).await;
    assert_eq!((report.undone_items.len(), report.left_items.len()), (4, 1), "{report:?}");
    assert_eq!(report.left_items[0].reason, ItemReason::NotOwn);
    assert_eq!(shown(&p, "Own").await, None);
    assert!(!shown(&p, "Owner").await.unwrap().contains("note"));
    // An own creation that came back by an undo is an own creation again.
    assert_eq!(run(&p, &p.colleague, &request(4, 5)).await.undone_items.len(), 4);
    assert!(shown(&p, "Own").await.unwrap().contains("own"));
    assert_eq!(run(&p, &p.colleague, &request(5, 6)).await.undone_items.len(), 4);
    assert_eq!(shown(&p, "Own").await, None);
    assert_eq!(undo_session(&p, 2, 7).await.undone_items.len(), 1);
    assert_eq!(shown(&p, "Touched").await, None);
}

pub async fn one_entity_of_a_user_since_a_time_is_taken_back(p: Project) {
    entity(&p, &p.colleague, 1, "A", json!({"n": 1})).await;
    entity(&p, &p.colleague, 1, "B", json!({"n": 1})).await;
    let newest = GraphChangeQuery::newest(GraphSubject::Project, 1);
    let before = p.other.list_graph_changes(&p.caller, &newest).await.unwrap().changes[0].at;
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    entity(&p, &p.colleague, 2, "A", json!({"n": 2})).await;
    entity(&p, &p.colleague, 3, "B", json!({"n": 2})).await;
    write(&p, &p.colleague, 3, "b.md", "b\n").await;
    let all = UndoRequest {
        by: Some(p.colleague.user_name.clone()),
        since: before.checked_add(jiff::SignedDuration::from_millis(1)).ok(),
        session: None,
        ..request(0, 4)
    };
    let one = UndoRequest { entity: Some(named("A")), ..all.clone() };
    let report = run(&p, &p.caller, &one).await;
    assert_eq!((report.undone_items.len(), report.undone.len()), (1, 0), "{report:?}");
    assert!(shown(&p, "B").await.unwrap().contains("n = 2"));
    let report = run(&p, &p.caller, &all).await;
    assert_eq!((report.undone_items.len(), report.undone.len(), report.unchanged), (1, 1, 1), "{report:?}");
    for name in ["A", "B"] {
        assert!(shown(&p, name).await.unwrap().contains("n = 1"), "{name}");
    }
    assert_eq!(p.text("b.md").await, None);
}

pub async fn what_cannot_be_written_leaves_documents_and_graph(p: Project) {
    write(&p, &p.caller, 1, "a.md", "a\n").await;
    entity(&p, &p.caller, 1, "A", json!({})).await;
    let part = GraphPart::default();
    let paths: [DocumentPath; 1] = [path("a.md")];
    let edit = |refuses_document: bool, refuses_graph: bool| {
        let (p, part, paths) = (&p, &part, &paths);
        async move {
            let refuse = || EditError::Refused("no".into());
            let mut editor = |drafts: &mut memory_bank_core::store::Drafts| {
                drafts.set_context(&context(2, "edit"));
                drafts.set(&paths[0], "changed\n".into())?;
                if refuses_document { Err(refuse()) } else { Ok(()) }
            };
            let mut rule = |_: &memory_bank_core::graph::state::GraphState, now: &str| {
                let entity = memory_bank_core::graph::Entity {
                    id: memory_bank_core::graph::ids::entity_id("New", "thing"),
                    name: "New".into(),
                    entity_type: "thing".into(),
                    attrs: None,
                    created_at: now.into(),
                    updated_at: now.into(),
                };
                let event = Event::EntityUpsert { entity, ts: now.into() };
                if refuses_graph { Err(refuse()) } else { Ok(vec![event]) }
            };
            p.bank.edit_with_graph(&p.caller, paths, &mut editor, part, &mut rule).await
        }
    };
    for (document, graph) in [(true, false), (false, true)] {
        edit(document, graph).await.unwrap_err();
        assert_eq!((p.text("a.md").await.as_deref(), shown(&p, "New").await), (Some("a\n"), None));
    }
    edit(false, false).await.unwrap();
    assert_eq!(p.text("a.md").await.as_deref(), Some("changed\n"));
    let newest = GraphChangeQuery::newest(GraphSubject::Entity(named("New")), 1);
    let change = p.other.list_graph_changes(&p.caller, &newest).await.unwrap().changes.remove(0);
    assert_eq!((change.tool, change.session), (Some("edit".into()), context(2, "edit").session));
}

pub async fn undos_and_writes_at_the_same_time_lose_nothing(p: Project) {
    for round in 0..5_u128 {
        let first = 100 * (round + 1);
        let name = |number: usize| format!("E{round} {number}");
        for number in 0..4 {
            entity(&p, &p.caller, first, &name(number), json!({"n": number})).await;
            fact(&p, &p.caller, first, &name(number), "mine").await;
        }
        let document = format!("r{round}.md");
        write(&p, &p.caller, first, &document, "mine\n").await;
        // A colleague adds a fact to one of the entities meanwhile, or finds it gone.
        let draft = ObservationDraft { text: "theirs".into(), ..ObservationDraft::default() };
        let (theirs, of) = (within(&p, first + 3), named(&name(0)));
        let (by_one, by_other, added) = tokio::join!(
            undo_session(&p, first, first + 1),
            undo_session(&p, first, first + 2),
            theirs.add_observation(&p.colleague, &of, draft)
        );
        let taken = by_one.undone_items.len() * usize::from(by_one.is_written)
            + by_other.undone_items.len() * usize::from(by_other.is_written);
        let stays = shown(&p, &name(0)).await;
        assert_eq!(stays.is_some(), added.is_ok(), "{stays:?} {added:?}");
        assert!(stays.is_none_or(|text| text.contains("theirs") && !text.contains("mine")));
        assert_eq!(taken, if added.is_ok() { 7 } else { 8 }, "{by_one:?} {by_other:?}");
        assert_eq!(p.text(&document).await, None);
        for number in 1..4 {
            assert_eq!(shown(&p, &name(number)).await, None);
        }
    }
}

/// A folder belongs to its user: its files have no policies.
pub(crate) fn is_folder(p: &Project) -> bool {
    p.caller.key.is_none()
}

pub async fn undo_of_a_replacement_lets_the_former_fact_hold_and_bounds_come_back(p: Project) {
    let now = FactView::now("2099-01-01T00:00:00Z".parse().unwrap());
    let holding = async || {
        let opened = p.other.open(&p.caller, &[named("A")], 0, limits::REPLY_BYTES, now).await.unwrap();
        let mut texts: Vec<String> = opened.observations.into_iter().map(|fact| fact.text).collect();
        texts.sort();
        (texts, opened.ended_left)
    };
    let replacing = async |number: u128, text: &str, replaced: &str, until: &str| {
        let validity = Validity {
            supersedes: vec![replaced.to_owned()],
            valid_until: Some(until.to_owned()),
            ..Validity::default()
        };
        let draft = ObservationDraft { text: text.into(), validity, ..ObservationDraft::default() };
        within(&p, number).add_observation(&p.caller, &named("A"), draft).await.unwrap().observation
    };
    entity(&p, &p.caller, 1, "A", json!({})).await;
    fact(&p, &p.caller, 1, "A", "first").await;
    replacing(2, "second", "first", "2199-01-01").await;
    assert_eq!(holding().await, (vec!["second".to_owned()], 1));
    let report = undo_session(&p, 2, 3).await;
    assert!(report.is_written && report.left_items.is_empty(), "{report:?}");
    assert_eq!(holding().await, (vec!["first".to_owned()], 0));
    // A fact that comes back has its bounds.
    let again = replacing(4, "third", "first", "2199-01-01").await;
    within(&p, 5).delete_observation(&p.caller, &again.id, None).await.unwrap();
    assert_eq!(holding().await, (vec!["first".to_owned()], 0));
    assert!(undo_session(&p, 5, 6).await.is_written);
    assert_eq!(holding().await, (vec!["third".to_owned()], 1));
    assert!(p.other.export(&p.caller).await.unwrap().observations.contains(&again));
}
