//! Many open sessions and streams: the memory that each costs.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::load::{Connection, request};
use crate::servers::{Postgres, Redis, Served};

/// How long memory is given to settle before it is read.
const SETTLE: Duration = Duration::from_secs(3);

/// Bytes in use after something was opened, and before.
struct Held {
    server: u64,
    redis: u64,
    tables: u64,
}

impl Held {
    fn now(served: &Served, redis: &Redis, postgres: &Postgres) -> anyhow::Result<Self> {
        let tables = postgres.psql("SELECT pg_total_relation_size('public.sessions')")?;
        Ok(Self {
            server: served.resident()?.0 * 1024,
            redis: redis.used_bytes()?,
            tables: tables.trim().parse()?,
        })
    }

    /// A row: what one of `count` costs.
    fn row(&self, what: &str, count: usize, before: &Self) -> String {
        let each =
            |after: u64, before: u64| after.saturating_sub(before) as f64 / 1024.0 / count.max(1) as f64;
        format!(
            "| {what} | {:.2} | {:.2} | {:.2} |",
            each(self.server, before.server),
            each(self.redis, before.redis),
            each(self.tables, before.tables)
        )
    }
}

/// Opens sessions, then streams of some of them, and prints what each costs in memory.
pub async fn measure(
    (served, redis, postgres): (&Served, &Redis, &Postgres),
    keys: &[String],
    sessions: usize,
    streams: usize,
) -> anyhow::Result<()> {
    // Caches of keys and projects are filled first.
    let address = served.address;
    let mut connection = Connection::open(address).await?;
    for key in keys {
        open(&mut connection, address, key).await?;
    }
    tokio::time::sleep(SETTLE).await;
    println!("| KiB for each | server | Redis | table of sessions |\n|---|---:|---:|---:|");
    let before = Held::now(served, redis, postgres)?;
    let mut opened = Vec::new();
    for number in 0..sessions {
        let key = keys.get(number % keys.len().max(1)).context("there is no key")?;
        opened.push((key, open(&mut connection, address, key).await?));
    }
    tokio::time::sleep(SETTLE).await;
    let with_sessions = Held::now(served, redis, postgres)?;
    println!("{}", with_sessions.row(&format!("{sessions} sessions"), sessions, &before));
    let mut open_streams = Vec::new();
    for (key, session) in opened.iter().take(streams) {
        open_streams.push(stream(address, key, session).await?);
    }
    tokio::time::sleep(SETTLE).await;
    let with_streams = Held::now(served, redis, postgres)?;
    let title = format!("{} open streams of them, with their connections", open_streams.len());
    println!("{}", with_streams.row(&title, open_streams.len(), &with_sessions));
    drop(open_streams);
    Ok(())
}

/// Opens a session; returns its id.
async fn open(connection: &mut Connection, address: SocketAddr, key: &str) -> anyhow::Result<String> {
    let handshake = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}});
    let reply = connection.ask(&request("POST", key, address, &[], &handshake.to_string())).await?;
    let reply = String::from_utf8_lossy(reply);
    let session = reply.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
    Ok(session.with_context(|| format!("no session was opened: {reply}"))?.trim().to_owned())
}

/// Opens the stream of a session; returns its connection once the head of the reply is there.
async fn stream(address: SocketAddr, key: &str, session: &str) -> anyhow::Result<TcpStream> {
    let head = format!(
        "GET /mcp HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {key}\r\nAccept: text/event-stream\r\n\
         MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: {session}\r\n\r\n"
    );
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(head.as_bytes()).await?;
    let mut read = Vec::new();
    while !read.windows(4).any(|four| four == b"\r\n\r\n") {
        anyhow::ensure!(stream.read_buf(&mut read).await? > 0, "the server closed the stream");
    }
    let head = String::from_utf8_lossy(&read);
    anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    Ok(stream)
}
