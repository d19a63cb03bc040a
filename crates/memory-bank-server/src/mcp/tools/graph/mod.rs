//! Tools on the knowledge graph, one file for each group of them.

pub(crate) mod delete;
pub(crate) mod link;
pub(crate) mod maintain;
pub(crate) mod open;
pub(crate) mod pointers;
pub(crate) mod record;
pub(crate) mod reference;
pub(crate) mod search;
