//! Supabase by its host names: the authority that signs their certificates, and the port of the session pooler. This module
//! must not know how a connection is made.

use crate::connection_string::Endpoint;

/// The authority that signs the certificates of Supabase's databases and poolers, a PEM file.
pub(crate) const ROOT: &str = include_str!("../data/supabase-root-2021-ca.pem");

const DOMAINS: [&str; 2] = ["supabase.co", "supabase.com"];
const TRANSACTION_POOLER: u16 = 6543;
const SESSION_POOLER: u16 = 5432;

/// Whether the name belongs to a domain of Supabase.
pub(crate) fn is_supabase(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    DOMAINS.iter().any(|domain| {
        let below = host.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.'));
        below.is_some_and(|labels| labels.split('.').all(|label| !label.is_empty()))
    })
}

/// Replaces the port of Supabase's transaction pooler by that of its session pooler; returns the hosts that were changed.
pub(crate) fn take_session_pooler(endpoints: &mut [Endpoint]) -> Vec<String> {
    let mut moved = Vec::new();
    for endpoint in endpoints {
        if is_supabase(&endpoint.host) && endpoint.port == TRANSACTION_POOLER {
            endpoint.port = SESSION_POOLER;
            moved.push(endpoint.host.clone());
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use rustls::SupportedCipherSuite;
    use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;
    use crate::connection_string::ConnectionString;

    #[test]
    fn the_authority_is_supabase_s_root_of_2021_and_valid_to_2031_04_26() {
        let certificate = CertificateDer::from_pem_slice(ROOT.as_bytes()).unwrap();
        let SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256 else { panic!() };
        let hash = suite.common.hash_provider.hash(&certificate);
        let hash: Vec<String> = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(
            hash.join(":"),
            "80:70:25:AD:50:D4:ED:21:9D:2C:9C:7D:29:9C:00:4F:82:4E:B0:0C:F7:F6:5A:FE:F6:07:D0:7B:72:E6:CA:FA"
        );
        // Not after, as UTCTime: tag, length, text.
        let end = b"\x17\x0d310426105653Z";
        assert!(certificate.windows(end.len()).any(|window| window == end));
    }

    #[test]
    fn names_below_the_two_domains_are_supabase_s_and_no_others() {
        for host in [
            "db.ref.supabase.co",
            "aws-0-eu-west-1.pooler.supabase.com",
            "DB.Ref.SUPABASE.CO",
            "db.ref.supabase.co.",
        ] {
            assert!(is_supabase(host), "{host}");
        }
        for host in [
            "supabase.co",
            ".supabase.co",
            "a..supabase.co",
            "evilsupabase.co",
            "db.evilsupabase.com",
            "supabase.co.evil.com",
            "db.supabase.co.evil.com",
            "db.supabase.co..",
            "db.supabase.net",
            "127.0.0.1",
            "::1",
            "",
        ] {
            assert!(!is_supabase(host), "{host}");
        }
    }

    #[test]
    fn the_transaction_pooler_s_port_of_supabase_becomes_the_session_pooler_s_and_nothing_else_changes() {
        let read = |text: &str| ConnectionString::parse(text).unwrap().take_endpoints().unwrap();
        let moved = |text: &str| {
            let mut endpoints = read(text);
            let hosts = take_session_pooler(&mut endpoints);
            (hosts, endpoints)
        };
        for text in [
            "postgres://u:p%40ss@a.pooler.supabase.com:6543/d?connect_timeout=7&hostaddr=10.0.0.1",
            "host=a.pooler.supabase.com port=6543 hostaddr=10.0.0.1 user=u",
        ] {
            let (hosts, endpoints) = moved(text);
            assert_eq!(hosts, ["a.pooler.supabase.com"]);
            assert_eq!(endpoints, read(&text.replace("6543", "5432")));
        }
        for text in [
            "postgres://u@a.pooler.supabase.com:5432/d",
            "postgres://u@127.0.0.1:6543/d",
            "postgres://u@db.example.com:6543/d",
            "postgres://u@evilsupabase.co:6543/d",
        ] {
            let (hosts, endpoints) = moved(text);
            assert!(hosts.is_empty() && endpoints == read(text), "{text}");
        }
        let (hosts, endpoints) = moved("postgres://u@db.example.com:6543,x.supabase.co:6543/d");
        let ports: Vec<u16> = endpoints.iter().map(|endpoint| endpoint.port).collect();
        assert_eq!((hosts, ports), (vec!["x.supabase.co".to_owned()], vec![6543, 5432]));
    }
}
