//! Search within one project. The ranking is [`crate::search`]'s; a store keeps its index.

use async_trait::async_trait;

/// Search of one project.
#[async_trait]
pub trait SearchStore: Send + Sync {}
