//! The Model Context Protocol: one handler for every transport.

pub(crate) mod apps;
pub(crate) mod call_params;
mod completions;
pub(crate) mod errors;
mod frame;
pub(crate) mod handler;
mod in_process_call;
mod instructions;
pub(crate) mod message;
mod observed_handler;
mod panics;
mod prompts;
pub(crate) mod reading;
pub(crate) mod repeated_members;
pub(crate) mod request_bounds;
pub(crate) mod resources;
pub(crate) mod rights;
pub mod stdio;
pub(crate) mod subscriptions;
pub(crate) mod surrogates;
mod tool_options;
mod tools;

pub use handler::MemoryBankHandler;
pub use in_process_call::InProcessCallError;
pub(crate) use observed_handler::{ObservedHandler, Observer};
pub use surrogates::replace_lone_surrogates;
pub use tool_options::{ToolOptions, Toolset, UnknownToolset};
