//! The load: persistent connections, each of which sends the next request after the last reply. The client supports
//! only as much HTTP/1.1 as it needs, since it shares the processors with the measured server.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The requests of one connection, in turn, and a text that every reply must contain.
pub struct Script {
    /// Whole requests, head and body.
    pub requests: Vec<Vec<u8>>,
    /// A text that identifies a good reply.
    pub expects: &'static str,
    /// A last request, which ends the session: a key has a bounded number of them.
    pub end: Option<Vec<u8>>,
}

/// The result.
pub struct Outcome {
    /// Answers a second.
    pub rate: f64,
    /// From the first byte sent to the last byte read, sorted.
    pub times: Vec<Duration>,
}

/// Runs one script a connection for this long, after a moment that does not count.
pub async fn run(address: SocketAddr, scripts: Vec<Script>, length: Duration) -> anyhow::Result<Outcome> {
    let begin = Instant::now() + length / 10;
    let end = begin + length;
    let mut connections = JoinSet::new();
    for script in scripts {
        let connection = Connection::open(address).await?;
        connections.spawn(drive(connection, script, begin, end));
    }
    let mut times = Vec::new();
    while let Some(done) = connections.join_next().await {
        times.extend(done??);
    }
    ensure!(!times.is_empty(), "no answer came");
    times.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 answers")]
    let rate = times.len() as f64 / length.as_secs_f64();
    Ok(Outcome { rate, times })
}

async fn drive(
    mut connection: Connection,
    script: Script,
    begin: Instant,
    end: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(1 << 16);
    let mut requests = script.requests.iter().cycle();
    loop {
        let request = requests.next().context("a script without requests")?;
        let sent = Instant::now();
        let answer = connection.ask(request).await?;
        let now = Instant::now();
        if !holds(answer, script.expects.as_bytes()) {
            bail!("an unexpected answer: {}", String::from_utf8_lossy(answer));
        }
        if now >= end {
            if let Some(last) = &script.end {
                connection.ask(last).await?;
            }
            return Ok(times);
        }
        if now >= begin {
            times.push(now - sent);
        }
    }
}

/// A persistent connection.
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(64 * 1024) })
    }

    /// Sends a request and reads the whole answer, head and body.
    pub async fn ask(&mut self, request: &[u8]) -> anyhow::Result<&[u8]> {
        self.stream.write_all(request).await?;
        self.read.clear();
        let mut whole = None;
        loop {
            ensure!(self.stream.read_buf(&mut self.read).await? > 0, "the server closed the connection");
            if whole.is_none() {
                whole = length_of(&self.read)?;
            }
            match whole {
                Some(Length::Known(length)) if self.read.len() >= length => return Ok(&self.read),
                Some(Length::Chunked) if self.read.ends_with(b"\r\n0\r\n\r\n") => return Ok(&self.read),
                _ => {}
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Length {
    /// The length of head and body together.
    Known(usize),
    Chunked,
}

/// How long the answer will be, once its head is there; an error unless it is a success.
fn length_of(read: &[u8]) -> anyhow::Result<Option<Length>> {
    let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(read.get(..end).unwrap_or_default());
    ensure!(head.starts_with("HTTP/1.1 2"), "{}", String::from_utf8_lossy(read));
    for line in head.lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            return Ok(Some(Length::Known(end + 4 + value.trim().parse::<usize>()?)));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok(Some(Length::Chunked));
        }
    }
    Ok(Some(Length::Known(end + 4)))
}

fn holds(answer: &[u8], wanted: &[u8]) -> bool {
    memchr::memmem::find(answer, wanted).is_some()
}

/// A call of a tool, as clients of the protocol without sessions send it.
#[allow(dead_code, reason = "shared with programs that do not call it")]
pub fn stateless_call(address: SocketAddr, key: &str, tool: &str, arguments: &Value) -> Vec<u8> {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": tool, "arguments": arguments, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {}}}});
    let headers = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/call"), ("Mcp-Name", tool)];
    request("POST", key, address, &headers, &message.to_string())
}

/// A request to the endpoint of the protocol.
#[allow(dead_code, reason = "shared with programs that do not call it")]
pub fn request(
    method: &str,
    key: &str,
    address: SocketAddr,
    headers: &[(&str, &str)],
    body: &str,
) -> Vec<u8> {
    let mut head = format!(
        "{method} /mcp HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{head}\r\n{body}").into_bytes()
}
