//! What is known of Supabase by its host names: which authority signs for them, and which port keeps sessions. It must
//! not know how a connection is made.

use tokio_postgres::Config;
use tokio_postgres::config::Host;

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

/// Whether one of the hosts is Supabase's.
pub(crate) fn has_supabase_host(config: &Config) -> bool {
    config.get_hosts().iter().any(is_supabase_host)
}

/// Leads connections to Supabase's transaction pooler to its session pooler; gives the hosts that this was needed for.
pub(crate) fn take_session_pooler(config: &mut Config) -> Vec<String> {
    let hosts = config.get_hosts().to_vec();
    let ports = config.get_ports().to_vec();
    let port_of = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(SESSION_POOLER);
    let mut moved = Vec::new();
    let wanted: Vec<u16> = hosts
        .iter()
        .enumerate()
        .map(|(at, host)| match host {
            Host::Tcp(name) if is_supabase_host(host) && port_of(at) == TRANSACTION_POOLER => {
                moved.push(name.clone());
                SESSION_POOLER
            }
            _ => port_of(at),
        })
        .collect();
    // More ports than hosts is an error that the driver reports.
    if !moved.is_empty() && ports.len() <= hosts.len() {
        *config = with_ports(config, &wanted);
    }
    moved
}

fn is_supabase_host(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => is_supabase(name),
        #[cfg(unix)]
        Host::Unix(_) => false,
    }
}

/// The same with other ports, which the driver only lets one add to.
fn with_ports(from: &Config, ports: &[u16]) -> Config {
    let mut config = Config::new();
    if let Some(user) = from.get_user() {
        config.user(user);
    }
    if let Some(password) = from.get_password() {
        config.password(password);
    }
    if let Some(name) = from.get_dbname() {
        config.dbname(name);
    }
    if let Some(options) = from.get_options() {
        config.options(options);
    }
    if let Some(name) = from.get_application_name() {
        config.application_name(name);
    }
    for host in from.get_hosts() {
        match host {
            Host::Tcp(name) => config.host(name),
            #[cfg(unix)]
            Host::Unix(path) => config.host_path(path),
        };
    }
    for address in from.get_hostaddrs() {
        config.hostaddr(*address);
    }
    for port in ports {
        config.port(*port);
    }
    if let Some(timeout) = from.get_connect_timeout() {
        config.connect_timeout(*timeout);
    }
    if let Some(timeout) = from.get_tcp_user_timeout() {
        config.tcp_user_timeout(*timeout);
    }
    config.keepalives(from.get_keepalives());
    config.keepalives_idle(from.get_keepalives_idle());
    if let Some(interval) = from.get_keepalives_interval() {
        config.keepalives_interval(interval);
    }
    if let Some(retries) = from.get_keepalives_retries() {
        config.keepalives_retries(retries);
    }
    config.ssl_mode(from.get_ssl_mode());
    config.ssl_negotiation(from.get_ssl_negotiation());
    config.target_session_attrs(from.get_target_session_attrs());
    config.channel_binding(from.get_channel_binding());
    config.load_balance_hosts(from.get_load_balance_hosts());
    config
}

#[cfg(test)]
mod tests {
    use rustls::SupportedCipherSuite;
    use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;

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
        let moved = |url: &str| {
            let mut config: Config = url.parse().unwrap();
            let hosts = take_session_pooler(&mut config);
            (hosts, config)
        };
        let url = "postgres://u:p%40ss@a.pooler.supabase.com:6543/d?connect_timeout=7&hostaddr=10.0.0.1";
        let (hosts, config) = moved(url);
        assert_eq!(hosts, ["a.pooler.supabase.com"]);
        let same: Config = url.replace(":6543", ":5432").parse().unwrap();
        assert!(config == same, "{config:?}");
        for url in [
            "postgres://u@a.pooler.supabase.com:5432/d",
            "postgres://u@127.0.0.1:6543/d",
            "postgres://u@db.example.com:6543/d",
            "postgres://u@evilsupabase.co:6543/d",
        ] {
            let (hosts, config) = moved(url);
            assert!(hosts.is_empty() && config == url.parse().unwrap(), "{url}");
        }
        let (hosts, config) = moved("postgres://u@db.example.com:6543,x.supabase.co:6543/d");
        assert_eq!((hosts, config.get_ports()), (vec!["x.supabase.co".to_owned()], [6543, 5432].as_slice()));
    }
}
