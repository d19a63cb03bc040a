//! Where a request ends, over real sockets: `Content-Length` and `Transfer-Encoding` of all kinds, in front of a second request with
//! the key of somebody else. A proxy that understands them in another way would pass that second request on as a part of the first one.
//! So a request whose end is not clear is refused and its connection ends, and no request is found in the body of another.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{JSON, MCP_ACCEPT, Server};

/// What only the second request shows.
const CANARY: &str = "canary-of-the-second-request";
/// How long to wait for a reply, or for the end of a connection.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long nothing comes behind the last reply.
const SILENCE: Duration = Duration::from_millis(300);
/// How many requests are tried at a time.
const AT_A_TIME: usize = 8;

/// Headers that frame a body; `{n}` is the length of the second request.
const HEADERS: &[&str] = &[
    "Content-Length: 0",
    "Content-Length: 5",
    "Content-Length: {n}",
    "Content-Length: 100000",
    "Content-Length: +5",
    "Content-Length: -1",
    "Content-Length: 0x5",
    "Content-Length: 5 5",
    "Content-Length: 5, 5",
    "Content-Length: 0, 5",
    "Content-Length:",
    "Content-Length : 5",
    "Content-Length\t: 5",
    "Content-Length: 5\r\n 0",
    "Content-Length: 18446744073709551615",
    "Content-Length: 99999999999999999999999",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding:\x0bchunked",
];

/// What stands before the second request in the body.
const BEFORE: &[&str] = &["", "hello", "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"];

/// Sizes of a chunk of five bytes.
const SIZES: &[&str] = &[
    "5",
    "005",
    "5 ",
    "4",
    "6",
    "-1",
    "-5",
    "+5",
    " 5",
    "\t5",
    "0x5",
    "5 5",
    "5h",
    "",
    "5\n",
    "5;a\nb",
    "FFFFFFFF",
    "FFFFFFFFFFFFFFF0",
    "FFFFFFFFFFFFFFFFF",
    "10000000000000005",
];

/// A first request, as its headers and what stands before the second one in its body.
type Case = (Vec<String>, String);

/// Where the body ends, if its headers say that in one clear way: lengths that are equal, or codings of which the last is that of chunks.
fn end_of_body(headers: &[String], body: &str) -> Option<usize> {
    let codings: Option<Vec<&str>> =
        headers.iter().map(|header| header.strip_prefix("Transfer-Encoding: ")).collect();
    if let Some(last) = codings.as_deref().and_then(<[&str]>::last) {
        let is_chunked = last.rsplit(", ").next() == Some("chunked");
        return if is_chunked { end_of_chunks(body) } else { None };
    }
    let mut end = None;
    for header in headers {
        let length = number(header.strip_prefix("Content-Length: ")?, 10)?;
        if end.is_some_and(|end| end != length) {
            return None;
        }
        end = Some(length);
    }
    // Without such headers there is no body.
    end.or(Some(0))
}

/// A number without signs, blanks and the like, of which a body may be so long.
fn number(digits: &str, radix: u32) -> Option<usize> {
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    u32::from_str_radix(digits, radix).ok().filter(|_| is_number)?.try_into().ok()
}

/// Where the last chunk ends. Blanks behind a size are nothing.
fn end_of_chunks(body: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let (size, _) = body.get(at..)?.split_once("\r\n")?;
        let length = number(size.trim_end_matches([' ', '\t']), 16)?;
        at += size.len() + 2;
        if !body.get(at + length..)?.starts_with("\r\n") {
            return None;
        }
        at += length + 2;
        if length == 0 {
            return Some(at);
        }
    }
}

struct Site {
    server: Server,
    second: String,
}

impl Site {
    fn start() -> Self {
        let server = Server::start(&[("RATE_LIMIT_IP_PER_MINUTE", "0")]);
        let session = server.initialize();
        server.call(&session, "initialize_memory_bank", &json!({"path": "."}));
        let written = json!({"filename": "progress.md", "content": format!("# Progress\n\n{CANARY}\n")});
        server.call(&session, "write_memory_bank_file", &written);
        let second = format!(
            "GET /api/v1/document?filename=progress.md HTTP/1.1\r\nHost: {}\r\nX-API-Key: {}\r\n\r\n",
            server.address, server.key
        );
        Self { server, second }
    }

    /// The bytes of the replies to a first request without a key and what follows it, and whether the connection ended. A connection
    /// that has to end is read to its end, another until nothing comes behind as many replies.
    fn replies(&self, (headers, before): &Case, until: Option<usize>) -> (String, bool) {
        let mut stream = self.server.connect();
        let mut request = format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\n{}: {}\r\n{}: {}\r\n",
            self.server.address, JSON.0, JSON.1, MCP_ACCEPT.0, MCP_ACCEPT.1
        );
        for header in headers {
            request += &format!("{header}\r\n");
        }
        request += &format!("\r\n{before}{}", self.second);
        // The server may have closed the connection already.
        let _ = stream.write_all(request.as_bytes());
        read(&mut stream, until)
    }

    fn check(&self, case: &Case) {
        let (headers, before) = case;
        let end = end_of_body(headers, &format!("{before}{}", self.second));
        // The second request is one of its own only where the first one has ended.
        let is_apart = end == Some(before.len());
        let until = end.map(|_| if is_apart { 2 } else { 1 });
        let (replies, has_ended) = self.replies(case, until);
        let statuses: Vec<&str> =
            replies.split("HTTP/1.1 ").skip(1).map(|reply| reply.get(..3).unwrap_or_default()).collect();
        assert_eq!(replies.contains(CANARY), is_apart, "{case:?}: {replies}");
        if end.is_some() {
            assert_eq!(statuses.first(), Some(&"401"), "{case:?}: {replies}");
        } else {
            assert!(has_ended, "the connection of {case:?} stays open: {replies}");
            assert!(statuses.len() <= 1, "{case:?}: {replies}");
            assert!(statuses.iter().all(|status| status.starts_with('4')), "{case:?}: {replies}");
        }
    }
}

fn read(stream: &mut TcpStream, until: Option<usize>) -> (String, bool) {
    let (began, mut replies) = (Instant::now(), Vec::new());
    loop {
        let text = String::from_utf8_lossy(&replies).into_owned();
        let is_there = until.is_some_and(|count| text.matches("HTTP/1.1 ").count() >= count);
        // The text of a document comes behind its head.
        let is_there = is_there && (until < Some(2) || text.contains(CANARY));
        let left = PATIENCE.saturating_sub(began.elapsed()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(if is_there { SILENCE } else { left })).unwrap();
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(0) => return (text, true),
            Ok(read) => replies.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return (text, true),
            // Time is up.
            Err(_) => return (text, false),
        }
    }
}

/// Each header alone and each pair, before each beginning of a body; and each size of a chunk.
fn cases(second: &str) -> Vec<Case> {
    let header = |text: &str| text.replace("{n}", &second.len().to_string());
    let mut framings = vec![Vec::new()];
    framings.extend(HEADERS.iter().map(|one| vec![header(one)]));
    framings
        .extend(HEADERS.iter().flat_map(|one| HEADERS.iter().map(|other| vec![header(one), header(other)])));
    let mut all: Vec<Case> = Vec::new();
    for framing in framings {
        // Of pairs, what each of two readers would take for the end.
        let bodies = if framing.len() == 2 { &BEFORE[2..3] } else { BEFORE };
        all.extend(bodies.iter().map(|before| (framing.clone(), (*before).to_owned())));
    }
    let chunked = || vec!["Transfer-Encoding: chunked".to_owned()];
    all.extend(SIZES.iter().map(|size| (chunked(), format!("{size}\r\nhello\r\n0\r\n\r\n"))));
    // The second request as a whole chunk, and in a chunk without an end.
    all.push((chunked(), format!("{:x}\r\n", second.len())));
    all.push((chunked(), format!("{:x}\r\n", second.len() + 1)));
    all
}

#[test]
fn no_request_is_found_in_the_body_of_another_and_one_without_a_clear_end_ends_its_connection() {
    let site = Site::start();
    let waiting = Mutex::new(cases(&site.second));
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap().pop();
                    let Some(case) = next else { break };
                    site.check(&case);
                }
            });
        }
    });
}
