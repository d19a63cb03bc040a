//! Shared by the campaigns: seeded random numbers, clients over HTTP and stdio, servers that can be killed.

pub(crate) mod operator;
pub(crate) mod random;
pub(crate) mod redis;
pub(crate) mod replica;
pub(crate) mod stdio;
pub(crate) mod tool_call;
pub(crate) mod wire;

/// Limits of requests a minute, of a key and of an address: no campaign reaches them, and each request is counted.
pub(crate) const LIMIT: &str = "1000000";

/// Says what a run leaves out, since something is missing on this machine. Continuous integration must not leave it out in silence.
pub(crate) fn leave_out(what: &str) {
    println!("This run leaves something out: {what}");
    let is_continuous = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(!is_continuous, "continuous integration leaves nothing out: {what}");
}

/// A number from the environment, as `scripts/campaign` sets it.
pub(crate) fn number(variable: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return otherwise };
    text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}"))
}
