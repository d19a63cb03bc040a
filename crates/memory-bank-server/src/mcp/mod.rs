//! The Model Context Protocol: one handler for every transport.

mod completions;
mod handler;
mod instructions;
mod prompts;
mod resources;
pub mod stdio;
mod subscriptions;
mod tools;

pub use handler::MemoryBankHandler;
