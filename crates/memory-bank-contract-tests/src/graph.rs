//! The graph.
#![expect(missing_docs, reason = "each function is one rule, and its name says it")]

use futures::future::join_all;
use memory_bank_core::error::GraphError;
use memory_bank_core::graph::Entity;
use memory_bank_core::graph::{ObservationSource, SourceKind};
use memory_bank_core::store::{EntityDraft, EntityRef, ObservationDraft, Observed, PointerDraft};
use serde_json::{Map, Value, json};

use crate::Project;

fn draft(name: &str, kind: &str, attrs: Option<Value>) -> EntityDraft {
    let attrs: Option<Map<String, Value>> = attrs.map(|value| value.as_object().unwrap().clone());
    EntityDraft { name: name.into(), entity_type: kind.into(), attrs }
}

async fn entity(p: &Project, name: &str, kind: &str) -> Entity {
    p.bank.upsert_entity(&p.caller, draft(name, kind, None)).await.unwrap()
}

fn named(name: &str) -> EntityRef {
    EntityRef(name.into())
}

fn fact(text: &str, timestamp: Option<&str>) -> ObservationDraft {
    ObservationDraft { text: text.into(), source: None, timestamp: timestamp.map(str::to_owned) }
}

pub async fn ids_follow_the_vectors(p: Project) {
    let rust = entity(&p, " Rust ", "lang").await;
    let axum = entity(&p, "Axum", "lib").await;
    assert_eq!((rust.id.as_str(), axum.id.as_str()), ("ent_uJwUBCqjVyWo", "ent_LXEBm1nzdFq0"));
    let relation = p.bank.link(&p.caller, &named("axum"), "written-in", &named("Rust")).await.unwrap();
    assert_eq!(relation.id, "rel_c8-6byqpeOrw");
}

pub async fn d8_attributes_are_merged(p: Project) {
    let first =
        p.bank.upsert_entity(&p.caller, draft("A", "t", Some(json!({"a": 1, "b": 2})))).await.unwrap();
    let untouched = p.bank.upsert_entity(&p.caller, draft("a", "T", None)).await.unwrap();
    assert_eq!((untouched.id, untouched.attrs), (first.id, first.attrs));
    assert_eq!(untouched.created_at, first.created_at);
    let merged =
        p.bank.upsert_entity(&p.caller, draft("A", "t", Some(json!({"b": null, "c": 3})))).await.unwrap();
    assert_eq!(merged.attrs.map(Value::Object), Some(json!({"a": 1, "c": 3})));
}

pub async fn d7_a_part_of_a_name_is_no_name(p: Project) {
    entity(&p, "Alpha", "t").await;
    for part in ["lph", "   ", "alph", "ent_missing"] {
        let refused = p.bank.delete_entity(&p.caller, &named(part)).await;
        assert!(refused.is_err(), "{part:?}: {refused:?}");
    }
    assert_eq!(p.bank.stats(&p.caller).await.unwrap().entity_count, 1);
    entity(&p, "Alpha", "other").await;
    let unclear = p.bank.delete_entity(&p.caller, &named("alpha")).await;
    assert!(matches!(unclear, Err(GraphError::Ambiguous { .. })), "{unclear:?}");
    p.bank.delete_entity(&p.caller, &named("alpha [other]")).await.unwrap();
    assert_eq!(p.bank.stats(&p.caller).await.unwrap().entity_count, 1);
}

pub async fn both_instances_see_one_graph(p: Project) {
    entity(&p, "A", "t").await;
    assert_eq!(p.other.stats(&p.caller).await.unwrap().entity_count, 1);
    p.other.upsert_entity(&p.caller, draft("B", "t", None)).await.unwrap();
    p.bank.add_observation(&p.caller, &named("B"), fact("seen", None)).await.unwrap();
    p.other.delete_entity(&p.caller, &named("A")).await.unwrap();
    assert_eq!(p.bank.export(&p.caller).await.unwrap(), p.other.export(&p.caller).await.unwrap());
    assert_eq!(p.bank.stats(&p.caller).await.unwrap().entity_count, 1);
}

pub async fn d6_thirty_first_upserts_all_succeed(p: Project) {
    let banks = [&p.bank, &p.other];
    let upserts = (0..30)
        .map(|number| banks[number % 2].upsert_entity(&p.caller, draft(&format!("n{number}"), "t", None)));
    for result in join_all(upserts).await {
        result.unwrap();
    }
    assert_eq!(p.bank.stats(&p.caller).await.unwrap().entity_count, 30);
    assert_eq!(p.other.stats(&p.caller).await.unwrap().entity_count, 30);
}

pub async fn links_are_made_once_and_taken_away(p: Project) {
    entity(&p, "A", "t").await;
    entity(&p, "B", "t").await;
    let first = p.bank.link(&p.caller, &named("A"), "Knows", &named("B")).await.unwrap();
    let again = p.bank.link(&p.caller, &named("a"), "knows", &named("b")).await.unwrap();
    assert_eq!(first, again);
    let removed = p.bank.unlink(&p.caller, &named("A"), " knows ", &named("B")).await.unwrap();
    assert!(removed.removed);
    assert!(!p.bank.unlink(&p.caller, &named("A"), "knows", &named("B")).await.unwrap().removed);
    let missing = p.bank.link(&p.caller, &named("A"), "knows", &named("C")).await;
    assert!(matches!(missing, Err(GraphError::EntityNotFound { .. })), "{missing:?}");
}

pub async fn deleting_an_entity_takes_its_facts_and_links(p: Project) {
    entity(&p, "A", "t").await;
    entity(&p, "B", "t").await;
    p.bank.add_observation(&p.caller, &named("A"), fact("one", None)).await.unwrap();
    p.bank.link(&p.caller, &named("A"), "knows", &named("B")).await.unwrap();
    p.bank.link(&p.caller, &named("B"), "sees", &named("A")).await.unwrap();
    let deleted = p.bank.delete_entity(&p.caller, &named("A")).await.unwrap();
    assert_eq!((deleted.entity.name.as_str(), deleted.observations, deleted.relations), ("A", 1, 2));
    let rest = p.bank.export(&p.caller).await.unwrap();
    assert_eq!((rest.entities.len(), rest.observations.len(), rest.relations.len()), (1, 0, 0));
}

pub async fn one_fact_is_stored_once(p: Project) {
    entity(&p, "A", "t").await;
    let at = Some("2020-01-01T00:00:00Z");
    let first = p.bank.add_observation(&p.caller, &named("A"), fact(" fact ", at)).await.unwrap();
    let again = p.other.add_observation(&p.caller, &named("A"), fact("fact", at)).await.unwrap();
    assert_eq!((first.existed, again.existed), (false, true));
    let (first, again) = (first.observation, again.observation);
    assert_eq!(first, again);
    assert_eq!(p.bank.stats(&p.caller).await.unwrap().observation_count, 1);
    assert!(p.bank.add_observation(&p.caller, &named("A"), fact("  ", None)).await.is_err());
    p.bank.delete_observation(&p.caller, &first.id, None).await.unwrap();
    let gone = p.bank.delete_observation(&p.caller, &first.id, None).await;
    assert!(matches!(gone, Err(GraphError::ObservationNotFound(_))), "{gone:?}");
}

pub async fn compaction_keeps_the_state(p: Project) {
    for number in 0..5 {
        entity(&p, &format!("n{number}"), "t").await;
        entity(&p, &format!("n{number}"), "t").await;
    }
    p.bank.delete_entity(&p.caller, &named("n0")).await.unwrap();
    p.bank.add_observation(&p.caller, &named("n1"), fact("one", None)).await.unwrap();
    let before = p.bank.export(&p.caller).await.unwrap();
    let compacted = p.bank.compact(&p.caller).await.unwrap();
    assert!(compacted.after <= compacted.before, "{compacted:?}");
    assert_eq!(p.bank.export(&p.caller).await.unwrap(), before);
    assert_eq!(p.other.export(&p.caller).await.unwrap(), before);
}

pub async fn an_empty_graph_has_no_summary(p: Project) {
    assert_eq!(p.bank.summary(&p.caller).await.unwrap(), None);
    entity(&p, "A", "t").await;
    assert_eq!(p.bank.summary(&p.caller).await.unwrap().unwrap().stats.entity_count, 1);
}

pub async fn a_summary_names_what_is_connected_and_what_was_touched_last(p: Project) {
    for number in 0..12 {
        entity(&p, &format!("E{number}"), "t").await;
    }
    for to in ["E4", "E5", "E6"] {
        p.bank.link(&p.caller, &named("E2"), "uses", &named(to)).await.unwrap();
    }
    let late = Some("2031-05-01T00:00:00Z");
    p.bank.add_observation(&p.caller, &named("E7"), fact("newest", late)).await.unwrap();
    let later = Some("2031-06-01T00:00:00Z");
    p.bank.add_observation(&p.caller, &named("E1"), fact("newer still", later)).await.unwrap();
    for bank in [&p.bank, &p.other] {
        let summary = bank.summary(&p.caller).await.unwrap().unwrap();
        let first = |list: &[(String, String, usize)]| -> Vec<(String, usize)> {
            list.iter().take(2).map(|(name, _, facts)| (name.clone(), *facts)).collect()
        };
        assert_eq!(summary.busiest[0].0, "E2", "{summary:?}");
        assert_eq!(first(&summary.recent), [("E1".to_owned(), 1), ("E7".to_owned(), 1)], "{summary:?}");
        assert_eq!((summary.busiest.len(), summary.recent.len()), (5, 5));
    }
}

fn sourced(text: &str, kind: SourceKind, reference: Option<&str>) -> ObservationDraft {
    let source = ObservationSource { kind, reference: reference.map(str::to_owned) };
    ObservationDraft { text: text.into(), source: Some(source), timestamp: None }
}

pub async fn a_fact_given_again_is_the_one_that_was_there(p: Project) {
    entity(&p, "A", "t").await;
    entity(&p, "B", "t").await;
    let add = async |bank: &std::sync::Arc<dyn memory_bank_core::store::Bank>, to: &str, draft| {
        bank.add_observation(&p.caller, &named(to), draft).await.unwrap()
    };
    let first = add(&p.bank, "A", fact("uses JWT", None)).await;
    assert!(!first.existed);
    for bank in [&p.bank, &p.other] {
        let again = add(bank, "a", fact("  uses JWT\n", None)).await;
        assert_eq!(again, Observed { observation: first.observation.clone(), existed: true });
    }
    // Another letter case, another entity, another source, another reference: other facts.
    let mut others = vec![
        add(&p.bank, "A", fact("uses jwt", None)).await,
        add(&p.bank, "B", fact("uses JWT", None)).await,
    ];
    let sources = [
        sourced("uses JWT", SourceKind::Manual, None),
        sourced("uses JWT", SourceKind::Tool, None),
        sourced("uses JWT", SourceKind::Manual, Some("docs")),
        sourced("uses JWT", SourceKind::Manual, Some("")),
    ];
    for draft in &sources {
        others.push(add(&p.other, "A", draft.clone()).await);
    }
    assert!(others.iter().all(|one| !one.existed), "{others:?}");
    for (draft, known) in sources.iter().zip(&others[2..]) {
        let again = add(&p.bank, "A", draft.clone()).await;
        assert_eq!((again.existed, &again.observation), (true, &known.observation));
    }
    assert_eq!(p.bank.stats(&p.caller).await.unwrap().observation_count, 7);
    assert_eq!(p.bank.export(&p.caller).await.unwrap(), p.other.export(&p.caller).await.unwrap());
}

pub async fn a_given_time_keeps_both_and_a_deleted_fact_comes_anew(p: Project) {
    entity(&p, "A", "t").await;
    let add = |text: &'static str, at: Option<&'static str>| {
        let (bank, caller) = (p.bank.clone(), p.caller.clone());
        async move { bank.add_observation(&caller, &named("A"), fact(text, at)).await.unwrap() }
    };
    let now = add("deployed", None).await;
    let earlier = add("deployed", Some("2020-01-01")).await;
    let later = add("deployed", Some("2021-01-01T00:00:00Z")).await;
    assert!(!earlier.existed && !later.existed);
    assert!(add("deployed", Some("2020-01-01")).await.existed);
    // Without a time it is the fact that was there first.
    assert_eq!(add("deployed", None).await.observation, now.observation);
    p.bank.delete_observation(&p.caller, &now.observation.id, None).await.unwrap();
    assert_eq!(add("deployed", None).await.observation, earlier.observation);
    for id in [&earlier.observation.id, &later.observation.id] {
        p.bank.delete_observation(&p.caller, id, None).await.unwrap();
    }
    let anew = add("deployed", None).await;
    assert!(!anew.existed);
    assert_eq!(p.bank.stats(&p.caller).await.unwrap().observation_count, 1);
    p.bank.delete_entity(&p.caller, &named("A")).await.unwrap();
    entity(&p, "A", "t").await;
    assert!(!add("deployed", None).await.existed);
}

pub async fn of_many_that_add_one_fact_at_once_one_adds_it(p: Project) {
    entity(&p, "A", "t").await;
    let adds = (0..24).map(|number| {
        let bank = if number % 2 == 0 { &p.bank } else { &p.other };
        // Three sources say it, in the same millisecond perhaps.
        let draft = match number % 3 {
            0 => fact("same", None),
            1 => sourced("same", SourceKind::Agent, None),
            _ => sourced("same", SourceKind::Tool, Some("x")),
        };
        let caller = &p.caller;
        async move { bank.add_observation(caller, &named("A"), draft).await.unwrap() }
    });
    let added = join_all(adds).await;
    assert_eq!(added.iter().filter(|one| !one.existed).count(), 3);
    let ids: std::collections::BTreeSet<_> = added.iter().map(|one| one.observation.id.clone()).collect();
    assert_eq!(ids.len(), 3);
    for bank in [&p.bank, &p.other] {
        let stored = bank.export(&p.caller).await.unwrap().observations;
        assert_eq!(stored.len(), 3);
        assert_eq!(stored.iter().filter(|one| one.source.is_none()).count(), 1);
    }
}

pub async fn a_pointer_given_again_changes_nothing(p: Project) {
    entity(&p, "A", "t").await;
    let pointer = |note: &str| PointerDraft {
        path: "notes.md".into(),
        heading: Some("H".into()),
        note: Some(note.to_owned()),
    };
    let first = p.bank.add_pointer(&p.caller, &named("A"), pointer("why")).await.unwrap();
    assert!(!first.existed);
    let before = p.bank.export(&p.caller).await.unwrap();
    let again = p.other.add_pointer(&p.caller, &named("A"), pointer("why")).await.unwrap();
    assert!(again.existed);
    assert_eq!((&again.observation, &again.entity), (&first.observation, &first.entity));
    assert_eq!(p.bank.export(&p.caller).await.unwrap(), before);
    let other = p.bank.add_pointer(&p.caller, &named("A"), pointer("because")).await.unwrap();
    assert!(!other.existed);
    let back = p.bank.add_pointer(&p.caller, &named("A"), pointer("why")).await.unwrap();
    assert!(back.existed && back.entity.attrs == first.entity.attrs);
}
