//! One request on a connection of its own, and its reply.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

/// How long a reply may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);
/// How long the next piece of a stream is waited for, which has no end.
const NEXT_PIECE: Duration = Duration::from_millis(50);
/// The most bytes of a reply that are read.
const REPLY_BYTES: usize = 4 * 1024 * 1024;

/// A text that stands for another one: the placeholder, and its value.
pub(super) type Value = (&'static str, String);

/// A request as it is sent, without the header of its address and its length.
pub(super) struct Request {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Request {
    /// A head, an empty line, a body, with values in place of placeholders; nothing if there is no request line.
    pub(super) fn of(data: &[u8], values: &[Value]) -> Option<Self> {
        let end = data.windows(2).position(|pair| pair == b"\n\n");
        let (head, body) = match end {
            Some(end) => (data.get(..end)?, data.get(end + 2..)?),
            None => (data, &[][..]),
        };
        let mut lines =
            head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let first = lines.next().filter(|line| !line.is_empty() && !line.starts_with(b"PRI "))?;
        let mut head = replaced(first, values);
        for line in lines.filter(|line| !is_set_here(line)) {
            head.extend_from_slice(b"\r\n");
            head.extend(replaced(line, values));
        }
        Some(Self { head, body: replaced(body, values) })
    }

    /// The method and the target.
    pub(super) fn line(&self) -> (String, String) {
        let line = self.head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let mut words = line.split(' ').map(str::to_owned);
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }

    /// Whether one of the headers is this line.
    pub(super) fn has_line(&self, wanted: &str) -> bool {
        let lines = self.head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        lines.skip(1).any(|line| line == wanted.as_bytes())
    }

    /// Whether the body has this text.
    pub(super) fn body_has(&self, text: &str) -> bool {
        self.body.windows(text.len()).any(|part| part == text.as_bytes())
    }

    /// The same request with one more member in its message; none if it is no call of one of these tools.
    pub(super) fn with_member_beside(&self, method: &str, tools: &[&str]) -> Option<Self> {
        let message: serde_json::Map<String, Json> = serde_json::from_slice(&self.body).ok()?;
        let tool = message.get("params")?.get("name")?.as_str()?;
        let is_read = message.get("method")?.as_str() == Some(method) && tools.contains(&tool);
        let end = self.body.iter().rposition(|byte| *byte == b'}').filter(|_| is_read)?;
        let mut body = self.body.clone();
        body.splice(end..end, *b",\"beside\":0");
        Some(Self { head: self.head.clone(), body })
    }

    /// Sends it, and reads its reply: to its end, or of a stream what comes at once.
    pub(super) fn send(&self, to: SocketAddr) -> Reply {
        static CLIENT: AtomicU32 = AtomicU32::new(0);
        // Each request has an address of its own, so that no limit of an address is reached.
        let [_, a, b, c] = CLIENT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let length = self.body.len();
        let own = format!("\r\nX-Forwarded-For: 10.{a}.{b}.{c}\r\nContent-Length: {length}\r\n\r\n");
        let bytes = [&self.head, own.as_bytes(), &self.body].concat();
        let reply = exchange(to, &bytes, self.head.starts_with(b"HEAD "));
        Reply(String::from_utf8_lossy(&reply).into_owned(), reply)
    }
}

/// Whether a line sets the length of the body, which [`Request::send`] sets. It also adds the last address of the client, behind those of
/// the input.
fn is_set_here(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default().to_ascii_lowercase();
    let name = name.trim_ascii();
    [&b"content-length"[..], b"transfer-encoding", b""].contains(&name)
}

fn replaced(part: &[u8], values: &[Value]) -> Vec<u8> {
    let mut text = Vec::with_capacity(part.len());
    let mut rest = part;
    while let Some(byte) = rest.first() {
        let found = values.iter().find(|(name, _)| rest.starts_with(name.as_bytes()));
        let taken = match found {
            Some((name, value)) => {
                text.extend_from_slice(value.as_bytes());
                name.len()
            }
            None => {
                text.push(*byte);
                1
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    text
}

/// What the server sends before a final status.
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

/// The whole text of a reply, and its bytes; empty if the server closed the connection without one.
pub(super) struct Reply(pub(super) String, Vec<u8>);

impl Reply {
    /// The final status.
    pub(super) fn status(&self) -> Option<u16> {
        let text = self.0.strip_prefix(CONTINUE).unwrap_or(&self.0);
        text.strip_prefix("HTTP/1.1 ").or_else(|| text.strip_prefix("HTTP/1.0 "))?.get(..3)?.parse().ok()
    }

    /// The JSON-RPC message of the reply; nothing if it has none.
    pub(super) fn message(&self) -> &str {
        let from = self.0.find("{\"jsonrpc\"").unwrap_or(self.0.len());
        let (_, message) = self.0.split_at(from);
        message.rfind('}').and_then(|end| message.get(..=end)).unwrap_or_default()
    }

    /// The first header of this name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next()?;
        let mut headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The stream of events that the reply is, without the frames of its chunks, and whether it came whole; none if it is none.
    pub(super) fn events(&self) -> Option<(Vec<u8>, bool)> {
        let reply = self.1.strip_prefix(CONTINUE.as_bytes()).unwrap_or(&self.1);
        let end = reply.windows(4).position(|four| four == b"\r\n\r\n")?;
        let (head, body) = (reply.get(..end)?, reply.get(end + 4..)?);
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let header = |name: &str| {
            let mut headers = head.lines().filter_map(|line| line.split_once(':'));
            headers.find(|(known, _)| *known == name).map(|(_, value)| value.trim())
        };
        header("content-type").filter(|kind| kind.starts_with("text/event-stream"))?;
        if header("transfer-encoding") == Some("chunked") {
            return Some(without_chunks(body));
        }
        let length = header("content-length").and_then(|length| length.parse::<usize>().ok());
        Some((body.to_vec(), length.is_some_and(|length| body.len() >= length)))
    }

    /// What stands between the first `before` and the next `after`.
    pub(super) fn between(&self, before: &str, after: &str) -> Option<&str> {
        self.0.split_once(before)?.1.split(after).next()
    }
}

fn exchange(address: SocketAddr, request: &[u8], is_head: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).expect("the server listens");
    stream.set_nodelay(true).expect("an option of a socket");
    // A server may refuse a request before it has read all of it.
    if stream.write_all(request).is_err() {
        return Vec::new();
    }
    let began = Instant::now();
    let mut reply = Vec::new();
    loop {
        assert!(began.elapsed() < TIMEOUT, "the reply takes more than {} s", TIMEOUT.as_secs());
        let remaining = remaining(&reply, is_head);
        if remaining == Remaining::Nothing || reply.len() > REPLY_BYTES {
            return reply;
        }
        let patience = if remaining == Remaining::Stream { NEXT_PIECE } else { TIMEOUT };
        stream.set_read_timeout(Some(patience)).expect("an option of a socket");
        let mut piece = [0; 16 * 1024];
        match stream.read(&mut piece) {
            Ok(0) => return reply,
            Ok(read) => reply.extend_from_slice(piece.get(..read).unwrap_or_default()),
            Err(error) if remaining == Remaining::Stream && is_timeout(error.kind()) => return reply,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return reply,
            // A signal of the process, such as the clock of the fuzzer.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("no reply: {error}"),
        }
    }
}

/// The content of a body in chunks, and whether the last one is there.
fn without_chunks(mut body: &[u8]) -> (Vec<u8>, bool) {
    let mut content = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(body.get(..end).unwrap_or_default()).unwrap_or_default();
        let size = usize::from_str_radix(size, 16).expect("a chunk has a size");
        let rest = body.get(end + 2..).unwrap_or_default();
        if size == 0 {
            return (content, true);
        }
        content.extend_from_slice(rest.get(..size).unwrap_or(rest));
        body = rest.get(size + 2..).unwrap_or_default();
    }
    (content, false)
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// What of a reply is yet to come.
#[derive(Debug, PartialEq, Eq)]
enum Remaining {
    Nothing,
    Something,
    /// Nobody knows: it ends when the server ends it.
    Stream,
}

fn remaining(reply: &[u8], is_head: bool) -> Remaining {
    let Some(end) = reply.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Remaining::Something;
    };
    let (head, body) = (reply.get(..end).unwrap_or_default(), reply.get(end + 4..).unwrap_or_default());
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    if head.starts_with("http/1.1 100") {
        return remaining(body, is_head);
    }
    if is_head || head.starts_with("http/1.1 204") || head.starts_with("http/1.1 304") {
        return Remaining::Nothing;
    }
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    match length {
        Some(length) if body.len() >= length => Remaining::Nothing,
        Some(_) => Remaining::Something,
        None if body.ends_with(b"0\r\n\r\n") => Remaining::Nothing,
        None => Remaining::Stream,
    }
}
