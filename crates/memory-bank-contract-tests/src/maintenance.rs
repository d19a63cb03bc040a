//! What can be folded is listed, folded one by one, and taken back exactly.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use futures::future::join_all;
use jiff::Timestamp;
use memory_bank_core::graph::Validity;
use memory_bank_core::graph::history::{GraphChangeQuery, GraphSubject};
use memory_bank_core::maintenance::{Proposal, ProposalKind};
use memory_bank_core::store::{MaintainError, ObservationDraft, Survey, carry_out, chosen, surveyed};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Project;
use crate::undo::{request, run, session, undo_session, versions};
use crate::undo_graph::{entity, fact, is_folder, link, named, within};

/// A time at which facts of 2026 are old.
fn later() -> Timestamp {
    "2099-06-01T00:00:00Z".parse().unwrap()
}

fn session_id(number: u128) -> Uuid {
    session(number).parse().unwrap()
}

async fn fact_at(p: &Project, name: &str, text: &str, day: &str, validity: Validity) -> String {
    let draft = ObservationDraft { text: text.into(), timestamp: Some(day.into()), validity, source: None };
    within(p, 1).add_observation(&p.caller, &named(name), draft).await.unwrap().observation.id
}

async fn listed(p: &Project) -> Survey {
    surveyed(p.other.as_ref(), &p.caller).await.unwrap().examine(later())
}

/// Everything, sorted: an item that comes back is stored after the others. The time of an entity's last change is that of the undo.
async fn state(p: &Project, documents: &[&str]) -> Value {
    let graph = p.other.export(&p.caller).await.unwrap();
    let mut items: Vec<Value> = Vec::new();
    for mut entity in graph.entities {
        entity.updated_at.clear();
        items.push(json!(entity));
    }
    items.extend(graph.observations.iter().map(|fact| json!(fact)));
    items.extend(graph.relations.iter().map(|relation| json!(relation)));
    items.sort_by_key(|item| item["id"].as_str().unwrap().to_owned());
    let mut texts = Vec::new();
    for name in documents {
        texts.push(p.text(name).await);
    }
    json!({"graph": items, "documents": texts})
}

const DOCUMENTS: [&str; 2] = ["notes.md", "session-records.md"];

/// A bank with something of each kind.
async fn filled(p: &Project) {
    for name in ["Api", "Bus", "Buses", "Café", "Cafe", "Depot"] {
        entity(p, &p.caller, 1, name, json!({"made": name.len() > 9})).await;
    }
    let until = Validity { valid_until: Some("2026-03-01".into()), ..Validity::NONE };
    for (text, day, validity) in [
        ("speaks HTTP", "2026-01-01T00:00:00Z", Validity::NONE),
        ("speaks HTTP", "2026-01-02T00:00:00Z", Validity::NONE),
        (
            "The service stores all its sessions in the database of the project",
            "2026-01-03T00:00:00Z",
            Validity::NONE,
        ),
        (
            "The service stores its sessions in the database of the project",
            "2026-01-04T00:00:00Z",
            Validity::NONE,
        ),
        ("uses Postgres 14", "2026-01-05T00:00:00Z", Validity::NONE),
        ("uses Postgres 15", "2026-01-06T00:00:00Z", Validity::NONE),
        ("The trial runs", "2026-01-07T00:00:00Z", until),
    ] {
        fact_at(p, "Api", text, day, validity).await;
    }
    fact(p, &p.caller, 1, "Bus", "has a driver").await;
    let first = fact(p, &p.caller, 1, "Buses", "run hourly").await;
    let supersedes = Validity { supersedes: vec![first], ..Validity::NONE };
    fact_at(p, "Buses", "run at noon", "2099-05-20T00:00:00Z", supersedes).await;
    link(p, &p.caller, 1, "Depot", "Buses").await;
    link(p, &p.caller, 1, "Buses", "Depot").await;
    p.write("notes.md", "# Notes\r\n\r\n- keep the lights on\r\n- drink water\r\n- keep the lights on\r\n")
        .await;
    p.write(
        "session-records.md",
        "# Session Records\n\n## Sessions\n\n- [2026-02-03 09:00:00 UTC] session `b` of codex on `main`, 35 min\nmy own line\n",
    )
    .await;
}

pub async fn each_kind_is_proposed_and_each_proposal_is_one_change_that_is_taken_back(p: Project) {
    filled(&p).await;
    let first = state(&p, &DOCUMENTS).await;
    let survey = listed(&p).await;
    let mut kinds: Vec<ProposalKind> = survey.proposals.iter().map(|one| one.kind).collect();
    kinds.dedup();
    assert_eq!(kinds, ProposalKind::ALL, "{survey:#?}");
    assert!(survey.not_examined.is_empty());
    for (number, proposal) in (100..).step_by(2).zip(survey.proposals.iter().filter(|one| one.fold.is_some()))
    {
        carry_out(p.bank.as_ref(), &p.caller, proposal, session_id(number), later()).await.unwrap();
        let changed = state(&p, &DOCUMENTS).await;
        assert_ne!(changed, first, "{proposal:?}");
        assert!(!listed(&p).await.proposals.iter().any(|one| one.id == proposal.id), "{proposal:?}");
        let again = carry_out(p.other.as_ref(), &p.caller, proposal, session_id(number), later()).await;
        assert!(matches!(again, Err(MaintainError::Gone(_))), "{proposal:?}: {again:?}");
        assert_eq!(state(&p, &DOCUMENTS).await, changed);
        let report = undo_session(&p, number, number + 1).await;
        assert!(report.is_written && report.left.is_empty() && report.left_items.is_empty(), "{report:?}");
        assert_eq!(state(&p, &DOCUMENTS).await, first, "{proposal:?}");
    }
    let ids = |survey: &Survey| survey.proposals.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&listed(&p).await), ids(&survey), "the same content gives the same proposals");
}

pub async fn all_proposals_are_carried_out_and_taken_back_in_any_order(p: Project) {
    filled(&p).await;
    let mut runner = TestRunner::deterministic();
    for round in 0..4_u128 {
        let words = proptest::collection::vec((0..4_usize, 0..5_usize, 1..28_u32), 4..12);
        for (name, text, day) in words.new_tree(&mut runner).unwrap().current() {
            let name = ["Key", "Keys", "KÉY", "Api"][name];
            let text = [
                "opens doors",
                "opens no doors",
                "opens 2 doors",
                "is kept in the safe of the owner",
                "is also kept in the safe of the owner",
            ][text];
            entity(&p, &p.caller, 1, name, json!({})).await;
            fact_at(&p, name, text, &format!("2026-0{}-{day:02}T00:00:00Z", round + 1), Validity::NONE).await;
        }
        let first = state(&p, &DOCUMENTS).await;
        let survey = listed(&p).await;
        let mut taken: Vec<Proposal> = Vec::new();
        for proposal in survey.proposals.iter().filter(|one| one.fold.is_some()) {
            if taken.iter().all(|one| one.touches().is_disjoint(&proposal.touches())) {
                taken.push(proposal.clone());
            }
        }
        let shuffled = Just(taken).prop_shuffle().new_tree(&mut runner).unwrap().current();
        let start = 1000 * (round + 1);
        let mut done = Vec::new();
        for (number, proposal) in (start..).zip(&shuffled) {
            // A merge takes facts of an entity along, and a proposal for them is then of another entity.
            match carry_out(p.bank.as_ref(), &p.caller, proposal, session_id(number), later()).await {
                Ok(()) => done.push(number),
                Err(MaintainError::Gone(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert!(done.len() > 2, "{shuffled:#?}");
        for number in done.iter().rev() {
            let report = run(&p, &p.caller, &request(*number, number + 500)).await;
            assert!(report.left.is_empty() && report.left_items.is_empty(), "{report:?}");
        }
        assert_eq!(state(&p, &DOCUMENTS).await, first, "{shuffled:#?}");
    }
}

pub async fn a_proposal_whose_ground_has_changed_is_refused_and_nothing_changes(p: Project) {
    filled(&p).await;
    let survey = listed(&p).await;
    let of = |kind| survey.proposals.iter().find(|one| one.kind == kind).unwrap();
    within(&p, 2)
        .delete_observation(
            &p.caller,
            of(ProposalKind::Duplicate).touches().into_iter().next().unwrap(),
            None,
        )
        .await
        .unwrap();
    fact(&p, &p.caller, 2, "Bus", "has wheels").await;
    p.write("notes.md", "# Notes\n\n- keep the lights on\n").await;
    let before = state(&p, &DOCUMENTS).await;
    for kind in [ProposalKind::Duplicate, ProposalKind::SameName, ProposalKind::DuplicateEntry] {
        let proposal = survey
            .proposals
            .iter()
            .find(|one| one.kind == kind && one.about != "Café" && one.about != "Cafe")
            .unwrap();
        let error =
            carry_out(p.bank.as_ref(), &p.caller, proposal, session_id(5), later()).await.unwrap_err();
        assert!(
            matches!(&error, MaintainError::Gone(ids) if *ids == [proposal.id.clone()]),
            "{kind:?}: {error}"
        );
        let now = listed(&p).await;
        let error = chosen(&now, std::slice::from_ref(&proposal.id)).unwrap_err();
        assert!(error.to_string().contains("what it concerns has changed"), "{error}");
    }
    let shown = of(ProposalKind::Contradiction);
    let error = chosen(&survey, std::slice::from_ref(&shown.id)).unwrap_err();
    assert!(matches!(error, MaintainError::OnlyShown(_)), "{error}");
    assert_eq!(state(&p, &DOCUMENTS).await, before);
}

pub async fn a_fold_is_listed_with_its_tool_and_session(p: Project) {
    filled(&p).await;
    for (number, proposal) in (100..).zip(listed(&p).await.proposals.iter().filter(|one| one.fold.is_some()))
    {
        carry_out(p.bank.as_ref(), &p.caller, proposal, session_id(number), later()).await.unwrap();
        let (tool, of_session) = if proposal.touches().is_empty() {
            let newest = versions(&p, &proposal.about).await.swap_remove(0);
            (newest.tool, newest.session)
        } else {
            let query = GraphChangeQuery::newest(GraphSubject::Session(session(number)), 1);
            let newest = p.other.list_graph_changes(&p.caller, &query).await.unwrap().changes.swap_remove(0);
            (newest.tool, newest.session)
        };
        assert_eq!((tool.as_deref(), of_session), (Some("maintain"), Some(session(number))), "{proposal:?}");
    }
}

pub async fn an_editor_folds_what_deletes_nothing_and_is_told_what_takes_an_owner(p: Project) {
    filled(&p).await;
    for (number, proposal) in (100..).zip(listed(&p).await.proposals.iter().filter(|one| one.fold.is_some()))
    {
        let before = state(&p, &DOCUMENTS).await;
        let done = carry_out(p.bank.as_ref(), &p.colleague, proposal, session_id(number), later()).await;
        let deletes =
            matches!(proposal.kind, ProposalKind::Duplicate | ProposalKind::Ended | ProposalKind::SameName);
        match done {
            Ok(()) => {
                assert!(!deletes || is_folder(&p), "{proposal:?}");
                assert!(run(&p, &p.caller, &request(number, number + 500)).await.left_items.is_empty());
            }
            Err(MaintainError::NotOwner(id)) => assert!(deletes && id == proposal.id, "{proposal:?}"),
            Err(error) => panic!("{proposal:?}: {error}"),
        }
        assert_eq!(state(&p, &DOCUMENTS).await, before, "{proposal:?}");
    }
}

pub async fn of_concurrent_applications_of_a_proposal_one_is_written_and_the_other_is_refused(p: Project) {
    filled(&p).await;
    let survey = listed(&p).await;
    for (number, proposal) in (100..).step_by(4).zip(survey.proposals.iter().filter(|one| one.fold.is_some()))
    {
        let before = state(&p, &DOCUMENTS).await;
        let calls =
            (0..4).map(|offset| {
                let (bank, caller) = (if offset % 2 == 0 { &p.bank } else { &p.other }, &p.caller);
                async move {
                    carry_out(bank.as_ref(), caller, proposal, session_id(number + offset), later()).await
                }
            });
        let done: Vec<Result<(), MaintainError>> = join_all(calls).await;
        let refused = |one: &&Result<(), MaintainError>| matches!(one, Err(MaintainError::Gone(ids)) if *ids == [proposal.id.clone()]);
        assert_eq!(done.iter().filter(refused).count(), 3, "{proposal:?}: {done:?}");
        let winner = (number..).zip(&done).find(|(_, one)| one.is_ok()).map(|(number, _)| number).unwrap();
        // It was written once: an undo of the one that was written is an undo of all.
        assert!(run(&p, &p.caller, &request(winner, number + 900)).await.is_written, "{proposal:?}");
        assert_eq!(state(&p, &DOCUMENTS).await, before, "{proposal:?}");
    }
}

pub async fn a_fact_that_was_replaced_meanwhile_is_no_ground_to_fold_others(p: Project) {
    filled(&p).await;
    let survey = listed(&p).await;
    for kind in [ProposalKind::Duplicate, ProposalKind::NearDuplicate] {
        let proposal = survey.proposals.iter().find(|one| one.kind == kind).unwrap();
        // Each fact of the proposal in turn; without the new fact the proposal holds again.
        let graph = p.other.export(&p.caller).await.unwrap();
        let text = |id: &str| graph.observations.iter().find(|one| one.id == id).unwrap().text.clone();
        let texts: std::collections::BTreeSet<String> = proposal.touches().into_iter().map(text).collect();
        let concerned: Vec<String> = graph
            .observations
            .iter()
            .filter(|one| texts.contains(&one.text))
            .map(|one| one.id.clone())
            .collect();
        assert_eq!(concerned.len(), 2, "{proposal:?}");
        for id in concerned {
            let supersedes = Validity { supersedes: vec![id], ..Validity::NONE };
            let successor =
                fact_at(&p, "Api", "says something else", "2026-02-01T00:00:00Z", supersedes).await;
            let before = state(&p, &DOCUMENTS).await;
            let error =
                carry_out(p.other.as_ref(), &p.caller, proposal, session_id(5), later()).await.unwrap_err();
            assert!(matches!(error, MaintainError::Gone(_)), "{error}");
            assert_eq!(state(&p, &DOCUMENTS).await, before);
            within(&p, 1).delete_observation(&p.caller, &successor, None).await.unwrap();
        }
        carry_out(p.other.as_ref(), &p.caller, proposal, session_id(6), later()).await.unwrap();
        undo_session(&p, 6, 7).await;
    }
}

pub async fn of_several_chosen_proposals_those_that_hold_are_applied_and_an_overlap_is_refused(p: Project) {
    filled(&p).await;
    let survey = listed(&p).await;
    let chosen_by = |ids: &[&str]| {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        chosen(&survey, &ids)
    };
    let of = |kind| survey.proposals.iter().find(|one| one.kind == kind).unwrap();
    let (near, entry) = (of(ProposalKind::NearDuplicate), of(ProposalKind::DuplicateEntry));
    // Two processes have chosen the same list; the second meets what the first one applied.
    let list = chosen_by(&[&near.id, &entry.id, &near.id]).unwrap();
    assert_eq!(list.len(), 2);
    carry_out(p.bank.as_ref(), &p.caller, &list[0], session_id(5), later()).await.unwrap();
    let applied = state(&p, &DOCUMENTS).await;
    let gone = carry_out(p.other.as_ref(), &p.caller, &list[0], session_id(6), later()).await;
    assert!(matches!(gone, Err(MaintainError::Gone(_))), "{gone:?}");
    assert_eq!(state(&p, &DOCUMENTS).await, applied);
    carry_out(p.other.as_ref(), &p.caller, &list[1], session_id(7), later()).await.unwrap();
    let missing = chosen(&listed(&p).await, &[near.id.clone(), of(ProposalKind::Duplicate).id.clone()]);
    assert!(matches!(missing, Err(MaintainError::Gone(ids)) if ids == [near.id.clone()]));
    let merged = survey.proposals.iter().find(|one| one.kind == ProposalKind::SameName).unwrap();
    let mut twice = survey.clone();
    twice.proposals.push(Proposal { id: "fold_other".into(), ..merged.clone() });
    let overlap = chosen(&twice, &[merged.id.clone(), "fold_other".into()]);
    assert!(matches!(overlap, Err(MaintainError::Overlap(..))), "{overlap:?}");
}
