//! Why a database cannot be reached, told apart so that an operator can be told what to do about it.

use std::fmt;
use std::io::ErrorKind;

use deadpool_postgres::{HookError, PoolError};
use tokio_postgres::error::SqlState;

use crate::connect::ConnectError;
use crate::error::describe;

/// What stood in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The host's name is unknown.
    UnknownHost,
    /// Nothing listens there.
    Refused,
    /// Nothing answers.
    Silent,
    /// The user or the password is wrong.
    Authentication,
    /// The user may not come in this way: from this address, or without TLS.
    NotAdmitted,
    /// The server takes TLS only, and it was not offered.
    TlsNeeded,
    /// The server does not offer TLS.
    TlsMissing,
    /// The server's certificate is not believed, or TLS failed in another way.
    Tls,
    /// There is no such database.
    NoDatabase,
    /// All connections are taken.
    TooManyConnections,
    /// It starts, stops or recovers.
    Starting,
    /// The pooler knows no such project.
    UnknownTenant,
    /// Something else; the text says what.
    Other,
}

/// A database that cannot be reached: what stood in the way, and the words for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// What stood in the way.
    pub cause: Cause,
    text: String,
}

impl Unreachable {
    /// What connected, and then says nothing.
    pub(crate) fn silent() -> Self {
        Self { cause: Cause::Silent, text: "it does not answer".to_owned() }
    }

    /// Whether waiting may help. It does not make a certificate good that is not trusted.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        !(self.cause == Cause::Tls && self.text.contains("invalid peer certificate"))
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<&tokio_postgres::Error> for Unreachable {
    fn from(error: &tokio_postgres::Error) -> Self {
        let text = describe(error);
        Self { cause: cause(error, &text.to_ascii_lowercase()), text }
    }
}

impl From<&PoolError> for Unreachable {
    fn from(error: &PoolError) -> Self {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => error.into(),
            PoolError::Timeout(_) => Self { cause: Cause::Silent, text: error.to_string() },
            other => Self { cause: Cause::Other, text: other.to_string() },
        }
    }
}

impl From<Unreachable> for ConnectError {
    fn from(unreachable: Unreachable) -> Self {
        Self::Unreachable(unreachable)
    }
}

fn cause(error: &tokio_postgres::Error, text: &str) -> Cause {
    // What a pooler says, which has codes of its own.
    if text.contains("tenant or user not found") {
        return Cause::UnknownTenant;
    }
    if let Some(code) = error.code() {
        return cause_of_code(code, text);
    }
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            match io.kind() {
                ErrorKind::ConnectionRefused => return Cause::Refused,
                ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                    return Cause::Silent;
                }
                // A socket in the file system that is not there.
                ErrorKind::NotFound => return Cause::Refused,
                _ => {}
            }
        }
        source = inner.source();
    }
    if text.contains("lookup address") || text.contains("name or service not known") {
        Cause::UnknownHost
    } else if text.contains("does not support tls") {
        Cause::TlsMissing
    } else if text.contains("tls") || text.contains("certificate") {
        Cause::Tls
    } else if text.contains("timed out") || text.contains("timeout") {
        Cause::Silent
    } else if text.contains("password") || text.contains("authentication") {
        Cause::Authentication
    } else {
        Cause::Other
    }
}

fn cause_of_code(code: &SqlState, text: &str) -> Cause {
    match *code {
        _ if text.contains("no encryption") || text.contains("ssl off") => Cause::TlsNeeded,
        _ if text.contains("pg_hba.conf") => Cause::NotAdmitted,
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Cause::Authentication,
        SqlState::INVALID_CATALOG_NAME => Cause::NoDatabase,
        SqlState::TOO_MANY_CONNECTIONS => Cause::TooManyConnections,
        SqlState::CANNOT_CONNECT_NOW | SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN => Cause::Starting,
        SqlState::INSUFFICIENT_PRIVILEGE => Cause::NotAdmitted,
        _ if text.contains("no such database") => Cause::NoDatabase,
        _ if text.contains("password") || text.contains("auth") || text.contains("no such user") => {
            Cause::Authentication
        }
        _ => Cause::Other,
    }
}
