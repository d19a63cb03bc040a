//! The content of a new bank: the core documents.

use memory_bank_core::document::{CoreDocument, DocumentPath, Etag};
use memory_bank_core::error::WorkspaceError;
use memory_bank_core::unicode::folded;

use crate::bank_paths::OLD_CORE_NAMES;
use crate::dir::BankDir;
use crate::history::{ChangeAuthor, FolderHistory, Text, TextChange};
use crate::journal::Step;

/// Writes the missing core documents, all or none, and returns them. A document with its older name is not missing:
/// `migrate_file_naming` renames it.
pub(crate) fn write_missing_core_documents(
    dir: &BankDir,
    history: &FolderHistory,
    by: &ChangeAuthor,
) -> Result<Vec<CoreDocument>, WorkspaceError> {
    let mut created = Vec::new();
    let (mut steps, mut changes) = (Vec::new(), Vec::new());
    let names = dir.names_in("");
    for core in CoreDocument::ALL {
        // `PROGRESS.md` is the same name on some systems.
        let is_spelled_otherwise = names.iter().any(|name| folded(name) == core.name());
        let has_old_name = OLD_CORE_NAMES.iter().any(|old| kebab(old) == core.name() && dir.exists(old));
        if !dir.exists(core.name()) && !is_spelled_otherwise && !has_old_name {
            created.push(core);
            let text = Text { content: core.template().to_owned(), etag: Etag::of(core.template()) };
            changes.push(TextChange {
                path: core.path(),
                before: None,
                after: Some(text),
                moved_from: None,
                revives: None,
            });
            steps.push(Step::Write {
                name: core.name().to_owned(),
                content: core.template().as_bytes().to_vec(),
            });
        }
    }
    history.commit(dir, &steps, changes, by, &|| Ok(()))?;
    Ok(created)
}

fn kebab(old: &str) -> String {
    DocumentPath::parse(old).map_or_else(|_| old.to_owned(), |path| path.canonical().as_str().to_owned())
}
