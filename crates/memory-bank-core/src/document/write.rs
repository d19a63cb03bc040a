//! Whole documents: write one or several, delete, rename, migrate old names.

use serde::{Deserialize, Serialize};

use crate::document::core_document::OLD_NAMES;
use crate::document::{DocumentPath, Etag, Former, Removed};
use crate::error::EditError;
use crate::limits;
use crate::store::Drafts;

/// The result of writing a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentWritten {
    /// The etag of the new text.
    pub etag: Etag,
    /// The replaced text, if it differs.
    pub replaced: Option<Former>,
}

/// The result of deleting a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentDeleted {
    /// The deleted content.
    pub former: Former,
    /// Its text, as far as a reply repeats it.
    pub removed: Removed,
}

/// The etag that no document has: a write with it creates a document, and is refused as a mismatch if there is one.
pub const NO_DOCUMENT: &str = "none";

/// Writes a document; with an etag only if the stored one equals it. An empty etag counts as missing if nothing is
/// lost by it.
///
/// # Errors
/// The etag differs, or is empty though another text is stored, the document does not exist though an etag was given,
/// or the text is too large.
pub fn write_document(
    drafts: &mut Drafts,
    path: &DocumentPath,
    content: &str,
    if_match: Option<&str>,
) -> Result<DocumentWritten, EditError> {
    let replaced = drafts.stored(path).filter(|stored| stored.content != content).map(Former::of);
    match if_match {
        Some("") if replaced.is_some() => return Err(unclear_etag()),
        Some("") => {}
        Some(NO_DOCUMENT) if drafts.stored(path).is_none() => {}
        other => check_etag(drafts, path, other)?,
    }
    drafts.set(path, content.to_owned())?;
    Ok(DocumentWritten { etag: Etag::of(content), replaced })
}

/// An empty etag may mean "any version" or "does not exist".
fn unclear_etag() -> EditError {
    EditError::Refused(
        "`ifMatchEtag` is empty; give the etag that reading the document returned, or leave it out"
            .to_owned(),
    )
}

/// Accepts a missing etag, and the etag of the stored document.
///
/// # Errors
/// As [`write_document`].
pub fn check_etag(drafts: &Drafts, path: &DocumentPath, if_match: Option<&str>) -> Result<(), EditError> {
    let Some(expected) = if_match else { return Ok(()) };
    if expected.is_empty() {
        return Err(unclear_etag());
    }
    let Some(stored) = drafts.stored(path) else {
        return Err(EditError::NotFound(path.clone()));
    };
    if stored.etag.as_str() == expected {
        return Ok(());
    }
    Err(EditError::EtagMismatch {
        path: path.clone(),
        expected: expected.to_owned(),
        current: stored.etag.clone(),
        content: stored.content.clone(),
    })
}

/// Deletes a document that is not a core document.
///
/// # Errors
/// It is a core document, does not exist, or has another etag.
pub fn delete_document(
    drafts: &mut Drafts,
    path: &DocumentPath,
    if_match: Option<&str>,
) -> Result<DocumentDeleted, EditError> {
    refuse_core(path, "deleted", "empty it with write_memory_bank_file instead")?;
    check_etag(drafts, path, if_match)?;
    let Some(stored) = drafts.stored(path) else {
        return Err(EditError::NotFound(path.clone()));
    };
    let mut removed = Removed::default();
    removed.push_whole(&stored.content);
    let deleted = DocumentDeleted { former: Former::of(stored), removed };
    drafts.delete(path)?;
    Ok(deleted)
}

/// Renames a document that is not a core document; the new name must be free.
///
/// # Errors
/// It is a core document, does not exist, has another etag, or the new name is taken.
pub fn rename_document(
    drafts: &mut Drafts,
    from: &DocumentPath,
    to: &DocumentPath,
    if_match: Option<&str>,
) -> Result<(), EditError> {
    refuse_core(from, "renamed", "copy what you need into a new document instead")?;
    check_etag(drafts, from, if_match)?;
    let Some(content) = drafts.text(from).map(str::to_owned) else {
        return Err(EditError::NotFound(from.clone()));
    };
    if from == to || drafts.text(to).is_some() {
        return Err(EditError::Exists(to.clone()));
    }
    drafts.set(to, content)?;
    drafts.delete(from)
}

fn refuse_core(path: &DocumentPath, done: &str, instead: &str) -> Result<(), EditError> {
    if path.is_core() {
        return Err(EditError::Refused(format!(
            "`{path}` is a core document and cannot be {done}; {instead}"
        )));
    }
    Ok(())
}

/// The result of [`migrate_file_naming`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamesMigrated {
    /// The new names of the documents that were renamed.
    pub migrated: Vec<&'static str>,
    /// The old names of those that were not renamed, since the new name is taken.
    pub skipped: Vec<&'static str>,
}

/// The documents that [`migrate_file_naming`] needs: every old and new name.
#[must_use]
pub fn migration_paths() -> Vec<DocumentPath> {
    OLD_NAMES
        .iter()
        .flat_map(|(old, new)| [old, new])
        .filter_map(|name| DocumentPath::parse(name).ok())
        .collect()
}

/// Renames the core documents that have an old name. None is overwritten.
///
/// # Errors
/// A path is not part of the edit.
pub fn migrate_file_naming(drafts: &mut Drafts) -> Result<NamesMigrated, EditError> {
    let mut outcome = NamesMigrated::default();
    for (old, new) in OLD_NAMES {
        let (Ok(old_path), Ok(new_path)) = (DocumentPath::parse(old), DocumentPath::parse(new)) else {
            continue;
        };
        // A request for the old name returns the new one if the old one is missing: both have one canonical form.
        let Some(stored) = drafts.stored(&old_path).filter(|stored| stored.path == old_path) else {
            continue;
        };
        let content = stored.content.clone();
        if drafts.stored(&new_path).is_some() {
            outcome.skipped.push(old);
            continue;
        }
        drafts.set(&new_path, content)?;
        drafts.delete(&old_path)?;
        outcome.migrated.push(new);
    }
    Ok(outcome)
}

/// Several writes: arguments of `batch_write_files`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchWrite {
    /// The writes, in order.
    pub files: Vec<FileWrite>,
    /// Whether the writes after a failed one are skipped.
    #[serde(default)]
    pub stop_on_error: bool,
    /// Whether nothing is written if one write fails.
    #[serde(default)]
    pub all_or_nothing: bool,
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileWrite {
    /// The name.
    pub filename: String,
    /// The text.
    pub content: String,
    /// The etag that the stored document must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_match_etag: Option<String>,
}

/// The result of one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileWritten {
    /// The requested name.
    pub filename: String,
    /// The new etag and the replaced content, or the error.
    pub result: Result<DocumentWritten, String>,
}

/// A batch whose names were checked.
#[derive(Debug)]
pub struct BatchPlan {
    request: BatchWrite,
    paths: Vec<Result<DocumentPath, String>>,
}

impl BatchWrite {
    /// Checks the batch as a whole.
    ///
    /// # Errors
    /// It is empty, has more than [`limits::BATCH_DOCUMENTS`] writes, or names a document twice.
    pub fn plan(self) -> Result<BatchPlan, EditError> {
        if self.files.is_empty() {
            return Err(EditError::Refused("`files` is empty; give at least one document".to_owned()));
        }
        if self.files.len() > limits::BATCH_DOCUMENTS {
            return Err(EditError::Refused(format!(
                "`files` has {} documents, at most {} are allowed; split the call",
                self.files.len(),
                limits::BATCH_DOCUMENTS
            )));
        }
        let mut paths: Vec<Result<DocumentPath, String>> = Vec::with_capacity(self.files.len());
        let mut canonical: Vec<DocumentPath> = Vec::with_capacity(self.files.len());
        for file in &self.files {
            let path = DocumentPath::parse(&file.filename).map_err(|error| format!("Write failed: {error}"));
            if let Ok(path) = &path {
                if canonical.contains(&path.canonical()) {
                    return Err(EditError::Refused(format!(
                        "`files` names `{}` twice; give its final text in one write",
                        file.filename
                    )));
                }
                canonical.push(path.canonical());
            }
            paths.push(path);
        }
        Ok(BatchPlan { request: self, paths })
    }
}

impl BatchPlan {
    /// The documents that the edit needs.
    #[must_use]
    pub fn paths(&self) -> Vec<DocumentPath> {
        self.paths.iter().filter_map(|path| path.as_ref().ok().cloned()).collect()
    }

    /// Carries out the writes, in order, and returns one outcome each.
    ///
    /// # Errors
    /// Only with `all_or_nothing`, if a write failed; names every failure.
    pub fn apply(&self, drafts: &mut Drafts) -> Result<Vec<FileWritten>, EditError> {
        let mut written: Vec<FileWritten> = Vec::with_capacity(self.request.files.len());
        for (file, path) in self.request.files.iter().zip(&self.paths) {
            let stopped = self.request.stop_on_error && written.iter().any(|file| file.result.is_err());
            let result = match path {
                _ if stopped => Err("Skipped due to previous error".to_owned()),
                Ok(path) => write_document(drafts, path, &file.content, file.if_match_etag.as_deref())
                    .map_err(|error| reason(&error)),
                Err(reason) => Err(reason.clone()),
            };
            written.push(FileWritten { filename: file.filename.clone(), result });
        }
        let failures: Vec<String> = written
            .iter()
            .filter_map(|file| Some(format!("`{}`: {}", file.filename, file.result.as_ref().err()?)))
            .collect();
        if self.request.all_or_nothing && !failures.is_empty() {
            return Err(EditError::Refused(format!("nothing was written; {}", failures.join("; "))));
        }
        Ok(written)
    }
}

/// Clients match the first wording.
fn reason(error: &EditError) -> String {
    match error {
        EditError::EtagMismatch { expected, current, .. } => {
            format!("ETag mismatch: expected {expected}, got {current}")
        }
        other => format!("Write failed: {other}"),
    }
}
