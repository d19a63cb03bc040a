//! The contract of the stores on PostgreSQL, with a login role that is neither superuser nor BYPASSRLS.

use std::sync::Arc;

use memory_bank_contract_tests::{Project, Told};
use memory_bank_postgres::{PostgresBank, PostgresWorkspace};

pub(crate) async fn fresh() -> Project {
    let told = Arc::new(Told::default());
    let bench = crate::support::Bench::told(told.clone()).await;
    let tenant = bench.tenant("alice", "demo").await;
    let (first, second) = (bench.database.clone(), bench.another());
    Project {
        caller: tenant,
        workspace: Arc::new(PostgresWorkspace::new(first.clone())),
        bank: Arc::new(PostgresBank::new(first.clone(), "demo".to_owned())),
        other: Arc::new(PostgresBank::new(second, "demo".to_owned())),
        state: Arc::new(first),
        told,
        keep: Box::new(bench),
    }
}

memory_bank_contract_tests::contract_tests!(crate::contract::fresh);
