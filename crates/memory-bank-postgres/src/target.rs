//! The hosts and the TLS policy that a connection string and the settings select. This module must not know how a
//! connection is made.

use crate::connect_error::ConnectError;
use crate::connection_string::{ConnectionString, Endpoint};
use crate::statements::PoolerMode;
use crate::supabase;
use crate::tls::{TlsPolicy, TrustOptions};

/// Where and how to connect.
pub(crate) struct Target {
    pub(crate) config: tokio_postgres::Config,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) policy: TlsPolicy,
}

impl Target {
    /// Reads a connection string.
    ///
    /// # Errors
    /// It cannot be parsed, or names a transaction pooler.
    pub(crate) fn read(url: &str, trust: &TrustOptions, mode: PoolerMode) -> Result<Self, ConnectError> {
        let mut string = ConnectionString::parse(url)?;
        let names_pooler = names_transaction_pooler(&mut string);
        let mut endpoints = string.take_endpoints()?;
        if mode == PoolerMode::Session {
            if names_pooler {
                return Err(ConnectError::transaction_pooler("the connection string says `pgbouncer=true`"));
            }
            for host in supabase::take_session_pooler(&mut endpoints) {
                tracing::warn!(
                    host,
                    "port 6543 is Supabase's transaction pooler: port 5432 of the same host is used instead"
                );
            }
        }
        follow_the_primary(&mut string, endpoints.len())?;
        Self::of(string, endpoints, trust)
    }

    /// Reads the connection string of a standby.
    ///
    /// # Errors
    /// It cannot be parsed, or asks for a primary.
    pub(crate) fn read_standby(url: &str, trust: &TrustOptions) -> Result<Self, ConnectError> {
        let mut string = ConnectionString::parse(url)?;
        if names_transaction_pooler(&mut string) {
            return Err(ConnectError::transaction_pooler("the connection string says `pgbouncer=true`"));
        }
        let endpoints = string.take_endpoints()?;
        // Each connection is asked for what it leads to before a read counts (`standbys`).
        let wanted = string.take("target_session_attrs");
        if !matches!(wanted.as_deref(), None | Some("any" | "read-only" | "standby" | "prefer-standby")) {
            return Err(ConnectError::Malformed(
                "it is of a standby: `target_session_attrs` is `standby`, `prefer-standby`, `read-only` or `any` here".to_owned(),
            ));
        }
        Self::of(string, endpoints, trust)
    }

    fn of(
        mut string: ConnectionString,
        endpoints: Vec<Endpoint>,
        trust: &TrustOptions,
    ) -> Result<Self, ConnectError> {
        let is_supabase = endpoints.iter().any(|endpoint| supabase::is_supabase(&endpoint.host));
        let policy = TlsPolicy::take(&mut string, trust, is_supabase)?;
        Ok(Self { config: string.into_config()?, endpoints, policy })
    }
}

/// Of several hosts the server takes the one that may be written to, unless the connection string says `any`; a standby alone
/// serves nobody.
fn follow_the_primary(string: &mut ConnectionString, hosts: usize) -> Result<(), ConnectError> {
    let wanted = string.take("target_session_attrs");
    let value = match wanted.as_deref() {
        Some("read-write" | "primary") => "read-write",
        None if hosts > 1 => "read-write",
        None | Some("any") => return Ok(()),
        Some(_) => {
            return Err(ConnectError::Malformed(
                "`target_session_attrs` is `read-write`, `primary` or `any` here: a standby alone serves nobody".to_owned(),
            ));
        }
    };
    string.set("target_session_attrs", value.to_owned());
    Ok(())
}

/// Whether a connection string says `pgbouncer=true`; removes the parameter.
fn names_transaction_pooler(string: &mut ConnectionString) -> bool {
    string
        .take("pgbouncer")
        .is_some_and(|value| ["true", "1", "yes", "on"].contains(&value.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_about_the_connection_string_never_show_the_password() {
        for url in ["postgres://u:secret@h:port/d", "postgres://u:secret@h/d?sslmode=maybe", "secret"] {
            let Err(error) = Target::read(url, &TrustOptions::default(), PoolerMode::Session) else {
                panic!("{url}")
            };
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn of_several_hosts_the_primary_is_taken_and_a_standby_is_refused() {
        let attributes = |url: &str| {
            let mut string = ConnectionString::parse(url)?;
            let hosts = string.take_endpoints()?.len();
            follow_the_primary(&mut string, hosts)?;
            Ok::<_, ConnectError>(string.get("target_session_attrs").map(str::to_owned))
        };
        for (url, expected) in [
            ("postgres://u@one,two/d", Some("read-write")),
            ("postgres://u@one,two/d?target_session_attrs=primary", Some("read-write")),
            ("postgres://u@one/d?target_session_attrs=read-write", Some("read-write")),
            ("postgres://u@one,two/d?target_session_attrs=any", None),
            ("postgres://u@one/d", None),
        ] {
            assert_eq!(attributes(url).unwrap().as_deref(), expected, "{url}");
        }
        let error =
            attributes("postgres://u:secret@one,two/d?target_session_attrs=prefer-standby").unwrap_err();
        assert!(error.to_string().contains("read-write") && !error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn a_connection_string_that_names_a_transaction_pooler_is_refused_with_advice() {
        let read = |text: &str, mode| Target::read(text, &TrustOptions::default(), mode).map(|_| ());
        let refused = |text: &str| read(text, PoolerMode::Session);
        for text in ["postgres://u:secret@h:6543/d?pgbouncer=true", "host=h password=secret pgbouncer=1"] {
            let error = refused(text).unwrap_err().to_string();
            assert!(error.contains("session pooler") && !error.contains("secret"), "{error}");
            assert!(read(text, PoolerMode::Transaction).is_ok(), "{text}");
        }
        assert!(refused("postgres://u@h:6543/d?connect_timeout=3&pgbouncer=false").is_ok());
        // The guide: the session pooler may have either port.
        assert!(refused("postgres://u@aws-0-eu-west-1.pooler.supabase.com:6543/postgres").is_ok());
    }
}
