//! The history of documents.

use async_trait::async_trait;
use memory_bank_core::caller::Caller;
use memory_bank_core::document::DocumentPath;
use memory_bank_core::history::{VersionPage, VersionQuery, VersionText};
use memory_bank_core::store::{HistoryError, HistoryStore};

use crate::bank::FolderBank;

#[async_trait]
impl HistoryStore for FolderBank {
    async fn list_versions(
        &self,
        _caller: &Caller,
        _query: &VersionQuery,
    ) -> Result<VersionPage, HistoryError> {
        Err(HistoryError::NotKept)
    }

    async fn read_version(
        &self,
        _caller: &Caller,
        _path: &DocumentPath,
        _number: i64,
    ) -> Result<VersionText, HistoryError> {
        Err(HistoryError::NotKept)
    }

    async fn erase(&self, _caller: &Caller, _path: &DocumentPath) -> Result<u64, HistoryError> {
        Err(HistoryError::NotKept)
    }
}
