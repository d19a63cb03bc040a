//! The registry of stores, and banks by store id.

#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;

use memory_bank_core::error::WorkspaceError;
use memory_bank_core::store::{SelectTarget, StoreKind, Workspace};
#[cfg(unix)]
use memory_bank_folder::{FolderOptions, StateFolder};
use tempfile::TempDir;

use crate::support::{active, as_text, caller, options, project, start, upsert};

#[tokio::test]
async fn a_store_id_selects_that_store_or_fails() {
    let root = TempDir::new().unwrap();
    let (a, b) = (project(&root, "a"), project(&root, "b"));
    let workspace = start(options(&a)).await;
    let unknown = workspace.bank(&caller(), Some("no")).await;
    assert!(matches!(unknown.map(|_| ()), Err(WorkspaceError::UnknownStore(id)) if id == "no"));
    // A store registered after such a call is found at once.
    workspace.register(&caller(), "B", as_text(&b), StoreKind::Local).await.unwrap();
    let bank = workspace.bank(&caller(), Some("B")).await.unwrap();
    upsert(&bank, "E").await;
    assert!(b.join("memory-bank/graph/graph.jsonl").exists());
    assert!(!a.join("memory-bank/graph").exists());
    assert_eq!(active(&workspace).await, as_text(&a.join("memory-bank")));
}

#[tokio::test]
async fn a_registered_store_without_a_bank_is_an_error() {
    let root = TempDir::new().unwrap();
    let a = project(&root, "a");
    let workspace = start(options(&a)).await;
    workspace
        .register(&caller(), "gone", as_text(&root.path().join("gone")), StoreKind::Local)
        .await
        .unwrap();
    let refused = workspace.bank(&caller(), Some("gone")).await;
    assert!(matches!(refused.map(|_| ()), Err(WorkspaceError::Refused(_))));
}

#[tokio::test]
async fn the_active_bank_and_the_same_bank_by_id_share_one_object() {
    let root = TempDir::new().unwrap();
    let (a, b) = (project(&root, "a"), project(&root, "b"));
    let workspace = start(options(&a)).await;
    workspace.register(&caller(), "B", as_text(&b), StoreKind::Local).await.unwrap();
    let named = workspace.bank(&caller(), Some("B")).await.unwrap();
    workspace.select(&caller(), SelectTarget::Path(as_text(&b).into())).await.unwrap();
    assert!(Arc::ptr_eq(&named, &workspace.bank(&caller(), None).await.unwrap()));
}

#[tokio::test]
async fn registering_stores_and_using_store_ids_do_not_overwrite_each_other() {
    let root = TempDir::new().unwrap();
    let (a, b, c) = (project(&root, "a"), project(&root, "b"), project(&root, "c"));
    let workspace = start(options(&a)).await;
    workspace.register(&caller(), "B", as_text(&b), StoreKind::Local).await.unwrap();
    workspace.bank(&caller(), Some("B")).await.unwrap();
    workspace.register(&caller(), "C", as_text(&c), StoreKind::Local).await.unwrap();
    workspace.bank(&caller(), Some("B")).await.unwrap();
    let ids = |text: String| ["\"B\"", "\"C\""].map(|id| text.contains(id));
    assert_eq!(ids(std::fs::read_to_string(a.join("stores.json")).unwrap()), [true, true]);
    assert!(workspace.unregister(&caller(), "B").await.unwrap());
    assert!(!workspace.unregister(&caller(), "B").await.unwrap());
    let unknown = workspace.bank(&caller(), Some("B")).await;
    assert!(matches!(unknown.map(|_| ()), Err(WorkspaceError::UnknownStore(_))));
    assert_eq!(ids(std::fs::read_to_string(a.join("stores.json")).unwrap()), [false, true]);
}

#[tokio::test]
async fn list_stores_shows_the_bank_in_use() {
    let root = TempDir::new().unwrap();
    let (a, b) = (project(&root, "a"), project(&root, "b"));
    std::fs::write(b.join("memory-bank/more.md"), "").unwrap();
    let workspace = start(options(&a)).await;
    let list = workspace.stores(&caller()).await.unwrap();
    assert_eq!(list.selected_store_id.as_deref(), Some("a"));
    for id in ["B", "B-again"] {
        workspace.register(&caller(), id, as_text(&b), StoreKind::Local).await.unwrap();
    }
    workspace.register(&caller(), "A", as_text(&a), StoreKind::Local).await.unwrap();
    let selected = workspace.select(&caller(), SelectTarget::Path(as_text(&b).into())).await.unwrap();
    assert_eq!((selected.id.as_str(), selected.path.as_str()), ("B", as_text(&b)));
    let list = workspace.stores(&caller()).await.unwrap();
    assert_eq!(list.selected_store_id.as_deref(), Some("B"));
    let first = &list.stores[0];
    assert_eq!((first.id.as_str(), first.path.as_str(), first.file_count), ("B", as_text(&b), 2));
    let shown: Vec<_> = list.stores.iter().map(|store| (store.id.as_str(), store.is_active)).collect();
    assert_eq!(shown, [("B", true), ("B-again", true), ("A", false)]);
    // After a restart the selection in the file is not reported as the bank in use.
    let restarted = start(options(&a)).await;
    assert_eq!(restarted.stores(&caller()).await.unwrap().selected_store_id.as_deref(), Some("A"));
}

#[tokio::test]
async fn without_a_bank_list_stores_shows_the_registry_only() {
    let root = TempDir::new().unwrap();
    let b = project(&root, "b");
    let empty = root.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let workspace = start(options(&empty)).await;
    let list = workspace.stores(&caller()).await.unwrap();
    assert!(list.stores.is_empty() && list.selected_store_id.is_none());
    workspace.register(&caller(), "B", as_text(&b), StoreKind::Local).await.unwrap();
    let list = workspace.stores(&caller()).await.unwrap();
    assert_eq!((list.stores.len(), list.stores[0].is_active, list.selected_store_id), (1, false, None));
    // A chosen store by its id works as well.
    let selected = workspace.select(&caller(), SelectTarget::Store("B".into())).await.unwrap();
    assert_eq!((selected.id.as_str(), selected.location.as_str()), ("B", as_text(&b.join("memory-bank"))));
}

#[tokio::test]
async fn a_damaged_registry_is_reported_and_the_bank_still_opens() {
    let root = TempDir::new().unwrap();
    let (a, b) = (project(&root, "a"), project(&root, "b"));
    std::fs::write(a.join("stores.json"), "{").unwrap();
    let workspace = start(options(&a)).await;
    assert!(workspace.register(&caller(), "B", as_text(&b), StoreKind::Local).await.is_err());
    assert_eq!(workspace.stores(&caller()).await.unwrap().stores.len(), 1);
    workspace.select(&caller(), SelectTarget::Path(as_text(&b).into())).await.unwrap();
    assert_eq!(active(&workspace).await, as_text(&b.join("memory-bank")));
    assert_eq!(std::fs::read_to_string(a.join("stores.json")).unwrap(), "{");
}

#[cfg(unix)]
#[tokio::test]
async fn a_registry_committed_to_the_project_opens_nothing_outside() {
    let root = TempDir::new().unwrap();
    let (here, elsewhere) = (project(&root, "here"), project(&root, "elsewhere"));
    let inside = here.join("packages/one");
    std::fs::create_dir_all(inside.join("memory-bank")).unwrap();
    std::fs::write(inside.join("memory-bank/progress.md"), "").unwrap();
    std::os::unix::fs::symlink(&elsewhere, here.join("sly")).unwrap();
    let entry = |id: &str, path: &Path| serde_json::json!({"storeId": id, "projectPath": path, "kind": "local", "registeredAt": "2026", "lastUsedAt": "2026"});
    let stores = [entry("out", &elsewhere), entry("in", &inside), entry("sly", &here.join("sly"))];
    let committed = serde_json::json!({"version": 1, "selectedStoreId": "out", "stores": stores}).to_string();
    std::fs::write(here.join("stores.json"), &committed).unwrap();
    let state = StateFolder::new(root.path().join("state"));
    let with_state = || FolderOptions { state: Some(state.clone()), ..options(&here) };
    let workspace = start(with_state()).await;
    for id in ["out", "sly"] {
        let why = workspace.bank(&caller(), Some(id)).await.map(|_| ()).unwrap_err().to_string();
        assert!(why.contains("register"), "{why}");
        assert!(workspace.select(&caller(), SelectTarget::Store(id.into())).await.is_err());
    }
    workspace.bank(&caller(), Some("in")).await.unwrap();
    let list = workspace.stores(&caller()).await.unwrap();
    let counts: Vec<_> = list.stores.iter().map(|store| (store.id.as_str(), store.file_count)).collect();
    assert_eq!(counts, [("here", 1), ("out", 0), ("in", 1), ("sly", 0)]);
    // Stores that the user registers on this machine are used, also after a restart.
    workspace.register(&caller(), "out", as_text(&elsewhere), StoreKind::Local).await.unwrap();
    for workspace in [workspace, start(with_state()).await] {
        workspace.bank(&caller(), Some("out")).await.unwrap();
        assert!(workspace.bank(&caller(), Some("sly")).await.is_err(), "it was not registered");
    }
    // An unregistered store stays closed even if the project lists it again.
    start(with_state()).await.unregister(&caller(), "out").await.unwrap();
    std::fs::write(here.join("stores.json"), &committed).unwrap();
    assert!(start(with_state()).await.bank(&caller(), Some("out")).await.is_err());
    std::fs::write(here.join("stores.json"), committed.replace("elsewhere", "else")).unwrap();
    assert!(start(with_state()).await.bank(&caller(), Some("out")).await.is_err());
    let following = FolderOptions { follow_links: true, ..options(&here) };
    std::fs::write(here.join("stores.json"), &committed).unwrap();
    start(following).await.bank(&caller(), Some("out")).await.unwrap();
}
