//! The audit log: actions that no trigger of `migrations/003_functions.sql` sees, queries for operators, and
//! retention.

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::caller::{KeyId, UserId};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::AdminError;
use memory_bank_core::store::{AddressUse, AuditEntry, AuditLog};
use serde_json::Value as Json;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::administration::admin_error;
use crate::column::column;
use crate::database::Database;
use crate::tenant::{Query, Value};

/// How many addresses are recorded per key; past this the key is known to be used everywhere.
const MAX_ADDRESSES: i32 = 200;

const RECORD_ADDRESSES: &str = "SELECT app.note_key_addresses($1, $2, $3, $4)";
const RECORD_AS_OPERATOR: &str = "SELECT app.note_operator_audit($1, $2, $3, $4)";
const LIST: &str = "SELECT id, at, action, project, user_name, user_id, key_id, login, subject, address, detail \
    FROM app.list_audit($1, $2, $3)";
const PURGE: &str = "SELECT app.purge_audit($1, $2)";

/// Records, in a transaction of a tenant, an action that no trigger sees. Its values are the action's name (one that
/// `app.note_audit` knows), the subject and details as JSON.
pub(crate) const RECORD_ACTION: &str = "SELECT app.note_audit($1, $2, $3)";

/// An operator's action on a whole project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorAction {
    /// A folder was imported.
    Imported,
    /// The bank was exported to a folder.
    Exported,
    /// The project was backed up to a file.
    BackedUp,
    /// The project was restored from a file.
    Restored,
}

impl OperatorAction {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Imported => "bank.imported",
            Self::Exported => "bank.exported",
            Self::BackedUp => "project.backed_up",
            Self::Restored => "project.restored",
        }
    }

    /// The command that versions name as their tool.
    pub(crate) fn tool(self) -> &'static str {
        match self {
            Self::Imported => "import",
            Self::Exported => "export",
            Self::BackedUp => "backup",
            Self::Restored => "restore",
        }
    }
}

impl Database {
    /// The newest rows of a project's log, newest first; of all projects with `None`.
    ///
    /// # Errors
    /// The project does not exist, or the query fails.
    pub async fn audit(
        &self,
        project: Option<&str>,
        since: Option<Timestamp>,
        most: u32,
    ) -> Result<Vec<AuditEntry>, AdminError> {
        let most = i64::from(most);
        let rows = self.call(Query::new(LIST, &[&project, &since, &most])).await.map_err(admin_error)?;
        Ok(rows.iter().map(entry).collect::<Result<_, _>>()?)
    }

    /// Records an operator's action on a whole project. A command with its own transaction records it there, with the
    /// same statement: `SELECT app.note_operator_audit(slug, action, subject, detail)`.
    ///
    /// # Errors
    /// The project does not exist, or the query fails.
    pub async fn note_audit(
        &self,
        project: &str,
        action: OperatorAction,
        subject: Option<&str>,
        detail: &Json,
    ) -> Result<(), AdminError> {
        let values: [Value<'_>; 4] = [&project, &action.name(), &subject, detail];
        self.call(Query::new(RECORD_AS_OPERATOR, &values)).await.map_err(admin_error)?;
        Ok(())
    }
}

#[async_trait]
impl AuditLog for Database {
    async fn record_addresses(&self, uses: &[AddressUse]) -> Result<(), StoreError> {
        if uses.is_empty() {
            return Ok(());
        }
        let keys: Vec<&[u8]> = uses.iter().map(|used| used.proof.as_bytes().as_slice()).collect();
        let addresses: Vec<String> = uses.iter().map(|used| used.address.to_string()).collect();
        let at: Vec<Timestamp> = uses.iter().map(|used| used.at).collect();
        self.call(Query::new(RECORD_ADDRESSES, &[&keys, &addresses, &at, &MAX_ADDRESSES])).await?;
        Ok(())
    }

    async fn forget_before(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.call(Query::new(PURGE, &[&before, &most])).await?;
        let deleted: Option<i64> = rows.first().map(|row| column(row, 0)).transpose()?;
        Ok(usize::try_from(deleted.unwrap_or_default()).unwrap_or_default())
    }
}

pub(crate) fn entry(row: &Row) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        id: column(row, 0)?,
        at: column(row, 1)?,
        action: column(row, 2)?,
        project: column(row, 3)?,
        user_name: column(row, 4)?,
        user: column::<Option<Uuid>>(row, 5)?.map(UserId),
        key: column::<Option<Uuid>>(row, 6)?.map(KeyId),
        login: column(row, 7)?,
        subject: column(row, 8)?,
        address: column(row, 9)?,
        detail: column(row, 10)?,
    })
}
