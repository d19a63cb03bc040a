//! The audit log. What changes rows is told by triggers (`migrations/003_functions.sql`); here is the rest: what no trigger
//! sees, what operators read, and how the log ages.

use async_trait::async_trait;
use jiff::Timestamp;
use memory_bank_core::caller::{KeyId, UserId};
use memory_bank_core::error::StoreError;
use memory_bank_core::identity::AdminError;
use memory_bank_core::store::{AddressUse, AuditLog};
use serde_json::Value as Json;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::administration::admin_error;
use crate::column::column;
use crate::connect::Database;
use crate::tenant::{Query, Value};

/// How many addresses are noted of one key; past this it is known to be used from all over.
const ADDRESSES: i32 = 200;

const NOTE_ADDRESSES: &str = "SELECT app.note_key_addresses($1, $2, $3, $4)";
const NOTE_AS_OPERATOR: &str = "SELECT app.note_operator_audit($1, $2, $3, $4)";
const LIST: &str = "SELECT id, at, action, project, user_name, user_id, key_id, login, subject, address, detail \
    FROM app.list_audit($1, $2, $3)";
const PURGE: &str = "SELECT app.purge_audit($1, $2)";

/// Tells, in a transaction of a tenant, of what no trigger sees. Its values are the action's name (one that
/// `app.note_audit` knows), the subject and details as JSON.
pub(crate) const NOTE: &str = "SELECT app.note_audit($1, $2, $3)";

/// What an operator did to a whole project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorAction {
    /// A folder was brought in.
    Imported,
    /// The bank was written to a folder.
    Exported,
    /// The project was written to a file.
    BackedUp,
    /// The project was put back from a file.
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
}

/// One row of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Counts up; rows of one moment are in its order.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// What was done, such as `key.revoked`.
    pub action: String,
    /// The project's slug, if it still is there.
    pub project: Option<String>,
    /// Who did it, if it was done in a user's name and the user still is there.
    pub user_name: Option<String>,
    /// Who did it, if it was done in a user's name.
    pub user: Option<UserId>,
    /// With which key.
    pub key: Option<KeyId>,
    /// The login role that did it, if it was done on the database itself.
    pub login: Option<String>,
    /// To what: an id or a name.
    pub subject: Option<String>,
    /// Whence, if that is what the row tells.
    pub address: Option<String>,
    /// A few words more.
    pub detail: Json,
}

impl Database {
    /// The newest rows of a project's log, newest first; of all projects with `None`.
    ///
    /// # Errors
    /// There is no such project, or the database cannot be asked.
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

    /// Tells of what an operator did to a whole project. A command that works in a transaction of its own tells there,
    /// in the same words: `SELECT app.note_operator_audit(slug, action, subject, detail)`.
    ///
    /// # Errors
    /// There is no such project, or the database cannot be asked.
    pub async fn note_audit(
        &self,
        project: &str,
        action: OperatorAction,
        subject: Option<&str>,
        detail: &Json,
    ) -> Result<(), AdminError> {
        let values: [Value<'_>; 4] = [&project, &action.name(), &subject, detail];
        self.call(Query::new(NOTE_AS_OPERATOR, &values)).await.map_err(admin_error)?;
        Ok(())
    }
}

#[async_trait]
impl AuditLog for Database {
    async fn note_addresses(&self, uses: &[AddressUse]) -> Result<(), StoreError> {
        if uses.is_empty() {
            return Ok(());
        }
        let keys: Vec<&[u8]> = uses.iter().map(|used| used.proof.as_bytes().as_slice()).collect();
        let addresses: Vec<String> = uses.iter().map(|used| used.address.to_string()).collect();
        let at: Vec<Timestamp> = uses.iter().map(|used| used.at).collect();
        self.call(Query::new(NOTE_ADDRESSES, &[&keys, &addresses, &at, &ADDRESSES])).await?;
        Ok(())
    }

    async fn forget_before(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.call(Query::new(PURGE, &[&before, &most])).await?;
        let gone: Option<i64> = rows.first().map(|row| column(row, 0)).transpose()?;
        Ok(usize::try_from(gone.unwrap_or_default()).unwrap_or_default())
    }
}

fn entry(row: &Row) -> Result<AuditEntry, StoreError> {
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
