//! Whether the schema is still there while a server runs: a rollback may have taken it away, and a migration brought it back.

use crate::column::column;
use crate::connect::{ConnectError, Database};
use crate::isolation::TENANT_TABLES;
use crate::unreachable::Unreachable;

/// What a running server finds of its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// All of it, and the login role may use it.
    Whole,
    /// This table, or this function, is missing.
    Missing(String),
    /// The login role may not use it: the roles were made anew.
    Denied,
}

/// The catalogue is asked by name, which takes no right on what is looked for.
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
    /// What there is of the schema, in one round trip.
    ///
    /// # Errors
    /// The database does not answer; [`ConnectError::Unreachable`] says why.
    pub async fn schema_state(&self) -> Result<SchemaState, ConnectError> {
        self.ping().await?;
        let client = self.connection().await.map_err(|_| Unreachable::silent())?;
        let names: Vec<&str> = TENANT_TABLES.to_vec();
        let row = client.query_one(CHECK, &[&names]).await.map_err(|error| Unreachable::from(&error))?;
        let read = || {
            let (missing, usable): (Option<String>, bool) = (column(&row, 0)?, column(&row, 1)?);
            Ok::<_, memory_bank_core::error::StoreError>(match missing {
                Some(name) => SchemaState::Missing(name),
                None if usable => SchemaState::Whole,
                None => SchemaState::Denied,
            })
        };
        Ok(read().map_err(|_| Unreachable::silent())?)
    }
}
