//! A server in its own folder, and an HTTP client on a plain socket, which can send malformed requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The time-out of every wait.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// A running server; it is killed when dropped.
pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) address: String,
    /// Where metrics are read, if they are.
    pub(crate) metrics: Option<String>,
    pub(crate) key: String,
    pub(crate) folder: TempDir,
    /// The folder of its keys.
    pub(crate) state: TempDir,
}

impl Server {
    /// A server of a new folder, with these variables.
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_in(TempDir::new().unwrap(), variables)
    }

    pub(crate) fn start_in(folder: TempDir, variables: &[(&str, &str)]) -> Self {
        Self::start_with(folder, Stdio::null(), variables)
    }

    /// The same folder again, with its stored keys.
    pub(crate) fn start_again(folder: TempDir, state: TempDir, variables: &[(&str, &str)]) -> Self {
        Self::start_at(folder, state, Stdio::null(), variables)
    }

    /// A server that logs to `log`.
    pub(crate) fn start_with(folder: TempDir, log: Stdio, variables: &[(&str, &str)]) -> Self {
        Self::start_at(folder, TempDir::new().unwrap(), log, variables)
    }

    fn start_at(folder: TempDir, state: TempDir, log: Stdio, variables: &[(&str, &str)]) -> Self {
        let mut command = command(&folder, variables);
        command.env("MEMORY_BANK_STATE_DIR", state.path());
        let mut process = command.arg("serve").stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let (mut key, mut metrics) = (String::new(), None);
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(message) = line.strip_prefix("API key (shown this once): ") {
                key = message.to_owned();
            }
            if let Some(url) = line.strip_prefix("Metrics on http://") {
                metrics = Some(url.trim_end_matches("/metrics").to_owned());
            }
            if let Some(url) = line.strip_prefix("Listening on http://") {
                let address = url.trim_end_matches("/mcp").to_owned();
                return Self { process, address, metrics, key, folder, state };
            }
        }
        panic!("the server ended: {:?}", process.wait());
    }

    /// Sends a request with the server's own key.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut all = vec![("X-API-Key", self.key.as_str())];
        all.extend(headers);
        self.send_bare(method, path, &all, body)
    }

    /// Sends a request without a key.
    pub(crate) fn send_bare(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut stream = self.connect();
        write_request(&mut stream, &self.address, method, path, headers, body);
        read_reply(stream)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream
    }

    /// Shakes hands and returns the session.
    pub(crate) fn initialize(&self) -> String {
        let reply = self.post(None, &handshake("2025-11-25"));
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.header("mcp-session-id").unwrap().to_owned()
    }

    /// Posts a message to `/mcp`.
    pub(crate) fn post(&self, session: Option<&str>, message: &Value) -> Reply {
        let mut headers = vec![MCP_ACCEPT, JSON];
        if let Some(session) = session {
            headers.push(("Mcp-Session-Id", session));
        }
        self.send("POST", "/mcp", &headers, &message.to_string())
    }

    /// Calls a tool in a session and returns the text of its reply.
    pub(crate) fn call(&self, session: &str, tool: &str, arguments: &Value) -> String {
        let message = call(7, tool, arguments);
        let reply = self.post(Some(session), &message).message();
        reply["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
    }

    /// Opens the stream of a session.
    pub(crate) fn listen(&self, session: &str, last_event: Option<&str>) -> Listener {
        self.listen_as(&self.key, session, last_event)
    }

    /// Opens the stream of a session with this key.
    pub(crate) fn listen_as(&self, key: &str, session: &str, last_event: Option<&str>) -> Listener {
        let mut headers =
            vec![("X-API-Key", key), ("Accept", "text/event-stream"), ("Mcp-Session-Id", session)];
        if let Some(last) = last_event {
            headers.push(("Last-Event-ID", last));
        }
        self.open_stream("GET", &headers, "")
    }

    /// Subscribes a session to a resource.
    pub(crate) fn subscribe(&self, session: &str, uri: &str) {
        let message =
            json!({"jsonrpc": "2.0", "id": 3, "method": "resources/subscribe", "params": {"uri": uri}});
        assert_eq!(self.post(Some(session), &message).message()["result"], json!({}));
    }

    /// Sends a request of the sessionless protocol.
    pub(crate) fn send_sessionless(&self, method: &str, name: Option<&str>, params: &Value) -> Reply {
        send_sessionless_to(&self.address, &self.key, method, name, params)
    }

    /// Opens the stream of the sessionless protocol and waits until it is established.
    pub(crate) fn listen_without_session(&self, uris: &[&str]) -> Listener {
        self.listen_without_session_as(&self.key, uris)
    }

    /// The same with this key.
    pub(crate) fn listen_without_session_as(&self, key: &str, uris: &[&str]) -> Listener {
        let wanted = json!({"notifications": {"resourcesListChanged": true, "resourceSubscriptions": uris}});
        let (mut headers, body) = sessionless("subscriptions/listen", None, &wanted);
        headers.push(("X-API-Key", key));
        let mut listener = self.open_stream("POST", &headers, &body);
        let first = listener.next().expect("an acknowledgement");
        assert_eq!(first["method"], json!("notifications/subscriptions/acknowledged"), "{first}");
        listener
    }

    /// Opens a stream.
    pub(crate) fn open_stream(&self, method: &str, headers: &[(&str, &str)], body: &str) -> Listener {
        let mut stream = self.connect();
        write_request(&mut stream, &self.address, method, "/mcp", headers, body);
        let mut lines = BufReader::new(stream);
        let mut status = String::new();
        lines.read_line(&mut status).unwrap();
        assert!(status.contains(" 200 "), "{status}");
        let mut header = String::new();
        while lines.read_line(&mut header).unwrap() > 2 {
            header.clear();
        }
        Listener { lines: BufReader::new(Chunks { stream: lines, left: 0 }) }
    }

    /// Sends SIGTERM, and waits for the end of the process.
    pub(crate) fn terminate(&mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = self.process.wait().unwrap();
        (status.code(), began.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The binary in a folder, with only these variables.
pub(crate) fn command(folder: &TempDir, variables: &[(&str, &str)]) -> Command {
    // Another build can be measured, such as an earlier one.
    let program = std::env::var_os("MEMORY_BANK_MCP");
    let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_memory-bank-mcp").into()));
    command.current_dir(folder.path()).env_clear().env("MCP_PORT", "0").envs(variables.iter().copied());
    command
}

pub(crate) const JSON: (&str, &str) = ("Content-Type", "application/json");
pub(crate) const MCP_ACCEPT: (&str, &str) = ("Accept", "application/json, text/event-stream");

/// Sends a request to any address.
pub(crate) fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    write_request(&mut stream, address, method, path, headers, body);
    read_reply(stream)
}

/// The first message of a client.
pub(crate) fn handshake(version: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}})
}

/// A call of a tool.
pub(crate) fn call(id: u32, tool: &str, arguments: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

/// A request in the protocol without sessions: its headers and its body.
fn sessionless<'a>(
    method: &'a str,
    name: Option<&'a str>,
    params: &Value,
) -> (Vec<(&'a str, &'a str)>, String) {
    let mut params = params.clone();
    params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let mut headers = vec![JSON, MCP_ACCEPT, ("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)];
    headers.extend(name.map(|name| ("Mcp-Name", name)));
    (headers, message.to_string())
}

/// Sends a request of the sessionless protocol.
pub(crate) fn send_sessionless_to(
    address: &str,
    key: &str,
    method: &str,
    name: Option<&str>,
    params: &Value,
) -> Reply {
    let (mut headers, body) = sessionless(method, name, params);
    headers.push(("X-API-Key", key));
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    write_request(&mut stream, address, "POST", "/mcp", &headers, &body);
    read_reply(stream)
}

/// The structured result of a tool call; a long reply has it as text only.
pub(crate) fn structured(reply: &Value) -> Value {
    match &reply["result"]["structuredContent"] {
        Value::Null => {
            let text = reply["result"]["content"][0]["text"].as_str().unwrap();
            serde_json::from_str(text).unwrap_or_default()
        }
        data => data.clone(),
    }
}

/// The names in a reply to `tools/list`.
pub(crate) fn tool_names(listed: &Value) -> Vec<String> {
    let tools = listed["result"]["tools"].as_array().unwrap();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

/// Waits until a condition holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < TIMEOUT, "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Sends a signal, such as `-STOP`, to a process.
pub(crate) fn signal(process: u32, signal: &str) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

/// A whole reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The message, from JSON or from the last event.
    pub(crate) fn message(&self) -> Value {
        if self.header("content-type") == Some("text/event-stream") {
            let data = self.events().pop().expect("an event").1;
            return serde_json::from_str(&data).unwrap();
        }
        self.json()
    }

    /// The events with data: id and data.
    pub(crate) fn events(&self) -> Vec<(String, String)> {
        let mut events = Vec::new();
        let mut id = String::new();
        for line in self.body.lines() {
            if let Some(named) = line.strip_prefix("id: ") {
                named.clone_into(&mut id);
            }
            if let Some(data) = line.strip_prefix("data: ").filter(|data| !data.is_empty()) {
                events.push((id.clone(), data.to_owned()));
            }
        }
        events
    }
}

/// An open stream.
pub(crate) struct Listener {
    lines: BufReader<Chunks>,
}

/// The body of a reply that comes in chunks: an event may be spread over several.
struct Chunks {
    stream: BufReader<TcpStream>,
    /// Of the chunk that is being read.
    left: usize,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.left == 0 {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Ok(0);
            }
            match usize::from_str_radix(line.trim(), 16) {
                Ok(0) => return Ok(0),
                Ok(length) => self.left = length,
                // The line end behind a chunk.
                Err(_) => {}
            }
        }
        let most = buffer.len().min(self.left);
        let read = self.stream.read(&mut buffer[..most])?;
        self.left -= read;
        Ok(read)
    }
}

impl Listener {
    /// Waits for a notification of this method, about this resource if one is named; others are passed over.
    pub(crate) fn await_notification(&mut self, method: &str, uri: Option<&str>) {
        loop {
            let message = self.next().unwrap_or_else(|| panic!("the stream ended before {method}"));
            let about = message["params"]["uri"].as_str();
            if message["method"] == json!(method) && (uri.is_none() || uri == about) {
                return;
            }
        }
    }

    /// The id of the next event.
    pub(crate) fn event_id(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).expect("nothing came in time") > 0, "the stream ended");
            if let Some(id) = line.strip_prefix("id: ") {
                return id.trim().to_owned();
            }
        }
    }

    /// Reads until the end.
    pub(crate) fn await_end(&mut self) {
        while self.next().is_some() {}
    }

    /// The next message, or `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("nothing came in time") == 0 {
                return None;
            }
            // Besides data there are ids, comments and the lengths of chunks.
            if let Some(data) = line.strip_prefix("data: ").map(str::trim).filter(|data| !data.is_empty()) {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }
}

/// The status of a reply whose body may never end.
pub(crate) fn read_status(stream: TcpStream) -> u16 {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{line:?}"))
}

pub(crate) fn write_request(
    stream: &mut TcpStream,
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) {
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head += &format!("Host: {address}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    // A server that refuses early may close before it has read all.
    let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes());
}

pub(crate) fn read_reply(stream: TcpStream) -> Reply {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status =
        line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{line:?}"));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let mut body = Vec::new();
    if chunked {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).unwrap();
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    } else {
        let _ = reader.read_to_end(&mut body);
    }
    Reply { status, headers, body: String::from_utf8(body).unwrap() }
}

/// A figure of a process, in bytes.
pub(crate) fn memory(server: &Server, figure: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(figure)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}
