//! Changes of several files as one: all of them or none, also if the process is killed in between.
//!
//! New contents are staged first. Then one record, written atomically, lists which staged file replaces which file
//! and which files are deleted: with it the change is committed. The next holder of the bank's lock completes a
//! recorded change, unless one of the files was changed meanwhile: the new content was never seen by the change, and
//! is worth more than an unacknowledged change.
//!
//! A record may also come with a repository that another person wrote. So it must contain the size and time of every
//! file, which a repository cannot know of files that it does not contain. This module must not know what the files
//! mean.

use std::io;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use memory_bank_core::error::StoreError;
use serde::{Deserialize, Serialize};

use crate::dir::{BankDir, FileRead, INTERNAL, Staged, is_reserved};

const RECORD: &str = ".mbmcp/commit.json";
const RECORD_BYTES: u64 = 16 * 1024 * 1024;
const VERSION: u32 = 2;
/// How many invalid records are kept.
const MAX_RECORDS_SET_ASIDE: u32 = 100;

/// One step of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write this content; links inside the bank are written through.
    Write {
        /// Name in the bank, e.g. `progress.md` or `graph/graph.jsonl`.
        name: String,
        /// Its whole content.
        content: Vec<u8>,
    },
    /// Publish staged content.
    Publish {
        /// Name in the bank.
        name: String,
        /// The content.
        staged: Staged,
    },
    /// Delete the name.
    Remove {
        /// Name in the bank.
        name: String,
    },
}

/// Carries out all steps or none. The caller holds the bank's lock, for writing.
///
/// # Errors
/// Nothing was changed, unless the error is [`StoreError::Damaged`]: then the next holder of the lock completes the
/// change.
pub fn commit(dir: &BankDir, steps: &[Step]) -> Result<(), StoreError> {
    commit_beside(dir, steps, None, &|| Ok(()))
}

/// Refuses a change right before its first file changes; then nothing is changed.
pub(crate) type Check<'a> = &'a (dyn Fn() -> Result<(), StoreError> + Sync);

/// Carries out all steps as [`commit`] does. `beside` runs while the new contents are written to the disk, and has returned
/// before the first file changes. So has `check`, after which they change at once.
///
/// # Errors
/// As [`commit`].
pub(crate) fn commit_beside(
    dir: &BankDir,
    steps: &[Step],
    beside: Option<&(dyn Fn() + Sync)>,
    check: Check<'_>,
) -> Result<(), StoreError> {
    match steps {
        [] => Ok(()),
        // One file needs no journal.
        [Step::Write { name, content }] => {
            let staged = create_parent(dir, Path::new(name)).and_then(|()| {
                let target = dir.target(name)?;
                Ok((together(beside, || dir.stage(&target, content))?, target))
            });
            let (staged, target) = staged.map_err(StoreError::io(format!("cannot write `{name}`")))?;
            check()
                .and_then(|()| {
                    let published = dir.publish(&staged, &target);
                    published.map_err(StoreError::io(format!("cannot write `{name}`")))
                })
                .inspect_err(|_| dir.discard(&staged))
        }
        [Step::Remove { name }] => {
            together(beside, || ());
            check()?;
            dir.remove_with_folders(name).map_err(StoreError::io(format!("cannot delete `{name}`")))
        }
        several => commit_several(dir, several, beside, check),
    }
}

/// Does both at the same time: the disk flushes two files as fast as one.
fn together<T>(beside: Option<&(dyn Fn() + Sync)>, work: impl FnOnce() -> T) -> T {
    let Some(beside) = beside else { return work() };
    std::thread::scope(|scope| {
        scope.spawn(beside);
        work()
    })
}

/// Whether an interrupted change must be completed.
#[must_use]
pub fn is_pending(dir: &BankDir) -> bool {
    dir.exists(RECORD)
}

/// Completes an interrupted change. The caller holds the bank's lock, for writing.
///
/// # Errors
/// It cannot be completed now; it stays recorded.
pub fn recover(dir: &BankDir) -> Result<(), StoreError> {
    if dir.stamp_own(RECORD).is_none() {
        return if is_pending(dir) { set_aside(dir, "it is not a regular file") } else { Ok(()) };
    }
    let record: Record = match dir.read_up_to(RECORD, RECORD_BYTES)? {
        FileRead::Missing => return Ok(()),
        FileRead::Unreadable(why) => return Err(damaged(&why)),
        FileRead::Found(bytes, _) => match serde_json::from_slice(&bytes) {
            Ok(record) => record,
            Err(error) => return set_aside(dir, &error.to_string()),
        },
    };
    let is_ours =
        |step: &RecordedStep| step.is_of_a_bank() && dir.check_spelling(Path::new(&step.target)).is_ok();
    if record.version != VERSION || !record.steps.iter().all(is_ours) {
        return set_aside(dir, "it was not written by this version");
    }
    let left: Vec<_> = record.steps.iter().filter(|step| !step.is_done(dir)).collect();
    let changed = left.iter().any(|step| !step.finds_what_it_knew(dir));
    if changed && left.len() == record.steps.len() {
        return set_aside(dir, "its files have changed since, and none of it was carried out");
    }
    tracing::info!(steps = left.len(), changed, "completing an interrupted change");
    // Delete nothing if a file differs: its replacement may be missing.
    left.into_iter()
        .filter(|step| !changed || (step.staged.is_some() && step.finds_what_it_knew(dir)))
        .try_for_each(|step| step.apply(dir))
        .map_err(|error| damaged(&error.to_string()))?;
    dir.remove(RECORD).map_err(StoreError::io("cannot close the journal"))?;
    dir.discard_all_staged();
    Ok(())
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    version: u32,
    steps: Vec<RecordedStep>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RecordedStep {
    target: String,
    /// The name of the staged content; `None` deletes the target.
    staged: Option<String>,
    /// The target when the change was made; `None` if it did not exist.
    before: Option<Known>,
}

/// A file as the change saw it. Without the file's number, which some file systems reassign.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    bytes: u64,
    modified: Timestamp,
}

impl Known {
    fn now(dir: &BankDir, target: &str) -> Option<Self> {
        dir.stamp_itself(target).map(|stamp| Self { bytes: stamp.bytes, modified: stamp.updated_at() })
    }
}

impl RecordedStep {
    fn is_of_a_bank(&self) -> bool {
        is_in_bank(&self.target) && self.staged.as_deref().is_none_or(is_one_name)
    }

    fn is_done(&self, dir: &BankDir) -> bool {
        match &self.staged {
            Some(name) => !dir.is_staged(&Staged::named(name)),
            None => !dir.exists(&self.target),
        }
    }

    fn finds_what_it_knew(&self, dir: &BankDir) -> bool {
        Known::now(dir, &self.target) == self.before
    }

    /// May be repeated: a missing staged file was published before.
    fn apply(&self, dir: &BankDir) -> io::Result<()> {
        let target = Path::new(&self.target);
        let Some(name) = &self.staged else { return dir.remove_with_folders(&self.target) };
        let staged = Staged::named(name);
        if !dir.is_staged(&staged) {
            return Ok(());
        }
        create_parent(dir, target)?;
        dir.publish(&staged, target)
    }
}

fn commit_several(
    dir: &BankDir,
    steps: &[Step],
    beside: Option<&(dyn Fn() + Sync)>,
    check: Check<'_>,
) -> Result<(), StoreError> {
    let mut recorded = Vec::with_capacity(steps.len());
    let prepared = together(beside, || {
        steps.iter().try_for_each(|step| {
            let step = prepare(dir, step)?;
            recorded.push(step);
            Ok(())
        })
    });
    let record = Record { version: VERSION, steps: recorded };
    let begun = prepared.and_then(|()| check()).and_then(|()| {
        let text = serde_json::to_vec(&record).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        dir.replace(RECORD, &text).map_err(StoreError::io("cannot write the journal"))
    });
    if let Err(error) = begun {
        abandon(dir, &record);
        return Err(error);
    }
    for (done, step) in record.steps.iter().enumerate() {
        match step.apply(dir) {
            Ok(()) => {}
            // Nothing has happened yet, so it can still be undone.
            Err(error) if done == 0 && dir.remove(RECORD).is_ok() => {
                abandon(dir, &record);
                return Err(StoreError::io(format!("cannot write `{}`", step.target))(error));
            }
            Err(error) => return Err(damaged(&error.to_string())),
        }
    }
    // A remaining record is harmless: all its steps are done.
    dir.remove(RECORD).map_err(StoreError::io("cannot close the journal"))
}

fn prepare(dir: &BankDir, step: &Step) -> Result<RecordedStep, StoreError> {
    let (Step::Write { name, .. } | Step::Publish { name, .. } | Step::Remove { name }) = step;
    let fault = |error| StoreError::io(format!("cannot write `{name}`"))(error);
    let mut target = PathBuf::from(name);
    let staged = match step {
        Step::Remove { .. } => None,
        Step::Publish { staged, .. } => {
            target = dir.target(name).map_err(fault)?;
            Some(staged.name())
        }
        Step::Write { content, .. } => {
            target = dir.target(name).map_err(fault)?;
            Some(dir.stage(&target, content).map_err(fault)?.name())
        }
    };
    let target = target.into_os_string().into_string();
    let target = target.map_err(|_| fault(io::Error::other("its name is not Unicode")))?;
    let before = Known::now(dir, &target);
    Ok(RecordedStep { target, staged, before })
}

fn abandon(dir: &BankDir, record: &Record) {
    for name in record.steps.iter().filter_map(|step| step.staged.as_deref()) {
        dir.discard(&Staged::named(name));
    }
}

fn create_parent(dir: &BankDir, target: &Path) -> io::Result<()> {
    match target.parent().and_then(Path::to_str) {
        None | Some("") => Ok(()),
        Some(parent) => dir.create_folder(parent),
    }
}

/// Whether this is below the bank, and neither the server's own nor version control's.
fn is_in_bank(target: &str) -> bool {
    let mut parts = Path::new(target).components().peekable();
    parts.peek().is_some()
        && parts.all(|part| match part {
            Component::Normal(name) => !is_reserved(&name.to_string_lossy()),
            _ => false,
        })
}

fn is_one_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
}

fn set_aside(dir: &BankDir, why: &str) -> Result<(), StoreError> {
    tracing::warn!(why, "the journal of the memory bank is invalid and was renamed");
    let names = (0..MAX_RECORDS_SET_ASIDE).map(|number| format!("{INTERNAL}/commit.damaged-{number}.json"));
    let free = names.into_iter().find(|name| !dir.exists(name));
    let free =
        free.ok_or_else(|| damaged("too many records were set aside; remove `commit.damaged-*.json` there"))?;
    dir.publish(&Staged::at(RECORD), Path::new(&free)).map_err(StoreError::io("cannot set the journal aside"))
}

fn damaged(why: &str) -> StoreError {
    StoreError::Damaged {
        what: RECORD.to_owned(),
        detail: format!(
            "an interrupted change could not be carried out ({why}); make the bank's files writable and try again"
        ),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn write(name: &str, content: &str) -> Step {
        Step::Write { name: name.to_owned(), content: content.as_bytes().to_vec() }
    }

    fn bank() -> (TempDir, BankDir) {
        let temp = TempDir::new().unwrap();
        let dir = BankDir::open(temp.path()).unwrap();
        (temp, dir)
    }

    fn text(temp: &TempDir, name: &str) -> Option<String> {
        std::fs::read_to_string(temp.path().join(name)).ok()
    }

    #[test]
    fn several_files_are_written_and_removed_as_one() {
        let (temp, dir) = bank();
        commit(&dir, &[write("a.md", "1"), write("b.md", "1")]).unwrap();
        commit(
            &dir,
            &[write("a.md", "2"), Step::Remove { name: "b.md".into() }, write("graph/g.jsonl", "x")],
        )
        .unwrap();
        assert_eq!(text(&temp, "a.md").as_deref(), Some("2"));
        assert_eq!(text(&temp, "b.md"), None);
        assert_eq!(text(&temp, "graph/g.jsonl").as_deref(), Some("x"));
        assert!(!is_pending(&dir));
        assert_eq!(std::fs::read_dir(temp.path().join(".mbmcp/stage")).unwrap().count(), 0);
    }

    #[test]
    fn when_one_file_cannot_be_staged_none_is_changed() {
        let (temp, dir) = bank();
        std::fs::create_dir(temp.path().join("b.md")).unwrap();
        commit(&dir, &[write("a.md", "1"), write("b.md", "1")]).unwrap_err();
        assert_eq!(text(&temp, "a.md"), None);
        assert!(!is_pending(&dir));
        assert_eq!(std::fs::read_dir(temp.path().join(".mbmcp/stage")).unwrap().count(), 0);
    }

    #[test]
    fn a_recorded_change_is_completed_by_the_next_one() {
        let (temp, dir) = bank();
        std::fs::write(temp.path().join("gone.md"), "x").unwrap();
        // As a process leaves it that dies after the first rename: `a.md` is published, the rest is not.
        let staged = dir.stage(Path::new("b.md"), b"new").unwrap();
        std::fs::write(temp.path().join("a.md"), "new").unwrap();
        let record = format!(
            r#"{{"version":2,"steps":[{{"target":"a.md","staged":"0-0.tmp","before":null}},{{"target":"graph/b.md","staged":"{}","before":null}},{{"target":"gone.md","staged":null,"before":{}}}]}}"#,
            staged.name(),
            serde_json::to_string(&Known::now(&dir, "gone.md")).unwrap()
        );
        std::fs::write(temp.path().join(RECORD), record).unwrap();
        recover(&dir).unwrap();
        assert_eq!(text(&temp, "a.md").as_deref(), Some("new"));
        assert_eq!(text(&temp, "graph/b.md").as_deref(), Some("new"));
        assert_eq!(text(&temp, "gone.md"), None);
        assert!(!is_pending(&dir));
    }

    fn set_aside_in(temp: &TempDir) -> bool {
        temp.path().join(".mbmcp/commit.damaged-0.json").exists()
    }

    #[test]
    fn a_foreign_record_is_set_aside_and_never_applied() {
        for text in [
            "{",
            r#"{"version":2,"steps":[{"target":"../x.md","staged":null,"before":null}]}"#,
            r#"{"version":9,"steps":[]}"#,
        ] {
            let (temp, dir) = bank();
            dir.prepare_internal().unwrap();
            std::fs::write(temp.path().join(RECORD), text).unwrap();
            recover(&dir).unwrap();
            assert!(!is_pending(&dir));
            assert!(set_aside_in(&temp));
        }
    }

    #[test]
    fn a_planted_record_changes_no_document_and_no_file_of_git() {
        for step in [
            r#"{"target":"notes.md","staged":null}"#,
            r#"{"target":"notes.md","staged":null,"before":null}"#,
            r#"{"target":"notes.md","staged":"evil.tmp","before":null}"#,
            r#"{"target":"notes.md","staged":"evil.tmp","before":{"bytes":8,"modified":"2026-01-01T00:00:00Z"}}"#,
            r#"{"target":"moved.md","staged":"../../notes.md","before":null}"#,
            r#"{"target":".git/hooks/pre-commit","staged":"evil.tmp","before":null}"#,
            r#"{"target":"sub/.GIT/config","staged":"evil.tmp","before":null}"#,
            r#"{"target":".mbmcp/lock","staged":"evil.tmp","before":null}"#,
        ] {
            let (temp, dir) = bank();
            dir.prepare_internal().unwrap();
            std::fs::write(temp.path().join("notes.md"), "precious").unwrap();
            std::fs::write(temp.path().join(".mbmcp/stage/evil.tmp"), "evil").unwrap();
            std::fs::write(temp.path().join(RECORD), format!(r#"{{"version":2,"steps":[{step}]}}"#)).unwrap();
            recover(&dir).unwrap();
            assert_eq!(text(&temp, "notes.md").as_deref(), Some("precious"), "{step}");
            assert!(!temp.path().join(".git").exists() && !temp.path().join("sub").exists(), "{step}");
            assert!(!is_pending(&dir) && set_aside_in(&temp), "{step}");
        }
    }

    #[test]
    fn text_written_after_the_interruption_is_kept() {
        let (temp, dir) = bank();
        commit(&dir, &[write("old.md", "text"), write("b.md", "1")]).unwrap();
        // A rename whose process died after the record, or after its first step.
        for first_is_done in [false, true] {
            let steps = [write("b.md", "2"), write("new.md", "text"), Step::Remove { name: "old.md".into() }];
            let steps = steps.iter().map(|step| prepare(&dir, step).unwrap()).collect();
            let record = Record { version: VERSION, steps };
            dir.replace(RECORD, &serde_json::to_vec(&record).unwrap()).unwrap();
            if first_is_done {
                record.steps[0].apply(&dir).unwrap();
            }
            std::fs::write(temp.path().join("new.md"), "written by an editor meanwhile").unwrap();
            recover(&dir).unwrap();
            assert!(!is_pending(&dir));
            assert_eq!(text(&temp, "old.md").as_deref(), Some("text"));
            assert_eq!(text(&temp, "new.md").as_deref(), Some("written by an editor meanwhile"));
            assert_eq!(text(&temp, "b.md").as_deref(), Some(if first_is_done { "2" } else { "1" }));
            std::fs::remove_file(temp.path().join("new.md")).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_record_that_is_not_a_file_does_not_disable_the_bank() {
        for planted in ["folder", "link"] {
            let (temp, dir) = bank();
            dir.prepare_internal().unwrap();
            match planted {
                "folder" => std::fs::create_dir(temp.path().join(RECORD)).unwrap(),
                _ => std::os::unix::fs::symlink("nowhere", temp.path().join(RECORD)).unwrap(),
            }
            recover(&dir).unwrap();
            assert!(!is_pending(&dir), "{planted}");
        }
    }
}
