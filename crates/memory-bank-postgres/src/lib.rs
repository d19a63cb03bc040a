//! The stores on PostgreSQL: documents, graph, state, backups, sessions, events, keys and their administration.
//!
//! Architecture invariant: tenant rows are reached through [`tenant`] only, which opens a transaction as the tenant,
//! with a role that row-level security binds. Statements that serve many tenants at once are functions of schema
//! `app`, each with one purpose. This crate must not know HTTP or MCP, and decides no rule of documents or graph.

mod account_changes;
mod administration;
mod audit;
mod backups;
mod bank;
mod call_log;
mod column;
mod connect_error;
mod connection_guard;
mod connection_string;
mod connector;
mod database;
mod diagnosis;
mod documents;
mod edit_groups;
mod error;
mod event_partitions;
mod events;
mod graph;
mod history;
mod history_sources;
mod identities;
mod index_cache;
mod isolation;
mod keys;
mod migrate;
mod oauth;
mod pool;
mod pooler;
mod project_administration;
mod quota;
mod read_pool;
mod revocations;
mod schema_check;
mod search;
mod server_login;
mod sessions;
mod slugs;
mod state;
mod statements;
mod supabase;
mod target;
mod tenant;
mod text_index;
mod tls;
mod transfer;
mod unreachable;
mod vector_maker;
mod workspace;

pub use account_changes::Invited;
pub use audit::OperatorAction;
pub use bank::PostgresBank;
pub use connect_error::ConnectError;
pub use connection_string::ConnectionString;
pub use database::{Database, DatabaseOptions, Deps};
pub use diagnosis::{Diagnosis, ReplayStorage};
pub use index_cache::SearchOptions;
pub use isolation::{IsolationError, SERVER_TABLES, TENANT_TABLES};
pub use migrate::{MIGRATIONS, MigrateError, Migration, script_text};
pub use pool::PoolUse;
pub use pooler::Pooling;
pub use quota::{ProjectBytes, StoredBytes};
pub use schema_check::SchemaState;
pub use search::StoredVectors;
pub use server_login::{LoginOutcome, ServerLogin};
pub use statements::PoolerMode;
pub use tls::{CertificateCheck, TrustOptions};
pub use transfer::{Export, Import, Imported, TransferError};
pub use unreachable::{Cause, Unreachable};
pub use workspace::PostgresWorkspace;
