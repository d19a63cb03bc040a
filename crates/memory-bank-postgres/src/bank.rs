//! One project's bank. It holds nothing of the project: every replica makes its own, and the rows are the truth.

use memory_bank_core::store::Bank;

use crate::connect::Database;

/// The bank of one project. The store traits are implemented one a module: `documents`, `graph`, `search`, `backups`.
#[derive(Debug, Clone)]
pub struct PostgresBank {
    pub(crate) database: Database,
    slug: String,
}

impl PostgresBank {
    /// The bank that replies call by this slug. Which project's rows it shows depends on the caller alone.
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
