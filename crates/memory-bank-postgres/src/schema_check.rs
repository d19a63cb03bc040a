//! Whether the schema still exists while a server runs: a rollback may have removed it, and a migration restored it.

use crate::column::column;
use crate::connect_error::ConnectError;
use crate::database::Database;
use crate::isolation::TENANT_TABLES;
use crate::tenant::{CallError, Query};
use crate::unreachable::Unreachable;

/// The state of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// It is complete, and the login role may use it.
    Whole,
    /// This table or function is missing.
    Missing(String),
    /// The login role may not use it: the roles were created again.
    Denied,
}

/// The catalog is queried by name, which needs no right on the objects.
const CHECK: &str = "SELECT coalesce( \
      (SELECT t.name FROM unnest($1::text[]) AS t (name) WHERE NOT EXISTS ( \
        SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = split_part(t.name, '.', 1) AND c.relname = split_part(t.name, '.', 2)) LIMIT 1), \
      (SELECT t.name FROM unnest(ARRAY['current_access', 'authenticate', 'read_documents']) AS t (name) WHERE NOT EXISTS ( \
        SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
        WHERE n.nspname = 'app' AND p.proname = t.name) LIMIT 1)), \
    EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
      WHERE n.nspname = 'app' AND p.proname = 'authenticate' AND has_schema_privilege(n.oid, 'USAGE') \
      AND has_function_privilege(p.oid, 'EXECUTE'))";

impl Database {
    /// The state of the schema, in one round trip.
    ///
    /// # Errors
    /// The database does not answer; [`ConnectError::Unreachable`] has the reason.
    pub async fn schema_state(&self) -> Result<SchemaState, ConnectError> {
        self.ping().await?;
        let names: Vec<&str> = TENANT_TABLES.to_vec();
        let rows = self.call(Query::new(CHECK, &[&names])).await.map_err(|error| match error {
            CallError::Database(error) => Unreachable::from(&error),
            CallError::Store(_) => Unreachable::no_answer(),
        })?;
        let row = rows.first().ok_or_else(Unreachable::no_answer)?;
        let read = || {
            let (missing, usable): (Option<String>, bool) = (column(row, 0)?, column(row, 1)?);
            Ok::<_, memory_bank_core::error::StoreError>(match missing {
                Some(name) => SchemaState::Missing(name),
                None if usable => SchemaState::Whole,
                None => SchemaState::Denied,
            })
        };
        Ok(read().map_err(|_| Unreachable::no_answer())?)
    }
}
