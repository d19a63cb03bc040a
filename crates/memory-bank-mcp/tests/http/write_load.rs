//! Writers that run during a fault and record whether each write was acknowledged, refused or unanswered.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{JSON, MCP_ACCEPT, Server, TIMEOUT, call, until, write_request};

/// The number of concurrent writers.
const WRITERS: usize = 4;
/// The largest number of edits of one writer.
const MAX_EDITS: usize = 400;

/// The outcomes of the writes.
#[derive(Default)]
pub(crate) struct Load {
    acknowledged: Mutex<Vec<String>>,
    /// Status and body of refused writes.
    pub(crate) refused: Mutex<Vec<(u16, Value)>>,
    /// Requests whose connection broke.
    pub(crate) broken: AtomicUsize,
    over: AtomicBool,
}

impl Load {
    /// Writes to the servers in turn, in one session, while `meanwhile` runs.
    pub(crate) fn run(servers: &[&Server], session: &str, meanwhile: impl FnOnce(&Self)) -> Self {
        let load = Self::default();
        let places: Vec<(String, String)> =
            servers.iter().map(|server| (server.address.clone(), server.key.clone())).collect();
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (load, places) = (&load, &places);
                scope.spawn(move || load.write(writer, places, session));
            }
            // A failed check must end the writers, or the scope would wait for them.
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| meanwhile(&load)));
            load.over.store(true, Ordering::SeqCst);
            if let Err(panic) = outcome {
                std::panic::resume_unwind(panic);
            }
        });
        load
    }

    fn write(&self, writer: usize, places: &[(String, String)], session: &str) {
        for number in 0..MAX_EDITS {
            if self.over.load(Ordering::SeqCst) {
                return;
            }
            let what = format!("{writer}-{number}");
            let (address, key) = &places[(writer + number) % places.len()];
            match attempt(address, key, session, &what) {
                Ok((200, answer))
                    if answer["result"].is_object() && answer["result"]["isError"] != json!(true) =>
                {
                    self.acknowledged.lock().push(what);
                }
                Ok(refused) => self.refused.lock().push(refused),
                Err(_) => {
                    self.broken.fetch_add(1, Ordering::SeqCst);
                }
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.lock().len()
    }

    /// Waits until some more writes were acknowledged.
    pub(crate) fn await_more(&self) {
        let before = self.acknowledged();
        until("acknowledged writes", || self.acknowledged() >= before + 8);
    }

    /// Waits until some writes were refused.
    pub(crate) fn await_refusals(&self) {
        let count = || self.refused.lock().len();
        let before = count();
        until("refused writes", || count() >= before + 2);
    }

    /// Checks that each acknowledged write exists once, that no other exists twice, and that each refusal
    /// has the right form.
    pub(crate) fn check(&self, server: &Server, session: &str) {
        let progress = server.call(session, "read_memory_bank_file", &json!({"filename": "progress.md"}));
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        for rest in progress.split("entry-").skip(1) {
            let (name, _) = rest.split_once('.').unwrap_or_else(|| panic!("{rest}"));
            *found.entry(name).or_default() += 1;
        }
        let acknowledged = self.acknowledged.lock();
        for what in acknowledged.iter() {
            assert_eq!(found.get(what.as_str()), Some(&1), "{what} was acknowledged");
        }
        assert!(found.values().all(|count| *count == 1), "{found:?}");
        for (status, body) in self.refused.lock().iter() {
            let message = body["error"]["message"].as_str().or(body["error"].as_str());
            let message = message.or(body["result"]["content"][0]["text"].as_str());
            let message = message.unwrap_or_else(|| panic!("{status} {body} has no message"));
            assert!(matches!(status, 200 | 500 | 503), "{status} {body}");
            for inside in ["postgres", "127.0.0.1", "panicked", "src/"] {
                assert!(!message.contains(inside), "{message}");
            }
        }
    }
}

/// Writes once; an error means a broken connection and an unknown outcome.
fn attempt(address: &str, key: &str, session: &str, what: &str) -> io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT + TIMEOUT))?;
    let message =
        call(7, "track_progress", &json!({"action": "did", "description": format!("entry-{what}.")}))
            .to_string();
    let headers = [("X-API-Key", key), JSON, MCP_ACCEPT, ("Mcp-Session-Id", session)];
    write_request(&mut stream, address, "POST", "/mcp", &headers, &message);
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    parsed(&reply).ok_or_else(|| io::Error::other(format!("broken off: {reply}")))
}

/// Status and message of a reply; `None` if it was broken off.
fn parsed(reply: &str) -> Option<(u16, Value)> {
    let (head, body) = reply.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    if let Some(data) =
        body.lines().filter_map(|line| line.strip_prefix("data: ")).rfind(|data| !data.is_empty())
    {
        return Some((status, serde_json::from_str(data).ok()?));
    }
    Some((status, serde_json::from_str(body).ok()?))
}
