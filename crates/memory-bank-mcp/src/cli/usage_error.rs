//! Errors of the command line itself.

/// The command line contradicts itself; the exit code is that of wrong arguments.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);
