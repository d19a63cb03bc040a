//! Maps database errors to store errors. The text is for the log; clients never see it.

use memory_bank_core::error::StoreError;
use tokio_postgres::error::SqlState;

/// The error of `app.current_access` for a key that was revoked, has expired, or does not open the project.
const KEY_VOID: &str = "MB401";

/// Classifies a failed statement.
pub(crate) fn store_error(error: &tokio_postgres::Error) -> StoreError {
    match error.code() {
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE && refuses_the_caller(error) => {
            StoreError::Denied
        }
        Some(code) if code.code() == KEY_VOID => StoreError::KeyInvalid,
        Some(code) if is_passing(code) => StoreError::Busy,
        _ if is_unreachable(error) => StoreError::Unreachable(describe(error)),
        _ => StoreError::Unavailable(describe(error)),
    }
}

/// Whether a function of schema `app` or a policy refused the caller. Otherwise the database refused the server: its login
/// role is not a member of `app_server`, or lost a right.
fn refuses_the_caller(error: &tokio_postgres::Error) -> bool {
    let routine = error.as_db_error().and_then(|db| db.routine());
    matches!(routine, Some("exec_stmt_raise" | "ExecWithCheckOptions"))
}

/// Whether the database closed the connection, admits nobody at the moment, or has become a read-only standby: the same
/// request may succeed later.
fn is_unreachable(error: &tokio_postgres::Error) -> bool {
    let broken = || std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>());
    match error.code() {
        None => error.is_closed() || broken(),
        Some(code) => {
            // 08: the connection; 53: memory, disk and connections; 57P: shutdown, crash and start.
            ["08", "53", "57P"].iter().any(|class| code.code().starts_with(class))
                || *code == SqlState::READ_ONLY_SQL_TRANSACTION
        }
    }
}

/// Whether the same transaction may succeed when it is tried again: another one used the same rows.
pub(crate) fn is_conflict(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| {
        [
            SqlState::UNIQUE_VIOLATION,
            SqlState::FOREIGN_KEY_VIOLATION,
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ]
        .contains(code)
    })
}

/// Whether the database ended a transaction because it and another one waited for each other.
pub(crate) fn is_deadlock(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED)
}

/// Whether an error concerns the request only, and not the connection: a void key, or a cancelled wait.
pub(crate) fn is_caller_error(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code() == KEY_VOID || is_passing(code))
}

/// Whether a statement failed since others held what it needed: the same request may succeed later.
fn is_passing(code: &SqlState) -> bool {
    [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ]
    .contains(code)
}

/// Whether the connection is unusable after this error: it is closed, or its prepared statements are invalid
/// (`DISCARD ALL`, or an altered table).
pub(crate) fn breaks_connection(error: &tokio_postgres::Error) -> bool {
    error.is_closed()
        || error.code().is_some_and(|code| {
            [
                SqlState::INVALID_SQL_STATEMENT_NAME,
                SqlState::DUPLICATE_PSTATEMENT,
                SqlState::PROTOCOL_VIOLATION,
                SqlState::FEATURE_NOT_SUPPORTED,
            ]
            .contains(code)
        })
}

/// Whether the connection was closed during the statement.
pub(crate) fn is_connection_closed(error: &tokio_postgres::Error) -> bool {
    error.is_closed()
        || error.code().is_some_and(|code| {
            [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::IDLE_SESSION_TIMEOUT]
                .contains(code)
        })
}

/// The server's message with its code, or the transport's. Without the detail line, which may repeat stored values.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(error);
            while let Some(cause) = source {
                text.push_str(": ");
                text.push_str(&cause.to_string());
                source = cause.source();
            }
            text
        }
    }
}
