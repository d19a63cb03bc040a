//! The Model Context Protocol: one handler for every transport.

mod completions;
mod frame;
mod handler;
mod instructions;
mod prompts;
pub(crate) mod resources;
pub(crate) mod rights;
pub mod stdio;
pub(crate) mod subscriptions;
pub(crate) mod surrogates;
pub(crate) mod tools;

pub use handler::MemoryBankHandler;
