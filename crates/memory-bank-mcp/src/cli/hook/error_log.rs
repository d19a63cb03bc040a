//! Errors of a hook, which fail nothing: a line on standard error.

use crate::cli::output;

/// Prints an error, shortened.
pub(super) fn log_error(error: &str) {
    let short: String = error.chars().take(500).collect();
    // Standard error may be closed.
    let _ = output::print_stderr(&format!("memory-bank-mcp hook: {short}"));
}
