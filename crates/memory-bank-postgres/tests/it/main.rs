//! The stores on a real PostgreSQL, reached as a login role that is neither superuser nor BYPASSRLS.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may, as tests do")]

mod contract;
mod isolation;
mod keys;
mod migrations;
mod round_trips;
mod search;
mod sessions;
mod support;
