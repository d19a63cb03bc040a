//! The graph.
#![expect(missing_docs, reason = "the name of each function is its rule")]

use futures::future::join_all;
use memory_bank_core::caller::Caller;
use memory_bank_core::error::GraphError;
use memory_bank_core::graph::Entity;
use memory_bank_core::graph::FactView;
use memory_bank_core::graph::{ObservationSource, SourceKind};
use memory_bank_core::store::{
    BatchApplied, BatchObservation, EntityChange, EntityDraft, EntityRef, GraphBatch, ObservationDraft,
    PointerDraft, RelationDraft,
};
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
    ObservationDraft {
        text: text.into(),
        source: None,
        timestamp: timestamp.map(str::to_owned),
        ..ObservationDraft::default()
    }
}

fn about(entity: &str, text: &str, source: Option<SourceKind>) -> BatchObservation {
    let source = source.map(|kind| ObservationSource { kind, reference: None });
    BatchObservation { entity: named(entity), draft: ObservationDraft { source, ..fact(text, None) } }
}

fn between(from: &str, to: &str) -> RelationDraft {
    RelationDraft { from: named(from), relation_type: "uses".into(), to: named(to) }
}

fn session() -> GraphBatch {
    GraphBatch {
        entities: vec![draft("Api", "service", Some(json!({"port": 80}))), draft("Store", "table", None)],
        observations: vec![
            about("Api", "is fast", None),
            about("Old", "is known", None),
            about("Old", "is new", None),
            about("Store [table]", "is fast", None),
            about("Api", "is fast", Some(SourceKind::Tool)),
            about("api", "is fast", None),
        ],
        relations: vec![between("Api", "Store"), between("old", "Api"), between("Old", "Other")],
    }
}

pub async fn a_batch_is_applied_completely_and_only_once(p: Project) {
    let old = p.bank.upsert_entity(&p.caller, draft("Old", "thing", Some(json!({"a": 1})))).await.unwrap();
    entity(&p, "Other", "thing").await;
    let known =
        p.bank.add_observation(&p.caller, &named("Old"), fact("is known", None)).await.unwrap().observation;
    let linked = p.bank.link(&p.caller, &named("Old"), "uses", &named("Other")).await.unwrap();
    let first = p.bank.apply_batch(&p.caller, session()).await.unwrap();
    assert!(first.entities.iter().all(|(_, change)| *change == EntityChange::Created), "{first:?}");
    let existed = |applied: &BatchApplied| -> (Vec<bool>, Vec<bool>) {
        let facts = applied.observations.iter().map(|one| one.existed).collect();
        (facts, applied.relations.iter().map(|(_, existed)| *existed).collect())
    };
    let facts = vec![false, true, false, false, false, true];
    assert_eq!(existed(&first), (facts, vec![false, false, true]));
    assert_eq!(first.observations[1].observation, known, "a fact that is there stays as it is");
    assert_eq!(first.relations[2].0, linked, "a relation, too");
    let stats = p.bank.stats(&p.caller).await.unwrap();
    assert_eq!((stats.entity_count, stats.observation_count, stats.relation_count), (4, 5, 3));
    let before = p.bank.export(&p.caller).await.unwrap();
    let again = p.other.apply_batch(&p.caller, session()).await.unwrap();
    assert!(again.entities.iter().all(|(_, change)| *change == EntityChange::Existed));
    assert_eq!(existed(&again), (vec![true; 6], vec![true; 3]));
    assert_eq!(p.bank.export(&p.caller).await.unwrap(), before, "sent again, it changes nothing");
    let attrs =
        GraphBatch { entities: vec![draft("old", "Thing", Some(json!({"b": 2})))], ..GraphBatch::default() };
    let merged = p.bank.apply_batch(&p.caller, attrs).await.unwrap();
    assert_eq!(merged.entities[0].1, EntityChange::Updated);
    let now = p
        .bank
        .open(&p.caller, &[named(&old.id)], 0, 100_000, FactView::ALL)
        .await
        .unwrap()
        .entities
        .remove(0);
    assert_eq!(now.attrs.map(Value::Object), Some(json!({"a": 1, "b": 2})));
}

pub async fn a_batch_with_an_invalid_item_changes_nothing(p: Project) {
    entity(&p, "Old", "thing").await;
    entity(&p, "Twin", "a").await;
    entity(&p, "Twin", "b").await;
    let before = p.bank.export(&p.caller).await.unwrap();
    for (spoiled, at) in [
        (about("Olt", "x", None), "`observations[6]`: Entity not found: Olt"),
        (about("Twin", "x", None), "`observations[6]`: several entities"),
        (about("Old", " ", None), "`observations[6]`: text is blank"),
        (about("Old", "a\0b", None), "`observations[6]`: text contains a null"),
    ] {
        let mut batch = session();
        batch.relations.pop();
        batch.observations.push(spoiled);
        let error = p.bank.apply_batch(&p.caller, batch).await.unwrap_err();
        assert!(error.to_string().starts_with(at), "{error}");
        if let GraphError::InBatch { error, .. } = &error
            && let GraphError::EntityNotFound { suggestions, .. } = error.as_ref()
        {
            assert_eq!(suggestions, &["Old"]);
        }
    }
    let mut unlinked = session();
    unlinked.relations.push(between("Api", "Nowhere"));
    assert!(p.bank.apply_batch(&p.caller, unlinked).await.is_err());
    assert!(p.bank.apply_batch(&p.caller, GraphBatch::default()).await.is_err());
    assert_eq!(p.bank.export(&p.caller).await.unwrap(), before);
}

pub async fn concurrent_batches_create_each_item_once(p: Project) {
    entity(&p, "Old", "thing").await;
    entity(&p, "Other", "thing").await;
    let calls = (0..12).map(|turn| {
        let bank = if turn % 2 == 0 { &p.bank } else { &p.other };
        bank.apply_batch(&p.caller, session())
    });
    let applied: Vec<BatchApplied> = join_all(calls).await.into_iter().collect::<Result<_, _>>().unwrap();
    let created = |applied: &BatchApplied| {
        applied.entities.iter().filter(|(_, change)| *change == EntityChange::Created).count()
    };
    assert_eq!(applied.iter().map(created).sum::<usize>(), 2);
    let stats = p.bank.stats(&p.caller).await.unwrap();
    assert_eq!((stats.entity_count, stats.observation_count, stats.relation_count), (4, 5, 3));
}

pub async fn ids_follow_the_vectors(p: Project) {
    let rust = entity(&p, " Rust ", "lang").await;
    let axum = entity(&p, "Axum", "lib").await;
    assert_eq!((rust.id.as_str(), axum.id.as_str()), ("ent_uJwUBCqjVyWo", "ent_LXEBm1nzdFq0"));
    let relation = p.bank.link(&p.caller, &named("axum"), "written-in", &named("Rust")).await.unwrap();
    assert_eq!(relation.id, "rel_c8-6byqpeOrw");
}

pub async fn attributes_are_merged(p: Project) {
    let first =
        p.bank.upsert_entity(&p.caller, draft("A", "t", Some(json!({"a": 1, "b": 2})))).await.unwrap();
    let untouched = p.bank.upsert_entity(&p.caller, draft("a", "T", None)).await.unwrap();
    assert_eq!((untouched.id, untouched.attrs), (first.id, first.attrs));
    assert_eq!(untouched.created_at, first.created_at);
    let merged =
        p.bank.upsert_entity(&p.caller, draft("A", "t", Some(json!({"b": null, "c": 3})))).await.unwrap();
    assert_eq!(merged.attrs.map(Value::Object), Some(json!({"a": 1, "c": 3})));
}

pub async fn a_part_of_a_name_matches_nothing(p: Project) {
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

pub async fn an_entity_name_matches_in_any_case_and_normal_form(p: Project) {
    let first = entity(&p, "Caf\u{e9}", "place").await.id;
    for name in ["Cafe\u{301}", "CAFE\u{301}", " caf\u{c9} "] {
        assert_eq!(entity(&p, name, "Place").await.id, first, "{name:?}");
        let part = p
            .other
            .open(&p.caller, &[named(name)], 0, memory_bank_core::limits::REPLY_BYTES, FactView::ALL)
            .await
            .unwrap();
        assert_eq!(part.entities.len(), 1);
    }
    assert_eq!(p.bank.stats(&p.caller).await.unwrap().entity_count, 1);
    // Another type is another entity, and then the name alone is not clear.
    entity(&p, "Cafe\u{301}", "project").await;
    let unclear = p
        .bank
        .open(&p.caller, &[named("caf\u{e9}")], 0, memory_bank_core::limits::REPLY_BYTES, FactView::ALL)
        .await;
    assert!(matches!(unclear, Err(GraphError::Ambiguous { .. })), "{unclear:?}");
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

pub async fn thirty_first_upserts_all_succeed(p: Project) {
    let banks = [&p.bank, &p.other];
    let upserts = (0..30)
        .map(|number| banks[number % 2].upsert_entity(&p.caller, draft(&format!("n{number}"), "t", None)));
    for result in join_all(upserts).await {
        result.unwrap();
    }
    assert_eq!(p.bank.stats(&p.caller).await.unwrap().entity_count, 30);
    assert_eq!(p.other.stats(&p.caller).await.unwrap().entity_count, 30);
}

pub async fn links_are_created_once_and_removed(p: Project) {
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

pub async fn deleting_an_entity_deletes_its_facts_and_links(p: Project) {
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

pub async fn opened_nodes_are_loaded_within_the_byte_limit_nearest_and_newest_first(p: Project) {
    for number in 0..12 {
        let attrs = Some(json!({"x": "x".repeat(1000)}));
        p.bank.upsert_entity(&p.caller, draft(&format!("spoke {number}"), "t", attrs)).await.unwrap();
    }
    entity(&p, "hub", "t").await;
    // A second entity with the same name and its own neighbour.
    entity(&p, "hub", "other").await;
    entity(&p, "far", "t").await;
    p.bank.link(&p.caller, &named("hub [other]"), "knows", &named("far")).await.unwrap();
    for number in 0..12 {
        let spoke = named(&format!("spoke {number}"));
        p.bank.link(&p.caller, &spoke, "knows", &named("hub [t]")).await.unwrap();
        p.bank.add_observation(&p.caller, &spoke, fact("of a spoke", None)).await.unwrap();
        let at = format!("2026-01-{:02}", 20 - number);
        let text = format!("{number} {}", "y".repeat(1000));
        p.bank.add_observation(&p.caller, &named("hub [t]"), fact(&text, Some(&at))).await.unwrap();
    }
    let hub = [named("hub [t]")];
    for bank in [&p.bank, &p.other] {
        let part = bank.open(&p.caller, &hub, 1, 8192, FactView::ALL).await.unwrap();
        let names: Vec<&str> = part.entities.iter().map(|one| one.name.as_str()).collect();
        assert!(
            (2..6).contains(&names.len()) && names.contains(&"hub") && names[0] == "spoke 0",
            "{names:?}"
        );
        assert_eq!(names.len() + part.entities_left, 13);
        let texts: Vec<&str> = part.observations.iter().map(|one| one.text.as_str()).collect();
        assert!((2..8).contains(&texts.len()), "{}", texts.len());
        let newest: Vec<bool> =
            texts.iter().enumerate().map(|(at, text)| text.starts_with(&format!("{at} "))).collect();
        assert!(newest.iter().all(|newest| *newest), "{texts:?}");
        assert_eq!(texts.len() + part.observations_left, 24);
        assert_eq!(part.relations.len() + part.relations_left, 12);
        for relation in &part.relations {
            assert!(part.names[&relation.from_id].starts_with("spoke "));
            assert_eq!(part.names[&relation.to_id], "hub");
        }
        let whole = bank.open(&p.caller, &hub, 2, 1024 * 1024, FactView::ALL).await.unwrap();
        assert_eq!((whole.entities.len(), whole.observations.len(), whole.relations.len()), (13, 24, 12));
        assert_eq!((whole.entities_left, whole.observations_left, whole.relations_left), (0, 0, 0));
        let alone = bank.open(&p.caller, &hub, 0, 1024 * 1024, FactView::ALL).await.unwrap();
        assert_eq!((alone.entities.len(), alone.observations.len(), alone.relations.len()), (1, 12, 0));
        let unclear = bank.open(&p.caller, &[named("hub")], 1, 8192, FactView::ALL).await;
        assert!(matches!(unclear, Err(GraphError::Ambiguous { .. })), "{unclear:?}");
    }
}

pub async fn an_empty_graph_has_no_summary(p: Project) {
    assert_eq!(p.bank.summary(&p.caller, None).await.unwrap(), None);
    entity(&p, "A", "t").await;
    assert_eq!(p.bank.summary(&p.caller, None).await.unwrap().unwrap().stats.entity_count, 1);
}

pub async fn a_summary_lists_the_most_connected_and_the_latest_entities(p: Project) {
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
        let summary = bank.summary(&p.caller, None).await.unwrap().unwrap();
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
    ObservationDraft { text: text.into(), source: Some(source), ..ObservationDraft::default() }
}

pub async fn a_repeated_fact_is_the_existing_one(p: Project) {
    entity(&p, "A", "t").await;
    entity(&p, "B", "t").await;
    let add = async |bank: &std::sync::Arc<dyn memory_bank_core::store::Bank>, to: &str, draft| {
        bank.add_observation(&p.caller, &named(to), draft).await.unwrap()
    };
    let first = add(&p.bank, "A", fact("uses JWT", None)).await;
    assert!(!first.existed);
    for bank in [&p.bank, &p.other] {
        let again = add(bank, "a", fact("  uses JWT\n", None)).await;
        assert_eq!((&again.observation, again.existed), (&first.observation, true));
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

pub async fn facts_with_timestamps_are_kept_apart_and_a_deleted_fact_can_be_added_again(p: Project) {
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

pub async fn of_many_concurrent_additions_of_a_fact_one_adds_it(p: Project) {
    entity(&p, "A", "t").await;
    let adds = (0..24).map(|number| {
        let bank = if number % 2 == 0 { &p.bank } else { &p.other };
        // Three sources add it, perhaps in the same millisecond.
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

pub async fn a_repeated_pointer_changes_nothing(p: Project) {
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

/// A fact is signed by its caller; the author does not distinguish facts and survives a backup.
pub async fn a_fact_is_signed_by_its_first_author(p: Project) {
    entity(&p, "A", "t").await;
    let as_user = |name: &str| Caller { user_name: name.to_owned(), ..p.caller.clone() };
    let first = p.bank.add_observation(&as_user("alice"), &named("A"), fact("x", None)).await.unwrap();
    assert_eq!(first.observation.author.as_deref(), Some("alice"));
    let again = p.other.add_observation(&as_user("bob"), &named("A"), fact("x", None)).await.unwrap();
    assert!(again.existed);
    assert_eq!(again.observation, first.observation);
    let sourced = ObservationDraft {
        source: Some(ObservationSource { kind: SourceKind::Agent, reference: Some("r".into()) }),
        ..fact("x", None)
    };
    let sourced = p.bank.add_observation(&as_user("bob"), &named("A"), sourced).await.unwrap();
    assert!(!sourced.existed);
    assert_eq!(sourced.observation.author.as_deref(), Some("bob"));
    let pointer = PointerDraft { path: "notes.md".into(), heading: None, note: None };
    let pointed = p.bank.add_pointer(&as_user("carol"), &named("A"), pointer).await.unwrap();
    assert_eq!(pointed.observation.author.as_deref(), Some("carol"));
    let batch = GraphBatch {
        observations: vec![BatchObservation { entity: named("A"), draft: fact("in a batch", None) }],
        ..GraphBatch::default()
    };
    let applied = p.bank.apply_batch(&as_user("dora"), batch).await.unwrap();
    assert_eq!(applied.observations[0].observation.author.as_deref(), Some("dora"));
    let all = p.other.export(&p.caller).await.unwrap().observations;
    assert!(
        [&first.observation, &sourced.observation, &pointed.observation].iter().all(|one| all.contains(one))
    );
    let backup = p.bank.create_backup(&p.caller, None).await.unwrap();
    p.bank.delete_observation(&p.caller, &first.observation.id, None).await.unwrap();
    p.bank.restore_backup(&p.caller, &backup.id, false).await.unwrap();
    p.bank.compact(&p.caller).await.unwrap();
    let restored = p.other.export(&p.caller).await.unwrap().observations;
    assert!(all.iter().all(|one| restored.contains(one)), "{restored:?}");
}
