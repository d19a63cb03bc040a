//! Imports a project: the existing data is checked, saved in a snapshot, and then merged or replaced.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::document::Etag;
use memory_bank_core::error::StoreError;
use memory_bank_core::limits;
use memory_bank_core::store::Backup;
use memory_bank_core::transfer::{
    BankCopy, ExistingContentPolicy, ExtraDataFile, ExtraDataKind, FileCopy, HistoryCount, NotTransferable,
    ProjectCopy, is_rules_file,
};

use super::copy_settings::COPY_SETTINGS;
use super::error::TransferError;
use super::imported_history::ImportedHistory;
use super::read::{FILES, extra_data_files};
use super::write::{put_documents, put_files, put_items};
use crate::audit::{OperatorAction, RECORD_ACTION};
use crate::backups::{COPY, CREATE, copying, creating};
use crate::bank::PostgresBank;
use crate::column::{answer, column};
use crate::documents::versions::{SET_CHANGE, SettingOfChange};
use crate::quota::{StoredBytes, USAGE};
use crate::tenant::{Query, Transaction, Value};

/// One import into a project at a time: the second waits for the first.
const LOCK_PROJECT: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended('memory-bank-mcp move ' || $1::uuid::text, 0))";
const PRESENT_DOCUMENTS: &str =
    "SELECT path, etag FROM public.documents WHERE project_id = $1 ORDER BY path FOR UPDATE";
const GRAPH: &str = "SELECT count(*) FROM public.graph_entities WHERE project_id = $1";
const BACKUPS: &str = "SELECT id FROM app.backups WHERE project_id = $1";
const REMOVE_DOCUMENTS: &str = "WITH gone AS (DELETE FROM public.documents WHERE project_id = $1 AND path = ANY ($2) RETURNING 1) \
    SELECT app.must_be((SELECT count(*) FROM gone), cardinality($2::text[]))";
const REMOVE_FILES: &str = "WITH gone AS (DELETE FROM app.files WHERE project_id = $1 RETURNING 1) \
    SELECT app.must_be((SELECT count(*) FROM gone), $2)";
const PUT_STATE: &str = "INSERT INTO app.project_state (project_id, user_id, state, updated_at) \
    VALUES ($1, $2, $3::text::json, $4) ON CONFLICT (project_id, user_id) DO NOTHING";
const PUT_BACKUP: &str =
    "INSERT INTO app.backups (project_id, id, created_by, created_at) VALUES ($1, $2, $3, $4)";

/// The result of an import.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// New documents.
    pub added: usize,
    /// Documents with a changed text.
    pub changed: usize,
    /// Unchanged documents.
    pub unchanged: usize,
    /// Documents that were removed because the source does not contain them.
    pub removed: usize,
    /// The snapshot of the previous data.
    pub snapshot: Option<String>,
    /// Imported backups.
    pub backups: usize,
    /// The versions and changes of the graph that were imported, and those that were left out.
    pub history: HistoryCount,
    /// Ids of backups that existed already, or for which there was no room.
    pub backups_left_out: Vec<String>,
}

/// An import, in one transaction. Dropping it rolls it back.
pub struct Import {
    pub(super) transaction: Transaction,
    pub(super) caller: Caller,
    now: Timestamp,
    onto: ExistingContentPolicy,
    pub(super) present: BTreeMap<String, String>,
    extra_data: Vec<ExtraDataFile>,
    backups: BTreeSet<String>,
    pub(super) held_before: StoredBytes,
    pub(super) default_quota: u64,
    pub(super) keeps_history: bool,
    /// The command, which versions name as their tool.
    pub(super) tool: &'static str,
    pub(super) history: ImportedHistory,
    done: Imported,
}

impl std::fmt::Debug for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Import").field("onto", &self.onto).field("done", &self.done).finish_non_exhaustive()
    }
}

impl PostgresBank {
    /// Begins an import into the caller's project. A project that is not empty is saved in a snapshot first. The
    /// audit log records `action`, with the name of the folder or file.
    ///
    /// # Errors
    /// The project is not empty and `onto` requires that; the caller lacks the right; the database fails.
    pub async fn begin_import(
        &self,
        caller: &Caller,
        onto: ExistingContentPolicy,
        action: OperatorAction,
        subject: Option<&str>,
    ) -> Result<Import, TransferError> {
        let right = if onto == ExistingContentPolicy::Replace { Right::Admin } else { Right::Write };
        if !caller.may(right) {
            return Err(StoreError::Denied.into());
        }
        let project: [Value<'_>; 1] = [&caller.project.0];
        let detail = serde_json::json!({ "onto": format!("{onto:?}").to_lowercase() });
        let values: [Value<'_>; 3] = [&action.name(), &subject, &detail];
        let change = SettingOfChange::of_tool(self.database.keeps_history, None, action.tool());
        let change: [Value<'_>; 2] = [&change.change, &change.versions];
        let first = [
            Query::new(COPY_SETTINGS, &[]),
            // Record it in the same transaction, and first: the audit log then omits the single deletions of an
            // import.
            Query::new(RECORD_ACTION, &values),
            Query::new(LOCK_PROJECT, &project),
            Query::new(PRESENT_DOCUMENTS, &project),
            Query::new(GRAPH, &project),
            Query::new(FILES, &project),
            Query::new(BACKUPS, &project),
            Query::new(USAGE, &project),
            Query::new(SET_CHANGE, &change),
        ];
        let (transaction, rows) = self.database.begin(caller, &first).await?;
        let present: BTreeMap<String, String> = answer(&rows, 3)
            .iter()
            .map(|row| Ok((column(row, 0)?, column(row, 1)?)))
            .collect::<Result<_, StoreError>>()?;
        let entities: i64 = match answer(&rows, 4).first() {
            Some(row) => column(row, 0)?,
            None => 0,
        };
        let extra_data = extra_data_files(answer(&rows, 5))?;
        let backups = answer(&rows, 6).iter().map(|row| column(row, 0)).collect::<Result<_, _>>()?;
        let is_empty = present.is_empty() && entities == 0 && extra_data.is_empty();
        if !is_empty && onto == ExistingContentPolicy::Empty {
            transaction.roll_back().await;
            return Err(not_empty(present.len(), entities));
        }
        let mut import = Import {
            transaction,
            caller: caller.clone(),
            now: self.database.deps.clock.now(),
            onto,
            present,
            extra_data,
            backups,
            held_before: StoredBytes::of(answer(&rows, 7))?,
            default_quota: self.database.default_quota,
            keeps_history: self.database.keeps_history,
            tool: action.tool(),
            history: ImportedHistory::default(),
            done: Imported::default(),
        };
        if !is_empty {
            import.snapshot(self).await?;
        }
        Ok(import)
    }
}

fn not_empty(documents: usize, entities: i64) -> TransferError {
    TransferError::Refused(format!(
        "the project holds {documents} documents and {entities} entities already, and nothing was changed; give --merge to add to \
         them, or --replace to replace them; the present data is kept in a snapshot"
    ))
}

impl Import {
    async fn snapshot(&mut self, bank: &PostgresBank) -> Result<(), TransferError> {
        let backup: Backup = (1..=limits::BACKUPS + 1)
            .map(|number| bank.fresh(number))
            .find(|backup| !self.backups.contains(&backup.id))
            .ok_or_else(|| {
                TransferError::Refused("too many backups within one millisecond; try again".to_owned())
            })?;
        let (create, copy) = (creating(&self.caller, &backup), copying(&self.caller, &backup));
        self.transaction.run(&[Query::new(CREATE, &create), Query::new(COPY, &copy)]).await?;
        self.backups.insert(backup.id.clone());
        self.done.snapshot = Some(backup.id);
        Ok(())
    }

    /// Writes the bank, its rules files and, if there is none, the caller's state. `wrote` gets the number of written
    /// items.
    ///
    /// # Errors
    /// A database cannot store it, or it is too large; the database fails.
    pub async fn put(
        &mut self,
        copy: &ProjectCopy,
        wrote: &(dyn Fn(usize) + Send + Sync),
    ) -> Result<(), TransferError> {
        copy.bank.check_for_rows()?;
        let project = self.caller.project.0;
        let coming: BTreeMap<&str, &str> =
            copy.bank.documents.iter().map(|one| (one.path.as_str(), one.text.as_str())).collect();
        for (path, text) in &coming {
            match self.present.get(*path) {
                None => self.done.added += 1,
                Some(etag) if *etag == Etag::of(text).as_str() => self.done.unchanged += 1,
                Some(_) => self.done.changed += 1,
            }
        }
        if self.onto == ExistingContentPolicy::Replace {
            self.remove_all_but(&coming).await?;
            self.remove_graph_but(&copy.bank).await?;
        }
        let stay = if self.onto == ExistingContentPolicy::Replace { 0 } else { self.present.len() };
        let after =
            stay + coming.keys().filter(|path| stay == 0 || !self.present.contains_key(**path)).count();
        if after > limits::DOCUMENTS {
            return Err(TransferError::Refused(format!(
                "the project would have {after} documents, at most {} are kept; nothing was changed",
                limits::DOCUMENTS
            )));
        }
        let others = self.put_documents_with_history(&copy.bank.documents, wrote).await?;
        put_documents(&self.transaction, &self.caller, &others, wrote).await?;
        self.put_graph(&copy.bank, wrote).await?;
        let mut extra_data = copy.bank.extra_data_files(&self.extra_data, self.now)?;
        for rule in &copy.rules {
            extra_data.push(rules_file(rule)?);
        }
        put_files(&self.transaction, &self.caller, &extra_data).await?;
        wrote(copy.bank.files.len());
        if let Some(state) = &copy.state {
            let text =
                serde_json::to_string(state).map_err(|error| StoreError::Unavailable(error.to_string()))?;
            // Neither a text column nor a statement can contain it.
            if !text.contains("\\u0000") {
                let values: [Value<'_>; 4] = [&project, &self.caller.user.0, &text, &self.now];
                self.transaction.run(&[Query::new(PUT_STATE, &values)]).await?;
            }
        }
        Ok(())
    }

    /// Removes the files, and the documents that the source does not contain.
    async fn remove_all_but(&mut self, coming: &BTreeMap<&str, &str>) -> Result<(), TransferError> {
        let project = self.caller.project.0;
        let removed: Vec<&str> =
            self.present.keys().map(String::as_str).filter(|path| !coming.contains_key(path)).collect();
        self.done.removed = removed.len();
        let files = i64::try_from(self.extra_data.len()).unwrap_or(i64::MAX);
        let (remove, clear): ([Value<'_>; 2], [Value<'_>; 2]) = ([&project, &removed], [&project, &files]);
        let clearing = [Query::new(REMOVE_DOCUMENTS, &remove), Query::new(REMOVE_FILES, &clear)];
        self.transaction.run(&clearing).await?;
        self.extra_data.clear();
        Ok(())
    }

    /// Whether a backup of this id can be imported: it does not exist, and there is room.
    pub fn takes_backup(&mut self, id: &str) -> bool {
        let takes = !self.backups.contains(id) && self.backups.len() < limits::BACKUPS;
        if !takes {
            self.done.backups_left_out.push(id.to_owned());
        }
        takes
    }

    /// Writes a backup.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub async fn put_backup(
        &mut self,
        id: &str,
        made_at: Timestamp,
        bank: &BankCopy,
    ) -> Result<(), TransferError> {
        bank.check_for_rows().map_err(|why| TransferError::Refused(format!("in `{id}`: {why}")))?;
        let extra_data = bank.extra_data_files(&[], self.now)?;
        let values: [Value<'_>; 4] = [&self.caller.project.0, &id, &self.caller.user.0, &made_at];
        self.transaction.run(&[Query::new(PUT_BACKUP, &values)]).await?;
        put_items(&self.transaction, &self.caller, id, bank, &extra_data).await?;
        self.backups.insert(id.to_owned());
        self.done.backups += 1;
        Ok(())
    }

    /// Commits.
    ///
    /// # Errors
    /// The project would exceed its quota, or the database fails; nothing was changed.
    pub async fn commit(self) -> Result<Imported, TransferError> {
        let project: [Value<'_>; 1] = [&self.caller.project.0];
        let rows = self.transaction.run(&[Query::new(USAGE, &project)]).await?;
        let added = StoredBytes::of(answer(&rows, 0))?.total().saturating_sub(self.held_before.total());
        if let Err(full) = self.held_before.admit(added, self.default_quota) {
            self.transaction.roll_back().await;
            return Err(TransferError::Refused(full));
        }
        if let Err(full) = self.check_history().await? {
            self.transaction.roll_back().await;
            return Err(TransferError::Refused(full));
        }
        self.transaction.commit(&[]).await?;
        Ok(Imported { history: self.history.count, ..self.done })
    }

    /// Returns the result without committing.
    pub async fn forget(self) -> Imported {
        self.transaction.roll_back().await;
        Imported { history: self.history.count, ..self.done }
    }
}

/// A rules file of a mode as a file beside the rows.
fn rules_file(file: &FileCopy) -> Result<ExtraDataFile, NotTransferable> {
    if !is_rules_file(&file.path) {
        return Err(NotTransferable(format!("`{}` is not the name of a rules file", file.path)));
    }
    Ok(ExtraDataFile {
        kind: ExtraDataKind::Rules,
        path: file.path.clone(),
        bytes: file.bytes.clone(),
        modified: file.modified,
    })
}
