//! The stores on a real PostgreSQL, reached as a login role that is neither superuser nor BYPASSRLS.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may, as tests do"
)]

mod account_changes;
mod audit;
mod call_log;
mod connection_loss;
mod contract;
mod earlier_schema;
mod edit_groups;
mod foreign_keys;
mod fts;
mod fts_filler;
mod graph_history_transfer;
mod history;
mod history_claims;
mod history_cleanup;
mod history_transfer;
mod identities;
mod index_builds;
mod isolation;
mod key_proof;
mod key_rows;
mod keys;
mod large_restore;
mod libpq;
mod migration_scripts;
mod migrations;
mod outside_transfer;
mod partitions;
mod project_administration;
mod quota;
mod ranking;
mod read_pool;
mod round_trips;
mod row_level_security;
mod search;
mod search_scale;
mod sessions;
mod sharding;
mod similar_names;
mod standbys;
mod supabase;
mod support;
mod tls;
mod transaction_pooler;
mod vectors;
