//! Quotas of projects in bytes. Triggers count what is stored (`migrations/003_functions.sql`); a change that adds
//! bytes is refused past the quota, one that removes bytes never is. This module must not know what a change means.

use std::sync::atomic::Ordering;

use memory_bank_core::error::StoreError;
use tokio_postgres::Row;

use crate::column::column;
use crate::database::Database;
use crate::tenant::{Query, Value};

/// The stored bytes of a project, and its own quota, if it has one. Uncommitted changes of others are not included.
pub(crate) const USAGE: &str = "SELECT \
    coalesce(sum(s.bytes) FILTER (WHERE s.kind = 'documents'), 0)::bigint, \
    coalesce(sum(s.bytes) FILTER (WHERE s.kind = 'snapshots'), 0)::bigint, \
    coalesce(sum(s.bytes) FILTER (WHERE s.kind IN ('graph', 'files')), 0)::bigint, \
    max(s.bytes) FILTER (WHERE s.kind = 'quota') \
    FROM app.stored_bytes s WHERE s.project_id = $1";

/// The stored bytes of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBytes {
    /// Its documents.
    pub documents: i64,
    /// Its backups.
    pub snapshots: i64,
    /// Its graph, and files beside the documents.
    pub others: i64,
    /// Its own quota.
    pub quota: Option<i64>,
}

impl StoredBytes {
    /// Reads the usage from the rows of [`USAGE`].
    pub(crate) fn of(rows: &[Row]) -> Result<Self, StoreError> {
        match rows.first() {
            Some(row) => Self::of_row(row, 0),
            None => Ok(Self { documents: 0, snapshots: 0, others: 0, quota: None }),
        }
    }

    /// From four columns of a row, beginning at this one.
    pub(crate) fn of_row(row: &Row, first: usize) -> Result<Self, StoreError> {
        Ok(Self {
            documents: column(row, first)?,
            snapshots: column(row, first + 1)?,
            others: column(row, first + 2)?,
            quota: column(row, first + 3)?,
        })
    }

    /// The sum.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.documents.saturating_add(self.snapshots).saturating_add(self.others)
    }

    /// The effective quota: the project's own, or the server's. `None`: unlimited.
    #[must_use]
    pub fn limit(&self, default: u64) -> Option<i64> {
        let limit = self.quota.unwrap_or_else(|| i64::try_from(default).unwrap_or(i64::MAX));
        (limit > 0).then_some(limit)
    }

    /// Whether a change that adds this many bytes is admitted; returns why not.
    pub(crate) fn admit(&self, added: i64, default: u64) -> Result<(), String> {
        let Some(limit) =
            self.limit(default).filter(|limit| added > 0 && self.total().saturating_add(added) > *limit)
        else {
            return Ok(());
        };
        let Self { documents, snapshots, others, .. } = self;
        Err(format!(
            "the project's quota is {limit} bytes; it holds {} (documents {documents}, backups {snapshots}, graph and files \
             {others}) and this adds {added}, so nothing was written; delete or shorten documents, or have the operator set \
             a higher quota with `memory-bank-mcp projects set-quota`",
            self.total()
        ))
    }
}

/// A project with its stored bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectBytes {
    /// Its short name.
    pub slug: String,
    /// Its stored bytes.
    pub stored: StoredBytes,
}

impl Database {
    /// Whether a change that adds this many bytes is admitted; returns why not. Refusals are counted.
    pub(crate) fn admit(&self, held: &StoredBytes, added: i64) -> Result<(), String> {
        let admitted = held.admit(added, self.default_quota);
        if admitted.is_err() {
            self.quota_refusals.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// How many changes this process has refused because of a quota.
    #[must_use]
    pub fn quota_refusals(&self) -> u64 {
        self.quota_refusals.load(Ordering::Relaxed)
    }

    /// The stored bytes of every project. For the schema's owner.
    ///
    /// # Errors
    /// The query fails, or the login role is not the owner.
    pub async fn stored_bytes(&self) -> Result<Vec<ProjectBytes>, StoreError> {
        const SQL: &str = "SELECT slug, documents, snapshots, others, quota FROM app.list_stored_bytes()";
        let rows = self.call(Query::new(SQL, &[])).await?;
        rows.iter()
            .map(|row| Ok(ProjectBytes { slug: column(row, 0)?, stored: StoredBytes::of_row(row, 1)? }))
            .collect()
    }

    /// Sets the quota of a project; `None`: the server's. 0 is unlimited.
    ///
    /// # Errors
    /// The project does not exist, or the login role is not the schema's owner.
    pub async fn set_quota(
        &self,
        project: &str,
        bytes: Option<i64>,
    ) -> Result<(), memory_bank_core::identity::AdminError> {
        let values: [Value<'_>; 2] = [&project, &bytes];
        self.call(Query::new("SELECT app.set_project_quota($1, $2)", &values))
            .await
            .map_err(crate::administration::admin_error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_are_refused_past_the_quota_and_removals_never() {
        let holds = StoredBytes { documents: 50, snapshots: 40, others: 5, quota: None };
        assert!(holds.admit(5, 100).is_ok() && holds.admit(1000, 0).is_ok());
        let refused = holds.admit(6, 100).unwrap_err();
        for words in ["quota is 100 bytes", "holds 95", "documents 50", "backups 40", "adds 6", "set-quota"] {
            assert!(refused.contains(words), "{refused}");
        }
        let over = StoredBytes { quota: Some(10), ..holds };
        assert!(over.admit(0, 1000).is_ok() && over.admit(-5, 1000).is_ok() && over.admit(1, 1000).is_err());
        assert!(StoredBytes { quota: Some(0), ..holds }.admit(1000, 1).is_ok());
    }
}
