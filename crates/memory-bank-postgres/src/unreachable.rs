//! Classifies why a database is unreachable, so that an operator gets the remedy.

use std::fmt;
use std::io::ErrorKind;

use deadpool_postgres::{HookError, PoolError};
use tokio_postgres::error::SqlState;

use crate::error::describe;

/// The cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The host's name is unknown.
    UnknownHost,
    /// Nothing listens on the port.
    Refused,
    /// Nothing answers.
    Silent,
    /// The user or the password is wrong.
    Authentication,
    /// The user may not connect this way: from this address, or without TLS.
    NotAdmitted,
    /// The server requires TLS, and it was not offered.
    TlsNeeded,
    /// The server does not offer TLS.
    TlsMissing,
    /// The server's certificate is not trusted, or TLS failed in another way.
    Tls,
    /// The database does not exist.
    NoDatabase,
    /// All connections are in use.
    TooManyConnections,
    /// The server starts, stops or recovers.
    Starting,
    /// The pooler does not know the project.
    UnknownTenant,
    /// Another cause; the text has it.
    Other,
}

/// An unreachable database: the cause, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// The cause.
    pub cause: Cause,
    text: String,
}

impl Unreachable {
    /// A server that accepts the connection and does not answer.
    pub(crate) fn no_answer() -> Self {
        Self { cause: Cause::Silent, text: "it does not answer".to_owned() }
    }

    /// Whether a retry may help. It does not help against an untrusted certificate.
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

fn cause(error: &tokio_postgres::Error, text: &str) -> Cause {
    // Messages of poolers, which have their own codes.
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
                // A missing Unix socket.
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
