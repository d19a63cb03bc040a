//! Advice on errors of the database.

use memory_bank_core::error::StoreError;
use memory_bank_core::identity::AdminError;
use memory_bank_postgres::MigrateError;

/// Adds advice to an error of the database, which alone is hard to understand (a missing schema, a missing right).
pub(crate) fn with_advice(error: anyhow::Error) -> anyhow::Error {
    let is_of_database = error.is::<StoreError>()
        || matches!(error.downcast_ref::<AdminError>(), Some(AdminError::Store(_)))
        || matches!(error.downcast_ref::<MigrateError>(), Some(MigrateError::Store(_)));
    if is_of_database {
        error.context("the database could not do it; `memory-bank-mcp doctor` reports what to fix")
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_database_names_the_doctor() {
        let refused = || StoreError::Unavailable("schema \"app\" does not exist (3F000)".to_owned());
        let failures: [anyhow::Error; 3] =
            [refused().into(), AdminError::Store(refused()).into(), MigrateError::Store(refused()).into()];
        for failure in failures {
            let message = format!("{:#}", with_advice(failure));
            assert!(message.contains("memory-bank-mcp doctor") && message.contains("3F000"), "{message}");
        }
    }

    #[test]
    fn a_mistake_of_the_operator_is_reported_without_the_doctor() {
        let unknown = AdminError::NotFound { kind: "user", name: "zoe".to_owned() };
        assert_eq!(format!("{:#}", with_advice(unknown.into())), "there is no user `zoe`");
    }
}
