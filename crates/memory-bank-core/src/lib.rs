//! The domain of `memory-bank-mcp`: documents, the knowledge graph, search, and the traits that a store implements.
//!
//! Architecture invariant: nothing here reads a file, opens a socket, reads the system clock or knows SQL, HTTP or
//! MCP. Rules are pure functions; callers provide the documents, the clock and the random source.

pub mod caller;
pub mod clock;
pub mod compact_sort;
pub mod document;
pub mod error;
pub mod graph;
pub mod history;
pub mod hooks;
pub mod identity;
pub mod import;
pub mod limiter;
pub mod limits;
pub mod maintenance;
pub mod mode;
pub mod search;
pub mod secrets;
pub mod store;
pub mod thinking;
pub mod transfer;
pub mod unicode;
mod words;
