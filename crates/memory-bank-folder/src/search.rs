//! Search in a folder bank: not connected to the engine in the core yet, and says so.

use async_trait::async_trait;
use memory_bank_core::caller::Caller;
use memory_bank_core::error::{GraphError, StoreError};
use memory_bank_core::store::{DocumentSearch, DocumentsFound, GraphFound, GraphSearch, SearchStore};

use crate::bank::FolderBank;

#[async_trait]
impl SearchStore for FolderBank {
    async fn search_documents(
        &self,
        _caller: &Caller,
        _wanted: &DocumentSearch,
    ) -> Result<DocumentsFound, StoreError> {
        Err(StoreError::Unavailable("this build has no search yet".to_owned()))
    }

    async fn search_graph(&self, _caller: &Caller, _wanted: &GraphSearch) -> Result<GraphFound, GraphError> {
        Err(StoreError::Unavailable("this build has no search yet".to_owned()).into())
    }
}
