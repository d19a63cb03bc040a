//! Clients that read and write a few documents and facts at random, and the record of their calls.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::checker::{AppendLog, Facts, LogCall, Operation, Register, RegisterCall, check};
use super::counts::Counts;
use crate::harness::random::Random;
use crate::harness::tool_call::Outcome;

/// The documents of each kind, and the entities. Few, so that clients meet.
const REGISTERS: usize = 3;
const LOGS: usize = 2;
const ENTITIES: usize = 1;
/// The characters of a reply that has all facts of a round.
const WHOLE: usize = 500_000;
/// How long to wait for a reply that says that something was done.
const TIMEOUT: Duration = Duration::from_secs(90);

/// The record of one round: documents and entities of its own, so that no history becomes long.
pub(crate) struct Recorder {
    pub(super) round: String,
    /// Grows with each call and each reply.
    clock: AtomicU64,
    pub(super) registers: Mutex<BTreeMap<String, Vec<Operation<RegisterCall>>>>,
    pub(super) logs: Mutex<BTreeMap<String, Vec<Operation<LogCall>>>>,
    pub(super) facts: Mutex<BTreeMap<String, Vec<Operation<LogCall>>>>,
    answered: AtomicUsize,
    is_over: AtomicBool,
    /// The first reply of a limiter that refused a call: a fault of the program.
    limited: Mutex<Option<String>>,
}

/// The texts and etags of registers that a client has seen last.
#[derive(Default)]
pub(crate) struct Seen(BTreeMap<String, (String, String)>);

impl Recorder {
    pub(crate) fn new(round: &str) -> Self {
        Self {
            round: round.to_owned(),
            clock: AtomicU64::new(1),
            registers: Mutex::default(),
            logs: Mutex::default(),
            facts: Mutex::default(),
            answered: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            limited: Mutex::default(),
        }
    }

    /// The calls that prepare a round.
    pub(crate) fn setup_calls(&self) -> Vec<(&'static str, Value)> {
        let logs = (0..LOGS).map(|log| {
            ("write_memory_bank_file", json!({"filename": self.log(log), "content": "# Log\n\n## Lines\n"}))
        });
        let entities = (0..ENTITIES).map(|entity| {
            ("graph_upsert_entity", json!({"name": self.entity(entity), "entityType": "thing"}))
        });
        logs.chain(entities).collect()
    }

    fn register(&self, number: usize) -> String {
        format!("register-{}-{number}.md", self.round)
    }

    /// The name of a document to which lines are appended.
    pub(super) fn log(&self, number: usize) -> String {
        format!("log-{}-{number}.md", self.round)
    }

    fn entity(&self, number: usize) -> String {
        format!("Entity {} {number}", self.round)
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Calls at random until the round is over.
    pub(crate) fn run(
        &self,
        client: usize,
        random: &mut Random,
        mut server: impl FnMut(&str, Value) -> Outcome,
    ) {
        let mut seen = Seen::default();
        let mut server = |tool: &str, arguments: Value| {
            let outcome = server(tool, arguments);
            if let Outcome::Limited(reply) = &outcome {
                self.note_limited(reply.clone());
            }
            outcome
        };
        while !self.is_over() {
            let is_answered = self.step(client, random, &mut seen, &mut server);
            if is_answered {
                self.answered.fetch_add(1, Ordering::SeqCst);
            }
            // Histories stay short, and a server that is down is not called all the time.
            std::thread::sleep(Duration::from_millis(if is_answered { 3 } else { 30 }));
        }
    }

    /// Whether the clients are to end.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Notes the reply of a limiter that refused a call.
    pub(super) fn note_limited(&self, reply: String) {
        self.limited.lock().get_or_insert(reply);
    }

    /// An error if a limiter refused a call.
    fn check_limiter(&self) -> Result<(), String> {
        match &*self.limited.lock() {
            Some(reply) => Err(format!("a limiter refused a call below all limits: {reply}")),
            None => Ok(()),
        }
    }

    /// The number of calls that were answered.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// Waits until this many more calls were answered.
    pub(crate) fn await_more(&self, more: usize) {
        let (began, before) = (Instant::now(), self.answered());
        while self.answered() < before + more {
            self.check_limiter().unwrap_or_else(|wrong| panic!("{wrong}"));
            assert!(began.elapsed() < TIMEOUT, "no call was answered any more");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Runs `happens` while the clients call, and ends the round afterwards, also after a panic.
    pub(crate) fn while_they_call(&self, happens: impl FnOnce()) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(happens));
        self.is_over.store(true, Ordering::SeqCst);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }

    /// Reads everything once more, as a client that comes after all others.
    ///
    /// # Errors
    /// What cannot be read, and the last reply.
    pub(crate) fn read_all(
        &self,
        client: usize,
        server: &mut dyn FnMut(&str, Value) -> Outcome,
    ) -> Result<(), String> {
        let last = RefCell::new(Outcome::Unknown);
        let mut server = |tool: &str, arguments: Value| {
            let outcome = server(tool, arguments);
            last.replace(outcome.clone());
            outcome
        };
        let told = |name: &str, is_read: bool| {
            is_read.then_some(()).ok_or_else(|| format!("{name} cannot be read: {:?}", last.borrow()))
        };
        for name in (0..REGISTERS).map(|number| self.register(number)) {
            told(&name, self.read(client, &name, &mut Seen::default(), &mut server))?;
        }
        for name in (0..LOGS).map(|number| self.log(number)) {
            told(&name, self.read_log(client, &name, &mut server))?;
        }
        for name in (0..ENTITIES).map(|number| self.entity(number)) {
            told(&name, self.read_facts(client, &name, &mut server))?;
        }
        Ok(())
    }

    /// All calls so far, one line for each, in the order of their beginnings.
    pub(super) fn lines(&self) -> Vec<Value> {
        let mut lines = Vec::new();
        for (name, operations) in &*self.registers.lock() {
            lines.extend(operations.iter().map(|operation| json!({"on": name, "operation": operation})));
        }
        for all in [&self.logs, &self.facts] {
            for (name, operations) in &*all.lock() {
                lines.extend(operations.iter().map(|operation| json!({"on": name, "operation": operation})));
            }
        }
        lines.sort_by_key(|line| line["operation"]["invoked"].as_u64());
        lines
    }

    /// Checks the round.
    ///
    /// # Errors
    /// A document or an entity whose calls have no order, and these; or the reply of a limiter.
    pub(crate) fn check(&self) -> Result<Counts, String> {
        self.check_limiter()?;
        let mut counts = Counts::default();
        for (name, operations) in &*self.registers.lock() {
            check::<Register>(operations).map_err(|wrong| format!("{name}: {wrong}"))?;
            counts.add_calls(operations, |call| match call {
                RegisterCall::Read(_) => "read",
                RegisterCall::Write(_) => "write",
                RegisterCall::Replace { .. } => "replace",
                RegisterCall::Refused { .. } => "refused",
                RegisterCall::Delete => "delete",
            });
        }
        for (name, operations) in &*self.logs.lock() {
            check::<AppendLog>(operations).map_err(|wrong| format!("{name}: {wrong}"))?;
            counts.add_calls(operations, |call| match call {
                LogCall::Append(_) => "append",
                LogCall::Read(_) => "read a log",
            });
        }
        for (name, operations) in &*self.facts.lock() {
            check::<Facts>(operations).map_err(|wrong| format!("{name}: {wrong}"))?;
            counts.add_calls(operations, |call| match call {
                LogCall::Append(_) => "add a fact",
                LogCall::Read(_) => "read facts",
            });
        }
        Ok(counts)
    }

    /// Makes one random call; returns whether it was answered.
    fn step(
        &self,
        client: usize,
        random: &mut Random,
        seen: &mut Seen,
        server: &mut dyn FnMut(&str, Value) -> Outcome,
    ) -> bool {
        match random.below(100) {
            0..25 => self.read(client, &self.register(random.below(REGISTERS)), seen, server),
            25..55 => self.write(client, &self.register(random.below(REGISTERS)), random, seen, server),
            55..60 => self.delete(client, &self.register(random.below(REGISTERS)), server),
            60..70 => self.read_log(client, &self.log(random.below(LOGS)), server),
            70..82 => self.append(client, &self.log(random.below(LOGS)), server),
            82..90 => self.read_facts(client, &self.entity(random.below(ENTITIES)), server),
            _ => self.add_fact(client, &self.entity(random.below(ENTITIES)), server),
        }
    }

    fn note_register(&self, name: &str, operation: Operation<RegisterCall>) {
        self.registers.lock().entry(name.to_owned()).or_default().push(operation);
    }

    fn read(
        &self,
        client: usize,
        name: &str,
        seen: &mut Seen,
        server: &mut dyn FnMut(&str, Value) -> Outcome,
    ) -> bool {
        let invoked = self.tick();
        let outcome = server("read_memory_bank_file", json!({"filename": name}));
        let returned = Some(self.tick());
        let found = match &outcome {
            Outcome::Done(found) => {
                let found = data(found);
                let [text, etag] =
                    ["content", "etag"].map(|member| found[member].as_str().unwrap().to_owned());
                seen.0.insert(name.to_owned(), (text.clone(), etag));
                Some(text)
            }
            Outcome::Refused(text) if is_missing(text) => None,
            _ => return false,
        };
        self.note_register(name, Operation { client, call: RegisterCall::Read(found), invoked, returned });
        true
    }

    /// Writes a new text, mostly in place of the one that the client has seen last.
    fn write(
        &self,
        client: usize,
        name: &str,
        random: &mut Random,
        seen: &mut Seen,
        server: &mut dyn FnMut(&str, Value) -> Outcome,
    ) -> bool {
        let invoked = self.tick();
        let new = format!("text {invoked} of client {client}\n");
        let mut arguments = json!({"filename": name, "content": new});
        let former = if random.chance(75) { seen.0.remove(name) } else { None };
        if let Some((_, etag)) = &former {
            arguments["ifMatchEtag"] = json!(etag);
        }
        let outcome = server("write_memory_bank_file", arguments);
        let at = self.tick();
        let call = match &former {
            Some((former, _)) => RegisterCall::Replace { former: former.clone(), new: new.clone() },
            None => RegisterCall::Write(new.clone()),
        };
        let (call, returned) = match (&outcome, former) {
            (Outcome::Done(done), _) => {
                let etag = data(done)["etag"].as_str().unwrap().to_owned();
                seen.0.insert(name.to_owned(), (new, etag));
                (call, Some(at))
            }
            (Outcome::Refused(text), Some((former, _)))
                if text.contains("ETAG_MISMATCH") || is_missing(text) =>
            {
                (RegisterCall::Refused { former }, Some(at))
            }
            _ => (call, None),
        };
        self.note_register(name, Operation { client, call, invoked, returned });
        returned.is_some()
    }

    fn delete(&self, client: usize, name: &str, server: &mut dyn FnMut(&str, Value) -> Outcome) -> bool {
        let invoked = self.tick();
        let outcome = server("delete_memory_bank_file", json!({"filename": name}));
        let at = self.tick();
        let (call, returned) = match &outcome {
            Outcome::Done(_) => (RegisterCall::Delete, Some(at)),
            Outcome::Refused(text) if is_missing(text) => (RegisterCall::Read(None), Some(at)),
            _ => (RegisterCall::Delete, None),
        };
        self.note_register(name, Operation { client, call, invoked, returned });
        returned.is_some()
    }

    fn read_log(&self, client: usize, name: &str, server: &mut dyn FnMut(&str, Value) -> Outcome) -> bool {
        let invoked = self.tick();
        let outcome = server("read_memory_bank_file", json!({"filename": name}));
        let returned = Some(self.tick());
        let Outcome::Done(found) = outcome else { return false };
        let found = data(&found);
        let text = found["content"].as_str().unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("- ")).map(str::to_owned).collect();
        let operation = Operation { client, call: LogCall::Read(lines), invoked, returned };
        self.logs.lock().entry(name.to_owned()).or_default().push(operation);
        true
    }

    fn append(&self, client: usize, name: &str, server: &mut dyn FnMut(&str, Value) -> Outcome) -> bool {
        let invoked = self.tick();
        let line = format!("line {invoked} of client {client}");
        let edit = json!({"op": "append", "heading": "Lines", "text": format!("- {line}\n")});
        let outcome = server("edit_memory_bank_file", json!({"filename": name, "edits": [edit]}));
        let returned = matches!(outcome, Outcome::Done(_)).then(|| self.tick());
        let operation = Operation { client, call: LogCall::Append(line), invoked, returned };
        self.logs.lock().entry(name.to_owned()).or_default().push(operation);
        returned.is_some()
    }

    fn read_facts(
        &self,
        client: usize,
        entity: &str,
        server: &mut dyn FnMut(&str, Value) -> Outcome,
    ) -> bool {
        let invoked = self.tick();
        // A round with a long fault makes more facts than a reply has by default.
        let outcome = server("graph_open_nodes", json!({"nodes": [entity], "maxChars": WHOLE}));
        let returned = Some(self.tick());
        let Outcome::Done(found) = outcome else { return false };
        let found = data(&found);
        assert!(found["truncated"].is_null(), "a read of all facts: {}", found["remaining"]);
        let facts = found["observations"].as_array().unwrap();
        let mut texts: Vec<String> =
            facts.iter().map(|fact| fact["text"].as_str().unwrap().to_owned()).collect();
        // The order of the checker.
        texts.sort();
        let operation = Operation { client, call: LogCall::Read(texts), invoked, returned };
        self.facts.lock().entry(entity.to_owned()).or_default().push(operation);
        true
    }

    fn add_fact(&self, client: usize, entity: &str, server: &mut dyn FnMut(&str, Value) -> Outcome) -> bool {
        let invoked = self.tick();
        let text = format!("fact {invoked} of client {client}");
        let outcome = server("graph_add_observation", json!({"entity": entity, "text": text}));
        let returned = matches!(outcome, Outcome::Done(_)).then(|| self.tick());
        let operation = Operation { client, call: LogCall::Append(text), invoked, returned };
        self.facts.lock().entry(entity.to_owned()).or_default().push(operation);
        returned.is_some()
    }
}

fn is_missing(text: &str) -> bool {
    text.contains("there is no such document") || text.contains("FILE_NOT_FOUND")
}

/// The data of a reply. Structured content is only in short ones.
fn data(reply: &Value) -> Value {
    let text = reply["content"][0]["text"].as_str().unwrap();
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {reply}"))
}
