//! What a server of HTTP can be told. How it is told (flags, environment) is the binary's affair.

use std::net::SocketAddr;
use std::time::Duration;

use crate::mcp::ToolOptions;

/// The settings of the HTTP side.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Whether replies come as JSON instead of as streams of events.
    pub json_response: bool,
    /// Host names, with or without a port, that requests may be addressed to; empty = those of this machine, and with a
    /// good key any, unless `listen` is a loopback address. `*` = any.
    pub allowed_hosts: Vec<String>,
    /// The origin under which clients reach the server, such as `https://memory.example.com`.
    pub public_url: Option<String>,
    /// Origins of web pages that may send requests, beside the server's own; `*` = any.
    pub allowed_origins: Vec<String>,
    /// How many proxies in front are trusted to name the client's address; 0 = none.
    pub trust_proxy_hops: usize,
    /// Requests without a good key a minute from one address; 0 = unlimited.
    pub address_limit: u32,
    /// Requests with a good key a minute from one address, all its keys together; 0 = unlimited.
    pub keyed_address_limit: u32,
    /// The most bytes of text in one reply that can be had in parts.
    pub reply_bytes: usize,
    /// How many bytes of replies one key may have under way.
    pub reply_bytes_per_key: usize,
    /// How many bytes of replies may be under way in the process.
    pub reply_bytes_total: usize,
    /// How many connections one address may have open.
    pub connections_per_address: usize,
    /// How long a connection without a request under way is kept.
    pub keep_alive: Duration,
    /// How many streams a key may have open.
    pub streams_per_key: usize,
    /// How many sessions a project may have open.
    pub sessions_per_project: usize,
    /// How many sessions a key may have open.
    pub sessions_per_key: usize,
    /// How many bytes of replies are kept for one session.
    pub event_bytes_per_session: usize,
    /// How many bytes of replies are kept for all sessions of a project.
    pub event_bytes_per_project: usize,
    /// How long the audit log is kept.
    pub audit_retention: Duration,
    /// Where Prometheus reads the figures; nowhere when absent.
    pub metrics: Option<SocketAddr>,
    /// How long a server that is told to end still takes requests, while it says that it is not ready; at most
    /// four seconds, so that requests under way have some of the time for the end left.
    pub lame_duck: Duration,
    /// How long events are kept for clients that come back.
    pub event_retention: Duration,
    /// What `tools/list` shows unless a request says otherwise, and whether anything may be changed.
    pub tools: ToolOptions,
}

/// The largest body of a request, in bytes.
pub(crate) const BODY_BYTES: usize = 1024 * 1024;
/// How long the headers of a request may take to arrive, from their first byte.
pub(crate) const HEADER_WAIT: Duration = Duration::from_secs(15);
/// How long a connection that is closed for being idle may take to end, or to show that a request was on its way.
pub(crate) const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// How long a client may leave a piece of a reply untaken.
pub(crate) const TAKE_WAIT: Duration = Duration::from_secs(60);
/// How long a client may be behind with what there is of a reply, however it takes it.
pub(crate) const BEHIND_WAIT: Duration = Duration::from_secs(300);
/// How much memory a call has at first, beside that for its body.
pub(crate) const CALL_BYTES: usize = 64 * 1024;
/// How much memory a call has at least that reads from the bank.
pub(crate) const READING_CALL_BYTES: usize = 512 * 1024;
/// The most bytes that are buffered for a connection of HTTP/1, each way, or for a stream of HTTP/2.
pub(crate) const BUFFER_BYTES: usize = 64 * 1024;
/// The most bytes that the operating system is to keep of what a client does not take; it doubles the figure.
pub(crate) const SOCKET_BYTES: u32 = 128 * 1024;
/// How many replies are compressed at a time; others go out as they are. A compressor takes up to a megabyte.
pub(crate) const ENCODERS: usize = 64;
/// The most requests that one connection of HTTP/2 may have under way.
pub(crate) const REQUESTS_AT_ONCE: u32 = 100;
/// The most bytes of what a client says of itself in a handshake.
pub(crate) const HANDSHAKE_BYTES: usize = 16 * 1024;
/// How long the body of a request may take to arrive.
pub(crate) const BODY_WAIT: Duration = Duration::from_secs(30);
/// How long a call may take.
pub(crate) const CALL_WAIT: Duration = Duration::from_secs(120);
/// How often a silent stream says that it is alive.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a session lives after its last use.
pub(crate) const SESSION_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How long a connection that is there when the server stops listening may take to bring its first request.
pub(crate) const FIRST_REQUEST: Duration = Duration::from_secs(2);
/// How long it may take, from the signal to end, until the last request under way is given up.
pub(crate) const DRAIN: Duration = Duration::from_secs(6);
/// How long it may take at the end to write down what was used.
pub(crate) const LAST_NOTES: Duration = Duration::from_secs(1);
/// The most connections at a time.
pub(crate) const CONNECTIONS: usize = 10_000;
