//! Exports and imports whole projects for one of their members: each is one transaction under row-level security.
//!
//! An import holds its data in memory (`limits::TRANSFER_BYTES` for the bank and for each backup) and is all or nothing;
//! an export sees one snapshot. Data that rows cannot express goes to `app.files`; the core decides which.

pub(crate) mod copy_settings;
mod error;
mod graph_history;
mod history;
mod import;
mod imported_history;
mod read;
mod replace_graph;
mod write;

pub use error::TransferError;
pub use import::{Import, Imported};
pub use read::Export;
