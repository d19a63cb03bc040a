//! The settings of a transaction that copies a whole project.

/// Time-outs that are longer than a client's call: such a transaction has more to do, and a transfer waits for files meanwhile. And no
/// plan that reads the rows of all projects: one for the average project would do that for a small one.
pub(crate) const COPY_SETTINGS: &str = "SELECT set_config('statement_timeout', '300s', true), \
    set_config('idle_in_transaction_session_timeout', '300s', true), set_config('enable_seqscan', 'off', true)";
