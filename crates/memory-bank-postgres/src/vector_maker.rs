//! The background task that makes vectors for this replica, and the replica's name in claims.

use memory_bank_vectors::Maker;
use uuid::Uuid;

/// The maker of vectors for all projects of this replica.
#[derive(Debug, Clone)]
pub(crate) struct VectorMaker {
    pub(crate) maker: Maker,
    /// The name of this replica in claims.
    pub(crate) holder: Uuid,
}
