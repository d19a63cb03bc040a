//! The time-outs of a transaction that transfers a project.

/// Longer than a client's call: a transfer has more to do, and waits for files meanwhile.
pub(super) const LONG_TIMEOUTS: &str = "SELECT set_config('statement_timeout', '300s', true), \
    set_config('idle_in_transaction_session_timeout', '300s', true)";
