//! Search follows every commit, also of other replicas, with the folder's ranking.

use memory_bank_core::caller::Caller;
use memory_bank_core::graph::Entity;
use memory_bank_core::limits::REPLY_BYTES;
use memory_bank_core::search::Query;
use memory_bank_core::store::{
    BackupStore, DocumentSearch, EntityDraft, EntityRef, GraphSearch, GraphStore, ObservationDraft,
    SearchStore,
};
use memory_bank_postgres::PostgresBank;

use crate::support::{Bench, write};

fn wanted(text: &str) -> DocumentSearch {
    DocumentSearch {
        query: Query::parse(text).unwrap(),
        files: Vec::new(),
        limit: 10,
        case_sensitive: false,
        days: (None, None),
        holding_at: None,
    }
}

async fn lines(bank: &PostgresBank, caller: &Caller, text: &str) -> Vec<String> {
    let found = bank.search_documents(caller, &wanted(text)).await.unwrap();
    found.hits.into_iter().map(|hit| hit.content).collect()
}

async fn names(bank: &PostgresBank, caller: &Caller, text: &str) -> Vec<String> {
    let wanted = GraphSearch {
        query: Some(Query::parse(text).unwrap()),
        limit: 10,
        depth: 0,
        bytes: REPLY_BYTES,
        skip: memory_bank_core::store::Skip::default(),
        view: memory_bank_core::graph::FactView::ALL,
    };
    let found = bank.search_graph(caller, &wanted).await.unwrap();
    found.entities.into_iter().map(|found| found.entity.name).collect()
}

async fn put(bank: &PostgresBank, caller: &Caller, name: &str) -> Entity {
    let draft = EntityDraft { name: name.into(), entity_type: "tool".into(), attrs: None };
    bank.upsert_entity(caller, draft).await.unwrap()
}

#[tokio::test]
async fn a_search_sees_writes_of_another_replica_at_once() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let (here, there) = (bench.bank(), PostgresBank::new(bench.another(), "demo".into()));
    write(&here, &caller, "a.md", "# Notes\n\nThe parser reads tokens.\n").await.unwrap();
    assert_eq!(lines(&there, &caller, "parsers").await, ["The parser reads tokens."]);
    write(&here, &caller, "a.md", "# Notes\n\nThe lexer reads letters.\n").await.unwrap();
    assert_eq!(lines(&there, &caller, "parser").await, [""; 0]);
    assert_eq!(lines(&there, &caller, "lexer").await, ["The lexer reads letters."]);
}

#[tokio::test]
async fn graph_search_follows_changes() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let (here, there) = (bench.bank(), PostgresBank::new(bench.another(), "demo".into()));
    put(&here, &caller, "Redis").await;
    assert_eq!(names(&there, &caller, "redis").await, ["Redis"]);
    let second = put(&here, &caller, "Traefik").await;
    let fact = ObservationDraft { text: "terminates TLS".into(), ..ObservationDraft::default() };
    here.add_observation(&caller, &EntityRef(second.id.clone()), fact).await.unwrap();
    assert_eq!(names(&there, &caller, "TLS").await, ["Traefik"]);
    here.link(&caller, &EntityRef("Traefik".into()), "uses", &EntityRef("Redis".into())).await.unwrap();
    let wanted = GraphSearch {
        query: Some(Query::parse("TLS").unwrap()),
        limit: 10,
        depth: 1,
        bytes: REPLY_BYTES,
        skip: memory_bank_core::store::Skip::default(),
        view: memory_bank_core::graph::FactView::ALL,
    };
    let found = there.search_graph(&caller, &wanted).await.unwrap();
    assert_eq!((found.neighbours.len(), found.relations.len()), (1, 1));
    here.delete_entity(&caller, &EntityRef(second.id)).await.unwrap();
    assert_eq!(names(&there, &caller, "TLS").await, [""; 0]);
    assert_eq!(names(&there, &caller, "redis").await, ["Redis"]);
}

#[tokio::test]
async fn search_finds_a_restored_backup() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let bank = bench.bank();
    write(&bank, &caller, "a.md", "an albatross").await.unwrap();
    put(&bank, &caller, "Albatross").await;
    let backup = bank.create_backup(&caller, None).await.unwrap();
    write(&bank, &caller, "a.md", "a pelican").await.unwrap();
    bank.delete_entity(&caller, &EntityRef("Albatross".into())).await.unwrap();
    assert_eq!(lines(&bank, &caller, "albatross").await, [""; 0]);
    bank.restore_backup(&caller, &backup.id, true).await.unwrap();
    assert_eq!(lines(&bank, &caller, "albatross").await, ["an albatross"]);
    assert_eq!(names(&bank, &caller, "albatross").await, ["Albatross"]);
}
