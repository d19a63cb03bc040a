//! The MCP side of `memory-bank-mcp`: tools, resources, prompts and their transports.
//!
//! Architecture invariant: nothing here reads a file or uses SQL. Rules are in [`memory_bank_core`], data comes
//! through its store traits.

pub mod http;
pub mod hub;
pub mod mcp;
mod outcome;
mod past_turns;
pub mod reply_memory;
pub mod services;
pub mod telemetry;
