//! Makes one connection: tries host after host, with TLS and without, in libpq's order. This module must not know the use of
//! a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::Connect;
use futures::future::BoxFuture;
use memory_bank_core::clock::Entropy;
use tokio::task::JoinHandle;
use tokio_postgres::config::{LoadBalanceHosts, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, Error, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::connection_string::Endpoint;
use crate::tls::{Encryption, TlsPolicy};
use crate::unreachable::{Cause, Unreachable};

type Connected = Result<(Client, JoinHandle<()>), Error>;

/// Connects to one of several hosts.
#[derive(Clone)]
pub(crate) struct Connector {
    hosts: Vec<Host>,
    tls: Option<MakeRustlsConnect>,
    /// The time-out of one host, if another one follows.
    time_each: Duration,
    /// Shuffles the hosts, if configured.
    shuffle: Option<Arc<dyn Entropy>>,
}

#[derive(Clone)]
struct Host {
    config: Config,
    encryption: Encryption,
}

impl Connector {
    /// A connector for these hosts; at least one. `time` is the time-out for all together.
    pub(crate) fn new(
        base: &Config,
        endpoints: &[Endpoint],
        policy: &TlsPolicy,
        tls: Option<MakeRustlsConnect>,
        time: Duration,
        entropy: &Arc<dyn Entropy>,
    ) -> Self {
        let time_each = time / u32::try_from(endpoints.len().max(1)).unwrap_or(1);
        let hosts = endpoints
            .iter()
            .map(|endpoint| {
                let mut config = base.clone();
                config.host(&endpoint.host).port(endpoint.port).connect_timeout(time_each);
                if let Some(address) = endpoint.address {
                    config.hostaddr(address);
                }
                // As in libpq: a Unix socket needs no TLS.
                let plain = endpoint.is_socket() && !policy.forced;
                Host { config, encryption: if plain { Encryption::Never } else { policy.encryption } }
            })
            .collect();
        let shuffle =
            (base.get_load_balance_hosts() == LoadBalanceHosts::Random).then(|| Arc::clone(entropy));
        Self { hosts, tls, time_each, shuffle }
    }

    async fn connect_to_any(&self) -> Connected {
        let mut hosts: Vec<&Host> = self.hosts.iter().collect();
        if let Some(entropy) = &self.shuffle {
            hosts.sort_by_cached_key(|_| entropy.id());
        }
        // The driver returns the error about a missing host.
        let Some((last, others)) = hosts.split_last() else {
            return Config::new().connect(NoTls).await.map(spawned);
        };
        for host in others {
            match tokio::time::timeout(self.time_each, self.connect_to(host)).await {
                Err(_) => {}
                Ok(Err(error)) if tries_next_host(&error) => {}
                Ok(outcome) => return outcome,
            }
        }
        self.connect_to(last).await
    }

    async fn connect_to(&self, host: &Host) -> Connected {
        match host.encryption {
            Encryption::Never => self.try_once(host, SslMode::Disable).await.0,
            Encryption::Required => self.try_once(host, SslMode::Require).await.0,
            Encryption::Preferred => match self.try_once(host, SslMode::Prefer).await {
                // The handshake failed, or the server refused over TLS. Of two errors, the first one is more helpful.
                (Err(error), true) if is_handshake(&error) || is_refusal(&error) => {
                    self.try_once(host, SslMode::Disable).await.0.map_err(|_| error)
                }
                (outcome, _) => outcome,
            },
            Encryption::Fallback => match self.try_once(host, SslMode::Disable).await.0 {
                Err(first) if is_refusal(&first) => {
                    let (second, spoke_tls) = self.try_once(host, SslMode::Require).await;
                    second.map_err(|second| if spoke_tls { second } else { first })
                }
                outcome => outcome,
            },
        }
    }

    /// One attempt, and whether the server agreed to TLS.
    async fn try_once(&self, host: &Host, mode: SslMode) -> (Connected, bool) {
        let mut config = host.config.clone();
        config.ssl_mode(mode);
        match &self.tls {
            Some(tls) if mode != SslMode::Disable => {
                let agreed = Arc::new(AtomicBool::new(false));
                let tls = NotedTls { inner: tls.clone(), agreed: Arc::clone(&agreed) };
                let outcome = config.connect(tls).await.map(spawned);
                (outcome, agreed.load(Ordering::Relaxed))
            }
            // Without TLS the driver refuses `Require`.
            _ => (config.connect(NoTls).await.map(spawned), false),
        }
    }
}

impl Connect for Connector {
    fn connect(&self, _: &Config) -> BoxFuture<'_, Connected> {
        Box::pin(self.connect_to_any())
    }
}

fn spawned<S>(
    (client, connection): (Client, tokio_postgres::Connection<Socket, S>),
) -> (Client, JoinHandle<()>)
where
    S: tokio_postgres::tls::TlsStream + Unpin + Send + 'static,
{
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(error = crate::error::describe(&error), "a connection to the database ended");
        }
    });
    (client, task)
}

/// Whether the next host is tried. Not if this one answered and refused, unless it is starting, stopping or full.
fn tries_next_host(error: &Error) -> bool {
    match error.code() {
        // Class 53: it has no free connection, memory or disk.
        Some(code) => *code == SqlState::CANNOT_CONNECT_NOW || code.code().starts_with("53"),
        None => {
            !matches!(Unreachable::from(error).cause, Cause::Tls | Cause::TlsMissing | Cause::Authentication)
        }
    }
}

/// Whether the server refused, and would refuse again.
fn is_refusal(error: &Error) -> bool {
    error.code().is_some_and(|code| *code != SqlState::CANNOT_CONNECT_NOW)
}

fn is_handshake(error: &Error) -> bool {
    error.to_string().starts_with("error performing TLS handshake")
}

/// TLS that records whether the server agreed to it.
#[derive(Clone)]
struct NotedTls {
    inner: MakeRustlsConnect,
    agreed: Arc<AtomicBool>,
}

type InnerTls = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;

struct NotedHandshake {
    inner: InnerTls,
    agreed: Arc<AtomicBool>,
}

impl MakeTlsConnect<Socket> for NotedTls {
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type TlsConnect = NotedHandshake;
    type Error = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<NotedHandshake, Self::Error> {
        let inner = MakeTlsConnect::<Socket>::make_tls_connect(&mut self.inner, host)?;
        Ok(NotedHandshake { inner, agreed: Arc::clone(&self.agreed) })
    }
}

impl TlsConnect<Socket> for NotedHandshake {
    type Stream = <InnerTls as TlsConnect<Socket>>::Stream;
    type Error = <InnerTls as TlsConnect<Socket>>::Error;
    type Future = <InnerTls as TlsConnect<Socket>>::Future;

    fn connect(self, stream: Socket) -> Self::Future {
        self.agreed.store(true, Ordering::Relaxed);
        self.inner.connect(stream)
    }
}
