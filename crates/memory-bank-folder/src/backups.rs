//! Backups: the whole bank is copied, staged and renamed, and restored all or nothing.
//!
//! A backup is a folder `memory-bank-backup-<time>` in the bank's folder `backups`, which version control ignores, or
//! in another folder of the project. Older backups beside the bank are listed and restored, too. This module must not
//! know what the files contain, except that some files of the graph are derived from its log.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use cap_std::fs::OpenOptions;
use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::StoreError;
use memory_bank_core::limits;
use memory_bank_core::store::{
    BACKUP_PREFIX, Backup, BackupError, BackupStore, Change, ReadOutcome, Restored, backup_time,
    check_backup_id,
};

use crate::bank::FolderBank;
use crate::dir::{BankDir, FileRead, Root, is_reserved, reason};
use crate::documents;
use crate::forms;
use crate::graph::DERIVED;
use crate::journal::{self, Step};
use crate::lock::blocking;

/// The folder of the bank that holds its backups.
pub(crate) const BELOW: &str = "backups";
/// Records, in the bank's internal folder, where else backups were created: one path in the project per line.
const PLACES: &str = ".mbmcp/backup-folders";
const PLACES_BYTES: u64 = 64 * 1024;
/// A staging folder this old was left behind by a process that died.
const STALE: Duration = Duration::from_secs(3600);

#[async_trait]
impl BackupStore for FolderBank {
    async fn create_backup(&self, _caller: &Caller, directory: Option<&str>) -> Result<Backup, BackupError> {
        let places = self.places();
        let chosen = self.chosen(&places, directory)?;
        let now = self.surroundings().clock.now();
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
        let now = self.surroundings().clock.now();
        let guard = self.lock.exclusive().await?;
        let (notifier, sink, project) =
            (self.notifier.clone(), self.surroundings().sink.clone(), caller.project);
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
            let mut restored = restore(dir, &backup)?;
            restored.safety = safety;
            for name in &restored.files {
                let Ok(path) = DocumentPath::parse(name) else { continue };
                if let Ok(ReadOutcome::Found(document)) = documents::read(dir, &path) {
                    notifier.name(&document.path, true);
                    notifier.document(project, &document.path, Some(&document.etag));
                }
            }
            sink.changed(project, Change::List);
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
        let directory = directory.filter(|words| self.shows_paths() && !words.is_empty());
        directory.map(|words| places.chosen(words)).transpose()
    }

    /// A backup as it is told.
    fn shown(&self, backup: Backup) -> Backup {
        if self.shows_paths() { backup } else { Backup { location: backup.id.clone(), ..backup } }
    }
}

/// Folders of one bank's backups.
#[derive(Debug)]
struct Places {
    bank: Root,
    project: PathBuf,
    /// The folder that contains the bank, where older versions created backups.
    beside: PathBuf,
}

impl Places {
    /// The place that a user chose, as a path in the project.
    fn chosen(&self, words: &str) -> Result<PathBuf, BackupError> {
        let refused = |why: &str| BackupError::Refused(format!("`{words}` cannot hold backups: {why}"));
        if !words.is_empty() {
            forms::check(words).map_err(BackupError::Refused)?;
        }
        if words == "~" || words.starts_with("~/") {
            return Err(refused(
                "`~` is not expanded here; give a folder below the project, such as `backups`",
            ));
        }
        let path = Path::new(words);
        let inner = if path.has_root() {
            path.strip_prefix(&self.project)
                .map_err(|_| refused("it is not below the project; give a folder relative to the project"))?
        } else {
            path
        };
        let mut chosen = PathBuf::new();
        for part in inner.components() {
            match part {
                Component::CurDir => {}
                Component::Normal(part) => chosen.push(part),
                _ => return Err(refused("it leads out of the project; give a folder below the project")),
            }
        }
        let place = self.project.join(&chosen);
        if place.starts_with(self.bank.path()) && place != self.below() {
            return Err(refused(
                "it is in the memory bank itself; leave it out, or choose a folder beside it",
            ));
        }
        Ok(chosen)
    }

    /// The default folder.
    fn below(&self) -> PathBuf {
        self.bank.path().join(BELOW)
    }

    /// Refuses a backup beyond the bound. None is deleted: they are files of the folder's owner. The caller holds the
    /// bank's lock.
    fn check_number(&self, most: Option<usize>) -> Result<(), BackupError> {
        let Some(most) = most else { return Ok(()) };
        let there = self.list(None)?.len();
        if there < most {
            return Ok(());
        }
        Err(BackupError::Refused(format!(
            "there are {there} backups already, at most {most} are made over HTTP, so nothing was done; whoever serves the \
             folder can remove some of the folders `{BACKUP_PREFIX}…` in its `backups`, or beside the memory bank"
        )))
    }

    /// Copies the bank aside. The caller holds the bank's lock.
    fn create(&self, bank: &BankDir, chosen: Option<&Path>, now: Timestamp) -> Result<Backup, BackupError> {
        let fault = || StoreError::io("cannot make the backup");
        let is_elsewhere = |chosen: &&Path| self.project.join(chosen) != self.below();
        let (holder, location) = match chosen.filter(is_elsewhere) {
            None => (make_below(bank).map_err(fault())?, self.below()),
            Some(chosen) if chosen.as_os_str().is_empty() => {
                (BankDir::open(&self.project).map_err(fault())?, self.project.clone())
            }
            Some(chosen) => {
                let name = chosen.to_str().unwrap_or_default();
                let project = BankDir::open(&self.project).map_err(fault())?;
                // Inside the capability of the project: a link that leads out of it is refused here.
                project.create_folder(name).map_err(fault())?;
                (project.open_folder(name).map_err(fault())?, self.project.join(chosen))
            }
        };
        if holder.is_at(&self.bank) {
            return Err(BackupError::Refused("a backup cannot be made in the memory bank itself".to_owned()));
        }
        let mut names = files_of(bank, limits::FILE_LEVELS).map_err(fault())?;
        // A hidden file that is not a document may be anything, such as a key; a restore leaves it unchanged.
        names.retain(|name| !is_hidden(name) || DocumentPath::parse(name).is_ok());
        check_bounds(bank, &names)?;
        remove_stale(&holder, now);
        let (id, staging) = reserve(&holder, now).map_err(fault())?;
        let made = (|| {
            let aside = holder.open_folder(&staging)?;
            for name in &names {
                copy(bank, &aside, name)
                    .map_err(|error| io::Error::other(format!("`{name}`: {}", reason(&error))))?;
            }
            aside.sync_names()?;
            // A folder that is open cannot be renamed on every system.
            drop(aside);
            holder.rename_folder(&staging, &id)
        })();
        if let Err(error) = made {
            if let Err(error) = holder.remove_folder(&staging) {
                tracing::warn!(%error, "an unfinished backup could not be removed");
            }
            return Err(fault()(error).into());
        }
        if let Some(chosen) = chosen.filter(is_elsewhere).and_then(Path::to_str) {
            remember(bank, chosen)?;
        }
        let location = location.join(&id).display().to_string();
        Ok(Backup { timestamp: backup_time(&id).unwrap_or(now), id, location })
    }

    /// Opens a folder that may hold backups. Below the project nothing leads out of it.
    fn open_place(&self, project: &BankDir, folder: &Path) -> io::Result<BankDir> {
        match folder.strip_prefix(&self.project).ok().and_then(Path::to_str) {
            Some(inner) if !inner.is_empty() => project.open_folder(inner),
            _ => BankDir::open(folder),
        }
    }

    /// Opens a backup that was listed. Below the project nothing leads out of it.
    fn open(&self, backup: &Backup) -> io::Result<BankDir> {
        let path = Path::new(&backup.location);
        if path.parent() == Some(self.below().as_path()) {
            return self.bank.open()?.open_own_folder(BELOW)?.open_own_folder(&backup.id);
        }
        match path.strip_prefix(&self.project).ok().and_then(Path::to_str) {
            Some(inner) => BankDir::open(&self.project)?.open_folder(inner),
            None => BankDir::open(&self.beside)?.open_folder(&backup.id),
        }
    }

    /// All backups: the usual place, the former one, those where backups were made before, and the chosen one.
    fn list(&self, chosen: Option<&Path>) -> Result<Vec<Backup>, BackupError> {
        let mut folders: BTreeSet<PathBuf> = BTreeSet::from([self.beside.clone()]);
        let bank = self.bank.open().map_err(StoreError::io("cannot open the memory bank"))?;
        for line in remembered(&bank)? {
            if let Ok(inner) = self.chosen(&line) {
                folders.insert(self.project.join(inner));
            }
        }
        folders.extend(chosen.map(|inner| self.project.join(inner)));
        let project = BankDir::open(&self.project).map_err(StoreError::io("cannot open the project"))?;
        let mut backups = Vec::new();
        folders.insert(self.below());
        for folder in folders {
            let opened = if folder == self.below() {
                bank.open_own_folder(BELOW)
            } else {
                self.open_place(&project, &folder)
            };
            let Ok(entries) = opened.and_then(|dir| dir.entries("")) else { continue };
            for entry in
                entries.into_iter().filter(|entry| entry.is_folder && check_backup_id(&entry.name).is_ok())
            {
                backups.push(Backup {
                    timestamp: backup_time(&entry.name).unwrap_or_else(|| entry.stamp.updated_at()),
                    location: folder.join(&entry.name).display().to_string(),
                    id: entry.name,
                });
            }
        }
        backups.sort_by(|a, b| (b.timestamp, &b.id).cmp(&(a.timestamp, &a.id)));
        Ok(backups)
    }
}

/// Opens the bank's own folder for backups, making it if need be, with a note to git to leave it alone.
pub(crate) fn make_below(bank: &BankDir) -> io::Result<BankDir> {
    bank.create_folder(BELOW)?;
    let folder = bank.open_own_folder(BELOW)?;
    match folder.write_new(".gitignore", &mut "*\n".as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(folder),
    }
}

/// Copies the files of a backup over those of the bank. The caller holds the bank's lock.
fn restore(bank: &BankDir, backup: &BankDir) -> Result<Restored, BackupError> {
    let read = || StoreError::io("cannot read the backup");
    let names = files_of(backup, limits::FILE_LEVELS).map_err(read())?;
    let files: Vec<String> = names.into_iter().filter(|name| !DERIVED.contains(&name.as_str())).collect();
    if files.is_empty() {
        return Err(BackupError::Refused("the backup is empty; nothing was restored".to_owned()));
    }
    check_bounds(backup, &files)?;
    let present =
        files_of(bank, limits::FILE_LEVELS).map_err(StoreError::io("cannot read the memory bank"))?;
    let staged: Result<Vec<Step>, StoreError> = files
        .iter()
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
            let derived = DERIVED.iter().filter(|name| bank.exists(name));
            steps.extend(derived.map(|name| Step::Remove { name: (*name).to_owned() }));
        }
        journal::commit(bank, &steps)
    });
    if let Err(error) = committed {
        if !journal::is_pending(bank) {
            bank.discard_all_staged();
        }
        return Err(error.into());
    }
    let kept = present
        .into_iter()
        .filter(|name| !files.contains(name) && !DERIVED.contains(&name.as_str()))
        .collect();
    Ok(Restored { files, kept, safety: None })
}

/// All files of a bank or a backup, sorted, as paths with `/`. What cannot belong to a bank (a pipe, a link that
/// leads out, a name that is not Unicode, what version control keeps) is left out.
fn files_of(dir: &BankDir, depth: usize) -> io::Result<Vec<String>> {
    let Survey { files, left_out, .. } = survey(dir, depth)?;
    for name in left_out {
        tracing::warn!(name, "this is not a file of the memory bank; the backup omits it");
    }
    Ok(files)
}

fn is_hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.'))
}

/// Whether this is a backup in the bank's own folder for them, or belongs to that folder.
fn is_backup(name: &str) -> bool {
    let Some((folder, name)) = name.split_once('/') else { return false };
    let is_ours = name == ".gitignore"
        || check_backup_id(name).is_ok()
        || (name.starts_with(&format!(".{BACKUP_PREFIX}")) && name.ends_with(".tmp"));
    folder.eq_ignore_ascii_case(BELOW) && is_ours
}

/// What is in a bank.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Its files.
    pub(crate) files: Vec<String>,
    /// What cannot belong to a bank.
    pub(crate) left_out: Vec<String>,
    /// Names that do not belong to the bank: its internal folder, version control, and temporary files.
    pub(crate) reserved: Vec<String>,
}

/// The same, and the names of what is no file of the bank.
pub(crate) fn survey(dir: &BankDir, depth: usize) -> io::Result<Survey> {
    let mut found = Survey::default();
    let mut folders = vec![(String::new(), depth)];
    while let Some((folder, depth)) = folders.pop() {
        let below = |name: String| if folder.is_empty() { name } else { format!("{folder}/{name}") };
        found.reserved.extend(dir.passed_over(&folder)?.into_iter().map(below));
        for entry in dir.entries(&folder)? {
            let name = below(entry.name);
            // Backups are transferred and listed separately.
            if is_backup(&name) {
                continue;
            }
            if name.split('/').any(is_reserved) {
                found.reserved.push(name);
                continue;
            }
            if entry.is_file && dir.target(&name).is_ok() && dir.stamp(&name).is_some() {
                found.files.push(name);
            } else if entry.is_folder && depth > 0 {
                folders.push((name, depth - 1));
            } else {
                found.left_out.push(name);
            }
        }
    }
    found.files.sort();
    found.reserved.sort();
    Ok(found)
}

fn check_bounds(dir: &BankDir, names: &[String]) -> Result<(), BackupError> {
    if names.len() > limits::BACKUP_FILES {
        return Err(BackupError::Refused(format!(
            "there are {} files, at most {} are copied; remove what does not belong there",
            names.len(),
            limits::BACKUP_FILES
        )));
    }
    let size = |name: &String| dir.stamp(name).map_or(0, |stamp| stamp.bytes);
    let total = names.iter().map(size).fold(0, u64::saturating_add);
    if total > limits::BACKUP_BYTES {
        let largest = names.iter().max_by_key(|name| size(name)).map_or("", String::as_str);
        return Err(BackupError::Refused(format!(
            "the files have {total} bytes, at most {} are copied; `{largest}` is the largest one",
            limits::BACKUP_BYTES
        )));
    }
    Ok(())
}

fn copy(bank: &BankDir, aside: &BankDir, name: &str) -> io::Result<()> {
    if let Some(parent) = Path::new(name).parent().and_then(Path::to_str).filter(|parent| !parent.is_empty())
    {
        aside.create_folder(parent)?;
    }
    let mut file = bank.open_file(name, OpenOptions::new().read(true))?;
    aside.write_new(name, &mut file)
}

/// A free id, and the staging folder that keeps it free.
fn reserve(holder: &BankDir, now: Timestamp) -> io::Result<(String, String)> {
    let stamp = iso_millis(now).replace([':', '.'], "-");
    for number in 1..1000 {
        let id = if number == 1 {
            format!("{BACKUP_PREFIX}{stamp}")
        } else {
            format!("{BACKUP_PREFIX}{stamp}-{number}")
        };
        let staging = format!(".{id}.tmp");
        if holder.exists(&id) {
            continue;
        }
        match holder.create_new_folder(&staging).map(drop) {
            Ok(()) if !holder.exists(&id) => return Ok((id, staging)),
            // Another process finished between the two checks.
            Ok(()) => holder.remove_folder(&staging)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many backups within one millisecond"))
}

fn remove_stale(holder: &BankDir, now: Timestamp) {
    let Ok(entries) = holder.entries("") else { return };
    let now = SystemTime::from(now);
    for entry in entries {
        let is_staging = entry.name.starts_with(&format!(".{BACKUP_PREFIX}")) && entry.name.ends_with(".tmp");
        let is_old = now.duration_since(entry.stamp.modified).is_ok_and(|age| age > STALE);
        if is_staging
            && entry.is_folder
            && is_old
            && let Err(error) = holder.remove_folder(&entry.name)
        {
            tracing::warn!(%error, "an unfinished backup could not be removed");
        }
    }
}

fn remembered(bank: &BankDir) -> Result<Vec<String>, StoreError> {
    Ok(match bank.read_up_to(PLACES, PLACES_BYTES)? {
        FileRead::Found(bytes, _) => crate::dir::text_of(bytes).lines().map(str::to_owned).collect(),
        FileRead::Missing | FileRead::Unreadable(_) => Vec::new(),
    })
}

fn remember(bank: &BankDir, place: &str) -> Result<(), StoreError> {
    let mut places = remembered(bank)?;
    let mut size: usize = places.iter().map(|place| place.len() + 1).sum();
    if place.is_empty() || places.iter().any(|known| known == place) {
        return Ok(());
    }
    size += place.len() + 1;
    if size as u64 > PLACES_BYTES {
        places.remove(0);
    }
    places.push(place.to_owned());
    let text = places.join("\n") + "\n";
    bank.replace_own(PLACES, text.as_bytes()).map_err(StoreError::io("cannot note where the backup is"))
}

/// The original shows ids without the final `Z` in one place and with it in another.
fn same_id(a: &str, b: &str) -> bool {
    a == b || a.strip_suffix('Z') == Some(b) || b.strip_suffix('Z') == Some(a)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_backup_folder_stays_below_the_project() {
        let bank = Root::anywhere("/p/memory-bank".into());
        let places = Places { bank, project: "/p".into(), beside: "/p".into() };
        for words in ["../esc", "/proc/nope", "/etc", "a/../../b", "memory-bank", "./memory-bank/x", "a\0b"] {
            places.chosen(words).unwrap_err();
        }
        assert_eq!(places.chosen("./backups/old").unwrap(), Path::new("backups/old"));
        assert_eq!(places.chosen("").unwrap(), Path::new(""));
        assert_eq!(places.chosen("/p/backups").unwrap(), Path::new("backups"));
    }

    #[cfg(not(windows))]
    #[rstest::rstest]
    #[case("${workspaceFolder}/backups", "`${workspaceFolder}`")]
    #[case("$HOME", "`$HOME`")]
    #[case("file:///p/backups", "give the plain path, `/p/backups`")]
    #[case("C:\\backups", "path for Windows")]
    #[case("~", "below the project")]
    #[case("~/backups", "below the project")]
    fn a_backup_folder_that_cannot_be_meant_makes_no_folder(#[case] words: &str, #[case] says: &str) {
        let bank = Root::anywhere("/p/memory-bank".into());
        let places = Places { bank, project: "/p".into(), beside: "/p".into() };
        let why = places.chosen(words).unwrap_err().to_string();
        assert!(why.contains(says), "{why}");
    }
}
