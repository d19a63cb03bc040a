//! The login role of servers: creates it, sets its password, and grants it the role that may serve. This module must
//! not know where the password is stored.

use memory_bank_core::error::StoreError;
use postgres_protocol::password::scram_sha_256;

use crate::connect_error::ConnectError;
use crate::connection_string::ConnectionString;
use crate::database::Database;
use crate::error::describe;
use crate::migrate::MigrateError;

/// Concurrent migrations set the role one after the other. An arbitrary lock number.
const LOCK: i64 = 0x6d62_6d63_705f_6d32;

/// The login in a server's connection string.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerLogin {
    /// The role.
    pub role: String,
    /// Its password, if the string has one.
    pub password: Option<String>,
}

impl std::fmt::Debug for ServerLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerLogin").field("role", &self.role).finish_non_exhaustive()
    }
}

/// The result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginOutcome {
    /// The role was created.
    Created,
    /// The role existed; its password was set.
    Updated,
    /// The role was not changed: it is the caller itself, a superuser, or a role that may bypass policies or create
    /// roles.
    LeftAlone,
}

impl ServerLogin {
    /// Reads role and password of a connection string.
    ///
    /// # Errors
    /// The string cannot be parsed, or names no role.
    pub fn of(url: &str) -> Result<Self, ConnectError> {
        let string = ConnectionString::parse(url)?;
        let role =
            string.get("user").ok_or_else(|| ConnectError::Malformed("it names no user".to_owned()))?;
        Ok(Self { role: role.to_owned(), password: string.get("password").map(str::to_owned) })
    }
}

impl Database {
    /// Creates the login role of servers, or sets its password. It may serve, and nothing else.
    ///
    /// # Errors
    /// A query fails, or this login role may not create roles.
    pub async fn set_server_login(&self, role: &str, password: &str) -> Result<LoginOutcome, MigrateError> {
        // The connection is closed afterwards, which releases the lock in any case.
        let client = self.session().await?;
        let failed = |error: tokio_postgres::Error| StoreError::Unavailable(describe(&error));
        client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await.map_err(failed)?;
        let found = client
            .query_opt(
                "SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolname IN (current_user, session_user) \
                 FROM pg_roles WHERE rolname = $1",
                &[&role],
            )
            .await
            .map_err(failed)?;
        let (verb, outcome) = match found {
            Some(row) if row.try_get::<_, bool>(0).map_err(failed)? => return Ok(LoginOutcome::LeftAlone),
            Some(_) => ("ALTER ROLE %1$I LOGIN", LoginOutcome::Updated),
            None => (
                "CREATE ROLE %1$I LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE",
                LoginOutcome::Created,
            ),
        };
        // Send only the verifier, so that no log of statements contains the password.
        let verifier = scram_sha_256(password.as_bytes());
        let format = format!("{verb} PASSWORD %2$L; GRANT app_server TO %1$I");
        let statements = client
            .query_one("SELECT format($1::text, $2::text, $3::text)", &[&format, &role, &verifier])
            .await
            .and_then(|row| row.try_get::<_, String>(0))
            .map_err(failed)?;
        client.batch_execute(&statements).await.map_err(failed)?;
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_and_password_are_read_from_a_connection_string_that_never_shows_them() {
        let login = ServerLogin::of("postgresql://mbmcp_server:a%40%2Fb@postgres:5432/d").unwrap();
        assert_eq!((login.role.as_str(), login.password.as_deref()), ("mbmcp_server", Some("a@/b")));
        assert!(!format!("{login:?}").contains("a@/b"));
        let login = ServerLogin::of("postgresql://mbmcp_server@postgres:5432").unwrap();
        assert_eq!(login.password, None);
        let login = ServerLogin::of("host=postgres user=mbmcp_server password='a b?#@/'").unwrap();
        assert_eq!((login.role.as_str(), login.password.as_deref()), ("mbmcp_server", Some("a b?#@/")));
        let error = ServerLogin::of("postgresql://postgres:5432/d").unwrap_err();
        assert!(error.to_string().contains("names no user"), "{error}");
    }
}
