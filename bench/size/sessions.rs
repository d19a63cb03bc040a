//! Many open sessions and streams: the memory that each costs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::beside::{self, Calls};
use crate::load::{Connection, request};
use crate::report::{grouped, shown};
use crate::servers::{Postgres, Redis, Served};

/// How long memory is given to settle before it is read.
const SETTLE: Duration = Duration::from_secs(3);

/// How many events an hour has for which the clean-up is measured.
const OLD_EVENTS: u32 = 1_000_000;

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

/// Opens sessions, then streams of some of them, and prints what each costs in memory, and what calls take meanwhile.
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
    let mut calls = Calls::open(address, keys).await?;
    let mut columns = vec![("before".to_owned(), calls.times().await?)];
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
    columns.push((format!("{} sessions", grouped(sessions)), calls.times().await?));
    tokio::time::sleep(SETTLE).await;
    let before = Held::now(served, redis, postgres)?;
    let mut open_streams = Vec::new();
    for (key, session) in opened.iter().take(streams) {
        open_streams.push(stream(address, key, session).await?);
    }
    tokio::time::sleep(SETTLE).await;
    let with_streams = Held::now(served, redis, postgres)?;
    let title = format!("{} open streams of them, with their connections", open_streams.len());
    println!("{}", with_streams.row(&title, open_streams.len(), &before));
    columns.push((format!("and {} streams", grouped(open_streams.len())), calls.times().await?));
    drop(open_streams);
    println!("\n{}", beside::table(&columns));
    println!("### Clean-up\n\n| | rows | time |\n|---|---:|---:|");
    println!("{}", expired_sessions(postgres)?);
    println!("{}", old_events(postgres)?);
    Ok(())
}

/// A row: the deletion of all sessions as expired ones, in the steps of a server.
fn expired_sessions(postgres: &Postgres) -> anyhow::Result<String> {
    postgres.psql("UPDATE public.sessions SET expires_at = now() - interval '1 minute'")?;
    let (began, mut rows) = (Instant::now(), 0_u64);
    loop {
        let step = "SELECT app.purge(now(), now() - interval '1 day', 1000)";
        match postgres.psql(step)?.trim().parse::<u64>()? {
            0 => break,
            deleted => rows += deleted,
        }
    }
    Ok(format!(
        "| expired sessions and their events, deleted in steps of 1,000 | {rows} | {} |",
        shown(began.elapsed())
    ))
}

/// A row: the end of an hour of stored events.
fn old_events(postgres: &Postgres) -> anyhow::Result<String> {
    postgres.psql(&format!(
        "SET ROLE app_definer; CREATE TABLE app.mcp_events_old (LIKE public.mcp_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS); \
         ALTER TABLE app.mcp_events_old ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
         DO $$ BEGIN EXECUTE format('ALTER TABLE public.mcp_events ATTACH PARTITION app.mcp_events_old \
         FOR VALUES FROM (%L) TO (%L)', now() - interval '30 hours', now() - interval '29 hours'); END $$; RESET ROLE; \
         INSERT INTO public.mcp_events (session_id, stream_id, place, user_id, project_id, message, created_at) \
         SELECT p.id, gen_random_uuid(), 1, p.owner_id, p.id, to_jsonb(repeat('a reply of a tool, ', 20)), \
           now() - interval '29 hours 30 minutes' \
         FROM generate_series(1, {OLD_EVENTS}), LATERAL (SELECT id, owner_id FROM public.projects LIMIT 1) AS p"
    ))?;
    let began = Instant::now();
    let dropped = postgres.psql("SELECT app.drop_event_partition(now() - interval '1 day')")?;
    let took = began.elapsed();
    anyhow::ensure!(dropped.trim() == "app.mcp_events_old", "dropped `{}`", dropped.trim());
    Ok(format!("| events of an hour, dropped with their partition | {OLD_EVENTS} | {} |", shown(took)))
}

/// Opens a session; returns its id.
pub async fn open(connection: &mut Connection, address: SocketAddr, key: &str) -> anyhow::Result<String> {
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
