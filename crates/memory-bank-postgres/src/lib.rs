//! The stores on PostgreSQL: documents, graph, state, backups, sessions, events, keys and their administration.
//!
//! Architecture invariant: what belongs to a tenant is reached through [`tenant`] alone, which opens a transaction in
//! the tenant's name as a role that row-level security binds. What serves many tenants at once is a function of schema
//! `app` that does one thing. Nothing here knows HTTP or MCP, and no rule of documents or graph is decided here.

mod administration;
mod audit;
mod backups;
mod bank;
mod column;
mod connect;
mod diagnosis;
mod documents;
mod edit_groups;
mod error;
mod event_partitions;
mod events;
mod graph;
mod isolation;
mod keys;
mod migrate;
mod pooler;
mod quota;
mod readers;
mod schema_check;
mod search;
mod server_login;
mod sessions;
mod state;
mod supabase;
mod tenant;
mod text_index;
mod transfer;
mod unreachable;
mod workspace;

pub use audit::{AuditEntry, OperatorAction};
pub use bank::PostgresBank;
pub use connect::{ConnectError, Database, DatabaseOptions, PoolUse, Surroundings, TrustOptions};
pub use diagnosis::{Diagnosis, Kept};
pub use isolation::{IsolationError, TENANT_TABLES};
pub use migrate::{MIGRATIONS, MigrateError, Migration};
pub use pooler::Pooling;
pub use quota::{ProjectBytes, StoredBytes};
pub use schema_check::SchemaState;
pub use search::{IndexUse, SearchOptions, StoredVectors};
pub use server_login::{LoginOutcome, ServerLogin};
pub use transfer::{Export, Import, Imported, TransferError};
pub use unreachable::{Cause, Unreachable};
pub use workspace::PostgresWorkspace;
