//! Changes from outside of a folder in a transfer: they stay changes from outside, of nobody, and none becomes a foreign one.

use memory_bank_core::caller::Caller;
use memory_bank_core::graph::history::{GraphChange, Origin};
use memory_bank_core::history::{Subject, VersionKind, VersionQuery};
use memory_bank_core::store::{Bank, DocumentStore as _, Drafts, EntityRef, GraphHistoryStore as _};
use memory_bank_core::transfer::ExistingContentPolicy;
use serde_json::json;

use crate::graph_history_transfer::{changes, entity};
use crate::history_transfer::TransferFolders;
use crate::support::{Bench, path};

fn facts(changes: &[GraphChange]) -> Vec<(i64, Origin, Option<&str>, Option<&str>)> {
    let of = |change: &GraphChange| change.author.is_some().then_some("alice");
    changes.iter().map(|change| (change.number, change.origin, of(change), change.tool.as_deref())).collect()
}

/// Number, kind and author of the versions of `a.md`, newest first.
async fn versions(bank: &dyn Bank, caller: &Caller) -> Vec<(i64, VersionKind, Option<String>)> {
    let query = VersionQuery {
        subject: Subject::Document(path("a.md")),
        since: None,
        until: None,
        by: None,
        after: None,
        limit: 10,
    };
    let page = bank.list_versions(caller, &query).await.unwrap();
    page.versions.into_iter().map(|version| (version.number, version.kind, version.author)).collect()
}

#[tokio::test]
async fn changes_from_outside_stay_such_through_a_database_and_back() {
    let (bench, folders) = (Bench::new().await, TransferFolders::new());
    let memory_bank = folders.project("f").join("memory-bank");
    std::fs::create_dir_all(&memory_bank).unwrap();
    let (folder, alice) = (folders.bank("f"), Caller::local("alice"));
    entity(&folder, &alice, "Api", json!({"a": 1})).await;
    let name = path("a.md");
    let mut editor = |drafts: &mut Drafts| drafts.set(&name, "one\n".to_owned());
    folder.edit(&alice, std::slice::from_ref(&name), &mut editor).await.unwrap();
    // An editor changes the document and adds a line to the log.
    std::fs::write(memory_bank.join("a.md"), "two\n").unwrap();
    let log = memory_bank.join("graph/graph.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    let line = text.lines().last().unwrap().replace("\"a\":1", "\"a\":2");
    std::fs::write(&log, format!("{text}{line}\n")).unwrap();
    entity(&folder, &alice, "Api", json!({"a": 3})).await;

    let graph = changes(&folder, &alice).await;
    let tool = graph[0].tool.as_deref();
    let expected = [
        (3, Origin::Own, Some("alice"), tool),
        (2, Origin::Outside, None, None),
        (1, Origin::Own, Some("alice"), tool),
    ];
    assert_eq!(facts(&graph), expected);
    let text = [(2, VersionKind::Outside, None), (1, VersionKind::Created, Some("alice".to_owned()))];
    assert_eq!(versions(&folder, &alice).await, text);

    let carol = bench.tenant("carol", "b").await;
    folders.import("f", &bench.bank(), &carol, ExistingContentPolicy::Empty).await.unwrap();
    let stored = bench.bank();
    assert_eq!(facts(&changes(&stored, &carol).await), expected);
    assert_eq!(versions(&stored, &carol).await, text);
    let api = EntityRef("Api".into());
    for (number, origin) in [(1, Origin::Own), (2, Origin::Outside), (3, Origin::Own)] {
        assert_eq!(stored.entity_chain(&carol, &api, number).await.unwrap().origin, origin);
    }
    folders.export(&bench.bank(), &carol, "g").await;
    let (back, again) = (folders.bank("g"), changes(&folders.bank("g"), &alice).await);
    assert_eq!(facts(&again), expected);
    assert_eq!(versions(&back, &alice).await, text);
    for (number, origin) in [(1, Origin::Own), (2, Origin::Outside)] {
        assert_eq!(back.entity_chain(&alice, &api, number).await.unwrap().origin, origin);
    }
    // Without the seal of this user nothing is known of them.
    std::fs::remove_dir_all(folders.project("state")).unwrap();
    let foreign = changes(&folders.bank("g"), &alice).await;
    assert!(
        foreign.iter().all(|change| change.origin == Origin::Foreign && change.tool.is_none()),
        "{foreign:?}"
    );
}
