//! The stores on a real PostgreSQL, reached as a login role that is neither superuser nor BYPASSRLS.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may, as tests do"
)]

mod audit;
mod contract;
mod edit_groups;
mod faults;
mod fts;
mod index_builds;
mod intruder;
mod isolation;
mod keys;
mod large_restore;
mod libpq;
mod migrations;
mod partitions;
mod proof;
mod quota;
mod ranking;
mod readers;
mod round_trips;
mod scale;
mod scripts;
mod search;
mod sessions;
mod supabase;
mod support;
mod tls;
mod vectors;
