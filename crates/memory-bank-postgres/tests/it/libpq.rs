//! `sslmode` against psql: a server of the test's own, with TLS and without, is reached by both, and both must end alike.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use memory_bank_core::clock::{SystemClock, SystemEntropy};
use memory_bank_core::store::NoSink;
use memory_bank_postgres::{CertificateCheck, Database, DatabaseOptions, Deps};
use memory_bank_test_postgres::DedicatedServer;

/// A chain with an authority in between, a foreign authority, and roles that come in one way only.
const CERTIFICATES: &str = r#"
    authority() { openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=$1" -keyout "$1.key" -out "$1.pem"; }
    authority root
    authority foreign
    printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n' >between.ext
    openssl req -newkey rsa:2048 -nodes -subj "/CN=between" -keyout between.key -out between.csr
    openssl x509 -req -in between.csr -CA root.pem -CAkey root.key -CAcreateserial -days 3650 -extfile between.ext -out between.pem
    openssl req -newkey rsa:2048 -nodes -subj "/CN=server" -keyout server.key -out server.csr
    printf 'subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:db.test.supabase.co\nbasicConstraints=CA:FALSE\n' >server.ext
    sign() { openssl x509 -req -in server.csr -CA between.pem -CAkey between.key -CAcreateserial -days "$1" -extfile server.ext -out "$2"; }
    sign 3650 leaf.pem
    sign -1 expired.pem
    cat leaf.pem between.pem >chain.pem
    cat expired.pem between.pem >expired-chain.pem
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=localhost" -addext "subjectAltName=IP:127.0.0.1" \
        -keyout own.key -out own.pem
    openssl req -new -key own.key -subj "/CN=localhost" -out own.csr
    printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:TRUE\n' >own.ext
    openssl x509 -req -in own.csr -signkey own.key -days -1 -extfile own.ext -out own-expired.pem
    chmod 644 *.pem
    { echo "hostnossl all tls_only all reject"; echo "hostssl all plain_only all reject"; cat "$DATA/pg_hba.conf"; } >hba
    cat hba >"$DATA/pg_hba.conf"
"#;

fn with_certificate(certificate: &str, key: &str) -> String {
    format!(
        "cp {certificate}.pem \"$DATA/server.crt\"; cp {key}.key \"$DATA/server.key\"; chmod 600 \"$DATA/server.key\"; \
         sed -i '/^ssl = /d' \"$DATA/postgresql.conf\"; echo 'ssl = on' >>\"$DATA/postgresql.conf\""
    )
}

struct Servers {
    server: DedicatedServer,
}

impl Servers {
    fn start() -> Self {
        let server = DedicatedServer::start();
        server.query("CREATE ROLE tls_only LOGIN; CREATE ROLE plain_only LOGIN; CREATE ROLE either LOGIN");
        server.rearrange(CERTIFICATES);
        server.rearrange(&with_certificate("chain", "server"));
        Self { server }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.server.home().join(name)
    }

    fn string(&self, host: &str, role: &str, more: &str) -> String {
        format!("host={host} hostaddr=127.0.0.1 port={} user={role} dbname=bank {more}", self.server.port())
    }

    /// How psql gets in: `tls`, `plain`, or not at all.
    fn by_psql(&self, string: &str) -> &'static str {
        let query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let mut command = Command::new("psql");
        // It must not find authorities of the user who runs the test.
        command.env("HOME", self.server.home()).env_remove("PGSSLROOTCERT").env_remove("PGSSLMODE");
        let output = command.args(["-X", "-A", "-t", "-c", query, "-d", string]).output().unwrap();
        match String::from_utf8_lossy(&output.stdout).trim() {
            "t" => "tls",
            "f" => "plain",
            _ => "refused",
        }
    }

    async fn by_us(&self, string: &str) -> &'static str {
        match open(string, None) {
            Ok(database) => match database.diagnose().await {
                Ok(diagnosis) if diagnosis.encrypted => "tls",
                Ok(_) => "plain",
                Err(_) => "refused",
            },
            Err(_) => "refused",
        }
    }

    async fn compare(&self, phase: &str, ways: &[(&str, &str)]) {
        let roots = ["".to_owned(), named(&self.file("root.pem")), named(&self.file("foreign.pem"))];
        let mut different = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for mode in ["", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"] {
            for root in &roots {
                for (host, role) in ways {
                    let mode = if mode.is_empty() { String::new() } else { format!("sslmode={mode}") };
                    let string = self.string(host, role, &format!("{mode} {root}"));
                    let (theirs, ours) = (self.by_psql(&string), self.by_us(&string).await);
                    seen.insert(theirs);
                    if theirs != ours {
                        different.push(format!("{phase}: psql {theirs}, we {ours}: {string}"));
                    }
                }
            }
        }
        assert!(different.is_empty(), "{}", different.join("\n"));
        assert!(seen.len() >= 2, "{phase}: {seen:?}");
    }
}

fn named(file: &Path) -> String {
    format!("sslrootcert={}", file.display())
}

fn open(string: &str, supabase_root: Option<&str>) -> Result<Database, memory_bank_postgres::ConnectError> {
    let deps =
        Deps { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), sink: Arc::new(NoSink) };
    let options =
        DatabaseOptions { url: string.to_owned(), max_connections: 1, ..DatabaseOptions::default() };
    match supabase_root {
        None => Database::new(&options, deps),
        Some(root) => Database::with_supabase_root(&options, deps, root),
    }
}

async fn reached(string: &str, supabase_root: Option<&str>) -> Result<(), String> {
    let database = open(string, supabase_root).map_err(|error| error.to_string())?;
    database.ping().await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn sslmode_has_the_same_results_as_in_psql() {
    let servers = Servers::start();
    let ways = [
        ("127.0.0.1", "either"),
        ("127.0.0.1", "tls_only"),
        ("127.0.0.1", "plain_only"),
        ("wrong.example.com", "either"),
    ];
    servers.compare("a chain with an authority in between", &ways).await;
    servers.server.rearrange(&with_certificate("expired-chain", "server"));
    servers.compare("an expired certificate", &ways[..1]).await;
    servers.server.rearrange("sed -i '/^ssl = /d' \"$DATA/postgresql.conf\"");
    servers.compare("no TLS", &ways[..2]).await;
    // One certificate that signs itself and calls itself an authority, as PostgreSQL's manual makes one.
    for (certificate, theirs) in [("own", "tls"), ("own-expired", "refused")] {
        servers.server.rearrange(&with_certificate(certificate, "own"));
        let root = named(&servers.file(&format!("{certificate}.pem")));
        for mode in ["require", "verify-ca", "verify-full"] {
            let string = servers.string("127.0.0.1", "either", &format!("sslmode={mode} {root}"));
            assert_eq!(servers.by_psql(&string), theirs, "{string}");
            assert_eq!(servers.by_us(&string).await, theirs, "{string}");
        }
    }
}

#[tokio::test]
async fn supabase_hosts_require_a_valid_certificate_chain_unless_disabled() {
    let servers = Servers::start();
    let root = std::fs::read_to_string(servers.file("root.pem")).unwrap();
    let host = "db.test.supabase.co";
    let modes = ["", "allow", "prefer", "require", "verify-ca", "verify-full"];
    let string = |mode: &str, more: &str| {
        let mode = if mode.is_empty() { String::new() } else { format!("sslmode={mode}") };
        servers.string(host, "either", &format!("{mode} {more}"))
    };
    for mode in modes {
        let database = open(&string(mode, ""), Some(&root)).unwrap();
        assert_eq!(database.certificate_check(), CertificateCheck::Full);
        assert!(database.diagnose().await.unwrap().encrypted, "{mode}");
        // Another name of Supabase's, which the certificate does not hold.
        let other = string(mode, "").replace(host, "other.supabase.co");
        let error = reached(&other, Some(&root)).await.unwrap_err();
        assert!(error.contains("certificate"), "{mode}: {error}");
    }
    let plain = open(&string("disable", ""), Some(&root)).unwrap();
    assert_eq!(plain.certificate_check(), CertificateCheck::Nothing);
    assert!(!plain.diagnose().await.unwrap().encrypted);
    servers.server.rearrange(&with_certificate("expired-chain", "server"));
    for mode in modes {
        let error = reached(&string(mode, ""), Some(&root)).await.unwrap_err();
        assert!(error.contains("expired") || error.contains("Expired"), "{mode}: {error}");
    }
    servers.server.rearrange("sed -i '/^ssl = /d' \"$DATA/postgresql.conf\"");
    for mode in modes {
        let error = reached(&string(mode, ""), Some(&root)).await.unwrap_err();
        assert!(error.contains("does not support TLS"), "{mode}: {error}");
    }
}

#[tokio::test]
async fn urls_with_hostaddr_several_hosts_and_unusual_passwords_work() {
    let servers = Servers::start();
    let port = servers.server.port();
    let root = named(&servers.file("root.pem"));
    let nothing = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    // Connects, and never answers.
    let silent = nothing.local_addr().unwrap().port();
    for more in
        ["", "sslmode=require", &format!("sslmode=verify-ca {root}"), &format!("sslmode=verify-full {root}")]
    {
        let string = format!("hostaddr=127.0.0.1 port={port} user=tls_only dbname=bank {more}");
        assert_eq!(reached(&string, None).await, Ok(()), "{string}");
    }
    for string in [
        format!("postgres://either:a?b#c@127.0.0.1:1,127.0.0.1:{port}/bank?sslmode=require"),
        format!("host=127.0.0.1,127.0.0.1 port={silent},{port} user=either password='a b\\'c' dbname=bank"),
        format!(
            "host=no.example.invalid,localhost hostaddr=127.0.0.1,127.0.0.1 port=1,{port} user=either dbname=bank"
        ),
        format!(
            "host={} port={port} user=either dbname=bank sslmode=require",
            servers.server.home().display()
        ),
    ] {
        assert_eq!(reached(&string, None).await, Ok(()), "{string}");
    }
    // A host that answers with a refusal is not skipped.
    let refused = format!("host=127.0.0.1,127.0.0.1 port={port} user=nobody_here dbname=bank");
    let error = reached(&refused, None).await.unwrap_err();
    assert!(error.contains("nobody_here"), "{error}");
}
