//! `health`: checks the server on this machine, for health checks without shell or curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::cli::output::say;
use crate::config::{self, Settings};

/// Time-out of the request. The server's own checks have less; a container's health check should have more.
const WAIT: Duration = Duration::from_secs(4);
/// The longest reply that is read, in bytes.
const ANSWER: usize = 16 * 1024;

/// Prints the server's health.
///
/// # Errors
/// The server does not answer in time, or reports that it is unhealthy.
pub(crate) async fn run(live: bool) -> anyhow::Result<()> {
    let settings = Settings::read(&config::environment)?;
    let address = reachable(settings.http.listen)?;
    let path = if live { "/health/live" } else { "/health" };
    let (status, body) = tokio::time::timeout(WAIT, request(address, path))
        .await
        .map_err(|_| anyhow::anyhow!("no answer within {} s", WAIT.as_secs()))
        .and_then(|answer| answer)
        .with_context(|| format!("`http://{address}{path}` cannot be reached"))?;
    if status != StatusCode::OK {
        bail!("`http://{address}{path}` answers {}: {}", status.as_u16(), body.trim());
    }
    say(&body)
}

/// The body of `/health` of a server at this address, whether healthy or not.
///
/// # Errors
/// Nothing answers in time.
pub(crate) async fn of(listen: SocketAddr) -> anyhow::Result<String> {
    let reply = tokio::time::timeout(WAIT, request(reachable(listen)?, "/health")).await;
    Ok(reply.map_err(|_| anyhow::anyhow!("no answer within {} s", WAIT.as_secs()))??.1)
}

/// A server that listens on every address is contacted on the loopback address.
fn reachable(listen: SocketAddr) -> anyhow::Result<SocketAddr> {
    if listen.port() == 0 {
        bail!("`MCP_PORT` is `0`, so the server's port is not known; set it to the one in its log");
    }
    let host = match listen.ip() {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    Ok(SocketAddr::new(host, listen.port()))
}

async fn request(address: SocketAddr, path: &str) -> anyhow::Result<(StatusCode, String)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(HOST, address.to_string())
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER)
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!("the answer breaks off: {error}"))?;
        anyhow::Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    };
    // Drive the connection while waiting for the reply; errors on closing do not matter afterwards.
    tokio::pin!(answer);
    tokio::select! {
        done = &mut answer => done,
        ended = connection => {
            ended?;
            answer.await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_every_address_is_asked_on_this_machine() {
        let asked = |listen: &str| reachable(listen.parse().unwrap()).unwrap().to_string();
        assert_eq!(asked("0.0.0.0:3100"), "127.0.0.1:3100");
        assert_eq!(asked("[::]:3100"), "[::1]:3100");
        assert_eq!(asked("10.0.0.7:80"), "10.0.0.7:80");
    }

    #[test]
    fn a_port_that_the_system_chooses_cannot_be_asked() {
        assert!(reachable("0.0.0.0:0".parse().unwrap()).unwrap_err().to_string().contains("MCP_PORT"));
    }
}
