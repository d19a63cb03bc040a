//! An HTTP/1.1 client that keeps every byte of an answer, decompressed, also if the connection breaks.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a read may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long to listen to an endless stream, and how long it may be silent.
const STREAM_READ_TIME: Duration = Duration::from_millis(900);
const READ_TIMEOUT: Duration = Duration::from_millis(250);
/// The largest answer that is read, and its largest size when decompressed.
const MAX_REPLY_BYTES: u64 = 32 * 1024 * 1024;
const MAX_UNPACKED_BYTES: u64 = 128 * 1024 * 1024;

/// A request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    /// Whether the answer may be an endless stream, which is read briefly.
    pub(crate) stream: bool,
    /// How long a read of the answer may take, if not as long as usual.
    pub(crate) patience: Option<Duration>,
}

impl Request {
    /// Everything that is sent, except the key.
    pub(crate) fn text(&self) -> String {
        let headers = self.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
        format!("{} {}\n{}\n{}", self.method, self.path, headers.collect::<String>(), self.body)
    }
}

/// An answer, or as much of it as arrived.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// 0 if no status line arrived.
    pub(crate) status: u16,
    /// The status line and the headers.
    pub(crate) head: String,
    /// The body, dechunked and decompressed.
    pub(crate) body: Vec<u8>,
    /// Whether all of it arrived.
    pub(crate) complete: bool,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The last message: from JSON, or from the last event with data.
    pub(crate) fn message(&self) -> Option<serde_json::Value> {
        let text = self.text();
        let last = text.lines().filter_map(|line| line.strip_prefix("data: ")).rfind(|data| !data.is_empty());
        serde_json::from_str(last.unwrap_or(&text)).ok()
    }
}

/// A kept connection to one server; it reconnects when it is broken.
#[derive(Default)]
pub(crate) struct Connection(Option<BufReader<TcpStream>>);

impl Connection {
    /// Sends a request with a key. Failures leave the answer incomplete.
    pub(crate) fn exchange(&mut self, address: &str, key: &str, request: &Request) -> Answer {
        let kept = self.0.take();
        let was_kept = kept.is_some();
        let mut answer = self.exchange_over(kept, address, key, request);
        // A server may close a kept connection at any time: if nothing arrived, try a new one once.
        if was_kept && answer.head.is_empty() {
            answer = self.exchange_over(None, address, key, request);
        }
        answer
    }

    /// Sends a request over a new connection, once only: for calls that must not be repeated.
    pub(crate) fn exchange_once(address: &str, key: &str, request: &Request) -> Answer {
        Self::default().exchange_over(None, address, key, request)
    }

    fn exchange_over(
        &mut self,
        kept: Option<BufReader<TcpStream>>,
        address: &str,
        key: &str,
        request: &Request,
    ) -> Answer {
        let mut answer = Answer::default();
        let fresh = || TcpStream::connect(address).map(BufReader::new);
        let Ok(mut stream) = kept.map_or_else(fresh, Ok) else { return answer };
        let Ok(()) = send(stream.get_mut(), address, key, request) else { return answer };
        let outcome = receive(&mut stream, &mut answer, request);
        answer.body = unpacked(&answer);
        answer.complete = matches!(outcome, Ok(true));
        if answer.complete && !answer.head.to_ascii_lowercase().contains("connection: close") {
            self.0 = Some(stream);
        }
        answer
    }
}

fn send(stream: &mut TcpStream, address: &str, key: &str, request: &Request) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = format!("{} {} HTTP/1.1\r\nHost: {address}\r\n", request.method, request.path);
    head += &format!("Content-Length: {}\r\n", request.body.len());
    if !key.is_empty() {
        head += &format!("X-API-Key: {key}\r\n");
    }
    for (name, value) in &request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n{}", request.body).as_bytes())
}

/// Reads an answer; returns whether all of it arrived.
fn receive(stream: &mut BufReader<TcpStream>, answer: &mut Answer, request: &Request) -> io::Result<bool> {
    stream.get_ref().set_read_timeout(Some(request.patience.unwrap_or(TIMEOUT)))?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        if line.trim_end().is_empty() {
            break;
        }
        answer.head += &line;
    }
    answer.status = answer.head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    if matches!(answer.status, 204 | 304) {
        return Ok(true);
    }
    if request.stream
        && answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"))
    {
        stream.get_ref().set_read_timeout(Some(READ_TIMEOUT))?;
        listen(stream, answer);
        return Ok(false);
    }
    if let Some(length) = answer.header("content-length") {
        let length: u64 = length.parse().map_err(io::Error::other)?;
        let read = stream.take(length.min(MAX_REPLY_BYTES)).read_to_end(&mut answer.body)?;
        return Ok(u64::try_from(read).unwrap() == length);
    }
    while chunk(stream, &mut answer.body)? {
        if u64::try_from(answer.body.len()).unwrap() > MAX_REPLY_BYTES {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads an endless stream briefly.
fn listen(stream: &mut BufReader<TcpStream>, answer: &mut Answer) {
    let began = Instant::now();
    while began.elapsed() < STREAM_READ_TIME && matches!(chunk(stream, &mut answer.body), Ok(true)) {}
}

/// Reads one chunk; returns whether more may follow. A partial chunk is kept.
fn chunk(stream: &mut BufReader<TcpStream>, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let length = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
    if length > MAX_REPLY_BYTES {
        return Err(io::Error::other("a chunk beyond all bounds"));
    }
    let got = stream.take(length).read_to_end(into)?;
    if u64::try_from(got).unwrap() < length {
        return Ok(false);
    }
    stream.read_line(&mut String::new())?;
    Ok(length > 0)
}

/// The decompressed body; of a truncated one, as much as there is.
fn unpacked(answer: &Answer) -> Vec<u8> {
    let mut all = Vec::new();
    let _broken_off = match answer.header("content-encoding") {
        Some("gzip") => {
            flate2::read::GzDecoder::new(&*answer.body).take(MAX_UNPACKED_BYTES).read_to_end(&mut all)
        }
        Some(other) => panic!("the server compressed by `{other}`, which nobody accepted"),
        None => return answer.body.clone(),
    };
    all
}
