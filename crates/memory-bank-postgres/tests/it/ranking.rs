//! Runs the ranking suite of the core on PostgreSQL: each hit equals the one of the engine that folders use.

#[expect(unreachable_pub, dead_code, reason = "the suite is the core's, and this takes a part of it")]
#[path = "../../../memory-bank-core/tests/ranking/suite.rs"]
mod suite;

use memory_bank_core::document::DocumentPath;
use memory_bank_core::limits::REPLY_BYTES;
use memory_bank_core::search::{DocumentQuery, Index, Query, search_graph};
use memory_bank_core::store::{
    DocumentSearch, EntityDraft, EntityRef, GraphSearch, GraphStore, ObservationDraft, SearchStore,
};

use crate::support::{Bench, write};

/// A hit with its score, to the digits that matter.
fn shown(name: &str, place: &str, score: f64) -> String {
    format!("{name} {place} {score:.9}")
}

#[tokio::test]
async fn both_stores_rank_every_question_alike() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    for (name, text) in suite::DOCUMENTS {
        write(&bank, &caller, name, text).await.unwrap();
    }
    for entity in suite::graph().entities() {
        let draft = EntityDraft {
            name: entity.name.clone(),
            entity_type: entity.entity_type.clone(),
            attrs: entity.attrs.clone(),
        };
        bank.upsert_entity(&caller, draft).await.unwrap();
    }
    for observation in suite::graph().observations() {
        let draft = ObservationDraft {
            text: observation.text.clone(),
            source: None,
            timestamp: Some(observation.timestamp.clone()),
            ..ObservationDraft::default()
        };
        bank.add_observation(&caller, &EntityRef(observation.entity_id.clone()), draft).await.unwrap();
    }
    // A folder's index of the same bank, with the times of the writes here.
    let (mut index, graph) = (Index::default(), bank_graph(&bank, &caller).await);
    for (name, text) in suite::DOCUMENTS {
        let at = bench.test.psql(&format!(
            "SELECT to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM documents WHERE path = '{name}'"
        ));
        index.put_document(&DocumentPath::parse(name).unwrap(), text, at.parse().unwrap());
    }
    index.follow_graph(&graph, None);
    let questions: Vec<_> = suite::questions().into_iter().chain(suite::typos()).collect();
    let (total, mut answered) = (questions.len(), 0);
    for question in questions {
        let query = Query::parse(&question.ask).unwrap();
        let (theirs, ours) = if question.place == "graph" {
            let wanted = GraphSearch {
                query: Some(query),
                limit: 10,
                depth: 1,
                bytes: REPLY_BYTES,
                skip: memory_bank_core::store::Skip::default(),
                view: memory_bank_core::graph::FactView::ALL,
            };
            let listed = |found: memory_bank_core::store::GraphFound| -> Vec<String> {
                let entities = found.entities.iter().map(|one| shown(&one.entity.name, "entity", one.score));
                let facts =
                    found.observations.iter().map(|one| shown(&one.observation.text, "fact", one.score));
                entities.chain(facts).collect()
            };
            (
                listed(search_graph(&graph, &index, &wanted)),
                listed(bank.search_graph(&caller, &wanted).await.unwrap()),
            )
        } else {
            let listed = |hits: Vec<memory_bank_core::search::LineHit>| -> Vec<String> {
                hits.iter().map(|hit| shown(&hit.file, &hit.line.to_string(), hit.score)).collect()
            };
            let wanted = DocumentQuery {
                query: query.clone(),
                files: None,
                limit: 10,
                case_sensitive: false,
                days: (None, None),
                holding_at: None,
            };
            let request = DocumentSearch {
                query,
                files: Vec::new(),
                limit: 10,
                case_sensitive: false,
                days: (None, None),
                holding_at: None,
            };
            (
                listed(index.search_documents(&wanted).hits),
                listed(bank.search_documents(&caller, &request).await.unwrap().hits),
            )
        };
        answered += usize::from(!theirs.is_empty());
        assert_eq!(ours, theirs, "{}", question.ask);
    }
    assert!(answered > 50 && answered * 10 > total * 9, "{answered} of {total}");
}

/// The graph of an export.
async fn bank_graph(
    bank: &memory_bank_postgres::PostgresBank,
    caller: &memory_bank_core::caller::Caller,
) -> memory_bank_core::graph::state::GraphState {
    use memory_bank_core::graph::event::Event;
    let all = bank.export(caller).await.unwrap();
    let mut graph = memory_bank_core::graph::state::GraphState::default();
    for entity in all.entities {
        graph.apply(Event::EntityUpsert { entity, ts: String::new() });
    }
    for observation in all.observations {
        graph.apply(Event::ObservationAdd { observation, ts: String::new() });
    }
    for relation in all.relations {
        graph.apply(Event::RelationAdd { relation, ts: String::new() });
    }
    graph
}
