//! The contract of the stores on PostgreSQL, with a login role that is neither superuser nor BYPASSRLS.

use std::sync::Arc;

use memory_bank_contract_tests::{Project, RecordedChanges};
use memory_bank_postgres::{PostgresBank, PostgresWorkspace};

pub(crate) async fn fresh() -> Project {
    let changes = Arc::new(RecordedChanges::default());
    let bench = crate::support::Bench::with_sink(changes.clone()).await;
    let tenant = bench.tenant("alice", "demo").await;
    let colleague = bench.member("bob", "demo", memory_bank_core::caller::Role::Editor).await;
    let (first, second) = (bench.database.clone(), bench.another());
    Project {
        caller: tenant,
        colleague,
        workspace: Arc::new(PostgresWorkspace::new(first.clone())),
        bank: Arc::new(PostgresBank::new(first.clone(), "demo".to_owned())),
        other: Arc::new(PostgresBank::new(second, "demo".to_owned())),
        state: Arc::new(first),
        changes,
        keep: Box::new(bench),
    }
}

memory_bank_contract_tests::contract_tests!(crate::contract::fresh);
memory_bank_contract_tests::contract_tests!(@history crate::contract::fresh);
