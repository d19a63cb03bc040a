//! The list of stores: the bank in use, and the entries of the registry.

use memory_bank_core::store::{RegisteredStore, StoreInfo, StoreKind, StoreList};

use crate::access::RegistryAccess;
use crate::bank::FolderBank;
use crate::bank_paths::base_name;
use crate::dir::Root;
use crate::documents;
use crate::registry::Registered;

/// The active bank first, then the other entries of the registry. Reads the disk.
pub(crate) fn list_stores(
    access: &RegistryAccess,
    active: Option<&FolderBank>,
    registered: &Registered,
    now: &str,
) -> StoreList {
    let selected = active.map(|bank| id_of(access, bank, registered));
    let mut stores = Vec::new();
    if let (Some(bank), Some(id)) = (active, &selected) {
        let (file_count, has_graph) = describe(bank.root());
        stores.push(StoreInfo {
            id: id.clone(),
            path: bank.project().display().to_string(),
            kind: StoreKind::Local,
            is_active: true,
            has_graph,
            file_count,
            last_used_at: now.to_owned(),
        });
    }
    for store in registered.stores().filter(|store| Some(&store.store_id) != selected.as_ref()) {
        let (file_count, has_graph) = match access.paths(&store) {
            Some(paths) => describe(&access.origin.root(&paths)),
            None => (0, false),
        };
        stores.push(StoreInfo {
            is_active: active.is_some_and(|bank| is_at(access, bank, &store)),
            id: store.store_id,
            path: store.project_path,
            kind: store.kind,
            has_graph,
            file_count,
            last_used_at: store.last_used_at,
        });
    }
    StoreList { stores, selected_store_id: selected }
}

/// Number of documents, and whether there is a graph.
fn describe(root: &Root) -> (usize, bool) {
    let Ok(dir) = root.open() else { return (0, false) };
    let count =
        documents::entries(&dir).map_or(0, |all| all.iter().filter(|entry| entry.path.is_some()).count());
    (count, dir.stamp("graph/graph.jsonl").is_some())
}

/// The id under which a bank is listed. Reads the disk.
pub(crate) fn id_of(access: &RegistryAccess, bank: &FolderBank, registered: &Registered) -> String {
    let here = registered.stores().filter(|store| is_at(access, bank, store));
    let ids: Vec<_> = here.map(|store| store.store_id).collect();
    let selected = registered.selected().filter(|selected| ids.iter().any(|id| id == selected));
    selected.map(str::to_owned).or_else(|| ids.first().cloned()).unwrap_or_else(|| base_name(bank.project()))
}

/// Whether an entry means this bank. Reads the disk.
fn is_at(access: &RegistryAccess, bank: &FolderBank, store: &RegisteredStore) -> bool {
    let Some(paths) = access.paths(store) else { return false };
    let real = (fs_err::canonicalize(&paths.bank), fs_err::canonicalize(bank.path()));
    paths.bank == bank.path() || matches!(real, (Ok(a), Ok(b)) if a == b)
}
