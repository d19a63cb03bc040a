//! Exports: the live rows, or those of a backup, as a copy of the bank.

use jiff::Timestamp;
use memory_bank_core::caller::Caller;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::error::StoreError;
use memory_bank_core::limits;
use memory_bank_core::store::SessionState;
use memory_bank_core::transfer::{
    BankCopy, DocumentCopy, ExtraDataFile, ExtraDataKind, FileCopy, ProjectCopy, Size,
};
use tokio_postgres::Row;

use super::copy_settings::COPY_SETTINGS;
use super::error::TransferError;
use crate::bank::PostgresBank;
use crate::column::{answer, column};
use crate::graph::rows::graph_of;
use crate::tenant::{Query, Transaction, Value};

/// How many documents one statement reads.
const BATCH_DOCUMENTS: usize = 100;

const SIZES: &str =
    "SELECT path, octet_length(content)::bigint FROM public.documents WHERE project_id = $1 ORDER BY path";
const COUNTS: &str = "SELECT (SELECT count(*) FROM public.graph_entities WHERE project_id = $1), \
    (SELECT count(*) FROM public.graph_observations WHERE project_id = $1), \
    (SELECT count(*) FROM public.graph_relations WHERE project_id = $1), \
    (SELECT count(*) FROM app.files WHERE project_id = $1 AND kind = 'file')";
const WEIGHT: &str = "SELECT coalesce(sum(weight), 0)::bigint FROM ( \
    SELECT octet_length(content) AS weight FROM public.documents WHERE project_id = $1 \
    UNION ALL SELECT octet_length(content) FROM public.graph_observations WHERE project_id = $1 \
    UNION ALL SELECT octet_length(attrs::text) FROM public.graph_entities WHERE project_id = $1 \
    UNION ALL SELECT octet_length(content) FROM app.files WHERE project_id = $1) AS all_of_it";
const DOCUMENTS: &str = "SELECT path, content, updated_at FROM public.documents \
    WHERE project_id = $1 AND path = ANY ($2) ORDER BY path";
const ENTITIES: &str = "SELECT id, name, entity_type, attrs::text, created_at, updated_at \
    FROM public.graph_entities WHERE project_id = $1 ORDER BY seq";
const OBSERVATIONS: &str = "SELECT id, entity_id, content, source::text, \"timestamp\", bounds::text \
    FROM public.graph_observations WHERE project_id = $1 ORDER BY seq";
const RELATIONS: &str = "SELECT id, from_entity_id, to_entity_id, relation_type, created_at \
    FROM public.graph_relations WHERE project_id = $1 ORDER BY seq";
pub(super) const FILES: &str =
    "SELECT kind, path, content, modified_at FROM app.files WHERE project_id = $1 ORDER BY kind, path";
const STATE: &str = "SELECT state::text FROM app.project_state WHERE project_id = $1 AND user_id = $2";
const BACKUPS: &str =
    "SELECT id, created_at FROM app.backups WHERE project_id = $1 ORDER BY created_at DESC, id DESC";

const BACKUP_WEIGHT: &str = "SELECT coalesce(sum(octet_length(item::text)), 0)::bigint FROM app.backup_items \
    WHERE project_id = $1 AND backup_id = $2";
const BACKUP_DOCUMENTS: &str = "SELECT r.path, r.content, r.updated_at FROM app.backup_items i, \
    LATERAL json_populate_record(NULL::public.documents, i.item) r \
    WHERE i.project_id = $1 AND i.backup_id = $2 AND i.kind = 'document' ORDER BY r.path";
const BACKUP_ENTITIES: &str = "SELECT r.id, r.name, r.entity_type, r.attrs::text, r.created_at, r.updated_at \
    FROM app.backup_items i, LATERAL json_populate_record(NULL::public.graph_entities, i.item) r \
    WHERE i.project_id = $1 AND i.backup_id = $2 AND i.kind = 'entity' ORDER BY r.seq";
const BACKUP_OBSERVATIONS: &str = "SELECT r.id, r.entity_id, r.content, r.source::text, r.\"timestamp\", r.bounds::text \
    FROM app.backup_items i, LATERAL json_populate_record(NULL::public.graph_observations, i.item) r \
    WHERE i.project_id = $1 AND i.backup_id = $2 AND i.kind = 'observation' ORDER BY r.seq";
const BACKUP_RELATIONS: &str = "SELECT r.id, r.from_entity_id, r.to_entity_id, r.relation_type, r.created_at \
    FROM app.backup_items i, LATERAL json_populate_record(NULL::public.graph_relations, i.item) r \
    WHERE i.project_id = $1 AND i.backup_id = $2 AND i.kind = 'relation' ORDER BY r.seq";
const BACKUP_FILES: &str = "SELECT r.kind, r.path, r.content, r.modified_at FROM app.backup_items i, \
    LATERAL json_populate_record(NULL::app.files, i.item) r \
    WHERE i.project_id = $1 AND i.backup_id = $2 AND i.kind = 'file' ORDER BY r.kind, r.path";

/// A snapshot of a project that is being read.
pub struct Export {
    pub(super) transaction: Transaction,
    pub(super) caller: Caller,
    names: Vec<String>,
    size: Size,
}

impl std::fmt::Debug for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").field("size", &self.size).finish_non_exhaustive()
    }
}

impl PostgresBank {
    /// Begins to read a whole project as the caller.
    ///
    /// # Errors
    /// The project exceeds the bound of a transfer, or the database fails.
    pub async fn begin_export(&self, caller: &Caller) -> Result<Export, TransferError> {
        let project: [Value<'_>; 1] = [&caller.project.0];
        let first = [
            Query::new(COPY_SETTINGS, &[]),
            Query::new(SIZES, &project),
            Query::new(COUNTS, &project),
            Query::new(WEIGHT, &project),
        ];
        let (transaction, rows) = self.database.begin_reading(caller, &first).await?;
        let names = answer(&rows, 1).iter().map(|row| column(row, 0)).collect::<Result<Vec<String>, _>>()?;
        let count = |at: usize| match answer(&rows, 2).first() {
            Some(row) => column::<i64>(row, at).map(|count| usize::try_from(count).unwrap_or_default()),
            None => Ok(0),
        };
        let size = Size {
            documents: names.len(),
            entities: count(0)?,
            observations: count(1)?,
            relations: count(2)?,
            files: count(3)?,
        };
        check_weight(answer(&rows, 3), "the project")?;
        Ok(Export { transaction, caller: caller.clone(), names, size })
    }
}

impl Export {
    /// The number of items.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    /// Reads the bank, its rules files and the caller's own state. `read` gets the number of read items.
    ///
    /// # Errors
    /// The database fails.
    pub async fn project(
        &mut self,
        read: &(dyn Fn(usize) + Send + Sync),
    ) -> Result<ProjectCopy, TransferError> {
        let project = self.caller.project.0;
        let mut bank = BankCopy::default();
        for names in self.names.chunks(BATCH_DOCUMENTS) {
            let values: [Value<'_>; 2] = [&project, &names];
            let rows = self.transaction.run(&[Query::new(DOCUMENTS, &values)]).await?;
            bank.documents.extend(documents(answer(&rows, 0))?);
            read(names.len());
        }
        let values: [Value<'_>; 1] = [&project];
        let graph = [ENTITIES, OBSERVATIONS, RELATIONS, FILES].map(|sql| Query::new(sql, &values));
        let rows = self.transaction.run(&graph).await?;
        bank.graph = graph_of(answer(&rows, 0), answer(&rows, 1), answer(&rows, 2))?;
        let extra_data = extra_data_files(answer(&rows, 3))?;
        let rules = extra_data.iter().filter(|file| file.kind == ExtraDataKind::Rules);
        let rules = rules
            .map(|file| FileCopy {
                path: file.path.clone(),
                bytes: file.bytes.clone(),
                modified: file.modified,
            })
            .collect();
        bank.apply_extra_data_files(extra_data)?;
        read(self.size.items() - self.names.len());
        let own: [Value<'_>; 2] = [&project, &self.caller.user.0];
        let rows = self.transaction.run(&[Query::new(STATE, &own)]).await?;
        let state = match answer(&rows, 0).first() {
            Some(row) => Some(state(column(row, 0)?)?),
            None => None,
        };
        Ok(ProjectCopy { bank, rules, state })
    }

    /// The backups of the project, newest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn backups(&mut self) -> Result<Vec<(String, Timestamp)>, TransferError> {
        let values: [Value<'_>; 1] = [&self.caller.project.0];
        let rows = self.transaction.run(&[Query::new(BACKUPS, &values)]).await?;
        Ok(answer(&rows, 0)
            .iter()
            .map(|row| Ok((column(row, 0)?, column(row, 1)?)))
            .collect::<Result<_, StoreError>>()?)
    }

    /// Reads one of them.
    ///
    /// # Errors
    /// It exceeds the bound of a transfer, or the database fails.
    pub async fn backup(&mut self, id: &str) -> Result<BankCopy, TransferError> {
        let values: [Value<'_>; 2] = [&self.caller.project.0, &id];
        let rows = self.transaction.run(&[Query::new(BACKUP_WEIGHT, &values)]).await?;
        check_weight(answer(&rows, 0), id)?;
        let all = [BACKUP_DOCUMENTS, BACKUP_ENTITIES, BACKUP_OBSERVATIONS, BACKUP_RELATIONS, BACKUP_FILES];
        let rows = self.transaction.run(&all.map(|sql| Query::new(sql, &values))).await?;
        let mut bank = BankCopy {
            documents: documents(answer(&rows, 0))?,
            graph: graph_of(answer(&rows, 1), answer(&rows, 2), answer(&rows, 3))?,
            ..BankCopy::default()
        };
        bank.apply_extra_data_files(extra_data_files(answer(&rows, 4))?)?;
        Ok(bank)
    }

    /// Ends the transaction.
    pub async fn end(self) {
        self.transaction.roll_back().await;
    }
}

fn check_weight(rows: &[Row], what: &str) -> Result<(), TransferError> {
    let weight: i64 = match rows.first() {
        Some(row) => column(row, 0)?,
        None => 0,
    };
    // A backup's rows are JSON, in which bytes take twice their size.
    if weight.unsigned_abs() > 2 * limits::TRANSFER_BYTES {
        return Err(TransferError::Refused(format!(
            "{what} has {weight} bytes, more than the {} that are moved at once",
            limits::TRANSFER_BYTES
        )));
    }
    Ok(())
}

/// Rows of `path, content, updated_at`.
fn documents(rows: &[Row]) -> Result<Vec<DocumentCopy>, StoreError> {
    rows.iter()
        .map(|row| {
            let name: &str = column(row, 0)?;
            let path = DocumentPath::parse(name).map_err(|error| StoreError::Damaged {
                what: "the name of a document".to_owned(),
                detail: error.to_string(),
            })?;
            Ok(DocumentCopy { path, text: column(row, 1)?, bytes: None, updated_at: column(row, 2)? })
        })
        .collect()
}

/// Rows of `kind, path, content, modified_at`.
pub(super) fn extra_data_files(rows: &[Row]) -> Result<Vec<ExtraDataFile>, StoreError> {
    rows.iter()
        .map(|row| {
            let word: &str = column(row, 0)?;
            let kind = ExtraDataKind::from_word(word).ok_or_else(|| StoreError::Damaged {
                what: "the kind of a file".to_owned(),
                detail: format!("`{word}` is none"),
            })?;
            Ok(ExtraDataFile {
                kind,
                path: column(row, 1)?,
                bytes: column(row, 2)?,
                modified: column(row, 3)?,
            })
        })
        .collect()
}

fn state(text: &str) -> Result<SessionState, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Damaged {
        what: "the state of this user".to_owned(),
        detail: error.to_string(),
    })
}
