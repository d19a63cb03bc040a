//! The content of a new bank: the core documents.

use memory_bank_core::document::{CoreDocument, DocumentPath};
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::unicode::folded;

use crate::dir::BankDir;
use crate::journal::{self, Step};
use crate::place::OLD_CORE_NAMES;

/// Writes the missing core documents, all or none, and returns them. A document with its older name is not missing:
/// `migrate_file_naming` renames it.
pub(crate) fn write_missing_core_documents(dir: &BankDir) -> Result<Vec<CoreDocument>, WorkspaceError> {
    let mut created = Vec::new();
    let mut steps = Vec::new();
    let names = dir.names_in("");
    for core in CoreDocument::ALL {
        // `PROGRESS.md` is the same name on some systems.
        let is_spelled_otherwise = names.iter().any(|name| folded(name) == core.name());
        let has_old_name = OLD_CORE_NAMES.iter().any(|old| kebab(old) == core.name() && dir.exists(old));
        if !dir.exists(core.name()) && !is_spelled_otherwise && !has_old_name {
            created.push(core);
            steps.push(Step::Write {
                name: core.name().to_owned(),
                content: core.template().as_bytes().to_vec(),
            });
        }
    }
    journal::commit(dir, &steps)?;
    Ok(created)
}

fn kebab(old: &str) -> String {
    DocumentPath::parse(old).map_or_else(|_| old.to_owned(), |path| path.canonical().as_str().to_owned())
}
