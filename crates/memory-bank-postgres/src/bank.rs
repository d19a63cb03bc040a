//! One project's bank. It caches nothing of the project: every replica creates its own, and the rows are
//! authoritative.

use std::sync::Arc;

use memory_bank_core::history::ChangeContext;
use memory_bank_core::store::Bank;

use crate::database::Database;

/// The bank of one project. Each store trait is implemented in its module: `documents`, `graph`, `search`, `backups`.
#[derive(Debug, Clone)]
pub struct PostgresBank {
    pub(crate) database: Database,
    slug: String,
    /// What the history of the graph records beside user and key.
    pub(crate) context: Arc<ChangeContext>,
}

impl PostgresBank {
    /// The bank with this slug in replies. The caller alone decides which project's rows it reads.
    #[must_use]
    pub fn new(database: Database, slug: String) -> Self {
        Self { database, slug, context: Arc::default() }
    }
}

impl Bank for PostgresBank {
    fn location(&self) -> String {
        self.slug.clone()
    }

    fn in_context(&self, context: &ChangeContext) -> Arc<dyn Bank> {
        Arc::new(Self { context: Arc::new(context.clone()), ..self.clone() })
    }
}
