//! A database that is reached with TLS alone.

use memory_bank_test_postgres::TLS_ONLY;

use crate::support::{Bench, read, write};

#[tokio::test]
async fn a_database_behind_tls_is_served_and_its_certificate_is_checked_where_that_is_asked_for() {
    let bench = Bench::new().await;
    let caller = bench.tenant("alice", "demo").await;
    let plain = bench.test.url_of(TLS_ONLY);
    let with = |options: String| bench.open(&plain.replace("sslmode=disable", &options), 2);
    let refused = with("sslmode=disable".to_owned()).ping().await.unwrap_err().to_string();
    assert!(refused.contains("pg_hba.conf"), "{refused}");
    let authority = bench.test.authority().display().to_string();
    for options in
        [String::new(), "sslmode=require".to_owned(), format!("sslmode=verify-full&sslrootcert={authority}")]
    {
        let database = with(options.clone());
        database.ping().await.unwrap_or_else(|error| panic!("{options}: {error}"));
        database.prove_isolation().await.unwrap();
        let bank = memory_bank_postgres::PostgresBank::new(database, "demo".to_owned());
        write(&bank, &caller, "a.md", &format!("over {options}")).await.unwrap();
        assert_eq!(read(&bank, &caller, "a.md").await, Some(format!("over {options}")));
    }
    // No authority of the system knows this server.
    let unknown = with("sslmode=verify-full".to_owned()).ping().await.unwrap_err().to_string();
    assert!(unknown.contains("certificate") || unknown.contains("UnknownIssuer"), "{unknown}");
}
