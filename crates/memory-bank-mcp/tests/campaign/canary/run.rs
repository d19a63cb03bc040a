//! Runs the workers: each makes calls and checks every answer.

use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::calls::{Call, Calls, Session};
use super::collected_ids::{learn, unlearn};
use super::leak_check::{Rules, canaries, judge};
use super::outcomes::{Tally, has_succeeded};
use super::tenant::{Access, Kind, Persona, Tenant, locked};
use crate::harness::random::Random;
use crate::harness::wire::{Answer, Connection};

/// The number of concurrent workers.
pub(crate) const WORKERS: u64 = 10;
/// The number of kinds of leaks that are reported. The run continues after a leak, so that one run shows all kinds.
const REPORTED: usize = 200;
/// The average time of a call beyond which the run is given up as stuck.
const TIMEOUT: Duration = Duration::from_millis(100);

/// Two projects, their personas, and the results so far.
pub(crate) struct Campaign {
    pub(crate) seed: u64,
    pub(crate) calls: usize,
    done: AtomicUsize,
    ended: AtomicBool,
    began: Instant,
    pub(crate) tenants: [Tenant; 2],
    pub(crate) personas: RwLock<Vec<Arc<Persona>>>,
    pub(crate) addresses: Vec<String>,
    pub(crate) tools: Vec<Value>,
    pub(crate) tally: Mutex<Tally>,
    leaks: Mutex<BTreeMap<String, String>>,
}

impl Campaign {
    pub(crate) fn new(seed: u64, calls: usize, tenants: [Tenant; 2], addresses: Vec<String>) -> Self {
        Self {
            seed,
            calls,
            done: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            began: Instant::now(),
            tenants,
            personas: RwLock::default(),
            addresses,
            tools: Vec::new(),
            tally: Mutex::default(),
            leaks: Mutex::default(),
        }
    }

    /// Makes all calls while `meanwhile` runs.
    pub(crate) fn run(&self, meanwhile: impl FnOnce()) {
        std::thread::scope(|scope| {
            for worker in 0..WORKERS {
                scope.spawn(move || self.work(worker));
            }
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
            if let Err(panic) = outcome {
                self.ended.store(true, Ordering::SeqCst);
                std::panic::resume_unwind(panic);
            }
        });
    }

    /// The number of calls that have begun.
    pub(crate) fn begun(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    /// Whether the run ends.
    pub(crate) fn is_over(&self) -> bool {
        let late =
            self.began.elapsed() > Duration::from_secs(120) + TIMEOUT * u32::try_from(self.calls).unwrap();
        if late {
            self.report("stuck", format!("{} of {} calls were made in time", self.begun(), self.calls));
        }
        late || self.begun() >= self.calls || self.ended.load(Ordering::SeqCst)
    }

    fn work(&self, worker: u64) {
        let mut random = Random::new(self.seed ^ (worker + 1).wrapping_mul(0x5851_f42d_4c95_7f2d));
        let mut connections: Vec<Connection> = self.addresses.iter().map(|_| Connection::default()).collect();
        // Each worker calls all tools in turn, in its own order.
        let mut tools = self.tools.clone();
        random.shuffle(&mut tools);
        for turn in 0.. {
            if self.is_over() {
                return;
            }
            self.done.fetch_add(1, Ordering::SeqCst);
            // Part of the calls go to the tool that succeeded least, so that none is left out.
            let rare = random.chance(15).then(|| self.rarest(&tools));
            let persona = self.pick_persona(&mut random, rare.is_some());
            let replica = random.below(self.addresses.len());
            let (own, others) = self.sides(&persona);
            let mut calls = Calls { persona: &persona, own, others, tools: &tools, random: &mut random };
            let call = match rare {
                Some(tool) => calls.valid_tool(tool),
                None if persona.has_session() => calls.next(turn),
                None => calls.open(),
            };
            self.perform(&persona, &call, replica, &mut connections[replica]);
            if let Some(session) = persona.session_too_many() {
                let mut calls = Calls { persona: &persona, own, others, tools: &tools, random: &mut random };
                let call = calls.end(Some(session));
                self.perform(&persona, &call, replica, &mut connections[replica]);
            }
        }
    }

    /// The place of the tool that succeeded least.
    fn rarest(&self, tools: &[Value]) -> usize {
        let tally = locked(&self.tally);
        let succeeded = |tool: &Value| {
            tally.calls.get(tool["name"].as_str().unwrap_or_default()).map_or(0, |counts| counts.succeeded)
        };
        (0..tools.len()).min_by_key(|at| succeeded(&tools[*at])).unwrap_or_default()
    }

    /// A random persona. Owners are picked more often, since only they have all rights.
    fn pick_persona(&self, random: &mut Random, owner: bool) -> Arc<Persona> {
        let personas = self.personas.read();
        let owners: Vec<_> = personas.iter().filter(|persona| persona.is_owner).collect();
        Arc::clone(if !owners.is_empty() && (owner || random.chance(35)) {
            *random.pick(&owners)
        } else {
            random.pick(&personas)
        })
    }

    /// A persona's own project, and the other.
    pub(crate) fn sides(&self, persona: &Persona) -> (&Tenant, &Tenant) {
        (&self.tenants[persona.tenant], &self.tenants[1 - persona.tenant])
    }

    /// Makes a call, checks the answer, and remembers the ids in it.
    pub(crate) fn perform(
        &self,
        persona: &Persona,
        call: &Call,
        replica: usize,
        connection: &mut Connection,
    ) -> Answer {
        let (own, others) = self.sides(persona);
        let request = &call.request;
        let sent = request.text().to_ascii_lowercase();
        persona.note_sent(canaries(sent.as_bytes(), &own.mark).into_iter().map(|(_, canary)| canary));
        let before = persona.access();
        let answer = connection.exchange(&self.addresses[replica], &persona.key, request);
        let access = (persona.access() == before).then_some(before);
        let rules = Rules { own, others, persona, access };
        let verdict =
            judge(request, &answer, &rules).and_then(|()| self.check_side_effects(call, &answer, persona));
        if let Err(why) = verdict {
            self.leaked(persona, call, replica, access, &why);
        }
        self.remember(persona, call, &answer, access);
        answer
    }

    /// Checks that a call changed nothing of the other project and no key without `admin`.
    fn check_side_effects(&self, call: &Call, answer: &Answer, persona: &Persona) -> Result<(), String> {
        let (_, others) = self.sides(persona);
        let done = (200..300).contains(&answer.status);
        match &call.session {
            Session::Ends(session) if done && others.knows(Kind::Session, session) => {
                return Err("it ended a session of the other project".to_owned());
            }
            _ => {}
        }
        let id = call.request.path.strip_prefix("/api/keys/").unwrap_or_default();
        let id = id.trim_end_matches("/rotate");
        if done && !id.is_empty() && (others.knows(Kind::KeyId, id) || !persona.administers) {
            return Err(format!("it changed the key {id}"));
        }
        Ok(())
    }

    fn remember(&self, persona: &Persona, call: &Call, answer: &Answer, access: Option<Access>) {
        let (own, _) = self.sides(persona);
        let mut tally = locked(&self.tally);
        tally.count(&call.what, answer);
        if access.is_some_and(|access| access.reads && !access.void) {
            let seen = answer.text().to_ascii_lowercase();
            for (_, canary) in canaries(seen.as_bytes(), &own.mark).into_iter().take(50) {
                tally.seen.extend(canary.chars().nth(own.mark.len()).map(|place| (persona.tenant, place)));
            }
        }
        drop(tally);
        if has_succeeded(answer) {
            learn(own, &call.request, answer);
        } else {
            unlearn(own, &call.request, answer);
        }
        match &call.session {
            Session::Opens => self.opened(persona, answer),
            Session::Ends(session) if answer.status == 204 => {
                persona.closed(session);
                own.forget(Kind::Session, session);
            }
            _ => {}
        }
    }

    fn opened(&self, persona: &Persona, answer: &Answer) {
        let (own, _) = self.sides(persona);
        let Some(session) = answer.header("mcp-session-id") else { return };
        own.learn(Kind::Session, session);
        persona.opened(session.to_owned());
    }

    /// Records a leak, one of each kind.
    fn leaked(&self, persona: &Persona, call: &Call, replica: usize, access: Option<Access>, why: &str) {
        let kind =
            format!("{}: {} by {}", call.what, why.split(':').next().unwrap_or_default(), persona.name);
        let report = format!(
            "seed {}, around call {}, server {replica}, key of {} ({access:?}): {why}\nthe call:\n{}",
            self.seed,
            self.begun(),
            persona.name,
            shortened(&call.request.text()),
        );
        self.report(&kind, report);
    }

    /// Records a violation.
    pub(crate) fn report(&self, kind: &str, report: String) {
        let mut leaks = locked(&self.leaks);
        if leaks.len() < REPORTED || leaks.contains_key(kind) {
            leaks.entry(kind.to_owned()).or_insert(report);
        }
    }

    /// All violations as text; `None` = none.
    pub(crate) fn leaks(&self) -> Option<String> {
        let leaks = locked(&self.leaks);
        let mut text = String::new();
        for (kind, report) in leaks.iter() {
            writeln!(text, "== {kind}\n{report}\n").unwrap();
        }
        (!leaks.is_empty()).then(|| format!("{} kinds of leaks\n{text}", leaks.len()))
    }

    /// Lists the tools in the name of a persona that may call all of them.
    pub(crate) fn list_tools(&mut self, persona: &Persona) {
        let mut random = Random::new(0);
        let (own, others) = self.sides(persona);
        let mut calls = Calls { persona, own, others, tools: &[], random: &mut random };
        let call = calls.plain("tools/list", json!({}));
        let answer = self.perform(persona, &call, 0, &mut Connection::default());
        let message = answer.message().unwrap_or_else(|| panic!("{}", answer.text()));
        message["result"]["tools"].as_array().expect("tools").clone_into(&mut self.tools);
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(3000).collect()
}
