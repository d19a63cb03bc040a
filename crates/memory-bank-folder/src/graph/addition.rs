//! What an edit of documents adds to the graph's log: as one change with them, which the journal completes if the process is
//! killed. A log cannot be appended to by the journal, so it is replaced by itself and the new lines.

use memory_bank_core::caller::Caller;
use memory_bank_core::clock::iso_millis;
use memory_bank_core::error::{EditError, StoreError};
use memory_bank_core::history::ChangeContext;
use memory_bank_core::store::GraphRule;

use super::folder_graph::FolderGraph;
use super::log::{self, GRAPH_FOLDER, LOG};
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
        let guard = blocking(move || {
            graph.follow(guard.dir())?;
            Ok::<_, StoreError>(guard)
        })
        .await?;
        let now = iso_millis(self.deps().clock.now());
        let by = self.signature(caller, context, &now);
        let view = self.graph.read();
        let events = rule(view.state(), &now)?;
        if events.is_empty() {
            return Ok((guard, None));
        }
        let lines = log::lines_of(log::repair_of(&view), &events, &by)?;
        let stamp = view.stamp();
        drop(view);
        Ok((guard, Some(Addition { lines, stamp })))
    }
}

impl Addition {
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
