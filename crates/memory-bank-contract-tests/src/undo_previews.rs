//! What a preview of an undo, and a list of changes of the graph, show beside the changes.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use std::collections::BTreeSet;

use memory_bank_core::graph::{Observation, Validity};
use memory_bank_core::store::{GraphPart, ObservationDraft, UndoRequest};
use serde_json::json;

use crate::undo::{request, run, write};
use crate::undo_graph::{entity, fact, link, named, within};
use crate::{Project, path};

/// Records a fact in place of another one.
async fn replace(p: &Project, number: u128, text: &str, replaced: &str) -> Observation {
    let validity = Validity { supersedes: vec![replaced.to_owned()], ..Validity::default() };
    let draft = ObservationDraft { text: text.into(), validity, ..ObservationDraft::default() };
    within(p, number).add_observation(&p.caller, &named("A"), draft).await.unwrap().observation
}

pub async fn a_preview_shows_the_differences_of_documents_within_its_bound(p: Project) {
    write(&p, &p.caller, 1, "a.md", "one\ntwo\n").await;
    write(&p, &p.caller, 1, "b.md", "three\n").await;
    write(&p, &p.caller, 2, "a.md", "one\nmine\ntwo\n").await;
    write(&p, &p.caller, 2, "b.md", &"a long line of mine\n".repeat(500)).await;
    let differences = async |diff_chars: usize| {
        let request = UndoRequest { dry_run: true, diff_chars, ..request(2, 3) };
        let report = run(&p, &p.caller, &request).await;
        assert_eq!((report.undone.len(), report.is_written), (2, false), "{report:?}");
        // Documents come in no order.
        let is_first = report.undone[0].to == Some(path("a.md"));
        let mut undone = report.undone;
        undone.sort_by(|one, other| one.to.cmp(&other.to));
        (undone.into_iter().map(|one| one.diff).collect::<Vec<_>>(), is_first)
    };
    assert_eq!(differences(0).await.0, [None, None], "nobody asked for them");
    let (shown, _) = differences(60_000).await;
    let [Some(short), Some(long)] = &shown[..] else { panic!("{shown:?}") };
    assert!(short.contains("-mine\n") && !short.contains("-one\n") && !short.contains("-two\n"), "{short}");
    assert!(long.contains("+three\n") && long.matches("-a long line of mine\n").count() == 500, "{long}");
    let (bounded, is_first) = differences(1000).await;
    assert!(!is_first || bounded[0].as_ref() == Some(short), "there is room for the first one: {bounded:?}");
    let of_all: usize = bounded.iter().flatten().map(|diff| diff.chars().count()).sum();
    assert!(of_all < 1500, "{of_all} characters");
    assert_eq!(p.text("a.md").await.as_deref(), Some("one\nmine\ntwo\n"));
}

pub async fn a_preview_names_facts_that_have_ended_already(p: Project) {
    entity(&p, &p.caller, 1, "A", json!({})).await;
    fact(&p, &p.caller, 2, "A", "was replaced").await;
    fact(&p, &p.caller, 2, "A", "holds").await;
    replace(&p, 3, "holds instead", "was replaced").await;
    let ended = async |now: Option<&str>| {
        let now = now.map(|time| time.parse().unwrap());
        let report = run(&p, &p.caller, &UndoRequest { dry_run: true, now, ..request(2, 4) }).await;
        assert_eq!((report.undone_items.len(), report.is_written), (2, false), "{report:?}");
        report.undone_items.iter().filter(|one| one.is_ended).count()
    };
    assert_eq!(ended(None).await, 0, "without a time no fact is asked about");
    assert_eq!(ended(Some("2099-01-01T00:00:00Z")).await, 1);
    let request =
        UndoRequest { dry_run: true, now: Some("2099-01-01T00:00:00Z".parse().unwrap()), ..request(3, 4) };
    let report = run(&p, &p.caller, &request).await;
    assert!(report.undone_items.iter().all(|one| !one.is_ended), "the successor holds: {report:?}");
}

pub async fn a_part_of_the_graph_has_replaced_facts_and_tells_which_entities_are_empty(p: Project) {
    for name in ["A", "B", "C", "D"] {
        entity(&p, &p.caller, 1, name, json!({})).await;
    }
    let former = fact(&p, &p.caller, 2, "A", "listens on port 9090").await;
    let corrected = replace(&p, 3, "listens on port 8080", &former).await;
    link(&p, &p.caller, 4, "B", "C").await;
    assert_eq!(corrected.validity().supersedes, [former.as_str()]);
    let mut ids = Vec::new();
    for name in ["A", "B", "C", "D"] {
        let chain = p.other.entity_chain(&p.caller, &named(name), 0).await.unwrap();
        ids.push(chain.now.entity().unwrap().id.clone());
    }
    let emptied: BTreeSet<String> = ids.iter().cloned().collect();
    let observations = BTreeSet::from([former.clone(), "obs_0123456789abcdef".to_owned()]);
    let part = GraphPart { entities: emptied.clone(), observations, emptied, ..GraphPart::default() };
    let state = p.other.graph_part(&p.caller, &part).await.unwrap();
    assert_eq!(state.observation(&former).map(|fact| fact.text.as_str()), Some("listens on port 9090"));
    assert!(state.observation("obs_0123456789abcdef").is_none());
    let is_in_use =
        |id: &String| state.observations_of(id).next().is_some() || state.relations_of(id).next().is_some();
    assert_eq!(ids.iter().map(is_in_use).collect::<Vec<_>>(), [true, true, true, false]);
}
