//! The folders of one bank's backups: which of them a user may choose, what is in them, and how a backup gets there.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use cap_std::fs::OpenOptions;
use jiff::Timestamp;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::compact_sort::CompactSort as _;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::StoreError;
use memory_bank_core::limits;
use memory_bank_core::store::{BACKUP_PREFIX, Backup, BackupError, backup_time, check_backup_id};

use super::files::{BACKUPS_FOLDER, check_bounds, files_of, is_hidden};
use crate::dir::{BankDir, FileRead, Root, reason, text_of};
use crate::path_check;

/// Records, in the bank's internal folder, where else backups were created: one path in the project per line.
const PLACES_FILE: &str = ".mbmcp/backup-folders";
const PLACES_BYTES: u64 = 64 * 1024;
/// A staging folder this old was left behind by a process that died.
const STALE_AFTER: Duration = Duration::from_secs(3600);

/// Folders of one bank's backups.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) bank: Root,
    pub(super) project: PathBuf,
    /// The folder that contains the bank, where older versions created backups.
    pub(super) beside: PathBuf,
}

impl Places {
    /// The place that a user chose, as a path in the project.
    pub(super) fn chosen(&self, text: &str) -> Result<PathBuf, BackupError> {
        let refused = |why: &str| BackupError::Refused(format!("`{text}` cannot hold backups: {why}"));
        if !text.is_empty() {
            path_check::check(text).map_err(BackupError::Refused)?;
        }
        if text == "~" || text.starts_with("~/") {
            return Err(refused(
                "`~` is not expanded here; give a folder below the project, such as `backups`",
            ));
        }
        let path = Path::new(text);
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
        self.bank.path().join(BACKUPS_FOLDER)
    }

    /// Refuses a backup beyond the bound. None is deleted: they are files of the folder's owner. The caller holds the
    /// bank's lock.
    pub(super) fn check_number(&self, most: Option<usize>) -> Result<(), BackupError> {
        let Some(most) = most else { return Ok(()) };
        let there = self.list(None)?.len();
        if there < most {
            return Ok(());
        }
        Err(BackupError::Refused(format!(
            "there are {there} backups already, at most {most} are made over HTTP, so nothing was done; the person who serves \
             the folder can remove some of the folders `{BACKUP_PREFIX}…` in its `backups`, or beside the memory bank"
        )))
    }

    /// Copies the bank aside. The caller holds the bank's lock.
    pub(super) fn create(
        &self,
        bank: &BankDir,
        chosen: Option<&Path>,
        now: Timestamp,
    ) -> Result<Backup, BackupError> {
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
            record_place(bank, chosen)?;
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
    pub(super) fn open(&self, backup: &Backup) -> io::Result<BankDir> {
        let path = Path::new(&backup.location);
        if path.parent() == Some(self.below().as_path()) {
            return self.bank.open()?.open_own_folder(BACKUPS_FOLDER)?.open_own_folder(&backup.id);
        }
        match path.strip_prefix(&self.project).ok().and_then(Path::to_str) {
            Some(inner) => BankDir::open(&self.project)?.open_folder(inner),
            None => BankDir::open(&self.beside)?.open_folder(&backup.id),
        }
    }

    /// All backups: the usual place, the former one, those where backups were made before, and the chosen one.
    pub(super) fn list(&self, chosen: Option<&Path>) -> Result<Vec<Backup>, BackupError> {
        let mut folders: BTreeSet<PathBuf> = BTreeSet::from([self.beside.clone()]);
        let bank = self.bank.open().map_err(StoreError::io("cannot open the memory bank"))?;
        for line in recorded_places(&bank)? {
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
                bank.open_own_folder(BACKUPS_FOLDER)
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
        backups.compact_sort_by(|a, b| (b.timestamp, &b.id).cmp(&(a.timestamp, &a.id)));
        Ok(backups)
    }
}

/// Opens the bank's own folder for backups, making it if need be, with a note to git to leave it alone.
pub(crate) fn make_below(bank: &BankDir) -> io::Result<BankDir> {
    bank.create_folder(BACKUPS_FOLDER)?;
    let folder = bank.open_own_folder(BACKUPS_FOLDER)?;
    match folder.write_new(".gitignore", &mut "*\n".as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(folder),
    }
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
        let is_old = now.duration_since(entry.stamp.modified).is_ok_and(|age| age > STALE_AFTER);
        if is_staging
            && entry.is_folder
            && is_old
            && let Err(error) = holder.remove_folder(&entry.name)
        {
            tracing::warn!(%error, "an unfinished backup could not be removed");
        }
    }
}

fn recorded_places(bank: &BankDir) -> Result<Vec<String>, StoreError> {
    Ok(match bank.read_up_to(PLACES_FILE, PLACES_BYTES)? {
        FileRead::Found(bytes, _) => text_of(bytes).lines().map(str::to_owned).collect(),
        FileRead::Missing | FileRead::Unreadable(_) => Vec::new(),
    })
}

fn record_place(bank: &BankDir, place: &str) -> Result<(), StoreError> {
    let mut places = recorded_places(bank)?;
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
    bank.replace_own(PLACES_FILE, text.as_bytes())
        .map_err(StoreError::io("cannot record where the backup is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_folder_stays_below_the_project() {
        let bank = Root::anywhere("/p/memory-bank".into());
        let places = Places { bank, project: "/p".into(), beside: "/p".into() };
        for text in ["../esc", "/proc/nope", "/etc", "a/../../b", "memory-bank", "./memory-bank/x", "a\0b"] {
            places.chosen(text).unwrap_err();
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
    fn a_malformed_backup_folder_creates_no_folder(#[case] text: &str, #[case] expected: &str) {
        let bank = Root::anywhere("/p/memory-bank".into());
        let places = Places { bank, project: "/p".into(), beside: "/p".into() };
        let why = places.chosen(text).unwrap_err().to_string();
        assert!(why.contains(expected), "{why}");
    }
}
