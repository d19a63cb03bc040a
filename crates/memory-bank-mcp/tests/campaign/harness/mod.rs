//! Shared by the campaigns: seeded random numbers, clients over HTTP and stdio, servers that can be killed.

pub(crate) mod operator;
pub(crate) mod random;
pub(crate) mod redis;
pub(crate) mod replica;
pub(crate) mod stdio;
pub(crate) mod tool_call;
pub(crate) mod wire;

/// A number from the environment, as `scripts/campaign` sets it.
pub(crate) fn number(variable: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return otherwise };
    text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}"))
}
