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

use crate::cli::output::print_line;
use crate::config::{self, Settings};

/// Time-out of the request; longer than that of the server's own checks, and shorter than that of a container's health check.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
/// The longest reply that is read, in bytes.
const REPLY_BYTES: usize = 16 * 1024;

/// Prints the server's health.
///
/// # Errors
/// The server does not answer in time, or reports that it is unhealthy.
pub(crate) async fn run(live: bool) -> anyhow::Result<()> {
    let settings = Settings::read(&config::environment)?;
    let address = client_address(settings.http.listen)?;
    let path = if live { "/health/live" } else { "/health" };
    let (status, body) = request(address, path)
        .await
        .with_context(|| format!("`http://{address}{path}` cannot be reached"))?;
    if status != StatusCode::OK {
        bail!("`http://{address}{path}` answers {}: {}", status.as_u16(), body.trim());
    }
    print_line(&body)
}

/// The body of `/health` of a server at this address, whether it is healthy or not.
///
/// # Errors
/// No server answers in time.
pub(crate) async fn body(listen: SocketAddr) -> anyhow::Result<String> {
    Ok(request(client_address(listen)?, "/health").await?.1)
}

/// The address for requests: a server that listens on every address is reached on the loopback address.
fn client_address(listen: SocketAddr) -> anyhow::Result<SocketAddr> {
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

/// Sends a request, within the time-out.
async fn request(address: SocketAddr, path: &str) -> anyhow::Result<(StatusCode, String)> {
    match tokio::time::timeout(REQUEST_TIMEOUT, exchange(address, path)).await {
        Ok(reply) => reply,
        Err(_) => bail!("no reply within {} s", REQUEST_TIMEOUT.as_secs()),
    }
}

async fn exchange(address: SocketAddr, path: &str) -> anyhow::Result<(StatusCode, String)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(HOST, address.to_string())
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let reply = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), REPLY_BYTES)
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!("the reply was cut off: {error}"))?;
        anyhow::Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    };
    // Drive the connection while waiting for the reply; errors on closing do not matter afterwards.
    tokio::pin!(reply);
    tokio::select! {
        outcome = &mut reply => outcome,
        ended = connection => {
            ended?;
            reply.await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_every_address_is_queried_on_loopback() {
        let address = |listen: &str| client_address(listen.parse().unwrap()).unwrap().to_string();
        assert_eq!(address("0.0.0.0:3100"), "127.0.0.1:3100");
        assert_eq!(address("[::]:3100"), "[::1]:3100");
        assert_eq!(address("10.0.0.7:80"), "10.0.0.7:80");
    }

    #[test]
    fn a_port_chosen_by_the_system_cannot_be_queried() {
        assert!(client_address("0.0.0.0:0".parse().unwrap()).unwrap_err().to_string().contains("MCP_PORT"));
    }
}
