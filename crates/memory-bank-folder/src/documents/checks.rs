//! What is checked before new documents are made: their names, and their number.

use std::collections::HashSet;

use memory_bank_core::error::{EditError, StoreError};
use memory_bank_core::store::{check_document_count, name_clash};

use super::{Plan, is_document};
use crate::dir::{BankDir, reason};
use crate::journal::Step;

/// The most levels of folders that are looked into.
const MAX_DEPTH: usize = 8;

/// Refuses new names that another file system could not store beside the existing ones, and folders that are links.
pub(super) fn check_new(dir: &BankDir, plan: &Plan) -> Result<(), EditError> {
    let removed: HashSet<&str> = plan
        .steps
        .iter()
        .filter_map(|step| if let Step::Remove { name } = step { Some(name.as_str()) } else { None })
        .collect();
    let is_removed = |name: &str| removed.contains(name) || is_emptied(dir, name, &removed, MAX_DEPTH);
    for path in &plan.creates {
        dir.check_folders(path.as_str(), false)
            .map_err(|error| EditError::Refused(format!("`{path}` cannot be made: {}", reason(&error))))?;
        let mut folder = String::new();
        for part in path.as_str().split('/') {
            let below =
                |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            let names = dir.names_in(&folder);
            let other = names
                .iter()
                .map(|name| below(name))
                .find(|name| path.clashes_with(name) && !is_removed(name));
            if let Some(other) = other {
                return Err(name_clash(path, &other));
            }
            folder = below(part);
        }
        if let Some(other) = plan.creates.iter().find(|other| path.clashes_with(other.as_str())) {
            return Err(name_clash(path, other.as_str()));
        }
    }
    Ok(())
}

/// Whether this is a folder all of whose files are removed, and which goes with them.
fn is_emptied(dir: &BankDir, folder: &str, removed: &HashSet<&str>, depth: usize) -> bool {
    if removed.is_empty() || depth == 0 {
        return false;
    }
    let names = dir.names_in(folder);
    let is_removed = |name: &String| {
        let below = format!("{folder}/{name}");
        removed.contains(below.as_str()) || is_emptied(dir, &below, removed, depth - 1)
    };
    !names.is_empty() && names.iter().all(is_removed)
}

/// Refuses new documents past the limit of a bank.
pub(super) fn check_room(dir: &BankDir, creates: usize) -> Result<(), EditError> {
    let walked = dir.walk().map_err(StoreError::io("cannot list the memory bank"))?;
    let present = walked.iter().filter(|entry| is_document(entry)).count();
    check_document_count(present, creates)
}
