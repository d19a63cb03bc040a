//! Why the database cannot be used as configured. Shows no password.

use crate::unreachable::Unreachable;

/// The database cannot be used as configured. Shows no password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The connection string cannot be parsed.
    #[error("the connection string cannot be used: {0}")]
    Malformed(String),
    /// The trusted certificates cannot be read.
    #[error("the certificates to trust cannot be read: {0}")]
    Certificates(String),
    /// The connection string of a standby cannot be used.
    #[error("{0}")]
    Standby(Box<ConnectError>),
    /// The database did not answer, or refused; may be temporary.
    #[error("the database cannot be reached: {0}")]
    Unreachable(Unreachable),
    /// A pooler that gives each transaction another session.
    #[error(
        "{evidence}, so this is a transaction pooler: between two transactions it forgets the settings of a session; \
        take the session pooler (Supabase: port 5432 of the pooler, without `pgbouncer=true`; PgBouncer: \
        `pool_mode = session`), connect to the database itself, or set `DB_POOLER=transaction`"
    )]
    TransactionPooler {
        /// The evidence.
        evidence: String,
    },
}

impl ConnectError {
    pub(crate) fn transaction_pooler(evidence: &str) -> Self {
        Self::TransactionPooler { evidence: evidence.to_owned() }
    }
}

impl From<Unreachable> for ConnectError {
    fn from(unreachable: Unreachable) -> Self {
        Self::Unreachable(unreachable)
    }
}
