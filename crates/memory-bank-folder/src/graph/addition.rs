//! What an edit of documents, or a restored backup, adds to the graph's log: as one change with them, which the journal completes if the process is
//! killed. A log cannot be appended to by the journal, so it is replaced by itself and the new lines.

use std::collections::HashSet;

use memory_bank_core::caller::Caller;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::error::{EditError, StoreError};
use memory_bank_core::graph::history::events_between;
use memory_bank_core::history::ChangeContext;
use memory_bank_core::store::GraphRule;

use super::folder_graph::FolderGraph;
use super::log::{self, GRAPH_FOLDER, LOG, View};
use super::signer::{BankSigner, Signer};
use crate::bank::FolderBank;
use crate::dir::{BankDir, FileStamp};
use crate::journal::Step;
use crate::known_file::KnownFile;
use crate::lock::{WriteGuard, blocking};

/// The longest log that changes together with documents: it is read and written as a whole.
const MAX_LOG_BYTES: u64 = 64 * 1024 * 1024;

/// Lines to add to the log.
#[derive(Debug)]
pub(crate) struct Addition {
    lines: Vec<u8>,
    /// The log that they follow.
    stamp: Option<FileStamp>,
}

impl FolderBank {
    /// Computes what the rule adds to the log.
    pub(crate) async fn plan_graph(
        &self,
        guard: WriteGuard,
        caller: &Caller,
        context: &ChangeContext,
        rule: &mut GraphRule<'_>,
    ) -> Result<(WriteGuard, Option<Addition>), EditError> {
        let graph: FolderGraph = self.graph.clone();
        let now = iso_millis(self.deps().clock.now());
        let signer = self.signer(caller, context, &now);
        let (guard, signer, seal) = blocking(move || {
            graph.follow(guard.dir())?;
            let seal = signer.for_bank(guard.dir()).seal;
            Ok::<_, StoreError>((guard, signer, seal))
        })
        .await?;
        let view = self.graph.read();
        let events = rule(view.state(), &now)?;
        if events.is_empty() {
            return Ok((guard, None));
        }
        let lines = log::lines_of(log::repair_of(&view), &events, &mut BankSigner { by: &signer.by, seal })?;
        let stamp = view.stamp();
        drop(view);
        Ok((guard, Some(Addition { lines, stamp })))
    }
}

impl FolderGraph {
    /// What makes the graph that of a backup, as lines that follow the log: so the log keeps its history, and whose change this
    /// is. `None` if the backup's log has to replace this one: if there is none, if one of them cannot be read, or if the backup has lines that
    /// are not understood and that this log lacks. The caller holds the bank's lock. Blocks.
    pub(crate) fn plan_restore(
        &self,
        dir: &BankDir,
        backup: &BankDir,
        by: &Signer,
        now: &str,
    ) -> Result<Option<Addition>, StoreError> {
        let mut restored = View::default();
        if self.follow(dir).is_err() || restored.follow(backup).is_err() {
            return Ok(None);
        }
        let view = self.read();
        let is_short = view.stamp().is_some_and(|stamp| stamp.bytes <= MAX_LOG_BYTES);
        if !is_short || !restored.has_log() || !has_unknown_lines_of(dir, backup)? {
            return Ok(None);
        }
        let Some(events) = events_between(view.state(), restored.state(), now) else { return Ok(None) };
        let lines = if events.is_empty() {
            Vec::new()
        } else {
            log::lines_of(log::repair_of(&view), &events, &mut by.for_bank(dir))?
        };
        Ok(Some(Addition { lines, stamp: view.stamp() }))
    }
}

/// Whether this log has all lines of a backup's that are not understood.
fn has_unknown_lines_of(dir: &BankDir, backup: &BankDir) -> Result<bool, StoreError> {
    let (own, _) = log::unknown_lines(dir)?;
    let own: HashSet<Vec<u8>> = own.into_iter().collect();
    Ok(log::unknown_lines(backup)?.0.iter().all(|line| own.contains(line)))
}

impl Addition {
    /// Whether nothing is added.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Appends the lines, or, if there are other steps, adds the step that does so, and returns the file that it replaces. The
    /// caller holds the bank's lock. Blocks.
    pub(crate) fn write(self, dir: &BankDir, steps: &mut Vec<Step>) -> Result<Option<KnownFile>, StoreError> {
        if steps.is_empty() {
            log::write_durably(dir, &self.lines)
                .map_err(StoreError::io(format!("cannot write to `{LOG}`")))?;
            return Ok(None);
        }
        let mut content = match self.stamp {
            Some(stamp) if stamp.bytes > MAX_LOG_BYTES => return Err(too_long(stamp.bytes)),
            Some(_) => log::bytes(dir)?,
            None => Vec::new(),
        };
        content.extend_from_slice(&self.lines);
        dir.create_folder(GRAPH_FOLDER).map_err(StoreError::io(format!("cannot write to `{LOG}`")))?;
        steps.push(Step::Write { name: LOG.to_owned(), content });
        Ok(Some(KnownFile::read(LOG, self.stamp)))
    }
}

fn too_long(bytes: u64) -> StoreError {
    StoreError::TooLarge {
        what: format!(
            "`{LOG}`, which would change together with documents (graph_maintain with `compact` shortens it),"
        ),
        limit: MAX_LOG_BYTES,
        got: bytes,
    }
}
