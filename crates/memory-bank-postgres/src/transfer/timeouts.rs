//! The time-outs of a transaction that copies a whole project.

/// Longer than a client's call: such a transaction has more to do, and a transfer waits for files meanwhile.
pub(crate) const LONG_TIMEOUTS: &str = "SELECT set_config('statement_timeout', '300s', true), \
    set_config('idle_in_transaction_session_timeout', '300s', true)";
