//! A small pack of context for one question: digest, graph, excerpts of documents, within a hard limit.
//!
//! [`plan_pointers`] selects the documents to read, the caller reads them, [`pack`] assembles the pack. The limit
//! applies to the reply as JSON.

mod excerpt;
mod json_size;
mod packer;
mod plan;
mod reply;
#[cfg(test)]
mod tests;

pub use self::packer::pack;
pub use self::plan::plan_pointers;
pub use self::reply::{
    ContextPointer, Excerpt, Material, TargetedBounds, TargetedContext, whole_if_possible,
};
