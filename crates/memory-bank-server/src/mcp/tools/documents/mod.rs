//! Tools on documents, one file for each group of them.

pub(crate) mod batch;
pub(crate) mod edit;
pub(crate) mod list;
mod part;
pub(crate) mod read;
pub(crate) mod search;
pub(crate) mod status;
pub(crate) mod write;
