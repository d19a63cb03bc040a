//! Settings of the HTTP server. The binary reads them from flags and environment.

use std::net::SocketAddr;
use std::time::Duration;

use crate::http::oauth::{IssuerSettings, OpenIdSettings};
use crate::mcp::ToolOptions;

/// The settings of the HTTP side.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// Whether replies are JSON instead of event streams.
    pub json_response: bool,
    /// Allowed hosts, with or without a port; empty = those of this machine, and any with a valid key unless `listen`
    /// is a loopback address. `*` = any.
    pub allowed_hosts: Vec<String>,
    /// The server's public origin, such as `https://memory.example.com`.
    pub public_url: Option<String>,
    /// Whether documents about clients of OAuth are fetched.
    pub client_documents: bool,
    /// The OpenID provider with which users sign in.
    pub openid: Option<OpenIdSettings>,
    /// The outside authorization server whose tokens are accepted.
    pub outside_issuer: Option<IssuerSettings>,
    /// Allowed origins of web pages, in addition to the server's own; `*` = any.
    pub allowed_origins: Vec<String>,
    /// How many trusted proxies name the client's address; 0 = none.
    pub trust_proxy_hops: usize,
    /// Requests without a valid key per minute and address; 0 = unlimited.
    pub address_limit: u32,
    /// Requests with a valid key per minute and address, all keys together; 0 = unlimited.
    pub keyed_address_limit: u32,
    /// The largest text of one reply that can be read in parts, in bytes.
    pub reply_bytes: usize,
    /// Bytes of unfinished replies per key.
    pub reply_bytes_per_key: usize,
    /// Bytes of unfinished replies in the process.
    pub reply_bytes_total: usize,
    /// Open connections per address.
    pub connections_per_address: usize,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
    /// Open streams per key.
    pub streams_per_key: usize,
    /// Open sessions per project.
    pub sessions_per_project: usize,
    /// Open sessions per key.
    pub sessions_per_key: usize,
    /// Stored bytes of replies per session.
    pub event_bytes_per_session: usize,
    /// Stored bytes of replies per project.
    pub event_bytes_per_project: usize,
    /// Retention of the audit log.
    pub audit_retention: Duration,
    /// The address for Prometheus; no metrics are served when absent.
    pub metrics: Option<SocketAddr>,
    /// How long an ending server still accepts requests while it reports that it is not ready; at most four seconds,
    /// so that requests in flight have time left to finish.
    pub drain_delay: Duration,
    /// Retention of events for replay.
    pub event_retention: Duration,
    /// The tools in `tools/list` unless a request selects others, and read-only mode.
    pub tools: ToolOptions,
}

/// The largest body of a request, in bytes.
pub(crate) const BODY_BYTES: usize = 1024 * 1024;
/// Time-out of the headers of a request, from their first byte.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection that is closed for being idle may take to end, or to show that a request was in transit.
pub(crate) const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// How long a client may leave a piece of a reply unread.
pub(crate) const PIECE_READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client may lag behind the available part of a reply, however slowly it reads.
pub(crate) const REPLY_READ_TIMEOUT: Duration = Duration::from_secs(300);
/// Memory of a call at its start, beside that for its body.
pub(crate) const CALL_BYTES: usize = 64 * 1024;
/// Least memory of a call that reads from the bank.
pub(crate) const READING_CALL_BYTES: usize = 512 * 1024;
/// Buffer of an HTTP/1 connection, each way, or of an HTTP/2 stream, in bytes.
pub(crate) const BUFFER_BYTES: usize = 64 * 1024;
/// Send buffer of the operating system, in bytes; the kernel doubles the value.
pub(crate) const SEND_BUFFER_BYTES: u32 = 128 * 1024;
/// How many replies are compressed at a time; others are sent uncompressed. A compressor uses up to a megabyte.
pub(crate) const MAX_ENCODERS: usize = 64;
/// Concurrent requests of one HTTP/2 connection.
pub(crate) const MAX_CONCURRENT_REQUESTS: u32 = 100;
/// The largest client description in a handshake, in bytes.
pub(crate) const HANDSHAKE_BYTES: usize = 16 * 1024;
/// Time-out of the body of a request.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Time-out of a call.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// How often a silent stream sends a comment.
pub(crate) const STREAM_KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a session lives after its last use.
pub(crate) const SESSION_TTL: Duration = Duration::from_secs(24 * 3600);
/// How long a connection that exists when the server stops listening may take to send its first request.
pub(crate) const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// Time from the signal to end until the last request in flight is aborted.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(6);
/// How long the last writes of uses may take at the end.
pub(crate) const FINAL_WRITE_TIMEOUT: Duration = Duration::from_secs(1);
/// The most connections.
pub(crate) const MAX_CONNECTIONS: usize = 10_000;
