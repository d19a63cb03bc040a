//! A database that is reached with TLS alone.

use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use memory_bank_postgres::{ConnectError, Database, DatabaseOptions, TrustOptions};
use memory_bank_test_postgres::TLS_ONLY;

use crate::support::{Bench, read, write};

#[tokio::test]
async fn a_tls_database_is_served_and_its_certificate_verified_on_request() {
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

/// Reaches the test server under another name, with or without the authority of the tests instead of Supabase's.
async fn reached(bench: &Bench, url: &str, of_supabase: bool, swapped: bool) -> Result<(), ConnectError> {
    let trust = TrustOptions { verify: of_supabase, root_certificate: None };
    let options =
        DatabaseOptions { url: url.to_owned(), max_connections: 2, trust, ..DatabaseOptions::default() };
    let root = std::fs::read_to_string(bench.test.authority()).unwrap();
    let database = if swapped {
        Database::with_supabase_root(&options, bench.deps(), &root)?
    } else {
        Database::new(&options, bench.deps())?
    };
    database.ping().await
}

#[tokio::test]
async fn the_supabase_authority_is_trusted_only_for_supabase_hosts() {
    let bench = Bench::new().await;
    let (port, name) = (bench.test.port(), bench.test.name());
    let url = |host: &str, more: &str| {
        format!("postgres://{TLS_ONLY}@{host}:{port}/{name}?hostaddr=127.0.0.1{more}")
    };
    for host in ["db.test.supabase.co", "aws-0-test.pooler.supabase.com", "DB.test.SUPABASE.co"] {
        for more in ["", "&sslmode=prefer", "&sslmode=require", "&sslmode=allow", "&sslmode=verify-full"] {
            for of_supabase in [true, false] {
                let known = reached(&bench, &url(host, more), of_supabase, true).await;
                assert!(known.is_ok(), "{host}{more}: {known:?}");
                // The real root did not sign the certificate of this server.
                let foreign = reached(&bench, &url(host, more), of_supabase, false).await;
                let message = foreign.unwrap_err().to_string();
                assert!(message.contains("certificate"), "{host}{more}: {message}");
            }
        }
        let off = reached(&bench, &url(host, "&sslmode=disable"), true, true).await.unwrap_err().to_string();
        assert!(off.contains("pg_hba.conf"), "{off}");
    }
    // The certificate holds these names, and the authority is the one that is trusted for Supabase's.
    for host in ["evilsupabase.co", "db.supabase.co.example.com", "localhost", "127.0.0.1"] {
        for more in ["", "&sslmode=verify-full"] {
            let message = reached(&bench, &url(host, more), true, true).await.unwrap_err().to_string();
            assert!(
                message.contains("certificate") || message.contains("there are none"),
                "{host}{more}: {message}"
            );
        }
    }
    // One host at Supabase is enough for all of them to be checked.
    let several = url("127.0.0.1", "").replace("@127.0.0.1:", "@127.0.0.1:1,db.test.supabase.co:");
    let several = several.replace("hostaddr=127.0.0.1", "hostaddr=127.0.0.1,127.0.0.1");
    assert!(reached(&bench, &several, false, true).await.is_ok());
    assert!(reached(&bench, &several, false, false).await.is_err());
    // A name of Supabase's that the certificate does not hold.
    let message = reached(&bench, &url("other.supabase.co", ""), true, true).await.unwrap_err().to_string();
    assert!(message.contains("certificate"), "{message}");
}

#[tokio::test]
async fn the_supabase_port_in_the_deployment_guide_connects_to_the_session_pooler() {
    let bench = Bench::new().await;
    let id = std::process::id();
    let address = format!("127.{}.{}.77", 64 + id % 64, id / 64 % 250);
    let listener = TcpListener::bind((address.as_str(), 5432)).unwrap();
    let target = bench.test.port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", target)).unwrap();
            for (mut from, mut to) in [
                (client.try_clone().unwrap(), server.try_clone().unwrap()),
                (server.try_clone().unwrap(), client.try_clone().unwrap()),
            ] {
                thread::spawn(move || {
                    let _ended = copy(&mut from, &mut to);
                    let _closed = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    let name = bench.test.name();
    let url = format!(
        "postgresql://{TLS_ONLY}:pass%40word@aws-0-test.pooler.supabase.com:6543/{name}?hostaddr={address}"
    );
    reached(&bench, &url, true, true).await.unwrap();
    let message =
        reached(&bench, &format!("{url}&pgbouncer=true"), true, true).await.unwrap_err().to_string();
    assert!(message.contains("transaction pooler") && !message.contains("pass"), "{message}");
}
