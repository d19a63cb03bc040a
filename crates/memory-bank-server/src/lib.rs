//! The MCP face of `memory-bank-mcp`: tools, resources, prompts and the transports that carry them.
//!
//! Architecture invariant: nothing here reads a file or speaks SQL. Rules are [`memory_bank_core`]'s, data comes
//! through its store traits.

pub mod http;
pub mod hub;
pub mod mcp;
mod outcome;
pub mod services;
pub mod telemetry;
