//! Backups as rows: statements under row-level security copy the rows inside the database.

mod graph;

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::caller::{Caller, Right};
use memory_bank_core::clock::iso_millis;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::StoreError;
use memory_bank_core::history::{ChangeContext, VersionKind};
use memory_bank_core::limits;
use memory_bank_core::store::{
    BACKUP_PREFIX, Backup, BackupError, BackupStore, Change, Restored, check_backup_id,
};
use tokio_postgres::Row;

use crate::backups::graph::put_graph;
use crate::bank::PostgresBank;
use crate::column::{answer, column};
use crate::documents::versions::{SET_CHANGE, SettingOfChange};
use crate::quota::{StoredBytes, USAGE};
use crate::tenant::{Failure, Query, TRIES, Transaction, Value};
use crate::transfer::copy_settings::COPY_SETTINGS;

const BACKUPS: &str =
    "SELECT id, created_at FROM app.backups WHERE project_id = $1 ORDER BY created_at DESC, id DESC";
const FIND: &str = "SELECT id FROM app.backups WHERE project_id = $1 AND id = ANY ($2)";
const DOCUMENTS: &str = "SELECT key FROM app.backup_items WHERE project_id = $1 AND backup_id = ANY ($2) AND kind = 'document' \
    ORDER BY key";
const HAS_CONTENT: &str =
    "SELECT EXISTS (SELECT FROM app.backup_items WHERE project_id = $1 AND backup_id = ANY ($2))";
const LOCK: &str = "SELECT path, etag FROM public.documents WHERE project_id = $1 ORDER BY path FOR UPDATE";
pub(crate) const CREATE: &str =
    "INSERT INTO app.backups (project_id, id, created_by, created_at) VALUES ($1, $2, $3, $4)";
pub(crate) const COPY: &str = "INSERT INTO app.backup_items (project_id, backup_id, kind, key, item) \
    SELECT $1, $2, 'document', d.path, row_to_json(r) FROM public.documents d, LATERAL \
    (SELECT d.id, d.project_id, d.path, d.content, d.etag, d.version, d.created_at, d.updated_at) AS r WHERE d.project_id = $1 \
    UNION ALL SELECT $1, $2, 'entity', e.id, row_to_json(e) FROM public.graph_entities e WHERE e.project_id = $1 \
    UNION ALL SELECT $1, $2, 'observation', o.id, row_to_json(o) FROM public.graph_observations o WHERE o.project_id = $1 \
    UNION ALL SELECT $1, $2, 'relation', r.id, row_to_json(r) FROM public.graph_relations r WHERE r.project_id = $1 \
    UNION ALL SELECT $1, $2, 'file', f.kind || '/' || f.path, row_to_json(f) FROM app.files f WHERE f.project_id = $1";
const PRUNE: &str = "SELECT app.prune_backups($1)";

const PUT_DOCUMENTS: &str = "INSERT INTO public.documents AS d (project_id, path, content, etag, created_at, updated_at) \
    SELECT $1, r.path, r.content, r.etag, r.created_at, $3 FROM app.backup_items i, \
    LATERAL json_populate_record(NULL::public.documents, i.item) r \
    WHERE i.project_id = $1 AND i.backup_id = $2 AND i.kind = 'document' \
    ON CONFLICT (project_id, path) DO UPDATE SET content = excluded.content, etag = excluded.etag, \
    version = d.version + 1, updated_at = excluded.updated_at WHERE d.etag <> excluded.etag";
const CLEAR_FILES: &str = "DELETE FROM app.files WHERE project_id = $1 AND kind = 'graph'";
const PUT_FILES: &str = "INSERT INTO app.files (project_id, kind, path, content, modified_at) \
    SELECT $1, r.kind, r.path, r.content, r.modified_at \
    FROM app.backup_items i, LATERAL json_populate_record(NULL::app.files, i.item) r \
    WHERE i.project_id = $1 AND i.backup_id = $2 AND i.kind = 'file' \
    ON CONFLICT (project_id, kind, path) DO UPDATE SET content = excluded.content, modified_at = excluded.modified_at";

#[async_trait]
impl BackupStore for PostgresBank {
    async fn create_backup(&self, caller: &Caller, _directory: Option<&str>) -> Result<Backup, BackupError> {
        if !caller.may(Right::Write) {
            return Err(StoreError::Denied.into());
        }
        let most = i32::try_from(limits::BACKUPS).unwrap_or(i32::MAX);
        for number in 1..=TRIES * 10 {
            let backup = self.fresh(number);
            let project: [Value<'_>; 1] = [&caller.project.0];
            let (transaction, before) = self
                .database
                .begin(caller, &[Query::new(USAGE, &project)])
                .await
                .map_err(StoreError::from)?;
            let (create, copy) = (creating(caller, &backup), copying(caller, &backup));
            let prune: [Value<'_>; 1] = [&most];
            let writes = [Query::new(CREATE, &create), Query::new(COPY, &copy), Query::new(PRUNE, &prune)];
            let before = StoredBytes::of(answer(&before, 0))?;
            match self.commit_within_quota(transaction, before, &project, writes.to_vec()).await {
                Ok(None) => return Ok(backup),
                Ok(Some(full)) => return Err(BackupError::Refused(full)),
                // Another backup has this id: there may be several within one millisecond.
                Err(Failure::Conflict(_)) => {}
                Err(Failure::Store(error)) => return Err(error.into()),
            }
        }
        Err(StoreError::Busy.into())
    }

    async fn list_backups(
        &self,
        caller: &Caller,
        _directory: Option<&str>,
    ) -> Result<Vec<Backup>, BackupError> {
        let rows = self.database.read(caller, &[Query::new(BACKUPS, &[&caller.project.0])]).await?;
        Ok(answer(&rows, 0)
            .iter()
            .map(|row| {
                let id: String = column(row, 0)?;
                Ok(Backup { timestamp: column(row, 1)?, location: id.clone(), id })
            })
            .collect::<Result<_, StoreError>>()?)
    }

    async fn restore_backup(&self, caller: &Caller, id: &str, safety: bool) -> Result<Restored, BackupError> {
        if !caller.may(Right::Admin) {
            return Err(StoreError::Denied.into());
        }
        let id = id.trim();
        check_backup_id(id)?;
        for number in 1..=TRIES {
            let safety = safety.then(|| self.fresh(number));
            match self.try_restore(caller, id, safety).await {
                Ok((restored, changed)) => {
                    self.notify_restored(caller, &changed);
                    return Ok(restored);
                }
                Err(Refusal::Backup(error)) => return Err(error),
                Err(Refusal::Failed(Failure::Store(error))) => return Err(error.into()),
                Err(Refusal::Failed(Failure::Conflict(met))) => {
                    tracing::debug!(met, "a restore conflicted with a write; retrying");
                }
            }
        }
        Err(StoreError::Busy.into())
    }
}

/// The most documents whose restore is notified one by one. Of more, others read the whole project again: a message for each would
/// fill the queue to the other servers, which then read all projects again.
const MOST_NAMED: usize = 100;

enum Refusal {
    Backup(BackupError),
    Failed(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The names that a restore writes, and whether any of them was missing.
struct Changed {
    names: Vec<String>,
    list: bool,
}

impl PostgresBank {
    pub(crate) fn fresh(&self, number: usize) -> Backup {
        // To the millisecond, as in the id.
        let now = self.database.deps.clock.now();
        let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        let stamp = iso_millis(now).replace([':', '.'], "-");
        // Callers may omit the final `Z`, so the number comes before it.
        let id = if number == 1 {
            format!("{BACKUP_PREFIX}{stamp}")
        } else {
            format!("{BACKUP_PREFIX}{}-{number}Z", stamp.trim_end_matches('Z'))
        };
        Backup { timestamp: now, location: id.clone(), id }
    }

    async fn try_restore(
        &self,
        caller: &Caller,
        id: &str,
        safety: Option<Backup>,
    ) -> Result<(Restored, Changed), Refusal> {
        let project = caller.project.0;
        let ids = [id.trim_end_matches('Z').to_owned(), format!("{}Z", id.trim_end_matches('Z'))];
        let ids = ids.as_slice();
        let named: [Value<'_>; 2] = [&project, &ids];
        let (transaction, rows) = self
            .database
            .begin(
                caller,
                &[
                    Query::new(COPY_SETTINGS, &[]),
                    Query::new(FIND, &named),
                    Query::new(DOCUMENTS, &named),
                    Query::new(LOCK, &[&project]),
                    Query::new(HAS_CONTENT, &named),
                    Query::new(USAGE, &[&project]),
                ],
            )
            .await?;
        let rows = rows.get(1..).unwrap_or_default();
        let (stored, contents, present) = match read_plan(rows) {
            Ok((Some(stored), contents, present, true)) => (stored, contents, present),
            plan => {
                transaction.roll_back().await;
                return Err(refusal_of(plan, id));
            }
        };
        let now = self.database.deps.clock.now();
        let create = safety.as_ref().map(|backup| creating(caller, backup));
        let copy = safety.as_ref().map(|backup| copying(caller, backup));
        let put: [Value<'_>; 2] = [&project, &stored];
        let put_documents: [Value<'_>; 3] = [&project, &stored, &now];
        let clear: [Value<'_>; 1] = [&project];
        let detail = serde_json::json!({"safety": safety.as_ref().map(|backup| &backup.id)});
        let note: [Value<'_>; 3] = [&"backup.restored", &stored, &detail];
        // First: this sets the kind of transaction for the policies and the audit log, which needs the right to
        // administer alone.
        let change = self.change_of_restore();
        let change: [Value<'_>; 2] = [&change.change, &change.versions];
        let mut writes =
            vec![Query::new(crate::audit::RECORD_ACTION, &note), Query::new(SET_CHANGE, &change)];
        if let (Some(create), Some(copy)) = (&create, &copy) {
            writes.extend([Query::new(CREATE, create), Query::new(COPY, copy)]);
        }
        writes.push(Query::new(PUT_DOCUMENTS, &put_documents));
        writes.extend(put_graph(&put));
        writes.extend([Query::new(CLEAR_FILES, &clear), Query::new(PUT_FILES, &put)]);
        let before = StoredBytes::of(answer(rows, 4)).map_err(Failure::from)?;
        if let Some(full) = self.commit_within_quota(transaction, before, &clear, writes).await? {
            return Err(Refusal::Backup(BackupError::Refused(full)));
        }
        let names: BTreeSet<&String> = contents.iter().collect();
        let list = contents.iter().any(|name| !present.contains(name));
        let kept = present.into_iter().filter(|name| !names.contains(name)).collect();
        let restored = Restored { files: contents.clone(), kept, safety };
        Ok((restored, Changed { names: contents, list }))
    }

    /// What the history notes of a restore: tool and session, so that an undo of the session finds it.
    fn change_of_restore(&self) -> SettingOfChange {
        let session = self.context.session.clone();
        let context = ChangeContext { session, ..ChangeContext::of_tool("restore_backup") };
        SettingOfChange::of_kind(self.database.keeps_history, Some(VersionKind::Restored), &context)
    }

    /// Writes, and commits unless the project would exceed its quota; returns why.
    async fn commit_within_quota(
        &self,
        transaction: Transaction,
        before: StoredBytes,
        project: &[Value<'_>],
        mut writes: Vec<Query<'_>>,
    ) -> Result<Option<String>, Failure> {
        writes.insert(0, Query::new(COPY_SETTINGS, &[]));
        writes.push(Query::new(USAGE, project));
        let rows = transaction.run(&writes).await?;
        let after = StoredBytes::of(rows.last().map(Vec::as_slice).unwrap_or_default())?;
        let added = after.total().saturating_sub(before.total());
        match self.database.admit(&before, added) {
            Ok(()) => transaction.commit(&[]).await.map(|_| None),
            Err(full) => {
                transaction.roll_back().await;
                Ok(Some(full))
            }
        }
    }

    fn notify_restored(&self, caller: &Caller, changed: &Changed) {
        let sink = &self.database.deps.sink;
        if changed.names.len() > MOST_NAMED {
            sink.changed(caller.project, Change::Whole);
            return;
        }
        for path in changed.names.iter().filter_map(|name| DocumentPath::parse(name).ok()) {
            sink.changed(caller.project, Change::Updated(path));
        }
        if changed.list {
            sink.changed(caller.project, Change::List);
        }
        sink.changed(caller.project, Change::Graph);
    }
}

pub(crate) fn creating<'a>(caller: &'a Caller, backup: &'a Backup) -> [Value<'a>; 4] {
    [&caller.project.0, &backup.id, &caller.user.0, &backup.timestamp]
}

pub(crate) fn copying<'a>(caller: &'a Caller, backup: &'a Backup) -> [Value<'a>; 2] {
    [&caller.project.0, &backup.id]
}

type Plan = (Option<String>, Vec<String>, Vec<String>, bool);

/// The stored id, the documents in the backup, those in the bank, and whether the backup is empty.
fn read_plan(rows: &[Vec<Row>]) -> Result<Plan, StoreError> {
    let names = |at: usize| {
        answer(rows, at).iter().map(|row| column::<String>(row, 0)).collect::<Result<Vec<_>, _>>()
    };
    let anything = answer(rows, 3).first().map(|row| column(row, 0)).transpose()?.unwrap_or_default();
    Ok((names(0)?.into_iter().next(), names(1)?, names(2)?, anything))
}

/// Why a plan cannot be restored.
fn refusal_of(plan: Result<Plan, StoreError>, id: &str) -> Refusal {
    match plan {
        Err(error) => Refusal::Failed(Failure::Store(error)),
        Ok((None, ..)) => Refusal::Backup(BackupError::NotFound(id.to_owned())),
        Ok(_) => {
            Refusal::Backup(BackupError::Refused("the backup is empty; nothing was restored".to_owned()))
        }
    }
}
