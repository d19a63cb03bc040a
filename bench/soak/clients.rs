//! The clients of the soak: each reads, writes, searches, opens sessions and streams, and checks what it reads. A call that finds its
//! server gone is sent to another one, as clients behind a proxy do it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::load::{Connection, request, stateless_call};
use memory_bank_simulation::random::Random;

/// How long a reply may take.
const LONGEST: Duration = Duration::from_secs(30);
/// Before a call is sent again.
const PAUSE: Duration = Duration::from_millis(20);
/// How many failures are kept with their texts.
const MOST_FAILURES: usize = 20;
/// How many letters of a reason count.
const MOST_REASON: usize = 160;

/// What all clients have done.
#[derive(Default)]
pub struct Counts {
    /// Calls that got the expected reply.
    pub calls: u64,
    /// Of them, those that were sent many at once.
    pub in_bursts: u64,
    /// Of them, changes.
    pub changes: u64,
    /// Calls that were sent again, since their server was going or gone.
    pub resent: u64,
    pub sessions: u64,
    pub streams: u64,
    /// Calls without the expected reply.
    pub failed: u64,
    /// Acknowledged writes that a later read did not show.
    pub lost: u64,
    /// What failed first.
    pub failures: Vec<String>,
    /// Why calls were sent again, and how often.
    pub reasons: BTreeMap<String, u64>,
    /// The longest time between two acknowledged changes of any clients.
    pub longest_gap: Duration,
    last_change: Option<Instant>,
    /// The longest time that a call took, with all times that it was sent.
    pub slowest: Duration,
    /// The longest time that a single try took which did not get the expected reply.
    pub slowest_refusal: Duration,
    /// How long the calls took since the times were taken last.
    pub times: Vec<Duration>,
}

/// What the clients share.
#[derive(Clone, Default)]
pub struct Shared {
    counts: Arc<Mutex<Counts>>,
    /// Lost writes and failed calls of the counts that were taken.
    former: Arc<Mutex<(u64, u64)>>,
    end: Arc<AtomicBool>,
    /// Where servers listen now.
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Shared {
    /// Changes or reads the counts.
    pub fn counted<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The counts since they were taken last.
    pub fn taken(&self) -> Counts {
        let taken = self.counted(|counts| {
            let next = Counts { last_change: counts.last_change, ..Counts::default() };
            std::mem::replace(counts, next)
        });
        let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        *former = (former.0 + taken.lost, former.1 + taken.failed);
        taken
    }

    /// Acknowledged writes that were lost, and calls that failed, of all counts.
    pub fn totals(&self) -> (u64, u64) {
        let former = *self.former.lock().unwrap_or_else(PoisonError::into_inner);
        self.counted(|counts| (former.0 + counts.lost, former.1 + counts.failed))
    }

    /// Set when the clients are to end before their time.
    pub fn end(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.end)
    }

    /// Names where servers listen from now on.
    pub fn serve_at(&self, addresses: Vec<SocketAddr>) {
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = addresses;
    }

    /// Where one of them listens, at random.
    pub fn address(&self, random: &mut Random) -> anyhow::Result<SocketAddr> {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.get(random.below(addresses.len().max(1))).copied().context("no server listens")
    }

    fn acknowledged(&self) {
        self.counted(|counts| {
            counts.changes += 1;
            let now = Instant::now();
            let last = counts.last_change.replace(now).unwrap_or(now);
            counts.longest_gap = counts.longest_gap.max(now - last);
        });
    }

    /// Counts a request that is sent again, with the reason and the time of the try.
    pub fn sent_again(&self, why: &str, took: Duration) {
        self.counted(|counts| {
            counts.resent += 1;
            counts.slowest_refusal = counts.slowest_refusal.max(took);
            // Ids and addresses make no kinds of their own.
            let kind: String =
                why.chars().filter(|letter| !letter.is_ascii_digit()).take(MOST_REASON).collect();
            if counts.reasons.len() < MOST_FAILURES || counts.reasons.contains_key(&kind) {
                *counts.reasons.entry(kind).or_default() += 1;
            }
        });
    }

    /// Counts a call without the expected reply.
    pub fn failed(&self, what: &str, error: &anyhow::Error) {
        self.counted(|counts| {
            counts.failed += 1;
            if counts.failures.len() < MOST_FAILURES {
                counts.failures.push(format!("{what}: {}", format!("{error:#}").replace('\n', " ")));
            }
        });
    }
}

/// What a client does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    Everything,
    /// Reads and writes of its own document: a call whose reply was lost may be made again.
    OwnDocument,
}

/// One client, with a document that nobody else writes.
pub struct Client {
    pub key: String,
    pub number: usize,
    pub random: Random,
    pub shared: Shared,
    mix: Mix,
    /// How long a call is sent again before it counts as failed.
    patience: Duration,
    connection: Option<(SocketAddr, Connection)>,
    session: Option<String>,
    /// The number in the text of its document that was acknowledged last, and one that may have been written since.
    written: u64,
    unanswered: Option<u64>,
}

impl Client {
    pub fn new(key: String, number: usize, shared: Shared, mix: Mix, patience: Duration) -> Self {
        let random = Random::new(number as u64);
        Self {
            key,
            number,
            random,
            shared,
            mix,
            patience,
            connection: None,
            session: None,
            written: 0,
            unanswered: None,
        }
    }

    /// Works until the end, one step about every `pause`.
    pub async fn work(mut self, until: Instant, pause: Duration) {
        self.write().await;
        while Instant::now() < until && !self.shared.end.load(Ordering::Relaxed) {
            // Reads and writes of the own document alone: each may be sent twice.
            let most = if self.mix == Mix::OwnDocument { 60 } else { 100 };
            match self.random.below(most) {
                0..45 => self.read().await,
                45..60 => self.write().await,
                60..65 => self.make_and_delete().await,
                65..70 => self.learn_and_forget().await,
                70..80 => self.search().await,
                80..92 => self.talk().await,
                92..95 => self.listen().await,
                95..97 => self.be_refused().await,
                _ => self.browse().await,
            }
            let percent = 50 + self.random.below(100);
            tokio::time::sleep(pause.mul_f64(percent as f64 / 100.0)).await;
        }
        // Its last acknowledged write must exist.
        self.read().await;
    }

    fn document(&self) -> String {
        format!("notes-{}.md", self.number)
    }

    async fn read(&mut self) {
        let Some(reply) = self.call("read_memory_bank_file", &json!({"filename": self.document()})).await
        else {
            return;
        };
        let found = reply.split("entry ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
        if found == Some(self.written) {
            return;
        }
        if found.is_some() && found == self.unanswered {
            self.written = self.unanswered.take().unwrap_or_default();
            return;
        }
        let (number, written) = (self.number, self.written);
        // Each lost write counts once.
        (self.written, self.unanswered) = (found.unwrap_or_default(), None);
        let missing = written.saturating_sub(found.unwrap_or_default()).max(1);
        self.shared.counted(|counts| {
            counts.lost += missing;
            if counts.failures.len() < MOST_FAILURES {
                counts.failures.push(format!("client {number} wrote {written} and read {found:?}"));
            }
        });
    }

    async fn write(&mut self) {
        let next = self.unanswered.unwrap_or(self.written) + 1;
        let lines = "- a line of some words, as notes have them, of which there are a few\n".repeat(28);
        let content = format!("# Notes\n\nentry {next} of a document\n\n{lines}");
        self.unanswered = Some(next);
        if self
            .change("write_memory_bank_file", &json!({"filename": self.document(), "content": content}))
            .await
        {
            self.written = next;
            self.unanswered = None;
        }
    }

    async fn make_and_delete(&mut self) {
        let name = json!(format!("made/{}-{}.md", self.number, self.random.below(1000)));
        if self
            .change("write_memory_bank_file", &json!({"filename": name, "content": "# Made\n\n- one line\n"}))
            .await
        {
            self.change("delete_memory_bank_file", &json!({"filename": name})).await;
        }
    }

    async fn learn_and_forget(&mut self) {
        let entity = format!("Component {}-{}", self.number, self.random.below(100));
        let made = json!({"name": entity, "entityType": "service"});
        if self.change("graph_upsert_entity", &made).await {
            let text = format!("round {} was measured", self.random.below(1000));
            self.change("graph_add_observation", &json!({"entity": entity, "text": text})).await;
            self.change("graph_delete_entity", &json!({"entity": entity})).await;
        }
    }

    async fn search(&mut self) {
        let query = json!({"query": "words that notes have"});
        match self.random.below(4) {
            0 => self.call("search_memory_bank", &query).await,
            1 => self.call("graph_search", &query).await,
            2 => self.call("get_context_digest", &json!({})).await,
            _ => self.call("get_targeted_context", &query).await,
        };
    }

    /// A call in a session, whose reply is a stored event. Some sessions are ended, and some are left.
    async fn talk(&mut self) {
        if self.session.is_none() && !self.open_session().await {
            return;
        }
        let Some(session) = self.session.clone() else { return };
        let message = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
            "name": "read_memory_bank_file", "arguments": {"filename": self.document()}}});
        let headers = [("MCP-Protocol-Version", "2025-11-25"), ("Mcp-Session-Id", session.as_str())];
        self.send("a call in a session", "\"isError\":false", |key, address| {
            request("POST", key, address, &headers, &message.to_string())
        })
        .await;
        match self.random.below(20) {
            0..3 => {
                self.session = None;
                self.send("the end of a session", "", |key, address| {
                    request("DELETE", key, address, &headers, "")
                })
                .await;
            }
            3 => self.session = None,
            _ => {}
        }
    }

    async fn open_session(&mut self) -> bool {
        let handshake = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "soak", "version": "1"}}});
        let reply = self
            .send("initialize", "mcp-session-id: ", |key, address| {
                request("POST", key, address, &[], &handshake.to_string())
            })
            .await;
        let session = reply.as_deref().and_then(|reply| {
            reply
                .lines()
                .find_map(|line| line.strip_prefix("mcp-session-id: "))
                .map(|id| id.trim().to_owned())
        });
        self.session = session;
        self.shared.counted(|counts| counts.sessions += u64::from(self.session.is_some()));
        self.session.is_some()
    }

    /// Opens a stream of its session and leaves it open for a while. It ends with its server.
    async fn listen(&mut self) {
        let Some(session) = self.session.clone() else { return };
        let (key, seconds) = (self.key.clone(), 5 + self.random.below(40) as u64);
        let Ok(address) = self.shared.address(&mut self.random) else { return };
        self.shared.counted(|counts| counts.streams += 1);
        let shared = self.shared.clone();
        tokio::spawn(async move {
            match tokio::time::timeout(Duration::from_secs(seconds), stream(address, &key, &session)).await {
                // The time is over, or the server has ended or left the stream.
                Err(_) | Ok(Ok(())) => {}
                Ok(Err(error)) => shared.failed("a stream", &error),
            }
        });
    }

    /// Sends a request with a wrong key.
    async fn be_refused(&mut self) {
        let Ok(address) = self.shared.address(&mut self.random) else { return };
        let Ok(mut connection) = Connection::open(address).await else { return };
        let wrong = format!("mbmcp_live_{}", "0".repeat(32));
        let sent = stateless_call(address, &wrong, "read_memory_bank_file", &json!({"filename": "notes.md"}));
        let tried = Instant::now();
        match connection.ask(&sent).await {
            Err(error) if format!("{error:#}").starts_with("HTTP/1.1 401") => {
                self.shared.counted(|counts| counts.calls += 1);
            }
            Ok(_) => self.shared.failed("a wrong key", &anyhow::anyhow!("was admitted")),
            // The server is gone.
            Err(error) => self.shared.sent_again(&format!("{error:#}"), tried.elapsed()),
        }
    }

    async fn browse(&mut self) {
        let place = match self.random.below(3) {
            0 => "digest".to_owned(),
            1 => "documents".to_owned(),
            _ => format!("document?filename={}", self.document()),
        };
        self.send("REST", "HTTP/1.1 200", |key, address| {
            format!("GET /api/v1/{place} HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {key}\r\n\r\n")
                .into_bytes()
        })
        .await;
    }

    /// Makes a change; returns whether it was acknowledged.
    async fn change(&mut self, tool: &str, arguments: &Value) -> bool {
        let done = self.call(tool, arguments).await.is_some();
        if done {
            self.shared.acknowledged();
        }
        done
    }

    async fn call(&mut self, tool: &str, arguments: &Value) -> Option<String> {
        self.send(tool, "\"isError\":false", |key, address| stateless_call(address, key, tool, arguments))
            .await
    }

    /// Sends a request, again elsewhere if its server is gone; returns the reply if it is the expected one.
    async fn send(
        &mut self,
        what: &str,
        expects: &str,
        sent: impl Fn(&str, SocketAddr) -> Vec<u8>,
    ) -> Option<String> {
        let began = Instant::now();
        loop {
            let tried = Instant::now();
            match self.send_once(&sent).await {
                Ok(reply) if reply.contains(expects) => {
                    let took = began.elapsed();
                    self.shared.counted(|counts| {
                        counts.calls += 1;
                        counts.times.push(took);
                        counts.slowest = counts.slowest.max(took);
                    });
                    return Some(reply);
                }
                Ok(reply) => {
                    let reply: String =
                        reply.split("\r\n\r\n").nth(1).unwrap_or(&reply).chars().take(400).collect();
                    let may_pass = reply.contains("ry again") || reply.contains("retry");
                    if !may_pass || began.elapsed() > self.patience {
                        self.shared.failed(what, &anyhow::anyhow!("{reply}"));
                        return None;
                    }
                    self.shared.sent_again(&reply, tried.elapsed());
                }
                Err(error) => {
                    self.connection = None;
                    let text = format!("{error:#}");
                    // A session that was left for long may have been ended.
                    if text.starts_with("HTTP/1.1 404") && self.session.is_some() {
                        self.session = None;
                        return None;
                    }
                    // An error of the caller is one at every server.
                    if text.starts_with("HTTP/1.1 4") || began.elapsed() > self.patience {
                        self.shared.failed(what, &error);
                        return None;
                    }
                    let kind = text.split("\r\n\r\n").nth(1).unwrap_or(&text);
                    self.shared.sent_again(kind, tried.elapsed());
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn send_once(&mut self, sent: &impl Fn(&str, SocketAddr) -> Vec<u8>) -> anyhow::Result<String> {
        if self.connection.is_none() || self.random.below(50) == 0 {
            let address = self.shared.address(&mut self.random)?;
            self.connection = Some((address, Connection::open(address).await?));
        }
        let Some((address, connection)) = &mut self.connection else { bail!("there is no connection") };
        let sent = sent(&self.key, *address);
        let reply =
            tokio::time::timeout(LONGEST, connection.ask(&sent)).await.context("no reply in time")??;
        Ok(String::from_utf8_lossy(reply).into_owned())
    }
}

/// Opens the stream of a session and reads it until it ends.
pub async fn stream(address: SocketAddr, key: &str, session: &str) -> anyhow::Result<()> {
    let head = format!(
        "GET /mcp HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {key}\r\nAccept: text/event-stream\r\n\
         MCP-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: {session}\r\n\r\n"
    );
    // A server that is gone has no stream, which its client opens at another one.
    let Ok(mut stream) = TcpStream::connect(address).await else { return Ok(()) };
    if stream.write_all(head.as_bytes()).await.is_err() {
        return Ok(());
    }
    let mut read = Vec::with_capacity(4096);
    while matches!(stream.read_buf(&mut read).await, Ok(1..)) {
        // The session may have ended before the stream began. What else is refused is not expected.
        ensure!(
            read.len() < 12 || read.starts_with(b"HTTP/1.1 200") || read.starts_with(b"HTTP/1.1 404"),
            "{}",
            String::from_utf8_lossy(&read)
        );
        read.truncate(64);
    }
    Ok(())
}
