//! Checks the listening address, hosts, origins and proxies.

use std::net::SocketAddr;

use memory_bank_server::http::HttpConfig;
use tokio::net::TcpListener;

use crate::cli::doctor::findings::Findings;
use crate::cli::health;

/// Checks the address, the hosts and the origins.
pub(crate) async fn check(config: &HttpConfig, findings: &mut Findings) {
    check_port(config.listen, findings).await;
    check_hosts(config, findings);
    if config.allowed_origins.iter().any(|origin| origin == "*") {
        findings.warning(
            "origins",
            "`ALLOWED_ORIGINS` is `*`: any web page that a user opens may send requests",
            "list the origins of your own pages",
        );
    } else {
        findings.ok(
            "origins",
            match config.allowed_origins.as_slice() {
                [] => "only the server's own web pages may send requests".to_owned(),
                some => format!("web pages of {} may send requests", some.join(", ")),
            },
        );
    }
}

async fn check_port(listen: SocketAddr, findings: &mut Findings) {
    let Err(error) = TcpListener::bind(listen).await else {
        return findings.ok("address", format!("{listen} is free to listen on"));
    };
    match error.kind() {
        std::io::ErrorKind::AddrInUse => match server_status(listen).await {
            Some(status) => {
                findings.ok(
                    "address",
                    format!("memory-bank-mcp already listens on {listen}; its health is `{status}`"),
                );
            }
            _ => findings.error(
                "address",
                format!("another program listens on {listen}"),
                "end it, or set `MCP_PORT` (behind the compose file: `TRAEFIK_HTTP_PORT`)",
            ),
        },
        std::io::ErrorKind::PermissionDenied => findings.error(
            "address",
            format!("this user may not listen on {listen}"),
            "set `MCP_PORT` to 1024 or more",
        ),
        std::io::ErrorKind::AddrNotAvailable => findings.error(
            "address",
            format!("this machine does not have the address of {listen}"),
            "set `MCP_HOST` to 0.0.0.0, or to an address of this machine",
        ),
        _ => findings.error("address", format!("{listen}: {error}"), "correct `MCP_HOST` and `MCP_PORT`"),
    }
}

/// The health status of the program at this address, if it is a memory-bank-mcp server.
async fn server_status(listen: SocketAddr) -> Option<String> {
    let body = health::body(listen).await.ok()?;
    let health: serde_json::Value = serde_json::from_str(&body).ok()?;
    health.get("uptime")?;
    Some(health.get("status")?.as_str()?.to_owned())
}

fn check_hosts(config: &HttpConfig, findings: &mut Findings) {
    let is_public = !config.listen.ip().is_loopback();
    if config.allowed_hosts.iter().any(|host| host == "*") {
        findings.warning(
            "hosts",
            "`ALLOWED_HOSTS` is `*`: requests for any host are allowed, without protection against DNS rebinding",
            "list the host names that clients use",
        );
    } else if config.allowed_hosts.is_empty() && is_public {
        findings.ok(
            "hosts",
            "requests for any host are allowed with a valid key (`ALLOWED_HOSTS` restricts them)",
        );
    } else {
        let and_url = config.public_url.as_ref().map(|url| format!(" and {url}")).unwrap_or_default();
        findings.ok(
            "hosts",
            match config.allowed_hosts.as_slice() {
                [] => format!("requests for localhost{and_url} are allowed"),
                some => format!("requests for {}{and_url} are allowed", some.join(", ")),
            },
        );
    }
    findings.ok("proxy", trusted_proxies(config.trust_proxy_hops, is_public));
}

fn trusted_proxies(hops: usize, is_public: bool) -> String {
    let trusted = match hops {
        0 => return "no proxy is trusted: the client's address is that of the connection".to_owned(),
        1 => "one proxy is trusted to name the client".to_owned(),
        _ => format!("{hops} proxies are trusted to name the client"),
    };
    if is_public { format!("{trusted}: block all other access to the port") } else { trusted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_proxy_is_named_in_the_singular() {
        assert!(trusted_proxies(0, true).starts_with("no proxy is trusted"));
        assert_eq!(
            trusted_proxies(1, true),
            "one proxy is trusted to name the client: block all other access to the port"
        );
        assert_eq!(trusted_proxies(2, false), "2 proxies are trusted to name the client");
    }
}
