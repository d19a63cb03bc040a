//! Backups: the whole bank is copied, staged and renamed, and restored all or nothing.
//!
//! A backup is a folder `memory-bank-backup-<time>` in the bank's folder `backups`, which version control ignores, or
//! in another folder of the project. Older backups beside the bank are listed and restored, too. This module must not
//! know what the files contain, except that some files of the graph are derived from its log.

mod files;
mod places;

use std::path::PathBuf;

use async_trait::async_trait;
use cap_std::fs::OpenOptions;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::StoreError;
use memory_bank_core::history::ChangeContext;
use memory_bank_core::limits;
use memory_bank_core::store::{
    Backup, BackupError, BackupStore, Change, ReadOutcome, Restored, check_backup_id,
};

use crate::bank::FolderBank;
use crate::dir::{BankDir, reason};
use crate::documents;
use crate::graph::{Addition, DERIVED_FILES, FolderGraph, LOG, Signer};
use crate::history::{ChangeAuthor, FolderHistory, Text, TextChange};
use crate::journal::{self, Step};
use crate::lock::blocking;
pub(crate) use files::{BACKUPS_FOLDER, Survey, survey};
use files::{check_bounds, files_of};
use places::Places;
pub(crate) use places::make_below;

#[async_trait]
impl BackupStore for FolderBank {
    async fn create_backup(&self, _caller: &Caller, directory: Option<&str>) -> Result<Backup, BackupError> {
        let places = self.places();
        let chosen = self.chosen(&places, directory)?;
        let now = self.deps().clock.now();
        let guard = self.lock.exclusive().await?;
        let most = self.most_backups(limits::BACKUPS);
        let made = blocking(move || {
            places.check_number(most)?;
            places.create(guard.dir(), chosen.as_deref(), now)
        })
        .await?;
        Ok(self.shown(made))
    }

    async fn list_backups(
        &self,
        _caller: &Caller,
        directory: Option<&str>,
    ) -> Result<Vec<Backup>, BackupError> {
        let places = self.places();
        let chosen = self.chosen(&places, directory)?;
        let found = blocking(move || places.list(chosen.as_deref())).await?;
        Ok(found.into_iter().map(|backup| self.shown(backup)).collect())
    }

    async fn restore_backup(&self, caller: &Caller, id: &str, safety: bool) -> Result<Restored, BackupError> {
        let places = self.places();
        let id = id.trim().to_owned();
        check_backup_id(&id)?;
        let now = self.deps().clock.now();
        let guard = self.lock.exclusive().await?;
        let context = ChangeContext {
            restores: true,
            session: self.context.session.clone(),
            ..ChangeContext::of_tool("restore_backup")
        };
        let signer = self.signer(caller, &context, &iso_millis(now));
        let writer = Writer {
            history: self.history.clone(),
            graph: self.graph.clone(),
            by: ChangeAuthor::caller(caller, context, now),
            signer,
        };
        let (notifier, sink, project) = (self.notifier.clone(), self.deps().sink.clone(), caller.project);
        // A safety copy is worth more than a requested one.
        let most = self.most_backups(2 * limits::BACKUPS).filter(|_| safety);
        let mut restored = blocking(move || {
            let dir = guard.dir();
            let found = places.list(None)?.into_iter().find(|backup| same_id(&backup.id, &id));
            let found = found.ok_or_else(|| BackupError::NotFound(id.clone()))?;
            let backup = places.open(&found).map_err(|error| {
                BackupError::Refused(format!("{id} cannot be opened: {}", reason(&error)))
            })?;
            places.check_number(most)?;
            let safety = if safety { Some(places.create(dir, None, now)?) } else { None };
            let mut restored = restore(dir, &backup, &writer)?;
            restored.safety = safety;
            for name in &restored.files {
                let Ok(path) = DocumentPath::parse(name) else { continue };
                if let Ok(ReadOutcome::Found(document)) = documents::read(dir, &path) {
                    notifier.record_name(&document.path, true);
                    notifier.notify_document(project, &document.path, Some(&document.etag));
                }
            }
            sink.changed(project, Change::List);
            sink.changed(project, Change::Graph);
            drop(guard);
            Ok::<_, BackupError>(restored)
        })
        .await?;
        restored.safety = restored.safety.map(|safety| self.shown(safety));
        Ok(restored)
    }
}

impl FolderBank {
    fn places(&self) -> Places {
        let beside = self.path().parent().unwrap_or(self.path()).to_owned();
        Places { bank: self.root().clone(), project: self.project().to_owned(), beside }
    }

    /// The most backups, if the user does not own the disk; `None` otherwise.
    fn most_backups(&self, most: usize) -> Option<usize> {
        (!self.shows_paths()).then_some(most)
    }

    /// The folder that a user chose. A remote client cannot choose one: its paths mean nothing here.
    fn chosen(&self, places: &Places, directory: Option<&str>) -> Result<Option<PathBuf>, BackupError> {
        let directory = directory.filter(|text| self.shows_paths() && !text.is_empty());
        directory.map(|text| places.chosen(text)).transpose()
    }

    /// A backup as it is shown to the caller.
    fn shown(&self, backup: Backup) -> Backup {
        if self.shows_paths() { backup } else { Backup { location: backup.id.clone(), ..backup } }
    }
}

/// What notes a restore in the histories, and whose it is.
struct Writer {
    history: FolderHistory,
    graph: FolderGraph,
    by: ChangeAuthor,
    signer: Signer,
}

/// Copies the files of a backup over those of the bank. The caller holds the bank's lock.
fn restore(bank: &BankDir, backup: &BankDir, writer: &Writer) -> Result<Restored, BackupError> {
    let read = || StoreError::io("cannot read the backup");
    let names = files_of(backup, limits::FILE_LEVELS).map_err(read())?;
    let files: Vec<String> =
        names.into_iter().filter(|name| !DERIVED_FILES.contains(&name.as_str())).collect();
    if files.is_empty() {
        return Err(BackupError::Refused("the backup is empty; nothing was restored".to_owned()));
    }
    check_bounds(backup, &files)?;
    let present =
        files_of(bank, limits::FILE_LEVELS).map_err(StoreError::io("cannot read the memory bank"))?;
    let addition = writer.addition(bank, backup, &files)?;
    let staged: Result<Vec<Step>, StoreError> = files
        .iter()
        .filter(|name| addition.is_none() || *name != LOG)
        .map(|name| {
            let target = bank
                .check_folders(name, false)
                .and_then(|()| bank.target(name))
                .map_err(StoreError::io(format!("cannot write `{name}`")))?;
            let mut file = backup.open_file(name, OpenOptions::new().read(true)).map_err(read())?;
            let staged = bank
                .stage_from(&target, &mut file)
                .map_err(StoreError::io(format!("cannot write `{name}`")))?;
            Ok(Step::Publish { name: name.clone(), staged })
        })
        .collect();
    let committed = staged.and_then(|mut steps| {
        if files.iter().any(|name| name.starts_with("graph/")) {
            let derived = DERIVED_FILES.iter().filter(|name| bank.exists(name));
            steps.extend(derived.map(|name| Step::Remove { name: (*name).to_owned() }));
        }
        let changes = if writer.history.is_kept() { changing(bank, backup, &files)? } else { Vec::new() };
        let added = addition.filter(|addition| !addition.is_empty());
        let known = added.map(|addition| addition.write(bank, &mut steps)).transpose()?.flatten();
        let check = || known.iter().try_for_each(|known| known.check(bank));
        writer.history.commit(bank, &steps, changes, &writer.by, &check)
    });
    if let Err(error) = committed {
        if !journal::is_pending(bank) {
            bank.discard_all_staged();
        }
        return Err(error.into());
    }
    let kept = present
        .into_iter()
        .filter(|name| !files.contains(name) && !DERIVED_FILES.contains(&name.as_str()))
        .collect();
    Ok(Restored { files, kept, safety: None })
}

impl Writer {
    /// What a backup adds to the graph's log; `None` if its log replaces the bank's, or if it has none.
    fn addition(
        &self,
        bank: &BankDir,
        backup: &BankDir,
        files: &[String],
    ) -> Result<Option<Addition>, StoreError> {
        if !self.history.is_kept() || !files.iter().any(|name| name == LOG) {
            return Ok(None);
        }
        let now = self.signer.by.at.as_deref().unwrap_or_default();
        self.graph.plan_restore(bank, backup, &self.signer, now)
    }
}

/// The documents that a backup changes.
fn changing(bank: &BankDir, backup: &BankDir, files: &[String]) -> Result<Vec<TextChange>, StoreError> {
    let text = |dir: &BankDir, path: &DocumentPath| match documents::read(dir, path)? {
        ReadOutcome::Found(document) if document.path == *path => {
            Ok::<_, StoreError>(Some(Text::from(&document)))
        }
        _ => Ok(None),
    };
    let mut changes = Vec::new();
    for path in files.iter().filter_map(|name| DocumentPath::parse(name).ok()) {
        let (before, after) = (text(bank, &path)?, text(backup, &path)?);
        if after.is_some() && before != after {
            changes.push(TextChange { path, before, after, moved_from: None, revives: None });
        }
    }
    Ok(changes)
}

/// The original shows ids without the final `Z` in one place and with it in another.
fn same_id(a: &str, b: &str) -> bool {
    a == b || a.strip_suffix('Z') == Some(b) || b.strip_suffix('Z') == Some(a)
}

#[cfg(test)]
mod tests {
    use memory_bank_core::store::backup_time;

    use super::*;

    #[test]
    fn ids_are_the_same_with_and_without_the_final_z() {
        let (with, without) =
            ("memory-bank-backup-2026-11-22T09-42-55-527Z", "memory-bank-backup-2026-11-22T09-42-55-527");
        assert!(same_id(with, without) && same_id(without, with) && same_id(with, with));
        assert!(!same_id(with, "memory-bank-backup-2026-11-22T09-42-55-527Z-2"));
        assert_eq!(iso_millis(backup_time(with).unwrap()), "2026-11-22T09:42:55.527Z");
        assert_eq!(backup_time(with), backup_time(without));
        assert_eq!(backup_time(with), backup_time("memory-bank-backup-2026-11-22T09-42-55-527Z-2"));
    }
}
