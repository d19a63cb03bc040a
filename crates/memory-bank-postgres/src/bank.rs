//! One project's bank. It caches nothing of the project: every replica creates its own, and the rows are
//! authoritative.

use memory_bank_core::store::Bank;

use crate::database::Database;

/// The bank of one project. Each store trait is implemented in its module: `documents`, `graph`, `search`, `backups`.
#[derive(Debug, Clone)]
pub struct PostgresBank {
    pub(crate) database: Database,
    slug: String,
}

impl PostgresBank {
    /// The bank with this slug in replies. The caller alone decides which project's rows it reads.
    #[must_use]
    pub fn new(database: Database, slug: String) -> Self {
        Self { database, slug }
    }
}

impl Bank for PostgresBank {
    fn location(&self) -> String {
        self.slug.clone()
    }
}
